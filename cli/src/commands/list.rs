//! `runbook list`: the project's runbooks.

use clap::Args;
use runbook_proto::v1::{ListRunbooksRequest, Runbook};
use serde_json::json;

use super::check::lines;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::line::{Line, Tone};
use crate::pages;
use crate::session::runbooks;
use crate::table::Table;
use crate::to_json;

/// Arguments of `list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  runbook list\n  runbook list --output json | jq '.runbooks[].name'")]
pub struct List {}

/// Runs the verb.
///
/// # Errors
/// No daemon answers.
pub async fn run(cx: &mut Context) -> Result<ExitCode> {
    let (mut generation, mut problems) = (0, Vec::new());
    let all: Vec<Runbook> = pages::all(async |page_size, page_token| {
        let request = ListRunbooksRequest { page_size, page_token };
        let page = cx.session.ask(async |channel| runbooks(channel).list_runbooks(request.clone()).await).await?;
        (generation, problems) = (page.generation, page.problems);
        Ok((page.runbooks, page.next_page_token))
    })
    .await?;
    if cx.console.json {
        let all: Vec<_> = all.iter().map(to_json::runbook).collect();
        cx.console.json(&json!({"runbooks": all, "generation": generation, "problems": problems}))?;
        return Ok(ExitCode::Succeeded);
    }
    for problem in &problems {
        cx.console.warn(&format!("the folder of runbooks: {problem}"));
    }
    if all.is_empty() {
        cx.console.say("no runbooks: the project's folder `runbooks` has no .yaml file");
        return Ok(ExitCode::Succeeded);
    }
    let mut table = Table::new(&["RUNBOOK", "STEPS", "DESCRIPTION"]);
    for runbook in &all {
        table.row(row(runbook));
    }
    cx.console.table(&table)?;
    for runbook in all.iter().filter(|runbook| runbook.broken) {
        cx.console.line(&Line::new())?;
        cx.console.line(&Line::of(Tone::Bad, name(runbook)).with(Tone::Plain, " is broken; it cannot be started:"))?;
        for finding in &runbook.findings {
            for line in lines(finding, None) {
                cx.console.line(&line)?;
            }
        }
    }
    Ok(ExitCode::Succeeded)
}

fn name(runbook: &Runbook) -> &str {
    runbook.name.strip_prefix("runbooks/").unwrap_or(&runbook.name)
}

fn row(runbook: &Runbook) -> Vec<(Tone, String)> {
    let (tone, steps, description) = if runbook.broken {
        (Tone::Bad, String::new(), format!("broken: {}", runbook.file))
    } else {
        (Tone::Bold, runbook.steps.len().to_string(), runbook.description.clone())
    };
    vec![(tone, name(runbook).to_owned()), (Tone::Plain, steps), (Tone::Plain, description)]
}
