//! What is destroyed is confirmed by its name.

use runbook_proto::v1::{EventType, ResumeRunRequest, RunStatus, StartRunRequest};
use runbook_tests::e2e::command::{command, runbook};
use runbook_tests::e2e::{CTRL_C, Daemon, Project, Terminal};
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt as _;

const WIPE: &str = r#"
inputs:
  db: {type: string, required: true}
  all: {type: boolean, default: false}
  key: {type: string, secret: true}
steps:
  look: {effect: read, run: "echo look >> log"}
  drop: {needs: [look], effect: destructive, target: "db/${{ inputs.db }}", run: "echo drop >> log; test -e mended"}
  more: {needs: [drop], if: inputs.all, effect: destructive, target: "all dumps", run: "echo more >> log"}
  say: {needs: [drop], effect: read, env: {K: "${{ default(inputs.key, '') }}"}, run: "echo say >> log"}
"#;

fn wipe() -> Project {
    let project = Project::with("wipe", WIPE);
    project.file("mended", "");
    project
}

#[test]
fn a_start_without_a_confirmation_says_what_to_type() {
    let project = wipe();
    let daemon = Daemon::start(&project);
    let said = runbook(&project, &["exec", "wipe", "-i", "db=orders", "-i", "all=true", "-i", "key=geheim"]);
    assert_eq!(said.code, 6, "{said:?}\n{}", daemon.log());
    let expected = "error: this destroys what was not confirmed by name\n  - db/orders: destroyed by step drop\n  \
        - all dumps: destroyed by step more\n  next: if that is meant: runbook ";
    assert!(said.err.starts_with(expected), "{}", said.err);
    let options = "exec wipe -i db=orders -i all=true -i key=… --confirm db/orders --confirm 'all dumps'\n";
    assert!(said.err.ends_with(options), "{}", said.err);
    let json = runbook(&project, &["exec", "wipe", "-i", "db=orders", "--output", "json"]);
    let value: Value = serde_json::from_str(&json.err).expect("JSON");
    assert_eq!(value["error"]["reason"], "UNCONFIRMED");
    assert_eq!(value["error"]["metadata"]["targets"], r#"["db/orders"]"#);
    for arguments in [&["--confirm", "db/order"][..], &["--validate-only"], &["--confirm", "all dumps"]] {
        let arguments = [&["exec", "wipe", "-i", "db=orders"], arguments].concat();
        assert_eq!(runbook(&project, &arguments).code, 6, "{arguments:?}");
    }
    assert!(runbook(&project, &["runs"]).out.is_empty());
    assert!(project.read("log").is_none(), "nothing ran");
    let valid = runbook(&project, &["exec", "wipe", "-i", "db=orders", "--confirm", "db/orders", "--validate-only"]);
    assert_eq!(valid.code, 0, "{valid:?}");
    let ran = runbook(&project, &["exec", "wipe", "-i", "db=orders", "--confirm", "db/orders", "--confirm", "else"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(project.lines("log"), ["look", "drop", "say"]);
    // It stays in the history, of what there was to confirm.
    let run = daemon.get("1");
    assert_eq!(run.confirmed, ["db/orders"]);
    let events = daemon.events("1");
    assert_eq!(events[0].confirmed, ["db/orders"]);
    let who = run.started_by.expect("somebody").name;
    let told = runbook(&project, &["events", "1"]);
    assert!(told.out.contains(&format!("created by {who}, who confirmed db/orders")), "{told:?}");
    assert!(runbook(&project, &["status", "1"]).out.contains("confirmed: db/orders\n"));
}

#[test]
fn a_plan_tells_what_has_to_be_confirmed() {
    let project = wipe();
    let _daemon = Daemon::start(&project);
    let plan = runbook(&project, &["plan", "wipe", "-i", "db=orders"]);
    assert_eq!(plan.code, 0, "{plan:?}");
    assert!(plan.out.contains("has to be confirmed: db/orders  (destroyed by drop)\n"), "{}", plan.out);
    let json = runbook(&project, &["plan", "wipe", "-i", "db=orders", "-i", "all=true", "--output", "json"]);
    let value: Value = serde_json::from_str(&json.out).expect("JSON");
    let target = |name: &str, step: &str| json!({"name": name, "steps": [step], "confirmed": false});
    assert_eq!(value["targets"], json!([target("db/orders", "drop"), target("all dumps", "more")]));
    assert_eq!(value["problems"], json!([]));
}

#[test]
fn a_person_types_the_name() {
    let project = wipe();
    let daemon = Daemon::start(&project);
    let exec = || Terminal::start(command(&project, &["exec", "wipe", "-i", "db=orders", "-i", "all=true"]), 80, 24);
    let mut terminal = exec();
    terminal.wait_text("this destroys db/orders (destroyed by step drop)");
    terminal.wait_text("type its name to go on:");
    terminal.type_text("db/orders\n");
    terminal.wait_text("this destroys all dumps");
    terminal.type_text("all dump\n");
    let (code, screen) = terminal.finish();
    assert_eq!(code, 6, "{}", screen.whole());
    assert!(screen.whole().contains("that is not all dumps: nothing was started"), "{}", screen.whole());
    let mut terminal = exec();
    terminal.wait_text("type its name to go on:");
    terminal.type_text(CTRL_C);
    let (code, screen) = terminal.finish();
    assert!(code == 130 && screen.whole().contains("nothing was started"), "{code}: {}", screen.whole());
    assert!(project.read("log").is_none() && runbook(&project, &["runs"]).out.is_empty(), "nothing ran");
    let mut terminal = exec();
    terminal.wait_text("this destroys db/orders");
    terminal.type_text("db/orders\n");
    terminal.wait_text("this destroys all dumps");
    terminal.type_text("all dumps\n");
    let (code, screen) = terminal.finish();
    assert_eq!(code, 0, "{}\n{}", screen.whole(), daemon.log());
    assert_eq!(daemon.get("1").confirmed, ["db/orders", "all dumps"]);
}

#[test]
fn a_resume_asks_again_for_what_is_destroyed_again() {
    let project = Project::with("wipe", WIPE);
    let daemon = Daemon::start(&project);
    let ran = runbook(&project, &["exec", "wipe", "-i", "db=orders", "--confirm", "db/orders"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    project.file("mended", "");
    let refused = runbook(&project, &["resume", "1"]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.err.ends_with("resume 1 --confirm db/orders\n"), "{}", refused.err);
    assert_eq!(daemon.get("1").status(), RunStatus::Failed);
    assert_eq!(runbook(&project, &["resume", "1", "--confirm", "db/orders"]).code, 0);
    assert_eq!(project.lines("log"), ["look", "drop", "drop", "say"]);
    let resumed = daemon.events("1").into_iter().find(|event| event.r#type() == EventType::Resumed).expect("a resume");
    assert_eq!(resumed.confirmed, ["db/orders"]);
}

#[test]
fn a_resume_that_destroys_nothing_again_asks_nothing() {
    let project = Project::with(
        "late",
        "steps:\n  first: {effect: idempotent, run: test -e mended}\n  drop: {needs: [first], effect: destructive, target: db, run: echo drop >> log}\n",
    );
    let daemon = Daemon::start(&project);
    assert_eq!(runbook(&project, &["exec", "late", "--confirm", "db"]).code, 1);
    project.file("mended", "");
    assert_eq!(runbook(&project, &["resume", "1"]).code, 0, "{}", daemon.log());
    assert_eq!(project.lines("log"), ["drop"]);
}

#[test]
fn an_approval_stands_for_a_confirmation() {
    let project = Project::with(
        "asked",
        r#"
steps:
  find: {effect: read, run: "echo name=old >> \"$RUNBOOK_OUTPUT\"", outputs: {name: string}}
  go: {needs: [find], uses: approval, with: {message: "drop ${{ steps.find.outputs.name }}?"}}
  drop: {needs: [go], effect: destructive, target: "db/${{ steps.find.outputs.name }}", run: "echo drop >> log"}
"#,
    );
    let daemon = Daemon::start(&project);
    assert_eq!(runbook(&project, &["exec", "asked", "--detach"]).code, 0, "{}", daemon.log());
    daemon.wait("1", "the question", |run| run.steps.iter().any(|step| step.approval.is_some()));
    assert_eq!(runbook(&project, &["approve", "1", "go"]).code, 0);
    assert_eq!(daemon.wait_over("1").status(), RunStatus::Succeeded);
    assert_eq!(project.lines("log"), ["drop"]);
}

#[test]
fn the_api_refuses_with_the_names() {
    let project = wipe();
    let daemon = Daemon::start(&project);
    let request = |confirm: Vec<String>| StartRunRequest {
        runbook: "wipe".to_owned(),
        input_texts: [("db".to_owned(), "orders".to_owned())].into(),
        request_id: "one".to_owned(),
        confirm,
        ..StartRunRequest::default()
    };
    let start = |confirm| daemon.runs(|mut client| async move { client.start_run(request(confirm)).await });
    let refused = start(Vec::new()).expect_err("not confirmed");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let details = refused.get_error_details();
    let info = details.error_info().expect("a reason");
    assert_eq!((info.reason.as_str(), info.metadata["targets"].as_str()), ("UNCONFIRMED", r#"["db/orders"]"#));
    let violation = &details.precondition_failure().expect("violations").violations[0];
    assert_eq!((violation.subject.as_str(), violation.description.as_str()), ("db/orders", "destroyed by step drop"));
    for bad in [vec![String::new()], vec!["x".repeat(300)], vec!["x".to_owned(); 1_001]] {
        let wrong = start(bad).expect_err("no name");
        assert_eq!(wrong.code(), Code::InvalidArgument, "{wrong:?}");
        let fields = wrong.get_error_details();
        assert_eq!(fields.bad_request().expect("fields").field_violations[0].field, "confirm");
    }
    // What was refused has not used the request's id; and who repeats it need not confirm once more.
    let first = start(vec!["db/orders".to_owned()]).expect("a run").run.expect("a run");
    let again = start(Vec::new()).expect("the same");
    assert!(again.repeated_request && again.run.expect("a run").uid == first.uid);
    daemon.wait_over(&first.name);
    let late = ResumeRunRequest {
        name: first.name,
        reason: String::new(),
        confirm: vec![String::new()],
        ..Default::default()
    };
    let wrong = daemon.runs(|mut client| async move { client.resume_run(late).await }).expect_err("no name");
    assert_eq!(wrong.code(), Code::InvalidArgument);
}
