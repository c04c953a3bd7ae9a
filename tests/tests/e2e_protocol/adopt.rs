//! Many attempts that run while the daemon is killed and started again.

use std::fs;
use std::time::{Duration, Instant};

use runbook_proto::v1::{RunStatus, StepStatus};
use runbook_tests::e2e::injection::tell;
use runbook_tests::e2e::{Daemon, Project, is_alive, wait_for};

use super::assert_settled;

/// Steps that run.
const STEPS: usize = 100;
/// The promise is a second; without optimization, and beside other tests, it may take longer.
const BOUND: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 1 });

/// Pidfds that a process has: it waits for a shim through each.
fn pidfds(pid: u32) -> usize {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
    let targets = links.filter_map(|link| fs::read_link(link.path()).ok());
    targets.filter(|target| target.to_string_lossy().contains("[pidfd]")).count()
}

#[test]
fn a_hundred_running_steps_are_adopted() {
    let mut body = "steps:\n".to_owned();
    for number in 0..STEPS {
        body.push_str(&format!("  s{number}: {{run: 'echo $$ >> starts; read x < go; echo $$ >> ends'}}\n"));
    }
    let project = Project::with("many", &body);
    let made = std::process::Command::new("mkfifo").arg(project.path("go")).status().expect("mkfifo runs");
    assert!(made.success());
    let start = || {
        Daemon::start_with(&project, |command| {
            command.env("RUNBOOKD_MAX_ATTEMPTS", "200");
        })
    };
    let daemon = start();
    let run = daemon.exec("many", &[]);
    wait_for("all steps", || (project.lines("starts").len() == STEPS).then_some(()));
    let pids: Vec<u32> = project.lines("starts").iter().map(|line| line.parse().expect("a pid")).collect();
    let twice = pidfds(daemon.pid());
    assert!(twice >= STEPS, "the daemon waits for its shims through pidfds");
    daemon.kill();
    assert!(pids.iter().all(|pid| is_alive(*pid)));

    let begin = Instant::now();
    let daemon = start();
    let answered = begin.elapsed();
    wait_for("all shims to be waited for", || (pidfds(daemon.pid()) >= twice).then_some(()));
    let adopted = begin.elapsed();
    let running = daemon.get(&run.name).steps.iter().filter(|step| step.status() == StepStatus::Running).count();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    tell(&format!(
        "{STEPS} running steps: the next daemon answered after {answered:?} and had adopted all after {adopted:?} (load {})",
        load.split(' ').next().unwrap_or("unknown")
    ));
    assert_eq!(running, STEPS);
    assert!(adopted < BOUND, "{adopted:?}");
    assert!(pids.iter().all(|pid| is_alive(*pid)));

    // Held open until all have come through.
    let gate = fs::OpenOptions::new().write(true).open(project.path("go")).expect("the gate");
    for _ in 0..STEPS {
        std::io::Write::write_all(&mut &gate, b"\n").expect("a word");
    }
    let run = daemon.wait_over(&run.name);
    drop(gate);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    let mut ends: Vec<u32> = project.lines("ends").iter().map(|line| line.parse().expect("a pid")).collect();
    let mut begun = pids;
    ends.sort_unstable();
    begun.sort_unstable();
    assert_eq!(begun, ends, "the same processes");
    assert_settled(&project, &daemon, &run, "adopted");
}
