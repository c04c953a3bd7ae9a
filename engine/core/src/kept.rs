//! What is kept beside runs and schedules since it outlives the runs that it came of. Data only.

use crate::drift;

/// A change of it, under the name that it has in itself: the newest one of a name is what holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// What differs from what is written.
    Drift(drift::Change),
}
