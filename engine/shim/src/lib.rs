//! The file formats of an attempt, for both of its sides: the shim that owns the processes, and the daemon that places,
//! watches and reconciles attempts. An attempt's directory is the whole protocol between them.
//!
//! What each side does, in order:
//!
//! | daemon | shim |
//! | --- | --- |
//! | makes the directory, [`lock::create`], [`files::place`] of the [`files::Spec`] | |
//! | starts the shim: standard input is [`secrets::Secrets::into_memfd`] or `/dev/null`, an empty environment, not the leader of a process group | takes the lock, tells its pid, reads the spec, takes room for its verdict |
//! | [`fence`] instead, to say "not started" for ever | makes `claim`: from here on the command may run |
//! | [`files::place`] of a [`files::StopRequest`], then SIGTERM to the shim while [`lock::is_held`] | reads `stop` before the start and at every SIGTERM; asks, waits, kills |
//! | waits for the shim's end | kills what is left, syncs artifacts, places its [`files::Verdict`], ends with 0 |
//! | [`lock::is_held`], then [`files::load`] of the verdict, in this order | |
//! | free, no claim: starts it again, or fences it; [`exit::Refusal`] says why it ended | ends with the code of an [`exit::Refusal`] when it cannot claim |
//! | free, a claim, no verdict: [`process::kill_leftovers`], then the attempt is lost | |
//!
//! This library never knows runs, policies or the journal, and it starts nothing.

pub mod encodings;
pub mod envelope;
mod escapes;
pub mod exit;
mod fence;
pub mod files;
pub mod lock;
pub mod log;
pub mod memory;
pub mod paths;
pub mod process;
pub mod redact;
pub mod secrets;
pub mod time;

pub use fence::fence;
