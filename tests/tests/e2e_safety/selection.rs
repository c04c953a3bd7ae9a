//! What a start leaves out, and what it gives instead.

use runbook_proto::v1::{GivenOutput, RunStatus, Selection, StartRunRequest, StepStatus};
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, step};
use serde_json::{Value, json};
use tonic_types::StatusExt as _;

const SHIP: &str = r#"
inputs: {to: {type: string, default: a}, key: {type: string, secret: true}}
steps:
  build: {run: "echo build >> log; touch \"$RUNBOOK_ARTIFACTS/a.txt\"; printf 'image=app:1\\nsize=1\\n' >> \"$RUNBOOK_OUTPUT\"", outputs: {image: string, size: integer}, artifacts: [a.txt], if: "inputs.to != 'nowhere'"}
  test: {needs: [build], argv: [sh, -c, 'echo "test $0" >> log', "${{ steps.build.outputs.image }}"]}
  size: {needs: [build], if: "default(steps.build.outputs.size, 0) < 5", run: "echo size >> log"}
  push: {needs: [test, size], env: {IMAGE: "${{ steps.build.outputs.image }}"}, run: 'echo "push $IMAGE" >> log'}
  note: {needs: [push], run: "echo note >> log", env: {KEY: "${{ default(inputs.key, '') }}"}}
finally:
  tell: {argv: [sh, -c, 'echo "tell $0 $1" >> log', "${{ default(steps.build.outputs.image, 'none') }}", "${{ run.outcome }}"]}
"#;

fn ship() -> (Project, Daemon) {
    let project = Project::with("ship", SHIP);
    let daemon = Daemon::start(&project);
    (project, daemon)
}

#[test]
fn what_is_left_out_counts_as_succeeded() {
    let (project, daemon) = ship();
    let options = ["--from", "push", "--set-output", "build.image=app:7"];
    let said = runbook(&project, &[&["exec", "ship"], &options[..]].concat());
    assert_eq!(said.code, 0, "{said:?}\n{}", daemon.log());
    assert_eq!(project.lines("log"), ["push app:7", "note", "tell app:7 succeeded"]);
    let run = daemon.get("1");
    let build = step(&run, "build");
    assert_eq!((build.status(), build.message.as_str()), (StepStatus::Skipped, "left out by the start"));
    assert_eq!(build.outputs.as_ref().expect("outputs").fields.len(), 1);
    // The history has it with names, and so have the lists of a person.
    let wanted = Selection {
        from: vec!["push".to_owned()],
        outputs: vec![GivenOutput { step: "build".to_owned(), key: "image".to_owned(), text: "app:7".to_owned() }],
        left_out: vec!["build".to_owned(), "test".to_owned(), "size".to_owned()],
        ..Selection::default()
    };
    assert_eq!(run.selection.as_ref(), Some(&wanted));
    assert_eq!(daemon.events("1")[0].selection.as_ref(), Some(&wanted));
    let status = runbook(&project, &["status", "1"]).out;
    assert!(status.contains("left out: build, test, size (--from push --set-output build.image=…)\n"), "{status}");
    assert!(runbook(&project, &["events", "1"]).out.contains(" with --from push --set-output build.image=…"));
    let json: Value = serde_json::from_str(&runbook(&project, &["status", "1", "--output", "json"]).out).expect("JSON");
    assert_eq!(json["selection"]["left_out"], json!(["build", "test", "size"]));
}

#[test]
fn options_agree_on_what_runs() {
    let (project, daemon) = ship();
    for (number, (options, log)) in [
        (&["--until", "test"][..], &["build", "test app:1"][..]),
        (&["--from", "test", "--until", "push", "--set-output", "build.image=x"], &["push x", "test x"]),
        (&["--only", "note"], &["note"]),
        (&["--skip", "test", "--skip", "tell"], &["build", "note", "push app:1", "size"]),
    ]
    .into_iter()
    .enumerate()
    {
        project.file("log", "");
        let said = runbook(&project, &[&["exec", "ship", "--quiet"], options].concat());
        assert_eq!(said.code, 0, "{options:?}: {said:?}\n{}", daemon.log());
        let mut lines = project.lines("log");
        lines.retain(|line| !line.starts_with("tell"));
        lines.sort();
        assert_eq!(lines, log, "{options:?}");
        assert_eq!(daemon.get(&(number + 1).to_string()).status(), RunStatus::Succeeded);
    }
}

#[test]
fn what_cannot_be_chosen_is_refused_at_once() {
    let (project, daemon) = ship();
    for (options, problems) in [
        (
            &["--skip", "buidl", "--only", "tell"][..],
            &[
                r#"there is no step "buidl"; did you mean "build"?"#,
                r#""tell" is a step of `finally`, which runs in any case; `skip` leaves it out"#,
            ][..],
        ),
        (
            &["--skip", "build"],
            &[
                r#"build is left out, and its output "image" is not given: build.image=VALUE; it is wanted by test, push"#,
            ],
        ),
        (
            &["--skip", "build", "--set-output", "build.image=a", "--set-output", "build.size=big"],
            &["build.size has to be of type integer"],
        ),
        (
            &["--skip", "build", "--set-output", "build.imag=a", "--set-output", "test.x=1"],
            &[
                r#""build" declares no output "imag"; did you mean "image"?"#,
                r#""test" is not left out: it makes its outputs itself"#,
            ],
        ),
        (&["--from", "push", "--until", "build"], &["no step is left: only those run that all options agree on"]),
    ] {
        for verb in ["exec", "plan"] {
            let said = runbook(&project, &[&[verb, "ship"], options].concat());
            assert_eq!(said.code, 2, "{options:?}: {said:?}\n{}", daemon.log());
            for problem in problems {
                assert!(said.err.contains(problem), "{options:?}: {}", said.err);
            }
        }
    }
    let selection = Selection { skip: vec!["build".to_owned()], ..Selection::default() };
    let request = StartRunRequest { runbook: "ship".to_owned(), selection: Some(selection), ..Default::default() };
    let refused = daemon.runs(|mut client| async move { client.start_run(request).await }).expect_err("refused");
    let details = refused.get_error_details();
    assert_eq!(details.error_info().expect("a reason").reason, "SELECTION");
    assert_eq!(details.bad_request().expect("fields").field_violations[0].field, "selection.set_output");
    assert_eq!(runbook(&project, &["exec", "ship", "--set-output", "build=1"]).code, 2);
    assert!(runbook(&project, &["runs"]).out.is_empty(), "nothing started");
}

#[test]
fn a_plan_shows_what_is_left_out() {
    let (project, daemon) = ship();
    let options = ["--skip", "build", "--set-output", "build.image=a", "--set-output", "build.size=9"];
    let said = runbook(&project, &[&["plan", "ship"], &options[..]].concat());
    assert_eq!(said.code, 0, "{said:?}\n{}", daemon.log());
    let row = |id: &str| {
        let line = said.out.lines().find(|line| line.starts_with(id)).unwrap_or_default();
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("|")
    };
    assert_eq!(row("build"), "build|left out|mutating");
    // What it is given decides further on.
    assert_eq!(row("size"), "size|skipped|mutating|its `if` is false");
}

#[test]
fn a_run_like_another_takes_its_inputs_and_steps() {
    let (project, daemon) = ship();
    let first = ["exec", "ship", "-i", "to=b", "--only", "note"];
    assert_eq!(runbook(&project, &first).code, 0);
    assert_eq!(runbook(&project, &["exec", "--like", "last"]).code, 0, "{}", daemon.log());
    let second = daemon.get("2");
    let first = daemon.get("1");
    assert_eq!((&second.selection, &second.inputs), (&first.selection, &first.inputs));
    let other = ["exec", "ship", "--like", "1", "-i", "to=c", "--only", "build"];
    assert_eq!(runbook(&project, &other).code, 0, "{}", daemon.log());
    let third = daemon.get("3");
    assert_eq!(third.selection.expect("a selection").only, ["build"]);
    let to = third.inputs.expect("inputs").fields["to"].clone();
    assert_eq!(to.kind, Some(prost_types::value::Kind::StringValue("c".to_owned())));
    // A secret is not kept, and another runbook is another one.
    assert_eq!(runbook(&project, &["exec", "ship", "-i", "key=geheim", "--only", "note"]).code, 0);
    let secret = runbook(&project, &["exec", "--like", "4"]);
    assert!(secret.code == 6 && secret.err.contains(r#"the secret input "key" of run 4 is not kept"#), "{secret:?}");
    assert_eq!(runbook(&project, &["exec", "--like", "4", "-i", "key=neu"]).code, 0);
    project.runbook("else", "steps:\n  a: {argv: [\"true\"]}\n");
    let wrong = runbook(&project, &["exec", "else", "--like", "1"]);
    assert!(wrong.code == 2 && wrong.err.contains("run 1 is one of ship, not of else"), "{wrong:?}");
    assert_eq!(runbook(&project, &["exec", "--like", "77"]).code, 2);
}

#[test]
fn a_resume_leaves_out_the_same() {
    let project = Project::with(
        "again",
        "steps:\n  a: {run: echo a >> log}\n  b: {needs: [a], run: echo b >> log; test -e mended}\n  c: {needs: [b], run: echo c >> log}\n",
    );
    let daemon = Daemon::start(&project);
    assert_eq!(runbook(&project, &["exec", "again", "--from", "b"]).code, 1);
    project.file("mended", "");
    daemon.kill();
    let daemon = Daemon::start(&project);
    assert_eq!(runbook(&project, &["resume", "1"]).code, 0, "{}", daemon.log());
    assert_eq!(project.lines("log"), ["b", "b", "c"]);
}

#[test]
fn an_approval_that_is_left_out_guards_nothing() {
    let project = Project::with(
        "asked",
        "steps:\n  go: {uses: approval, with: {message: go}}\n  drop: {needs: [go], effect: destructive, target: db, run: echo drop >> log}\n",
    );
    let daemon = Daemon::start(&project);
    let refused = runbook(&project, &["exec", "asked", "--skip", "go"]);
    assert!(refused.code == 6 && refused.err.contains("--skip go --confirm db"), "{refused:?}\n{}", daemon.log());
    assert_eq!(runbook(&project, &["exec", "asked", "--skip", "go", "--confirm", "db"]).code, 0);
    assert_eq!(project.lines("log"), ["drop"]);
}
