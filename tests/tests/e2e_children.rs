//! Child runs with real processes: values and artifacts there and back, a daemon that is killed in the middle, cancels,
//! unknown steps below, resumes, circles of locks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::collections::HashMap;

use runbook_proto::v1::{
    CancelRunRequest, EventType, ListRunsRequest, ResolveStepRequest, ResumeRunRequest, Run, RunStatus, Settlement,
    StepStatus,
};
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, is_alive, step, wait_for};

fn child<'a>(run: &'a Run, id: &str) -> &'a Run {
    step(run, id).child_run.as_ref().unwrap_or_else(|| panic!("no child run of {id}: {run:#?}"))
}

fn cancel(daemon: &Daemon, name: &str) -> Result<(), tonic::Status> {
    let request = CancelRunRequest { name: name.to_owned(), now: false, reason: "test".into(), past: Vec::new() };
    daemon.runs(|mut client| async move { client.cancel_run(request).await }).map(drop)
}

fn resume(daemon: &Daemon, name: &str) {
    let request =
        ResumeRunRequest { name: name.to_owned(), reason: String::new(), confirm: Vec::new(), ..Default::default() };
    daemon.runs(|mut client| async move { client.resume_run(request).await }).expect("resume");
}

#[test]
fn values_and_artifacts_go_down_and_come_back() {
    let project = Project::with(
        "backup",
        r#"
steps:
  dump:
    effect: idempotent
    run: echo rows > "$RUNBOOK_ARTIFACTS/db.dump"
    artifacts: [db.dump]
  prove:
    needs: [dump]
    uses: runbook
    with: {name: restore, inputs: {dump: "${{ steps.dump.artifacts['db.dump'] }}", times: "${{ 1 + 1 }}"}}
  tell:
    needs: [prove]
    effect: read
    if: steps.prove.outputs.lines == 2
    argv: [cat, "${{ steps.prove.outputs.report }}"]
"#,
    );
    project.runbook(
        "restore",
        r#"
inputs:
  dump: {type: string, required: true}
  times: {type: integer, default: 1}
outputs:
  lines: {type: integer, value: steps.load.outputs.lines}
  report: {type: string, value: "steps.load.artifacts['report']"}
steps:
  load:
    effect: idempotent
    env: {DUMP: "${{ inputs.dump }}", TIMES: "${{ inputs.times }}"}
    run: |
      for n in $(seq "$TIMES"); do cat "$DUMP"; done > "$RUNBOOK_ARTIFACTS/report"
      echo "lines=$(wc -l < "$RUNBOOK_ARTIFACTS/report")" >> "$RUNBOOK_OUTPUT"
      echo loading
    outputs: {lines: integer}
    artifacts: [report]
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("backup", &[]);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    assert_eq!(daemon.logs(&run.name, "tell"), ["rows", "rows"]);
    // The tree is read from the journal by now.
    let below = child(&run, "prove");
    assert_eq!(
        (below.status(), below.number, below.top.as_str()),
        (RunStatus::Succeeded, run.number, run.name.as_str())
    );
    assert_eq!(step(below, "load").status(), StepStatus::Succeeded);
    assert_eq!(daemon.logs(&run.name, "prove/load"), ["loading"]);
    assert_eq!(daemon.logs(&run.name, "prove"), ["loading"]);
    // A child run is not one of the runs that people list.
    let rows =
        daemon.runs(|mut client| async move { client.list_runs(ListRunsRequest::default()).await }).expect("list");
    assert_eq!(rows.runs.len(), 1);
}

#[test]
fn a_tree_outlives_a_daemon_that_is_killed() {
    let project = Project::with("top", "steps:\n  a: {uses: runbook, with: {name: middle}}\n");
    project.runbook("middle", "steps:\n  b: {uses: runbook, with: {name: low}}\n");
    project.runbook(
        "low",
        r#"
steps:
  wait:
    run: |
      echo $$ > pid
      echo started >> starts
      while ! test -e go; do sleep 0.05; done
  after: {needs: [wait], run: "echo after >> starts"}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("top", &[]);
    let pid: u32 = wait_for("the step's pid", || project.read("pid")?.trim().parse().ok());
    daemon.kill();
    assert!(is_alive(pid), "the step went with the daemon");
    let daemon = Daemon::start(&project);
    let adopted = daemon.get(&run.name);
    assert_eq!(step(child(child(&adopted, "a"), "b"), "wait").status(), StepStatus::Running);
    project.file("go", "");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    assert_eq!(project.lines("starts"), ["started", "after"]);
}

#[test]
fn an_unknown_step_below_is_settled_by_its_path() {
    let project = Project::with("top", "steps:\n  a: {uses: runbook, with: {name: low}}\n");
    project.runbook(
        "low",
        "steps:\n  change: {timeout: 1s, stop: {grace: 100ms}, run: sleep 1000}\n  after: {needs: [change], run: echo after >> log}\n",
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("top", &[]);
    let waiting = daemon.wait(&run.name, "attention", |run| run.status() == RunStatus::Attention);
    assert_eq!(step(&waiting, "a").status(), StepStatus::Waiting);
    let resolve = |step: &str| {
        let request = ResolveStepRequest {
            name: run.name.clone(),
            step: step.to_owned(),
            settlement: Settlement::Succeeded.into(),
            reason: "seen by hand".into(),
            output_texts: HashMap::new(),
        };
        daemon.runs(|mut client| async move { client.resolve_step(request).await }).map(drop)
    };
    let refused = resolve("a/chnge").expect_err("no such step");
    assert_eq!(refused.message(), "the run has no step \"chnge\"; did you mean \"change\"?");
    resolve("a/change").expect("resolve");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    assert_eq!(project.lines("log"), ["after"]);
    let waits = daemon.events(&run.name).iter().filter(|event| event.r#type() == EventType::ChildWaits).count();
    assert_eq!(waits, 2);
}

#[test]
fn a_cancel_goes_down_and_a_resume_takes_up_what_was_left() {
    let project = Project::with("top", "steps:\n  a: {uses: runbook, with: {name: low}}\n");
    project.runbook(
        "low",
        r#"
steps:
  first: {effect: idempotent, run: "echo first >> log"}
  long:
    needs: [first]
    effect: idempotent
    run: |
      echo long >> log
      while ! test -e go; do sleep 0.05; done
finally:
  end: {run: "echo end >> log"}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("top", &[]);
    wait_for("the long step", || project.read("log").filter(|log| log.contains("long")));
    let below = child(&daemon.get(&run.name), "a").name.clone();
    let refused = cancel(&daemon, &below).expect_err("a child run goes with its tree");
    assert!(refused.message().contains(&format!("cancel run {} instead", run.number)), "{}", refused.message());
    cancel(&daemon, &run.name).expect("cancel");
    let canceled = daemon.wait_over(&run.name);
    assert_eq!(canceled.status(), RunStatus::Canceled);
    assert_eq!(child(&canceled, "a").status(), RunStatus::Canceled);
    project.file("go", "");
    resume(&daemon, &run.name);
    let over = daemon.wait(&run.name, "success", |run| run.status() == RunStatus::Succeeded);
    let again = child(&over, "a");
    assert_eq!((again.name.as_str(), again.epoch), (below.as_str(), 2));
    assert_eq!(project.lines("log"), ["first", "long", "end", "long", "end"]);
}

#[test]
fn a_circle_of_locks_fails_at_once() {
    let wait = "steps:\n  wait: {effect: idempotent, run: \"touch at-$RUNBOOK_RUN; while ! test -e go; do sleep 0.05; done\"}\n";
    let project =
        Project::with("one", &format!("locks: [x]\n{wait}  a: {{needs: [wait], uses: runbook, with: {{name: y}}}}\n"));
    project.runbook("two", &format!("locks: [y]\n{wait}  a: {{needs: [wait], uses: runbook, with: {{name: x}}}}\n"));
    for lock in ["x", "y"] {
        project.runbook(lock, &format!("locks: [{lock}]\nsteps:\n  s: {{effect: read, run: \"true\"}}\n"));
    }
    let daemon = Daemon::start(&project);
    let runs = [daemon.exec("one", &[]), daemon.exec("two", &[])];
    for run in &runs {
        let file = format!("at-{}", run.number);
        wait_for("both runs", || project.read(&file));
    }
    project.file("go", "");
    let mut over: Vec<Run> = runs.iter().map(|run| daemon.wait_over(&run.name)).collect();
    over.sort_by_key(Run::status);
    // One fails and lets go, and so the other one succeeds.
    assert_eq!(over.iter().map(Run::status).collect::<Vec<_>>(), [RunStatus::Succeeded, RunStatus::Failed]);
    let message = &step(&over[1], "a").message;
    assert!(message.starts_with("it would wait for ever: for lock "), "{message}");
}

const ASKING: &str = r#"
inputs:
  database: {type: string, required: true}
outputs:
  ticket: {type: string, value: steps.go.outputs.ticket}
steps:
  dump: {effect: read, run: "true"}
  go:
    needs: [dump]
    uses: approval
    with:
      message: "Drop ${{ inputs.database }}?"
      fields: {ticket: {type: string, required: true}}
  drop: {needs: [go], effect: idempotent, run: "echo dropped >> log"}
"#;

const MOVE: &str = r#"
inputs:
  database: {type: string, default: orders}
steps:
  prepare: {effect: read, run: "true"}
  clean:
    needs: [prepare]
    uses: runbook
    with: {name: drop, inputs: {database: "${{ inputs.database }}"}}
  tell: {needs: [clean], effect: idempotent, argv: [sh, -c, 'echo "$1" >> log', x, "${{ steps.clean.outputs.ticket }}"]}
"#;

#[test]
fn an_approval_below_is_listed_shown_and_given_by_its_path() {
    let project = Project::with("move", MOVE);
    project.runbook("drop", ASKING);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("move", &[]);
    let number = run.number.to_string();
    let waiting = daemon.wait(&run.name, "the question", |run| run.status() == RunStatus::Waiting);
    assert_eq!(step(&waiting, "clean").status(), StepStatus::Waiting);
    daemon.kill();
    let daemon = Daemon::start(&project);
    let listed = runbook(&project, &["approvals"]);
    for part in ["Drop orders?", &format!("runbook approve {number} clean/go --field ticket=")] {
        assert!(listed.out.contains(part), "{part}: {listed:?}");
    }
    let status = runbook(&project, &["status", &number]);
    for part in ["  ○   go ", &format!("runbook approve {number} clean/go"), "waits, as all does that goes on below"]
    {
        assert!(status.out.contains(part), "{part}: {status:?}");
    }
    let approved = runbook(&project, &["approve", &number, "clean/go", "--field", "ticket=OPS-7"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    let over = daemon.wait_over(&run.name);
    assert_eq!(over.status(), RunStatus::Succeeded, "{over:#?}");
    assert_eq!(project.lines("log"), ["dropped", "OPS-7"]);
    // The history of the tree, each run below the step that started it.
    let events = runbook(&project, &["events", &number, "--tree"]);
    assert_eq!(events.code, 0, "{events:?}");
    let at = |part: &str| events.out.find(part).unwrap_or_else(|| panic!("{part}: {}", events.out));
    let order =
        ["step clean: started run ", "step clean/dump: started", "step clean/go: asks", "step clean/drop: succeeded"];
    let places = order.map(at);
    assert!(places.is_sorted() && places[3] < at("step tell: started"), "{}", events.out);
}

#[test]
fn a_tree_is_planned_drawn_and_rehearsed_as_one() {
    let project = Project::with("move", MOVE);
    project.runbook("drop", ASKING);
    let daemon = Daemon::start(&project);
    let plan = runbook(&project, &["plan", "move"]);
    assert_eq!(plan.code, 0, "{plan:?}\n{}", daemon.log());
    for part in ["starts drop", "  dump", "  go"] {
        assert!(plan.out.contains(part), "{part}: {}", plan.out);
    }
    let graph = runbook(&project, &["graph", "move"]);
    assert!(graph.out.contains("starts drop"), "{graph:?}");
    let well = runbook(&project, &["rehearse", "move"]);
    assert_eq!(well.code, 0, "{well:?}");
    for part in ["step clean: started run", "step clean/drop: succeeded", "step tell: succeeded", "succeeded after"] {
        assert!(well.out.contains(part), "{part}: {}", well.out);
    }
    let badly = runbook(&project, &["rehearse", "move", "--fail", "clean/drop", "--crash-at", "clean"]);
    for part in ["step clean/dump: succeeded", "step clean: failed", "the daemon crashes", "failed after"] {
        assert!(badly.out.contains(part), "{part}: {}", badly.out);
    }
    let each = runbook(&project, &["rehearse", "move", "--every-failure"]);
    let fails: Vec<&str> = each.out.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(fails, ["prepare", "clean/dump", "clean/go", "clean/drop", "tell"], "{each:?}");
    assert!(runbook(&project, &["runs"]).out.is_empty(), "nothing of it is a run");
}

#[test]
fn runbooks_that_start_each_other_are_refused_and_so_are_wrong_inputs() {
    let project = Project::with("a", "steps:\n  s: {uses: runbook, with: {name: b}}\n");
    project.runbook("b", "steps:\n  s: {uses: runbook, with: {name: a}}\n");
    project.runbook("c", "steps:\n  s: {uses: runbook, with: {name: d, inputs: {n: many}}}\n");
    project.runbook("d", "inputs: {n: {type: integer}}\nsteps:\n  s: {effect: read, run: \"true\"}\n");
    let daemon = Daemon::start(&project);
    let circle = daemon.try_exec("a", &[]).expect_err("a circle");
    assert!(circle.message().contains("a → b → a"), "{}", circle.message());
    let wrong = daemon.try_exec("c", &[]).expect_err("a wrong input");
    assert!(wrong.message().contains("invalid-input"), "{}", wrong.message());
    // What is known of the others is known to the check, too: with a daemon and without one.
    let checked = runbook(&project, &["check", "runbooks/c.yaml"]);
    assert!(checked.out.contains("invalid-input"), "{checked:?}");
    project.runbook("d", "inputs: {n: {type: string}}\nsteps:\n  s: {effect: read, run: \"true\"}\n");
    let run = daemon.wait_over(&daemon.exec("c", &[]).name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
}
