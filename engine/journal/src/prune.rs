//! Removes old runs: the row and all references in one durable batch that also notes the removal; then the
//! folder moves to the trash; then the note goes. A crash between any two is finished at the next start. Never
//! decides which runs may go.

use std::fs;
use std::io;
use std::ops::{Bound, ControlFlow};

use runbook_core::id::RunUid;
use runbook_core::time::Timestamp;

use crate::db::Batch;
use crate::directory;
use crate::error::{InFile as _, StoreError};
use crate::keys;
use crate::limits::PRUNE_RUNS;
use crate::retention::Judge;
use crate::row::RunRow;
use crate::shared::{self, Shared};
use crate::store::{Pruned, Retention};

/// What the last look at all rows found, so that the next one is made only when it can find more.
#[derive(Debug, Default)]
pub struct Quiet {
    /// What was asked for, and until when nothing goes by time alone. `None` after any change of a row.
    until: Option<(Retention, Option<Timestamp>)>,
}

impl Quiet {
    /// A row has changed: look again.
    pub const fn end(&mut self) {
        self.until = None;
    }

    fn holds(&self, retention: Retention, now: Timestamp) -> bool {
        self.until.is_some_and(|(asked, until)| asked == retention && until.is_none_or(|until| now <= until))
    }
}

/// Removes what may go, the oldest first, each with its child runs. While commits are being archived nothing is removed.
///
/// # Errors
/// As for the store.
pub fn prune(shared: &Shared, quiet: &mut Quiet, retention: &Retention, now: Timestamp) -> Result<Pruned, StoreError> {
    shared.check_running()?;
    if quiet.holds(*retention, now) {
        return Ok(Pruned::default());
    }
    let Some(_moving) = shared.try_moving() else {
        return Ok(Pruned { runs: Vec::new(), more: true });
    };
    let (rows, due) = candidates(shared, *retention, now)?;
    let more = rows.len() > PRUNE_RUNS;
    let rows: Vec<RunRow> = rows.into_iter().rev().take(PRUNE_RUNS).collect();
    if rows.is_empty() {
        quiet.until = Some((*retention, due));
        return Ok(Pruned::default());
    }
    let mut batch = Batch::default();
    let mut runs: Vec<RunUid> = Vec::new();
    for row in &rows {
        batch.remove(&keys::row(row.number));
        let children = shared.children(row.number)?;
        children.iter().for_each(|child| batch.remove(&keys::child(row.number, *child)));
        for uid in std::iter::once(row.uid).chain(children) {
            batch.remove(&keys::uid(uid));
            batch.remove(&keys::cold(uid));
            let removed = keys::removed(uid);
            batch.insert(&removed, shared::reference(&removed, row.number));
            runs.push(uid);
        }
        let request = keys::request(&row.request_id);
        if !row.request_id.is_empty() && shared.number(&request)? == Some(row.number) {
            batch.remove(&request);
        }
    }
    shared.or_stop(shared.db.apply(batch))?;
    shared.or_stop(shared.db.sync())?;
    {
        let mut tail = shared.tail_mut();
        runs.iter().for_each(|uid| tail.forget(*uid));
    }
    sweep(shared, &runs)?;
    Ok(Pruned { runs, more })
}

/// The rows that may go, newest first, and until when no other one does by time alone.
fn candidates(
    shared: &Shared,
    retention: Retention,
    now: Timestamp,
) -> Result<(Vec<RunRow>, Option<Timestamp>), StoreError> {
    let mut judge = Judge::new(retention, now);
    let mut rows = Vec::new();
    let bounds = (Bound::Included(&[keys::ROW][..]), Bound::Excluded(&[keys::ROW + 1][..]));
    shared.db.scan::<StoreError>(bounds, true, |key, value| {
        let number = keys::parse_number(key).unwrap_or(0);
        let row = shared.parse_row(number, value)?;
        if judge.may_go(&row) {
            rows.push(row);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((rows, judge.due()))
}

/// Moves the folders of removed runs to the trash, and takes the notes of it back. The last is durable with the next
/// commit: done twice it does no harm.
fn sweep(shared: &Shared, runs: &[RunUid]) -> Result<(), StoreError> {
    let layout = &shared.layout;
    let mut moved = false;
    for uid in runs {
        let from = layout.run(*uid);
        match fs::rename(&from, layout.trash().join(uid.to_string())) {
            Ok(()) => moved = true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).in_file("move to the trash", &from)?,
        }
    }
    if moved {
        directory::sync(&layout.trash())?;
        directory::sync(&layout.runs())?;
    }
    let mut batch = Batch::default();
    runs.iter().for_each(|uid| batch.remove(&keys::removed(*uid)));
    shared.or_stop(shared.db.apply(batch))
}

/// Finishes removals that a crash cut off; says how many.
///
/// # Errors
/// As for the store.
pub fn finish(shared: &Shared) -> Result<usize, StoreError> {
    let mut runs = Vec::new();
    let bounds = (Bound::Included(&[keys::REMOVED][..]), Bound::Excluded(&[keys::REMOVED + 1][..]));
    shared.db.scan::<StoreError>(bounds, false, |key, _| {
        runs.extend(keys::parse_removed(key));
        Ok(ControlFlow::Continue(()))
    })?;
    if !runs.is_empty() {
        sweep(shared, &runs)?;
    }
    Ok(runs.len())
}
