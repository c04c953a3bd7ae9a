//! What steps can do: a checked step and its run's values become a command with everything it is given.
//!
//! Knows the core, and nothing of journals, shims or the API. Starts nothing.

mod command;
mod environment;
mod values;
mod world;

pub use command::{Given, PrepareError, Prepared, prepare};
pub use environment::BASE_VARIABLES;
pub use world::World;
