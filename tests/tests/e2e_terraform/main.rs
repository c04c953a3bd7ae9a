//! `uses: terraform/…` with terraform itself and its built-in `terraform_data`, for which no provider is fetched. Where there is
//! no terraform these tests are skipped, and say so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod boundaries;
mod destroy;
mod init;

use std::process::{Command, Stdio};

use runbook_proto::v1::{Run, RunStatus, StartRunRequest, StepStatus};
use runbook_shim::redact::Redactor;
use runbook_tests::e2e::injection::skip;
use runbook_tests::e2e::{Daemon, Project, leaks, step, wait_for};
use rustix::process::Pid;

/// A program of OpenTofu's name that is terraform, and dies after an apply, or a destruction, before it could say that all is done.
const DYING: &str = r#"#!/bin/sh
# Stands in for OpenTofu, which a test cannot have.
terraform "$@" || exit
case "$1" in apply) kill -9 $$ ;; esac
"#;

const STACK: &str = r#"
variable "size" {
  type    = number
  default = 1
}

variable "password" {
  type      = string
  default   = "none"
  sensitive = true
}

resource "terraform_data" "site" {
  input = var.size
}

output "size" {
  value = terraform_data.site.output
}

output "password" {
  value     = var.password
  sensitive = true
}
"#;

/// Whether there is a terraform; says so where there is none.
fn is_there() -> bool {
    let there = Command::new("terraform").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = there.is_ok_and(|status| status.success());
    if !there {
        skip("there is no terraform on this machine");
    }
    there
}

fn project(body: &str, stack: &str) -> Project {
    let project = Project::with("r", body);
    project.file("stack/main.tf", stack);
    project
}

/// The same, with its stack initialised.
fn initialised(body: &str, stack: &str) -> Project {
    let project = project(body, stack);
    terraform(&project, &["init", "-input=false"]);
    project
}

fn terraform(project: &Project, words: &[&str]) {
    let status =
        Command::new("terraform").args(words).current_dir(project.path("stack")).stdout(Stdio::null()).status();
    assert!(status.expect("terraform runs").success(), "{words:?}");
}

fn exec(daemon: &Daemon, inputs: &[(&str, &str)]) -> Run {
    daemon.wait_over(&daemon.exec("r", inputs).name)
}

/// The fields of a step's outputs, as text.
fn output(run: &Run, id: &str, name: &str) -> String {
    let outputs = step(run, id).outputs.clone().unwrap_or_default();
    format!("{:?}", outputs.fields.get(name))
}

/// Terraform itself, by the pid that it told a program of its own.
fn terraform_of(project: &Project) -> Pid {
    let pid = wait_for("terraform", || project.read("stack/begun").filter(|pid| pid.ends_with('\n')));
    Pid::from_raw(pid.trim().parse().expect("a pid")).expect("a pid")
}

const FLOW: &str = r#"
inputs: {size: {type: integer, default: 1}}
requires: {secrets: [password]}
steps:
  init: {uses: terraform/init, with: {dir: stack}}
  valid: {needs: [init], uses: terraform/validate, with: {dir: stack}}
  formatted: {needs: [init], uses: terraform/fmt, with: {dir: stack}}
  plan:
    needs: [valid]
    uses: terraform/plan
    with: {dir: stack, vars: {size: "${{ inputs.size }}", password: "${{ secrets.password }}"}}
  apply:
    needs: [plan]
    if: steps.plan.outputs.changes
    when_skipped: go_on
    uses: terraform/apply
    with: {dir: stack, plan: "${{ steps.plan.artifacts['plan'] }}"}
  read: {needs: [apply], uses: terraform/output, with: {dir: stack}}
  tell: {needs: [read], argv: [echo, "${{ steps.read.outputs.values.size }}"]}
"#;

fn with_secret(project: &Project) {
    project.file("runbookd.yaml", "secrets: {password: {file: password}}\n");
    project.private("password", "hunter2-hunter2");
}

#[test]
fn what_was_planned_is_applied_and_read() {
    if !is_there() {
        return;
    }
    let project = project(FLOW, STACK);
    with_secret(&project);
    let daemon = Daemon::start(&project);
    let run = exec(&daemon, &[]);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{:?}", daemon.logs(&run.name, "plan"));
    assert!(output(&run, "plan", "create").contains("NumberValue(3.0)"), "{run:#?}");
    assert!(output(&run, "plan", "resources").contains("terraform_data.site"));
    assert!(output(&run, "apply", "added").contains("NumberValue(1.0)"), "{run:#?}");
    assert_eq!(daemon.logs(&run.name, "tell"), ["1"]);
    assert!(output(&run, "read", "sensitive").contains("password"));
    // The second time nothing is to be done.
    let run = exec(&daemon, &[]);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    assert!(output(&run, "plan", "changes").contains("BoolValue(false)"), "{run:#?}");
    assert_eq!(step(&run, "apply").status(), StepStatus::Skipped);
    // What is secret is in the plan and the state, and nowhere else.
    drop(daemon);
    let redactor = Redactor::new(["hunter2-hunter2"]);
    assert_eq!(leaks(&project.path(".runbook"), &redactor), [""; 0]);
    assert!(!redactor.is_in(project.read("runbookd.log").unwrap().as_bytes()));
}

#[test]
fn a_stale_plan_is_refused_and_drift_is_data() {
    if !is_there() {
        return;
    }
    let body = r#"
on_failure: continue
steps:
  first: {uses: terraform/plan, with: {dir: stack, vars: {size: 2}}}
  second: {needs: [first], uses: terraform/plan, with: {dir: stack, vars: {size: 3}}}
  apply: {needs: [second], uses: terraform/apply, with: {dir: stack, plan: "${{ steps.second.artifacts['plan'] }}"}}
  # Beside another one it might wait for the lock of the state, and try again.
  stale: {needs: [drift], uses: terraform/apply, with: {dir: stack, plan: "${{ steps.first.artifacts['plan'] }}"}}
  drift: {needs: [apply], uses: terraform/drift, with: {dir: stack}}
"#;
    let project = initialised(body, STACK);
    let daemon = Daemon::start(&project);
    let run = exec(&daemon, &[]);
    assert_eq!(step(&run, "apply").status(), StepStatus::Succeeded, "{run:#?}");
    let stale = step(&run, "stale");
    assert_eq!((stale.status(), stale.attempts), (StepStatus::Failed, 1));
    assert!(stale.message.contains("the plan is stale"), "{stale:#?}");
    assert_eq!(step(&run, "drift").status(), StepStatus::Succeeded, "{run:#?}");
    assert!(output(&run, "drift", "drifted").contains("BoolValue(true)"), "{run:#?}");
    assert!(output(&run, "drift", "resources").contains("input"), "{run:#?}");
}

#[test]
fn only_the_named_workspace_is_destroyed() {
    if !is_there() {
        return;
    }
    let body = r#"
inputs: {workspace: {type: string, default: default}}
steps:
  destroy:
    uses: terraform/destroy
    with: {dir: stack, confirm_workspace: "${{ inputs.workspace }}"}
    target: stack
"#;
    let project = initialised(body, STACK);
    terraform(&project, &["apply", "-auto-approve", "-input=false"]);
    let daemon = Daemon::start(&project);
    let destroy = |workspace: &str| {
        let request = StartRunRequest {
            runbook: "r".to_owned(),
            input_texts: [("workspace".to_owned(), workspace.to_owned())].into(),
            confirm: vec!["stack".to_owned()],
            ..Default::default()
        };
        let started = daemon.runs(|mut client| async move { client.start_run(request).await }).expect("a start");
        daemon.wait_over(&started.run.expect("a run").name)
    };
    let run = destroy("prod");
    assert!(step(&run, "destroy").message.contains("nothing was destroyed"), "{run:#?}");
    let run = destroy("default");
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    assert!(output(&run, "destroy", "destroyed").contains("NumberValue(1.0)"), "{run:#?}");
}

/// A stand-in for terraform that initialises nothing: it says that it has begun, and waits to be let go on.
const STAND_IN: &str = r#"#!/bin/sh
echo "begin ${TF_WORKSPACE:-default}" >> "$LOG"
while ! test -e "$GO-${TF_WORKSPACE:-default}"; do sleep 0.02; done
echo "end ${TF_WORKSPACE:-default}" >> "$LOG"
"#;

#[test]
fn who_writes_to_a_stack_waits_for_who_does_and_nobody_else_does() {
    let project = Project::new();
    let program = project.file("stand-in", STAND_IN);
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let init = |more: &str| {
        format!(
            "env: {{LOG: '{}', GO: '{}'}}\ninputs: {{dir: {{type: string, default: stack}}}}\nsteps:\n  init:\n    uses: terraform/init\n    \
            with: {{dir: \"${{{{ inputs.dir }}}}\", program: '{}'{more}}}\n",
            project.path("log").display(),
            project.path("go").display(),
            program.display(),
        )
    };
    project.runbook("one", &init(""));
    project.runbook("blue", &init(", workspace: blue"));
    project.file("stack/main.tf", STACK);
    project.file("other/main.tf", STACK);
    let daemon = Daemon::start(&project);
    let first = daemon.exec("one", &[]);
    wait_for("the first one", || (project.lines("log") == ["begin default"]).then_some(()));
    let second = daemon.exec("one", &[]);
    let second = daemon.wait(&second.name, "a wait for the stack", |run| !step(run, "init").waits_for.is_empty());
    assert_eq!(step(&second, "init").waits_for, [format!("lock terraform/stack (step init of run {})", first.number)]);
    // Another workspace, and another folder, are other stacks.
    let blue = daemon.exec("blue", &[]);
    wait_for("the other workspace", || project.lines("log").contains(&"begin blue".to_owned()).then_some(()));
    let other = daemon.exec("one", &[("dir", "other")]);
    wait_for("the other folder", || (project.lines("log").len() == 3).then_some(()));
    project.file("go-default", "");
    project.file("go-blue", "");
    for run in [&first, &second, &blue, &other] {
        let run = daemon.wait_over(&run.name);
        assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    }
    assert_eq!(project.lines("log").iter().filter(|line| *line == "begin default").count(), 3);
}

#[test]
fn a_workspace_that_is_not_there_is_no_drift_and_no_new_stack() {
    if !is_there() {
        return;
    }
    let project = Project::with(
        "r",
        r#"
inputs: {workspace: {type: string, required: true}}
on_failure: continue
steps:
  drift: {uses: terraform/drift, with: {dir: stack, workspace: "${{ inputs.workspace }}"}}
  plan: {uses: terraform/plan, with: {dir: stack, workspace: "${{ inputs.workspace }}"}}
"#,
    );
    project.runbook("init", "steps: {init: {uses: terraform/init, with: {dir: stack, workspace: blue}}}\n");
    project.file("stack/main.tf", STACK);
    let daemon = Daemon::start(&project);
    assert_eq!(daemon.wait_over(&daemon.exec("init", &[]).name).status(), RunStatus::Succeeded);
    let run = daemon.wait_over(&daemon.exec("r", &[("workspace", "bleu")]).name);
    for id in ["drift", "plan"] {
        let message = &step(&run, id).message;
        assert!(
            message.contains("there is no workspace bleu; there are default, blue; did you mean blue?"),
            "{message}"
        );
    }
    assert!(!project.path("stack/terraform.tfstate.d/bleu").exists());
    let run = daemon.wait_over(&daemon.exec("r", &[("workspace", "blue")]).name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
}

#[test]
fn each_item_writes_to_its_stack_alone() {
    let project = Project::new();
    let program = project.file("stand-in", STAND_IN);
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    project.runbook(
        "all",
        &format!(
            "env: {{LOG: '{}', GO: '{}'}}\nsteps:\n  init:\n    for_each: [stack, other, stack]\n    uses: terraform/init\n    \
            with: {{dir: \"${{{{ item }}}}\", program: '{}', workspace: blue}}\n",
            project.path("log").display(),
            project.path("go").display(),
            program.display(),
        ),
    );
    project.file("stack/main.tf", STACK);
    project.file("other/main.tf", STACK);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("all", &[]);
    let items = |run: &Run| step(run, "init").child_run.clone().map(|below| below.steps).unwrap_or_default();
    let run = daemon.wait(&run.name, "two that write", |run| {
        project.lines("log").len() == 2 && items(run).iter().any(|item| !item.waits_for.is_empty())
    });
    let waits: Vec<String> = items(&run).iter().flat_map(|item| item.waits_for.clone()).collect();
    assert!(waits.len() == 1 && waits[0].starts_with("lock terraform/stack@blue ("), "{waits:?}");
    project.file("go-blue", "");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    assert_eq!(project.lines("log").len(), 6);
}

#[test]
fn one_at_a_time_writes_to_a_cache_of_plugins() {
    const STACKS: usize = 4;
    let project = Project::new();
    let program = project.file("stand-in", STAND_IN);
    std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (log, go) = (project.path("log"), project.path("go"));
    let mut body = format!("env: {{LOG: '{}', GO: '{}'}}\nsteps:\n", log.display(), go.display());
    for number in 0..STACKS {
        project.file(&format!("stack{number}/main.tf"), STACK);
        body += &format!(
            "  init{number}: {{uses: terraform/init, with: {{dir: stack{number}, program: '{}', plugin_cache: cache}}}}\n",
            program.display()
        );
    }
    project.runbook("all", &body);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("all", &[]);
    let all_run = |run: &Run| run.steps.iter().all(|step| step.status() == StepStatus::Running);
    let run = daemon.wait(&run.name, "all of them to be on", all_run);
    wait_for("the first one", || (!project.lines("log").is_empty()).then_some(()));
    project.file("go-default", "");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    let expected: Vec<&str> = (0..STACKS).flat_map(|_| ["begin default", "end default"]).collect();
    assert_eq!(project.lines("log"), expected);
}
