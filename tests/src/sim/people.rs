//! Clients and the people behind them: they start runs, repeat themselves, cancel, resume, resolve; now and then what
//! is not possible.

use std::collections::BTreeSet;
use std::sync::Arc;

use indexmap::IndexMap;
use runbook_core::definition::{Priority, Settlement};
use runbook_core::id::{AttemptNo, Digest, RunUid, StepNo};
use runbook_core::machine::Batch;
use runbook_core::run::{AttemptEnd, Ballot, Begin, Edit, Fact, How, Input, Origin, Principal, Start, Terms, Then};
use runbook_core::selection::Selection;
use runbook_core::time::Span;
use serde_json::Value;

use super::design::{Design, ENVIRONMENTS, FIELD, ROLES, SLOT};
use super::edits;
use super::faults::Settings;
use super::model::{Ask, RunModel, Stage, Status, StepModel, to_confirm};
use super::outside;
use super::random::Random;
use super::world::{Happening, World};

/// A client that finds nobody comes back after this long, in microseconds.
const COMES_BACK: i64 = 5_000_000;

/// Somebody who wants a lock does so within this time, in microseconds: before the next try is due.
const TEMPTED: i64 = 900_000;

/// Of a hundred runs that are opened again, so many go on by an edited runbook.
const EDITS: u32 = 20;

/// What a client does.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// Wants a run.
    Start { book: usize, slot: &'static str, origin: Origin, request: Option<u64>, content: u64 },
    /// Does something to some run.
    Poke,
    /// Wants a lock of a run given up.
    Release(RunUid),
    /// Gives values to a run at the top.
    Provide(RunUid),
}

impl Deed {
    /// What clients do, and when.
    pub(crate) fn plan(random: &mut Random, settings: &Settings) -> Vec<(i64, Self)> {
        let mut deeds = Vec::new();
        for number in 0..settings.runs {
            let mut random = random.fork("start", number as u64);
            let start = Self::Start {
                book: random.below(settings.runbooks),
                slot: random.pick(["a", "b"]),
                origin: random.pick([Origin::Person, Origin::Api, Origin::Schedule]),
                request: random.percent(60).then_some(number as u64),
                content: number as u64,
            };
            let at = if random.percent(40) { 0 } else { random.between(0, settings.horizon) };
            if random.percent(25) {
                let mut again = start.clone();
                if let Self::Start { content, .. } = &mut again
                    && random.percent(30)
                {
                    *content += 1_000;
                }
                let later = if random.percent(30) { 0 } else { random.between(0, settings.horizon) };
                deeds.push((at + later, again));
            }
            deeds.push((at, start));
        }
        for number in 0..settings.pokes {
            let mut random = random.fork("poke", number as u64);
            deeds.push((random.between(0, settings.horizon), Self::Poke));
        }
        deeds
    }
}

impl World {
    pub(crate) fn act_out(&mut self, deed: Deed) {
        if self.daemon.is_none() {
            if matches!(deed, Deed::Start { .. }) {
                self.at(self.mono + COMES_BACK, Happening::Deed(Box::new(deed)));
            }
            return;
        }
        match &deed {
            Deed::Start { .. } => self.ask_start(&deed),
            Deed::Poke => {
                if let Some(ask) = self.poke() {
                    self.ask(ask);
                }
            }
            Deed::Provide(run) => {
                if let Some(ask) = self.providing(*run) {
                    self.ask(ask);
                }
            }
            Deed::Release(run) => {
                if let Some(input) = self.releasing(*run) {
                    let token = self.token(&deed);
                    self.ask(Ask::Run { token: Some(token), run: *run, input });
                }
            }
        }
    }

    fn ask_start(&mut self, deed: &Deed) {
        let Deed::Start { book, slot, origin, request, content } = deed else { return };
        let Some(design) = self.designs.get(*book).cloned() else { return };
        let uid = RunUid::from_bits((u128::from(self.random.next()) << 64) | u128::from(self.random.next()));
        let dry = self.random.percent(6);
        let selection = self.selection(&design);
        let pause_before = self.pause_before(&design);
        let begin = self.begin();
        let mut random = self.random.fork("priority", self.mono as u64);
        let priority =
            random.pick([None, None, None, Some(Priority::High), Some(Priority::Normal), Some(Priority::Low)]);
        let environment = self.environment();
        let given = self.given(&design);
        let (roles, overridden) = self.standing();
        let mut confirmed = to_confirm(&design, slot, &selection.left_out, |_| true);
        if self.random.percent(5) {
            confirmed.pop();
        }
        let start = Start {
            number: 0,
            pinned: self.pinned(&design, environment),
            inputs: IndexMap::from([(SLOT.to_owned(), Value::from(*slot))]),
            sealed_inputs: given,
            origin: *origin,
            by: self.principal(),
            roles,
            reason: String::new(),
            request_id: request.map(|number| format!("request {number}")).unwrap_or_default(),
            request_digest: Digest::of(&content.to_be_bytes()),
            commit: None,
            terms: Terms {
                confirmed,
                dry,
                selection,
                pause_before,
                environment: environment.map(str::to_owned),
                overridden,
                priority,
                begin,
                ..Terms::default()
            },
            parent: None,
            items: Vec::new(),
        };
        let (design, slot) = (Arc::clone(&design), (*slot).to_owned());
        let token = self.token(deed);
        self.ask(Ask::Start { token, uid, start: Box::new(start), design, slot });
    }

    /// The environment that somebody starts something in, most often none.
    fn environment(&mut self) -> Option<&'static str> {
        let at = self.random.fork("environment", self.mono as u64).below(6);
        ENVIRONMENTS.get(at).copied()
    }

    /// Which roles somebody has who starts something, and why that person overrides what protects an environment.
    fn standing(&mut self) -> (Vec<String>, Option<String>) {
        let mut random = self.random.fork("standing", self.mono as u64);
        let roles = ROLES.iter().filter(|_| random.percent(70)).map(|role| (*role).to_owned()).collect();
        (roles, random.percent(30).then(|| "it burns".to_owned()))
    }

    /// What of a runbook somebody leaves out, most often nothing.
    fn selection(&mut self, design: &Design) -> Selection {
        let mut selection = Selection::default();
        if !self.random.percent(8) {
            return selection;
        }
        let share = self.random.pick([5, 30, 80]);
        for (index, step) in design.runbook.steps.iter().enumerate() {
            if self.random.percent(share) {
                let no = StepNo(index as u32);
                selection.left_out.insert(no);
                if self.random.percent(50) && !step.outputs.is_empty() && step.approval().is_none() {
                    selection.outputs.insert(no, outside::outputs(&mut self.random, &step.outputs, 0));
                }
            }
        }
        selection
    }

    /// Main steps before which a run is paused, most often none.
    fn pause_before(&mut self, design: &Design) -> BTreeSet<StepNo> {
        let main = (0..design.runbook.steps.len()).filter(|no| design.is_main(*no));
        let main: Vec<usize> = if self.random.percent(7) { main.collect() } else { Vec::new() };
        main.into_iter().filter(|_| self.random.percent(20)).map(|no| StepNo(no as u32)).collect()
    }

    /// When a run begins, most often at once.
    fn begin(&mut self) -> Option<Begin> {
        let mut random = self.random.fork("begin", self.mono as u64);
        if !random.percent(7) {
            return None;
        }
        let after = Span(random.between(-COMES_BACK, self.settings.horizon / 4));
        self.seen.mark("run begins later");
        let at = self.wall() + after;
        Some(Begin { at, after: random.percent(50).then_some(after) })
    }

    /// A token for an answer, and what is asked for again when the daemon dies before it is given.
    fn token(&mut self, deed: &Deed) -> u64 {
        let Some(daemon) = &mut self.daemon else { return 0 };
        daemon.tokens += 1;
        daemon.waiting.insert(daemon.tokens, deed.clone());
        daemon.tokens
    }

    fn principal(&mut self) -> Principal {
        if self.random.percent(70) {
            Principal { name: "ann".to_owned(), uid: Some(1_000) }
        } else {
            Principal { name: "timer".to_owned(), uid: None }
        }
    }

    /// Something for some run, more often something possible.
    fn poke(&mut self) -> Option<Ask> {
        let runs: Vec<RunUid> = self.model.runs.keys().copied().collect();
        if runs.is_empty() || self.random.permille(20) {
            let nobody = RunUid::from_bits(u128::from(self.random.next()));
            let (by, reason) = (self.principal(), String::new());
            let input = Input::Cancel { now: false, by, reason, past: Vec::new() };
            let token = self.token(&Deed::Poke);
            return Some(Ask::Run { token: Some(token), run: nobody, input });
        }
        let uid = runs[self.random.below(runs.len())];
        let run = self.model.runs.get(&uid)?;
        let unknown: Vec<usize> = (0..run.steps.len())
            .filter(|no| run.steps.get(*no).is_some_and(|step| matches!(step.status, Status::Unknown { .. })))
            .chain(run.stuck().iter().copied())
            .collect();
        if self.random.fork("release", self.mono as u64).percent(60)
            && let Some(input) = self.releasing(uid)
        {
            let token = self.token(&Deed::Poke);
            return Some(Ask::Run { token: Some(token), run: uid, input });
        }
        if self.random.fork("provide", self.mono as u64).percent(15)
            && self.settings.rich.has_values()
            && let Some(ask) = self.providing(uid)
        {
            return Some(ask);
        }
        let run = self.model.runs.get(&uid)?;
        let named = run.no_way_back();
        let rolls = matches!(run.stage, Stage::RollingBack(_)) || run.asked.is_some();
        let terminal = run.is_terminal();
        let steps = run.steps.len();
        let asking = self.asking(uid);
        let held = run.is_held();
        let gated = run.gated_until().is_some();
        let what = match self.random.below(17) {
            16 => 7,
            _ if gated && self.random.percent(80) => 8,
            _ if held && self.random.percent(60) => 1,
            odd @ 0..=6 => odd,
            _ if !asking.is_empty() && self.random.percent(75) => 4,
            _ if rolls && self.random.percent(30) => 6,
            _ if terminal && self.random.percent(35) => 5,
            _ if !unknown.is_empty() && self.random.percent(75) => 2,
            _ if terminal => 1,
            _ => 0,
        };
        let by = self.principal();
        let reason = format!("reason {}", self.random.below(100));
        let past =
            if self.random.percent(60) { named.iter().map(|no| StepNo(*no as u32)).collect() } else { Vec::new() };
        let input = match what {
            0 => Input::Cancel { now: self.random.percent(30), by, reason, past },
            5 => Input::RollBack { by, reason, past },
            6 => Input::AbandonRollback { by, reason },
            1 => {
                let (mut confirmed, edited) = self.reopening(uid)?;
                if self.random.percent(10) {
                    confirmed.pop();
                }
                Input::Resume { by, reason, confirmed, edited }
            }
            2 => {
                let step = if unknown.is_empty() {
                    self.random.below(steps + 1)
                } else {
                    unknown[self.random.below(unknown.len())]
                };
                let settlement = self.random.pick([
                    Settlement::Succeeded,
                    Settlement::Failed,
                    Settlement::Retry,
                    Settlement::Skipped,
                ]);
                let declared =
                    self.model.runs.get(&uid)?.design.runbook.steps.get(step).map(|step| step.outputs.clone());
                let mut outputs = IndexMap::new();
                if settlement == Settlement::Succeeded {
                    outputs = outside::outputs(&mut self.random, &declared.unwrap_or_default(), 20);
                }
                Input::Resolve { step: StepNo(step as u32), settlement, outputs, by, reason }
            }
            4 => {
                let step = if asking.is_empty() || self.random.percent(10) {
                    self.random.below(steps)
                } else {
                    asking[self.random.below(asking.len())]
                };
                let uid = self.random.pick([None, Some(1_000), Some(1_001), Some(1_002)]);
                let roles = if self.random.percent(60) { self.random.below(ROLES.len() + 1) } else { 0 };
                let text = self.random.pick(["a", "b"]);
                let field = if self.random.percent(10) { "none" } else { FIELD };
                let filled = self.random.percent(50);
                let ballot = Ballot {
                    approve: self.random.percent(80),
                    fields: filled.then(|| (field.to_owned(), Value::from(text))).into_iter().collect(),
                    roles: ROLES.iter().take(roles).map(ToString::to_string).collect(),
                    by: Principal { name: format!("{uid:?}"), uid },
                    reason,
                };
                Input::Decide { step: StepNo(step as u32), ballot: Box::new(ballot) }
            }
            7 => Input::Pause { by, reason },
            8 => {
                let uid = self.random.pick([None, Some(1_000), Some(1_001), Some(1_002)]);
                let roles = if self.random.percent(80) { ROLES.len() } else { self.random.below(ROLES.len()) };
                let ballot = Ballot {
                    approve: self.random.percent(85),
                    fields: IndexMap::new(),
                    roles: ROLES.iter().take(roles).map(ToString::to_string).collect(),
                    by: Principal { name: format!("{uid:?}"), uid },
                    reason,
                };
                Input::DecideStart { ballot: Box::new(ballot) }
            }
            // The end of an attempt that nobody started, or that ended long ago.
            _ => {
                let step = self.random.below(steps);
                let latest = self.model.runs.get(&uid)?.steps.get(step).map_or(0, |step| step.latest);
                let live = matches!(
                    self.model.runs.get(&uid)?.steps.get(step)?.status,
                    Status::Live(..) | Status::Unknown { .. }
                );
                let attempt = if live { latest + 1 } else { self.random.below(latest as usize + 2) as u32 };
                let end = Box::new(AttemptEnd::bare(How::Exited(0)));
                let chance = self.random.next() as u32;
                let input = Input::Verdict { step: StepNo(step as u32), attempt: AttemptNo(attempt), end, chance };
                return Some(Ask::Run { token: None, run: uid, input });
            }
        };
        let token = self.token(&Deed::Poke);
        Some(Ask::Run { token: Some(token), run: uid, input })
    }

    /// What follows an attempt of a step with locks is not due at once: somebody may want these before.
    pub(crate) fn tempt(&mut self, batch: &Batch) {
        for (uid, event) in &batch.events {
            let Fact::AttemptEnded { step, then, .. } = &event.fact else { continue };
            let waits = matches!(
                then,
                Then::VerifyAt(_) | Then::OnCancelAt(_) | Then::RollbackAt(_) | Then::RollbackFailed | Then::Unknown
            );
            let run = self.model.runs.get(uid);
            let locked = run.and_then(|run| run.steps.get(step.index())).is_some_and(|step| step.locked);
            let mut random = self.random.fork("tempted", event.number);
            if waits && locked && random.percent(40) {
                let at = self.mono + random.between(0, TEMPTED);
                self.at(at, Happening::Deed(Box::new(Deed::Release(*uid))));
            }
        }
    }

    /// Somebody wants a lock of a run given up, where a step has one; now and then one that nobody has.
    fn releasing(&mut self, uid: RunUid) -> Option<Input> {
        let mut random = self.random.fork("what is released", self.mono as u64);
        let run = self.model.runs.get(&uid)?;
        let names: Vec<(usize, &String)> = run
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| step.locked)
            .flat_map(|(no, step)| step.locks.iter().map(move |name| (no, name)))
            .collect();
        let idle: Vec<(usize, &String)> = names.iter().copied().filter(|(no, name)| run.gives_up(*no, name)).collect();
        let from = if idle.is_empty() || random.percent(15) { names } else { idle };
        if from.is_empty() {
            return None;
        }
        let (no, name) = from[random.below(from.len())];
        let step = (!random.percent(5)).then_some(StepNo(no as u32));
        let name = if random.percent(5) { "no lock".to_owned() } else { name.clone() };
        self.seen.mark("lock released by hand");
        let by = Principal { name: "ann".to_owned(), uid: Some(1_000) };
        Some(Input::ReleaseLocks { step, name, by, reason: "nothing writes there".to_owned() })
    }

    /// The steps of a run that wait for persons.
    pub(crate) fn asking(&self, run: RunUid) -> Vec<usize> {
        let steps = self.model.runs.get(&run).map_or(&[][..], |run| &run.steps);
        let asking = |step: &StepModel| matches!(step.status, Status::Asking { .. });
        steps.iter().enumerate().filter(|(_, step)| asking(step)).map(|(no, _)| no).collect()
    }

    /// A person who may decides about an approval.
    pub(crate) fn decide(&mut self, run: RunUid, step: usize) -> Ask {
        let known = self.model.runs.get(&run).and_then(|run| Some((run.steps.get(step)?, run.approval(step).ok()?)));
        let (before, given, fields) = known.map_or((0, None, None), |(model, approval)| {
            let given = model.approved.iter().find_map(|(_, fields)| fields.get(FIELD)).cloned();
            (model.approved.len() as u32, given, approval.fields.get(FIELD))
        });
        let value = fields.map(|_| (FIELD.to_owned(), given.unwrap_or_else(|| Value::from("a"))));
        let ballot = Ballot {
            approve: self.random.percent(80),
            fields: value.into_iter().collect(),
            roles: ROLES.iter().map(ToString::to_string).collect(),
            by: Principal { name: "approver".to_owned(), uid: Some(2_000 + before) },
            reason: "seen".to_owned(),
        };
        Ask::Run { token: None, run, input: Input::Decide { step: StepNo(step as u32), ballot: Box::new(ballot) } }
    }

    /// A person settles a failed compensation, or gives the rollback up.
    pub(crate) fn settle_stuck(&mut self, run: RunUid, step: usize) -> Ask {
        let by = Principal { name: "ann".to_owned(), uid: Some(1_000) };
        let reason = "seen".to_owned();
        let settlement = self.random.pick([Settlement::Retry, Settlement::Succeeded, Settlement::Skipped]);
        // A child run goes with its tree.
        let top = self.model.runs.get(&run).map_or(run, RunModel::root);
        // That something below is stuck is rare enough.
        let ways = if top == run { 6 } else { 3 };
        let (run, input) = match self.random.below(ways) {
            0 => (top, Input::AbandonRollback { by, reason }),
            1 => (top, Input::Resume { by, reason, confirmed: Vec::new(), edited: None }),
            _ => (run, Input::Resolve { step: StepNo(step as u32), settlement, outputs: IndexMap::new(), by, reason }),
        };
        Ask::Run { token: None, run, input }
    }

    /// What a person says who opens a run again, and by which edited runbook, where there is one.
    fn reopening(&mut self, uid: RunUid) -> Option<(Vec<String>, Option<Box<Edit>>)> {
        let run = self.model.runs.get(&uid)?;
        if !run.is_terminal() || run.design.runbook.steps.is_empty() || !self.random.percent(EDITS) {
            return Some((run.to_confirm_again(), None));
        }
        let after = Arc::new(edits::edited(&mut self.random, &run.design));
        let confirmed = run.to_confirm_for(&after);
        let edit = edits::told(self.pinned(&after, run.environment()));
        self.model.runs.get_mut(&uid)?.offer(after);
        Some((confirmed, Some(edit)))
    }

    /// A person comes back to a run that did not succeed: resumes it, or rolls it back.
    pub(crate) fn come_back(&mut self, uid: RunUid, resumes: bool) -> Option<Ask> {
        let run = self.model.runs.get(&uid)?;
        let past = run.no_way_back().into_iter().map(|no| StepNo(no as u32)).collect();
        let by = Principal { name: "ann".to_owned(), uid: Some(1_000) };
        let reason = "back".to_owned();
        let input = if resumes {
            let (confirmed, edited) = self.reopening(uid)?;
            Input::Resume { by, reason, confirmed, edited }
        } else {
            Input::RollBack { by, reason, past }
        };
        // What is over is out of memory: only somebody who waits for an answer has it loaded.
        let token = self.token(&Deed::Poke);
        Some(Ask::Run { token: Some(token), run: uid, input })
    }

    /// A person lets a run go on.
    pub(crate) fn let_go_on(&self, run: RunUid) -> Ask {
        let by = Principal { name: "ann".to_owned(), uid: Some(1_000) };
        let input = Input::Resume { by, reason: "seen".to_owned(), confirmed: Vec::new(), edited: None };
        Ask::Run { token: None, run, input }
    }

    /// A person knows what became of an unknown step.
    pub(crate) fn settle(&mut self, run: RunUid, step: usize) -> Ask {
        let declared = self.model.runs.get(&run).and_then(|run| run.design.runbook.steps.get(step));
        let declared = declared.map(|step| step.outputs.clone()).unwrap_or_default();
        let succeeded = self.random.percent(40);
        let settlement = if succeeded { Settlement::Succeeded } else { Settlement::Failed };
        let outputs = if succeeded { outside::outputs(&mut self.random, &declared, 0) } else { IndexMap::new() };
        let by = Principal { name: "ann".to_owned(), uid: Some(1_000) };
        let input = Input::Resolve { step: StepNo(step as u32), settlement, outputs, by, reason: "seen".to_owned() };
        Ask::Run { token: None, run, input }
    }
}
