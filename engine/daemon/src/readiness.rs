//! What runs said about what can be restored, looked up in the journal once and kept up from then on; and what the folder wants of
//! it. The verdict is the core's.

mod before;
mod recorded;
pub mod wanted;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use runbook_core::preflight::{Checked, Place};
use runbook_core::readiness::{Evidence, Goals, Look, Record, Role, Verdict, due, judge};
use runbook_core::run::{Outcome, Phase, RunState};
use runbook_core::time::Timestamp;
use runbook_core::verdicts::Target;
use runbook_journal::{StoreError, View};
use tokio::sync::Notify;

use self::before::{Before, Counting};
use self::wanted::{Aim, Could, Wanted};
use crate::definitions::Definitions;
use crate::library::Generation;

/// How a target stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Which.
    pub target: Target,
    /// What is wanted of it.
    pub goals: Goals,
    /// What runs said about it.
    pub record: Record,
    /// The newest looks whether the runbooks could start that restore it.
    pub looks: Vec<Look>,
    /// How it stands.
    pub verdict: Verdict,
    /// Why, the gravest first.
    pub reasons: Vec<String>,
    /// What else a person should know: a file is broken, and a version of before counts.
    pub warnings: Vec<String>,
    /// When that changes if nothing happens until then.
    pub due: Option<Timestamp>,
}

/// What a look at all targets found.
#[derive(Debug)]
pub struct Found {
    /// How they stand, by environment and name.
    pub targets: Vec<Standing>,
    /// What cannot be known of the folder, in words: where there is any, targets may be missing.
    pub unknown: Vec<String>,
    /// Where runbooks with an objective may run, whether anything ran there or not.
    pub could: Vec<Could>,
}

/// What runs said.
pub struct Readiness {
    reader: Arc<dyn View>,
    definitions: Arc<Definitions>,
    known: Mutex<Memory>,
    /// Held by who asks the journal.
    asking: Mutex<()>,
    /// What was good in the folder, for when something is broken.
    before: Mutex<Before>,
    /// Told that a run has said something.
    news: Arc<Notify>,
}

/// What is known so far.
#[derive(Default)]
struct Memory {
    records: HashMap<Target, Record>,
    /// Whether the journal was asked for all that was durable then.
    asked: bool,
    /// Runs that ended while it is asked.
    meanwhile: Option<Vec<(Target, Evidence)>>,
}

impl Memory {
    /// Takes a run in. One that has said something else before has the journal asked anew: what it said is not so any more.
    fn add(&mut self, target: Target, evidence: Evidence) {
        if !self.asked {
            // What nobody asked for yet is in the journal.
            self.meanwhile.iter_mut().for_each(|runs| runs.push((target.clone(), evidence.clone())));
            return;
        }
        let record = self.records.entry(target).or_default();
        if evidence.outcome != Outcome::Succeeded && record.counts(evidence.run) {
            *self = Self::default();
        } else {
            record.add(evidence);
        }
    }
}

impl Readiness {
    /// Nothing is known yet.
    pub fn new(reader: Arc<dyn View>, definitions: Arc<Definitions>) -> Self {
        Self {
            reader,
            definitions,
            known: Mutex::default(),
            asking: Mutex::default(),
            before: Mutex::default(),
            news: Arc::default(),
        }
    }

    /// Told whenever a run has said something; one listens.
    pub fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }

    fn known(&self) -> MutexGuard<'_, Memory> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run has come to an end that was no dry one: one at the top, or a child run.
    pub fn add(&self, state: &RunState) {
        let created = state.created();
        let (Some(objective), Some(target), Phase::Terminal(outcome)) =
            (&state.pinned().runbook.objective, &created.terms.target, state.phase())
        else {
            return;
        };
        let evidence = Evidence {
            run: state.uid(),
            number: created.number,
            runbook: created.runbook.clone(),
            began: state.created_at(),
            ended: state.last_at(),
            outcome,
            role: Role::of(objective),
        };
        self.known().add((created.terms.environment.clone(), target.clone()), evidence);
        self.news.notify_one();
    }

    /// Asks the journal where that is to be done.
    fn remember(&self) -> Result<(), StoreError> {
        let _asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            {
                let mut known = self.known();
                if known.asked {
                    return Ok(());
                }
                known.meanwhile = Some(Vec::new());
            }
            // Without the lock: whoever adds a run must not wait for a scan.
            let records = recorded::recorded(&*self.reader, &self.definitions)?;
            let mut known = self.known();
            let meanwhile = known.meanwhile.take().unwrap_or_default();
            *known = Memory { records, asked: true, meanwhile: None };
            for (target, evidence) in meanwhile {
                known.add(target, evidence);
            }
        }
    }

    /// How all targets stand of which the folder says what is wanted; `preflights` is what was found of whether runbooks could start.
    /// A runbook that is broken, or not there while something is, wants what it did when it was good, and where this daemon never
    /// saw that, what it did when it ran last: a file that somebody is writing ends no objective. May read the journal.
    ///
    /// # Errors
    /// An unreadable row.
    pub fn look(
        &self,
        generation: &Arc<Generation>,
        preflights: &BTreeMap<Place, Checked>,
        now: Timestamp,
    ) -> Result<Found, StoreError> {
        self.remember()?;
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let beside = before.beside(generation, &*self.reader, &self.definitions)?;
        drop(before);
        let known = self.known();
        let counting: Vec<Counting<'_>> = beside.counting(generation).collect();
        let standing = |(target, aims): (Target, Vec<Aim<'_>>)| {
            let (mut goals, mut looks, mut warnings) = (Goals::default(), Vec::new(), Vec::new());
            for Aim { counting: Counting { runbook, warning, .. }, objective } in aims {
                goals.add(objective);
                let place = Place { runbook: runbook.name.clone(), environment: target.0.clone() };
                let look = preflights.get(&place).filter(|_| objective.rto.is_some() && runbook.preflight.is_some());
                looks.extend(look.map(|checked| Look { drill: objective.drill, checked: checked.clone() }));
                warnings.extend(warning.clone().filter(|warning| !warnings.contains(warning)));
            }
            let record = known.records.get(&target).cloned().unwrap_or_default();
            let (verdict, reasons) = judge(&record, &goals, &looks, now);
            let due = due(&record, &goals, now);
            Standing { target, goals, record, looks, verdict, reasons, warnings, due }
        };
        let Wanted { targets, could } = wanted::wanted(&counting, &known.records);
        Ok(Found { targets: targets.into_iter().map(standing).collect(), unknown: beside.unknown, could })
    }
}
