//! Every bound of the journal, in one place. A bound names its unit.

use std::time::Duration;

use runbook_core::time::Span;

/// The largest value that the storage engine is given, in bytes. Up to 17 values share a page before it splits, and a
/// page above a quarter of a segment becomes a file that nobody syncs: the product stays at half of that.
pub const VALUE_BYTES: usize = 16 << 10;
/// The storage engine's segments, in bytes. It holds some of them in memory, so they are as small as the largest page
/// allows. Stored when a journal is made: never to be changed.
pub const SEGMENT_BYTES: usize = 2 << 20;
/// The storage engine's page cache, in bytes. No bound on memory; the short tail is.
pub const CACHE_BYTES: u64 = 4 << 20;
/// Of so many scanned keys one is asked for again, so that the cache keeps its bound: a page holds ten and more of them.
pub const ASKED_AGAIN: usize = 4;
/// How often the storage engine collects garbage and syncs on its own, in milliseconds. It syncs also where nothing was
/// written, which on a busy disk is most of what an idle daemon takes of a processor. It collects for half of this time
/// at most, so that longer pauses make it no slower, and the file larger by what is written in one.
pub const COLLECT_EVERY_MILLIS: u64 = 30_000;
/// One commit, in bytes.
pub const COMMIT_BYTES: usize = 512 << 20;
/// The length of the live tail above which commits should be archived.
pub const TAIL_COMMITS: usize = 4_000;
/// The bytes of the live tail above which commits should be archived.
pub const TAIL_BYTES: u64 = 8 << 20;
/// The commits that one slice of archiving should move, so that a commit never waits long for it.
pub const ARCHIVE_COMMITS: usize = 2_000;
/// The bytes that one slice of archiving holds in memory.
pub const ARCHIVE_BYTES: u64 = 16 << 20;
/// The runs that one call of `prune` removes.
pub const PRUNE_RUNS: usize = 500;
/// How long a request id is kept at least, counted from the start of its run.
pub const REQUEST_AGE: Span = Span::minutes(24 * 60);
/// Commits between two updates of the mark.
pub const MARK_COMMITS: u64 = 1_024;
/// The stored bytes of events in one page, unless a single event is larger.
pub const PAGE_BYTES: usize = 4 << 20;
/// How often a reader looks again when events moved from the tail to a file under its eyes.
pub const READ_TRIES: usize = 100;
/// The reserve that is given up when the disk is full, in bytes.
pub const BALLAST_BYTES: u64 = 16 << 20;
/// The free bytes below which no new run should be started.
pub const ROOM_BYTES: u64 = 16 << 20;
/// The events in one frame of a run's file, in bytes, unless a single event is larger.
pub const COLD_FRAME_BYTES: usize = 256 << 10;
/// How often the storage engine's own lock is tried again, when its threads have not let go of it yet.
pub const LOCK_TRIES: usize = 100;
/// The wait between those tries.
pub const LOCK_WAIT: Duration = Duration::from_millis(10);

// Pages stay far below the size at which they become files of their own.
const _: () = assert!(VALUE_BYTES * 17 < SEGMENT_BYTES / 4 * 3 / 4);
