//! What is left of a command besides its exit: its outputs, its artifacts, and a verdict even on a full disk.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use common::{Place, exited, has_program, is_root, skip};
use runbook_shim::exit::Refusal;
use runbook_shim::files::{Artifact, Claim, Ending, Outputs};
use runbook_shim::{lock, paths};

fn sha256sum(path: PathBuf) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()[..64].to_owned()
}

#[test]
fn outputs_are_hashed() {
    let place = Place::script("echo a=1 >> \"$RUNBOOK_OUTPUT\"; exit 1");
    let verdict = place.run();
    let sha256 = sha256sum(place.dir.join(paths::OUT));
    assert_eq!(verdict.out, Outputs::Present { length: 4, sha256 });
    let place = Place::script(": > \"$RUNBOOK_OUTPUT\"");
    let Outputs::Present { length: 0, .. } = place.run().out else { panic!("an empty file is there") };
}

#[test]
fn outputs_of_a_stopped_command_are_told_as_well() {
    let mut place = Place::script("echo a=1 >> \"$RUNBOOK_OUTPUT\"; while :; do read x < \"$T/never\"; done");
    let _never = place.fifo("never");
    (place.spec.timeout_ms, place.spec.artifacts) = (Some(300), vec!["x".to_owned()]);
    let verdict = place.run();
    assert!(matches!(verdict.ending, Ending::TimedOut { .. }));
    assert!(matches!(verdict.out, Outputs::Present { length: 4, .. }));
    assert_eq!((verdict.artifacts.len(), verdict.problems.len()), (0, 0), "who was cut off owes no artifact");
}

#[test]
fn outputs_that_are_too_long_or_no_file_are_not_read() {
    let mut place = Place::script("head -c 1001 /dev/zero > \"$RUNBOOK_OUTPUT\"");
    place.spec.output_cap_bytes = 1000;
    assert_eq!(place.run().out, Outputs::TooLong { length: 1001, cap: 1000 });
    for script in ["mkdir \"$RUNBOOK_OUTPUT\"", "mkfifo \"$RUNBOOK_OUTPUT\"", "ln -s /etc/passwd \"$RUNBOOK_OUTPUT\""] {
        let verdict = Place::script(script).run();
        assert_eq!(verdict.ending, exited(0));
        assert!(matches!(verdict.out, Outputs::Unreadable { .. }), "{script}: {verdict:?}");
    }
}

#[test]
fn outputs_with_a_secret_in_them_are_refused_and_removed() {
    for script in [
        "echo \"url=https://u:$KEY@h\"",
        "printf %s \"$KEY\" | base64",
        "printf %s \"$KEY\" | od -An -tx1 | tr -d ' \\n'",
    ] {
        let mut place = Place::script(&format!("({script}) >> \"$RUNBOOK_OUTPUT\""));
        place.secrets.env.insert("KEY".to_owned(), "hunter2-is-long".to_owned());
        place.secrets.redact.push("hunter2-is-long".to_owned());
        let verdict = place.run();
        assert_eq!(verdict.ending, exited(0));
        let Outputs::Unreadable { text } = &verdict.out else { panic!("{script}: {verdict:?}") };
        assert!(text.contains("a secret") && !text.contains("hunter2"), "{text}");
        assert!(!place.dir.join(paths::OUT).exists());
    }
    let mut place = Place::script("echo a=hunter3 >> \"$RUNBOOK_OUTPUT\"");
    place.secrets.redact.push("hunter2-is-long".to_owned());
    assert!(matches!(place.run().out, Outputs::Present { length: 10, .. }));
}

#[test]
fn artifacts_are_hashed_and_missing_ones_are_told() {
    let mut place = Place::script(
        "cd \"$RUNBOOK_ARTIFACTS\" && head -c 300000 /dev/zero > big && mkdir -p 'a b' && echo hi > 'a b/ü' && echo no > undeclared && ln -s big link && mkdir dir && exit 2",
    );
    place.spec.artifacts = ["big", "a b/ü", "missing", "link", "dir", "a b/ü/x"].map(str::to_owned).to_vec();
    let verdict = place.run();
    assert_eq!(verdict.ending, exited(2));
    let dir = place.dir.join(paths::ARTIFACTS);
    let artifact = |name: &str, length| Artifact { name: name.to_owned(), length, sha256: sha256sum(dir.join(name)) };
    assert_eq!(verdict.artifacts, [artifact("big", 300_000), artifact("a b/ü", 3)]);
    let problems = verdict.problems.join("\n");
    assert_eq!(verdict.problems.len(), 4, "{problems}");
    for part in [
        "`missing` is missing",
        "`link` cannot be kept: it is a symbolic link",
        "`dir` cannot be kept: it is no regular file",
    ] {
        assert!(problems.contains(part), "{problems}");
    }
}

#[test]
fn artifacts_are_synced_before_the_verdict_and_nothing_else_is() {
    if !has_program("strace") {
        return skip("seeing calls needs strace");
    }
    let mut place = Place::script("echo hi > \"$RUNBOOK_ARTIFACTS/one\"; echo a=1 > \"$RUNBOOK_OUTPUT\"; echo out");
    place.spec.artifacts = vec!["one".to_owned()];
    place.place();
    let trace = place.beside("trace");
    let words = [
        "strace",
        "-f",
        "-y",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        "trace=fsync,fdatasync,sync,syncfs,sync_file_range,rename",
    ];
    let shim = common::Shim { child: place.command(&words).spawn().unwrap() };
    assert_eq!(place.finish(shim).artifacts.len(), 1);
    let trace = fs::read_to_string(trace).unwrap();
    let calls: Vec<&str> = trace.lines().filter(|line| line.contains("sync") || line.contains("rename(")).collect();
    assert_eq!(calls.len(), 3, "{trace}");
    assert!(
        calls[0].contains("artifacts/one>") && calls[1].contains("/artifacts>") && calls[2].contains("rename("),
        "{trace}"
    );
}

#[test]
fn a_hundred_artifacts_with_long_names_fit_into_the_verdict() {
    let mut place =
        Place::script("cd \"$RUNBOOK_ARTIFACTS\" && for i in $(seq 100); do echo $i > \"$(printf '%0200d' $i)\"; done");
    place.spec.artifacts =
        (1..=100).map(|i| format!("{i:0200}")).chain((1..=100).map(|i| format!("missing {i}"))).collect();
    let verdict = place.run();
    assert_eq!(verdict.artifacts.len(), 100);
    assert_eq!(verdict.problems.len(), 17);
    assert_eq!(verdict.problems[16], "and 84 more");
}

/// A place on a disk of its own with very little room; `None` where that cannot be made.
fn small_disk() -> Option<(Place, Mounted)> {
    if !is_root() || !has_program("mount") {
        skip("a small disk needs root and mount");
        return None;
    }
    let mut place = Place::script("");
    let disk = place.beside("disk");
    fs::create_dir(&disk).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"])
        .arg(&disk)
        .stderr(Stdio::null())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        skip("a small disk cannot be mounted here");
        return None;
    }
    place.dir = disk.join("1.0.1");
    fs::create_dir(&place.dir).unwrap();
    lock::create(&place.dir).unwrap();
    Some((place, Mounted(disk)))
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_drops_lines_and_keeps_the_verdict() {
    let Some((mut place, disk)) = small_disk() else { return };
    let fill = disk.0.join("fill");
    place.spec.argv = ["/bin/sh", "-c", "seq 1 100000; exit 4"].map(str::to_owned).to_vec();
    let verdict = place.run();
    assert_eq!(verdict.ending, exited(4));
    assert!(verdict.log.dropped_lines > 0 && verdict.log.lines > 0, "{verdict:?}");
    assert_eq!(verdict.log.lines + verdict.log.dropped_lines, 100_000);
    assert!(verdict.problems.iter().any(|p| p.contains("log could not be written")), "{verdict:?}");
    let log = place.log();
    assert!(
        log.ends_with('\n') && log.lines().all(|line| runbook_shim::log::parse_line(line).is_some()),
        "whole lines alone"
    );
    assert_eq!(log.lines().filter(|l| l[28..].starts_with('o')).count() as u64, verdict.log.lines);
    assert!(!fill.exists());
}

#[test]
fn a_disk_that_is_full_before_the_start_starts_nothing() {
    let Some((mut place, disk)) = small_disk() else { return };
    let ran = place.beside("ran");
    place.spec.argv = ["touch", ran.to_str().unwrap()].map(str::to_owned).to_vec();
    place.place();
    let fill = disk.0.join("fill");
    // The last write fails: that is the point.
    let _ = fs::write(&fill, vec![0; 300_000]);
    let mut shim = common::Shim { child: place.command(&[]).spawn().unwrap() };
    let code = shim.wait().code().unwrap();
    assert!([Some(Refusal::NoRoom), Some(Refusal::LockUnwritable)].contains(&Refusal::from_code(code)), "{code}");
    assert_eq!(Claim::load(&place.dir).unwrap(), None);
    // With room again, the same attempt goes on.
    fs::remove_file(fill).unwrap();
    assert_eq!(place.run().ending, exited(0));
    assert!(ran.exists());
}
