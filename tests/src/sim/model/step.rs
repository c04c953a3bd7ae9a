//! Where one step of a run is, and what it went through.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use runbook_core::definition::Settlement;
use runbook_core::id::RunUid;
use runbook_core::run::{AttemptKind, How, Left, NotStarted, Then, Waits};
use runbook_core::time::Timestamp;
use serde_json::Value;

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    Succeeded,
    Failed,
    Skipped,
    Canceled,
    RolledBack,
    RollbackFailed,
}

/// Where a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// Not begun, not judged.
    Pending,
    /// Not begun; its `if` held.
    Ready,
    Live(u32, AttemptKind),
    /// Its next attempt is due at this time.
    Waiting(AttemptKind, Timestamp),
    /// It waits for this time, without attempts (46).
    Paused {
        until: Timestamp,
        fixed: bool,
    },
    /// It waits for persons, so long (50).
    Asking {
        until: Option<Timestamp>,
    },
    /// An attempt of this kind did not start: it waits for values (148).
    Withheld(AttemptKind),
    Unknown {
        processes_left: bool,
        since: Timestamp,
    },
    /// Its child run is on.
    Child {
        uid: RunUid,
        /// What that is known to wait for (75).
        waits: Waits,
    },
    /// Its child run is rolled back (131).
    ChildRollback {
        uid: RunUid,
        /// What that is known to wait for (75).
        waits: Waits,
    },
    Over(Over),
}

/// Something that happened to a step in this epoch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Past {
    Ended {
        attempt: u32,
        kind: AttemptKind,
        how: How,
        then: Then,
    },
    Settled(Settlement),
    /// It was chosen to be compensated.
    Chosen,
}

/// A step.
#[derive(Debug, Clone)]
pub(crate) struct StepModel {
    pub(crate) status: Status,
    /// The number of its latest attempt of any kind, over all epochs.
    pub(crate) latest: u32,
    /// What happened in this epoch.
    pub(crate) past: Vec<Past>,
    /// An attempt of the step itself has run, in whatever epoch, and nothing undid it since (41).
    pub(crate) ran: bool,
    /// It succeeded in an earlier epoch, and a resume kept that (43).
    pub(crate) kept: bool,
    /// It is skipped, and nothing that failed is the reason (6).
    pub(crate) passed_over: bool,
    /// When it became terminal.
    pub(crate) over_at: Timestamp,
    /// It was skipped, and stands for one that succeeded (80).
    pub(crate) stands_in: bool,
    /// The run was paused before it: it is judged (85).
    pub(crate) paused_before: bool,
    pub(crate) outputs: IndexMap<String, Value>,
    /// Until when it probes (47).
    pub(crate) probes_until: Option<Timestamp>,
    /// Who approved, and what was filled in (50).
    pub(crate) approved: Vec<(u32, IndexMap<String, Value>)>,
    /// Something of it was started in this epoch, or it waited for its turn (113).
    pub(crate) begun: bool,
    /// Its latest child run, over all epochs.
    pub(crate) child: Option<RunUid>,
    /// The latest event of that when the step opened it again, or began to roll it back (72, 131).
    pub(crate) opened_at: u64,
    /// What that left when it was over last (130).
    pub(crate) left: Left,
    /// Whether that ended rolled back (63).
    pub(crate) undone_below: bool,
    /// The inputs that it waits for (148).
    pub(crate) missing: BTreeSet<String>,
    /// Its locks, as it was judged last (92), and whether it has them.
    pub(crate) locks: Vec<String>,
    pub(crate) locked: bool,
}

/// Whether an attempt that ended so counts for `retry` (13).
pub(crate) const fn counts(how: &How) -> bool {
    !matches!(how, How::NotStarted(NotStarted::Errno(_) | NotStarted::Fenced))
}

impl StepModel {
    pub(crate) fn new(latest: u32, child: Option<RunUid>) -> Self {
        Self {
            status: Status::Pending,
            latest,
            past: Vec::new(),
            ran: false,
            kept: false,
            passed_over: false,
            over_at: Timestamp(0),
            stands_in: false,
            paused_before: false,
            outputs: IndexMap::new(),
            probes_until: None,
            approved: Vec::new(),
            begun: false,
            child,
            opened_at: 0,
            left: Left::Nothing,
            undone_below: false,
            missing: BTreeSet::new(),
            locks: Vec::new(),
            locked: false,
        }
    }

    /// The attempts of the step itself that were counted, in this epoch and since a person said retry (16, 34).
    pub(crate) fn counted(&self) -> usize {
        let mut attempts = Vec::new();
        for past in &self.past {
            match past {
                Past::Settled(Settlement::Retry) => attempts.clear(),
                Past::Settled(_) | Past::Chosen => {}
                // An attempt whose processes were left may end twice; it is one attempt.
                Past::Ended { attempt, kind: AttemptKind::Run, how, .. } if counts(how) => {
                    if !attempts.contains(attempt) {
                        attempts.push(*attempt);
                    }
                }
                Past::Ended { .. } => {}
            }
        }
        attempts.len()
    }

    /// The attempts in a row, up to now, that were not counted (13).
    pub(crate) fn false_starts(&self) -> u32 {
        let ends = self
            .past
            .iter()
            .rev()
            .take_while(|past| matches!(past, Past::Ended { kind: AttemptKind::Run, how, .. } if !counts(how)));
        ends.count() as u32
    }

    /// The tries of `verify` or of `on_cancel`, up to now, since something else happened.
    pub(crate) fn tries(&self, wanted: AttemptKind) -> usize {
        let mut tries: Vec<u32> = Vec::new();
        for past in self.past.iter().rev() {
            match past {
                Past::Ended { attempt, kind, .. } if *kind == wanted => tries.push(*attempt),
                _ => break,
            }
        }
        tries.dedup();
        tries.len()
    }

    pub(crate) const fn is_over(&self) -> bool {
        matches!(self.status, Status::Over(_))
    }

    pub(crate) const fn succeeded(&self) -> bool {
        matches!(self.status, Status::Over(Over::Succeeded))
    }

    pub(crate) const fn failed(&self) -> bool {
        matches!(self.status, Status::Over(Over::Failed))
    }

    /// Nothing of it began (26, 27).
    pub(crate) const fn is_before(&self) -> bool {
        matches!(self.status, Status::Pending | Status::Ready)
    }
}
