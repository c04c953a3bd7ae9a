//! Drives the machine through a rehearsal as the daemon does: turn, append, act; and after a crash from the journal.
//! Time goes from one thing that is due to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::place::{Place, Trail, can_fail, every_place, trail};
use super::script::{Cancel, End, Script, When};
use super::world::World;
use super::{Rehearsal, Stuck};
use crate::definition::{Runbook, Settlement};
use crate::id::{Digest, RunUid, StepNo};
use crate::limits;
use crate::machine::{AttemptRef, Batch, Machine, MachineInput, Settings};
use crate::run::{
    ArtifactPaths, AttemptKind, Ballot, Event, Fact, Input, Origin, Pinned, Principal, RunState, Start, StopLevel,
    Terms,
};
use crate::time::{Span, Timestamp};

/// How long a try takes of which nobody knows how long it takes.
pub const UNKNOWN_DURATION: Span = Span::seconds(1);

/// The rehearsed run: there is no other.
const UID: RunUid = RunUid::from_bits(0);

/// Waits that chance shortens are waited whole: a rehearsal tells how long it takes at most.
const LONGEST: u32 = u32::MAX;

/// Around a rehearsal.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Inputs, checked and with their defaults, secret ones left out.
    pub inputs: IndexMap<String, Value>,
    /// The names of the inputs that are secret.
    pub sealed_inputs: Vec<String>,
    /// How many attempts may be live together.
    pub places: usize,
    /// Who rehearses.
    pub by: Principal,
    /// How long a try of a step takes, where that is known.
    pub expected: BTreeMap<StepNo, Span>,
    /// The same of runbooks that are started on the way, by name and by the id of the step.
    pub expected_below: BTreeMap<String, BTreeMap<String, Span>>,
    /// When it begins.
    pub at: Timestamp,
}

impl Setting {
    /// Around a rehearsal of a runbook with these inputs: by the engine itself, in 1970, with nothing known of the past.
    pub fn new(runbook: &Runbook, mut inputs: Map<String, Value>, places: usize) -> Self {
        let secret = runbook.inputs.iter().filter(|(_, decl)| decl.secret).map(|(name, _)| name);
        let sealed = secret.filter(|name| inputs.shift_remove(*name).is_some_and(|value| !value.is_null()));
        Self {
            sealed_inputs: sealed.cloned().collect(),
            inputs: inputs.into_iter().collect(),
            places,
            by: Principal::engine(),
            expected: BTreeMap::new(),
            expected_below: BTreeMap::new(),
            at: Timestamp(0),
        }
    }
}

/// Lives through a run.
///
/// # Errors
/// The start is refused, or there is no end.
pub fn rehearse(pinned: &Arc<Pinned>, setting: &Setting, script: &Script) -> Result<Rehearsal, Stuck> {
    let mut start = Start {
        number: 0,
        pinned: Arc::clone(pinned),
        inputs: setting.inputs.clone(),
        sealed_inputs: setting.sealed_inputs.clone(),
        origin: Origin::Person,
        by: setting.by.clone(),
        roles: Vec::new(),
        reason: String::new(),
        request_id: String::new(),
        request_digest: Digest::of(b""),
        commit: None,
        terms: Terms::default(),
        parent: None,
        items: Vec::new(),
    };
    // Whoever starts it means it; where a name cannot be made, the start says so.
    if let Ok(targets) = start.targets() {
        start.terms.confirmed = targets.into_iter().map(|target| target.name).collect();
    }
    let mut drive = Drive {
        pinned,
        setting,
        script,
        machine: machine(setting),
        world: World::new(script, setting, UNKNOWN_DURATION),
        now: setting.at,
        wake: None,
        events: Vec::new(),
        crashes: Vec::new(),
        refused: Vec::new(),
        crash_at: script.steps.iter().filter(|(_, told)| told.crash).map(|(place, _)| place.clone()).collect(),
        cancel: script.cancel.clone(),
        settled: BTreeSet::new(),
        resolved: BTreeSet::new(),
        decided: BTreeSet::new(),
    };
    let mut inputs = vec![MachineInput::Start { token: 0, uid: UID, start: Box::new(start) }];
    loop {
        drive.turn(inputs)?;
        inputs = drive.people();
        if inputs.is_empty() {
            match drive.outside() {
                Some(next) => inputs = next,
                None => return drive.end(),
            }
        }
    }
}

/// Lives through a run once for each step of its tree that does some work, which fails in every try: of items and iterations
/// the last one alone that begins when all goes as told. Steps that only wait, or whose work it is to fail, are left out. Gives
/// how many steps more there are: at most [`limits::REHEARSED_PLACES`] are rehearsed, and none after the one for which the budget of
/// events is used up, so that the answer is bounded.
///
/// # Errors
/// As [`rehearse`].
pub fn every_failure(
    pinned: &Arc<Pinned>,
    setting: &Setting,
    script: &Script,
    mut each: impl FnMut(&Place, Rehearsal),
) -> Result<u64, Stuck> {
    let (places, more) = every_place(pinned, limits::REHEARSED_PLACES, can_fail);
    let usual = rehearse(pinned, setting, script)?;
    let mut budget = limits::REHEARSALS_EVENTS.saturating_sub(usual.events.len());
    let mut left = places.len() as u64;
    for place in places {
        let place = place.last(&usual.state, |run| usual.below.get(&run)).unwrap_or(place);
        let mut script = script.clone();
        let told = script.step(place.clone());
        told.tries.clear();
        told.always = Some(End::Failed);
        let rehearsal = rehearse(pinned, setting, &script)?;
        budget = budget.saturating_sub(rehearsal.events.len());
        each(&place, rehearsal);
        left -= 1;
        if budget == 0 {
            break;
        }
    }
    Ok(more.saturating_add(left))
}

fn machine(setting: &Setting) -> Machine {
    // Nothing lies anywhere; the place of an artifact is its name.
    let artifacts = ArtifactPaths::new(|_, _, _, name| name.to_owned());
    Machine::new(Settings { places: setting.places, pools: None, boot: "rehearsal".to_owned(), artifacts }, 1)
}

struct Drive<'a> {
    pinned: &'a Arc<Pinned>,
    setting: &'a Setting,
    script: &'a Script,
    machine: Machine,
    world: World<'a>,
    now: Timestamp,
    wake: Option<Timestamp>,
    /// The journal.
    events: Vec<(RunUid, Event)>,
    crashes: Vec<u64>,
    refused: Vec<String>,
    /// Where the daemon is still to crash.
    crash_at: BTreeSet<Place>,
    cancel: Option<Cancel>,
    /// Steps of runs that a person has settled.
    settled: BTreeSet<(RunUid, StepNo)>,
    /// The places for which that was told and done.
    resolved: BTreeSet<Place>,
    /// The places of approvals that were decided as it is told.
    decided: BTreeSet<Place>,
}

impl Drive<'_> {
    /// One turn of the daemon's loop.
    fn turn(&mut self, inputs: Vec<MachineInput>) -> Result<(), Stuck> {
        let batch = self.machine.turn(self.now, inputs);
        self.events.extend(batch.events.iter().cloned());
        if let Some((_, why)) = batch.quarantined.first() {
            return Err(Stuck::Quarantined(why.clone()));
        }
        for (_, answer) in &batch.replies {
            match answer {
                Ok(_) => {}
                Err(rejection) if self.events.is_empty() => return Err(Stuck::Start(rejection.clone())),
                Err(rejection) => self.refused.push(rejection.to_string()),
            }
        }
        if self.events.len() > limits::REHEARSAL_EVENTS {
            return Err(Stuck::TooLong);
        }
        let begun: BTreeSet<Place> = self.begun(&batch);
        // What is durable and not acted on yet is where a crash costs most.
        let crashes = self.crash_at.extract_if(.., |place| begun.contains(place)).count() > 0;
        if crashes {
            self.crash()
        } else {
            self.act(&batch)
        }
        if let Some(Cancel { when: When::During(place), now }) = &self.cancel
            && begun.contains(place)
        {
            self.cancel = Some(Cancel { when: When::After(self.now - self.setting.at), now: *now });
        }
        Ok(())
    }

    /// Which of the places where something is to happen belong to steps that begin in a batch.
    fn begun(&self, batch: &Batch) -> BTreeSet<Place> {
        let during = match &self.cancel {
            Some(Cancel { when: When::During(place), .. }) => Some(place),
            Some(Cancel { when: When::After(_), .. }) | None => None,
        };
        let waiting: Vec<&Place> = self.crash_at.iter().chain(during).collect();
        if waiting.is_empty() {
            return BTreeSet::new();
        }
        let begins = |(run, event): &(RunUid, Event)| match &event.fact {
            Fact::AttemptStarting { step, kind: AttemptKind::Run, .. }
            | Fact::ChildStarting { step, .. }
            | Fact::WaitBegan { step, .. }
            | Fact::ApprovalAsked { step, .. } => self.trail(*run, *step),
            _ => None,
        };
        let trails: Vec<Trail<'_>> = batch.events.iter().filter_map(begins).collect();
        waiting.into_iter().filter(|place| trails.iter().any(|trail| place.is(trail))).cloned().collect()
    }

    fn trail(&self, run: RunUid, step: StepNo) -> Option<Trail<'_>> {
        trail(self.machine.run(run)?, step, |run| self.machine.run(run))
    }

    fn start(&mut self, attempt: AttemptRef, kind: AttemptKind) {
        let machine = &self.machine;
        let run = machine.run(attempt.run);
        if let Some(trail) = run.and_then(|run| trail(run, attempt.step, |run| machine.run(run))) {
            self.world.start(self.now, &trail, attempt, kind);
        }
    }

    fn act(&mut self, batch: &Batch) {
        for (attempt, kind) in &batch.starts {
            self.start(*attempt, *kind);
        }
        for (attempt, level) in &batch.stops {
            if *level > StopLevel::Run {
                self.world.stop(self.now, *attempt);
            }
        }
        self.wake = batch.wake;
        self.machine.committed(batch);
    }

    /// The daemon dies and starts again: the journal, and what should be going on by it.
    fn crash(&mut self) {
        self.crashes.push(self.events.len() as u64);
        self.machine = machine(self.setting);
        // In order of uids: a run comes before those that it starts. Events that this very machine gave are not refused by
        // it; were they, the next turn would tell.
        for (uid, events) in by_run(&self.events) {
            let _ = match uid == UID {
                true => self.machine.load(uid, Arc::clone(self.pinned), &[], &events, self.now),
                false => self.machine.load_child(uid, &events, self.now),
            };
        }
        let due = self.machine.due(self.now);
        let live: Vec<_> = self.machine.runs().flat_map(|run| run.live().map(|live| (run.uid(), live))).collect();
        for (run, (step, attempt, kind, level)) in live {
            let attempt = AttemptRef { run, step, attempt };
            if !self.world.has(attempt) {
                self.start(attempt, kind);
            }
            if level > StopLevel::Run {
                self.world.stop(self.now, attempt);
            }
        }
        self.wake = due.wake;
    }

    /// What people do now.
    fn people(&mut self) -> Vec<MachineInput> {
        let mut inputs: Vec<(RunUid, Input)> = Vec::new();
        if self.machine.run(UID).is_none() {
            return Vec::new();
        }
        let by = || self.setting.by.clone();
        if let Some(Cancel { when: When::After(after), now }) = self.cancel.clone()
            && self.setting.at + after <= self.now
        {
            self.cancel = None;
            // Whoever cancels knows what he passes.
            let past = self.machine.run(UID).map(|run| run.points_of_no_return().collect()).unwrap_or_default();
            inputs.push((UID, Input::Cancel { now, by: by(), reason: "the rehearsal's script".to_owned(), past }));
        }
        let (mut settled, mut resolved, mut decided) = (Vec::new(), Vec::new(), Vec::new());
        for run in self.machine.runs() {
            let trail = |step: StepNo| self.trail(run.uid(), step);
            let stuck = run.rollback().into_iter().flat_map(|rollback| rollback.failed());
            for step in run.unknown().keys().chain(stuck) {
                if self.settled.contains(&(run.uid(), *step)) {
                    continue;
                }
                let Some(trail) = trail(*step) else { continue };
                let mut told = self.script.told(&trail).into_iter();
                let Some((place, settlement)) = told.find_map(|(place, told)| Some((place, told.resolve?))) else {
                    continue;
                };
                settled.push((run.uid(), *step));
                resolved.push(place.clone());
                let outputs = match (settlement, run.pinned().runbook.step(*step)) {
                    (Settlement::Succeeded, Some(definition)) => self.world.outputs_of(&trail, definition),
                    _ => IndexMap::new(),
                };
                let reason = "the rehearsal's script".to_owned();
                inputs.push((run.uid(), Input::Resolve { step: *step, settlement, outputs, by: by(), reason }));
            }
            for step in run.asking() {
                let Some(trail) = trail(step) else { continue };
                let Some(ballot) = self.ballot(run, &trail, step) else { continue };
                decided.extend(self.script.told(&trail).into_iter().map(|(place, _)| place.clone()));
                inputs.push((run.uid(), Input::Decide { step, ballot: Box::new(ballot) }));
            }
        }
        self.settled.extend(settled);
        self.resolved.extend(resolved);
        self.decided.extend(decided);
        inputs.into_iter().map(|(run, input)| MachineInput::Run { token: Some(1), run, input }).collect()
    }

    /// What the next person decides about an approval: for it, unless the step is to fail.
    fn ballot(&self, run: &RunState, trail: &Trail<'_>, step: StepNo) -> Option<Ballot> {
        let definition = run.pinned().runbook.step(step)?;
        let approval = definition.approval()?;
        let told = self.script.told(trail);
        let end = told.iter().find_map(|(_, told)| told.tries.get(&1).copied().or(told.always));
        let approve = end.is_none_or(|end| end == End::Succeeded);
        let votes = u32::try_from(run.step(step)?.votes.len()).ok()?;
        let mut fields = self.world.outputs_of(trail, definition);
        fields.retain(|name, _| approve && approval.fields.get(name).is_some_and(|field| field.required));
        if let Some(vote) = run.step(step)?.votes.first() {
            fields.clone_from(&vote.fields);
        }
        let by = Principal { name: format!("approver {}", votes + 1), uid: Some(u32::MAX - 1 - votes) };
        let reason = "the rehearsal's script".to_owned();
        Some(Ballot { approve, fields, roles: approval.roles.clone(), by, reason })
    }

    /// Lets time go on to what is due next; `None` where nothing is.
    fn outside(&mut self) -> Option<Vec<MachineInput>> {
        self.machine.run(UID)?;
        let cancel = match &self.cancel {
            Some(Cancel { when: When::After(after), .. }) => Some(self.setting.at + *after),
            Some(Cancel { when: When::During(_), .. }) | None => None,
        };
        let next = [self.world.next_end(), self.wake, cancel].into_iter().flatten().min()?;
        self.now = self.now.max(next);
        let ended = self.world.ended(self.now).into_iter().map(|(attempt, end)| MachineInput::Run {
            token: None,
            run: attempt.run,
            input: Input::Verdict { step: attempt.step, attempt: attempt.attempt, end: Box::new(end), chance: LONGEST },
        });
        let mut inputs: Vec<MachineInput> = ended.collect();
        inputs.extend(self.people());
        Some(inputs)
    }

    /// The run as its journal has it, and what of the script was left.
    fn end(self) -> Result<Rehearsal, Stuck> {
        let mut runs: BTreeMap<RunUid, RunState> = BTreeMap::new();
        for (uid, events) in by_run(&self.events) {
            let fold = || {
                let (first, rest) = events.split_first()?;
                let pinned = match &first.fact {
                    Fact::Created(created) => match created.parent {
                        None => Arc::clone(self.pinned),
                        Some(parent) => runs.get(&parent.run)?.pinned().below(parent.step, &created.items)?,
                    },
                    _ => return None,
                };
                let mut state = RunState::create(uid, pinned, first).ok()?;
                rest.iter().try_for_each(|event| state.apply(event)).ok()?;
                Some(state)
            };
            let state = fold().ok_or_else(|| Stuck::Quarantined("its events do not give a state".to_owned()))?;
            runs.insert(uid, state);
        }
        let state = runs.remove(&UID).ok_or_else(|| Stuck::Quarantined("it has no events".to_owned()))?;
        let unreached = self.unreached();
        Ok(Rehearsal {
            state,
            below: runs,
            events: self.events,
            crashes: self.crashes,
            refused: self.refused,
            unreached,
            guessed: self.world.guessed.iter().map(ToString::to_string).collect(),
        })
    }

    fn unreached(&self) -> Vec<String> {
        let mut out = Vec::new();
        for (place, told) in &self.script.steps {
            let tries = self.world.tries(place);
            if let Some((last, _)) = told.tries.last_key_value()
                && *last > tries
            {
                out.push(format!("step {place} never came to its try {last}: it was {}", times(tries)));
            } else if told.always.is_some() && tries == 0 && !self.decided.contains(place) {
                out.push(format!("step {place} never started"));
            }
            if told.resolve.is_some() && !self.resolved.contains(place) {
                out.push(format!("step {place} was never unknown, so nobody had to resolve it"));
            }
        }
        out.extend(self.crash_at.iter().map(|place| format!("no crash: step {place} never started")));
        if let Some(cancel) = &self.cancel {
            out.push(match &cancel.when {
                When::During(place) => format!("no cancel: step {place} never started"),
                When::After(after) => format!("no cancel: the run was over before {after}"),
            });
        }
        out
    }
}

/// The events of each run, in order of the runs' uids.
fn by_run(events: &[(RunUid, Event)]) -> BTreeMap<RunUid, Vec<Event>> {
    let mut runs: BTreeMap<RunUid, Vec<Event>> = BTreeMap::new();
    for (uid, event) in events {
        runs.entry(*uid).or_default().push(event.clone());
    }
    runs
}

fn times(count: u32) -> String {
    match count {
        0 => "never tried".to_owned(),
        1 => "tried once".to_owned(),
        count => format!("tried {count} times"),
    }
}
