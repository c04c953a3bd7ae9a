//! When something is due, against tables, against other programs, and against a walk through time minute by minute.

#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used, reason = "a panic is how a test fails")]

#[path = "schedule/naive.rs"]
mod naive;
#[path = "schedule/others.rs"]
mod others;
#[path = "schedule/properties.rs"]
mod properties;
#[path = "schedule/refusals.rs"]
mod refusals;
#[path = "schedule/vectors.rs"]
mod vectors;
