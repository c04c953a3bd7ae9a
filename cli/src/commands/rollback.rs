//! `runbook rollback`: compensates what the steps of a run did, or gives that up.

use clap::Args;
use runbook_proto::v1::{RollBackRunRequest, RollBackRunResponse, RunStatus};
use serde_json::json;

use super::changed;
use crate::console::Console;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::follow::{follow, interrupts, snapshot};
use crate::line::Tone;
use crate::run_name::resolve;
use crate::session::runs;
use crate::table::Table;

/// Arguments of `rollback`.
#[derive(Debug, Args)]
#[command(
    after_help = "The `rollback` of each step that succeeded, or with `of: started` of each that has started, is \
    run, the last step first; then `finally`. The run must have failed or been canceled.\n\n\
    Examples:\n  runbook rollback 12 --dry-run\n  runbook rollback 12 --reason 'the release is bad'\n  \
    runbook rollback last --past switch-traffic\n  \
    runbook rollback 12 --abandon --reason 'undone by hand'"
)]
pub struct Rollback {
    /// A run's number or uid, or `last`
    pub run: String,
    /// Why; it stays in the run's history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// A step without a way back that has started, which must be named; may be repeated
    #[arg(long, value_name = "STEP")]
    pub past: Vec<String>,
    /// Gives up the rollback that is on; what runs comes to its end
    #[arg(long, requires = "reason", conflicts_with = "past")]
    pub abandon: bool,
    /// Tells which steps would be compensated, in which order and how, and does nothing
    #[arg(long, conflicts_with_all = ["abandon", "detach"])]
    pub dry_run: bool,
    /// Does not watch
    #[arg(short, long)]
    pub detach: bool,
}

/// Runs the verb.
///
/// # Errors
/// There is nothing to roll back or to give up, there is no such run, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Rollback) -> Result<ExitCode> {
    let name = resolve(cx, &args.run).await?;
    // What happens from here on is told; what was before is not.
    let before = snapshot(cx, &name).await?;
    let interrupts = interrupts()?;
    let request = RollBackRunRequest {
        name: name.clone(),
        reason: args.reason.clone().unwrap_or_default(),
        past: args.past.clone(),
        abandon: args.abandon,
        validate_only: args.dry_run,
    };
    if args.dry_run {
        let told = cx.session.ask(async |channel| runs(channel).roll_back_run(request.clone()).await).await?;
        return dry(&cx.console, &told);
    }
    let response = cx.session.tell(async |channel| runs(channel).roll_back_run(request).await).await?;
    if args.detach {
        return changed(cx, response.run, if args.abandon { "is not rolled back further" } else { "is rolled back" });
    }
    let mut run = before;
    // It is not over any more: its events tell the rest.
    run.status = response.run.map_or(run.status, |run| run.status);
    let code = follow(cx, interrupts, run, None).await?;
    as_asked(cx, &name, code).await
}

/// What would be done.
fn dry(console: &Console, told: &RollBackRunResponse) -> Result<ExitCode> {
    if console.json {
        let undo: Vec<_> = told.undo.iter().map(|undo| json!({"step": undo.step, "command": undo.command})).collect();
        console.json(&json!({"undo": undo, "left_out": told.undo_left_out}))?;
        return Ok(ExitCode::Succeeded);
    }
    let mut table = Table::new(&["STEP", "WOULD BE ROLLED BACK BY"]).wrapped();
    for undo in &told.undo {
        table.row(vec![(Tone::Bold, undo.step.clone()), (Tone::Plain, undo.command.clone())]);
    }
    console.table(&table)?;
    if told.undo_left_out > 0 {
        console.say(&format!("and {} more", told.undo_left_out));
    }
    console.say("nothing was done; without --dry-run it is, and then `finally` runs");
    Ok(ExitCode::Succeeded)
}

/// A run that ended rolled back, as somebody asked it to, has not failed.
///
/// # Errors
/// No daemon answers.
pub(super) async fn as_asked(cx: &mut Context, name: &str, code: ExitCode) -> Result<ExitCode> {
    if code != ExitCode::RunFailed {
        return Ok(code);
    }
    let ended = snapshot(cx, name).await?.status();
    Ok(if ended == RunStatus::RolledBack { ExitCode::Succeeded } else { code })
}
