//! `runbookd cron`: rules of time without a daemon, as scripts and people call it.

use std::process::Command;

use runbook_tests::e2e::command::{Said, clean, said};
use runbook_tests::e2e::server::daemon_command;

use crate::plain;

fn cron(arguments: &[&str]) -> Said {
    let project = plain();
    let program = Command::new(daemon_command(&project).get_program());
    let said = said(clean(program, &project, &[&["cron"][..], arguments].concat()));
    assert!(!project.path(".runbook").exists(), "it touches nothing");
    said
}

#[test]
fn next_prints_instants_for_programs_and_clocks_for_people() {
    let rule =
        ["next", "30 2 * * *", "--timezone", "Europe/Amsterdam", "--from", "2026-03-28T00:00:00Z", "--count", "2"];
    let json = cron(&[&rule[..], &["--output", "json"]].concat());
    assert_eq!((json.code, json.err.as_str()), (0, ""));
    let instants: Vec<String> = serde_json::from_str(&json.out).unwrap();
    assert_eq!(instants, ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z"]);
    let human = cron(&rule);
    assert_eq!(
        human.out,
        "Sat 2026-03-28 02:30  +01:00  2026-03-28T01:30:00Z\n\
         Sun 2026-03-29 03:00  +02:00  2026-03-29T01:00:00Z  \
         moved out of the DST gap: the clocks skip 2026-03-29 02:30\n"
    );
    let skipped = cron(&[&rule[..], &["--output", "json", "--dst", "skip"]].concat());
    let instants: Vec<String> = serde_json::from_str(&skipped.out).unwrap();
    assert_eq!(instants, ["2026-03-28T01:30:00Z", "2026-03-30T00:30:00Z"]);
    // From now on, in UTC, five of them.
    let now: Vec<String> = serde_json::from_str(&cron(&["next", "@hourly", "--output", "json"]).out).unwrap();
    assert!(now.len() == 5 && now.iter().all(|at| at.ends_with(":00:00Z")), "{now:?}");
}

#[test]
fn a_rule_that_is_never_due_is_no_error() {
    let json = cron(&["next", "0 0 31 2 *", "--output", "json"]);
    assert_eq!((json.code, json.out.trim(), json.err.as_str()), (0, "[]", ""));
    let human = cron(&["next", "0 0 31 2 *"]);
    assert_eq!((human.code, human.out.split(':').next()), (0, Some("never")));
    // Every such time is in the gap.
    let gap = ["next", "*/10 2 8-14 3 */7", "--timezone", "America/New_York"];
    let human = cron(&gap);
    assert!(human.code == 0 && human.out.starts_with("not due after "), "{}", human.out);
}

#[test]
fn what_is_no_rule_is_refused_with_its_column() {
    for question in ["next", "explain"] {
        let human = cron(&[question, "0 0 * * 1#2"]);
        assert_eq!((human.code, human.out.as_str()), (2, ""));
        assert_eq!(
            human.err,
            "error: column 10: `#`, the n-th such weekday of a month, is not of crontab(5)\n  0 0 * * 1#2\n           ^\n\
             help: name the weekday, and let the runbook's first step look at the day of the month\n"
        );
        let json = cron(&[question, "-5 * * * *", "--output", "json"]);
        assert_eq!((json.code, json.out.as_str()), (2, ""));
        let error: serde_json::Value = serde_json::from_str(&json.err).unwrap();
        assert_eq!((error["error"]["column"].as_u64(), error["error"]["exit_code"].as_u64()), (Some(1), Some(2)));
    }
    for (arguments, part) in [
        (["--timezone", "Europe/Amsterdm"], "did you mean `Europe/Amsterdam`?"),
        (["--from", "yesterday"], "write RFC 3339"),
        (["--dst", "onse"], "did you mean `once`?"),
        (["--count", "0"], "1..=10000"),
    ] {
        let refused = cron(&[&["next", "@daily"][..], &arguments].concat());
        assert!(refused.code == 2 && refused.err.contains(part), "{}", refused.err);
    }
}

#[test]
fn explain_says_it_in_words() {
    let said = cron(&["explain", "0 2 * * mon-fri"]);
    assert_eq!(
        said.out,
        "at 02:00, on Monday to Friday\nwhere clocks are changed: due once right after a gap for all that it skipped, \
         due in the first pass alone of repeated times\n"
    );
    let json: serde_json::Value =
        serde_json::from_str(&cron(&["explain", "* * 30 2 *", "--output", "json"]).out).unwrap();
    assert_eq!((json["never"].as_bool(), json["dst"].as_str()), (Some(true), Some("real_time")));
}
