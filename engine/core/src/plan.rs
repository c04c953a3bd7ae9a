//! What a start would do, as far as it can be known before: which steps run if all goes well, which are skipped and why,
//! what depends on results, and how long it takes by what past runs took. Never knows other runs, nor where the past is
//! kept.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use crate::definition::{Call, Given, Part, Runbook, Step, Wait, WhenSkipped, Work};
use crate::expression::{Expression, Reference, RunField, Scope, Template};
use crate::id::StepNo;
use crate::language::check_inputs;
use crate::selection::Selection;
use crate::time::Span;

/// What is known of how long tries of a step took that succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Took {
    /// Half of them took at most this.
    pub median: Span,
    /// Nine of ten took at most this.
    pub p90: Span,
    /// How many were looked at.
    pub samples: u32,
}

impl Took {
    /// What a list of durations tells; `None` of an empty one.
    pub fn of(mut durations: Vec<Span>) -> Option<Self> {
        durations.sort_unstable();
        let last = durations.len().checked_sub(1)?;
        // The nearest rank: one that was really measured, and of two the larger.
        let rank = |percent: usize| durations[(last * percent).div_ceil(100)];
        Some(Self { median: rank(50), p90: rank(90), samples: u32::try_from(durations.len()).unwrap_or(u32::MAX) })
    }
}

/// Whether a step runs if all goes well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outlook {
    /// It runs.
    Runs,
    /// A step that it needs is skipped, or all that it undoes.
    SkippedWith(StepNo),
    /// Its `if` is false.
    ConditionFalse,
    /// Its `if` cannot be evaluated: the step fails without an attempt.
    ConditionFails(String),
    /// Its `if` asks for something that only the run will tell.
    Open {
        /// What, as it is written.
        asks: Vec<String>,
    },
    /// It runs if that step does, of which it is open whether it does.
    OpenWith(StepNo),
    /// The start leaves it out.
    LeftOut,
}

impl Outlook {
    /// Whether it may run, as far as it is known.
    pub const fn may_run(&self) -> bool {
        match self {
            Self::Runs | Self::Open { .. } | Self::OpenWith(_) => true,
            Self::SkippedWith(_) | Self::ConditionFalse | Self::ConditionFails(_) | Self::LeftOut => false,
        }
    }
}

/// What is known of the inputs of a run that is not there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Their values, secret ones left out.
    pub inputs: IndexMap<String, Value>,
    /// Those of which only the run will tell.
    pub open: BTreeSet<String>,
    /// What the start leaves out.
    pub selection: Selection,
}

impl Known {
    /// What a step would give to the runbook that it starts, as far as it can be told before.
    ///
    /// # Errors
    /// In words: that runbook would not take it.
    pub fn given(&self, runbook: &Runbook, call: &Call, other: &Runbook) -> Result<Self, String> {
        let mut given = Map::new();
        let mut open = BTreeSet::new();
        for (name, value) in &call.inputs {
            let value = match value {
                Given::Value(value) => value.clone(),
                Given::Template(text) => {
                    let scope = Ahead { runbook, known: self, seen: &[], asked: Cell::default() };
                    let rendered = Template::parse(text).ok().map(|template| template.render(&scope));
                    match rendered {
                        _ if !scope.asked.take().is_empty() => {
                            open.insert(name.clone());
                            continue;
                        }
                        Some(Ok(value)) => value,
                        Some(Err(error)) => return Err(format!("the input {name}: {error}")),
                        None => return Err(format!("the input {name}: it cannot be read")),
                    }
                }
            };
            if !value.is_null() {
                given.insert(name.clone(), value);
            }
        }
        if let Some(environment) = &runbook.environment {
            let mut all: Map<String, Value> = open.iter().map(|name| (name.clone(), Value::from(true))).collect();
            all.extend(given);
            environment.complete(&other.inputs, &mut all);
            all.retain(|name, _| !open.contains(name));
            given = all;
        }
        let faults = check_inputs(other, &given).err().unwrap_or_default();
        let faults: Vec<String> =
            faults.into_iter().filter(|fault| !open.contains(&fault.input)).map(|fault| fault.message).collect();
        if !faults.is_empty() {
            return Err(format!("{} would not take it: {}", other.name, faults.join("; ")));
        }
        let told = other.inputs.iter().filter(|(name, _)| !open.contains(*name));
        let told =
            told.filter_map(|(name, decl)| Some((name.clone(), given.get(name).or(decl.default.as_ref())?.clone())));
        Ok(Self { inputs: told.collect(), open, selection: Selection::default() })
    }
}

/// What a start would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Of each step, in the order of the definition.
    pub steps: Vec<Outlook>,
    /// The steps that decide how long it takes, in their order; those of `finally` last.
    pub critical_path: Vec<StepNo>,
    /// How long these take together, by medians.
    pub expected: Span,
    /// The same by the slow ones.
    pub expected_p90: Span,
    /// Steps that may run and whose duration nobody knows: they count as nothing above. Those that wait for persons, times or
    /// probes are not among them.
    pub unmeasured: Vec<StepNo>,
}

/// Looks ahead. `known` is checked and completed; `took` is what is known of steps.
pub fn plan(runbook: &Runbook, known: &Known, took: &BTreeMap<StepNo, Took>) -> Plan {
    let mut seen: Vec<Option<Seen>> = vec![None; runbook.steps.len()];
    let order = order(&runbook.steps);
    for no in &order {
        let judged = judge(runbook, known, &seen, *no);
        if let Some(slot) = seen.get_mut(no.index()) {
            *slot = Some(judged);
        }
    }
    // A checked definition has no cycle, so that every step has its turn.
    let steps: Vec<Outlook> =
        seen.into_iter().map(|seen| seen.map_or(Outlook::Open { asks: Vec::new() }, |seen| seen.outlook)).collect();
    let waits = |no: StepNo| runbook.step(no).is_some_and(|step| waits_for_others(&step.work));
    let unmeasured = order.iter().filter(|no| steps[no.index()].may_run() && !took.contains_key(no) && !waits(**no));
    let mut unmeasured: Vec<StepNo> = unmeasured.copied().collect();
    unmeasured.sort_unstable();
    let length = |of: fn(&Took) -> Span| {
        let main = longest(runbook, &order, &steps, Part::Main, |no| took.get(&no).map_or(Span::ZERO, of));
        let last = longest(runbook, &order, &steps, Part::Finally, |no| took.get(&no).map_or(Span::ZERO, of));
        (Span(main.0.0.saturating_add(last.0.0)), [main.1, last.1].concat())
    };
    let (expected, critical_path) = length(|took| took.median);
    let (expected_p90, _) = length(|took| took.p90);
    Plan { steps, critical_path, expected, expected_p90, unmeasured }
}

/// All steps, each behind those that it needs; otherwise in the order of the definition.
pub(crate) fn order(steps: &[Step]) -> Vec<StepNo> {
    let mut open: Vec<usize> = steps.iter().map(|step| step.needs.len()).collect();
    let mut dependants = vec![Vec::new(); steps.len()];
    for (index, step) in steps.iter().enumerate() {
        for need in &step.needs {
            dependants[need.index()].push(index);
        }
    }
    let mut free: std::collections::BTreeSet<usize> = (0..open.len()).filter(|index| open[*index] == 0).collect();
    let mut order = Vec::with_capacity(open.len());
    while let Some(index) = free.pop_first() {
        order.push(StepNo(index as u32));
        for next in &dependants[index] {
            open[*next] -= 1;
            if open[*next] == 0 {
                free.insert(*next);
            }
        }
    }
    order
}

/// The path through a part that takes longest, and how long it takes.
fn longest(
    runbook: &Runbook,
    order: &[StepNo],
    steps: &[Outlook],
    part: Part,
    takes: impl Fn(StepNo) -> Span,
) -> (Span, Vec<StepNo>) {
    let mut ends: Vec<(Span, Option<StepNo>)> = vec![(Span::ZERO, None); runbook.steps.len()];
    let mut last: Option<StepNo> = None;
    for no in order {
        let Some(step) = runbook.step(*no).filter(|step| step.part == part) else { continue };
        // Of equal ones the first that is written.
        let before =
            step.needs.iter().copied().reduce(|a, b| if ends[b.index()].0 > ends[a.index()].0 { b } else { a });
        let begins = before.map_or(Span::ZERO, |before| ends[before.index()].0);
        let own = if steps[no.index()].may_run() { takes(*no) } else { Span::ZERO };
        ends[no.index()] = (Span(begins.0.saturating_add(own.0)), before);
        if last.is_none_or(|last| ends[no.index()].0 > ends[last.index()].0) {
            last = Some(*no);
        }
    }
    let mut path = Vec::new();
    let mut next = last;
    while let Some(no) = next {
        if steps[no.index()].may_run() && takes(no) > Span::ZERO {
            path.push(no);
        }
        next = ends[no.index()].1;
    }
    path.reverse();
    (last.map_or(Span::ZERO, |last| ends[last.index()].0), path)
}

/// A step that was looked at.
#[derive(Debug, Clone)]
struct Seen {
    outlook: Outlook,
    /// Whether it is skipped, and nothing that fails is the reason.
    passed_over: bool,
}

impl Seen {
    /// Whether it is as good as succeeded for those that need it.
    fn is_met(&self, step: &Step) -> bool {
        self.outlook.may_run()
            || self.outlook == Outlook::LeftOut
            || (self.passed_over && step.when_skipped == WhenSkipped::GoOn)
    }
}

fn judge(runbook: &Runbook, known: &Known, seen: &[Option<Seen>], no: StepNo) -> Seen {
    let Some(step) = runbook.step(no) else { return Seen { outlook: Outlook::Runs, passed_over: false } };
    let implied = step.needs.iter().filter(|need| step.implies(**need));
    let needs: Vec<(StepNo, &Step, &Seen)> =
        implied.filter_map(|need| Some((*need, runbook.step(*need)?, seen.get(need.index())?.as_ref()?))).collect();
    let mut unmet = needs.iter().filter(|(_, step, seen)| !seen.is_met(step)).peekable();
    if let Some((need, ..)) = unmet.peek() {
        let outlook = Outlook::SkippedWith(*need);
        return Seen { outlook, passed_over: unmet.all(|(_, _, seen)| seen.passed_over) };
    }
    if known.selection.left_out.contains(&no) {
        return Seen { outlook: Outlook::LeftOut, passed_over: true };
    }
    let undone: Vec<(StepNo, &Outlook)> =
        step.undoes.iter().filter_map(|no| Some((*no, &seen.get(no.index())?.as_ref()?.outlook))).collect();
    let nothing = !undone.iter().any(|(_, outlook)| outlook.may_run());
    if let Some((first, _)) = undone.first().filter(|_| nothing) {
        return Seen { outlook: Outlook::SkippedWith(*first), passed_over: true };
    }
    let mut outlook = outlook(runbook, known, seen, step, &needs);
    let sure = undone.is_empty() || undone.iter().any(|(_, outlook)| **outlook == Outlook::Runs);
    if let Some((open, _)) = undone.iter().find(|(_, outlook)| outlook.may_run()).filter(|_| !sure)
        && outlook == Outlook::Runs
    {
        outlook = Outlook::OpenWith(*open);
    }
    let passed_over = outlook == Outlook::ConditionFalse;
    Seen { outlook, passed_over }
}

/// What the `if` of a step says, all of whose needs are met.
fn outlook(
    runbook: &Runbook,
    known: &Known,
    seen: &[Option<Seen>],
    step: &Step,
    needs: &[(StepNo, &Step, &Seen)],
) -> Outlook {
    let is_open = |(_, need, seen): &&(StepNo, &Step, &Seen)| {
        let open = matches!(seen.outlook, Outlook::Open { .. } | Outlook::OpenWith(_));
        // Where the others go on over it, it does not matter whether it runs.
        open && need.when_skipped == WhenSkipped::Skip
    };
    let open = needs.iter().find(is_open).map(|(need, ..)| *need);
    let certain = || open.map_or(Outlook::Runs, Outlook::OpenWith);
    let Some(condition) = &step.condition else { return certain() };
    let Ok(expression) = Expression::parse(&condition.expression) else { return certain() };
    let scope = Ahead { runbook, known, seen, asked: Cell::default() };
    let answer = expression.holds(&scope);
    let asks = scope.asked.take();
    match answer {
        _ if !asks.is_empty() => Outlook::Open { asks },
        Ok(true) => certain(),
        Ok(false) => Outlook::ConditionFalse,
        Err(error) => Outlook::ConditionFails(error.to_string()),
    }
}

/// The names of an expression before the run: inputs have values, steps succeed or are skipped, and the rest is noted.
struct Ahead<'a> {
    runbook: &'a Runbook,
    known: &'a Known,
    seen: &'a [Option<Seen>],
    asked: Cell<Vec<String>>,
}

impl Ahead<'_> {
    fn open(&self, what: String) -> Option<Value> {
        let mut asked = self.asked.take();
        if !asked.contains(&what) {
            asked.push(what);
        }
        self.asked.set(asked);
        None
    }

    fn outlook(&self, id: &str) -> Option<&Outlook> {
        let no = self.runbook.find(id)?;
        self.seen.get(no.index())?.as_ref().map(|seen| &seen.outlook)
    }

    fn status(&self, id: &str) -> Option<Value> {
        match self.outlook(id) {
            Some(Outlook::Runs | Outlook::LeftOut) => Some(Value::from("succeeded")),
            Some(Outlook::SkippedWith(_) | Outlook::ConditionFalse) => Some(Value::from("skipped")),
            Some(Outlook::ConditionFails(_)) => Some(Value::from("failed")),
            Some(Outlook::Open { .. } | Outlook::OpenWith(_)) | None => self.open(format!("steps.{id}.status")),
        }
    }
}

impl Scope for Ahead<'_> {
    fn value_of(&self, reference: &Reference) -> Option<Value> {
        let skipped = |id: &str| self.outlook(id).is_some_and(|outlook| !outlook.may_run());
        match reference {
            Reference::Input(name) => {
                let decl = self.runbook.inputs.get(name)?;
                match (self.known.inputs.get(name), decl.secret || self.known.open.contains(name)) {
                    (None, true) => self.open(format!("inputs.{name}")),
                    (value, _) => value.cloned(),
                }
            }
            Reference::Env(name) => {
                let text = self.runbook.env.get(name)?;
                Template::parse(text).ok()?.render_text(self).ok().map(Value::String)
            }
            Reference::Environment => self.runbook.environment_name().map(Value::from),
            Reference::EnvironmentValue(name) => self.runbook.environment_value(name).cloned(),
            Reference::StepStatus(id) => self.status(id),
            Reference::StepOutput(id, key) if self.outlook(id) == Some(&Outlook::LeftOut) => {
                let no = self.runbook.find(id)?;
                self.known.selection.outputs.get(&no)?.get(key).cloned()
            }
            // A step that does not run leaves nothing.
            Reference::StepOutput(id, _) | Reference::StepArtifact(id, _) | Reference::StepExitCode(id)
                if skipped(id) =>
            {
                None
            }
            Reference::StepOutput(id, key) => self.open(format!("steps.{id}.outputs.{key}")),
            Reference::StepArtifact(id, name) => self.open(format!("steps.{id}.artifacts['{name}']")),
            Reference::StepExitCode(id) => self.open(format!("steps.{id}.exit_code")),
            Reference::Run(RunField::Runbook) => Some(Value::from(self.runbook.name.clone())),
            Reference::Run(RunField::Outcome) => Some(Value::from("succeeded")),
            Reference::Run(field) => self.open(format!("run.{}", field.name())),
            Reference::Always => Some(Value::Bool(true)),
            Reference::Failure => Some(Value::Bool(false)),
            Reference::Secret(name) => self.open(format!("secrets.{name}")),
            Reference::Item
            | Reference::EachKey
            | Reference::EachNumber
            | Reference::Iteration(_)
            | Reference::IterationOutput(_) => self.open(reference.to_string()),
            Reference::ExitCode => self.open("exit_code".to_owned()),
            Reference::AttemptOutput(key) => self.open(format!("attempt.outputs.{key}")),
        }
    }
}

/// A text of a step with the inputs in it, as far as it can be known; the author's text where it cannot.
pub fn shown(runbook: &Runbook, known: &Known, text: &str) -> String {
    let scope = Ahead { runbook, known, seen: &[], asked: Cell::default() };
    let rendered = Template::parse(text).ok().and_then(|template| template.render_text(&scope).ok());
    match scope.asked.take().is_empty() {
        true => rendered.unwrap_or_else(|| text.to_owned()),
        false => text.to_owned(),
    }
}

/// Whether how long a step takes is up to persons, to the time of the day, or to what a probe asks.
fn waits_for_others(work: &Work) -> bool {
    match work {
        Work::Approval(_) => true,
        Work::Wait(wait) => !matches!(**wait, Wait::For(_)),
        Work::Command(_) | Work::Fail(_) | Work::Runbook(_) | Work::Block(_) => false,
    }
}

/// How long the steps of a runbook take, by what is known of their tries by their ids. One that waits for a span takes that;
/// of one that waits for others nothing is known, whatever a probe took.
pub fn durations<'a>(runbook: &Runbook, by_id: impl Fn(&str) -> Option<Took> + 'a) -> BTreeMap<StepNo, Took> {
    let mut took = numbered(runbook, by_id);
    for (no, step) in (0..).map(StepNo).zip(&runbook.steps) {
        if let Work::Wait(wait) = &step.work
            && let Wait::For(span) = **wait
        {
            took.insert(no, Took { median: span, p90: span, samples: 0 });
        } else if waits_for_others(&step.work) {
            took.remove(&no);
        }
    }
    took
}

/// The steps of a runbook by their ids, for what is known of them by id.
pub fn numbered<'a, T: Copy>(runbook: &Runbook, by_id: impl Fn(&str) -> Option<T> + 'a) -> BTreeMap<StepNo, T> {
    let numbered = |(index, step): (usize, &Step)| Some((StepNo(index as u32), by_id(&step.id)?));
    runbook.steps.iter().enumerate().filter_map(numbered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language;

    const RUNBOOK: &str = r#"
name: move
language: 1
inputs: {prod: {type: boolean, default: false}, key: {type: string, secret: true}}
steps:
  last: {needs: [sum, drop], argv: [last]}
  dump: {argv: [dump], outputs: {bytes: integer}}
  sum: {needs: [dump], if: "inputs.prod || steps.dump.outputs.bytes > 0", argv: [sum]}
  drop: {needs: [dump], if: inputs.prod, argv: [drop], effect: destructive, target: "db/${{ inputs.prod }}/${{ run.reason }}"}
  after-drop: {needs: [drop], argv: [a]}
  either: {needs: [drop], if: "steps.drop.status == 'skipped'", argv: [e]}
  mend: {needs: [dump], if: failure(), argv: [m]}
  behind: {needs: [sum], argv: [b]}
finally:
  tell: {argv: [tell], if: "run.outcome == 'succeeded'"}
"#;

    fn known(prod: bool) -> Known {
        let selection = Selection::default();
        Known { selection, inputs: IndexMap::from([("prod".to_owned(), Value::Bool(prod))]), open: BTreeSet::new() }
    }

    fn planned(prod: bool) -> (Runbook, Plan) {
        let checked = language::check(RUNBOOK.as_bytes(), "move.yaml");
        let runbook = checked.runbook.unwrap_or_else(|| panic!("{:?}", checked.findings));
        let took = |seconds: i64| Took { median: Span::seconds(seconds), p90: Span::seconds(2 * seconds), samples: 5 };
        let measured = [("dump", took(60)), ("sum", took(5)), ("drop", took(9)), ("last", took(1)), ("tell", took(2))];
        let took =
            numbered(&runbook, |id| measured.iter().find(|(measured, _)| *measured == id).map(|(_, took)| *took));
        let known = known(prod);
        let plan = plan(&runbook, &known, &took);
        (runbook, plan)
    }

    #[test]
    fn what_runs_and_what_is_skipped_is_known_as_far_as_it_can_be() {
        let (_, plan) = planned(false);
        let open = || Outlook::Open { asks: vec!["steps.dump.outputs.bytes".to_owned()] };
        assert_eq!(
            plan.steps,
            [
                Outlook::SkippedWith(StepNo(3)),
                Outlook::Runs,
                open(),
                Outlook::ConditionFalse,
                Outlook::SkippedWith(StepNo(3)),
                Outlook::Runs,
                Outlook::ConditionFalse,
                Outlook::OpenWith(StepNo(2)),
                Outlook::Runs,
            ]
        );
        // Nothing is asked of the run where an input decides.
        let (_, plan) = planned(true);
        assert_eq!(
            (&plan.steps[0], &plan.steps[2], &plan.steps[5]),
            (&Outlook::Runs, &Outlook::Runs, &Outlook::ConditionFalse)
        );
    }

    #[test]
    fn steps_go_on_over_a_skipped_one_that_says_so() {
        let source = RUNBOOK.replace("drop: {needs: [dump],", "drop: {needs: [dump], when_skipped: go_on,");
        let checked = language::check(source.as_bytes(), "move.yaml");
        let runbook = checked.runbook.unwrap_or_else(|| panic!("{:?}", checked.findings));
        let known = known(false);
        let plan = plan(&runbook, &known, &BTreeMap::new());
        assert_eq!(plan.steps[3], Outlook::ConditionFalse);
        assert_eq!((&plan.steps[0], &plan.steps[4]), (&Outlook::OpenWith(StepNo(2)), &Outlook::Runs));
    }

    #[test]
    fn what_undoes_steps_runs_if_one_of_them_does() {
        let undo = "finally:\n  undo: {undoes: [drop], argv: [u]}\n  both: {undoes: [drop, sum], argv: [u]}\n";
        let source = RUNBOOK.replace("finally:\n", undo);
        let checked = language::check(source.as_bytes(), "move.yaml");
        let runbook = checked.runbook.unwrap_or_else(|| panic!("{:?}", checked.findings));
        let plan = |prod: bool| {
            let known = known(prod);
            plan(&runbook, &known, &BTreeMap::new()).steps[8..10].to_vec()
        };
        assert_eq!(plan(false), [Outlook::SkippedWith(StepNo(3)), Outlook::OpenWith(StepNo(2))]);
        assert_eq!(plan(true), [Outlook::Runs, Outlook::Runs]);
    }

    #[test]
    fn the_longest_path_decides() {
        let (_, plan) = planned(true);
        assert_eq!(plan.critical_path, [StepNo(1), StepNo(3), StepNo(0), StepNo(8)]);
        assert_eq!((plan.expected, plan.expected_p90), (Span::seconds(72), Span::seconds(144)));
        assert_eq!(plan.unmeasured, [StepNo(4), StepNo(7)]);
        let (_, plan) = planned(false);
        assert_eq!(plan.critical_path, [StepNo(1), StepNo(2), StepNo(8)]);
    }

    #[test]
    fn texts_are_shown_as_far_as_they_are_known() {
        let (runbook, _) = planned(true);
        let known = known(true);
        assert_eq!(shown(&runbook, &known, "db/${{ inputs.prod }}"), "db/true");
        let open = "db/${{ inputs.prod }}/${{ run.uid }}";
        assert_eq!(shown(&runbook, &known, open), open);
        let secret = "db/${{ inputs.key }}";
        assert_eq!(shown(&runbook, &known, secret), secret);
    }

    #[test]
    fn durations_are_ranked() {
        let took = Took::of((1..=10).rev().map(Span::seconds).collect()).unwrap();
        assert_eq!((took.median, took.p90, took.samples), (Span::seconds(6), Span::seconds(10), 10));
        assert_eq!(Took::of(vec![Span::seconds(3)]).unwrap().p90, Span::seconds(3));
        assert_eq!(Took::of(Vec::new()), None);
    }
}
