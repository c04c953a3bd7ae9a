//! Slots that fall due while nothing is started in their environment, in a freeze or outside of its hours: left out, with the
//! reason in the ledger, and started again afterwards.

use runbook_proto::v1::{LedgerEntry, LedgerKind};
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, wait_for};

use super::{Clock, MINUTE, scheduled, wait_accounted};

/// 2027-01-15T08:00:00Z, a Friday.
const MORNING: i64 = 1_800_000_000;

fn minutely(project: &Project, name: &str, environment: &str, protection: &str) {
    project.runbook(
        name,
        &format!(
            "schedules: {{minutely: {{cron: '* * * * *', environment: {environment}}}}}\n\
             steps: {{a: {{effect: read, run: 'echo \"{name} $RUNBOOK_ENVIRONMENT\" >> log'}}}}\n"
        ),
    );
    project.file(
        &format!("runbooks/environments/{environment}.yaml"),
        &format!("name: {environment}\nlanguage: 1\nprotection: {{{protection}}}\n"),
    );
}

/// The last entry of a schedule, once it is about this slot.
fn of_slot(daemon: &Daemon, name: &str, slot: i64) -> LedgerEntry {
    wait_accounted(daemon, name, slot).pop().unwrap()
}

#[test]
fn slots_in_a_freeze_and_outside_of_hours_are_left_out_with_the_reason() {
    let project = Project::new();
    let freeze = "freezes: {audit: {from: \"2027-01-15T00:00:00Z\", to: \"2027-01-15T08:00:30Z\", reason: the books are closed}}";
    minutely(&project, "frozen", "prod", freeze);
    minutely(&project, "early", "office", "hours: {timezone: Europe/Amsterdam, allowed: [mon-fri 09:01-17:00]}");
    let clock = Clock::of(&project);
    clock.set_before(MORNING, 3.0);
    let daemon = clock.start(&project);
    let (frozen, early) = (of_slot(&daemon, "frozen", MORNING), of_slot(&daemon, "early", MORNING));
    let (said, hours) =
        ("it is frozen until 2027-01-15T08:00:30Z (audit: the books are closed)", "mon-fri 09:01-17:00");
    assert_eq!(frozen.kind(), LedgerKind::Skipped, "{frozen:?}\n{}", daemon.log());
    assert!(frozen.reason.contains(said), "{frozen:?}");
    assert_eq!(early.kind(), LedgerKind::Skipped, "{early:?}");
    assert!(early.reason.contains(hours), "{early:?}");
    let shown = runbook(&project, &["schedules", "ledger", "frozen"]).out;
    assert!(shown.contains("the books are closed"), "{shown}");
    assert_eq!(scheduled(&daemon).len(), 0);
    // A minute later both are over.
    clock.set_before(MORNING + MINUTE, 1.0);
    for name in ["frozen", "early"] {
        let entry = of_slot(&daemon, name, MORNING + MINUTE);
        assert_eq!(entry.kind(), LedgerKind::Ran, "{entry:?}\n{}", daemon.log());
        daemon.wait_over(&entry.run);
    }
    let mut lines = project.lines("log");
    lines.sort();
    assert_eq!(lines, ["early office", "frozen prod"]);
}

#[test]
fn an_environment_may_want_no_schedules() {
    let project = Project::new();
    minutely(&project, "here", "built", "confirm: built");
    minutely(&project, "there", "unbuilt", "confirm: unbuilt");
    let unbuilt = "runbooks/environments/unbuilt.yaml";
    let text = project.read(unbuilt).unwrap();
    project.file(unbuilt, &format!("{text}schedules: false\n"));
    let clock = Clock::of(&project);
    clock.set_before(MORNING, 3.0);
    let daemon = clock.start(&project);
    assert_eq!(of_slot(&daemon, "here", MORNING).kind(), LedgerKind::Ran);
    let listed = || runbook(&project, &["schedules", "list"]).out;
    assert!(listed().contains("here/minutely") && !listed().contains("there/minutely"), "{}", listed());
    // It begins with the file that lets it, and makes up for nothing.
    project.file(unbuilt, &text);
    wait_for("the other schedule", || listed().contains("there/minutely").then_some(()));
    let later = MORNING + 60 * MINUTE;
    clock.set_before(later, 1.0);
    assert_eq!(of_slot(&daemon, "there", later).kind(), LedgerKind::Ran);
}
