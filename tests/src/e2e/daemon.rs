//! A real daemon for one test, and a client of its API.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use runbook_proto::v1;
use runbook_proto::v1::run_service_client::RunServiceClient;
use runbook_proto::v1::runbook_service_client::RunbookServiceClient;
use runbook_proto::v1::schedule_service_client::ScheduleServiceClient;
use runbook_proto::v1::system_service_client::SystemServiceClient;
use tokio::runtime::Runtime;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use super::{PATIENCE, Project, programs, wait_for};

/// A daemon, killed with the value.
pub struct Daemon {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
    runtime: Runtime,
    channel: Option<Channel>,
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Daemon({})", self.child.id())
    }
}

impl Daemon {
    /// Starts a daemon for a project and waits until it answers.
    pub fn start(project: &Project) -> Self {
        Self::start_with(project, |_| {})
    }

    /// Starts a daemon whose command may be changed first.
    pub fn start_with(project: &Project, change: impl FnOnce(&mut Command)) -> Self {
        let log = project.path("runbookd.log");
        let to = std::fs::OpenOptions::new().create(true).append(true).open(&log).expect("a log");
        let mut command = Command::new(programs().join("runbookd"));
        command.arg("--project").arg(project.root()).env_remove("RUNBOOK_DATA_DIR").env("RUNBOOKD_LOG_FORMAT", "human");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(to);
        change(&mut command);
        let child = command.spawn().expect("runbookd starts");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let socket = project.path(".runbook/runbookd.sock");
        let mut daemon = Self { child, socket, log, runtime, channel: None };
        daemon.wait_ready();
        daemon
    }

    fn wait_ready(&mut self) {
        wait_for("the daemon's answer", || {
            if let Some(status) = self.child.try_wait().expect("waiting for runbookd") {
                panic!("runbookd ended with {status}: {}", self.log());
            }
            let uri = format!("unix://{}", self.socket.display());
            let endpoint = Endpoint::from_shared(uri).expect("an endpoint").timeout(PATIENCE);
            let channel = self.runtime.block_on(endpoint.connect()).ok()?;
            let mut client = SystemServiceClient::new(channel.clone());
            let info = self.runtime.block_on(client.get_info(v1::GetInfoRequest {})).ok()?.into_inner();
            // A socket that a killed daemon left may still be answered by nobody, or by another one.
            (info.pid == self.child.id()).then(|| self.channel = Some(channel))
        });
    }

    /// The daemon's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn channel(&self) -> Channel {
        self.channel.clone().expect("a connection")
    }

    /// Calls the service of runs.
    pub fn runs<T, F: Future<Output = Result<Response<T>, Status>>>(
        &self,
        call: impl FnOnce(RunServiceClient<Channel>) -> F,
    ) -> Result<T, Status> {
        let client = RunServiceClient::new(self.channel()).max_decoding_message_size(usize::MAX);
        self.runtime.block_on(call(client)).map(Response::into_inner)
    }

    /// Calls the service of runbooks.
    pub fn runbooks<T, F: Future<Output = Result<Response<T>, Status>>>(
        &self,
        call: impl FnOnce(RunbookServiceClient<Channel>) -> F,
    ) -> Result<T, Status> {
        let client = RunbookServiceClient::new(self.channel()).max_decoding_message_size(usize::MAX);
        self.runtime.block_on(call(client)).map(Response::into_inner)
    }

    /// Calls the service of schedules.
    pub fn schedules<T, F: Future<Output = Result<Response<T>, Status>>>(
        &self,
        call: impl FnOnce(ScheduleServiceClient<Channel>) -> F,
    ) -> Result<T, Status> {
        self.runtime.block_on(call(ScheduleServiceClient::new(self.channel()))).map(Response::into_inner)
    }

    /// The ledger of a schedule, the oldest entry first.
    pub fn ledger(&self, name: &str) -> Vec<v1::LedgerEntry> {
        let request = v1::ListLedgerRequest { name: name.to_owned(), page_size: 1_000, page_token: String::new() };
        let listed = self.schedules(|mut client| async move { client.list_ledger(request).await });
        let mut entries = listed.unwrap_or_else(|status| panic!("{status:?}\n{}", self.log())).entries;
        entries.reverse();
        entries
    }

    /// Calls the service about the daemon.
    pub fn system<T, F: Future<Output = Result<Response<T>, Status>>>(
        &self,
        call: impl FnOnce(SystemServiceClient<Channel>) -> F,
    ) -> Result<T, Status> {
        self.runtime.block_on(call(SystemServiceClient::new(self.channel()))).map(Response::into_inner)
    }

    /// Starts a run with inputs as text.
    pub fn try_exec(&self, runbook: &str, inputs: &[(&str, &str)]) -> Result<v1::Run, Status> {
        let request = v1::StartRunRequest {
            runbook: runbook.to_owned(),
            input_texts: inputs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<HashMap<_, _>>(),
            origin: v1::Origin::Person.into(),
            ..v1::StartRunRequest::default()
        };
        let response = self.runs(|mut client| async move { client.start_run(request).await })?;
        Ok(response.run.expect("a run"))
    }

    /// Starts a run.
    pub fn exec(&self, runbook: &str, inputs: &[(&str, &str)]) -> v1::Run {
        self.try_exec(runbook, inputs).unwrap_or_else(|status| panic!("{status:?}\n{}", self.log()))
    }

    /// A run with its steps.
    pub fn get(&self, name: &str) -> v1::Run {
        let request = v1::GetRunRequest { name: name.to_owned() };
        let response = self.runs(|mut client| async move { client.get_run(request).await });
        response.unwrap_or_else(|status| panic!("{status:?}\n{}", self.log())).run.expect("a run")
    }

    /// Waits until a run is as wanted.
    pub fn wait(&self, name: &str, what: &str, wanted: impl Fn(&v1::Run) -> bool) -> v1::Run {
        let mut last = None;
        wait_for(what, || {
            let run = self.get(name);
            let found = wanted(&run);
            last = Some(run);
            if found { last.take() } else { None }
        })
    }

    /// Waits until a run is over.
    pub fn wait_over(&self, name: &str) -> v1::Run {
        self.wait(name, "the run's end", |run| run.finished_at.is_some())
    }

    /// Follows a run's events until it is over, without asking again and again.
    pub fn watch_over(&self, name: &str) {
        let request = v1::WatchRunRequest { name: name.to_owned(), start_after: 0, tree: false };
        let client = RunServiceClient::new(self.channel());
        self.runtime.block_on(async move {
            let mut client = client;
            let mut stream = client.watch_run(request).await.expect("a stream").into_inner();
            while stream.message().await.expect("events").is_some() {}
        });
    }

    /// When the first process of a run started, in microseconds since 1970 by the shim's clock.
    pub fn first_start_micros(&self, name: &str) -> u64 {
        let events = self.events(name);
        let started = events.iter().find_map(|event| event.started_at).expect("an attempt that ended");
        started.seconds as u64 * 1_000_000 + started.nanos as u64 / 1_000
    }

    /// All events of a run.
    pub fn events(&self, name: &str) -> Vec<v1::Event> {
        let request = v1::ListEventsRequest { name: name.to_owned(), start_after: 0, page_size: 10_000 };
        self.runs(|mut client| async move { client.list_events(request).await }).expect("events").events
    }

    /// The lines that a step wrote.
    pub fn logs(&self, name: &str, step: &str) -> Vec<String> {
        let request = v1::ReadLogsRequest { name: name.to_owned(), step: step.to_owned(), ..Default::default() };
        let client = RunServiceClient::new(self.channel());
        self.runtime.block_on(async move {
            let mut client = client;
            let mut stream = client.read_logs(request).await.expect("logs").into_inner();
            let mut lines = Vec::new();
            while let Some(part) = stream.message().await.expect("log lines") {
                lines.extend(part.lines.into_iter().map(|line| line.text));
            }
            lines
        })
    }

    /// Kills it without warning and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Asks it to stop and waits until it has.
    pub fn stop(mut self) -> std::process::ExitStatus {
        let pid = rustix_pid(self.child.id());
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("TERM");
        self.child.wait().expect("wait")
    }

    /// Waits until it ends by itself.
    pub fn wait_gone(mut self) -> std::process::ExitStatus {
        wait_for("the daemon's end", || self.child.try_wait().expect("wait"))
    }
}

fn rustix_pid(pid: u32) -> rustix::process::Pid {
    i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a pid")
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A step of a run.
pub fn step<'a>(run: &'a v1::Run, id: &str) -> &'a v1::RunStep {
    run.steps.iter().find(|step| step.id == id).unwrap_or_else(|| panic!("no step {id}"))
}
