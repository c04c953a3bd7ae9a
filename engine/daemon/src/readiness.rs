//! What runs said about what can be restored, looked up in the journal once and kept up from then on; and what the folder wants of
//! it. The verdict is the core's.

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
    /// When that changes if nothing happens until then.
    pub due: Option<Timestamp>,
}

/// What runs said.
pub struct Readiness {
    reader: Arc<dyn View>,
    definitions: Arc<Definitions>,
    known: Mutex<Memory>,
    /// The newest generation of the folder that was whole.
    whole: Mutex<Option<Arc<Generation>>>,
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
        Self { reader, definitions, known: Mutex::default(), whole: Mutex::default(), news: Arc::default() }
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
            let went_by = row.editions.last().copied().unwrap_or(row.definition);
            let (Some(target), Some(finished), Ok(pinned)) = (row.target, row.finished, self.definitions.load(went_by))
            else {
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

    /// The newest generation that was whole, this one perhaps.
    fn whole(&self, generation: &Arc<Generation>) -> Option<Arc<Generation>> {
        let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        if generation.is_whole() && whole.as_ref().is_none_or(|before| before.number <= generation.number) {
            *whole = Some(Arc::clone(generation));
        }
        whole.clone()
    }

    /// How all targets stand of which the folder says what is wanted, by environment and name; `preflights` is what was found of
    /// whether runbooks could start. A runbook that is broken, or not there while something is, wants what it did when all was
    /// good: a file that somebody is writing ends no objective. May read the journal.
    ///
    /// # Errors
    /// An unreadable row.
    pub fn look(
        &self,
        generation: &Arc<Generation>,
        preflights: &BTreeMap<Place, Checked>,
        now: Timestamp,
    ) -> Result<Vec<Standing>, StoreError> {
        self.remember()?;
        let whole = self.whole(generation).filter(|_| !generation.is_whole());
        let known = self.known();
        let mut goals: BTreeMap<Target, (Goals, Vec<Look>)> = BTreeMap::new();
        for (generation, runbook) in wanting(generation, whole.as_deref()) {
            let Some(objective) = &runbook.objective else { continue };
            let seen = known.records.iter().filter(|(_, record)| record.runbooks().contains(&runbook.name));
            let seen = seen.map(|(target, _)| target.clone());
            for target in expected(generation, runbook).into_iter().chain(seen) {
                let place = Place { runbook: runbook.name.clone(), environment: target.0.clone() };
                let look = preflights.get(&place).filter(|_| objective.rto.is_some() && runbook.preflight.is_some());
                let look = look.map(|checked| Look { drill: objective.drill, checked: checked.clone() });
                let (goals, looks) = goals.entry(target).or_default();
                goals.add(objective);
                // A target can be seen and expected.
                looks.extend(look.filter(|look| !looks.contains(look)));
            }
        }
        let standing = |(target, (goals, looks)): (Target, (Goals, Vec<Look>))| {
            let record = known.records.get(&target).cloned().unwrap_or_default();
            let (verdict, reasons) = judge(&record, &goals, &looks, now);
            let due = due(&record, &goals, now);
            Standing { target, goals, record, looks, verdict, reasons, due }
        };
        Ok(goals.into_iter().map(standing).collect())
    }
}

/// The good runbooks of a generation, and those that are good only in the one before it that was whole.
fn wanting<'g>(
    generation: &'g Generation,
    whole: Option<&'g Generation>,
) -> impl Iterator<Item = (&'g Generation, &'g Runbook)> {
    let good = |name: &String| generation.entries.get(name).is_some_and(|entry| entry.runbook().is_some());
    let runbooks = |of: &'g Generation| of.entries.iter().map(move |(name, entry)| (of, name, entry));
    let before = whole.into_iter().flat_map(runbooks).filter(move |(_, name, _)| !good(name));
    runbooks(generation).chain(before).filter_map(|(of, _, entry)| Some((of, entry.runbook()?)))
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
