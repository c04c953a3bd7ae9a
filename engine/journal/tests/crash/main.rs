//! What was acknowledged survives: kill -9 at random moments, and power cuts rebuilt from recorded writes.
//!
//! `RUNBOOK_SEED=n` repeats a run, `RUNBOOK_ROUNDS=n` makes it longer.
#![allow(missing_docs, reason = "a test binary")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod power;
mod work;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use runbook_journal::Options;
use work::{Random, Said};

const DATA: &str = "RUNBOOK_TEST_DATA";
const COMMITS: &str = "RUNBOOK_TEST_COMMITS";
const SAID: &str = "RUNBOOK_TEST_SAID";
const SEED: &str = "RUNBOOK_SEED";
const ROUNDS: &str = "RUNBOOK_ROUNDS";

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// The seed of this run, printed so that a failure can be repeated.
fn seed() -> u64 {
    let seed = number(SEED).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        u64::from(now.subsec_nanos()) ^ now.as_secs()
    });
    println!("{SEED}={seed}");
    seed
}

/// A test of this binary as a process of its own.
fn child(test: &str, data: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(DATA, data).stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

fn data() -> PathBuf {
    std::env::var_os(DATA).expect("this is run by other tests").into()
}

#[test]
#[ignore = "the process that other tests kill"]
fn worker() {
    work::work(&data(), number(SEED).unwrap(), number(COMMITS).unwrap());
}

#[test]
#[ignore = "the process in which other tests open what is left"]
fn checker() {
    let mut said = Said::default();
    let lines = std::fs::read_to_string(std::env::var_os(SAID).expect("a file")).unwrap();
    lines.lines().for_each(|line| said.line(line));
    let verdict = runbook_journal::open(&data(), Options::default())
        .map_err(|error| error.to_string())
        .and_then(|(journal, _)| said.check(&journal.reader()));
    match verdict {
        Ok(()) => println!("verdict: good"),
        Err(why) => println!("verdict: {why}"),
    }
}

#[test]
fn a_killed_writer_loses_nothing_that_was_acknowledged() {
    let seed = seed();
    let mut random = Random::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut said = Said::default();
    for round in 0..number(ROUNDS).unwrap_or(15) {
        let mut command = child("worker", &data);
        command.env(SEED, random.next().to_string()).env(COMMITS, u64::MAX.to_string());
        let mut process = command.spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        // Killed behind a random line; the process is by then somewhere further on, and what it said until then counts.
        let mut left = 1 + random.below(250);
        for line in output.lines() {
            said.line(&line.unwrap());
            left = left.saturating_sub(1);
            if left == 0 {
                process.kill().unwrap();
            }
        }
        process.wait().unwrap();
        let (journal, _) = runbook_journal::open(&data, Options::default()).unwrap();
        let reader = journal.reader();
        said.check(&reader).unwrap_or_else(|why| panic!("round {round}, seed {seed}: {why}"));
    }
    assert!(said.commit() > 100, "only {} commits", said.commit());
}
