//! What the actions of a runbook need to be there before it begins, found from the actions themselves: programs, and stacks that
//! are initialised. Steps that may not run need nothing. Never knows whether it is there.

use std::collections::{BTreeMap, BTreeSet};

use crate::action::{self, Initialised};
use crate::definition::{Acting, Command, Program, Runbook, Setting, Shell, Step, WhenSkipped, called_by};
use crate::destruction::{self, Known};
use crate::id::StepNo;
use crate::plan;

/// The program of scripts that say `shell: bash`.
const BASH: &str = "bash";
/// By which terraform is told to keep elsewhere what initialising makes: whether it is there is not known then.
const ELSEWHERE: &str = "TF_DATA_DIR";

/// What is needed, each with the first step that needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Programs, by name or path. A path that is not absolute is relative to the folder that the action works in.
    pub programs: BTreeMap<String, String>,
    /// Folders that have to be initialised, relative to the project's, with the program that does it.
    pub stacks: BTreeMap<String, (String, String)>,
    /// Folders that the runbooks initialise themselves.
    made: BTreeSet<String>,
    /// Whether they initialise one whose name is not known yet.
    makes_any: bool,
}

/// What runbooks need that one start brings together, the first of them the one that is started. Of that it is known what is
/// given, if it is: then steps count that may run by their inputs. Of the others, and where nothing is known, those without a
/// condition do.
pub fn of(runbooks: &[&Runbook], known: Option<&Known<'_>>) -> Needs {
    let mut needs = Needs::default();
    for (place, runbook) in runbooks.iter().enumerate() {
        let skipped = match known.filter(|_| place == 0) {
            Some(known) => skipped(known),
            None => doubtful(runbook),
        };
        needs.look(&runbook.steps, &skipped, runbook.env.contains_key(ELSEWHERE));
    }
    let Needs { stacks, made, makes_any, .. } = &mut needs;
    stacks.retain(|folder, _| !*makes_any && !made.contains(folder));
    needs
}

/// The runbooks that the steps start which may run by what is given, each once.
pub fn started<'a>(known: &Known<'a>) -> Vec<&'a str> {
    let skipped = skipped(known);
    called_by(known.runbook.steps.iter().enumerate().filter(|(index, _)| !skipped[*index]).map(|(_, step)| step))
}

/// Of each step, whether it does not run by what is given.
fn skipped(known: &Known<'_>) -> Vec<bool> {
    let never = destruction::never(known).into_iter().enumerate();
    never.map(|(index, never)| never || known.left_out.contains(&StepNo(index as u32))).collect()
}

/// Of each step, whether a condition may keep it from running.
fn doubtful(runbook: &Runbook) -> Vec<bool> {
    let mut doubtful = vec![false; runbook.steps.len()];
    for no in plan::order(runbook) {
        let Some(step) = runbook.step(no) else { continue };
        let lacks = |need: &StepNo| {
            let skips = runbook.step(*need).is_some_and(|needed| needed.when_skipped == WhenSkipped::Skip);
            step.implies(*need) && skips && doubtful[need.index()]
        };
        doubtful[no.index()] = step.condition.is_some() || !step.undoes.is_empty() || step.needs.iter().any(lacks);
    }
    doubtful
}

impl Needs {
    fn look(&mut self, steps: &[Step], skipped: &[bool], elsewhere: bool) {
        // What is skipped may still be what initialises.
        for step in steps {
            self.initialises(step);
        }
        for step in steps.iter().zip(skipped).filter(|(_, skipped)| !**skipped).map(|(step, _)| step) {
            let commands = [step.command(), step.verify.as_ref(), step.on_cancel.as_ref(), step.rollback.as_ref()];
            for command in commands.into_iter().flatten() {
                self.command(&step.id, command, elsewhere);
            }
            if let Some(block) = step.block() {
                let skipped: Vec<bool> = block.steps.iter().map(|step| step.condition.is_some()).collect();
                self.look(&block.steps, &skipped, elsewhere);
            }
        }
    }

    fn initialises(&mut self, step: &Step) {
        let acting = step.command().and_then(Command::action);
        let Some(acting) = acting.filter(|it| initialised(it) == Initialised::Makes) else { return };
        match folder(acting) {
            Some(folder) => drop(self.made.insert(folder)),
            None => self.makes_any = true,
        }
    }

    fn command(&mut self, id: &str, command: &Command, elsewhere: bool) {
        let acting = match &command.program {
            Program::Action(acting) => acting,
            Program::Script { shell: Shell::Bash, .. } => {
                self.programs.entry(BASH.to_owned()).or_insert_with(|| id.to_owned());
                return;
            }
            Program::Script { .. } | Program::Argv(_) => return,
        };
        let Some((usual, key)) = action::find(&acting.name).and_then(|action| action.program) else { return };
        let program = match key.filter(|key| acting.with.contains_key(*key)) {
            Some(key) => known(acting, key),
            None => Some(usual.to_owned()),
        };
        // One whose name is not known yet cannot be looked for.
        let Some(program) = program else { return };
        self.programs.entry(program.clone()).or_insert_with(|| id.to_owned());
        if initialised(acting) == Initialised::Wants
            && !elsewhere
            && !command.env.contains_key(ELSEWHERE)
            && let Some(folder) = folder(acting)
        {
            self.stacks.entry(folder).or_insert_with(|| (id.to_owned(), program));
        }
    }
}

fn initialised(acting: &Acting) -> Initialised {
    action::find(&acting.name).map_or(Initialised::Whatever, |action| action.initialised)
}

/// The folder that it works in.
fn folder(acting: &Acting) -> Option<String> {
    let folder = known(acting, "dir")?;
    Some(folder.trim_start_matches("./").trim_end_matches('/').to_owned())
}

/// A text that is known at load.
fn known(acting: &Acting, key: &str) -> Option<String> {
    match acting.with.get(key)? {
        Setting::Template(text) => Some(text.clone()).filter(|text| !text.contains("${{")),
        Setting::Value(value) => value.as_str().map(ToOwned::to_owned),
        Setting::List(_) | Setting::Map(_) | Setting::Condition(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use indexmap::IndexMap;
    use serde_json::Value;

    use super::*;
    use crate::language::{Interface, Interfaces, check_beside};

    fn runbook(steps: &str) -> Runbook {
        let head = "name: a\nlanguage: 1\ninputs: {plan: {type: boolean, default: true}}\nsteps:\n";
        let others = ["one", "two", "three", "four"].map(|name| (name.to_owned(), Interface::default()));
        let text = format!("{head}{steps}");
        let checked = check_beside(text.as_bytes(), "a.yaml", &Interfaces::new(others));
        checked.runbook.unwrap_or_else(|| panic!("{:?}", checked.findings))
    }

    fn names(needs: &Needs) -> (Vec<&str>, Vec<&str>) {
        fn names_of<'a>(all: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
            all.map(String::as_str).collect()
        }
        (names_of(needs.programs.keys()), names_of(needs.stacks.keys()))
    }

    #[test]
    fn what_actions_need_is_found_in_all_that_may_run() {
        let it = runbook(
            "  get: {uses: git/checkout, with: {url: x, path: y}}
  plan: {uses: terraform/plan, with: {dir: ./net/}}
  fmt: {uses: terraform/fmt, with: {dir: dns, program: tofu}}
  late: {uses: terraform/plan, with: {dir: \"${{ inputs.plan }}\", program: \"${{ inputs.plan }}\"}}
  script: {effect: read, run: \"true\", shell: bash}
  call: {effect: read, argv: [no-such-program]}
  block: {steps: {inner: {uses: terraform/output, with: {dir: inner}}}}
",
        );
        let needs = of(&[&it], None);
        assert_eq!(names(&needs), (vec!["bash", "git", "terraform", "tofu"], vec!["inner", "net"]));
        assert_eq!(needs.programs["terraform"], "plan");
    }

    #[test]
    fn what_is_kept_elsewhere_and_what_only_reads_is_not_looked_for() {
        let it = runbook(
            "  plan: {uses: terraform/plan, with: {dir: net}, env: {TF_DATA_DIR: data}}
  valid: {uses: terraform/validate, with: {dir: dns}}
",
        );
        assert_eq!(names(&of(&[&it], None)), (vec!["terraform"], vec![]));
        let mut other = runbook("  plan: {uses: terraform/plan, with: {dir: net}}\n");
        assert_eq!(names(&of(&[&other], None)).1, vec!["net"]);
        let plan = it.steps.first().and_then(Step::command).unwrap();
        other.env = plan.env.clone();
        assert_eq!(names(&of(&[&other], None)).1, Vec::<&str>::new());
    }

    #[test]
    fn what_is_initialised_on_the_way_and_what_does_not_run_needs_nothing() {
        let it = runbook(
            "  init: {uses: terraform/init, with: {dir: net}}
  plan: {needs: [init], uses: terraform/plan, with: {dir: net}}
  maybe: {if: inputs.plan, uses: terraform/plan, with: {dir: dns, program: tofu}}
  after: {needs: [maybe], uses: terraform/output, with: {dir: dns, program: after}}
",
        );
        assert_eq!(names(&of(&[&it], None)), (vec!["terraform"], vec![]));
        let with = |plan: bool| {
            let inputs = IndexMap::from([("plan".to_owned(), Value::from(plan))]);
            let left_out = BTreeSet::new();
            let known = Known {
                runbook: &it,
                environment: None,
                inputs: &inputs,
                principal: "",
                reason: "",
                left_out: &left_out,
            };
            of(&[&it], Some(&known))
        };
        assert_eq!(names(&with(true)), (vec!["after", "terraform", "tofu"], vec!["dns"]));
        assert_eq!(names(&with(false)), (vec!["terraform"], vec![]));
        // Another runbook of the same start may do it, too.
        let other = runbook("  plan: {uses: terraform/plan, with: {dir: net}}\n");
        assert_eq!(names(&of(&[&other], None)).1, vec!["net"]);
        assert_eq!(names(&of(&[&other, &it], None)).1, Vec::<&str>::new());
    }

    #[test]
    fn only_what_steps_start_that_may_run_is_started() {
        let it = runbook(
            "  first: {if: inputs.plan, uses: runbook, with: {name: one}}
  block: {if: \"!inputs.plan\", steps: {inner: {uses: runbook, with: {name: two}}, again: {uses: runbook, with: {name: one}}}}
  behind: {needs: [first], uses: runbook, with: {name: three}}
  left: {uses: runbook, with: {name: four}}
",
        );
        let started = |plan: bool, left_out: &[u32]| -> Vec<String> {
            let inputs = IndexMap::from([("plan".to_owned(), Value::from(plan))]);
            let left_out = left_out.iter().copied().map(StepNo).collect();
            let (principal, reason) = ("", "");
            let known =
                Known { runbook: &it, environment: None, inputs: &inputs, principal, reason, left_out: &left_out };
            super::started(&known).into_iter().map(str::to_owned).collect()
        };
        assert_eq!(started(true, &[]), ["one", "three", "four"]);
        assert_eq!(started(false, &[]), ["two", "one", "four"]);
        assert_eq!(started(true, &[3]), ["one", "three"]);
        assert_eq!(it.called(), ["one", "two", "three", "four"]);
    }
}
