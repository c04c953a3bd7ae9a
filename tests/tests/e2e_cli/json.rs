//! What programs read: `--output json` of every verb parses, and keeps its keys.

use runbook_tests::e2e::command::{Said, Started, runbook};
use runbook_tests::e2e::{Daemon, Project, golden, masked_json};
use serde_json::Value;

use crate::project::project;

/// The values of an output, one per line.
fn values(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn json(project: &Project, arguments: &[&str]) -> Said {
    runbook(project, &[arguments, &["--output", "json"]].concat())
}

#[test]
fn every_verb_has_a_form_for_programs() {
    let project = project();
    project.file("runbooks/broken.yaml", "name: broken\nlanguage: 1\nsteps:\n  a: {effect: idempotent, rnu: echo}\n");
    let daemon = Daemon::start(&project);
    let verbs: [(&str, i32, &[&str]); 23] = [
        ("daemon-status", 0, &["daemon", "status"]),
        ("validate", 0, &["exec", "ok", "--validate-only"]),
        ("exec-detached", 0, &["exec", "ok", "--detach", "--request-id", "r"]),
        ("watch", 0, &["watch", "last", "--after", "0"]),
        ("exec", 1, &["exec", "bad", "--reason", "for the test"]),
        ("list", 0, &["list"]),
        ("show", 0, &["show", "ok"]),
        ("graph", 0, &["graph", "ok"]),
        ("check", 2, &["check", "runbooks/broken.yaml", "runbooks/ok.yaml"]),
        ("runs", 0, &["runs"]),
        ("status", 0, &["status"]),
        ("status-run", 0, &["status", "1"]),
        ("logs", 0, &["logs", "1"]),
        ("events", 0, &["events", "1", "--follow"]),
        ("exec-stuck", 4, &["exec", "stuck"]),
        ("resolve", 0, &["resolve", "last", "switch", "--as", "failed", "--reason", "it is not there"]),
        ("watch-resolved", 1, &["watch", "3"]),
        ("resume", 0, &["resume", "3", "--detach"]),
        ("cancel", 0, &["cancel", "3", "--now"]),
        ("version", 0, &["version"]),
        ("error-input", 2, &["exec", "ok", "-i", "whom=x", "-i", "who"]),
        ("error-inputs", 2, &["exec", "ok", "-i", "whom=x"]),
        ("error-unreachable", 5, &["list", "--endpoint", "unix:///nowhere/runbookd.sock"]),
    ];
    for (name, code, arguments) in verbs {
        let said = json(&project, arguments);
        assert_eq!(said.code, code, "{arguments:?}: {said:?}\n{}", daemon.log());
        let (out, err) = (values(&said.out), values(&said.err));
        assert_eq!(err.len(), usize::from(name.starts_with("error")), "{said:?}");
        // Where a run stands while it goes on is not a matter of form.
        let raced = |place: usize| match name {
            "exec-detached" | "resume" | "cancel" => true,
            "exec" | "exec-stuck" | "watch" | "watch-resolved" => place == 0,
            _ => false,
        };
        let shown = out.into_iter().chain(err).enumerate();
        let shown: Vec<Value> = shown.map(|(place, value)| if raced(place) { keys(&value) } else { value }).collect();
        let text: String = shown.iter().map(|value| masked_json(&project, value)).collect();
        golden(&format!("cli/json-{name}.txt"), &text);
    }
}

/// The same value with `null` for everything that is no object.
fn keys(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(fields.iter().map(|(key, value)| (key.clone(), keys(value))).collect()),
        _ => Value::Null,
    }
}

#[test]
fn the_daemon_is_started_and_stopped_in_the_same_form() {
    let project = project();
    let _started = Started(&project);
    let down = json(&project, &["daemon", "status"]);
    assert_eq!((down.code, values(&down.out)[0]["running"].as_bool()), (5, Some(false)));
    for (name, arguments) in
        [("start", &["daemon", "start"][..]), ("restart", &["daemon", "restart"]), ("stop", &["daemon", "stop"])]
    {
        let said = json(&project, arguments);
        assert_eq!(said.code, 0, "{said:?}");
        golden(&format!("cli/json-daemon-{name}.txt"), &masked_json(&project, &values(&said.out)[0]));
    }
}
