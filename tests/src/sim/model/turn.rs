//! A turn of the engine as the model sees it: every event must be asked for or follow, everything asked must be
//! answered, and afterwards nothing may be missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use runbook_core::definition::Settlement;
use runbook_core::definition::instance_ids;
use runbook_core::id::RunUid;
use runbook_core::machine::{Batch, Reply};
use runbook_core::run::{AfterVote, AttemptKind, Created, EndingCause, Event, Fact, Input, Outcome, Rejection, Then};
use runbook_core::schedule::{ScheduleName, SlotOf};
use runbook_core::time::{Span, Timestamp};

use super::super::design::{Design, SLOT};
use super::ask::{Answer, Ask};
use super::confirm::to_confirm;
use super::gate::is_asked_about;
use super::places::{Line, Rank};
use super::run::RunModel;
use super::schedules::{Expected, PreparedModel, ScheduleModel};
use super::withheld::is_provision;
use super::{Check, must};

/// All runs that ever were.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) places: usize,
    pub(crate) boot: String,
    /// What the engine takes for now.
    pub(crate) now: Timestamp,
    pub(crate) runs: BTreeMap<RunUid, RunModel>,
    pub(crate) events_seen: u64,
    /// How many places each pool has, and had at most.
    pub(crate) pools: BTreeMap<String, usize>,
    pub(crate) most_in_pools: BTreeMap<String, usize>,
    pub(crate) last_start: BTreeMap<Line, u64>,
    /// Since when, counted in events, and as what somebody waits for a place.
    pub(crate) waits: BTreeMap<Line, (u64, Rank)>,
    pub(crate) schedules: BTreeMap<ScheduleName, ScheduleModel>,
    /// The inputs whose values are in the daemon's memory, by the run at the top (148).
    pub(crate) given: BTreeSet<(RunUid, String)>,
    /// What has to be noted in the turn that is followed.
    pub(super) expected: Expected,
}

/// What a turn has been asked, as far as its events have been followed.
struct Asked<'a> {
    asks: Vec<&'a Ask>,
    next: usize,
    answers: Vec<(u64, Answer, RunUid)>,
}

impl Model {
    pub(crate) fn new(places: usize) -> Self {
        Self {
            places,
            boot: String::new(),
            now: Timestamp(i64::MIN),
            runs: BTreeMap::new(),
            events_seen: 0,
            pools: BTreeMap::new(),
            most_in_pools: BTreeMap::new(),
            last_start: BTreeMap::new(),
            waits: BTreeMap::new(),
            schedules: BTreeMap::new(),
            given: BTreeSet::new(),
            expected: Expected::default(),
        }
    }

    pub(crate) fn run(&self, uid: RunUid) -> Result<&RunModel, String> {
        self.runs.get(&uid).ok_or_else(|| format!("there is no run {uid}"))
    }

    /// The engine was started anew: it knows the time afresh, and turns begin anew.
    pub(crate) fn restarted(&mut self, boot: &str, now: Timestamp, pools: BTreeMap<String, usize>) {
        boot.clone_into(&mut self.boot);
        self.now = now;
        self.waits.clear();
        self.given.clear();
        for (pool, places) in &pools {
            let most = self.most_in_pools.entry(pool.clone()).or_default();
            *most = (*most).max(*places);
        }
        self.pools = pools;
        self.last_start.clear();
        self.schedules.values_mut().for_each(ScheduleModel::forget);
    }

    /// Follows a turn whose batch is durable.
    pub(crate) fn follow(&mut self, now: Timestamp, asks: &[Ask], batch: &Batch) -> Check {
        let shift = asks.iter().find_map(|ask| match ask {
            Ask::Clock(by) => Some(*by),
            Ask::Start { .. }
            | Ask::Run { .. }
            | Ask::Folder(_)
            | Ask::Slot(_)
            | Ask::CatchUp { .. }
            | Ask::Pause { .. } => None,
        });
        // Time goes on, unless the clock is known to have been set.
        self.now = if shift.is_some() { now } else { now.max(self.now) };
        let mut to_shift: BTreeSet<RunUid> = BTreeSet::new();
        if shift.is_some() {
            to_shift.extend(self.runs.values().filter(|run| run.has_times()).map(|run| run.uid));
        }
        for uid in self.runs.keys().copied().collect::<Vec<_>>() {
            self.note_waiting(uid);
        }
        self.expected = Expected::default();
        let mut asked = Asked { asks: asks.iter().collect(), next: 0, answers: Vec::new() };
        for (place, (uid, event)) in batch.events.iter().enumerate() {
            let mut before = batch.events.iter().take(place).filter(|(other, _)| other == uid);
            let first = before.all(|(_, event)| matches!(event.fact, Fact::DeadlinesShifted { .. }));
            self.follow_event(*uid, event, shift.filter(|_| first), &mut asked)
                .map_err(|why| format!("run {uid}, event {} {}: {why}", event.number, event.fact.kind()))?;
            to_shift.remove(uid);
        }
        must(to_shift.is_empty(), || format!("the clock was set, and times of runs {to_shift:?} did not move (37)"))?;
        self.hear_rest(&mut asked)?;
        self.follow_schedules(batch)?;
        self.check_replies(&asked.answers, batch)?;
        check_lists(batch)?;
        for run in self.runs.values() {
            run.overdue(self.now).map_err(|why| format!("run {}: {why}", run.uid))?;
            must(!self.is_admissible(run), || format!("run {} is not admitted, and nothing holds it (1)", run.uid))?;
        }
        self.check_trees()?;
        self.check_places_given()?;
        let next = self.runs.values().filter_map(|run| run.next_time(self.now));
        let next = next.chain(self.next_slot().map(Timestamp)).min();
        must(next.is_none() || batch.wake.is_some_and(|wake| Some(wake) <= next), || {
            format!("something is due at {next:?}, the engine wants to be called at {:?}", batch.wake)
        })
    }

    /// Takes all that is left of what was asked: nothing came of it.
    fn hear_rest(&mut self, asked: &mut Asked<'_>) -> Check {
        while asked.next < asked.asks.len() {
            let answer = self.skip(asked);
            must(answer != Answer::Accepted, || format!("nothing came of {:?}", asked.asks.get(asked.next - 1)))?;
        }
        Ok(())
    }

    /// Takes the next thing asked without an event of its own.
    fn skip(&mut self, asked: &mut Asked<'_>) -> Answer {
        let Some(ask) = asked.asks.get(asked.next) else { return Answer::Nothing };
        asked.next += 1;
        let mut answer = self.answer(ask);
        match ask {
            Ask::Folder(folder) => self.hear_folder(folder),
            Ask::Slot(prepared) => answer = self.hear_prepared(prepared),
            Ask::Pause { schedule, pause, by, reason, .. } => self.hear_pause(schedule, *pause, by, reason),
            Ask::Start { token, uid, .. } => asked.answers.push((*token, answer, *uid)),
            Ask::CatchUp { token, asked: caught, .. } => {
                asked.answers.push((*token, answer, caught.uid));
                if answer == Answer::Accepted {
                    self.hear_caught_up(caught);
                }
            }
            Ask::Run { token, run, input } => {
                asked.answers.extend(token.map(|token| (token, answer, *run)));
                if let (Input::Provide(provision), Answer::Accepted) = (input, answer) {
                    self.hear_provision(*run, provision);
                }
                if let (Input::Resume { .. }, Answer::Accepted, Some(run)) = (input, answer, self.runs.get(run)) {
                    let tries = self.stuck_below(run);
                    self.expected.tries.extend(tries);
                }
            }
            Ask::Clock(_) => {}
        }
        answer
    }

    fn follow_event(&mut self, uid: RunUid, event: &Event, shift: Option<Span>, asked: &mut Asked<'_>) -> Check {
        let known = self.runs.get(&uid);
        let above = event.fact.parent().and_then(|parent| self.runs.get(&parent.run));
        let (last, last_at) =
            known.map_or((0, above.map_or(self.now, |run| run.last_at)), |run| (run.last_event, run.last_at));
        must(event.number == last + 1, || format!("the event before is {last}"))?;
        // 38
        must(event.at == self.now.max(last_at), || format!("its time is {}, now is {} (38)", event.at, self.now))?;
        if let Fact::DeadlinesShifted { by } = &event.fact {
            must(Some(*by) == shift, || format!("the clock was not set by {by}, or too late (37)"))?;
        } else if self.tries_again(uid, &event.fact, asked) {
            // One resume, and several compensations that are tried again (61).
        } else if self.is_provided_below(uid, &event.fact) {
            // The run at the top was given it (149).
        } else if let Some(followed) = self.follows_in_tree(uid, &event.fact) {
            followed?;
            if let (Fact::Created(created), Some(parent)) = (&event.fact, event.fact.parent()) {
                let above = self.run(parent.run)?;
                let design = above.design.callee(parent.step.index()).map(|(_, design)| Arc::clone(design));
                let mut design = design.ok_or("the step starts no runbook")?;
                if design.items.is_some() {
                    design = Arc::new(design.for_items(instance_ids(&created.items)));
                } else if let Some(repeat) = &design.repeat {
                    design = Arc::new(design.for_items(repeat.ids()));
                }
                // 38: time goes on from a run to what it starts.
                self.runs.insert(uid, RunModel::new(uid, design, (**created).clone(), event.at));
            }
        } else if let Fact::Ending { cause: EndingCause::Cancel { now: false, by, reason, .. } } = &event.fact
            && let Some(place) = self.expected.cancels.iter().position(|(run, _)| *run == uid)
        {
            let (_, who) = self.expected.cancels.remove(place);
            must(*by == who && reason.starts_with("replaced by run "), || format!("it is for {who:?} (23, 91)"))?;
        } else if let Fact::Ending { cause: EndingCause::Cancel { now: false, by, .. } } = &event.fact
            && self.closes(uid, by)
        {
            // Its start was rejected, or not approved in time (116).
        } else if is_asked_for(&event.fact) {
            let ask = loop {
                let answer = self.skip(asked);
                match (asked.asks.get(asked.next.wrapping_sub(1)), answer) {
                    (Some(ask), Answer::Accepted) => break *ask,
                    _ if asked.next >= asked.asks.len() => return Err("nobody asked for it".to_owned()),
                    _ => {}
                }
            };
            self.fits(uid, event, ask)?;
        } else {
            if matches!(event.fact, Fact::Admitted { .. } | Fact::AttemptStarting { .. }) {
                // What was asked has all been heard before anything is given out.
                self.hear_rest(asked)?;
            }
            let run = self.run(uid)?;
            match &event.fact {
                Fact::Admitted { deadline } => self.admission_follows(run, *deadline)?,
                Fact::AttemptStarting { step, attempt, kind, boot } => {
                    run.follows(&event.fact, self.now)?;
                    self.start_follows(run, step.index(), attempt.0, *kind, boot)?;
                }
                fact => run.follows(fact, self.now)?,
            }
        }
        if let Fact::Finished { outcome: Outcome::Succeeded } = &event.fact {
            self.hear_success(uid);
        }
        self.events_seen += 1;
        self.remember(uid, &event.fact);
        if let Some(run) = self.runs.get_mut(&uid) {
            run.take(event);
        }
        if let Fact::ChildStarting { step, child, .. } | Fact::ChildRollingBack { step, child } = &event.fact {
            let opened_at = self.runs.get(child).map_or(0, |child| child.last_event);
            let run = self.runs.get_mut(&uid);
            if let Some(step) = run.and_then(|run| run.steps.get_mut(step.index())) {
                step.opened_at = opened_at;
            }
        }
        if let Fact::AttemptStarting { step, .. } = event.fact {
            let line = (uid, self.runs.get(&uid).and_then(|run| run.pool(step.index())));
            self.waits.remove(&line);
            self.last_start.insert(line, self.events_seen);
        }
        self.note_waiting(uid);
        Ok(())
    }

    /// Whether a fact is one more of those that the latest thing asked led to: a resume of a rollback that is stuck.
    fn tries_again(&mut self, uid: RunUid, fact: &Fact, asked: &Asked<'_>) -> bool {
        let latest = asked.asks.get(asked.next.wrapping_sub(1));
        let (Some(Ask::Run { run, input: Input::Resume { by: who, reason: why, .. }, .. }), Some(model)) =
            (latest, self.runs.get(&uid))
        else {
            return false;
        };
        let Fact::Resolved { step, settlement: Settlement::Retry, by, reason, .. } = fact else { return false };
        let right = by == who && reason == why && model.stuck().contains(&step.index()) && model.root() == *run;
        right && self.expected.tries.remove(&(uid, step.index()))
    }

    /// Whether an event is what was asked for.
    fn fits(&mut self, uid: RunUid, event: &Event, ask: &Ask) -> Check {
        let other = || Err(format!("asked was {ask:?}"));
        match (&event.fact, ask) {
            (Fact::Created(created), Ask::Start { uid: wanted, start, design, slot, .. }) => {
                must(uid == *wanted, || format!("asked was run {wanted}"))?;
                self.check_created(created, start, design, slot)?;
                let replaced = self.replaced(created, design);
                self.expected.cancels.extend(replaced.into_iter().map(|run| (run, start.by.clone())));
                must(created.slot.is_none(), || "it is for no slot".to_owned())?;
                let run = RunModel::new(uid, Arc::clone(design), (**created).clone(), event.at);
                self.runs.insert(uid, run);
                Ok(())
            }
            (Fact::Created(created), Ask::Slot(prepared) | Ask::CatchUp { asked: prepared, .. }) => {
                let PreparedModel { schedule, slot, uid: wanted, start, design, input } = &**prepared;
                let start = start.as_ref().ok_or("nothing was prepared")?;
                must(uid == *wanted, || format!("asked was run {wanted}"))?;
                self.check_created(created, start, design, input)?;
                let of = SlotOf { schedule: schedule.clone(), at: Timestamp(*slot) };
                must(created.slot.as_ref() == Some(&of), || format!("it is for {of:?}"))?;
                let run = RunModel::new(uid, Arc::clone(design), (**created).clone(), event.at);
                self.runs.insert(uid, run);
                Ok(())
            }
            // 133
            (
                Fact::Resolved { step, settlement: Settlement::Retry, by, reason, .. },
                Ask::Run { input: Input::Resume { by: who, reason: why, .. }, .. },
            ) if by == who && reason == why => {
                let stuck = self.expected.tries.remove(&(uid, step.index()));
                must(stuck, || "its compensation did not fail (61)".to_owned())
            }
            (fact, Ask::Run { run, input: input @ Input::Withheld { .. }, .. }) if *run == uid => {
                self.run(uid)?.withheld_follows(fact, input)
            }
            (fact, Ask::Run { run, input: input @ (Input::Provide(_) | Input::Available(_)), .. }) if *run == uid => {
                is_provision(self.run(uid)?, fact, input)
            }
            (fact, Ask::Run { run, input, .. }) if *run == uid => match (fact, input) {
                (
                    Fact::AttemptEnded { step, attempt, end, then },
                    Input::Verdict { step: wanted, attempt: number, end: given, .. },
                ) if step == wanted && attempt == number => {
                    let run = self.run(uid)?;
                    let kind = run.kind_of(step.index(), attempt.0).unwrap_or(AttemptKind::Run);
                    let expected = run.expected(step.index(), attempt.0, kind, given, self.now)?;
                    must(end.how == expected.how, || {
                        format!("it counts as {:?}, must be {:?}", end.how, expected.how)
                    })?;
                    let mut outputs = given.outputs.clone();
                    if *then == Then::Succeeded {
                        // 15, 21: what nobody declared is left out.
                        let (step, _) = run.step(step.index())?;
                        outputs.retain(|key, _| step.outputs.contains_key(key));
                    }
                    must(end.outputs == outputs && end.artifacts == given.artifacts, || {
                        format!("what it wrote was changed: {:?}, must be {outputs:?}", end.outputs)
                    })?;
                    must(expected.then.allows(*then), || {
                        format!(
                            "{kind:?} of step {} ended {:?}; then {then:?}, must be {:?}",
                            step.index(),
                            end.how,
                            expected.then
                        )
                    })
                }
                (
                    Fact::Ending { cause: EndingCause::Cancel { now, by, reason, past } },
                    Input::Cancel { now: wanted, by: who, reason: why, past: named },
                ) if now == wanted && by == who && reason == why && past == named => Ok(()),
                (Fact::RollbackAsked { by, reason, past }, Input::RollBack { by: who, reason: why, past: named })
                    if by == who && reason == why && past == named =>
                {
                    Ok(())
                }
                (Fact::RollbackAbandoned { by, reason }, Input::AbandonRollback { by: who, reason: why })
                    if by == who && reason == why =>
                {
                    Ok(())
                }
                (
                    Fact::Resumed { epoch, by, reason, confirmed, edited },
                    Input::Resume { by: who, reason: why, confirmed: named, edited: edit },
                ) if by == who && reason == why => {
                    let before = self.run(uid)?.epoch;
                    must(*epoch == before + 1, || format!("the epoch before is {before} (36)"))?;
                    let names = sorted(confirmed);
                    let run = self.run(uid)?;
                    let wanted = match (edited, edit) {
                        (Some(edited), Some(edit)) if edited.definition == edit.pinned.digest => {
                            run.edit_follows(edited)?;
                            run.offered(edited.definition).map_or_else(Vec::new, |after| run.to_confirm_for(after))
                        }
                        (None, None) => run.to_confirm_again(),
                        _ => return Err("it goes on by another runbook than was asked for".to_owned()),
                    };
                    must(names == wanted, || format!("it says that {names:?} is confirmed (55)"))?;
                    must(names.iter().all(|name| named.contains(name)), || "nobody confirmed it (55)".to_owned())
                }
                (Fact::Paused { before: None, by, reason }, Input::Pause { by: who, reason: why })
                | (Fact::Continued { by, reason }, Input::Resume { by: who, reason: why, .. })
                    if by == who && reason == why =>
                {
                    Ok(())
                }
                (
                    Fact::LocksReleased { step, by, reason },
                    Input::ReleaseLocks { step: Some(no), by: who, reason: why, .. },
                ) if (step, by, reason) == (no, who, why) => Ok(()),
                (
                    Fact::Resolved { step, settlement, outputs, by, reason },
                    Input::Resolve { step: no, settlement: wanted, outputs: given, by: who, reason: why },
                ) if (step, settlement, by, reason) == (no, wanted, who, why) => {
                    let kept = if self.run(uid)?.stuck().contains(&step.index()) {
                        outputs.is_empty()
                    } else {
                        outputs == given
                    };
                    must(kept, || "its outputs were changed".to_owned())
                }
                (
                    Fact::ApprovalGiven { step, approve, fields, by, reason, then, outputs },
                    Input::Decide { step: no, ballot },
                ) if step == no && *approve == ballot.approve && *by == ballot.by && *reason == ballot.reason => {
                    must(*fields == ballot.fields, || "what was filled in was changed".to_owned())?;
                    let expected = self.run(uid)?.after_vote(step.index(), ballot)?;
                    must(*then == expected, || format!("then {then:?}, must be {expected:?} (50)"))?;
                    let given = outputs.contains_key("decision") && outputs.contains_key("approvers");
                    must(given == (*then == AfterVote::Succeeded), || format!("its outputs are {outputs:?} (52)"))?;
                    must(!self.run(uid)?.tells_secret(step.index(), outputs)?, || {
                        "a secret is an output (147)".to_owned()
                    })
                }
                (Fact::StartDecided { approve, by, reason, then }, Input::DecideStart { ballot })
                    if *approve == ballot.approve && *by == ballot.by && *reason == ballot.reason =>
                {
                    let expected = self.run(uid)?.after_start_vote(ballot);
                    must(*then == expected, || format!("then {then:?}, must be {expected:?} (116)"))
                }
                _ => other(),
            },
            _ => other(),
        }
    }

    fn check_created(&self, created: &Created, start: &runbook_core::run::Start, design: &Design, slot: &str) -> Check {
        let highest = self
            .runs
            .values()
            .filter(|run| run.created.parent.is_none())
            .map(|run| run.created.number)
            .max()
            .unwrap_or(0);
        must(created.number > highest, || format!("its number is {}, there was {highest}", created.number))?;
        let names = sorted(&created.terms.confirmed);
        let dry = start.terms.dry;
        let destroys =
            if dry { Vec::new() } else { to_confirm(design, slot, &start.terms.selection.left_out, |_| true) };
        self.check_asks(created, start, &destroys)?;
        // 117
        let expected = if is_asked_about(start) { Vec::new() } else { destroys };
        let same = created.terms.dry == dry
            && created.terms.begin == start.terms.begin
            && created.terms.priority == start.terms.priority.or(design.runbook.priority)
            && created.terms.selection == start.terms.selection;
        must(names == expected && same, || format!("it says that {names:?} is confirmed (54)"))?;
        // 78, 114
        let environment = start.terms.environment.as_deref();
        let group = design.group.as_ref().filter(|_| !dry).map(|name| name.rendered(slot, environment));
        let locks = if dry { Vec::new() } else { design.locks_of(slot, environment) };
        let same = created.locks == locks
            && created.terms.environment == start.terms.environment
            && created.terms.overridden == self.overridden(start)
            && created.group == group
            && created.origin == start.origin
            && created.request_id == start.request_id
            && created.request_digest == start.request_digest
            && created.inputs.get(SLOT).and_then(|value| value.as_str()) == Some(slot);
        must(same, || format!("it does not hold what was asked: {created:?}"))
    }

    fn check_replies(&self, answers: &[(u64, Answer, RunUid)], batch: &Batch) -> Check {
        must(answers.len() == batch.replies.len(), || format!("{} answers to {}", batch.replies.len(), answers.len()))?;
        for ((token, answer, uid), (replied, reply)) in answers.iter().zip(&batch.replies) {
            must(token == replied, || "an answer is for somebody else".to_owned())?;
            let run = match answer {
                Answer::Repeated(known) => self.runs.get(known),
                Answer::Accepted | Answer::Refused | Answer::Nothing => self.runs.get(uid),
            };
            let good = match (answer, reply) {
                (Answer::Refused, Err(_)) => true,
                (Answer::Accepted | Answer::Repeated(_), Ok(reply)) => {
                    run.is_some_and(|run| is_right(reply, run))
                        && reply.repeated == matches!(answer, Answer::Repeated(_))
                }
                (Answer::Nothing, Err(Rejection::NoSuchRun { .. })) => true,
                (Answer::Nothing, Ok(_)) => true,
                (Answer::Refused, Ok(_)) | (Answer::Accepted | Answer::Repeated(_) | Answer::Nothing, Err(_)) => false,
            };
            must(good, || format!("run {uid}: the answer must be {answer:?}, was {reply:?}"))?;
        }
        Ok(())
    }
}

fn sorted(names: &[String]) -> Vec<String> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

fn is_right(reply: &Reply, run: &RunModel) -> bool {
    reply.run == run.uid
        && reply.number == run.created.number
        && reply.last_event >= 1
        && reply.last_event <= run.last_event
}

/// Whether somebody outside must have asked for a fact.
fn is_asked_for(fact: &Fact) -> bool {
    match fact {
        Fact::Created(_)
        | Fact::AttemptEnded { .. }
        | Fact::Resumed { .. }
        | Fact::ApprovalGiven { .. }
        | Fact::StartDecided { .. }
        | Fact::RollbackAsked { .. }
        | Fact::LocksReleased { .. }
        | Fact::Withheld { .. }
        | Fact::Provided { .. }
        | Fact::RollbackAbandoned { .. } => true,
        Fact::Continued { .. } => true,
        Fact::Paused { before, .. } => before.is_none(),
        Fact::Ending { cause } => matches!(cause, EndingCause::Cancel { .. }),
        Fact::Resolved { by, .. } => *by != runbook_core::run::Principal::engine(),
        Fact::Due
        | Fact::Admitted { .. }
        | Fact::StepReady { .. }
        | Fact::StepSkipped { .. }
        | Fact::StepFailed { .. }
        | Fact::WaitBegan { .. }
        | Fact::WaitEnded { .. }
        | Fact::ApprovalAsked { .. }
        | Fact::ApprovalTimedOut { .. }
        | Fact::AttemptStarting { .. }
        | Fact::RollingBack { .. }
        | Fact::ChildRollingBack { .. }
        | Fact::ChildStarting { .. }
        | Fact::ChildEnded { .. }
        | Fact::ChildWaits { .. }
        | Fact::RepeatEnded { .. }
        | Fact::Finishing { .. }
        | Fact::Finished { .. }
        | Fact::DeadlinesShifted { .. } => false,
    }
}

/// What the batch says is to be done must be what its events say.
fn check_lists(batch: &Batch) -> Check {
    must(batch.quarantined.is_empty(), || format!("quarantined: {:?}", batch.quarantined))?;
    let starts = batch.events.iter().filter(|(_, event)| matches!(event.fact, Fact::AttemptStarting { .. })).count();
    must(starts == batch.starts.len(), || format!("{starts} starts are facts, {} are to be done", batch.starts.len()))?;
    let ends = |fact: &Fact| matches!(fact, Fact::AttemptEnded { .. } | Fact::Withheld { .. });
    let ends = batch.events.iter().filter(|(_, event)| ends(&event.fact)).count();
    must(ends == batch.ended.len(), || format!("{ends} ends are facts, {} are told", batch.ended.len()))
}
