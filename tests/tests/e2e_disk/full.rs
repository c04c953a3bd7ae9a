//! A small disk that fills up while runs go on: new runs are refused in time, the daemon stops when it can write no
//! more, starts again on a disk that is still full, and has lost nothing. On a file system of its own, as root.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use runbook_proto::v1::{ListRunsRequest, ResumeRunRequest, Run, RunStatus, StartRunRequest};
use runbook_tests::e2e::server::{Client, Server};
use runbook_tests::e2e::{Project, wait_for};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Bytes more than wanted that may be free while others write.
const SLACK: u64 = 64 << 10;

/// Room for the reserve, the journal, the copy of the shim and what the test writes.
const MIB: u64 = 128;

struct Tmpfs(PathBuf);

impl Tmpfs {
    /// Mounts one; `None` where that is not allowed.
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir(&at).unwrap();
        let size = format!("size={MIB}m,mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self(at));
        }
        println!("skipped: this test mounts a tmpfs, which this user may not");
        None
    }

    /// The bytes that are free.
    fn free(&self) -> u64 {
        let stat = rustix::fs::statvfs(&self.0).unwrap();
        stat.f_bavail * stat.f_frsize
    }

    /// Fills it until so many bytes are free, or makes room until they are.
    fn leave(&self, bytes: u64) {
        let path = self.0.join("filler");
        let filler = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).unwrap();
        // Where others write at the same time, a first try may not fit, or leave too much.
        runbook_tests::e2e::wait_for("a disk that is filled as wanted", || {
            let has = filler.metadata().unwrap().blocks() * 512;
            let wanted = (has + self.free()).saturating_sub(bytes);
            if wanted < has {
                filler.set_len(wanted).unwrap();
            } else if wanted > 0 {
                let _ = rustix::fs::fallocate(&filler, rustix::fs::FallocateFlags::empty(), 0, wanted);
            }
            (self.free() <= bytes + SLACK).then_some(())
        });
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Processes of a failed test may still have it open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

fn spawn(project: &Project, data: &Path) -> Server {
    let server = Server::spawn(project, |command| {
        command.arg("--data-dir").arg(data);
    });
    server.with_socket(data.join("runbookd.sock"))
}

fn is_full<T: std::fmt::Debug>(result: Result<T, Status>) {
    let status = result.expect_err("a start on a full disk");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(status.get_details_error_info().unwrap().reason, "DISK_FULL");
    assert!(status.message().contains("make room"), "{status:?}");
}

/// Starts a run with 4 MiB of inputs.
fn heavy(client: &Client) -> Result<Run, Status> {
    let inputs = (0..16).map(|n| (format!("i{n}"), "x".repeat(250_000))).collect::<HashMap<_, _>>();
    let request = StartRunRequest { runbook: "heavy".into(), input_texts: inputs, ..Default::default() };
    client.start(request).map(|response| response.run.expect("a run"))
}

const WAITS: &str = "steps: {a: {run: \"echo begun >> log; while ! test -e go-$RUNBOOK_RUN; do sleep 0.05; done\"}, b: {needs: [a], run: \"echo done >> log\"}}\n";

#[test]
fn a_disk_that_fills_up_costs_nothing_that_was_acknowledged() {
    let project = Project::with("short", "steps: {a: {effect: read, argv: [\"true\"]}}\n");
    project.runbook("fails", "steps: {a: {effect: read, argv: [\"false\"]}}\n");
    project.runbook("waits", WAITS);
    let inputs: String = (0..16).map(|n| format!("  i{n}: {{type: string, required: true}}\n")).collect();
    project.runbook("heavy", &format!("inputs:\n{inputs}steps: {{a: {{effect: read, argv: [\"true\"]}}}}\n"));
    let Some(disk) = Tmpfs::mount(project.path("disk")) else { return };
    let data = disk.0.join("data");
    let mut server = spawn(&project, &data);
    let client = server.ready();
    let mut acknowledged: Vec<Run> = (0..3).map(|_| client.over(&client.exec("short").name)).collect();
    let failed = client.over(&client.exec("fails").name);
    let waiting = client.exec("waits");
    wait_for("the first step", || (project.lines("log").len() == 1).then_some(()));

    // Little room: nothing new begins, and what has begun goes on to its end.
    disk.leave(10 << 20);
    is_full(client.try_exec("short"));
    let resume = ResumeRunRequest { name: failed.name.clone(), ..Default::default() };
    is_full(client.block_on(client.runs().resume_run(resume)));
    let warnings = client.info().unwrap().warnings.join("\n");
    assert!(warnings.contains("KiB left"), "{warnings}");
    project.file(&format!("go-{}", waiting.number), "");
    let waiting = client.over(&waiting.name);
    assert_eq!(waiting.status(), RunStatus::Succeeded);
    acknowledged.extend([failed, waiting]);

    // Enough to begin with, and then too many at once: when not even the journal can be written, the daemon ends.
    disk.leave(60 << 20);
    let waiting = client.exec("waits");
    wait_for("the first step", || (project.lines("log").len() == 3).then_some(()));
    acknowledged.push(waiting.clone());
    let clients: Vec<Client> = (0..12).map(|_| Client::connect(&data.join("runbookd.sock")).unwrap()).collect();
    disk.leave(17 << 20);
    let threads = clients.into_iter().map(|client| std::thread::spawn(move || heavy(&client)));
    let started: Vec<Result<Run, Status>> =
        threads.collect::<Vec<_>>().into_iter().map(|thread| thread.join().unwrap()).collect();
    let refused = started.iter().filter(|result| result.is_err()).count();
    assert!(refused > 0, "the disk took it all");
    acknowledged.extend(started.into_iter().flatten());
    // Had each of them come late enough to be refused, the disk is filled to the brim for those that run.
    disk.leave(0);
    for _ in 0..100 {
        if client.info().is_err() {
            break;
        }
        let cancel = runbook_proto::v1::CancelRunRequest { name: "0".into(), ..Default::default() };
        let _ = client.block_on(client.runs().cancel_run(cancel));
    }
    assert_eq!(server.ended(), Some(1), "{}", server.log());
    let log = server.log();
    for part in ["No space left on device", "make room", "everything that was acknowledged is there"] {
        assert!(log.contains(part), "{part}: {log}");
    }

    // The disk is still full: the reserve lets what has begun come to its end.
    disk.leave(0);
    assert!(data.join("ballast").exists() && disk.free() < 64 << 10, "{} bytes are free", disk.free());
    let mut server = spawn(&project, &data);
    let client = server.ready();
    assert!(server.log().contains("the reserve is given up"), "{}", server.log());
    project.file(&format!("go-{}", waiting.number), "");
    for run in &acknowledged {
        let found = client.over(&run.name);
        let expected = if run.runbook == "fails" { RunStatus::Failed } else { RunStatus::Succeeded };
        assert_eq!((found.number, found.status()), (run.number, expected), "{found:#?}\n{}", server.log());
    }
    assert_eq!(project.lines("log"), ["begun", "done", "begun", "done"], "a step ran twice");
    // Where most starts came too late, what was given up is more than a run needs.
    disk.leave(10 << 20);
    is_full(client.try_exec("short"));
    let known = client.list(ListRunsRequest { page_size: 1_000, ..Default::default() }).runs.len();
    println!("{} runs acknowledged, {known} known, {refused} refused", acknowledged.len());
    assert!(known >= acknowledged.len());
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.ended(), Some(0));

    // With room all is as before, and the reserve is back.
    disk.leave(80 << 20);
    let mut server = spawn(&project, &data);
    let client = server.ready();
    assert!(data.join("ballast").exists());
    assert_eq!(client.over(&client.exec("short").name).status(), RunStatus::Succeeded);
    assert_eq!(client.info().unwrap().warnings, [""; 0]);
}
