//! What is compared with what, besides the model: the machine with its own parts, with the journal, with the world.

use std::collections::BTreeMap;
use std::sync::Arc;

use runbook_core::id::{AttemptNo, RunUid, StepNo};
use runbook_core::machine::{AttemptRef, Batch, Machine};
use runbook_core::run::{AttemptKind, Event, Fact, Pinned, Progress, RunState, StopLevel};
use runbook_core::time::Timestamp;

use super::model::{Check, Model, Over, RunModel, Status, must};
use super::outside::Outside;

/// Attempts that should be going on, as told by deltas alone.
pub(crate) type Folded = BTreeMap<AttemptRef, StopLevel>;

/// Takes in what a batch says is to be done.
pub(crate) fn fold(folded: &mut Folded, batch: &Batch) {
    for (attempt, _) in &batch.starts {
        folded.insert(*attempt, StopLevel::Run);
    }
    for (attempt, level) in &batch.stops {
        if let Some(known) = folded.get_mut(attempt) {
            *known = *level;
        }
    }
    for attempt in &batch.ended {
        folded.remove(attempt);
    }
}

/// After a turn: the indexes are right, and the deltas sum up to what is due.
pub(crate) fn check_machine(machine: &Machine, folded: &Folded, wake: Option<Timestamp>, now: Timestamp) -> Check {
    machine.audit(now).map_err(|why| format!("audit: {why}"))?;
    let due = machine.due(now);
    must(due.attempts == *folded, || {
        let only_due: Vec<_> = due.attempts.iter().filter(|(k, v)| folded.get(k) != Some(v)).collect();
        let only_told: Vec<_> = folded.iter().filter(|(k, v)| due.attempts.get(k) != Some(v)).collect();
        format!("due but not told: {only_due:?}; told but not due: {only_told:?}")
    })?;
    must(due.wake == wake, || format!("due says wake at {:?}, the batch {wake:?}", due.wake))
}

/// The slots that are being prepared are those that the model says.
pub(crate) fn check_preparing(machine: &Machine, model: &Model, now: Timestamp) -> Check {
    let due: BTreeMap<_, _> = machine.due(now).slots.into_iter().map(|(name, at)| (name, at.0)).collect();
    let wanted = model.schedules.iter().filter_map(|(name, schedule)| Some((name.clone(), schedule.preparing?)));
    let wanted: BTreeMap<_, _> = wanted.collect();
    must(due == wanted, || format!("slots {due:?} are being prepared, must be {wanted:?} (17)"))
}

/// What the deltas sum up to is what the model says should be going on.
pub(crate) fn check_told(model: &Model, folded: &Folded) -> Check {
    let mut expected = Folded::new();
    for run in model.runs.values() {
        for (step, attempt, level) in run.going_on() {
            let attempt = AttemptRef { run: run.uid, step: StepNo(step as u32), attempt: AttemptNo(attempt) };
            expected.insert(attempt, level);
        }
    }
    must(expected == *folded, || format!("told is {folded:?}, must be {expected:?} (27)"))
}

/// The machine's state of a run is what the model says.
pub(crate) fn check_state(state: &RunState, model: &RunModel) -> Check {
    for (no, _, step) in state.steps() {
        let (_, expected) = model.step(no.index())?;
        let same = match (step.progress, expected.status) {
            (Progress::Pending, Status::Pending)
            | (Progress::Ready, Status::Ready)
            | (Progress::Succeeded, Status::Over(Over::Succeeded))
            | (Progress::Failed, Status::Over(Over::Failed))
            | (Progress::Skipped, Status::Over(Over::Skipped))
            | (Progress::Canceled, Status::Over(Over::Canceled))
            | (Progress::RolledBack, Status::Over(Over::RolledBack))
            | (Progress::RollbackFailed, Status::Over(Over::RollbackFailed)) => true,
            (Progress::Live(attempt, kind), Status::Live(number, wanted)) => attempt.0 == number && kind == wanted,
            (Progress::Retry(at), Status::Waiting(AttemptKind::Run, due))
            | (Progress::Verify(at), Status::Waiting(AttemptKind::Verify, due))
            | (Progress::OnCancel(at), Status::Waiting(AttemptKind::OnCancel, due))
            | (Progress::RollbackRetry(at), Status::Waiting(AttemptKind::Rollback, due)) => at == due,
            (Progress::Waiting { until, fixed }, Status::Paused { until: wanted, fixed: stays }) => {
                until == wanted && fixed == stays
            }
            (Progress::Asking { until }, Status::Asking { until: wanted }) => until == wanted,
            (Progress::Child, Status::Child { uid, waits })
            | (Progress::ChildRollback, Status::ChildRollback { uid, waits }) => {
                state.children().get(&no) == Some(&uid) && state.waits_below(no) == waits
            }
            (Progress::Withheld(kind), Status::Withheld(wanted)) => kind == wanted && step.missing == expected.missing,
            (Progress::Unknown { processes_left }, Status::Unknown { processes_left: left, .. }) => {
                processes_left == left
            }
            _ => false,
        };
        must(same, || {
            format!("run {} step {}: the state is {:?}, must be {:?}", model.uid, no.0, step.progress, expected.status)
        })?;
    }
    Ok(())
}

/// A run's state folded from its durable events is the one that is in use.
pub(crate) fn check_replay(state: &RunState, events: &[Event]) -> Check {
    let definitions: Vec<Arc<Pinned>> = state.definitions().map(Arc::clone).collect();
    let replayed = replay(state.uid(), events, &definitions, &mut |_, _| ())?;
    let (live, replayed) = (format!("{state:?}"), format!("{replayed:?}"));
    must(live == replayed, || {
        let at = live.bytes().zip(replayed.bytes()).take_while(|(a, b)| a == b).count();
        let part = |text: &str| text.chars().skip(at.saturating_sub(80)).take(200).collect::<String>();
        format!("run {}: live …{}… replayed …{}…", state.uid(), part(&live), part(&replayed))
    })
}

/// Folds events; shows each with the state that it meets.
pub(crate) fn replay(
    uid: RunUid,
    events: &[Event],
    definitions: &[Arc<Pinned>],
    meets: &mut dyn FnMut(&RunState, &Event),
) -> Result<RunState, String> {
    let (first, rest) = events.split_first().ok_or("the journal has no events of it")?;
    let Fact::Created(created) = &first.fact else { return Err("it does not begin with its creation".to_owned()) };
    let made_by = definitions.iter().find(|pinned| pinned.digest == created.definition);
    let made_by = made_by.ok_or("the definition that it was made by is gone")?;
    let mut state = RunState::create(uid, Arc::clone(made_by), first).map_err(|error| error.to_string())?;
    definitions.iter().for_each(|pinned| state.learn(Arc::clone(pinned)));
    for event in rest {
        meets(&state, event);
        state.apply(event).map_err(|error| error.to_string())?;
    }
    Ok(state)
}

/// Before a process is started: what the world itself can see must allow it.
pub(crate) fn check_spawn(outside: &Outside, model: &Model, attempt: AttemptRef, kind: AttemptKind) -> Check {
    let run = model.run(attempt.run)?;
    let AttemptRef { step, .. } = attempt;
    must(run.kind_of(step.index(), attempt.attempt.0) == Some(kind), || {
        format!("no durable fact starts {kind:?} of step {} as attempt {}", step.0, attempt.attempt.0)
    })?;
    for need in run.design.needs(step.index()) {
        must(run.steps.get(need).is_some_and(|need| need.is_over()), || {
            format!("step {} starts before its need {need}", step.0)
        })?;
    }
    if !run.design.is_main(step.index()) {
        must(run.part(true).all(|(_, _, step)| step.is_over()), || {
            "`finally` starts before the main steps are over".to_owned()
        })?;
    }
    if kind == AttemptKind::Rollback {
        let other = outside.running().find(|other| {
            other.run == attempt.run && {
                let no = other.step.index();
                super::model::before(&run.design, no).contains(&step.index())
            }
        });
        must(other.is_none(), || format!("step {} is compensated beside {other:?}, which comes after it", step.0))?;
    }
    let lacks = run.needs_values(step.index(), kind).into_iter().find(|name| !model.is_there(run.root(), name));
    must(lacks.is_none(), || format!("step {} starts without the value of {lacks:?} (148)", step.0))?;
    must(run.holds(), || "an attempt of a run that holds nothing starts".to_owned())?;
    let running: Vec<AttemptRef> = outside.running().collect();
    must(running.len() < model.places, || format!("{} processes run and one more starts", running.len()))?;
    if let Some(pool) = run.pool(step.index()) {
        let in_pool = |other: &&AttemptRef| {
            let of = model.runs.get(&other.run).and_then(|run| run.pool(other.step.index()));
            of.as_ref() == Some(&pool)
        };
        // One that was decided when the pool had more places is started all the same.
        let (taken, most) = (running.iter().filter(in_pool).count(), model.most_in_pools.get(&pool));
        must(most.is_some_and(|most| taken < *most), || format!("pool {pool}: {taken} run, and one more starts"))?;
    }
    let own = running.iter().filter(|other| other.run == attempt.run).count();
    must(run.design.runbook.max_parallel.is_none_or(|most| own < most as usize), || {
        format!("max_parallel: {own} run")
    })?;
    let own = [(attempt.run, None), (attempt.run, Some(step.index()))];
    for other in running.iter().filter(|other| (other.run, other.step) != (attempt.run, step)) {
        let theirs = [(other.run, None), (other.run, Some(other.step.index()))];
        for (one, two) in own.iter().flat_map(|one| theirs.iter().map(move |two| (*one, *two))) {
            let part = one == two || model.above(one).contains(&two) || model.above(two).contains(&one);
            let names = model.run(two.0)?.names(two.1);
            let taken = model.run(one.0)?.names(one.1).into_iter().find(|name| names.contains(name));
            must(part || taken.is_none(), || format!("{taken:?} is held by {two:?} with a process"))?;
        }
    }
    Ok(())
}

/// A step of a run, for people.
pub(crate) fn step_name(model: &Model, run: RunUid, step: StepNo) -> String {
    let id = model.runs.get(&run).and_then(|run| run.design.runbook.step(step));
    id.map_or_else(|| format!("step {}", step.0), |step| step.id.clone())
}
