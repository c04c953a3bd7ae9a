//! Told to stop: streams end with an error, no step ends, and the daemon is gone in bounded time.

use std::time::{Duration, Instant};

use runbook_proto::v1::{DrainRequest, ReadLogsRequest, RunStatus, WatchRunRequest};
use runbook_tests::e2e::is_alive;
use runbook_tests::e2e::server::{Client, Server};
use rustix::process::Signal;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::{go, long, pid_of};

/// How soon a daemon must be gone that was told to stop: lingering clients, its own threads, and a slow machine.
const STOPPED: Duration = Duration::from_secs(8);

#[test]
fn a_stop_ends_streams_and_no_step() {
    let project = long();
    let (mut server, client) = Server::start(&project);
    let idle = Client::connect(&project.path(".runbook/runbookd.sock")).expect("an idle connection");
    let garbage = std::os::unix::net::UnixStream::connect(project.path(".runbook/runbookd.sock")).unwrap();
    let run = client.exec("long");
    let pid = pid_of(&project);
    let (name, mut runs) = (run.name.clone(), client.runs());
    let (mut events, mut logs, mut health) = client
        .block_on(async {
            let watch =
                runs.watch_run(WatchRunRequest { name: name.clone(), start_after: 0, tree: false }).await?.into_inner();
            let logs = ReadLogsRequest { name, follow: true, ..Default::default() };
            let logs = runs.read_logs(logs).await?.into_inner();
            let health = HealthClient::new(client.channel()).watch(HealthCheckRequest::default()).await?.into_inner();
            Ok::<_, tonic::Status>((watch, logs, health))
        })
        .unwrap();
    let serving = client.block_on(health.message()).unwrap().expect("a status");
    assert_eq!(serving.status(), ServingStatus::Serving);
    server.signal(Signal::TERM);
    let told = Instant::now();
    // Each stream says that it did not come to its end.
    let ended = client.block_on(async {
        loop {
            match events.message().await {
                Ok(Some(_)) => {}
                other => return other,
            }
        }
    });
    let status = ended.expect_err("an end that is no error");
    assert_eq!((status.code(), status.message().contains("runs go on")), (Code::Unavailable, true), "{status:?}");
    let ended = client.block_on(async {
        loop {
            match logs.message().await {
                Ok(Some(_)) => {}
                other => return other,
            }
        }
    });
    assert_eq!(ended.expect_err("an end that is no error").code(), Code::Unavailable);
    let last = client.block_on(health.message()).unwrap().expect("a last status");
    assert_eq!(last.status(), ServingStatus::NotServing);
    for client in [&client, &idle] {
        client.try_exec("long").expect_err("a start while draining");
    }
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0), "{}", server.log());
    assert!(told.elapsed() < STOPPED, "{:?}", told.elapsed());
    drop(garbage);
    assert!(is_alive(pid), "the step went with the daemon");

    let (_server, client) = Server::start(&project);
    go(&project);
    assert_eq!(client.over(&run.name).status(), RunStatus::Succeeded);
    assert_eq!(project.lines("log"), ["done"]);
    assert_eq!(client.list(Default::default()).runs.len(), 1);
}

#[test]
fn drain_is_the_same_by_the_api() {
    let project = long();
    let (mut server, client) = Server::start(&project);
    let run = client.exec("long");
    let pid = pid_of(&project);
    let request = DrainRequest { reason: "disk swap".into() };
    let drained = client.block_on(client.system().drain(request)).unwrap().into_inner();
    assert_eq!(drained.live_attempts, 1);
    assert_eq!(server.ended(), Some(0));
    assert!(server.log().contains("disk swap"), "{}", server.log());
    assert!(is_alive(pid));
    let (_server, client) = Server::start(&project);
    go(&project);
    assert_eq!(client.over(&run.name).status(), RunStatus::Succeeded);
}
