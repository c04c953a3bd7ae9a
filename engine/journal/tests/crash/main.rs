//! What was acknowledged survives: kill -9 at random moments, and power cuts rebuilt from recorded writes.
//!
//! `RUNBOOK_SEED=n` repeats a run, `RUNBOOK_ROUNDS=n` makes it longer.
#![allow(missing_docs, reason = "a test binary")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "helpers of tests")]

mod power;
mod work;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use runbook_journal::Options;
use work::{Random, Said, Verdict};

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
    match check(&mut said) {
        Ok(()) => println!("\nverdict: good"),
        Err(why) => println!("\nverdict: {why}"),
    }
}

fn check(said: &mut Said) -> Result<(), Verdict> {
    let (journal, _) = runbook_journal::open(&data(), Options::default())?;
    said.check(&journal.reader())
}

/// What a new process finds in a data directory, of which these lines were said.
fn verdict(data: &Path, lines: &str, scratch: &Path) -> Result<(), Verdict> {
    let said = scratch.join("said");
    std::fs::write(&said, lines).unwrap();
    let output = child("checker", data).env(SAID, said).stderr(Stdio::null()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let found = text.lines().find_map(|line| line.strip_prefix("verdict: "));
    match found.map(|verdict| verdict.split_once(": ").unwrap_or((verdict, ""))) {
        Some(("good", _)) => Ok(()),
        Some(("refused", why)) => Err(Verdict::Refused(why.to_owned())),
        Some((_, why)) => Err(Verdict::Wrong(why.to_owned())),
        None => Err(Verdict::Wrong(format!("the process ended without a verdict: {}", output.status))),
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

/// Single flipped bits anywhere in what the storage engine wrote: the journal says so, or nothing is lost.
#[test]
fn a_flipped_bit_is_never_a_silent_loss() {
    let seed = seed();
    let mut random = Random::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let output = child("worker", &data).env(SEED, seed.to_string()).env(COMMITS, "150").output().unwrap();
    assert!(output.status.success());
    let lines = String::from_utf8(output.stdout).unwrap();
    // The end of the journal is noted, as when nothing is done for a while.
    runbook_journal::open(&data, Options::default()).unwrap().0.close().unwrap();
    assert_eq!(verdict(&data, &lines, dir.path()), Ok(()));
    let db = data.join("journal/db");
    let good = std::fs::read(&db).unwrap();
    let used: Vec<usize> = (0..good.len()).filter(|at| good[*at] != 0).collect();
    let mut refused = 0;
    for round in 0..number(ROUNDS).unwrap_or(20) {
        let at = used[usize::try_from(random.below(used.len() as u64)).unwrap()];
        let mut bad = good.clone();
        bad[at] ^= 1 << random.below(8);
        std::fs::write(&db, bad).unwrap();
        match verdict(&data, &lines, dir.path()) {
            Ok(()) => {}
            Err(Verdict::Refused(_)) => refused += 1,
            Err(Verdict::Wrong(why)) => panic!("round {round}, seed {seed}, byte {at}: {why}"),
        }
        // Opening may have written.
        std::fs::write(&db, &good).unwrap();
    }
    assert!(refused > 0, "seed {seed}: no flipped bit was noticed: this test is blind");
}
