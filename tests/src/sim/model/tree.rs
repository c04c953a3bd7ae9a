//! Rules 66 to 76: child runs and their trees.

use indexmap::IndexMap;
use runbook_core::definition::{Overlap, Part, RollbackPolicy};
use runbook_core::id::RunUid;
use runbook_core::run::{Created, EndingCause, Fact, Left, Outcome, Parent, Principal, Terms, Then, Waits};
use serde_json::Value;

use super::super::condition::{ITEM, ITERATION, NUMBER, around};
use super::super::design::{SLOT, Started, VALUES};
use super::run::{RunModel, Stage};
use super::step::{Over, Status, StepModel};
use super::turn::Model;
use super::undo::waits_of;
use super::{Check, must};

impl RunModel {
    /// The run at the top of its tree.
    pub(crate) fn root(&self) -> RunUid {
        self.created.parent.map_or(self.uid, |parent| parent.root)
    }

    /// 75
    pub(crate) fn needs_person(&self) -> bool {
        let below = |step: &StepModel| waits_of(step.status) == Some(Waits::Attention);
        self.has_unknown() || self.withheld().next().is_some() || self.steps.iter().any(below)
    }

    /// Whether a child run of it is on.
    pub(crate) fn has_child(&self) -> bool {
        self.steps.iter().any(|step| waits_of(step.status).is_some())
    }

    /// Whether a step is to start its child run now (66).
    pub(super) fn is_callable(&self, no: usize) -> bool {
        self.holds() && !self.is_held() && self.design.is_call(no) && self.has_room() && self.may_begin(no)
    }

    /// What the child run of a step is given; `None` where it would be refused (67).
    fn given(&self, no: usize) -> Option<IndexMap<String, Value>> {
        let (started, design) = self.design.callee(no)?;
        let slot = |slot: String| {
            let absent = VALUES.iter().filter(|name| design.runbook.inputs.contains_key(**name));
            let absent = absent.map(|name| ((*name).to_owned(), Value::Null));
            std::iter::once((SLOT.to_owned(), Value::from(slot))).chain(absent).collect()
        };
        match started {
            Started::Runbook(call) => call.given(self.slot()).map(slot),
            // 100
            Started::Items(list) => {
                list.items(|step| self.number(step))?;
                let taken = design.takes().into_iter().filter(|text| text != ITEM);
                Some(taken.filter_map(|text| self.taken(no, text)).collect())
            }
            // 108
            Started::Iterations(repeat) => {
                let mut takes = design.takes();
                takes.extend(repeat.until.takes());
                takes.remove(ITERATION);
                Some(takes.into_iter().filter_map(|text| self.taken(no, text)).collect())
            }
            // 90
            Started::Block => Some(design.takes().into_iter().filter_map(|text| self.taken(no, text)).collect()),
        }
    }

    /// The output [`NUMBER`] of a step.
    fn number(&self, no: usize) -> Option<i64> {
        let step = self.steps.get(no).filter(|step| step.succeeded() || step.stands_in)?;
        step.outputs.get(NUMBER)?.as_i64()
    }

    /// Whether the child run of a step would be given something that a dry run does not have (79).
    pub(super) fn lacks_below(&self, no: usize) -> bool {
        let Some((started, design)) = self.design.callee(no) else { return false };
        let lacks = |text: &String| {
            let of = self.design.runbook.steps.iter().position(|step| *text == around(&step.id));
            of.is_some_and(|step| self.lacks(step))
        };
        let takes = !matches!(started, Started::Runbook(_)) && design.takes().iter().any(lacks);
        takes || matches!(started, Started::Items(list) if list.asks().is_some_and(|step| self.lacks(step)))
    }

    /// The items that a step does its work for (100).
    fn items(&self, no: usize) -> Vec<Value> {
        let list = self.design.lists.get(no).and_then(Option::as_ref);
        let items = list.and_then(|list| list.items(|step| self.number(step)));
        items.unwrap_or_default().into_iter().map(Value::from).collect()
    }

    /// Whether another step may begin beside those that have (101).
    pub(crate) fn has_room(&self) -> bool {
        let on = |step: &&StepModel| !matches!(step.status, Status::Pending | Status::Ready | Status::Over(_));
        let most = self.design.items.as_ref().and_then(|items| items.max_parallel);
        most.is_none_or(|most| self.steps.iter().filter(on).count() < most as usize)
    }

    /// What a block takes along of this run (90), for a step of it.
    fn taken(&self, no: usize, text: String) -> Option<(String, Value)> {
        if text == ITEM && self.design.items.is_some() {
            return self.created.items.get(no).cloned().map(|item| (text, item));
        }
        if text == ITERATION && self.design.repeat.is_some() {
            return Some((text, Value::from(no + 1)));
        }
        if text == format!("inputs.{SLOT}") {
            return Some((SLOT.to_owned(), self.created.inputs.get(SLOT)?.clone()));
        }
        match self.design.runbook.steps.iter().position(|step| text == around(&step.id)) {
            None => self.created.inputs.get(&text).cloned().map(|value| (text, value)),
            Some(no) => {
                let step = self.steps.get(no).filter(|step| step.succeeded() || step.stands_in)?;
                Some((text, step.outputs.get(NUMBER)?.clone()))
            }
        }
    }

    /// How it goes into `finally` now, and with which outputs (30, 63, 69).
    pub(crate) fn finishing(&self) -> (Outcome, IndexMap<String, Value>) {
        let (outcome, outputs) = self.finishing_alone();
        let below = self.part(true).any(|(_, _, step)| step.undone_below) && self.to_compensate(false).is_empty();
        let automatic = self.design.runbook.rollback.policy == RollbackPolicy::Automatic;
        match self.stage == Stage::Main && automatic && outcome != Outcome::Succeeded && below {
            true => (Outcome::RolledBack, IndexMap::new()),
            false => (outcome, outputs),
        }
    }

    /// The same without what child runs rolled back by themselves.
    fn finishing_alone(&self) -> (Outcome, IndexMap<String, Value>) {
        let outcome = self.finally_outcome();
        // 81
        if self.created.terms.dry {
            return (outcome, IndexMap::new());
        }
        // 103
        if let (Outcome::Succeeded, Some(items)) = (outcome, &self.design.items) {
            let of = |name: &String, step: &StepModel| {
                step.outputs.get(name).filter(|_| step.succeeded()).cloned().unwrap_or_default()
            };
            let list = |name: &String| (name.clone(), self.steps.iter().map(|step| of(name, step)).collect());
            return (outcome, items.outputs.iter().map(list).collect());
        }
        // 112
        if let (Outcome::Succeeded, Some((last, _))) = (outcome, self.repeated) {
            return (outcome, self.steps.get(last).map(|step| step.outputs.clone()).unwrap_or_default());
        }
        let (Outcome::Succeeded, Some((step, default))) = (outcome, self.design.output) else {
            return (outcome, IndexMap::new());
        };
        let left = self.steps.get(step).filter(|step| step.succeeded() || step.stands_in);
        let value = left.and_then(|step| step.outputs.get(NUMBER).cloned()).or(default.map(Value::from));
        match value {
            Some(value) => (outcome, IndexMap::from([(NUMBER.to_owned(), value)])),
            None => (Outcome::Failed, IndexMap::new()),
        }
    }
}

impl Model {
    /// Whether a fact that has to do with a child run follows; `None` where it has not.
    pub(super) fn follows_in_tree(&self, uid: RunUid, fact: &Fact) -> Option<Check> {
        if let Some(ended) = self.ends_circle(uid, fact).or_else(|| self.follows_pause(uid, fact)) {
            return Some(ended);
        }
        let run = self.runs.get(&uid);
        if let Some(follows) = run.and_then(|run| self.follows_in_rollback(run, fact)) {
            return Some(follows);
        }
        match (fact, run) {
            (Fact::Created(created), None) if created.parent.is_some() => Some(self.creation_follows(uid, created)),
            (Fact::ChildStarting { step, child, again }, Some(run)) => {
                Some(self.call_follows(run, step.index(), *child, *again))
            }
            (Fact::StepFailed { step, .. }, Some(run)) if run.is_callable(step.index()) => {
                Some(must(self.is_refused(run, step.index()), || "nothing fails it (67)".to_owned()))
            }
            (Fact::ChildEnded { step, child, outcome, outputs, left, then, .. }, Some(run)) => {
                Some(self.child_end_follows(run, step.index(), *child, (*outcome, *left), outputs, *then))
            }
            (Fact::ChildWaits { step, child, waits }, Some(run)) => {
                let waits_now = self.runs.get(child).map(RunModel::waits);
                let told = matches!(run.steps.get(step.index())?.status,
                    Status::Child { uid, waits: before } | Status::ChildRollback { uid, waits: before }
                        if uid == *child && before != *waits);
                Some(must(told && waits_now == Some(*waits), || "it says nothing new or true (75)".to_owned()))
            }
            (Fact::Resumed { epoch, .. }, Some(run)) if run.created.parent.is_some() => {
                let opened = run.is_terminal() && self.step_above(run) == Some(Status::Child { uid, waits: Waits::No });
                Some(must(opened && *epoch == run.epoch + 1, || "nothing opens it again (72)".to_owned()))
            }
            (Fact::Ending { cause: cause @ EndingCause::Cancel { .. } }, Some(run)) if run.created.parent.is_some() => {
                Some(must(self.ending_from_above(run).is_some_and(|above| is_same(&above, cause)), || {
                    format!("from above comes {:?} (70)", self.ending_from_above(run))
                }))
            }
            (Fact::Ending { cause: EndingCause::Timeout }, Some(run))
                if self.ending_from_above(run) == Some(EndingCause::Timeout) =>
            {
                Some(Ok(()))
            }
            _ => None,
        }
    }

    pub(super) fn step_above(&self, run: &RunModel) -> Option<Status> {
        let parent = run.created.parent?;
        Some(self.runs.get(&parent.run)?.steps.get(parent.step.index())?.status)
    }

    fn creation_follows(&self, uid: RunUid, created: &Created) -> Check {
        let parent = created.parent.ok_or("it has no parent")?;
        let above = self.run(parent.run)?;
        let no = parent.step.index();
        let started = above.steps.get(no).map(|step| step.status) == Some(Status::Child { uid, waits: Waits::No });
        must(started, || "the step above did not start it (66)".to_owned())?;
        let (_, design) = above.design.callee(no).ok_or("the step starts nothing")?;
        let inputs = above.given(no).ok_or("it would be refused (67)")?;
        let slot = inputs.get(SLOT).and_then(Value::as_str).unwrap_or_default();
        let tidies = above.created.parent.is_some_and(|parent| parent.tidies)
            || above.design.runbook.steps.get(no).is_some_and(|step| step.part == Part::Finally);
        let depth = above.created.parent.map_or(0, |parent| parent.depth) + 1;
        // 79
        let dry = above.created.terms.dry;
        let many = above.design.step_has_items(no) || above.design.repeat_of(no).is_some();
        let inside = many || above.design.step_is_block(no);
        let wanted = Created {
            number: above.created.number,
            runbook: design.runbook.name.clone(),
            definition: design.digest,
            group: design.group.as_ref().filter(|_| !dry).map(|name| name.rendered(slot, above.environment())),
            locks: if dry { Vec::new() } else { design.locks_of(slot, above.environment()) },
            inputs,
            // 148: what is inside a step reads what the run at the top was given; another runbook is not given it.
            sealed_inputs: if inside { above.created.sealed_inputs.clone() } else { Vec::new() },
            request_id: String::new(),
            request_digest: created.request_digest,
            // 114
            terms: Terms {
                dry,
                environment: above.created.terms.environment.clone(),
                // 139
                priority: above.created.terms.priority,
                ..Terms::default()
            },
            parent: Some(Parent { root: above.root(), run: above.uid, step: parent.step, depth, tidies }),
            slot: None,
            items: above.items(no),
            ..above.created.clone()
        };
        must(wanted == *created, || format!("it must be {wanted:?}"))
    }

    /// The child run that a step opens again (72).
    fn again(&self, run: &RunModel, no: usize) -> Option<RunUid> {
        let before = self.runs.get(&run.steps.get(no)?.child?)?;
        let ended_badly =
            matches!(before.stage, Stage::Terminal(Outcome::Failed | Outcome::Canceled | Outcome::RolledBack))
                && !before.steps.iter().any(|step| step.status == Status::Over(Over::RollbackFailed));
        let given = run.given(no).as_ref() == Some(&before.created.inputs) && run.items(no) == before.created.items;
        (ended_badly && given).then_some(before.uid)
    }

    /// Whether a step cannot start its child run (67).
    pub(super) fn is_refused(&self, run: &RunModel, no: usize) -> bool {
        let Some((_, design)) = run.design.callee(no) else { return false };
        let Some(inputs) = run.given(no) else { return true };
        let slot = inputs.get(SLOT).and_then(Value::as_str).unwrap_or_default();
        let skips = design.runbook.overlap() == Some(Overlap::Skip);
        let group = design.group.as_ref().filter(|_| !run.created.terms.dry);
        let group = group.map(|name| name.rendered(slot, run.environment()));
        // 97
        let on = |other: &&RunModel| !other.is_terminal() && other.begins.is_none();
        let busy =
            self.runs.values().filter(on).any(|other| other.root() != run.root() && other.created.group == group);
        skips && group.is_some() && busy && self.again(run, no).is_none()
    }

    fn call_follows(&self, run: &RunModel, no: usize, child: RunUid, again: bool) -> Check {
        must(run.is_callable(no) && !run.failure_ends(), || "it may not start now (66)".to_owned())?;
        must(self.is_free(run, no), || "it may not have its locks (94)".to_owned())?;
        must(!self.is_refused(run, no), || "the step must fail (67)".to_owned())?;
        match self.again(run, no) {
            Some(before) => must(again && before == child, || format!("it must open {before} again (72)")),
            None => must(!again && !self.runs.contains_key(&child), || "it must start a new run (72)".to_owned()),
        }
    }

    fn child_end_follows(
        &self,
        run: &RunModel,
        no: usize,
        child: RunUid,
        (outcome, told): (Outcome, Left),
        outputs: &IndexMap<String, Value>,
        then: Then,
    ) -> Check {
        let (_, step) = run.step(no)?;
        let status = step.status;
        let its = matches!(status, Status::Child { uid, .. } | Status::ChildRollback { uid, .. } if uid == child);
        must(its, || format!("the step is {status:?}"))?;
        let below = self.run(child)?;
        must(below.last_event > step.opened_at, || "nothing came of its child run (66, 72, 131)".to_owned())?;
        must(below.stage == Stage::Terminal(outcome), || format!("the child run is {:?} (68)", below.stage))?;
        let expected = self.end_of_child(status, outcome, told, below)?;
        must(then == expected, || format!("the step must be {expected:?} (68)"))?;
        let left = if outcome == Outcome::Succeeded { below.outputs.clone() } else { IndexMap::new() };
        must(left == *outputs, || format!("its outputs must be {left:?} (68)"))
    }

    /// How a child run must go to its end now for the run above (70).
    fn ending_from_above(&self, run: &RunModel) -> Option<EndingCause> {
        let above = self.run_above(run)?;
        if !above.hard() || !matches!(run.stage, Stage::Queued | Stage::Main) {
            return None;
        }
        let cause = match above.ending.clone()? {
            EndingCause::FailureCancel(_) => {
                EndingCause::Cancel { now: false, by: Principal::engine(), reason: String::new(), past: Vec::new() }
            }
            other => other,
        };
        let changes = match (&run.ending, &cause) {
            (Some(EndingCause::Cancel { now: before, .. }), EndingCause::Cancel { now, .. }) => *now && !before,
            (_, EndingCause::Cancel { .. }) => true,
            (None | Some(EndingCause::FailureStop(_)), _) => true,
            _ => false,
        };
        changes.then_some(cause)
    }

    /// Nothing of the trees is missing.
    pub(super) fn check_trees(&self) -> Check {
        for run in self.runs.values() {
            let told = |why: String| format!("run {}: {why}", run.uid);
            for (no, step) in run.steps.iter().enumerate() {
                must(!run.is_callable(no) || !self.is_free(run, no), || {
                    told(format!("step {no} does not start its child run (66)"))
                })?;
                if let Status::Child { uid, waits } = step.status {
                    let child = self.run(uid)?;
                    must(!child.is_terminal(), || told(format!("the child run of step {no} is over (68)")))?;
                    must(child.waits() == waits, || {
                        told(format!("the child run of step {no} waits: {:?}, not {waits:?} (75)", child.waits()))
                    })?;
                }
            }
            self.check_undone(run).map_err(told)?;
            self.check_held(run).map_err(told)?;
            must(self.ending_from_above(run).is_none(), || {
                told(format!("must end: {:?} (70)", self.ending_from_above(run)))
            })?;
        }
        self.check_circles()
    }
}

/// Whether two causes are the same but for words that the engine finds itself.
fn is_same(expected: &EndingCause, cause: &EndingCause) -> bool {
    match (expected, cause) {
        (
            EndingCause::Cancel { now, by, reason, .. },
            EndingCause::Cancel { now: told, by: teller, reason: words, past },
        ) => now == told && by == teller && (reason == words || *by == Principal::engine()) && past.is_empty(),
        _ => expected == cause,
    }
}
