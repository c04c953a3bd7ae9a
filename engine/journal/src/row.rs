//! One line about a run, for lists and look-ups: derived from its events alone. Never knows how it is stored.

use runbook_core::id::{Digest, RunUid};
use runbook_core::run::{Created, Event, Fact, Origin, Outcome, Principal};
use runbook_core::time::Timestamp;

/// One line about a run at the top: a child run has none, and belongs to that of its tree. Written when the run is made, opened again, or over; between those its progress is
/// known only from its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// The run.
    pub uid: RunUid,
    /// Its number, for typing.
    pub number: u64,
    /// The runbook's name.
    pub runbook: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// How and when it ended; `None` while it is not terminal.
    pub finished: Option<Finished>,
    /// How it came to be.
    pub origin: Origin,
    /// Who asked for it.
    pub by: Principal,
    /// The client's name for its request; empty when it gave none.
    pub request_id: String,
    /// What the request asked for, hashed.
    pub request_digest: Digest,
    /// The hash of the pinned definition, which `objects` keeps.
    pub definition: Digest,
    /// The number of the latest event that the row knows of: the last of all for a terminal run.
    pub last_event: u64,
    /// The epoch, from 1.
    pub epoch: u32,
    /// Whether nothing that changes anything ran in it: it proves nothing.
    pub dry: bool,
    /// The name of the environment that it is in.
    pub environment: Option<String>,
    /// The hashes of the definitions that it went by after the first, in order.
    pub editions: Vec<Digest>,
    /// What it backs up, proves or restores.
    pub target: Option<String>,
}

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// When.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
}

impl RunRow {
    /// The row of a new run.
    pub fn of(uid: RunUid, at: Timestamp, created: &Created) -> Self {
        Self {
            uid,
            number: created.number,
            runbook: created.runbook.clone(),
            created_at: at,
            finished: None,
            origin: created.origin,
            by: created.by.clone(),
            request_id: created.request_id.clone(),
            request_digest: created.request_digest,
            definition: created.definition,
            last_event: 1,
            epoch: 1,
            dry: created.terms.dry,
            environment: created.terms.environment.clone(),
            editions: Vec::new(),
            target: created.terms.target.clone(),
        }
    }

    /// The hashes of all definitions that it went by, in order: at least one.
    pub fn definitions(&self) -> impl DoubleEndedIterator<Item = Digest> + '_ {
        std::iter::once(self.definition).chain(self.editions.iter().copied())
    }

    /// The hash of the definition that it went by last.
    pub fn went_by(&self) -> Digest {
        self.editions.last().copied().unwrap_or(self.definition)
    }

    /// Takes in an event that a row must know of; says whether it was one.
    pub fn take_in(&mut self, event: &Event) -> bool {
        match &event.fact {
            Fact::Finished { outcome } => {
                self.finished = Some(Finished { at: event.at, outcome: *outcome });
            }
            Fact::Resumed { epoch, edited, .. } => {
                self.editions.extend(edited.iter().map(|edited| edited.definition));
                self.finished = None;
                self.epoch = *epoch;
            }
            // It is not over any more.
            Fact::RollbackAsked { .. } => self.finished = None,
            Fact::Created(_)
            | Fact::Admitted { .. }
            | Fact::StepReady { .. }
            | Fact::StepSkipped { .. }
            | Fact::StepFailed { .. }
            | Fact::WaitBegan { .. }
            | Fact::WaitEnded { .. }
            | Fact::ApprovalAsked { .. }
            | Fact::ApprovalGiven { .. }
            | Fact::StartDecided { .. }
            | Fact::ApprovalTimedOut { .. }
            | Fact::AttemptStarting { .. }
            | Fact::AttemptEnded { .. }
            | Fact::ChildStarting { .. }
            | Fact::ChildEnded { .. }
            | Fact::ChildWaits { .. }
            | Fact::ChildRollingBack { .. }
            | Fact::Ending { .. }
            | Fact::RollingBack { .. }
            | Fact::RollbackAbandoned { .. }
            | Fact::Finishing { .. }
            | Fact::Resolved { .. }
            | Fact::RepeatEnded { .. }
            | Fact::Paused { .. }
            | Fact::LocksReleased { .. }
            | Fact::Withheld { .. }
            | Fact::Provided { .. }
            | Fact::Continued { .. }
            | Fact::Due
            | Fact::DeadlinesShifted { .. } => return false,
        }
        self.last_event = event.number;
        true
    }
}
