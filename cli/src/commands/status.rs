//! `runbook status`: where a run stands, or all that are not over.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{InputFrom, InputSource, Pause, Priority, Run, StepStatus};
use serde_json::json;

use super::runs::{ACTIVE, Asked, fetch, table};
use crate::complete;
use crate::console::INDENT;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::follow::snapshot;
use crate::frame::frame;
use crate::line::{Line, Tone};
use crate::model::Model;
use crate::moment::{Moment, moment};
use crate::report::{to_copy, trouble};
use crate::run_name::resolve;
use crate::selecting::typed;
use crate::to_json;

/// How many active runs are listed.
const RUNS: u32 = 1_000;
/// How many lines the steps of a run take unless all are asked for.
const LINES: usize = 60;

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  runbook status\n  runbook status 12\n  runbook status last --output json")]
pub struct StatusArgs {
    /// A run's number or uid, or `last`; all runs that are not over without it
    #[arg(add = ArgValueCompleter::new(complete::run))]
    pub run: Option<String>,
    /// Shows every step, however many there are
    #[arg(long, requires = "run")]
    pub all: bool,
}

/// Runs the verb.
///
/// # Errors
/// There is no such run, or no daemon answers.
pub async fn run(cx: &mut Context, args: &StatusArgs) -> Result<ExitCode> {
    match &args.run {
        Some(typed) => {
            let name = resolve(cx, typed).await?;
            let run = snapshot(cx, &name).await?;
            one(cx, &run, args.all)
        }
        None => active(cx).await,
    }
}

fn one(cx: &Context, run: &Run, all: bool) -> Result<ExitCode> {
    let console = &cx.console;
    if console.json {
        console.json(&to_json::run(run))?;
        return Ok(ExitCode::Succeeded);
    }
    let model = Model::of(run);
    let lines = frame(&model, Moment::now(), if all { usize::MAX } else { LINES });
    lines.iter().try_for_each(|line| console.cut_line(line))?;
    // What was cut is told whole below.
    let cut = console.columns().is_some_and(|columns| lines.iter().any(|line| line.width() > columns));
    let mut facts: Vec<(&str, String)> = Vec::new();
    if let Some(created) = moment(run.created_at.as_ref()) {
        let by = run.started_by.as_ref().map(|by| format!(" by {}", by.name)).unwrap_or_default();
        facts.push(("started", format!("{}{by}", created.date_clock())));
    }
    facts.push(("environment", run.environment.clone()));
    facts.push(("overridden", run.overridden.clone()));
    facts.push(("priority", uncommon(run.priority()).to_owned()));
    facts.push(("inputs", inputs_from(run)));
    facts.push(("why", run.reason.clone()));
    facts.push(("commit", run.commit.clone()));
    facts.push(("confirmed", run.confirmed.join(", ")));
    if let Some(selection) = &run.selection {
        facts.push(("left out", format!("{} ({})", selection.left_out.join(", "), typed(selection))));
    }
    if let Some(begins) = moment(run.begins_at.as_ref()) {
        facts.push(("begins", format!("{}; `runbook cancel {}` calls it off", begins.date_clock(), run.number)));
    }
    if let Some(pause) = &run.pause {
        facts.push(("paused", paused(pause)));
    }
    facts.push(("to be paused before", run.pause_before.join(", ")));
    facts.push(("state", run.message.clone()));
    if run.epoch > 1 {
        facts.push(("epoch", run.epoch.to_string()));
    }
    if let Some(deadline) = moment(run.deadline.as_ref()) {
        facts.push(("deadline", deadline.date_clock()));
    }
    facts.push(("waits for", run.waits_for.join(", ")));
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        console.wrapped_line(&Line::of(Tone::Dim, &format!("  {name}: ")).with(Tone::Plain, value), INDENT)?;
    }
    for step in model.steps.iter().filter(|_| cut) {
        if matches!(step.status, StepStatus::Failed | StepStatus::Unknown) {
            console.wrapped_line(&trouble(step), INDENT)?;
        }
    }
    to_copy(run, console.columns()).iter().try_for_each(|line| console.line(line))?;
    Ok(ExitCode::Succeeded)
}

/// A priority that is not that of most.
pub(super) const fn uncommon(priority: Priority) -> &'static str {
    match priority {
        Priority::High => "high",
        Priority::Low => "low",
        Priority::Normal | Priority::Unspecified => "",
    }
}

/// Where inputs came from that whoever started it did not give.
fn inputs_from(run: &Run) -> String {
    let told = |from: &InputFrom| match from.source() {
        InputSource::Environment => format!("{} from the environment", from.input),
        InputSource::Variable => format!("{} from a variable", from.input),
        InputSource::Like => format!("{} as in the other run", from.input),
        InputSource::Unspecified | InputSource::Given | InputSource::Default | InputSource::Absent => {
            from.input.clone()
        }
    };
    run.inputs_from.iter().map(told).collect::<Vec<_>>().join(", ")
}

fn paused(pause: &Pause) -> String {
    let since = moment(pause.since.as_ref()).map(|since| format!(", since {}", since.date_clock()));
    let who = pause.by.as_ref().map_or("nobody known", |by| by.name.as_str());
    let what = match (pause.before.as_str(), pause.reason.as_str()) {
        ("", "") => format!("by {who}"),
        ("", reason) => format!("by {who}: {reason}"),
        (before, _) => format!("before {before}"),
    };
    format!("{what}{}", since.unwrap_or_default())
}

async fn active(cx: &mut Context) -> Result<ExitCode> {
    let (runs, more) = fetch(cx, Asked { statuses: &ACTIVE, ..Asked::default() }, RUNS).await?;
    if cx.console.json {
        let runs: Vec<_> = runs.iter().map(to_json::run).collect();
        cx.console.json(&json!({"runs": runs, "more": more}))?;
    } else if runs.is_empty() {
        cx.console.say("nothing is running; `runbook runs` lists what ran");
    } else {
        cx.console.table(&table(&runs, Moment::now()))?;
    }
    Ok(ExitCode::Succeeded)
}
