//! Values that are kept nowhere, as the world has them: in the daemon's memory, until that dies. What an attempt does not
//! start for, and who gives it.

use std::collections::BTreeSet;

use runbook_core::id::RunUid;
use runbook_core::machine::{AttemptRef, Batch};
use runbook_core::run::{AttemptKind, Fact, How, Input, NotStarted, Principal, Provision};

use super::design::{Design, ROLES, VALUES};
use super::model::{Ask, Check, RunModel};
use super::people::Deed;
use super::sabotage::Sabotage;
use super::turn::Daemon;
use super::world::{Happening, World};

/// The longest until the daemon knows that an attempt does not start, in microseconds.
const SOON: i64 = 50_000;
/// Somebody who sees what is missing gives it within this time, in microseconds.
const GIVES: i64 = 600_000_000;

impl World {
    /// The inputs without which an attempt does not start, as the daemon's memory is.
    pub(crate) fn lacks(&self, daemon: &Daemon, attempt: AttemptRef, kind: AttemptKind) -> BTreeSet<String> {
        let Some(run) = self.model.runs.get(&attempt.run) else { return BTreeSet::new() };
        if self.sabotage == Some(Sabotage::ValueAssumed) {
            return BTreeSet::new();
        }
        let there = |name: &String| daemon.memory.contains(&(run.root(), name.clone()));
        run.needs_values(attempt.step.index(), kind).into_iter().filter(|name| !there(name)).collect()
    }

    /// An attempt does not start: the daemon learns so soon.
    pub(crate) fn withhold(&mut self, attempt: AttemptRef, inputs: BTreeSet<String>) {
        self.seen.mark("withheld");
        let soon = self.mono + self.random.fork("withhold", self.mono as u64).between(0, SOON);
        self.at(soon, Happening::Withhold { attempt, inputs, daemon: self.starts });
    }

    /// It has learned so, if it is still the same.
    pub(crate) fn withheld(&mut self, attempt: AttemptRef, inputs: BTreeSet<String>, daemon: u64) {
        if daemon == self.starts {
            let input = Input::Withheld { step: attempt.step, attempt: attempt.attempt, inputs };
            self.ask(Ask::Run { token: None, run: attempt.run, input });
        }
    }

    /// An attempt that a dead daemon may have begun is seen to never begin.
    pub(crate) fn withhold_for_good(&mut self, attempt: AttemptRef, inputs: BTreeSet<String>) -> Check {
        if self.random.percent(50) {
            // Should the daemon die once more before it is told, that is all that is known.
            let end = runbook_core::run::AttemptEnd::bare(How::NotStarted(NotStarted::Fenced));
            self.outside.fence(attempt, end)?;
        }
        self.withhold(attempt, inputs);
        Ok(())
    }

    /// What a durable batch does to the daemon's memory, before anything of it starts.
    pub(crate) fn remember(&mut self, daemon: &mut Daemon, batch: &Batch) {
        for (uid, event) in &batch.events {
            if let Fact::Provided { inputs, by, .. } = &event.fact
                && *by != Principal::engine()
                && self.model.runs.get(uid).is_some_and(|run| run.created.parent.is_none())
            {
                daemon.memory.extend(inputs.iter().map(|name| (*uid, name.clone())));
            }
        }
    }

    /// What the daemon does after that: it forgets what belongs to runs that are over, and looks whether steps wait for what
    /// came meanwhile.
    pub(crate) fn look_again(&mut self, daemon: &mut Daemon, batch: &Batch) {
        for uid in &batch.finished {
            daemon.memory.retain(|(run, _)| run != uid);
        }
        for (uid, event) in &batch.events {
            let Fact::Withheld { inputs, .. } = &event.fact else { continue };
            let Some(root) = self.model.runs.get(uid).map(RunModel::root) else { continue };
            let there = |name: &&String| daemon.memory.contains(&(root, (*name).clone()));
            let inputs: BTreeSet<String> = inputs.iter().filter(there).cloned().collect();
            if !inputs.is_empty() {
                self.seen.mark("withheld for what came meanwhile");
                let provision =
                    Provision { inputs, by: Principal::engine(), roles: Vec::new(), reason: "it came".to_owned() };
                let input = Input::Available(Box::new(provision));
                daemon.inbox.push(Ask::Run { token: None, run: *uid, input });
            } else if self.random.fork("gives", event.number).percent(70) {
                let at = self.mono + self.random.fork("gives at", event.number).spread(1, GIVES);
                self.at(at, Happening::Deed(Box::new(Deed::Provide(root))));
            }
        }
    }

    /// The inputs that somebody gives who starts a runbook.
    pub(crate) fn given(&mut self, design: &Design) -> Vec<String> {
        let mut random = self.random.fork("given", self.mono as u64);
        let names = VALUES.iter().filter(|name| design.runbook.inputs.contains_key(**name));
        names.filter(|_| random.percent(85)).map(|name| (*name).to_owned()).collect()
    }

    /// What is missing in the tree of a run at the top.
    fn missing(&self, root: RunUid) -> BTreeSet<String> {
        let tree = self.model.runs.values().filter(|run| run.root() == root);
        tree.flat_map(|run| run.withheld().flat_map(|(_, missing)| missing)).cloned().collect()
    }

    /// A person gives values: most often what is missing, now and then something else.
    pub(crate) fn providing(&mut self, uid: RunUid) -> Option<Ask> {
        let mut random = self.random.fork("providing", self.mono as u64);
        let root = self.model.runs.get(&uid)?.root();
        let missing: Vec<String> = self.missing(root).into_iter().collect();
        let any = missing.is_empty() || random.percent(15);
        let names: Vec<String> = if any { VALUES.map(str::to_owned).into() } else { missing };
        let mut inputs: BTreeSet<String> = names.into_iter().filter(|_| random.percent(70)).collect();
        if random.percent(4) {
            inputs.insert("slot".to_owned());
        }
        if inputs.is_empty() {
            return None;
        }
        let by = Principal { name: "ann".to_owned(), uid: Some(1_000) };
        let roles = ROLES.iter().filter(|_| random.percent(85)).map(|role| (*role).to_owned()).collect();
        let provision = Provision { inputs, by, roles, reason: format!("reason {}", random.below(100)) };
        let run = if random.percent(5) { uid } else { root };
        Some(Ask::Run { token: None, run, input: Input::Provide(Box::new(provision)) })
    }

    /// The runs at the top of which something waits for values.
    pub(crate) fn lacking(&self) -> BTreeSet<RunUid> {
        self.model.runs.values().filter(|run| run.withheld().next().is_some()).map(RunModel::root).collect()
    }

    /// A person gives all that is missing.
    pub(crate) fn provide_all(&self, root: RunUid) -> Ask {
        let provision = Provision {
            inputs: self.missing(root),
            by: Principal { name: "ann".to_owned(), uid: Some(1_000) },
            roles: ROLES.map(str::to_owned).into(),
            reason: "seen".to_owned(),
        };
        Ask::Run { token: None, run: root, input: Input::Provide(Box::new(provision)) }
    }
}
