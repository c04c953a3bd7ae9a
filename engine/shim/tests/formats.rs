//! The small files as both sides write and read them; whatever is not whole counts as absent.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};

use runbook_shim::envelope::{Damage, wrap};
use runbook_shim::files::{
    Artifact, Child, Claim, Ending, Exit, Holder, LogCount, NotStarted, Outputs, SPEC_MAX_BYTES, SmallFile, Spec,
    StopPolicy, StopRequest, StopSignal, StopTarget, Verdict, inspect, load, place,
};
use runbook_shim::paths;
use runbook_shim::secrets::{MAX_BYTES, Secrets};

fn spec() -> Spec {
    Spec {
        boot_id: "b".to_owned(),
        run_uid: "r".to_owned(),
        step: "s".to_owned(),
        attempt: 2,
        attempt_id: "r/1.0.2".to_owned(),
        argv: vec!["sh".to_owned(), "-c".to_owned(), "ü\n".to_owned()],
        env: BTreeMap::from([("A".to_owned(), "x\ny".to_owned())]),
        working_dir: "/".to_owned(),
        stdin: Some(String::new()),
        files: BTreeMap::from([("a/b".to_owned(), "c".to_owned())]),
        executable: ["a/b".to_owned()].into(),
        timeout_ms: Some(1),
        stop: StopPolicy { signal: StopSignal::Int, to: StopTarget::Leader, grace_ms: 30_000 },
        log_cap_bytes: 1,
        output_cap_bytes: 2,
        artifacts: vec!["x/y".to_owned()],
        drain_ms: 3,
    }
}

fn verdict(ending: Ending, out: Outputs) -> Verdict {
    Verdict {
        attempt_id: "r/1.0.2".to_owned(),
        ending,
        stop: Some(StopRequest { reason: "timeout".to_owned(), now: true }),
        pid: Some(7),
        started_at: -1,
        ended_at: i64::MAX,
        duration_micros: u64::MAX,
        cpu_user_micros: 1,
        cpu_system_micros: 2,
        max_rss_kib: 3,
        log: LogCount { lines: 1, bytes: 2, dropped_lines: 3, dropped_bytes: 4 },
        out,
        artifacts: vec![Artifact { name: "x".to_owned(), length: 1, sha256: "ab".to_owned() }],
        leftover: 1,
        problems: vec!["p".to_owned()],
    }
}

/// Every file is read back as it was written, and no part of it is.
fn holds<T: SmallFile + PartialEq + std::fmt::Debug>(value: T) {
    let bytes = value.encode().unwrap();
    assert!(bytes.starts_with(format!("runbook-{} 1 ", T::KIND).as_bytes()) && bytes.ends_with(b"\n"));
    assert_eq!(T::decode(&bytes).unwrap(), value);
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(load::<T>(dir.path()).unwrap(), None);
    place(dir.path(), &value).unwrap();
    assert_eq!(load::<T>(dir.path()).unwrap(), Some(value));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing but the file itself");
    for cut in 0..bytes.len() {
        fs::write(dir.path().join(T::NAME), &bytes[..cut]).unwrap();
        assert_eq!(load::<T>(dir.path()).unwrap(), None, "cut at {cut}");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(T::decode(&changed).is_err(), "byte {at}");
    }
}

#[test]
fn every_kind_is_read_back_and_damage_is_noticed() {
    holds(spec());
    holds(StopRequest { reason: "canceled".to_owned(), now: true });
    holds(Child { pgid: u32::MAX, start_time: u64::MAX });
    holds(Holder { pid: 1, start_time: 2 });
    holds(Claim::Daemon);
    let present = Outputs::Present { length: 1, sha256: "ab".to_owned() };
    holds(verdict(Ending::Exited { code: 255 }, present));
}

#[test]
fn every_ending_is_read_back() {
    let errno = NotStarted::Errno { errno: 2, text: "t".to_owned() };
    for reason in [NotStarted::Canceled, NotStarted::Fenced, errno] {
        holds(verdict(Ending::NotStarted { reason }, Outputs::Absent));
    }
    holds(verdict(Ending::Signaled { signal: 9 }, Outputs::TooLong { length: 2, cap: 1 }));
    holds(verdict(
        Ending::TimedOut { exit: Exit::Signal(9), killed: true },
        Outputs::Unreadable { text: "t".to_owned() },
    ));
    holds(verdict(Ending::Stopped { reason: "r".to_owned(), exit: Exit::Code(1), killed: false }, Outputs::Absent));
}

#[test]
fn the_text_of_a_verdict_stays_as_it_is() {
    // What is written today is read for ever: a change here is a change of the format.
    let text = String::from_utf8(
        verdict(Ending::TimedOut { exit: Exit::Signal(9), killed: true }, Outputs::Absent).encode().unwrap(),
    )
    .unwrap();
    assert_eq!(
        text,
        concat!(
            "runbook-verdict 1 448 fd4b3f07\n",
            r#"{"attempt_id":"r/1.0.2","ending":{"kind":"timed_out","exit":{"signal":9},"killed":true},"stop":{"reason":"timeout","now":true},"#,
            r#""pid":7,"started_at":-1,"ended_at":9223372036854775807,"duration_micros":18446744073709551615,"cpu_user_micros":1,"#,
            r#""cpu_system_micros":2,"max_rss_kib":3,"log":{"lines":1,"bytes":2,"dropped_lines":3,"dropped_bytes":4},"out":{"is":"absent"},"#,
            r#""artifacts":[{"name":"x","length":1,"sha256":"ab"}],"leftover":1,"problems":["p"]}"#,
            "\n"
        )
    );
}

#[test]
fn another_kind_or_format_is_told() {
    let stop = StopRequest { reason: "canceled".to_owned(), now: false };
    assert_eq!(Child::decode(&stop.encode().unwrap()), Err(Damage::Kind { found: "stop".to_owned() }));
    assert_eq!(StopRequest::decode(&wrap("stop", 2, b"{}\n")), Err(Damage::Format { found: 2 }));
    assert!(matches!(StopRequest::decode(&wrap("stop", 1, b"[]\n")), Err(Damage::Body(_))));
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(paths::STOP), "").unwrap();
    assert_eq!(inspect::<StopRequest>(dir.path()).unwrap(), Some(Err(Damage::Header)));
}

#[test]
fn a_claim_counts_by_being_there() {
    let dir = tempfile::tempdir().unwrap();
    let claim = dir.path().join(paths::CLAIM);
    assert_eq!(Claim::load(dir.path()).unwrap(), None);
    let whole = Claim::Daemon.encode().unwrap();
    for (bytes, by) in [
        (&b""[..], Claim::Shim),
        (&whole[..whole.len() - 1], Claim::Shim),
        (b"anything", Claim::Shim),
        (&whole, Claim::Daemon),
    ] {
        fs::write(&claim, bytes).unwrap();
        assert_eq!(Claim::load(dir.path()).unwrap(), Some(by));
    }
}

#[test]
fn a_spec_that_breaks_a_rule_is_neither_written_nor_read() {
    let broken: [fn(&mut Spec); 10] = [
        |s| s.argv.clear(),
        |s| s.argv[0].clear(),
        |s| s.argv.push("a\0".to_owned()),
        |s| _ = s.env.insert("A=B".to_owned(), String::new()),
        |s| _ = s.env.insert("A".to_owned(), "\0".to_owned()),
        |s| s.working_dir = "relative".to_owned(),
        |s| _ = s.files.insert("../x".to_owned(), String::new()),
        |s| _ = s.files.insert("/x".to_owned(), String::new()),
        |s| s.artifacts.push("a//b".to_owned()),
        |s| s.attempt_id.clear(),
    ];
    for (index, change) in broken.into_iter().enumerate() {
        let mut spec = spec();
        change(&mut spec);
        assert!(spec.encode().is_err(), "rule {index}");
        let mut body = serde_json::to_vec(&spec).unwrap();
        body.push(b'\n');
        assert!(matches!(Spec::decode(&wrap("spec", 1, &body)), Err(Damage::Body(_))), "rule {index}");
    }
    let mut spec = spec();
    spec.stdin = Some("x".repeat(SPEC_MAX_BYTES as usize));
    assert!(spec.encode().unwrap_err().contains("more than"));
}

#[test]
fn bodies_without_newer_keys_are_read() {
    let body = br#"{"boot_id":"b","run_uid":"r","step":"s","attempt":1,"attempt_id":"i","argv":["true"],"env":{},"working_dir":"/",
        "stop":{"signal":"TERM","to":"group","grace_ms":1},"log_cap_bytes":1,"output_cap_bytes":1,"a_later_key":1}"#;
    let spec = Spec::decode(&wrap("spec", 1, body)).unwrap();
    assert_eq!((spec.drain_ms, spec.timeout_ms), (2_000, None));
}

#[test]
fn secrets_travel_in_a_sealed_file_and_never_show() {
    let secrets = Secrets {
        env: BTreeMap::from([("S".to_owned(), "hush".to_owned())]),
        stdin: Some("hush".to_owned()),
        files: BTreeMap::from([("f".to_owned(), "hush".to_owned())]),
        redact: vec!["hush".to_owned()],
    };
    assert!(!format!("{secrets:?}").contains("hush"));
    let mut file = fs::File::from(secrets.clone().into_memfd().unwrap());
    assert!(file.set_len(0).is_err(), "it is sealed");
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("{\"format\":1,"), "{text}");
    // Wherever it stands.
    file.seek(SeekFrom::Start(3)).unwrap();
    assert_eq!(Secrets::read_from(&file).unwrap(), secrets);
    assert!(Secrets::read_from(fs::File::open("/dev/null").unwrap()).unwrap().is_empty());
    let broken = br#"{"format":1,"env":{"S":"hush"},"stdin":{"hush":1}}"#;
    let told = Secrets::decode(broken).unwrap_err();
    assert!(!told.contains("hush") && told.contains("line 1"), "{told}");
    let mut large = Secrets::default();
    large.redact.push("x".repeat(MAX_BYTES as usize));
    assert!(large.into_memfd().is_err());
}

#[test]
fn no_bytes_at_all_bring_a_reader_down() {
    // A small generator with a fixed seed: what fails fails again.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let seeds = [
        spec().encode().unwrap(),
        StopRequest { reason: "r".to_owned(), now: true }.encode().unwrap(),
        vec![b'\n'; 40],
    ];
    for _ in 0..20_000 {
        let mut bytes = seeds[random(seeds.len())].clone();
        for _ in 0..=random(4) {
            let (from, to) = (random(bytes.len() + 1), random(bytes.len() + 1));
            match random(4) {
                0 => bytes.truncate(from),
                1 => bytes.insert(from, random(256) as u8),
                2 => drop(bytes.drain(from.min(to)..from.max(to))),
                _ => bytes.iter_mut().skip(from).take(1).for_each(|byte| *byte = random(256) as u8),
            }
        }
        let whole = seeds.contains(&bytes);
        assert!(Spec::decode(&bytes).is_err() || whole);
        assert!(StopRequest::decode(&bytes).is_err() || whole);
        assert!(Verdict::decode(&bytes).is_err() && Claim::decode(&bytes).is_err());
        assert!(Secrets::decode(&bytes).is_err() || bytes.is_empty());
        // With a right header, the body alone is at fault.
        let body = bytes.split(|byte| *byte == b'\n').nth(1).unwrap_or_default();
        let _ = Spec::decode(&wrap("spec", 1, body));
    }
}
