//! When something is due: rules of crontab(5), zones, and what becomes of times that a change of the clocks skips or
//! repeats. Functions of their arguments: never reads a clock, never knows runs.
//!
//! `parse` reads a [`Rule`] or says what is wrong with it; `search` finds the next minute that it names on a clock on the
//! wall; `zone` knows how far such clocks are from UTC; `timetable` puts the three together; `words` says it to people,
//! `written` is what a person said.
//! `ledger` is what became of slots, `stretches` which of them ran, `missed` which of them did not, `due` what is to become of them, `expect` by
//! when one has to have succeeded. What is promised stands in `docs/schedules.md`.

mod due;
mod expect;
mod ledger;
mod missed;
mod parse;
mod rule;
mod search;
mod stretches;
mod timetable;
mod words;
mod written;
mod zone;

pub use due::{Plan, next_slot};
pub(crate) use due::{Step, next_step, of_paused, of_removed};
pub use expect::expected_by;
pub use ledger::{Fate, Misplaced, Miss, Note, NoteFact, Pause, Record, ScheduleName, Skip, SlotOf};
pub use missed::MissedSlots;
pub use parse::RuleFault;
pub use rule::{Days, Rule};
pub use stretches::Stretches;
pub use timetable::{Dst, Remark, Slot, Timetable, Wall};
pub use written::Written;
pub use zone::{Zone, ZoneFault};
