//! `runbook resolve`: settles a step of which nobody knows what it did.

use std::collections::HashMap;

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{ResolveStepRequest, Settlement};

use super::changed;
use crate::complete;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::inputs::assignment;
use crate::run_name::resolve;
use crate::session::runs;

/// What a step is settled as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum As {
    /// It did its work.
    Succeeded,
    /// It did not.
    Failed,
    /// It may run once more.
    Retry,
    /// Of a rollback that failed: it is left as it is, and the others go on.
    Skipped,
}

/// Arguments of `resolve`.
#[derive(Debug, Args)]
#[command(after_help = "Look first whether it happened. What others read of a step that counts as succeeded must be \
    given with --set-output.\n\n\
    Examples:\n  runbook resolve 12 publish --as succeeded --set-output url=https://example.org/x --reason 'seen on the server'\n  \
    runbook resolve 12 publish --as retry --reason 'the server has nothing'\n  \
    runbook resolve 12 dns --as skipped --reason 'removed by hand'")]
pub struct Resolve {
    /// A run's number or uid, or `last`
    #[arg(add = ArgValueCompleter::new(complete::run))]
    pub run: String,
    /// The step
    #[arg(add = ArgValueCompleter::new(complete::step))]
    pub step: String,
    /// What it counts as
    #[arg(long = "as", value_name = "OUTCOME", value_enum)]
    pub settlement: As,
    /// How you know; it stays in the run's history
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// An output of the step; may be repeated
    #[arg(long, value_name = "[STEP.]KEY=VALUE", value_parser = assignment)]
    pub set_output: Vec<(String, String)>,
}

/// Runs the verb.
///
/// # Errors
/// The step is not unknown, its outputs are missing, there is none, or no daemon answers.
pub async fn run(cx: &mut Context, args: Resolve) -> Result<ExitCode> {
    let output_texts = outputs(&args.step, &args.set_output)?;
    if !output_texts.is_empty() && args.settlement != As::Succeeded {
        return Err(Failure::usage("--set-output goes with --as succeeded alone")
            .why("a step that failed or runs once more has no outputs by hand"));
    }
    let settlement = match args.settlement {
        As::Succeeded => Settlement::Succeeded,
        As::Failed => Settlement::Failed,
        As::Retry => Settlement::Retry,
        As::Skipped => Settlement::Skipped,
    };
    let request = ResolveStepRequest {
        name: resolve(cx, &args.run).await?,
        step: args.step.clone(),
        settlement: settlement.into(),
        reason: args.reason,
        output_texts,
    };
    let response = cx.session.tell(async |channel| runs(channel).resolve_step(request).await).await?;
    changed(cx, response.run, &format!("step {} is settled", args.step))
}

/// Outputs by name; a name may be headed by the step.
fn outputs(step: &str, given: &[(String, String)]) -> Result<HashMap<String, String>> {
    let mut outputs = HashMap::new();
    let mut details = Vec::new();
    for (name, value) in given {
        let key = match name.split_once('.') {
            None => name.as_str(),
            Some((head, key)) if head == step && !key.is_empty() => key,
            Some(_) => {
                details.push((name.clone(), format!("is no output of step {step}")));
                continue;
            }
        };
        if outputs.insert(key.to_owned(), value.clone()).is_some() {
            details.push((name.clone(), "is given twice".to_owned()));
        }
    }
    if details.is_empty() {
        return Ok(outputs);
    }
    Err(Failure { details, ..Failure::usage("outputs cannot be taken") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_may_be_headed_by_their_step() {
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let good = outputs("publish", &[pair("url", "x"), pair("publish.size", "2")]).unwrap();
        assert_eq!(good, HashMap::from([pair("url", "x"), pair("size", "2")]));
        let bad = outputs(
            "publish",
            &[pair("other.url", "x"), pair("a", "1"), pair("publish.a", "2"), pair("publish.", "3")],
        );
        assert_eq!(bad.unwrap_err().details.len(), 3);
    }
}
