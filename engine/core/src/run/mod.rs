//! One run: its events, its state, and the decisions about it. Never knows that there are other runs.

pub mod apply;
mod apply_attempt;
mod apply_children;
mod apply_rollback;
mod apply_run;
mod apply_steps;
mod approval;
pub(crate) mod call;
mod confirm;
pub mod decide;
mod dry;
pub mod edition;
mod ending;
pub mod event;
pub mod gate;
mod hold;
mod input;
mod judge;
pub mod legal;
mod names;
mod pause;
pub mod pinned;
pub(crate) mod protect;
pub mod provide;
mod rejection;
mod release;
mod repeat;
pub mod rollback;
pub mod scope;
mod starts;
pub mod state;
mod terms;
mod verdict;
pub mod view;
mod way_back;

pub use approval::Ballot;
pub use decide::{decide, settle};
pub use event::{
    AfterVote, Artifact, AttemptEnd, AttemptKind, Created, CutOff, Edited, EndingCause, Event, Fact, How, Left,
    NotStarted, Origin, Outcome, Parent, Principal, SkipReason, Then, Waits,
};
pub use gate::Gate;
pub use input::{Edit, Input, Start};
pub use legal::{Illegal, LEGAL_STEP_EVENTS};
pub use pinned::{Kind, Pinned};
pub use provide::Provision;
pub use rejection::Rejection;
pub use scope::ArtifactPaths;
pub use state::{Phase, Progress, RunState, StepState, StopLevel, Vote};
pub use terms::{Asks, Begin, Terms};
pub(crate) use verdict::as_type;
pub use verdict::how_text;
pub use way_back::Undo;
