//! Whether what is backed up could be restored, in time and from data that is new enough: judged from runs that succeeded. Never
//! knows how these are found, nor what the clock says.

use std::collections::BTreeSet;

use crate::definition::Objective;
use crate::id::RunUid;
use crate::limits::GAPS;
use crate::preflight::Checked;
use crate::time::{Span, Timestamp};

/// Backups of a target that are remembered, the newest: a proof is about one of them, and gaps are between them.
pub const BACKUPS: usize = 500;
/// Restores of a target that are remembered, the newest: how long they take is told of these.
pub const RESTORES: usize = 64;

/// What a run of a runbook with an objective says about its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Role {
    /// It backs up.
    pub backup: bool,
    /// It restores.
    pub restore: bool,
    /// It restores into something that is thrown away.
    pub drill: bool,
    /// It proves that a backup can be restored. So does a restore.
    pub proves: bool,
}

impl Role {
    /// By the objective of its runbook.
    pub const fn of(objective: &Objective) -> Self {
        let restore = objective.rto.is_some();
        Self { backup: objective.rpo.is_some(), restore, drill: objective.drill, proves: objective.proves || restore }
    }
}

/// A run that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The run.
    pub run: RunUid,
    /// Its number.
    pub number: u64,
    /// Its runbook.
    pub runbook: String,
    /// When it was started.
    pub began: Timestamp,
    /// When it succeeded.
    pub ended: Timestamp,
    /// What it says.
    pub role: Role,
}

impl Evidence {
    /// From its start to its end, whatever it waited for: that is how long a person waits.
    pub fn took(&self) -> Span {
        self.ended - self.began
    }
}

/// All that runs said about a target.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The newest backups, the oldest first.
    backups: Vec<Evidence>,
    /// The newest restores, drills among them, the oldest first.
    restores: Vec<Evidence>,
    /// The newest backup that was proved, and by which run.
    proved: Option<(Evidence, Evidence)>,
    /// The runbooks that said something.
    runbooks: BTreeSet<String>,
}

impl Record {
    /// Takes a run in, once. Runs come in the order of their ends.
    pub fn add(&mut self, evidence: Evidence) {
        if self.backups.iter().chain(&self.restores).any(|known| known.run == evidence.run) {
            return;
        }
        self.runbooks.insert(evidence.runbook.clone());
        if evidence.role.backup {
            keep(&mut self.backups, evidence.clone(), BACKUPS);
        }
        if evidence.role.restore {
            keep(&mut self.restores, evidence.clone(), RESTORES);
        }
        if evidence.role.proves {
            // What ended after it began may not be what it looked at.
            let own = |backup: &&Evidence| backup.run == evidence.run || backup.ended <= evidence.began;
            let about = self.backups.iter().rfind(own);
            if let Some(backup) = about
                && self.proved.as_ref().is_none_or(|(proved, _)| backup.began >= proved.began)
            {
                self.proved = Some((backup.clone(), evidence));
            }
        }
    }

    /// The runbooks that said something.
    pub const fn runbooks(&self) -> &BTreeSet<String> {
        &self.runbooks
    }

    /// The newest backup.
    pub fn backup(&self) -> Option<&Evidence> {
        self.backups.last()
    }

    /// Where two backups that followed each other are further apart than so long, counted from start to start: the newest of
    /// these, the newest first, and how many there are in all.
    pub fn gaps(&self, rpo: Span) -> (Vec<Gap<'_>>, usize) {
        let pairs = self.backups.iter().zip(self.backups.iter().skip(1));
        let gaps = pairs.map(|(before, after)| Gap { before, after }).filter(|gap| gap.length() > rpo);
        let mut gaps: Vec<Gap<'_>> = gaps.collect();
        let all = gaps.len();
        gaps.reverse();
        gaps.truncate(GAPS);
        (gaps, all)
    }

    /// The oldest backup that is remembered: gaps before it are not known.
    pub fn oldest(&self) -> Option<&Evidence> {
        self.backups.first()
    }

    /// The newest backup that was proved, and by which run.
    pub fn proved(&self) -> Option<(&Evidence, &Evidence)> {
        self.proved.as_ref().map(|(backup, by)| (backup, by))
    }

    /// The newest restore, a drill or not.
    pub fn restore(&self) -> Option<&Evidence> {
        self.restores.last()
    }

    /// The newest drill.
    pub fn drill(&self) -> Option<&Evidence> {
        self.restores.iter().rfind(|restore| restore.role.drill)
    }

    /// How long restores took, the shortest first.
    pub fn took(&self) -> Vec<Span> {
        let mut took: Vec<Span> = self.restores.iter().map(Evidence::took).collect();
        took.sort();
        took
    }
}

/// A time without backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap<'a> {
    /// The last one before it.
    pub before: &'a Evidence,
    /// The first one after it.
    pub after: &'a Evidence,
}

impl Gap<'_> {
    /// From start to start: what was written first in it would have been lost for so long.
    pub fn length(&self) -> Span {
        self.after.began - self.before.began
    }
}

/// The newest look whether a runbook could start that restores a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Whether it restores into something that is thrown away.
    pub drill: bool,
    /// What was found.
    pub checked: Checked,
}

/// Keeps the newest, by their starts.
fn keep(all: &mut Vec<Evidence>, one: Evidence, most: usize) {
    let at = all.partition_point(|other| other.began <= one.began);
    all.insert(at, one);
    if all.len() > most {
        all.remove(0);
    }
}

/// What is wanted of a target, by the runbooks that are there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Goals {
    /// So old may the newest backup be.
    pub rpo: Option<Span>,
    /// So long may a restore take.
    pub rto: Option<Span>,
    /// Whether there is a runbook that proves backups.
    pub proves: bool,
}

impl Goals {
    /// One more runbook is for the target: the strictest holds.
    pub fn add(&mut self, objective: &Objective) {
        let strictest = |one: Option<Span>, other: Option<Span>| one.into_iter().chain(other).min();
        self.rpo = strictest(self.rpo, objective.rpo);
        self.rto = strictest(self.rto, objective.rto);
        self.proves |= Role::of(objective).proves;
    }
}

/// How a target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// All that is wanted is so.
    Ready,
    /// No objective is broken, but nobody has shown that a restore would work.
    Unproved,
    /// An objective is broken.
    Broken,
}

/// Judges a target; gives the verdict with its reasons, the gravest first.
pub fn judge(record: &Record, goals: &Goals, looks: &[Look], now: Timestamp) -> (Verdict, Vec<String>) {
    let mut found: Vec<(Verdict, String)> = Vec::new();
    if let Some(rpo) = goals.rpo {
        match record.backup() {
            None => found.push((Verdict::Broken, "there is no backup".to_owned())),
            Some(backup) if now - backup.began > rpo => {
                let why = format!(
                    "the newest backup, of run {}, is {} old; the objective is {rpo}",
                    backup.number,
                    now - backup.began
                );
                found.push((Verdict::Broken, why));
            }
            Some(_) => {}
        }
    }
    if let Some(rto) = goals.rto {
        match record.restore() {
            None => {
                found.push((Verdict::Unproved, "nothing was ever restored: start the restore, or a drill".to_owned()))
            }
            Some(restore) if restore.took() > rto => {
                let why =
                    format!("the restore of run {} took {}; the objective is {rto}", restore.number, restore.took());
                found.push((Verdict::Broken, why));
            }
            Some(_) => {}
        }
    }
    found.extend(looks.iter().filter_map(|look| lacks(look, now)));
    match (goals.rpo, record.backup(), record.proved()) {
        (Some(_), Some(_), None) if goals.proves => {
            found.push((Verdict::Unproved, "no backup was ever proved".to_owned()));
        }
        (Some(_), Some(_), None) => {
            found.push((Verdict::Unproved, "no runbook proves backups of it: write `proves: true` in one".to_owned()));
        }
        _ => {}
    }
    found.sort_by_key(|(verdict, _)| std::cmp::Reverse(*verdict));
    let verdict = found.first().map_or(Verdict::Ready, |(verdict, _)| *verdict);
    (verdict, found.into_iter().map(|(_, why)| why).collect())
}

/// What a look that missed something says: a restore that cannot start restores nothing.
fn lacks(look: &Look, now: Timestamp) -> Option<(Verdict, String)> {
    let (since, runbook) = (look.checked.since?, &look.checked.place.runbook);
    let mut problems: Vec<&str> = look.checked.missing.iter().map(|missing| missing.problem.as_str()).collect();
    let more = format!("and {} more", look.checked.left_out);
    if look.checked.left_out > 0 {
        problems.push(&more);
    }
    let verdict = if look.drill { Verdict::Unproved } else { Verdict::Broken };
    Some((verdict, format!("{runbook} could not start for {}: {}", now - since, problems.join("; "))))
}

/// When the verdict changes if nothing happens until then.
pub fn due(record: &Record, goals: &Goals, now: Timestamp) -> Option<Timestamp> {
    let old = record.backup()?.began + goals.rpo?;
    (old >= now).then_some(old + Span(1))
}

#[cfg(test)]
mod tests {
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
}
