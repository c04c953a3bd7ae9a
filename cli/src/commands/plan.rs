//! `runbook plan`: what a start would do, before anything runs.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{
    InputSource, Origin, PlanRunRequest, PlanRunResponse, PlannedLock, PlannedStep, StartRunRequest, StepOutlook,
};

use super::status::uncommon;
use crate::complete;
use crate::console::{Console, INDENT};
use crate::context::Context;
use crate::environment::{InEnvironment, variables};
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::inputs::{assignment, collect};
use crate::line::{Line, Tone};
use crate::moment::{Moment, moment, span};
use crate::named::{Named, named};
use crate::path;
use crate::run_name::resolve;
use crate::selecting::Selecting;
use crate::session::runs;
use crate::table::Table;
use crate::text::plural;
use crate::to_json;
use crate::to_json::{micros, run_status};

/// Arguments of `plan`.
#[derive(Debug, Args)]
#[command(after_help = "Exits with 0 when the run would start or queue, and with 6 when it would be refused now. \
    `runbook rehearse` shows what follows when a step fails.\n\n\
    Examples:\n  runbook plan backup -i keep=7\n  runbook plan dr-restore -i into=/tmp/x --output json\n  \
    runbook plan ./try.yaml --skip-preflight\n  runbook plan deploy --until build\n  \
    runbook plan deploy --env prod")]
pub struct Plan {
    /// A runbook's name, or the path of a file (with a `/`, or ending in .yaml or .yml)
    #[arg(value_name = "NAME|FILE", required_unless_present = "like", add = ArgValueCompleter::new(complete::runbook_or_file))]
    pub what: Option<String>,
    /// An input, read by its declared type; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = assignment)]
    pub input: Vec<(String, String)>,
    /// A JSON file with inputs, `-` for standard input; --input wins over it
    #[arg(long, value_name = "FILE")]
    pub input_file: Option<PathBuf>,
    /// Does not look for tools and secrets: that starts programs to ask for their versions
    #[arg(long)]
    pub skip_preflight: bool,
    /// Where it runs.
    #[command(flatten)]
    pub place: InEnvironment,
    /// What of it runs.
    #[command(flatten)]
    pub selecting: Selecting,
}

/// Runs the verb.
///
/// # Errors
/// The runbook or an input is wrong, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Plan) -> Result<ExitCode> {
    let Named { runbook, source, source_file } = args.what.as_deref().map(named).transpose()?.unwrap_or_default();
    let inputs = collect(&args.input, args.input_file.as_deref())?;
    let origin = if cx.console.person { Origin::Person } else { Origin::Api };
    let like = match &args.selecting.like {
        Some(like) => resolve(cx, like).await?,
        None => String::new(),
    };
    let start = StartRunRequest {
        runbook,
        source,
        source_file,
        inputs: Some(inputs.values),
        input_texts: inputs.texts,
        origin: origin.into(),
        selection: args.selecting.selection(),
        like,
        environment: args.place.name(),
        input_variables: variables(),
        ..StartRunRequest::default()
    };
    let request = PlanRunRequest { start: Some(start), skip_preflight: args.skip_preflight };
    let plan = cx.session.ask_to_start(async |channel| runs(channel).plan_run(request.clone()).await).await?;
    if cx.console.json {
        cx.console.json(&to_json::plan(&plan))?;
    } else {
        human(&cx.console, &plan)?;
    }
    Ok(if plan.problems.is_empty() { ExitCode::Succeeded } else { ExitCode::Refused })
}

fn human(console: &Console, plan: &PlanRunResponse) -> Result<()> {
    let name = plan.runbook.strip_prefix("runbooks/").unwrap_or(&plan.runbook);
    let digest: String = plan.definition.chars().take(12).collect();
    let place = if plan.environment.is_empty() { String::new() } else { format!(" in {}", plan.environment) };
    let title = Line::of(Tone::Bold, &format!("plan of {name}{place}"));
    console.line(&title.with(Tone::Dim, &format!("  definition {digest}")))?;
    section(console, "Inputs", &inputs(plan))?;
    section(console, "Steps", &steps(plan))?;
    if !plan.locks.is_empty() {
        console.line(&Line::new())?;
        console.line(&Line::of(Tone::Bold, "Locks"))?;
        for lock in &plan.locks {
            console.wrapped_line(&lock_line(lock), INDENT)?;
        }
    }
    console.line(&Line::new())?;
    let priority = uncommon(plan.priority());
    if !priority.is_empty() {
        console.wrapped_line(&Line::of(Tone::Plain, &format!("Its priority is {priority}.")), INDENT)?;
    }
    for line in times(plan).into_iter().chain(way_back(plan)) {
        console.wrapped_line(&line, INDENT)?;
    }
    for line in verdict(plan) {
        console.wrapped_line(&line, INDENT)?;
    }
    Ok(())
}

fn section(console: &Console, title: &str, table: &Table) -> Result<()> {
    if table.is_empty() {
        return Ok(());
    }
    console.line(&Line::new())?;
    console.line(&Line::of(Tone::Bold, title))?;
    console.table(table)
}

fn inputs(plan: &PlanRunResponse) -> Table {
    let mut table = Table::new(&["INPUT", "FROM", "VALUE"]);
    for input in &plan.inputs {
        let (source, value) = match input.source() {
            InputSource::Given => ("given".to_owned(), input.value.as_ref()),
            InputSource::Default => ("default".to_owned(), input.value.as_ref()),
            InputSource::Like => ("like".to_owned(), input.value.as_ref()),
            InputSource::Variable => ("variable".to_owned(), input.value.as_ref()),
            InputSource::Environment => (format!("environment {}", plan.environment), input.value.as_ref()),
            InputSource::Absent | InputSource::Unspecified => ("nowhere".to_owned(), None),
        };
        let value = match (value, input.secret) {
            (Some(value), _) => to_json::value(value).to_string(),
            (None, true) if input.source() != InputSource::Absent && input.ephemeral => {
                "(secret; kept nowhere: after a restart of the daemon `runbook provide` gives it)".to_owned()
            }
            (None, true) if input.source() != InputSource::Absent => "(secret)".to_owned(),
            (None, _) => "null".to_owned(),
        };
        table.row(vec![(Tone::Bold, input.name.clone()), (Tone::Dim, source), (Tone::Plain, value)]);
    }
    table
}

fn steps(plan: &PlanRunResponse) -> Table {
    let mut table = Table::new(&["STEP", "WHAT", "EFFECT", "MEDIAN", "P90", "WHY"]).wrapped();
    add(&mut table, &plan.steps, 0);
    table
}

/// Steps, and below each what it starts, moved in.
fn add(table: &mut Table, steps: &[PlannedStep], depth: usize) {
    let time = |of: Option<&prost_types::Duration>| of.map(|of| span(micros(Some(of)))).unwrap_or_default();
    for step in steps {
        let (tone, what) = outlook(step);
        table.row(vec![
            (Tone::Bold, format!("{}{}", "  ".repeat(depth), step.id)),
            (tone, what.to_owned()),
            (Tone::Plain, step.effect.clone()),
            (Tone::Plain, time(step.median.as_ref())),
            (Tone::Plain, time(step.p90.as_ref())),
            (Tone::Plain, notes(step)),
        ]);
        add(table, &step.below, depth + 1);
    }
}

fn outlook(step: &PlannedStep) -> (Tone, &'static str) {
    match step.outlook() {
        StepOutlook::Runs => (Tone::Good, "runs"),
        StepOutlook::Skipped => (Tone::Dim, "skipped"),
        StepOutlook::LeftOut => (Tone::Dim, "left out"),
        StepOutlook::Fails => (Tone::Bad, "fails"),
        StepOutlook::Open | StepOutlook::Unspecified => (Tone::Warn, "open"),
    }
}

fn notes(step: &PlannedStep) -> String {
    let mut notes = Vec::new();
    if step.in_finally {
        notes.push("finally".to_owned());
    }
    if !step.each.is_empty() {
        notes.push(format!("for {}", step.each));
    }
    if !step.repeat.is_empty() {
        notes.push(step.repeat.clone());
    }
    if !step.runbook.is_empty() {
        notes.push(format!("starts {}", step.runbook));
    }
    if matches!(step.outlook(), StepOutlook::Runs | StepOutlook::Open) {
        notes.extend(step.locks.iter().map(step_lock));
        if !step.pool.is_empty() {
            notes.push(format!("pool {}", step.pool));
        }
        if !step.waits.is_empty() {
            notes.push(step.waits.clone());
        }
    }
    if !step.target.is_empty() && !matches!(step.outlook(), StepOutlook::Skipped | StepOutlook::LeftOut) {
        notes.push(format!("destroys {}", step.target));
    }
    if !step.why.is_empty() {
        notes.push(step.why.clone());
    }
    notes.join("; ")
}

/// A lock of a step, in few words.
fn step_lock(lock: &PlannedLock) -> String {
    let had = lock.holder.as_ref().map(|run| format!("run {} has it", run.number));
    let waits = (lock.waiting > 0).then(|| format!("{} in the queue", lock.waiting));
    match had.into_iter().chain(waits).collect::<Vec<_>>().join(", ").as_str() {
        "" => format!("takes lock {}", lock.name),
        now => format!("takes lock {} ({now})", lock.name),
    }
}

fn lock_line(lock: &PlannedLock) -> Line {
    let what = if lock.group { "group" } else { "lock" };
    let mut line = Line::of(Tone::Plain, &format!("{what} ")).with(Tone::Bold, &lock.name);
    match &lock.holder {
        None if lock.waiting == 0 => line.push(Tone::Good, "  free"),
        None => {}
        Some(run) => {
            let runbook = run.runbook.strip_prefix("runbooks/").unwrap_or(&run.runbook);
            line.push(Tone::Warn, &format!("  held by run {} {runbook} ({})", run.number, run_status(run.status())));
            if let Some(since) = moment(lock.held_since.as_ref()) {
                line.push(Tone::Plain, &format!(" for {}", span(Moment::now().since(since))));
            }
        }
    }
    match lock.waiting {
        0 if lock.replaces && lock.holder.is_some() => line.push(Tone::Warn, ", which this one replaces"),
        0 => {}
        waiting if lock.replaces => {
            line.push(Tone::Warn, &format!(", {} in the queue; this one replaces them", plural(waiting, "run")));
        }
        waiting => line.push(Tone::Plain, &format!(", {} before this one", plural(waiting, "run"))),
    }
    line
}

fn times(plan: &PlanRunResponse) -> Vec<Line> {
    let mut lines = Vec::new();
    if plan.critical_path.is_empty() {
        let text = match plan.past_runs {
            0 => "nothing is known of how long it takes: no run of it is over".to_owned(),
            runs => format!(
                "nothing is known of how long it takes: {} told nothing of these steps",
                plural(runs.into(), "past run")
            ),
        };
        lines.push(Line::of(Tone::Dim, &text));
        lines.extend(on_top(plan));
        return lines;
    }
    let by = match plan.past_runs {
        0 => ": ".to_owned(),
        runs => format!(" (by {}): ", plural(runs.into(), "past run")),
    };
    lines.push(
        Line::of(Tone::Bold, &format!("about {}", span(micros(plan.expected.as_ref()))))
            .with(Tone::Plain, &format!(", if slow {}", span(micros(plan.expected_p90.as_ref()))))
            .with(Tone::Dim, &by)
            .with(Tone::Plain, &plan.critical_path.join(" → ")),
    );
    if !plan.unmeasured.is_empty() {
        let text = format!("without {}, whose time nobody knows", plan.unmeasured.join(", "));
        lines.push(Line::of(Tone::Dim, &text));
    }
    lines.extend(on_top(plan));
    lines
}

/// What is in no expected time: persons, times of the day, and probes.
fn on_top(plan: &PlanRunResponse) -> Option<Line> {
    let mut found = Vec::new();
    waiting(&plan.steps, "", &mut found);
    (!found.is_empty())
        .then(|| Line::of(Tone::Warn, &format!("what these wait for comes on top: {}", found.join(", "))))
}

/// The steps that may run and wait or ask, by their names from the top.
fn waiting(steps: &[PlannedStep], prefix: &str, found: &mut Vec<String>) {
    for step in steps.iter().filter(|step| matches!(step.outlook(), StepOutlook::Runs | StepOutlook::Open)) {
        let path = path::joined(prefix, &step.id);
        // A span is part of the expected time.
        if !step.waits.is_empty() && step.median.is_none() {
            found.push(path.clone());
        }
        waiting(&step.below, &format!("{path}/"), found);
    }
}

/// What can be compensated if the run does not succeed.
fn way_back(plan: &PlanRunResponse) -> Vec<Line> {
    let may_run = plan.steps.iter().filter(|step| step.outlook() != StepOutlook::Skipped);
    let ids = |which: fn(&PlannedStep) -> bool| {
        may_run.clone().filter(|step| which(step)).map(|step| step.id.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (back, no_return) = (ids(|step| step.has_rollback), ids(|step| step.no_return));
    let mut lines = Vec::new();
    let of = if plan.rollback_of == "started" { "what has started of" } else { "what succeeded of" };
    match plan.rollback.as_str() {
        _ if back.is_empty() => {}
        "automatic" => lines.push(format!("if it does not succeed, {of} {back} is rolled back")),
        "manual" => lines.push(format!("if it does not succeed, `runbook rollback` compensates {of} {back}")),
        _ => lines.push(format!("nothing is rolled back, although {back} could be (`rollback: never`)")),
    }
    if !no_return.is_empty() {
        lines.push(format!("no way back once this has started: {no_return}"));
    }
    lines.iter().map(|text| Line::of(Tone::Plain, text)).collect()
}

fn verdict(plan: &PlanRunResponse) -> Vec<Line> {
    let mut lines: Vec<Line> = plan
        .problems
        .iter()
        .map(|problem| Line::of(Tone::Bad, "would be refused: ").with(Tone::Plain, &problem.problem))
        .collect();
    for target in plan.targets.iter().filter(|target| !target.confirmed) {
        let by = match target.steps.is_empty() {
            true => format!("  (environment {})", plan.environment),
            false => format!("  (destroyed by {})", target.steps.join(", ")),
        };
        lines.push(Line::of(Tone::Warn, "has to be confirmed: ").with(Tone::Bold, &target.name).with(Tone::Dim, &by));
    }
    if !plan.approved_by.is_empty() {
        let what = Line::of(Tone::Warn, "has to be approved before it begins: ").with(Tone::Bold, &plan.approved_by);
        lines.push(what.with(Tone::Dim, &format!("  (environment {})", plan.environment)));
    }
    if plan.preflight_skipped {
        lines.push(Line::of(Tone::Dim, "nobody looked for tools and secrets"));
    }
    if plan.problems.is_empty() {
        let waits = plan.locks.iter().any(|lock| lock.holder.is_some() || lock.waiting > 0);
        let (tone, text) = if waits { (Tone::Warn, "would wait for its locks") } else { (Tone::Good, "would start") };
        lines.push(Line::of(tone, text));
    }
    lines
}
