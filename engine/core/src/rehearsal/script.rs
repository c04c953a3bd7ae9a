//! What a rehearsal is told: how tries end, how long they take, what the world answers, and what people do. Data, and
//! the words that a command line has for it.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::Value;

use crate::definition::{Runbook, Settlement};
use crate::expression::did_you_mean;
use crate::id::StepNo;
use crate::language::duration;
use crate::limits;
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
    pub verify: Answer,
    /// Whether its `on_cancel` fails.
    pub on_cancel_fails: bool,
    /// Whether its `rollback` fails.
    pub rollback_fails: bool,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// As soon as the first try of this step runs.
    During(StepNo),
    /// So long after the start.
    After(Span),
}

/// A cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cancel {
    /// When.
    pub when: When,
    /// Whether without grace.
    pub now: bool,
}

/// What goes otherwise than well.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Script {
    /// Of steps.
    pub steps: BTreeMap<StepNo, StepScript>,
    /// Of the run.
    pub cancel: Option<Cancel>,
}

impl Script {
    /// What is told of a step, to be changed.
    pub fn step(&mut self, step: StepNo) -> &mut StepScript {
        self.steps.entry(step).or_default()
    }

    /// Takes `STEP` or `STEP@TRY`: the step ends so in every try, or in that one.
    ///
    /// # Errors
    /// In words: there is no such step, or the try is no number.
    pub fn end(&mut self, runbook: &Runbook, text: &str, end: End) -> Result<(), String> {
        let Some((id, number)) = text.split_once('@') else {
            self.step(named(runbook, text)?).always = Some(end);
            return Ok(());
        };
        let step = named(runbook, id)?;
        match number.parse::<u32>() {
            Ok(number) if (1..=limits::RETRY_ATTEMPTS).contains(&number) => {
                self.step(step).tries.insert(number, end);
                Ok(())
            }
            _ => Err(format!("{number:?} is no try: tries are numbered from 1 to {}", limits::RETRY_ATTEMPTS)),
        }
    }

    /// Takes `STEP`: the daemon crashes while it runs.
    ///
    /// # Errors
    /// In words: there is no such step.
    pub fn crash(&mut self, runbook: &Runbook, text: &str) -> Result<(), String> {
        self.step(named(runbook, text)?).crash = true;
        Ok(())
    }

    /// Takes `STEP=DURATION`: how long each of its tries takes.
    ///
    /// # Errors
    /// In words: there is no such step, or that is no duration.
    pub fn duration(&mut self, runbook: &Runbook, text: &str) -> Result<(), String> {
        let Some((id, takes)) = text.split_once('=') else {
            return Err(format!("{text:?} has no `=`; write it as STEP=10m"));
        };
        let takes = duration::parse(takes).map_err(|fault| fault.to_string())?;
        self.step(named(runbook, id)?).takes = Some(takes);
        Ok(())
    }
}

/// The step of an id.
fn named(runbook: &Runbook, id: &str) -> Result<StepNo, String> {
    runbook.find(id).ok_or_else(|| {
        let shown: String = id.chars().take(limits::ID_LENGTH).collect();
        match did_you_mean(id, runbook.steps.iter().map(|step| step.id.as_str())) {
            Some(meant) => format!("{} has no step {shown:?}; did you mean {meant:?}?", runbook.name),
            None => format!("{} has no step {shown:?}", runbook.name),
        }
    })
}
