//! What the steps of a runbook need to be there before it begins, found from the steps themselves: programs, files that actions
//! read, and stacks that are initialised. Steps that may not run need nothing. Never knows whether it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use indexmap::IndexMap;

use crate::action::{self, Initialised};
use crate::definition::{Acting, Command, Effect, Part, Program, Runbook, Setting, Shell, Step, Tool, WhenSkipped};
use crate::destruction::{self, Known};
use crate::expression::{Reference, Scope as _, Template};
use crate::id::StepNo;
use crate::plan;

/// The program of scripts that say `shell: bash`.
const BASH: &str = "bash";
/// The variable by which programs are found.
const PATH: &str = "PATH";
/// The variable by which terraform keeps elsewhere what initialising makes.
const DATA: &str = "TF_DATA_DIR";

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
    /// The arguments by which it tells that, where these are others than usually.
    pub ask: Vec<String>,
}

/// Which programs stand for those that actions usually run, by the names of these: as the configuration says for all steps.
pub type Substitutes = BTreeMap<String, String>;

/// A folder of terraform's, as commands work on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stack {
    /// The folder, relative to the project's.
    pub folder: String,
    /// Where what initialising makes is kept, relative to the folder, if elsewhere than usually.
    pub data: Option<String>,
}

/// What is needed, each with the first step that needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Programs, but for those of which nobody knows before the start which file they are.
    pub programs: BTreeMap<Wanted, String>,
    /// What has to be initialised, with the program that does it.
    pub stacks: BTreeMap<Stack, (String, String)>,
    /// Files and folders that actions read, relative to the project's, as far as no step before may make them.
    pub files: BTreeMap<String, String>,
    /// What the runbooks initialise themselves.
    made: BTreeSet<Stack>,
    /// Whether they initialise one of which it is not known yet which.
    makes_any: bool,
}

/// What is known of the texts of a runbook before it is started.
struct Sight<'a> {
    runbook: &'a Runbook,
    known: Option<Known<'a>>,
    substitutes: &'a Substitutes,
}

/// What runbooks need that one start brings together, the first of them the one that is started. Of that it is known what is
/// given, if it is: then steps count that may run by their inputs. Of the others, and where nothing is known, those without a
/// condition do.
pub fn of(runbooks: &[&Runbook], known: Option<&Known<'_>>, substitutes: &Substitutes) -> Needs {
    let (mut needs, nothing) = (Needs::default(), IndexMap::new());
    for (place, runbook) in runbooks.iter().enumerate() {
        // What is started by another one runs in the same environment, by inputs that are not known yet.
        let inputs = known.map_or(&nothing, |known| if place == 0 { known.inputs } else { &nothing });
        let sight = Sight { runbook, known: known.map(|known| Known { runbook, inputs, ..*known }), substitutes };
        // What is skipped may still be what initialises.
        for command in runbook.every_step().into_iter().filter_map(Step::command) {
            needs.initialises(command, &sight);
        }
        let running = match known.filter(|_| place == 0) {
            Some(known) => by_inputs(known),
            None => running(&runbook.steps, doubtful(&runbook.steps), true, &doubtful),
        };
        for Running { step, early } in running {
            let commands = [step.command(), step.verify.as_ref(), step.on_cancel.as_ref(), step.rollback.as_ref()];
            for command in commands.into_iter().flatten() {
                needs.command(&step.id, command, &sight);
            }
            if let Some(acting) = step.action().filter(|_| early) {
                needs.reads(&step.id, acting, &sight);
            }
        }
    }
    let Needs { stacks, made, makes_any, programs, .. } = &mut needs;
    stacks.retain(|stack, _| !*makes_any && !made.contains(stack));
    // Whoever wants any version has what another one wants of it.
    let some = programs.keys().filter(|it| it.version.is_some());
    let some: BTreeSet<Wanted> = some.map(|it| Wanted { version: None, ask: Vec::new(), ..it.clone() }).collect();
    programs.retain(|it, _| it.version.is_some() || !some.contains(it));
    needs
}

/// Whether a runbook initialises a folder of terraform's.
pub fn initialises(runbook: &Runbook, folder: &str) -> bool {
    let sight = Sight { runbook, known: None, substitutes: &Substitutes::new() };
    let acting = |step: &Step| step.action().filter(|it| initialised(it) == Initialised::Makes).cloned();
    let mut folders = runbook.every_step().into_iter().filter_map(acting).filter_map(|acting| sight.folder(&acting));
    folders.any(|made| made == folder)
}

/// The runbooks that the steps start which may run by what is given, each once.
pub fn started<'a>(known: &Known<'a>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    let called = by_inputs(known).into_iter().filter_map(|it| it.step.call()).map(|call| call.runbook.as_str());
    called.filter(|name| seen.insert(*name)).collect()
}

/// The steps that may run by what is given, those inside of blocks too.
fn by_inputs<'a>(known: &Known<'a>) -> Vec<Running<'a>> {
    let steps = &known.runbook.steps;
    let never = destruction::never_of(steps, known, known.left_out).into_iter().enumerate();
    let skipped = never.map(|(index, never)| never || known.left_out.contains(&StepNo(index as u32))).collect();
    // Only steps of the runbook itself are left out by a start.
    running(steps, skipped, true, &|inside| destruction::never_of(inside, known, &BTreeSet::new()))
}

/// A step that may run.
struct Running<'a> {
    step: &'a Step,
    /// Whether all that runs before it changes nothing.
    early: bool,
}

/// The steps that may run, those inside of blocks too: of these it is known which are skipped, of those it is asked. `early`
/// says whether all that runs before them changes nothing.
fn running<'a>(
    steps: &'a [Step],
    skipped: Vec<bool>,
    early: bool,
    ask: &dyn Fn(&[Step]) -> Vec<bool>,
) -> Vec<Running<'a>> {
    let mut of_these = vec![false; steps.len()];
    for no in plan::order(steps) {
        let step = &steps[no.index()];
        let changes = |need: &StepNo| !of_these[need.index()] || steps[need.index()].effect != Effect::Read;
        // What `finally` does comes after all else.
        of_these[no.index()] = early && step.part == Part::Main && !step.needs.iter().any(changes);
    }
    let mut all = Vec::new();
    for ((step, early), _) in steps.iter().zip(of_these).zip(skipped).filter(|(_, skipped)| !skipped) {
        all.push(Running { step, early });
        if let Some(block) = step.block() {
            all.extend(running(&block.steps, ask(&block.steps), early, ask));
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
    fn initialises(&mut self, command: &Command, sight: &Sight<'_>) {
        let Some(acting) = command.action().filter(|it| initialised(it) == Initialised::Makes) else { return };
        match sight.stack(acting, command) {
            Some(stack) => drop(self.made.insert(stack)),
            None => self.makes_any = true,
        }
    }

    fn command(&mut self, step: &str, command: &Command, sight: &Sight<'_>) {
        // On a PATH that is not known yet nothing can be looked for.
        if let Some(path) = sight.variable(PATH, command) {
            let tools = match &command.tools {
                Some(tools) => tools.clone(),
                None => sight.program(command).map(|name| Tool { name, ..Tool::default() }).into_iter().collect(),
            };
            for Tool { name, version, ask } in tools {
                let listed = command.tools.is_none() && sight.runbook.files.contains(&name);
                let wanted = Wanted { name, listed, path: path.clone().filter(|_| !listed), version, ask };
                self.programs.entry(wanted).or_insert_with(|| step.to_owned());
            }
        }
        if let Some(acting) = command.action().filter(|it| initialised(it) == Initialised::Wants)
            && let (Some(stack), Some(program)) = (sight.stack(acting, command), sight.of_action(acting))
        {
            self.stacks.entry(stack).or_insert_with(|| (step.to_owned(), program));
        }
    }

    fn reads(&mut self, step: &str, acting: &Acting, sight: &Sight<'_>) {
        let Some(action) = action::find(&acting.name) else { return };
        for setting in action.reads.iter().filter_map(|key| acting.with.get(*key)) {
            let paths: Vec<String> = match setting {
                Setting::List(all) => all.iter().filter_map(|setting| sight.value(setting)).collect(),
                lone => sight.value(lone).into_iter().collect(),
            };
            for path in paths {
                self.files.entry(path).or_insert_with(|| step.to_owned());
            }
        }
    }
}

impl Sight<'_> {
    /// A text, if it is known before the start.
    fn text(&self, text: &str) -> Option<String> {
        if !text.contains("${{") {
            return Some(text.to_owned());
        }
        let (template, known) = (Template::parse(text).ok()?, self.known.as_ref()?);
        // What has no value yet is no null.
        let all = template.references().all(|reference| self.knows(&reference.value));
        template.render_text(known).ok().filter(|_| all)
    }

    /// Whether the value of a reference is known before the start.
    fn knows(&self, reference: &Reference) -> bool {
        match reference {
            Reference::Env(name) => self.runbook.env.get(name).is_some_and(|text| self.text(text).is_some()),
            // Nobody has started it yet.
            Reference::Run(_) => false,
            other => self.known.as_ref().is_some_and(|known| known.value_of(other).is_some()),
        }
    }

    /// A variable of a command, if it has that one; `None` where it is not known what it says.
    fn variable(&self, name: &str, command: &Command) -> Option<Option<String>> {
        match command.env.get(name).or_else(|| self.runbook.env.get(name)) {
            Some(text) => self.text(text).map(Some),
            None => Some(None),
        }
    }

    /// A setting of an action.
    fn setting(&self, acting: &Acting, key: &str) -> Option<String> {
        self.value(acting.with.get(key)?)
    }

    fn value(&self, setting: &Setting) -> Option<String> {
        match setting {
            Setting::Template(text) => self.text(text),
            Setting::Value(value) => value.as_str().map(ToOwned::to_owned),
            Setting::List(_) | Setting::Map(_) | Setting::Condition(_) => None,
        }
    }

    /// The folder that an action works in.
    fn folder(&self, acting: &Acting) -> Option<String> {
        let folder = self.setting(acting, "dir")?;
        Some(folder.trim_start_matches("./").trim_end_matches('/').to_owned())
    }

    fn stack(&self, acting: &Acting, command: &Command) -> Option<Stack> {
        Some(Stack { folder: self.folder(acting)?, data: self.variable(DATA, command)? })
    }

    /// The program that a command starts: its name, or its path; `None` where that is not known yet, or is always there.
    fn program(&self, command: &Command) -> Option<String> {
        let (name, folder) = match &command.program {
            Program::Script { shell: Shell::Bash, .. } => return Some(BASH.to_owned()),
            Program::Script { shell: Shell::Sh, .. } => return None,
            Program::Argv(words) => {
                let folder =
                    command.working_dir.as_ref().map_or_else(|| Some(String::new()), |folder| self.text(folder));
                (self.text(words.first()?)?, folder)
            }
            Program::Action(acting) => (self.of_action(acting)?, self.folder(acting)),
        };
        if !name.contains('/') || name.starts_with('/') || self.runbook.files.contains(&name) {
            return Some(name);
        }
        // A relative path is one from the folder that the command works in.
        Some(Path::new(&folder?).join(name).to_string_lossy().into_owned())
    }

    /// The program of an action; `None` where it has none, or it is not known yet which.
    fn of_action(&self, acting: &Acting) -> Option<String> {
        let (usual, key) = action::find(&acting.name).and_then(|action| action.program)?;
        match key.filter(|key| acting.with.contains_key(*key)) {
            Some(key) => self.setting(acting, key),
            None => Some(self.substitutes.get(usual).map_or(usual, String::as_str).to_owned()),
        }
    }
}

fn initialised(acting: &Acting) -> Initialised {
    action::find(&acting.name).map_or(Initialised::Whatever, |action| action.initialised)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::definition::Environment;
    use crate::language::{Interface, Interfaces, check_beside};

    fn runbook(steps: &str) -> Runbook {
        runbook_with("", steps)
    }

    fn runbook_with(keys: &str, steps: &str) -> Runbook {
        let others = ["one", "two", "three", "four"].map(|name| (name.to_owned(), Interface::default()));
        let inputs = "inputs: {plan: {type: boolean, default: true}}";
        let text = format!("name: a\nlanguage: 1\n{inputs}\n{keys}steps:\n{steps}");
        let checked = check_beside(text.as_bytes(), "a.yaml", &Interfaces::new(others));
        checked.runbook.unwrap_or_else(|| panic!("{:?}", checked.findings))
    }

    fn needs_of(runbooks: &[&Runbook], known: Option<&Known<'_>>) -> Needs {
        of(runbooks, known, &Substitutes::new())
    }

    fn names(needs: &Needs) -> (Vec<&str>, Vec<&str>) {
        fn names_of<'a>(all: impl Iterator<Item = &'a String>) -> Vec<&'a str> {
            all.map(String::as_str).collect()
        }
        let stacks = needs.stacks.keys().map(|stack| &stack.folder);
        (needs.programs.keys().map(|wanted| wanted.name.as_str()).collect(), names_of(stacks))
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
        let needs = needs_of(&[&it], None);
        let programs = vec!["bash", "git", "no-such-program", "terraform", "tofu"];
        assert_eq!(names(&needs), (programs, vec!["inner", "net"]));
        let terraform =
            Wanted { name: "terraform".to_owned(), listed: false, path: None, version: None, ask: Vec::new() };
        assert_eq!(needs.programs[&terraform], "plan");
        let substitutes = Substitutes::from([("terraform".to_owned(), "tofu-1.9".to_owned())]);
        let needs = of(&[&it], None, &substitutes);
        assert_eq!(names(&needs).0, ["bash", "git", "no-such-program", "tofu", "tofu-1.9"]);
        assert_eq!(needs.stacks.values().map(|(_, program)| program).collect::<Vec<_>>(), ["tofu-1.9"; 2]);
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
        let needs = needs_of(&[&it], None);
        assert_eq!(names(&needs).0, ["/opt/x", "bin/x", "c", "p", "r", "sub/./x", "v", "y"]);
        let own = needs.programs.keys().find(|wanted| wanted.name == "y").unwrap();
        assert_eq!(own.path.as_deref(), Some("/opt/bin"));
        let mut listed =
            runbook("  a: {argv: [x], working_dir: sub, env: {PATH: /a}}\n  b: {argv: [bin/x], working_dir: sub}\n");
        listed.files = vec!["bin/x".to_owned(), "x".to_owned()];
        let of_it = needs_of(&[&listed], None).programs.into_keys().map(|it| (it.name, it.listed, it.path));
        let file = |name: &str| (name.to_owned(), true, None);
        assert_eq!(of_it.collect::<Vec<_>>(), [file("bin/x"), file("x")]);
        let mut it = runbook("  a: {argv: [x]}\n  b: {argv: [y], env: {PATH: /b}}\n");
        it.env.insert("PATH".to_owned(), "/a".to_owned());
        let paths: Vec<Option<String>> =
            needs_of(&[&it], None).programs.into_keys().map(|wanted| wanted.path).collect();
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
        let needs = needs_of(&[&it], None);
        let programs = needs.programs.iter().map(|(wanted, step)| {
            let Wanted { name, path, version, .. } = wanted;
            [name, path.as_deref().unwrap_or_default(), version.as_deref().unwrap_or_default(), step].join(" ")
        });
        let expected = ["helm   script", "kubectl  >=1.28 script", "kubectl /opt  other", "terraform  >=1.4 plan"];
        assert_eq!(programs.collect::<Vec<_>>(), expected);
        assert_eq!(needs.stacks.into_values().collect::<Vec<_>>(), [("plan".to_owned(), "terraform".to_owned())]);
    }

    #[test]
    fn what_is_kept_elsewhere_is_looked_for_there_and_what_only_reads_is_not() {
        let it = runbook(
            "  plan: {uses: terraform/plan, with: {dir: net}, env: {TF_DATA_DIR: data}}
  late: {uses: terraform/plan, with: {dir: net}, env: {TF_DATA_DIR: \"${{ inputs.plan }}\"}}
  valid: {uses: terraform/validate, with: {dir: dns}}
",
        );
        let data = |needs: Needs| needs.stacks.into_keys().map(|stack| stack.data).collect::<Vec<_>>();
        assert_eq!(data(needs_of(&[&it], None)), [Some("data".to_owned())]);
        let mut other = runbook("  plan: {uses: terraform/plan, with: {dir: net}}\n");
        assert_eq!(data(needs_of(&[&other], None)), [None]);
        let plan = it.steps.first().and_then(Step::command).unwrap();
        other.env = plan.env.clone();
        assert_eq!(data(needs_of(&[&other], None)), [Some("data".to_owned())]);
        // Whoever initialises it with data of its own initialises another one.
        let init = runbook("  init: {uses: terraform/init, with: {dir: net}}\n");
        assert_eq!(data(needs_of(&[&other, &init], None)), [Some("data".to_owned())]);
        assert!(initialises(&init, "net") && !initialises(&init, "dns") && !initialises(&other, "net"));
    }

    #[test]
    fn files_that_actions_read_are_looked_for_where_no_step_before_may_make_them() {
        let it = runbook(
            "  plan: {uses: terraform/plan, with: {dir: ./net, var_files: [a.tfvars, \"${{ inputs.plan }}.tfvars\"]}}
  look: {effect: read, run: x}
  behind: {needs: [look], uses: http, with: {url: 'http://x', ca: ca.pem}}
  make: {run: x}
  after: {needs: [make], uses: http, with: {url: 'http://x', ca: made.pem}}
  block: {steps: {inner: {uses: terraform/fmt, with: {dir: inner}}}}
  late: {needs: [make], steps: {inner: {uses: terraform/fmt, with: {dir: late}}}}
finally:
  last: {uses: terraform/fmt, with: {dir: last}}
",
        );
        let files = needs_of(&[&it], None).files;
        assert_eq!(files.keys().collect::<Vec<_>>(), ["./net", "a.tfvars", "ca.pem", "inner"]);
        assert_eq!(files["a.tfvars"], "plan");
    }

    #[test]
    fn texts_are_known_as_far_as_a_start_tells_them() {
        let it = runbook_with(
            "env: {HOME_OF: \"/srv/${{ environment.name }}\"}\n",
            "  by_input: {argv: [\"tool-${{ inputs.plan }}\"]}
  by_environment: {argv: [\"${{ env.HOME_OF }}/tool\"], env: {PATH: \"${{ environment.name }}\"}}
  by_run: {argv: [\"${{ run.principal }}\"]}
  by_step: {needs: [by_input], argv: [\"${{ default(steps.by_input.exit_code, 7) }}\"]}
  plan: {uses: terraform/plan, with: {dir: net}, env: {TF_DATA_DIR: \"${{ env.HOME_OF }}/data\"}}
",
        );
        let environment = Environment { name: "dev".to_owned(), ..Environment::default() };
        let (inputs, left_out) = (IndexMap::from([("plan".to_owned(), Value::from(true))]), BTreeSet::new());
        let (principal, reason, environment) = ("", "", Some(&environment));
        let known = Known { runbook: &it, environment, inputs: &inputs, principal, reason, left_out: &left_out };
        let needs = needs_of(&[&it], Some(&known));
        assert_eq!(names(&needs).0, ["/srv/dev/tool", "terraform", "tool-true"]);
        assert_eq!(needs.stacks.keys().next().and_then(|stack| stack.data.as_deref()), Some("/srv/dev/data"));
        // Of what it starts the environment is known, and no input.
        let first = runbook("  a: {uses: runbook, with: {name: one}}\n");
        let known = Known { runbook: &first, ..known };
        assert_eq!(names(&needs_of(&[&first, &it], Some(&known))).0, ["/srv/dev/tool", "terraform"]);
    }

    #[test]
    fn what_is_initialised_on_the_way_and_what_does_not_run_needs_nothing() {
        let it = runbook(
            "  init: {uses: terraform/init, with: {dir: net}}
  plan: {needs: [init], uses: terraform/plan, with: {dir: net}}
  maybe: {if: inputs.plan, uses: terraform/plan, with: {dir: dns, program: tofu}}
  after: {needs: [maybe], uses: terraform/output, with: {dir: dns, program: after}}
  block: {steps: {inner: {if: inputs.plan, argv: [inside]}, behind: {needs: [inner], argv: [behind]}}}
  count: {if: inputs.plan, when_skipped: go_on, run: x, outputs: {n: integer}}
  counted: {needs: [count], if: \"default(steps.count.outputs.n, 0) > 0\", argv: [counted]}
",
        );
        assert_eq!(names(&needs_of(&[&it], None)), (vec!["terraform"], vec![]));
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
            needs_of(&[&it], Some(&known))
        };
        assert_eq!(
            names(&with(true)),
            (vec!["after", "behind", "counted", "inside", "terraform", "tofu"], vec!["dns"])
        );
        assert_eq!(names(&with(false)), (vec!["terraform"], vec![]));
        // Another runbook of the same start may do it, too.
        let other = runbook("  plan: {uses: terraform/plan, with: {dir: net}}\n");
        assert_eq!(names(&needs_of(&[&other], None)).1, vec!["net"]);
        assert_eq!(names(&needs_of(&[&other, &it], None)).1, Vec::<&str>::new());
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
