//! The main job with the real programs: backups and restores of real files, whatever is killed, full, damaged or
//! started twice. `RUNBOOK_TEST_FULL=1` takes the sizes and the numbers of rounds that are too long for every day.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod damage;
mod gate;
mod kills;
mod library;
mod room;
mod round_trip;
mod sources;
mod stops;
mod targets;
mod turns;

use std::fs;
use std::path::{Path, PathBuf};

use runbook_proto::v1;
use runbook_proto::v1::RunStatus;
use runbook_tests::e2e::{Daemon, Project, step};

use gate::Tools;

/// The folder that small tests back up, as an input.
const DATA: (&str, &str) = ("source", r#"["data"]"#);
/// Files in that folder.
const FILES: usize = 40;

/// Whether the long way is wanted.
fn full() -> bool {
    std::env::var_os("RUNBOOK_TEST_FULL").is_some_and(|value| value == "1")
}

/// Starts a daemon for whose steps the project's own tools come first on PATH.
fn start(project: &Project) -> Daemon {
    Daemon::start_with(project, |command| {
        command.env("PATH", Tools::path(project));
    })
}

/// Fills a folder with files that all hold the same text.
fn fill(project: &Project, folder: &str, text: &str) {
    let root = project.path(folder);
    if root.exists() {
        fs::remove_dir_all(&root).expect("the folder can be removed");
    }
    for index in 0..FILES {
        project.file(&format!("{folder}/{}/file {index}", index % 7), text);
    }
    // A tree of another shape, too.
    project.file(&format!("{folder}/only {text}"), text);
}

/// Whether a folder is whole, and filled with this text.
fn holds(project: &Project, folder: &str, text: &str) -> bool {
    let found = runbook_tests::e2e::tree::content(&project.path(folder)).expect("a folder");
    found.len() == FILES + 1 && found.values().all(|content| content == text.as_bytes())
}

/// Runs to its end. A run that does not succeed fails the test, with what its steps said.
fn succeed(daemon: &Daemon, runbook: &str, inputs: &[(&str, &str)]) -> v1::Run {
    let run = daemon.exec(runbook, inputs);
    let run = daemon.wait_over(&run.name);
    assert_succeeded(daemon, &run);
    run
}

fn assert_succeeded(daemon: &Daemon, run: &v1::Run) {
    assert_eq!(run.status(), RunStatus::Succeeded, "{}", told(daemon, run));
}

/// Runs to its end, which must be a failure of this step. Returns the run and what the step said.
fn fail(daemon: &Daemon, runbook: &str, inputs: &[(&str, &str)], at: &str) -> (v1::Run, String) {
    let run = daemon.exec(runbook, inputs);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Failed, "{}", told(daemon, &run));
    assert_eq!(step(&run, at).status(), v1::StepStatus::Failed, "{}", told(daemon, &run));
    let said = daemon.logs(&run.name, at).join("\n");
    (run, said)
}

/// A run with all that its steps said, for messages.
fn told(daemon: &Daemon, run: &v1::Run) -> String {
    let mut text = format!("run {} {:?}: {}\n", run.uid, run.status(), run.message);
    for step in &run.steps {
        text.push_str(&format!("{} {:?} after {} attempts: {}\n", step.id, step.status(), step.attempts, step.message));
        for line in daemon.logs(&run.name, &step.id) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}

/// A number that a step gave.
fn number(run: &v1::Run, id: &str, key: &str) -> u64 {
    let outputs = step(run, id).outputs.as_ref().expect("outputs");
    let text = format!("{:?}", outputs.fields.get(key).and_then(|value| value.kind.as_ref()));
    let number = text.strip_prefix("Some(NumberValue(").and_then(|text| text.strip_suffix(".0))"));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{key} of {id} is {text}"))
}

/// The default repository.
fn repository(project: &Project) -> PathBuf {
    project.path(".runbook/backups")
}

/// The backups in a repository, the oldest first. What no run may leave there fails the test.
fn backups(repository: &Path) -> Vec<String> {
    let mut names = names(repository);
    names.sort();
    assert!(!names.iter().any(|name| name.starts_with('.')), "left in the repository: {names:?}");
    names
}

/// The names in a folder; none where there is no folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect()
}

/// The names beside a target that a restore of it made: what was there before, and what may not be left.
fn beside(project: &Project, target: &str) -> Vec<String> {
    let mut found = names(project.root());
    found.retain(|name| name.starts_with(&format!("{target}.")));
    found.sort();
    found
}
