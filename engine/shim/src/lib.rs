//! The file formats of an attempt, for both of its sides: the shim that owns the processes, and the daemon that places,
//! watches and reconciles attempts. An attempt's directory is the whole protocol between them.
//!
//! This library never knows runs, policies or the journal, and it starts nothing.

pub mod encodings;
pub mod envelope;
pub mod exit;
mod fence;
pub mod files;
pub mod lock;
pub mod log;
pub mod paths;
pub mod process;
pub mod redact;
pub mod secrets;
pub mod time;

pub use fence::fence;
