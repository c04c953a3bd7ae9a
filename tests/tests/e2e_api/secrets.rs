//! Secrets reach a step and nothing else: not the journal, not a log, not an answer, in no form.

use std::collections::HashMap;

use runbook_proto::v1::{RunStatus, StartRunRequest, StepStatus};
use runbook_shim::redact::Redactor;
use runbook_tests::e2e::command::{runbook, runbook_with};
use runbook_tests::e2e::server::Server;
use runbook_tests::e2e::{Project, leaks, step, wait_for};
use rustix::process::Signal;

const TOKEN: &str = "hunter2-is+long/enough";
const KEY: &str = "unseal/7+keys-of-vault";
const PIN: &str = "4711 is \"qu\u{f6}ted\"";

const LEAKY: &str = r#"
requires: {secrets: [token]}
inputs: {pin: {type: string, secret: true, required: true}}
on_failure: continue
steps:
  logged:
    effect: idempotent
    env: {TOKEN: "${{ secrets.token }}", PIN: "${{ inputs.pin }}"}
    run: |
      echo "it is $TOKEN and $PIN"
      printf %s "$TOKEN" | base64
      printf %s "$PIN" | od -An -tx1 | tr -d ' \n'; echo
      printf 'x%s' "$TOKEN" | base64 >&2
      printf %s "$PIN" | sed 's/"/\\"/g'; echo
      printf %s "$PIN" | sed 's/"/\\"/g; s/ö/\\u00f6/'; echo
      printf %s "$PIN" | sed 's/[ "]/\\&/g'; echo
  value: {effect: idempotent, env: {T: "${{ secrets.token }}"}, run: "echo \"v=https://u:$T@h\" >> \"$RUNBOOK_OUTPUT\"", outputs: {v: string}}
  key: {effect: idempotent, env: {T: "${{ inputs.pin }}"}, run: "echo \"$T=v\" >> \"$RUNBOOK_OUTPUT\""}
  json: {effect: idempotent, env: {T: "${{ inputs.pin }}"}, run: "printf '{\"v\": \"%s\"}\\n' \"$(printf %s \"$T\" | sed 's/\"/\\\\\"/g')\" >> \"$RUNBOOK_OUTPUT\"", outputs: {v: string}}
  ascii: {effect: idempotent, env: {T: "${{ inputs.pin }}"}, run: "printf 'v={\"p\": \"%s\"}\\n' \"$(printf %s \"$T\" | sed 's/\"/\\\\\"/g; s/ö/\\\\u00F6/')\" >> \"$RUNBOOK_OUTPUT\"", outputs: {v: string}}
  encoded: {effect: idempotent, env: {T: "${{ secrets.token }}"}, run: "printf 'v=%s\\n' \"$(printf 'ab%s' \"$T\" | base64 -w0)\" >> \"$RUNBOOK_OUTPUT\"; exit 7", outputs: {v: string}}
  hex: {effect: idempotent, env: {T: "${{ secrets.token }}"}, run: "printf 'v=%s\\n' \"$(printf %s \"$T\" | od -An -tx1 | tr -d ' \\n')\" >> \"$RUNBOOK_OUTPUT\"", outputs: {v: string}}
  file: {effect: idempotent, files: {conf: "password=${{ secrets.token }}"}, run: "cp \"$RUNBOOK_FILES/conf\" copy; cat \"$RUNBOOK_FILES/conf\""}
  typed: {effect: idempotent, env: {T: "${{ inputs.pin }}"}, run: "echo \"n=$T\" >> \"$RUNBOOK_OUTPUT\"", outputs: {n: integer}}
  good: {effect: idempotent, env: {T: "${{ secrets.token }}"}, run: "echo \"n=${#T}\" >> \"$RUNBOOK_OUTPUT\"", outputs: {n: integer}}
"#;

#[test]
fn no_form_of_a_secret_is_kept() {
    let project = Project::with("leaky", LEAKY);
    project.file("runbookd.yaml", "secrets:\n  token: {env: MY_TOKEN}\n");
    let mut server = Server::spawn(&project, |command| {
        command.env("MY_TOKEN", TOKEN).args(["--log", "trace"]);
    });
    let client = server.ready();
    let request = StartRunRequest {
        runbook: "leaky".into(),
        request_id: "once".into(),
        input_texts: HashMap::from([("pin".into(), PIN.into())]),
        ..Default::default()
    };
    let run = client.start(request).unwrap().run.unwrap();
    let run = client.over(&run.name);
    assert_eq!(run.status(), RunStatus::Failed);
    for id in ["value", "key", "json", "ascii", "hex", "typed"] {
        let step = step(&run, id);
        assert!(step.message.contains("the value of a secret is in it"), "{id}: {}", step.message);
        assert_eq!(step.exit_code, Some(0), "{id}");
        assert!(step.outputs.as_ref().is_none_or(|outputs| outputs.fields.is_empty()), "{id}: {:?}", step.outputs);
    }
    assert_eq!(step(&run, "encoded").exit_code, Some(7));
    for id in ["logged", "file", "good"] {
        assert_eq!(step(&run, id).message, "", "{id}");
    }
    let logged = runbook(&project, &["logs", "1", "logged"]).out;
    assert_eq!(logged.lines().filter(|line| line.ends_with("***")).count(), 5, "{logged}");
    assert!(step(&run, "good").outputs.as_ref().is_some_and(|outputs| outputs.fields.contains_key("n")));
    assert_eq!(project.read("copy").as_deref(), Some(format!("password={TOKEN}").as_str()), "the control");

    let redactor = Redactor::new([TOKEN, PIN]);
    let answers = format!("{run:?}\n{:?}\n{:?}", client.events(&run.name), client.list(Default::default()));
    assert!(!redactor.is_in(answers.as_bytes()), "{answers}");
    // While the run can be resumed its inputs are kept, sealed.
    assert_eq!(std::fs::read_dir(project.path(".runbook/sealed")).unwrap().count(), 1);
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
    assert!(redactor.is_in(&std::fs::read(project.path("copy")).unwrap()), "the control");
    assert_eq!(leaks(&project.path(".runbook"), &redactor), [""; 0]);
    assert!(!redactor.is_in(server.log().as_bytes()));
}

/// An approver gives a key; the step behind waits with it over a restart, and another reads it after that.
const ASKED: &str = r#"
steps:
  ask:
    uses: approval
    with: {message: the key?, fields: {key: {type: string, secret: true, required: true}, ticket: {type: string}}}
  use:
    needs: [ask]
    effect: idempotent
    env: {KEY: "${{ steps.ask.outputs.key }}"}
    run: |
      echo "it is $KEY"
      while ! test -e go; do sleep 0.02; done
  again:
    needs: [use, ask]
    effect: idempotent
    stdin: "${{ steps.ask.outputs.key }}"
    files: {key: "key=${{ steps.ask.outputs.key }}"}
    run: cat > copy; cat "$RUNBOOK_FILES/key"; test -e good
"#;

#[test]
fn what_an_approver_fills_in_secretly_reaches_the_steps_and_nothing_else() {
    let project = Project::with("asked", ASKED);
    let spawn = || {
        Server::spawn(&project, |command| {
            command.args(["--log", "trace"]);
        })
    };
    let mut server = spawn();
    let client = server.ready();
    let run = client.exec("asked");
    let asked = runbook(&project, &["approvals"]).out;
    assert!(asked.contains("key (string, secret, required)"), "{asked}");
    assert!(asked.contains("runbook approve 1 ask --field key=-"), "{asked}");
    let two = ["approve", "1", "ask", "--field", "key=-", "--field", "ticket=-"];
    assert!(runbook_with(&project, &two, "x").err.contains("several fields"));
    let missing = runbook_with(&project, &["approve", "1", "ask", "--field", "kex=-"], KEY);
    assert!(missing.err.contains("no such field"), "{missing:?}");
    let given = ["approve", "1", "ask", "--field", "key=-", "--field", "ticket=OPS-7"];
    let approved = runbook_with(&project, &given, &format!("{KEY}\n"));
    assert_eq!(approved.code, 0, "{approved:?}");
    // What is refused leaves nothing.
    let late = runbook_with(&project, &given, "another key");
    assert!(late.err.contains("does not wait for an approval"), "{late:?}");
    let fields = project.path(&format!(".runbook/sealed/{}.fields", run.uid));
    assert_eq!(std::fs::read_dir(&fields).unwrap().count(), 1);
    wait_for("the step", || (step(&client.get(&run.name), "use").status() == StepStatus::Running).then_some(()));
    server.signal(Signal::KILL);
    server.status();
    let mut server = spawn();
    let client = server.ready();
    project.file("go", "");
    let failed = client.over(&run.name);
    assert_eq!(failed.status(), RunStatus::Failed, "{failed:#?}");
    assert_eq!(project.read("copy").as_deref(), Some(KEY), "the control");
    let redactor = Redactor::new([KEY, "another key"]);
    let events = client.events(&run.name);
    let outputs = &step(&failed, "ask").outputs.as_ref().unwrap().fields;
    assert!(outputs.contains_key("ticket") && !outputs.contains_key("key"), "{outputs:?}");
    let told = ["events", "status", "logs", "diff"].map(|verb| {
        let said = match verb {
            "diff" => runbook(&project, &[verb, "1", "1", "--output", "json"]),
            _ => runbook(&project, &[verb, "1", "--output", "json"]),
        };
        format!("{said:?}")
    });
    let answers = format!("{failed:?}\n{events:?}\n{told:?}");
    assert!(!redactor.is_in(answers.as_bytes()), "{answers}");
    // While the run can be resumed it is kept.
    project.file("good", "");
    assert_eq!(runbook(&project, &["resume", "1", "--detach"]).code, 0);
    assert_eq!(client.over(&run.name).status(), RunStatus::Succeeded);
    wait_for("nothing sealed", || (!fields.exists()).then_some(()));
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
    assert_eq!(leaks(&project.path(".runbook"), &redactor), [""; 0]);
    assert!(!redactor.is_in(server.log().as_bytes()));
}

/// A step is given a secret, and those behind it come by the value in other ways.
const HANDED_ON: &str = r#"
requires: {secrets: [token]}
inputs: {pin: {type: string, secret: true, required: true}}
on_failure: continue
steps:
  given:
    effect: idempotent
    env: {TOKEN: "${{ secrets.token }}", PIN: "${{ inputs.pin }}"}
    run: printf '%s\n' "$TOKEN" > token; printf '%s\n' "$PIN" > pin
  log: {needs: [given], effect: read, run: cat token pin; echo 12345}
  value: {needs: [given], effect: read, run: "echo \"v=$(cat token)\" >> \"$RUNBOOK_OUTPUT\"; test -e go", outputs: {v: string}}
  inside: {needs: [given], steps: {log: {effect: read, run: cat token}}}
  another: {needs: [given], uses: runbook, with: {name: child}}
"#;

#[test]
fn a_value_that_a_step_was_given_is_hidden_in_all_that_follow() {
    let project = Project::with("handed", HANDED_ON);
    project.runbook("child", "steps: {log: {effect: read, run: cat token}}\n");
    project.file("runbookd.yaml", "secrets:\n  token: {env: MY_TOKEN}\n");
    let mut server = Server::spawn(&project, |command| {
        command.env("MY_TOKEN", TOKEN).args(["--log", "trace"]);
    });
    let client = server.ready();
    let request = StartRunRequest {
        runbook: "handed".into(),
        input_texts: HashMap::from([("pin".into(), "345".into())]),
        ..Default::default()
    };
    let run = client.start(request).unwrap().run.unwrap();
    let run = client.over(&run.name);
    let said = |id: &str| runbook(&project, &["logs", "1", id]).out;
    let logged = said("log");
    let ends = |line: &&str, end: &str| line.ends_with(end);
    assert_eq!(logged.lines().filter(|line| ends(line, "***")).count(), 1, "{logged}");
    // A short value is there by chance.
    assert!(logged.lines().any(|line| ends(&line, "12345")), "{logged}");
    assert!(said("inside/log").contains("***") && said("another/log").contains("***"), "{run:#?}");
    assert_eq!(step(&run, "value").exit_code, Some(1));
    project.file("go", "");
    assert_eq!(runbook(&project, &["resume", "1", "--detach"]).code, 0);
    let again = client.over(&run.name);
    assert!(step(&again, "value").message.contains("the value of a secret is in it"), "{again:#?}");
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
    let redactor = Redactor::new([TOKEN]);
    assert!(redactor.is_in(&std::fs::read(project.path("token")).unwrap()), "the control");
    assert_eq!(leaks(&project.path(".runbook"), &redactor), [""; 0]);
}

#[test]
fn secrets_that_cannot_be_had_refuse_the_start() {
    use std::os::unix::fs::PermissionsExt as _;
    let body = "requires: {secrets: [token]}\nsteps: {a: {effect: read, env: {T: \"${{ secrets.token }}\"}, run: \"test \\\"$T\\\" = secret-value\"}}\n";
    let project = Project::with("a", body);
    // Relative to the project, wherever the daemon is started.
    project.file("runbookd.yaml", "secrets: {token: {file: keys/token}}\n");
    let mut server = Server::spawn(&project, |command| {
        command.current_dir("/");
    });
    let client = server.ready();
    let preflight = || crate::refused(client.try_exec("a"), tonic::Code::FailedPrecondition, "PREFLIGHT");
    preflight();
    let path = project.file("keys/token", "secret-value\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    preflight();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(client.over(&client.exec("a").name).status(), RunStatus::Succeeded);
}
