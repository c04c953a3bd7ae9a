//! The only way a run's state changes, live and after a crash alike. Holds no policy: what an event decided
//! is taken as it stands; what is illegal in a state is one typed error. Attempts, steps, rollbacks and what concerns
//! the run as a whole have files of their own beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;

use super::event::{Created, Event, Fact, SkipReason};
use super::gate::Gate;
use super::hold::Hold;
use super::legal::{Illegal, LEGAL_STEP_EVENTS};
use super::pinned::Pinned;
use super::rollback::Compensation;
use super::starts::Ready;
use super::state::{Phase, Progress, RunState, StepState, Vote};
use crate::definition::Settlement;
use crate::id::RunUid;
use crate::time::Timestamp;

impl RunState {
    /// The state after a run's first event.
    ///
    /// # Errors
    /// The event is not number 1, not `Created`, or names another definition.
    pub fn create(uid: RunUid, pinned: Arc<Pinned>, event: &Event) -> Result<Self, Illegal> {
        let illegal =
            |why: &str| Illegal { run: uid, number: event.number, event: event.fact.kind(), why: why.to_owned() };
        let Fact::Created(created) = &event.fact else {
            return Err(illegal("the first event must be `created`"));
        };
        if event.number != 1 {
            return Err(illegal("the first event must have number 1"));
        }
        if created.definition != pinned.digest {
            return Err(illegal("it is pinned to another definition"));
        }
        Ok(Self::fresh(uid, pinned, created, event.at))
    }

    fn fresh(uid: RunUid, pinned: Arc<Pinned>, created: &Created, at: Timestamp) -> Self {
        let count = pinned.runbook.steps.len();
        let mut state = Self {
            uid,
            created: Arc::new(created.clone()),
            created_at: at,
            last_event: 1,
            last_at: at,
            epoch: 1,
            phase: Phase::Queued,
            ending: None,
            admitted_at: None,
            finished_at: None,
            deadline: None,
            still_since: None,
            steps: vec![StepState::default(); count],
            live: BTreeMap::new(),
            in_pools: BTreeMap::new(),
            ready: Ready::default(),
            to_judge: BTreeSet::new(),
            timed: BTreeSet::new(),
            waits: BTreeSet::new(),
            probing: 0,
            asking: BTreeSet::new(),
            unknown: BTreeMap::new(),
            withheld: BTreeSet::new(),
            open_main: 0,
            open_finally: 0,
            on_cancel_open: 0,
            run_live_main: 0,
            first_failure: None,
            failures: 0,
            on: 0,
            rollback_asked: None,
            rollback: None,
            to_call: BTreeSet::new(),
            wanting: BTreeSet::new(),
            locking: BTreeMap::new(),
            let_go: BTreeSet::new(),
            children: BTreeMap::new(),
            below: BTreeMap::new(),
            attention_below: 0,
            outputs: IndexMap::new(),
            outputs_message: String::new(),
            repeat_end: None,
            hold: None,
            hold_before: created.terms.pause_before.clone(),
            begin: created.terms.begin.map(|begin| begin.at),
            known: Vec::new(),
            gate: created.terms.asks.as_ref().map(Gate::of),
            pinned,
        };
        state.open_steps();
        state
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// The event cannot follow this state. The state is then as it was, or half changed where the error came
    /// from a corrupt journal: the run must not be used further.
    pub fn apply(&mut self, event: &Event) -> Result<(), Illegal> {
        let run = self.uid;
        let illegal = |why: String| Illegal { run, number: event.number, event: event.fact.kind(), why };
        if event.number != self.last_event + 1 {
            return Err(illegal(format!("it follows event {}", self.last_event)));
        }
        if let Some(step) = event.fact.step() {
            let Some(state) = self.steps.get(step.index()) else {
                return Err(illegal(format!("there is no step {}", step.0)));
            };
            let pair = (state.progress.name(), event.fact.kind());
            if !LEGAL_STEP_EVENTS.contains(&pair) {
                return Err(illegal(format!("step {} is {}", step.0, pair.0)));
            }
        }
        self.apply_fact(event.at, &event.fact).map_err(illegal)?;
        self.keep_time(event.at);
        self.last_event = event.number;
        self.last_at = event.at;
        Ok(())
    }

    fn apply_fact(&mut self, at: Timestamp, fact: &Fact) -> Result<(), String> {
        match (fact, self.phase) {
            (Fact::Due, Phase::Queued) if self.begin.is_some() => {
                self.begin = None;
                Ok(())
            }
            (Fact::StartDecided { approve, by, reason, then }, Phase::Queued) if self.is_gated() => {
                let (by, reason, fields) = (by.clone(), reason.clone(), IndexMap::new());
                self.decide_start(Vote { by, at, approve: *approve, reason, fields }, *then);
                Ok(())
            }
            (Fact::Admitted { deadline }, Phase::Queued) if self.begin.is_none() && !self.is_gated() => {
                self.phase = Phase::Running;
                self.admitted_at = Some(at);
                self.deadline = *deadline;
                Ok(())
            }
            (Fact::StepReady { step, locks }, Phase::Running | Phase::Finishing(_)) => {
                self.to_judge.remove(step);
                if let Some(state) = self.steps.get_mut(step.index()) {
                    state.locks.clone_from(locks);
                    // An iteration that waited for its turn begins.
                    state.started_at = state.started_at.map(|_| at);
                }
                self.may_start(*step);
                self.set(*step, Progress::Ready);
                Ok(())
            }
            (Fact::StepSkipped { step, why }, Phase::Running | Phase::Finishing(_)) => {
                let passed_over = match why {
                    SkipReason::Condition | SkipReason::NothingToUndo => true,
                    SkipReason::DryRun { .. } | SkipReason::LeftOut => true,
                    SkipReason::Need(_) => self.needs_only_passed_over(*step),
                };
                self.stand_in(*step, why);
                if let Some(state) = self.steps.get_mut(step.index()) {
                    state.passed_over = passed_over;
                }
                self.close(*step, Progress::Skipped, at);
                Ok(())
            }
            (Fact::StepFailed { step, message }, Phase::Running | Phase::Finishing(_)) => {
                if let Some(state) = self.steps.get_mut(step.index()) {
                    state.message.clone_from(message);
                }
                self.close(*step, Progress::Failed, at);
                Ok(())
            }
            (Fact::WaitBegan { step, until, fixed }, Phase::Running | Phase::Finishing(_)) => {
                self.begin_wait(*step, *until, *fixed, at);
                Ok(())
            }
            (Fact::RepeatEnded { step, message }, Phase::Running) => {
                self.end_repeat(*step, message, at);
                Ok(())
            }
            (Fact::WaitEnded { step }, Phase::Running | Phase::Finishing(_)) => {
                self.close(*step, Progress::Succeeded, at);
                Ok(())
            }
            (Fact::ApprovalAsked { step, message, until }, Phase::Running | Phase::Finishing(_)) => {
                self.ask(*step, message, *until, at);
                Ok(())
            }
            (
                Fact::ApprovalGiven { step, approve, fields, by, reason, then, outputs },
                Phase::Running | Phase::Finishing(_),
            ) => {
                let vote =
                    Vote { by: by.clone(), at, approve: *approve, reason: reason.clone(), fields: fields.clone() };
                self.vote(*step, vote, *then, outputs);
                Ok(())
            }
            (Fact::ApprovalTimedOut { step, then, message, outputs }, Phase::Running | Phase::Finishing(_)) => {
                self.approved(*step, *then, outputs, message, at);
                Ok(())
            }
            (Fact::AttemptStarting { step, attempt, kind, .. }, _) if self.holds() => {
                self.attempt_starting(at, *step, *attempt, *kind)
            }
            (Fact::AttemptEnded { step, attempt, end, then }, _) if self.holds() => {
                self.attempt_ended(at, *step, *attempt, end, *then)
            }
            (Fact::ChildStarting { step, child, again }, Phase::Running | Phase::Finishing(_)) => {
                self.child_starting(at, *step, *child, *again)
            }
            (Fact::ChildEnded { step, child, outcome, outputs, message, left, then }, _) if self.holds() => {
                self.leave(*step, *left, *outcome);
                match self.progress(*step) {
                    Progress::ChildRollback => self.child_rolled_back(at, *step, *child, message, *then),
                    _ => self.child_ended(at, *step, *child, outputs, message, *then),
                }
            }
            (Fact::ChildRollingBack { step, child }, Phase::RollingBack(_)) => {
                self.child_rolling_back(at, *step, *child)
            }
            (Fact::ChildWaits { step, child, waits }, _) if self.holds() => self.child_waits(*step, *child, *waits),
            (Fact::RollingBack { outcome, steps }, Phase::Running) => {
                if self.open_main > 0 {
                    return Err(format!("{} steps are open", self.open_main));
                }
                self.rollback_asked = None;
                self.phase = Phase::RollingBack(*outcome);
                self.hold = None;
                self.rollback = Some(Compensation::of(steps, &self.pinned, &self.steps));
                Ok(())
            }
            (Fact::RollbackAsked { .. }, Phase::Terminal(outcome)) => {
                self.open_for_rollback(outcome);
                Ok(())
            }
            (Fact::RollbackAbandoned { .. }, Phase::Queued | Phase::RollingBack(_)) => {
                self.abandon_rollback(at);
                Ok(())
            }
            (Fact::Resolved { step, settlement, reason, .. }, Phase::RollingBack(_)) => {
                self.settle_compensation(at, *step, *settlement, reason);
                Ok(())
            }
            (Fact::Ending { cause }, Phase::Queued | Phase::Running) => {
                self.begin_ending(at, cause.clone());
                Ok(())
            }
            (Fact::Finishing { outcome, outputs, message }, Phase::Queued | Phase::Running | Phase::RollingBack(_)) => {
                if self.open_main > 0 {
                    return Err(format!("{} steps are open", self.open_main));
                }
                if matches!(self.phase, Phase::RollingBack(_))
                    && !self.rollback.as_ref().is_none_or(Compensation::is_over)
                {
                    return Err("something is left to be compensated".to_owned());
                }
                self.phase = Phase::Finishing(*outcome);
                self.outputs.clone_from(outputs);
                self.outputs_message.clone_from(message);
                self.hold = None;
                self.queue_finally();
                Ok(())
            }
            (Fact::Finished { outcome }, Phase::Finishing(_)) => {
                if self.open_finally > 0 {
                    return Err(format!("{} steps of finally are open", self.open_finally));
                }
                self.phase = Phase::Terminal(*outcome);
                self.finished_at = Some(at);
                Ok(())
            }
            (Fact::Resumed { epoch, edited, .. }, Phase::Terminal(_)) => {
                if *epoch != self.epoch + 1 {
                    return Err(format!("the epoch is {}", self.epoch));
                }
                let edited = match edited {
                    None => None,
                    Some(edited) => {
                        let known = self.definitions().find(|pinned| pinned.digest == edited.definition);
                        let known =
                            known.ok_or_else(|| format!("the definition {} is not there", edited.definition))?;
                        Some((Arc::clone(known), edited))
                    }
                };
                self.reopen(*epoch, edited);
                Ok(())
            }
            (Fact::Resolved { step, settlement, outputs, reason, .. }, Phase::Running) => {
                self.unknown.remove(step);
                if let Some(state) = self.steps.get_mut(step.index()) {
                    state.message.clone_from(reason);
                    if *settlement == Settlement::Succeeded {
                        state.outputs.clone_from(outputs);
                    }
                }
                match settlement {
                    Settlement::Succeeded => self.close(*step, Progress::Succeeded, at),
                    Settlement::Failed | Settlement::Skipped => self.close(*step, Progress::Failed, at),
                    Settlement::Retry => {
                        if let Some(state) = self.steps.get_mut(step.index()) {
                            state.tries = 0;
                        }
                        self.set(*step, Progress::Retry(at));
                    }
                }
                Ok(())
            }
            (Fact::Withheld { step, attempt, inputs }, _) if self.holds() => self.withhold(*step, *attempt, inputs),
            (Fact::Provided { inputs, .. }, phase) if !matches!(phase, Phase::Terminal(_)) => {
                self.provided(inputs, at);
                Ok(())
            }
            (Fact::LocksReleased { step, .. }, _) if self.locking.contains_key(step) => {
                self.let_locks_go(*step);
                Ok(())
            }
            (Fact::Paused { before, by, reason }, Phase::Queued | Phase::Running) if self.hold.is_none() => {
                self.begin_hold(Hold { since: at, by: by.clone(), reason: reason.clone(), before: *before });
                Ok(())
            }
            (Fact::Continued { .. }, Phase::Queued | Phase::Running) if self.hold.is_some() => {
                self.hold = None;
                Ok(())
            }
            (Fact::DeadlinesShifted { by }, _) => {
                self.shift(*by);
                Ok(())
            }
            (_, phase) => Err(format!("the run is {phase:?}")),
        }
    }
}
