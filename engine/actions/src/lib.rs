//! What steps can do: a checked step and its run's values become a command with everything it is given, or an action that
//! is carried out here.
//!
//! Knows the core, and nothing of journals, shims or the API. Starts no process but those that an
//! action under a shim is about.

mod accepted;
mod act;
mod command;
mod environment;
mod http;
mod inside;
mod mail;
mod notify;
mod told;
mod values;
mod world;

pub use act::act;
pub use command::{Given, Order, PrepareError, Prepared, prepare};
pub use environment::BASE_VARIABLES;
pub use http::Asker;
pub use inside::{Desk, Done, Inside, Seeker, Shared};
pub use world::World;
