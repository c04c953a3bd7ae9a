//! The command's output in the log: whole, harmless, bounded, without secrets.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;

use common::{Place, exited, until};
use runbook_shim::files::LogCount;
use runbook_shim::log::{Stream, parse_line};
use runbook_shim::paths;

#[test]
fn both_streams_are_logged_with_time_and_letter() {
    let place = Place::script("echo out; echo err >&2; printf 'no end'");
    let before = runbook_shim::time::now_micros();
    let verdict = place.run();
    assert_eq!(place.lines(Stream::Out), ["out", "no end"]);
    assert_eq!(place.lines(Stream::Err), ["err"]);
    let log = place.log();
    assert_eq!(verdict.log, LogCount { lines: 3, bytes: log.len() as u64, dropped_lines: 0, dropped_bytes: 0 });
    for line in log.lines() {
        let at = parse_line(line).unwrap().micros;
        assert!(before <= at && at <= verdict.ended_at + 1_000_000, "{line}");
    }
}

#[test]
fn a_line_shows_while_the_command_runs_and_so_does_the_beginning_of_one() {
    let place =
        Place::script("echo whole; printf 'half \\303'; read x < \"$T/go\"; printf '\\274ber'; printf '\\nnext\\n'");
    let mut go = place.fifo("go");
    let shim = place.start();
    until("the line is there", || place.lines(Stream::Out).first().is_some_and(|line| line == "whole"));
    until("the beginning is there, but no half of a character", || {
        place.lines(Stream::Out).get(1).is_some_and(|line| line == "half ")
    });
    go.go();
    assert_eq!(place.finish(shim).ending, exited(0));
    assert_eq!(place.lines(Stream::Out), ["whole", "half über", "next"]);
    assert!(place.log().contains(" o+über\n"), "{}", place.log());
}

#[test]
fn binary_output_becomes_harmless_text() {
    let place = Place::script(
        "printf 'a\\000b\\033[2Jc\\r\\n\\377\\376\\n\\r50%%\\r\\n'; head -c 100000 /dev/urandom; echo; echo end",
    );
    assert_eq!(place.run().ending, exited(0));
    let log = fs::read(place.dir.join(paths::LOG)).unwrap();
    assert!(log.iter().all(|b| *b == b'\n' || *b == b'\t' || !b.is_ascii_control()));
    let lines = place.lines(Stream::Out);
    assert_eq!(lines[..3], ["a\\x00b\\x1b[2Jc", "\\xff\\xfe", "\\r50%"]);
    assert_eq!(lines.last().unwrap(), "end");
}

#[test]
fn long_lines_are_cut_and_marked_and_lose_nothing() {
    // Characters of three bytes, so that a cut could fall into one.
    let place = Place::script(
        "awk 'BEGIN { for (i = 0; i < 20000; i++) printf \"€\"; print \"\"; for (i = 0; i < 8192; i++) printf \"x\"; print \"\"; for (i = 0; i < 8193; i++) printf \"y\"; print \"\" }'",
    );
    let verdict = place.run();
    assert_eq!(place.lines(Stream::Out), ["€".repeat(20_000), "x".repeat(8_192), "y".repeat(8_193)]);
    assert!(place.log().lines().all(|line| line.len() < 9_000));
    assert_eq!(verdict.log.lines as usize, place.log().lines().count());
    assert!(place.log().lines().any(|line| line == format!("{}o+y", &line[..28])));
}

#[test]
fn a_full_log_keeps_its_beginning_and_its_end_and_counts_the_rest() {
    let mut place = Place::script("seq 1 100000; echo 100001; exit 3");
    place.spec.log_cap_bytes = 100_000;
    let verdict = place.run();
    assert_eq!(verdict.ending, exited(3));
    let log = place.log();
    assert!(log.len() as u64 <= 100_000 && log.len() > 90_000, "{}", log.len());
    assert_eq!(verdict.log.bytes, log.len() as u64);
    assert_eq!(verdict.log.lines + verdict.log.dropped_lines, 100_001);
    let numbers: Vec<u64> = place.lines(Stream::Out).iter().map(|line| line.parse().unwrap()).collect();
    let gap = numbers.windows(2).position(|pair| pair[0] + 1 != pair[1]).expect("there is a gap");
    assert_eq!((numbers[0], *numbers.last().unwrap()), (1, 100_001));
    assert!(numbers[gap + 1..].windows(2).all(|pair| pair[0] + 1 == pair[1]), "there is one gap alone");
    assert_eq!(numbers.len() as u64, verdict.log.lines);
    let notes = place.lines(Stream::Note);
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].contains("100000 bytes"));
    let last = log.lines().last().unwrap();
    assert_eq!(parse_line(last).unwrap().text, notes[1]);
    assert!(notes[1].starts_with(&format!(
        "{} lines ({} bytes) were dropped",
        verdict.log.dropped_lines, verdict.log.dropped_bytes
    )));
}

#[test]
fn a_log_that_is_nearly_full_drops_nothing_that_fits() {
    let mut place = Place::script("seq 1 2000");
    place.spec.log_cap_bytes = 80_000;
    let verdict = place.run();
    assert_eq!(verdict.log.dropped_lines, 0, "{verdict:?}");
    assert_eq!(place.lines(Stream::Out).len(), 2000);
    assert_eq!(place.lines(Stream::Note).len(), 1, "{:?}", place.lines(Stream::Note));
}

#[test]
fn a_gigabyte_of_output_needs_bounded_memory_and_room() {
    let mut place = Place::script("head -c 1000000000 /dev/zero | tr '\\0' 'a' | fold -w 999 ; echo done >&2");
    place.spec.log_cap_bytes = 1 << 20;
    let shim = place.start();
    let status = fs::read_to_string(format!("/proc/{}/status", shim.child.id())).unwrap();
    assert!(status.contains("VmRSS"), "{status}");
    let mut peak = 0;
    let own = shim.child.id();
    until("it is done", || {
        let status = fs::read_to_string(format!("/proc/{own}/status")).unwrap_or_default();
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        place.verdict().is_some()
    });
    let verdict = place.finish(shim);
    assert_eq!(verdict.ending, exited(0));
    assert!(peak > 0 && peak < 8_192, "{peak} KiB");
    assert!(fs::metadata(place.dir.join(paths::LOG)).unwrap().len() <= 1 << 20);
    assert!(verdict.log.dropped_bytes > 990_000_000, "{verdict:?}");
    assert_eq!(place.lines(Stream::Err), ["done"]);
}

#[test]
fn secrets_are_hidden_across_the_borders_of_reads_and_lines() {
    // The secret is written in two parts, with a wait in between that makes the shim read them one by one.
    let mut place = Place::script(
        "echo \"is $S.\"; printf 'part: sw0rd'; read x < \"$T/go\"; printf 'fish/1.\\n'; printf %s \"$S\" | base64; printf \"x$S\" | base64; printf \"xy$S\" | base64; printf %s \"$S\" | od -An -tx1 | tr -d ' '; echo sw0rdfish%2F1; printf 'part: sw0rdfisX'",
    );
    place.secrets.env.insert("S".to_owned(), "sw0rdfish/1".to_owned());
    place.secrets.redact.push("sw0rdfish/1".to_owned());
    let mut go = place.fifo("go");
    let shim = place.start();
    until("what is no secret yet is there", || place.log().contains("part: "));
    assert!(!place.log().contains("sw0rd"));
    go.go();
    assert_eq!(place.finish(shim).ending, exited(0));
    let lines = place.lines(Stream::Out);
    // At the borders of base64 a character holds up to four bits of a secret and the rest of its neighbour.
    assert_eq!(
        lines,
        ["is ***.", "part: ***.", "***E=", "eH***", "eHl***Q==", "***", "***", "part: sw0rdfisX"],
        "{}",
        place.log()
    );
}

#[test]
fn a_secret_of_several_lines_and_folded_base64_are_hidden() {
    let secret = format!("-----BEGIN KEY-----\n{}\n-----END KEY-----\n", "Zm9vYmFy".repeat(20));
    let mut place =
        Place::script("printf %s \"$S\"; echo then; printf %s \"$S\" | base64; printf %s \"$S\" | base64 -w 0; echo");
    place.secrets.env.insert("S".to_owned(), secret.clone());
    place.secrets.redact.push(secret);
    place.run();
    let text = place.log();
    assert!(place.lines(Stream::Out).contains(&"***then".to_owned()), "{text}");
    for part in ["BEGIN KEY", "Zm9vYmFy", "LS0tLS1CRUdJTi", "Wm05dlltRnk"] {
        assert!(!text.contains(part), "{part} in {text}");
    }
}
