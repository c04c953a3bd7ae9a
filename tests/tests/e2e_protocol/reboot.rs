//! Another boot of the machine: no process of before is left, and what was not synced may be gone. A whole verdict is
//! used; without one nobody knows.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use runbook_proto::v1;
use runbook_proto::v1::{RunStatus, Settlement, StepStatus};
use runbook_shim::files::{self, Spec};
use runbook_shim::lock;
use runbook_tests::e2e::injection::{skip, wrap};
use runbook_tests::e2e::{Daemon, Project, is_alive, wait_for};
use rustix::process::{Pid, Signal, kill_process};

use super::{assert_settled, attempt_directory, pid_in, processes, resolve, standing};

/// Another boot's id.
const OTHER_BOOT: &str = "11111111-2222-3333-4444-555555555555";

const WORK: &str = r#"
steps:
  change:
    outputs: {n: integer}
    run: |
      echo $$ >> starts
      while ! test -e go; do sleep 0.02; done
      echo n=1 >> "$RUNBOOK_OUTPUT"
"#;

/// A run whose daemon is gone, while its step runs.
fn left(project: &Project) -> (v1::Run, PathBuf, u32) {
    let daemon = Daemon::start(project);
    let run = daemon.exec("work", &[]);
    let pid = pid_in(project, "starts");
    daemon.kill();
    let directory = attempt_directory(project, &run, 0, 1);
    (run, directory, pid)
}

/// As when the power goes: shim and command are gone, and nobody could say anything.
fn power_cut(directory: &std::path::Path, run: &v1::Run, pid: u32) {
    let shim = lock::holder(directory).expect("the lock").expect("its holder").pid;
    for pid in [shim, pid] {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, Signal::KILL).expect("KILL");
    }
    for (pid, _) in processes(run) {
        // It may go by itself.
        let _ = kill_process(i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid"), Signal::KILL);
    }
    wait_for("the end of all", || processes(run).is_empty().then_some(()));
}

/// The attempt's directory says that it was placed in another boot.
fn in_another_boot(directory: &std::path::Path) {
    let mut spec: Spec = files::load(directory).expect("the spec").expect("a whole spec");
    spec.boot_id = OTHER_BOOT.to_owned();
    files::place(directory, &spec).expect("the spec");
}

fn assert_lost(project: &Project, daemon: &Daemon, run: &v1::Run) {
    let run = daemon.wait(&run.name, "attention", |run| {
        assert!(project.lines("starts").len() <= 1, "a mutating step ran twice");
        run.status() == RunStatus::Attention
    });
    assert_eq!(standing(&run, "change"), (StepStatus::Unknown, 1), "{run:#?}");
    resolve(daemon, &run.name, "change", Settlement::Failed);
    assert_settled(project, daemon, &daemon.wait_over(&run.name), "another boot");
    assert_eq!(project.lines("starts").len(), 1);
}

#[test]
fn a_verdict_of_another_boot_is_used() {
    let project = Project::with("work", WORK);
    let (run, directory, pid) = left(&project);
    project.file("go", "");
    wait_for("the verdict", || directory.join("verdict").exists().then_some(()));
    wait_for("the command's end", || (!is_alive(pid)).then_some(()));
    in_another_boot(&directory);
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&run.name);
    assert_eq!((run.status(), standing(&run, "change")), (RunStatus::Succeeded, (StepStatus::Succeeded, 1)));
    assert_settled(&project, &daemon, &run, "another boot");
}

#[test]
fn without_a_verdict_what_ran_in_another_boot_is_lost() {
    for claimed in [true, false] {
        let project = Project::with("work", WORK);
        let (run, directory, pid) = left(&project);
        power_cut(&directory, &run, pid);
        in_another_boot(&directory);
        if !claimed {
            // The claim was not synced either.
            fs::remove_file(directory.join("claim")).expect("the claim");
        }
        let daemon = Daemon::start(&project);
        assert_lost(&project, &daemon, &run);
    }
}

/// Nothing of an attempt is synced but its beginning in the journal: after a power cut the directory itself may be gone.
#[test]
fn an_attempt_whose_directory_went_with_the_power_is_lost() {
    let project = Project::with("work", WORK);
    let boot = project.file("boot", &format!("{OTHER_BOOT}\n"));
    let script = format!("mount --bind {} /proc/sys/kernel/random/boot_id && exec \"$@\"", boot.display());
    let words: Vec<OsString> = ["unshare", "-m", "sh", "-c", &script, "sh"].map(OsString::from).to_vec();
    let can = Command::new(&words[0]).args(&words[1..]).arg("/bin/true").output();
    if !can.is_ok_and(|output| output.status.success()) {
        return skip("another boot needs a mount namespace (root)");
    }
    let (run, directory, pid) = left(&project);
    power_cut(&directory, &run, pid);
    fs::remove_dir_all(directory.parent().expect("the run's folder")).expect("gone");
    let daemon = Daemon::start_with(&project, |command| wrap(command, &project, &words, None));
    assert_lost(&project, &daemon, &run);
}
