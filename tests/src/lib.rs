//! What the tests share: the simulated world, and the harness for real binaries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

pub mod e2e;
pub mod sim;
