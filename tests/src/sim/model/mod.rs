//! The naive model: what `docs/runs.md` says, read literally and without haste. It keeps the events of every run and
//! asks of each new one whether it may follow, and after each turn whether anything that had to follow is missing.
//!
//! Written from that page alone, and `schedules.rs` from `docs/schedules.md`. Numbers in comments are their rules.

mod ask;
mod confirm;
mod edits;
mod ends;
mod follow;
mod gate;
mod held;
mod judge;
mod locks;
mod places;
mod protect;
mod repeat;
mod run;
mod schedules;
mod step;
mod tree;
mod turn;
mod undo;
mod vote;
mod withheld;

pub(crate) use ask::{Answer, Ask};
pub(crate) use confirm::to_confirm;
pub(crate) use ends::WANT;
pub(crate) use judge::before;
pub(crate) use run::{RunModel, Stage};
pub(crate) use schedules::{FolderModel, PlanModel, PreparedModel, ScheduleModel, is_taken, slots};
pub(crate) use step::{Over, Status, StepModel};
pub(crate) use turn::Model;

/// What is wrong, in words.
pub(crate) type Check = Result<(), String>;

/// Complains unless something holds.
pub(crate) fn must(holds: bool, otherwise: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(otherwise()) }
}
