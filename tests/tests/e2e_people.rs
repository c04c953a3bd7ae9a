//! Steps that wait and steps that ask persons, with the real programs: over kills of the daemon, and with several uids.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a panic is how a test fails"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use runbook_proto::v1::{CancelRunRequest, EventType, RunStatus, StepStatus};
use runbook_tests::e2e::command::{Said, clean, runbook, said};
use runbook_tests::e2e::server::Server;
use runbook_tests::e2e::{Daemon, Project, cli, step};
use tempfile::TempDir;

fn cancel(daemon: &Daemon, name: &str) {
    let request = CancelRunRequest { name: name.to_owned(), ..Default::default() };
    daemon.runs(|mut client| async move { client.cancel_run(request).await }).expect("cancel");
}

#[test]
fn waits_take_no_place_and_go_on_after_a_kill() {
    let project = Project::with(
        "w",
        r#"
max_parallel: 1
inputs:
  at: {type: string, required: true}
steps:
  soak: {uses: wait, with: {for: 1500ms}}
  window: {uses: wait, with: {until: "${{ inputs.at }}"}}
  ready:
    uses: wait
    with:
      probe: {run: "echo look >> log; test -e there && echo n=7 >> $RUNBOOK_OUTPUT || exit 1"}
      every: 1s
    outputs: {n: integer}
  beside: {run: echo beside >> log}
  after: {needs: [soak, window, ready], run: "echo after $N >> log", env: {N: "${{ steps.ready.outputs.n }}"}}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("w", &[("at", "2000-01-01T00:00:00Z")]);
    let waiting = daemon.wait(&run.name, "a run that waits", |run| {
        run.status() == RunStatus::Waiting && step(run, "beside").status() == StepStatus::Succeeded
    });
    assert_eq!(step(&waiting, "window").status(), StepStatus::Succeeded);
    assert_eq!(step(&waiting, "ready").status(), StepStatus::Waiting);
    assert!(step(&waiting, "ready").waits_until.is_some());
    assert_eq!(step(&waiting, "after").status(), StepStatus::Pending);
    daemon.kill();
    let daemon = Daemon::start(&project);
    project.file("there", "");
    let over = daemon.wait_over(&run.name);
    assert_eq!(over.status(), RunStatus::Succeeded, "{over:#?}");
    assert_eq!(project.lines("log").last().map(String::as_str), Some("after 7"));
    assert_eq!(step(&over, "soak").attempts, 0);
    let soaked = |wanted: EventType| {
        let event = daemon.events(&run.name).into_iter().find(|event| event.step == "soak" && event.r#type() == wanted);
        let at = event.expect("an event").at.expect("a time");
        at.seconds * 1_000 + i64::from(at.nanos) / 1_000_000
    };
    assert!(soaked(EventType::WaitEnded) - soaked(EventType::WaitBegan) >= 1_500);
}

#[test]
fn a_cancel_ends_waits_and_questions_at_once() {
    let project = Project::with(
        "c",
        r#"
steps:
  long: {uses: wait, with: {for: 7d}}
  probe: {uses: wait, with: {probe: {run: "exit 1"}, every: 1h, for: 7d}}
  ask: {uses: approval, with: {message: go?}}
finally:
  end: {run: echo end >> log}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("c", &[]);
    daemon.wait(&run.name, "all that waits", |run| {
        run.status() == RunStatus::Waiting && run.steps.iter().take(3).all(|s| s.status() == StepStatus::Waiting)
    });
    cancel(&daemon, &run.name);
    let over = daemon.wait_over(&run.name);
    assert_eq!(over.status(), RunStatus::Canceled);
    assert!(over.steps.iter().take(3).all(|step| step.status() == StepStatus::Canceled), "{over:#?}");
    assert_eq!(project.lines("log"), ["end"]);
}

#[test]
fn a_probe_that_finds_the_worst_and_a_step_that_fails_by_itself() {
    let project = Project::with(
        "f",
        r#"
on_failure: continue
steps:
  broken: {uses: wait, with: {probe: {run: exit 3}, fail_if: exit_code == 3, for: 1d}}
  slow: {uses: wait, with: {probe: {run: exit 1}, every: 1s, for: 1500ms}}
  say:
    needs: [broken, slow]
    if: failure()
    uses: fail
    with: {message: "broken is ${{ steps.broken.status }}"}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&daemon.exec("f", &[]).name);
    assert_eq!(run.status(), RunStatus::Failed);
    assert!(step(&run, "broken").message.contains("fail_if"), "{run:#?}");
    assert!(step(&run, "slow").message.contains("not so within 1s500ms"), "{run:#?}");
    // A slow machine has time for fewer.
    assert!((1..=3).contains(&step(&run, "slow").attempts), "{run:#?}");
    assert_eq!(step(&run, "say").message, "broken is failed");
    assert_eq!(step(&run, "say").attempts, 0);
}

const DROP: &str = r#"
inputs:
  database: {type: string, required: true}
steps:
  dump: {run: "echo bytes=42 >> $RUNBOOK_OUTPUT", outputs: {bytes: integer}}
  go:
    needs: [dump]
    uses: approval
    with:
      message: "Drop ${{ inputs.database }}, ${{ steps.dump.outputs.bytes }} bytes?"
      fields:
        ticket: {type: string, required: true, pattern: "OPS-[0-9]+"}
        keep: {type: integer, default: 3}
  drop:
    needs: [go]
    argv: [sh, -c, 'echo "$@" >> log', x, "${{ steps.go.outputs.decision }}", "${{ steps.go.outputs.ticket }}", "${{ steps.go.outputs.keep }}"]
"#;

fn code(said: &Said, wanted: i32) -> &Said {
    assert_eq!(said.code, wanted, "{said:?}");
    said
}

#[test]
fn what_is_asked_survives_a_kill_and_is_approved_from_the_command_line() {
    let project = Project::with("drop", DROP);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("drop", &[("database", "orders")]);
    let number = run.number.to_string();
    daemon.wait(&run.name, "the question", |run| run.status() == RunStatus::Waiting);
    daemon.kill();
    let daemon = Daemon::start(&project);
    let listed = runbook(&project, &["approvals"]);
    let list = &code(&listed, 0).out;
    for part in ["Drop orders, 42 bytes?", "database=orders", &format!("runbook approve {number} go --field ticket=")] {
        assert!(list.contains(part), "{part}: {list}");
    }
    let status = runbook(&project, &["status", &number]);
    assert!(status.out.contains(&format!("runbook approve {number} go")), "{status:?}");
    let wrong = runbook(&project, &["approve", &number, "go", "--field", "ticket=7", "--field", "tickt=x"]);
    assert_ne!(wrong.code, 0);
    assert!(wrong.err.contains("did you mean \"ticket\"?") && wrong.err.contains("OPS-"), "{wrong:?}");
    let missing = runbook(&project, &["approve", &number, "go"]);
    assert!(missing.err.contains("\"ticket\" is required"), "{missing:?}");
    let not_asking = runbook(&project, &["approve", &number, "dump"]);
    assert!(not_asking.err.contains("does not wait for an approval"), "{not_asking:?}");
    code(&runbook(&project, &["approve", &number, "go", "--field", "ticket=OPS-7", "--reason", "seen"]), 0);
    let over = daemon.wait_over(&run.name);
    assert_eq!(over.status(), RunStatus::Succeeded, "{over:#?}");
    assert_eq!(project.lines("log"), ["approved OPS-7 3"]);
    let late = runbook(&project, &["reject", &number, "go", "--reason", "late"]);
    assert!(late.err.contains("does not wait for an approval"), "{late:?}");
}

#[test]
fn a_rejection_fails_the_step_and_says_why() {
    let project = Project::with("drop", DROP);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("drop", &[("database", "orders")]);
    let number = run.number.to_string();
    daemon.wait(&run.name, "the question", |run| run.status() == RunStatus::Waiting);
    assert_ne!(runbook(&project, &["reject", &number, "go"]).code, 0, "a rejection needs a reason");
    code(&runbook(&project, &["reject", &number, "go", "--reason", "the dump is old"]), 0);
    let over = daemon.wait_over(&run.name);
    assert_eq!(over.status(), RunStatus::Failed);
    assert!(step(&over, "go").message.ends_with(": the dump is old"), "{over:#?}");
    assert_eq!(project.lines("log"), [""; 0]);
}

#[test]
fn time_decides_where_nobody_does() {
    let project = Project::with(
        "t",
        r#"
on_failure: continue
steps:
  yes: {uses: approval, with: {message: a, timeout: 1s, on_timeout: approve}}
  no: {uses: approval, with: {message: b, timeout: 1s}}
  after: {needs: [yes], run: 'echo "$HOW" >> log', env: {HOW: "${{ steps.yes.outputs.decision }}"}}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&daemon.exec("t", &[]).name);
    assert_eq!(run.status(), RunStatus::Failed);
    assert_eq!(step(&run, "no").message, "0 of 1 approved within 1s, which counts as rejected");
    assert_eq!(project.lines("log"), ["timed_out"]);
}

/// Three users that need not exist, and the group of the socket.
const ANN: u32 = 61_001;
const BOB: u32 = 61_002;
const EVE: u32 = 61_003;
const GROUP: u32 = 61_000;

fn as_user(project: &Project, folder: &Path, uid: u32, gid: u32, arguments: &[&str]) -> Said {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={uid}"), &format!("--regid={gid}"), "--clear-groups", "--"]);
    command.arg(folder.join("runbook"));
    let endpoint = format!("unix://{}", folder.join("runbookd.sock").display());
    let mut command = clean(command, project, &[]);
    command.args(["--endpoint", &endpoint]).args(arguments).current_dir("/");
    said(command)
}

/// Whether this test can be several users; says so where it cannot.
fn has_users() -> bool {
    let can = Command::new("setpriv").args(["--reuid=61001", "--regid=61000", "--clear-groups", "--", "true"]).output();
    let has = rustix::process::geteuid().is_root() && can.is_ok_and(|output| output.status.success());
    if !has {
        println!("skipped: it takes root and setpriv to be several users");
    }
    has
}

/// A folder with the command line and the socket that all users reach; Ann and Bob have the role `dba`.
fn shared_with_users(project: &Project) -> (TempDir, PathBuf) {
    let folder = tempfile::Builder::new()
        .prefix("runbook-people-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir()
        .unwrap();
    std::fs::copy(cli(), folder.path().join("runbook")).unwrap();
    let socket = folder.path().join("runbookd.sock");
    let configuration = format!(
        "socket: {}\nsocket_group: {GROUP}\nroles:\n  dba: {{users: [{ANN}, {BOB}], groups: [61077]}}\n",
        socket.display()
    );
    project.file("runbookd.yaml", &configuration);
    (folder, socket)
}

#[test]
fn a_start_waits_for_two_of_three_users() {
    if !has_users() {
        return;
    }
    let project = Project::with("q", "steps: {work: {run: 'echo work >> log'}}\n");
    let protection = "approvals: {roles: [dba], count: 2}";
    project
        .file("runbooks/environments/prod.yaml", &format!("name: prod\nlanguage: 1\nprotection: {{{protection}}}\n"));
    let (folder, socket) = shared_with_users(&project);
    let folder = folder.path();
    let mut server = Server::spawn(&project, |_| {}).with_socket(socket.clone());
    server.ready();
    code(&as_user(&project, folder, EVE, GROUP, &["exec", "q", "--env", "prod", "--detach", "--output", "json"]), 0);
    let refused = as_user(&project, folder, EVE, GROUP, &["approve", "1"]);
    assert!(refused.err.contains("it takes the role dba, and uid 61003 has no role"), "{refused:?}");
    code(&as_user(&project, folder, ANN, GROUP, &["approve", "1"]), 0);
    // One of two; a kill in between loses nothing, and nobody counts twice.
    server.kill();
    let mut server = Server::spawn(&project, |_| {}).with_socket(socket);
    let client = server.ready();
    let twice = as_user(&project, folder, ANN, GROUP, &["approve", "1"]);
    assert!(twice.code != 0 && twice.err.contains("decided"), "{twice:?}");
    assert!(project.lines("log").is_empty());
    code(&as_user(&project, folder, BOB, GROUP, &["approve", "1"]), 0);
    assert_eq!(client.over("1").status(), RunStatus::Succeeded);
    assert_eq!(project.lines("log"), ["work"]);
    // One word against it is enough, and it is in the history with its name.
    code(&as_user(&project, folder, EVE, GROUP, &["exec", "q", "--env", "prod", "--detach"]), 0);
    code(&as_user(&project, folder, BOB, GROUP, &["reject", "2", "--reason", "not on a friday"]), 0);
    assert_eq!(client.over("2").status(), RunStatus::Canceled);
    let told = as_user(&project, folder, EVE, GROUP, &["events", "2"]).out;
    assert!(told.contains("not on a friday") && told.contains("61002"), "{told}");
    assert_eq!(project.lines("log"), ["work"]);
}

#[test]
fn two_of_three_users_approve_and_nobody_else() {
    if !has_users() {
        return;
    }
    let project = Project::with(
        "q",
        r#"
steps:
  go: {uses: approval, with: {message: go?, roles: [dba], approvals: 2, not_requester: true, fields: {ticket: {type: string}}}}
  work: {needs: [go], run: 'echo "$WHO" >> log', env: {WHO: "${{ string(size(steps.go.outputs.approvers)) }}"}}
"#,
    );
    let (folder, socket) = shared_with_users(&project);
    let folder = folder.path();
    let mut server = Server::spawn(&project, |_| {}).with_socket(socket.clone());
    server.ready();
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o7777, 0o660);
    // Who is not in the group does not get in.
    assert_ne!(as_user(&project, folder, EVE, 61_009, &["status"]).code, 0);
    let started = as_user(&project, folder, ANN, GROUP, &["exec", "q", "--detach", "--output", "json"]);
    code(&started, 0);
    let listed = as_user(&project, folder, EVE, GROUP, &["approvals", "1"]);
    assert!(listed.out.contains("2 of dba, not who started the run"), "{listed:?}");
    assert!(listed.out.contains("not for you"), "{listed:?}");
    let refused = as_user(&project, folder, EVE, GROUP, &["approve", "1", "go"]);
    assert!(refused.err.contains("it takes the role dba, and uid 61003 has no role"), "{refused:?}");
    let own = as_user(&project, folder, ANN, GROUP, &["approve", "1", "go"]);
    assert!(own.err.contains("not_requester"), "{own:?}");
    let mine = as_user(&project, folder, BOB, GROUP, &["approvals", "--mine"]);
    assert!(mine.out.contains("you may decide"), "{mine:?}");
    code(&as_user(&project, folder, BOB, GROUP, &["approve", "1", "go", "--field", "ticket=OPS-7"]), 0);
    let twice = as_user(&project, folder, BOB, GROUP, &["approve", "1", "go"]);
    assert!(twice.err.contains("has decided about step \"go\" already"), "{twice:?}");
    // One of two approved; a kill in between loses nothing.
    server.kill();
    let mut server = Server::spawn(&project, |_| {}).with_socket(socket.clone());
    let client = server.ready();
    let twice = as_user(&project, folder, BOB, GROUP, &["approve", "1", "go"]);
    assert!(twice.err.contains("has decided about step \"go\" already"), "{twice:?}");
    // The group 61077 has the role too; whoever is in it needs the group of the socket to get in.
    let third = |ticket: &str| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=61003", "--regid=61077", &format!("--groups={GROUP}"), "--"])
            .arg(folder.join("runbook"));
        let mut command = clean(command, &project, &[]);
        command
            .args(["--endpoint", &format!("unix://{}", socket.display()), "approve", "1", "go", "--field", ticket])
            .current_dir("/");
        said(command)
    };
    // What one filled in, another one does not change.
    let other = third("ticket=OPS-8");
    assert!(other.err.contains("gave the field \"ticket\" another value already"), "{other:?}");
    let root = code(&third("ticket=OPS-7"), 0).out.clone();
    assert!(root.contains("approved"), "{root}");
    let over = client.over("1");
    assert_eq!(over.status(), RunStatus::Succeeded, "{over:#?}");
    assert_eq!(project.lines("log"), ["2"]);
}
