//! What is put to the machine, and what it gives back. Data only.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{CatchUp, Generation, Prepared, ScheduleInput};
use crate::id::{AttemptNo, RunUid, StepNo};
use crate::run::{AttemptKind, Event, Input, Rejection, Start, StopLevel};
use crate::schedule::{Note, ScheduleName};
use crate::time::{Span, Timestamp};

/// Names a caller who waits for an answer.
pub type Token = u64;

/// What can be put to the machine.
#[derive(Debug)]
pub enum MachineInput {
    /// Make a run.
    Start {
        /// Who waits.
        token: Token,
        /// The new run's uid.
        uid: RunUid,
        /// What to make. Its number is given by the machine.
        start: Box<Start>,
    },
    /// Something for one run.
    Run {
        /// Who waits, if anybody does.
        token: Option<Token>,
        /// The run.
        run: RunUid,
        /// What.
        input: Input,
    },
    /// A slot that was missed is to run.
    CatchUp {
        /// Who waits.
        token: Token,
        /// Which, and how.
        asked: Box<CatchUp>,
    },
    /// The wall clock was set by this much.
    ClockSet(Span),
    /// The folder was read: these schedules are to be fired.
    Schedules(Arc<Generation>),
    /// A slot was prepared, or could not be.
    Slot {
        /// Of this schedule.
        schedule: ScheduleName,
        /// Which.
        slot: Timestamp,
        /// How to start its run, or why not.
        prepared: Prepared,
    },
    /// Something for one schedule.
    Schedule {
        /// Who waits.
        token: Token,
        /// The schedule.
        schedule: ScheduleName,
        /// What.
        input: ScheduleInput,
    },
}

/// An attempt of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptRef {
    /// The run.
    pub run: RunUid,
    /// The step.
    pub step: StepNo,
    /// The attempt.
    pub attempt: AttemptNo,
}

/// The answer to a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The run.
    pub run: RunUid,
    /// Its number.
    pub number: u64,
    /// The number of its latest event after the input.
    pub last_event: u64,
    /// Whether the request had been answered before.
    pub repeated: bool,
}

/// What a turn decided. Nothing in it may be acted on or told before `events` are durable.
#[derive(Debug, Default)]
pub struct Batch {
    /// New facts, in order.
    pub events: Vec<(RunUid, Event)>,
    /// Attempts to start.
    pub starts: Vec<(AttemptRef, AttemptKind)>,
    /// Attempts to stop, or to stop harder.
    pub stops: Vec<(AttemptRef, StopLevel)>,
    /// Attempts whose end is now a fact.
    pub ended: Vec<AttemptRef>,
    /// Runs that became terminal.
    pub finished: Vec<RunUid>,
    /// Runs that were taken out of service, and why.
    pub quarantined: Vec<(RunUid, String)>,
    /// Answers.
    pub replies: Vec<(Token, Result<Reply, Rejection>)>,
    /// What became of slots and schedules, in order; to be made durable with the events.
    pub notes: Vec<(ScheduleName, Note)>,
    /// Slots to prepare, each of a schedule of which nothing else is being prepared.
    pub slots: Vec<(ScheduleName, Timestamp)>,
    /// Schedules that are not fired any more since a note of theirs could not follow, and why.
    pub stopped: Vec<(ScheduleName, String)>,
    /// Answers about schedules.
    pub schedule_replies: Vec<(Token, Result<(), Rejection>)>,
    /// When to call again although nothing came in.
    pub wake: Option<Timestamp>,
}

/// What should be going on, derived from the states alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// The attempts that may have processes, and how they should be going on.
    pub attempts: BTreeMap<AttemptRef, StopLevel>,
    /// The slots that are being prepared.
    pub slots: BTreeMap<ScheduleName, Timestamp>,
    /// When something is due by time alone.
    pub wake: Option<Timestamp>,
}
