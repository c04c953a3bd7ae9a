//! What can go wrong with the journal: what, where, why, and what to do next. Never decides what follows.

use std::io;
use std::path::{Path, PathBuf};

use runbook_core::id::RunUid;

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} {}: {source}", path.display())]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// With which file or directory.
    pub path: PathBuf,
    /// What the system says.
    pub source: io::Error,
}

/// Makes a [`FileError`] of an I/O error.
pub trait InFile<T> {
    /// Adds what was tried with which file.
    fn in_file(self, action: &'static str, path: &Path) -> Result<T, FileError>;
}

impl<T> InFile<T> for io::Result<T> {
    fn in_file(self, action: &'static str, path: &Path) -> Result<T, FileError> {
        self.map_err(|source| FileError { action, path: path.to_owned(), source })
    }
}

/// Why the journal did not do what was asked while it was open.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A commit did not become durable. Nothing of it may be acted upon or told, and nothing can be written
    /// any more until the process has started again.
    #[error(
        "the journal in {} could not {action}: {why}. The daemon must stop now; everything that it acknowledged \
         is kept. Make room or repair the disk, then start it again", dir.display()
    )]
    NotDurable {
        /// The journal's directory.
        dir: PathBuf,
        /// What was tried.
        action: String,
        /// What the storage engine or the system says.
        why: String,
    },
    /// An earlier commit failed.
    #[error("the journal takes nothing more, since it failed before: {0}")]
    Stopped(String),
    /// The events do not follow from those that are there: a mistake of the caller. Nothing was written.
    #[error("event {number} of run {run} is refused: {why}. This is a bug; nothing was written")]
    Refused {
        /// The run.
        run: RunUid,
        /// The event's number.
        number: u64,
        /// Why.
        why: String,
    },
    /// A note of a schedule does not follow from those that are there: a mistake of the caller. Nothing was written.
    #[error("note {number} of schedule {schedule} is refused: {why}. This is a bug; nothing was written")]
    RefusedNote {
        /// The schedule.
        schedule: String,
        /// The note's number.
        number: u64,
        /// Why.
        why: String,
    },
    /// More than fits into one commit. Nothing was written.
    #[error("a commit of {bytes} bytes is above the limit of {limit} bytes; nothing was written")]
    TooLarge {
        /// The size of the commit, in bytes.
        bytes: usize,
        /// The bound, in bytes.
        limit: usize,
    },
    /// The storage engine could not read.
    #[error("the journal in {} could not be read: {why}. Restore the data directory from a backup", dir.display())]
    Unreadable {
        /// The journal's directory.
        dir: PathBuf,
        /// What the storage engine says.
        why: String,
    },
    /// Something that was stored is damaged, or from a newer program.
    #[error("{what} in {} is unusable: {why}. Restore it from a backup, or start the program that wrote it", path.display())]
    Corrupt {
        /// What.
        what: String,
        /// Where.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Events of a run are not where they must be.
    #[error("event {missing} of run {run} is in neither {} nor the journal: restore the file from a backup", path.display())]
    EventsMissing {
        /// The run.
        run: RunUid,
        /// The number of the first event that is missing.
        missing: u64,
        /// The file that should have it.
        path: PathBuf,
    },
    /// A file outside the storage engine.
    #[error(transparent)]
    File(#[from] FileError),
    /// The memory store was told to crash here.
    #[error("the store crashed, as it was told to")]
    Crashed,
}

/// Why the data directory was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error(
        "the data directory {} is in use by process {}. Stop that one first (`runbook daemon stop`), or use another \
         data directory", dir.display(), pid.map_or_else(|| "(unknown)".to_owned(), |pid| pid.to_string())
    )]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// Who has it, as far as it said so.
        pid: Option<u32>,
    },
    /// It was written by a newer program.
    #[error(
        "the data directory {} has format {found}, this program knows up to {known}. Start the newer program that \
         wrote it, or use another data directory", dir.display()
    )]
    NewerFormat {
        /// The data directory.
        dir: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that this program knows.
        known: u32,
    },
    /// It does not say what it is.
    #[error(
        "{} does not say which format the data directory has: {why}. Restore that file from a backup; this program \
         writes {wanted:?} into it", path.display()
    )]
    NoFormat {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What a new directory gets.
        wanted: String,
    },
    /// It held a journal that is gone.
    #[error(
        "the journal {} is missing, though {mark} commits were made in it. Restore it from a backup, or start with a \
         new data directory", dir.display()
    )]
    JournalMissing {
        /// The journal's directory.
        dir: PathBuf,
        /// The last commit that the mark knows of.
        mark: u64,
    },
    /// The journal ends before the mark: acknowledged commits are gone.
    #[error(
        "the journal {} ends at commit {last}, but commit {mark} was acknowledged: the last {} commits are lost \
         (damaged disk, or files put back from an older copy). Restore the data directory from a backup; or accept the \
         loss and start with --accept-lost-events: steps that ran in those commits may run again", dir.display(), mark - last
    )]
    Short {
        /// The journal's directory.
        dir: PathBuf,
        /// The last commit that is there; 0 where there is none.
        last: u64,
        /// The last commit that the mark knows of.
        mark: u64,
    },
    /// Commits in the middle are gone or damaged.
    #[error(
        "commit {commit} of the journal {} is unusable: {why}. Restore the data directory from a backup; or accept the \
         loss and start with --accept-lost-events: runs with events in that commit are then taken out of service", dir.display()
    )]
    Damaged {
        /// The journal's directory.
        dir: PathBuf,
        /// The first commit that is unusable.
        commit: u64,
        /// Why.
        why: String,
    },
    /// A record was written by a newer program.
    #[error(
        "commit {commit} of the journal {} needs a reader of version {found}, this program reads up to {known}. Start \
         the newer program that wrote it", dir.display()
    )]
    NewerRecord {
        /// The journal's directory.
        dir: PathBuf,
        /// The commit.
        commit: u64,
        /// The version that it needs.
        found: u8,
        /// The newest version that this program reads.
        known: u8,
    },
    /// The storage engine refused, or panicked.
    #[error("the journal {} could not be opened: {why}. {advice}", dir.display())]
    Engine {
        /// The journal's directory.
        dir: PathBuf,
        /// What the storage engine says.
        why: String,
        /// What to do.
        advice: &'static str,
    },
    /// A file or directory beside the journal.
    #[error("{0}. The data directory must be on a local disk, writable, with room left")]
    File(#[from] FileError),
    /// What is stored cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
