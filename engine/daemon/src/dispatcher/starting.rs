//! From an attempt that the machine wants to one that is under way: what its texts are made of is gathered first, without
//! holding up the loop.

use runbook_core::machine::AttemptRef;
use runbook_core::run::{AttemptEnd, AttemptKind, How, NotStarted, StopLevel};

use super::Dispatcher;
use crate::attempts::{Report, StartOrder};
use crate::secrets::{Fetched, Source};
use crate::surroundings;

impl Dispatcher {
    /// Starts an attempt, or first fetches the secrets that it needs beside those that were fetched.
    pub(super) fn start(&mut self, attempt: AttemptRef, kind: AttemptKind, fetched: Fetched) {
        let Some(state) = self.machine.run(attempt.run) else { return };
        let root = state.root();
        let Some(top) = self.machine.run(root) else { return };
        let world = self.surroundings.of(state, top, attempt, fetched);
        let prepared = runbook_actions::prepare(state, attempt.step, kind, attempt.attempt, &world);
        let withheld = world.withheld();
        if !withheld.is_empty() {
            self.attempts.withhold(attempt, withheld);
            return;
        }
        let read = world.secrets_read();
        let (missing, fetched) = world.into_missing();
        if !missing.is_empty() {
            self.fetching.insert(attempt, kind);
            self.fetcher.fetch(attempt, surroundings::purpose(state), missing, fetched);
            return;
        }
        let step = state.pinned().runbook.step(attempt.step).map(|step| step.id.clone()).unwrap_or_default();
        for secret in read {
            let source = self.surroundings.secrets.source(&secret, state.pinned().runbook.environment_name());
            let from = source.map_or("nowhere", Source::kind);
            let (number, runbook) = (state.created().number, &state.created().runbook);
            tracing::info!(secret, from, run = number, runbook, step, attempt = attempt.attempt.0, "a secret was read");
        }
        match prepared {
            Ok(mut order) => {
                self.hidden.join(root, order.redact());
                self.attempts.spawn(StartOrder { attempt, step, order });
            }
            Err(error) => {
                let mut end = AttemptEnd::bare(How::NotStarted(NotStarted::Errno(error.errno)));
                end.message = error.to_string();
                self.handle.report(Report::Ended(attempt, Box::new(end)));
            }
        }
    }

    /// Goes on with an attempt that waited for its secrets, unless it was stopped meanwhile.
    pub(super) fn fetched(&mut self, attempt: AttemptRef, fetched: Fetched) {
        if let Some(kind) = self.fetching.remove(&attempt) {
            self.start(attempt, kind, fetched);
        }
    }

    /// Stops an attempt. One that waits for its secrets never begins.
    pub(super) fn stop(&mut self, attempt: AttemptRef, level: StopLevel) {
        if self.fetching.remove(&attempt).is_some() {
            self.attempts.call_off(attempt);
        } else {
            self.attempts.stop(attempt, level);
        }
    }

    /// Starts an attempt again that provably never ran, if it is still wanted.
    pub(super) fn restart(&mut self, attempt: AttemptRef) {
        let live = self.machine.run(attempt.run).and_then(|state| {
            state.live().find(|(step, number, _, _)| *step == attempt.step && *number == attempt.attempt)
        });
        if let Some((_, _, kind, _)) = live {
            self.start(attempt, kind, Fetched::new());
        }
    }
}
