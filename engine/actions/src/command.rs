//! `run` and `argv`: a step's command with everything it is given, ready for a shim. Data reaches it as environment,
//! arguments, standard input or files, and never becomes code. Never starts anything.

use std::collections::BTreeMap;
use std::path::PathBuf;

use runbook_core::action::{self, Carried};
use runbook_core::definition::{Acting, Command, Program, Shell, Step, Stop};
use runbook_core::id::{AttemptNo, StepNo};
use runbook_core::limits;
use runbook_core::run::{AttemptKind, Kind, RunState};
use runbook_core::time::Span;

use crate::accepted::{ACCEPTED, KEY, to_json};
use crate::environment::{self, BASE_VARIABLES};
use crate::http;
use crate::inside::{Deed, Inside};
use crate::notify::{Notice, Telling};
use crate::told::Told;
use crate::values::{Rendered, Values};
use crate::world::World;

/// A value that may be secret: then it must reach the command without touching a disk, an argument or a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    /// The value.
    pub text: String,
    /// Whether it is secret.
    pub secret: bool,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.secret { f.write_str("(secret)") } else { write!(f, "{:?}", self.text) }
    }
}

impl From<Rendered> for Given {
    fn from(rendered: Rendered) -> Self {
        Self { text: rendered.text, secret: rendered.secret }
    }
}

/// A command that is ready to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// The program and its arguments; none of them is secret.
    pub argv: Vec<String>,
    /// The whole environment but the attempt's id.
    pub env: BTreeMap<String, Given>,
    /// Standard input.
    pub stdin: Option<Given>,
    /// Files by name.
    pub files: BTreeMap<String, Given>,
    /// Where it starts, absolute.
    pub working_dir: PathBuf,
    /// How long it may take.
    pub timeout: Option<Span>,
    /// How it is stopped.
    pub stop: Stop,
    /// The artifacts that it is to leave.
    pub artifacts: Vec<String>,
    /// The id that marks its processes.
    pub attempt_id: String,
    /// Values to hide in its log.
    pub redact: Vec<String>,
}

/// What an attempt is to do.
#[derive(Debug)]
pub enum Order {
    /// Starts a command.
    Command(Prepared),
    /// Carries an action out inside the daemon.
    Inside(Inside),
}

impl Order {
    /// The values to hide in its log, and in what it leaves.
    pub fn redact(&mut self) -> &mut Vec<String> {
        match self {
            Self::Command(prepared) => &mut prepared.redact,
            Self::Inside(inside) => &mut inside.redact,
        }
    }
}

/// A command that cannot be made ready: nothing of it ran.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {problem}")]
pub struct PrepareError {
    /// The part of the step: `argv[1]`, `env.TOKEN`, ….
    pub what: String,
    /// Why, and what to do; never a secret.
    pub problem: String,
    /// The error number that tells it best, by errno(3) on Linux.
    pub errno: i32,
}

const ENOENT: i32 = 2;
const E2BIG: i32 = 7;
const EINVAL: i32 = 22;

/// Makes an attempt's command ready.
///
/// # Errors
/// A value cannot be rendered, is too large, or a secret or file cannot be had.
pub fn prepare(
    run: &RunState,
    no: StepNo,
    kind: AttemptKind,
    attempt: AttemptNo,
    world: &dyn World,
) -> Result<Order, PrepareError> {
    let wrong = |problem: &str| PrepareError { what: "step".into(), problem: problem.into(), errno: EINVAL };
    let step = run.pinned().runbook.step(no).ok_or_else(|| wrong("it is not in the definition"))?;
    let none = || wrong("the definition has no such command");
    let main = step.command().ok_or_else(none)?;
    let command = match kind {
        AttemptKind::Run => main,
        AttemptKind::Verify => step.verify.as_ref().ok_or_else(none)?,
        AttemptKind::OnCancel => step.on_cancel.as_ref().ok_or_else(none)?,
        AttemptKind::Rollback => step.rollback.as_ref().ok_or_else(none)?,
    };
    let maker = Maker { run, no, step, kind, main, command, attempt, world, values: Values::new(run, no, world) };
    maker.order()
}

struct Maker<'a> {
    run: &'a RunState,
    no: StepNo,
    step: &'a Step,
    kind: AttemptKind,
    /// The command of the step itself, which `verify` and `on_cancel` inherit from.
    main: &'a Command,
    command: &'a Command,
    attempt: AttemptNo,
    world: &'a dyn World,
    values: Values<'a>,
}

impl Maker<'_> {
    fn order(&self) -> Result<Order, PrepareError> {
        match self.command.action() {
            Some(acting) if acting.carried() == Carried::Inside => self.action(acting).map(Order::Inside),
            _ => self.make().map(Order::Command),
        }
    }

    fn action(&self, acting: &Acting) -> Result<Inside, PrepareError> {
        let wrong = |(what, problem): (String, String)| PrepareError { what, problem, errno: EINVAL };
        let told = Told::new(acting, &self.values).map_err(wrong)?;
        // What tidies up, undoes or asks is written to be run again.
        let repeatable = self.kind != AttemptKind::Run || self.step.effect.repeatable();
        let (path, key) = (|text: &str| self.world.project().join(text), self.idempotency_key());
        let deed = match acting.name.starts_with("notify/") {
            true => {
                let telling = Telling { key: &key, repeatable, dry: self.run.is_dry() };
                Deed::Notify(Box::new(Notice::new(&acting.name, &told, &telling, path).map_err(wrong)?))
            }
            false => Deed::Http(Box::new(http::Request::new(&told, repeatable, &key, path).map_err(wrong)?)),
        };
        Ok(Inside {
            deed,
            timeout: self.command.timeout,
            artifacts: if self.kind == AttemptKind::Run { self.step.artifacts.clone() } else { Vec::new() },
            redact: self.values.secrets_met(),
        })
    }

    /// What an action is told that has a process of its own.
    fn told(&self, acting: &Acting) -> Result<Given, PrepareError> {
        let mut told =
            Told::new(acting, &self.values).map_err(|(what, problem)| PrepareError { what, problem, errno: EINVAL })?;
        let action = action::find(&acting.name);
        // What the step does not say, the configuration may.
        if let Some((usual, Some(key))) = action.and_then(|action| action.program)
            && let Some(program) = self.world.substitute(usual)
        {
            told.otherwise(key, program);
        }
        if let Some(source) = action.and_then(|action| action.drift) {
            let accepted = self.world.accepted(source, told.stack());
            told.otherwise(ACCEPTED, accepted.iter().map(to_json).collect::<Vec<_>>());
            told.otherwise(KEY, self.world.mark_key());
        }
        let marks = action.is_some_and(|action| action.drift.is_some());
        Ok(Given { text: told.to_json().to_string(), secret: marks || !self.values.secrets_met().is_empty() })
    }

    /// What the outside world knows this work by, in all its tries.
    fn idempotency_key(&self) -> String {
        format!("{}/{}/0", self.run.uid(), self.step.id)
    }

    fn make(&self) -> Result<Prepared, PrepareError> {
        let attempt_id = format!("{}.{}.0.{}", self.run.uid(), self.no.0, self.attempt.0);
        let env = self.env(&attempt_id)?;
        let argv = self.argv()?;
        let total: usize = argv.iter().map(|a| a.len() + 1).sum::<usize>()
            + env.iter().map(|(name, value)| name.len() + value.text.len() + 2).sum::<usize>();
        if total > limits::COMMAND_BYTES {
            return Err(PrepareError {
                what: "arguments and environment".into(),
                problem: format!(
                    "together they have {total} bytes, the limit is {}; pass large values by stdin: or files:",
                    limits::COMMAND_BYTES
                ),
                errno: E2BIG,
            });
        }
        let stdin = match (&self.command.program, &self.command.stdin) {
            (Program::Action(acting), _) => Some(self.told(acting)?),
            (_, Some(source)) => Some(self.render("stdin", source)?.into()),
            (_, None) => None,
        };
        let mut files = BTreeMap::new();
        for (name, source) in self.own_or_step(&self.command.files, &self.main.files) {
            files.insert(name.clone(), self.render(&format!("files.{name}"), source)?.into());
        }
        Ok(Prepared {
            argv,
            env,
            stdin,
            files,
            working_dir: self.working_dir()?,
            timeout: self.command.timeout,
            stop: self.command.stop,
            artifacts: if self.kind == AttemptKind::Run { self.step.artifacts.clone() } else { Vec::new() },
            attempt_id,
            redact: self.values.secrets_met(),
        })
    }

    /// The step's id; of what stands for an item or an iteration with that of its step: `copy["eu-west"]`, `poll[3]`.
    fn step_name(&self) -> String {
        let above = self.run.created().runbook.rsplit_once('/').map_or("", |(_, step)| step);
        match self.run.pinned().kind() {
            Kind::Each { .. } | Kind::Repeat { .. } => format!("{above}{}", self.step.id),
            Kind::Runbook | Kind::Block => self.step.id.clone(),
        }
    }

    /// `verify` and `on_cancel` see what the step sees, unless they say otherwise.
    fn own_or_step<'b, T>(
        &self,
        own: &'b indexmap::IndexMap<String, T>,
        step: &'b indexmap::IndexMap<String, T>,
    ) -> Vec<(&'b String, &'b T)> {
        if self.kind == AttemptKind::Run {
            return own.iter().collect();
        }
        step.iter().filter(|(name, _)| !own.contains_key(*name)).chain(own.iter()).collect()
    }

    fn render(&self, what: &str, source: &str) -> Result<Rendered, PrepareError> {
        let rendered = self.values.render(source).map_err(|problem| PrepareError {
            what: what.to_owned(),
            problem,
            errno: EINVAL,
        })?;
        if rendered.text.contains('\0') && what != "stdin" {
            return Err(PrepareError { what: what.to_owned(), problem: "it holds a NUL".into(), errno: EINVAL });
        }
        Ok(rendered)
    }

    fn bounded(&self, what: &str, source: &str) -> Result<Rendered, PrepareError> {
        let rendered = self.render(what, source)?;
        if rendered.text.len() > limits::ARGUMENT_BYTES {
            return Err(PrepareError {
                what: what.to_owned(),
                problem: format!(
                    "it has {} bytes, the limit is {}; pass it by stdin: or files:",
                    rendered.text.len(),
                    limits::ARGUMENT_BYTES
                ),
                errno: E2BIG,
            });
        }
        Ok(rendered)
    }

    fn argv(&self) -> Result<Vec<String>, PrepareError> {
        match &self.command.program {
            Program::Script { shell, text } => {
                let options: &[&str] = match shell {
                    Shell::Sh => &["sh", "-eu", "-c"],
                    Shell::Bash => &["bash", "-euo", "pipefail", "-c"],
                };
                let mut argv: Vec<String> = options.iter().map(ToString::to_string).collect();
                argv.extend([text.clone(), self.step.id.clone()]);
                Ok(argv)
            }
            Program::Action(acting) => {
                let own = self.world.own_program().to_string_lossy().into_owned();
                Ok(vec![own, "act".to_owned(), acting.name.clone()])
            }
            Program::Argv(sources) => {
                let mut argv = Vec::with_capacity(sources.len());
                for (index, source) in sources.iter().enumerate() {
                    let what = format!("argv[{index}]");
                    let rendered = self.bounded(&what, source)?;
                    if rendered.secret {
                        let problem = "a secret must not be an argument: everybody can read it in the process list; \
                                       pass it by env: or stdin:";
                        return Err(PrepareError { what, problem: problem.into(), errno: EINVAL });
                    }
                    argv.push(rendered.text);
                }
                if let Some(program) = argv.first_mut()
                    && let Some(pinned) = self.world.pinned_file(program)
                {
                    *program = pinned.to_string_lossy().into_owned();
                }
                Ok(argv)
            }
        }
    }

    fn working_dir(&self) -> Result<PathBuf, PrepareError> {
        let source = self.command.working_dir.as_ref().or(self.main.working_dir.as_ref());
        let Some(source) = source else { return Ok(self.world.project().to_path_buf()) };
        let rendered = self.bounded("working_dir", source)?;
        Ok(self.world.project().join(rendered.text))
    }

    fn env(&self, attempt_id: &str) -> Result<BTreeMap<String, Given>, PrepareError> {
        let mut env = BTreeMap::new();
        let mut put = |name: &str, text: String, secret: bool| {
            env.insert(name.to_owned(), Given { text, secret });
        };
        let passed = BASE_VARIABLES
            .iter()
            .copied()
            .chain(self.command.pass_env.iter().map(String::as_str))
            .chain(self.main.pass_env.iter().map(String::as_str));
        for name in passed {
            if let Some(value) = self.world.variable(name) {
                put(name, value, false);
            }
        }
        for (name, source) in &self.run.pinned().runbook.env {
            let rendered = self.bounded(&format!("env.{name}"), source)?;
            put(name, rendered.text, rendered.secret);
        }
        let env_file = self.command.env_file.as_ref().or(match self.kind {
            AttemptKind::Run => None,
            AttemptKind::Verify | AttemptKind::OnCancel | AttemptKind::Rollback => self.main.env_file.as_ref(),
        });
        if let Some(source) = env_file {
            for (name, value) in self.env_file(source)? {
                put(&name, value, true);
            }
        }
        for (name, source) in self.own_or_step(&self.command.env, &self.main.env) {
            let rendered = self.bounded(&format!("env.{name}"), source)?;
            put(name, rendered.text, rendered.secret);
        }
        let directory = self.world.attempt_directory();
        let below = |name: &str| directory.join(name).to_string_lossy().into_owned();
        let created = self.run.created();
        for (name, value) in [
            ("RUNBOOK_RUN", created.number.to_string()),
            ("RUNBOOK_RUN_UID", self.run.uid().to_string()),
            ("RUNBOOK_RUNBOOK", created.runbook.clone()),
            ("RUNBOOK_STEP", self.step_name()),
            ("RUNBOOK_ATTEMPT", self.attempt.0.to_string()),
            ("RUNBOOK_ATTEMPT_ID", attempt_id.to_owned()),
            ("RUNBOOK_IDEMPOTENCY_KEY", self.idempotency_key()),
            ("RUNBOOK_OUTPUT", below("out")),
            ("RUNBOOK_PROJECT", self.world.project().to_string_lossy().into_owned()),
        ] {
            put(name, value, false);
        }
        if let Some(environment) = self.run.pinned().runbook.environment_name() {
            put("RUNBOOK_ENVIRONMENT", environment.to_owned(), false);
        }
        if self.run.is_dry() {
            put("RUNBOOK_DRY_RUN", "true".to_owned(), false);
        }
        // These folders are there only where something is to lie in them.
        if self.kind == AttemptKind::Run && !self.step.artifacts.is_empty() {
            put("RUNBOOK_ARTIFACTS", below("artifacts"), false);
        }
        if !self.command.files.is_empty() || !self.main.files.is_empty() {
            put("RUNBOOK_FILES", below("files"), false);
        }
        Ok(env)
    }

    /// What a file of variables holds counts as secret: it is where people keep them.
    fn env_file(&self, source: &str) -> Result<Vec<(String, String)>, PrepareError> {
        let what = "env_file";
        let error = |problem: String, errno| PrepareError { what: what.to_owned(), problem, errno };
        let path = self.world.project().join(self.bounded(what, source)?.text);
        let text = self.world.read_text(&path).map_err(|problem| error(problem, ENOENT))?;
        if text.len() > environment::ENV_FILE_BYTES {
            let limit = environment::ENV_FILE_BYTES;
            return Err(error(format!("{} has {} bytes, the limit is {limit}", path.display(), text.len()), E2BIG));
        }
        environment::parse_env_file(&text).map_err(|problem| error(format!("{}: {problem}", path.display()), EINVAL))
    }
}
