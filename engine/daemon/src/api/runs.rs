//! The service of runs. Every change goes through the dispatcher; a client that goes away loses only its answer.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use runbook_core::expression::did_you_mean;
use runbook_core::id::{Digest, RunUid};
use runbook_core::machine::{AttemptRef, Machine, Resource};
use runbook_core::run::{Input, Phase, Pinned, Rejection, RunState, Start};
use runbook_core::{language, run};
use runbook_proto::v1;
use runbook_proto::v1::run_service_server::RunService;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use super::{Shared, errors, from_proto, internal, logs, principal, runbooks, to_proto};
use crate::dispatcher::{Answer, Ending};
use crate::secrets::Sealer;

/// Runs in one page, by default and at most.
const PAGE: (usize, usize) = (50, 1_000);
/// Rows looked at for one page.
const SCAN: usize = 200_000;
/// Events in one answer, by default and at most.
const EVENTS: (usize, usize) = (1_000, 10_000);
/// Events read at a time for a stream.
const STREAM_EVENTS: usize = 256;
/// The bytes of events above which a message is closed: clients take 4 MiB unless they say more.
const MESSAGE_BYTES: usize = 1 << 20;
/// Messages that wait for a slow client; then its stream waits, and nobody else.
const STREAM_MESSAGES: usize = 8;
/// How often a followed log is looked at.
const LOG_LOOK: Duration = Duration::from_millis(100);
/// Running steps whose last line is shown.
const LAST_LINES: usize = 200;

pub(super) struct Runs(pub Arc<Shared>);

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Runs {
    /// The checked definition of a request and its pinned form.
    async fn pin(&self, request: &v1::StartRunRequest) -> Result<Arc<Pinned>, Status> {
        let (runbook, source, file) = if request.source.is_empty() {
            let library = Arc::clone(&self.0.library);
            let name = request.runbook.strip_prefix("runbooks/").unwrap_or(&request.runbook).to_owned();
            let generation = tokio::task::spawn_blocking(move || library.fresh(&name))
                .await
                .map_err(|error| internal(&error))?;
            let entry = runbooks::find(&generation, &request.runbook)?;
            let Some(runbook) = entry.runbook.clone() else {
                return Err(refused_findings(&entry.name, &entry.findings));
            };
            (runbook, entry.source.clone(), entry.file.clone())
        } else {
            if !request.runbook.is_empty() {
                return Err(errors::bad_field("source", "give either a runbook's name or its source"));
            }
            let (bytes, file) = (request.source.clone(), from_proto::file_name("source_file", &request.source_file)?);
            let (checked, bytes, file) =
                tokio::task::spawn_blocking(move || (language::check(&bytes, &file), bytes, file))
                    .await
                    .map_err(|error| internal(&error))?;
            let Some(runbook) = checked.runbook else { return Err(refused_findings(&file, &checked.findings)) };
            (runbook, String::from_utf8_lossy(&bytes).into_owned(), file)
        };
        let definitions = Arc::clone(&self.0.surroundings.definitions);
        let project = self.0.config.project.clone();
        tokio::task::spawn_blocking(move || definitions.pin(&runbook, &source, &file, &project))
            .await
            .map_err(|error| internal(&error))?
            .map_err(|error| errors::status(Code::FailedPrecondition, "DEFINITION", error.to_string()))
    }

    /// What must be there before the first step.
    async fn preflight(&self, pinned: &Arc<Pinned>) -> Result<(), Status> {
        let (shared, definition) = (Arc::clone(&self.0), Arc::clone(pinned));
        let missing = tokio::task::spawn_blocking(move || {
            shared.preflight.check(&definition.runbook.requires, &shared.surroundings.secrets)
        })
        .await
        .map_err(|error| internal(&error))?;
        if missing.is_empty() {
            return Ok(());
        }
        let list: Vec<&str> = missing.iter().map(|missing| missing.problem.as_str()).collect();
        let message = format!("{} cannot run here: {}", pinned.runbook.name, list.join("; "));
        let mut details = tonic_types::ErrorDetails::new();
        details.set_error_info("PREFLIGHT", "runbook.v1", HashMap::new());
        for missing in &missing {
            details.add_precondition_failure_violation("PREFLIGHT", &missing.subject, &missing.problem);
        }
        Err(Status::with_error_details(Code::FailedPrecondition, message, details))
    }

    async fn head(&self, uid: RunUid) -> Result<v1::Run, Status> {
        Ok(to_proto::run_head(&self.0.run_state(uid).await?))
    }

    async fn put(&self, uid: RunUid, input: Input) -> Result<v1::Run, Status> {
        let answer = self.0.dispatcher.run(uid, input).await;
        self.answered(uid, answer).await
    }

    async fn answered(&self, uid: RunUid, answer: Result<Answer, Ending>) -> Result<v1::Run, Status> {
        match answer {
            Ok(Ok(_)) => self.head(uid).await,
            Ok(Err(Rejection::NoSuchRun { run })) => Err(super::no_such_run(&run)),
            Ok(Err(rejection)) => Err(errors::rejection(&rejection)),
            Err(Ending) => Err(errors::ending()),
        }
    }
}

fn refused_findings(name: &str, findings: &[language::Finding]) -> Status {
    let fields: Vec<(String, String)> = findings
        .iter()
        .filter(|finding| finding.severity == language::Severity::Error)
        .map(|finding| {
            let place = format!("{}:{}:{}", finding.file, finding.line, finding.column);
            let help = finding.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            (place, format!("{}: {}{help}", finding.code.text(), finding.message))
        })
        .collect();
    let list: Vec<String> = fields.iter().map(|(place, problem)| format!("  {place}: {problem}")).collect();
    errors::bad_fields("BROKEN_RUNBOOK", format!("{name} cannot run until it is mended:\n{}", list.join("\n")), &fields)
}

/// What is asked for, hashed: the same request id with other content is a mistake.
fn request_digest(
    pinned: &Pinned,
    inputs: &serde_json::Map<String, Value>,
    by: &run::Principal,
    sealer: &Sealer,
) -> Digest {
    let asked = serde_json::json!({"definition": pinned.digest, "inputs": inputs, "uid": by.uid}).to_string();
    if pinned.runbook.inputs.values().any(|input| input.secret) {
        // A plain hash in the journal would let anybody who reads it try out a short secret.
        return sealer.blind(asked.as_bytes());
    }
    Digest::of(asked.as_bytes())
}

/// A new uid: time-ordered, as UUIDv7 (RFC 9562) is.
fn new_uid() -> RunUid {
    RunUid::from_bits(uuid::Uuid::now_v7().as_u128())
}

fn waits_for(machine: &Machine, uid: RunUid) -> Vec<String> {
    machine
        .waits_for(uid)
        .into_iter()
        .map(|(resource, run)| {
            let number = machine.run(run).map_or(0, |state| state.created().number);
            match resource {
                Resource::Lock(name) => format!("lock {name} (run {number})"),
                Resource::Group(name) => format!("group {name} (run {number})"),
            }
        })
        .collect()
}

#[tonic::async_trait]
impl RunService for Runs {
    async fn start_run(&self, request: Request<v1::StartRunRequest>) -> Result<Response<v1::StartRunResponse>, Status> {
        super::check_open(&self.0)?;
        let by = principal(&request);
        let mut request = request.into_inner();
        let reason = from_proto::reason(&request.reason)?;
        let request_id = from_proto::request_id(&request.request_id)?;
        let origin = from_proto::origin(request.origin)?;
        let pinned = self.pin(&request).await?;
        let mut inputs = from_proto::inputs(&pinned.runbook, &mut request)?;
        self.preflight(&pinned).await?;
        let digest = request_digest(&pinned, &inputs, &by, &self.0.surroundings.sealer);
        let mut sealed = serde_json::Map::new();
        for (name, decl) in &pinned.runbook.inputs {
            if decl.secret
                && let Some(value) = inputs.shift_remove(name)
                && !value.is_null()
            {
                sealed.insert(name.clone(), value);
            }
        }
        let start = Start {
            number: 0,
            pinned: Arc::clone(&pinned),
            inputs: inputs.into_iter().collect(),
            sealed_inputs: sealed.keys().cloned().collect(),
            origin,
            by,
            reason,
            request_id,
            request_digest: digest,
        };
        if request.validate_only {
            run::decide::create(&start).map_err(|rejection| errors::rejection(&rejection))?;
            let run = v1::Run {
                runbook: pinned.runbook.name.clone(),
                definition: pinned.digest.to_string(),
                inputs: Some(to_proto::object(start.inputs.iter())),
                ..v1::Run::default()
            };
            return Ok(Response::new(v1::StartRunResponse { run: Some(run), repeated_request: false }));
        }
        let uid = new_uid();
        if !sealed.is_empty() {
            let sealer = Arc::clone(&self.0.surroundings.sealer);
            tokio::task::spawn_blocking(move || sealer.seal(uid, &sealed))
                .await
                .map_err(|error| internal(&error))?
                .map_err(|error| internal(&error))?;
        }
        let answer = self.0.dispatcher.start(uid, start).await.map_err(|_| errors::ending())?;
        let reply = match answer {
            Ok(reply) => reply,
            Err(rejection) => {
                self.0.surroundings.sealer.forget(uid).map_err(|error| internal(&error))?;
                return Err(errors::rejection(&rejection));
            }
        };
        if reply.repeated {
            self.0.surroundings.sealer.forget(uid).map_err(|error| internal(&error))?;
        }
        let run = self.head(reply.run).await?;
        let mut response = Response::new(v1::StartRunResponse { run: Some(run), repeated_request: reply.repeated });
        let version = tonic::metadata::MetadataValue::from_static(env!("CARGO_PKG_VERSION"));
        response.metadata_mut().insert("x-runbook-version", version);
        Ok(response)
    }

    async fn get_run(&self, request: Request<v1::GetRunRequest>) -> Result<Response<v1::GetRunResponse>, Status> {
        let uid = self.0.run_uid(&request.into_inner().name).await?;
        let state = self.0.run_state(uid).await?;
        let extra = self
            .0
            .dispatcher
            .query(move |machine| (waits_for(machine, uid), machine.quarantine(uid).map(ToOwned::to_owned)))
            .await
            .map_err(|_| errors::ending())?;
        let layout = self.0.surroundings.layout.clone();
        let run = tokio::task::spawn_blocking(move || {
            let mut run = to_proto::run_whole(&state, &layout);
            let live: Vec<_> = state.live().take(LAST_LINES).collect();
            for (no, attempt, _, _) in live {
                let attempt = AttemptRef { run: uid, step: no, attempt };
                if let (Some(step), Some(line)) = (run.steps.get_mut(no.index()), logs::last_line(&layout, attempt)) {
                    step.last_line = line;
                }
            }
            run.waits_for = extra.0;
            if let Some(why) = extra.1 {
                run.status = v1::RunStatus::Attention.into();
                run.message = format!("the run is quarantined: {why}");
            }
            run
        })
        .await
        .map_err(|error| internal(&error))?;
        Ok(Response::new(v1::GetRunResponse { run: Some(run) }))
    }

    async fn list_runs(&self, request: Request<v1::ListRunsRequest>) -> Result<Response<v1::ListRunsResponse>, Status> {
        let request = request.into_inner();
        let size = from_proto::page_size(request.page_size, PAGE.0, PAGE.1)?;
        let before = if request.page_token.is_empty() {
            None
        } else {
            let token = request.page_token.parse::<u64>();
            Some(token.map_err(|_| errors::bad_field("page_token", "it is not one that this daemon gave"))?)
        };
        let runbook = request.runbook.strip_prefix("runbooks/").unwrap_or(&request.runbook).to_owned();
        let after = request.created_after.map(|t| t.seconds.saturating_mul(1_000_000) + i64::from(t.nanos) / 1_000);
        // Runs that are not over are in memory, and their rows do not say where they are.
        let live: HashMap<RunUid, v1::Run> = self
            .0
            .dispatcher
            .query(|machine| machine.runs().map(|run| (run.uid(), to_proto::run_head(run))).collect())
            .await
            .map_err(|_| errors::ending())?;
        let statuses = request.statuses;
        let reader = Arc::clone(&self.0.reader);
        let page = tokio::task::spawn_blocking(move || {
            let mut wanted = |row: &runbook_journal::RunRow| {
                (runbook.is_empty() || row.runbook == runbook)
                    && after.is_none_or(|after| row.created_at.0 >= after)
                    && (statuses.is_empty() || {
                        let status = live.get(&row.uid).map_or_else(|| to_proto::run_row(row).status, |run| run.status);
                        statuses.contains(&status)
                    })
            };
            let rows = reader.rows_newest_first(before, size, SCAN, &mut wanted)?;
            let runs =
                rows.rows.iter().map(|row| live.get(&row.uid).cloned().unwrap_or_else(|| to_proto::run_row(row)));
            Ok::<_, runbook_journal::StoreError>((runs.collect::<Vec<_>>(), rows.next))
        })
        .await
        .map_err(|error| internal(&error))?
        .map_err(|error| internal(&error))?;
        Ok(Response::new(v1::ListRunsResponse {
            runs: page.0,
            next_page_token: page.1.map(|number| number.to_string()).unwrap_or_default(),
        }))
    }

    type WatchRunStream = Streamed<v1::WatchRunResponse>;

    async fn watch_run(&self, request: Request<v1::WatchRunRequest>) -> Result<Response<Self::WatchRunStream>, Status> {
        let request = request.into_inner();
        let uid = self.0.run_uid(&request.name).await?;
        let state = self.0.run_state(uid).await?;
        if request.start_after > state.last_event() {
            let last = state.last_event();
            let problem = format!("the run has {last} events, none after {}", request.start_after);
            return Err(errors::status(Code::OutOfRange, "NO_SUCH_EVENT", problem));
        }
        let (sender, receiver) = mpsc::channel(STREAM_MESSAGES);
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let shutdown = shared.shutdown.clone();
            tokio::select! {
                () = shutdown.cancelled() => {
                    // Whoever listened may have gone.
                    let _ = sender.send(Err(errors::ending())).await;
                }
                () = watch(&shared, state, request.start_after, &sender) => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<v1::ListEventsResponse>, Status> {
        let request = request.into_inner();
        let uid = self.0.run_uid(&request.name).await?;
        let size = from_proto::page_size(request.page_size, EVENTS.0, EVENTS.1)?;
        let state = self.0.run_state(uid).await?;
        // A page may be shorter than was asked for: large events fill it sooner.
        let events = read_events(&self.0, uid, request.start_after, size).await?;
        let last = events.last().map_or(request.start_after, |event| event.number);
        let pinned = state.pinned();
        Ok(Response::new(v1::ListEventsResponse {
            events: events.iter().map(|event| event_of(pinned, event)).collect(),
            more: last < state.last_event(),
        }))
    }

    type ReadLogsStream = Streamed<v1::ReadLogsResponse>;

    async fn read_logs(&self, request: Request<v1::ReadLogsRequest>) -> Result<Response<Self::ReadLogsStream>, Status> {
        let request = request.into_inner();
        let uid = self.0.run_uid(&request.name).await?;
        let state = self.0.run_state(uid).await?;
        if !request.step.is_empty() {
            step_no(&state, &request.step)?;
        }
        let (sender, receiver) = mpsc::channel(STREAM_MESSAGES);
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let shutdown = shared.shutdown.clone();
            tokio::select! {
                () = shutdown.cancelled() => {
                    // Whoever listened may have gone.
                    let _ = sender.send(Err(errors::ending())).await;
                }
                read = read_logs(&shared, &state, &request, &sender) => {
                    if let Err(status) = read {
                        // Whoever listened may have gone.
                        let _ = sender.send(Err(status)).await;
                    }
                }
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn cancel_run(
        &self,
        request: Request<v1::CancelRunRequest>,
    ) -> Result<Response<v1::CancelRunResponse>, Status> {
        let by = principal(&request);
        let request = request.into_inner();
        let uid = self.0.run_uid(&request.name).await?;
        let reason = from_proto::reason(&request.reason)?;
        let run = self.put(uid, Input::Cancel { now: request.now, by, reason }).await?;
        Ok(Response::new(v1::CancelRunResponse { run: Some(run) }))
    }

    async fn resume_run(
        &self,
        request: Request<v1::ResumeRunRequest>,
    ) -> Result<Response<v1::ResumeRunResponse>, Status> {
        super::check_open(&self.0)?;
        let by = principal(&request);
        let request = request.into_inner();
        let uid = self.0.run_uid(&request.name).await?;
        let reason = from_proto::reason(&request.reason)?;
        let run = self.put(uid, Input::Resume { by, reason }).await?;
        Ok(Response::new(v1::ResumeRunResponse { run: Some(run) }))
    }

    async fn resolve_step(
        &self,
        request: Request<v1::ResolveStepRequest>,
    ) -> Result<Response<v1::ResolveStepResponse>, Status> {
        let by = principal(&request);
        let request = request.into_inner();
        let uid = self.0.run_uid(&request.name).await?;
        let reason = from_proto::reason(&request.reason)?;
        if reason.trim().is_empty() {
            return Err(errors::bad_field("reason", "say why: it stays in the run's history"));
        }
        let settlement = from_proto::settlement(request.settlement)?;
        let state = self.0.run_state(uid).await?;
        let step = step_no(&state, &request.step)?;
        let mut outputs: Vec<(String, Value)> =
            request.output_texts.into_iter().map(|(key, text)| (key, Value::String(text))).collect();
        outputs.sort_by(|a, b| a.0.cmp(&b.0));
        let outputs = outputs.into_iter().collect();
        let run = self.put(uid, Input::Resolve { step, settlement, outputs, by, reason }).await?;
        Ok(Response::new(v1::ResolveStepResponse { run: Some(run) }))
    }
}

fn step_no(state: &RunState, id: &str) -> Result<runbook_core::id::StepNo, Status> {
    let runbook = &state.pinned().runbook;
    runbook.find(id).ok_or_else(|| {
        let hint = did_you_mean(id, runbook.steps.iter().map(|step| step.id.as_str()));
        errors::rejection(&Rejection::NoSuchStep { step: id.chars().take(80).collect(), hint })
    })
}

fn event_of(pinned: &Pinned, event: &run::Event) -> v1::Event {
    to_proto::event(event, |no| pinned.runbook.step(no).map_or_else(|| no.0.to_string(), |step| step.id.clone()))
}

async fn read_events(shared: &Shared, uid: RunUid, after: u64, max: usize) -> Result<Vec<run::Event>, Status> {
    let reader = Arc::clone(&shared.reader);
    tokio::task::spawn_blocking(move || reader.events(uid, after, max))
        .await
        .map_err(|error| internal(&error))?
        .map_err(|error| internal(&error))
}

/// Tells a run's events from a number on until it is over. The state is folded from the same events, so the status
/// that is told belongs to them.
async fn watch(
    shared: &Shared,
    now: RunState,
    start_after: u64,
    sender: &mpsc::Sender<Result<v1::WatchRunResponse, Status>>,
) {
    // Whoever listened may have gone: then there is nobody to tell.
    if let Err(Some(status)) = watch_until_over(shared, &now, start_after, sender).await {
        let _ = sender.send(Err(status)).await;
    }
}

/// Why a stream ended early: nobody listens, or an error that is to be told.
type Broken = Option<Status>;

async fn watch_until_over(
    shared: &Shared,
    now: &RunState,
    start_after: u64,
    sender: &mpsc::Sender<Result<v1::WatchRunResponse, Status>>,
) -> Result<(), Broken> {
    let uid = now.uid();
    let pinned = now.pinned();
    let mut latest = shared.dispatcher.watch(uid);
    let mut folded: Option<RunState> = None;
    let mut told = false;
    loop {
        latest.mark_unchanged();
        let from = folded.as_ref().map_or(0, RunState::last_event);
        let events = read_events(shared, uid, from, STREAM_EVENTS).await.map_err(Some)?;
        let mut message = v1::WatchRunResponse::default();
        let mut bytes = 0;
        for event in &events {
            match &mut folded {
                None => folded = Some(RunState::create(uid, Arc::clone(pinned), event).map_err(|e| internal(&e))?),
                Some(state) => state.apply(event).map_err(|e| internal(&e))?,
            }
            let Some(state) = &folded else { continue };
            if event.number <= start_after {
                continue;
            }
            let event = event_of(pinned, event);
            bytes += event.encoded_len();
            message.events.push(event);
            message.set_status(to_proto::run_status(state.status()));
            message.last_event = (*latest.borrow()).max(state.last_event());
            if bytes >= MESSAGE_BYTES {
                sender.send(Ok(std::mem::take(&mut message))).await.map_err(|_| None)?;
                (bytes, told) = (0, true);
            }
        }
        if !message.events.is_empty() {
            sender.send(Ok(message)).await.map_err(|_| None)?;
            told = true;
        }
        if !events.is_empty() {
            continue;
        }
        let Some(state) = &folded else { return Ok(()) };
        if matches!(state.phase(), Phase::Terminal(_)) {
            if !told {
                // Who asks after the last event hears at least how the run ended.
                let status = to_proto::run_status(state.status()).into();
                let last = v1::WatchRunResponse { events: Vec::new(), status, last_event: state.last_event() };
                sender.send(Ok(last)).await.map_err(|_| None)?;
            }
            return Ok(());
        }
        tokio::select! {
            changed = latest.changed() => changed.map_err(|_| None)?,
            () = sender.closed() => return Ok(()),
        }
    }
}

/// Tells the lines of the attempts that a request wants, as they are and as they come.
async fn read_logs(
    shared: &Shared,
    state: &RunState,
    request: &v1::ReadLogsRequest,
    sender: &mpsc::Sender<Result<v1::ReadLogsResponse, Status>>,
) -> Result<(), Status> {
    let uid = state.uid();
    let pinned = Arc::clone(state.pinned());
    let layout = shared.surroundings.layout.clone();
    let mut after = 0;
    let mut over = false;
    let mut followers: Vec<(logs::Follower, AttemptRef)> = Vec::new();
    let mut done: Vec<AttemptRef> = Vec::new();
    loop {
        loop {
            let events = read_events(shared, uid, after, EVENTS.1).await?;
            let Some(last) = events.last() else { break };
            after = last.number;
            for (no, attempt) in logs::started(uid, &events) {
                let id = pinned.runbook.step(no).map_or_else(String::new, |step| step.id.clone());
                let wanted = (request.step.is_empty() || request.step == id)
                    && (request.attempt == 0 || request.attempt == attempt.attempt.0);
                if wanted {
                    followers.push((logs::Follower::new(id, attempt, request.tail), attempt));
                }
            }
            for event in &events {
                match &event.fact {
                    run::Fact::AttemptEnded { step, attempt, .. } => {
                        done.push(AttemptRef { run: uid, step: *step, attempt: *attempt });
                    }
                    run::Fact::Finished { .. } => over = true,
                    run::Fact::Resumed { .. } => over = false,
                    _ => {}
                }
            }
        }
        let ended: std::collections::HashSet<AttemptRef> = done.iter().copied().collect();
        let mut still = Vec::new();
        for (mut follower, attempt) in followers {
            loop {
                let read = {
                    let layout = layout.clone();
                    tokio::task::spawn_blocking(move || {
                        let lines = follower.next(&layout);
                        (lines, follower)
                    })
                    .await
                    .map_err(|error| internal(&error))?
                };
                follower = read.1;
                let lines = read.0.map_err(|error| internal(&error))?;
                if lines.is_empty() {
                    break;
                }
                if sender.send(Ok(v1::ReadLogsResponse { lines })).await.is_err() {
                    return Ok(());
                }
            }
            if !ended.contains(&attempt) {
                still.push((follower, attempt));
            }
        }
        followers = still;
        if over || !request.follow {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(LOG_LOOK) => {}
            () = sender.closed() => return Ok(()),
        }
    }
}
