//! Whether what is backed up could be restored, in time and from data that is new enough: judged from runs that came to an end.
//! Never knows how these are found, nor what the clock says.

use std::collections::BTreeSet;

use crate::definition::Objective;
use crate::id::RunUid;
use crate::limits::GAPS;
use crate::preflight::Checked;
use crate::run::Outcome;
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

    /// Whether a run that fails says that a backup cannot be restored: one that makes backups says nothing of those before it.
    const fn disproves(self) -> bool {
        self.proves && !self.backup
    }
}

/// A run that came to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The run.
    pub run: RunUid,
    /// Its number: of a child run that of the run at the top.
    pub number: u64,
    /// Its runbook.
    pub runbook: String,
    /// When it was started.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// What it says.
    pub role: Role,
}

impl Evidence {
    /// From its start to its end, whatever it waited for: that is how long a person waits.
    pub fn took(&self) -> Span {
        self.ended - self.began
    }

    /// What it was to do.
    const fn what(&self) -> &'static str {
        match self.role {
            Role { restore: true, drill: true, .. } => "drill",
            Role { restore: true, drill: false, .. } => "restore",
            Role { restore: false, .. } => "check of backups",
        }
    }
}

/// The newest ends of runs that show the same. Where two ended together, the one that came later counts: a child run ends before
/// the one above it.
#[derive(Debug, Clone, Default)]
struct Ends {
    succeeded: Option<Timestamp>,
    /// The newest that failed, if none succeeded since.
    failed: Option<Evidence>,
}

impl Ends {
    fn succeed(&mut self, at: Timestamp) {
        self.succeeded = self.succeeded.max(Some(at));
        self.failed.take_if(|failed| failed.ended <= at);
    }

    fn fail(&mut self, evidence: &Evidence) {
        let ends = self.failed.as_ref().map(|failed| failed.ended).into_iter().chain(self.succeeded);
        if ends.max().is_none_or(|newest| newest <= evidence.ended) {
            self.failed = Some(evidence.clone());
        }
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
    /// How restores ended.
    restored: Ends,
    /// How proofs ended, restores among them.
    tried: Ends,
    /// The runbooks whose runs were about it.
    runbooks: BTreeSet<String>,
}

impl Record {
    /// Takes a run in, once. Runs come in the order of their ends; one that was opened again comes again.
    pub fn add(&mut self, evidence: Evidence) {
        match evidence.outcome {
            Outcome::Succeeded => self.succeeded(evidence),
            Outcome::Failed | Outcome::RolledBack => self.failed(evidence),
            // It says nothing.
            Outcome::Canceled => {}
        }
    }

    fn failed(&mut self, evidence: Evidence) {
        if evidence.role.restore {
            self.restored.fail(&evidence);
        }
        if evidence.role.disproves() {
            self.tried.fail(&evidence);
        }
        self.runbooks.insert(evidence.runbook);
    }

    fn succeeded(&mut self, evidence: Evidence) {
        if evidence.role.restore {
            self.restored.succeed(evidence.ended);
        }
        if evidence.role.proves {
            self.tried.succeed(evidence.ended);
        }
        if self.backups.iter().chain(&self.restores).any(|known| known.run == evidence.run) {
            return;
        }
        self.runbooks.insert(evidence.runbook.clone());
        if evidence.role.backup {
            keep(&mut self.backups, evidence.clone(), BACKUPS);
        }
        if evidence.role.restore {
            // What was restored below it is a part of it.
            let whole = &evidence;
            self.restores.retain(|it| it.number != whole.number || it.began < whole.began || it.ended > whole.ended);
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

    /// The runbooks whose runs were about it, whether they succeeded or failed.
    pub const fn runbooks(&self) -> &BTreeSet<String> {
        &self.runbooks
    }

    /// Whether a run succeeded that was about it: one that failed may have been started with a name that is none.
    pub const fn is_known(&self) -> bool {
        !self.backups.is_empty() || self.tried.succeeded.is_some()
    }

    /// Whether the run has said something that counts still.
    pub fn counts(&self, run: RunUid) -> bool {
        let proved = self.proved.iter().flat_map(|(backup, by)| [backup, by]);
        let failed = [&self.restored, &self.tried].into_iter().filter_map(|ends| ends.failed.as_ref());
        self.backups.iter().chain(&self.restores).chain(proved).chain(failed).any(|known| known.run == run)
    }

    /// The newest run that failed to restore since one did, and the newest that failed to prove anything since one did: the newest
    /// first, and once where they are the same. What is wanted by nobody any more is left out.
    pub fn disproofs(&self, goals: &Goals) -> Vec<&Evidence> {
        let restored = self.restored.failed.as_ref().filter(|_| goals.rto.is_some());
        let tried =
            self.tried.failed.as_ref().filter(|it| goals.proves && restored.is_none_or(|other| other.run != it.run));
        // What only failed to restore is told above, and ends with a restore alone.
        let tried = tried.filter(|it| goals.rto.is_some() || !it.role.restore);
        let mut all: Vec<&Evidence> = restored.into_iter().chain(tried).collect();
        all.sort_by_key(|it| std::cmp::Reverse(it.ended));
        all
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
    let disproofs = record.disproofs(goals).into_iter();
    let mut found: Vec<(Verdict, String)> = disproofs.map(|it| (Verdict::Broken, failed(it))).collect();
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

/// What a run says that failed where others had succeeded before.
fn failed(it: &Evidence) -> String {
    let second = Span(1_000_000);
    let at = Timestamp(it.ended.0 - it.ended.0.rem_euclid(second.0));
    let ended = match it.outcome {
        Outcome::RolledBack => "was rolled back",
        Outcome::Succeeded | Outcome::Failed | Outcome::Canceled => "failed",
    };
    let other = if it.role.restore { "nothing was restored" } else { "no backup was proved" };
    let (what, runbook, number) = (it.what(), &it.runbook, it.number);
    format!(
        "the newest {what}, {runbook} in run {number}, {ended} at {at}, and {other} since: `runbook status {number}` shows why"
    )
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
mod tests;
