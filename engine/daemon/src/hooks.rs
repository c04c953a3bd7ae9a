//! Someone hears of it: starts the runbooks that the configuration names under `on:` when a run fails, needs a person or asks for an
//! approval, and when something is overdue. Each occurrence has a request id made of durable facts alone, so that a crash
//! can neither lose nor double a hook. Never decides what an occurrence is: the states and the findings say so.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use runbook_core::definition::{Runbook, ValueType, named_runbook};
use runbook_core::expression::did_you_mean;
use runbook_core::id::{Digest, RunUid, StepNo};
use runbook_core::machine::{Batch, Machine};
use runbook_core::run::{
    EndingCause, Fact, Origin, Outcome, Phase, Principal, Rejection, RunState, Start, Terms, Then, provide,
};
use runbook_core::time::{Span, Timestamp};
use runbook_journal::{RunRow, View};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::dispatcher::{Ending, Handle};
use crate::findings::{self, Kind};
use crate::git;
use crate::library::{Generation, Library};
use crate::preflight::Preflight;
use crate::prepare::{self, Ready};
use crate::runs::ROWS;
use crate::successes::Successes;
use crate::surroundings::Surroundings;
use crate::{clock, files, placed, runs};

/// Which runbook hears of what.
pub type Hooks = BTreeMap<Event, String>;

/// What can be heard of, with its key.
pub const EVENTS: [(&str, Event); 4] = [
    ("failed", Event::Failed),
    ("attention", Event::Attention),
    ("approval", Event::Approval),
    ("overdue", Event::Overdue),
];

/// The keys alone.
pub const KEYS: [&str; 4] = [EVENTS[0].0, EVENTS[1].0, EVENTS[2].0, EVENTS[3].0];

/// What a hook's runbook is told, if it has inputs of these names and types.
pub const INPUTS: [(&str, ValueType); 9] = [
    ("event", ValueType::String),
    ("runbook", ValueType::String),
    ("schedule", ValueType::String),
    ("run", ValueType::String),
    ("number", ValueType::Integer),
    ("step", ValueType::String),
    ("state", ValueType::String),
    ("reason", ValueType::String),
    ("message", ValueType::String),
];

/// How long a hook that could not be started is left alone.
const AGAIN: Duration = Duration::from_secs(60);
/// How long news gather before overdue schedules are looked for.
const GATHER: Span = Span::seconds(2);
/// How long nobody looks for them at most: that a run is over that failed is no news here.
const LOOK: Span = Span::seconds(60);
/// Hooks that wait for another try; more than these are given up, the oldest first.
const WAITING: usize = 1_000;
/// The file that says since when each hook is there.
const FILE: &str = "hooks";
/// That file, in bytes.
const FILE_BYTES: u64 = 4 << 10;

/// What can be heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// A run failed.
    Failed,
    /// A run needs a person.
    Attention,
    /// A run asks for an approval.
    Approval,
    /// Something has not succeeded in time.
    Overdue,
}

impl Event {
    /// Its key in the configuration.
    pub fn name(self) -> &'static str {
        EVENTS.iter().find(|(_, event)| *event == self).map_or("", |(name, _)| name)
    }
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Occurrence {
    event: Event,
    /// Equal for the same occurrence, however often and by whichever daemon it is found.
    request_id: String,
    told: Map<String, Value>,
}

/// The way to the task.
#[derive(Debug, Clone)]
pub struct Ear {
    wanted: BTreeSet<Event>,
    sender: UnboundedSender<News>,
}

/// The end of the way.
#[derive(Debug)]
pub struct Inbox(UnboundedReceiver<News>);

#[derive(Debug)]
enum News {
    /// These happened.
    Occurred(Vec<Occurrence>),
    /// Something succeeded, or the folder is another: what is overdue may be something else.
    Changed,
}

/// The way to a task that does not run yet.
pub fn ear(hooks: &Hooks) -> (Ear, Inbox) {
    let (sender, receiver) = unbounded_channel();
    (Ear { wanted: hooks.keys().copied().collect(), sender }, Inbox(receiver))
}

impl Ear {
    /// A commit is durable: what of it is to be told. The machine still has its runs.
    pub fn hear(&self, machine: &Machine, batch: &Batch) {
        if self.wanted.is_empty() {
            return;
        }
        let mut occurred = Vec::new();
        let mut seen = HashSet::new();
        for (uid, event) in &batch.events {
            let matters = match &event.fact {
                Fact::Finished { .. } | Fact::ApprovalAsked { .. } | Fact::Withheld { .. } => true,
                Fact::AttemptEnded { then, .. } => matches!(then, Then::Unknown | Then::RollbackFailed),
                _ => false,
            };
            if matters
                && seen.insert(*uid)
                && let Some(state) = machine.run(*uid)
            {
                occurred.extend(of_run(machine, state));
            }
        }
        occurred.retain(|occurrence| self.wanted.contains(&occurrence.event));
        if !occurred.is_empty() {
            self.send(News::Occurred(occurred));
        }
        if self.wanted.contains(&Event::Overdue) && !batch.notes.is_empty() {
            self.changed();
        }
    }

    /// The folder is another.
    pub fn changed(&self) {
        self.send(News::Changed);
    }

    fn send(&self, news: News) {
        // A daemon without hooks, or one that is ending, has nobody who listens.
        let _ = self.sender.send(news);
    }
}

/// What of a run is to be told as it is now: what a hook started is told of nowhere, and a dry run does nothing.
fn of_run(machine: &Machine, state: &RunState) -> Vec<Occurrence> {
    let created = state.created();
    if created.origin == Origin::Hook || created.terms.dry {
        return Vec::new();
    }
    let path = machine.path(state.uid());
    let step = |no: StepNo| {
        let id = state.pinned().runbook.step(no).map_or("?", |step| step.id.as_str());
        format!("{path}{id}")
    };
    let mut found = Vec::new();
    match state.phase() {
        // Child runs fail with the run above them, or that goes on without them.
        Phase::Terminal(_) if state.parent().is_none() => found.extend(failed(state)),
        Phase::Terminal(_) => {}
        Phase::Queued | Phase::Running | Phase::RollingBack(_) | Phase::Finishing(_) => {
            let rollback = state.rollback();
            let stuck = rollback.iter().flat_map(|rollback| rollback.failed()).map(|no| (*no, false));
            for (no, unknown) in state.unknown().keys().map(|no| (*no, true)).chain(stuck) {
                let attempt = state.step(no).map_or(0, |step| step.attempts);
                let message = match unknown {
                    true => format!("nobody knows whether {} happened; settle it with `runbook resolve`", step(no)),
                    false => format!("{} could not be rolled back; settle it with `runbook resolve`", step(no)),
                };
                let key = format!("{} {} {attempt}", state.uid(), no.0);
                found.push(about(state, Event::Attention, &key, &step(no), "attention", &message));
            }
            for (no, missing) in state.withheld() {
                let attempt = state.step(no).map_or(0, |step| step.attempts);
                let message = format!("{}: {}", step(no), provide::told(state.created().number, missing));
                let key = format!("{} {} {attempt}", state.uid(), no.0);
                found.push(about(state, Event::Attention, &key, &step(no), "attention", &message));
            }
            for no in state.asking() {
                let message = format!("{} waits for an approval; `runbook approvals` shows it", step(no));
                let key = format!("{} {} {}", state.uid(), no.0, state.epoch());
                found.push(about(state, Event::Approval, &key, &step(no), "waiting", &message));
            }
        }
    }
    found
}

/// What is equal for a run's failure in one epoch, by whomever it is found.
fn failure(run: RunUid, epoch: u32) -> String {
    format!("{run} {epoch}")
}

/// That a run failed, if it did: also where what it did was rolled back. Of one that a person canceled nobody is told.
fn failed(state: &RunState) -> Option<Occurrence> {
    let canceled = matches!(state.ending(), Some(EndingCause::Cancel { .. }));
    let outcome = match state.phase() {
        Phase::Terminal(outcome @ (Outcome::Failed | Outcome::RolledBack)) if !canceled => outcome,
        _ => return None,
    };
    let step = state.first_failure().and_then(|no| state.pinned().runbook.step(no)).map_or("", |step| step.id.as_str());
    let and = if outcome == Outcome::RolledBack { ", and what it did was rolled back" } else { "" };
    let message = match step {
        "" => format!("it failed before a step did{and}; `runbook status` says why"),
        step => format!("its step {step} failed{and}; `runbook logs` shows what it wrote"),
    };
    Some(about(state, Event::Failed, &failure(state.uid(), state.epoch()), step, outcome.name(), &message))
}

fn about(state: &RunState, event: Event, key: &str, step: &str, status: &str, message: &str) -> Occurrence {
    let created = state.created();
    let schedule = created.slot.as_ref().map(|slot| slot.schedule.to_string()).unwrap_or_default();
    let told = [
        ("event", json!(event.name())),
        ("runbook", json!(named_runbook(&created.runbook))),
        ("schedule", json!(schedule)),
        ("run", json!(state.uid().to_string())),
        ("number", json!(created.number)),
        ("step", json!(step)),
        ("state", json!(status)),
        ("reason", json!(created.reason)),
        ("message", json!(message)),
    ];
    Occurrence { event, request_id: request_id(event, key), told: object(told) }
}

/// Something that is overdue.
fn overdue(finding: &findings::Finding) -> Occurrence {
    let (event, subject) = (Event::Overdue, finding.subject.as_str());
    let (runbook, schedule) =
        if subject.contains('/') { (subject.split('/').next().unwrap_or_default(), subject) } else { (subject, "") };
    let told = [
        ("event", json!(event.name())),
        ("runbook", json!(runbook)),
        ("schedule", json!(schedule)),
        ("run", json!("")),
        ("number", json!(0)),
        ("step", json!("")),
        ("state", json!(event.name())),
        ("reason", json!(format!("expected by {}", finding.since))),
        ("message", json!(finding.message)),
    ];
    Occurrence { event, request_id: request_id(event, &format!("{subject} {}", finding.since.0)), told: object(told) }
}

fn object<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn request_id(event: Event, key: &str) -> String {
    format!("hook {} {}", event.name(), Digest::of(key.as_bytes()))
}

/// What is wrong with a hook as the folder is now, if anything is.
pub fn fault(event: Event, name: &str, folder: &Generation) -> Option<String> {
    let found = folder.entries.get(name).map(|entry| entry.runbook().ok_or_else(|| entry.file()));
    fault_of(event, name, found, folder.entries.keys().map(String::as_str))
}

/// What is wrong with a hook, by the runbook that was found under its name, or the file of it that is broken, and by the
/// names of all runbooks.
pub fn fault_of<'a>(
    event: Event,
    name: &str,
    found: Option<Result<&Runbook, &str>>,
    names: impl Iterator<Item = &'a str>,
) -> Option<String> {
    let problem = match found {
        None => {
            let hint = did_you_mean(name, names).map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
            Some(format!("there is no runbook {name:?}{hint}"))
        }
        Some(Err(file)) => Some(format!("{file} is broken")),
        Some(Ok(runbook)) => inputs_fault(runbook),
    };
    problem.map(|problem| format!("on.{}: {problem}", event.name()))
}

/// Why a runbook cannot be told of anything.
fn inputs_fault(runbook: &Runbook) -> Option<String> {
    let list = || INPUTS.map(|(name, _)| name).join(", ");
    runbook.inputs.iter().find_map(|(input, decl)| match INPUTS.iter().find(|(name, _)| name == input) {
        Some((_, given)) if decl.value_type != *given => Some(format!(
            "the input {input} of {} is of type {}, and a hook gives {}",
            runbook.name,
            decl.value_type.name(),
            given.name()
        )),
        Some(_) => None,
        None if decl.required => {
            Some(format!("{} requires the input {input}, and a hook gives only {}", runbook.name, list()))
        }
        None => None,
    })
}

/// What hooks are started with.
pub struct Workshop {
    /// Which runbook hears of what.
    pub hooks: Hooks,
    /// The folder.
    pub library: Arc<Library>,
    /// Definitions and secrets.
    pub surroundings: Surroundings,
    /// The way to the dispatcher.
    pub dispatcher: Handle,
    /// Durable events and rows.
    pub reader: Arc<dyn View>,
    /// When each runbook succeeded last.
    pub successes: Arc<Successes>,
    /// Set while the daemon is ending: what is to be told then is told by the next one.
    pub drain: CancellationToken,
    /// The data directory.
    pub data_dir: PathBuf,
}

/// Tells, until the daemon ends.
pub async fn run(news: Inbox, workshop: Workshop) {
    if workshop.hooks.is_empty() {
        return;
    }
    let drain = workshop.drain.clone();
    let mut task = Task {
        workshop: Arc::new(workshop),
        told: HashSet::new(),
        waiting: VecDeque::new(),
        failed: false,
        faults: Vec::new(),
    };
    tokio::select! {
        () = drain.cancelled() => {}
        // It ends with the dispatcher alone.
        _ = task.run(news.0) => {}
    }
}

struct Task {
    workshop: Arc<Workshop>,
    /// The request ids of overdue ones that this daemon told: they are found again and again.
    told: HashSet<String>,
    waiting: VecDeque<Occurrence>,
    failed: bool,
    /// What was said to be wrong with the hooks.
    faults: Vec<String>,
}

impl Task {
    async fn run(&mut self, mut news: UnboundedReceiver<News>) -> Result<(), Ending> {
        for occurrence in self.missed().await? {
            self.tell(occurrence).await?;
        }
        let overdue = self.workshop.hooks.contains_key(&Event::Overdue);
        let mut look_at = clock::now();
        loop {
            // By the clock that goes on however the wall clock is set.
            let left = Duration::from_micros(u64::try_from((look_at - clock::now()).0).unwrap_or(0));
            let pause = if overdue { left.min(AGAIN) } else { AGAIN };
            match tokio::time::timeout(pause, news.recv()).await {
                Ok(Some(News::Occurred(occurred))) => {
                    for occurrence in occurred {
                        self.tell(occurrence).await?;
                    }
                }
                Ok(Some(News::Changed)) => {
                    look_at = look_at.min(clock::now() + GATHER);
                }
                Ok(None) => return Ok(()),
                Err(_) => {
                    for occurrence in std::mem::take(&mut self.waiting) {
                        self.tell(occurrence).await?;
                    }
                }
            }
            self.check();
            let now = clock::now();
            // A clock that was set back must not keep it from looking.
            if overdue && (look_at <= now || look_at > now + LOOK) {
                let next = self.look().await?;
                look_at = next.map_or(now + LOOK, |next| next.min(now + LOOK));
            }
        }
    }

    /// Says what is wrong with the hooks as the folder is now, once.
    fn check(&mut self) {
        let folder = self.workshop.library.current();
        if folder.number == 0 {
            return;
        }
        let found: Vec<String> =
            self.workshop.hooks.iter().filter_map(|(event, name)| fault(*event, name, &folder)).collect();
        for fault in found.iter().filter(|fault| !self.faults.contains(fault)) {
            tracing::error!(fault, "a hook cannot be started");
        }
        self.faults = found;
    }

    /// Tells what is overdue; says when to look again.
    async fn look(&mut self) -> Result<Option<Timestamp>, Ending> {
        let Workshop { dispatcher, library, successes, .. } = &*self.workshop;
        let found = findings::look(dispatcher, library, successes, clock::now()).await?;
        let next = found.next;
        let overdue: Vec<Occurrence> =
            found.all.iter().filter(|finding| finding.kind == Kind::Overdue).map(overdue).collect();
        // What is overdue no longer may be so again.
        self.told.retain(|id| overdue.iter().any(|occurrence| occurrence.request_id == *id));
        for occurrence in overdue {
            if self.told.insert(occurrence.request_id.clone()) {
                self.tell(occurrence).await?;
            }
        }
        Ok(next)
    }

    /// What happened and may not have been told: by the states of runs that are not over, and by those that failed lately.
    async fn missed(&self) -> Result<Vec<Occurrence>, Ending> {
        let live = self.workshop.dispatcher.query(|machine| {
            let all = machine.runs().flat_map(|state| of_run(machine, state));
            all.collect::<Vec<_>>()
        });
        let mut missed = live.await?;
        let workshop = Arc::clone(&self.workshop);
        let over = tokio::task::spawn_blocking(move || workshop.untold()).await.map_err(|_| Ending)?;
        missed.extend(over);
        missed.retain(|occurrence| self.workshop.hooks.contains_key(&occurrence.event));
        Ok(missed)
    }

    /// Starts the hook of an occurrence, or keeps it for later.
    async fn tell(&mut self, occurrence: Occurrence) -> Result<(), Ending> {
        let Some(name) = self.workshop.hooks.get(&occurrence.event).cloned() else { return Ok(()) };
        let (workshop, asked, runbook) = (Arc::clone(&self.workshop), occurrence.clone(), name.clone());
        let prepared = tokio::task::spawn_blocking(move || workshop.prepare(&asked, &runbook)).await;
        let why = match prepared.map_err(|_| Ending)? {
            Ok(start) => {
                let uid = RunUid::from_bits(uuid::Uuid::now_v7().as_u128());
                match self.workshop.dispatcher.start(uid, start).await? {
                    // One that was asked for by another text of the runbook was told, too.
                    Ok(_) | Err(Rejection::RequestIdReused { .. }) => {
                        self.failed = false;
                        return Ok(());
                    }
                    Err(rejection) => rejection.to_string(),
                }
            }
            Err(why) => why,
        };
        if !std::mem::replace(&mut self.failed, true) {
            tracing::error!(
                hook = occurrence.event.name(),
                runbook = name,
                why,
                "the hook cannot be started; trying again"
            );
        }
        self.waiting.push_back(occurrence);
        if self.waiting.len() > WAITING {
            self.waiting.pop_front();
        }
        Ok(())
    }
}

impl Workshop {
    /// The start of a hook's run.
    fn prepare(&self, occurrence: &Occurrence, name: &str) -> Result<Start, String> {
        let folder = self.library.latest();
        if let Some(problem) = fault(occurrence.event, name, &folder) {
            return Err(problem);
        }
        let entry = folder.entries.get(name).ok_or_else(|| format!("there is no runbook {name}"))?;
        let runbook = entry.runbook().ok_or_else(|| format!("the runbook {name} is broken"))?;
        let environment = placed::chosen(&folder, runbook, None).map_err(|refusal| refusal.to_string())?;
        let environment = environment.as_ref();
        let (surroundings, data_dir) = (&self.surroundings, &self.data_dir);
        let mut given = occurrence.told.clone();
        given.retain(|name, _| runbook.inputs.contains_key(name));
        let preflight = Preflight::default();
        let ready = prepare::ready(entry, environment, given, &folder, surroundings, &preflight, data_dir)?;
        let Ready { pinned, inputs, sources } = ready;
        let text = |key: &str| occurrence.told.get(key).and_then(Value::as_str).unwrap_or_default();
        let what = if text("schedule").is_empty() { text("runbook") } else { text("schedule") };
        let number = occurrence.told.get("number").and_then(Value::as_u64).filter(|number| *number > 0);
        let run = number.map(|number| format!(", run {number}")).unwrap_or_default();
        Ok(Start {
            number: 0,
            request_digest: Digest::of(json!({"definition": pinned.digest, "inputs": inputs}).to_string().as_bytes()),
            pinned,
            inputs: inputs.into_iter().collect(),
            sealed_inputs: Vec::new(),
            origin: Origin::Hook,
            by: Principal::engine(),
            roles: Vec::new(),
            reason: format!("on.{}: {what}{run}", occurrence.event.name()),
            request_id: occurrence.request_id.clone(),
            commit: git::commit(&surroundings.project),
            terms: Terms { sources, ..Terms::default() },
            parent: None,
            items: Vec::new(),
        })
    }

    /// Runs that failed since the hook is there, and of which nobody was told: however long the daemon was away. What a hook
    /// started is kept for longer than the run that it is about, so that one that was told is known as long as that is there.
    fn untold(&self) -> Vec<Occurrence> {
        let since = self.since();
        let Some(after) = since.get(&Event::Failed) else { return Vec::new() };
        let told = |row: &RunRow| {
            let id = request_id(Event::Failed, &failure(row.uid, row.epoch));
            // Where that cannot be read, the start is asked for, and finds the same.
            self.reader.row_by_request(&id).is_ok_and(|row| row.is_some())
        };
        let rows = self.reader.rows_newest_first(None, WAITING, ROWS, &mut |row| {
            let failed = |over: runbook_journal::Finished| {
                matches!(over.outcome, Outcome::Failed | Outcome::RolledBack) && over.at > *after
            };
            row.finished.is_some_and(failed) && row.origin != Origin::Hook && !row.dry && !told(row)
        });
        let rows = rows.map(|found| found.rows).unwrap_or_else(|error| {
            tracing::error!(%error, "nobody can say which runs failed before this start");
            Vec::new()
        });
        let state = |uid| runs::read_state(&*self.reader, &self.surroundings.definitions, uid).ok().flatten();
        rows.iter().filter_map(|row| state(row.uid)).filter_map(|state| failed(&state)).collect()
    }

    /// Since when each hook is there: what happened before nobody wanted to hear. Lost, it is as of now.
    fn since(&self) -> BTreeMap<Event, Timestamp> {
        let path = self.data_dir.join(FILE);
        let before = files::read_bounded(&path, FILE_BYTES).unwrap_or_default();
        let before = String::from_utf8(before).unwrap_or_default();
        let known = |event: Event| {
            let line = before.lines().find_map(|line| line.strip_prefix(event.name())?.strip_prefix(' '));
            line.and_then(|at| at.parse().ok()).map(Timestamp)
        };
        let since: BTreeMap<Event, Timestamp> =
            self.hooks.keys().map(|event| (*event, known(*event).unwrap_or_else(clock::now))).collect();
        let text: String = since.iter().map(|(event, at)| format!("{} {}\n", event.name(), at.0)).collect();
        if text != before
            && let Err(error) = files::write_durably(&path, text.as_bytes(), 0o600)
        {
            tracing::warn!(%error, "since when hooks are there cannot be written");
        }
        since
    }
}
