//! What runs said about what can be restored, looked up in the journal once and kept up from then on; and what the folder wants of
//! it. The verdict is the core's.

mod before;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use runbook_core::definition::{Environment, Runbook};
use runbook_core::destruction::{self, Known};
use runbook_core::language;
use runbook_core::preflight::{Checked, Place};
use runbook_core::readiness::{Evidence, Goals, Look, Record, Role, Verdict, due, judge};
use runbook_core::run::{Outcome, RunState};
use runbook_core::time::Timestamp;
use runbook_core::verdicts::Target;
use runbook_journal::{RunRow, StoreError, View};
use serde_json::{Map, Value};
use tokio::sync::Notify;

use self::before::{Before, Counting};
use crate::definitions::Definitions;
use crate::library::Generation;
use crate::placed;
use crate::runs::ROWS;

/// Runs with a target that are looked at, the newest.
const RUNS: usize = 20_000;

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
}

/// What runs said.
pub struct Readiness {
    reader: Arc<dyn View>,
    definitions: Arc<Definitions>,
    known: Mutex<Memory>,
    /// What was good in the folder, for when something is broken.
    before: Mutex<Before>,
    /// Told that a run has said something.
    news: Arc<Notify>,
}

/// What is known so far.
#[derive(Default)]
struct Memory {
    records: HashMap<Target, Record>,
    /// Whether the journal was asked for what came before this daemon.
    asked: bool,
    /// Runs that succeeded before it was.
    early: Vec<(Target, Evidence)>,
}

impl Readiness {
    /// Nothing is known yet.
    pub fn new(reader: Arc<dyn View>, definitions: Arc<Definitions>) -> Self {
        Self { reader, definitions, known: Mutex::default(), before: Mutex::default(), news: Arc::default() }
    }

    /// Told whenever a run has said something; one listens.
    pub fn news(&self) -> Arc<Notify> {
        Arc::clone(&self.news)
    }

    fn known(&self) -> MutexGuard<'_, Memory> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run has succeeded that was no dry one.
    pub fn add(&self, state: &RunState) {
        let created = state.created();
        let (Some(objective), Some(target)) = (&state.pinned().runbook.objective, &created.terms.target) else {
            return;
        };
        let evidence = Evidence {
            run: state.uid(),
            number: created.number,
            runbook: created.runbook.clone(),
            began: state.created_at(),
            ended: state.last_at(),
            role: Role::of(objective),
        };
        let target = (created.terms.environment.clone(), target.clone());
        let mut known = self.known();
        if known.asked {
            known.records.entry(target).or_default().add(evidence);
        } else {
            known.early.push((target, evidence));
        }
        self.news.notify_one();
    }

    /// Asks the journal once. A run whose definition cannot be read says nothing.
    fn remember(&self) -> Result<(), StoreError> {
        if self.known().asked {
            return Ok(());
        }
        // Without the lock: whoever adds a success must not wait for a scan.
        let mut wanted = |row: &RunRow| {
            let succeeded = row.finished.is_some_and(|finished| finished.outcome == Outcome::Succeeded);
            succeeded && !row.dry && row.target.is_some()
        };
        let mut rows = self.reader.rows_newest_first(None, RUNS, ROWS, &mut wanted)?.rows;
        rows.sort_by_key(|row| row.finished.map(|finished| finished.at));
        let mut records: HashMap<Target, Record> = HashMap::new();
        for row in rows {
            // What it went by last is what it did.
            let pinned = self.definitions.load(row.went_by());
            let (Some(target), Some(finished), Ok(pinned)) = (row.target, row.finished, pinned) else {
                continue;
            };
            let Some(objective) = &pinned.runbook.objective else { continue };
            records.entry((row.environment, target)).or_default().add(Evidence {
                run: row.uid,
                number: row.number,
                runbook: row.runbook,
                began: row.created_at,
                ended: finished.at,
                role: Role::of(objective),
            });
        }
        let mut known = self.known();
        if !known.asked {
            for (target, evidence) in std::mem::take(&mut known.early) {
                records.entry(target).or_default().add(evidence);
            }
            *known = Memory { records, asked: true, early: Vec::new() };
        }
        Ok(())
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
        let mut wanted: BTreeMap<Target, (Goals, Vec<Look>, Vec<String>)> = BTreeMap::new();
        for Counting { folder, runbook, warning } in beside.counting(generation) {
            let Some(objective) = &runbook.objective else { continue };
            let seen = known.records.iter().filter(|(_, record)| record.runbooks().contains(&runbook.name));
            let seen = seen.map(|(target, _)| target.clone());
            for target in expected(folder, runbook).into_iter().chain(seen) {
                let place = Place { runbook: runbook.name.clone(), environment: target.0.clone() };
                let look = preflights.get(&place).filter(|_| objective.rto.is_some() && runbook.preflight.is_some());
                let look = look.map(|checked| Look { drill: objective.drill, checked: checked.clone() });
                let (goals, looks, warnings) = wanted.entry(target).or_default();
                goals.add(objective);
                // A target can be seen and expected.
                looks.extend(look.filter(|look| !looks.contains(look)));
                warnings.extend(warning.clone().filter(|warning| !warnings.contains(warning)));
            }
        }
        let standing = |(target, (goals, looks, warnings)): (Target, (Goals, Vec<Look>, Vec<String>))| {
            let record = known.records.get(&target).cloned().unwrap_or_default();
            let (verdict, reasons) = judge(&record, &goals, &looks, now);
            let due = due(&record, &goals, now);
            Standing { target, goals, record, looks, verdict, reasons, warnings, due }
        };
        Ok(Found { targets: wanted.into_iter().map(standing).collect(), unknown: beside.unknown })
    }
}

/// The targets that a runbook is for although no run has said so yet: those of its schedules, and that of a start without inputs.
fn expected(generation: &Generation, runbook: &Runbook) -> Vec<Target> {
    let none = BTreeMap::new();
    let scheduled =
        generation.schedules(runbook).map(|(_, schedule)| (schedule.environment(), schedule.inputs().unwrap_or(&none)));
    let bare = (None, &none);
    scheduled
        .chain([bare])
        .filter_map(|(environment, inputs)| of_start(generation, runbook, environment, inputs))
        .collect()
}

/// The target of a start, if it could be started.
fn of_start(
    generation: &Generation,
    runbook: &Runbook,
    environment: Option<&str>,
    inputs: &BTreeMap<String, Value>,
) -> Option<Target> {
    let environment: Option<Environment> = placed::chosen(generation, runbook, environment).ok()?;
    let mut given: Map<String, Value> = inputs.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(environment) = &environment {
        environment.complete(&runbook.inputs, &mut given);
    }
    let inputs: IndexMap<String, Value> = language::check_inputs(runbook, &given).ok()?.into_iter().collect();
    let known = Known {
        runbook,
        environment: environment.as_ref(),
        inputs: &inputs,
        principal: "",
        reason: "",
        left_out: &BTreeSet::new(),
    };
    let name = destruction::objective(&known)?;
    Some((environment.map(|environment| environment.name), name))
}
