//! What happened in a world, in lines for people. Kept only when somebody wants to see it, and only the latest.

use std::collections::VecDeque;

use runbook_core::id::RunUid;
use runbook_core::run::{Event, Fact};

use super::model::Model;

/// How many lines are kept.
const LINES: usize = 120;

/// The latest lines.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    on: bool,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(on: bool) -> Self {
        Self { on, lines: VecDeque::new() }
    }

    pub(crate) fn note(&mut self, mono: i64, line: impl FnOnce() -> String) {
        if self.on {
            if self.lines.len() >= LINES {
                self.lines.pop_front();
            }
            self.lines.push_back(format!("{:>12.6} {}", mono as f64 / 1e6, line()));
        }
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.on
    }

    pub(crate) fn lines(self) -> Vec<String> {
        self.lines.into()
    }
}

/// An event in a line.
pub(crate) fn line(model: &Model, uid: RunUid, event: &Event) -> String {
    let number = model.runs.get(&uid).map_or(0, |run| run.created.number);
    let step = event.fact.step().map(|step| super::checkers::step_name(model, uid, step)).unwrap_or_default();
    let detail = match &event.fact {
        Fact::Created(created) => {
            let above = created.parent.map(|parent| parent.run);
            format!(
                "{} of {} by {:?}, locks {:?}, group {:?}, below {above:?}",
                uid, created.runbook, created.origin, created.locks, created.group
            )
        }
        Fact::AttemptStarting { attempt, kind, .. } => format!("{} {kind:?}", attempt.0),
        Fact::AttemptEnded { attempt, end, then, .. } => format!("{} {:?}, then {then:?}", attempt.0, end.how),
        Fact::Admitted { deadline } => format!("deadline {deadline:?}"),
        Fact::StepSkipped { why, .. } => format!("{why:?}"),
        Fact::StepFailed { message, .. } => message.clone(),
        Fact::Ending { cause } => format!("{cause:?}"),
        Fact::ChildStarting { child, again, .. } => format!("{child}, again {again}"),
        Fact::ChildEnded { child, outcome, then, .. } => format!("{child} {}, then {then:?}", outcome.name()),
        Fact::ChildRollingBack { child, .. } => child.to_string(),
        Fact::ChildWaits { child, waits, .. } => format!("{child} {waits:?}"),
        Fact::Finishing { outcome, .. } | Fact::Finished { outcome } => outcome.name().to_owned(),
        Fact::RollingBack { outcome, steps } => format!("{steps:?}, else {}", outcome.name()),
        Fact::RollbackAsked { past, .. } => format!("past {past:?}"),
        Fact::RollbackAbandoned { .. } => String::new(),
        Fact::Resumed { epoch, .. } => format!("epoch {epoch}"),
        Fact::Resolved { settlement, .. } => format!("{settlement:?}"),
        Fact::Paused { before, by, .. } => format!("before {before:?}, by {by:?}"),
        Fact::Withheld { attempt, inputs, .. } => format!("{} for {inputs:?}", attempt.0),
        Fact::Provided { inputs, by, .. } => format!("{inputs:?} by {by:?}"),
        Fact::LocksReleased { by, .. } => format!("by {by:?}"),
        Fact::Due => String::new(),
        Fact::StartDecided { approve, by, then, .. } => format!("{approve} by {by:?}, then {then:?}"),
        Fact::Continued { by, .. } => format!("by {by:?}"),
        Fact::DeadlinesShifted { by } => by.to_string(),
        Fact::WaitBegan { until, fixed, .. } => format!("until {until}, fixed {fixed}"),
        Fact::ApprovalAsked { until, .. } => format!("until {until:?}"),
        Fact::ApprovalGiven { approve, by, then, .. } => format!("{approve} by {by:?}, then {then:?}"),
        Fact::ApprovalTimedOut { then, .. } => format!("then {then:?}"),
        Fact::RepeatEnded { message, .. } => message.clone(),
        Fact::StepReady { .. } | Fact::WaitEnded { .. } => String::new(),
    };
    format!("  run {number} event {} {} {step} {detail}", event.number, event.fact.kind())
}
