//! What is removed, and what never is: by age and by count, with its folder, its sealed inputs, and the definitions that
//! no run names any more.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use runbook_core::run::Outcome;
use runbook_core::time::{Span, Timestamp};
use runbook_proto::v1::{ListRunsRequest, RunStatus, StartRunRequest};
use runbook_tests::e2e::server::{Client, Server};
use runbook_tests::e2e::{Project, wait_for};
use rustix::process::Signal;

use crate::store::{Copy, add};

const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn numbers(client: &Client) -> Vec<u64> {
    let request = ListRunsRequest { page_size: 1_000, ..Default::default() };
    client.list(request).runs.iter().map(|run| run.number).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).map(|entries| entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect());
    let mut names: Vec<String> = entries.unwrap_or_default();
    names.sort();
    names
}

/// As if the files had been written two days ago.
fn age(folder: &Path) {
    let old = SystemTime::now() - 2 * A_DAY;
    for entry in fs::read_dir(folder).unwrap() {
        fs::File::open(entry.unwrap().path()).unwrap().set_modified(old).unwrap();
    }
}

fn stop(mut server: Server) {
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0), "{}", server.log());
}

const SECRET: &str = "inputs: {pin: {type: string, secret: true, required: true}}\n\
    steps: {a: {effect: read, env: {P: \"${{ inputs.pin }}\"}, run: \"echo out; false\"}}\n";

#[test]
fn too_many_runs_go_and_take_everything_along() {
    let project = Project::with("good", "steps: {a: {effect: read, run: \"echo out\"}}\n");
    project.runbook("bad", SECRET);
    project.runbook("wait", "steps: {a: {effect: read, run: \"while ! test -e go; do sleep 0.05; done\"}}\n");
    let data = project.path(".runbook");
    let (server, client) = Server::start(&project);
    let good = client.over(&client.exec("good").name);
    let waiting = client.exec("wait");
    let bad = |client: &Client| {
        let inputs = HashMap::from([("pin".to_owned(), "4711".to_owned())]);
        let request = StartRunRequest { runbook: "bad".into(), input_texts: inputs, ..Default::default() };
        client.over(&client.start(request).unwrap().run.unwrap().name)
    };
    let failed: Vec<_> = (0..6).map(|_| bad(&client)).collect();
    let requested = StartRunRequest { runbook: "good".into(), request_id: "keep".into(), ..Default::default() };
    client.over(&client.start(requested).unwrap().run.unwrap().name);
    assert_eq!(numbers(&client), [9, 8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(names(&data.join("sealed")).len(), 6);
    assert_eq!(names(&data.join("definitions")).len(), 3);
    stop(server);
    // A start that never became a run.
    fs::write(data.join("sealed").join(runbook_core::id::RunUid::from_bits(7).to_string()), "x").unwrap();
    age(&data.join("definitions"));

    project.file("runbookd.yaml", "retention: {runs: 3}\n");
    let mut server = Server::spawn(&project, |_| {});
    let client = server.ready();
    // Three that are over, the one that waits, and nothing else: the last success is the newest run.
    wait_for("the runs to go", || (numbers(&client) == [9, 8, 7, 2]).then_some(()));
    wait_for("their folders to go", || (names(&data.join("runs")).len() == 3).then_some(()));
    wait_for("the trash to be emptied", || names(&data.join("trash")).is_empty().then_some(()));
    assert_eq!(names(&data.join("sealed")).len(), 2, "sealed inputs of runs that are gone");
    assert_eq!(client.try_get(&failed[0].name).unwrap_err().code(), tonic::Code::NotFound);
    assert_eq!(client.try_get(&good.name).unwrap_err().code(), tonic::Code::NotFound);
    assert_eq!(client.get(&failed[5].name).status(), RunStatus::Failed);
    assert_eq!(names(&data.join("definitions")).len(), 3, "each of them has a run");

    // Nobody needs the definition of `bad` any more; the numbers go on.
    for _ in 0..3 {
        client.over(&client.exec("good").name);
    }
    stop(server);
    age(&data.join("definitions"));
    let (server, client) = Server::start(&project);
    wait_for("the runs to go", || (numbers(&client) == [12, 11, 10, 9, 2]).then_some(()));
    stop(server);
    let kept = names(&data.join("definitions"));
    let (server, client) = Server::start(&project);
    assert_eq!((kept.len(), names(&data.join("definitions")).len()), (3, 2), "one that no run names");
    assert_eq!(names(&data.join("sealed")), [""; 0]);
    project.file("go", "");
    assert_eq!(client.over(&waiting.name).status(), RunStatus::Succeeded);
    assert_eq!(client.over(&client.exec("good").name).number, 13);
    stop(server);
}

#[test]
fn old_runs_go_but_never_the_last_success() {
    let project = Project::with("backup", "steps: {a: {effect: read, argv: [\"true\"]}}\n");
    let data = project.path(".runbook");
    let (server, client) = Server::start(&project);
    let model = client.over(&client.exec("backup").name);
    stop(server);
    let now = Timestamp(i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap());
    // 2 to 11: 100 down to 10 days old, the succeeded ones all older than 40 days.
    let copies = (0..10_i64).map(|index| {
        let days = 100 - index * 10;
        let outcome = if days > 40 { Outcome::Succeeded } else { Outcome::Failed };
        Copy { number: 2 + index as u64, at: Timestamp(now.0 - Span::minutes(days * 1_440).0), outcome }
    });
    add(&data, model.uid.parse().unwrap(), copies);
    project.file("runbookd.yaml", "retention: {days: 35}\n");
    let (server, client) = Server::start(&project);
    // 1 is from today. 2 to 8 are older than 35 days, and 1 is the last success by number but the oldest of all.
    let left = wait_for("the old runs to go", || {
        let left = numbers(&client);
        (left.len() < 11).then_some(left)
    });
    assert_eq!(left, [11, 10, 9, 7, 1]);
    for (number, status) in [(7, RunStatus::Succeeded), (9, RunStatus::Failed), (1, RunStatus::Succeeded)] {
        assert_eq!(client.get(&number.to_string()).status(), status);
    }
    assert_eq!(client.exec("backup").number, 12);
    stop(server);
}
