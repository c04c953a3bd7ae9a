//! What a start may say, and what protects whoever says it: with the real programs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

#[path = "e2e_safety/confirm.rs"]
mod confirm;
#[path = "e2e_safety/dry.rs"]
mod dry;
#[path = "e2e_safety/environments.rs"]
mod environments;
#[path = "e2e_safety/pause.rs"]
mod pause;
#[path = "e2e_safety/selection.rs"]
mod selection;
