//! A command as a step, a `verify` or a compensation has it: what is started, with what, how it is stopped and tried again.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Acting, Template, Tool};
use crate::time::Span;

/// A command and everything it is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Command {
    /// What is started.
    pub program: Program,
    /// Standard input; /dev/null when absent.
    #[serde(default)]
    pub stdin: Option<Template>,
    /// Environment of its own, over the runbook's.
    #[serde(default)]
    pub env: IndexMap<String, Template>,
    /// A file of NAME=value lines.
    #[serde(default)]
    pub env_file: Option<Template>,
    /// Variables passed on from the daemon's environment.
    #[serde(default)]
    pub pass_env: Vec<String>,
    /// Where it starts; the project folder when absent.
    #[serde(default)]
    pub working_dir: Option<Template>,
    /// Files made for it, by name, below `$RUNBOOK_FILES`.
    #[serde(default)]
    pub files: IndexMap<String, Template>,
    /// How long one attempt may take, suspend not counted.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// How it is stopped.
    #[serde(default)]
    pub stop: Stop,
    /// What is looked for before the run starts, instead of the program that the command itself tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Tool>>,
}

impl Command {
    /// Every text of it that may hold `${{ }}`.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let words = match &self.program {
            Program::Argv(words) => words.as_slice(),
            Program::Script { .. } | Program::Action(_) => &[],
        };
        let told = self.action().into_iter().flat_map(Acting::templates);
        let lone = [&self.stdin, &self.env_file, &self.working_dir].into_iter().flatten();
        lone.chain(words).chain(told).chain(self.env.values()).chain(self.files.values())
    }

    /// The action that it is, if it is one.
    pub const fn action(&self) -> Option<&Acting> {
        match &self.program {
            Program::Action(acting) => Some(acting),
            Program::Argv(_) | Program::Script { .. } => None,
        }
    }
}

/// What is started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    /// A script under a shell. Its text holds no `${{ }}`: data never becomes code.
    Script {
        /// The shell.
        shell: Shell,
        /// The script.
        text: String,
    },
    /// A program and its arguments, without a shell.
    Argv(Vec<Template>),
    /// An action of the engine's.
    Action(Acting),
}

/// The shell of a script.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shell {
    /// `sh -eu`
    #[default]
    Sh,
    /// `bash -euo pipefail`
    Bash,
}

/// How a command is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The first signal.
    #[serde(default)]
    pub signal: StopSignal,
    /// Who gets it.
    #[serde(default)]
    pub to: StopTo,
    /// How long it may take before KILL.
    #[serde(default = "default_grace")]
    pub grace: Span,
}

const fn default_grace() -> Span {
    Span::seconds(crate::limits::STOP_GRACE_SECONDS)
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: StopSignal::default(), to: StopTo::default(), grace: default_grace() }
    }
}

/// The first signal of a stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    /// SIGTERM
    #[default]
    Term,
    /// SIGINT
    Int,
}

impl StopSignal {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
        }
    }
}

/// Who gets the first signal of a stop.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopTo {
    /// The command's own process.
    Leader,
    /// Its whole process group.
    #[default]
    Group,
}

impl StopTo {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Group => "group",
        }
    }
}

/// When a failed attempt is tried again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// How many attempts at most, the first included.
    pub attempts: u32,
    /// How long to wait between them.
    #[serde(default)]
    pub backoff: Backoff,
    /// An expression over `exit_code`; any failure when absent.
    #[serde(default)]
    pub condition: Option<String>,
}

/// How long to wait between attempts: `initial · factor^(n-1)`, at most `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// Before the second attempt.
    pub initial: Span,
    /// By how much each wait is longer than the one before, in thousandths.
    pub factor_millis: u32,
    /// The longest wait.
    pub max: Span,
    /// What chance does to it.
    pub jitter: Jitter,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Span::seconds(2), factor_millis: 2_000, max: Span::minutes(1), jitter: Jitter::Full }
    }
}

/// What chance does to a wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Jitter {
    /// Nothing.
    None,
    /// Anything between nothing and the whole wait.
    #[default]
    Full,
}
