//! Runs that go on by an edited runbook, with the real programs: what is kept, what runs again, what an edit may not
//! change, child runs, and a daemon that is killed in the middle.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use runbook_proto::v1::{EventType, ResumeRunRequest, ResumeRunResponse, Run, RunStatus, StepStatus, WatchRunRequest};
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, step};
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

const SHIP: &str = r#"
steps:
  build: {effect: idempotent, run: echo build >> log}
  pack:
    needs: [build]
    effect: idempotent
    run: |
      echo pack >> log
      echo size=1 >> "$RUNBOOK_OUTPUT"
    outputs: {size: integer}
  ship: {needs: [pack], effect: idempotent, run: exit 3}
  check: {needs: [ship], effect: read, argv: [echo, "${{ steps.pack.outputs.size }}"]}
"#;

fn edited(project: &Project, name: &str, body: &str, changes: &[(&str, &str)]) {
    let mut text = body.to_owned();
    for (before, after) in changes {
        assert!(text.contains(before), "{before} is not in\n{text}");
        text = text.replace(before, after);
    }
    project.runbook(name, &text);
}

fn ask(daemon: &Daemon, request: ResumeRunRequest) -> Result<ResumeRunResponse, Status> {
    daemon.runs(|mut client| async move { client.resume_run(request).await })
}

fn with(run: &Run, definition: &str) -> ResumeRunRequest {
    let (name, definition) = (run.name.clone(), definition.to_owned());
    ResumeRunRequest { name, edited: true, definition, reason: "mended".to_owned(), ..Default::default() }
}

/// What the comparison says, a line a step.
fn compare(daemon: &Daemon, run: &Run) -> Result<(String, Vec<String>), Status> {
    let answer = ask(daemon, ResumeRunRequest { validate_only: true, ..with(run, "") })?;
    let edition = answer.edition.expect("a comparison");
    let line = |step: &runbook_proto::v1::EditedStep| {
        let told = [(step.added, "new"), (step.again, "again"), (step.anew, "anew")];
        let told = told.iter().filter(|(is, _)| *is).map(|(_, told)| (*told).to_owned());
        let keys = (!step.keys.is_empty()).then(|| step.keys.join(","));
        std::iter::once(step.id.clone()).chain(keys).chain(told).collect::<Vec<_>>().join(" ")
    };
    Ok((edition.definition, edition.steps.iter().map(line).collect()))
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().expect("a reason").reason
}

fn over(daemon: &Daemon, run: &Run, epoch: u32) -> Run {
    daemon.wait(&run.name, "its end", |run| run.epoch == epoch && run.finished_at.is_some())
}

#[test]
fn a_mended_runbook_takes_the_run_up_over_a_kill() {
    let project = Project::with("ship", SHIP);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("ship", &[]);
    let before = daemon.wait_over(&run.name);
    assert_eq!(before.status(), RunStatus::Failed, "{before:#?}");

    // The first repair, with a step that is new; it is killed in the middle, and fails.
    let wait = "run: 'echo ship >> log; while [ -e hold ]; do sleep 0.02; done; exit 4'}\n  tell: {needs: [ship], \
                effect: idempotent, run: echo tell >> log}";
    project.file("hold", "");
    edited(&project, "ship", SHIP, &[("run: exit 3}", wait)]);
    let number = run.number.to_string();
    let shown = runbook(&project, &["resume", &number, "--edited"]);
    assert_ne!(shown.code, 0, "nobody agreed");
    for line in ["the runbook was edited:", "  step ship: run or argv differs", "  step tell: new"] {
        assert!(shown.out.contains(line), "{line} is not in\n{}", shown.out);
    }
    assert_eq!(daemon.get(&run.name), before, "nothing happened to it");
    let (_, after) = shown.err.split_once("--definition ").expect("what to do next");
    let definition: String = after.chars().take_while(char::is_ascii_hexdigit).collect();
    let resumed = runbook(&project, &["resume", &number, "--edited", "--definition", &definition, "--detach"]);
    assert_eq!(resumed.code, 0, "{}", resumed.err);
    daemon.wait(&run.name, "the ship", |run| step(run, "ship").status() == StepStatus::Running);
    daemon.kill();
    let daemon = Daemon::start(&project);
    std::fs::remove_file(project.path("hold")).expect("it was there");
    let failed = over(&daemon, &run, 2);
    assert_eq!(failed.status(), RunStatus::Failed, "{failed:#?}");
    assert!(failed.definition.starts_with(&definition), "{}", failed.definition);
    assert_eq!(step(&failed, "tell").status(), StepStatus::Skipped, "{failed:#?}");
    assert_eq!(project.lines("log"), ["build", "pack", "ship"]);

    // The second one changes what succeeded, too; over another start, and in another order of the file.
    let tell = "steps:\n  tell: {needs: [ship], effect: idempotent, run: echo tell >> log}";
    let changes = [
        ("run: exit 3}", "run: echo ship >> log}"),
        ("steps:", tell),
        ("size=1", "size=2"),
        ("echo pack", "echo PACK"),
    ];
    edited(&project, "ship", SHIP, &changes);
    let (definition, steps) = compare(&daemon, &run).expect("it can be");
    assert_eq!(steps, ["pack run or argv again", "ship run or argv"]);
    daemon.kill();
    let daemon = Daemon::start(&project);
    ask(&daemon, with(&run, &definition)).expect("resume");
    let done = over(&daemon, &run, 3);
    assert_eq!(done.status(), RunStatus::Succeeded, "{done:#?}");
    assert_eq!(project.lines("log"), ["build", "pack", "ship", "PACK", "ship", "tell"]);
    assert_eq!(daemon.logs(&run.name, "check"), ["2"]);
    assert_eq!(step(&done, "build").attempts, 1);

    // The history tells both.
    daemon.kill();
    let daemon = Daemon::start(&project);
    let events = daemon.events(&run.name);
    let resumed: Vec<_> = events.iter().filter(|event| event.r#type() == EventType::Resumed).collect();
    assert_eq!(resumed.len(), 2);
    assert_eq!((&resumed[1].definition, &resumed[1].runs_again), (&definition, &vec!["pack".to_owned()]));
    let told = runbook(&project, &["events", &number]).out;
    for line in [", by the edited definition ", ", with pack once more", "step tell: succeeded"] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
}

#[test]
fn an_edit_under_finished_steps_is_refused_and_changes_nothing() {
    let project = Project::with("ship", SHIP);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("ship", &[]);
    let before = daemon.wait_over(&run.name);
    let events = daemon.events(&run.name).len();
    let refused = |changes: &[(&str, &str)], why: &str| {
        edited(&project, "ship", SHIP, changes);
        let status = compare(&daemon, &run).expect_err("it may not be");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "EDIT"), "{status}");
        assert!(status.message().contains(why), "{status}");
        // It is refused to whoever does not look first, too.
        let status = ask(&daemon, with(&run, "0123456789")).expect_err("it may not be");
        assert_eq!(reason(&status), "EDIT");
    };
    refused(
        &[("  pack:\n    needs: [build]", "  pack:\n    needs: []")],
        "step \"pack\" has succeeded, and its `needs` would change from build to nothing",
    );
    refused(&[("  build:", "  make:"), ("needs: [build]", "needs: [make]")], "step \"build\" is gone");
    refused(&[("\nsteps:", "\ninputs: {to: {type: string, default: a}}\nsteps:")], "`inputs` was changed");
    let said = runbook(&project, &["resume", &run.number.to_string(), "--edited"]);
    assert_ne!(said.code, 0);
    assert!(said.err.contains("start a new run of the runbook"), "{}", said.err);
    assert!(
        said.err.contains("the edited runbook cannot take this run over\n  - `inputs` was changed"),
        "{}",
        said.err
    );

    // What was not looked at is not agreed to.
    edited(&project, "ship", SHIP, &[("run: exit 3}", "run: exit 4}")]);
    let (definition, _) = compare(&daemon, &run).expect("it can be");
    edited(&project, "ship", SHIP, &[("run: exit 3}", "run: exit 5}")]);
    for shown in [definition.as_str(), "", "0123"] {
        let status = ask(&daemon, with(&run, shown)).expect_err("it was edited since");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "EDIT_STALE"), "{status}");
    }
    // What is broken, or is no more, neither.
    project.runbook("ship", "steps: {ship: {uses: nothing}}");
    assert_eq!(reason(&compare(&daemon, &run).expect_err("it is broken")), "BROKEN_RUNBOOK");
    std::fs::remove_file(project.path("runbooks/ship.yaml")).expect("it was there");
    assert_eq!(reason(&compare(&daemon, &run).expect_err("it is gone")), "NO_SUCH_RUNBOOK");
    assert_eq!(daemon.get(&run.name), before);
    assert_eq!(daemon.events(&run.name).len(), events);
}

#[test]
fn a_run_that_goes_on_is_not_edited() {
    let project = Project::with("ship", "\nsteps:\n  wait: {uses: approval, with: {message: go on?}}\n");
    let daemon = Daemon::start(&project);
    let run = daemon.exec("ship", &[]);
    daemon.wait(&run.name, "the question", |run| run.status() == RunStatus::Waiting);
    let status = compare(&daemon, &run).expect_err("it is on");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "NOT_RESUMABLE"), "{status}");
}

/// The steps that a watcher of the whole tree is told of, from the beginning.
fn watched(daemon: &Daemon, run: &Run) -> Vec<String> {
    let request = WatchRunRequest { name: run.name.clone(), tree: true, ..Default::default() };
    let told = daemon.runs(|mut client| async move {
        let mut stream = client.watch_run(request).await?.into_inner();
        let mut starts = Vec::new();
        while let Some(message) = stream.message().await? {
            let attempts = message.events.into_iter().filter(|event| event.r#type() == EventType::AttemptStarting);
            starts.extend(attempts.map(|event| event.step));
        }
        Ok(Response::new(starts))
    });
    told.expect("a watch")
}

const MOVE: &str = r#"
steps:
  hosts:
    needs: [move]
    for_each: [1, 2, 3]
    effect: idempotent
    env: {HOST: "${{ item }}"}
    run: |
      echo "host $HOST" >> log
      test "$HOST" != 2 || test -e good
  move:
    steps:
      drain: {effect: idempotent, run: echo drain >> log}
      copy: {needs: [drain], effect: idempotent, run: 'echo copy >> log; test -e copied'}
  end: {needs: [hosts], effect: idempotent, run: exit 1}
"#;

#[test]
fn child_runs_are_opened_again_unless_they_were_edited() {
    let project = Project::with("move", MOVE);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("move", &[]);
    daemon.wait_over(&run.name);
    assert_eq!(project.lines("log"), ["drain", "copy"]);

    // An edit beside the block: what succeeded in it is kept.
    project.file("copied", "");
    edited(&project, "move", MOVE, &[("run: exit 1", "run: exit 2")]);
    let (definition, steps) = compare(&daemon, &run).expect("it can be");
    assert_eq!(steps, ["end run or argv"]);
    ask(&daemon, with(&run, &definition)).expect("resume");
    let failed = over(&daemon, &run, 2);
    assert_eq!(step(&failed, "move").status(), StepStatus::Succeeded, "{failed:#?}");
    let block = step(&failed, "move").child_run.clone().expect("its run");
    assert_eq!((block.epoch, step(&block, "drain").attempts), (2, 1), "{block:#?}");
    assert_eq!(project.lines("log")[..3], ["drain", "copy", "copy"]);

    // One of what is done for each item: all of them begin anew, and the comparison says so. The block is kept.
    let log = project.lines("log").len();
    edited(&project, "move", MOVE, &[("run: exit 1", "run: exit 2"), ("\"host $HOST\"", "\"HOST $HOST\"")]);
    project.file("good", "");
    let (definition, steps) = compare(&daemon, &run).expect("it can be");
    assert_eq!(steps, ["hosts run or argv anew"]);
    daemon.kill();
    let daemon = Daemon::start(&project);
    ask(&daemon, with(&run, &definition)).expect("resume");
    over(&daemon, &run, 3);
    let mut lines = project.lines("log").split_off(log);
    lines.sort();
    assert_eq!(lines, ["HOST 1", "HOST 2", "HOST 3"]);

    // Whoever watches from the beginning sees each run by its own definition.
    daemon.kill();
    let daemon = Daemon::start(&project);
    let steps = watched(&daemon, &run);
    for step in ["end", "move/drain", "move/copy", "hosts[\"2\"]"] {
        assert!(steps.iter().any(|told| told == step), "{step} is not among {steps:?}");
    }
    assert!(steps.iter().all(|step| !step.is_empty() && !step.ends_with('/')), "{steps:?}");
    edited(&project, "move", MOVE, &[("run: exit 1", "run: exit 0"), ("\"host $HOST\"", "\"HOST $HOST\"")]);
    let (definition, _) = compare(&daemon, &run).expect("it can be");
    ask(&daemon, with(&run, &definition)).expect("resume");
    assert_eq!(over(&daemon, &run, 4).status(), RunStatus::Succeeded);
}
