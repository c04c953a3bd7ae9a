//! What can be put to a run, and what a new one has to be told. Data only: what comes of it is in `decide`.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use super::approval::Ballot;
use super::event::{AttemptEnd, AttemptKind, EndingCause, Left, Origin, Outcome, Parent, Principal, Waits};
use super::pinned::Pinned;
use super::provide::Provision;
use super::terms::Terms;
use crate::definition::Settlement;
use crate::id::{AttemptNo, Digest, RunUid, StepNo};
use crate::time::Span;

/// What can be put to a run.
#[derive(Debug, Clone)]
pub enum Input {
    /// Its locks and its group are free.
    Admit,
    /// A place among attempts is free for this.
    StartAttempt {
        /// The step.
        step: StepNo,
        /// What of it.
        kind: AttemptKind,
        /// The boot of the machine.
        boot: String,
    },
    /// An attempt came to its end.
    Verdict {
        /// The step.
        step: StepNo,
        /// The attempt.
        attempt: AttemptNo,
        /// How it ended.
        end: Box<AttemptEnd>,
        /// Uniform over all of u32; for jitter.
        chance: u32,
    },
    /// Time went on.
    Tick,
    /// Somebody wants it to end.
    Cancel {
        /// Without grace.
        now: bool,
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
        /// Steps without a way back that whoever asks knows of.
        past: Vec<StepNo>,
    },
    /// Somebody wants nothing more of it to begin for now.
    Pause {
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// Somebody wants it opened again, or let go on.
    Resume {
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
        /// Names of what is destroyed again.
        confirmed: Vec<String>,
        /// The definition that it is to go on by, if it was edited.
        edited: Option<Box<Edit>>,
    },
    /// Somebody wants what it did compensated.
    RollBack {
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
        /// Steps without a way back that whoever asks knows of.
        past: Vec<StepNo>,
    },
    /// Somebody wants nothing more compensated.
    AbandonRollback {
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// Somebody knows what became of an unknown step, or of a compensation that failed.
    Resolve {
        /// The step.
        step: StepNo,
        /// What became of it.
        settlement: Settlement,
        /// Its outputs.
        outputs: IndexMap<String, Value>,
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// Somebody wants a lock given up.
    ReleaseLocks {
        /// The step that has it; `None` where the run has it as a whole.
        step: Option<StepNo>,
        /// The lock.
        name: String,
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// An attempt did not start: values that it needs are nowhere.
    Withheld {
        /// The step.
        step: StepNo,
        /// The attempt.
        attempt: AttemptNo,
        /// The inputs of the run at the top that it needs.
        inputs: BTreeSet<String>,
    },
    /// A person gives values that are kept nowhere.
    Provide(Box<Provision>),
    /// The run at the top was given them, or has them by now.
    Available(Box<Provision>),
    /// Somebody decided about an approval.
    Decide {
        /// The step.
        step: StepNo,
        /// What.
        ballot: Box<Ballot>,
    },
    /// A person decides whether the run may begin.
    DecideStart {
        /// The decision; nothing is filled in.
        ballot: Box<Ballot>,
    },
    /// The wall clock was set.
    ClockSet {
        /// By how much.
        by: Span,
    },
    /// The run above goes to its end.
    Above {
        /// Why.
        cause: EndingCause,
    },
    /// The run above opens it again.
    Reopen,
    /// The run above is rolled back, and this run is part of what its step did.
    RollBackBelow,
    /// The run above gives its rollback up.
    AbandonBelow {
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// The run above is held.
    PauseBelow {
        /// Who holds it.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// The run above goes on.
    ContinueBelow {
        /// Who lets it.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// The run at the top is resumed while it is rolled back: what failed is tried again.
    TryAgain {
        /// Who.
        by: Principal,
        /// Why.
        reason: String,
    },
    /// It, or a step of it, waits for itself, through others.
    Deadlock {
        /// The step, if it is one.
        step: Option<StepNo>,
        /// Who waits for whom.
        message: String,
    },
    /// The child run of a step is over.
    ChildEnded {
        /// The step.
        step: StepNo,
        /// The child run.
        child: RunUid,
        /// How it ended.
        outcome: Outcome,
        /// Its outputs.
        outputs: IndexMap<String, Value>,
        /// Why it ended so.
        message: String,
        /// What it leaves that a rollback could compensate.
        left: Left,
    },
    /// The child run of a step began to wait for a person, or does so no longer.
    ChildWaits {
        /// The step.
        step: StepNo,
        /// The child run.
        child: RunUid,
        /// What it waits for.
        waits: Waits,
    },
}

/// An edited definition for a run that is opened again.
#[derive(Debug, Clone)]
pub struct Edit {
    /// The definition, as [`edition`](super::edition::edition) numbers its steps.
    pub pinned: Arc<Pinned>,
    /// The listed files whose contents differ from those that the run has.
    pub files: Vec<String>,
}

/// What a new run needs to be told.
#[derive(Debug, Clone)]
pub struct Start {
    /// The run's number.
    pub number: u64,
    /// The definition.
    pub pinned: Arc<Pinned>,
    /// Inputs, checked and with their defaults, secret ones left out.
    pub inputs: IndexMap<String, Value>,
    /// The names of the inputs that are sealed elsewhere.
    pub sealed_inputs: Vec<String>,
    /// How it came to be.
    pub origin: Origin,
    /// Who asked.
    pub by: Principal,
    /// The roles of who asked.
    pub roles: Vec<String>,
    /// Why.
    pub reason: String,
    /// The client's name for the request.
    pub request_id: String,
    /// What was asked, hashed.
    pub request_digest: Digest,
    /// The commit that the project's folder is at, if that is known.
    pub commit: Option<String>,
    /// What else is said.
    pub terms: Terms,
    /// The step that starts it, where it is a child run.
    pub parent: Option<Parent>,
    /// The items that its steps stand for.
    pub items: Vec<Value>,
}
