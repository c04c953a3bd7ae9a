//! The child runs below a run that somebody watches: found in its events, followed until they are over. Never tells
//! anything by itself.

use std::collections::HashMap;
use std::sync::Arc;

use runbook_core::definition::step_path;
use runbook_core::id::{RunUid, StepNo};
use runbook_core::run::{Event, Fact, Pinned};
use tonic::Status;

use super::Shared;
use super::streams::read_events;

/// Child runs that are followed at once; those above are told of by their steps alone.
const FOLLOWED: usize = 256;
/// Events read at a time.
const EVENTS: usize = 256;

/// One child run.
struct Child {
    /// The definitions that the run above went by, and the step there that started it.
    above: (Arc<[Arc<Pinned>]>, StepNo),
    /// Its own, once its first event was read.
    pinned: Option<Arc<Pinned>>,
    /// What its steps are called: `a/b/`.
    prefix: String,
    /// The number of its latest event that was read.
    last: u64,
    over: bool,
}

/// New events of a run, with what is to be known of it.
pub(super) struct Part {
    pub run: RunUid,
    pub pinned: Arc<Pinned>,
    pub prefix: String,
    pub events: Vec<Event>,
}

/// All child runs that were found.
#[derive(Default)]
pub(super) struct Below {
    runs: HashMap<RunUid, Child>,
}

impl Below {
    /// Takes note of the child runs that start in some events of a run, which went by these definitions, the latest last.
    pub fn meet(&mut self, prefix: &str, definitions: &Arc<[Arc<Pinned>]>, events: &[Event]) {
        for event in events {
            let (Fact::ChildStarting { step: no, child, .. } | Fact::ChildRollingBack { step: no, child }) =
                &event.fact
            else {
                continue;
            };
            if let Some(known) = self.runs.get_mut(child) {
                known.over = false;
                continue;
            }
            // Steps keep their numbers.
            let step = definitions.iter().rev().find_map(|pinned| pinned.runbook.step(*no));
            let Some(step) = step.filter(|_| self.followed() < FOLLOWED) else { continue };
            let prefix = format!("{}/", step_path(prefix, &step.id));
            let above = (Arc::clone(definitions), *no);
            self.runs.insert(*child, Child { above, pinned: None, prefix, last: 0, over: false });
        }
    }

    fn followed(&self) -> usize {
        self.runs.values().filter(|child| !child.over).count()
    }

    /// What is new of all that are followed, and of those that are found on the way.
    pub async fn read(&mut self, shared: &Shared) -> Result<HashMap<RunUid, Part>, Status> {
        let mut parts: HashMap<RunUid, Part> = HashMap::new();
        let mut open: Vec<RunUid> = self.open();
        while let Some(uid) = open.pop() {
            let Some(child) = self.runs.get_mut(&uid) else { continue };
            let events = read_events(shared, uid, child.last, EVENTS).await?;
            for event in &events {
                child.last = event.number;
                match &event.fact {
                    Fact::Created(created) => {
                        let (definitions, step) = &child.above;
                        let mut below = definitions.iter().filter_map(|above| above.below(*step, &created.items));
                        child.pinned = below.find(|pinned| pinned.digest == created.definition);
                    }
                    Fact::Finished { .. } => child.over = true,
                    Fact::Resumed { .. } | Fact::RollbackAsked { .. } => child.over = false,
                    _ => {}
                }
            }
            let prefix = child.prefix.clone();
            // Nothing of it was read yet.
            let Some(pinned) = child.pinned.as_ref().map(Arc::clone) else { continue };
            let before = self.runs.len();
            self.meet(&prefix, &[Arc::clone(&pinned)].into(), &events);
            if self.runs.len() > before {
                open.extend(self.open().into_iter().filter(|found| !parts.contains_key(found) && *found != uid));
                open.sort_unstable();
                open.dedup();
            }
            parts.insert(uid, Part { run: uid, pinned, prefix, events });
        }
        Ok(parts)
    }

    fn open(&self) -> Vec<RunUid> {
        self.runs.iter().filter(|(_, child)| !child.over).map(|(uid, _)| *uid).collect()
    }
}

/// All events of a run and of those below it, those of a child run before the one that says that it is over.
pub(super) fn in_order(top: Part, mut below: HashMap<RunUid, Part>) -> Vec<(RunUid, Arc<Pinned>, String, Event)> {
    let mut told = Vec::new();
    let mut open = vec![(top.run, top.pinned, top.prefix, top.events.into_iter().peekable())];
    loop {
        while let Some((run, pinned, prefix, events)) = open.last_mut() {
            let child = match events.peek().map(|event| &event.fact) {
                None => {
                    open.pop();
                    continue;
                }
                Some(Fact::ChildEnded { child, .. }) => Some(*child),
                Some(_) => None,
            };
            if let Some(part) = child.and_then(|child| below.remove(&child)) {
                open.push((part.run, part.pinned, part.prefix, part.events.into_iter().peekable()));
            } else if let Some(event) = events.next() {
                told.push((*run, Arc::clone(pinned), prefix.clone(), event));
            }
        }
        // Of what goes on still the first, so that the same events are always told in the same order.
        let Some(next) = below.keys().min().copied() else { return told };
        let Some(part) = below.remove(&next) else { return told };
        open.push((part.run, part.pinned, part.prefix, part.events.into_iter().peekable()));
    }
}
