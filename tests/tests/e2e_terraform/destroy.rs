//! What becomes of a destruction when terraform or the daemon is killed, or the run canceled.

use runbook_proto::v1::{CancelRunRequest, Run, RunStatus, StartRunRequest, StepStatus};
use runbook_tests::e2e::{Daemon, Project, step};
use rustix::process::{Signal, kill_process};

use crate::{DYING, initialised, is_there, output, terraform, terraform_of};

/// Two resources that go at once; before them one that goes when it is let.
const THREE: &str = r#"
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    when    = destroy
    command = "echo $PPID > begun; while [ ! -e go ]; do sleep 0.1; done"
  }
}

resource "terraform_data" "quick" {
  count      = 2
  depends_on = [terraform_data.slow]
}
"#;

const DESTROY: &str = r#"
steps:
  destroy:
    uses: terraform/destroy
    with: {dir: stack, confirm_workspace: default}
    target: stack
    verify: {uses: terraform/plan, with: {dir: stack, destroy: true, happened: "!attempt.outputs.changes"}}
  tell: {needs: [destroy], argv: [echo, "${{ steps.destroy.outputs.destroyed }}"]}
"#;

/// A project with what is to be destroyed.
fn made() -> Project {
    let project = initialised(DESTROY, THREE);
    terraform(&project, &["apply", "-auto-approve", "-input=false"]);
    project
}

fn begin(daemon: &Daemon) -> Run {
    let request = StartRunRequest { runbook: "r".to_owned(), confirm: vec!["stack".to_owned()], ..Default::default() };
    let started = daemon.runs(|mut client| async move { client.start_run(request).await }).expect("a start");
    started.run.expect("a run")
}

/// What terraform's state still has.
fn left(project: &Project) -> Vec<String> {
    let state: serde_json::Value =
        serde_json::from_str(&project.read("stack/terraform.tfstate").expect("a state")).unwrap();
    state["resources"].as_array().expect("resources").iter().map(|one| one["name"].to_string()).collect()
}

fn said(daemon: &Daemon, run: &Run) -> String {
    daemon.events(&run.name).into_iter().map(|event| event.message).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_destruction_outlives_the_daemon() {
    if !is_there() {
        return;
    }
    let project = made();
    let daemon = Daemon::start(&project);
    let run = begin(&daemon);
    terraform_of(&project);
    daemon.kill();
    let daemon = Daemon::start(&project);
    project.file("stack/go", "");
    let run = daemon.wait_over(&run.name);
    assert_eq!((run.status(), step(&run, "destroy").attempts), (RunStatus::Succeeded, 1), "{run:#?}");
    assert_eq!((daemon.logs(&run.name, "tell"), left(&project)), (vec!["3".to_owned()], vec![]));
}

#[test]
fn the_rest_of_a_destruction_that_was_killed_is_destroyed_by_a_second_try() {
    if !is_there() {
        return;
    }
    let project = made();
    let daemon = Daemon::start(&project);
    let run = begin(&daemon);
    let pid = terraform_of(&project);
    project.file("stack/go", "");
    kill_process(pid, Signal::KILL).expect("it lives");
    let run = daemon.wait_over(&run.name);
    let destroy = step(&run, "destroy");
    // The first try, what was asked, and the second try.
    assert_eq!((run.status(), destroy.attempts), (RunStatus::Succeeded, 3), "{run:#?}");
    let told = said(&daemon, &run);
    assert!(told.contains("terraform was killed by signal 9") && told.contains("verify: it did not happen"), "{told}");
    // What had gone before the kill did not go again.
    assert!(output(&run, "destroy", "destroyed").contains("NumberValue(1.0)"), "{run:#?}");
    assert_eq!(left(&project), [""; 0]);
}

#[test]
fn a_destruction_that_was_killed_when_nothing_was_left_has_happened() {
    if !is_there() {
        return;
    }
    let project = made();
    let program = project.file("tofu", DYING);
    project.runbook("r", &DESTROY.replace("dir: stack", &format!("dir: stack, program: {}", program.display())));
    std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    project.file("stack/go", "");
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&begin(&daemon).name);
    let told = said(&daemon, &run);
    assert_eq!((run.status(), step(&run, "destroy").attempts), (RunStatus::Succeeded, 2), "{run:#?}");
    assert!(told.contains("tofu was killed by signal 9") && told.contains("verify: it happened"), "{told}");
    // How much it destroyed is not known.
    assert_eq!((daemon.logs(&run.name, "tell"), left(&project)), (vec!["0".to_owned()], vec![]));
}

#[test]
fn a_cancel_lets_terraform_write_what_is_left() {
    if !is_there() {
        return;
    }
    let project = made();
    let daemon = Daemon::start(&project);
    let run = begin(&daemon);
    terraform_of(&project);
    let request = CancelRunRequest { name: run.name.clone(), reason: "test".into(), ..Default::default() };
    daemon.runs(|mut client| async move { client.cancel_run(request).await }).unwrap();
    let run = daemon.wait_over(&run.name);
    assert_eq!((run.status(), step(&run, "destroy").status()), (RunStatus::Canceled, StepStatus::Canceled), "{run:#?}");
    assert!(!project.path("stack/.terraform.tfstate.lock.info").exists());
    assert_eq!(left(&project), ["\"slow\""]);
    // Another run destroys the rest.
    project.file("stack/go", "");
    let run = daemon.wait_over(&begin(&daemon).name);
    assert_eq!(
        (run.status(), daemon.logs(&run.name, "tell")),
        (RunStatus::Succeeded, vec!["1".to_owned()]),
        "{run:#?}"
    );
    assert_eq!(left(&project), [""; 0]);
}
