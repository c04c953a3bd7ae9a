//! Streams of events and logs: from a number on, until the end, and for readers who are slow or gone.

use std::time::Duration;

use runbook_proto::v1::{
    CancelRunRequest, Event, EventType, ReadLogsRequest, RunStatus, WatchRunRequest, WatchRunResponse,
};
use runbook_tests::e2e::Project;
use runbook_tests::e2e::server::{Client, Server, rss_kib};
use tonic::{Code, Request, Status, Streaming};

use crate::refused;

const LONG: &str = r#"
steps:
  a: {effect: read, run: "echo one; echo two >&2; while ! test -e go; do sleep 0.05; done; echo three"}
  b: {needs: [a], effect: read, run: "echo four"}
"#;

async fn rest(stream: &mut Streaming<WatchRunResponse>) -> Result<(Vec<Event>, RunStatus), Status> {
    let (mut events, mut status) = (Vec::new(), RunStatus::Unspecified);
    while let Some(message) = stream.message().await? {
        status = message.status();
        events.extend(message.events);
    }
    Ok((events, status))
}

fn watch(client: &Client, name: &str, start_after: u64) -> Streaming<WatchRunResponse> {
    let request = WatchRunRequest { name: name.to_owned(), start_after, tree: false };
    client.block_on(client.runs().watch_run(request)).expect("a stream").into_inner()
}

#[test]
fn a_watch_goes_on_from_any_event_to_the_end() {
    let project = Project::with("long", LONG);
    let (server, client) = Server::start(&project);
    let run = client.exec("long");
    let mut whole = watch(&client, &run.name, 0);
    // What is there comes at once, with the run still going on.
    let mut first = Vec::new();
    client.block_on(async {
        while !first.iter().any(|event: &Event| event.r#type() == EventType::AttemptStarting) {
            first.extend(whole.message().await.expect("events").expect("more").events);
        }
    });
    let seen = first.last().unwrap().number;
    let ahead = WatchRunRequest { name: run.name.clone(), start_after: 1_000, tree: false };
    refused(client.block_on(client.runs().watch_run(ahead)).map(drop), Code::OutOfRange, "NO_SUCH_EVENT");
    let mut behind = watch(&client, &run.name, seen);
    project.file("go", "");
    let (events, status) = client.block_on(rest(&mut whole)).expect("to the end");
    assert_eq!(status, RunStatus::Succeeded);
    first.extend(events);
    let all = client.events(&run.name);
    assert_eq!(first, all);
    let (events, _) = client.block_on(rest(&mut behind)).expect("to the end");
    assert_eq!(events, all[seen as usize..]);
    drop(server);

    // A run that is over: any part of it, and after the last event at least how it ended.
    let (_server, client) = Server::start(&project);
    for after in 0..=all.len() {
        let (events, status) = client.block_on(rest(&mut watch(&client, &run.name, after as u64))).expect("to the end");
        assert_eq!((events, status), (all[after..].to_vec(), RunStatus::Succeeded));
    }
}

#[test]
fn logs_are_followed_to_the_end() {
    let project = Project::with("long", LONG);
    let (_server, client) = Server::start(&project);
    let run = client.exec("long");
    let read = |follow: bool, tail: u32, step: &str| {
        let request =
            ReadLogsRequest { name: run.name.clone(), follow, tail, step: step.to_owned(), ..Default::default() };
        client.block_on(client.runs().read_logs(request)).expect("a stream").into_inner()
    };
    let mut stream = read(true, 0, "");
    let mut lines = Vec::new();
    client.block_on(async {
        while lines.len() < 2 {
            let part = stream.message().await.expect("lines").expect("more");
            lines.extend(part.lines.into_iter().map(|line| (line.step, line.text, line.stderr)));
        }
    });
    project.file("go", "");
    client.block_on(async {
        while let Some(part) = stream.message().await.expect("lines") {
            lines.extend(part.lines.into_iter().map(|line| (line.step, line.text, line.stderr)));
        }
    });
    let line = |step: &str, text: &str, stderr: bool| (step.to_owned(), text.to_owned(), stderr);
    lines[..2].sort();
    let expected =
        [line("a", "one", false), line("a", "two", true), line("a", "three", false), line("b", "four", false)];
    assert_eq!(lines, expected);
    let texts = |tail, step| {
        let mut stream = read(false, tail, step);
        let mut texts = Vec::new();
        client.block_on(async {
            while let Some(part) = stream.message().await.expect("lines") {
                texts.extend(part.lines.into_iter().map(|line| line.text));
            }
        });
        texts
    };
    assert_eq!(texts(1, ""), ["three", "four"]);
    assert_eq!(texts(0, "b"), ["four"]);
}

#[test]
fn a_streams_deadline_is_kept() {
    let project = Project::with("long", LONG);
    let (_server, client) = Server::start(&project);
    let run = client.exec("long");
    let mut request = Request::new(WatchRunRequest { name: run.name.clone(), start_after: 0, tree: false });
    request.set_timeout(Duration::from_millis(300));
    let ended = client.block_on(async {
        let mut stream = client.runs().watch_run(request).await?.into_inner();
        rest(&mut stream).await
    });
    refused(ended, Code::DeadlineExceeded, "DEADLINE");
    let mut request = Request::new(ReadLogsRequest { name: run.name.clone(), follow: true, ..Default::default() });
    request.set_timeout(Duration::from_millis(300));
    let ended = client.block_on(async {
        let mut stream = client.runs().read_logs(request).await?.into_inner();
        while stream.message().await?.is_some() {}
        Ok(())
    });
    refused(ended, Code::DeadlineExceeded, "DEADLINE");
    // A watcher's end is not the run's.
    assert_eq!(client.get(&run.name).status(), RunStatus::Running);
    project.file("go", "");
    assert_eq!(client.over(&run.name).status(), RunStatus::Succeeded);
}

/// Readers that never read, while a run makes thousands of events and megabytes of log.
#[test]
fn readers_that_do_not_read_cost_little_and_harm_nobody() {
    const READERS: usize = 24;
    const STEPS: usize = 1_500;
    /// The log has some 20 MB: if each reader's share of it waited in memory, that were half a gigabyte.
    const GROWTH_KIB: u64 = 160 << 10;
    let mut text = String::from("inputs: {go: {type: boolean, default: false}}\nsteps:\n");
    text += "  talk: {effect: read, run: \"head -c 20000000 /dev/zero | tr '\\\\0' x | fold -w 2000\"}\n";
    for index in 0..STEPS {
        text += &format!("  s{index}: {{needs: [talk], effect: read, if: inputs.go, argv: [\"true\"]}}\n");
    }
    let project = Project::with("much", &text);
    let (server, client) = Server::start(&project);
    let warm = client.over(&client.exec("much").name);
    assert_eq!(warm.status(), RunStatus::Succeeded);
    let before = rss_kib(server.pid());
    let socket = project.path(".runbook/runbookd.sock");
    let readers: Vec<Client> = (0..READERS).map(|_| Client::connect(&socket).unwrap()).collect();
    let run = client.exec("much");
    let mut events = Vec::new();
    let mut logs = Vec::new();
    for reader in &readers {
        events.push(watch(reader, &run.name, 0));
        let request = ReadLogsRequest { name: run.name.clone(), follow: true, ..Default::default() };
        logs.push(reader.block_on(reader.runs().read_logs(request)).expect("a stream").into_inner());
    }
    let run = client.over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded);
    let all = client.events(&run.name);
    assert!(all.len() > STEPS, "{}", all.len());
    let grown = rss_kib(server.pid()).saturating_sub(before);
    println!("{READERS} readers of two streams each that do not read: {grown} KiB more");
    assert!(grown < GROWTH_KIB, "{grown} KiB");
    // They read on after all, and miss nothing.
    let (reader, stream) = (&readers[0], &mut events[0]);
    let (late, status) = reader.block_on(rest(stream)).expect("to the end");
    assert_eq!((late.len(), status), (all.len(), RunStatus::Succeeded));
    let bytes = readers[1].block_on(async {
        let mut bytes = 0;
        while let Some(part) = logs[1].message().await.expect("lines") {
            bytes += part.lines.iter().map(|line| line.text.len()).sum::<usize>();
        }
        bytes
    });
    assert_eq!(bytes, 20_000_000);
}

#[test]
fn a_watcher_that_goes_away_cancels_nothing() {
    let project = Project::with("long", LONG);
    let (_server, client) = Server::start(&project);
    let run = client.exec("long");
    for _ in 0..20 {
        let other = Client::connect(&project.path(".runbook/runbookd.sock")).unwrap();
        let mut stream = watch(&other, &run.name, 0);
        other.block_on(stream.message()).expect("events");
    }
    assert_eq!(client.get(&run.name).status(), RunStatus::Running);
    let cancel = CancelRunRequest { name: run.name.clone(), reason: "enough".into(), ..Default::default() };
    client.block_on(client.runs().cancel_run(cancel)).unwrap();
    let run = client.over(&run.name);
    assert_eq!(run.status(), RunStatus::Canceled);
    assert!(run.message.contains("enough"), "{}", run.message);
}
