//! Environments: where a run acts, what it finds there, and where its inputs came from.

use runbook_proto::v1::{RunStatus, StartRunRequest};
use runbook_tests::e2e::command::{Said, command, runbook, said};
use runbook_tests::e2e::{Daemon, Project};
use serde_json::{Value, json};
use tonic::Code;
use tonic_types::StatusExt as _;

const DEPLOY: &str = r#"
inputs:
  keep: {type: integer, default: 7, minimum: 1}
  to-host: {type: string, default: here}
  note: {type: string}
env: {REGION: "${{ environment.values.region }}"}
locks: ["deploy/${{ inputs.to-host }}"]
steps:
  go:
    run: 'echo "$RUNBOOK_ENVIRONMENT $REGION $KEEP $HOST $ENV" >> log; if test -e hold; then while test -e hold; do sleep 0.05; done; fi'
    env: {KEEP: "${{ inputs.keep }}", HOST: "${{ inputs.to-host }}", ENV: "${{ environment.name }}"}
  below: {needs: [go], uses: runbook, with: {name: below}}
"#;
const BELOW: &str = r#"
inputs: {keep: {type: integer, default: 1}}
steps:
  go: {argv: [sh, -c, 'echo "below $RUNBOOK_ENVIRONMENT $0 $1" >> log', "${{ inputs.keep }}", "${{ default(environment.values.region, 'x') }}"]}
"#;

fn project() -> Project {
    let project = Project::with("deploy", DEPLOY);
    project.runbook("below", BELOW);
    place(&project, "prod", "values: {region: eu}\ninputs: {keep: 14}\n");
    place(&project, "dev", "values: {region: local}\n");
    project
}

fn place(project: &Project, name: &str, body: &str) {
    project.file(&format!("runbooks/environments/{name}.yaml"), &format!("name: {name}\nlanguage: 1\n{body}"));
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

fn with(project: &Project, variables: &[(&str, &str)], arguments: &[&str]) -> Said {
    let mut command = command(project, arguments);
    command.envs(variables.iter().copied());
    said(command)
}

#[test]
fn a_run_finds_what_its_environment_gives() {
    let project = project();
    let daemon = Daemon::start(&project);
    let said = runbook(&project, &["exec", "deploy", "--env", "prod", "--quiet"]);
    assert_eq!(said.code, 0, "{said:?}\n{}", daemon.log());
    // What is not given below comes from the environment as well.
    assert_eq!(project.lines("log"), ["prod eu 14 here prod", "below prod 14 eu"]);
    let run = daemon.get("1");
    assert_eq!((run.environment.as_str(), run.inputs_from.len()), ("prod", 1));
    let created = &daemon.events("1")[0];
    assert_eq!((created.environment.as_str(), created.inputs_from.len()), ("prod", 1));
    assert!(runbook(&project, &["events", "1"]).out.contains(" in prod"));
    let status = runbook(&project, &["status", "1"]).out;
    assert!(
        status.contains("environment: prod\n") && status.contains("inputs: keep from the environment\n"),
        "{status}"
    );
    let listed = runbook(&project, &["runs"]).out;
    assert!(listed.contains("ENV") && listed.contains("prod"), "{listed}");
    assert_eq!(json(&runbook(&project, &["runs", "--env", "dev", "--output", "json"]))["runs"], json!([]));
    let of_prod = json(&runbook(&project, &["runs", "--env", "prod", "--output", "json"]));
    assert_eq!(of_prod["runs"][0]["environment"], "prod");
    // The history holds it over a restart.
    daemon.kill();
    let daemon = Daemon::start(&project);
    assert_eq!(daemon.get("1").environment, "prod");
    assert_eq!(daemon.get("1").inputs_from.len(), 1);
}

#[test]
fn the_first_that_gives_an_input_wins_and_is_told() {
    let project = project();
    let _daemon = Daemon::start(&project);
    let variables = [("RUNBOOK_INPUT_KEEP", "3"), ("RUNBOOK_INPUT_TO_HOST", "there"), ("RUNBOOK_INPUT_OTHER", "x")];
    let told = |variables: &[(&str, &str)], arguments: &[&str]| {
        let options = ["plan", "deploy", "--skip-preflight", "--output", "json"];
        let plan = json(&with(&project, variables, &[&options[..], arguments].concat()));
        let input = |input: &Value| {
            format!("{}={} {}", input["name"].as_str().unwrap(), input["value"], input["source"].as_str().unwrap())
        };
        plan["inputs"].as_array().unwrap().iter().map(input).collect::<Vec<_>>()
    };
    let by_default = ["keep=7 default", "to-host=\"here\" default", "note=null absent"];
    assert_eq!(told(&[], &["--env", "dev"]), by_default);
    let by_environment = ["keep=14 environment", "to-host=\"here\" default", "note=null absent"];
    assert_eq!(told(&[], &["--env", "prod"]), by_environment);
    assert_eq!(told(&[("RUNBOOK_ENVIRONMENT", "prod")], &[]), by_environment);
    let by_variable = ["keep=3 variable", "to-host=\"there\" variable", "note=null absent"];
    assert_eq!(told(&variables, &["--env", "prod"]), by_variable);
    let given = ["keep=5 given", "to-host=\"there\" variable", "note=null absent"];
    assert_eq!(told(&variables, &["--env", "prod", "-i", "keep=5"]), given);
    let human = runbook(&project, &["plan", "deploy", "--skip-preflight", "--env", "prod"]).out;
    assert!(human.contains("plan of deploy in prod") && human.contains("environment prod"), "{human}");
    assert!(human.contains("lock prod:deploy/here"), "{human}");
    let wrong = with(&project, &[("RUNBOOK_INPUT_KEEP", "many")], &["exec", "deploy", "--env", "dev"]);
    assert_eq!(wrong.code, 2, "{wrong:?}");
    assert!(wrong.err.contains("the variable RUNBOOK_INPUT_KEEP: `many` is not a whole number"), "{wrong:?}");
    place(&project, "prod", "values: {region: eu}\ninputs: {keep: 0}\n");
    let wrong = runbook(&project, &["exec", "deploy", "--env", "prod"]);
    assert!(wrong.err.contains("the environment prod gives it: `0` is below the minimum of 1"), "{wrong:?}");
    assert_eq!(json(&runbook(&project, &["runs", "--output", "json"]))["runs"], json!([]));
}

#[test]
fn a_run_that_is_like_another_is_in_the_same_environment() {
    let project = project();
    let daemon = Daemon::start(&project);
    assert_eq!(runbook(&project, &["exec", "deploy", "--env", "prod", "-i", "note=x", "--quiet"]).code, 0);
    assert_eq!(runbook(&project, &["exec", "--like", "1", "--quiet"]).code, 0);
    assert_eq!(daemon.get("2").environment, "prod");
    assert_eq!(runbook(&project, &["exec", "--like", "1", "--env", "dev", "--quiet"]).code, 0);
    let third = daemon.get("3");
    let inputs = third.inputs.as_ref().unwrap();
    // What the other one got from its environment stays there.
    assert_eq!(inputs.fields["keep"].kind, Some(prost_types::value::Kind::NumberValue(7.0)));
    assert_eq!(inputs.fields["note"].kind, Some(prost_types::value::Kind::StringValue("x".to_owned())));
    assert_eq!(project.lines("log")[4], "dev local 7 here dev");
}

#[test]
fn where_nothing_can_run_is_refused_and_nothing_starts() {
    let project = project();
    project.runbook("only", "environments: [prod]\nsteps: {a: {run: 'true'}}\n");
    project.runbook("calls", "steps: {a: {uses: runbook, with: {name: only}}}\n");
    project.runbook(
        "clash",
        "inputs: {region: {type: string, default: x}}\nsteps: {a: {argv: [echo, \"${{ inputs.region }}\"]}}\n",
    );
    project.file("runbooks/environments/bad.yaml", "name: bad\nlanguage: 1\nvalue: {a: 1}\n");
    let daemon = Daemon::start(&project);
    let refused = |runbook: &str, environment: &str| {
        let (runbook, environment) = (runbook.to_owned(), environment.to_owned());
        let request = StartRunRequest { runbook, environment, ..StartRunRequest::default() };
        let status = daemon.runs(|mut client| async move { client.start_run(request).await }).unwrap_err();
        let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
        (status.code(), reason, status.message().to_owned())
    };
    for (runbook, environment, code, reason, said) in [
        (
            "deploy",
            "",
            Code::InvalidArgument,
            "ENVIRONMENT",
            "deploy runs in an environment only; name one of bad, dev, prod",
        ),
        (
            "deploy",
            "prd",
            Code::NotFound,
            "NO_SUCH_ENVIRONMENT",
            "there is no environment \"prd\"; did you mean \"prod\"?",
        ),
        ("deploy", "bad", Code::FailedPrecondition, "BROKEN_ENVIRONMENT", "nothing runs in the environment bad"),
        ("only", "dev", Code::InvalidArgument, "ENVIRONMENT", "only runs in prod only, not in dev"),
        ("calls", "environments/dev", Code::InvalidArgument, "ENVIRONMENT", "only runs in prod only, not in dev"),
        ("calls", "", Code::InvalidArgument, "ENVIRONMENT", "only runs in an environment only; name one of prod"),
        (
            "clash",
            "prod",
            Code::InvalidArgument,
            "ENVIRONMENT",
            "region is an input of clash and a value of the environment prod",
        ),
    ] {
        let (is, why, message) = refused(runbook, environment);
        assert_eq!((is, why.as_str()), (code, reason), "{runbook} in {environment:?}: {message}");
        assert!(message.contains(said), "{runbook} in {environment:?}: {message}");
    }
    let said = runbook(&project, &["exec", "deploy"]);
    assert!(said.err.contains("`runbook environments list` shows all"), "{said:?}");
    assert_eq!(json(&runbook(&project, &["runs", "--output", "json"]))["runs"], json!([]));
    assert_eq!(project.read("log"), None);
    // A name of two meanings keeps nobody else from running there.
    assert_eq!(runbook(&project, &["exec", "only", "--env", "prod", "--quiet"]).code, 0);
}

#[test]
fn locks_are_those_of_their_environment() {
    let project = project();
    let daemon = Daemon::start(&project);
    project.file("hold", "");
    let start = |environment: &str| {
        let said = runbook(&project, &["exec", "deploy", "--env", environment, "--detach", "--quiet"]);
        assert_eq!(said.code, 0, "{said:?}");
        said.out.trim().to_owned()
    };
    let first = start("prod");
    daemon.wait(&first, "a run", |run| run.status() == RunStatus::Running);
    let (second, third) = (start("prod"), start("dev"));
    daemon.wait(&third, "a run elsewhere", |run| run.status() == RunStatus::Running);
    let waiting = daemon.wait(&second, "a run that waits", |run| run.status() == RunStatus::Queued);
    assert_eq!(waiting.waits_for, ["lock prod:deploy/here (run 1)"]);
    // Who edits the file changes no run that is there.
    place(&project, "prod", "values: {region: us}\ninputs: {keep: 20}\n");
    std::fs::remove_file(project.path("hold")).unwrap();
    for run in [first, second, third] {
        assert_eq!(daemon.wait_over(&run).status(), RunStatus::Succeeded);
    }
    let lines = project.lines("log");
    assert_eq!(lines.iter().filter(|line| *line == "below prod 14 eu").count(), 2, "{lines:?}");
    assert_eq!(runbook(&project, &["exec", "deploy", "--env", "prod", "--quiet"]).code, 0);
    assert_eq!(project.lines("log").last().unwrap(), "below prod 20 us");
}

#[test]
fn the_default_of_the_folder_is_taken_and_there_is_one() {
    let project = project();
    place(&project, "dev", "default: true\nvalues: {region: local}\n");
    let daemon = Daemon::start(&project);
    assert_eq!(runbook(&project, &["exec", "deploy", "--quiet"]).code, 0, "{}", daemon.log());
    assert_eq!(daemon.get("1").environment, "dev");
    let listed = runbook(&project, &["environments", "list"]).out;
    assert!(listed.contains("dev") && listed.contains("default"), "{listed}");
    let shown = runbook(&project, &["environments", "show", "prod"]).out;
    assert!(shown.contains("region  \"eu\"") && shown.contains("keep   14"), "{shown}");
    let shown = json(&runbook(&project, &["environments", "show", "prod", "--output", "json"]));
    assert_eq!((&shown["values"], &shown["inputs"]), (&json!({"region": "eu"}), &json!({"keep": 14})));
    let unknown = runbook(&project, &["environments", "show", "prd"]);
    assert!(unknown.code != 0 && unknown.err.contains("did you mean \"prod\"?"), "{unknown:?}");
    place(&project, "prod", "default: true\nvalues: {region: eu}\n");
    let two = runbook(&project, &["exec", "deploy"]);
    assert!(two.err.contains("dev and prod are both the default environment; name one"), "{two:?}");
    assert_eq!(runbook(&project, &["exec", "deploy", "--env", "prod", "--quiet"]).code, 0);
    let checked = runbook(&project, &["check", "runbooks"]);
    assert!(checked.code == 2 && checked.out.contains("several-defaults"), "{checked:?}");
}

#[test]
fn rehearsals_and_scenarios_take_place_somewhere() {
    let project = project();
    let _daemon = Daemon::start(&project);
    let said = runbook(&project, &["rehearse", "deploy"]);
    assert!(said.code != 0 && said.err.contains("runs in an environment only"), "{said:?}");
    assert_eq!(runbook(&project, &["rehearse", "deploy", "--env", "prod"]).code, 0);
    let scenarios =
        "runbook: deploy\nlanguage: 1\nscenarios:\n  in prod: {environment: prod, expect: {outcome: succeeded}}\n";
    project.file("runbooks/deploy.scenarios.yaml", scenarios);
    let said = runbook(&project, &["rehearse", "deploy", "--scenario", "runbooks/deploy.scenarios.yaml"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(project.read("log"), None);
}

#[test]
fn a_freeze_refuses_with_its_reason_and_is_overridden_by_who_may() {
    let project = project();
    let user = said({
        let mut id = std::process::Command::new("id");
        id.arg("-u");
        id
    });
    let user = user.out.trim().to_owned();
    let protect = |text: &str| place(&project, "prod", &format!("values: {{region: eu}}\nprotection:\n{text}"));
    let frozen = "  freezes: {rest: {from: \"2020-01-01T00:00:00Z\", to: \"2100-01-01T00:00:00Z\", reason: the books are closed}}\n";
    protect(frozen);
    project.file("runbookd.yaml", &format!("roles:\n  lead: {{users: [\"{user}\"]}}\n  nobody: {{users: [nobody]}}\n"));
    let daemon = Daemon::start(&project);
    let exec = |more: &[&str]| runbook(&project, &[&["exec", "deploy", "--env", "prod", "--quiet"], more].concat());
    let refused = exec(&[]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(
        refused.err.contains("it is frozen until 2100-01-01T00:00:00Z (rest: the books are closed)"),
        "{refused:?}"
    );
    let plan = runbook(&project, &["plan", "deploy", "--env", "prod", "--skip-preflight"]);
    assert!(plan.code == 6 && plan.out.contains("would be refused: "), "{plan:?}");
    let listed = runbook(&project, &["environments", "list"]).out;
    assert!(listed.contains("it is frozen until 2100-01-01"), "{listed}");
    // All that refuses it is told at once.
    protect(&format!("{frozen}  roles: [nobody]\n"));
    let plan = runbook(&project, &["plan", "deploy", "--env", "prod", "--skip-preflight"]);
    assert_eq!(plan.out.matches("would be refused: ").count(), 2, "{plan:?}");
    protect(frozen);
    assert!(exec(&["--override", "it burns"]).err.contains("nobody may override"), "nobody may");
    protect(&format!("{frozen}  override: {{roles: [nobody]}}\n"));
    let other = exec(&["--override", "it burns"]);
    assert!(other.err.contains("is overridden by who has the role nobody"), "{other:?}");
    // A dry run disturbs nobody.
    assert_eq!(exec(&["--dry-run"]).code, 0);
    protect(&format!("{frozen}  override: {{roles: [nobody, lead]}}\n"));
    let done = exec(&["--override", "it burns"]);
    assert_eq!(done.code, 0, "{done:?}\n{}", daemon.log());
    assert_eq!(
        (daemon.get("2").overridden.as_str(), daemon.events("2")[0].overridden.as_str()),
        ("it burns", "it burns")
    );
    assert!(runbook(&project, &["status", "2"]).out.contains("overridden: it burns"));
    assert!(runbook(&project, &["events", "2"]).out.contains("in spite of what protects the environment (it burns)"));
    // Where nothing has to be overridden, nothing was.
    protect("  override: {roles: [lead]}\n");
    assert_eq!(exec(&["--override", "just so"]).code, 0);
    assert_eq!(daemon.get("3").overridden, "");
}

#[test]
fn roles_and_words_are_asked_of_who_starts() {
    let project = project();
    let protect = |text: &str| place(&project, "prod", &format!("values: {{region: eu}}\nprotection:\n{text}"));
    protect("  roles: [nobody]\n");
    project.file("runbookd.yaml", "roles:\n  nobody: {users: [nobody]}\n");
    let daemon = Daemon::start(&project);
    let exec = |more: &[&str]| runbook(&project, &[&["exec", "deploy", "--env", "prod", "--quiet"], more].concat());
    let refused = exec(&["--dry-run"]);
    assert!(refused.err.contains("runs in the environment prod are started by who has the role nobody"), "{refused:?}");
    protect("  confirm: really prod\n  hours: {allowed: [\"00:00-24:00\"]}\n");
    let refused = exec(&[]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(refused.err.contains("confirms it by the words") && refused.err.contains("really prod"), "{refused:?}");
    assert!(refused.err.contains("--confirm 'really prod'"), "{refused:?}");
    let plan = runbook(&project, &["plan", "deploy", "--env", "prod", "--skip-preflight"]).out;
    assert!(plan.contains("has to be confirmed: really prod  (environment prod)"), "{plan}");
    assert_eq!(json(&runbook(&project, &["runs", "--output", "json"]))["runs"], json!([]));
    assert_eq!(exec(&["--confirm", "really prod"]).code, 0, "{}", daemon.log());
    assert_eq!(daemon.get("1").confirmed, ["really prod"]);
    let shown = runbook(&project, &["environments", "show", "prod"]).out;
    assert!(shown.contains("confirmed by: really prod") && shown.contains("hours: 00:00-24:00 (UTC)"), "{shown}");
}

#[test]
fn a_start_that_needs_approvals_waits_for_them_before_its_first_step() {
    let project = project();
    project.runbook(
        "wipe",
        "locks: [disk]\nsteps: {wipe: {effect: destructive, target: disk, run: 'echo wiped >> wiped'}}\n",
    );
    let protect = |text: &str| place(&project, "prod", &format!("protection: {{approvals: {{{text}}}}}\n"));
    protect("count: 1");
    let daemon = Daemon::start(&project);
    let exec = |more: &[&str]| runbook(&project, &[&["exec", "wipe", "--env", "prod", "--quiet"], more].concat());
    let plan = runbook(&project, &["plan", "wipe", "--env", "prod", "--skip-preflight"]);
    assert!(plan.code == 0 && plan.out.contains("has to be approved before it begins: anybody"), "{plan:?}");
    // Who approves it is told what it destroys, and nobody has to type that.
    assert_eq!(exec(&["--detach"]).code, 0, "{}", daemon.log());
    let waiting = daemon.wait("1", "a run that asks", |run| run.status() == RunStatus::Waiting);
    let asks = waiting.approval.as_ref().unwrap();
    assert_eq!((asks.step.as_str(), asks.message.as_str()), ("", "Start wipe in prod, and destroy disk?"));
    assert_eq!(waiting.waits_for, ["approval of its start (anybody)"]);
    let listed = runbook(&project, &["approvals"]).out;
    assert!(listed.contains("run 1 wipe, started by") && listed.contains("runbook approve 1  (you may"), "{listed}");
    assert!(runbook(&project, &["status", "1"]).out.contains("runbook approve 1"), "the status says what to type");
    assert_eq!(runbook(&project, &["locks"]).out, "", "it has no lock and waits for none");
    // A crash forgets nothing of it.
    daemon.kill();
    let daemon = Daemon::start(&project);
    assert_eq!((daemon.get("1").status(), project.read("wiped")), (RunStatus::Waiting, None));
    let approved = runbook(&project, &["approve", "1", "--reason", "the window is open"]);
    assert_eq!(approved.code, 0, "{approved:?}");
    assert_eq!(daemon.wait_over("1").status(), RunStatus::Succeeded);
    assert_eq!(project.lines("wiped"), ["wiped"]);
    let events = runbook(&project, &["events", "1"]).out;
    assert!(
        events.contains("asks anybody (`runbook approve 1`)") && events.contains("its start is approved by"),
        "{events}"
    );
    let late = runbook(&project, &["approve", "1"]);
    assert!(late.err.contains("its start does not wait for an approval"), "{late:?}");
    // One rejection is the end of it, and there is no way around.
    assert_eq!(exec(&["--detach"]).code, 0);
    let rejected = runbook(&project, &["reject", "2", "--reason", "not today"]);
    assert_eq!(rejected.code, 0, "{rejected:?}");
    let over = daemon.wait_over("2");
    assert!(over.status() == RunStatus::Canceled && over.message.contains("not today"), "{over:?}");
    let resumed = runbook(&project, &["resume", "2"]);
    assert!(resumed.code != 0 && resumed.err.contains("not approved"), "{resumed:?}");
    // Who asks may be excluded, and time may be short.
    protect("not_requester: true, timeout: 1s");
    assert_eq!(exec(&["--detach"]).code, 0);
    let own = runbook(&project, &["approve", "3"]);
    assert!(own.err.contains("the start may not be decided by you: who started the run may not"), "{own:?}");
    let over = daemon.wait_over("3");
    assert!(over.status() == RunStatus::Canceled && over.message.contains("0 of 1 approved the start"), "{over:?}");
    // A dry run disturbs nobody.
    assert_eq!(exec(&["--dry-run"]).code, 0);
    assert_eq!(project.lines("wiped"), ["wiped"]);
}
