//! The daemon that commands start where none answers, and the verbs about it.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use runbook_proto::v1::system_service_server::{SystemService, SystemServiceServer};
use runbook_proto::v1::{
    AcceptDriftRequest, AcceptDriftResponse, DrainRequest, DrainResponse, GetInfoRequest, GetInfoResponse,
    ListDriftRequest, ListDriftResponse, ListFindingsRequest, ListFindingsResponse, ListReadinessChangesRequest,
    ListReadinessChangesResponse, ListReadinessRequest, ListReadinessResponse,
};
use runbook_tests::e2e::command::{Said, Started, clean, command, runbook, said};
use runbook_tests::e2e::server::Server;
use runbook_tests::e2e::{Daemon, Project, cli, is_alive, masked, programs, wait_for};
use rustix::process::Signal;
use tonic::{Request, Response, Status};

use crate::project::{project, release, wait_held};

const STARTED: &str = "started runbookd (pid PID) for PROJECT\n";

#[test]
fn a_daemon_is_started_where_none_answers() {
    let project = project();
    let started = Started(&project);
    let said = runbook(&project, &["list"]);
    assert_eq!((said.code, masked(&project, &said.err).as_str()), (0, STARTED));
    let pid = started.pid().expect("a daemon");
    assert!(said.err.contains(&format!("pid {pid})")));
    let again = runbook(&project, &["list"]);
    assert_eq!((again.code, again.err.as_str(), &again.out), (0, "", &said.out));
    // It is nobody's child: neither a terminal's end nor a step's ends it.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("its state");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("fields").1.split(' ').collect();
    assert_eq!(fields[3], pid.to_string(), "its session");
    started.kill();
    // What a killed daemon left in the folder stops nobody.
    let quiet = runbook(&project, &["list", "--quiet"]);
    assert_eq!((quiet.code, quiet.err.as_str()), (0, ""));
    assert!(started.pid().is_some_and(|next| next != pid));
}

#[test]
fn commands_at_once_start_one_daemon() {
    let project = project();
    let _started = Started(&project);
    let all: Vec<Said> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..5).map(|_| scope.spawn(|| runbook(&project, &["list"]))).collect();
        all.into_iter().map(|one| one.join().expect("list")).collect()
    });
    assert!(all.iter().all(|one| one.code == 0), "{all:?}");
    assert_eq!(all.iter().filter(|one| one.err.contains("started runbookd")).count(), 1, "{all:?}");
    let log = project.read(".runbook/runbookd.log").expect("the log");
    assert_eq!(log.matches("\"ready\"").count(), 1, "{log}");
}

#[test]
fn a_daemon_is_started_stopped_and_looked_at() {
    let project = project();
    let started = Started(&project);
    let say = |arguments: &[&str]| {
        let said = runbook(&project, arguments);
        (said.code, masked(&project, &said.out), masked(&project, &said.err))
    };
    let not_running = "not running  socket PROJECT/.runbook/runbookd.sock\n";
    let down = (5, not_running.to_owned(), "`runbook daemon start` starts it\n".to_owned());
    assert_eq!(say(&["daemon", "status"]), down);
    assert_eq!(say(&["daemon", "stop"]), (0, "the daemon is not running\n".to_owned(), String::new()));
    assert!(!project.path(".runbook").exists(), "to look at a daemon makes nothing");
    let running = "runbookd started (pid PID) for PROJECT\n".to_owned();
    assert_eq!(say(&["daemon", "start"]), (0, running.clone(), String::new()));
    let first = started.pid().expect("a daemon");
    let already = "runbookd is running already (pid PID) for PROJECT\n".to_owned();
    assert_eq!(say(&["daemon", "start"]), (0, already, String::new()));
    let (code, out, _) = say(&["daemon", "status"]);
    let data = "  data: PROJECT/.runbook\n  socket: PROJECT/.runbook/runbookd.sock\n";
    let rest = "  runs: 0 active; 0 of 64 places taken\n  runbooks: 4 (generation 1)\n  schedules: 0, not fired (`runbook \
                daemon restart --schedules`)\n";
    assert_eq!((code, out), (0, format!("running for SPAN  pid PID, version V\n  project: PROJECT\n{data}{rest}")));
    // A step goes on without the daemon.
    assert_eq!(say(&["exec", "hold", "-d"]).0, 0);
    wait_held(&project);
    let stopped = (0, "runbookd stopped (pid PID)\n".to_owned());
    let (code, out, err) = say(&["daemon", "stop", "--reason", "for the test"]);
    assert_eq!(
        ((code, out), err.as_str()),
        (stopped, "1 attempt goes on without it; `runbook daemon start` takes them up\n")
    );
    assert!(!is_alive(first));
    assert_eq!(say(&["daemon", "status"]).0, 5);
    assert_eq!(say(&["daemon", "start"]), (0, running.clone(), String::new()));
    let second = started.pid().expect("a daemon");
    assert_eq!(say(&["daemon", "restart"]), (0, running, "runbookd stopped (pid PID)\n".to_owned()));
    assert!(!is_alive(second) && started.pid().is_some());
    release(&project);
    assert_eq!(say(&["watch", "last"]).0, 0);
    assert_eq!(project.lines("starts").len(), 1, "it ran once");
}

#[test]
fn a_daemon_in_the_foreground_is_the_command_itself() {
    let project = project();
    let mut foreground = command(&project, &["daemon", "start", "--foreground"]);
    let mut child = foreground.stderr(Stdio::null()).spawn().expect("it starts");
    let status = wait_for("the daemon's answer", || {
        let status = runbook(&project, &["daemon", "status", "--output", "json"]);
        (status.code == 0).then_some(status)
    });
    let status: serde_json::Value = serde_json::from_str(&status.out).expect("JSON");
    assert_eq!(status["daemon"]["pid"], child.id());
    assert_eq!(runbook(&project, &["daemon", "stop"]).code, 0);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn a_named_endpoint_starts_nothing() {
    let project = project();
    let socket = project.path("nobody.sock");
    let endpoint = format!("unix://{}", socket.display());
    for arguments in [&["list"][..], &["exec", "ok"], &["runs"]] {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--endpoint", &endpoint]).collect();
        let said = runbook(&project, &arguments);
        assert_eq!(said.code, 5);
        let expected = "error: the daemon is not running (socket PROJECT/nobody.sock)\n";
        assert!(masked(&project, &said.err).starts_with(expected), "{}", said.err);
        assert!(!said.err.contains("runbook daemon start"), "it would start another one: {}", said.err);
    }
    let start = runbook(&project, &["daemon", "start", "--endpoint", &endpoint]);
    assert_eq!(start.code, 2, "{}", start.err);
    assert_eq!(runbook(&project, &["list", "--endpoint", "http://localhost:1"]).code, 2);
    assert!(!project.path(".runbook").exists());
}

#[test]
fn where_there_is_no_project_that_is_said() {
    let folder = Project::new();
    std::fs::remove_dir(folder.path("runbooks")).expect("an empty folder");
    let said = runbook(&folder, &["list"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("no project here"), "{}", said.err);
    assert_eq!(runbook(&folder, &["version"]).code, 0);
}

/// The command line alone in a folder, beside a daemon of this text if there is one.
pub fn alone(project: &Project, daemon: Option<&str>, arguments: &[&str]) -> Command {
    let own = project.path("bin/runbook");
    std::fs::create_dir_all(project.path("bin")).expect("a folder");
    std::fs::copy(cli(), &own).expect("a copy");
    if let Some(text) = daemon {
        let path = project.file("bin/runbookd", text);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a program");
    }
    clean(Command::new(own), project, arguments)
}

#[test]
fn a_daemon_that_is_not_installed_is_told() {
    let project = project();
    let said = said(alone(&project, None, &["list"]));
    assert_eq!(said.code, 5);
    assert_eq!(
        said.err,
        "error: cannot start runbookd\n  why: No such file or directory (os error 2)\n  \
         next: install runbookd beside runbook, or put its folder into PATH\n"
    );
}

#[test]
fn a_daemon_that_does_not_come_up_shows_the_end_of_its_log() {
    let project = project();
    let text =
        "#!/bin/sh\nfor i in $(seq 1 30); do echo \"line $i\" >&2; done\necho 'the disk is broken' >&2\nexit 1\n";
    let said = said(alone(&project, Some(text), &["list"]));
    assert_eq!(said.code, 5);
    let err = masked(&project, &said.err);
    let expected =
        "error: the daemon did not start\n  why: it ended with exit status: 1; the end of its log:\n    line 12\n";
    assert!(err.starts_with(expected), "{err}");
    assert!(err.contains("    the disk is broken\n  next: the whole log is PROJECT/.runbook/runbookd.log"), "{err}");
}

#[test]
fn a_daemon_whose_predecessor_is_not_quite_gone_is_tried_again() {
    let project = project();
    let _started = Started(&project);
    // The real daemon says it by this code: another one holds the data directory.
    let first = Daemon::start(&project);
    let mut second = Command::new(programs().join("runbookd"));
    second.arg("--project").arg(project.root());
    let refused = said(second);
    assert_eq!(refused.code, 3, "{}", refused.err);
    assert!(refused.err.contains(&format!("in use by process {}", first.pid())), "{}", refused.err);
    first.kill();
    let real = programs().join("runbookd");
    let text =
        format!("#!/bin/sh\necho x >> tries\ntest $(wc -l < tries) -gt 2 || exit 3\nexec {} \"$@\"\n", real.display());
    let text = text.replace("tries", &project.path("tries").display().to_string());
    let said = said(alone(&project, Some(&text), &["list"]));
    assert_eq!((said.code, masked(&project, &said.err).as_str()), (0, STARTED));
    assert_eq!(project.lines("tries").len(), 3);
}

#[test]
fn a_daemon_that_somebody_else_starts_meanwhile_is_waited_for() {
    let project = project();
    let mut first = Server::spawn(&project, |_| {});
    // It has the data directory, and does not answer yet.
    wait_for("the first daemon to hold the data directory", || {
        let held = File::open(project.path(".runbook/LOCK")).ok()?.try_lock().is_err();
        held.then(|| first.signal(Signal::STOP))
    });
    let command = std::thread::scope(|scope| {
        let listing = scope.spawn(|| runbook(&project, &["list"]));
        // The one that the command starts waits for the other to let go.
        wait_for("the command's own daemon", || {
            let all = std::fs::read_dir("/proc").ok()?.flatten();
            let own = project.root().as_os_str().as_encoded_bytes();
            let mut daemons = all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
            let is_it = |line: Vec<u8>| {
                line.windows(10).any(|part| part == b"--announce") && line.windows(own.len()).any(|part| part == own)
            };
            daemons.any(is_it).then_some(())
        });
        first.signal(Signal::CONT);
        listing.join().expect("list")
    });
    assert_eq!((command.code, command.err.as_str()), (0, ""), "{}", first.log());
    first.ready();
}

#[test]
fn what_a_wrapper_has_open_is_not_kept() {
    let project = project();
    let started = Started(&project);
    // As cron jobs do it: the lock is there as long as somebody has descriptor 9.
    let mut wrapper = Command::new("sh");
    wrapper.args(["-c", "exec 9> wrapper.lock && flock 9 && \"$0\" list && flock -n wrapper.lock true"]);
    wrapper.arg(cli());
    let said = said(clean(wrapper, &project, &[]));
    assert_eq!((said.code, masked(&project, &said.err).as_str()), (1, STARTED), "the control: it is locked meanwhile");
    let lock = File::open(project.path("wrapper.lock")).expect("the lock's file");
    assert!(lock.try_lock().is_ok(), "the daemon keeps what it inherited");
    assert!(started.pid().is_some());
}

/// A daemon of another version.
struct Other;

#[tonic::async_trait]
impl SystemService for Other {
    async fn get_info(&self, _: Request<GetInfoRequest>) -> Result<Response<GetInfoResponse>, Status> {
        let mut response = Response::new(GetInfoResponse { version: "9.9.9".into(), pid: 1, ..Default::default() });
        response.metadata_mut().insert("x-runbook-version", "9.9.9".parse().expect("a value"));
        Ok(response)
    }

    async fn list_findings(&self, _: Request<ListFindingsRequest>) -> Result<Response<ListFindingsResponse>, Status> {
        Ok(Response::new(ListFindingsResponse::default()))
    }

    async fn list_readiness(
        &self,
        _: Request<ListReadinessRequest>,
    ) -> Result<Response<ListReadinessResponse>, Status> {
        Err(Status::unimplemented("it is no real one"))
    }

    async fn list_readiness_changes(
        &self,
        _: Request<ListReadinessChangesRequest>,
    ) -> Result<Response<ListReadinessChangesResponse>, Status> {
        Err(Status::unimplemented("it is no real one"))
    }

    async fn list_drift(&self, _: Request<ListDriftRequest>) -> Result<Response<ListDriftResponse>, Status> {
        Err(Status::unimplemented("it is no real one"))
    }

    async fn accept_drift(&self, _: Request<AcceptDriftRequest>) -> Result<Response<AcceptDriftResponse>, Status> {
        Err(Status::unimplemented("it is no real one"))
    }

    async fn drain(&self, _: Request<DrainRequest>) -> Result<Response<DrainResponse>, Status> {
        Err(Status::unimplemented("it is no real one"))
    }
}

#[test]
fn a_daemon_of_another_version_is_told_with_what_to_do() {
    let project = project();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let socket = project.path("other.sock");
    let listener = {
        let _inside = runtime.enter();
        tokio::net::UnixListener::bind(&socket).expect("a socket")
    };
    let incoming = tokio_stream::wrappers::UnixListenerStream::new(listener);
    let server = tonic::transport::Server::builder().add_service(SystemServiceServer::new(Other));
    runtime.spawn(server.serve_with_incoming(incoming));
    let said = runbook(&project, &["daemon", "status", "--endpoint", &format!("unix://{}", socket.display())]);
    assert_eq!(said.code, 0);
    assert_eq!(
        masked(&project, &said.err),
        "warning: the daemon is version V, this command 0.1.0: `runbook daemon restart` brings them together\n"
    );
}

#[test]
fn instances_and_long_paths_have_daemons_of_their_own() {
    let project = project();
    let deep = project.path(&format!("{}/data", "a-long-name-of-a-folder/".repeat(5)));
    std::fs::create_dir(project.path("run")).expect("a folder");
    let places = [
        (vec!["--instance", "blue"], "PROJECT/.runbook/instances/blue/runbookd.sock"),
        (vec!["--data-dir", deep.to_str().expect("UTF-8")], "PROJECT/run/runbook-"),
    ];
    for (place, socket) in places {
        let say = |arguments: &[&str]| {
            let mut command = command(&project, &[&place, arguments].concat());
            command.env("XDG_RUNTIME_DIR", project.path("run"));
            said(command)
        };
        let first = say(&["exec", "ok", "--quiet"]);
        assert_eq!((first.code, first.out.starts_with("run 1 ok: succeeded")), (0, true), "{first:?}");
        let status = masked(&project, &say(&["daemon", "status"]).out);
        assert!(status.contains(&format!("  socket: {socket}")), "{status}");
        assert_eq!(say(&["daemon", "stop"]).code, 0);
    }
    assert!(!project.path(".runbook/runbookd.sock").exists());
}

#[test]
fn who_may_not_talk_to_the_daemon_is_refused() {
    if !rustix::process::getuid().is_root() {
        // Nobody else can be played.
        return;
    }
    let project = project();
    let daemon = Daemon::start(&project);
    let endpoint = format!("unix://{}", project.path(".runbook/runbookd.sock").display());
    let own = alone(&project, None, &[]);
    std::fs::set_permissions(project.root(), std::fs::Permissions::from_mode(0o755)).expect("a folder for all");
    let mut other = Command::new("setpriv");
    other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(own.get_program());
    let refused = said(clean(other, &project, &["list", "--endpoint", &endpoint]));
    assert_eq!(refused.code, 6, "{refused:?}\n{}", daemon.log());
    assert!(refused.err.contains("you may not talk to the daemon"), "{}", refused.err);
}
