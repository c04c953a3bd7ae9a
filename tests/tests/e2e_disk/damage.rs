//! A run whose definition is gone: it is out of service and says so, nothing of it is touched, and the others go on.

use runbook_proto::v1::{CancelRunRequest, ListRunsRequest, RunStatus};
use runbook_tests::e2e::server::Server;
use runbook_tests::e2e::{Project, is_alive, wait_for};
use tonic::Code;
use tonic_types::StatusExt as _;

#[test]
fn a_run_that_cannot_be_read_is_out_of_service_alone() {
    let project =
        Project::with("waits", "steps: {a: {run: \"echo $$ > pid; while ! test -e go; do sleep 0.05; done\"}}\n");
    project.runbook("plain", "steps: {a: {effect: read, argv: [\"true\"]}}\n");
    let (server, client) = Server::start(&project);
    let waiting = client.exec("waits");
    let pid: u32 = wait_for("the step's pid", || project.read("pid")?.trim().parse().ok());
    let over = client.over(&client.exec("plain").name);
    server.kill();
    let definition = project.path(".runbook/definitions").join(&waiting.definition);
    let aside = project.path("aside");
    std::fs::rename(&definition, &aside).unwrap();

    let (server, client) = Server::start(&project);
    let reason = |status: tonic::Status| (status.code(), status.get_details_error_info().map(|info| info.reason));
    let unreadable = (Code::DataLoss, Some("RUN_UNREADABLE".to_owned()));
    let got = client.try_get(&waiting.name).unwrap_err();
    assert!(got.message().contains(&waiting.definition), "{got:?}");
    assert_eq!(reason(got), unreadable);
    let cancel = CancelRunRequest { name: waiting.name.clone(), ..Default::default() };
    assert_eq!(reason(client.block_on(client.runs().cancel_run(cancel)).unwrap_err()), unreadable);
    let listed = client.list(ListRunsRequest::default()).runs;
    assert_eq!(listed.len(), 2);
    let shown = listed.iter().find(|run| run.uid == waiting.uid).unwrap();
    assert_eq!(shown.status(), RunStatus::Attention);
    assert!(shown.message.contains("out of service"), "{}", shown.message);
    let warnings = client.info().unwrap().warnings.join("\n");
    assert!(warnings.contains(&waiting.uid), "{warnings}");
    assert_eq!(client.get(&over.name).status(), RunStatus::Succeeded);
    assert_eq!(client.over(&client.exec("plain").name).number, 3);
    assert!(is_alive(pid), "its step was killed");
    server.kill();

    // With the definition back it goes on as if nothing had been.
    std::fs::rename(&aside, &definition).unwrap();
    let (_server, client) = Server::start(&project);
    project.file("go", "");
    let run = client.over(&waiting.name);
    assert_eq!((run.status(), run.steps[0].attempts), (RunStatus::Succeeded, 1));
}
