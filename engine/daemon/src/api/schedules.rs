//! The service of schedules: what the folder says of them, what the machine knows of them, and their ledger, put together.
//! Decides nothing about slots.

use std::collections::BTreeSet;
use std::iter;
use std::sync::Arc;

use runbook_core::definition::{MissedPolicy, Schedule, ScheduleOverlap};
use runbook_core::expression::did_you_mean;
use runbook_core::machine::ScheduleInput;
use runbook_core::schedule::{
    Fate, Miss, Note, NoteFact, Pause, Plan, Record, ScheduleName, Skip, Slot, expected_by, next_slot,
};
use runbook_core::time::{Span, Timestamp};
use runbook_journal::View;
use runbook_proto::v1;
use runbook_proto::v1::run_service_server::RunService as _;
use runbook_proto::v1::schedule_service_server::ScheduleService;
use tonic::{Code, Request, Response, Status};

use super::runs::Runs;
use super::{Shared, catch_up, errors, from_proto, internal, principal, to_proto};
use crate::clock;
use crate::library::Generation;
use crate::schedules;

/// Schedules in one page, by default and at most.
const PAGE: (usize, usize) = (100, 1_000);
/// Entries of a ledger in one page, by default and at most.
const LEDGER: (usize, usize) = (50, 1_000);
/// Coming slots in one answer, by default and at most.
const SLOTS: (usize, usize) = (10, 1_000);
/// Slots of one entry that are counted.
const COUNTED: usize = 100_000;
/// Notes that are read at once to find the rule of an older one.
const NOTES: usize = 500;
/// How often.
const READS: usize = 20;
/// Names that a refusal lists.
const NAMES: usize = 10;

pub(super) struct Schedules(pub Arc<Shared>);

/// What is known of a schedule.
#[derive(Debug, Clone, Default)]
struct Known {
    /// What its runbook says now.
    declared: Option<Arc<Schedule>>,
    /// Whether its runbook's file is broken.
    broken: bool,
    record: Option<Record>,
    /// What is fired.
    plan: Option<Plan>,
    preparing: Option<Timestamp>,
}

impl Schedules {
    /// The folder as it is.
    async fn folder(&self) -> Result<Arc<Generation>, Status> {
        let library = Arc::clone(&self.0.library);
        tokio::task::spawn_blocking(move || library.latest()).await.map_err(|error| internal(&error))
    }

    /// The first names behind this one of schedules that are or were, of one runbook where that is named.
    async fn names(
        &self,
        folder: &Generation,
        after: &str,
        runbook: &str,
        most: usize,
    ) -> Result<BTreeSet<ScheduleName>, Status> {
        let (from, of) = (after.to_owned(), runbook.to_owned());
        let looked = self.0.dispatcher.query(move |machine| {
            let wanted = machine.schedules_after(&from).filter(|it| of.is_empty() || it.name.runbook() == of);
            wanted.take(most).map(|it| it.name.clone()).collect::<BTreeSet<_>>()
        });
        let mut names = looked.await.map_err(|_| errors::ending())?;
        let runbooks = folder.entries.values().filter_map(|entry| entry.runbook());
        for book in runbooks.filter(|book| runbook.is_empty() || book.name == runbook) {
            for (schedule, _) in folder.schedules(book) {
                let behind = |other: &str| {
                    let name = book.name.bytes().chain(iter::once(b'/')).chain(schedule.bytes());
                    name.gt(other.bytes())
                };
                // Nothing is kept of names beyond the page.
                let beyond = names.len() >= most && names.last().is_some_and(|last| behind(last.as_str()));
                if behind(after)
                    && !beyond
                    && names.insert(ScheduleName::new(&book.name, schedule))
                    && names.len() > most
                {
                    names.pop_last();
                }
            }
        }
        Ok(names)
    }

    /// What is known of schedules; one that neither is nor was is left out.
    async fn known(
        &self,
        folder: &Generation,
        names: impl IntoIterator<Item = ScheduleName>,
    ) -> Result<Vec<(ScheduleName, Known)>, Status> {
        let names: Vec<ScheduleName> = names.into_iter().collect();
        let looked = self.0.dispatcher.query(move |machine| {
            let of = |name: ScheduleName| {
                let known = machine.schedule(name.as_str()).map(|it| Known {
                    record: Some(it.record.clone()),
                    plan: it.plan.cloned(),
                    preparing: it.preparing,
                    ..Known::default()
                });
                (name, known.unwrap_or_default())
            };
            names.into_iter().map(of).collect::<Vec<_>>()
        });
        let mut all = looked.await.map_err(|_| errors::ending())?;
        for (name, known) in &mut all {
            let Some(entry) = folder.entries.get(name.runbook()) else { continue };
            match entry.runbook() {
                Some(runbook) => {
                    let declared = runbook.schedules.get(name.schedule()).filter(|schedule| folder.wants(schedule));
                    known.declared = declared.cloned();
                }
                None => known.broken = known.record.is_some(),
            }
        }
        all.retain(|(_, known)| known.record.is_some() || known.declared.is_some());
        Ok(all)
    }

    /// The schedule that a request names.
    async fn find(&self, name: &str) -> Result<(ScheduleName, Known), Status> {
        let folder = self.folder().await?;
        let bare = name.strip_prefix("runbooks/").unwrap_or(name);
        if let Ok(exact) = bare.parse::<ScheduleName>()
            && let Some(found) = self.known(&folder, [exact]).await?.pop()
        {
            return Ok(found);
        }
        let all = self.names(&folder, "", "", usize::MAX).await?;
        let of_runbook: Vec<_> = all.iter().filter(|it| it.runbook() == bare).cloned().collect();
        let own = || all.iter().filter(|it| it.schedule() == bare).cloned().collect();
        let meant: Vec<ScheduleName> = if of_runbook.is_empty() { own() } else { of_runbook };
        let shown: String = bare.chars().take(130).collect();
        if let [name] = &meant[..]
            && let Some(found) = self.known(&folder, [name.clone()]).await?.pop()
        {
            return Ok(found);
        }
        let hint = if meant.is_empty() {
            match did_you_mean(bare, all.iter().map(ScheduleName::as_str)) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None => "`runbook schedules list` shows all".to_owned(),
            }
        } else {
            let names: Vec<&str> = meant.iter().take(NAMES).map(ScheduleName::as_str).collect();
            format!("it may be {}", names.join(", "))
        };
        let message = format!("there is no one schedule {shown:?}; {hint}");
        Err(errors::status(Code::NotFound, "NO_SUCH_SCHEDULE", message))
    }

    /// A schedule as it is now.
    async fn told(&self, name: &str) -> Result<v1::Schedule, Status> {
        let (name, known) = self.find(name).await?;
        Ok(schedule(&name, &known, self.0.config.schedules, clock::now()))
    }

    /// Puts something to a schedule, and tells how it is then.
    async fn put(&self, name: ScheduleName, input: ScheduleInput) -> Result<v1::Schedule, Status> {
        let answer = self.0.dispatcher.schedule(name.clone(), input).await.map_err(|_| errors::ending())?;
        answer.map_err(|rejection| errors::rejection(&rejection))?;
        self.told(name.as_str()).await
    }
}

/// What its runbook says of a schedule now.
fn declared<'k>(name: &ScheduleName, known: &'k Known) -> Result<&'k Schedule, Status> {
    known.declared.as_deref().ok_or_else(|| {
        let message = format!("the schedule {name} is not in its runbook now: {}", state(known, None, true).1);
        errors::status(Code::FailedPrecondition, "SCHEDULE_GONE", message)
    })
}

/// The start of a run that its schedule would start, by whoever asks.
pub(super) fn start_of(name: &ScheduleName, declared: &Schedule) -> v1::StartRunRequest {
    v1::StartRunRequest {
        runbook: name.runbook().to_owned(),
        inputs: Some(to_proto::object(declared.inputs().into_iter().flatten())),
        confirm: declared.confirm().to_vec(),
        environment: declared.environment().unwrap_or_default().to_owned(),
        ..v1::StartRunRequest::default()
    }
}

fn schedule(name: &ScheduleName, known: &Known, fires: bool, now: Timestamp) -> v1::Schedule {
    // What is fired goes before what is declared: the two differ where the file is broken.
    let plan = known.plan.clone().or_else(|| schedules::plan(name, known.declared.as_ref()?).ok());
    let pause = known.record.as_ref().and_then(|record| record.pause.as_deref());
    let (state, message) = state(known, pause, fires);
    let through = known.record.as_ref().filter(|record| record.last > 0).map(|record| record.through);
    let written = plan.as_ref().map(|plan| plan.written());
    let written = written.or_else(|| known.record.as_ref()?.written.clone());
    let comes = matches!(state, v1::ScheduleState::Active | v1::ScheduleState::Paused | v1::ScheduleState::NotFired);
    // A slot that has fallen due is one that comes, until the ledger says what became of it.
    let fired = known.plan.as_ref().zip(known.record.as_ref()).filter(|(_, record)| record.last > 0);
    let open = fired.and_then(|(plan, record)| next_slot(record, &plan.timetable));
    let after = open.map_or(now, |slot| Timestamp(slot.0 - 1));
    let next = plan.as_ref().filter(|_| comes).and_then(|plan| slots(plan, after, 1).pop());
    let ran = known.record.as_ref().and_then(|record| record.ran);
    let succeeded = known.record.as_ref().and_then(|record| record.succeeded);
    let expected = known.record.as_ref().zip(known.plan.as_ref()).and_then(|(record, plan)| expected_by(record, plan));
    let declared = known.declared.as_deref();
    v1::Schedule {
        name: name.to_string(),
        runbook: name.runbook().to_owned(),
        schedule: name.schedule().to_owned(),
        state: state.into(),
        message,
        cron: written.as_ref().map(|it| it.cron().to_owned()).unwrap_or_default(),
        timezone: written.as_ref().map(|it| it.timezone().to_owned()).unwrap_or_default(),
        dst: written.as_ref().map(|it| it.dst().text().to_owned()).unwrap_or_default(),
        explained: plan.as_ref().map(|plan| plan.timetable.rule().explained()).unwrap_or_default(),
        missed: plan.as_ref().map(|plan| missed(plan.missed.policy).to_owned()).unwrap_or_default(),
        missed_window: plan.as_ref().map(|plan| to_proto::duration(plan.missed.window)),
        missed_max: plan.as_ref().map_or(0, |plan| plan.missed.max),
        overlap: plan.as_ref().map(|plan| overlap(plan.overlap).to_owned()).unwrap_or_default(),
        jitter: declared.map(|it| it.jitter).filter(|it| *it > Span::ZERO).map(to_proto::duration),
        start_deadline: plan.as_ref().map(|plan| to_proto::duration(plan.start_deadline)),
        environment: declared.and_then(Schedule::environment).unwrap_or_default().to_owned(),
        inputs: declared.map(|it| to_proto::object(it.inputs().into_iter().flatten())),
        next,
        accounted_through: through.filter(|at| at.0 > i64::MIN).map(to_proto::timestamp),
        last_ran: ran.map(|(slot, _)| to_proto::timestamp(slot)),
        last_run_number: ran.map_or(0, |(_, number)| number),
        paused_by: pause.map(|pause| to_proto::principal(&pause.by)),
        pause_reason: pause.map(|pause| pause.reason.clone()).unwrap_or_default(),
        preparing: known.preparing.map(to_proto::timestamp),
        last_succeeded: succeeded.map(|(at, _)| to_proto::timestamp(at)),
        last_succeeded_number: succeeded.map_or(0, |(_, number)| number),
        expected_by: expected.map(to_proto::timestamp),
    }
}

fn state(known: &Known, pause: Option<&Pause>, fires: bool) -> (v1::ScheduleState, String) {
    if known.declared.is_none() && known.plan.is_none() {
        return match known.broken {
            true => (v1::ScheduleState::Broken, "its runbook's file is broken; `runbook check` says how".to_owned()),
            false => (v1::ScheduleState::Removed, "it is no longer in its runbook".to_owned()),
        };
    }
    if let Some(pause) = pause {
        return (v1::ScheduleState::Paused, format!("paused by {}: {}", pause.by.name, pause.reason));
    }
    if !fires {
        let message = "this daemon starts nothing by schedules; `runbook daemon restart --schedules` has it do so";
        return (v1::ScheduleState::NotFired, message.to_owned());
    }
    match known.broken {
        true => (v1::ScheduleState::Active, "its runbook's file is broken; the last good version runs".to_owned()),
        false => (v1::ScheduleState::Active, String::new()),
    }
}

const fn missed(policy: MissedPolicy) -> &'static str {
    match policy {
        MissedPolicy::Skip => "skip",
        MissedPolicy::RunOnce => "run_once",
        MissedPolicy::RunAll => "run_all",
    }
}

const fn overlap(overlap: ScheduleOverlap) -> &'static str {
    match overlap {
        ScheduleOverlap::Skip => "skip",
        ScheduleOverlap::Queue => "queue",
        ScheduleOverlap::Replace => "replace",
        ScheduleOverlap::Allow => "allow",
    }
}

fn slots(plan: &Plan, after: Timestamp, count: usize) -> Vec<v1::Slot> {
    let told = |slot: Slot| v1::Slot {
        at: Some(to_proto::timestamp(slot.at)),
        starts_at: Some(to_proto::timestamp(slot.at + plan.delay)),
        wall: slot.wall.to_string(),
        utc_offset_minutes: i32::try_from(slot.offset.0 / 60_000_000).unwrap_or(0),
        remark: slot.remark.map(|remark| remark.to_string()).unwrap_or_default(),
    };
    plan.timetable.slots_after(after).take(count).map(told).collect()
}

fn entry(reader: &dyn View, name: &ScheduleName, note: &Note) -> v1::LedgerEntry {
    let mut entry = v1::LedgerEntry {
        number: note.number,
        decided_at: Some(to_proto::timestamp(note.at)),
        ..v1::LedgerEntry::default()
    };
    let mut by = |kind: v1::LedgerKind, who: &runbook_core::run::Principal, reason: &str| {
        entry.kind = kind.into();
        entry.by = Some(to_proto::principal(who));
        entry.reason = reason.to_owned();
    };
    match &note.fact {
        NoteFact::Paused(pause) => by(v1::LedgerKind::Paused, &pause.by, &pause.reason),
        NoteFact::Resumed { by: who, reason } => by(v1::LedgerKind::Resumed, who, reason),
        NoteFact::Planned(written) => {
            entry.kind = v1::LedgerKind::Planned.into();
            entry.reason = format!("due by {:?} in {}", written.cron(), written.timezone());
        }
        NoteFact::Succeeded { run, number } => {
            entry.kind = v1::LedgerKind::Succeeded.into();
            entry.run = format!("runs/{run}");
            entry.run_number = *number;
        }
        NoteFact::CaughtUp { slot, run, number } => {
            entry.kind = v1::LedgerKind::CaughtUp.into();
            (entry.first_slot, entry.last_slot) = (Some(to_proto::timestamp(*slot)), Some(to_proto::timestamp(*slot)));
            entry.run = format!("runs/{run}");
            entry.run_number = *number;
            entry.reason = "it was missed; a person had it run after all".to_owned();
        }
        NoteFact::Removed => {
            entry.kind = v1::LedgerKind::Removed.into();
            entry.reason = "it is no longer in its runbook".to_owned();
        }
        NoteFact::Slots { first, last, fate } => {
            entry.first_slot = Some(to_proto::timestamp(*first));
            entry.last_slot = Some(to_proto::timestamp(*last));
            entry.slots = if first == last { 1 } else { count(reader, name, note.number, *first, *last) };
            of_fate(&mut entry, fate);
        }
    }
    entry
}

fn of_fate(entry: &mut v1::LedgerEntry, fate: &Fate) {
    let (kind, reason) = match fate {
        Fate::Ran { .. } => (v1::LedgerKind::Ran, String::new()),
        Fate::Skipped(Skip::Frozen { why }) => (v1::LedgerKind::Skipped, format!("freeze: {why}")),
        Fate::Skipped(Skip::Hours { why }) => (v1::LedgerKind::Skipped, format!("outside hours: {why}")),
        Fate::Skipped(Skip::Paused) => (v1::LedgerKind::Skipped, "the schedule was paused".to_owned()),
        Fate::Skipped(Skip::Overlap { number, state }) => {
            let person = if state == "attention" { ": it needs a person" } else { "" };
            (v1::LedgerKind::Skipped, format!("overlap: run {number} was {state}{person}"))
        }
        Fate::Merged { into } => (v1::LedgerKind::Merged, format!("made up for by the slot {into}")),
        Fate::Waited { number, .. } => {
            (v1::LedgerKind::Merged, format!("overlap: run {number} still waited for its turn"))
        }
        Fate::Missed(miss) => {
            let why = match miss {
                Miss::Late => "nobody was there to start it in time",
                Miss::Window => "nobody was there to start it, and it is older than the window of `missed`",
                Miss::Most => "nobody was there to start it, and there are more than the `max` of `missed`",
                Miss::Removed => "nobody was there to start it, and the schedule is gone",
            };
            (v1::LedgerKind::Missed, why.to_owned())
        }
        Fate::Failed { why } => (v1::LedgerKind::Failed, why.clone()),
    };
    entry.kind = kind.into();
    entry.reason = reason;
    if let Fate::Ran { run, number } | Fate::Waited { run, number } = fate {
        entry.run = format!("runs/{run}");
        entry.run_number = *number;
    }
}

/// How many slots there are between two, by the rule that held when a note was made.
fn count(reader: &dyn View, name: &ScheduleName, number: u64, first: Timestamp, last: Timestamp) -> u64 {
    let mut before = number;
    for _ in 0..READS {
        let Ok(notes) = reader.notes(name, Some(before), NOTES) else { return 0 };
        let written = notes.iter().find_map(|note| match &note.fact {
            NoteFact::Planned(written) => Some(written),
            _ => None,
        });
        if let Some(written) = written {
            let Ok(timetable) = written.timetable() else { return 0 };
            let all = timetable.slots_after(Timestamp(first.0 - 1)).take(COUNTED);
            return all.take_while(|slot| slot.at <= last).count() as u64;
        }
        match notes.last() {
            Some(oldest) => before = oldest.number,
            None => return 0,
        }
    }
    0
}

#[tonic::async_trait]
impl ScheduleService for Schedules {
    async fn list_schedules(
        &self,
        request: Request<v1::ListSchedulesRequest>,
    ) -> Result<Response<v1::ListSchedulesResponse>, Status> {
        let request = request.into_inner();
        let size = from_proto::page_size(request.page_size, PAGE.0, PAGE.1)?;
        let after = request.page_token.as_str();
        let runbook = request.runbook.strip_prefix("runbooks/").unwrap_or(&request.runbook);
        let folder = self.folder().await?;
        let names = self.names(&folder, after, runbook, size + 1).await?;
        let more = names.len() > size;
        let page = self.known(&folder, names.into_iter().take(size)).await?;
        let next_page_token = page.last().filter(|_| more).map(|(name, _)| name.to_string()).unwrap_or_default();
        let (fires, now) = (self.0.config.schedules, clock::now());
        let schedules = page.iter().map(|(name, known)| schedule(name, known, fires, now)).collect();
        Ok(Response::new(v1::ListSchedulesResponse { schedules, next_page_token, fires }))
    }

    async fn get_schedule(
        &self,
        request: Request<v1::GetScheduleRequest>,
    ) -> Result<Response<v1::GetScheduleResponse>, Status> {
        let schedule = self.told(&request.into_inner().name).await?;
        Ok(Response::new(v1::GetScheduleResponse { schedule: Some(schedule) }))
    }

    async fn list_slots(
        &self,
        request: Request<v1::ListSlotsRequest>,
    ) -> Result<Response<v1::ListSlotsResponse>, Status> {
        let v1::ListSlotsRequest { name, count, after } = request.into_inner();
        let count = from_proto::page_size(count, SLOTS.0, SLOTS.1)?;
        let (name, known) = self.find(&name).await?;
        let after = after.map(|after| from_proto::moment("after", &after)).transpose()?;
        let after = after.unwrap_or_else(clock::now);
        let plan = known.plan.or_else(|| schedules::plan(&name, known.declared.as_ref()?).ok());
        let Some(plan) = plan else {
            let message = format!("the schedule {name} is not in its runbook, so it is never due");
            return Err(errors::status(Code::FailedPrecondition, "SCHEDULE_GONE", message));
        };
        let timezone = plan.timetable.zone().name().to_owned();
        Ok(Response::new(v1::ListSlotsResponse { slots: slots(&plan, after, count), timezone }))
    }

    async fn list_ledger(
        &self,
        request: Request<v1::ListLedgerRequest>,
    ) -> Result<Response<v1::ListLedgerResponse>, Status> {
        let v1::ListLedgerRequest { name, page_size, page_token } = request.into_inner();
        let size = from_proto::page_size(page_size, LEDGER.0, LEDGER.1)?;
        let before = from_proto::before(&page_token)?;
        let (name, _) = self.find(&name).await?;
        let reader = Arc::clone(&self.0.reader);
        let read = tokio::task::spawn_blocking(move || {
            let notes = reader.notes(&name, before, size + 1)?;
            let more = notes.len() > size;
            let entries: Vec<_> = notes.iter().take(size).map(|note| entry(&*reader, &name, note)).collect();
            Ok((entries, more))
        });
        let read: Result<_, runbook_journal::StoreError> = read.await.map_err(|error| internal(&error))?;
        let (entries, more) = read.map_err(|error| internal(&error))?;
        let last = entries.last().filter(|_| more);
        let next_page_token = last.map(|entry| entry.number.to_string()).unwrap_or_default();
        Ok(Response::new(v1::ListLedgerResponse { entries, next_page_token }))
    }

    async fn pause_schedule(
        &self,
        request: Request<v1::PauseScheduleRequest>,
    ) -> Result<Response<v1::PauseScheduleResponse>, Status> {
        let by = principal(&request);
        let v1::PauseScheduleRequest { name, reason } = request.into_inner();
        let reason = from_proto::why(&reason)?;
        let (name, _) = self.find(&name).await?;
        let schedule = self.put(name, ScheduleInput::Pause(Pause { by, reason })).await?;
        Ok(Response::new(v1::PauseScheduleResponse { schedule: Some(schedule) }))
    }

    async fn resume_schedule(
        &self,
        request: Request<v1::ResumeScheduleRequest>,
    ) -> Result<Response<v1::ResumeScheduleResponse>, Status> {
        let by = principal(&request);
        let v1::ResumeScheduleRequest { name, reason } = request.into_inner();
        let reason = from_proto::reason(&reason)?;
        let (name, _) = self.find(&name).await?;
        let schedule = self.put(name, ScheduleInput::Resume { by, reason }).await?;
        Ok(Response::new(v1::ResumeScheduleResponse { schedule: Some(schedule) }))
    }

    async fn catch_up_schedule(
        &self,
        request: Request<v1::CatchUpScheduleRequest>,
    ) -> Result<Response<v1::CatchUpScheduleResponse>, Status> {
        super::check_open(&self.0)?;
        let who = (principal(&request), super::roles(&self.0, &request));
        let asked = request.into_inner();
        let (name, known) = self.find(&asked.name).await?;
        let declared = declared(&name, &known)?;
        Ok(Response::new(catch_up::answer(&self.0, &name, declared, who, asked).await?))
    }

    async fn run_schedule(
        &self,
        request: Request<v1::RunScheduleRequest>,
    ) -> Result<Response<v1::RunScheduleResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let v1::RunScheduleRequest { name, reason, request_id } = request;
        let (name, known) = self.find(&name).await?;
        let declared = declared(&name, &known)?;
        let reason = if reason.is_empty() { format!("schedule {}, run now", name.schedule()) } else { reason };
        let origin = v1::Origin::Person.into();
        let start = v1::StartRunRequest { origin, reason, request_id, ..start_of(&name, declared) };
        let started = Runs(Arc::clone(&self.0)).start_run(Request::from_parts(metadata, extensions, start)).await?;
        let v1::StartRunResponse { run, repeated_request, .. } = started.into_inner();
        Ok(Response::new(v1::RunScheduleResponse { run, repeated_request }))
    }
}
