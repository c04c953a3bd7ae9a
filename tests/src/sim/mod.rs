//! A deterministic simulation of the engine's core: one seed is one world, with a clock of its own.
//!
//! **The thing under test** is `runbook_core::machine::Machine` with everything below it, driven as the daemon drives
//! it: gather inputs, one turn, one append, and only then act.
//!
//! **The fault model.** In each world some of these are on, some off, drawn from the seed:
//! - the daemon dies at any boundary of a turn: before its batch is durable, after that and before anything is acted
//!   upon, in the middle of acting (some starts, stops and answers done, others not), after acting, and between
//!   turns; it is away for a while and starts anew from the journal alone;
//! - the machine goes down with it: every process is gone, unsynced ends are lost, the boot is another one;
//! - attempts end in every way: exit codes, timeouts, signals, `unknown_if`, lost, lost with processes left that end
//!   later, not started for want of resources, by a refusal, or for a stop that came first; they obey a stop, ignore
//!   it, end in the same moment, or break; they leave no outputs, wrong ones, no artifacts;
//! - the news of an end comes late, twice, or not at all until the daemon starts anew;
//! - the wall clock is set, forwards and backwards, noticed or too little to be noticed;
//! - the folder of runbooks is edited, is broken in part, is read late; schedules are new, gone, back, paused; slots are
//!   prepared slowly, or cannot be;
//! - values that are kept nowhere are gone with the daemon, and attempts do not start for want of them;
//! - clients ask for what is not possible, repeat themselves, vanish with the daemon and come back.
//!
//! Not in it: a journal that loses or changes what it called durable (`journal`'s own tests), events that are illegal
//! (the core's unit tests), two daemons at once.
//!
//! **Safety** is checked all the time, **liveness** once the faults are off: every run becomes terminal, or waits for a
//! person, or for a lock held by one that does; and when a person has settled everything, every run is terminal.

mod checkers;
mod condition;
mod design;
mod edits;
mod environment;
mod faults;
mod generator;
mod inner;
mod model;
mod outside;
mod people;
mod random;
mod replay;
mod sabotage;
mod schedules;
mod seen;
mod trace;
mod turn;
mod values;
mod world;
mod yaml;

pub use faults::Limits;
pub use replay::{Failure, command, shrink, simulate};
pub use sabotage::Sabotage;
pub use seen::Seen;
pub use yaml::check_language;
