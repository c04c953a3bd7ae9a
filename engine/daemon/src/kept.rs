//! What is kept beside runs and schedules since it outlives the runs that it came of, as it is durable: read by everybody, changed
//! by the dispatcher alone. What changes it is found here, in what happened; what that means is the core's.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use runbook_core::action;
use runbook_core::drift::{self, Book, Look, Seen};
use runbook_core::kept::Kept;
use runbook_core::machine::{Batch, Machine};
use runbook_core::preflight::{Checked, Place};
use runbook_core::run::{Fact, Then};
use runbook_core::verdicts;
use runbook_journal::{StoreError, View};

/// What is kept.
#[derive(Debug, Default)]
pub struct Records {
    /// What differs from what is written.
    pub drift: Book,
    /// Whether runbooks could start that say `preflight:`.
    pub preflights: BTreeMap<Place, Checked>,
    /// How what is backed up stood.
    pub verdicts: verdicts::Book,
}

/// The same, for everybody.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<Records>);

impl Shelf {
    /// As the journal has it.
    ///
    /// # Errors
    /// Something of it cannot be read.
    pub fn open(reader: &dyn View) -> Result<Self, StoreError> {
        let mut records = Records::default();
        reader.kept()?.iter().for_each(|kept| records.apply(kept));
        Ok(Self(Mutex::new(records)))
    }

    /// To look at it. Nothing else is done meanwhile, so briefly.
    pub fn look(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what is durable now.
    pub fn take_in(&self, kept: &[Kept]) {
        let mut records = self.look();
        kept.iter().for_each(|kept| records.apply(kept));
    }
}

impl Records {
    fn apply(&mut self, kept: &Kept) {
        match kept {
            Kept::Drift(change) => self.drift.apply(change),
            Kept::Preflight(checked) => drop(self.preflights.insert(checked.place.clone(), checked.clone())),
            Kept::NoPreflight(place) => drop(self.preflights.remove(place)),
            Kept::Verdict(change) => self.verdicts.apply(change),
        }
    }

    /// What a batch changes. The machine has taken it in, and still has its runs.
    pub fn of(&self, machine: &Machine, batch: &Batch) -> Vec<Kept> {
        let looks: Vec<Look> = looks(machine, batch).collect();
        if looks.is_empty() {
            return Vec::new();
        }
        self.drift.take_in(looks).into_iter().map(Kept::Drift).collect()
    }
}

/// The looks for drift that came to an end in a batch. A dry run looks at nothing that counts.
fn looks<'a>(machine: &'a Machine, batch: &'a Batch) -> impl Iterator<Item = Look> + 'a {
    batch.events.iter().filter_map(|(run, event)| {
        let Fact::AttemptEnded { step, end, then, .. } = &event.fact else { return None };
        let failed = match then {
            Then::Succeeded => false,
            Then::Failed => true,
            _ => return None,
        };
        let state = machine.run(*run)?;
        let acting = state.pinned().runbook.step(*step)?.command()?.action()?;
        let source = action::find(&acting.name)?.drift?;
        let top = machine.run(state.root()).filter(|top| !top.created().terms.dry)?;
        let (stack, found) = drift::read(source, state.pinned().runbook.environment_name(), &end.outputs)?;
        let seen = Seen { run: top.uid(), number: top.created().number, at: event.at };
        Some(Look { stack, seen, found: if failed { Err(end.message.clone()) } else { Ok(found) } })
    })
}
