//! The attempts of a rehearsal: when each ends, and how. Takes the shim's part and the world's, and decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::Setting;
use super::place::{Hop, Place, Trail};
use super::script::{Answer, End, Script, StepScript};
use crate::definition::{Command, Step, ValueType};
use crate::expression::Expression;
use crate::id::{Digest, StepNo};
use crate::machine::AttemptRef;
use crate::run::scope::RunScope;
use crate::run::{Artifact, AttemptEnd, AttemptKind, CutOff, How, NotStarted, RunState};
use crate::time::{Span, Timestamp};

/// ENOENT: a refusal that no later try overcomes.
const REFUSED: i32 = 2;

/// An attempt that is going on.
struct Going {
    since: Timestamp,
    until: Timestamp,
    end: AttemptEnd,
}

/// All attempts that are going on.
pub(super) struct World<'a> {
    script: &'a Script,
    /// How long tries of steps take that the script does not tell.
    setting: &'a Setting,
    unknown: Span,
    going: BTreeMap<AttemptRef, Going>,
    ends: BTreeSet<(Timestamp, AttemptRef)>,
    /// How often was tried what the script tells of, each item by itself.
    tries: BTreeMap<Vec<Hop>, u32>,
    /// How often a place of the script was tried: of items the one that was so most often.
    most: BTreeMap<&'a Place, u32>,
    /// Places of steps that ran for a time that was made up.
    pub guessed: BTreeSet<Place>,
}

/// What is told of a step, the most exact first, each with the number of its latest try as it counts them.
type Told<'a> = Vec<(u32, &'a StepScript)>;

impl<'a> World<'a> {
    pub(super) fn new(script: &'a Script, setting: &'a Setting, unknown: Span) -> Self {
        Self {
            script,
            setting,
            unknown,
            going: BTreeMap::new(),
            ends: BTreeSet::new(),
            tries: BTreeMap::new(),
            most: BTreeMap::new(),
            guessed: BTreeSet::new(),
        }
    }

    /// Whether an attempt is going on.
    pub(super) fn has(&self, attempt: AttemptRef) -> bool {
        self.going.contains_key(&attempt)
    }

    /// How often a place of the script was tried, of items the one that was so most often.
    pub(super) fn tries(&self, place: &Place) -> u32 {
        self.most.get(place).copied().unwrap_or(0)
    }

    /// What is told of a step; a try `begins`, or one is the latest.
    fn told(&mut self, trail: &Trail<'_>, begins: bool) -> Told<'a> {
        let mut counted = BTreeSet::new();
        let mut told = Vec::new();
        let script: &'a Script = self.script;
        for (place, script) in script.told(trail) {
            let count = place.count(trail);
            let tries = self.tries.entry(count.clone()).or_insert(0);
            if counted.insert(count) && begins {
                *tries += 1;
            }
            let most = self.most.entry(place).or_insert(0);
            *most = (*most).max(*tries);
            told.push((*tries, script));
        }
        told
    }

    /// Starts an attempt: what becomes of it is settled now.
    pub(super) fn start(&mut self, now: Timestamp, trail: &Trail<'_>, attempt: AttemptRef, kind: AttemptKind) {
        let Some((run, no)) = trail.last().copied() else { return };
        let Some(step) = run.pinned().runbook.step(no) else { return };
        let told = self.told(trail, kind == AttemptKind::Run);
        let scripts = || told.iter().map(|(_, script)| *script);
        let answer = scripts().find_map(|told| told.verify).unwrap_or_default();
        let tidied = |fails: Option<bool>| How::Exited(i32::from(fails == Some(true)));
        let (how, takes) = match kind {
            AttemptKind::Run => {
                let end = told.iter().find_map(|(number, told)| told.tries.get(number).copied().or(told.always));
                let takes = scripts().find_map(|told| told.takes).or_else(|| self.expected(run, no, step));
                if takes.is_none() {
                    self.guessed.insert(Place::of(trail));
                }
                self.ends_as(run, no, step, end.unwrap_or(End::Succeeded), takes)
            }
            AttemptKind::Verify => {
                let how = How::Exited(i32::from(answer == Answer::Silent));
                within(how, step.verify.as_ref(), self.unknown)
            }
            AttemptKind::OnCancel => {
                let fails = scripts().find_map(|told| told.on_cancel_fails);
                within(tidied(fails), step.on_cancel.as_ref(), self.unknown)
            }
            AttemptKind::Rollback => {
                let fails = scripts().find_map(|told| told.rollback_fails);
                within(tidied(fails), step.rollback.as_ref(), self.unknown)
            }
        };
        let mut end = AttemptEnd::bare(how);
        if matches!(end.how, How::Exited(_)) {
            match (kind, answer) {
                (AttemptKind::Run, _) => {
                    end.outputs = outputs(step, &told);
                    end.artifacts = artifacts(step);
                }
                (AttemptKind::Verify, Answer::Yes) => {
                    end.outputs = outputs(step, &told);
                    end.outputs.insert("happened".to_owned(), Value::from("yes"));
                }
                (AttemptKind::Verify, Answer::No) => {
                    end.outputs.insert("happened".to_owned(), Value::from("no"));
                }
                (AttemptKind::Verify, Answer::Silent) | (AttemptKind::OnCancel | AttemptKind::Rollback, _) => {}
            }
        }
        let until = now + takes;
        self.ends.insert((until, attempt));
        self.going.insert(attempt, Going { since: now, until, end });
    }

    /// Stops an attempt: it is cut off at once.
    pub(super) fn stop(&mut self, now: Timestamp, attempt: AttemptRef) {
        if let Some(going) = self.going.get_mut(&attempt) {
            self.ends.remove(&(going.until, attempt));
            going.until = now;
            going.end = AttemptEnd::bare(How::CutOff(CutOff::Stopped));
            self.ends.insert((now, attempt));
        }
    }

    /// When the next attempt ends.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// The attempts that have ended by now.
    pub(super) fn ended(&mut self, now: Timestamp) -> Vec<(AttemptRef, AttemptEnd)> {
        let mut ended = Vec::new();
        while let Some((at, attempt)) = self.ends.first().copied().filter(|(at, _)| *at <= now) {
            self.ends.remove(&(at, attempt));
            if let Some(mut going) = self.going.remove(&attempt) {
                if !matches!(going.end.how, How::NotStarted(_)) {
                    going.end.started_at = Some(going.since);
                    going.end.ended_at = Some(at);
                }
                ended.push((attempt, going.end));
            }
        }
        ended
    }

    /// The outputs that a step would have written.
    pub(super) fn outputs_of(&self, trail: &Trail<'_>, step: &Step) -> IndexMap<String, Value> {
        let told: Told<'_> = self.script.told(trail).into_iter().map(|(_, script)| (u32::MAX, script)).collect();
        outputs(step, &told)
    }

    /// How long a try of a step takes, where that is known.
    fn expected(&self, run: &RunState, no: StepNo, step: &Step) -> Option<Span> {
        match run.parent() {
            None => self.setting.expected.get(&no).copied(),
            Some(_) => self.setting.expected_below.get(&run.created().runbook)?.get(&step.id).copied(),
        }
    }

    /// How a try of the step itself ends, and after how long.
    fn ends_as(&self, run: &RunState, no: StepNo, step: &Step, end: End, takes: Option<Span>) -> (How, Span) {
        let takes = takes.unwrap_or(self.unknown);
        let judged = |success: bool, from: i32| {
            let fits = |code: &i32| {
                // A code that `unknown_if` names is neither.
                succeeds(run, no, step, *code) == success && !holds(run, no, step.unknown_if.as_deref(), *code)
            };
            (from..=255).find(fits).unwrap_or(from)
        };
        match end {
            End::Succeeded => within(How::Exited(judged(true, 0)), step.command(), takes),
            End::Failed => within(How::Exited(judged(false, 1)), step.command(), takes),
            End::Exited(code) => within(How::Exited(code), step.command(), takes),
            End::Lost => within(How::Lost { processes_left: false }, step.command(), takes),
            End::TimedOut => {
                (How::CutOff(CutOff::Timeout), step.command().and_then(|command| command.timeout).unwrap_or(takes))
            }
            End::NotStarted => (How::NotStarted(NotStarted::Errno(REFUSED)), Span::ZERO),
        }
    }
}

/// The same end, unless the command's timeout comes first.
fn within(how: How, command: Option<&Command>, takes: Span) -> (How, Span) {
    match command.and_then(|command| command.timeout) {
        Some(timeout) if takes > timeout => (How::CutOff(CutOff::Timeout), timeout),
        Some(_) | None => (how, takes),
    }
}

/// Whether the step's `success` takes an exit code.
fn succeeds(run: &RunState, no: StepNo, step: &Step, code: i32) -> bool {
    match step.probe().map_or(&step.success, |probe| &probe.until) {
        None => code == 0,
        Some(expression) => holds(run, no, Some(expression), code),
    }
}

/// Whether an expression over `exit_code` holds; one that is not there, or fails, does not.
fn holds(run: &RunState, no: StepNo, expression: Option<&str>, code: i32) -> bool {
    let scope = RunScope { run, step: Some(no), exit_code: Some(code), written: None };
    let parsed = expression.and_then(|text| Expression::parse(text).ok());
    parsed.is_some_and(|parsed| parsed.holds(&scope).unwrap_or(false))
}

/// What a try of a step writes: what is told, else a value of the declared type.
fn outputs(step: &Step, told: &Told<'_>) -> IndexMap<String, Value> {
    let made_up = |key: &str, value_type: ValueType| match value_type {
        ValueType::String => Value::from(key),
        ValueType::Integer => json!(1),
        ValueType::Number => json!(1.0),
        ValueType::Boolean => Value::Bool(true),
        ValueType::List => json!([]),
        ValueType::Map | ValueType::Any => json!({}),
    };
    let value = |(key, value_type): (&String, &ValueType)| {
        let written = told.iter().find_map(|(number, told)| told.written(*number, key)).cloned();
        let value = written.unwrap_or_else(|| made_up(key, *value_type));
        (key.clone(), value)
    };
    step.outputs.iter().map(value).collect()
}

/// What a step leaves: everything that it declares, empty.
fn artifacts(step: &Step) -> Vec<Artifact> {
    let artifact = |name: &String| Artifact { name: name.clone(), length: 0, digest: Digest::of(b"") };
    step.artifacts.iter().map(artifact).collect()
}
