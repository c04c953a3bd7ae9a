//! The service of runs. Every change goes through the dispatcher; a client that goes away loses only its answer.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use prost::Message as _;
use runbook_core::definition::{Environment, step_path};
use runbook_core::expression::did_you_mean;
use runbook_core::id::{Digest, RunUid, StepNo};
use runbook_core::machine::AttemptRef;
use runbook_core::run::{self, Input, Phase, Pinned, Rejection, RunState, Start};
use runbook_proto::v1;
use runbook_proto::v1::run_service_server::RunService;
use serde_json::Value;
use tonic::{Code, Request, Response, Status};

use super::asked::{Asked, asked};
use super::from_proto::{Faults, Inputs, InputsFrom, Wanted};
use super::last_good::LastGood;
use super::plan::{self, Considered};
use super::streams::{self, Streamed, event_of, read_events};
use super::waits::{self, Waits};
use super::{
    Shared, compare, edit, errors, from_proto, internal, last_good, like, locks, logs, pools, principal, terms,
    to_proto,
};
use crate::definitions::{DefinitionError, Text};
use crate::dispatcher::{Answer, Ending};
use crate::git;
use crate::layout::Layout;
use crate::runs::ROWS;
use crate::secrets::Sealer;

/// Runs in one page, by default and at most.
const PAGE: (usize, usize) = (50, 1_000);
/// Events in one answer, by default and at most.
const EVENTS: (usize, usize) = (1_000, 10_000);
/// Running steps whose last line is shown.
const LAST_LINES: usize = 200;
/// Child runs in one answer.
const TREE_RUNS: usize = 1_000;

pub(super) struct Runs(pub Arc<Shared>);

/// What a request asks to start, before anything is stored of it.
pub(super) struct Intended {
    pub(super) asked: Asked,
    pub(super) environment: Option<Environment>,
    pub(super) inputs: Inputs,
    pub(super) origin: run::Origin,
    pub(super) reason: String,
    pub(super) request_id: String,
    pub(super) terms: run::Terms,
    /// The run whose version of the runbook it is, where that was asked for.
    pub(super) last_good_of: Option<u64>,
}

impl Runs {
    /// What a request asks to start, as far as it can be told without this machine and other runs.
    async fn intended(&self, mut request: v1::StartRunRequest) -> Result<Intended, Status> {
        let like = like::like(&self.0, &mut request).await?;
        let mut faults = Faults::default();
        let v1::StartRunRequest { runbook, source, source_file, .. } = &mut request;
        let wanted = faults.take(from_proto::wanted(runbook, source, source_file));
        let reason = faults.take(from_proto::reason(&request.reason));
        let request_id = faults.take(from_proto::request_id(&request.request_id));
        let origin = faults.take(from_proto::origin(request.origin));
        let terms = faults.take(terms::terms(&mut request));
        let (Some(wanted), Some(reason), Some(request_id), Some(origin), Some(mut terms)) =
            (wanted, reason, request_id, origin, terms)
        else {
            return Err(faults.refusal());
        };
        let (wanted, last_good_of) = match wanted {
            Wanted::Named(name) if request.last_good => {
                let LastGood { wanted, run } = last_good::last_good(&self.0, name).await?;
                (wanted, Some(run))
            }
            Wanted::Source { .. } if request.last_good => {
                let problem = "a text that comes with the request has no other version";
                return Err(errors::bad_field("last_good", problem));
            }
            wanted => (wanted, None),
        };
        let asked = asked(&self.0, wanted).await?;
        let of_like = like.as_ref().and_then(|run| run.created().terms.environment.clone());
        let named = Some(std::mem::take(&mut request.environment)).filter(|name| !name.is_empty()).or(of_like);
        let environment = super::environments::chosen(&asked.generation, &asked.runbook, named.as_deref())?;
        let typed = request.inputs.take();
        let names = typed.iter().flat_map(|typed| typed.fields.keys()).chain(request.input_texts.keys());
        let given: Vec<String> = names.cloned().collect();
        let taken = like.map(|run| like::take(&run, &asked.runbook, &given, environment.as_ref())).transpose()?;
        let (like, wish) = taken.map_or_else(Default::default, |taken| (taken.inputs, taken.wish));
        let from = InputsFrom {
            typed,
            texts: std::mem::take(&mut request.input_texts),
            like,
            variables: std::mem::take(&mut request.input_variables),
            environment: environment.as_ref(),
        };
        let inputs = from_proto::inputs(&asked.runbook, from)?;
        terms.sources.clone_from(&inputs.sources);
        terms.selection = terms::selection(&asked.runbook, terms::wish(request.selection.take()).unwrap_or(wish))?;
        terms.pause_before = terms::pause_before(&asked.runbook, &request.pause_before)?;
        Ok(Intended { asked, environment, inputs, origin, reason, request_id, terms, last_good_of })
    }

    /// The start as it would be made: its definition is pinned.
    async fn consider(&self, by: run::Principal, roles: Vec<String>, intended: Intended) -> Result<Considered, Status> {
        let Intended { asked, environment, inputs, origin, reason, request_id, terms, .. } = intended;
        let Inputs { values: inputs, given, .. } = inputs;
        let pinned = self.pin(asked, environment).await?;
        let commit = self.commit().await?;
        let digest = request_digest(&pinned, &inputs, &by, &terms, &self.0.surroundings.sealer);
        let (mut open, mut sealed, mut ephemeral) = (inputs.clone(), serde_json::Map::new(), serde_json::Map::new());
        let mut secret = Vec::new();
        for (name, decl) in &pinned.runbook.inputs {
            if decl.secret
                && let Some(value) = open.shift_remove(name)
                && !value.is_null()
            {
                let kept = if decl.ephemeral { &mut ephemeral } else { &mut sealed };
                kept.insert(name.clone(), value);
                secret.push(name.clone());
            }
        }
        let start = Start {
            number: 0,
            pinned: Arc::clone(&pinned),
            inputs: open.into_iter().collect(),
            sealed_inputs: secret,
            origin,
            by,
            roles,
            reason,
            request_id,
            request_digest: digest,
            commit,
            terms,
            parent: None,
            items: Vec::new(),
        };
        Ok(Considered { pinned, given, inputs, sealed, ephemeral, start })
    }

    /// A start that could be made at once: what must be there is there, and its definition is pinned.
    pub(super) async fn prepared(
        &self,
        by: run::Principal,
        roles: Vec<String>,
        request: v1::StartRunRequest,
    ) -> Result<Start, Status> {
        let intended = self.intended(request).await?;
        let intended = self.preflight(intended).await?;
        Ok(self.consider(by, roles, intended).await?.start)
    }

    /// The commit that the project's folder is at.
    async fn commit(&self) -> Result<Option<String>, Status> {
        let project = self.0.config.project.clone();
        tokio::task::spawn_blocking(move || git::commit(&project)).await.map_err(|error| internal(&error))
    }

    /// Pins a definition: its files are there, as far as could be seen.
    pub(super) async fn pin(&self, asked: Asked, environment: Option<Environment>) -> Result<Arc<Pinned>, Status> {
        let Asked { runbook, source, file, generation } = asked;
        let definitions = Arc::clone(&self.0.surroundings.definitions);
        let project = self.0.config.project.clone();
        let pin = move || {
            let text = Text { runbook: &runbook, source: &source, file: &file };
            definitions.pin(&text, environment.as_ref(), &project, &|name| generation.text(name))
        };
        tokio::task::spawn_blocking(pin).await.map_err(|error| internal(&error))?.map_err(|error| match &error {
            DefinitionError::Io { digest, verb, source } => {
                errors::not_written(source, &format_args!("the definition {digest} cannot be {verb}"))
            }
            DefinitionError::ListedFile { .. }
            | DefinitionError::NotThere { .. }
            | DefinitionError::Unusable { .. } => {
                errors::status(Code::FailedPrecondition, "DEFINITION", error.to_string())
            }
        })
    }

    /// The latest child runs of a run's steps, and theirs: as many as one answer holds.
    async fn tree_below(&self, top: &RunState) -> Result<HashMap<RunUid, RunState>, Status> {
        let children = |state: &RunState| state.steps().filter_map(|(_, _, step)| step.child).collect::<Vec<_>>();
        let mut below = HashMap::new();
        let mut open = children(top);
        while let Some(uid) = open.pop().filter(|_| below.len() < TREE_RUNS) {
            let state = self.0.run_state(uid).await?;
            open.extend(children(&state));
            below.insert(uid, state);
        }
        Ok(below)
    }

    pub(super) async fn head(&self, uid: RunUid) -> Result<v1::Run, Status> {
        Ok(to_proto::run_head(&self.0.run_state(uid).await?))
    }

    /// Puts something to a run; gives the run as it is then.
    pub(super) async fn put(&self, uid: RunUid, input: Input) -> Result<v1::Run, Status> {
        let answer = self.0.dispatcher.run(uid, input).await;
        self.answered(uid, answer).await
    }

    /// The steps of a run that a request names.
    async fn named(&self, uid: RunUid, ids: &[String]) -> Result<Vec<StepNo>, Status> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let state = self.0.run_state(uid).await?;
        let named: BTreeSet<StepNo> = ids.iter().map(|id| step_no(&state, id)).collect::<Result<_, _>>()?;
        Ok(named.into_iter().collect())
    }

    async fn answered(&self, uid: RunUid, answer: Result<Answer, Ending>) -> Result<v1::Run, Status> {
        match answer {
            Ok(Ok(_)) => self.head(uid).await,
            // It may be there, and unreadable.
            Ok(Err(Rejection::NoSuchRun { run })) => {
                Err(self.0.run_state(uid).await.err().unwrap_or_else(|| super::no_such_run(&run)))
            }
            Ok(Err(rejection)) => Err(errors::rejection(&rejection)),
            Err(Ending) => Err(errors::ending()),
        }
    }
}

/// A run with its steps and with the child runs of them. `lines` is how many last lines are still looked for.
fn tree(state: &RunState, below: &HashMap<RunUid, RunState>, layout: &Layout, lines: &mut usize) -> v1::Run {
    let mut run = to_proto::run_whole(state, layout);
    for (no, attempt, _, _) in state.live().take(*lines) {
        *lines -= 1;
        let attempt = AttemptRef { run: state.uid(), step: no, attempt };
        if let (Some(step), Some(line)) = (run.steps.get_mut(no.index()), logs::last_line(layout, attempt)) {
            step.last_line = line;
        }
    }
    // As deep as runs start runs, which is bounded.
    for (no, _, of_step) in state.steps() {
        let child = of_step.child.and_then(|child| below.get(&child));
        if let (Some(step), Some(child)) = (run.steps.get_mut(no.index()), child) {
            step.child_run = Some(tree(child, below, layout, lines));
        }
    }
    run
}

/// What is asked for, hashed: the same request id with other content is a mistake.
fn request_digest(
    pinned: &Pinned,
    inputs: &serde_json::Map<String, Value>,
    by: &run::Principal,
    terms: &run::Terms,
    sealer: &Sealer,
) -> Digest {
    let terms = terms::repeated(terms);
    // What is kept nowhere leaves no trace either, by which a value could be tried out.
    let kept = |name: &String| !pinned.runbook.inputs.get(name).is_some_and(|input| input.ephemeral);
    let inputs: serde_json::Map<_, _> = inputs.clone().into_iter().filter(|(name, _)| kept(name)).collect();
    let asked = serde_json::json!({"definition": pinned.digest, "inputs": inputs, "uid": by.uid, "terms": terms});
    let asked = asked.to_string();
    if pinned.runbook.inputs.values().any(|input| input.secret) {
        // A plain hash in the journal would let anybody who reads it try out a short secret.
        return sealer.blind(asked.as_bytes());
    }
    Digest::of(asked.as_bytes())
}

/// A new uid: time-ordered, as UUIDv7 (RFC 9562) is.
pub(super) fn new_uid() -> RunUid {
    RunUid::from_bits(uuid::Uuid::now_v7().as_u128())
}

#[tonic::async_trait]
impl RunService for Runs {
    async fn start_run(&self, request: Request<v1::StartRunRequest>) -> Result<Response<v1::StartRunResponse>, Status> {
        super::check_open(&self.0)?;
        let (by, roles) = (principal(&request), super::roles(&self.0, &request));
        let request = request.into_inner();
        let validate_only = request.validate_only;
        let intended = self.preflight(self.intended(request).await?).await?;
        let last_good_of = intended.last_good_of.unwrap_or_default();
        let Considered { pinned, sealed, ephemeral, start, .. } = self.consider(by, roles, intended).await?;
        if validate_only {
            let run = v1::Run {
                runbook: pinned.runbook.name.clone(),
                definition: pinned.digest.to_string(),
                inputs: Some(to_proto::object(start.inputs.iter())),
                environment: pinned.runbook.environment_name().unwrap_or_default().to_owned(),
                ..v1::Run::default()
            };
            let checked =
                self.0.dispatcher.query(move |machine| machine.check_start(crate::clock::now(), &start)).await;
            checked.map_err(|_| errors::ending())?.map_err(|rejection| errors::rejection(&rejection))?;
            return Ok(Response::new(v1::StartRunResponse { run: Some(run), repeated_request: false, last_good_of }));
        }
        let uid = new_uid();
        if !sealed.is_empty() {
            let sealer = Arc::clone(&self.0.surroundings.sealer);
            tokio::task::spawn_blocking(move || sealer.seal(uid, &sealed))
                .await
                .map_err(|error| internal(&error))?
                .map_err(|error| errors::not_written(&error, &"the run's secret inputs cannot be sealed"))?;
        }
        let in_memory = &self.0.surroundings.ephemeral;
        in_memory.keep(uid, ephemeral);
        let answer = self.0.dispatcher.start(uid, start).await.map_err(|_| errors::ending())?;
        let reply = match answer {
            Ok(reply) => reply,
            Err(rejection) => {
                in_memory.forget(uid);
                self.0.surroundings.sealer.forget(uid).map_err(|error| internal(&error))?;
                return Err(errors::rejection(&rejection));
            }
        };
        if reply.repeated {
            in_memory.forget(uid);
            self.0.surroundings.sealer.forget(uid).map_err(|error| internal(&error))?;
        }
        let run = self.head(reply.run).await?;
        let mut response =
            Response::new(v1::StartRunResponse { run: Some(run), repeated_request: reply.repeated, last_good_of });
        let version = tonic::metadata::MetadataValue::from_static(env!("CARGO_PKG_VERSION"));
        response.metadata_mut().insert("x-runbook-version", version);
        Ok(response)
    }

    async fn plan_run(&self, request: Request<v1::PlanRunRequest>) -> Result<Response<v1::PlanRunResponse>, Status> {
        let (by, roles) = (principal(&request), super::roles(&self.0, &request));
        let v1::PlanRunRequest { start, skip_preflight } = request.into_inner();
        let start = start.ok_or_else(|| errors::bad_field("start", "say which start is considered"))?;
        let mut intended = self.intended(start).await?;
        let mut missing = None;
        if !skip_preflight {
            let (same, found) = self.missing(intended).await?;
            (intended, missing) = (same, Some(found));
        }
        let considered = self.consider(by, roles, intended).await?;
        Ok(Response::new(plan::answer(&self.0, considered, missing).await?))
    }

    async fn diff_runs(&self, request: Request<v1::DiffRunsRequest>) -> Result<Response<v1::DiffRunsResponse>, Status> {
        let v1::DiffRunsRequest { first, second } = request.into_inner();
        let mut faults = Faults::default();
        let names = (
            faults.take(from_proto::run_name_in("first", &first)),
            faults.take(from_proto::run_name_in("second", &second)),
        );
        let (Some(first), Some(second)) = names else { return Err(faults.refusal()) };
        let first = self.0.run_state(self.0.run_uid(first).await?).await?;
        let second = self.0.run_state(self.0.run_uid(second).await?).await?;
        Ok(Response::new(compare::answer(&first, &second)))
    }

    async fn get_run(&self, request: Request<v1::GetRunRequest>) -> Result<Response<v1::GetRunResponse>, Status> {
        let uid = self.0.run_uid(from_proto::run_name(&request.into_inner().name)?).await?;
        let state = self.0.run_state(uid).await?;
        let extra = self
            .0
            .dispatcher
            .query(move |machine| (Waits::of(machine, uid), machine.quarantine(uid).map(ToOwned::to_owned)))
            .await
            .map_err(|_| errors::ending())?;
        let layout = self.0.surroundings.layout.clone();
        let below = self.tree_below(&state).await?;
        let run = tokio::task::spawn_blocking(move || {
            let mut run = tree(&state, &below, &layout, &mut LAST_LINES.clone());
            extra.0.tell(&mut run, uid);
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

    async fn list_locks(
        &self,
        request: Request<v1::ListLocksRequest>,
    ) -> Result<Response<v1::ListLocksResponse>, Status> {
        let request = request.into_inner();
        let size = from_proto::page_size(request.page_size, locks::PAGE.0, locks::PAGE.1)?;
        let after = locks::after(&request.page_token)?;
        let page = self.0.dispatcher.query(move |machine| locks::page(machine, after.as_ref(), size)).await;
        Ok(Response::new(page.map_err(|_| errors::ending())?))
    }

    async fn release_lock(
        &self,
        request: Request<v1::ReleaseLockRequest>,
    ) -> Result<Response<v1::ReleaseLockResponse>, Status> {
        let by = principal(&request);
        let v1::ReleaseLockRequest { name, reason } = request.into_inner();
        let mut faults = Faults::default();
        let (name, reason) = (faults.take(from_proto::lock_name(name)), faults.take(from_proto::why(&reason)));
        let (Some(name), Some(reason)) = (name, reason) else { return Err(faults.refusal()) };
        let wanted = name.clone();
        let held = self.0.dispatcher.query(move |machine| locks::held(machine, &wanted)).await;
        let (claim, released, names) =
            held.map_err(|_| errors::ending())?.map_err(|refused| errors::rejection(&refused))?;
        let input = Input::ReleaseLocks { step: claim.step, name: name.clone(), by, reason };
        self.put(claim.run, input).await?;
        let lock = self.0.dispatcher.query(move |machine| locks::one(machine, &name)).await;
        let lock = lock.map_err(|_| errors::ending())?;
        Ok(Response::new(v1::ReleaseLockResponse { released, names, lock }))
    }

    async fn list_pools(
        &self,
        request: Request<v1::ListPoolsRequest>,
    ) -> Result<Response<v1::ListPoolsResponse>, Status> {
        let v1::ListPoolsRequest { page_size, page_token } = request.into_inner();
        let size = from_proto::page_size(page_size, pools::PAGE.0, pools::PAGE.1)?;
        let page = self.0.dispatcher.query(move |machine| pools::page(machine, &page_token, size)).await;
        Ok(Response::new(page.map_err(|_| errors::ending())?))
    }

    async fn list_runs(&self, request: Request<v1::ListRunsRequest>) -> Result<Response<v1::ListRunsResponse>, Status> {
        let request = request.into_inner();
        let mut faults = Faults::default();
        let size = faults.take(from_proto::page_size(request.page_size, PAGE.0, PAGE.1));
        let before = faults.take(from_proto::before(&request.page_token));
        let statuses = faults.take(from_proto::statuses(&request.statuses));
        let origins = faults.take(from_proto::origins(&request.origins));
        let after = request.created_after.map(|moment| from_proto::moment("created_after", &moment)).transpose();
        let after = faults.take(after);
        let (Some(size), Some(before), Some(statuses), Some(origins), Some(after)) =
            (size, before, statuses, origins, after)
        else {
            return Err(faults.refusal());
        };
        let runbook = request.runbook.strip_prefix("runbooks/").unwrap_or(&request.runbook).to_owned();
        let environment = super::environments::bare(&request.environment).to_owned();
        // Runs that are not over are in memory, and their rows do not say where they are.
        let live: HashMap<RunUid, v1::Run> = self
            .0
            .dispatcher
            .query(|machine| machine.roots().map(|run| (run.uid(), to_proto::run_head(run))).collect())
            .await
            .map_err(|_| errors::ending())?;
        let reader = Arc::clone(&self.0.reader);
        let page = tokio::task::spawn_blocking(move || {
            let mut wanted = |row: &runbook_journal::RunRow| {
                (runbook.is_empty() || row.runbook == runbook)
                    && (environment.is_empty() || row.environment.as_deref() == Some(environment.as_str()))
                    && (origins.is_empty() || origins.contains(&to_proto::origin(row.origin)))
                    && after.is_none_or(|after| row.created_at >= after)
                    && (statuses.is_empty() || {
                        let status = live.get(&row.uid).map_or_else(|| to_proto::run_row(row).status, |run| run.status);
                        statuses.iter().any(|wanted| i32::from(*wanted) == status)
                    })
            };
            let rows = reader.rows_newest_first(before, size, ROWS, &mut wanted)?;
            let runs =
                rows.rows.iter().map(|row| live.get(&row.uid).cloned().unwrap_or_else(|| to_proto::run_row(row)));
            Ok::<_, runbook_journal::StoreError>((runs.collect::<Vec<_>>(), rows.next))
        })
        .await
        .map_err(|error| internal(&error))?
        .map_err(|error| internal(&error))?;
        let (mut runs, next) = page;
        let live: Vec<RunUid> =
            runs.iter().filter(|run| run.finished_at.is_none()).filter_map(|run| run.uid.parse().ok()).collect();
        if !live.is_empty() {
            let waits = self.0.dispatcher.query(move |machine| waits::in_short(machine, live));
            let mut waits = waits.await.map_err(|_| errors::ending())?;
            runs.iter_mut().for_each(|run| run.waits_for = waits.remove(&run.uid).unwrap_or_default());
        }
        Ok(Response::new(v1::ListRunsResponse {
            runs,
            next_page_token: next.map(|number| number.to_string()).unwrap_or_default(),
        }))
    }

    type WatchRunStream = Streamed<v1::WatchRunResponse>;

    async fn watch_run(&self, request: Request<v1::WatchRunRequest>) -> Result<Response<Self::WatchRunStream>, Status> {
        let deadline = streams::deadline(request.metadata());
        let request = request.into_inner();
        let uid = self.0.run_uid(from_proto::run_name(&request.name)?).await?;
        let state = self.0.run_state(uid).await?;
        check_event(&state, request.start_after)?;
        Ok(streams::stream(&self.0, deadline, move |shared, sender| async move {
            streams::watch(&shared, &state, &request, &sender).await
        }))
    }

    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<v1::ListEventsResponse>, Status> {
        let request = request.into_inner();
        let mut faults = Faults::default();
        let name = faults.take(from_proto::run_name(&request.name));
        let size = faults.take(from_proto::page_size(request.page_size, EVENTS.0, EVENTS.1));
        let (Some(name), Some(size)) = (name, size) else { return Err(faults.refusal()) };
        let uid = self.0.run_uid(name).await?;
        let state = self.0.run_state(uid).await?;
        check_event(&state, request.start_after)?;
        // A page may be shorter than was asked for: large events fill it sooner.
        let mut page = v1::ListEventsResponse::default();
        let (mut last, mut bytes) = (request.start_after, 0);
        for event in &read_events(&self.0, uid, request.start_after, size).await? {
            let told = event_of(state.pinned(), event);
            (last, bytes) = (event.number, bytes + told.encoded_len());
            page.events.push(told);
            if bytes >= streams::MESSAGE_BYTES {
                break;
            }
        }
        page.more = last < state.last_event();
        Ok(Response::new(page))
    }

    type ReadLogsStream = Streamed<v1::ReadLogsResponse>;

    async fn read_logs(&self, request: Request<v1::ReadLogsRequest>) -> Result<Response<Self::ReadLogsStream>, Status> {
        let deadline = streams::deadline(request.metadata());
        let request = request.into_inner();
        let uid = self.0.run_uid(from_proto::run_name(&request.name)?).await?;
        let state = self.0.run_state(uid).await?;
        // A step below names the run that it belongs to, and is followed there.
        let (state, id, prefix) = self.0.below(state, &request.step).await?;
        let step = if id.is_empty() { None } else { Some(step_no(&state, id)?) };
        check_attempt(&state, step, &request)?;
        let wanted = step.map(|step| step_path(&prefix, id_of(&state, step))).unwrap_or_default();
        let request = v1::ReadLogsRequest { step: wanted, ..request };
        Ok(streams::stream(&self.0, deadline, move |shared, sender| async move {
            streams::read_logs(&shared, &state, &prefix, &request, &sender).await
        }))
    }

    async fn cancel_run(
        &self,
        request: Request<v1::CancelRunRequest>,
    ) -> Result<Response<v1::CancelRunResponse>, Status> {
        let by = principal(&request);
        let request = request.into_inner();
        let (name, reason) = from_proto::name_and_reason(&request.name, &request.reason)?;
        let uid = self.0.run_uid(name).await?;
        let past = self.named(uid, &request.past).await?;
        let run = self.put(uid, Input::Cancel { now: request.now, by, reason, past }).await?;
        Ok(Response::new(v1::CancelRunResponse { run: Some(run) }))
    }

    async fn roll_back_run(
        &self,
        request: Request<v1::RollBackRunRequest>,
    ) -> Result<Response<v1::RollBackRunResponse>, Status> {
        super::check_open(&self.0)?;
        let by = principal(&request);
        let request = request.into_inner();
        let mut faults = Faults::default();
        let name = faults.take(from_proto::run_name(&request.name));
        // Who gives up says why: it stays in the run's history.
        let reason = match request.abandon {
            true => faults.take(from_proto::why(&request.reason)),
            false => faults.take(from_proto::reason(&request.reason)),
        };
        let (Some(name), Some(reason)) = (name, reason) else { return Err(faults.refusal()) };
        let uid = self.0.run_uid(name).await?;
        let input = if request.abandon {
            Input::AbandonRollback { by, reason }
        } else {
            Input::RollBack { by, reason, past: self.named(uid, &request.past).await? }
        };
        if request.validate_only {
            return Ok(Response::new(self.way_back(uid, input).await?));
        }
        let run = Some(self.put(uid, input).await?);
        Ok(Response::new(v1::RollBackRunResponse { run, ..Default::default() }))
    }

    async fn pause_run(&self, request: Request<v1::PauseRunRequest>) -> Result<Response<v1::PauseRunResponse>, Status> {
        let by = principal(&request);
        let request = request.into_inner();
        let (name, reason) = from_proto::name_and_reason(&request.name, &request.reason)?;
        let uid = self.0.run_uid(name).await?;
        let run = self.put(uid, Input::Pause { by, reason }).await?;
        Ok(Response::new(v1::PauseRunResponse { run: Some(run) }))
    }

    async fn resume_run(
        &self,
        request: Request<v1::ResumeRunRequest>,
    ) -> Result<Response<v1::ResumeRunResponse>, Status> {
        super::check_open(&self.0)?;
        let by = principal(&request);
        let request = request.into_inner();
        let (name, reason) = from_proto::name_and_reason(&request.name, &request.reason)?;
        let confirmed = terms::confirmed(request.confirm)?;
        let uid = self.0.run_uid(name).await?;
        let (mut edited, mut edition) = (None, None);
        if request.edited || request.validate_only {
            let state = self.0.run_state(uid).await?;
            let compared = if request.edited { Some(self.compare(&state).await?) } else { None };
            if request.validate_only {
                edit::could_resume(&state, by, compared.as_ref().map(|compared| compared.edit.clone()))?;
                let edition = compared.map(|compared| compared.told());
                return Ok(Response::new(v1::ResumeRunResponse { run: Some(self.head(uid).await?), edition }));
            }
            if let Some(compared) = compared {
                compared.is_as_shown(&request.definition)?;
                edition = Some(compared.told());
                edited = Some(Box::new(compared.edit));
            }
        }
        let run = self.put(uid, Input::Resume { by, reason, confirmed, edited }).await?;
        Ok(Response::new(v1::ResumeRunResponse { run: Some(run), edition }))
    }

    async fn provide_inputs(
        &self,
        request: Request<v1::ProvideInputsRequest>,
    ) -> Result<Response<v1::ProvideInputsResponse>, Status> {
        super::check_open(&self.0)?;
        let (by, roles) = (principal(&request), super::roles(&self.0, &request));
        let mut request = request.into_inner();
        let (name, reason) = from_proto::name_and_reason(&request.name, &request.reason)?;
        let inputs = from_proto::provided_names(&request)?;
        let uid = self.0.run_uid(name).await?;
        let state = self.0.run_state(uid).await?;
        let provision = run::Provision { inputs, by, roles, reason };
        // Before anybody looks at a value: whether this run takes it at all.
        let input = Input::Provide(Box::new(provision.clone()));
        run::decide(&state, crate::clock::now(), input).map_err(|refused| errors::rejection(&refused))?;
        let values = from_proto::provided(&state.pinned().runbook, &mut request)?;
        let answer = self.0.dispatcher.provide(uid, provision, values).await;
        let run = self.answered(uid, answer).await?;
        Ok(Response::new(v1::ProvideInputsResponse { run: Some(run) }))
    }

    async fn resolve_step(
        &self,
        request: Request<v1::ResolveStepRequest>,
    ) -> Result<Response<v1::ResolveStepResponse>, Status> {
        let by = principal(&request);
        let request = request.into_inner();
        let mut faults = Faults::default();
        let name = faults.take(from_proto::run_name(&request.name));
        let reason = faults.take(from_proto::why(&request.reason));
        let settlement = faults.take(from_proto::settlement(request.settlement));
        let (Some(name), Some(reason), Some(settlement)) = (name, reason, settlement) else {
            return Err(faults.refusal());
        };
        let uid = self.0.run_uid(name).await?;
        let state = self.0.run_state(uid).await?;
        let (state, id, _) = self.0.below(state, &request.step).await?;
        let step = step_no(&state, id)?;
        let mut outputs: Vec<(String, Value)> =
            request.output_texts.into_iter().map(|(key, text)| (key, Value::String(text))).collect();
        outputs.sort_by(|a, b| a.0.cmp(&b.0));
        let outputs = outputs.into_iter().collect();
        self.put(state.uid(), Input::Resolve { step, settlement, outputs, by, reason }).await?;
        let run = self.head(uid).await?;
        Ok(Response::new(v1::ResolveStepResponse { run: Some(run) }))
    }
}

/// The step that a request names.
pub(super) fn step_no(state: &RunState, id: &str) -> Result<StepNo, Status> {
    let runbook = &state.pinned().runbook;
    state.pinned().meant(id).ok_or_else(|| {
        let hint = did_you_mean(id, runbook.steps.iter().map(|step| step.id.as_str()));
        errors::rejection(&Rejection::NoSuchStep { step: id.chars().take(80).collect(), hint })
    })
}

/// The id of a step.
pub(super) fn id_of(state: &RunState, no: StepNo) -> &str {
    state.pinned().runbook.step(no).map_or("", |step| step.id.as_str())
}

/// Whether there may be events after this one: none come after a number that was not told.
fn check_event(state: &RunState, start_after: u64) -> Result<(), Status> {
    let last = state.last_event();
    if start_after <= last {
        return Ok(());
    }
    let problem = format!("the run has {last} events, none after {start_after}");
    Err(errors::status(Code::OutOfRange, "NO_SUCH_EVENT", problem))
}

/// Whether the attempt of a request began, or may still begin while it is waited for.
fn check_attempt(state: &RunState, step: Option<StepNo>, request: &v1::ReadLogsRequest) -> Result<(), Status> {
    let over = matches!(state.phase(), Phase::Terminal(_));
    let begun = state.steps().filter(|(no, ..)| step.is_none_or(|step| step == *no)).map(|(_, _, step)| step.attempts);
    let last = begun.max().unwrap_or(0);
    if request.attempt <= last || (request.follow && !over) {
        return Ok(());
    }
    let of = if request.step.is_empty() { "a step of this run" } else { &request.step };
    let problem = match last {
        0 => format!("there is no attempt of {of} yet"),
        last => format!("there is no attempt {} of {of}: the latest is {last}", request.attempt),
    };
    Err(errors::status(Code::NotFound, "NO_SUCH_ATTEMPT", problem))
}
