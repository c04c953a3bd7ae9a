//! A daemon as a bare process, which may refuse to start, and clients of its socket, as many as a test likes.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use runbook_proto::v1;
use runbook_proto::v1::run_service_client::RunServiceClient;
use runbook_proto::v1::runbook_service_client::RunbookServiceClient;
use runbook_proto::v1::system_service_client::SystemServiceClient;
use rustix::process::{Pid, Signal};
use tokio::runtime::Runtime;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::{PATIENCE, Project, programs, wait_for};

/// Variables that would reach into a test from outside.
const VARIABLES: [&str; 8] = [
    "RUNBOOK_PROJECT",
    "RUNBOOK_DATA_DIR",
    "RUNBOOKD_CONFIG",
    "RUNBOOKD_SOCKET",
    "RUNBOOKD_MAX_ATTEMPTS",
    "RUNBOOKD_LOG",
    "RUNBOOKD_LOG_FORMAT",
    "XDG_RUNTIME_DIR",
];

/// A command that starts the daemon of a project, with nothing from the environment.
pub fn daemon_command(project: &Project) -> Command {
    let mut command = Command::new(programs().join("runbookd"));
    command.arg("--project").arg(project.root());
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// A daemon's process, killed with the value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
    socket: PathBuf,
}

impl Server {
    /// Starts a daemon whose command may be changed first. Does not wait for anything.
    pub fn spawn(project: &Project, change: impl FnOnce(&mut Command)) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = project.path(&format!("runbookd-{number}.log"));
        let to = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let mut command = daemon_command(project);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(to);
        change(&mut command);
        let child = command.spawn().expect("runbookd starts");
        Self { child, log, socket: project.path(".runbook/runbookd.sock") }
    }

    /// The same with another socket than the usual one.
    pub fn with_socket(mut self, socket: PathBuf) -> Self {
        self.socket = socket;
        self
    }

    /// Starts a daemon and waits until it answers.
    pub fn start(project: &Project) -> (Self, Client) {
        let mut server = Self::spawn(project, |_| {});
        let client = server.ready();
        (server, client)
    }

    /// Waits until it answers.
    pub fn ready(&mut self) -> Client {
        wait_for("the daemon's answer", || {
            if let Some(status) = self.child.try_wait().expect("waiting for runbookd") {
                panic!("runbookd ended with {status}: {}", self.log());
            }
            let client = Client::connect(&self.socket)?;
            let info = client.info().ok()?;
            (info.pid == self.pid()).then_some(client)
        })
    }

    /// Waits until it has ended by itself, and tells with which code.
    pub fn ended(&mut self) -> Option<i32> {
        self.status().code()
    }

    /// Waits until it has ended.
    pub fn status(&mut self) -> ExitStatus {
        wait_for("the daemon's end", || self.child.try_wait().expect("wait"))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What this process logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("a signal");
    }

    /// Kills it without warning and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection to a daemon.
pub struct Client {
    runtime: Runtime,
    channel: Channel,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    /// Connects; `None` when nobody listens.
    pub fn connect(socket: &Path) -> Option<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let uri = format!("unix://{}", socket.display());
        let endpoint = Endpoint::from_shared(uri).expect("an endpoint").timeout(PATIENCE);
        let channel = runtime.block_on(endpoint.connect()).ok()?;
        Some(Self { runtime, channel })
    }

    /// Waits for something of this connection.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// The connection itself.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The service of runs.
    pub fn runs(&self) -> RunServiceClient<Channel> {
        RunServiceClient::new(self.channel())
    }

    /// The service of runbooks.
    pub fn runbooks(&self) -> RunbookServiceClient<Channel> {
        RunbookServiceClient::new(self.channel())
    }

    /// The service about the daemon.
    pub fn system(&self) -> SystemServiceClient<Channel> {
        SystemServiceClient::new(self.channel())
    }

    /// What answers here.
    ///
    /// # Errors
    /// As the daemon says.
    pub fn info(&self) -> Result<v1::GetInfoResponse, Status> {
        self.block_on(self.system().get_info(v1::GetInfoRequest {})).map(tonic::Response::into_inner)
    }

    /// Starts a run.
    ///
    /// # Errors
    /// As the daemon says.
    pub fn start(&self, request: v1::StartRunRequest) -> Result<v1::StartRunResponse, Status> {
        self.block_on(self.runs().start_run(request)).map(tonic::Response::into_inner)
    }

    /// Gives values to a run.
    ///
    /// # Errors
    /// As the daemon says.
    pub fn provide(&self, request: v1::ProvideInputsRequest) -> Result<v1::Run, Status> {
        let response = self.block_on(self.runs().provide_inputs(request)).map(tonic::Response::into_inner);
        response.map(|response| response.run.expect("a run"))
    }

    /// Starts a run of a runbook without inputs.
    ///
    /// # Errors
    /// As the daemon says.
    pub fn try_exec(&self, runbook: &str) -> Result<v1::Run, Status> {
        let request = v1::StartRunRequest { runbook: runbook.to_owned(), ..Default::default() };
        self.start(request).map(|response| response.run.expect("a run"))
    }

    /// Starts a run of a runbook without inputs.
    pub fn exec(&self, runbook: &str) -> v1::Run {
        self.try_exec(runbook).unwrap_or_else(|status| panic!("{status:?}"))
    }

    /// A run with its steps.
    ///
    /// # Errors
    /// As the daemon says.
    pub fn try_get(&self, name: &str) -> Result<v1::Run, Status> {
        let request = v1::GetRunRequest { name: name.to_owned() };
        let response = self.block_on(self.runs().get_run(request))?;
        Ok(response.into_inner().run.expect("a run"))
    }

    /// A run with its steps.
    pub fn get(&self, name: &str) -> v1::Run {
        self.try_get(name).unwrap_or_else(|status| panic!("{status:?}"))
    }

    /// Waits until a run is over.
    pub fn over(&self, name: &str) -> v1::Run {
        wait_for("the run's end", || {
            let run = self.get(name);
            run.finished_at.is_some().then_some(run)
        })
    }

    /// A page of runs.
    pub fn list(&self, request: v1::ListRunsRequest) -> v1::ListRunsResponse {
        self.block_on(self.runs().list_runs(request)).expect("runs").into_inner()
    }

    /// All events of a run.
    pub fn events(&self, name: &str) -> Vec<v1::Event> {
        let mut events: Vec<v1::Event> = Vec::new();
        loop {
            let start_after = events.last().map_or(0, |event| event.number);
            let request = v1::ListEventsRequest { name: name.to_owned(), start_after, page_size: 0 };
            let page = self.block_on(self.runs().list_events(request)).expect("events").into_inner();
            events.extend(page.events);
            if !page.more {
                return events;
            }
        }
    }
}

/// The processor time of a process so far, thread by thread: a thread takes its own with it when it ends.
#[derive(Debug)]
pub struct Cpu(HashMap<String, u64>);

impl Cpu {
    /// As it is now.
    pub fn of(pid: u32) -> Self {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("threads");
        let nanos = |task: &Path| {
            let text = std::fs::read_to_string(task.join("schedstat")).ok()?;
            text.split(' ').next()?.parse().ok()
        };
        let threads = tasks.filter_map(|task| {
            let task = task.ok()?;
            Some((task.file_name().into_string().ok()?, nanos(&task.path())?))
        });
        Self(threads.collect())
    }

    /// What has been used since then, but for the last moments of threads that ended.
    pub fn since(&self, before: &Self) -> Duration {
        let used = self.0.iter().map(|(task, nanos)| nanos - before.0.get(task).copied().unwrap_or(0));
        Duration::from_nanos(used.sum())
    }
}

/// The resident memory of a process, in KiB.
pub fn rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}
