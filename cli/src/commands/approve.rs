//! `runbook approve`: decides for what a run asks.

use clap::Args;
use runbook_proto::v1::Decision;

use super::approvals::{Deciding, decide};
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::inputs::assignment;

/// Arguments of `approve`.
#[derive(Debug, Args)]
#[command(after_help = "Each person decides once; `runbook approvals` shows what is asked, and of whom.\n\n\
    Examples:\n  runbook approve 12\n  runbook approve 12 go\n  runbook approve 12 go --field ticket=OPS-7 --reason 'the dump restores'\n  \
    runbook approve 12 unseal --field key=-")]
pub struct Approve {
    /// A run's number or uid, or `last`
    pub run: String,
    /// The step that asks; left out where the start of the run is to be approved
    pub step: Option<String>,
    /// What the approval wants filled in; may be repeated. KEY=- asks for the value without showing it, or reads it from
    /// standard input
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    pub field: Vec<(String, String)>,
    /// Why; it stays in the run's history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// The step does not ask, this person may not decide, a field is wrong or missing, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Approve) -> Result<ExitCode> {
    let reason = args.reason.clone().unwrap_or_default();
    let deciding = Deciding {
        run: &args.run,
        step: args.step.as_deref(),
        decision: Decision::Approve,
        reason,
        fields: &args.field,
    };
    decide(cx, deciding).await
}
