//! How long it takes from the start of the command line to the first step's process, with a daemon that runs already;
//! beside it the same from the request over the API, and a command that asks nothing. Medians.
//!
//! `cargo bench -p runbook-tests --bench cli`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use runbook_tests::bench::is_asked;
use runbook_tests::e2e::command::{command, runbook};
use runbook_tests::e2e::{Daemon, Project};

const ROUNDS: usize = 51;
/// What the first step's process may take from the command line's start.
const BOUND: Duration = Duration::from_millis(25);

fn now_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

/// The median, and the value that nine of ten do not exceed.
fn summary(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 9 / 10])
}

fn print(what: &str, times: Vec<Duration>) -> Duration {
    let (median, slow) = summary(times);
    println!("{what:44} median {:6.2} ms   9 of 10 {:6.2} ms", median.as_secs_f64() * 1e3, slow.as_secs_f64() * 1e3);
    median
}

fn main() -> std::process::ExitCode {
    if !is_asked() {
        return std::process::ExitCode::SUCCESS;
    }
    let project = Project::with("one", "steps:\n  a: {effect: read, argv: [/bin/true]}\n");
    let daemon = Daemon::start(&project);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    println!("load {}", load.trim());

    let to_first = |last: usize, begin: u64| {
        let started = daemon.first_start_micros(&last.to_string());
        Duration::from_micros(started.saturating_sub(begin))
    };
    let mut number = 0;
    let mut whole = Vec::new();
    let mut exec = Vec::new();
    for _ in 0..ROUNDS {
        let (begin, clock) = (now_micros(), Instant::now());
        let ended = command(&project, &["exec", "one"]).stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        whole.push(clock.elapsed());
        assert!(ended.success(), "{}", daemon.log());
        number += 1;
        exec.push(to_first(number, begin));
    }
    let mut rpc = Vec::new();
    for _ in 0..ROUNDS {
        let begin = now_micros();
        let run = daemon.exec("one", &[]);
        daemon.watch_over(&run.name);
        number += 1;
        rpc.push(to_first(number, begin));
    }
    let mut version = Vec::new();
    let mut list = Vec::new();
    for _ in 0..ROUNDS {
        for (times, arguments) in [(&mut version, &["completions", "bash"][..]), (&mut list, &["list"])] {
            let clock = Instant::now();
            assert_eq!(runbook(&project, arguments).code, 0);
            times.push(clock.elapsed());
        }
    }
    let median = print("`runbook exec` to the first step's process", exec);
    print("StartRun to the first step's process", rpc);
    print("`runbook exec`, one step, to its end", whole);
    print("`runbook list`", list);
    print("`runbook completions bash` (no daemon asked)", version);
    let kept = median <= BOUND;
    println!("    at most {BOUND:?} to the first step's process: {}", if kept { "kept" } else { "MISSED" });
    std::process::ExitCode::from(u8::from(!kept))
}
