//! Schedules on this machine: tells the machine what the folder says of them, and prepares the starts of slots that fell due,
//! in a thread of its own. What becomes of a slot is the core's to say; nothing here knows the time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use runbook_core::definition::{Environment, Schedule};
use runbook_core::id::{Digest, RunUid};
use runbook_core::machine::{Generation, Prepared};
use runbook_core::run::{Origin, Principal, Start, Terms};
use runbook_core::schedule::{Plan, ScheduleName};
use runbook_core::time::{Span, Timestamp};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::dispatcher::Handle;
use crate::git;
use crate::interned::Interned;
use crate::library::{self, Entry, Library};
use crate::placed;
use crate::preflight::Preflight;
use crate::prepare::{self, Ready};
use crate::surroundings::Surroundings;

/// A slot of a schedule.
type Slot = (ScheduleName, Timestamp);

/// What is to be done.
#[derive(Debug)]
enum Work {
    /// The folder has another generation.
    Changed,
    /// These slots fell due.
    Prepare(Vec<Slot>),
}

/// The way to the thread.
#[derive(Debug, Clone)]
pub struct Planner {
    sender: Sender<Work>,
}

impl Planner {
    /// The folder has another generation.
    pub fn changed(&self) {
        self.send(Work::Changed);
    }

    /// Slots fell due.
    pub fn prepare(&self, slots: &[Slot]) {
        if !slots.is_empty() {
            self.send(Work::Prepare(slots.to_vec()));
        }
    }

    fn send(&self, work: Work) {
        // A daemon that fires no schedules has nobody who listens, and no slot falls due in it.
        let _ = self.sender.send(work);
    }
}

/// The two ends of the way.
#[derive(Debug)]
pub struct Inbox(Receiver<Work>);

/// The way to a thread that is not started yet.
pub fn planner() -> (Planner, Inbox) {
    let (sender, receiver) = channel();
    (Planner { sender }, Inbox(receiver))
}

/// What starts are made of.
pub struct Workshop {
    /// The folder.
    pub library: Arc<Library>,
    /// Definitions and secrets.
    pub surroundings: Surroundings,
    /// The way to the dispatcher.
    pub dispatcher: Handle,
    /// Set while the daemon is ending: what falls due then is left to its next start.
    pub drain: CancellationToken,
    /// The data directory.
    pub data_dir: PathBuf,
}

/// Starts the thread.
///
/// # Errors
/// There is none to be had.
pub fn start(inbox: Inbox, workshop: Workshop) -> std::io::Result<()> {
    std::thread::Builder::new().name("schedules".into()).spawn(move || {
        // However this ends, the daemon ends with it: one without it would leave slots alone in silence.
        let _ends = workshop.drain.clone().drop_guard();
        let mut thread =
            Thread { workshop, preflight: Preflight::default(), known: BTreeMap::new(), plans: Interned::default() };
        while let Ok(work) = inbox.0.recv() {
            match work {
                Work::Changed => thread.plan(),
                Work::Prepare(slots) => thread.prepare(slots),
            }
        }
    })?;
    Ok(())
}

/// A runbook with schedules, as it was last good.
struct Good {
    entry: Arc<Entry>,
    /// Those of its schedules that can be fired, in the order of the runbook.
    plans: Box<[Option<Arc<Plan>>]>,
}

impl Good {
    /// The plans that the environments of the folder want, by their schedules' names.
    fn wanted(&self, current: &library::Generation) -> impl Iterator<Item = (ScheduleName, Arc<Plan>)> {
        let runbook = self.entry.runbook();
        let schedules = runbook.into_iter().flat_map(|it| it.schedules.iter().map(|schedule| (&it.name, schedule)));
        schedules.zip(&self.plans).filter_map(|((runbook, (name, schedule)), plan)| {
            let plan = plan.as_ref().filter(|_| current.wants(schedule))?;
            Some((ScheduleName::new(runbook, name), Arc::clone(plan)))
        })
    }
}

struct Thread {
    workshop: Workshop,
    preflight: Preflight,
    /// The last good version of each runbook with schedules.
    known: BTreeMap<String, Good>,
    /// Very many schedules are fired alike.
    plans: Interned<Plan>,
}

/// What can be started: slots of schedules that give the same are ready together.
struct Startable {
    entry: Arc<Entry>,
    ready: Ready,
    /// The commit that the project's folder is at.
    commit: Option<String>,
}

impl Thread {
    /// Tells the machine what schedules there are.
    fn plan(&mut self) {
        let current = self.workshop.library.current();
        if current.number == 0 {
            return;
        }
        let generation = Generation {
            whole: current.is_whole(),
            read: self.read(&current),
            // A broken runbook keeps its last good version.
            plans: self.known.values().flat_map(|good| good.wanted(&current)).collect(),
        };
        self.workshop.dispatcher.plan(Arc::new(generation));
    }

    /// Takes in what there is in the folder now; gives the names of the good runbooks.
    fn read(&mut self, current: &library::Generation) -> BTreeSet<String> {
        let mut read = BTreeSet::new();
        for entry in current.entries.values() {
            let Some(runbook) = entry.runbook() else { continue };
            read.insert(runbook.name.clone());
            if runbook.schedules.is_empty() {
                self.known.remove(&runbook.name);
                continue;
            }
            if self.known.get(&runbook.name).is_some_and(|good| Arc::ptr_eq(&good.entry, entry)) {
                continue;
            }
            let plans = runbook.schedules.iter().map(|(name, schedule)| {
                let name = ScheduleName::new(&runbook.name, name);
                let plan = plan(&name, schedule);
                let told =
                    plan.inspect_err(|why| tracing::error!(schedule = %name, why, "the schedule cannot be fired"));
                Some(self.plans.share(Arc::new(told.ok()?)))
            });
            let good = Good { entry: Arc::clone(entry), plans: plans.collect() };
            self.known.insert(runbook.name.clone(), good);
        }
        if current.is_whole() {
            self.known.retain(|name, _| read.contains(name));
        }
        self.plans.tidy();
        read
    }

    /// Prepares slots, those of one runbook together.
    fn prepare(&mut self, slots: Vec<Slot>) {
        // Whoever edited a runbook just now means what he wrote.
        let current = self.workshop.library.latest();
        self.read(&current);
        let mut startable: HashMap<(String, Option<String>, String), Result<Startable, String>> = HashMap::new();
        for (name, slot) in slots {
            if self.workshop.drain.is_cancelled() {
                return;
            }
            let prepared = self.environment(&name, &current).and_then(|environment| {
                let given = self.given(&name);
                let place = environment.as_ref().map(|it| it.name.clone());
                let key = (name.runbook().to_owned(), place, Value::from(given.clone()).to_string());
                let startable = startable.entry(key);
                let startable = startable.or_insert_with(|| self.ready(&name, environment.as_ref(), given, &current));
                start_of(startable.as_ref().map_err(Clone::clone)?, &name, slot)
            });
            self.workshop.dispatcher.prepared(name, slot, prepared);
        }
    }

    /// The environment that a schedule's runs are started in.
    fn environment(&self, name: &ScheduleName, current: &library::Generation) -> Result<Option<Environment>, String> {
        let runbook = self.good(name)?.entry.runbook();
        let runbook = runbook.ok_or_else(|| gone(name))?;
        let schedule = runbook.schedules.get(name.schedule());
        let named = schedule.and_then(|schedule| schedule.environment());
        placed::chosen(current, runbook, named).map_err(|refusal| refusal.to_string())
    }

    /// The inputs that a schedule gives.
    fn given(&self, name: &ScheduleName) -> Map<String, Value> {
        let runbook = self.known.get(name.runbook()).and_then(|good| good.entry.runbook());
        let schedule = runbook.and_then(|runbook| runbook.schedules.get(name.schedule()));
        let given = schedule.and_then(|schedule| schedule.inputs()).into_iter().flatten();
        given.map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// The last good version of a schedule's runbook.
    fn good(&self, name: &ScheduleName) -> Result<&Good, String> {
        self.known.get(name.runbook()).ok_or_else(|| gone(name))
    }

    /// Checks that a schedule's runbook can start, and pins it.
    fn ready(
        &self,
        name: &ScheduleName,
        environment: Option<&Environment>,
        given: Map<String, Value>,
        current: &library::Generation,
    ) -> Result<Startable, String> {
        let Workshop { surroundings, data_dir, .. } = &self.workshop;
        let entry = Arc::clone(&self.good(name)?.entry);
        let ready = prepare::ready(&entry, environment, given, current, surroundings, &self.preflight, data_dir)?;
        Ok(Startable { entry, ready, commit: git::commit(&surroundings.project) })
    }
}

/// Why a schedule cannot be fired of which nothing is known any more.
fn gone(name: &ScheduleName) -> String {
    format!("there is no runbook {} with schedules any more", name.runbook())
}

/// The start of a slot's run.
fn start_of(startable: &Startable, name: &ScheduleName, slot: Timestamp) -> Prepared {
    let Startable { entry, ready: Ready { pinned, inputs, sources }, commit } = startable;
    let schedule = entry.runbook().and_then(|runbook| runbook.schedules.get(name.schedule()));
    let schedule = schedule.ok_or_else(|| format!("the schedule {name} is no longer in its runbook"))?;
    let asked = serde_json::json!({"definition": pinned.digest, "inputs": inputs, "schedule": name, "slot": slot});
    let start = Start {
        number: 0,
        pinned: Arc::clone(pinned),
        inputs: inputs.clone().into_iter().collect(),
        sealed_inputs: Vec::new(),
        origin: Origin::Schedule,
        by: Principal::engine(),
        roles: Vec::new(),
        reason: format!("schedule {}, slot {slot}", name.schedule()),
        request_id: String::new(),
        request_digest: Digest::of(asked.to_string().as_bytes()),
        commit: commit.clone(),
        terms: Terms { confirmed: schedule.confirm().to_vec(), sources: sources.clone(), ..Terms::default() },
        parent: None,
        items: Vec::new(),
    };
    Ok((RunUid::from_bits(uuid::Uuid::now_v7().as_u128()), Box::new(start)))
}

/// What the machine has to know of a schedule.
///
/// # Errors
/// In words: its zone is not in this version's database.
pub fn plan(name: &ScheduleName, schedule: &Schedule) -> Result<Plan, String> {
    Ok(Plan {
        timetable: Arc::clone(schedule.when.timetable()?),
        missed: schedule.missed,
        overlap: schedule.overlap,
        delay: share(name, schedule.jitter),
        start_deadline: schedule.start_deadline,
        expect: schedule.expect.map(|expect| expect.every),
    })
}

/// A schedule's share of its jitter: by its name, so that it is the same every night and on every machine.
fn share(name: &ScheduleName, jitter: Span) -> Span {
    if jitter == Span::ZERO {
        return Span::ZERO;
    }
    let Digest(hash) = Digest::of(name.as_str().as_bytes());
    let hash = hash.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let share = (u128::from(jitter.0.unsigned_abs()) * u128::from(hash)) >> 64;
    Span(i64::try_from(share).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_jitter_are_stable_and_spread() {
        let jitter = Span::minutes(10);
        let shares: Vec<Span> =
            (0..100).map(|n| share(&ScheduleName::new("backup", &format!("s{n}")), jitter)).collect();
        assert!(shares.iter().all(|share| (Span::ZERO..jitter).contains(share)));
        let late = shares.iter().filter(|share| share.0 > jitter.0 / 2).count();
        assert!((30..70).contains(&late), "{late} of 100 are in the second half");
        assert_eq!(share(&ScheduleName::new("backup", "s1"), jitter), shares[1]);
        assert_eq!(share(&ScheduleName::new("backup", "s1"), Span::ZERO), Span::ZERO);
    }
}
