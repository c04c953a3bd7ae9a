//! Runs as the journal has them: all events of one, its pinned definition, and whole trees taken into memory. Never
//! decides anything.

use std::sync::Arc;

use anyhow::Context as _;
use runbook_core::id::RunUid;
use runbook_core::machine::Machine;
use runbook_core::run::{Created, Event, Fact, Illegal, Pinned, RunState};
use runbook_core::time::Timestamp;
use runbook_journal::{RunRow, StoreError, View};

use crate::definitions::Definitions;

/// Rows of runs that one question looks at: all that a journal keeps, unless it was told to keep more.
pub const ROWS: usize = 200_000;

/// All events of a run, however many pages they take.
///
/// # Errors
/// They cannot be read.
pub fn all_events(reader: &dyn View, run: RunUid) -> Result<Vec<Event>, StoreError> {
    let mut all = Vec::new();
    loop {
        let after = all.last().map_or(0, |event: &Event| event.number);
        let page = reader.events(run, after, usize::MAX)?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// A run's state from its events; `None` where there is no such run.
///
/// # Errors
/// It is there, and cannot be read.
pub fn read_state(reader: &dyn View, definitions: &Definitions, uid: RunUid) -> anyhow::Result<Option<RunState>> {
    let Some(row) = reader.row_of_tree(uid)? else { return Ok(None) };
    let events = all_events(reader, uid)?;
    let Some((first, rest)) = events.split_first() else { anyhow::bail!("it has no events") };
    let Fact::Created(created) = &first.fact else { anyhow::bail!("it does not begin with its creation") };
    let (pinned, later) = pinned(reader, definitions, &row, created)?;
    let mut state = RunState::create(uid, pinned, first)?;
    later.into_iter().for_each(|pinned| state.learn(pinned));
    for event in rest {
        state.apply(event)?;
    }
    Ok(Some(state))
}

/// The definition that a run was made by, and those that it went by later: stored by themselves for a run at the top, part
/// of one of those above for a child run, which has one alone.
///
/// # Errors
/// One of them, or the runs above, cannot be read.
pub fn pinned(
    reader: &dyn View,
    definitions: &Definitions,
    row: &RunRow,
    created: &Created,
) -> anyhow::Result<(Arc<Pinned>, Vec<Arc<Pinned>>)> {
    let digest = created.definition;
    let mut all = row.definitions().map(|digest| definitions.load(digest)).collect::<Result<Vec<_>, _>>()?;
    if created.parent.is_none() {
        let first = all.remove(0);
        return Ok((first, all));
    }
    let mut steps = Vec::new();
    let mut created = created.clone();
    while let Some(parent) = created.parent {
        steps.push((parent.step, created.items));
        let first = reader.events(parent.run, 0, 1)?;
        let Some(Fact::Created(above)) = first.into_iter().next().map(|event| event.fact) else {
            anyhow::bail!("the run {} above it cannot be read", parent.run);
        };
        created = *above;
    }
    for (step, items) in steps.into_iter().rev() {
        all = all.iter().filter_map(|pinned| pinned.below(step, &items)).collect();
    }
    let found = all.into_iter().find(|pinned| pinned.digest == digest);
    let found = found.with_context(|| format!("no definition of {} has {digest} below it", row.runbook))?;
    Ok((found, Vec::new()))
}

/// Takes a run into memory from its events, a child run after the one above it.
///
/// # Errors
/// Its definition cannot be read, or its first event is unusable.
pub fn take_in(
    machine: &mut Machine,
    definitions: &Definitions,
    uid: RunUid,
    events: &[Event],
    now: Timestamp,
) -> anyhow::Result<Option<Illegal>> {
    let Some(Fact::Created(created)) = events.first().map(|event| &event.fact) else {
        anyhow::bail!("it does not begin with its creation");
    };
    if created.parent.is_some() {
        return Ok(machine.load_child(uid, events, now)?);
    }
    let later = events.iter().filter_map(|event| match &event.fact {
        Fact::Resumed { edited, .. } => edited.as_ref().map(|edited| edited.definition),
        _ => None,
    });
    let later = later.map(|digest| definitions.load(digest)).collect::<Result<Vec<_>, _>>()?;
    Ok(machine.load(uid, definitions.load(created.definition)?, &later, events, now)?)
}

/// Takes the whole tree that a run belongs to into memory; gives the run at the top.
///
/// # Errors
/// There is no such run, or one of the tree cannot be read.
pub fn take_in_tree(
    machine: &mut Machine,
    reader: &dyn View,
    definitions: &Definitions,
    run: RunUid,
    now: Timestamp,
) -> anyhow::Result<RunUid> {
    let top = reader.row_of_tree(run)?.context("there is no such run")?;
    for uid in std::iter::once(top.uid).chain(reader.children(&top)?) {
        if let Some(illegal) = take_in(machine, definitions, uid, &all_events(reader, uid)?, now)? {
            anyhow::bail!("{illegal}");
        }
    }
    Ok(top.uid)
}
