//! `runbook reject`: decides against what a run asks.

use clap::Args;
use runbook_proto::v1::Decision;

use super::approvals::{Deciding, decide};
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;

/// Arguments of `reject`.
#[derive(Debug, Args)]
#[command(after_help = "One rejection is enough: the step fails, and a run whose start was asked for is canceled.\n\n\
    Examples:\n  runbook reject 12 go --reason 'the dump is of last week'")]
pub struct Reject {
    /// A run's number or uid, or `last`
    pub run: String,
    /// The step that asks; left out where the start of the run is to be rejected
    pub step: Option<String>,
    /// Why; who waits for the run reads it
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// Runs the verb.
///
/// # Errors
/// The step does not ask, this person may not decide, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Reject) -> Result<ExitCode> {
    let reason = args.reason.clone();
    let deciding =
        Deciding { run: &args.run, step: args.step.as_deref(), decision: Decision::Reject, reason, fields: &[] };
    decide(cx, deciding).await
}
