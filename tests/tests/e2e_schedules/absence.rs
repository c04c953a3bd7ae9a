//! Absence is an alarm: what does not succeed in time is a finding, over restarts, until it succeeds.

use runbook_proto::v1::{FindingKind, LedgerKind, ListFindingsRequest, StandingFinding};
use runbook_tests::e2e::command::{Started, runbook};
use runbook_tests::e2e::{Daemon, Project, wait_for};

use super::{Clock, HOUR, MINUTE, wait_accounted};

const NOON: i64 = 1_800_014_400;

fn findings(daemon: &Daemon) -> Vec<StandingFinding> {
    let request = ListFindingsRequest::default();
    daemon.system(|mut client| async move { client.list_findings(request).await }).unwrap().findings
}

fn only(daemon: &Daemon, kind: FindingKind) -> StandingFinding {
    let mut found = findings(daemon);
    assert_eq!(found.len(), 1, "{found:#?}");
    let finding = found.remove(0);
    assert_eq!(finding.kind(), kind);
    finding
}

#[test]
fn a_schedule_that_does_not_succeed_in_time_is_a_finding_until_it_does() {
    let project = Project::with(
        "tick",
        "schedules: {m: {cron: '* * * * *', expect: {every: 90m}}}\nsteps: {a: {effect: read, run: test -e good}}\n",
    );
    let clock = Clock::of(&project);
    clock.set_before(NOON, 2.5);
    let daemon = clock.start(&project);
    let ledger = wait_accounted(&daemon, "tick", NOON);
    daemon.wait_over(&ledger.last().unwrap().run);
    assert_eq!(findings(&daemon), Vec::new());
    daemon.kill();

    clock.set_before(NOON + 2 * HOUR, 2.5);
    let daemon = clock.start(&project);
    let finding = only(&daemon, FindingKind::Overdue);
    assert_eq!(finding.subject, "tick/m");
    assert!(finding.message.contains("no run of it has succeeded yet"), "{finding:?}");
    let since = finding.since.unwrap().seconds;
    assert!((since - (NOON + 90 * MINUTE)).abs() <= MINUTE, "{since}");
    // It failed once more meanwhile, and is the same finding.
    wait_accounted(&daemon, "tick", NOON + 2 * HOUR);
    daemon.kill();
    project.file("good", "");
    clock.set_before(NOON + 2 * HOUR + MINUTE, 8.0);
    let daemon = clock.start(&project);
    assert_eq!(only(&daemon, FindingKind::Overdue).since.unwrap().seconds, since);
    wait_for("a success", || {
        daemon.ledger("tick").iter().any(|entry| entry.kind() == LedgerKind::Succeeded).then_some(())
    });
    assert_eq!(findings(&daemon), Vec::new());
}

#[test]
fn a_runbook_that_is_expected_to_succeed_and_one_that_holds_up_a_schedule_are_findings() {
    let project = Project::with("proof", "expect: {every: 25h}\nsteps: {a: {effect: read, argv: [\"true\"]}}\n");
    project.runbook(
        "stuck",
        "schedules: {yearly: {cron: '@yearly'}}\nsteps: {a: {run: 'kill -9 $$', verify: {run: exit 1, timeout: 5s}}}\n",
    );
    let clock = Clock::of(&project);
    // The file is older than the time that was given, by the daemon's clock.
    clock.set_before(NOON, 0.0);
    let daemon = clock.start(&project);
    assert_eq!(only(&daemon, FindingKind::Overdue).subject, "proof");
    let run = daemon.exec("proof", &[]);
    daemon.wait_over(&run.name);
    assert_eq!(findings(&daemon), Vec::new());

    daemon.exec("stuck", &[]);
    wait_for("the run that needs a person", || (!findings(&daemon).is_empty()).then_some(()));
    let finding = only(&daemon, FindingKind::Attention);
    assert_eq!((finding.subject.as_str(), finding.run_number), ("stuck", 2));

    project.runbook("stuck", "steps: [");
    wait_for("the broken file", || (findings(&daemon).len() == 2).then_some(()));
    let broken = findings(&daemon).pop().unwrap();
    assert_eq!((broken.kind(), broken.subject.as_str()), (FindingKind::Broken, "stuck"));
}

#[test]
fn people_see_findings() {
    let project = Project::with("proof", "expect: {every: 25h}\nsteps: {a: {effect: read, argv: [\"true\"]}}\n");
    let _started = Started(&project);
    let none = runbook(&project, &["findings"]);
    assert!(none.code == 0 && none.err.contains("nothing to look at"), "{}{}", none.out, none.err);
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(26 * 3_600);
    let file = std::fs::File::options().write(true).open(project.path("runbooks/proof.yaml")).unwrap();
    file.set_modified(old).unwrap();
    let found = runbook(&project, &["findings"]);
    assert!(found.out.contains("proof  overdue, since ") && found.out.contains("(1 h 00 min)"), "{}", found.out);
    let json = runbook(&project, &["findings", "--output", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&json["findings"][0]["kind"], &json["findings"][0]["subject"]), (&"overdue".into(), &"proof".into()));
}
