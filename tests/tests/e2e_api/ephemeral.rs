//! Values that are kept nowhere: over a kill of the daemon and a resume, given anew by a person, and on no disk in any form.

use std::collections::HashMap;

use runbook_proto::v1::{EventType, ProvideInputsRequest, Run, RunStatus, StartRunRequest, StepStatus};
use runbook_shim::redact::Redactor;
use runbook_tests::e2e::command::{runbook, runbook_with};
use runbook_tests::e2e::server::{Client, Server};
use runbook_tests::e2e::{Project, leaks, step, wait_for};
use rustix::process::Signal;
use tonic::Code;

use crate::refused;

const PASSWORD: &str = "unseal/7+never-kept";
const ANOTHER: &str = "unseal/8+never-kept";

const WANTS: &str = r#"
inputs:
  password: {type: string, secret: true, ephemeral: true, required: true, minimum: 8}
  pin: {type: integer, secret: true, ephemeral: true}
  keep: {type: integer, default: 1}
env: {KEEP: "${{ inputs.keep }}"}
steps:
  first:
    effect: idempotent
    env: {P: "${{ inputs.password }}"}
    run: |
      echo "it is $P"
      while ! test -e go; do sleep 0.02; done
      test "$P" = "$(cat expected)"
  plain: {needs: [first], run: "echo plain >> log"}
  each:
    needs: [first]
    for_each: [a, b]
    effect: idempotent
    env: {P: "${{ inputs.password }}", ITEM: "${{ item }}"}
    run: 'echo "$ITEM ${#P}" >> log'
  last:
    needs: [each, plain]
    effect: idempotent
    stdin: "${{ inputs.password }}"
    env: {PIN: "${{ default(inputs.pin, 0) }}"}
    run: cat > copy; test -e good
finally:
  tidy: {stdin: "${{ inputs.password }}", run: "echo tidied >> log; cat > tidied"}
"#;

const TELL: &str = r#"
inputs: {message: {type: string, default: ""}, step: {type: string, default: ""}}
steps: {a: {effect: idempotent, env: {M: "${{ inputs.message }}", S: "${{ inputs.step }}"}, run: 'echo "$S: $M" >> told'}}
"#;

fn spawn(project: &Project) -> Server {
    Server::spawn(project, |command| {
        command.args(["--log", "trace"]);
    })
}

fn start(client: &Client, request_id: &str) -> Run {
    let request = StartRunRequest {
        runbook: "wants".into(),
        request_id: request_id.into(),
        input_texts: HashMap::from([("password".into(), PASSWORD.into())]),
        ..Default::default()
    };
    client.start(request).unwrap().run.unwrap()
}

fn provide(client: &Client, run: &str, name: &str, value: &str) -> Result<Run, tonic::Status> {
    let request = ProvideInputsRequest {
        name: run.to_owned(),
        input_texts: HashMap::from([(name.to_owned(), value.to_owned())]),
        ..Default::default()
    };
    client.provide(request)
}

#[test]
fn a_value_that_is_kept_nowhere_is_given_anew_after_a_restart() {
    let project = Project::with("wants", WANTS);
    project.runbook("tell", TELL);
    project.file("runbookd.yaml", "on: {attention: tell}\n");
    project.file("expected", PASSWORD);
    let mut server = spawn(&project);
    let client = server.ready();
    let shown = runbook(&project, &["plan", "wants", "-i", "password=not-really"]).out;
    assert!(shown.contains("kept nowhere: after a restart of the daemon `runbook provide` gives it"), "{shown}");
    assert!(runbook(&project, &["show", "wants"]).out.contains("string (secret, kept nowhere)"));
    let run = start(&client, "once");
    wait_for("the step", || (step(&client.get(&run.name), "first").status() == StepStatus::Running).then_some(()));
    assert!(!project.path(".runbook/sealed").join(&run.uid).exists(), "nothing is sealed");
    server.signal(Signal::KILL);
    server.status();
    let mut server = spawn(&project);
    let client = server.ready();
    // What runs goes on, and has what it was told.
    project.file("go", "");
    let waits = wait_for("a run that needs a person", || {
        let run = client.get(&run.name);
        let each = step(&run, "each")
            .child_run
            .as_ref()
            .map(|below| below.steps.iter().filter(|it| !it.missing_inputs.is_empty()).count());
        // What needs no value goes on.
        let plain = step(&run, "plain").status() == StepStatus::Succeeded;
        (run.status() == RunStatus::Attention && each == Some(2) && plain).then_some(run)
    });
    assert_eq!(step(&waits, "first").status(), StepStatus::Succeeded, "{waits:#?}");
    let below = step(&waits, "each").child_run.as_ref().unwrap();
    let command = "runbook provide 1 -i password=-";
    assert!(below.steps[0].message.ends_with(&format!("`{command}`")), "{:?}", below.steps[0].message);
    assert_eq!(below.steps[0].status(), StepStatus::Waiting);
    let status = runbook(&project, &["status", "1"]);
    assert!(status.out.contains(command), "{status:?}");
    assert_eq!(runbook(&project, &["watch", "1"]).code, 4, "a person is needed");
    let events = runbook(&project, &["events", &below.uid]).out;
    assert!(events.contains(&format!("needs password, kept nowhere (`{command}`)")), "{events}");
    let told = wait_for("the hook", || project.read("told").filter(|told| told.contains("each")));
    assert!(told.contains(command), "{told}");

    // Refusals, each for what it is.
    let faults = refused(provide(&client, "1", "password", "short"), Code::InvalidArgument, "INVALID_INPUTS");
    assert_eq!(faults, [("inputs.password".to_owned(), "it has 5 characters, below the minimum of 8".to_owned())]);
    refused(provide(&client, "1", "pasword", PASSWORD), Code::FailedPrecondition, "NOT_TO_PROVIDE");
    refused(provide(&client, "1", "keep", "2"), Code::FailedPrecondition, "NOT_TO_PROVIDE");
    // The start did not give it.
    refused(provide(&client, "1", "pin", "7"), Code::FailedPrecondition, "NOT_TO_PROVIDE");
    refused(provide(&client, &below.name, "password", PASSWORD), Code::FailedPrecondition, "CHILD_RUN");
    refused(
        client.provide(ProvideInputsRequest { name: "1".into(), ..Default::default() }),
        Code::InvalidArgument,
        "INVALID_FIELD",
    );
    let spelled = runbook_with(&project, &["provide", "1", "-i", "pasword=-"], PASSWORD);
    assert!(spelled.code != 0 && spelled.err.contains("did you mean \"password\"?"), "{spelled:?}");
    let two = ["provide", "1", "-i", "password=-", "-i", "pin=-"];
    assert!(runbook_with(&project, &two, "x").err.contains("several inputs"));

    let given = ["provide", "1", "-i", "password=-", "--reason", "the daemon is new", "--output", "json"];
    let given = runbook_with(&project, &given, &format!("{PASSWORD}\n"));
    assert_eq!(given.code, 0, "{given:?}");
    let failed = client.over(&run.name);
    assert_eq!(failed.status(), RunStatus::Failed, "{failed:#?}");
    assert_eq!(project.read("copy").as_deref(), Some(PASSWORD), "the control");
    assert_eq!(project.read("tidied").as_deref(), Some(PASSWORD), "the control");
    let events = client.events(&run.name);
    let provided = events.iter().find(|event| event.r#type() == EventType::Provided).unwrap();
    assert_eq!(
        (provided.inputs.as_slice(), provided.reason.as_str()),
        (&["password".to_owned()][..], "the daemon is new")
    );
    assert!(provided.by.as_ref().is_some_and(|by| by.uid.is_some()));
    refused(provide(&client, "1", "password", PASSWORD), Code::FailedPrecondition, "RUN_TERMINAL");

    // It was forgotten with the end of the run: a resume waits for it, without any restart.
    project.file("good", "");
    assert_eq!(runbook(&project, &["resume", "1", "--detach"]).code, 0);
    let waits = wait_for("a run that needs a person", || {
        let run = client.get(&run.name);
        (run.status() == RunStatus::Attention).then_some(run)
    });
    assert_eq!(step(&waits, "last").missing_inputs, ["password"], "{waits:#?}");
    assert_eq!(step(&waits, "last").status(), StepStatus::Waiting);
    provide(&client, "1", "password", ANOTHER).unwrap();
    assert_eq!(client.over(&run.name).status(), RunStatus::Succeeded);
    assert_eq!(project.read("copy").as_deref(), Some(ANOTHER), "what is given last counts");

    // Another password makes no other request: no trace of it is kept to compare with.
    let again = StartRunRequest {
        runbook: "wants".into(),
        request_id: "once".into(),
        input_texts: HashMap::from([("password".into(), ANOTHER.into())]),
        ..Default::default()
    };
    let again = client.start(again).unwrap();
    assert!(again.repeated_request && again.run.unwrap().name == run.name);
    let like = StartRunRequest { like: "1".into(), ..Default::default() };
    refused(client.start(like), Code::FailedPrecondition, "SECRET_NOT_KEPT");

    let redactor = Redactor::new([PASSWORD, ANOTHER]);
    let answers = format!("{failed:?}\n{events:?}\n{given:?}\n{status:?}\n{told}");
    assert!(!redactor.is_in(answers.as_bytes()), "{answers}");
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
    assert!(redactor.is_in(&std::fs::read(project.path("copy")).unwrap()), "the control");
    assert_eq!(leaks(&project.path(".runbook"), &redactor), [""; 0]);
    assert!(!redactor.is_in(server.log().as_bytes()));
}

#[test]
fn a_cancel_ends_what_waits_for_a_value_and_finally_waits_for_its_own() {
    let project = Project::with("wants", WANTS);
    project.file("expected", PASSWORD);
    let mut server = spawn(&project);
    let client = server.ready();
    let run = start(&client, "");
    wait_for("the step", || (step(&client.get(&run.name), "first").status() == StepStatus::Running).then_some(()));
    server.signal(Signal::KILL);
    server.status();
    project.file("go", "");
    let mut server = spawn(&project);
    let client = server.ready();
    let attention = |wanted: &str| {
        wait_for("a run that needs a person", || {
            let run = client.get(&run.name);
            let lacks = step(&run, wanted).child_run.as_ref().map_or_else(
                || !step(&run, wanted).missing_inputs.is_empty(),
                |below| below.status() == RunStatus::Attention,
            );
            (run.status() == RunStatus::Attention && lacks).then_some(run)
        })
    };
    attention("each");
    assert_eq!(runbook(&project, &["cancel", "1", "--reason", "enough"]).code, 0);
    let waits = attention("tidy");
    assert_eq!(step(&waits, "each").status(), StepStatus::Canceled, "{waits:#?}");
    assert!(runbook(&project, &["cancel", "1"]).err.contains("its `finally` is running"));
    provide(&client, "1", "password", PASSWORD).unwrap();
    assert_eq!(client.over(&run.name).status(), RunStatus::Canceled);
    assert_eq!(project.read("tidied").as_deref(), Some(PASSWORD));
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
}

#[test]
fn who_has_no_role_of_the_environment_gives_nothing() {
    let project = Project::with("wants", WANTS);
    project.file("expected", PASSWORD);
    project.file("runbooks/environments/prod.yaml", "name: prod\nlanguage: 1\nprotection: {roles: [ops]}\n");
    let own = rustix::process::geteuid().as_raw();
    let configure = |uid: u32| project.file("runbookd.yaml", &format!("roles: {{ops: {{users: [{uid}]}}}}\n"));
    configure(own);
    let mut server = spawn(&project);
    let client = server.ready();
    let request = StartRunRequest {
        runbook: "wants".into(),
        environment: "prod".into(),
        input_texts: HashMap::from([("password".into(), PASSWORD.into())]),
        ..Default::default()
    };
    let run = client.start(request).unwrap().run.unwrap();
    refused(provide(&client, "1", "password", "short"), Code::InvalidArgument, "INVALID_INPUTS");
    server.signal(Signal::KILL);
    server.status();
    configure(own + 1);
    let mut server = spawn(&project);
    let client = server.ready();
    refused(provide(&client, "1", "password", PASSWORD), Code::PermissionDenied, "MAY_NOT_PROVIDE");
    project.file("go", "");
    wait_for("a run that needs a person", || (client.get(&run.name).status() == RunStatus::Attention).then_some(()));
    refused(provide(&client, "1", "password", PASSWORD), Code::PermissionDenied, "MAY_NOT_PROVIDE");
    let events = client.events(&run.name);
    assert!(events.iter().all(|event| event.r#type() != EventType::Provided), "nothing came of it");
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
}
