//! Files of a step that hold secrets: in memory while the step runs, and on no disk, whoever is killed meanwhile.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::path::PathBuf;
use std::process::Command;

use runbook_proto::v1::RunStatus;
use runbook_tests::e2e::{Daemon, Project, wait_for};
use rustix::process::{Pid, Signal, kill_process};

const SECRET: &str = "hunter2-in-a-file";

const BODY: &str = r#"
requires: {secrets: [key]}
steps:
  use:
    effect: idempotent
    retry: {attempts: 3}
    files: {key: "${{ secrets.key }}", note: "for everybody"}
    run: |
      cmp -s "$RUNBOOK_FILES/key" key || exit 1
      echo "$PPID $(readlink "$RUNBOOK_FILES")" > began.new
      mv began.new began
      while [ ! -e go ]; do sleep 0.05; done
"#;

fn project() -> Project {
    let project = Project::with("r", BODY);
    project.file("runbookd.yaml", "secrets: {key: {file: key}}\n");
    project.private("key", SECRET);
    project
}

/// The shim of the step that runs, and the folder of its files.
fn began(project: &Project) -> (Pid, PathBuf) {
    let said = wait_for("the step", || project.read("began"));
    let (pid, folder) = said.trim().split_once(' ').expect("a pid and a folder");
    (Pid::from_raw(pid.parse().unwrap()).unwrap(), PathBuf::from(folder))
}

fn is_on_disk(project: &Project) -> bool {
    // It follows no link that it comes across.
    let found = Command::new("grep").args(["-rlF", SECRET]).arg(project.path(".runbook")).output().expect("grep runs");
    !found.stdout.is_empty()
}

#[test]
fn a_file_with_a_secret_is_in_memory_and_gone_with_its_step() {
    let project = project();
    let daemon = Daemon::start(&project);
    let run = daemon.exec("r", &[]);
    let (_, folder) = began(&project);
    assert!(folder.starts_with("/dev/shm") && folder.join("key").exists(), "{folder:?}");
    assert!(!is_on_disk(&project));
    project.file("go", "");
    assert_eq!(daemon.wait_over(&run.name).status(), RunStatus::Succeeded);
    assert!(!folder.exists() && !is_on_disk(&project));
}

#[test]
fn what_a_killed_shim_left_in_memory_is_removed_by_the_next_daemon() {
    let project = project();
    let daemon = Daemon::start(&project);
    let run = daemon.exec("r", &[]);
    let (shim, folder) = began(&project);
    daemon.kill();
    kill_process(shim, Signal::KILL).expect("it lives");
    assert!(folder.join("key").exists(), "nobody is there who removes it");
    assert!(!is_on_disk(&project));
    std::fs::remove_file(project.path("began")).unwrap();
    project.file("go", "");
    let daemon = Daemon::start(&project);
    // It is done once more, since it may be.
    assert_eq!(daemon.wait_over(&run.name).status(), RunStatus::Succeeded);
    wait_for("the end of the folder", || (!folder.exists()).then_some(()));
    assert!(!is_on_disk(&project));
}
