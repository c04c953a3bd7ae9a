//! `runbook provide`: gives values that are kept nowhere, so that steps go on that wait for them.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::ProvideInputsRequest;

use super::changed;
use crate::complete;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::hidden;
use crate::inputs::assignment;
use crate::run_name::resolve;
use crate::session::runs;

/// Arguments of `provide`.
#[derive(Debug, Args)]
#[command(
    after_help = "The value of an input with `ephemeral: true` lives in the daemon's memory alone. After a restart of the \
    daemon, and after a resume, the steps that need it wait for it; `runbook status` names what is missing. A value that is \
    there already is replaced for all that starts from then on.\n\n\
    Examples:\n  runbook provide 12 -i password=-\n  runbook provide last -i key=- <key.pem"
)]
pub struct Provide {
    /// A run's number or uid, or `last`
    #[arg(add = ArgValueCompleter::new(complete::run))]
    pub run: String,
    /// An input and its value; may be repeated. KEY=- asks for the value without showing it, or reads it from standard input
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = assignment, required = true, add = ArgValueCompleter::new(complete::missing_input))]
    pub input: Vec<(String, String)>,
    /// Why; it stays in the run's history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// The run does not take it, a value is wrong, this person may not, there is none, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Provide) -> Result<ExitCode> {
    let input_texts = hidden::texts(&cx.console, &args.input, "inputs")?;
    let mut names: Vec<&str> = input_texts.keys().map(String::as_str).collect();
    names.sort_unstable();
    let told = format!("{} is given", names.join(", "));
    let name = resolve(cx, &args.run).await?;
    let reason = args.reason.clone().unwrap_or_default();
    let request = ProvideInputsRequest { name, inputs: None, input_texts, reason };
    let response = cx.session.tell(async |channel| runs(channel).provide_inputs(request).await).await?;
    changed(cx, response.run, &told)
}
