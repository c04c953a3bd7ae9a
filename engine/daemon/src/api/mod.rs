//! The gRPC API on the instance's socket. Holds no policy: it validates, asks the dispatcher, and tells.

mod approvals;
mod asked;
mod asks;
mod below;
mod catch_up;
mod compare;
mod drift;
mod edit;
mod environments;
mod errors;
mod from_proto;
mod incoming;
mod last_good;
mod like;
mod locks;
mod logs;
mod plan;
mod pools;
mod preflight;
mod readiness;
mod rehearse;
mod runbooks;
mod runs;
mod schedules;
mod socket;
mod streams;
mod system;
mod terms;
mod to_proto;
mod typed;
mod undo;
mod waits;

pub use incoming::CONNECTIONS;
pub use socket::listen;

use std::sync::Arc;

use runbook_core::definition::{path_head, step_path};
use runbook_core::id::RunUid;
use runbook_core::run::{Principal, RunState};
use runbook_core::time::Timestamp;
use runbook_journal::View;
use runbook_proto::v1;
use runbook_proto::v1::approval_service_server::ApprovalServiceServer;
use runbook_proto::v1::run_service_server::RunServiceServer;
use runbook_proto::v1::runbook_service_server::RunbookServiceServer;
use runbook_proto::v1::schedule_service_server::ScheduleServiceServer;
use runbook_proto::v1::system_service_server::SystemServiceServer;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService as _;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Status};
use tonic_health::ServingStatus;
use typed::Typed;

use crate::config::Config;
use crate::dispatcher::Handle;
use crate::kept::Shelf;
use crate::library::Library;
use crate::preflight::Preflight;
use crate::readiness::Readiness;
use crate::roles::Accounts;
use crate::room;
use crate::runs::read_state;
use crate::successes::Successes;
use crate::surroundings::Surroundings;
use from_proto::RunName;

/// The largest request, in bytes: a runbook file and its inputs.
const REQUEST_BYTES: usize = 16 << 20;
/// How long clients may take to close their connections once the daemon ends.
const LINGER: std::time::Duration = std::time::Duration::from_secs(1);

/// What all services share.
pub struct Shared {
    /// The way to the dispatcher.
    pub dispatcher: Handle,
    /// Durable events and rows.
    pub reader: Arc<dyn View>,
    /// The folder of runbooks.
    pub library: Arc<Library>,
    /// When each runbook succeeded last.
    pub successes: Arc<Successes>,
    /// What runs said about what can be restored.
    pub readiness: Arc<Readiness>,
    /// What is kept beside the runs.
    pub shelf: Arc<Shelf>,
    /// Definitions, secrets, layout.
    pub surroundings: Surroundings,
    /// What must be there before a run.
    pub preflight: Preflight,
    /// The configuration.
    pub config: Config,
    /// When the daemon started.
    pub started_at: Timestamp,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// No new run from here on, and the end follows.
    pub drain: CancellationToken,
    /// Ends every stream and the server.
    pub shutdown: CancellationToken,
}

impl Shared {
    /// A run's state, whether it is in memory or over.
    async fn run_state(&self, uid: RunUid) -> Result<RunState, Status> {
        let live = self.dispatcher.query(move |machine| machine.run(uid).cloned()).await;
        if let Some(state) = live.map_err(|_| errors::ending())? {
            return Ok(state);
        }
        let (reader, surroundings) = (Arc::clone(&self.reader), self.surroundings.clone());
        let read = tokio::task::spawn_blocking(move || read_state(&*reader, &surroundings.definitions, uid));
        match read.await.map_err(|error| internal(&error))? {
            Ok(Some(state)) => Ok(state),
            Ok(None) => Err(no_such_run(&uid.to_string())),
            Err(why) => Err(errors::status(
                tonic::Code::DataLoss,
                "RUN_UNREADABLE",
                format!("the run {uid} is there and cannot be read: {why:#}"),
            )),
        }
    }

    /// The run that has a step, and the step's own id: `a/b` names the step `b` of the child run of the step `a`, and
    /// `a["b"]` what it does for the item `b`. With it how the steps of that run are named from the top.
    async fn below<'p>(&self, top: RunState, path: &'p str) -> Result<(RunState, &'p str, String), Status> {
        let mut state = top;
        let mut rest = path;
        let mut prefix = String::new();
        while let (step, Some(below)) = path_head(rest) {
            let no = runs::step_no(&state, step)?;
            let Some(child) = state.step(no).and_then(|step| step.child) else {
                let problem = format!("the step {step:?} has no child run, so there is no step {path:?}");
                return Err(errors::status(tonic::Code::NotFound, "NO_SUCH_STEP", problem));
            };
            prefix = format!("{}/", step_path(&prefix, runs::id_of(&state, no)));
            state = self.run_state(child).await?;
            rest = below;
        }
        Ok((state, rest, prefix))
    }

    /// The run that a request names.
    async fn run_uid(&self, name: RunName) -> Result<RunUid, Status> {
        match name {
            RunName::Uid(uid) => Ok(uid),
            RunName::Number(number) => {
                let live = self.dispatcher.query(move |machine| machine.by_number(number)).await;
                if let Some(uid) = live.map_err(|_| errors::ending())? {
                    return Ok(uid);
                }
                match self.reader.row_by_number(number) {
                    Ok(Some(row)) => Ok(row.uid),
                    Ok(None) => Err(no_such_run(&number.to_string())),
                    Err(error) => Err(internal(&error)),
                }
            }
        }
    }
}

fn no_such_run(name: &str) -> Status {
    errors::status(
        tonic::Code::NotFound,
        "NO_SUCH_RUN",
        format!("there is no run {name}; `runbook runs` lists those that are kept"),
    )
}

fn internal(error: &dyn std::fmt::Display) -> Status {
    errors::status(tonic::Code::Internal, "INTERNAL", error.to_string())
}

/// Who is on the other side of the socket.
fn principal<T>(request: &Request<T>) -> Principal {
    let uid = request
        .extensions()
        .get::<UdsConnectInfo>()
        .and_then(|info| info.peer_cred)
        .map(|credentials| credentials.uid());
    let name = match uid {
        None => "unknown".to_owned(),
        Some(uid) => Accounts::read().user(uid).map_or_else(|| format!("uid {uid}"), ToOwned::to_owned),
    };
    Principal { name, uid }
}

/// The roles of who is on the other side of the socket.
fn roles<T>(shared: &Shared, request: &Request<T>) -> Vec<String> {
    let roles = &shared.config.roles;
    let peer = request.extensions().get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
    match peer {
        Some(peer) if !roles.is_empty() => Accounts::read().roles_of(roles, peer.uid(), peer.gid()),
        Some(_) | None => Vec::new(),
    }
}

/// Serves until it is drained: then health says so, streams end, and after that the server.
///
/// # Errors
/// The server cannot run.
pub async fn serve(shared: Arc<Shared>, listener: UnixListener) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    // The empty name is the daemon as a whole.
    let services = [
        "",
        ApprovalServiceServer::<approvals::Approvals>::NAME,
        RunServiceServer::<runs::Runs>::NAME,
        RunbookServiceServer::<runbooks::Runbooks>::NAME,
        ScheduleServiceServer::<schedules::Schedules>::NAME,
        SystemServiceServer::<system::System>::NAME,
    ];
    for service in services {
        health.set_service_status(service, ServingStatus::Serving).await;
    }
    let descriptors =
        || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(v1::DESCRIPTORS);
    let reflection = descriptors().build_v1()?;
    let reflection_alpha = descriptors().build_v1alpha()?;
    let limit = REQUEST_BYTES;
    let token = shared.shutdown.clone();
    let draining = {
        let shared = Arc::clone(&shared);
        async move {
            shared.drain.cancelled().await;
            for service in services {
                health.set_service_status(service, ServingStatus::NotServing).await;
            }
            shared.shutdown.cancel();
        }
    };
    let server = tonic::transport::Server::builder()
        .add_service(health_service)
        .add_service(reflection)
        .add_service(reflection_alpha)
        .add_service(Typed(
            RunbookServiceServer::new(runbooks::Runbooks(Arc::clone(&shared)))
                .max_decoding_message_size(limit)
                .max_encoding_message_size(usize::MAX),
        ))
        .add_service(Typed(
            RunServiceServer::new(runs::Runs(Arc::clone(&shared)))
                .max_decoding_message_size(limit)
                .max_encoding_message_size(usize::MAX),
        ))
        .add_service(Typed(
            ApprovalServiceServer::new(approvals::Approvals(Arc::clone(&shared)))
                .max_decoding_message_size(limit)
                .max_encoding_message_size(usize::MAX),
        ))
        .add_service(Typed(
            ScheduleServiceServer::new(schedules::Schedules(Arc::clone(&shared)))
                .max_decoding_message_size(limit)
                .max_encoding_message_size(usize::MAX),
        ))
        .add_service(Typed(SystemServiceServer::new(system::System(Arc::clone(&shared)))))
        .serve_with_incoming_shutdown(incoming::incoming(listener, token.clone()), async move {
            token.cancelled().await;
        });
    // A client that neither reads nor closes must not keep the daemon from ending.
    let lingering = {
        let token = shared.shutdown.clone();
        async move {
            token.cancelled().await;
            tokio::time::sleep(LINGER).await;
        }
    };
    tokio::select! {
        (served, ()) = async { tokio::join!(server, draining) } => served?,
        () = lingering => tracing::info!("some clients did not close their connections in time"),
    }
    Ok(())
}

/// Whether the daemon takes new runs, and there is room for what they write.
fn check_open(shared: &Shared) -> Result<(), Status> {
    if shared.drain.is_cancelled() {
        return Err(errors::status(
            tonic::Code::Unavailable,
            "DRAINING",
            "the daemon is draining and takes no new run; try again when it has been started anew",
        ));
    }
    match room::lack(&shared.config.data_dir) {
        None => Ok(()),
        Some(problem) => Err(errors::status(tonic::Code::ResourceExhausted, "DISK_FULL", problem)),
    }
}
