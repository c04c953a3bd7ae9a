//! How records and verdicts come about.

use super::*;
use crate::preflight::{Missing, Place};

const BACKUP: Role = Role { backup: true, restore: false, drill: false, proves: false };
const VERIFY: Role = Role { backup: false, restore: false, drill: false, proves: true };
const DRILL: Role = Role { backup: false, restore: true, drill: true, proves: true };

fn at(hours: i64) -> Timestamp {
    Timestamp(1_800_000_000_000_000) + Span::minutes(60 * hours)
}

/// A run from an hour on, for so many minutes.
fn run(number: u64, hour: i64, minutes: i64, role: Role) -> Evidence {
    let runbook = "a".to_owned();
    let began = at(hour);
    Evidence {
        run: RunUid::from_bits(number.into()),
        number,
        runbook,
        began,
        ended: began + Span::minutes(minutes),
        outcome: Outcome::Succeeded,
        role,
    }
}

fn record(runs: &[Evidence]) -> Record {
    let mut record = Record::default();
    runs.iter().cloned().for_each(|run| record.add(run));
    record
}

fn proved(record: &Record) -> Option<(u64, u64)> {
    record.proved().map(|(backup, by)| (backup.number, by.number))
}

#[test]
fn a_proof_is_about_the_newest_backup_from_before_it() {
    let of = |runs: &[Evidence]| proved(&record(runs));
    assert_eq!(of(&[run(1, 0, 10, BACKUP), run(2, 1, 10, VERIFY)]), Some((1, 2)));
    // One that was still going on is not what was looked at.
    assert_eq!(of(&[run(1, 0, 10, BACKUP), run(2, 1, 30, BACKUP), run(3, 1, 40, VERIFY)]), Some((1, 3)));
    assert_eq!(of(&[run(1, 0, 10, VERIFY), run(2, 1, 10, BACKUP)]), None);
    assert_eq!(of(&[run(1, 0, 10, Role { proves: true, ..BACKUP })]), Some((1, 1)));
    assert_eq!(of(&[run(1, 0, 10, BACKUP), run(2, 1, 10, DRILL), run(3, 2, 10, BACKUP)]), Some((1, 2)));
}

#[test]
fn a_proof_counts_from_the_moment_on_that_a_backup_ended_and_the_newest_one_is_told() {
    // The one began as the other ended; and a second proof of the same backup is newer.
    let of = |runs: &[Evidence]| proved(&record(runs));
    assert_eq!(of(&[run(1, 0, 60, BACKUP), run(2, 1, 10, VERIFY)]), Some((1, 2)));
    assert_eq!(of(&[run(1, 0, 10, BACKUP), run(2, 1, 10, VERIFY), run(3, 2, 10, VERIFY)]), Some((1, 3)));
}

#[test]
fn what_is_restored_below_a_restore_is_a_part_of_it() {
    let below = Evidence { number: 2, began: at(1) + Span::minutes(1), ..run(9, 1, 20, DRILL) };
    let whole = record(&[run(1, 0, 10, DRILL), below.clone(), run(2, 1, 30, DRILL)]);
    assert_eq!((whole.restore().map(Evidence::took), whole.took().len()), (Some(Span::minutes(30)), 2));
    // Of a run that restored nothing as a whole it is all there is.
    assert_eq!(record(&[below]).restore().map(Evidence::took), Some(Span::minutes(19)));
}

#[test]
fn a_run_says_what_it_says_once() {
    let again = record(&[run(1, 0, 10, BACKUP), run(1, 0, 10, BACKUP), run(2, 1, 10, DRILL), run(2, 1, 10, DRILL)]);
    assert_eq!((again.backups.len(), again.restores.len()), (1, 1));
}

#[test]
fn a_role_follows_from_the_objective() {
    let objective = |rpo, rto, drill, proves| {
        let hour = Some(Span::minutes(60));
        let (rpo, rto) = (hour.filter(|_| rpo), hour.filter(|_| rto));
        Role::of(&Objective { target: "a".to_owned(), rpo, rto, drill, proves })
    };
    let restore = Role { backup: false, restore: true, drill: false, proves: true };
    assert_eq!(objective(true, false, false, false), BACKUP);
    assert_eq!(objective(false, false, false, true), VERIFY);
    // What restores proves that it can be done.
    assert_eq!((objective(false, true, false, false), objective(false, true, true, false)), (restore, DRILL));
}

#[test]
fn the_strictest_of_several_objectives_holds() {
    let mut goals = Goals::default();
    for (rpo, rto) in [(Some(60), None), (Some(30), Some(90)), (None, Some(120))] {
        let (rpo, rto) = (rpo.map(Span::minutes), rto.map(Span::minutes));
        goals.add(&Objective { target: "a".to_owned(), rpo, rto, drill: false, proves: false });
    }
    let wanted = Goals { rpo: Some(Span::minutes(30)), rto: Some(Span::minutes(90)), proves: true };
    assert_eq!(goals, wanted);
}

#[test]
fn a_drill_is_a_restore_and_not_each_restore_a_drill() {
    let restore = Role { drill: false, ..DRILL };
    let record = record(&[run(1, 0, 10, DRILL), run(2, 1, 10, restore)]);
    assert_eq!(record.drill().map(|it| it.number), Some(1));
    assert_eq!(record.restore().map(|it| it.number), Some(2));
    // Exactly as long as it may take is not too long.
    let goals = Goals { rpo: None, rto: Some(Span::minutes(10)), proves: true };
    assert_eq!(super::judge(&record, &goals, &[], at(2)).0, Verdict::Ready);
}

#[test]
fn only_the_newest_are_kept_by_their_starts() {
    // A run that was opened again ends after others that began later.
    let late = record(&[run(2, 1, 10, BACKUP), run(1, 0, 100, BACKUP)]);
    assert_eq!(late.backup().map(|backup| backup.number), Some(2));
    let many: Vec<Evidence> = (0..200).map(|number| run(number, number as i64, number as i64 % 7, DRILL)).collect();
    let record = record(&many);
    assert_eq!((record.took().len(), record.restore().map(|it| it.number)), (RESTORES, Some(199)));
    assert_eq!(record.took().last(), Some(&Span::minutes(6)));
}

#[test]
fn a_verdict_says_what_is_wrong() {
    let goals = Goals { rpo: Some(Span::minutes(24 * 60)), rto: Some(Span::minutes(60)), proves: true };
    let judge = |runs: &[Evidence], hour| {
        let (verdict, reasons) = judge(&record(runs), &goals, &[], at(hour));
        (verdict, reasons.join("; "))
    };
    let (backup, drill) = (run(1, 0, 10, BACKUP), run(2, 1, 30, DRILL));
    assert_eq!(judge(&[backup.clone(), drill.clone()], 24), (Verdict::Ready, String::new()));
    let (verdict, reasons) = judge(&[backup.clone(), drill.clone()], 25);
    assert_eq!(
        (verdict, reasons.as_str()),
        (Verdict::Broken, "the newest backup, of run 1, is 1d1h old; the objective is 1d")
    );
    assert_eq!(judge(&[], 0).0, Verdict::Broken);
    let (verdict, reasons) = judge(std::slice::from_ref(&backup), 1);
    let expected = "nothing was ever restored: start the restore, or a drill; no backup was ever proved";
    assert_eq!((verdict, reasons.as_str()), (Verdict::Unproved, expected));
    let slow = judge(&[backup, run(2, 1, 90, DRILL)], 3);
    assert_eq!(slow, (Verdict::Broken, "the restore of run 2 took 1h30m; the objective is 1h".to_owned()));
}

#[test]
fn what_a_restore_lacks_breaks_the_objective_and_what_a_drill_lacks_leaves_it_unproved() {
    let goals = Goals { rpo: None, rto: Some(Span::minutes(60)), proves: true };
    let restored = record(&[run(1, 0, 10, DRILL)]);
    let look = |drill, problems: &[&str]| {
        let missing =
            problems.iter().map(|problem| Missing { subject: "x".to_owned(), problem: (*problem).to_owned() });
        let place = Place { runbook: "restore".to_owned(), environment: None };
        Look { drill, checked: Checked::of(place, at(1), missing.collect(), None) }
    };
    let judge = |look| judge(&restored, &goals, &[look], at(2));
    assert_eq!(judge(look(false, &[])), (Verdict::Ready, Vec::new()));
    let (verdict, reasons) = judge(look(false, &["no age", "no disk"]));
    let expected = "restore could not start for 1h: no age; no disk";
    assert_eq!((verdict, reasons), (Verdict::Broken, vec![expected.to_owned()]));
    assert_eq!(judge(look(true, &["no age"])).0, Verdict::Unproved);
    let mut short = look(false, &["no age"]);
    short.checked.left_out = 7;
    assert_eq!(judge(short).1, ["restore could not start for 1h: no age; and 7 more"]);
}

#[test]
fn what_failed_since_it_succeeded_breaks_the_objective_until_it_succeeds_again() {
    let goals = Goals { rpo: Some(Span::minutes(6_000)), rto: Some(Span::minutes(600)), proves: true };
    let restore = Role { drill: false, ..DRILL };
    let proved = Role { proves: true, ..BACKUP };
    let of = |number, role, outcome| Evidence { outcome, ..run(number, number as i64, 10, role) };
    let (good, bad) = (|no, role| of(no, role, Outcome::Succeeded), |no, role| of(no, role, Outcome::Failed));
    let told = |more: &[Evidence]| -> (Verdict, Vec<u64>) {
        let record = record(&[&[good(1, BACKUP), good(2, DRILL)], more].concat());
        let told = record.disproofs(&goals).iter().map(|it| it.number).collect();
        (judge(&record, &goals, &[], at(50)).0, told)
    };
    assert_eq!(told(&[]), (Verdict::Ready, vec![]));
    for role in [DRILL, restore, VERIFY] {
        assert_eq!(told(&[bad(3, role)]), (Verdict::Broken, vec![3]), "{role:?}");
        assert_eq!(told(&[bad(3, role), good(4, role)]), (Verdict::Ready, vec![]), "{role:?}");
        assert_eq!(told(&[bad(3, role), good(4, restore)]), (Verdict::Ready, vec![]), "{role:?}");
        // It was tried again, and opened again.
        assert_eq!(told(&[bad(3, role), bad(4, role)]), (Verdict::Broken, vec![4]), "{role:?}");
        let opened = Evidence { ended: at(5), ..good(3, role) };
        assert_eq!(told(&[bad(3, role), opened]), (Verdict::Ready, vec![]), "{role:?}");
    }
    // A check of backups restores nothing, nor does a backup that proves itself.
    for role in [VERIFY, proved] {
        assert_eq!(told(&[bad(3, DRILL), good(4, role)]), (Verdict::Broken, vec![3]));
        assert_eq!(told(&[bad(3, VERIFY), good(4, role)]), (Verdict::Ready, vec![]));
    }
    assert_eq!(told(&[bad(3, DRILL), bad(4, VERIFY)]), (Verdict::Broken, vec![4, 3]));
    assert_eq!(told(&[of(3, DRILL, Outcome::RolledBack)]), (Verdict::Broken, vec![3]));
    // A backup that fails says nothing of those before it, and what was canceled nothing at all.
    for nothing in [bad(3, BACKUP), bad(3, proved), of(3, DRILL, Outcome::Canceled)] {
        assert_eq!(told(&[nothing]), (Verdict::Ready, vec![]));
    }
    // A child run and the run above it can end together: the one above comes later, and counts.
    let below = |no, outcome| Evidence { run: RunUid::from_bits(99), ..of(no, DRILL, outcome) };
    assert_eq!(told(&[below(3, Outcome::Failed), good(3, DRILL)]), (Verdict::Ready, vec![]));
    assert_eq!(told(&[below(3, Outcome::Succeeded), bad(3, DRILL)]), (Verdict::Broken, vec![3]));
    // One that began before others and failed after them is the newest all the same.
    let late = Evidence { began: at(0), ended: at(9), ..bad(3, DRILL) };
    assert_eq!(told(&[late]), (Verdict::Broken, vec![3]));
}

#[test]
fn what_failed_is_told_with_its_run_and_only_where_somebody_wants_it() {
    let bad = |role| Evidence { outcome: Outcome::Failed, ..run(2, 1, 10, role) };
    let record = record(&[run(1, 0, 10, BACKUP), bad(DRILL)]);
    let goals = Goals { rto: Some(Span::minutes(60)), proves: true, ..Goals::default() };
    let told = "the newest drill, a in run 2, failed at 2027-01-15T09:10:00Z, and nothing was restored since: \
        `runbook status 2` shows why";
    assert_eq!(judge(&record, &goals, &[], at(2)).1[0], told);
    assert_eq!(judge(&record, &Goals { proves: true, ..Goals::default() }, &[], at(2)).0, Verdict::Ready);
    let knows = |number: u128| record.counts(RunUid::from_bits(number));
    assert_eq!((knows(1), knows(2), knows(3), record.is_known()), (true, true, false, true));
    let only = super::tests::record(&[bad(DRILL)]);
    assert!(!only.is_known() && only.runbooks().contains("a"));
}

#[test]
fn gaps_are_between_backups_that_are_further_apart_than_the_objective() {
    let day = Span::minutes(24 * 60);
    let runs: Vec<Evidence> =
        [0, 24, 49, 60, 100].iter().zip(1..).map(|(hour, no)| run(no, *hour, 10, BACKUP)).collect();
    let record = record(&runs);
    let (gaps, all) = record.gaps(day);
    let found: Vec<_> = gaps.iter().map(|gap| (gap.before.number, gap.after.number, gap.length())).collect();
    assert_eq!((found, all), (vec![(4, 5, Span::minutes(40 * 60)), (2, 3, Span::minutes(25 * 60))], 2));
    assert_eq!(record.oldest().map(|it| it.number), Some(1));
    let goals = Goals { rpo: Some(day), ..Goals::default() };
    // Exactly as old as it may be is not too old.
    let due = due(&record, &goals, at(100));
    assert_eq!(due, Some(at(124) + Span(1)));
    assert_eq!(super::due(&record, &goals, at(124)), Some(at(124) + Span(1)));
    assert_eq!(super::judge(&record, &goals, &[], at(124)).0, Verdict::Unproved);
    assert_eq!(super::judge(&record, &goals, &[], at(124) + Span(1)).0, Verdict::Broken);
    assert_eq!(super::due(&record, &goals, at(125)), None);
}
