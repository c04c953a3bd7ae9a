//! What becomes of an apply when the daemon is killed, the run canceled, terraform itself killed, or the state locked by somebody
//! else.

use std::process::{Command, Stdio};

use runbook_proto::v1::{CancelRunRequest, RunStatus, StepStatus};
use runbook_tests::e2e::command::command;
use runbook_tests::e2e::{Daemon, Reply, Terminal, Web, step, wait_for};
use rustix::process::{Signal, kill_process};

use crate::{DYING, STACK, exec, initialised, is_there, output, terraform_of};

/// A stack that takes its time, until a file is there.
const SLOW: &str = r#"
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    command = "touch begun; while [ ! -e go ]; do sleep 0.1; done"
  }
}
"#;

const APPLY: &str = r#"
steps:
  plan: {uses: terraform/plan, with: {dir: stack}}
  apply:
    needs: [plan]
    uses: terraform/apply
    with: {dir: stack, plan: "${{ steps.plan.artifacts['plan'] }}"}
    verify: {uses: terraform/plan, with: {dir: stack, happened: "!attempt.outputs.changes"}}
"#;

#[test]
fn an_apply_outlives_the_daemon() {
    if !is_there() {
        return;
    }
    let project = initialised(APPLY, SLOW);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("r", &[]);
    wait_for("the apply", || project.read("stack/begun"));
    daemon.kill();
    let daemon = Daemon::start(&project);
    project.file("stack/go", "");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    assert_eq!(step(&run, "apply").attempts, 1);
}

#[test]
fn a_cancel_lets_terraform_write_its_state() {
    if !is_there() {
        return;
    }
    let project = initialised(APPLY, SLOW);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("r", &[]);
    wait_for("the apply", || project.read("stack/begun"));
    let request = CancelRunRequest { name: run.name.clone(), reason: "test".into(), ..Default::default() };
    daemon.runs(|mut client| async move { client.cancel_run(request).await }).unwrap();
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Canceled, "{run:#?}");
    // It ended by itself: the lock of the state is free, and the state was written.
    assert!(!project.path("stack/.terraform.tfstate.lock.info").exists());
    assert!(project.read("stack/terraform.tfstate").is_some());
}

#[test]
fn a_lock_is_told_with_its_holder() {
    if !is_there() {
        return;
    }
    let body = "steps:\n  plan: {uses: terraform/plan, with: {dir: stack}, retry: {attempts: 1}}\n";
    let project = initialised(body, SLOW);
    let mut command = Command::new("terraform");
    command.args(["apply", "-auto-approve", "-input=false"]).current_dir(project.path("stack")).stdout(Stdio::null());
    let mut holder = command.spawn().expect("terraform runs");
    wait_for("the apply", || project.read("stack/begun"));
    let daemon = Daemon::start(&project);
    let run = exec(&daemon, &[]);
    let plan = step(&run, "plan");
    assert!(plan.message.contains("the state is locked by ") && plan.message.contains("force-unlock"), "{plan:#?}");
    assert_eq!(plan.exit_code, Some(75));
    project.file("stack/go", "");
    assert!(holder.wait().expect("it ends").success());
}

/// Two resources that are made at once, a third that waits for them, and is made when it is let.
const THREE: &str = r#"
resource "terraform_data" "quick" {
  count = 2
}

resource "terraform_data" "slow" {
  depends_on = [terraform_data.quick]
  provisioner "local-exec" {
    command = "echo $PPID > begun; while [ ! -e go ]; do sleep 0.1; done"
  }
}
"#;

#[test]
fn how_far_an_apply_has_come_is_on_the_screen() {
    if !is_there() {
        return;
    }
    let project = initialised(APPLY, THREE);
    let daemon = Daemon::start(&project);
    let terminal = Terminal::start(command(&project, &["exec", "r"]), 120, 24);
    terraform_of(&project);
    terminal.wait_text("2 of 3: terraform_data.slow");
    project.file("stack/go", "");
    let (code, screen) = terminal.finish();
    assert_eq!(code, 0, "{}", screen.whole());
    let lines = daemon.logs("runs/1", "apply");
    assert!(lines.iter().any(|line| line.starts_with("3 of 3: terraform_data.slow: Creation complete")), "{lines:#?}");
    // A plan does nothing of which it could be told how far it has come.
    let lines = daemon.logs("runs/1", "plan");
    assert!(!lines.iter().any(|line| line.contains(" of 3")), "{lines:#?}");
}

#[test]
fn an_apply_that_was_killed_in_the_middle_is_asked_about_and_never_repeated_blindly() {
    if !is_there() {
        return;
    }
    let project = initialised(APPLY, THREE);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("r", &[]);
    kill_process(terraform_of(&project), Signal::KILL).expect("it lives");
    let run = daemon.wait_over(&run.name);
    let apply = step(&run, "apply");
    // It was asked what is left, then tried once more; by then the plan was not of this state any more, for what had been done
    // before the kill is in it.
    assert_eq!((apply.status(), apply.attempts), (StepStatus::Failed, 3), "{run:#?}");
    assert!(apply.message.contains("the plan is stale") && apply.message.contains("cut off"), "{apply:#?}");
    let told = daemon.events(&run.name).into_iter().map(|event| event.message).collect::<Vec<_>>().join("\n");
    assert!(told.contains("terraform was killed by signal 9") && told.contains("verify: it did not happen"), "{told}");
    project.file("stack/go", "");
    // A new run plans what is left, and applies that.
    let run = exec(&daemon, &[]);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    assert!(output(&run, "plan", "create").contains("NumberValue(1.0)"), "{run:#?}");
}

#[test]
fn what_is_left_of_an_apply_that_was_killed_is_planned_anew_where_the_runbook_says_so() {
    if !is_there() {
        return;
    }
    let body = r#"
steps:
  change:
    repeat: {until: "iteration.status == 'succeeded'", max: 3}
    steps:
      plan: {uses: terraform/plan, with: {dir: stack}}
      apply:
        needs: [plan]
        if: steps.plan.outputs.changes
        uses: terraform/apply
        with: {dir: stack, plan: "${{ steps.plan.artifacts['plan'] }}"}
        verify: {uses: terraform/plan, with: {dir: stack, happened: "!attempt.outputs.changes"}}
"#;
    let project = initialised(body, THREE);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("r", &[]);
    let pid = terraform_of(&project);
    project.file("stack/go", "");
    kill_process(pid, Signal::KILL).expect("it lives");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    let rounds = step(&run, "change").child_run.clone().expect("iterations").steps;
    let second = rounds[1].child_run.as_ref().expect("a second round");
    // What had been made before the kill was not made again.
    assert!(output(second, "apply", "added").contains("NumberValue(1.0)"), "{second:#?}");
}

#[test]
fn an_apply_that_was_killed_when_all_was_done_has_happened_whatever_the_program_is_called() {
    if !is_there() {
        return;
    }
    let body = r#"
steps:
  plan: {uses: terraform/plan, with: {dir: stack}}
  apply:
    needs: [plan]
    uses: terraform/apply
    with: {dir: stack, plan: "${{ steps.plan.artifacts['plan'] }}"}
    verify: {uses: terraform/plan, with: {dir: stack, happened: "!attempt.outputs.changes"}}
  tell: {needs: [apply], argv: [echo, "${{ steps.apply.outputs.added }}"]}
"#;
    let project = initialised(body, STACK);
    project.file("runbookd.yaml", "programs: {terraform: tofu}\n");
    let program = project.file("bin/tofu", DYING);
    std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").expect("a PATH"));
    let daemon = Daemon::start_with(&project, |command| {
        command.env("PATH", path);
    });
    let run = exec(&daemon, &[]);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    let told = daemon.events(&run.name).into_iter().map(|event| event.message).collect::<Vec<_>>().join("\n");
    assert!(told.contains("tofu was killed by signal 9") && told.contains("verify: it happened"), "{told}");
    // How much it did is not known.
    assert_eq!(daemon.logs(&run.name, "tell"), ["0"]);
}

#[test]
fn a_lock_that_was_left_behind_is_told_with_the_command_that_frees_it_and_never_forced() {
    if !is_there() {
        return;
    }
    // The state lies on a server, and with it the lock of somebody whose terraform died.
    let web = Web::serve(|asked, _| match asked.method.as_str() {
        "LOCK" => Reply::text(
            423,
            r#"{"ID": "af-12", "Operation": "OperationTypeApply", "Who": "ada@gone", "Version": "1.4.0", "Created": "2026-11-27T03:00:00Z"}"#,
        ),
        _ => Reply::text(404, "there is no state yet"),
    });
    let backend = format!(
        "terraform {{\n  backend \"http\" {{\n    address = \"{url}/state\"\n    lock_address = \"{url}/lock\"\n    unlock_address = \"{url}/lock\"\n  }}\n}}\n",
        url = web.url()
    );
    let body = "steps:\n  plan: {uses: terraform/plan, with: {dir: stack}, retry: {attempts: 2, backoff: {initial: 10ms, jitter: none}}}\n";
    let project = initialised(body, &format!("{backend}{STACK}"));
    let daemon = Daemon::start(&project);
    let run = exec(&daemon, &[]);
    let plan = step(&run, "plan");
    assert_eq!((plan.status(), plan.attempts, plan.exit_code), (StepStatus::Failed, 2, Some(75)), "{plan:#?}");
    for part in ["the state is locked by somebody whom the backend does not name", "stack force-unlock af-12`"] {
        assert!(plan.message.contains(part), "{part}: {plan:#?}");
    }
    assert!(web.asked().iter().all(|asked| matches!(asked.method.as_str(), "LOCK" | "GET")), "{:#?}", web.asked());
}
