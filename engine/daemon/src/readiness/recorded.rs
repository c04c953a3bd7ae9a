//! What runs said about targets, by the journal: those at the top by their rows, child runs by their events. Never keeps it.

use std::collections::HashMap;

use runbook_core::id::{Digest, RunUid};
use runbook_core::readiness::{Evidence, Record, Role};
use runbook_core::run::{Created, Fact, Outcome};
use runbook_core::time::Timestamp;
use runbook_core::verdicts::Target;
use runbook_journal::{RunRow, StoreError, View};

use crate::definitions::Definitions;
use crate::runs::ROWS;

/// Runs at the top that are looked at, the newest of those that have a target, or come to start a runbook that has an objective.
const RUNS: usize = 20_000;
/// Child runs that are looked at, those of the newest runs.
const CHILDREN: usize = 20_000;
/// Events that are read of a run at once.
const EVENTS: usize = 1_000;

/// What is to be known of a definition.
#[derive(Clone, Copy, Default)]
struct Told {
    /// What its runs say.
    role: Option<Role>,
    /// Whether its runs come to start others that say something.
    starts: bool,
}

/// Definitions, each read once. One that cannot be read says nothing.
struct Roles<'d> {
    definitions: &'d Definitions,
    known: HashMap<Digest, Told>,
}

impl Roles<'_> {
    fn of(&mut self, digest: Digest) -> Told {
        let definitions = self.definitions;
        *self.known.entry(digest).or_insert_with(|| {
            let Ok(pinned) = definitions.load(digest) else { return Told::default() };
            let below = pinned.with_called();
            Told {
                role: pinned.runbook.objective.as_ref().map(Role::of),
                starts: below.iter().skip(1).any(|below| below.runbook.objective.is_some()),
            }
        })
    }
}

/// What runs said that are in the journal.
///
/// # Errors
/// An unreadable row, or an event.
pub fn recorded(reader: &dyn View, definitions: &Definitions) -> Result<HashMap<Target, Record>, StoreError> {
    let mut roles = Roles { definitions, known: HashMap::new() };
    let mut wanted =
        |row: &RunRow| !row.dry && (row.target.is_some() || row.definitions().any(|digest| roles.of(digest).starts));
    let rows = reader.rows_newest_first(None, RUNS, ROWS, &mut wanted)?.rows;
    let (mut said, mut left) = (Vec::new(), CHILDREN);
    for row in rows {
        if row.definitions().any(|digest| roles.of(digest).starts) {
            let children = reader.children(&row)?;
            let few = children.len().min(left);
            left -= few;
            // The newest are told where there are too many.
            for child in &children[children.len() - few..] {
                said.extend(child_run(reader, *child, &mut roles)?);
            }
        }
        // One that was opened again says what it did until it ends again, and what it went by last is what it did.
        let (Some(target), Some(role)) = (row.target.clone(), roles.of(row.went_by()).role) else { continue };
        let end = match row.finished {
            Some(finished) => Some((finished.at, finished.outcome)),
            None => end(reader, row.uid)?,
        };
        let Some((ended, outcome)) = end else { continue };
        let (run, number, began) = (row.uid, row.number, row.created_at);
        said.push((
            (row.environment, target),
            Evidence { run, number, runbook: row.runbook, began, ended, outcome, role },
        ));
    }
    // Of two that ended together the one below ended first.
    said.sort_by_key(|(_, evidence)| (evidence.ended, std::cmp::Reverse(evidence.began)));
    let mut records: HashMap<Target, Record> = HashMap::new();
    for (target, evidence) in said {
        records.entry(target).or_default().add(evidence);
    }
    Ok(records)
}

/// What a child run said.
fn child_run(reader: &dyn View, run: RunUid, roles: &mut Roles<'_>) -> Result<Option<(Target, Evidence)>, StoreError> {
    let first = reader.events(run, 0, 1)?;
    let Some((began, Fact::Created(created))) = first.first().map(|event| (event.at, &event.fact)) else {
        return Ok(None);
    };
    let Created { number, runbook, definition, terms, .. } = &**created;
    let (Some(target), Some(role)) = (terms.target.clone(), roles.of(*definition).role) else { return Ok(None) };
    let Some((ended, outcome)) = end(reader, run)? else { return Ok(None) };
    let (number, runbook) = (*number, runbook.clone());
    let evidence = Evidence { run, number, runbook, began, ended, outcome, role };
    Ok(Some(((terms.environment.clone(), target), evidence)))
}

/// How a run ended last, and when: also one that was opened again since. What succeeded and was undone for the run above is as if it
/// had never been.
fn end(reader: &dyn View, run: RunUid) -> Result<Option<(Timestamp, Outcome)>, StoreError> {
    let (mut last, mut succeeded, mut after) = (None, false, 0);
    loop {
        let events = reader.events(run, after, EVENTS)?;
        let Some(newest) = events.last() else { break };
        after = newest.number;
        for event in &events {
            if let Fact::Finished { outcome } = event.fact {
                last = Some((event.at, outcome));
                succeeded |= outcome == Outcome::Succeeded;
            }
        }
    }
    Ok(last.filter(|(_, outcome)| *outcome == Outcome::Succeeded || !succeeded))
}
