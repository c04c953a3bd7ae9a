//! Durable events, runs and marks: what the engine remembers.
//!
//! A journal is a data directory. Batches of events become **commits**, each whole and durable before anybody
//! learns of it; a **row** per run, derived from its events, answers lists and look-ups; **objects** are large values
//! named by hash. The newest commits are the live **tail**, in sled; older ones move, event by event, to the files
//! of their runs, `runs/<uid>/events`. A run's history is its file and then the tail, by event number. What became of
//! schedules is the **ledger**, which stays in sled for ever.
//!
//! There are no snapshots of states. A run's state is replayed from its events (about a microsecond each), and cold
//! prefixes of any run, over or not, go to its file: that keeps sled small and the start quick with one mechanism
//! instead of two, and there is no second form of a state that newer code would have to read for ever.
//!
//! Never knows what events mean for a run, never reads a clock, and starts no thread of its own.

pub mod archive;
mod cold;
mod db;
pub mod directory;
pub mod error;
mod frame;
mod from_disk;
mod journal;
mod kept;
mod keys;
mod ledger;
pub mod limits;
mod lock;
mod mark;
pub mod memory;
pub mod objects;
pub mod open;
mod prune;
mod reader;
mod record;
mod retention;
pub mod room;
pub mod row;
mod shared;
pub mod store;
mod tail;
mod terms;
mod to_disk;

pub use archive::Archiver;
pub use error::{FileError, OpenError, StoreError};
pub use journal::Journal;
pub use memory::MemoryStore;
pub use open::{Options, Report, open};
pub use reader::Reader;
pub use row::{Finished, RunRow};
pub use store::{Archived, Pruned, Retention, Rows, Store, TailSize, View};

#[cfg(test)]
mod tests;
