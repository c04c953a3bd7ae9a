//! What the steps of a runbook need to be there before it begins, found from the steps themselves: programs, and stacks that
//! are initialised. Steps that may not run need nothing. Never knows whether it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::action::{self, Initialised};
use crate::definition::{Acting, Command, Program, Runbook, Setting, Shell, Step, Template, Tool, WhenSkipped};
use crate::destruction::{self, Known};
use crate::id::StepNo;
use crate::plan;

/// The program of scripts that say `shell: bash`.
const BASH: &str = "bash";
/// The variable by which programs are found.
const PATH: &str = "PATH";
/// By which terraform is told to keep elsewhere what initialising makes: whether it is there is not known then.
const ELSEWHERE: &str = "TF_DATA_DIR";

/// A program that commands start.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// Its name on PATH, or a path: an absolute one, or one from the project's folder.
    pub name: String,
    /// Whether it is a file that belongs to the definition: then it is a path, however it reads.
    pub listed: bool,
    /// PATH of the command, where that has one of its own.
    pub path: Option<String>,
    /// A condition on its version, such as `>=14`.
    pub version: Option<String>,
}

/// What is needed, each with the first step that needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Programs, but for those of which nobody knows before the start which file they are.
    pub programs: BTreeMap<Wanted, String>,
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
        // What is skipped may still be what initialises.
        for command in runbook.every_step().into_iter().filter_map(Step::command) {
            needs.initialises(command);
        }
        let running = match known.filter(|_| place == 0) {
            Some(known) => by_inputs(known),
            None => running(&runbook.steps, doubtful(&runbook.steps), &doubtful),
        };
        for step in running {
            let commands = [step.command(), step.verify.as_ref(), step.on_cancel.as_ref(), step.rollback.as_ref()];
            for command in commands.into_iter().flatten() {
                needs.command(&step.id, command, runbook);
            }
        }
    }
    let Needs { stacks, made, makes_any, programs } = &mut needs;
    stacks.retain(|folder, _| !*makes_any && !made.contains(folder));
    // Whoever wants any version has what another one wants of it.
    let some = programs.keys().filter(|it| it.version.is_some());
    let some: BTreeSet<Wanted> = some.map(|it| Wanted { version: None, ..it.clone() }).collect();
    programs.retain(|it, _| it.version.is_some() || !some.contains(it));
    needs
}

/// The runbooks that the steps start which may run by what is given, each once.
pub fn started<'a>(known: &Known<'a>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    let called = by_inputs(known).into_iter().filter_map(Step::call).map(|call| call.runbook.as_str());
    called.filter(|name| seen.insert(*name)).collect()
}

/// The steps that may run by what is given, those inside of blocks too.
fn by_inputs<'a>(known: &Known<'a>) -> Vec<&'a Step> {
    let steps = &known.runbook.steps;
    let never = destruction::never(known).into_iter().enumerate();
    let skipped = never.map(|(index, never)| never || known.left_out.contains(&StepNo(index as u32))).collect();
    // Only steps of the runbook itself are left out by a start.
    running(steps, skipped, &|inside| destruction::never_of(inside, known, &BTreeSet::new()))
}

/// The steps that may run, those inside of blocks too: of these it is known which are skipped, of those it is asked.
fn running<'a>(steps: &'a [Step], skipped: Vec<bool>, ask: &dyn Fn(&[Step]) -> Vec<bool>) -> Vec<&'a Step> {
    let mut all = Vec::new();
    for (step, _) in steps.iter().zip(skipped).filter(|(_, skipped)| !skipped) {
        all.push(step);
        if let Some(block) = step.block() {
            all.extend(running(&block.steps, ask(&block.steps), ask));
        }
    }
    all
}

/// Of each step, whether a condition may keep it from running.
fn doubtful(steps: &[Step]) -> Vec<bool> {
    let mut doubtful = vec![false; steps.len()];
    for no in plan::order(steps) {
        let step = &steps[no.index()];
        let lacks = |need: &StepNo| {
            let skips = steps[need.index()].when_skipped == WhenSkipped::Skip;
            step.implies(*need) && skips && doubtful[need.index()]
        };
        doubtful[no.index()] = step.condition.is_some() || !step.undoes.is_empty() || step.needs.iter().any(lacks);
    }
    doubtful
}

impl Needs {
    fn initialises(&mut self, command: &Command) {
        let Some(acting) = command.action().filter(|it| initialised(it) == Initialised::Makes) else { return };
        match folder(acting) {
            Some(folder) => drop(self.made.insert(folder)),
            None => self.makes_any = true,
        }
    }

    fn command(&mut self, step: &str, command: &Command, runbook: &Runbook) {
        let path = command.env.get(PATH).or_else(|| runbook.env.get(PATH));
        // On a PATH that is not known yet nothing can be looked for.
        if path.is_none_or(|path| is_known(path)) {
            let tools = match &command.tools {
                Some(tools) => tools.clone(),
                None => program(command, runbook).map(|name| Tool { name, version: None }).into_iter().collect(),
            };
            for Tool { name, version } in tools {
                let listed = command.tools.is_none() && runbook.files.contains(&name);
                let wanted = Wanted { name, listed, path: path.cloned().filter(|_| !listed), version };
                self.programs.entry(wanted).or_insert_with(|| step.to_owned());
            }
        }
        if let Some(acting) = command.action().filter(|it| initialised(it) == Initialised::Wants)
            && !runbook.env.contains_key(ELSEWHERE)
            && !command.env.contains_key(ELSEWHERE)
            && let (Some(folder), Some(program)) = (folder(acting), of_action(acting))
        {
            self.stacks.entry(folder).or_insert_with(|| (step.to_owned(), program));
        }
    }
}

/// The program that a command starts: its name, or its path; `None` where that is not known yet, or is always there.
fn program(command: &Command, runbook: &Runbook) -> Option<String> {
    let (name, folder) = match &command.program {
        Program::Script { shell: Shell::Bash, .. } => (BASH.to_owned(), None),
        Program::Script { shell: Shell::Sh, .. } => return None,
        Program::Argv(words) => (words.first()?.clone(), command.working_dir.clone()),
        Program::Action(acting) => (of_action(acting)?, folder(acting)),
    };
    let known = |text: &String| Some(text.clone()).filter(is_known);
    if !name.contains('/') || name.starts_with('/') || runbook.files.contains(&name) {
        return known(&name);
    }
    // A relative path is one from the folder that the command works in.
    match folder {
        Some(folder) => known(&Path::new(&folder).join(name).to_string_lossy().into_owned()),
        None => known(&name).filter(|_| command.action().is_none()),
    }
}

/// The program of an action; `None` where it has none, or it is not known yet which.
fn of_action(acting: &Acting) -> Option<String> {
    let (usual, key) = action::find(&acting.name).and_then(|action| action.program)?;
    match key.filter(|key| acting.with.contains_key(*key)) {
        Some(key) => known(acting, key),
        None => Some(usual.to_owned()),
    }
}

/// Whether a text is known at load.
fn is_known(text: &Template) -> bool {
    !text.contains("${{")
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
        Setting::Template(text) => Some(text.clone()).filter(is_known),
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
        (needs.programs.keys().map(|wanted| wanted.name.as_str()).collect(), names_of(needs.stacks.keys()))
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
        let programs = vec!["bash", "git", "no-such-program", "terraform", "tofu"];
        assert_eq!(names(&needs), (programs, vec!["inner", "net"]));
        let terraform = Wanted { name: "terraform".to_owned(), listed: false, path: None, version: None };
        assert_eq!(needs.programs[&terraform], "plan");
    }

    #[test]
    fn what_commands_start_is_found_where_they_are_and_where_they_look() {
        let it = runbook(
            "  late: {argv: [\"${{ inputs.plan }}\"]}
  late_folder: {argv: [./x], working_dir: \"${{ inputs.plan }}\"}
  late_path: {argv: [x], env: {PATH: \"${{ inputs.plan }}\"}}
  script: {run: helm}
  here: {argv: [bin/x]}
  there: {argv: [./x], working_dir: sub}
  absolute: {argv: [/opt/x], working_dir: sub}
  own: {argv: [y], env: {PATH: /opt/bin}}
  every: {run: x, verify: {argv: [v]}, on_cancel: {argv: [c]}, rollback: {argv: [r]}}
  probe: {uses: wait, with: {probe: {argv: [p]}}}
",
        );
        let needs = of(&[&it], None);
        assert_eq!(names(&needs).0, ["/opt/x", "bin/x", "c", "p", "r", "sub/./x", "v", "y"]);
        let own = needs.programs.keys().find(|wanted| wanted.name == "y").unwrap();
        assert_eq!(own.path.as_deref(), Some("/opt/bin"));
        let mut listed =
            runbook("  a: {argv: [x], working_dir: sub, env: {PATH: /a}}\n  b: {argv: [bin/x], working_dir: sub}\n");
        listed.files = vec!["bin/x".to_owned(), "x".to_owned()];
        let of_it = of(&[&listed], None).programs.into_keys().map(|it| (it.name, it.listed, it.path));
        let file = |name: &str| (name.to_owned(), true, None);
        assert_eq!(of_it.collect::<Vec<_>>(), [file("bin/x"), file("x")]);
        let mut it = runbook("  a: {argv: [x]}\n  b: {argv: [y], env: {PATH: /b}}\n");
        it.env.insert("PATH".to_owned(), "/a".to_owned());
        let paths: Vec<Option<String>> = of(&[&it], None).programs.into_keys().map(|wanted| wanted.path).collect();
        assert_eq!(paths, [Some("/a".to_owned()), Some("/b".to_owned())]);
    }

    #[test]
    fn what_a_command_says_itself_stands_for_what_it_starts() {
        let it = runbook(
            "  script: {run: helm, tools: [helm, {name: kubectl, version: '>=1.28'}]}
  made: {argv: [made-by-script], tools: []}
  any: {argv: [kubectl]}
  other: {argv: [kubectl], env: {PATH: /opt}}
  plan: {uses: terraform/plan, with: {dir: net}, tools: [{name: terraform, version: '>=1.4'}]}
  again: {uses: terraform/plan, with: {dir: net}}
",
        );
        let needs = of(&[&it], None);
        let programs = needs.programs.iter().map(|(wanted, step)| {
            let Wanted { name, path, version, .. } = wanted;
            [name, path.as_deref().unwrap_or_default(), version.as_deref().unwrap_or_default(), step].join(" ")
        });
        let expected = ["helm   script", "kubectl  >=1.28 script", "kubectl /opt  other", "terraform  >=1.4 plan"];
        assert_eq!(programs.collect::<Vec<_>>(), expected);
        assert_eq!(needs.stacks["net"].1, "terraform");
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
  block: {steps: {inner: {if: inputs.plan, argv: [inside]}, behind: {needs: [inner], argv: [behind]}}}
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
        assert_eq!(names(&with(true)), (vec!["after", "behind", "inside", "terraform", "tofu"], vec!["dns"]));
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
  parts: {steps: {inner: {if: inputs.plan, uses: runbook, with: {name: four}}}}
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
        assert_eq!(started(true, &[]), ["one", "four", "three"]);
        assert_eq!(started(false, &[]), ["two", "one", "four"]);
        assert_eq!(started(false, &[4]), ["two", "one"]);
        assert_eq!(started(true, &[2, 4]), ["one", "three"]);
        assert_eq!(it.called(), ["one", "two", "four", "three"]);
    }
}
