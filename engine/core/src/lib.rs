//! The language (YAML → checked runbook) and the run's state machine.
//!
//! Pure: everything here is a function of its arguments. The crate never knows a clock, a file, an
//! environment variable, a network, a thread or a source of randomness; time, jitter and ids come in
//! with the inputs. The lints in `clippy.toml` beside `Cargo.toml` and the dependency check in CI hold it to that.

pub mod action;
pub mod calendar;
pub mod comparison;
pub mod definition;
pub mod destruction;
pub mod drift;
pub mod expression;
pub mod id;
pub mod kept;
pub mod language;
pub mod limits;
pub mod machine;
pub mod needs;
pub mod plan;
pub mod preflight;
pub mod readiness;
pub mod rehearsal;
pub mod run;
pub mod schedule;
pub mod selection;
pub mod time;
pub mod verdicts;
