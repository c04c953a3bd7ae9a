//! What an expression may mention where it stands, and of which type that is there.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::draft::{Owner, Use};
use super::expressions::in_finally;
use super::graph::{Graph, Relation, Upstream};
use super::show;
use crate::action;
use crate::definition::{Environment, Part, Runbook, Step, ValueType};
use crate::expression::{Base, FaultKind, IterationField, NameFault, Names, Reference, RunField, Type, did_you_mean};

/// What is known about the file as a whole.
pub(super) struct Context<'c> {
    /// The steps of this level: of the runbook, or of a block.
    pub runbook: &'c Runbook,
    /// The runbook, for what is said at its top; without its steps.
    pub whole: &'c Runbook,
    /// The step whose block this is.
    pub outer: Option<&'c At<'c>>,
    pub ids: HashMap<&'c str, usize>,
    /// Variables of the runbook whose text holds a secret.
    pub secret_env: &'c HashSet<String>,
    pub upstream: Upstream,
    /// Of each step, whether it runs only when persons approved.
    pub approved: Vec<bool>,
    pub graph: &'c Graph,
    /// The environments that it may run in.
    pub environments: &'c [&'c Environment],
    /// Of each step whether it has succeeded whenever the run does.
    pub sure: Vec<bool>,
    /// Whether anybody will read a suggestion: searching for one costs time.
    pub suggest: Cell<bool>,
}

/// A place in the file.
pub(super) struct At<'c> {
    pub context: &'c Context<'c>,
    pub owner: Owner,
    pub usage: Use,
}

type Answer = Result<Type, NameFault>;

impl Names for At<'_> {
    fn type_of(&self, reference: &Reference) -> Answer {
        if self.usage == Use::Outcome && *reference != Reference::ExitCode {
            return misplaced(
                format!("only `exit_code` has a value here, not `{reference}`"),
                "decide by the exit code, or use `if` of the next step",
            );
        }
        let fixed = reference.fixed_type().unwrap_or(Type::of(Base::Any));
        match reference {
            Reference::Input(name) => self.input(name),
            Reference::Env(name) => self.env(name, fixed),
            Reference::Environment => Ok(fixed),
            Reference::EnvironmentValue(name) => self.environment_value(name),
            Reference::Secret(name) => self.secret(name, fixed),
            Reference::StepStatus(id)
            | Reference::StepExitCode(id)
            | Reference::StepOutput(id, _)
            | Reference::StepArtifact(id, _) => self.step(reference, id, fixed),
            Reference::Run(field) => self.run(*field, fixed),
            Reference::ExitCode if matches!(self.usage, Use::Outcome | Use::Probe) => Ok(fixed),
            Reference::ExitCode => misplaced(
                "`exit_code` has a value in `success`, `unknown_if`, `retry.if` and about a `probe` only".to_owned(),
                "the exit code of another step is `steps.ID.exit_code`",
            ),
            Reference::AttemptOutput(key) => self.attempt_output(key, fixed),
            Reference::Item | Reference::EachKey | Reference::EachNumber => self.item(reference, fixed),
            Reference::Iteration(_) | Reference::IterationOutput(_) => self.iteration(reference, fixed),
            Reference::Always | Reference::Failure if self.usage == Use::Condition => Ok(fixed),
            Reference::Always | Reference::Failure => misplaced(
                format!("`{reference}` has a meaning in `if` only"),
                "the outcome of a step is `steps.ID.status`",
            ),
        }
    }
}

impl<'c> At<'c> {
    fn runbook(&self) -> &'c Runbook {
        self.context.runbook
    }

    /// "did you mean", if anybody will read it.
    fn meant<'n>(&self, word: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
        match self.context.suggest.get() {
            true => did_you_mean(word, names).map(|name| format!("did you mean `{name}`?")),
            false => None,
        }
    }

    fn input(&self, name: &str) -> Answer {
        let inputs = &self.context.whole.inputs;
        let Some(decl) = inputs.get(name) else {
            let help = self.meant(name, inputs.keys().map(String::as_str));
            return fault(
                FaultKind::UnknownInput,
                format!("there is no input `{}`", show(name)),
                help.or(Some("declare it under `inputs`".to_owned())),
            );
        };
        let mut of = Type::of(decl.value_type.into());
        if !decl.required && decl.default.is_none() {
            of = of.nullable();
        }
        if decl.secret {
            of = of.secret();
        }
        Ok(of)
    }

    fn env(&self, name: &str, fixed: Type) -> Answer {
        let env = &self.context.whole.env;
        if self.usage == Use::Variable {
            return misplaced(
                "a variable of `env` cannot be made of others".to_owned(),
                "write what the other variable is made of",
            );
        }
        if !env.contains_key(name) {
            let help = match self.meant(name, env.keys().map(String::as_str)) {
                Some(meant) => meant,
                None => "`${{ env.NAME }}` takes what `env` at the top of the file declares; variables of a step are read by its program".to_owned(),
            };
            let message = format!("`env` at the top declares no `{}`", show(name));
            return fault(FaultKind::UnknownEnv, message, Some(help));
        }
        Ok(match self.context.secret_env.contains(name) {
            true => fixed.secret(),
            false => fixed,
        })
    }

    fn environment_value(&self, name: &str) -> Answer {
        let environments = self.context.environments;
        let mut having = environments.iter().filter_map(|it| Some((it.name.as_str(), it.values.get(name)?)));
        let Some((first, value)) = having.next() else {
            let names: BTreeSet<&str> =
                environments.iter().flat_map(|it| it.values.keys().map(String::as_str)).collect();
            let help = self
                .meant(name, names.into_iter())
                .unwrap_or_else(|| "define it under `values` of the files in `runbooks/environments`".to_owned());
            let message = format!("no environment has a value `{}`", show(name));
            return fault(FaultKind::UnknownInput, message, Some(help));
        };
        let value_type = ValueType::of(value);
        if let Some((other, differs)) = having.find(|(_, value)| ValueType::of(value) != value_type) {
            let (a, b) = (value_type.name(), ValueType::of(differs).name());
            let message = format!("`{}` is {a} in the environment {first}, and {b} in {other}", show(name));
            let help = "give it one type everywhere; 1.0 is a number, 1 is an integer".to_owned();
            return fault(FaultKind::WrongType, message, Some(help));
        }
        let of = Type::of(value_type.into());
        let everywhere = environments.iter().all(|it| it.values.contains_key(name));
        Ok(if everywhere { of } else { of.nullable() })
    }

    fn secret(&self, name: &str, fixed: Type) -> Answer {
        let secrets = &self.context.whole.requires.secrets;
        if secrets.iter().any(|secret| secret == name) {
            return Ok(fixed);
        }
        let help = match self.meant(name, secrets.iter().map(String::as_str)) {
            Some(meant) => meant,
            None => format!("add it: `requires: {{secrets: [{}]}}`", show(name)),
        };
        let message = format!("the secret `{}` is not listed under `requires.secrets`", show(name));
        fault(FaultKind::UnknownSecret, message, Some(help))
    }

    fn run(&self, field: RunField, fixed: Type) -> Answer {
        match field {
            RunField::Outcome if in_finally(self.context, self.owner) => Ok(fixed),
            RunField::Outcome if let Some(outer) = self.context.outer => outer.run(field, fixed),
            RunField::Outcome => misplaced(
                "`run.outcome` is known in `finally` only".to_owned(),
                "move the step to `finally`, or ask for `steps.ID.status`",
            ),
            _ => Ok(fixed),
        }
    }

    /// The item of the step that this is about, or of one around.
    fn item(&self, reference: &Reference, fixed: Type) -> Answer {
        let here = !matches!(self.usage, Use::Condition | Use::Items);
        let step = self.owner.step().and_then(|index| self.runbook().steps.get(index));
        if here && step.is_some_and(|step| step.each().is_some()) {
            return Ok(fixed);
        }
        match self.context.outer {
            Some(outer) => outer.item(reference, fixed),
            None => misplaced(
                format!("`{reference}` has a value in a step with `for_each` only, and not in its `if`"),
                "add `for_each:` to the step; to choose among items write `for_each: ${{ LIST.filter(x, …) }}`",
            ),
        }
    }

    /// The iteration of the step that this is about, or the number of one around.
    fn iteration(&self, reference: &Reference, fixed: Type) -> Answer {
        let step = self.owner.step().and_then(|index| self.runbook().steps.get(index));
        let own = step.and_then(|step| Some((step, step.repeat()?)));
        let over = self.usage == Use::Until;
        match (reference, own) {
            (Reference::Iteration(IterationField::Number), Some(_))
                if !matches!(self.usage, Use::Condition | Use::Items) =>
            {
                Ok(fixed)
            }
            (Reference::Iteration(IterationField::Number), _) => match self.context.outer {
                Some(outer) => outer.iteration(reference, fixed),
                None => misplaced(
                    format!("`{reference}` has a value in a step with `repeat` only, and not in its `if`"),
                    "add `repeat: {until: …, max: 10}` to the step",
                ),
            },
            (Reference::Iteration(IterationField::ExitCode), Some((step, _))) if over && step.command().is_none() => {
                misplaced(
                    format!("`{}` starts runs, and these have no exit code", step.id),
                    "ask for `iteration.status`, or for an output: `iteration.outputs.KEY`",
                )
            }
            (Reference::IterationOutput(key), Some((step, repeat))) if over => {
                self.declared_output(step, key)?;
                let of = step.outputs.get(key).map_or(fixed, |declared| Type::of((*declared).into()));
                // Of one that failed there is none.
                Ok(if repeat.any_outcome { of.nullable() } else { of })
            }
            (_, Some(_)) if over => Ok(fixed),
            _ => misplaced(
                format!("`{reference}` has a value in `until` of `repeat` only, when an iteration is over"),
                "what the last iteration left is `steps.ID.outputs.KEY` for the steps behind",
            ),
        }
    }

    fn attempt_output(&self, key: &str, fixed: Type) -> Answer {
        if let Use::Answer { action, word } = self.usage {
            return self.found(action, word, key);
        }
        let (index, probe) = match self.owner {
            Owner::Cleanup(index) => (index, false),
            Owner::Step(index) if self.usage == Use::Probe => (index, true),
            Owner::Start | Owner::Step(_) | Owner::Outputs => {
                return misplaced(
                    "`attempt.outputs` has values in `verify`, `on_cancel`, `rollback` and about a `probe` only"
                        .to_owned(),
                    "outputs of another step are `steps.ID.outputs.KEY`",
                );
            }
        };
        let step = &self.runbook().steps[index];
        self.declared_output(step, key)?;
        Ok(match step.outputs.get(key).filter(|_| probe) {
            Some(declared) => Type::of((*declared).into()).nullable(),
            None => fixed,
        })
    }

    /// What an action has found where its answer is judged.
    fn found(&self, name: &str, word: &str, key: &str) -> Answer {
        let Some(action) = action::find(name) else { return Ok(Type::of(Base::Any)) };
        if let Some(output) = action.outputs(word).find(|output| output.name == key) {
            return Ok(Type::of(output.value_type.into()));
        }
        let other = action.outputs.iter().find(|output| output.name == key).and_then(|output| output.when.first());
        let help = match (other, action.decides) {
            (Some(word), Some((decides, _))) => Some(format!("it has that with `{decides}: {word}`")),
            _ => self.meant(key, action.outputs(word).map(|output| output.name)),
        };
        fault(FaultKind::UnknownOutput, format!("`uses: {name}` has no output `{}` here", show(key)), help)
    }

    fn declared_output(&self, step: &Step, key: &str) -> Result<(), NameFault> {
        if step.outputs.contains_key(key) {
            return Ok(());
        }
        let help = match self.meant(key, step.outputs.keys().map(String::as_str)) {
            Some(meant) => meant,
            None if step.approval().is_some() => "what approvers fill in is declared under `with.fields`".to_owned(),
            None if step.action().is_some() => {
                let known: Vec<&str> = step.outputs.keys().map(String::as_str).collect();
                format!("it has {}", known.join(", "))
            }
            None if step.block().is_some() => {
                format!("declare it there: `outputs: {{{}: {{type: string, value: EXPRESSION}}}}`", show(key))
            }
            None => format!("declare it there: `outputs: {{{}: string}}`", show(key)),
        };
        let message = format!("the step `{}` declares no output `{}`", step.id, show(key));
        fault(FaultKind::UnknownOutput, message, Some(help)).map(|_| ())
    }

    fn step(&self, reference: &Reference, id: &str, fixed: Type) -> Answer {
        let Some(owner) = self.owner.step().or((self.owner == Owner::Outputs).then_some(usize::MAX)) else {
            return misplaced(
                format!("no step has run yet when this is settled, so `{reference}` has no value"),
                "mention `inputs`, `env` or `run`, or move it into a step",
            );
        };
        let steps = &self.runbook().steps;
        let Some(other) = self.context.ids.get(id).copied() else {
            if let Some(outer) = self.context.outer.filter(|outer| outer.knows(id)) {
                return match outer.step(reference, id, fixed)? {
                    of if of.secret => stays_above(reference),
                    of => Ok(of),
                };
            }
            let help = self.meant(id, steps.iter().map(|step| step.id.as_str()));
            return fault(FaultKind::UnknownStep, format!("there is no step `{}`", show(id)), help);
        };
        let step = &steps[other];
        let relation = self.relation(owner, other)?;
        let of = match reference {
            Reference::StepOutput(_, key) => {
                self.declared_output(step, key)?;
                let mut of = step.outputs.get(key).map_or(fixed, |declared| Type::of((*declared).into()));
                // A field that an approver may leave out.
                let field = step.approval().and_then(|approval| approval.fields.get(key));
                if field.is_some_and(|field| field.secret) {
                    if self.owner.step().and_then(|owner| steps.get(owner)).is_some_and(|step| step.many.is_some()) {
                        return stays_above(reference);
                    }
                    of = of.secret();
                }
                match field.is_some_and(|field| !field.required && field.default.is_none()) {
                    true => of.nullable(),
                    false => of,
                }
            }
            Reference::StepArtifact(_, name) => {
                self.declared_artifact(step, name)?;
                fixed
            }
            _ => return Ok(fixed),
        };
        Ok(match relation.succeeded {
            true => of,
            false => of.nullable(),
        })
    }

    /// Whether a step of this level, or of one around it, has this id.
    fn knows(&self, id: &str) -> bool {
        self.context.ids.contains_key(id) || self.context.outer.is_some_and(|outer| outer.knows(id))
    }

    fn declared_artifact(&self, step: &Step, name: &str) -> Result<(), NameFault> {
        if step.each().is_some() {
            let message = format!("`{}` leaves artifacts for each of its items", step.id);
            let help = "make a block of it, and let its `outputs` give their paths".to_owned();
            return fault(FaultKind::UnknownArtifact, message, Some(help)).map(|_| ());
        }
        if step.artifacts.iter().any(|artifact| artifact == name) {
            return Ok(());
        }
        let help = match self.meant(name, step.artifacts.iter().map(String::as_str)) {
            Some(meant) => meant,
            None if step.action().is_some() => match step.artifacts.as_slice() {
                [] => "it leaves no file; `answer: file` keeps a body as one".to_owned(),
                known => format!("it has {}", known.join(", ")),
            },
            None => format!("declare it there: `artifacts: [{}]`", show(name)),
        };
        let message = format!("the step `{}` declares no artifact `{}`", step.id, show(name));
        fault(FaultKind::UnknownArtifact, message, Some(help)).map(|_| ())
    }

    /// How `other` is related to the step that the text belongs to.
    fn relation(&self, owner: usize, other: usize) -> Result<Relation, NameFault> {
        let steps = &self.runbook().steps;
        let to = &steps[other];
        let not_upstream = |message: String, help: String| {
            fault(FaultKind::NotUpstream, message, Some(help)).map(|_| Relation::default())
        };
        if self.owner == Owner::Outputs {
            return match to.part {
                Part::Main => Ok(Relation { ancestor: true, succeeded: self.context.sure[other] }),
                Part::Finally => not_upstream(
                    format!("`{}` is a step of `finally`, which runs after the outputs are worked out", to.id),
                    "make it of main steps".to_owned(),
                ),
            };
        }
        let from = &steps[owner];
        if owner == other {
            return match self.owner {
                Owner::Cleanup(_) => not_upstream(
                    format!("`{}` has not ended yet when this is asked", to.id),
                    "write `attempt.outputs.KEY` for what the attempt had written so far".to_owned(),
                ),
                _ => not_upstream(
                    "a step cannot read its own results before it runs".to_owned(),
                    "move this into a step that needs it".to_owned(),
                ),
            };
        }
        match (from.part, to.part) {
            (Part::Finally, Part::Main) => Ok(Relation { ancestor: true, succeeded: false }),
            (Part::Main, Part::Finally) => not_upstream(
                format!("`{}` is a step of `finally`, which runs after all main steps", to.id),
                "move one of the two".to_owned(),
            ),
            // What is upstream is not known then; the reason was reported.
            _ if !self.context.graph.is_ordered() || self.context.graph.broken[owner] => {
                Ok(Relation { ancestor: true, succeeded: true })
            }
            _ => {
                let relation = self.context.upstream.of(owner, other);
                match relation.ancestor {
                    true => Ok(relation),
                    false => not_upstream(
                        format!("`{}` need not have ended when `{}` starts", to.id, from.id),
                        format!("add it: `needs: [{}]`", needs(steps, from, &to.id)),
                    ),
                }
            }
        }
    }
}

/// The needs of a step with one more, as they are written; of many, only the new one.
fn needs(steps: &[Step], step: &Step, more: &str) -> String {
    const FEW: usize = 4;
    if step.needs.len() > FEW {
        return format!("…, {more}");
    }
    let ids = step.needs.iter().map(|need| steps[need.index()].id.as_str());
    ids.chain([more]).collect::<Vec<_>>().join(", ")
}

fn fault(kind: FaultKind, message: String, help: Option<String>) -> Answer {
    let fault = NameFault::new(kind, message);
    Err(match help {
        Some(help) => fault.with_help(help),
        None => fault,
    })
}

/// A secret that an approver filled in is for the steps beside the approval.
fn stays_above(reference: &Reference) -> Answer {
    misplaced(
        format!("`{reference}` is a secret, and what a run below is given is stored and shown"),
        "read it in a step beside the approval, without `for_each` or `repeat`; or ask where it is needed",
    )
}

fn misplaced(message: String, help: &str) -> Answer {
    fault(FaultKind::Misplaced, message, Some(help.to_owned()))
}
