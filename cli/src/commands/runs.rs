//! `runbook runs`: runs, the newest first.

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{GetRunbookRequest, ListRunsRequest, Run, RunStatus};
use serde_json::json;

use crate::complete;
use crate::context::Context;
use crate::event_line::run_tone;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::line::Tone;
use crate::moment::{Moment, moment, running_span, span};
use crate::pages;
use crate::session::{runbooks, runs};
use crate::table::Table;
use crate::to_json;

/// A status to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Wanted {
    /// Not over.
    Active,
    /// Waits for its locks or its group.
    Queued,
    /// Waits for something else.
    Waiting,
    /// Steps are on.
    Running,
    /// Paused.
    Paused,
    /// Needs a person.
    Attention,
    /// `finally` is on.
    Finishing,
    /// Compensates.
    RollingBack,
    /// Goes to its end.
    Stopping,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Was compensated.
    RolledBack,
    /// Was canceled.
    Canceled,
}

/// The statuses of runs that are not over.
pub const ACTIVE: [RunStatus; 8] = [
    RunStatus::Queued,
    RunStatus::Waiting,
    RunStatus::Running,
    RunStatus::Paused,
    RunStatus::Attention,
    RunStatus::Finishing,
    RunStatus::RollingBack,
    RunStatus::Stopping,
];

impl Wanted {
    fn statuses(self) -> Vec<RunStatus> {
        match self {
            Self::Active => ACTIVE.to_vec(),
            Self::Queued => vec![RunStatus::Queued],
            Self::Waiting => vec![RunStatus::Waiting],
            Self::Running => vec![RunStatus::Running],
            Self::Paused => vec![RunStatus::Paused],
            Self::Attention => vec![RunStatus::Attention],
            Self::Finishing => vec![RunStatus::Finishing],
            Self::RollingBack => vec![RunStatus::RollingBack],
            Self::Stopping => vec![RunStatus::Stopping],
            Self::Succeeded => vec![RunStatus::Succeeded],
            Self::Failed => vec![RunStatus::Failed],
            Self::RolledBack => vec![RunStatus::RolledBack],
            Self::Canceled => vec![RunStatus::Canceled],
        }
    }
}

/// Arguments of `runs`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  runbook runs\n  runbook runs --runbook backup --status failed --limit 5\n  \
    runbook runs --status active")]
pub struct Runs {
    /// Only runs of this runbook
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::runbook))]
    pub runbook: Option<String>,
    /// Only runs in this environment
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::environment))]
    pub env: Option<String>,
    /// Only runs in this status; may be repeated
    #[arg(long, value_name = "STATUS", value_enum)]
    pub status: Vec<Wanted>,
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
    pub limit: u32,
}

/// Runs the verb.
///
/// # Errors
/// No daemon answers, or there is neither a run nor a runbook of that name.
pub async fn run(cx: &mut Context, args: &Runs) -> Result<ExitCode> {
    let statuses: Vec<RunStatus> = args.status.iter().flat_map(|wanted| wanted.statuses()).collect();
    let runbook = args.runbook.clone().unwrap_or_default();
    let environment = args.env.clone().unwrap_or_default();
    let (found, more) =
        fetch(cx, Asked { runbook: &runbook, environment: &environment, statuses: &statuses }, args.limit).await?;
    if found.is_empty() && !runbook.is_empty() && args.limit > 0 {
        // A name that was mistyped has no runs either: then the daemon says which one was meant.
        let request = GetRunbookRequest { name: runbook.clone() };
        cx.session.ask(async |channel| runbooks(channel).get_runbook(request.clone()).await).await?;
    }
    if cx.console.json {
        let runs: Vec<_> = found.iter().map(to_json::run).collect();
        cx.console.json(&json!({"runs": runs, "more": more}))?;
        return Ok(ExitCode::Succeeded);
    }
    if found.is_empty() {
        let asked = !runbook.is_empty() || !environment.is_empty() || !statuses.is_empty();
        cx.console.say(if asked { "no such runs" } else { "no runs yet; `runbook exec NAME` starts one" });
        return Ok(ExitCode::Succeeded);
    }
    cx.console.table(&table(&found, Moment::now()))?;
    if more {
        cx.console.flush()?;
        cx.console.say("there are more: --limit N");
    }
    Ok(ExitCode::Succeeded)
}

/// Which runs are asked for; all where nothing is said.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    /// Of this runbook.
    pub runbook: &'a str,
    /// In this environment.
    pub environment: &'a str,
    /// In one of these.
    pub statuses: &'a [RunStatus],
}

/// The newest runs, and whether there are more.
///
/// # Errors
/// No daemon answers.
pub async fn fetch(cx: &mut Context, asked: Asked<'_>, limit: u32) -> Result<(Vec<Run>, bool)> {
    pages::first(limit, async |page_size, page_token| {
        let request = ListRunsRequest {
            page_size,
            page_token,
            runbook: asked.runbook.to_owned(),
            environment: asked.environment.to_owned(),
            statuses: asked.statuses.iter().map(|status| i32::from(*status)).collect(),
            created_after: None,
            origins: Vec::new(),
        };
        let page = cx.session.ask(async |channel| runs(channel).list_runs(request.clone()).await).await?;
        Ok((page.runs, page.next_page_token))
    })
    .await
}

/// Runs as rows.
pub fn table(runs: &[Run], now: Moment) -> Table {
    // Most projects have no environments.
    let placed = runs.iter().any(|run| !run.environment.is_empty());
    let mut table = match placed {
        true => Table::new(&["RUN", "RUNBOOK", "ENV", "STATUS", "STARTED", "TOOK", "BY", "WHY"]),
        false => Table::new(&["RUN", "RUNBOOK", "STATUS", "STARTED", "TOOK", "BY", "WHY"]),
    };
    for run in runs {
        let status = to_json::run_status(run.status()).replace('_', " ");
        let begins = moment(run.begins_at.as_ref()).map(|at| format!("begins {}", at.date_clock()));
        let status = begins.unwrap_or(status);
        let status = if run.dry_run { format!("{status} (dry run)") } else { status };
        let created = moment(run.created_at.as_ref());
        let finished = moment(run.finished_at.as_ref());
        let took = match (created, finished) {
            (Some(created), Some(finished)) => span(finished.since(created)),
            (Some(created), None) => running_span(now.since(created)),
            (None, _) => String::new(),
        };
        let waits = (!run.waits_for.is_empty()).then(|| format!("waits for {}", run.waits_for.join(", ")));
        let said = if run.message.is_empty() { &run.reason } else { &run.message };
        let why = waits.unwrap_or_else(|| said.clone());
        let mut row = vec![
            (Tone::Bold, run.number.to_string()),
            (Tone::Plain, run.runbook.strip_prefix("runbooks/").unwrap_or(&run.runbook).to_owned()),
        ];
        row.extend(placed.then(|| (Tone::Plain, run.environment.clone())));
        row.extend([
            (run_tone(run.status()), status),
            (Tone::Plain, created.map(Moment::date_clock).unwrap_or_default()),
            (Tone::Plain, took),
            (Tone::Plain, run.started_by.as_ref().map(|by| by.name.clone()).unwrap_or_default()),
            (Tone::Plain, why),
        ]);
        table.row(row);
    }
    table
}
