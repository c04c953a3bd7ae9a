//! Schedules: `schedules:`. What is asked of them is asked here, so that no night finds out: the rule, the zone, the inputs,
//! and what a runbook that nobody watches should have. Never knows when they are due.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::code::Code;
use super::draft::StepDraft;
use super::environments::{self, Environments};
use super::given::{InputCode, check_inputs};
use super::interface::Interfaces;
use super::item::{Entry, Fields, Item};
use super::names;
use super::report::{Problem, Report};
use super::{schema, show};
use crate::definition::{
    Environment, Expect, Missed, MissedPolicy, Part, Runbook, Schedule, ScheduleOverlap, ScheduledStart, Timed,
    start_deadline,
};
use crate::destruction::{self, Known};
use crate::limits;
use crate::run::Principal;
use crate::schedule::{Dst, Rule, Written, Zone};
use crate::time::Span;

const MISSED: [(&str, MissedPolicy); 3] =
    [("skip", MissedPolicy::Skip), ("run_once", MissedPolicy::RunOnce), ("run_all", MissedPolicy::RunAll)];
const OVERLAPS: [(&str, ScheduleOverlap); 4] = [
    ("skip", ScheduleOverlap::Skip),
    ("queue", ScheduleOverlap::Queue),
    ("replace", ScheduleOverlap::Replace),
    ("allow", ScheduleOverlap::Allow),
];

/// Reads `schedules:` of a runbook that is read but for them and its steps.
pub(super) fn read(
    fields: &Fields<'_>,
    runbook: &Runbook,
    environments: &Environments,
    report: &mut Report<'_>,
) -> IndexMap<String, Arc<Schedule>> {
    let mut schedules = IndexMap::new();
    let Some(item) = fields.get("schedules") else { return schedules };
    let Some(entries) = item.entries(report) else { return schedules };
    if !names::within(item, "`schedules`", entries.len(), limits::SCHEDULES, "schedules", report) {
        return schedules;
    }
    for entry in entries {
        let name = names::id(entry.key, report);
        if let Some(schedule) = schedule(entry, runbook, environments, report) {
            schedules.insert(name.to_owned(), Arc::new(schedule));
        }
    }
    // Folders of very many are kept for long.
    schedules.shrink_to_fit();
    schedules
}

fn schedule(
    entry: Entry<'_>,
    runbook: &Runbook,
    environments: &Environments,
    report: &mut Report<'_>,
) -> Option<Schedule> {
    let fields = entry.value.section(&schema::SCHEDULE, entry.key.span(), report)?;
    let cron = fields.get("cron").and_then(|item| rule(item, report));
    let timezone = match fields.get("timezone") {
        Some(item) => zone(item, report),
        None => Some(Zone::UTC.name()),
    };
    let dst = fields.get("dst").and_then(|item| item.word(&Dst::WORDS, report)).unwrap_or_default();
    let overlap = overlap(&fields, runbook, report);
    let environment = fields.get("environment").and_then(|item| {
        let name = item.text(report)?;
        if environments.get(name).is_none() {
            environments::unknown(item, environments, report);
        }
        Some(name)
    });
    let inputs = inputs(&fields, entry.key.span(), runbook, environments.chosen(environment), report);
    let confirm = fields.get("confirm").map(|item| {
        let names = names::distinct(item, report, |item, report| item.text(report));
        names::within(item, "`confirm`", names.len(), limits::SCHEDULE_CONFIRMS, "names", report);
        names
    });
    let missed = missed(&fields, report);
    let jitter = fields.get("jitter").and_then(|item| item.duration(Span::ZERO, report)).unwrap_or_default();
    let expect = expect(&fields, report);
    let deadline = fields.get("start_deadline").and_then(|item| item.duration(Span::seconds(1), report));
    let start =
        ScheduledStart { environment: environment.map(str::to_owned), inputs, confirm: confirm.unwrap_or_default() };
    Some(Schedule {
        when: Written::new(cron?, timezone?, dst),
        start: (start != ScheduledStart::default()).then(|| Box::new(start)),
        missed,
        overlap,
        jitter,
        start_deadline: deadline.unwrap_or_else(start_deadline),
        expect,
    })
}

/// Reads `expect:` of a runbook or of a schedule.
pub(super) fn expect(fields: &Fields<'_>, report: &mut Report<'_>) -> Option<Expect> {
    let entry = fields.entry("expect")?;
    let fields = entry.value.section(&schema::EXPECT, entry.key.span(), report)?;
    let every = fields.get("every").and_then(|item| item.duration(Span::minutes(1), report))?;
    Some(Expect { every })
}

/// Reads `preflight:` of a runbook.
pub(super) fn preflight(fields: &Fields<'_>, report: &mut Report<'_>) -> Option<Timed> {
    let entry = fields.entry("preflight")?;
    let fields = entry.value.section(&schema::PREFLIGHT, entry.key.span(), report)?;
    let every = fields.get("every").and_then(|item| item.duration(Span::minutes(1), report))?;
    Some(Timed { every })
}

/// The rule, which has to be due at some time.
fn rule(item: Item<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = item.text(report)?;
    match text.parse::<Rule>() {
        Ok(rule) if rule.never() => {
            let message = format!("`{}` says {}", show(text), rule.explained());
            report.add(
                Problem::new(Code::NeverDue, item.span(), message)
                    .help("name a day that some month of it has; `runbookd cron next` shows when a rule is due"),
            );
            None
        }
        Ok(_) => Some(text.to_owned()),
        Err(fault) => {
            let span = item.locate(fault.at..fault.at + fault.length, report);
            report.add(Problem::new(Code::InvalidCron, span, fault.message).help(fault.help));
            None
        }
    }
}

fn zone(item: Item<'_>, report: &mut Report<'_>) -> Option<&'static str> {
    match Zone::named(item.text(report)?) {
        Ok(zone) => Some(zone.name()),
        Err(fault) => {
            report.add(Problem::new(Code::UnknownZone, item.span(), fault.to_string()).help(fault.help));
            None
        }
    }
}

/// What fits the group, or that there is none.
fn overlap(fields: &Fields<'_>, runbook: &Runbook, report: &mut Report<'_>) -> ScheduleOverlap {
    let Some(item) = fields.get("overlap") else { return ScheduleOverlap::default() };
    let overlap = item.word(&OVERLAPS, report).unwrap_or_default();
    let problem = match (overlap, &runbook.concurrency) {
        (ScheduleOverlap::Allow, Some(_)) => Some((
            "`allow` contradicts `concurrency`, by which runs of one group exclude each other",
            "write `queue`, `replace` or `skip`, or leave `concurrency` out",
        )),
        (ScheduleOverlap::Queue | ScheduleOverlap::Replace, None) => Some((
            "runs wait for each other only in a group, and the runbook has none",
            "add `concurrency: {group: NAME}`, or write `skip` or `allow`",
        )),
        _ => None,
    };
    if let Some((message, help)) = problem {
        report.add(Problem::new(Code::ConflictingKeys, item.span(), message).help(help));
    }
    overlap
}

fn missed(fields: &Fields<'_>, report: &mut Report<'_>) -> Missed {
    let mut missed = Missed::default();
    let Some(entry) = fields.entry("missed") else { return missed };
    if !entry.value.is_map() {
        missed.policy = entry.value.word(&MISSED, report).unwrap_or_default();
        return missed;
    }
    let Some(fields) = entry.value.section(&schema::MISSED, entry.key.span(), report) else { return missed };
    missed.policy = fields.get("policy").and_then(|item| item.word(&MISSED, report)).unwrap_or_default();
    if let Some(window) = fields.get("window").and_then(|item| item.duration(Span::seconds(1), report)) {
        missed.window = window;
    }
    let most = i64::from(limits::MISSED_MOST);
    if let Some(max) = fields.get("max").and_then(|item| item.integer(1..=most, report)) {
        missed.max = u32::try_from(max).unwrap_or(limits::MISSED_MOST);
    }
    missed
}

/// The inputs, by the rules of a start: nobody is there to be asked at night.
fn inputs(
    fields: &Fields<'_>,
    at: Range<usize>,
    runbook: &Runbook,
    environment: Option<&Environment>,
    report: &mut Report<'_>,
) -> BTreeMap<String, Value> {
    let mut given = Map::new();
    let mut places = Vec::new();
    if let Some(item) = fields.get("inputs") {
        for entry in item.entries(report).into_iter().flatten() {
            let name = entry.key.raw();
            places.push((name, entry.value.span()));
            let Some(value) = entry.value.json(report) else { continue };
            if runbook.inputs.get(name).is_some_and(|input| input.secret) {
                let message = format!("the input `{}` is secret, and this file is not", show(name));
                let help = "list it under `requires: {secrets: [NAME]}` instead, and read `${{ secrets.NAME }}`";
                report.add(Problem::new(Code::SecretShown, entry.value.span(), message).help(help));
            }
            given.insert(name.to_owned(), value);
        }
    }
    let mut all = given.clone();
    let completed = environment.map(|it| it.complete(&runbook.inputs, &mut all)).unwrap_or_default();
    for fault in check_inputs(runbook, &all).err().into_iter().flatten() {
        let place = places.iter().find(|(name, _)| *name == fault.input).map(|(_, span)| span.clone());
        let help = match fault.code {
            InputCode::Missing if runbook.inputs.get(&fault.input).is_some_and(|input| input.secret) => {
                let help =
                    "a schedule gives no secrets: list it under `requires: {secrets: [NAME]}`, or start it by hand";
                Some(help.to_owned())
            }
            InputCode::Missing => Some(format!("write `inputs: {{{}: …}}` in the schedule", fault.input)),
            _ if completed.contains(&fault.input) => Some("it comes from the environment: give it here".to_owned()),
            _ => fault.help,
        };
        let span = place.unwrap_or_else(|| at.clone());
        report.add(Problem::new(Code::ScheduleInput, span, fault.message).maybe_help(help));
    }
    given.into_iter().collect()
}

/// Whether each schedule has the environment that its runbook, and what that starts, asks for.
pub(super) fn placed(root: Item<'_>, runbook: &Runbook, others: &Interfaces, report: &mut Report<'_>) {
    for entry in root.peek("schedules").and_then(|item| item.entries(report)).into_iter().flatten() {
        let Some(schedule) = runbook.schedules.get(entry.key.raw()) else { continue };
        let named = schedule.environment();
        let called = runbook.called();
        let problem = match others.environments().chosen(named) {
            // That it is unknown was said where it stands.
            None if named.is_some() => continue,
            None if runbook.needs_environment || called.iter().any(|name| others.needs_environment(name)) => {
                "it needs an environment, and there is no default".to_owned()
            }
            Some(it) if !runbook.runs_in(&it.name) || !called.iter().all(|name| others.run_in(name, &it.name)) => {
                format!("it may not run in the environment {}", it.name)
            }
            Some(_) | None => continue,
        };
        let message = format!("the schedule `{}` starts nothing: {problem}", show(entry.key.raw()));
        let help = "write `environment:` in the schedule, with one that `environments` of the runbook, and of all that it starts, takes";
        report.add(Problem::new(Code::NoEnvironment, entry.key.span(), message).help(help));
    }
}

/// What a schedule destroys has to be named in it, since nobody is there to be asked: of a runbook without errors.
pub(super) fn confirmed(root: Item<'_>, runbook: &Runbook, environments: &Environments, report: &mut Report<'_>) {
    let principal = Principal::engine().name;
    for entry in root.peek("schedules").and_then(|item| item.entries(report)).into_iter().flatten() {
        let Some(schedule) = runbook.schedules.get(entry.key.raw()) else { continue };
        let given = schedule.inputs().into_iter().flatten();
        let mut given = given.map(|(name, value)| (name.clone(), value.clone())).collect();
        let environment = environments.chosen(schedule.environment());
        // Persons are asked before such a run begins.
        if environment.is_some_and(|it| it.protection.approvals.is_some()) {
            continue;
        }
        environment.map(|it| it.complete(&runbook.inputs, &mut given));
        let Ok(inputs) = check_inputs(runbook, &given) else { continue };
        let inputs = inputs.into_iter().collect();
        let (reason, left_out) = ("", &BTreeSet::new());
        let known = Known { runbook, environment, inputs: &inputs, principal: &principal, reason, left_out };
        for target in destruction::targets(&known, |_| true).into_iter().flatten() {
            if schedule.confirm().contains(&target.name) {
                continue;
            }
            let name = show(&target.name);
            let message = format!("this destroys `{name}`, and nobody is there to be asked");
            report.add(Problem::new(Code::Unconfirmed, entry.key.span(), message).help(format!(
                "write `confirm: [\"{name}\"]` in the schedule, or let an approval come before the step"
            )));
        }
    }
}

/// What a runbook should have that runs while nobody watches.
pub(super) fn warn(runbook: &Runbook, drafts: &[StepDraft<'_>], report: &mut Report<'_>) {
    let Some((schedule, _)) = runbook.schedules.first() else { return };
    for (step, draft) in runbook.steps.iter().zip(drafts) {
        let Some(command) = step.command() else { continue };
        if command.timeout.is_none() && runbook.timeout.is_none() {
            let message = format!("`{}` may take for ever, and the schedule `{schedule}` starts it unwatched", step.id);
            report.add(
                Problem::new(Code::NoTimeout, draft.id.clone(), message)
                    .help("add `timeout:` to the step, to `defaults` or to the runbook"),
            );
        }
        if step.part == Part::Main && !step.effect.repeatable() && step.verify.is_none() {
            let message = format!(
                "nobody can tell what `{}` did when it is cut off: its run then waits for a person, and holds up the \
                 schedule `{schedule}`",
                step.id
            );
            report.add(
                Problem::new(Code::NoVerify, draft.id.clone(), message)
                    .help("add `verify:`, or say `effect: idempotent` or `read` where a second try does no harm"),
            );
        }
    }
}
