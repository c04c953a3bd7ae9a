//! `runbook resume`: opens a run that failed or was canceled again.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{ResumeRunRequest, StepStatus};

use super::changed;
use super::rollback::as_asked;
use crate::complete;
use crate::confirm;
use crate::context::Context;
use crate::edition;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::follow::{follow, interrupts, snapshot};
use crate::run_name::resolve;
use crate::session::runs;

/// Arguments of `resume`.
#[derive(Debug, Args)]
#[command(
    after_help = "A paused run goes on where it stands. Of one that is over, failed and canceled steps run once more, by the \
    definition that the run is pinned to; \
    succeeded ones are kept. With `--edited` they run by the runbook as it is in the folder now: steps that succeeded are kept \
    where what they do and are given is the same, and new steps may come after them. Of a run whose rollback is stuck, what could not be rolled back is tried again. A destructive step that was tried before is confirmed anew.\n\n\
    Examples:\n  runbook resume 12\n  runbook resume last --reason 'the disk has room again' --detach\n  \
    runbook resume 12 --edited"
)]
pub struct Resume {
    /// A run's number or uid, or `last`
    #[arg(add = ArgValueCompleter::new(complete::run))]
    pub run: String,
    /// Why; it stays in the run's history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Confirms what is destroyed again, by its name; may be repeated. Without it a person at a terminal is asked
    #[arg(long, value_name = "NAME")]
    pub confirm: Vec<String>,
    /// Goes on by the runbook as the folder has it now, once what differs was shown and agreed to
    #[arg(long)]
    pub edited: bool,
    /// Agrees to this edited definition, by the beginning of its hash; without it a person at a terminal is asked
    #[arg(long, value_name = "HASH", requires = "edited")]
    pub definition: Option<String>,
    /// Does not watch
    #[arg(short, long)]
    pub detach: bool,
}

/// Runs the verb.
///
/// # Errors
/// The run is not over or succeeded, there is none, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Resume) -> Result<ExitCode> {
    let name = resolve(cx, &args.run).await?;
    // What happens from here on is told; what was before is not.
    let before = snapshot(cx, &name).await?;
    let mut interrupts = interrupts()?;
    let mut request = ResumeRunRequest {
        name: name.clone(),
        reason: args.reason.clone().unwrap_or_default(),
        confirm: args.confirm.clone(),
        edited: args.edited,
        definition: args.definition.clone().unwrap_or_default(),
        validate_only: false,
    };
    if args.edited {
        edition::agree(cx, &mut interrupts, &mut request, &args.run).await?;
    }
    let response = loop {
        let sent = request.clone();
        let failure = match cx.session.tell(async |channel| runs(channel).resume_run(sent).await).await {
            Ok(response) => break response,
            Err(failure) => failure,
        };
        let Some(names) = confirm::wanted(&failure) else { return Err(failure) };
        if !confirm::can_ask(cx) {
            return Err(confirm::advise(cx, failure, &names, None).await);
        }
        confirm::ask(cx, &mut interrupts, &failure, &names).await?;
        request.confirm.extend(names);
    };
    if args.detach {
        return changed(cx, response.run, "goes on");
    }
    // An edited runbook may have steps that the run had not.
    let mut run = if args.edited { snapshot(cx, &name).await? } else { before };
    let rolls_back = run.steps.iter().any(|step| step.status() == StepStatus::RollbackFailed);
    // It is not over any more: its events tell the rest.
    run.status = response.run.map_or(run.status, |run| run.status);
    let code = follow(cx, interrupts, run, None).await?;
    // A rollback that was stuck is what went on.
    if rolls_back { as_asked(cx, &name, code).await } else { Ok(code) }
}
