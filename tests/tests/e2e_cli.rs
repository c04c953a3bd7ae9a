//! The command line, as people and scripts meet it: against the real daemon, with and without a terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

#[path = "e2e_cli/ahead.rs"]
mod ahead;
#[path = "e2e_cli/codes.rs"]
mod codes;
#[path = "e2e_cli/complete.rs"]
mod complete;
#[path = "e2e_cli/inputs.rs"]
mod inputs;
#[path = "e2e_cli/json.rs"]
mod json;
#[path = "e2e_cli/last_good.rs"]
mod last_good;
#[path = "e2e_cli/live.rs"]
mod live;
#[path = "e2e_cli/plain.rs"]
mod plain;
#[path = "e2e_cli/project.rs"]
mod project;
#[path = "e2e_cli/rehearse.rs"]
mod rehearse;
#[path = "e2e_cli/start.rs"]
mod start;
#[path = "e2e_cli/verbs.rs"]
mod verbs;
