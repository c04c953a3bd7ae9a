//! `uses: http` and `notify/*` with the real daemon against servers that answer, and fail, as they are told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod answers;
mod boundaries;
mod faults;
mod mail;
mod notices;
mod requests;
mod ways;

use runbook_proto::v1;
use runbook_shim::redact::Redactor;
use runbook_tests::e2e::{Daemon, Project, Web, leaks};

/// A project with one runbook `r`, in whose body `URL` stands for the server.
fn project(web: &Web, body: &str) -> Project {
    Project::with("r", &body.replace("URL", &web.url()))
}

/// Runs it to its end.
fn run(project: &Project) -> (Daemon, v1::Run) {
    let daemon = Daemon::start(project);
    let run = daemon.exec("r", &[]);
    let run = daemon.wait_over(&run.name);
    (daemon, run)
}

/// A secret is in nothing that the daemon wrote, in no form. It must be gone by then.
fn assert_clean(project: &Project, secret: &str) {
    let redactor = Redactor::new([secret]);
    assert_eq!(leaks(&project.path(".runbook"), &redactor), [""; 0], "the secret was written");
    assert!(!redactor.is_in(project.read("runbookd.log").expect("a log").as_bytes()), "the secret is in the log");
}

/// The outputs of a step as JSON.
fn outputs(step: &v1::RunStep) -> serde_json::Value {
    let pairs = step.outputs.as_ref().map(|outputs| outputs.fields.clone()).unwrap_or_default();
    serde_json::Value::Object(pairs.into_iter().map(|(name, value)| (name, json(value))).collect())
}

fn json(value: prost_types::Value) -> serde_json::Value {
    use prost_types::value::Kind;
    match value.kind {
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::NumberValue(value)) if value.fract() == 0.0 => (value as i64).into(),
        Some(Kind::NumberValue(value)) => value.into(),
        Some(Kind::StringValue(value)) => value.into(),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(json).collect(),
        Some(Kind::StructValue(map)) => {
            serde_json::Value::Object(map.fields.into_iter().map(|(name, value)| (name, json(value))).collect())
        }
    }
}
