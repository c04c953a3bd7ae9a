//! Rollback that goes down into what steps started, with real processes: over a daemon that is killed, past a
//! compensation that a person skips, through items and iterations.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use runbook_proto::v1::{EventType, ListRunsRequest, Run, RunStatus, StepStatus};
use runbook_tests::e2e::command::{Said, runbook};
use runbook_tests::e2e::{Daemon, Project, step, wait_for};

const TOP: &str = r#"
steps:
  network: {run: "echo +network >> log", rollback: {run: "echo -network >> log"}}
  app: {needs: [network], uses: runbook, with: {name: app}}
  check: {needs: [app], run: "exit 3"}
finally:
  tell: {argv: [sh, -c, "echo end $1 >> log", sh, "${{ run.outcome }}"]}
"#;

const APP: &str = r#"
steps:
  disk: {run: "echo +disk >> log", rollback: {run: "echo -disk >> log; BODY"}}
  machine: {needs: [disk], run: "echo +machine >> log", rollback: {run: "echo -machine >> log"}}
finally:
  note: {argv: [sh, -c, "echo app $1 >> log", sh, "${{ run.outcome }}"]}
"#;

fn below<'a>(run: &'a Run, id: &str) -> &'a Run {
    step(run, id).child_run.as_ref().unwrap_or_else(|| panic!("no child run of {id}: {run:#?}"))
}

#[test]
fn a_daemon_that_is_killed_while_a_child_run_is_rolled_back_goes_on_with_it() {
    let project = Project::with("top", &format!("rollback: automatic\n{TOP}"));
    project.runbook("app", &APP.replace("BODY", "while ! test -e go; do sleep 0.02; done"));
    let daemon = Daemon::start(&project);
    let run = daemon.exec("top", &[]);
    wait_for("the compensation below", || project.lines("log").contains(&"-disk".to_owned()).then_some(()));
    daemon.kill();
    let daemon = Daemon::start(&project);
    let half = daemon.get(&run.name);
    assert_eq!(half.status(), RunStatus::RollingBack, "{half:#?}");
    assert_eq!(step(&half, "app").status(), StepStatus::RollingBack);
    assert_eq!(step(below(&half, "app"), "machine").status(), StepStatus::RolledBack);
    assert_eq!(step(below(&half, "app"), "disk").status(), StepStatus::RollingBack);
    project.file("go", "");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::RolledBack, "{run:#?}\n{}", daemon.log());
    assert_eq!(below(&run, "app").status(), RunStatus::RolledBack);
    assert_eq!(step(&run, "app").status(), StepStatus::RolledBack);
    assert_eq!(
        project.lines("log"),
        [
            "+network",
            "+disk",
            "+machine",
            "app succeeded",
            "-machine",
            "-disk",
            "app rolled_back",
            "-network",
            "end rolled_back"
        ]
    );
    let types: Vec<EventType> = daemon.events(&run.name).iter().map(|event| event.r#type()).collect();
    assert_eq!(types.iter().filter(|kind| **kind == EventType::ChildRollingBack).count(), 1);
}

#[test]
fn a_compensation_that_fails_below_is_skipped_by_a_person_and_tried_again_later() {
    let project = Project::with("top", TOP);
    project.runbook("app", &APP.replace("BODY", "test -e mended"));
    let daemon = Daemon::start(&project);
    let said = |arguments: &[&str], code: i32, words: &[&str]| -> Said {
        let said = runbook(&project, arguments);
        assert_eq!(said.code, code, "{arguments:?}: {said:#?}");
        for word in words {
            assert!(said.out.contains(word) || said.err.contains(word), "{arguments:?} without {word:?}: {said:#?}");
        }
        said
    };
    said(&["plan", "top"], 0, &["`runbook rollback` compensates what succeeded of network, app"]);
    said(&["exec", "top"], 1, &["runbook rollback 1"]);
    let listed = daemon.runs(|mut client| async move { client.list_runs(ListRunsRequest::default()).await });
    let name = listed.expect("runs").runs[0].name.clone();
    said(&["rollback", "1", "--reason", "the release is bad"], 4, &["app/disk", "could not be rolled back"]);
    daemon.kill();
    let daemon = Daemon::start(&project);
    let stuck = daemon.wait(&name, "attention", |run| run.status() == RunStatus::Attention);
    assert_eq!(step(&stuck, "app").status(), StepStatus::RollingBack, "{stuck:#?}");
    assert_eq!(step(below(&stuck, "app"), "disk").status(), StepStatus::RollbackFailed);
    assert!(stuck.message.contains("below app"), "{}", stuck.message);
    // Retry, for all that failed below.
    said(&["resume", "1"], 4, &["app/disk", "could not be rolled back"]);
    said(&["resolve", "1", "app/disk", "--as", "skipped", "--reason", "the disk is gone"], 0, &[]);
    let run = daemon.wait_over(&name);
    assert_eq!(run.status(), RunStatus::Failed, "{run:#?}\n{}", daemon.log());
    assert_eq!(step(&run, "app").status(), StepStatus::RollbackFailed);
    assert_eq!(step(&run, "network").status(), StepStatus::RolledBack);
    let tries = project.lines("log").iter().filter(|line| *line == "-disk").count();
    assert_eq!(tries, 6);
    said(&["resume", "1"], 6, &["step \"app\" could not be rolled back"]);
    let told = said(&["events", "1"], 0, &["step app: not all that is below it is rolled back", "the disk is gone"]);
    assert!(!told.out.contains("step app: could not"), "{told:#?}");
    project.file("mended", "");
    said(&["rollback", "1"], 0, &["step app/disk: rolled back", "step app: rolled back", "run 1: rolled back"]);
    let run = daemon.wait_over(&name);
    assert_eq!(run.status(), RunStatus::RolledBack, "{run:#?}");
    let log = project.lines("log");
    assert_eq!(log[log.len() - 3..], ["-disk", "app rolled_back", "end rolled_back"]);
}

#[test]
fn items_and_iterations_are_rolled_back_the_latest_first() {
    let project = Project::with(
        "many",
        r#"
rollback: automatic
steps:
  copy:
    for_each: [a, b, c]
    max_parallel: 1
    steps:
      do: {argv: [sh, -c, "echo +$1 >> log", sh, "${{ item }}"], rollback: {argv: [sh, -c, "echo -$1 >> log", sh, "${{ item }}"]}}
  turn:
    needs: [copy]
    repeat: {until: iteration.number == 3, max: 5}
    steps:
      do: {argv: [sh, -c, "echo +$1 >> log", sh, "${{ iteration.number }}"], rollback: {argv: [sh, -c, "echo -$1 >> log", sh, "${{ iteration.number }}"]}}
  check: {needs: [turn], run: "exit 3"}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("many", &[]);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::RolledBack, "{run:#?}\n{}", daemon.log());
    assert_eq!(project.lines("log"), ["+a", "+b", "+c", "+1", "+2", "+3", "-3", "-2", "-1", "-c", "-b", "-a"]);
}

#[test]
fn a_run_whose_items_rolled_themselves_back_is_rolled_back() {
    let project = Project::with(
        "nodes",
        r#"
rollback: automatic
steps:
  up:
    for_each: [a, b]
    max_parallel: 1
    steps:
      drain: {argv: [sh, -c, "echo +$1 >> log", sh, "${{ item }}"], rollback: {argv: [sh, -c, "echo -$1 >> log", sh, "${{ item }}"]}}
      check: {needs: [drain], run: "test -e go || exit 3"}
finally:
  tell: {argv: [sh, -c, "echo end $1 >> log", sh, "${{ run.outcome }}"]}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("nodes", &[]);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::RolledBack, "{run:#?}\n{}", daemon.log());
    assert_eq!(step(&run, "up").status(), StepStatus::Failed);
    assert_eq!(below(&run, "up").status(), RunStatus::RolledBack);
    assert_eq!(project.lines("log"), ["+a", "-a", "end rolled_back"]);
    let status = runbook(&project, &["status", "1"]).out;
    assert!(status.contains("runbook resume 1") && status.contains("what was rolled back runs again"), "{status}");
    // What was undone is done again, and all goes on behind it.
    project.file("go", "");
    assert_eq!(runbook(&project, &["resume", "1"]).code, 0, "{}", daemon.log());
    assert_eq!(project.lines("log")[3..], ["+a", "+b", "end succeeded"]);
}

#[test]
fn a_rollback_is_told_before_it_is_asked_for() {
    let project = Project::with(
        "many",
        r#"
inputs: {key: {type: string, secret: true, required: true}}
steps:
  network:
    run: "echo +network >> log; echo id=n7 >> $RUNBOOK_OUTPUT"
    outputs: {id: string}
    rollback: {argv: [sh, -c, "echo -network >> log", sh, "${{ default(attempt.outputs.id, 'none') }}"]}
  copy:
    needs: [network]
    for_each: [a, b]
    max_parallel: 1
    steps:
      do: {argv: [sh, -c, "echo +$1 >> log", sh, "${{ item }}"], rollback: {argv: [sh, -c, "echo -$1 >> log", sh, "${{ item }}"], env: {KEY: "${{ inputs.key }}"}}}
  app: {needs: [copy], uses: runbook, with: {name: app}}
  check: {needs: [app], run: "exit 3"}
"#,
    );
    project.runbook("app", &APP.replace("; BODY", ""));
    let daemon = Daemon::start(&project);
    let run = daemon.exec("many", &[("key", "geheim")]);
    assert_eq!(daemon.wait_over(&run.name).status(), RunStatus::Failed, "{}", daemon.log());
    let (events, before) = (daemon.events(&run.name).len(), project.lines("log").len());
    let said = runbook(&project, &["rollback", "1", "--dry-run", "--output", "json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let told: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let undo: Vec<(&str, &str)> = told["undo"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|undo| (undo["step"].as_str().unwrap_or(""), undo["command"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(
        undo,
        [
            ("app/machine", "echo -machine >> log"),
            ("app/disk", "echo -disk >> log"),
            ("copy[\"b\"]/do", "sh -c echo -$1 >> log sh b"),
            ("copy[\"a\"]/do", "sh -c echo -$1 >> log sh a"),
            ("network", "sh -c echo -network >> log sh n7"),
        ]
    );
    let text = runbook(&project, &["rollback", "1", "--dry-run"]);
    assert!(text.out.contains("app/disk") && text.err.contains("nothing was done"), "{text:?}");
    // Nothing was done, nor noted.
    assert_eq!((daemon.events(&run.name).len(), project.lines("log").len()), (events, before));
    assert_eq!(runbook(&project, &["rollback", "1", "--reason", "try"]).code, 0, "{}", daemon.log());
    let done: Vec<String> = project.lines("log").into_iter().filter(|line| line.starts_with('-')).collect();
    assert_eq!(done, ["-machine", "-disk", "-b", "-a", "-network"]);
    // What would be refused is, with the same words.
    let refused = runbook(&project, &["rollback", "1", "--dry-run"]);
    assert!(refused.code == 6 && refused.err.contains("it is rolled back already"), "{refused:?}");
}
