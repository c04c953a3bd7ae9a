//! A repeated request starts one run, also when its answer never came.

use std::collections::HashMap;
use std::time::Duration;

use runbook_proto::v1::{ListRunsRequest, RunStatus, StartRunRequest};
use runbook_tests::e2e::server::{Client, Server};
use runbook_tests::e2e::{Project, wait_for};
use tonic::{Code, Request};

use crate::refused;

const GREET: &str = r#"
inputs:
  who: {type: string, default: world}
  pin: {type: string, secret: true, required: true}
steps:
  a: {effect: idempotent, env: {WHO: "${{ inputs.who }}", PIN: "${{ inputs.pin }}"}, run: "echo $WHO >> log"}
"#;

fn request(id: &str, inputs: &[(&str, &str)]) -> StartRunRequest {
    let pin = [("pin", "0000")];
    let inputs = pin.iter().chain(inputs).map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    StartRunRequest {
        runbook: "greet".into(),
        request_id: id.into(),
        input_texts: inputs.collect::<HashMap<_, _>>(),
        ..Default::default()
    }
}

fn all(client: &Client) -> usize {
    client.list(ListRunsRequest::default()).runs.len()
}

#[test]
fn the_same_request_is_answered_with_the_same_run() {
    let project = Project::with("greet", GREET);
    let (server, client) = Server::start(&project);
    let first = client.start(request("r-1", &[("who", "you"), ("pin", "4711")])).unwrap();
    assert!(!first.repeated_request);
    let run = first.run.unwrap();
    assert_eq!(run.request_id, "r-1");
    for _ in 0..2 {
        let again = client.start(request("r-1", &[("who", "you"), ("pin", "4711")])).unwrap();
        assert!(again.repeated_request);
        assert_eq!(again.run.unwrap().uid, run.uid);
    }
    // Another content under the same id is a mistake: also in a secret, which is not kept in plain.
    let other = |inputs: &[(&str, &str)]| {
        refused(client.start(request("r-1", inputs)), Code::AlreadyExists, "REQUEST_ID_REUSED")
    };
    other(&[("who", "me"), ("pin", "4711")]);
    other(&[("who", "you"), ("pin", "4712")]);
    other(&[]);
    // Ids are compared whole, and an empty one is none.
    assert!(!client.start(request("r-", &[])).unwrap().repeated_request);
    assert!(!client.start(request("", &[])).unwrap().repeated_request);
    assert!(!client.start(request("", &[])).unwrap().repeated_request);
    let longest = "x".repeat(128);
    assert!(!client.start(request(&longest, &[])).unwrap().repeated_request);
    assert!(client.start(request(&longest, &[])).unwrap().repeated_request);
    assert_eq!(all(&client), 5);
    assert_eq!(client.over(&run.name).status(), RunStatus::Succeeded);

    server.kill();
    let (_server, client) = Server::start(&project);
    let again = client.start(request("r-1", &[("who", "you"), ("pin", "4711")])).unwrap();
    assert!(again.repeated_request && again.run.unwrap().uid == run.uid);
    refused(client.start(request("r-1", &[("pin", "4711")])), Code::AlreadyExists, "REQUEST_ID_REUSED");
    let sealed = std::fs::read_dir(project.path(".runbook/sealed")).unwrap().count();
    wait_for("sealed inputs of runs that succeeded to go", || {
        let left = std::fs::read_dir(project.path(".runbook/sealed")).unwrap().count();
        (left == 0).then_some(())
    });
    assert!(sealed <= 5, "each repetition left sealed inputs");
}

#[test]
fn a_deadline_that_comes_first_leaves_one_run_or_none() {
    let project = Project::with("greet", GREET);
    let (_server, client) = Server::start(&project);
    let mut late = 0;
    for micros in [1, 500, 2_000, 5_000, 10_000, 50_000] {
        let id = format!("d-{micros}");
        let mut hurried = Request::new(request(&id, &[]));
        hurried.set_timeout(Duration::from_micros(micros));
        late += usize::from(client.block_on(client.runs().start_run(hurried)).is_err());
        let run = client.start(request(&id, &[])).unwrap().run.unwrap();
        assert_eq!(client.start(request(&id, &[])).unwrap().run.unwrap().uid, run.uid);
    }
    assert_eq!(all(&client), 6);
    assert!(late > 0, "a microsecond was enough");
}

#[test]
fn a_client_that_goes_away_cancels_nothing() {
    let project = Project::with("greet", GREET);
    let (_server, client) = Server::start(&project);
    for index in 0..5 {
        let other = Client::connect(&project.path(".runbook/runbookd.sock")).unwrap();
        // The request is sent, and its answer not waited for.
        let id = format!("gone-{index}");
        let mut runs = other.runs();
        let hasty = Duration::from_micros(500 * index);
        let _ = other.block_on(async { tokio::time::timeout(hasty, runs.start_run(request(&id, &[]))).await });
        drop(other);
        let run = client.start(request(&id, &[])).unwrap().run.unwrap();
        assert_eq!(client.over(&run.name).status(), RunStatus::Succeeded);
    }
    assert_eq!(all(&client), 5);
}

#[test]
fn validate_only_checks_all_and_makes_nothing() {
    let project = Project::with("greet", GREET);
    let (_server, client) = Server::start(&project);
    let mut good = request("", &[("who", "you"), ("pin", "4711")]);
    good.validate_only = true;
    let run = client.start(good).unwrap().run.unwrap();
    assert!(run.uid.is_empty() && !run.definition.is_empty());
    assert!(!format!("{run:?}").contains("4711"), "{run:?}");
    let mut bad = request("", &[("whom", "you")]);
    bad.validate_only = true;
    refused(client.start(bad), Code::InvalidArgument, "INVALID_INPUTS");
    assert_eq!(all(&client), 0);
    let sealed = std::fs::read_dir(project.path(".runbook/sealed")).map_or(0, Iterator::count);
    assert_eq!(sealed, 0);
}
