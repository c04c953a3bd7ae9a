//! One daemon per data directory, its socket, and whose they are.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use runbook_proto::v1::RunStatus;
use runbook_tests::e2e::command::{Started, runbook};
use runbook_tests::e2e::server::Server;
use runbook_tests::e2e::{Project, cli, wait_for};
use rustix::process::Signal;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::plain;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_second_daemon_is_refused_with_the_first_ones_pid() {
    let project = plain();
    let (first, client) = Server::start(&project);
    let mut second = Server::spawn(&project, |_| {});
    assert_eq!(second.ended(), Some(3));
    let told = second.log();
    assert!(told.contains(&format!("in use by process {}.", first.pid())), "{told}");
    assert!(told.contains("runbook daemon stop") && told.lines().count() == 1, "{told}");
    assert_eq!(client.info().unwrap().pid, first.pid(), "the first one goes on");
    // Another data directory of the same project is another instance.
    let other = project.path("other");
    let mut third = Server::spawn(&project, |command| {
        command.arg("--data-dir").arg(&other);
    })
    .with_socket(other.join("runbookd.sock"));
    third.ready();
    // And one that would take the first one's socket is refused.
    let mut fourth = Server::spawn(&project, |command| {
        command
            .arg("--data-dir")
            .arg(project.path("fourth"))
            .arg("--socket")
            .arg(project.path(".runbook/runbookd.sock"));
    });
    assert_eq!(fourth.ended(), Some(1));
    assert!(fourth.log().contains("another program answers on the socket"), "{}", fourth.log());
    assert_eq!(client.info().unwrap().pid, first.pid(), "the first one goes on");
}

#[test]
fn commands_find_a_socket_that_the_configuration_names() {
    let project = plain();
    project.file("runbookd.yaml", "socket: elsewhere/s.sock\n");
    let started = Started(&project);
    let (usual, socket) = (project.path(".runbook/runbookd.sock"), project.path("elsewhere/s.sock"));
    let list = || {
        let said = runbook(&project, &["list", "--quiet"]);
        assert_eq!((said.code, said.err.as_str()), (0, ""));
    };
    list();
    assert_eq!(std::fs::read_link(&usual).expect("a link"), socket);
    let pid = started.pid();
    list();
    assert_eq!(started.pid(), pid, "the same one answers");
    // A killed one leaves both, a stopped one neither.
    started.kill();
    list();
    assert_eq!(runbook(&project, &["daemon", "stop"]).code, 0);
    assert!([&usual, &socket].iter().all(|path| path.symlink_metadata().is_err()));
    list();
    started.kill();
    std::fs::remove_file(project.path("runbookd.yaml")).expect("a file less");
    list();
    assert!(usual.symlink_metadata().expect("a socket").file_type().is_socket());
}

#[test]
fn a_daemon_that_is_just_ending_is_waited_for() {
    let project = plain();
    let (mut first, client) = Server::start(&project);
    // A stream that nobody reads keeps the first one for its last second.
    let run = client.exec("a");
    client.over(&run.name);
    let health = HealthClient::new(client.channel());
    let mut watch = client
        .block_on(async move { health.clone().watch(HealthCheckRequest::default()).await })
        .expect("a stream")
        .into_inner();
    client.block_on(watch.message()).expect("serving");
    first.signal(Signal::TERM);
    wait_for("silence on the socket", || {
        std::os::unix::net::UnixStream::connect(project.path(".runbook/runbookd.sock")).is_err().then_some(())
    });
    let mut second = Server::spawn(&project, |_| {});
    let client = second.ready();
    assert_eq!(first.ended(), Some(0));
    assert_eq!(client.get(&run.name).status(), RunStatus::Succeeded);
    assert!(project.path(".runbook/runbookd.sock").exists(), "the first one took the second one's socket along");
}

#[test]
fn the_socket_and_the_data_are_the_owners_alone() {
    let project = Project::with("a", "steps: {a: {effect: read, run: \"echo hi\"}}\n");
    let data = project.path(".runbook");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    let (server, client) = Server::start(&project);
    assert!(server.log().contains("was open to others (mode 0755)"), "{}", server.log());
    let run = client.exec("a");
    client.over(&run.name);
    let mut open = vec![data.clone()];
    let mut seen = 0;
    while let Some(path) = open.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        assert_eq!(mode(&path) & 0o077, 0, "{} is open to others: {:o}", path.display(), mode(&path));
        if found.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        seen += 1;
    }
    assert!(seen > 10);
    let socket = data.join("runbookd.sock");
    assert_eq!(mode(&socket), 0o600);
    server.kill();
    assert!(fs::metadata(&socket).unwrap().file_type().is_socket(), "a killed daemon leaves its socket");
    let (server, _) = Server::start(&project);
    assert_eq!(mode(&socket), 0o600);
    drop(server);

    // What is no socket is not ours to remove.
    let file = project.file("precious", "text");
    let mut refused = Server::spawn(&project, |command| {
        command.arg("--socket").arg(&file);
    });
    assert_eq!(refused.ended(), Some(1));
    assert!(refused.log().contains("is there and is no socket"), "{}", refused.log());
    assert_eq!(project.read("precious").as_deref(), Some("text"));
}

#[test]
fn a_data_directory_of_another_user_is_refused() {
    if !is_root() {
        return println!("skipped: only root can give a folder away");
    }
    let project = plain();
    fs::create_dir(project.path(".runbook")).unwrap();
    std::os::unix::fs::chown(project.path(".runbook"), Some(12_345), None).unwrap();
    let mut server = Server::spawn(&project, |_| {});
    assert_eq!(server.ended(), Some(1));
    assert!(server.log().contains("belongs to user 12345, and this daemon is user 0"), "{}", server.log());
}

#[test]
fn a_long_path_has_a_short_socket_that_the_command_line_finds() {
    let project = plain();
    let data = project.root().canonicalize().unwrap().join("d".repeat(100));
    let runtime = project.path("runtime");
    fs::create_dir(&runtime).unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let folder = runtime.join(format!("runbook-{uid}"));
    let spawn = || {
        Server::spawn(&project, |command| {
            command.arg("--data-dir").arg(&data).env("XDG_RUNTIME_DIR", &runtime);
        })
    };
    // Somebody was faster to make the folder.
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let mut refused = spawn();
    assert_eq!(refused.ended(), Some(1));
    assert!(refused.log().contains("is not safe for a socket"), "{}", refused.log());
    fs::remove_dir(&folder).unwrap();
    std::os::unix::fs::symlink("/tmp", &folder).unwrap();
    assert_eq!(spawn().ended(), Some(1));
    fs::remove_file(&folder).unwrap();

    let hash = data
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let socket = folder.join(format!("{hash:016x}.sock"));
    let mut server = spawn().with_socket(socket.clone());
    server.ready();
    assert_eq!((mode(&folder), mode(&socket)), (0o700, 0o600));
    let status = |runtime: &Path| {
        let output = Command::new(cli())
            .arg("--data-dir")
            .arg(&data)
            .args(["daemon", "status", "--output", "json"])
            .current_dir(project.root())
            .env("XDG_RUNTIME_DIR", runtime)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
    };
    assert!(status(&runtime).contains(&server.pid().to_string()), "{}", status(&runtime));
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
    assert!(!socket.exists());

    // An empty variable counts as none: /tmp.
    let socket = PathBuf::from(format!("/tmp/runbook-{uid}/{hash:016x}.sock"));
    let mut server = Server::spawn(&project, |command| {
        command.arg("--data-dir").arg(&data).env("XDG_RUNTIME_DIR", "");
    })
    .with_socket(socket.clone());
    server.ready();
    assert!(status(Path::new("")).contains(&server.pid().to_string()));
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
    assert!(!socket.exists());
}
