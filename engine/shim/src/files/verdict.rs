//! `verdict`: how an attempt ended, as the shim saw it. What follows from it is decided elsewhere.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{SmallFile, StopRequest};
use crate::paths;

/// A `verdict` is never longer than this, in bytes.
const VERDICT_MAX_BYTES: u64 = 32 << 20;

/// The last word on an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The attempt that ended.
    pub attempt_id: String,
    /// How it ended.
    pub ending: Ending,
    /// The newest stop request that the shim had read when it ended, whether or not it came in time to matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopRequest>,
    /// The command's pid; none if it was not started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When the command was started (or its start refused), in microseconds since 1970 by the wall clock.
    pub started_at: i64,
    /// When the command was seen to have ended, in microseconds since 1970 by the wall clock.
    pub ended_at: i64,
    /// From start to end by the monotonic clock, in microseconds.
    pub duration_micros: u64,
    /// Processor time of the command and all its descendants in user mode, in microseconds.
    pub cpu_user_micros: u64,
    /// Processor time of the command and all its descendants in the kernel, in microseconds.
    pub cpu_system_micros: u64,
    /// The largest resident memory of any one process of the command, in KiB.
    pub max_rss_kib: u64,
    /// What `log` holds, and what it had no room for.
    pub log: LogCount,
    /// What `out` holds.
    pub out: Outputs,
    /// Declared artifacts that are there. Only a command that exited by itself has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// How many processes besides the command were still there at its end and were killed.
    #[serde(default)]
    pub leftover: u32,
    /// What else went wrong and is no reason to doubt the ending: a declared artifact that is missing, a full disk.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

impl SmallFile for Verdict {
    const KIND: &'static str = "verdict";
    const NAME: &'static str = paths::VERDICT;
    const MAX_BYTES: u64 = VERDICT_MAX_BYTES;
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Ending {
    /// The command exited by itself. It may have done so while a stop request was on its way.
    Exited {
        /// Its exit code, 0 to 255.
        code: i32,
    },
    /// The command was ended by a signal that the shim did not send: a crash, the kernel out of memory (9), a person.
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// The command ran into its timeout and was stopped.
    TimedOut {
        /// How it ended then.
        exit: Exit,
        /// Whether it had to be killed, after the grace or at once.
        killed: bool,
    },
    /// The command was stopped on request.
    Stopped {
        /// The reason in the request that stopped it.
        reason: String,
        /// How it ended then.
        exit: Exit,
        /// Whether it had to be killed, after the grace or at once.
        killed: bool,
    },
    /// The command was never started.
    NotStarted {
        /// Why.
        reason: NotStarted,
    },
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It exited with this code, 0 to 255.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// Why a command was never started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "why")]
pub enum NotStarted {
    /// A stop request was there first.
    Canceled,
    /// The system refused.
    Errno {
        /// The system's error number.
        errno: i32,
        /// What was tried, on what, and what to do.
        text: String,
    },
    /// The daemon made `claim`, so that no shim can ever start it.
    Fenced,
}

/// How much output there was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogCount {
    /// Lines in `log`, without the shim's own notes.
    pub lines: u64,
    /// Length of `log` in bytes.
    pub bytes: u64,
    /// Lines that `log` had no room for.
    pub dropped_lines: u64,
    /// Bytes of these lines.
    pub dropped_bytes: u64,
}

/// What `out` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Outputs {
    /// The command wrote none.
    Absent,
    /// The command wrote them.
    Present {
        /// Length in bytes.
        length: u64,
        /// SHA-256 in lower-case hex.
        sha256: String,
    },
    /// The command wrote more than it may; they are not to be read.
    TooLong {
        /// Length in bytes.
        length: u64,
        /// What it may be, in bytes.
        cap: u64,
    },
    /// `out` is there, and is no file that can be read.
    Unreadable {
        /// Why.
        text: String,
    },
}

/// A declared artifact that is there; its content is on the disk for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its path below `artifacts/`.
    pub name: String,
    /// Length in bytes.
    pub length: u64,
    /// SHA-256 in lower-case hex.
    pub sha256: String,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exited with code {code}"),
            Exit::Signal(signal) => write!(f, "was ended by signal {signal}"),
        }
    }
}
