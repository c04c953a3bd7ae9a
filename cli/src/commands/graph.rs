//! `runbook graph`: a runbook's graph as a drawing.

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{DrawGraphRequest, GraphFormat};

use crate::complete;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::named::named;
use crate::session::runbooks;
use crate::to_json;

/// Arguments of `graph`.
#[derive(Debug, Args)]
#[command(after_help = "`runbookd graph FILE` draws the same without a daemon.\n\n\
    Examples:\n  runbook graph backup\n  runbook graph ./try.yaml --format mermaid\n  \
    runbook graph backup --format dot | dot -Tsvg > backup.svg")]
pub struct Graph {
    /// A runbook's name, or the path of a file (with a `/`, or ending in .yaml or .yml)
    #[arg(value_name = "NAME|FILE", add = ArgValueCompleter::new(complete::runbook_or_file))]
    pub what: String,
    /// What is drawn: rows of steps that may run together, a flowchart of Mermaid, a digraph of Graphviz
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Form::Text)]
    pub format: Form,
}

/// The forms of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For a terminal.
    Text,
    /// For pages.
    Mermaid,
    /// For Graphviz.
    Dot,
}

/// Runs the verb.
///
/// # Errors
/// There is no such runbook, it is broken, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Graph) -> Result<ExitCode> {
    let named = named(&args.what)?;
    let format = match args.format {
        Form::Text => GraphFormat::Text,
        Form::Mermaid => GraphFormat::Mermaid,
        Form::Dot => GraphFormat::Dot,
    };
    let request = DrawGraphRequest {
        runbook: named.runbook,
        source: named.source,
        source_file: named.source_file,
        format: format.into(),
    };
    let response = cx.session.ask(async |channel| runbooks(channel).draw_graph(request.clone()).await).await?;
    if cx.console.json {
        let runbook = response.runbook.ok_or_else(|| Failure::other("the daemon answered without a runbook"))?;
        cx.console.json(&to_json::runbook(&runbook))?;
    } else {
        cx.console.raw(&response.drawing)?;
    }
    Ok(ExitCode::Succeeded)
}
