//! `runbook diff`: two runs side by side: definition, inputs, outcomes, durations.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{DefinitionChange, DiffRunsRequest, DiffRunsResponse, Run, StepDifference, StepFate};

use crate::complete;
use crate::console::Console;
use crate::context::Context;
use crate::event_line::run_tone;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::line::{Line, Tone};
use crate::moment::{Moment, moment, span};
use crate::run_name::resolve;
use crate::session::runs;
use crate::table::Table;
use crate::to_json;
use crate::to_json::{micros, run_status, step_status};

/// Arguments of `diff`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  runbook diff 12 15\n  runbook diff 12 last --all --output json")]
pub struct Diff {
    /// A run: its number, its uid, or `last`
    #[arg(value_name = "RUN", add = ArgValueCompleter::new(complete::run))]
    pub first: String,
    /// The other run
    #[arg(value_name = "RUN", add = ArgValueCompleter::new(complete::run))]
    pub second: String,
    /// Shows steps too that went the same way
    #[arg(long)]
    pub all: bool,
}

/// Runs the verb.
///
/// # Errors
/// There is no such run, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Diff) -> Result<ExitCode> {
    let (first, second) = (resolve(cx, &args.first).await?, resolve(cx, &args.second).await?);
    let request = DiffRunsRequest { first, second };
    let diff = cx.session.ask(async |channel| runs(channel).diff_runs(request.clone()).await).await?;
    if cx.console.json {
        cx.console.json(&to_json::diff(&diff))?;
    } else {
        human(&cx.console, &diff, args.all)?;
    }
    Ok(ExitCode::Succeeded)
}

fn human(console: &Console, diff: &DiffRunsResponse, all: bool) -> Result<()> {
    for run in [&diff.first, &diff.second].into_iter().flatten() {
        console.line(&head(run))?;
    }
    let same = definition(diff).is_none();
    console.line(&Line::new())?;
    match definition(diff) {
        None => console.line(&Line::of(Tone::Dim, "definition: ").with(Tone::Plain, "the same"))?,
        Some(changes) => {
            let line = Line::of(Tone::Dim, "definition: ").with(Tone::Warn, &changes);
            console.wrapped_line(&line, crate::console::INDENT)?;
        }
    }
    if diff.inputs.is_empty() {
        console.line(&Line::of(Tone::Dim, "inputs: ").with(Tone::Plain, "the same"))?;
    }
    for input in &diff.inputs {
        let value = |of: &Option<prost_types::Value>| {
            of.as_ref().map_or_else(|| "none".to_owned(), |v| to_json::value(v).to_string())
        };
        let text = format!("{} → {}", value(&input.first), value(&input.second));
        console.line(&Line::of(Tone::Dim, &format!("input {}: ", input.name)).with(Tone::Plain, &text))?;
    }
    let table = steps(diff, all, same);
    if !table.is_empty() {
        console.line(&Line::new())?;
        console.table(&table)?;
    }
    Ok(())
}

fn head(run: &Run) -> Line {
    let runbook = run.runbook.strip_prefix("runbooks/").unwrap_or(&run.runbook);
    let (began, ended) = (moment(run.created_at.as_ref()), moment(run.finished_at.as_ref()));
    let mut line = Line::of(Tone::Bold, &format!("run {} {runbook}", run.number))
        .with(Tone::Plain, ": ")
        .with(run_tone(run.status()), &run_status(run.status()).replace('_', " "));
    if let (Some(began), Some(ended)) = (began, ended) {
        line.push(Tone::Plain, &format!(" after {}", span(ended.since(began))));
    }
    let by = run.started_by.as_ref().map_or("nobody known", |by| by.name.as_str());
    let at = began.map(Moment::date_clock).unwrap_or_default();
    let digest: String = run.definition.chars().take(12).collect();
    let line = line.with(Tone::Dim, &format!("  by {by}, {at}, definition {digest}"));
    if run.commit.is_empty() {
        return line;
    }
    let commit: String = run.commit.chars().take(12).collect();
    line.with(Tone::Dim, &format!(", commit {commit}"))
}

/// How the definitions differ, if they do.
fn definition(diff: &DiffRunsResponse) -> Option<String> {
    let mut parts: Vec<String> = diff.keys.clone();
    for step in &diff.steps {
        match step.change() {
            DefinitionChange::Same | DefinitionChange::Unspecified => {}
            DefinitionChange::Changed => parts.push(format!("step {} ({})", step.id, step.keys.join(", "))),
            DefinitionChange::OnlyFirst => parts.push(format!("step {} is gone", step.id)),
            DefinitionChange::OnlySecond => parts.push(format!("step {} is new", step.id)),
        }
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn steps(diff: &DiffRunsResponse, all: bool, same: bool) -> Table {
    let mut table = Table::new(&["STEP", "FIRST", "SECOND", "TOOK", "TOOK", "WHY"]).wrapped();
    for step in &diff.steps {
        if !all && went_alike(step) && (same || step.change() == DefinitionChange::Same) {
            continue;
        }
        let cell = |fate: Option<&StepFate>| match fate {
            Some(fate) if fate.attempts > 1 => format!("{} ({} attempts)", step_status(fate.status()), fate.attempts),
            Some(fate) => step_status(fate.status()).to_owned(),
            None => "-".to_owned(),
        };
        let took = |fate: Option<&StepFate>| {
            fate.and_then(|fate| fate.took.as_ref()).map(|took| span(micros(Some(took)))).unwrap_or_default()
        };
        let (first, second) = (step.first.as_ref(), step.second.as_ref());
        let tone = if went_alike(step) { Tone::Plain } else { Tone::Warn };
        let why = [second, first].into_iter().flatten().map(|fate| fate.message.as_str()).find(|text| !text.is_empty());
        table.row(vec![
            (Tone::Bold, step.id.clone()),
            (tone, cell(first)),
            (tone, cell(second)),
            (Tone::Plain, took(first)),
            (Tone::Plain, took(second)),
            (Tone::Plain, why.unwrap_or_default().to_owned()),
        ]);
    }
    table
}

/// Whether a step came to the same end with as many attempts, in about the time.
fn went_alike(step: &StepDifference) -> bool {
    match (&step.first, &step.second) {
        (Some(first), Some(second)) => {
            let (a, b) = (micros(first.took.as_ref()), micros(second.took.as_ref()));
            // Below a second, or within half of the longer one, nobody asks why.
            let alike = (a - b).abs() < 1_000_000 || (a - b).abs() * 2 < a.max(b);
            first.status == second.status && first.attempts == second.attempts && alike
        }
        _ => false,
    }
}
