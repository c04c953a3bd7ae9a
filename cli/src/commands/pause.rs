//! `runbook pause`: holds a run until it is resumed.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::PauseRunRequest;

use super::changed;
use crate::complete;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::run_name::resolve;
use crate::session::runs;

/// Arguments of `pause`.
#[derive(Debug, Args)]
#[command(
    after_help = "No further step of the run begins, no item, no iteration, no further try, no probe, in its child runs and \
    blocks neither. What is on goes on, and so do waits, approvals and `finally`. `runbook resume` lets the run go on; \
    `runbook exec --pause-before STEP` pauses it by itself.\n\n\
    Examples:\n  runbook pause 12\n  runbook pause last --reason 'the disk is nearly full'"
)]
pub struct Pause {
    /// A run's number or uid, or `last`
    #[arg(add = ArgValueCompleter::new(complete::run))]
    pub run: String,
    /// Why; it stays in the run's history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// The run is over, goes to its end or is paused already, there is none, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Pause) -> Result<ExitCode> {
    let name = resolve(cx, &args.run).await?;
    let request = PauseRunRequest { name, reason: args.reason.clone().unwrap_or_default() };
    let response = cx.session.tell(async |channel| runs(channel).pause_run(request).await).await?;
    changed(cx, response.run, "is paused")
}
