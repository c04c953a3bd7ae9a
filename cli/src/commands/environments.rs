//! `runbook environments`: where runs can be started, and what they find there.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use prost_types::Struct;
use runbook_proto::v1::{Environment, Freeze, GetEnvironmentRequest, ListEnvironmentsRequest};
use serde_json::json;

use super::check::lines;
use crate::complete;
use crate::console::Console;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::line::{Line, Tone};
use crate::moment::{Moment, moment};
use crate::pages;
use crate::session::runbooks;
use crate::table::Table;
use crate::to_json;

/// Arguments of `environments`.
#[derive(Debug, Args)]
#[command(after_help = "An environment is a file in the project's folder runbooks/environments.\n\n\
    Examples:\n  runbook environments list\n  runbook environments show prod")]
pub struct Environments {
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be asked about environments.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List all, broken ones included
    #[command(after_help = "Example:\n  runbook environments list --output json")]
    List,
    /// Show one: its values, and what it gives for inputs
    #[command(after_help = "Example:\n  runbook environments show prod")]
    Show {
        /// The environment's name
        #[arg(add = ArgValueCompleter::new(complete::environment))]
        name: String,
    },
}

/// Runs the verb.
///
/// # Errors
/// There is no such environment, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Environments) -> Result<ExitCode> {
    match &args.verb {
        Verb::List => list(cx).await,
        Verb::Show { name } => {
            let request = GetEnvironmentRequest { name: name.clone() };
            let answer =
                cx.session.ask(async |channel| runbooks(channel).get_environment(request.clone()).await).await?;
            let answer = answer.environment;
            show(cx, &answer.ok_or_else(|| Failure::other("the daemon answered without an environment"))?)
        }
    }
}

async fn list(cx: &mut Context) -> Result<ExitCode> {
    let all: Vec<Environment> = pages::all(async |page_size, page_token| {
        let request = ListEnvironmentsRequest { page_size, page_token };
        let page = cx.session.ask(async |channel| runbooks(channel).list_environments(request.clone()).await).await?;
        Ok((page.environments, page.next_page_token))
    })
    .await?;
    if cx.console.json {
        cx.console.json(&json!({"environments": all.iter().map(to_json::environment).collect::<Vec<_>>()}))?;
        return Ok(ExitCode::Succeeded);
    }
    if all.is_empty() {
        cx.console.say("no environments: the project's folder `runbooks/environments` has no .yaml file");
        return Ok(ExitCode::Succeeded);
    }
    let mut table = Table::new(&["ENVIRONMENT", "STATE", "DESCRIPTION"]);
    for environment in &all {
        let (tone, state) = state(environment);
        let bare = name(environment).to_owned();
        table.row(vec![(Tone::Bold, bare), (tone, state), (Tone::Plain, environment.description.clone())]);
    }
    cx.console.table(&table)?;
    Ok(ExitCode::Succeeded)
}

fn name(environment: &Environment) -> &str {
    environment.name.strip_prefix("environments/").unwrap_or(&environment.name)
}

fn state(environment: &Environment) -> (Tone, String) {
    if environment.broken {
        return (Tone::Bad, format!("broken: {}", environment.file));
    }
    if !environment.closed.is_empty() {
        return (Tone::Warn, environment.closed.clone());
    }
    (Tone::Plain, if environment.is_default { "default" } else { "" }.to_owned())
}

fn show(cx: &Context, environment: &Environment) -> Result<ExitCode> {
    let console = &cx.console;
    if console.json {
        console.json(&to_json::environment(environment))?;
        return Ok(ExitCode::Succeeded);
    }
    let mut head = Line::of(Tone::Bold, name(environment)).with(Tone::Dim, &format!("  {}", environment.file));
    if environment.broken {
        head.push(Tone::Bad, "  broken: nothing can be started in it");
    } else if environment.is_default {
        head.push(Tone::Plain, "  default");
    }
    console.line(&head)?;
    if !environment.description.is_empty() {
        console.wrapped_line(&Line::of(Tone::Plain, &environment.description), 0)?;
    }
    if !environment.closed.is_empty() {
        console.wrapped_line(&Line::of(Tone::Warn, &format!("nothing is started now: {}", environment.closed)), 0)?;
    }
    let overriding = environment.override_roles.join(" or ");
    for (what, value) in [
        ("started by", environment.start_roles.join(" or ")),
        ("confirmed by", environment.confirm.clone()),
        ("approved by", environment.approved_by.clone()),
        ("hours", environment.hours.clone()),
        ("overridden by", overriding),
    ] {
        if !value.is_empty() {
            console.line(&Line::of(Tone::Dim, &format!("{what}: ")).with(Tone::Plain, &value))?;
        }
    }
    freezes(console, &environment.freezes)?;
    section(console, "Values", "NAME", environment.values.as_ref())?;
    section(console, "Inputs", "INPUT", environment.inputs.as_ref())?;
    if !environment.findings.is_empty() {
        console.line(&Line::new())?;
        console.line(&Line::of(Tone::Bold, "Findings"))?;
        for line in environment.findings.iter().flat_map(|finding| lines(finding, None)) {
            console.line(&line)?;
        }
    }
    Ok(ExitCode::Succeeded)
}

fn freezes(console: &Console, freezes: &[Freeze]) -> Result<()> {
    if freezes.is_empty() {
        return Ok(());
    }
    let time = |at: Option<&prost_types::Timestamp>| moment(at).map(Moment::date_clock).unwrap_or_default();
    let mut table = Table::new(&["FREEZE", "FROM", "TO", "REASON"]).wrapped();
    for freeze in freezes {
        table.row(vec![
            (Tone::Bold, freeze.name.clone()),
            (Tone::Plain, time(freeze.from.as_ref())),
            (Tone::Plain, time(freeze.to.as_ref())),
            (Tone::Plain, freeze.reason.clone()),
        ]);
    }
    console.line(&Line::new())?;
    console.table(&table)
}

fn section(console: &Console, title: &str, column: &'static str, values: Option<&Struct>) -> Result<()> {
    let mut pairs: Vec<_> = values.iter().flat_map(|values| &values.fields).collect();
    if pairs.is_empty() {
        return Ok(());
    }
    pairs.sort_by_key(|(name, _)| *name);
    let mut table = Table::new(&[column, "VALUE"]).wrapped();
    for (name, value) in pairs {
        table.row(vec![(Tone::Bold, name.clone()), (Tone::Plain, to_json::value(value).to_string())]);
    }
    console.line(&Line::new())?;
    console.line(&Line::of(Tone::Bold, title))?;
    console.table(&table)
}
