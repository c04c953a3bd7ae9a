//! One run: its events, its state, and the decisions about it. Never knows that there are other runs.

pub mod apply;
pub mod decide;
mod ending;
pub mod event;
mod judge;
pub mod pinned;
pub mod scope;
pub mod state;
mod verdict;
pub mod view;

pub use apply::{Illegal, LEGAL_STEP_EVENTS};
pub use decide::{Input, Rejection, Start, decide, settle};
pub use event::{
    Artifact, AttemptEnd, AttemptKind, Created, CutOff, EndingCause, Event, Fact, How, NotStarted, Origin, Outcome,
    Principal, SkipReason, Then,
};
pub use pinned::Pinned;
pub use state::{Phase, Progress, RunState, StepState, StopLevel};
pub use verdict::how_text;
