//! The protocol between daemon and shim, with the real binaries: both are killed at every line of it. The same process
//! goes on, one verdict, nothing runs twice, nothing is said to be over that still runs, and the run ends right.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adopt;
mod fence;
mod kill_daemon;
mod kill_shim;
mod reboot;
mod stop;
mod unkillable;
mod verdict;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use runbook_proto::v1;
use runbook_proto::v1::{CancelRunRequest, EventType, Settlement, StepStatus};
use runbook_tests::e2e::{Daemon, Project, step, wait_for};
use tonic::Status;

/// Asks a run to end.
fn cancel(daemon: &Daemon, name: &str, now: bool) -> Result<v1::Run, Status> {
    let request = CancelRunRequest { name: name.to_owned(), now, reason: "test".into(), past: Vec::new() };
    let answer = daemon.runs(|mut client| async move { client.cancel_run(request).await })?;
    Ok(answer.run.expect("a run"))
}

/// Settles an unknown step.
fn resolve(daemon: &Daemon, name: &str, step: &str, settlement: Settlement) {
    let request = v1::ResolveStepRequest {
        name: name.to_owned(),
        step: step.to_owned(),
        settlement: settlement.into(),
        reason: "seen by hand".into(),
        ..Default::default()
    };
    daemon.runs(|mut client| async move { client.resolve_step(request).await }).expect("resolve");
}

/// Starts a run under a name of the request: the same name starts it only once.
fn request(daemon: &Daemon, runbook: &str, id: &str) -> Result<v1::Run, Status> {
    let request = v1::StartRunRequest { runbook: runbook.into(), request_id: id.into(), ..Default::default() };
    let answer = daemon.runs(|mut client| async move { client.start_run(request).await })?;
    Ok(answer.run.expect("a run"))
}

/// A run, unless the daemon is gone.
fn look(daemon: &Daemon, name: &str) -> Option<v1::Run> {
    let request = v1::GetRunRequest { name: name.to_owned() };
    daemon.runs(|mut client| async move { client.get_run(request).await }).ok()?.run
}

/// The directory of a step's attempt; steps count from 0 in the order of the file.
fn attempt_directory(project: &Project, run: &v1::Run, step: usize, attempt: u32) -> PathBuf {
    project.path(&format!(".runbook/attempts/{}/{step}.0.{attempt}", run.uid))
}

/// The pid in the first word of a file, once it is there.
fn pid_in(project: &Project, file: &str) -> u32 {
    wait_for(&format!("a pid in {file}"), || project.lines(file).first()?.split(' ').next()?.parse().ok())
}

/// Living processes that belong to a run: its shims, and what carries an attempt's id in its environment.
fn processes(run: &v1::Run) -> Vec<(u32, String)> {
    let (mark, path) = (format!("RUNBOOK_ATTEMPT_ID={}.", run.uid), format!("/attempts/{}/", run.uid));
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").filter_map(Result::ok) {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let (line, environ) = (read("cmdline"), read("environ"));
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let marked = environ.split(|&b| b == 0).any(|variable| variable.starts_with(mark.as_bytes()));
        // The tracer of a killed program bears its words for a moment.
        let tracer = line.split(' ').next().is_some_and(|program| program.ends_with("killat"));
        if (marked || line.contains(&path)) && !tracer && !line.is_empty() {
            found.push((pid, line));
        }
    }
    found
}

/// What holds for every run that is over: as many ends as starts, one each, no two attempts of a step at once; no process
/// is left; and soon nothing lies under `attempts/` any more.
fn assert_settled(project: &Project, daemon: &Daemon, run: &v1::Run, context: &str) {
    let left = processes(run);
    assert!(left.is_empty(), "{context}: the run is over, and these still run: {left:?}");
    let mut live: BTreeMap<String, u32> = BTreeMap::new();
    let mut latest: BTreeMap<String, u32> = BTreeMap::new();
    for event in daemon.events(&run.name) {
        match event.r#type() {
            EventType::AttemptStarting => {
                let before = latest.insert(event.step.clone(), event.attempt).unwrap_or(0);
                assert_eq!(event.attempt, before + 1, "{context}: attempts of {} are one sequence", event.step);
                let other = live.insert(event.step.clone(), event.attempt);
                assert_eq!(other, None, "{context}: two attempts of {} at once", event.step);
            }
            // What cannot be killed is told first, and its end later.
            EventType::AttemptEnded if event.how.contains("processes left") => {}
            EventType::AttemptEnded => {
                let ended = live.remove(&event.step);
                assert_eq!(ended, Some(event.attempt), "{context}: one end for each start of {}", event.step);
            }
            _ => {}
        }
    }
    assert!(live.is_empty(), "{context}: without an end: {live:?}");
    let place = project.path(&format!(".runbook/attempts/{}", run.uid));
    wait_for(&format!("nothing left in {}, {context}", place.display()), || {
        fs::read_dir(&place).into_iter().flatten().next().is_none().then_some(())
    });
}

/// A step's status and its attempts.
fn standing(run: &v1::Run, id: &str) -> (StepStatus, u32) {
    let step = step(run, id);
    (step.status(), step.attempts)
}
