//! `runbook cancel`: asks a run to end.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::CancelRunRequest;

use super::changed;
use crate::complete;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::follow::{follow, interrupts, snapshot};
use crate::run_name::resolve;
use crate::session::runs;

/// Arguments of `cancel`.
#[derive(Debug, Args)]
#[command(after_help = "The run stops its steps, tidies up (on_cancel, finally) and ends.\n\n\
    Examples:\n  runbook cancel 12 --reason 'wrong target'\n  runbook cancel last --now --wait")]
pub struct Cancel {
    /// A run's number or uid, or `last`
    #[arg(add = ArgValueCompleter::new(complete::run))]
    pub run: String,
    /// Kills the steps at once, without grace
    #[arg(long)]
    pub now: bool,
    /// Why; it stays in the run's history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// A step without a way back that has started, which must be named; may be repeated
    #[arg(long, value_name = "STEP")]
    pub past: Vec<String>,
    /// Watches until the run is over; 0 when it ended canceled
    #[arg(long)]
    pub wait: bool,
}

/// Runs the verb.
///
/// # Errors
/// The run is over or its steps are, there is none, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Cancel) -> Result<ExitCode> {
    let name = resolve(cx, &args.run).await?;
    let request = CancelRunRequest {
        name: name.clone(),
        now: args.now,
        reason: args.reason.clone().unwrap_or_default(),
        past: args.past.clone(),
    };
    let response = cx.session.tell(async |channel| runs(channel).cancel_run(request).await).await?;
    if !args.wait {
        return changed(cx, response.run, "is being canceled");
    }
    let run = snapshot(cx, &name).await?;
    let code = follow(cx, interrupts()?, run, None).await?;
    // It ended as it was asked to.
    Ok(if code == ExitCode::Canceled { ExitCode::Succeeded } else { code })
}
