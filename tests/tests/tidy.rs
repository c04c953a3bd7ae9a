//! The laws of the repository as tests: who may know whom, what a source file looks like, whether the pages are true.
//!
//! Each law stands beside a positive control: the same check must object to something that is known to be wrong, so
//! that a check that has stopped looking cannot stay green. Never knows what the programs do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

#[path = "tidy/dependencies.rs"]
mod dependencies;
#[path = "tidy/manifests.rs"]
mod manifests;
#[path = "tidy/pages.rs"]
mod pages;
#[path = "tidy/protocol.rs"]
mod protocol;
#[path = "tidy/repository.rs"]
mod repository;
#[path = "tidy/sources.rs"]
mod sources;
