//! How long the steps of a runbook took in its past runs, and those below them, read from the journal. Bounded in runs and
//! events, whatever is kept. Never judges whether that is long.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use runbook_core::id::{AttemptNo, RunUid, StepNo};
use runbook_core::plan::Took;
use runbook_core::run::{AttemptKind, Event, Fact, Kind, Pinned, Then};
use runbook_core::time::Span;
use runbook_journal::{StoreError, View};

use crate::definitions::Definitions;
use crate::runs::all_events;

/// The newest runs that are looked at.
const RUNS: usize = 20;
/// Rows among which they are looked for.
const SCAN: usize = 10_000;
/// Events that are read at most; the run that goes over it is the last.
const EVENTS: usize = 200_000;
/// Child runs that are looked at, of all these together: a plan is answered at once.
const CHILD_RUNS: usize = 500;

/// What is known of past runs.
#[derive(Debug, Default)]
pub struct Past {
    /// By the ids of steps, of those below as `deploy/migrate`, whatever the item or iteration: how long their tries took that
    /// succeeded.
    pub took: HashMap<String, Took>,
    /// How many runs were looked at.
    pub runs: u32,
}

/// Looks at the newest finished runs of a runbook. A run whose definition or events cannot be read is left out.
///
/// # Errors
/// The journal cannot be read.
pub fn past(reader: &dyn View, definitions: &Definitions, runbook: &str) -> Result<Past, StoreError> {
    let mut wanted = |row: &runbook_journal::RunRow| row.finished.is_some() && row.runbook == runbook && !row.dry;
    let rows = reader.rows_newest_first(None, RUNS, SCAN, &mut wanted)?.rows;
    let mut look = Look { reader, events: EVENTS, child_runs: CHILD_RUNS, durations: HashMap::new() };
    let mut runs = 0;
    for row in rows {
        let (Ok(pinned), Ok(events)) = (definitions.load(row.went_by()), all_events(reader, row.uid)) else {
            continue;
        };
        runs += 1;
        look.at(&pinned, &events, "");
        if look.events == 0 {
            break;
        }
    }
    let took = look.durations.into_iter().filter_map(|(id, spans)| Some((id, Took::of(spans)?))).collect();
    Ok(Past { took, runs })
}

/// What is looked at, and how much more may be.
struct Look<'r> {
    reader: &'r dyn View,
    events: usize,
    child_runs: usize,
    /// What was found, by the paths of steps.
    durations: HashMap<String, Vec<Span>>,
}

impl Look<'_> {
    /// Takes in a run, and those below it, as deep as runs start runs, which is bounded. `prefix` is what is before the ids of
    /// its steps.
    fn at(&mut self, pinned: &Pinned, events: &[Event], prefix: &str) {
        self.events = self.events.saturating_sub(events.len());
        // The steps of such a run stand for the times that the step above does its work.
        let many = !matches!(pinned.kind(), Kind::Runbook | Kind::Block);
        let path = |step: StepNo| Some(format!("{prefix}{}", pinned.runbook.step(step)?.id));
        for (step, span) in tries(events).into_iter().filter(|_| !many) {
            if let Some(path) = path(step) {
                self.durations.entry(path).or_default().push(span);
            }
        }
        for (step, child) in started(events) {
            if self.events == 0 || self.child_runs == 0 {
                return;
            }
            self.child_runs -= 1;
            let Ok(events) = all_events(self.reader, child) else { continue };
            let prefix = if many { Some(prefix.to_owned()) } else { path(step).map(|path| format!("{path}/")) };
            if let (Some(below), Some(prefix)) = (below(pinned, step, &events), prefix) {
                self.at(&below, &events, &prefix);
            }
        }
    }
}

/// The child runs that were started, the latest of each step.
fn started(events: &[Event]) -> HashMap<StepNo, RunUid> {
    let of = |event: &Event| match event.fact {
        Fact::ChildStarting { step, child, .. } => Some((step, child)),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

/// The definition of a child run with these events.
fn below(above: &Pinned, step: StepNo, events: &[Event]) -> Option<Arc<Pinned>> {
    match &events.first()?.fact {
        Fact::Created(created) => above.below(step, &created.items),
        _ => None,
    }
}

/// How long each try of a step itself took that succeeded.
fn tries(events: &[Event]) -> Vec<(StepNo, Span)> {
    let mut own: HashSet<(StepNo, AttemptNo)> = HashSet::new();
    let mut begun = HashMap::new();
    let mut spans = Vec::new();
    for event in events {
        match &event.fact {
            Fact::AttemptStarting { step, attempt, kind: AttemptKind::Run, .. } => {
                own.insert((*step, *attempt));
            }
            Fact::ChildStarting { step, .. } => {
                begun.insert(*step, event.at);
            }
            Fact::ChildEnded { step, then: Then::Succeeded, .. } => {
                spans.extend(begun.remove(step).map(|since| (*step, event.at - since)));
            }
            Fact::AttemptEnded { step, attempt, end, then: Then::Succeeded } => {
                // Its `verify` may be what succeeded: that is no measure of the step.
                if own.contains(&(*step, *attempt))
                    && let (Some(since), Some(until)) = (end.started_at, end.ended_at)
                {
                    spans.push((*step, until - since));
                }
            }
            _ => {}
        }
    }
    spans
}
