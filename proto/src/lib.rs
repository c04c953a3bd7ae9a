//! The wire and disk formats: [`v1`] is the API, [`journal`] the disk. Neither imports the other.
//!
//! Generated from the `.proto` files beside this crate. No logic, ever: what a message means is said where it
//! is turned into a type of ours, at one door each.

/// The API, `runbook.v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod v1 {
    tonic::include_proto!("runbook.v1");

    /// The API's file descriptors, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/api-descriptors.bin"));
}

/// The disk format, `runbook.journal.v1`.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod journal {
    tonic::include_proto!("runbook.journal.v1");
}
