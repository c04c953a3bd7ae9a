//! `runbook watch`: follows a run until it is over.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::complete;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::follow::{follow, interrupts, snapshot};
use crate::run_name::resolve;

/// Arguments of `watch`.
#[derive(Debug, Args)]
#[command(after_help = "The exit code tells how the run ended. Ctrl-C asks whether to detach or to cancel.\n\n\
    Examples:\n  runbook watch 12\n  runbook watch last --after 0 --output json")]
pub struct Watch {
    /// A run's number or uid, or `last`
    #[arg(add = ArgValueCompleter::new(complete::run))]
    pub run: String,
    /// Tells the events after this number again, 0 for all; otherwise only what is new
    #[arg(long, value_name = "EVENT")]
    pub after: Option<u64>,
}

/// Runs the verb.
///
/// # Errors
/// There is no such run, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Watch) -> Result<ExitCode> {
    let name = resolve(cx, &args.run).await?;
    let run = snapshot(cx, &name).await?;
    follow(cx, interrupts()?, run, args.after).await
}
