//! What a rehearsal is told: how tries end, how long they take, what the world answers, and what people do. Data, and
//! the words that a command line has for it.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::Value;

use super::place::{Place, Trail};
use crate::definition::Settlement;
use crate::language::duration;
use crate::limits;
use crate::run::Pinned;
use crate::time::Span;

/// How one try of a step ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As its `success` wants it, with all outputs and artifacts.
    Succeeded,
    /// With an exit code that its `success` does not take.
    Failed,
    /// With this exit code.
    Exited(i32),
    /// Cut off by its timeout.
    TimedOut,
    /// Nobody knows how.
    Lost,
    /// The system refuses to start it.
    NotStarted,
}

impl End {
    /// The words for ends; an exit code is a number.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("succeeded", Self::Succeeded),
        ("failed", Self::Failed),
        ("timed_out", Self::TimedOut),
        ("lost", Self::Lost),
        ("not_started", Self::NotStarted),
    ];
}

/// What `verify` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answer {
    /// It happened.
    #[default]
    Yes,
    /// It did not happen.
    No,
    /// No answer.
    Silent,
}

impl Answer {
    /// The words for answers.
    pub const WORDS: [(&'static str, Self); 3] = [("yes", Self::Yes), ("no", Self::No), ("silent", Self::Silent)];
}

/// What is told of one step. What is not told goes well.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepScript {
    /// How the n-th try of the step itself ends, from 1.
    pub tries: BTreeMap<u32, End>,
    /// How all other tries end.
    pub always: Option<End>,
    /// How long each try takes.
    pub takes: Option<Span>,
    /// What its first tries write, one after the other, in place of values that were made up; all others write what the last
    /// of these does.
    pub outputs: Vec<IndexMap<String, Value>>,
    /// What its `verify` answers.
    pub verify: Option<Answer>,
    /// Whether its `on_cancel` fails.
    pub on_cancel_fails: Option<bool>,
    /// Whether its `rollback` fails.
    pub rollback_fails: Option<bool>,
    /// Whether the daemon crashes while its first try runs.
    pub crash: bool,
    /// What a person settles it as, the first time that it is unknown.
    pub resolve: Option<Settlement>,
}

impl StepScript {
    /// What the n-th try writes, from 1, where that is told.
    pub fn written(&self, number: u32, key: &str) -> Option<&Value> {
        let nth = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
        self.outputs.get(nth).or(self.outputs.last())?.get(key)
    }
}

/// When the run is canceled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// As soon as the first try of this step runs.
    During(Place),
    /// So long after the start.
    After(Span),
}

/// A cancel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// When.
    pub when: When,
    /// Whether without grace.
    pub now: bool,
}

/// What goes otherwise than well.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Script {
    /// Of steps. What is told of all items or iterations holds for one as far as nothing else is told of that.
    pub steps: BTreeMap<Place, StepScript>,
    /// Of the run.
    pub cancel: Option<Cancel>,
}

impl Script {
    /// What is told of a step, to be changed.
    pub fn step(&mut self, place: Place) -> &mut StepScript {
        self.steps.entry(place).or_default()
    }

    /// All that is told of a step of a run, the most exact first.
    pub(super) fn told<'s>(&'s self, trail: &Trail<'_>) -> Vec<(&'s Place, &'s StepScript)> {
        self.steps.iter().rev().filter(|(place, _)| place.is(trail)).collect()
    }

    /// Takes `STEP` or `STEP@TRY`: the step ends so in every try, or in that one.
    ///
    /// # Errors
    /// In words: there is no such step, it has steps of its own, or the try is no number.
    pub fn end(&mut self, pinned: &Pinned, text: &str, end: End) -> Result<(), String> {
        let (path, number) = cut(text, '@');
        let place = Place::of_work(pinned, path).map_err(|no| no.to_string())?;
        let Some(number) = number else {
            self.step(place).always = Some(end);
            return Ok(());
        };
        match number.parse::<u32>() {
            Ok(number) if (1..=limits::RETRY_ATTEMPTS).contains(&number) => {
                self.step(place).tries.insert(number, end);
                Ok(())
            }
            _ => Err(format!("`{number}` is no try: tries are numbered from 1 to {}", limits::RETRY_ATTEMPTS)),
        }
    }

    /// Takes `STEP`: the daemon crashes while it runs.
    ///
    /// # Errors
    /// In words: there is no such step.
    pub fn crash(&mut self, pinned: &Pinned, text: &str) -> Result<(), String> {
        let place = Place::parse(pinned, text).map_err(|no| no.to_string())?;
        self.step(place.work(pinned)).crash = true;
        Ok(())
    }

    /// Takes `STEP=DURATION`: how long each of its tries takes.
    ///
    /// # Errors
    /// In words: there is no such step, it has steps of its own, or that is no duration.
    pub fn duration(&mut self, pinned: &Pinned, text: &str) -> Result<(), String> {
        let (path, Some(takes)) = cut(text, '=') else {
            return Err(format!("`{text}` has no `=`; write it as STEP=10m"));
        };
        let takes = duration::parse(takes).map_err(|fault| fault.to_string())?;
        let place = Place::of_work(pinned, path).map_err(|no| no.to_string())?;
        self.step(place).takes = Some(takes);
        Ok(())
    }
}

/// A path, and what follows behind a sign, which may stand in the name of an item too.
fn cut(text: &str, sign: char) -> (&str, Option<&str>) {
    let behind = text.rfind(']').unwrap_or(0);
    match text[behind..].find(sign).map(|at| behind + at) {
        Some(at) => (&text[..at], Some(&text[at + sign.len_utf8()..])),
        None => (text, None),
    }
}
