//! The smallest files: who holds the lock, who claimed, what was asked, what was started.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::SmallFile;
use crate::paths;

/// Content of `lock`: the shim that holds it. Only true while the lock is held; a shim that died leaves it behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The shim's pid, which is also its session's id.
    pub pid: u32,
    /// The shim's start, in clock ticks since boot (field 22 of `/proc/<pid>/stat`).
    pub start_time: u64,
}

impl SmallFile for Holder {
    const KIND: &'static str = "lock";
    const NAME: &'static str = paths::LOCK;
    const MAX_BYTES: u64 = 4096;
}

/// Content of `child`: the command that the shim started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// The command's pid, and the id of its process group.
    pub pgid: u32,
    /// The command's start, in clock ticks since boot.
    pub start_time: u64,
}

impl SmallFile for Child {
    const KIND: &'static str = "child";
    const NAME: &'static str = paths::CHILD;
    const MAX_BYTES: u64 = 4096;
}

/// Content of `stop`: end the attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// Why, as one word for the verdict: `canceled`, `timeout`, …
    pub reason: String,
    /// Kill at once, without the grace.
    #[serde(default)]
    pub now: bool,
}

impl SmallFile for StopRequest {
    const KIND: &'static str = "stop";
    const NAME: &'static str = paths::STOP;
    const MAX_BYTES: u64 = 4096;
}

/// Who made `claim`. The shim's claim is an empty file, the daemon's a whole small file. The file's existence decides,
/// so everything that is not the daemon's whole claim is the shim's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Claim {
    /// A shim may have started the command.
    Shim,
    /// No shim can ever start the command.
    Daemon,
}

impl SmallFile for Claim {
    const KIND: &'static str = "claim";
    const NAME: &'static str = paths::CLAIM;
    const MAX_BYTES: u64 = 4096;
}

impl Claim {
    /// Who claimed the attempt in `dir`; `None` if nobody did.
    ///
    /// # Errors
    /// `claim` is there and cannot be read.
    pub fn load(dir: &Path) -> io::Result<Option<Claim>> {
        match fs::read(dir.join(paths::CLAIM)) {
            Ok(bytes) => Ok(Some(if Claim::decode(&bytes) == Ok(Claim::Daemon) { Claim::Daemon } else { Claim::Shim })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}
