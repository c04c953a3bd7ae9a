//! Values that are not kept: rules 148 to 150.

use std::collections::BTreeSet;

use runbook_core::id::RunUid;
use runbook_core::run::{AttemptKind, Fact, How, Input, NotStarted, Principal, Provision, Then};
use runbook_core::time::Timestamp;

use super::super::design::{ENVIRONMENTS, ROLES};
use super::run::{RunModel, Stage};
use super::step::Status;
use super::turn::Model;
use super::{Answer, Check, must};

impl RunModel {
    /// The values that an attempt is told, of those that its start gave (148).
    pub(crate) fn needs_values(&self, no: usize, kind: AttemptKind) -> BTreeSet<String> {
        let mentioned = self.design.values_of(no, kind);
        mentioned.into_iter().filter(|name| self.created.sealed_inputs.contains(name)).collect()
    }

    /// The steps that wait for values, each with the inputs that it waits for.
    pub(crate) fn withheld(&self) -> impl Iterator<Item = (usize, &BTreeSet<String>)> {
        let withheld = |status: Status| matches!(status, Status::Withheld(_));
        self.steps
            .iter()
            .enumerate()
            .filter(move |(_, step)| withheld(step.status))
            .map(|(no, step)| (no, &step.missing))
    }

    /// Of these inputs those that a step of it waits for.
    fn waited_for(&self, inputs: &BTreeSet<String>) -> BTreeSet<String> {
        inputs.iter().filter(|name| self.withheld().any(|(_, missing)| missing.contains(*name))).cloned().collect()
    }

    /// Whether an attempt that cannot be told a value is the last of its step: nothing would follow it (150).
    fn is_last(&self, no: usize, kind: AttemptKind) -> bool {
        let probes = self.step(no).is_ok_and(|(step, _)| step.probe().is_some());
        match kind {
            AttemptKind::Run if self.design.is_main(no) => {
                self.hard() || (probes && self.stage == Stage::Main && self.ending.is_some())
            }
            AttemptKind::Rollback => self.rolling.as_ref().is_some_and(|rolling| rolling.abandoned),
            AttemptKind::Run | AttemptKind::Verify | AttemptKind::OnCancel => false,
        }
    }

    /// 148
    pub(super) fn answer_withheld(&self, no: usize, attempt: u32) -> Answer {
        let live = matches!(self.steps.get(no).map(|step| step.status), Some(Status::Live(live, _)) if live == attempt);
        if live { Answer::Accepted } else { Answer::Nothing }
    }

    /// 149
    pub(super) fn answer_provision(&self, provision: &Provision) -> Answer {
        let Provision { inputs, roles, .. } = provision;
        let may = self.environment() != Some(ENVIRONMENTS[0]) || roles.iter().any(|role| role == ROLES[0]);
        let given = |name: &String| {
            let decl = self.design.runbook.inputs.get(name);
            decl.is_some_and(|decl| decl.ephemeral) && self.created.sealed_inputs.contains(name)
        };
        let taken = self.created.parent.is_none() && !self.is_terminal() && may && inputs.iter().all(given);
        if taken { Answer::Accepted } else { Answer::Refused }
    }

    /// Whether news of values changes anything.
    pub(super) fn answer_available(&self, inputs: &BTreeSet<String>) -> Answer {
        if self.waited_for(inputs).is_empty() { Answer::Nothing } else { Answer::Accepted }
    }

    /// What follows news that an attempt cannot be told a value.
    pub(super) fn withheld_follows(&self, fact: &Fact, input: &Input) -> Check {
        let Input::Withheld { step, attempt, inputs } = input else { return Err("nobody told of it".to_owned()) };
        let kind = self.kind_of(step.index(), attempt.0).ok_or("no such attempt is live (148)")?;
        let last = self.is_last(step.index(), kind);
        match fact {
            Fact::Withheld { step: no, attempt: number, inputs: missing } => {
                must((no, number) == (step, attempt), || "it is another attempt".to_owned())?;
                must(missing.iter().eq(inputs.iter()), || format!("it waits for {missing:?}, must be {inputs:?}"))?;
                must(!last, || "it would be the last attempt (150)".to_owned())
            }
            Fact::AttemptEnded { step: no, attempt: number, end, then } => {
                must((no, number) == (step, attempt), || "it is another attempt".to_owned())?;
                must(last && end.how == How::NotStarted(NotStarted::Canceled), || {
                    "it is withheld, and did not end (148)".to_owned()
                })?;
                let expected = if kind == AttemptKind::Rollback { Then::RollbackFailed } else { Then::Canceled };
                must(*then == expected, || format!("then {then:?}, must be {expected:?} (150)"))
            }
            _ => Err("it is no answer to that".to_owned()),
        }
    }

    /// An attempt did not start.
    pub(super) fn withhold(&mut self, no: usize, inputs: &[String]) {
        if let Some(step) = self.steps.get_mut(no)
            && let Status::Live(_, kind) = step.status
        {
            step.status = Status::Withheld(kind);
            step.missing = inputs.iter().cloned().collect();
        }
    }

    /// Values are there again (149).
    pub(super) fn provided(&mut self, inputs: &[String], at: Timestamp) {
        for step in &mut self.steps {
            step.missing.retain(|name| !inputs.contains(name));
            if let (Status::Withheld(kind), true) = (step.status, step.missing.is_empty()) {
                step.status = Status::Waiting(kind, at);
            }
        }
    }
}

impl Model {
    /// Whether the value of an input is in the memory of the daemon.
    pub(crate) fn is_there(&self, root: RunUid, input: &str) -> bool {
        self.given.contains(&(root, input.to_owned()))
    }

    /// What a fact does to that memory.
    pub(super) fn remember(&mut self, uid: RunUid, fact: &Fact) {
        let top = self.runs.get(&uid).is_some_and(|run| run.created.parent.is_none());
        match fact {
            Fact::Created(created) if top => {
                self.given.extend(created.sealed_inputs.iter().map(|name| (uid, name.clone())));
            }
            Fact::Provided { inputs, by, .. } if top && *by != Principal::engine() => {
                self.given.extend(inputs.iter().map(|name| (uid, name.clone())));
            }
            Fact::Finished { .. } if top => self.given.retain(|(run, _)| *run != uid),
            _ => {}
        }
    }

    /// A person gave values to a run at the top: runs below go on too, in the same turn.
    pub(super) fn hear_provision(&mut self, root: RunUid, provision: &Provision) {
        let below = self.runs.values().filter(|run| run.created.parent.is_some() && run.root() == root);
        let below = below.map(|run| (run.uid, run.waited_for(&provision.inputs)));
        let below: Vec<_> = below.filter(|(_, inputs)| !inputs.is_empty()).collect();
        let told = |inputs: BTreeSet<String>| Provision { inputs, ..provision.clone() };
        self.expected.provided.extend(below.into_iter().map(|(uid, inputs)| (uid, told(inputs))));
    }

    /// Whether a fact is what a run below is told of values that the run at the top was given.
    pub(super) fn is_provided_below(&mut self, uid: RunUid, fact: &Fact) -> bool {
        let Fact::Provided { inputs, by, reason } = fact else { return false };
        let same = |told: &Provision| told.inputs.iter().eq(inputs.iter()) && told.by == *by && told.reason == *reason;
        match self.expected.provided.get(&uid) {
            Some(told) if same(told) => self.expected.provided.remove(&uid).is_some(),
            Some(_) | None => false,
        }
    }
}

/// Whether a fact is the answer to what a person, or the daemon, says of values.
pub(super) fn is_provision(run: &RunModel, fact: &Fact, input: &Input) -> Check {
    let (provision, expected) = match input {
        Input::Provide(provision) => (provision, provision.inputs.clone()),
        Input::Available(provision) => (provision, run.waited_for(&provision.inputs)),
        _ => return Err("nobody gave it".to_owned()),
    };
    let Fact::Provided { inputs, by, reason } = fact else { return Err("it is no answer to that".to_owned()) };
    let same = inputs.iter().eq(expected.iter()) && *by == provision.by && *reason == provision.reason;
    must(same, || format!("{expected:?} must be given by {:?} (149)", provision.by))
}
