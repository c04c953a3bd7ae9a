//! The facts about a run: past tense, closed, each carrying the decision that was taken, so that newer code
//! never judges an old event again. Never knows how they are stored.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::terms::Terms;
use crate::definition::Settlement;
use crate::id::{AttemptNo, Digest, RunUid, StepNo};
use crate::schedule::SlotOf;
use crate::time::{Span, Timestamp};

/// A fact about a run, at its place in the run's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// From 1, without gaps, per run.
    pub number: u64,
    /// When it was decided, by the daemon's wall clock. Never goes back within a run.
    pub at: Timestamp,
    /// What happened.
    pub fact: Fact,
}

/// What can happen to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Fact {
    /// The run exists, pinned to its definition.
    Created(Box<Created>),
    /// The time at which it was to begin has come: it waits for its locks and its group.
    Due,
    /// It has its locks and its group: steps may start.
    Admitted {
        /// When the run's `timeout` strikes.
        deadline: Option<Timestamp>,
    },
    /// A step may start: its `if` held, or the names of its locks had to be made.
    StepReady {
        /// The step.
        step: StepNo,
        /// Its locks, rendered, sorted, without repetition.
        locks: Vec<String>,
    },
    /// A step will not run in this epoch.
    StepSkipped {
        /// The step.
        step: StepNo,
        /// Why not.
        why: SkipReason,
    },
    /// A step failed before any attempt: its `if` could not be evaluated.
    StepFailed {
        /// The step.
        step: StepNo,
        /// Why, for a person.
        message: String,
    },
    /// A step waits: for a time, or for a probe to say that the wait is over.
    WaitBegan {
        /// The step.
        step: StepNo,
        /// When the wait is over; for a probe, when it is in vain.
        until: Timestamp,
        /// Whether this is a time of the wall clock, which stays where it is when the clock is set.
        fixed: bool,
    },
    /// The time that a step waited for has come.
    WaitEnded {
        /// The step.
        step: StepNo,
    },
    /// Persons are asked to approve.
    ApprovalAsked {
        /// The step.
        step: StepNo,
        /// What they are told.
        message: String,
        /// How long they have.
        until: Option<Timestamp>,
    },
    /// A person decided.
    ApprovalGiven {
        /// The step.
        step: StepNo,
        /// Whether for it.
        approve: bool,
        /// What the person filled in.
        fields: IndexMap<String, Value>,
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
        /// What follows.
        then: AfterVote,
        /// The step's outputs, if it succeeded by this.
        outputs: IndexMap<String, Value>,
    },
    /// Nobody decided in time.
    ApprovalTimedOut {
        /// The step.
        step: StepNo,
        /// What follows.
        then: AfterVote,
        /// Why that, for a person.
        message: String,
        /// The step's outputs, if it succeeded by this.
        outputs: IndexMap<String, Value>,
    },
    /// A person decided whether the run may begin.
    StartDecided {
        /// Whether for it.
        approve: bool,
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
        /// What follows.
        then: AfterVote,
    },
    /// An attempt is about to start; from here on it may have processes.
    AttemptStarting {
        /// The step.
        step: StepNo,
        /// The attempt's number.
        attempt: AttemptNo,
        /// What of the step it runs.
        kind: AttemptKind,
        /// The boot of the machine that it may live in.
        boot: String,
    },
    /// An attempt is over, and this follows.
    AttemptEnded {
        /// The step.
        step: StepNo,
        /// The attempt's number.
        attempt: AttemptNo,
        /// How it ended.
        end: Box<AttemptEnd>,
        /// What was decided.
        then: Then,
    },
    /// The run goes to its end before its steps are done, or does so in a harder way than before.
    Ending {
        /// Why.
        cause: EndingCause,
    },
    /// The steps are over, and what these did is compensated.
    RollingBack {
        /// How the run ends if that is not done to its end.
        outcome: Outcome,
        /// The steps.
        steps: Vec<StepNo>,
    },
    /// A terminal run was opened again, to be rolled back.
    RollbackAsked {
        /// Who asked.
        by: Principal,
        /// Why.
        reason: String,
        /// The steps without a way back that whoever asked named.
        past: Vec<StepNo>,
    },
    /// Nothing more is compensated.
    RollbackAbandoned {
        /// Who asked.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// A step started a child run, or opened its child run again.
    ChildStarting {
        /// The step.
        step: StepNo,
        /// The child run.
        child: RunUid,
        /// Whether the child run was there already and is opened again.
        again: bool,
    },
    /// The child run of a step is over, and this follows.
    ChildEnded {
        /// The step.
        step: StepNo,
        /// The child run.
        child: RunUid,
        /// How it ended.
        outcome: Outcome,
        /// Its outputs, where it succeeded.
        outputs: IndexMap<String, Value>,
        /// Why it ended so, for a person.
        message: String,
        /// What it leaves that a rollback could compensate.
        left: Left,
        /// What was decided.
        then: Then,
    },
    /// What a step did is compensated: its child run is rolled back.
    ChildRollingBack {
        /// The step.
        step: StepNo,
        /// The child run.
        child: RunUid,
    },
    /// The child run of a step waits for something else than before, or goes on.
    ChildWaits {
        /// The step.
        step: StepNo,
        /// The child run.
        child: RunUid,
        /// What it waits for.
        waits: Waits,
    },
    /// The steps are over; those of `finally` follow.
    Finishing {
        /// How the run ends if `finally` succeeds.
        outcome: Outcome,
        /// The outputs of the runbook, where the outcome is success.
        outputs: IndexMap<String, Value>,
        /// Why its outputs cannot be made, for a person; empty where they can.
        message: String,
    },
    /// The run is terminal.
    Finished {
        /// How it ended.
        outcome: Outcome,
    },
    /// A terminal run was opened again.
    Resumed {
        /// The new epoch; the first is 1.
        epoch: u32,
        /// Who asked.
        by: Principal,
        /// Why.
        reason: String,
        /// Names of what is destroyed again, as who asked confirmed them.
        confirmed: Vec<String>,
        /// By which edited definition it goes on, if it was edited.
        edited: Option<Edited>,
    },
    /// An unknown step was settled.
    Resolved {
        /// The step.
        step: StepNo,
        /// As what.
        settlement: Settlement,
        /// The outputs given for it.
        outputs: IndexMap<String, Value>,
        /// Who settled it.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// The run is held: nothing of its main steps begins.
    Paused {
        /// The step that it came to, where the start said that it is held before that.
        before: Option<StepNo>,
        /// Who holds it.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// A person had a step give its locks up; it takes them again before anything more of it starts.
    LocksReleased {
        /// The step.
        step: StepNo,
        /// Who said so.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// An attempt did not start, since values that it needs are kept nowhere: the step waits for a person to give them.
    Withheld {
        /// The step.
        step: StepNo,
        /// The attempt's number.
        attempt: AttemptNo,
        /// The inputs of the run at the top that it needs, sorted, without repetition; at least one.
        inputs: Vec<String>,
    },
    /// A person gave values that are kept nowhere; steps that waited for nothing else go on.
    Provided {
        /// The inputs of the run at the top, sorted, without repetition; at least one. Their values are no part of the history.
        inputs: Vec<String>,
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// A step's work was done again and again for the last time.
    RepeatEnded {
        /// The step that stands for the last iteration.
        step: StepNo,
        /// Why the run fails whatever came of that; empty where `until` holds.
        message: String,
    },
    /// A run that was held goes on.
    Continued {
        /// Who let it.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// The wall clock was set; deadlines that came from durations moved with it.
    DeadlinesShifted {
        /// By how much; negative when the clock went back.
        by: Span,
    },
}

/// The first fact of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Created {
    /// The run's number, for typing; of a child run, that of the run at the top.
    pub number: u64,
    /// The runbook's name.
    pub runbook: String,
    /// The hash of the pinned definition.
    pub definition: Digest,
    /// The commit that the project's folder was at, where it is in a git repository. The definition need not be in it.
    #[serde(default)]
    pub commit: Option<String>,
    /// The resolved inputs, secret ones left out.
    pub inputs: IndexMap<String, Value>,
    /// The names of the inputs that are sealed elsewhere.
    pub sealed_inputs: Vec<String>,
    /// The group, rendered.
    pub group: Option<String>,
    /// The run's locks, rendered, sorted, without repetition.
    pub locks: Vec<String>,
    /// How it came to be.
    pub origin: Origin,
    /// Who asked.
    pub by: Principal,
    /// Why, in the words of who asked.
    pub reason: String,
    /// The client's name for its request; empty when it gave none.
    pub request_id: String,
    /// What the request asked for, hashed, to tell a repetition from a mistake.
    pub request_digest: Digest,
    /// What else was said.
    pub terms: Terms,
    /// The step that started it, where it is a child run.
    pub parent: Option<Parent>,
    /// The slot that it was started for, if a schedule was due.
    pub slot: Option<SlotOf>,
    /// The items that its steps stand for, where a step does its work for each of a list.
    pub items: Vec<Value>,
}

/// What an edit makes of a run that is opened again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edited {
    /// The definition that it goes on by. Its steps have the numbers that they have in the run; new ones come after them.
    pub definition: Digest,
    /// Steps that succeeded and run again, since what they do or are given is another now.
    pub again: Vec<StepNo>,
    /// Steps that make a new child run instead of opening theirs again, since what that runs is another now.
    pub anew: Vec<StepNo>,
}

/// What a child run waits for, for the run above.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Waits {
    /// Nothing: it goes on.
    #[default]
    No,
    /// A time, or persons who were asked; nothing else of it is on.
    Still,
    /// A person: nobody knows what a step of it, or below it, did.
    Attention,
}

/// What a run that is over leaves of what it did, for the run above.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Left {
    /// Nothing that a rollback would compensate.
    #[default]
    Nothing,
    /// Something that can be compensated.
    Something,
    /// Something whose compensation failed, and that persons left so: it is not tried again by itself.
    GivenUp,
}

/// The place of a child run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The run at the top of the tree, which has a number.
    pub root: RunUid,
    /// The run whose step started it.
    pub run: RunUid,
    /// That step.
    pub step: StepNo,
    /// How many runs are above it.
    pub depth: u32,
    /// Whether it is part of a `finally`, and so goes before what does the work.
    pub tidies: bool,
}

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Principal {
    /// A name for people.
    pub name: String,
    /// The uid of the peer on the socket; `None` for the engine itself.
    pub uid: Option<u32>,
}

impl Principal {
    /// The engine itself, acting by a rule that is named in the reason.
    pub fn engine() -> Self {
        Self { name: "runbookd".to_owned(), uid: None }
    }
}

/// How a run came to be; decides who goes first when places are short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Origin {
    /// A person typed it.
    Person,
    /// A program asked for it.
    Api,
    /// A schedule was due.
    Schedule,
    /// The configuration names its runbook for what happened elsewhere.
    Hook,
}

/// Why a step will not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SkipReason {
    /// A step that it needs did not succeed.
    Need(StepNo),
    /// Its `if` was false.
    Condition,
    /// No step that it undoes has run.
    NothingToUndo,
    /// The start left it out; those that need it go on as if it had succeeded.
    LeftOut,
    /// It does not run in a dry run; those that need it go on as if it had succeeded.
    DryRun {
        /// What it would do, for a person.
        would: String,
    },
}

/// What of a step an attempt runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AttemptKind {
    /// The step itself.
    Run,
    /// Its `verify`.
    Verify,
    /// Its `on_cancel`.
    OnCancel,
    /// Its `rollback`.
    Rollback,
}

/// All that is known of the end of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// How it ended.
    pub how: How,
    /// Why it counts as it does, for a person; empty when `how` says it all.
    pub message: String,
    /// What it wrote to `$RUNBOOK_OUTPUT`: typed by the declaration where there is one, else text.
    pub outputs: IndexMap<String, Value>,
    /// The artifacts that it left.
    pub artifacts: Vec<Artifact>,
    /// When its processes started, if they did.
    pub started_at: Option<Timestamp>,
    /// When they were over.
    pub ended_at: Option<Timestamp>,
    /// User and system time of all its processes, in microseconds.
    pub cpu_micros: u64,
    /// The largest resident set of any of its processes, in KiB.
    pub max_rss_kib: u64,
    /// Lines in its log.
    pub log_lines: u64,
    /// Lines that the log's cap or a full disk dropped.
    pub log_dropped: u64,
    /// How long the other side asked to be left alone before the next try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Span>,
}

impl AttemptEnd {
    /// An end of which nothing more is known than how it came.
    pub fn bare(how: How) -> Self {
        Self {
            how,
            message: String::new(),
            outputs: IndexMap::new(),
            artifacts: Vec::new(),
            started_at: None,
            ended_at: None,
            cpu_micros: 0,
            max_rss_kib: 0,
            log_lines: 0,
            log_dropped: 0,
            retry_after: None,
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// Nothing ran.
    NotStarted(NotStarted),
    /// It came to its own end.
    Exited(i32),
    /// It was ended from outside.
    CutOff(CutOff),
    /// Nobody knows.
    Lost {
        /// Processes of it are left that cannot be killed.
        processes_left: bool,
    },
}

/// Why nothing ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotStarted {
    /// It was canceled before its start.
    Canceled,
    /// The system refused.
    Errno(i32),
    /// Its shim never came up.
    Fenced,
}

/// What ended an attempt from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CutOff {
    /// Its own timeout.
    Timeout,
    /// The engine, for a cancel or the run's end.
    Stopped,
    /// A signal that the engine did not send.
    Signal(i32),
    /// It exited with a code that `unknown_if` names.
    UnknownExit(i32),
}

/// A file that an attempt left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub length: u64,
    /// Its sha256.
    pub digest: Digest,
}

/// What follows the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Then {
    /// The step succeeded.
    Succeeded,
    /// The step failed.
    Failed,
    /// The step was canceled.
    Canceled,
    /// The step is tried again at this time.
    RetryAt(Timestamp),
    /// `verify` is asked at this time.
    VerifyAt(Timestamp),
    /// `on_cancel` is run at this time.
    OnCancelAt(Timestamp),
    /// Only a person can tell.
    Unknown,
    /// What the step did is compensated.
    RolledBack,
    /// The compensation failed: a person must say what follows.
    RollbackFailed,
    /// The compensation is tried again at this time.
    RollbackAt(Timestamp),
}

/// What follows a person's decision, or that there was none in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterVote {
    /// Others have to decide too.
    Open,
    /// The step succeeded.
    Succeeded,
    /// The step failed.
    Failed,
}

/// Why a run goes to its end before its steps are done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndingCause {
    /// A step failed, under `on_failure: stop`: what has begun finishes.
    FailureStop(StepNo),
    /// A step failed, under `on_failure: cancel`: what runs is stopped.
    FailureCancel(StepNo),
    /// The run's `timeout`.
    Timeout,
    /// Somebody asked.
    Cancel {
        /// Whether the grace is skipped.
        now: bool,
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
        /// The steps without a way back that whoever asked named.
        past: Vec<StepNo>,
    },
    /// A child run would wait for its own tree, through others.
    Deadlock {
        /// Who waits for whom, for a person.
        message: String,
    },
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every step succeeded, was skipped, or was allowed to fail.
    Succeeded,
    /// A step failed.
    Failed,
    /// It was canceled.
    Canceled,
    /// It did not succeed, and what it did is compensated.
    RolledBack,
}

impl Outcome {
    /// The name in the language.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::RolledBack => "rolled_back",
        }
    }
}
