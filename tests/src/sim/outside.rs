//! The world of attempts, as it is outside the daemon: processes that start, run, end, are stopped, die with the
//! machine. It outlives every crash of the daemon, and objects when it is asked for something that must never be.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use runbook_core::definition::ValueType;
use runbook_core::id::Digest;
use runbook_core::machine::AttemptRef;
use runbook_core::run::{Artifact, AttemptEnd, AttemptKind, CutOff, How, NotStarted, StopLevel};
use runbook_core::time::Span;
use serde_json::Value;

use super::condition::NUMBER;
use super::design::Design;
use super::faults::Temper;
use super::model::{Check, must};
use super::random::Random;

const MILLISECOND: i64 = 1_000;
const SECOND: i64 = 1_000_000;
const GRACE: i64 = 30 * SECOND;
/// For so long a stop still comes before the command's start.
const BEFORE_CLAIM: i64 = 20 * MILLISECOND;
/// After so many attempts of a step the system refuses nothing any more.
const REFUSED_ATTEMPTS: u32 = 12;

/// What a process does when it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reaction {
    /// It ends after this long.
    Obeys(i64),
    /// It ends only when it is killed.
    Ignores,
    /// It comes to its own end in the same moment.
    Ends,
    /// Its shim dies.
    Breaks,
}

/// Where a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Runs,
    /// Its shim is gone, and what it left cannot be killed until then.
    Left(i64),
    Ended,
}

/// An attempt's processes.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    started: i64,
    ends_at: i64,
    end: AttemptEnd,
    /// How long its processes are left after a loss, and the end that is known then.
    left: Option<(i64, AttemptEnd)>,
    reaction: Reaction,
    state: State,
    stopped: StopLevel,
}

/// What is to be told to the daemon.
pub(crate) type Verdict = (AttemptRef, AttemptEnd);

/// All processes.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    processes: BTreeMap<AttemptRef, Process>,
    /// Every attempt that ever ran.
    used: BTreeSet<AttemptRef>,
    /// Attempts that never ran and never will, with what is said of them.
    fenced: BTreeMap<AttemptRef, AttemptEnd>,
}

impl Process {
    pub(crate) const fn runs(&self) -> bool {
        matches!(self.state, State::Runs)
    }

    /// Whether something of it may still act upon the world.
    const fn lives(&self) -> bool {
        matches!(self.state, State::Runs | State::Left(_))
    }

    /// When something about it changes by itself.
    pub(crate) const fn next(&self) -> Option<i64> {
        match self.state {
            State::Runs => Some(self.ends_at),
            State::Left(gone) => Some(gone),
            State::Ended => None,
        }
    }

    /// What can be found out about its end.
    pub(crate) fn verdict(&self) -> Option<&AttemptEnd> {
        match self.state {
            State::Runs => None,
            State::Left(_) | State::Ended => Some(&self.end),
        }
    }
}

impl Outside {
    pub(crate) fn get(&self, attempt: AttemptRef) -> Option<&Process> {
        self.processes.get(&attempt)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&AttemptRef, &Process)> {
        self.processes.iter()
    }

    /// The attempts that run.
    pub(crate) fn running(&self) -> impl Iterator<Item = AttemptRef> {
        self.processes.iter().filter(|(_, process)| process.runs()).map(|(attempt, _)| *attempt)
    }

    /// Starts an attempt; tells when to look at it again.
    pub(crate) fn spawn(&mut self, attempt: AttemptRef, process: Process) -> Result<i64, String> {
        must(self.used.insert(attempt), || format!("attempt {attempt:?} is started a second time"))?;
        must(!self.fenced.contains_key(&attempt), || format!("attempt {attempt:?} is started, and was fenced"))?;
        let other = self
            .processes
            .iter()
            .find(|(other, process)| other.run == attempt.run && other.step == attempt.step && process.lives());
        must(other.is_none(), || format!("attempt {attempt:?} is started while {other:?} lives"))?;
        let at = process.ends_at;
        self.processes.insert(attempt, process);
        Ok(at)
    }

    /// What is said of an attempt that was fenced.
    pub(crate) fn fenced(&self, attempt: AttemptRef) -> Option<&AttemptEnd> {
        self.fenced.get(&attempt)
    }

    /// Makes sure that an attempt which never ran never will.
    pub(crate) fn fence(&mut self, attempt: AttemptRef, end: AttemptEnd) -> Check {
        self.fenced.insert(attempt, end);
        must(!self.used.contains(&attempt), || format!("attempt {attempt:?} is fenced, and has run"))
    }

    /// Stops an attempt; tells when to look at it again.
    pub(crate) fn stop(&mut self, attempt: AttemptRef, level: StopLevel, now: i64) -> Option<i64> {
        let process = self.processes.get_mut(&attempt).filter(|process| process.runs())?;
        if level <= process.stopped {
            return None;
        }
        process.stopped = level;
        let cut_off = AttemptEnd { how: How::CutOff(CutOff::Stopped), artifacts: Vec::new(), ..process.end.clone() };
        let (ends_at, end) = match (process.reaction, level) {
            _ if now < process.started + BEFORE_CLAIM => (now, AttemptEnd::bare(How::NotStarted(NotStarted::Canceled))),
            (Reaction::Ends, _) => (now, process.end.clone()),
            (Reaction::Breaks, _) => (now, AttemptEnd::bare(How::Lost { processes_left: process.left.is_some() })),
            (_, StopLevel::Now) => (now, cut_off),
            (Reaction::Obeys(after), _) => (now + after, cut_off),
            (Reaction::Ignores, _) => (now + GRACE, cut_off),
        };
        if ends_at < process.ends_at {
            (process.ends_at, process.end) = (ends_at, end);
        }
        Some(process.ends_at)
    }

    /// Looks at an attempt: gives its verdict if there is a new one, and when to look again.
    pub(crate) fn look(&mut self, attempt: AttemptRef, now: i64) -> (Option<Verdict>, Option<i64>) {
        let Some(process) = self.processes.get_mut(&attempt) else { return (None, None) };
        if process.next().is_none_or(|next| next > now) {
            return (None, None);
        }
        let verdict = (attempt, process.end.clone());
        match (process.state, &process.end.how) {
            (State::Runs, How::Lost { processes_left: true }) => {
                let gone = now + process.left.as_ref().map_or(SECOND, |(after, _)| *after);
                process.state = State::Left(gone);
                (Some(verdict), Some(gone))
            }
            (State::Runs, _) => {
                process.state = State::Ended;
                (Some(verdict), None)
            }
            (State::Left(_), _) => {
                process.end = match process.left.take() {
                    Some((_, end)) => end,
                    None => AttemptEnd::bare(How::Lost { processes_left: false }),
                };
                process.state = State::Ended;
                (Some((attempt, process.end.clone())), None)
            }
            (State::Ended, _) => (None, None),
        }
    }

    /// The engine knows the end for good: nothing of the attempt is kept.
    pub(crate) fn clean(&mut self, attempt: AttemptRef) {
        if self.processes.get(&attempt).is_some_and(|process| process.state == State::Ended) {
            self.processes.remove(&attempt);
        }
    }

    /// The machine goes down: nothing runs any more, and what was not synced may be gone.
    pub(crate) fn power_cut(&mut self, random: &mut Random) {
        for process in self.processes.values_mut() {
            let unsynced = process.state == State::Ended && random.percent(50);
            if process.lives() || unsynced {
                process.end = AttemptEnd::bare(How::Lost { processes_left: false });
                process.left = None;
                process.state = State::Ended;
            }
        }
    }
}

/// What an attempt will do.
pub(crate) fn process(
    random: &mut Random,
    design: &Design,
    attempt: AttemptRef,
    kind: AttemptKind,
    temper: &Temper,
    now: i64,
) -> Process {
    let how = how(random, temper, attempt.attempt.0);
    let none = matches!(how, How::NotStarted(_));
    let takes = if none { random.between(0, 50 * MILLISECOND) } else { random.spread(MILLISECOND, temper.longest) };
    let end = end(random, design, attempt, kind, temper, how);
    let left = (end.how == How::Lost { processes_left: true } || random.percent(temper.left.min(20))).then(|| {
        let how = match random.below(4) {
            0 => How::Exited(0),
            1 => How::Exited(1),
            2 => How::CutOff(CutOff::Signal(9)),
            _ => How::Lost { processes_left: false },
        };
        let known = self::end(random, design, attempt, kind, temper, how);
        (random.spread(SECOND, 600 * SECOND), known)
    });
    let reaction = match random.below(8) {
        0 => Reaction::Ends,
        1 => Reaction::Ignores,
        2 if temper.lost > 0 => Reaction::Breaks,
        _ => Reaction::Obeys(random.spread(MILLISECOND, GRACE)),
    };
    Process { started: now, ends_at: now + takes, end, left, reaction, state: State::Runs, stopped: StopLevel::Run }
}

fn how(random: &mut Random, temper: &Temper, attempt: u32) -> How {
    let refused = |weight: u32| if attempt > REFUSED_ATTEMPTS { 0 } else { weight };
    let weights =
        [temper.succeed, temper.fail, temper.cut_off, temper.lost, temper.left, refused(temper.want), temper.refuse];
    match random.weighted(&weights) {
        0 => How::Exited(random.pick([0, 0, 0, 0, 2])),
        1 => How::Exited(random.pick([1, 1, 2, 3, 255])),
        2 => How::CutOff(if random.percent(50) { CutOff::Timeout } else { CutOff::Signal(9) }),
        3 => How::Lost { processes_left: false },
        4 => How::Lost { processes_left: true },
        5 => How::NotStarted(match random.below(3) {
            0 => NotStarted::Fenced,
            _ => NotStarted::Errno(random.pick(super::model::WANT)),
        }),
        _ => How::NotStarted(NotStarted::Errno(random.pick([2, 13]))),
    }
}

fn end(
    random: &mut Random,
    design: &Design,
    attempt: AttemptRef,
    kind: AttemptKind,
    temper: &Temper,
    how: How,
) -> AttemptEnd {
    let mut end = AttemptEnd::bare(how);
    let Some(step) = design.runbook.steps.get(attempt.step.index()) else { return end };
    if !matches!(end.how, How::Exited(_) | How::CutOff(_)) {
        return end;
    }
    if kind == AttemptKind::Verify {
        let word = match random.weighted(&[50, 35, temper.sloppy]) {
            0 => "yes",
            1 => "no",
            _ => "perhaps",
        };
        end.outputs.insert("happened".to_owned(), Value::from(word));
    }
    if random.percent(10) {
        end.outputs.insert("undeclared".to_owned(), Value::from("text"));
    }
    if kind == AttemptKind::Run && random.percent(5) {
        end.retry_after = Some(Span(random.spread(SECOND, 2 * 3_600 * SECOND)));
    }
    if kind != AttemptKind::OnCancel {
        end.outputs.extend(outputs(random, &step.outputs, temper.sloppy));
    }
    if kind == AttemptKind::Run && !random.percent(temper.sloppy) {
        let artifact = |name: &String| Artifact { name: name.clone(), length: 3, digest: Digest::of(name.as_bytes()) };
        end.artifacts = step.artifacts.iter().map(artifact).collect();
    }
    end
}

/// Values for declared outputs, now and then wrong ones.
pub(crate) fn outputs(
    random: &mut Random,
    declared: &IndexMap<String, ValueType>,
    sloppy: u32,
) -> IndexMap<String, Value> {
    let mut outputs = IndexMap::new();
    for (key, kind) in declared {
        let value = match kind {
            ValueType::Integer if key == NUMBER => Value::from(random.between(0, 9)),
            ValueType::Integer => Value::from(random.between(-9, 9)),
            ValueType::Boolean => Value::from(random.percent(50)),
            ValueType::List => Value::Array(vec![Value::from(1), Value::Null]),
            _ => Value::from("text"),
        };
        match (random.percent(sloppy), random.below(2)) {
            (false, _) => outputs.insert(key.clone(), value),
            // Wrong for each type that is declared.
            (true, 0) => outputs.insert(key.clone(), Value::Object(Default::default())),
            (true, _) => None,
        };
    }
    outputs
}
