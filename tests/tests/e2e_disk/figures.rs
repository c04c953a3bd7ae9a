//! How soon a large store answers. `RUNBOOK_STORE=100000` measures that many as well; in an ordinary run of the tests
//! it is 10,000.

use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use runbook_core::run::Outcome;
use runbook_core::time::Timestamp;
use runbook_proto::v1::{ListRunsRequest, RunStatus};
use runbook_tests::e2e::Project;
use runbook_tests::e2e::server::{Client, Server, rss_kib};
use rustix::process::Signal;

use crate::store::{Copy, add};

/// How soon 10,000 finished runs answer.
const SOON: Duration = Duration::from_millis(500);
/// How often each is asked: the median counts, since other work on the machine makes single answers late.
const ASKED: usize = 5;
/// The tests' programs are built without optimization.
const FACTOR: u32 = if cfg!(debug_assertions) { 4 } else { 1 };

fn timed<T>(what: &str, worst: &mut Duration, call: impl Fn() -> T) -> T {
    let mut answer = None;
    let mut times: Vec<Duration> = (0..ASKED)
        .map(|_| {
            let begin = Instant::now();
            answer = Some(call());
            begin.elapsed()
        })
        .collect();
    times.sort();
    let median = times[ASKED / 2];
    println!("  {what}: {median:?} (at most {:?})", times[ASKED - 1]);
    *worst = (*worst).max(median);
    answer.expect("an answer")
}

/// Starts a daemon on a store of so many runs, and tells its slowest answer.
fn measure(runs: u64) -> Duration {
    let project = Project::with("nightly", "steps: {a: {effect: read, run: \"echo out\"}}\n");
    let data: PathBuf = project.path(".runbook");
    let (mut server, client) = Server::start(&project);
    let model = client.over(&client.exec("nightly").name);
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
    let now = i64::try_from(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros()).unwrap();
    let begin = Instant::now();
    let copies = (2..=runs).map(|number| Copy {
        number,
        at: Timestamp(now + number as i64),
        outcome: if number % 1_000 == 7 { Outcome::Failed } else { Outcome::Succeeded },
    });
    add(&data, model.uid.parse().unwrap(), copies);
    println!("{runs} runs, made in {:?}:", begin.elapsed());

    let begin = Instant::now();
    let (mut server, client) = Server::start(&project);
    println!("  start: {:?}", begin.elapsed());
    let mut worst = Duration::ZERO;
    let list = |request: ListRunsRequest| client.list(request).runs;
    let newest = timed("the newest 50", &mut worst, || list(ListRunsRequest::default()));
    assert_eq!((newest.len(), newest[0].number), (50, runs));
    let page =
        timed("the newest 1,000", &mut worst, || list(ListRunsRequest { page_size: 1_000, ..Default::default() }));
    assert_eq!(page.len(), 1_000);
    let failed = ListRunsRequest { statuses: vec![RunStatus::Failed.into()], ..Default::default() };
    let found = timed("the newest 50 that failed", &mut worst, || list(failed.clone()));
    assert_eq!(found.len() as u64, (runs / 1_000).min(50));
    let none = ListRunsRequest { runbook: "other".into(), ..Default::default() };
    assert!(timed("those of a runbook that has none", &mut worst, || list(none.clone())).is_empty());
    let old = ListRunsRequest { page_token: "60".into(), ..Default::default() };
    assert_eq!(timed("an old page", &mut worst, || list(old.clone()))[0].number, 59);
    let middle = (runs / 2).to_string();
    let by_number = timed("one in the middle by number", &mut worst, || client.get(&middle));
    assert_eq!((by_number.status(), by_number.steps.len()), (RunStatus::Succeeded, 1));
    timed("one in the middle by uid", &mut worst, || client.get(&by_number.name));
    timed("the events of one in the middle", &mut worst, || client.events(&by_number.name));
    timed("a run", &mut worst, || run(&client));
    println!("  the slowest: {worst:?}; {} KiB resident", rss_kib(server.pid()));
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
    worst
}

fn run(client: &Client) {
    let run = client.exec("nightly");
    assert!(run.number > 0);
}

#[test]
fn ten_thousand_finished_runs_answer_soon() {
    let base = measure(10_000);
    assert!(base < SOON * FACTOR, "{base:?}");
    let Some(more) = std::env::var("RUNBOOK_STORE").ok().map(|text| text.parse().expect("a number")) else { return };
    let worst = measure(more);
    assert!(worst < SOON * FACTOR * 2, "{worst:?}");
}
