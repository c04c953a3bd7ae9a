//! Runs whose events do not fit into one page or message.

use runbook_proto::v1::{EventType, ResumeRunRequest, RunStatus, WatchRunRequest};
use runbook_tests::e2e::server::{Client, Server};
use runbook_tests::e2e::{Project, step, wait_for};

/// Steps with large outputs: their events have more than the journal's page of 4 MiB together.
const STEPS: usize = 32;
/// The output of each, in bytes.
const OUTPUT: usize = 200_000;

fn watched(client: &Client, name: &str) -> (u64, RunStatus) {
    let request = WatchRunRequest { name: name.to_owned(), start_after: 0, tree: false };
    client.block_on(async {
        // As any client does, this one takes 4 MiB in a message.
        let mut stream = client.runs().watch_run(request).await.expect("a stream").into_inner();
        let (mut last, mut status) = (0, RunStatus::Unspecified);
        while let Some(message) = stream.message().await.expect("events") {
            for event in &message.events {
                assert_eq!(event.number, last + 1);
                last = event.number;
            }
            status = message.status();
        }
        (last, status)
    })
}

#[test]
fn a_run_with_large_outputs_is_told_whole() {
    let mut text = String::from("max_parallel: 4\nsteps:\n");
    for index in 0..STEPS {
        text += &format!(
            "  s{index}: {{effect: idempotent, run: \"printf 'v=%{OUTPUT}s\\\\n' x >> \\\"$RUNBOOK_OUTPUT\\\"\", outputs: {{v: string}}}}\n"
        );
    }
    let needs: Vec<String> = (0..STEPS).map(|index| format!("s{index}")).collect();
    text += &format!("  last: {{needs: [{}], effect: idempotent, run: \"test -e mended\"}}\n", needs.join(", "));
    let project = Project::with("large", &text);
    let (server, client) = Server::start(&project);
    let run = client.exec("large");
    // A watcher from the beginning comes to the end.
    let (last, status) = watched(&client, &run.name);
    assert_eq!(status, RunStatus::Failed);
    let events = client.events(&run.name);
    assert_eq!(events.len() as u64, last);
    let bytes: usize = events.iter().map(|event| event.outputs.as_ref().map_or(0, |_| OUTPUT)).sum();
    assert!(bytes > 4 << 20, "{bytes}");
    server.kill();

    // So does one that comes after a restart, when the run is in memory no more; and it can be opened again.
    let (server, client) = Server::start(&project);
    assert_eq!(watched(&client, &run.name), (last, RunStatus::Failed));
    let found = client.block_on(async {
        let request = runbook_proto::v1::GetRunRequest { name: run.name.clone() };
        client.runs().max_decoding_message_size(usize::MAX).get_run(request).await
    });
    let found = found.unwrap().into_inner().run.unwrap();
    assert_eq!((found.status(), found.last_event), (RunStatus::Failed, last), "{}", found.message);
    assert!(step(&found, "s0").outputs.is_some());
    project.file("mended", "");
    let resume = ResumeRunRequest { name: run.name.clone(), reason: String::new(), ..Default::default() };
    client.block_on(client.runs().resume_run(resume)).unwrap_or_else(|status| panic!("{status:?}\n{}", server.log()));
    wait_for("the second end", || {
        let runs = client.list(Default::default()).runs;
        (runs[0].status() == RunStatus::Succeeded).then_some(())
    });
    let events = client.events(&run.name);
    let starts = events.iter().filter(|event| event.r#type() == EventType::AttemptStarting).count();
    assert_eq!(starts, STEPS + 2, "a step that had succeeded ran again");
}
