//! The exit codes of the shim. A shim that could not claim its attempt says why with its code alone, since it writes no
//! other file then. The daemon shows [`Refusal`]'s text.

use std::fmt;

/// The shim wrote its verdict.
pub const DONE: i32 = 0;

/// Why the shim ended without a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Wrong arguments, or the attempt's directory cannot be entered.
    Usage,
    /// `lock` is missing or cannot be opened.
    NoLock,
    /// Another shim holds `lock`.
    LockHeld,
    /// The shim's pid could not be written into `lock`.
    LockUnwritable,
    /// `spec` is absent, torn, or breaks a rule of its own.
    Spec,
    /// `spec` was placed before the machine was started anew.
    OtherBoot,
    /// There is no room on the disk for a verdict.
    NoRoom,
    /// `claim` is there already.
    Claimed,
    /// `claim` cannot be made.
    ClaimFailed,
    /// The shim could not become what it must be: a session's leader, a subreaper, a reader of its signals.
    Setup,
    /// The secrets on standard input cannot be read.
    Secrets,
    /// The attempt was claimed, but its verdict could not be written.
    VerdictFailed,
}

const ALL: [(Refusal, i32); 12] = [
    (Refusal::Usage, 10),
    (Refusal::NoLock, 11),
    (Refusal::LockHeld, 12),
    (Refusal::LockUnwritable, 13),
    (Refusal::Spec, 14),
    (Refusal::OtherBoot, 15),
    (Refusal::NoRoom, 16),
    (Refusal::Claimed, 17),
    (Refusal::ClaimFailed, 18),
    (Refusal::Setup, 19),
    (Refusal::Secrets, 20),
    (Refusal::VerdictFailed, 21),
];

impl Refusal {
    /// The exit code that says this.
    pub fn code(self) -> i32 {
        ALL.iter().find(|(refusal, _)| *refusal == self).map_or(i32::from(u8::MAX), |(_, code)| *code)
    }

    /// What an exit code of the shim says; `None` for [`DONE`] and for codes that the shim never chose.
    pub fn from_code(code: i32) -> Option<Refusal> {
        ALL.iter().find(|(_, known)| *known == code).map(|(refusal, _)| *refusal)
    }

    /// Whether it is certain that this shim started nothing.
    pub fn started_nothing(self) -> bool {
        self != Refusal::VerdictFailed
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Usage => "the shim was not given an attempt's directory that it can enter",
            Refusal::NoLock => "the attempt's `lock` is missing or cannot be opened; check the owner and mode of the data directory",
            Refusal::LockHeld => "another shim holds the attempt's `lock`",
            Refusal::LockUnwritable => "the shim's pid could not be written into `lock`; check the room and mode of the data directory's disk",
            Refusal::Spec => "the attempt's `spec` is absent, torn or breaks a rule",
            Refusal::OtherBoot => "the attempt's `spec` is from before the machine was started anew",
            Refusal::NoRoom => "no room on the disk for the verdict; make room on the data directory's disk",
            Refusal::Claimed => "the attempt is claimed already",
            Refusal::ClaimFailed => "the attempt's `claim` cannot be made; check the room and mode of the data directory's disk",
            Refusal::Setup => "the shim could not set itself up as leader of a session, subreaper and reader of its signals; check /proc, and limits on processes and descriptors",
            Refusal::Secrets => "the secrets handed to the shim cannot be read",
            Refusal::VerdictFailed => "the verdict could not be written; check the data directory's disk",
        })
    }
}
