//! Breaks the engine on purpose, from outside: between the machine and the world stands somebody who is not honest.
//! Proves that the checkers object.

use runbook_core::definition::Runbook;
use runbook_core::id::{AttemptNo, RunUid, StepNo};
use runbook_core::machine::{Batch, Resource};
use runbook_core::run::{AttemptEnd, EndingCause, Event, Fact, How, Then};
use runbook_core::time::{Span, Timestamp};

use super::model::Check;
use super::turn::Daemon;
use super::world::World;

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// The engine sees definitions in which one need of each step is missing.
    NeedIgnored,
    /// The engine's word about when to call it again is withheld, once a retry is due.
    RetryLost,
    /// An attempt is started twice.
    DoubleStart,
    /// What a batch says is done before the batch is durable.
    ActBeforeFlush,
    /// Stops do not reach the attempts' processes.
    StopLost,
    /// An accepted cancel is not made durable with its batch.
    CancelForgotten,
    /// The locks of a run that is over stay taken.
    LockKept,
    /// One event more than what happened is made durable.
    HistoryAltered,
    /// Attempts start although values that they are told are not there.
    ValueAssumed,
    /// That values were given is not made durable with its batch.
    ProvisionForgotten,
}

impl Sabotage {
    /// Every one.
    pub const ALL: [Self; 10] = [
        Self::NeedIgnored,
        Self::RetryLost,
        Self::DoubleStart,
        Self::ActBeforeFlush,
        Self::StopLost,
        Self::CancelForgotten,
        Self::LockKept,
        Self::HistoryAltered,
        Self::ValueAssumed,
        Self::ProvisionForgotten,
    ];
}

/// The definition that the engine sees.
pub(super) fn seen(runbook: &Runbook, sabotage: Option<Sabotage>) -> Runbook {
    let mut seen = runbook.clone();
    if sabotage == Some(Sabotage::NeedIgnored) {
        for step in &mut seen.steps {
            let ignored: Option<StepNo> = step.needs.pop();
            if let (Some(ignored), Some(condition)) = (ignored, &mut step.condition) {
                condition.lifts.retain(|lifted| *lifted != ignored);
            }
        }
    }
    seen
}

impl World {
    /// What is written: the batch, unless somebody is not honest.
    pub(crate) fn written(&self, batch: &Batch) -> Vec<(RunUid, Event)> {
        let mut events = batch.events.clone();
        match self.sabotage {
            Some(Sabotage::CancelForgotten) => {
                let cancel = events
                    .iter()
                    .position(|(_, event)| matches!(&event.fact, Fact::Ending { cause: EndingCause::Cancel { .. } }));
                if let Some((_, event)) = cancel.and_then(|place| events.get_mut(place)) {
                    event.fact = Fact::DeadlinesShifted { by: Span::ZERO };
                }
            }
            Some(Sabotage::ProvisionForgotten) => {
                for (_, event) in &mut events {
                    if matches!(event.fact, Fact::Provided { .. }) {
                        event.fact = Fact::DeadlinesShifted { by: Span::ZERO };
                    }
                }
            }
            Some(Sabotage::HistoryAltered) => {
                for (_, event) in &mut events {
                    if let Fact::AttemptEnded { end, .. } = &mut event.fact
                        && end.how == How::Exited(0)
                    {
                        end.how = How::Exited(7);
                    }
                }
            }
            _ => {}
        }
        events
    }

    /// Sabotage of locks: a run that is out of service takes over those of a run that is over.
    pub(crate) fn haunt(&self, daemon: &mut Daemon, over: &[RunUid], now: Timestamp) -> Check {
        if self.sabotage != Some(Sabotage::LockKept) {
            return Ok(());
        }
        for uid in over {
            let run = self.model.run(*uid)?;
            let free = |lock: &String| daemon.machine.holder(&Resource::Lock(lock.clone())).is_none();
            let mut created = run.created.clone();
            if created.locks.is_empty() || !created.locks.iter().all(free) {
                continue;
            }
            daemon.ghosts += 1;
            created.number = 1_000_000 + daemon.ghosts;
            created.group = None;
            created.parent = None;
            created.request_id.clear();
            let facts = [
                Fact::Created(Box::new(created)),
                Fact::Admitted { deadline: None },
                // Illegal, and so the run is out of service, and keeps what it holds.
                Fact::AttemptEnded {
                    step: StepNo(0),
                    attempt: AttemptNo(9),
                    end: Box::new(AttemptEnd::bare(How::Exited(0))),
                    then: Then::Succeeded,
                },
            ];
            let events: Vec<Event> =
                facts.into_iter().zip(1..).map(|(fact, number)| Event { number, at: now, fact }).collect();
            let ghost = RunUid::from_bits(u128::MAX - u128::from(daemon.ghosts));
            let Ok(pinned) = self.pinned_of(run) else { continue };
            daemon.machine.load(ghost, pinned, &[], &events, now).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
