//! kill -9 of the daemon at random moments, in its start as well as in its work: nothing that it acknowledged is lost,
//! every run ends right, and no step runs twice. `RUNBOOK_SEED` and `RUNBOOK_ROUNDS` repeat a run or make it longer.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use runbook_proto::v1::{Event, RunStatus, StartRunRequest, WatchRunRequest};
use runbook_tests::e2e::server::{Client, Server};
use runbook_tests::e2e::{PATIENCE, Project};

/// Kills in an ordinary run of the tests.
const ROUNDS: u64 = 20;
/// The latest moment of a kill, after the start of the process in every third round, after its first answer in the others.
const LATEST: Duration = Duration::from_millis(300);
/// Runs asked for in a round.
const STARTS: usize = 3;

/// Steps of the default effect: what runs twice shows in `starts`, and what nobody knows waits for a person.
const STEPS: &str = r#"
steps:
  a: {run: "echo $RUNBOOK_RUN_UID $RUNBOOK_STEP >> starts"}
  b: {needs: [a], run: "echo $RUNBOOK_RUN_UID $RUNBOOK_STEP >> starts; sleep 0.05"}
  c: {needs: [a], run: "echo $RUNBOOK_RUN_UID $RUNBOOK_STEP >> starts; echo v=1 >> \"$RUNBOOK_OUTPUT\"", outputs: {v: integer}}
finally:
  d: {run: "echo $RUNBOOK_RUN_UID $RUNBOOK_STEP >> starts"}
"#;

/// What a client was told of a run.
struct Told {
    name: String,
    number: u64,
    request_id: String,
    events: Vec<Event>,
}

/// What a round left.
#[derive(Default)]
struct Round {
    asked: Vec<String>,
    told: Vec<Told>,
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Starts runs and watches the last one, until the daemon is gone.
fn work(project: &Project, round: u64, killed: &AtomicBool, connected: &mpsc::Sender<()>) -> Round {
    let mut done = Round::default();
    let client = loop {
        if killed.load(Ordering::Acquire) {
            return done;
        }
        if let Some(client) = Client::connect(&project.path(".runbook/runbookd.sock")) {
            break client;
        }
        std::thread::yield_now();
    };
    // The test may not wait for it.
    let _ = connected.send(());
    for index in 0..STARTS {
        let request_id = format!("round-{round}-{index}");
        done.asked.push(request_id.clone());
        let Ok(response) = client.start(request(&request_id)) else { return done };
        let run = response.run.expect("a run");
        done.told.push(Told { name: run.name, number: run.number, request_id, events: Vec::new() });
    }
    let Some(last) = done.told.last_mut() else { return done };
    let request = WatchRunRequest { name: last.name.clone(), start_after: 0, tree: false };
    client.block_on(async {
        let Ok(stream) = client.runs().watch_run(request).await else { return };
        let mut stream = stream.into_inner();
        while let Ok(Some(message)) = stream.message().await {
            last.events.extend(message.events);
        }
    });
    done
}

fn request(request_id: &str) -> StartRunRequest {
    StartRunRequest { runbook: "k".into(), request_id: request_id.to_owned(), ..Default::default() }
}

#[test]
fn kills_at_any_moment_lose_nothing_and_repeat_nothing() {
    let now = UNIX_EPOCH.elapsed().unwrap();
    let seed = number("RUNBOOK_SEED").unwrap_or_else(|| u64::from(now.subsec_nanos()) ^ now.as_secs());
    let rounds = number("RUNBOOK_ROUNDS").unwrap_or(ROUNDS);
    println!("RUNBOOK_SEED={seed} RUNBOOK_ROUNDS={rounds}");
    let mut state = seed | 1;
    let mut random = move |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    let project = Arc::new(Project::with("k", STEPS));
    let (mut asked, mut told) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let server = Server::spawn(&project, |_| {});
        let killed = Arc::new(AtomicBool::new(false));
        let (sender, connected) = mpsc::channel();
        let worker = {
            let (project, killed) = (Arc::clone(&project), Arc::clone(&killed));
            std::thread::spawn(move || work(&project, round, &killed, &sender))
        };
        if round % 3 != 0 {
            connected.recv_timeout(PATIENCE * 3).expect("a daemon that answers");
        }
        // The moment is the point here; the end of the work makes it come sooner.
        let moment = Instant::now() + Duration::from_micros(random(LATEST.as_micros() as u64));
        while let Some(left) = moment.checked_duration_since(Instant::now()).filter(|_| !worker.is_finished()) {
            if connected.recv_timeout(left).is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected) {
                break;
            }
        }
        server.kill();
        killed.store(true, Ordering::Release);
        let done = worker.join().expect("the client is well");
        asked.extend(done.asked);
        told.extend(done.told);
    }

    let (server, client) = Server::start(&project);
    for run in &told {
        let found = client.get(&run.name);
        assert_eq!((found.number, &found.request_id), (run.number, &run.request_id), "seed {seed}");
        let events = client.events(&run.name);
        assert!(events.len() >= run.events.len(), "seed {seed}: events of run {} are gone", run.number);
        assert_eq!(events[..run.events.len()], run.events[..], "seed {seed}: run {}", run.number);
    }
    // Whatever was asked for is there once when it is asked for again.
    let mut runs = BTreeMap::new();
    for request_id in &asked {
        let response = client.start(request(request_id)).expect("a repeated request");
        let acknowledged = told.iter().any(|run| run.request_id == *request_id);
        assert!(response.repeated_request || !acknowledged, "seed {seed}: request {request_id} made a second run");
        runs.insert(response.run.expect("a run").name, request_id);
    }
    assert_eq!(runs.len(), asked.len(), "seed {seed}: requests share a run");
    for name in runs.keys() {
        let run = client.over(name);
        assert_eq!(run.status(), RunStatus::Succeeded, "seed {seed}: {run:#?}\n{}", server.log());
        assert!(run.steps.iter().all(|step| step.attempts == 1), "seed {seed}: {run:#?}");
    }
    let starts = project.lines("starts");
    let once: HashSet<&String> = starts.iter().collect();
    assert_eq!(once.len(), starts.len(), "seed {seed}: a step ran twice");
    assert_eq!(starts.len(), runs.len() * 4, "seed {seed}");
    println!("{rounds} kills, {} requests, {} acknowledged", asked.len(), told.len());
    assert!(rounds < ROUNDS || told.len() as u64 > rounds / 2, "the kills came too early to show anything");
}
