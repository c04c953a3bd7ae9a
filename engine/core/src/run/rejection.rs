//! Why an input is refused: each way in words for the person who must act. Never knows who asked, or how it is told.

use super::confirm;

/// A typed refusal of an input. The state stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such run.
    #[error("there is no run {run}")]
    NoSuchRun {
        /// What was asked for.
        run: String,
    },
    /// There is no such step.
    #[error("the run has no step {step:?}{}", hint.as_ref().map(|h| format!("; did you mean {h:?}?")).unwrap_or_default())]
    NoSuchStep {
        /// What was asked for.
        step: String,
        /// A step that is spelt alike.
        hint: Option<String>,
    },
    /// The run is over.
    #[error("the run is {outcome} already")]
    AlreadyTerminal {
        /// How it ended.
        outcome: &'static str,
    },
    /// Its steps are over, and what tidies up is not interrupted.
    #[error("the run's steps are over and its `finally` is running; it ends {outcome} when that is done")]
    Finishing {
        /// How it ends.
        outcome: &'static str,
    },
    /// It is being canceled already.
    #[error("the run is being canceled already, since {by} asked for it; --now skips the grace")]
    AlreadyCanceling {
        /// Who asked first.
        by: String,
    },
    /// It is being paused already.
    #[error("the run is paused already, by {by}; `runbook resume` lets it go on")]
    AlreadyPaused {
        /// Who.
        by: String,
    },
    /// What goes to its end is not held.
    #[error("the run goes to its end, and what that takes is not held up")]
    Stopping,
    /// Only a terminal run that did not succeed can be opened again.
    #[error("the run is {state}; {hint}")]
    NotResumable {
        /// Where it is.
        state: &'static str,
        /// What can be done instead.
        hint: &'static str,
    },
    /// Only a person may resume a run that was canceled.
    #[error("the run was canceled; only a person may resume it")]
    CanceledByPerson,
    /// The step is not unknown.
    #[error("step {step:?} is {state}, not unknown; only an unknown step can be resolved")]
    NotUnknown {
        /// The step.
        step: String,
        /// Where it is.
        state: &'static str,
    },
    /// Processes of the step are left.
    #[error("step {step:?} still has processes that could not be killed; it can be resolved when they are gone")]
    ProcessesLeft {
        /// The step.
        step: String,
    },
    /// Nothing is tried again while the run ends.
    #[error("the run is ending, so step {step:?} cannot be tried again; resolve it as succeeded or failed")]
    RetryWhileEnding {
        /// The step.
        step: String,
    },
    /// What was asked for does not fit where the step is.
    #[error("step {step:?} is {state}; it can be settled as {possible}")]
    Settlement {
        /// The step.
        step: String,
        /// Where it is.
        state: &'static str,
        /// What it can be settled as.
        possible: &'static str,
    },
    /// There is no way back from a step, and whoever asks did not name it.
    #[error("there is no way back from step {}: it has started; name it with --past {} if you want this all the same", quoted(steps), steps.join(" --past "))]
    NoReturn {
        /// The steps that were not named.
        steps: Vec<String>,
    },
    /// There is nothing to roll back, or it may not be.
    #[error("the run cannot be rolled back: {why}")]
    NothingToRollBack {
        /// Why not.
        why: &'static str,
    },
    /// It is being rolled back.
    #[error(
        "the run is being rolled back, and nothing else happens until that is over; `runbook rollback RUN --abandon` gives it up"
    )]
    RollingBack,
    /// It is not being rolled back.
    #[error("the run is not being rolled back: there is nothing to abandon")]
    NotRollingBack,
    /// The compensation of a step failed.
    #[error(
        "step {step:?} could not be rolled back, and nobody knows what is left of it; roll the run back once more, or start a new one"
    )]
    RollbackUnfinished {
        /// The step.
        step: String,
    },
    /// A step resolved as succeeded lacks outputs that others read, or has wrong ones.
    #[error("step {step:?} cannot count as succeeded: {problem}; give it with --set-output {step}.KEY=VALUE")]
    Outputs {
        /// The step.
        step: String,
        /// What is missing or wrong.
        problem: String,
    },
    /// A lock's or the group's name could not be made.
    #[error("{what} cannot be made from the inputs: {problem}")]
    Name {
        /// `locks` or `concurrency.group`.
        what: &'static str,
        /// Why not.
        problem: String,
    },
    /// Something is destroyed, and who asks has not confirmed it by name.
    #[error("{}", confirm::told(targets))]
    Unconfirmed {
        /// The names, and the steps that destroy what they name; none where it names the environment.
        targets: Vec<(String, Vec<String>)>,
    },
    /// Who asks has none of the roles that start runs in the environment.
    #[error("runs in the environment {environment} are started by who has the role {}", roles.join(" or "))]
    MayNotStart {
        /// The environment.
        environment: String,
        /// The roles.
        roles: Vec<String>,
    },
    /// Who asks may not override what protects the environment.
    #[error("{}", if roles.is_empty() { format!("nobody may override what protects the environment {environment}") } else { format!("what protects the environment {environment} is overridden by who has the role {}", roles.join(" or ")) })]
    MayNotOverride {
        /// The environment.
        environment: String,
        /// The roles.
        roles: Vec<String>,
    },
    /// Who gives a value has none of the roles that start runs in the environment.
    #[error("values for runs in the environment {environment} are given by who has the role {}", roles.join(" or "))]
    MayNotProvide {
        /// The environment.
        environment: String,
        /// The roles.
        roles: Vec<String>,
    },
    /// The input is none that a person gives while the run is on.
    #[error("the input {input:?} cannot be given: {why}")]
    NotToProvide {
        /// The input.
        input: String,
        /// Why not, and what to do.
        why: String,
    },
    /// Nothing is started in the environment now.
    #[error("nothing is started in the environment {environment}: {why}")]
    Frozen {
        /// The environment.
        environment: String,
        /// Until when, and why.
        why: String,
    },
    /// It is outside of the hours of the environment.
    #[error("nothing is started in the environment {environment} now: {why}")]
    OutsideHours {
        /// The environment.
        environment: String,
        /// Which hours these are.
        why: String,
    },
    /// The group is busy, and the runbook says skip.
    #[error("run {number} of the same group ({group}) is {state}, and the runbook says overlap: skip")]
    GroupBusy {
        /// The other run.
        number: u64,
        /// The group.
        group: String,
        /// Where that run is.
        state: &'static str,
    },
    /// A bound of the daemon.
    #[error("{what}: the limit is {limit}, this would be {value}")]
    Limit {
        /// What is bounded.
        what: &'static str,
        /// The limit.
        limit: u64,
        /// The value.
        value: u64,
    },
    /// A request id that another request has used.
    #[error("request id {request_id:?} was used for run {number} with other content")]
    RequestIdReused {
        /// The id.
        request_id: String,
        /// The run that has it.
        number: u64,
    },
    /// The step does not wait for an approval.
    #[error("step {step:?} is {state}: it does not wait for an approval")]
    NotAsking {
        /// The step.
        step: String,
        /// Where it is.
        state: &'static str,
    },
    /// The run does not wait for an approval of its start.
    #[error("the run is {state}: its start does not wait for an approval")]
    StartNotAsking {
        /// Where it is.
        state: &'static str,
    },
    /// This person may not decide.
    #[error("{what} may not be decided by you: {why}")]
    MayNotDecide {
        /// The step, or the start, in words.
        what: String,
        /// Why not, and which role it takes.
        why: String,
    },
    /// Nobody decides twice.
    #[error("{by} has decided about {what} already; another person has to")]
    DecidedAlready {
        /// The step, or the start, in words.
        what: String,
        /// Who.
        by: String,
    },
    /// What was filled in does not fit.
    #[error("the fields of step {step:?}: {problem}")]
    Fields {
        /// The step.
        step: String,
        /// What is missing or wrong.
        problem: String,
    },
    /// A child run goes with the run at the top of its tree.
    #[error("it is part of run {number} and goes with it; {verb} run {number} instead")]
    ChildRun {
        /// The number of the run at the top.
        number: u64,
        /// cancel, resume
        verb: &'static str,
    },
    /// Nobody has the lock, or another one by now.
    #[error("nobody has the lock {name:?}, or another step has it by now; `runbook locks` shows who has which")]
    LockNotHeld {
        /// The lock.
        name: String,
    },
    /// Who has the lock may be working under it.
    #[error("{holder} has {name:?}, and {why}")]
    LockInUse {
        /// The lock.
        name: String,
        /// Who has it.
        holder: String,
        /// What it is used for, and what to do.
        why: String,
    },
    /// There is no such schedule, or nobody has fired it yet.
    #[error("there is no schedule {schedule} that has been fired; `runbook schedules list` shows all")]
    NoSuchSchedule {
        /// What was asked for.
        schedule: String,
    },
    /// The schedule is paused already.
    #[error("the schedule {schedule} is paused already, by {by}{}", if reason.is_empty() { String::new() } else { format!(": {reason}") })]
    SchedulePaused {
        /// The schedule.
        schedule: String,
        /// Who paused it.
        by: String,
        /// Why.
        reason: String,
    },
    /// The schedule is not paused.
    #[error("the schedule {schedule} is not paused")]
    ScheduleNotPaused {
        /// The schedule.
        schedule: String,
    },
    /// A slot that is still to come was not missed.
    #[error("the slot {slot} of the schedule {schedule} is still to come: only what was missed runs again")]
    SlotToCome {
        /// The schedule.
        schedule: String,
        /// The slot.
        slot: String,
    },
    /// Another run is on, and nothing makes this one wait for its turn.
    #[error(
        "run {number} of the runbook of {schedule} is {state}, and without a group one does not wait for another: ask again when it is over"
    )]
    SlotBusy {
        /// The schedule.
        schedule: String,
        /// The other run.
        number: u64,
        /// Where that run is.
        state: &'static str,
    },
    /// An edit changes what a run stands on.
    #[error("the edited runbook cannot take this run over: {}", refused.join("; "))]
    Edit {
        /// What it may not change, each with what to do.
        refused: Vec<String>,
    },
    /// What an edit makes of the run is not what was looked at.
    #[error(
        "the run is not where it was when the edited runbook was compared with it; compare again with `runbook resume --edited`"
    )]
    EditStale,
    /// A quarantined run takes nothing.
    #[error("the run is quarantined: {why}")]
    Quarantined {
        /// What is wrong with it.
        why: String,
    },
}

/// Names in a row.
fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}
