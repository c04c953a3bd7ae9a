//! Processes that the daemon may not kill: nothing is said to be over while they run, not even after a restart.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use runbook_proto::v1;
use runbook_proto::v1::{RunStatus, Settlement, StepStatus};
use runbook_shim::lock;
use runbook_tests::e2e::injection::{own_programs, skip, wrap};
use runbook_tests::e2e::{Daemon, Project, is_alive, programs, step, wait_for};
use rustix::process::{Pid, Signal, kill_process};

use super::{assert_settled, attempt_directory, pid_in};

/// Who the daemon is: nobody. A program with the set-user-ID bit of root is out of its reach.
const NOBODY: u32 = 65_534;

const HELPER: &str = r#"
#define _GNU_SOURCE
#include <stdio.h>
#include <unistd.h>
int main(void) {
    if (setresuid(0, 0, 0)) return 1;
    /* Only from here on may its owner not kill it. */
    FILE *starts = fopen("starts", "a");
    if (!starts || fprintf(starts, "%d\n", getpid()) < 0 || fclose(starts)) return 1;
    for (;;) pause();
}
"#;

fn kill(pid: u32) {
    kill_process(i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a pid"), Signal::KILL).expect("KILL");
}

fn settle(daemon: &Daemon, name: &str) -> Result<(), tonic::Status> {
    let request = v1::ResolveStepRequest {
        name: name.to_owned(),
        step: "change".into(),
        settlement: Settlement::Failed.into(),
        reason: "seen by hand".into(),
        ..Default::default()
    };
    daemon.runs(|mut client| async move { client.resolve_step(request).await }).map(drop)
}

#[test]
fn what_cannot_be_killed_is_not_said_to_be_over() {
    let project = Project::with("work", "steps:\n  change:\n    run: |\n      ./helper &\n      exec sleep 1000\n");
    let source = project.file("helper.c", HELPER);
    let built = Command::new("cc").arg("-o").arg(project.path("helper")).arg(source).status();
    let words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"].map(Into::into).to_vec();
    let can = Command::new("setpriv").args(["--reuid=65534", "--regid=65534", "--clear-groups", "--", "true"]).output();
    if !rustix::process::getuid().is_root()
        || !built.is_ok_and(|status| status.success())
        || !can.is_ok_and(|output| output.status.success())
    {
        return skip("a daemon that may not kill everything needs root, setpriv and cc");
    }
    let program = own_programs(&project, "");
    let shim = program.with_file_name("runbook-shim");
    fs::remove_file(&shim).expect("the script");
    fs::copy(programs().join("runbook-shim"), &shim).expect("the shim");
    for place in [project.root().to_path_buf(), project.path("runbooks"), project.path("runbooks/work.yaml")] {
        std::os::unix::fs::chown(&place, Some(NOBODY), Some(NOBODY)).expect("chown");
    }
    fs::set_permissions(project.path("helper"), fs::Permissions::from_mode(0o4755)).expect("set-user-ID");
    let start = || Daemon::start_with(&project, |command| wrap(command, &project, &words, Some(&program)));
    let daemon = start();
    let run = daemon.exec("work", &[]);
    let helper = pid_in(&project, "starts");
    let directory = attempt_directory(&project, &run, 0, 1);
    kill(lock::holder(&directory).expect("the lock").expect("its holder").pid);
    let attention = |daemon: &Daemon| {
        let run = daemon.wait(&run.name, "attention", |run| run.status() == RunStatus::Attention);
        assert_eq!(step(&run, "change").status(), StepStatus::Unknown);
        assert!(is_alive(helper));
        let refused = settle(daemon, &run.name).expect_err("processes are left");
        assert!(refused.message().contains("could not be killed"), "{refused:?}");
    };
    attention(&daemon);
    daemon.kill();
    let daemon = start();
    attention(&daemon);
    kill(helper);
    wait_for("the end of the process to be noticed", || settle(&daemon, &run.name).ok());
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Failed, "{run:#?}");
    assert_settled(&project, &daemon, &run, "unkillable");
}
