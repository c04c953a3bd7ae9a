//! What the daemon's own log says of durable events: runs at `info`, attempts at `debug`, what a person should look at
//! at `warn`; run and step as fields. Never a value of a run. Decides nothing.

use runbook_core::id::StepNo;
use runbook_core::machine::{Batch, Machine};
use runbook_core::run::{Event, Fact, Outcome, RunState, Then, how_text};
use runbook_core::schedule::{Fate, NoteFact, ScheduleName, Skip};

/// Tells of what a commit holds.
pub fn narrate(machine: &Machine, batch: &Batch) {
    for (schedule, note) in &batch.notes {
        of_schedule(schedule, &note.fact);
    }
    for (run, event) in &batch.events {
        let Some(state) = machine.run(*run) else { continue };
        tell(state, event);
    }
}

fn of_schedule(schedule: &ScheduleName, fact: &NoteFact) {
    match fact {
        NoteFact::Slots { first, last, fate } => match fate {
            Fate::Ran { number, .. } => tracing::info!(%schedule, slot = %last, number, "slot starts a run"),
            Fate::Skipped(Skip::Overlap { number, state }) => {
                tracing::warn!(%schedule, slot = %last, number, state, "slot skipped: another run is on");
            }
            Fate::Skipped(Skip::Frozen { why } | Skip::Hours { why }) => {
                tracing::info!(%schedule, slot = %last, why, "slot skipped: nothing is started in its environment");
            }
            Fate::Skipped(Skip::Paused) => tracing::debug!(%schedule, %first, %last, "slots skipped: paused"),
            Fate::Merged { .. } | Fate::Waited { .. } => tracing::info!(%schedule, %first, %last, "slots merged"),
            Fate::Missed(why) => tracing::warn!(%schedule, %first, %last, ?why, "slots missed"),
            Fate::Failed { why } => tracing::warn!(%schedule, slot = %last, why, "slot cannot be started"),
        },
        NoteFact::Planned(written) => {
            tracing::info!(%schedule, cron = written.cron(), timezone = written.timezone(), "schedule planned");
        }
        NoteFact::Succeeded { number, .. } => tracing::debug!(%schedule, number, "schedule succeeded"),
        NoteFact::CaughtUp { slot, number, .. } => tracing::info!(%schedule, %slot, number, "missed slot starts a run"),
        NoteFact::Removed => tracing::info!(%schedule, "schedule removed"),
        NoteFact::Paused(pause) => tracing::info!(%schedule, by = pause.by.name, "schedule paused"),
        NoteFact::Resumed { by, .. } => tracing::info!(%schedule, by = by.name, "schedule resumed"),
    }
}

fn tell(state: &RunState, event: &Event) {
    let run = state.uid();
    let created = state.created();
    let (number, runbook) = (created.number, created.runbook.as_str());
    let id = |no: StepNo| state.pinned().runbook.step(no).map_or("", |step| step.id.as_str());
    match &event.fact {
        Fact::Created(created) => {
            tracing::info!(%run, number, runbook, by = created.by.name, origin = ?created.origin, "run created");
        }
        Fact::AttemptStarting { step, attempt, kind, .. } => {
            tracing::debug!(%run, number, step = id(*step), attempt = attempt.0, ?kind, "attempt starts");
        }
        Fact::AttemptEnded { step, attempt, end, then } => {
            let (step, attempt, how) = (id(*step), attempt.0, how_text(&end.how));
            match then {
                Then::Unknown => {
                    tracing::warn!(%run, number, step, attempt, how, "nobody knows what the attempt did: a person must say");
                }
                Then::RollbackFailed => {
                    tracing::warn!(%run, number, step, attempt, how, "the step could not be rolled back: a person must say");
                }
                Then::Failed => tracing::info!(%run, number, step, attempt, how, "step failed"),
                Then::Succeeded
                | Then::Canceled
                | Then::RetryAt(_)
                | Then::VerifyAt(_)
                | Then::OnCancelAt(_)
                | Then::RolledBack
                | Then::RollbackAt(_) => {
                    tracing::debug!(%run, number, step, attempt, how, "attempt ended")
                }
            }
        }
        Fact::StepFailed { step, .. } => tracing::info!(%run, number, step = id(*step), "step failed"),
        Fact::ApprovalAsked { step, .. } => tracing::info!(%run, number, step = id(*step), "approval asked"),
        Fact::ApprovalGiven { step, approve, by, .. } => {
            tracing::info!(%run, number, step = id(*step), approve, by = by.name, "approval decided");
        }
        Fact::ApprovalTimedOut { step, .. } => {
            tracing::info!(%run, number, step = id(*step), "approval not decided in time");
        }
        Fact::StartDecided { approve, by, .. } => {
            tracing::info!(%run, number, runbook, approve, by = by.name, "start decided");
        }
        Fact::Resolved { step, by, .. } => {
            tracing::info!(%run, number, step = id(*step), by = by.name, "step resolved");
        }
        Fact::Resumed { epoch, by, .. } => tracing::info!(%run, number, runbook, epoch, by = by.name, "run resumed"),
        Fact::RollbackAsked { by, .. } => {
            tracing::info!(%run, number, runbook, by = by.name, "run is to be rolled back");
        }
        Fact::RollingBack { steps, .. } => {
            tracing::info!(%run, number, runbook, steps = steps.len(), "run is rolled back");
        }
        Fact::ChildRollingBack { step, .. } => {
            tracing::info!(%run, number, runbook, step = id(*step), "what is below the step is rolled back");
        }
        Fact::RollbackAbandoned { by, .. } => {
            tracing::warn!(%run, number, runbook, by = by.name, "rollback given up");
        }
        Fact::Withheld { step, attempt, inputs } => {
            let (step, attempt, inputs) = (id(*step), attempt.0, inputs.join(", "));
            tracing::warn!(%run, number, step, attempt, inputs, "the attempt needs values that are kept nowhere: a person must give them");
        }
        Fact::Provided { inputs, by, .. } => {
            tracing::info!(%run, number, runbook, by = by.name, inputs = inputs.join(", "), "values given");
        }
        Fact::LocksReleased { step, by, reason } => {
            tracing::warn!(%run, number, step = id(*step), by = by.name, reason, "locks of the step released by hand");
        }
        // With the run at the top, which was told of.
        Fact::Paused { .. } | Fact::Continued { .. } if created.parent.is_some() => {}
        Fact::Paused { by, .. } => tracing::info!(%run, number, runbook, by = by.name, "run paused"),
        Fact::Continued { by, .. } => tracing::info!(%run, number, runbook, by = by.name, "run goes on"),
        Fact::Due => tracing::info!(%run, number, runbook, "run begins: its time has come"),
        Fact::Ending { .. } => tracing::info!(%run, number, runbook, "run goes to its end"),
        Fact::Finished { outcome } => {
            let outcome = match outcome {
                Outcome::Succeeded => "succeeded",
                Outcome::Failed => "failed",
                Outcome::Canceled => "canceled",
                Outcome::RolledBack => "rolled back",
            };
            tracing::info!(%run, number, runbook, outcome, "run over");
        }
        Fact::Admitted { .. }
        | Fact::StepReady { .. }
        | Fact::StepSkipped { .. }
        | Fact::WaitBegan { .. }
        | Fact::WaitEnded { .. }
        | Fact::ChildStarting { .. }
        | Fact::ChildEnded { .. }
        | Fact::ChildWaits { .. }
        | Fact::RepeatEnded { .. }
        | Fact::Finishing { .. }
        | Fact::DeadlinesShifted { .. } => {}
    }
}
