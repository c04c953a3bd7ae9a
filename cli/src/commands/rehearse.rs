//! `runbook rehearse`: a run lived through in virtual time, with scripted failures. Nothing is started.

use std::path::PathBuf;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{Rehearsal, RehearseRunbookRequest, RehearseRunbookResponse};
use serde_json::json;

use crate::complete;
use crate::console::INDENT;
use crate::context::Context;
use crate::environment::InEnvironment;
use crate::event_line::{event_line, run_tone};
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::inputs::{assignment, collect};
use crate::line::{Line, Tone};
use crate::model::Model;
use crate::moment::{Moment, moment, span};
use crate::named::{Named, named, read_source};
use crate::session::runbooks;
use crate::table::Table;
use crate::text::plural;
use crate::to_json;
use crate::to_json::{micros, run_status, step_status};

/// Steps that are named in one line; of more it is told how many.
const NAMED: usize = 12;

/// Arguments of `rehearse`.
#[derive(Debug, Args)]
#[command(after_help = "The engine itself decides what follows; what programs and the world would do is told by the \
    options, and goes well where nothing is told. A try of a step takes 1 s unless it is told; waits are their longest. \
    `runbookd test PATH` runs files of scenarios without a daemon, for CI.\n\n\
    Steps in blocks, for items, in iterations and in runbooks that are started are named by their path, as up/check, \
    'up[\"web2\"]/check' or 'up[2]/check'; without an item, all are meant.\n\n\
    Exits with 1 when a scenario's expectation is not met.\n\n\
    Examples:\n  runbook rehearse backup --fail dump@1 --duration dump=2h\n  \
    runbook rehearse dr-restore -i into=/tmp/x --lose restore --crash-at fetch\n  \
    runbook rehearse upgrade --fail 'up[\"web2\"]/check'\n  runbook rehearse backup --every-failure\n  runbook rehearse backup --scenario runbooks/backup.scenarios.yaml")]
pub struct Rehearse {
    /// A runbook's name, or the path of a file (with a `/`, or ending in .yaml or .yml)
    #[arg(value_name = "NAME|FILE", add = ArgValueCompleter::new(complete::runbook_or_file))]
    pub what: String,
    /// An input, read by its declared type; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = assignment)]
    pub input: Vec<(String, String)>,
    /// A JSON file with inputs, `-` for standard input; --input wins over it
    #[arg(long, value_name = "FILE")]
    pub input_file: Option<PathBuf>,
    /// Where it runs.
    #[command(flatten)]
    pub place: InEnvironment,
    /// A step that fails: in every try, or in one
    #[arg(long, value_name = "STEP[@TRY]")]
    pub fail: Vec<String>,
    /// A step of which nobody knows how it ended: in every try, or in one
    #[arg(long, value_name = "STEP[@TRY]")]
    pub lose: Vec<String>,
    /// A step during which the daemon crashes, and starts again
    #[arg(long, value_name = "STEP")]
    pub crash_at: Vec<String>,
    /// How long each try of a step takes
    #[arg(long, value_name = "STEP=TIME")]
    pub duration: Vec<String>,
    /// A file of scenarios with inputs, ends and expectations of their own
    #[arg(long, value_name = "FILE", conflicts_with_all = ["fail", "lose", "crash_at", "duration", "input", "input_file"])]
    pub scenario: Option<PathBuf>,
    /// Rehearses once for each step, those below others too, which fails, and shows the ends as a table
    #[arg(long, conflicts_with = "scenario")]
    pub every_failure: bool,
}

/// Runs the verb.
///
/// # Errors
/// The runbook, an input, a step or the file of scenarios is wrong, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Rehearse) -> Result<ExitCode> {
    let Named { runbook, source, source_file } = named(&args.what)?;
    let inputs = collect(&args.input, args.input_file.as_deref())?;
    let (scenarios, scenarios_file) = match &args.scenario {
        Some(path) => (read_source(path)?, path.display().to_string()),
        None => (Vec::new(), String::new()),
    };
    if args.scenario.is_some() && scenarios.is_empty() {
        return Err(Failure::usage(format!("{scenarios_file} is empty")));
    }
    let request = RehearseRunbookRequest {
        runbook,
        source,
        source_file,
        inputs: Some(inputs.values),
        input_texts: inputs.texts,
        fail: args.fail.clone(),
        lose: args.lose.clone(),
        crash_at: args.crash_at.clone(),
        durations: args.duration.clone(),
        scenarios,
        scenarios_file,
        every_failure: args.every_failure,
        // Scenarios say it themselves.
        environment: if args.scenario.is_some() { String::new() } else { args.place.name() },
    };
    let response = cx.session.ask(async |channel| runbooks(channel).rehearse_runbook(request.clone()).await).await?;
    if cx.console.json {
        let all: Vec<_> = response.rehearsals.iter().map(to_json::rehearsal).collect();
        cx.console.json(&json!({"rehearsals": all, "steps_left_out": response.steps_left_out}))?;
    } else if args.every_failure {
        table(cx, &response)?;
    } else {
        for (place, rehearsal) in response.rehearsals.iter().enumerate() {
            if place > 0 {
                cx.console.line(&Line::new())?;
            }
            path(cx, rehearsal)?;
        }
    }
    let unmet = response.rehearsals.iter().any(|rehearsal| !rehearsal.unmet.is_empty());
    Ok(if unmet { ExitCode::RunFailed } else { ExitCode::Succeeded })
}

/// Everything that happened, and where it leaves the world.
fn path(cx: &Context, rehearsal: &Rehearsal) -> Result<()> {
    let run = rehearsal.run.clone().unwrap_or_default();
    if !rehearsal.name.is_empty() {
        cx.console.line(&Line::of(Tone::Bold, &rehearsal.name))?;
    }
    let mut model = Model::of(&run);
    model.rewind(0);
    let began = moment(run.created_at.as_ref()).unwrap_or(Moment(0));
    for (told, event) in (1..).zip(&rehearsal.events) {
        // The path is whole: no event is missing.
        let _ = model.fold(event);
        // Of a run that a step starts its steps are told; the step tells of the run.
        if event.run.is_empty() || !event.step.is_empty() {
            let after = moment(event.at.as_ref()).unwrap_or(began).since(began);
            let mut line = Line::new().column(Tone::Dim, &format!("+{}", span(after)), 13);
            line.append(event_line(event, &model));
            cx.console.wrapped_line(&line, INDENT)?;
        }
        if rehearsal.crashes.contains(&told) {
            let crash = "the daemon crashes, starts again, and takes the run up from its journal";
            cx.console.line(&Line::new().column(Tone::Dim, "", 13).with(Tone::Warn, crash))?;
        }
    }
    let took = span(micros(rehearsal.took.as_ref()));
    let status = run_status(run.status()).replace('_', " ");
    cx.console.line(&Line::of(run_tone(run.status()), &status).with(Tone::Plain, &format!(" after {took}")))?;
    if !run.message.is_empty() {
        cx.console.wrapped_line(&Line::of(Tone::Plain, &format!("  {}", run.message)), INDENT)?;
    }
    for (what, list) in [
        ("not done", undone(rehearsal)),
        ("rolled back", rehearsal.compensated.clone()),
        ("stays as it is", rehearsal.remains.clone()),
    ] {
        if !list.is_empty() {
            let line = Line::of(Tone::Dim, &format!("  {what}: ")).with(Tone::Plain, &few(&list));
            cx.console.wrapped_line(&line, INDENT)?;
        }
    }
    if !rehearsal.guessed.is_empty() {
        let line = Line::of(Tone::Dim, "  nobody knows how long it takes, 1 s was taken: ");
        cx.console.wrapped_line(&line.with(Tone::Plain, &few(&rehearsal.guessed)), INDENT)?;
    }
    for note in &rehearsal.notes {
        cx.console.wrapped_line(&Line::of(Tone::Warn, "  note: ").with(Tone::Plain, note), INDENT)?;
    }
    for unmet in &rehearsal.unmet {
        cx.console.wrapped_line(&Line::of(Tone::Bad, "  not as expected: ").with(Tone::Plain, unmet), INDENT)?;
    }
    Ok(())
}

/// A row for each step that fails.
fn table(cx: &Context, response: &RehearseRunbookResponse) -> Result<()> {
    // Most runbooks compensate nothing by themselves.
    let compensates = response.rehearsals.iter().any(|rehearsal| !rehearsal.compensated.is_empty());
    let mut head = vec!["FAILS", "END", "AFTER", "STAYS", "NOT DONE"];
    if compensates {
        head.insert(3, "ROLLED BACK");
    }
    let mut table = Table::new(&head).wrapped();
    for rehearsal in &response.rehearsals {
        let status = rehearsal.run.as_ref().map(|run| run.status()).unwrap_or_default();
        let mut row = vec![
            (Tone::Bold, rehearsal.name.clone()),
            match rehearsal.never_started {
                true => (Tone::Dim, "never starts".to_owned()),
                false => (run_tone(status), run_status(status).replace('_', " ")),
            },
            (Tone::Plain, span(micros(rehearsal.took.as_ref()))),
            (Tone::Plain, few(&rehearsal.remains)),
            (Tone::Plain, few(&undone(rehearsal))),
        ];
        if compensates {
            row.insert(3, (Tone::Plain, few(&rehearsal.compensated)));
        }
        table.row(row);
    }
    cx.console.table(&table)?;
    if response.steps_left_out > 0 {
        cx.console.flush()?;
        cx.console.warn(&format!(
            "the last {} are left out: that is more than one request rehearses",
            plural(response.steps_left_out.into(), "step")
        ));
    }
    Ok(())
}

fn undone(rehearsal: &Rehearsal) -> Vec<String> {
    rehearsal.undone.iter().map(|step| format!("{} ({})", step.id, step_status(step.status()))).collect()
}

fn few(list: &[String]) -> String {
    match list.len().checked_sub(NAMED) {
        None | Some(0) => list.join(", "),
        Some(more) => format!("{} and {more} more", list[..NAMED].join(", ")),
    }
}
