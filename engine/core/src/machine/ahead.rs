//! What the machine would answer to a start, and who stands before it: asked without changing anything.

use super::{Machine, Resource};
use crate::limits;
use crate::run::{Fact, Rejection, Start, protect};
use crate::time::Timestamp;

impl Machine {
    /// Whether a start would be taken now. One that repeats a request that was answered would be.
    ///
    /// # Errors
    /// The refusal that it would get.
    pub fn check_start(&self, now: Timestamp, start: &Start) -> Result<(), Rejection> {
        if let Some(known) = self.by_request(&start.request_id).and_then(|uid| self.run(uid)) {
            let created = known.created();
            return match created.request_digest == start.request_digest {
                true => Ok(()),
                false => {
                    Err(Rejection::RequestIdReused { request_id: start.request_id.clone(), number: created.number })
                }
            };
        }
        self.admissible(now, start).map(drop)
    }

    /// Why there would be no run now: all that protects its environment, else the first that is found.
    pub fn refusals(&self, now: Timestamp, start: &Start) -> Vec<Rejection> {
        let protected = protect::refusals(start, now);
        if protected.is_empty() { self.check_start(now, start).err().into_iter().collect() } else { protected }
    }

    /// The first fact of a new run, if there may be one.
    pub(super) fn admissible(&self, now: Timestamp, start: &Start) -> Result<Fact, Rejection> {
        self.check_room()?;
        let fact = protect::create(start, now)?;
        if let Fact::Created(created) = &fact {
            self.check_overlap(start, created)?;
        }
        Ok(fact)
    }

    /// Whether there may be one run more.
    pub(super) fn check_room(&self) -> Result<(), Rejection> {
        if self.numbers.len() >= limits::ACTIVE_RUNS {
            return Err(Rejection::Limit {
                what: "runs that are not over",
                limit: limits::ACTIVE_RUNS as u64,
                value: self.numbers.len() as u64 + 1,
            });
        }
        Ok(())
    }

    /// How many queued runs want a lock or a group.
    pub fn waiting(&self, resource: &Resource) -> usize {
        self.locks.waiting(resource)
    }
}
