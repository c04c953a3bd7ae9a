//! Places of steps in the tree of a runbook, with what blocks, items, iterations and runbooks that are started have of their
//! own: as a person names them, and whether a step of a run is meant. Never knows what is told of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::definition::{Each, Items, Many, Step, Wait, Work, key_of, path_head, step_path};
use crate::expression::did_you_mean;
use crate::id::{RunUid, StepNo};
use crate::limits;
use crate::run::{Kind, Pinned, RunState};

/// The place of a step. The order is by the place, and what is said of all items comes before what is said of one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    hops: Vec<Hop>,
    text: String,
}

/// One level of a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Hop {
    /// A step of a runbook or a block.
    Step(StepNo),
    /// Each item, or each iteration, of the step before.
    Every,
    /// One of them, as a person names it: `["eu-west"]`, `[2]`.
    One(String),
}

/// A step of a run, and the steps that lead to its run: from the top down.
pub(super) type Trail<'a> = Vec<(&'a RunState, StepNo)>;

/// The trail of a step; `find` knows the runs. `None` where one above is not there.
pub(super) fn trail<'a>(
    run: &'a RunState,
    step: StepNo,
    find: impl Fn(RunUid) -> Option<&'a RunState>,
) -> Option<Trail<'a>> {
    let mut trail = vec![(run, step)];
    while let Some(parent) = trail.last().and_then(|(run, _)| run.parent()) {
        trail.push((find(parent.run)?, parent.step));
    }
    trail.reverse();
    Some(trail)
}

/// Whether the steps of a run stand for items or iterations.
pub(super) fn is_many(run: &RunState) -> bool {
    matches!(run.pinned().kind(), Kind::Each { .. } | Kind::Repeat { .. })
}

/// Whether a step has steps of its own, each time that it does its work.
pub(super) const fn has_steps(step: &Step) -> bool {
    matches!(step.work, Work::Runbook(_) | Work::Block(_))
}

/// Whether a step can fail because of what the world does: not one that only waits, or whose work it is to fail.
pub(super) fn can_fail(step: &Step) -> bool {
    match &step.work {
        Work::Command(_) | Work::Approval(_) => true,
        Work::Wait(wait) => matches!(**wait, Wait::Probe(_)),
        Work::Fail(_) | Work::Runbook(_) | Work::Block(_) => false,
    }
}

/// Why a path is no place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPlace {
    /// Where it stops.
    pub problem: String,
    /// A path that may be meant.
    pub meant: Option<String>,
}

impl NoPlace {
    const fn new(problem: String) -> Self {
        Self { problem, meant: None }
    }
}

impl fmt::Display for NoPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        self.meant.as_ref().map_or(Ok(()), |meant| write!(f, "; did you mean `{meant}`?"))
    }
}

impl Place {
    /// Reads the path of a step: `b`, `a/b` of a block or a runbook that `a` starts, `a["b"]/c` and `a[2]/c` of an item or an
    /// iteration. Without such a key all items and iterations are meant.
    ///
    /// # Errors
    /// There is no such step.
    pub fn parse(pinned: &Pinned, text: &str) -> Result<Self, NoPlace> {
        let mut place = Self { hops: Vec::new(), text: String::new() };
        // The definition that has the step that was read last, and that step, once there is one.
        let mut at: (&Pinned, Option<(StepNo, &Step)>) = (pinned, None);
        let mut open = Some(text);
        while let Some(rest) = open {
            let (head, below) = path_head(rest);
            let given = matches!(place.hops.last(), Some(Hop::One(_)));
            match at {
                (within, Some((no, step))) if head.starts_with('[') => {
                    place.instance(within, no, step.many.as_deref().filter(|_| !given), head)?;
                }
                (within, last) => {
                    let within = match last {
                        None => within,
                        Some((no, step)) => {
                            let inside = place.inside(within, no, step, head)?;
                            if step.many.is_some() && !given {
                                place.hops.push(Hop::Every);
                            }
                            inside
                        }
                    };
                    let found = within.find(head).and_then(|no| Some((no, within.runbook.step(no)?)));
                    let (no, step) = found.ok_or_else(|| {
                        // What is no path has no first step.
                        place.unknown(pinned, within, if head.is_empty() { rest } else { head })
                    })?;
                    place.push(no, step);
                    at = (within, Some((no, step)));
                }
            }
            open = below;
        }
        Ok(place)
    }

    /// The place of the work of a step, of which it can be told how it ends: the step itself, or what it does for all items or
    /// in all iterations.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), or the step has steps of its own.
    pub fn of_work(pinned: &Pinned, text: &str) -> Result<Self, NoPlace> {
        let place = Self::parse(pinned, text)?;
        match place.example_below(pinned) {
            Some(below) => {
                let problem = format!("`{place}` has steps of its own: say which of them, as `{below}`");
                Err(NoPlace::new(problem))
            }
            None => Ok(place.work(pinned)),
        }
    }

    /// The same place, where it has steps of its own, else that of the work that is done there.
    pub fn work(mut self, pinned: &Pinned) -> Self {
        let is_work = |step: &Step| step.many.is_some() && !has_steps(step);
        if matches!(self.hops.last(), Some(Hop::Step(_))) && self.step(pinned).is_some_and(is_work) {
            self.hops.push(Hop::Every);
        }
        self
    }

    /// A step below, where it has steps of its own.
    pub fn example_below(&self, pinned: &Pinned) -> Option<String> {
        let (within, no) = self.resolve(pinned)?;
        has_steps(within.runbook.step(no)?).then(|| {
            let first = within.once(no).and_then(|inside| inside.runbook.steps.first());
            self.below(first.map_or("STEP", |step| &step.id))
        })
    }

    /// The definition of the step.
    pub fn step<'p>(&self, pinned: &'p Pinned) -> Option<&'p Step> {
        let (within, no) = self.resolve(pinned)?;
        within.runbook.step(no)
    }

    /// As a person writes it.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn resolve<'p>(&self, pinned: &'p Pinned) -> Option<(&'p Pinned, StepNo)> {
        let mut at: Option<(&Pinned, StepNo)> = None;
        for hop in &self.hops {
            let Hop::Step(no) = hop else { continue };
            let within = match at {
                None => pinned,
                Some((within, above)) => within.once(above)?,
            };
            at = Some((within, *no));
        }
        at
    }

    /// The path of a step of this id below.
    fn below(&self, id: &str) -> String {
        step_path(&format!("{}/", self.text), id)
    }

    fn push(&mut self, no: StepNo, step: &Step) {
        self.text = if self.hops.is_empty() { step.id.clone() } else { self.below(&step.id) };
        self.hops.push(Hop::Step(no));
    }

    /// Goes on to an item or an iteration of the step `no` of a definition.
    fn instance(&mut self, within: &Pinned, no: StepNo, many: Option<&Many>, word: &str) -> Result<(), NoPlace> {
        let wanted = self.below(word);
        let items: &[Value] = match many {
            None => {
                let problem = format!("`{self}` has no items and no iterations, so there is no `{wanted}`");
                return Err(NoPlace::new(problem));
            }
            Some(Many::Each(Each { list: Items::Known(items), .. })) => items,
            // Which ones there are is worked out when it runs.
            Some(Many::Each(Each { list: Items::Expression(_), .. })) => {
                self.text = wanted;
                self.hops.push(Hop::One(word.to_owned()));
                return Ok(());
            }
            Some(Many::Repeat(_)) => &[],
        };
        let all = within.below(no, items);
        let steps = all.as_ref().map_or(&[][..], |all| &all.runbook.steps);
        let found = all.as_ref().and_then(|all| steps.get(all.meant(word)?.index()));
        let Some(step) = found else {
            let ids = || steps.iter().map(|step| step.id.as_str());
            // One number is as near as another.
            let key = Some(key_of(word)).filter(|key| key.parse::<u64>().is_err());
            let near = key.and_then(|key| did_you_mean(key, ids().map(key_of)));
            let meant = near.and_then(|near| ids().find(|id| key_of(id) == near));
            let last = steps.last().filter(|_| meant.is_none());
            let last = last.map(|last| format!("; the last one is `{}`", self.below(&last.id))).unwrap_or_default();
            let problem = format!("there is no `{wanted}`{last}");
            return Err(NoPlace { problem, meant: meant.map(|id| self.below(id)) });
        };
        self.text = self.below(&step.id);
        self.hops.push(Hop::One(step.id.clone()));
        Ok(())
    }

    /// The definition of the steps that a step has of its own, one of which is wanted.
    fn inside<'p>(&self, within: &'p Pinned, no: StepNo, step: &Step, wanted: &str) -> Result<&'p Pinned, NoPlace> {
        let inside = within.once(no).map(Arc::as_ref);
        inside.ok_or_else(|| {
            let wanted = self.below(wanted);
            NoPlace::new(match step.call() {
                Some(call) => {
                    format!("`{self}` starts `{}`, which is not there, so there is no `{wanted}`", call.runbook)
                }
                None => format!("`{self}` has no steps of its own, so there is no `{wanted}`"),
            })
        })
    }

    /// What is said of an id that no step has there.
    fn unknown(&self, pinned: &Pinned, within: &Pinned, id: &str) -> NoPlace {
        let shown: String = id.chars().take(limits::ID_LENGTH).collect();
        let meant = did_you_mean(id, within.runbook.steps.iter().map(|step| step.id.as_str()));
        if !self.hops.is_empty() {
            let problem = format!("`{self}` of `{}` has no step `{shown}`", pinned.runbook.name);
            return NoPlace { problem, meant: meant.map(|meant| self.below(&meant)) };
        }
        // Whoever names a step alone may not know that it stands in another one.
        let elsewhere = || {
            let (all, _) = every_place(pinned, limits::REHEARSED_PLACES, |_| true);
            let named = all.into_iter().find(|place| place.step(pinned).is_some_and(|step| step.id == id));
            named.map(|place| place.text)
        };
        let problem = format!("`{}` has no step `{shown}`", pinned.runbook.name);
        NoPlace { problem, meant: meant.or_else(elsewhere) }
    }

    /// The levels of it.
    pub(super) fn hops(&self) -> &[Hop] {
        &self.hops
    }

    /// Whether a step of a run is meant.
    pub(super) fn is(&self, trail: &[(&RunState, StepNo)]) -> bool {
        self.hops.len() == trail.len() && self.leads_to(trail)
    }

    /// Whether a step of a run is meant, or one below such a step.
    pub(super) fn leads_to(&self, trail: &[(&RunState, StepNo)]) -> bool {
        let fits = |(hop, (run, step)): (&Hop, &(&RunState, StepNo))| match hop {
            Hop::Step(no) => no == step && !is_many(run),
            Hop::Every => is_many(run),
            Hop::One(word) => is_many(run) && run.pinned().meant(word) == Some(*step),
        };
        self.hops.len() <= trail.len() && self.hops.iter().zip(trail).all(fits)
    }

    /// What tries of a step of a run, which is meant, are counted with: each item by itself, and all iterations together where
    /// none is named.
    pub(super) fn count(&self, trail: &[(&RunState, StepNo)]) -> Vec<Hop> {
        let counted = |(hop, (run, step)): (&Hop, &(&RunState, StepNo))| match hop {
            Hop::Every if run.pinned().repeats() => Hop::Every,
            Hop::Every | Hop::One(_) => Hop::One(format!("[{}]", step.0)),
            Hop::Step(no) => Hop::Step(*no),
        };
        self.hops.iter().zip(trail).map(counted).collect()
    }

    /// The place of a step of a run, whichever item or iteration it is of.
    pub(super) fn of(trail: &[(&RunState, StepNo)]) -> Self {
        let mut place = Self { hops: Vec::new(), text: String::new() };
        for (run, no) in trail {
            match run.pinned().runbook.step(*no) {
                _ if is_many(run) => place.hops.push(Hop::Every),
                Some(step) => place.push(*no, step),
                None => place.hops.push(Hop::Step(*no)),
            }
        }
        place
    }

    /// The same place, of one item or iteration each: the last one that began, by where runs stand that were lived through.
    pub(super) fn last<'a>(&self, top: &'a RunState, find: impl Fn(RunUid) -> Option<&'a RunState>) -> Option<Self> {
        let mut place = Self { hops: Vec::new(), text: String::new() };
        let mut at = Some(top);
        for hop in &self.hops {
            let run = at?;
            let no = match hop {
                Hop::Step(no) => *no,
                Hop::Every | Hop::One(_) => {
                    run.steps().filter(|(_, _, state)| state.started_at.is_some()).map(|(no, _, _)| no).last()?
                }
            };
            let step = run.pinned().runbook.step(no)?;
            match hop {
                Hop::Step(_) => place.push(no, step),
                Hop::Every | Hop::One(_) => {
                    place.text = place.below(&step.id);
                    place.hops.push(Hop::One(step.id.clone()));
                }
            }
            at = run.step(no)?.child.and_then(&find);
        }
        Some(place)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The places of all steps that are `wanted`, those below a step behind it, items and iterations together: as many as `most`,
/// and how many there are besides.
pub(super) fn every_place(pinned: &Pinned, most: usize, wanted: fn(&Step) -> bool) -> (Vec<Place>, u64) {
    let (mut found, mut left, mut counts) = (Vec::new(), 0_u64, BTreeMap::new());
    let mut open = children(pinned, &Place { hops: Vec::new(), text: String::new() });
    while let Some((within, no, mut place)) = open.pop() {
        let (Some(step), inside) = (within.runbook.step(no), within.once(no)) else { continue };
        if found.len() >= most {
            let below = inside.map_or(0, |inside| count(inside, wanted, &mut counts));
            left = left.saturating_add(u64::from(wanted(step))).saturating_add(below);
            continue;
        }
        if wanted(step) {
            found.push(place.clone().work(pinned));
        }
        if let Some(inside) = inside {
            if step.many.is_some() {
                place.hops.push(Hop::Every);
            }
            open.extend(children(inside, &place));
        }
    }
    (found, left)
}

/// The steps of a definition, the last one first.
fn children<'p>(within: &'p Pinned, above: &Place) -> Vec<(&'p Pinned, StepNo, Place)> {
    let child = |(index, step): (usize, &Step)| {
        let (mut place, no) = (above.clone(), StepNo(index as u32));
        place.push(no, step);
        (within, no, place)
    };
    within.runbook.steps.iter().enumerate().rev().map(child).collect()
}

/// How many steps of a definition and below are wanted. A runbook that is started from many places is counted once, by its
/// address; definitions stand in each other no deeper than `CHILD_DEPTH` and `BLOCK_DEPTH` say.
fn count(within: &Arc<Pinned>, wanted: fn(&Step) -> bool, known: &mut BTreeMap<*const Pinned, u64>) -> u64 {
    if let Some(count) = known.get(&Arc::as_ptr(within)) {
        return *count;
    }
    let mut sum = 0_u64;
    for (index, step) in within.runbook.steps.iter().enumerate() {
        let below = within.once(StepNo(index as u32)).map_or(0, |inside| count(inside, wanted, known));
        sum = sum.saturating_add(u64::from(wanted(step))).saturating_add(below);
    }
    known.insert(Arc::as_ptr(within), sum);
    sum
}
