//! `PlanRun`: what a start would do, told before it is asked for. Puts together what the core foresees, what past runs
//! took, who holds the locks now, and what is missing on this machine. Starts nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;
use runbook_core::definition::{InputSource, Overlap, Part, Runbook, Work, key_in};
use runbook_core::id::StepNo;
use runbook_core::machine::{Machine, Resource};
use runbook_core::plan::{self, Known, Outlook, Plan, Took};
use runbook_core::preflight::Missing;
use runbook_core::run::{Created, Fact, Pinned, Rejection, Start, decide};
use runbook_core::selection::Selection;
use runbook_core::time::Span;
use runbook_journal::StoreError;
use runbook_proto::v1;
use serde_json::{Map, Value};
use tonic::Status;

use super::{Shared, asks, errors, internal, terms, to_proto};
use crate::clock;
use crate::history::{self, Past};

/// Runbooks whose past is looked at, of all that one start comes to start.
pub(super) const PASTS: usize = 16;
/// Steps below the run at the top that are told.
const STEPS: usize = 10_000;
/// Locks of steps of which it is told who has them.
const STEP_LOCKS: usize = 1_000;

/// What is known of a start that is not made.
pub(super) struct Considered {
    pub pinned: Arc<Pinned>,
    /// The inputs that the request gives itself.
    pub given: Vec<String>,
    /// All inputs, secret ones too.
    pub inputs: Map<String, Value>,
    /// The secret ones that have a value and are kept for the run.
    pub sealed: Map<String, Value>,
    /// The secret ones that have a value and are kept nowhere.
    pub ephemeral: Map<String, Value>,
    /// The start as it would be made.
    pub start: Start,
}

/// The plan of a start. `missing` is what is missing on this machine; `None` when nobody looked.
///
/// # Errors
/// The journal cannot be read, or the daemon is ending.
pub(super) async fn answer(
    shared: &Shared,
    considered: Considered,
    missing: Option<Vec<Missing>>,
) -> Result<v1::PlanRunResponse, Status> {
    let (reader, definitions) = (Arc::clone(&shared.reader), Arc::clone(&shared.surroundings.definitions));
    let all = considered.pinned.with_called();
    let names: Vec<String> = all.into_iter().map(|pinned| pinned.runbook.name.clone()).take(PASTS).collect();
    let pasts = tokio::task::spawn_blocking(move || {
        let past = |name: String| Ok((name.clone(), history::past(&*reader, &definitions, &name)?));
        names.into_iter().map(past).collect::<Result<HashMap<_, _>, StoreError>>()
    })
    .await
    .map_err(|error| internal(&error))?
    .map_err(|error| internal(&error))?;
    let Considered { pinned, given, inputs, mut start, .. } = considered;
    let targets = terms::planned_targets(&start);
    // A start asks for what is missing of these: it is no reason to refuse the plan.
    start.terms.confirmed = targets.iter().map(|target| target.name.clone()).collect();
    let approved_by = start.approvals().map(asks::of_start).unwrap_or_default();
    let (selection, sources) = (start.terms.selection.clone(), start.terms.sources.clone());
    let (asked_for, by) = (start.terms.priority, start.by.name.clone());
    // What changes nothing excludes nobody.
    let dry = start.terms.dry;
    let (refused, locks) = shared
        .dispatcher
        .query(move |machine| (machine.refusals(clock::now(), &start), locks(machine, &start)))
        .await
        .map_err(|_| errors::ending())?;
    let runbook = &pinned.runbook;
    let priority = asked_for.or(runbook.priority).unwrap_or_default();
    let told = told_inputs(runbook, &given, &sources, &inputs);
    let open: IndexMap<String, Value> = runbook
        .inputs
        .iter()
        .filter(|(_, decl)| !decl.secret)
        .filter_map(|(name, _)| Some((name.clone(), inputs.get(name)?.clone())))
        .collect();
    let known = Known { inputs: open, open: BTreeSet::new(), selection };
    let mut room = STEPS;
    let past = pasts.get(&runbook.name).map(|past| (past, String::new()));
    let look = Look { pasts: &pasts, by: &by, room: &mut room, known_by: past.into_iter().collect() };
    let (plan, mut steps) = look.ahead(&pinned, &known);
    let mut names = BTreeSet::new();
    each_step(&mut steps, &mut |step| {
        step.locks.retain(|_| !dry);
        let room = STEP_LOCKS.saturating_sub(names.len());
        names.extend(step.locks.iter().map(|lock| lock.name.clone()).take(room));
    });
    if !names.is_empty() {
        let had = move |machine: &Machine| -> HashMap<String, v1::PlannedLock> {
            let lock = |name: String| (name.clone(), planned_lock(machine, Resource::Lock(name), false));
            names.into_iter().map(lock).collect()
        };
        let had = shared.dispatcher.query(had).await.map_err(|_| errors::ending())?;
        each_step(&mut steps, &mut |step| {
            for lock in &mut step.locks {
                if let Some(known) = had.get(&lock.name) {
                    lock.clone_from(known);
                }
            }
        });
    }
    Ok(v1::PlanRunResponse {
        runbook: format!("runbooks/{}", runbook.name),
        definition: pinned.digest.to_string(),
        inputs: told,
        environment: runbook.environment_name().unwrap_or_default().to_owned(),
        approved_by,
        steps,
        locks,
        problems: problems(refused, missing.as_deref().unwrap_or_default()),
        preflight_skipped: missing.is_none(),
        critical_path: plan.critical_path.iter().map(|no| id(runbook, *no)).collect(),
        expected: Some(to_proto::duration(plan.expected)),
        expected_p90: Some(to_proto::duration(plan.expected_p90)),
        unmeasured: plan.unmeasured.iter().map(|no| id(runbook, *no)).collect(),
        past_runs: pasts.get(&runbook.name).map_or(0, |past| past.runs),
        targets,
        priority: terms::priority(priority).into(),
        rollback: runbook.rollback.policy.name().to_owned(),
        rollback_of: runbook.rollback.of.name().to_owned(),
    })
}

/// How long a try of each step takes by past runs, as medians.
pub(super) fn medians(runbook: &Runbook, past: &Past) -> BTreeMap<StepNo, Span> {
    plan::numbered(runbook, |id| past.took.get(id).map(|took| took.median))
}

fn id(runbook: &Runbook, no: StepNo) -> String {
    runbook.step(no).map_or_else(String::new, |step| step.id.clone())
}

fn told_inputs(
    runbook: &Runbook,
    given: &[String],
    sources: &BTreeMap<String, InputSource>,
    inputs: &Map<String, Value>,
) -> Vec<v1::PlannedInput> {
    let told = |(name, decl): (&String, &runbook_core::definition::InputDecl)| {
        let value = inputs.get(name).filter(|value| !value.is_null());
        let source = match (sources.get(name), value) {
            (_, None) => v1::InputSource::Absent,
            (Some(source), Some(_)) => terms::input_source(*source),
            (None, Some(_)) if given.contains(name) => v1::InputSource::Given,
            (None, Some(_)) => v1::InputSource::Default,
        };
        v1::PlannedInput {
            name: name.clone(),
            value: value.filter(|_| !decl.secret).map(to_proto::value),
            source: source.into(),
            secret: decl.secret,
            ephemeral: decl.ephemeral,
        }
    };
    runbook.inputs.iter().map(told).collect()
}

/// Looks ahead, also at what steps start.
struct Look<'a> {
    /// Of runbooks, by name.
    pasts: &'a HashMap<String, Past>,
    /// Who would start it.
    by: &'a str,
    /// How many more steps below may be told.
    room: &'a mut usize,
    /// Whose past tells of the steps that are looked at, and what is before their ids there; the nearest last.
    known_by: Vec<(&'a Past, String)>,
}

/// What a step would start.
struct Below {
    expected: Took,
    /// Why it would not take what it is given.
    refused: Option<String>,
    steps: Vec<v1::PlannedStep>,
}

impl<'a> Look<'a> {
    /// As deep as runs start runs, which is bounded.
    fn ahead(mut self, pinned: &Pinned, known: &Known) -> (Plan, Vec<v1::PlannedStep>) {
        let runbook = &pinned.runbook;
        let mut below: BTreeMap<StepNo, Below> = BTreeMap::new();
        for (no, step) in (0..).map(StepNo).zip(&runbook.steps) {
            if step.starts_run()
                && let Some(found) = self.below(pinned, known, no, &step.id)
            {
                below.insert(no, found);
            }
        }
        let past = |id: &str| {
            let mut all = self.known_by.iter().rev();
            all.find_map(|(past, prefix)| past.took.get(&format!("{prefix}{id}")).copied())
        };
        let mut took = plan::durations(runbook, past);
        for (no, below) in &below {
            // What others let it wait for comes on top.
            if waits_below(&below.steps) {
                took.remove(no);
            }
            let once = runbook.step(*no).is_some_and(|step| step.many.is_none());
            if once && below.expected.median > Span::ZERO {
                took.entry(*no).or_insert(below.expected);
            }
        }
        let plan = plan::plan(runbook, known, &took);
        let steps = steps(pinned, known, &plan, &took, below, self.by);
        (plan, steps)
    }

    fn below(&mut self, pinned: &Pinned, known: &Known, no: StepNo, id: &str) -> Option<Below> {
        let step = pinned.runbook.step(no)?;
        // All items are alike, and so are iterations: what is done for one is told.
        let other = pinned.once(no)?;
        *self.room = self.room.checked_sub(other.runbook.steps.len())?;
        let given = match step.call() {
            Some(call) => known.given(&pinned.runbook, call, &other.runbook),
            // A block sees what is around it.
            None => Ok(Known { selection: Selection::default(), ..known.clone() }),
        };
        Some(match given {
            Err(why) => Below { expected: Took::default(), refused: Some(why), steps: Vec::new() },
            Ok(given) => {
                let deeper = self.known_by.iter().map(|(past, prefix)| (*past, format!("{prefix}{id}/")));
                let own = step.call().and_then(|call| self.pasts.get(&call.runbook));
                let known_by = deeper.chain(own.map(|past| (past, String::new()))).collect();
                let look = Look { pasts: self.pasts, by: self.by, room: self.room, known_by };
                let (plan, steps) = look.ahead(other, &given);
                let expected = Took { median: plan.expected, p90: plan.expected_p90, samples: 0 };
                Below { expected, refused: None, steps }
            }
        })
    }
}

/// Whether steps that may run wait for others, or those below them.
fn waits_below(steps: &[v1::PlannedStep]) -> bool {
    let may_run = |step: &&v1::PlannedStep| matches!(step.outlook(), v1::StepOutlook::Runs | v1::StepOutlook::Open);
    let waits = |step: &v1::PlannedStep| (!step.waits.is_empty() && step.median.is_none()) || waits_below(&step.below);
    steps.iter().filter(may_run).any(waits)
}

fn steps(
    pinned: &Pinned,
    known: &Known,
    plan: &Plan,
    took: &BTreeMap<StepNo, Took>,
    mut below: BTreeMap<StepNo, Below>,
    by: &str,
) -> Vec<v1::PlannedStep> {
    let runbook = &pinned.runbook;
    let told = |(index, (step, outlook)): (usize, (&runbook_core::definition::Step, &Outlook))| {
        let no = StepNo(index as u32);
        let started = below.remove(&no).filter(|_| outlook.may_run());
        let (mut kind, mut why, asks) = match outlook {
            Outlook::Runs => (v1::StepOutlook::Runs, String::new(), Vec::new()),
            Outlook::SkippedWith(need) => {
                (v1::StepOutlook::Skipped, format!("{} does not run", id(runbook, *need)), Vec::new())
            }
            Outlook::ConditionFalse => (v1::StepOutlook::Skipped, "its `if` is false".to_owned(), Vec::new()),
            Outlook::ConditionFails(error) => (v1::StepOutlook::Fails, format!("its `if`: {error}"), Vec::new()),
            Outlook::Open { asks } => {
                (v1::StepOutlook::Open, format!("its `if` asks for {}", asks.join(", ")), asks.clone())
            }
            Outlook::LeftOut => (v1::StepOutlook::LeftOut, String::new(), Vec::new()),
            Outlook::OpenWith(need) => (v1::StepOutlook::Open, format!("if {} runs", id(runbook, *need)), Vec::new()),
        };
        if let Some(refused) = started.as_ref().and_then(|started| started.refused.clone()) {
            (kind, why) = (v1::StepOutlook::Fails, refused);
        }
        let took = took.get(&no).filter(|_| outlook.may_run());
        v1::PlannedStep {
            id: step.id.clone(),
            needs: step.needs.iter().map(|need| id(runbook, *need)).collect(),
            in_finally: step.part == Part::Finally,
            effect: step.effect.name().to_owned(),
            condition: step.condition.as_ref().map(|condition| condition.expression.clone()).unwrap_or_default(),
            target: step.target.as_ref().map(|text| plan::shown(runbook, known, text)).unwrap_or_default(),
            outlook: kind.into(),
            why,
            asks,
            median: took.map(|took| to_proto::duration(took.median)),
            p90: took.map(|took| to_proto::duration(took.p90)),
            samples: took.map_or(0, |took| took.samples),
            has_rollback: pinned.can_undo(no),
            no_return: step.no_return,
            runbook: step.call().map(|call| call.runbook.clone()).unwrap_or_default(),
            below: started.map(|started| started.steps).unwrap_or_default(),
            each: step.each().map(|each| each.list.to_string()).unwrap_or_default(),
            pool: step.pool.clone().unwrap_or_default(),
            waits: waits(&step.work, by),
            locks: step.locks.iter().map(|text| named_lock(runbook, known, text)).collect(),
            repeat: step.many.as_ref().filter(|_| step.repeat().is_some()).map(ToString::to_string).unwrap_or_default(),
        }
    };
    runbook.steps.iter().zip(&plan.steps).enumerate().map(told).collect()
}

/// What a step waits for, in words; empty where it neither waits nor asks. `by` would start it.
fn waits(work: &Work, by: &str) -> String {
    match work {
        Work::Wait(wait) => wait.to_string(),
        Work::Approval(approval) if approval.not_requester => format!("{approval}; {by} may not"),
        Work::Approval(approval) => approval.to_string(),
        Work::Command(_) | Work::Fail(_) | Work::Runbook(_) | Work::Block(_) => String::new(),
    }
}

/// The locks and the group of a start, and who is before it at each.
fn locks(machine: &Machine, start: &Start) -> Vec<v1::PlannedLock> {
    let Ok(Fact::Created(created)) = decide::create(start) else { return Vec::new() };
    let resources = resources(&created);
    let replaces = start.pinned.runbook.overlap() == Some(Overlap::Replace);
    let told = |resource| planned_lock(machine, resource, replaces);
    resources.into_iter().map(told).collect()
}

/// A lock or a group, and who is before a start at it. `replaces` says that a start cancels who has its group.
fn planned_lock(machine: &Machine, resource: Resource, replaces: bool) -> v1::PlannedLock {
    let claim = machine.holder(&resource);
    let holder = claim.and_then(|claim| machine.run(claim.run));
    let since = claim.zip(holder).and_then(|(claim, run)| match claim.step {
        Some(step) => run.locked_since(step),
        None => run.admitted_at(),
    });
    let waiting = machine.waiting(&resource);
    let (name, group) = match resource {
        Resource::Lock(name) => (name, false),
        Resource::Group(name) => (name, true),
    };
    v1::PlannedLock {
        name,
        group,
        holder: holder.and_then(|run| machine.run(run.root())).map(to_proto::run_head),
        held_since: since.map(to_proto::timestamp),
        waiting: waiting as u64,
        replaces: group && replaces,
    }
}

/// A lock of a step, as far as its name is known before.
fn named_lock(runbook: &Runbook, known: &Known, text: &str) -> v1::PlannedLock {
    let name = key_in(runbook.environment_name(), &plan::shown(runbook, known, text));
    v1::PlannedLock { name, ..v1::PlannedLock::default() }
}

/// Goes through steps, and through those below them.
fn each_step(steps: &mut [v1::PlannedStep], visit: &mut impl FnMut(&mut v1::PlannedStep)) {
    for step in steps {
        visit(step);
        each_step(&mut step.below, visit);
    }
}

fn resources(created: &Created) -> Vec<Resource> {
    let locks = created.locks.iter().cloned().map(Resource::Lock);
    locks.chain(created.group.clone().map(Resource::Group)).collect()
}

/// Why a start would be refused.
fn problems(refused: Vec<Rejection>, missing: &[Missing]) -> Vec<v1::PlannedProblem> {
    let refused = refused.into_iter().map(|rejection| v1::PlannedProblem {
        subject: errors::reason(&rejection).to_owned(),
        problem: rejection.to_string(),
    });
    let missing = missing
        .iter()
        .map(|missing| v1::PlannedProblem { subject: missing.subject.clone(), problem: missing.problem.clone() });
    refused.into_iter().chain(missing).collect()
}
