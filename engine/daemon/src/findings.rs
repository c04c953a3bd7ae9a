//! What a person should look at although nobody failed: runs that did not come, runs that hold up schedules, files that are
//! broken while an earlier version serves. Each follows from what is durable, so it is there again after a restart, and gone
//! once its reason is. Tells nobody by itself.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use runbook_core::definition::Runbook;
use runbook_core::machine::Machine;
use runbook_core::run::{RunState, Waits};
use runbook_core::schedule::{ScheduleName, expected_by};
use runbook_core::time::Timestamp;

use crate::dispatcher::{Ending, Handle};
use crate::library::{Entry, Generation, Library};
use crate::successes::Successes;

/// Schedules that one look at the machine takes: the dispatcher waits for no more.
const SCHEDULES: usize = 1_000;

/// What kind of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Nothing succeeded in time.
    Overdue,
    /// A run needs a person, and slots are left out until then.
    Attention,
    /// A file is broken, and its last good version serves schedules.
    Broken,
    /// A runbook that is to hear of things cannot be started.
    Hook,
    /// A runbook could not start now, as a look on its timer found.
    Preflight,
}

/// Something that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing it is.
    pub kind: Kind,
    /// What it is about: a runbook, or a schedule as RUNBOOK/SCHEDULE.
    pub subject: String,
    /// Since when.
    pub since: Timestamp,
    /// What is wrong, in words.
    pub message: String,
    /// What to do next.
    pub help: String,
    /// The run that it is about; 0 where it is about none.
    pub run_number: u64,
}

/// All that there is to tell at a moment.
#[derive(Debug, Default)]
pub struct Findings {
    /// By kind and subject.
    pub all: Vec<Finding>,
    /// When time alone makes another one.
    pub next: Option<Timestamp>,
}

impl Findings {
    /// What is expected by a time: a finding where that is over.
    fn expect(&mut self, by: Timestamp, now: Timestamp, finding: impl FnOnce() -> Finding) {
        if by <= now {
            self.all.push(finding());
        } else {
            self.next = Some(self.next.map_or(by, |next| next.min(by)));
        }
    }
}

/// What a look at schedules found.
struct Looked {
    findings: Findings,
    /// Runbooks of which schedules are fired.
    fired: BTreeSet<String>,
    /// From where to go on.
    more: Option<ScheduleName>,
}

/// Looks at everything.
///
/// # Errors
/// The daemon is ending.
pub async fn look(
    dispatcher: &Handle,
    library: &Arc<Library>,
    successes: &Arc<Successes>,
    now: Timestamp,
) -> Result<Findings, Ending> {
    let mut findings = Findings::default();
    let mut fired = BTreeSet::new();
    let mut after = String::new();
    loop {
        let from = std::mem::take(&mut after);
        let looked = dispatcher.query(move |machine| schedules(machine, &from, now)).await?;
        findings.next = [findings.next, looked.findings.next].into_iter().flatten().min();
        findings.all.extend(looked.findings.all);
        fired.extend(looked.fired);
        match looked.more {
            Some(name) => name.as_str().clone_into(&mut after),
            None => break,
        }
    }
    let serving = fired.clone();
    findings.all.extend(dispatcher.query(move |machine| held_up(machine, &serving)).await?);
    let (library, successes) = (Arc::clone(library), Arc::clone(successes));
    let in_folder = tokio::task::spawn_blocking(move || {
        of_folder(&library.current(), library.project(), &fired, &successes, now, &mut findings);
        findings
    });
    // It ends early with the daemon alone.
    let mut findings = in_folder.await.map_err(|_| Ending)?;
    findings.all.sort_by(|one, other| {
        (one.kind, &one.subject, one.run_number).cmp(&(other.kind, &other.subject, other.run_number))
    });
    Ok(findings)
}

/// What is to be told of the files.
fn of_folder(
    folder: &Generation,
    project: &Path,
    fired: &BTreeSet<String>,
    successes: &Successes,
    now: Timestamp,
    findings: &mut Findings,
) {
    for entry in folder.entries.values() {
        match entry.runbook() {
            Some(runbook) => expected(runbook, entry, project, successes, now, findings),
            None if fired.contains(&entry.name) => findings.all.push(Finding {
                kind: Kind::Broken,
                subject: entry.name.clone(),
                since: changed(entry, project).unwrap_or(now),
                message: format!("{} is broken; its schedules start the last good version", entry.file()),
                help: format!("`runbook check {}` says what is wrong", entry.file()),
                run_number: 0,
            }),
            None => {}
        }
    }
}

/// Schedules of which none of the runs succeeded in time.
fn schedules(machine: &Machine, after: &str, now: Timestamp) -> Looked {
    let mut looked = Looked { findings: Findings::default(), fired: BTreeSet::new(), more: None };
    for (number, view) in machine.schedules_after(after).enumerate() {
        if number == SCHEDULES {
            break;
        }
        looked.more = (number + 1 == SCHEDULES).then(|| view.name.clone());
        let Some(plan) = view.plan else { continue };
        looked.fired.insert(view.name.runbook().to_owned());
        let Some(by) = expected_by(view.record, plan) else { continue };
        // By its rule alone nobody knows how long a run of it takes: one that is on is no absence.
        if by <= now && plan.expect.is_none() && machine.is_on(view.name) {
            continue;
        }
        looked.findings.expect(by, now, || {
            let last = view.record.succeeded.map_or_else(
                || "no run of it has succeeded yet".to_owned(),
                |(at, number)| format!("the last one that did is run {number}, {at}"),
            );
            Finding {
                kind: Kind::Overdue,
                subject: view.name.to_string(),
                since: by,
                message: format!("no run of it succeeded in time: {last}"),
                help: format!("`runbook schedules ledger {}` says what became of its slots", view.name),
                run_number: 0,
            }
        });
    }
    looked
}

/// Runs that need a person, of runbooks of which schedules are fired: slots are left out because of them.
fn held_up(machine: &Machine, fired: &BTreeSet<String>) -> Vec<Finding> {
    let of = |run: &RunState| {
        let created = run.created();
        let quarantined = machine.quarantine(run.uid()).is_some();
        let held = (quarantined || run.waits() == Waits::Attention) && fired.contains(&created.runbook);
        let number = created.number;
        let help = match quarantined {
            true => format!("`runbook status {number}` shows it; its history cannot be gone on with"),
            false => format!("`runbook status {number}` says what to settle"),
        };
        held.then(|| Finding {
            kind: Kind::Attention,
            subject: created.runbook.clone(),
            since: run.last_at(),
            message: format!("run {number} needs a person; slots of its schedules may be left out until then"),
            help,
            run_number: number,
        })
    };
    machine.roots().filter_map(of).collect()
}

/// A runbook that is expected to succeed every so often.
fn expected(
    runbook: &Runbook,
    entry: &Entry,
    project: &Path,
    successes: &Successes,
    now: Timestamp,
    findings: &mut Findings,
) {
    let Some(expect) = runbook.expect else { return };
    let last = match successes.last(&runbook.name) {
        Ok(last) => last,
        Err(error) => {
            tracing::error!(%error, runbook = runbook.name, "nobody can say when it succeeded last");
            return;
        }
    };
    // One that never did counts from when it was written.
    let Some(from) = last.or_else(|| changed(entry, project)) else { return };
    findings.expect(from + expect.every, now, || Finding {
        kind: Kind::Overdue,
        subject: runbook.name.clone(),
        since: from + expect.every,
        message: match last {
            Some(at) => format!("no run of it succeeded within {}: the last one that did ended {at}", expect.every),
            None => format!("no run of it has succeeded yet, and its file is older than {}", expect.every),
        },
        help: format!("`runbook runs --runbook {}` shows its runs", runbook.name),
        run_number: 0,
    });
}

/// When a runbook's file was changed last.
fn changed(entry: &Entry, project: &Path) -> Option<Timestamp> {
    let modified = std::fs::metadata(project.join(entry.file())).ok()?.modified().ok()?;
    let since = modified.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_micros()).ok().map(Timestamp)
}
