//! A checked runbook: what a run is pinned to. Data only; made by `language`, read by `run` and the actions.
//!
//! It is stored as JSON under its hash and read by newer versions for ever: fields are added with a default,
//! and never change their meaning. Never knows files, positions in the source, or how it was written.

mod action;
mod block;
mod command;
mod environment;
mod many;
mod protection;
mod requires;
mod schedule;
mod work;

use std::sync::Arc;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{Digest, StepNo};
use crate::time::Span;

pub use action::{Acting, Setting};
pub use block::{Block, called_by, named_runbook};
pub use command::{Backoff, Command, Jitter, Program, Retry, Shell, Stop, StopSignal, StopTo};
pub use environment::{Environment, InputSource, key_in};
pub(crate) use many::key_of;
pub use many::{Each, Items, Many, Repeat, instance_ids, path_head, step_path};
pub use protection::{Approvals, Closed, Freeze, Hours, Protection, Window};
pub use requires::{Endpoint, Requires, Room, Tool};
pub use schedule::{Expect, Missed, MissedPolicy, Schedule, ScheduleOverlap, ScheduledStart, Timed, start_deadline};
pub use work::{Approval, Call, Given, OnTimeout, Probe, Wait, Work};

/// A runbook that passed every check. The default is one of which nothing was said yet, not even a step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Runbook {
    /// Its name, unique in the project.
    pub name: String,
    /// What it is for, in the author's words.
    #[serde(default)]
    pub description: String,
    /// Free labels.
    #[serde(default)]
    pub labels: IndexMap<String, String>,
    /// The inputs, in the order of the file.
    #[serde(default)]
    pub inputs: IndexMap<String, InputDecl>,
    /// What must be there before the first step.
    #[serde(default)]
    pub requires: Requires,
    /// The bound on the whole run, queueing and attention not counted.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// How many attempts of one run may be live together.
    #[serde(default)]
    pub max_parallel: Option<u32>,
    /// How early its runs get what others want too, unless a start says that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// What a failed step does to the others.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Whether and how what its steps did is compensated.
    #[serde(default)]
    pub rollback: Rollback,
    /// Locks held from the first attempt to the terminal event.
    #[serde(default)]
    pub locks: Vec<Template>,
    /// Which runs exclude each other.
    #[serde(default)]
    pub concurrency: Option<Concurrency>,
    /// How long a run may wait for a person.
    #[serde(default)]
    pub attention: Option<Attention>,
    /// What its runs are for, where that is to be kept up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// Values for `${{ env.X }}` and for every step's environment.
    #[serde(default)]
    pub env: IndexMap<String, Template>,
    /// Files that belong to the definition: paths relative to the project folder.
    #[serde(default)]
    pub files: Vec<String>,
    /// What a run that succeeded leaves for whoever started it.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub outputs: IndexMap<String, OutputDecl>,
    /// The pinned definitions of the runbooks that steps start, by name. Filled when the runbook is pinned.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub pins: IndexMap<String, Digest>,
    /// The environments that it may run in; any when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<String>,
    /// Whether it mentions its environment, and so runs in none but one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_environment: bool,
    /// The environment that its run is started in. Filled when the runbook is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Box<Environment>>,
    /// When it starts by itself, by name. Folders have very many schedules, most of them like others.
    #[serde(default)]
    pub schedules: IndexMap<String, Arc<Schedule>>,
    /// That its runs succeed every so often, whoever starts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// That it is looked every so often whether it could start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Timed>,
    /// Main steps in the order of the file, then those of `finally`. Indexed by [`StepNo`].
    pub steps: Vec<Step>,
}

impl Runbook {
    /// How its runs go beside others of their group, if they have one.
    pub fn overlap(&self) -> Option<Overlap> {
        self.concurrency.as_ref().map(|concurrency| concurrency.overlap)
    }

    /// The step of a number; `None` for a number that is not of this definition.
    pub fn step(&self, no: StepNo) -> Option<&Step> {
        self.steps.get(no.index())
    }

    /// The number of the step with this id.
    pub fn find(&self, id: &str) -> Option<StepNo> {
        // A definition has at most `limits::STEPS` steps, which fits.
        self.steps.iter().position(|step| step.id == id).map(|index| StepNo(index as u32))
    }

    /// The runbooks that steps start, those of blocks too, each once, in the order of the steps.
    pub fn called(&self) -> Vec<&str> {
        called_by(self.steps.iter())
    }
}

/// The declaration of an output of a runbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputDecl {
    /// Its type.
    #[serde(rename = "type")]
    pub value_type: ValueType,
    /// The expression that it is the value of, without `${{ }}`.
    pub value: String,
}

/// The type of an input or of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// Text.
    String,
    /// A whole number that fits 64 bits.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list of anything.
    List,
    /// Names to anything.
    Map,
    /// Anything, null too. Of outputs of actions alone: nobody can declare it.
    Any,
}

impl ValueType {
    /// The name in the language.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::List => "list",
            Self::Map => "map",
            Self::Any => "any",
        }
    }

    /// The type of a value that is not null; null counts as a map of nothing.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::String(_) => Self::String,
            Value::Number(_) if value.is_i64() => Self::Integer,
            Value::Number(_) => Self::Number,
            Value::Bool(_) => Self::Boolean,
            Value::Array(_) => Self::List,
            Value::Object(_) | Value::Null => Self::Map,
        }
    }

    /// Whether a value is of this type. An integer is a number too.
    pub fn accepts(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => value.is_i64(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::List => value.is_array(),
            Self::Map => value.is_object(),
            Self::Any => true,
        }
    }
}

/// The declaration of an input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputDecl {
    /// Its type.
    #[serde(rename = "type")]
    pub value_type: ValueType,
    /// Whether a start must give it.
    #[serde(default)]
    pub required: bool,
    /// Its value when none is given; of the type.
    #[serde(default)]
    pub default: Option<Value>,
    /// The only values that are taken, when not empty.
    #[serde(default)]
    pub choices: Vec<Value>,
    /// A regular expression that the whole text must match (strings only).
    #[serde(default)]
    pub pattern: Option<String>,
    /// The smallest number, the shortest text or list.
    #[serde(default)]
    pub minimum: Option<f64>,
    /// The largest number, the longest text or list.
    #[serde(default)]
    pub maximum: Option<f64>,
    /// Whether the value must never be shown or stored in clear.
    #[serde(default)]
    pub secret: bool,
    /// Whether the value is never stored at all; only of what is secret.
    #[serde(default)]
    pub ephemeral: bool,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// How early a run gets places, locks and its group where others want them too, the first first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before all others.
    High,
    /// Where nothing was said.
    #[default]
    Normal,
    /// After all others.
    Low,
}

impl Priority {
    /// All of them, the first first.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// What a failed step does to the steps that have not begun.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// Only steps whose `if` accepts failure start; what has begun finishes, retries included.
    #[default]
    Stop,
    /// Branches that do not need the failed step go on.
    Continue,
    /// What runs is stopped.
    Cancel,
}

/// Whether and how what the steps of a runbook did is compensated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// When.
    #[serde(default)]
    pub policy: RollbackPolicy,
    /// Of which steps.
    #[serde(default)]
    pub of: RollbackOf,
}

/// When what steps did is compensated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RollbackPolicy {
    /// When a person asks, once the run is over.
    #[default]
    Manual,
    /// When the run does not succeed.
    Automatic,
    /// Never.
    Never,
}

impl RollbackPolicy {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Automatic => "automatic",
            Self::Never => "never",
        }
    }
}

/// Which steps are compensated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RollbackOf {
    /// Those that succeeded.
    #[default]
    Succeeded,
    /// All that have run, whatever came of them.
    Started,
}

impl RollbackOf {
    /// As it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Started => "started",
        }
    }
}

/// What the runs of a runbook are for: that something can be restored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// What is backed up or restored.
    pub target: Template,
    /// The runs are backups: how old the newest may be, counted from its start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo: Option<Span>,
    /// The runs are restores: how long one may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rto: Option<Span>,
    /// They restore into something that is thrown away.
    #[serde(default)]
    pub drill: bool,
    /// A run that succeeds proves that the newest backup from before it can be restored.
    #[serde(default)]
    pub proves: bool,
}

/// Which runs exclude each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Concurrency {
    /// Runs whose group renders to the same text exclude each other.
    pub group: Template,
    /// What a start does while another run of the group is on.
    #[serde(default)]
    pub overlap: Overlap,
}

/// What a start does while another run of the group is on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// It waits for its turn.
    #[default]
    Queue,
    /// It is refused.
    Skip,
    /// It cancels the others, and waits for their end.
    Replace,
}

/// How long a run may wait for a person before the engine decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attention {
    /// After this long.
    pub after: Span,
    /// Every unknown step counts as this.
    #[serde(rename = "as")]
    pub settle_as: Settlement,
}

/// What an unknown step is settled as, by a person or by `attention`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Settlement {
    /// It happened.
    Succeeded,
    /// It did not happen, and is not tried again.
    Failed,
    /// It did not happen, and is tried again.
    Retry,
    /// Of a compensation alone: it is left as it is, and the others go on.
    Skipped,
}

/// A text with `${{ }}` in it, as the author wrote it; `expression::Template` parses it.
pub type Template = String;

/// Which part of the runbook a step belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// `steps:`
    #[default]
    Main,
    /// `finally:`
    Finally,
}

/// What a second try could do to the world, the weakest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// It changes nothing.
    Read,
    /// Doing it twice is the same as doing it once.
    Idempotent,
    /// Doing it twice may be wrong.
    #[default]
    Mutating,
    /// It removes what cannot be brought back.
    Destructive,
}

impl Effect {
    /// All of them, the weakest first.
    pub const ALL: [Self; 4] = [Self::Read, Self::Idempotent, Self::Mutating, Self::Destructive];

    /// The name in the language.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Idempotent => "idempotent",
            Self::Mutating => "mutating",
            Self::Destructive => "destructive",
        }
    }

    /// Whether an attempt whose end nobody knows may simply be repeated.
    pub const fn repeatable(self) -> bool {
        match self {
            Self::Read | Self::Idempotent => true,
            Self::Mutating | Self::Destructive => false,
        }
    }
}

/// What becomes of a step that changes nothing in a dry run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DryRun {
    /// It runs.
    #[default]
    Run,
    /// It is shown.
    Skip,
    /// It runs, whatever its effect, as far as it changes nothing: its action asks the other side instead of telling it.
    Ask,
}

/// A node of the graph.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its id, unique in the runbook.
    pub id: String,
    /// Where it belongs.
    #[serde(default)]
    pub part: Part,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Steps that must be terminal before this one is judged; of the same part, without repetition.
    #[serde(default)]
    pub needs: Vec<StepNo>,
    /// The expression of `if:`, without `${{ }}`.
    #[serde(default)]
    pub condition: Option<Condition>,
    /// Main steps, for one of `finally`: it runs only if one of them has run, and undoes what it did.
    #[serde(default)]
    pub undoes: Vec<StepNo>,
    /// What it means for the steps that need it when it is skipped.
    #[serde(default)]
    pub when_skipped: WhenSkipped,
    /// What it does.
    pub work: Work,
    /// How often it does that, if not once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub many: Option<Box<Many>>,
    /// The values that it writes to `$RUNBOOK_OUTPUT`.
    #[serde(default)]
    pub outputs: IndexMap<String, ValueType>,
    /// The files that it leaves in `$RUNBOOK_ARTIFACTS`.
    #[serde(default)]
    pub artifacts: Vec<String>,
    /// An expression over `exit_code` that tells success; `exit_code == 0` when absent.
    #[serde(default)]
    pub success: Option<String>,
    /// An expression over `exit_code` that tells an end of which nobody knows what was done.
    #[serde(default)]
    pub unknown_if: Option<String>,
    /// When to try again.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// What a second try could do.
    #[serde(default)]
    pub effect: Effect,
    /// Whether one that changes nothing runs in a dry run.
    #[serde(default)]
    pub dry_run: DryRun,
    /// What a destructive step destroys.
    #[serde(default)]
    pub target: Option<Template>,
    /// Asks the world whether the step happened.
    #[serde(default)]
    pub verify: Option<Command>,
    /// Tidies up after an attempt that a cancel cut off.
    #[serde(default)]
    pub on_cancel: Option<Command>,
    /// Compensates what it did.
    #[serde(default)]
    pub rollback: Option<Command>,
    /// Whether there is no way back once it has started.
    #[serde(default)]
    pub no_return: bool,
    /// Whether its failure leaves the run as if it had not failed.
    #[serde(default)]
    pub allow_failure: bool,
    /// Locks held from its first attempt until it is terminal.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Template>,
    /// The pool that each of its attempts needs a place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
}

impl Step {
    /// The command that attempts of the step itself run; `None` where it has no attempts of its own.
    pub fn command(&self) -> Option<&Command> {
        match &self.work {
            Work::Command(command) => Some(command),
            Work::Wait(wait) => match &**wait {
                Wait::Probe(probe) => Some(&probe.command),
                Wait::For(_) | Wait::Until(_) => None,
            },
            Work::Fail(_) | Work::Approval(_) | Work::Runbook(_) | Work::Block(_) => None,
        }
    }

    /// What it says under `uses`; empty where it says nothing.
    pub fn uses(&self) -> &str {
        match &self.work {
            Work::Command(command) => command.action().map_or("", |acting| &acting.name),
            Work::Wait(_) => "wait",
            Work::Fail(_) => "fail",
            Work::Approval(_) => "approval",
            Work::Runbook(_) => "runbook",
            Work::Block(_) => "",
        }
    }

    /// The action that attempts of the step itself are, if they are one.
    pub fn action(&self) -> Option<&Acting> {
        self.command().and_then(Command::action)
    }

    /// The probe of a step that waits for one to say that it is over.
    pub fn probe(&self) -> Option<&Probe> {
        match &self.work {
            Work::Wait(wait) => match &**wait {
                Wait::Probe(probe) => Some(probe),
                Wait::For(_) | Wait::Until(_) => None,
            },
            Work::Command(_) | Work::Fail(_) | Work::Approval(_) | Work::Runbook(_) | Work::Block(_) => None,
        }
    }

    /// Every expression of it that may mention other steps, texts with `${{ }}` left out.
    pub fn conditions(&self) -> impl Iterator<Item = &str> {
        let probe = self.probe().into_iter().flat_map(|probe| [&probe.until, &probe.fail_if]);
        let own = self.condition.iter().map(|condition| condition.expression.as_str());
        let list = match self.each().map(|each| &each.list) {
            Some(Items::Expression(list)) => Some(list.as_str()),
            Some(Items::Known(_)) | None => None,
        };
        // What is inside takes what the work for an item takes, and the item.
        let taken = match self.many.as_deref() {
            Some(many) => Some(many.takes()),
            None => self.block().map(|block| &block.takes),
        };
        let taken = taken.into_iter().flatten().map(String::as_str);
        let commands = [self.command(), self.verify.as_ref(), self.on_cancel.as_ref(), self.rollback.as_ref()];
        let asked = commands.into_iter().flatten().filter_map(Command::action).flat_map(Acting::conditions);
        own.chain(probe.flatten().map(String::as_str)).chain(list).chain(taken).chain(asked)
    }

    /// Every text of it that may hold `${{ }}`.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        let told = match &self.work {
            Work::Fail(message) => Some(message),
            Work::Approval(approval) => Some(&approval.message),
            Work::Wait(wait) => match &**wait {
                Wait::Until(time) => Some(time),
                Wait::For(_) | Wait::Probe(_) => None,
            },
            Work::Command(_) | Work::Runbook(_) | Work::Block(_) => None,
        };
        let commands = [self.command(), self.verify.as_ref(), self.on_cancel.as_ref(), self.rollback.as_ref()];
        let given = self.call().into_iter().flat_map(|call| call.inputs.values()).filter_map(|given| match given {
            Given::Template(text) => Some(text),
            Given::Value(_) => None,
        });
        commands.into_iter().flatten().flat_map(Command::templates).chain(told).chain(&self.target).chain(given)
    }

    /// What persons have to approve before the step is over.
    pub fn approval(&self) -> Option<&Approval> {
        match &self.work {
            Work::Approval(approval) => Some(approval),
            Work::Command(_) | Work::Fail(_) | Work::Wait(_) | Work::Runbook(_) | Work::Block(_) => None,
        }
    }

    /// The runbook that it starts, if it starts one.
    pub fn call(&self) -> Option<&Call> {
        match &self.work {
            Work::Runbook(call) => Some(call),
            Work::Command(_) | Work::Fail(_) | Work::Wait(_) | Work::Approval(_) | Work::Block(_) => None,
        }
    }

    /// The steps inside it, if it is a block.
    pub fn block(&self) -> Option<&Block> {
        match &self.work {
            Work::Block(block) => Some(block),
            Work::Command(_) | Work::Fail(_) | Work::Wait(_) | Work::Approval(_) | Work::Runbook(_) => None,
        }
    }

    /// Whether it starts a child run.
    pub const fn starts_run(&self) -> bool {
        self.many.is_some() || matches!(self.work, Work::Runbook(_) | Work::Block(_))
    }

    /// The list for whose items it does its work.
    pub fn each(&self) -> Option<&Each> {
        match self.many.as_deref()? {
            Many::Each(each) => Some(each),
            Many::Repeat(_) => None,
        }
    }

    /// How it does its work again and again.
    pub fn repeat(&self) -> Option<&Repeat> {
        match self.many.as_deref()? {
            Many::Repeat(repeat) => Some(repeat),
            Many::Each(_) => None,
        }
    }
}

/// What a skipped step means for the steps that need it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenSkipped {
    /// They are skipped too.
    #[default]
    Skip,
    /// They take it for one that succeeded, unless it was skipped for what failed.
    GoOn,
}

/// An `if:`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// The expression.
    pub expression: String,
    /// Whether it lifts the implied success of every ancestor: it calls `always()` or `failure()`.
    #[serde(default)]
    pub any_outcome: bool,
    /// The needs whose implied success it lifts by mentioning their status.
    #[serde(default)]
    pub lifts: Vec<StepNo>,
}
