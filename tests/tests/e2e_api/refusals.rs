//! Refusals are typed: a code, one reason, and the fields that are wrong, all at once.

use std::collections::HashMap;

use runbook_proto::v1::{
    CancelRunRequest, CheckRunbookRequest, GetRunbookRequest, ListEventsRequest, ListRunsRequest, ReadLogsRequest,
    ResolveStepRequest, ResumeRunRequest, Settlement, SourceFile, StartRunRequest, WatchRunRequest,
};
use runbook_tests::e2e::Project;
use runbook_tests::e2e::server::{Client, Server};
use tonic::Code;

use crate::{NOTHING, refused};

const INPUTS: &str = r#"
inputs:
  count: {type: integer, required: true}
  mode: {type: string, default: fast, enum: [fast, slow]}
steps:
  a: {effect: read, env: {A: "${{ inputs.count }}${{ inputs.mode }}"}, run: "true"}
"#;

fn named(runbook: &str) -> StartRunRequest {
    StartRunRequest { runbook: runbook.into(), ..Default::default() }
}

#[test]
fn what_is_not_there_is_not_found() {
    let project = Project::with("deploy", NOTHING);
    let (_server, client) = Server::start(&project);
    let uid = runbook_core::id::RunUid::from_bits(1).to_string();
    for name in ["999", "runs/999", &uid] {
        let (reason, code) = ("NO_SUCH_RUN", Code::NotFound);
        let mut runs = client.runs();
        refused(client.try_get(name), code, reason);
        let name = name.to_owned();
        let request = WatchRunRequest { name: name.clone(), start_after: 0, tree: false };
        refused(client.block_on(runs.watch_run(request)).map(drop), code, reason);
        let request = ReadLogsRequest { name: name.clone(), ..Default::default() };
        refused(client.block_on(runs.read_logs(request)).map(drop), code, reason);
        let request = ListEventsRequest { name: name.clone(), ..Default::default() };
        refused(client.block_on(runs.list_events(request)), code, reason);
        let request = CancelRunRequest { name: name.clone(), ..Default::default() };
        refused(client.block_on(runs.cancel_run(request)), code, reason);
        let request = ResumeRunRequest { name, ..Default::default() };
        refused(client.block_on(runs.resume_run(request)), code, reason);
    }
    let unknown = client.start(named("deplyo"));
    assert!(unknown.as_ref().unwrap_err().message().contains("did you mean \"deploy\"?"), "{unknown:?}");
    refused(unknown, Code::NotFound, "NO_SUCH_RUNBOOK");
    let request = GetRunbookRequest { name: "nothing-like-it".into() };
    refused(client.block_on(client.runbooks().get_runbook(request)), Code::NotFound, "NO_SUCH_RUNBOOK");
    // A name of a megabyte is not repeated.
    let long = client.start(named(&"x".repeat(1 << 20)));
    assert!(long.as_ref().unwrap_err().message().len() < 1_000);
    refused(long, Code::NotFound, "NO_SUCH_RUNBOOK");
}

#[test]
fn fields_that_are_wrong_are_named() {
    let project = Project::with("i", INPUTS);
    let (_server, client) = Server::start(&project);
    let one = |fields: Vec<(String, String)>| {
        assert_eq!(fields.len(), 1, "{fields:?}");
        fields[0].0.clone()
    };
    let list = |request: ListRunsRequest| client.block_on(client.runs().list_runs(request));
    let wrong = Code::InvalidArgument;
    let field = |result| one(refused(result, wrong, "INVALID_FIELD"));
    assert_eq!(field(list(ListRunsRequest { page_size: -1, ..Default::default() })), "page_size");
    assert_eq!(field(list(ListRunsRequest { page_token: "x".into(), ..Default::default() })), "page_token");
    let start = |change: fn(&mut StartRunRequest)| {
        let mut request = named("i");
        change(&mut request);
        one(refused(client.start(request), wrong, "INVALID_FIELD"))
    };
    assert_eq!(start(|request| request.reason = "x".repeat(4_097)), "reason");
    assert_eq!(start(|request| request.request_id = "x".repeat(129)), "request_id");
    assert_eq!(start(|request| request.request_id = "a\nb".into()), "request_id");
    assert_eq!(start(|request| request.origin = 3), "origin");
    assert_eq!(start(|request| request.source = b"name: x".to_vec()), "source");
    assert_eq!(
        start(|request| {
            request.runbook.clear();
            request.source = b"name: x".to_vec();
            request.source_file = "f".repeat(2_000);
        }),
        "source_file"
    );
    let files = vec![SourceFile { file: "f".repeat(2_000), source: Vec::new() }];
    let request = CheckRunbookRequest { files };
    assert_eq!(
        one(refused(client.block_on(client.runbooks().check_runbook(request)), wrong, "INVALID_FIELD")),
        "files.file"
    );
    assert_eq!(one(refused(client.try_get("no run"), wrong, "INVALID_FIELD")), "name");

    let mut request = named("i");
    request.input_texts = HashMap::from([("mode".into(), "loud".into()), ("moed".into(), "x".into())]);
    let mut fields: Vec<String> =
        refused(client.start(request), wrong, "INVALID_INPUTS").into_iter().map(|(field, _)| field).collect();
    fields.sort();
    assert_eq!(fields, ["inputs.count", "inputs.mode", "inputs.moed"]);
    assert!(client.list(ListRunsRequest::default()).runs.is_empty(), "a refused start left a run");
}

#[test]
fn all_fields_that_are_wrong_are_named_at_once() {
    let project = Project::with("a", NOTHING);
    let (_server, client) = Server::start(&project);
    let run = client.over(&client.exec("a").name);
    fn fields<T: std::fmt::Debug>(result: Result<T, tonic::Status>) -> Vec<String> {
        let message = result.as_ref().expect_err("a refusal").message().to_owned();
        let fields = refused(result, Code::InvalidArgument, "INVALID_FIELD").into_iter();
        fields
            .inspect(|(field, _)| assert!(message.contains(field.as_str()), "{message}"))
            .map(|(name, _)| name)
            .collect()
    }
    let long = "x".repeat(5_000);
    let start = StartRunRequest { reason: long.clone(), request_id: "a\nb".into(), origin: 9, ..Default::default() };
    assert_eq!(fields(client.start(start)), ["runbook", "reason", "request_id", "origin"]);
    let mut runs = client.runs();
    let name = "no run".to_owned();
    let resolve = ResolveStepRequest { name: name.clone(), settlement: 9, ..Default::default() };
    assert_eq!(fields(client.block_on(runs.resolve_step(resolve))), ["name", "reason", "settlement"]);
    let cancel = CancelRunRequest { name: name.clone(), reason: long.clone(), ..Default::default() };
    assert_eq!(fields(client.block_on(runs.cancel_run(cancel))), ["name", "reason"]);
    let resume = ResumeRunRequest { name: name.clone(), reason: long, ..Default::default() };
    assert_eq!(fields(client.block_on(runs.resume_run(resume))), ["name", "reason"]);
    let events = ListEventsRequest { name, page_size: -1, ..Default::default() };
    assert_eq!(fields(client.block_on(runs.list_events(events))), ["name", "page_size"]);
    let list = ListRunsRequest {
        page_size: -1,
        page_token: "x".into(),
        statuses: vec![99],
        created_after: run.created_at.map(|moment| prost_types::Timestamp { nanos: -1, ..moment }),
        ..Default::default()
    };
    assert_eq!(fields(client.block_on(runs.list_runs(list))), ["page_size", "page_token", "statuses", "created_after"]);
    let unspecified = ListRunsRequest { statuses: vec![0], ..Default::default() };
    assert_eq!(fields(client.block_on(runs.list_runs(unspecified))), ["statuses"]);
}

#[test]
fn what_was_never_told_is_no_empty_answer() {
    let project = Project::with("a", NOTHING);
    project.runbook("wait", "steps: {a: {effect: read, run: \"while ! test -e go; do sleep 0.05; done\"}}\n");
    let (_server, client) = Server::start(&project);
    let run = client.over(&client.exec("a").name);
    let events = |start_after: u64| {
        let request = ListEventsRequest { name: run.name.clone(), start_after, page_size: 0 };
        client.block_on(client.runs().list_events(request)).map(|page| page.into_inner().events.len())
    };
    assert_eq!(events(run.last_event).expect("a page"), 0);
    refused(events(run.last_event + 1), Code::OutOfRange, "NO_SUCH_EVENT");
    let logs = |name: &str, step: &str, attempt: u32, follow: bool| {
        let request = ReadLogsRequest { name: name.to_owned(), step: step.into(), attempt, follow, tail: 0 };
        client.block_on(client.runs().read_logs(request)).map(drop)
    };
    for (step, follow) in [("a", false), ("", false), ("a", true)] {
        logs(&run.name, step, 1, follow).expect("the attempt that was");
        refused(logs(&run.name, step, 2, follow), Code::NotFound, "NO_SUCH_ATTEMPT");
    }
    // One that may still come is waited for by who follows.
    let waiting = client.exec("wait");
    logs(&waiting.name, "a", 2, true).expect("a stream");
    refused(logs(&waiting.name, "a", 2, false), Code::NotFound, "NO_SUCH_ATTEMPT");
    project.file("go", "");
    client.over(&waiting.name);
}

#[test]
fn a_broken_runbook_is_refused_with_its_findings() {
    let project =
        Project::with("broken", "steps:\n  a: {needs: [b], run: \"true\"}\n  c: {efect: read, run: \"true\"}\n");
    let (_server, client) = Server::start(&project);
    let fields = refused(client.start(named("broken")), Code::InvalidArgument, "BROKEN_RUNBOOK");
    assert_eq!(fields.len(), 2, "{fields:?}");
    assert!(fields[0].0.starts_with("runbooks/broken.yaml:4:") && fields[0].1.contains("unknown-step"), "{fields:?}");
    assert!(fields[1].1.contains("unknown-key") && fields[1].1.contains("effect"), "{fields:?}");
    // The same text as a source of its own.
    let source = project.read("runbooks/broken.yaml").unwrap().into_bytes();
    let request = StartRunRequest { source, source_file: "x.yaml".into(), ..Default::default() };
    let fields = refused(client.start(request), Code::InvalidArgument, "BROKEN_RUNBOOK");
    assert!(fields[0].0.starts_with("x.yaml:4:"), "{fields:?}");
}

fn resolve(client: &Client, name: &str, step: &str, change: fn(&mut ResolveStepRequest)) -> Result<(), tonic::Status> {
    let mut request = ResolveStepRequest {
        name: name.to_owned(),
        step: step.to_owned(),
        settlement: Settlement::Succeeded.into(),
        reason: "seen".into(),
        ..Default::default()
    };
    change(&mut request);
    client.block_on(client.runs().resolve_step(request)).map(drop)
}

#[test]
fn what_the_state_forbids_is_a_failed_precondition() {
    let project = Project::with("a", NOTHING);
    project.runbook(
        "s",
        "requires: {tools: [{name: no-such-tool}], secrets: [gone]}\nsteps: {a: {effect: read, run: \"true\"}}\n",
    );
    let (_server, client) = Server::start(&project);
    let run = client.exec("a");
    client.over(&run.name);
    let failed = Code::FailedPrecondition;
    let cancel = CancelRunRequest { name: run.name.clone(), ..Default::default() };
    refused(client.block_on(client.runs().cancel_run(cancel)), failed, "RUN_TERMINAL");
    let resume = ResumeRunRequest { name: run.name.clone(), ..Default::default() };
    refused(client.block_on(client.runs().resume_run(resume)), failed, "NOT_RESUMABLE");
    refused(resolve(&client, &run.name, "a", |_| {}), failed, "STEP_NOT_UNKNOWN");
    refused(resolve(&client, &run.name, "b", |_| {}), Code::NotFound, "NO_SUCH_STEP");
    refused(resolve(&client, &run.name, "a", |request| request.reason.clear()), Code::InvalidArgument, "INVALID_FIELD");
    refused(resolve(&client, &run.name, "a", |request| request.settlement = 9), Code::InvalidArgument, "INVALID_FIELD");
    let lacking = client.start(named("s"));
    let message = lacking.as_ref().unwrap_err().message().to_owned();
    assert!(message.contains("no-such-tool") && message.contains("gone"), "{message}");
    refused(lacking, failed, "PREFLIGHT");
    let request = ReadLogsRequest { name: run.name, step: "aa".into(), ..Default::default() };
    refused(client.block_on(client.runs().read_logs(request)).map(drop), Code::NotFound, "NO_SUCH_STEP");
}
