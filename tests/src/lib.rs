//! What the tests share: the simulated world, the harness for real binaries, and the words of benchmarks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

pub mod bench;
pub mod e2e;
pub mod sim;
