//! One sync per commit and nothing else, counted by strace, so that no noise can hide a slip.
#![allow(missing_docs, reason = "a test binary")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{Book, created, ready, uid};
use runbook_journal::Options;

const COMMITS: usize = 100;
const DATA: &str = "RUNBOOK_TEST_DATA";

#[test]
#[ignore = "the process that another test counts the calls of"]
fn appender() {
    let data: PathBuf = std::env::var_os(DATA).expect("this is run by another test").into();
    let (mut journal, _) = runbook_journal::open(&data, Options::default()).unwrap();
    let mut book = Book::default();
    book.append(&mut journal, vec![(uid(1), created(1, "a", ""))]);
    // Seen in the trace: from here on.
    std::fs::metadata("/nowhere/begin").unwrap_err();
    for step in 0..COMMITS {
        book.append(&mut journal, vec![(uid(1), ready(u32::try_from(step).unwrap()))]);
    }
    std::fs::metadata("/nowhere/end").unwrap_err();
}

#[test]
fn a_commit_is_one_sync() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let output = Command::new("strace")
        .args(["-f", "-y", "-e", "trace=fsync,fdatasync,syncfs,sync,statx,stat,newfstatat", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "appender", "--ignored"])
        .env(DATA, dir.path().join("data"))
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Past the harness, which keeps the output of tests that pass.
            std::io::Write::write_all(&mut std::io::stderr(), b"skipped: there is no strace\n").unwrap();
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert!(output.status.success(), "{output:?}");
    let trace = std::fs::read_to_string(trace).unwrap();
    let (_, rest) = trace.split_once("/nowhere/begin").expect("the beginning in the trace");
    let (between, _) = rest.split_once("/nowhere/end").expect("the end in the trace");
    let calls: Vec<&str> = between.lines().filter(|line| line.contains("sync") && !line.contains("resumed")).collect();
    let ours = calls.iter().filter(|line| line.contains("fdatasync(")).count();
    assert_eq!(ours, COMMITS, "{calls:#?}");
    // The storage engine's own, of which there is one in ten seconds.
    let others = calls.len() - ours;
    assert!(others <= 1, "{calls:#?}");
}
