//! The only place where policy lives: from a state and an input to the facts that follow, or to a typed
//! refusal. Pure: time and chance come in with the input.

use indexmap::IndexMap;
use serde_json::Value;

use super::event::{AttemptEnd, AttemptKind, Created, EndingCause, Fact, How, Outcome, Principal};
use super::input::{Edit, Input, Start};
use super::rejection::Rejection;
use super::rollback::Compensation;
use super::scope::ArtifactPaths;
use super::state::{Phase, Progress, RunState, StepState};
use super::terms::Terms;
use super::{approval, call, confirm, edition, ending, gate, hold, judge, names, provide, release, repeat, verdict};
use crate::definition::{Settlement, key_in};
use crate::expression::{Reference, Scope, Template};
use crate::id::{AttemptNo, StepNo};
use crate::time::Timestamp;

/// The name under which a reader of `$RUNBOOK_OUTPUT` reports that the file is malformed. No key can have it:
/// it is no id.
pub const OUTPUT_PROBLEM: &str = "!problem";
/// The name under which an action in a process of its own says why it ended as it did.
pub const MESSAGE: &str = "!message";

struct InputScope<'a> {
    start: &'a Start,
}

impl Scope for InputScope<'_> {
    fn value_of(&self, reference: &Reference) -> Option<Value> {
        match reference {
            Reference::Input(name) => self.start.inputs.get(name).cloned(),
            Reference::Env(name) => {
                let text = self.start.pinned.runbook.env.get(name)?;
                Template::parse(text).ok()?.render_text(self).ok().map(Value::String)
            }
            Reference::Environment => self.start.pinned.runbook.environment_name().map(Value::from),
            Reference::EnvironmentValue(name) => self.start.pinned.runbook.environment_value(name).cloned(),
            _ => None,
        }
    }
}

/// The first fact of a new run.
///
/// # Errors
/// The name of a lock, of the group or of a target cannot be made from the inputs, or a target is not confirmed.
pub fn create(start: &Start) -> Result<Fact, Rejection> {
    let runbook = &start.pinned.runbook;
    let scope = InputScope { start };
    let plain = |what: &'static str, text: &str| -> Result<String, Rejection> {
        let problem = |problem: String| Rejection::Name { what, problem };
        let template =
            Template::parse(text).map_err(|faults| problem(faults.into_iter().map(|f| f.message).collect()))?;
        let name = template.render_text(&scope).map_err(|error| problem(error.to_string()))?;
        names::is_lock(&name).map_err(problem)?;
        Ok(name)
    };
    let render = |what, text: &str| Ok(key_in(runbook.environment_name(), &plain(what, text)?));
    // Of what a child run destroys persons were asked before the step that starts it: the check sees to that.
    let confirmed = if start.parent.is_none() { confirm::at_start(start)? } else { Vec::new() };
    // What changes nothing excludes nobody.
    let dry = start.terms.dry;
    let group = match runbook.concurrency.as_ref().filter(|_| !dry) {
        Some(concurrency) => Some(render("concurrency.group", &concurrency.group)?),
        None => None,
    };
    let mut locks =
        runbook.locks.iter().filter(|_| !dry).map(|lock| render("locks", lock)).collect::<Result<Vec<_>, _>>()?;
    locks.sort();
    locks.dedup();
    let target = match &runbook.objective {
        // In another environment it is another one, but by the environment, which stands beside it.
        Some(objective) => Some(plain("objective.target", &objective.target)?),
        None => None,
    };
    let environment = runbook.environment_name().map(str::to_owned);
    let priority = start.terms.priority.or(runbook.priority.filter(|_| start.parent.is_none()));
    Ok(Fact::Created(Box::new(Created {
        number: start.number,
        runbook: runbook.name.clone(),
        definition: start.pinned.digest,
        inputs: start.inputs.clone(),
        sealed_inputs: start.sealed_inputs.clone(),
        group,
        locks,
        origin: start.origin,
        by: start.by.clone(),
        reason: start.reason.clone(),
        request_id: start.request_id.clone(),
        request_digest: start.request_digest,
        commit: start.commit.clone(),
        terms: Terms { confirmed, environment, target, priority, ..start.terms.clone() },
        parent: start.parent,
        slot: None,
        items: start.items.clone(),
    })))
}

/// The facts that an input leads to. No fact means that it changes nothing (a verdict that came late or twice).
///
/// # Errors
/// The input is refused.
pub fn decide(run: &RunState, now: Timestamp, input: Input) -> Result<Vec<Fact>, Rejection> {
    match input {
        Input::Admit => Ok(
            if run.phase == Phase::Queued
                && run.begin.is_none()
                && !run.is_gated()
                && (run.ending.is_none() || run.rollback_asked.is_some())
            {
                // Within a run time never goes back, and what is counted from an event counts from its time.
                let at = now.max(run.last_at);
                // A rollback takes as long as it takes.
                let timeout = run.pinned.runbook.timeout.filter(|_| run.rollback_asked.is_none());
                let deadline = timeout.map(|timeout| at + timeout);
                vec![Fact::Admitted { deadline }]
            } else {
                Vec::new()
            },
        ),
        Input::StartAttempt { step, kind, boot } => {
            // Asked again here, so that whoever hands out places cannot start what may not start.
            if !run.starts_of(now, run.pool(step)).any(|start| start == (step, kind)) {
                return Ok(Vec::new());
            }
            let attempts = run.step(step).map_or(0, |state| state.attempts);
            let attempt = AttemptNo(attempts + 1);
            Ok(vec![Fact::AttemptStarting { step, attempt, kind, boot }])
        }
        Input::Verdict { step, attempt, end, chance } => Ok(verdict(run, now, step, attempt, *end, chance)),
        Input::Tick => Ok(tick(run, now)),
        Input::Cancel { now, by, reason, past } => cancel(run, now, by, reason, past),
        Input::RollBack { by, reason, past } => roll_back(run, by, reason, past),
        Input::AbandonRollback { by, reason } => abandon(run, by, reason),
        Input::Pause { by, reason } => hold::pause(run, by, reason),
        Input::Resume { by, reason, edited: None, .. } if run.is_held() && run.parent().is_none() => {
            Ok(hold::go_on(run, by, reason))
        }
        Input::Resume { by, reason, confirmed, edited } => resume(run, by, reason, &confirmed, edited.as_deref()),
        Input::Resolve { step, settlement, outputs, by, reason } => resolve(run, step, settlement, outputs, by, reason),
        Input::ReleaseLocks { step, name, by, reason } => release::release(run, step, name, by, reason),
        Input::Withheld { step, attempt, inputs } => Ok(provide::withheld(run, step, attempt, inputs, now)),
        Input::Provide(provision) => provide::provide(run, *provision),
        Input::Available(provision) => Ok(provide::available(run, &provision)),
        Input::Decide { step, ballot } => approval::decide(run, step, *ballot).map(|fact| vec![fact]),
        Input::DecideStart { ballot } => gate::decide(run, *ballot).map(|fact| vec![fact]),
        Input::ClockSet { by } => {
            let moves = run.deadline.is_some()
                || (run.begin.is_some() && !run.begins_by_the_wall())
                || run.gated_until().is_some()
                || !run.timed.is_empty()
                || !run.unknown.is_empty()
                || run.steps.iter().any(StepState::waits_for_long);
            Ok(if moves && !matches!(run.phase, Phase::Terminal(_)) {
                vec![Fact::DeadlinesShifted { by }]
            } else {
                Vec::new()
            })
        }
        Input::Above { cause } => Ok(call::above(run, &cause).into_iter().collect()),
        Input::Reopen => Ok(vec![Fact::Resumed {
            epoch: run.epoch + 1,
            by: Principal::engine(),
            reason: "the run above was resumed".to_owned(),
            confirmed: Vec::new(),
            edited: None,
        }]),
        Input::Deadlock { step: Some(step), message } => Ok(match run.progress(step) {
            Progress::Ready => vec![Fact::StepFailed { step, message }],
            _ => Vec::new(),
        }),
        Input::Deadlock { step: None, message } => Ok(match run.phase {
            Phase::Queued if run.ending.is_none() && run.rollback_asked.is_none() => {
                vec![Fact::Ending { cause: EndingCause::Deadlock { message } }]
            }
            Phase::Queued | Phase::Running | Phase::RollingBack(_) | Phase::Finishing(_) | Phase::Terminal(_) => {
                Vec::new()
            }
        }),
        Input::RollBackBelow => Ok(vec![Fact::RollbackAsked {
            by: Principal::engine(),
            reason: "the run above is rolled back".to_owned(),
            // Whoever asked for that named the steps that started them.
            past: run.points_of_no_return().collect(),
        }]),
        Input::PauseBelow { by, reason } => Ok(hold::pause_below(run, by, reason)),
        Input::ContinueBelow { by, reason } => Ok(hold::go_on(run, by, reason)),
        Input::AbandonBelow { by, reason } => Ok(match run.can_abandon() {
            true => vec![Fact::RollbackAbandoned { by, reason }],
            false => Vec::new(),
        }),
        Input::TryAgain { by, reason } => Ok(try_again(run, &by, &reason)),
        Input::ChildEnded { step, child, outcome, outputs, message, left } => {
            let then = call::after(run.progress(step) == Progress::ChildRollback, outcome, left);
            Ok(vec![Fact::ChildEnded { step, child, outcome, outputs, message, left, then }])
        }
        Input::ChildWaits { step, child, waits } => Ok(vec![Fact::ChildWaits { step, child, waits }]),
    }
}

/// What follows from the state and the time alone, one fact at a time until there is none. `paths` tells where artifacts
/// lie, for outputs of the runbook.
pub fn settle(run: &RunState, now: Timestamp, paths: &ArtifactPaths) -> Option<Fact> {
    if run.begin.is_some_and(|at| at <= now) {
        return Some(Fact::Due);
    }
    if let Some(ending) = gate::closed(run, now) {
        return Some(ending);
    }
    if run.holds() {
        if let Some(step) = run.to_judge.first().filter(|_| !run.is_held()) {
            return judge::judge(run, *step, now.max(run.last_at)).map(|judged| hold::before(run, *step, judged));
        }
        if let Some((_, step)) = run.waits.first().filter(|(until, _)| *until <= now) {
            return match run.progress(*step) {
                Progress::Asking { .. } => approval::timed_out(run, *step),
                _ if run.pinned.repeats() => Some(repeat::begin(*step)),
                _ => Some(Fact::WaitEnded { step: *step }),
            };
        }
    }
    repeat::next(run, now).or_else(|| ending::advance(run, paths))
}

fn verdict(
    run: &RunState,
    now: Timestamp,
    step: StepNo,
    attempt: AttemptNo,
    end: AttemptEnd,
    chance: u32,
) -> Vec<Fact> {
    let Some(state) = run.step(step) else { return Vec::new() };
    let kind = match state.progress {
        Progress::Live(live, kind) if live == attempt => kind,
        Progress::Unknown { processes_left: true }
            if state.attempts == attempt.0 && end.how != (How::Lost { processes_left: true }) =>
        {
            state.last_kind.unwrap_or(AttemptKind::Run)
        }
        // Late, or told twice: the attempt's end is known already.
        _ => return Vec::new(),
    };
    verdict::ended(run, step, attempt, kind, end, now, chance).into_iter().collect()
}

fn tick(run: &RunState, now: Timestamp) -> Vec<Fact> {
    if run.counts_down() && run.deadline.is_some_and(|deadline| deadline <= now) {
        return vec![Fact::Ending { cause: EndingCause::Timeout }];
    }
    let (Some(attention), Some(ends)) = (run.pinned.runbook.attention, run.patience_ends()) else {
        return Vec::new();
    };
    if ends > now || run.phase != Phase::Running {
        return Vec::new();
    }
    let hard = run.ending.is_some();
    let settlement = match attention.settle_as {
        Settlement::Retry if hard => Settlement::Failed,
        other => other,
    };
    run.unknown
        .iter()
        .filter(|(step, since)| {
            **since + attention.after <= now && run.progress(**step) == (Progress::Unknown { processes_left: false })
        })
        .map(|(step, _)| Fact::Resolved {
            step: *step,
            settlement,
            outputs: IndexMap::new(),
            by: Principal::engine(),
            reason: format!("nobody settled it within {} (attention.after)", attention.after),
        })
        .collect()
}

fn cancel(run: &RunState, now: bool, by: Principal, reason: String, past: Vec<StepNo>) -> Result<Vec<Fact>, Rejection> {
    goes_alone(run, "cancel")?;
    match run.phase {
        Phase::RollingBack(_) => return Err(Rejection::RollingBack),
        Phase::Queued if run.rollback_asked.is_some() => return Err(Rejection::RollingBack),
        Phase::Terminal(outcome) => {
            return Err(Rejection::AlreadyTerminal { outcome: outcome.name() });
        }
        Phase::Finishing(outcome) => return Err(Rejection::Finishing { outcome: outcome.name() }),
        Phase::Queued | Phase::Running => {}
    }
    if let Some(EndingCause::Cancel { now: before, by: who, .. }) = &run.ending
        && *before >= now
    {
        return Err(Rejection::AlreadyCanceling { by: who.name.clone() });
    }
    all_named(run, &past)?;
    Ok(vec![Fact::Ending { cause: EndingCause::Cancel { now, by, reason, past } }])
}

/// Refuses unless every started step without a way back is named.
fn all_named(run: &RunState, past: &[StepNo]) -> Result<(), Rejection> {
    let id = |no: StepNo| run.pinned.runbook.step(no).map(|step| step.id.clone());
    let steps: Vec<String> = run.points_of_no_return().filter(|no| !past.contains(no)).filter_map(id).collect();
    if steps.is_empty() { Ok(()) } else { Err(Rejection::NoReturn { steps }) }
}

fn roll_back(run: &RunState, by: Principal, reason: String, past: Vec<StepNo>) -> Result<Vec<Fact>, Rejection> {
    goes_alone(run, "roll back")?;
    run.can_roll_back()?;
    all_named(run, &past)?;
    Ok(vec![Fact::RollbackAsked { by, reason, past }])
}

fn abandon(run: &RunState, by: Principal, reason: String) -> Result<Vec<Fact>, Rejection> {
    goes_alone(run, "roll back")?;
    if run.can_abandon() { Ok(vec![Fact::RollbackAbandoned { by, reason }]) } else { Err(Rejection::NotRollingBack) }
}

/// A child run is canceled, paused and resumed with its tree only.
pub(super) fn goes_alone(run: &RunState, verb: &'static str) -> Result<(), Rejection> {
    match run.parent() {
        None => Ok(()),
        Some(_) => Err(Rejection::ChildRun { number: run.created.number, verb }),
    }
}

fn resume(
    run: &RunState,
    by: Principal,
    reason: String,
    confirmed: &[String],
    edit: Option<&Edit>,
) -> Result<Vec<Fact>, Rejection> {
    goes_alone(run, "resume")?;
    let canceled = matches!(run.ending, Some(EndingCause::Cancel { .. }));
    match run.phase {
        Phase::Terminal(Outcome::Failed) => {}
        Phase::Terminal(Outcome::Canceled) if by.uid.is_some() => {}
        Phase::Terminal(Outcome::RolledBack) if by.uid.is_some() || !canceled => {}
        Phase::Terminal(Outcome::Canceled | Outcome::RolledBack) => return Err(Rejection::CanceledByPerson),
        Phase::RollingBack(_) if edit.is_some() => return Err(Rejection::RollingBack),
        // What failed below is tried again too: the machine puts that to each.
        Phase::RollingBack(_) => return Err(Rejection::RollingBack),
        Phase::Queued if run.rollback_asked.is_some() => return Err(Rejection::RollingBack),
        Phase::Terminal(Outcome::Succeeded) => {
            return Err(Rejection::NotResumable { state: "succeeded", hint: "start a new run of the runbook" });
        }
        Phase::Queued | Phase::Running | Phase::Finishing(_) => {
            return Err(Rejection::NotResumable {
                state: "not over",
                hint: if !run.needs_person() {
                    "it goes on by itself"
                } else {
                    "settle its unknown steps with `runbook resolve`"
                },
            });
        }
    }
    if let Some((_, step, _)) = run.steps().find(|(_, _, state)| state.progress == Progress::RollbackFailed) {
        return Err(Rejection::RollbackUnfinished { step: step.id.clone() });
    }
    // What nobody approved has done nothing: it is started anew, and asks again.
    if run.gate().is_some_and(|gate| !gate.open) {
        return Err(Rejection::NotResumable { state: "not approved", hint: "start a new run of the runbook" });
    }
    let edited = edit.map(|edit| edition::taken(run, edit)).transpose()?;
    let confirmed = match (edit, &edited) {
        (Some(edit), Some(edited)) => confirm::at_edit(run, &edit.pinned.runbook, &edited.again, confirmed)?,
        _ => confirm::at_resume(run, confirmed)?,
    };
    Ok(vec![Fact::Resumed { epoch: run.epoch + 1, by, reason, confirmed, edited }])
}

/// Every compensation that failed is tried again.
fn try_again(run: &RunState, by: &Principal, reason: &str) -> Vec<Fact> {
    let failed = run.rollback.iter().flat_map(Compensation::failed);
    failed
        .map(|step| Fact::Resolved {
            step: *step,
            settlement: Settlement::Retry,
            outputs: IndexMap::new(),
            by: by.clone(),
            reason: reason.to_owned(),
        })
        .collect()
}

fn resolve(
    run: &RunState,
    step: StepNo,
    settlement: Settlement,
    mut outputs: IndexMap<String, Value>,
    by: Principal,
    reason: String,
) -> Result<Vec<Fact>, Rejection> {
    let definition = run.pinned.runbook.step(step);
    let (Some(definition), Some(state)) = (definition, run.step(step)) else {
        return Err(Rejection::NoSuchStep { step: step.0.to_string(), hint: None });
    };
    let id = || definition.id.clone();
    match state.progress {
        Progress::Unknown { processes_left: false } => {}
        Progress::Unknown { processes_left: true } => {
            return Err(Rejection::ProcessesLeft { step: id() });
        }
        Progress::RollbackFailed if run.rollback.iter().any(|rollback| rollback.failed().contains(&step)) => {
            if settlement == Settlement::Failed {
                let (state, possible) = (state.progress.name(), "retry, succeeded or skipped");
                return Err(Rejection::Settlement { step: id(), state, possible });
            }
            return Ok(vec![Fact::Resolved { step, settlement, outputs: IndexMap::new(), by, reason }]);
        }
        other => return Err(Rejection::NotUnknown { step: id(), state: other.name() }),
    }
    match settlement {
        Settlement::Skipped => {
            let (state, possible) = (state.progress.name(), "succeeded, failed or retry");
            return Err(Rejection::Settlement { step: id(), state, possible });
        }
        Settlement::Retry if run.ending.is_some() => {
            return Err(Rejection::RetryWhileEnding { step: id() });
        }
        Settlement::Succeeded => {
            outputs = verdict::typed_given(&definition.outputs, &outputs)
                .map_err(|problem| Rejection::Outputs { step: id(), problem })?;
        }
        Settlement::Failed | Settlement::Retry => outputs.clear(),
    }
    Ok(vec![Fact::Resolved { step, settlement, outputs, by, reason }])
}
