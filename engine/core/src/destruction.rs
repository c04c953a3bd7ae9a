//! What a run may destroy: by which names a person has to confirm it, as far as the inputs tell. Never knows what was
//! confirmed, nor what became of a step.

use std::collections::{BTreeSet, HashMap};

use indexmap::IndexMap;
use serde_json::Value;

use crate::definition::{Effect, Environment, OnTimeout, Runbook, Step, WhenSkipped};
use crate::expression::{Expression, Reference, RunField, Scope, Template};
use crate::id::StepNo;
use crate::limits;
use crate::plan;

/// Something that a run may destroy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name, which is typed to confirm it.
    pub name: String,
    /// The steps that destroy it.
    pub steps: Vec<StepNo>,
}

/// A target whose name cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nameless {
    /// The step.
    pub step: StepNo,
    /// Why not.
    pub problem: String,
}

/// What is known at a start.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The definition.
    pub runbook: &'a Runbook,
    /// The environment that it is started in.
    pub environment: Option<&'a Environment>,
    /// Inputs, checked and with their defaults, secret ones left out.
    pub inputs: &'a IndexMap<String, Value>,
    /// Who starts it.
    pub principal: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Steps that do not run, and count as succeeded.
    pub left_out: &'a BTreeSet<StepNo>,
}

/// What a run destroys of which nobody is asked while it is on, each once, in the order of the steps; of `steps` only.
///
/// # Errors
/// A name that the inputs do not make.
pub fn targets(known: &Known<'_>, of: impl Fn(StepNo) -> bool) -> Result<Vec<Target>, Nameless> {
    let runbook = known.runbook;
    let mut found: IndexMap<String, Vec<StepNo>> = IndexMap::new();
    // Most runbooks destroy nothing.
    if !runbook.steps.iter().any(|step| step.effect == Effect::Destructive) {
        return Ok(Vec::new());
    }
    let (approved, never) = (approved(runbook, known.left_out), never(known));
    for (index, step) in runbook.steps.iter().enumerate() {
        let no = StepNo(index as u32);
        // What is destroyed for each of a list is asked about.
        let (Effect::Destructive, Some(target), None) = (step.effect, &step.target, &step.many) else { continue };
        if !approved[index] && !never[index] && !known.left_out.contains(&no) && of(no) {
            let name = known.name(target).map_err(|problem| Nameless { step: no, problem })?;
            found.entry(name).or_default().push(no);
        }
    }
    Ok(found.into_iter().map(|(name, steps)| Target { name, steps }).collect())
}

/// The target of a runbook's objective, if it has one and the inputs make its name.
pub fn objective(known: &Known<'_>) -> Option<String> {
    let template = Template::parse(&known.runbook.objective.as_ref()?.target).ok()?;
    template.render_text(known).ok()
}

/// Of each step, whether it runs only when persons approved in that run; those that are left out ask nobody.
pub fn approved(runbook: &Runbook, left_out: &BTreeSet<StepNo>) -> Vec<bool> {
    let mut approved = vec![false; runbook.steps.len()];
    for no in plan::order(&runbook.steps) {
        let Some(step) = runbook.step(no) else { continue };
        let guards = |need: &StepNo| {
            let succeeded = |needed: &Step| step.implies(*need) && needed.when_skipped == WhenSkipped::Skip;
            runbook.step(*need).is_some_and(|needed| {
                succeeded(needed) && ((asks(needed) && !left_out.contains(need)) || approved[need.index()])
            })
        };
        let undone = |undone: &StepNo| approved.get(undone.index()) == Some(&true);
        approved[no.index()] =
            step.needs.iter().any(guards) || (!step.undoes.is_empty() && step.undoes.iter().all(undone));
    }
    approved
}

/// Whether a step succeeds only when persons approve.
fn asks(step: &Step) -> bool {
    step.approval().is_some_and(|approval| approval.on_timeout != OnTimeout::Approve)
}

/// Of each step, whether the inputs alone tell that it does not run.
pub fn never(known: &Known<'_>) -> Vec<bool> {
    never_where(&known.runbook.steps, known.left_out, |condition, _| {
        condition.never_holds(&|reference| known.possible(reference))
    })
}

/// The same of steps that need each other, such as those of a block, by more than the inputs alone: what a step leaves that does
/// not run is null. Nothing is asked of anybody by it.
pub fn never_of(steps: &[Step], known: &Known<'_>, left_out: &BTreeSet<StepNo>) -> Vec<bool> {
    let places: HashMap<&str, usize> =
        steps.iter().enumerate().map(|(index, step)| (step.id.as_str(), index)).collect();
    never_where(steps, left_out, |condition, never| {
        let runs = |id: &str| places.get(id).is_none_or(|index| !never[*index]);
        let possible = |reference: &Reference| match reference {
            Reference::StepOutput(id, _) | Reference::StepExitCode(id) | Reference::StepArtifact(id, _)
                if !runs(id) =>
            {
                Some(vec![Value::Null])
            }
            other => known.possible(other),
        };
        condition.never_holds(&possible) || condition.is_false(&possible)
    })
}

/// Of each step, whether it does not run, by what is known of conditions and of the steps before.
fn never_where(steps: &[Step], left_out: &BTreeSet<StepNo>, fails: impl Fn(&Expression, &[bool]) -> bool) -> Vec<bool> {
    let mut never = vec![false; steps.len()];
    for no in plan::order(steps) {
        let step = &steps[no.index()];
        // Its `if` is not asked.
        let excluded = !left_out.contains(&no)
            && step.condition.as_ref().is_some_and(|condition| {
                Expression::parse(&condition.expression).is_ok_and(|condition| fails(&condition, &never))
            });
        let lacks = |need: &StepNo| {
            let skips = steps[need.index()].when_skipped == WhenSkipped::Skip;
            step.implies(*need) && skips && never[need.index()]
        };
        let undone = |undone: &StepNo| left_out.contains(undone) || never.get(undone.index()) == Some(&true);
        never[no.index()] =
            excluded || step.needs.iter().any(lacks) || (!step.undoes.is_empty() && step.undoes.iter().all(undone));
    }
    never
}

/// Whether a reference in a `target` has no value before the run is on.
pub fn is_late(runbook: &Runbook, reference: &Reference) -> bool {
    match reference {
        Reference::Run(field) => match field {
            RunField::Uid | RunField::Number | RunField::Outcome => true,
            RunField::Runbook | RunField::Principal | RunField::Reason => false,
        },
        Reference::Env(name) => runbook
            .env
            .get(name)
            .and_then(|text| Template::parse(text).ok())
            .is_some_and(|text| text.references().any(|reference| is_late(runbook, &reference.value))),
        Reference::Input(_)
        | Reference::Environment
        | Reference::EnvironmentValue(_)
        | Reference::Secret(_)
        | Reference::Always
        | Reference::Failure => false,
        Reference::StepStatus(_)
        | Reference::StepExitCode(_)
        | Reference::StepOutput(..)
        | Reference::StepArtifact(..)
        | Reference::Item
        | Reference::EachKey
        | Reference::EachNumber
        | Reference::Iteration(_)
        | Reference::IterationOutput(_)
        | Reference::ExitCode
        | Reference::AttemptOutput(_) => true,
    }
}

impl Known<'_> {
    fn name(&self, target: &str) -> Result<String, String> {
        let template = Template::parse(target)
            .map_err(|faults| faults.into_iter().map(|fault| fault.message).collect::<Vec<_>>().join("; "))?;
        let name = template.render_text(self).map_err(|error| error.to_string())?;
        // It has to be typed.
        if name.is_empty()
            || name.len() > limits::TARGET_BYTES
            || name.contains(char::is_control)
            || name.trim() != name
        {
            return Err(format!(
                "a name has 1 to {} bytes, no control characters, and no blanks around it; this one has {} bytes",
                limits::TARGET_BYTES,
                name.len()
            ));
        }
        Ok(name)
    }

    /// All that a reference may be; `None` where that is not known.
    fn possible(&self, reference: &Reference) -> Option<Vec<Value>> {
        match reference {
            Reference::Input(_)
            | Reference::Env(_)
            | Reference::Environment
            | Reference::EnvironmentValue(_)
            | Reference::Run(_) => Some(vec![self.value_of(reference)?]),
            Reference::Always => Some(vec![Value::Bool(true)]),
            _ => None,
        }
    }
}

impl Scope for Known<'_> {
    fn value_of(&self, reference: &Reference) -> Option<Value> {
        match reference {
            Reference::Input(name) => self.inputs.get(name).cloned(),
            Reference::Env(name) => {
                let text = self.runbook.env.get(name)?;
                Template::parse(text).ok()?.render_text(self).ok().map(Value::String)
            }
            Reference::Environment => self.environment.map(|environment| Value::from(environment.name.as_str())),
            Reference::EnvironmentValue(name) => self.environment?.values.get(name).cloned(),
            Reference::Run(RunField::Runbook) => Some(Value::from(self.runbook.name.clone())),
            Reference::Run(RunField::Principal) => Some(Value::from(self.principal)),
            Reference::Run(RunField::Reason) if !self.reason.is_empty() => Some(Value::from(self.reason)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language;

    const RUNBOOK: &str = r#"
name: wipe
language: 1
inputs: {db: {type: string, required: true}, drop: {type: boolean, default: false}}
env: {HOST: "db-${{ inputs.db }}"}
steps:
  look: {effect: read, argv: [look]}
  old: {needs: [look], effect: destructive, target: "old/${{ inputs.db }}", argv: [rm]}
  drop: {needs: [look], if: inputs.drop, effect: destructive, target: "${{ env.HOST }}", argv: [rm]}
  drop-more: {needs: [drop], effect: destructive, target: more, argv: [rm]}
  after: {needs: [look], if: "steps.look.exit_code == 2", effect: destructive, target: "old/${{ inputs.db }}", argv: [rm]}
  ask: {uses: approval, with: {message: go}}
  asked: {needs: [ask], effect: destructive, target: asked, argv: [rm]}
  late: {needs: [asked], effect: destructive, target: "x/${{ run.uid }}", argv: [rm]}
  any: {needs: [asked], if: always(), effect: destructive, target: any, argv: [rm]}
  slow: {uses: approval, with: {message: go, timeout: 1h, on_timeout: approve}}
  unasked: {needs: [slow], effect: destructive, target: unasked, argv: [rm]}
finally:
  undo: {undoes: [asked], effect: destructive, target: undo, argv: [rm]}
  tidy: {effect: destructive, target: scratch, argv: [rm]}
"#;

    fn names(drop: bool) -> Vec<String> {
        let checked = language::check(RUNBOOK.as_bytes(), "wipe.yaml");
        let runbook = checked.runbook.unwrap_or_else(|| panic!("{:?}", checked.findings));
        let inputs = IndexMap::from([("db".to_owned(), Value::from("orders")), ("drop".to_owned(), Value::Bool(drop))]);
        let known = Known {
            runbook: &runbook,
            environment: None,
            inputs: &inputs,
            principal: "ann",
            reason: "",
            left_out: &BTreeSet::new(),
        };
        let targets = targets(&known, |_| true).unwrap();
        assert_eq!(targets[0].steps, [StepNo(1), StepNo(4)]);
        targets.into_iter().map(|target| target.name).collect()
    }

    #[test]
    fn what_may_run_and_nobody_is_asked_about() {
        assert_eq!(names(false), ["old/orders", "any", "unasked", "scratch"]);
        assert_eq!(names(true), ["old/orders", "db-orders", "more", "any", "unasked", "scratch"]);
    }

    #[test]
    fn a_name_has_to_be_typed() {
        let checked = language::check(RUNBOOK.as_bytes(), "wipe.yaml");
        let runbook = checked.runbook.unwrap();
        for bad in ["a\nb", "a ", &"x".repeat(300)] {
            let inputs = IndexMap::from([("db".to_owned(), Value::from(bad))]);
            let known = Known {
                runbook: &runbook,
                environment: None,
                inputs: &inputs,
                principal: "ann",
                reason: "",
                left_out: &BTreeSet::new(),
            };
            assert_eq!(targets(&known, |_| true).unwrap_err().step, StepNo(1), "{bad:?}");
        }
    }
}
