//! What follows the end of an attempt: the policy of effects, retries, `verify` and `on_cancel`.
//! Never knows how the end came to be known.

use indexmap::IndexMap;
use serde_json::Value;

use super::event::{AttemptEnd, AttemptKind, CutOff, EndingCause, Fact, How, NotStarted, Then};
use super::judge::evaluate_bool;
use super::rollback::Compensation;
use super::scope::RunScope;
use super::state::{Phase, Progress, RunState, StepState};
use crate::definition::{Backoff, Effect, Jitter, Part, Probe, Step, ValueType};
use crate::id::{AttemptNo, StepNo};
use crate::limits;
use crate::time::{Span, Timestamp};

/// The waits between the tries of `verify` and of `on_cancel`.
const SIDE_BACKOFF: Backoff =
    Backoff { initial: Span::seconds(1), factor_millis: 5_000, max: Span::minutes(1), jitter: Jitter::None };
/// The waits after an attempt that did not even start for want of resources.
const FALSE_START_BACKOFF: Backoff =
    Backoff { initial: Span::seconds(1), factor_millis: 2_000, max: Span::minutes(1), jitter: Jitter::None };
/// How often what tidies up is begun again after it was lost, where its `retry` would not.
const CLEANUP_TRIES: u32 = 3;

/// Errors for want of resources, by errno(3) on Linux: EAGAIN, ENOMEM, EMFILE, ENFILE, ETXTBSY, ENOSPC.
const PASSING_ERRNOS: [i32; 6] = [11, 12, 24, 23, 26, 28];

/// Decides what an attempt's end means.
pub(super) fn ended(
    run: &RunState,
    no: StepNo,
    attempt: AttemptNo,
    kind: AttemptKind,
    mut end: AttemptEnd,
    now: Timestamp,
    chance: u32,
) -> Option<Fact> {
    let step = run.pinned.runbook.step(no)?;
    let state = run.step(no)?;
    let retry_after = end.retry_after.unwrap_or(Span::ZERO).min(Span::seconds(limits::RETRY_AFTER_SECONDS));
    let case = Case { run, no, step, state, now, chance, retry_after };
    if kind == AttemptKind::Run {
        case.reclassify(&mut end);
    }
    let then = if end.how == (How::Lost { processes_left: true }) {
        Then::Unknown
    } else {
        match kind {
            AttemptKind::Run => case.run_ended(&mut end),
            AttemptKind::Verify => case.verify_ended(&mut end),
            AttemptKind::OnCancel => case.on_cancel_ended(&mut end),
            AttemptKind::Rollback => case.rollback_ended(&mut end),
        }
    };
    end.message = limits::fit(end.message);
    Some(Fact::AttemptEnded { step: no, attempt, end: Box::new(end), then })
}

struct Case<'a> {
    run: &'a RunState,
    no: StepNo,
    step: &'a Step,
    state: &'a StepState,
    now: Timestamp,
    chance: u32,
    /// How long the other side asked to be left alone.
    retry_after: Span,
}

impl Case<'_> {
    /// The cause of a hard ending that this step is under.
    fn hard(&self) -> Option<&EndingCause> {
        if self.step.part == Part::Finally || matches!(self.run.phase, Phase::Finishing(_)) {
            return None;
        }
        self.run.ending.as_ref().filter(|cause| cause.is_hard())
    }

    /// An exit that `unknown_if` names is no end of which anybody knows.
    fn reclassify(&self, end: &mut AttemptEnd) {
        let (How::Exited(code), Some(expression)) = (&end.how, &self.step.unknown_if) else {
            return;
        };
        let code = *code;
        match self.over_exit_code(expression, code) {
            Ok(true) => {
                end.how = How::CutOff(CutOff::UnknownExit(code));
                say(end, format!("it exited with {code}, which unknown_if names"));
            }
            Ok(false) => {}
            Err(error) => say(end, format!("unknown_if: {error}")),
        }
    }

    fn over_exit_code(&self, expression: &str, code: i32) -> Result<bool, String> {
        let scope = RunScope { run: self.run, step: Some(self.no), exit_code: Some(code), written: None };
        evaluate_bool(expression, &scope)
    }

    /// A probe came to its own end: is the wait over?
    fn probed(&self, end: &mut AttemptEnd, probe: &Probe, code: i32) -> Then {
        let declared = &self.step.outputs;
        let written: IndexMap<String, Value> = end
            .outputs
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), as_type(*declared.get(key)?, value)?)))
            .collect();
        let scope = RunScope { run: self.run, step: Some(self.no), exit_code: Some(code), written: Some(&written) };
        let asked = |what: &str, expression: &Option<String>, otherwise: bool| match expression {
            None => Ok(otherwise),
            Some(expression) => evaluate_bool(expression, &scope).map_err(|error| format!("{what}: {error}")),
        };
        let never = asked("fail_if", &probe.fail_if, false);
        match never.and_then(|never| Ok((never, asked("until", &probe.until, code == 0)?))) {
            Err(problem) => {
                say(end, problem);
                self.failed_for_good()
            }
            Ok((true, _)) => {
                say(end, format!("what fail_if names: it exited with {code}"));
                self.failed_for_good()
            }
            Ok((false, true)) => match typed_outputs(declared, &end.outputs, &self.step.artifacts, end) {
                Ok(outputs) => {
                    end.outputs = outputs;
                    Then::Succeeded
                }
                Err(message) => {
                    say(end, message);
                    self.failed_for_good()
                }
            },
            Ok((false, false)) => self.probe_again(end, probe),
        }
    }

    /// A probe did not say that the wait is over: another follows, while there is time and no ending.
    fn probe_again(&self, end: &mut AttemptEnd, probe: &Probe) -> Then {
        if self.hard().is_some() {
            return self.failed_for_good();
        }
        if self.step.part == Part::Main && self.run.ending.is_some() {
            return Then::Canceled;
        }
        let until = self.state.wait_until.unwrap_or(self.now);
        if until <= self.now {
            say(end, format!("it was not so within {}", probe.within));
            return Then::Failed;
        }
        Then::RetryAt(until.min(self.now + probe.every.max(self.retry_after)))
    }

    fn run_ended(&self, end: &mut AttemptEnd) -> Then {
        match end.how {
            How::NotStarted(NotStarted::Canceled) => Then::Canceled,
            How::NotStarted(NotStarted::Fenced) => self.false_start(),
            How::NotStarted(NotStarted::Errno(errno)) if PASSING_ERRNOS.contains(&errno) => self.false_start(),
            How::NotStarted(NotStarted::Errno(_)) => self.failed_for_good(),
            How::Exited(code) => match self.step.probe() {
                Some(probe) => self.probed(end, probe, code),
                None => self.exited(end, code),
            },
            How::CutOff(_) | How::Lost { .. } => match self.step.probe() {
                Some(probe) => {
                    say(end, cut_off_message(&end.how));
                    self.probe_again(end, probe)
                }
                None => self.cut_off(end),
            },
        }
    }

    fn false_start(&self) -> Then {
        if self.hard().is_some() {
            return Then::Canceled;
        }
        let wait = backoff(&FALSE_START_BACKOFF, self.state.false_starts + 1, self.chance);
        Then::RetryAt(self.now + wait)
    }

    fn exited(&self, end: &mut AttemptEnd, code: i32) -> Then {
        let success = match &self.step.success {
            None => Ok(code == 0),
            Some(expression) => self.over_exit_code(expression, code),
        };
        match success {
            Ok(true) => match typed_outputs(&self.step.outputs, &end.outputs, &self.step.artifacts, end) {
                Ok(outputs) => {
                    end.outputs = outputs;
                    return Then::Succeeded;
                }
                Err(message) => say(end, message),
            },
            Ok(false) => say(end, format!("it exited with {code}")),
            Err(error) => say(end, format!("success: {error}")),
        }
        let again = match self.step.retry.as_ref().and_then(|retry| retry.condition.as_ref()) {
            None => true,
            Some(condition) => match self.over_exit_code(condition, code) {
                Ok(again) => again,
                Err(error) => {
                    say(end, format!("retry.if: {error}"));
                    false
                }
            },
        };
        if again { self.failed() } else { self.failed_for_good() }
    }

    /// The counted attempts, this one of the step itself included. The state counts an attempt at its first end:
    /// one whose processes were left has had that.
    fn tries(&self) -> u32 {
        self.state.tries + u32::from(matches!(self.state.progress, Progress::Live(..)))
    }

    /// The attempt failed, and `retry` decides.
    fn failed(&self) -> Then {
        if self.hard().is_some() {
            return self.failed_for_good();
        }
        let tries = self.tries();
        match &self.step.retry {
            Some(retry) if tries < retry.attempts => {
                let wait = backoff(&retry.backoff, tries, self.chance);
                Then::RetryAt(self.now + wait.max(self.retry_after))
            }
            Some(_) | None => Then::Failed,
        }
    }

    fn failed_for_good(&self) -> Then {
        match self.hard() {
            Some(EndingCause::Cancel { .. } | EndingCause::FailureCancel(_)) => Then::Canceled,
            Some(EndingCause::Timeout | EndingCause::Deadlock { .. } | EndingCause::FailureStop(_)) | None => {
                Then::Failed
            }
        }
    }

    fn cut_off(&self, end: &mut AttemptEnd) -> Then {
        say(end, cut_off_message(&end.how));
        if self.step.part == Part::Finally {
            // Idempotent by contract, and run again after a crash.
            let tries = self.tries();
            return match self.failed() {
                Then::Failed if matches!(end.how, How::Lost { .. }) && tries < CLEANUP_TRIES => {
                    Then::RetryAt(self.now + backoff(&SIDE_BACKOFF, tries, self.chance))
                }
                then => then,
            };
        }
        if self.hard().is_some() && self.step.on_cancel.is_some() && !self.run.is_dry() {
            return Then::OnCancelAt(self.now);
        }
        self.after_cut_off()
    }

    /// A cut-off attempt of a step that is not of `finally`, its `on_cancel` done.
    fn after_cut_off(&self) -> Then {
        match (self.step.effect, &self.step.verify) {
            (Effect::Read | Effect::Idempotent, _) => self.failed(),
            (Effect::Mutating | Effect::Destructive, Some(_)) => Then::VerifyAt(self.now),
            (Effect::Mutating | Effect::Destructive, None) => Then::Unknown,
        }
    }

    fn verify_ended(&self, end: &mut AttemptEnd) -> Then {
        let answer = match end.how {
            How::Exited(0) => end.outputs.get("happened").and_then(Value::as_str),
            How::Exited(_) | How::NotStarted(_) | How::CutOff(_) | How::Lost { .. } => None,
        };
        match answer {
            Some("yes") => {
                let mut given = end.outputs.clone();
                given.shift_remove("happened");
                match typed_outputs(&self.step.outputs, &given, &[], end) {
                    Ok(outputs) => {
                        end.outputs = outputs;
                        say(end, "verify: it happened".to_owned());
                        Then::Succeeded
                    }
                    Err(message) => {
                        say(end, format!("verify: it happened, but {message}"));
                        Then::Unknown
                    }
                }
            }
            Some("no") => {
                say(end, "verify: it did not happen".to_owned());
                // The attempt of the step itself is counted already.
                match (&self.step.retry, self.hard()) {
                    (Some(retry), None) if self.state.tries < retry.attempts => {
                        let wait = backoff(&retry.backoff, self.state.tries, self.chance);
                        Then::RetryAt(self.now + wait)
                    }
                    _ => self.failed_for_good(),
                }
            }
            Some(_) | None => {
                say(
                    end,
                    "verify gave no answer: it must write happened=yes or happened=no to \
                     $RUNBOOK_OUTPUT and exit with 0"
                        .to_owned(),
                );
                let tries = self.state.side_tries + 1;
                if tries < limits::VERIFY_TRIES {
                    Then::VerifyAt(self.now + backoff(&SIDE_BACKOFF, tries, self.chance))
                } else {
                    Then::Unknown
                }
            }
        }
    }

    fn on_cancel_ended(&self, end: &mut AttemptEnd) -> Then {
        if end.how == How::Exited(0) {
            return self.after_cut_off();
        }
        let tries = self.state.side_tries + 1;
        if tries < limits::ON_CANCEL_TRIES {
            say(end, format!("on_cancel failed ({})", how_text(&end.how)));
            return Then::OnCancelAt(self.now + backoff(&SIDE_BACKOFF, tries, self.chance));
        }
        say(end, format!("on_cancel failed {tries} times ({})", how_text(&end.how)));
        // What it should have tidied up is left as it is: that is a failure, whatever comes of the step.
        match self.after_cut_off() {
            Then::Canceled => Then::Failed,
            then => then,
        }
    }
}

impl Case<'_> {
    fn rollback_ended(&self, end: &mut AttemptEnd) -> Then {
        if end.how == How::Exited(0) {
            return Then::RolledBack;
        }
        let tries = self.state.side_tries + 1;
        let abandoned = self.run.rollback().is_some_and(Compensation::is_abandoned);
        if tries < limits::ROLLBACK_TRIES && !abandoned {
            say(end, format!("rollback failed ({})", how_text(&end.how)));
            return Then::RollbackAt(self.now + backoff(&SIDE_BACKOFF, tries, self.chance));
        }
        say(end, format!("rollback failed {tries} times ({})", how_text(&end.how)));
        Then::RollbackFailed
    }
}

fn say(end: &mut AttemptEnd, message: String) {
    if end.message.is_empty() {
        end.message = message;
    } else {
        end.message = format!("{message}; {}", end.message);
    }
}

fn cut_off_message(how: &How) -> String {
    match how {
        How::Lost { .. } => "nobody knows how it ended".to_owned(),
        other => how_text(other),
    }
}

/// An end in words, for messages.
pub fn how_text(how: &How) -> String {
    match how {
        How::NotStarted(NotStarted::Canceled) => "canceled before it started".to_owned(),
        How::NotStarted(NotStarted::Errno(errno)) => format!("could not start: errno {errno}"),
        How::NotStarted(NotStarted::Fenced) => "could not start: its shim did not come up".to_owned(),
        How::Exited(code) => format!("exited with {code}"),
        How::CutOff(CutOff::Timeout) => "ran into its timeout".to_owned(),
        How::CutOff(CutOff::Stopped) => "was stopped".to_owned(),
        How::CutOff(CutOff::Signal(signal)) => format!("was killed by signal {signal}"),
        How::CutOff(CutOff::UnknownExit(code)) => format!("exited with {code}, end unknown"),
        How::Lost { processes_left: false } => "was lost".to_owned(),
        How::Lost { processes_left: true } => "was lost, with processes left".to_owned(),
    }
}

/// The wait before the try that follows `tries` tries. `chance` is uniform over all of u32.
fn backoff(backoff: &Backoff, tries: u32, chance: u32) -> Span {
    let mut wait = i128::from(backoff.initial.0);
    let max = i128::from(backoff.max.0);
    for _ in 1..tries {
        wait = wait * i128::from(backoff.factor_millis) / 1_000;
        if wait >= max || wait == 0 {
            break;
        }
    }
    let wait = wait.min(max);
    let wait = match backoff.jitter {
        Jitter::None => wait,
        Jitter::Full => wait * i128::from(chance) / i128::from(u32::MAX),
    };
    Span(i64::try_from(wait).unwrap_or(i64::MAX))
}

/// Types what a step wrote by its declaration. Keys that nobody declared are left out.
fn typed_outputs(
    declared: &IndexMap<String, ValueType>,
    given: &IndexMap<String, Value>,
    artifacts: &[String],
    end: &AttemptEnd,
) -> Result<IndexMap<String, Value>, String> {
    let mut outputs = IndexMap::new();
    let mut problems = Vec::new();
    if let Some(Value::String(problem)) = given.get(super::decide::OUTPUT_PROBLEM) {
        problems.push(problem.clone());
    }
    for (key, value_type) in declared {
        match given.get(key) {
            None => problems.push(format!("it did not write the output {key:?}")),
            Some(value) => match as_type(*value_type, value) {
                Some(value) => {
                    outputs.insert(key.clone(), value);
                }
                None => problems.push(format!(
                    "its output {key:?} is no {}: {}",
                    value_type.name(),
                    shorten(&value.to_string())
                )),
            },
        }
    }
    for name in artifacts {
        if !end.artifacts.iter().any(|artifact| artifact.name == *name) {
            problems.push(format!("it did not leave the artifact {name:?}"));
        }
    }
    if problems.is_empty() { Ok(outputs) } else { Err(problems.join("; ")) }
}

/// Outputs that a person gave for a step: every declared one, typed; nothing else.
///
/// # Errors
/// In words: what is missing, wrong or unknown.
pub(super) fn typed_given(
    declared: &IndexMap<String, ValueType>,
    given: &IndexMap<String, Value>,
) -> Result<IndexMap<String, Value>, String> {
    if let Some(unknown) = given.keys().find(|key| !declared.contains_key(*key)) {
        return Err(format!("it declares no output {unknown:?}"));
    }
    let none = AttemptEnd::bare(How::Exited(0));
    typed_outputs(declared, given, &[], &none).map_err(|text| text.replace("it did not write", "it lacks"))
}

/// A value as written (`key=value` gives text, a JSON line gives any) as the type that was declared.
pub(crate) fn as_type(value_type: ValueType, value: &Value) -> Option<Value> {
    if value_type.accepts(value) {
        return Some(value.clone());
    }
    let text = value.as_str()?;
    match value_type {
        ValueType::String => None,
        ValueType::Integer => text.trim().parse::<i64>().ok().map(Value::from),
        ValueType::Number | ValueType::Boolean | ValueType::List | ValueType::Map | ValueType::Any => {
            serde_json::from_str(text.trim()).ok().filter(|parsed| value_type.accepts(parsed))
        }
    }
}

fn shorten(text: &str) -> String {
    const SHOWN: usize = 80;
    if text.len() <= SHOWN {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(SHOWN)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_maximum_and_chance_shortens_them() {
        let policy =
            Backoff { initial: Span::seconds(2), factor_millis: 2_000, max: Span::seconds(10), jitter: Jitter::None };
        let waits: Vec<i64> = (1..6).map(|n| backoff(&policy, n, 0).0 / 1_000_000).collect();
        assert_eq!(waits, [2, 4, 8, 10, 10]);
        let full = Backoff { jitter: Jitter::Full, ..policy };
        assert_eq!(backoff(&full, 2, 0), Span::ZERO);
        assert_eq!(backoff(&full, 2, u32::MAX), Span::seconds(4));
        let huge = Backoff { factor_millis: u32::MAX, max: Span(i64::MAX), ..policy };
        assert_eq!(backoff(&huge, 1_000, 0), Span(i64::MAX));
    }

    #[test]
    fn text_becomes_the_declared_type() {
        let text = Value::from("12");
        assert_eq!(as_type(ValueType::Integer, &text), Some(Value::from(12)));
        assert_eq!(as_type(ValueType::String, &text), Some(text.clone()));
        assert_eq!(as_type(ValueType::Boolean, &text), None);
        assert_eq!(as_type(ValueType::List, &Value::from("[1]")), Some(serde_json::json!([1])));
        assert_eq!(as_type(ValueType::Integer, &Value::from("12.5")), None);
    }
}
