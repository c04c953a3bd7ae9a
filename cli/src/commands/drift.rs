//! `runbook drift`: what differs from what is written, and what of it somebody accepts for a time.

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{AcceptDriftRequest, DriftDifference, DriftLook, DriftStack, ListDriftRequest};
use serde_json::json;

use crate::complete;
use crate::console::INDENT;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::line::{Line, Tone};
use crate::moment::{Moment, moment, running_span, time_ahead};
use crate::pages;
use crate::session::system;
use crate::to_json;

/// Arguments of `drift`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Steps such as `uses: terraform/drift` look; what differs is known from the newest look that came to an end, and when\n\
    it was seen first outlives the runs. A look that failed changes nothing of that, and is told.\n\n\
    Ends with code 1 when something differs that nobody accepted, and otherwise with code 4 when the newest look at a stack failed,\n\
    or none was made: then nobody knows.\n\n\
    Examples:\n  runbook drift\n  runbook drift --new --env prod\n  \
    runbook drift accept aws_instance.web --until '2026-12-24 18:00' --reason 'resized by hand for the sale'"
)]
pub struct Drift {
    /// What to do; without it, list what differs
    #[command(subcommand)]
    pub verb: Option<Verb>,
    /// Only what the newest look found and the one before did not, or not in this way
    #[arg(long)]
    pub new: bool,
    /// Only this stack
    #[arg(long, value_name = "FOLDER")]
    pub stack: Option<String>,
    /// Only stacks in this environment
    #[arg(long, value_name = "ENVIRONMENT", add = ArgValueCompleter::new(complete::environment))]
    pub env: Option<String>,
}

/// What can be done about drift.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Accept a difference as it is, for a time
    Accept(Accept),
}

/// Arguments of `accept`.
#[derive(Debug, Args)]
#[command(
    after_help = "What was accepted is what differs now: when it differs in another way, or is gone and comes back, it is to be\n\
    accepted anew. Accepting it again replaces time and reason.\n\n\
    Examples:\n  runbook drift accept aws_instance.web --until 2026-12-24T18:00:00+01:00 --reason 'resized for the sale'\n  \
    runbook drift accept output.url --stack infrastructure/network --env prod --until 18:00 --reason 'see the incident'"
)]
pub struct Accept {
    /// The address, as `runbook drift` lists it
    pub address: String,
    /// Until when: an instant, or what the local clock on the wall shows then
    #[arg(long, value_name = "TIME", value_parser = time_ahead)]
    pub until: Moment,
    /// Why; it is kept with it
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Of which stack, where the address is in several
    #[arg(long, value_name = "FOLDER")]
    pub stack: Option<String>,
    /// Of which workspace of it
    #[arg(long, value_name = "NAME")]
    pub workspace: Option<String>,
    /// In which environment
    #[arg(long, value_name = "ENVIRONMENT", add = ArgValueCompleter::new(complete::environment))]
    pub env: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// What is to be accepted is not there, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Drift) -> Result<ExitCode> {
    match &args.verb {
        Some(Verb::Accept(args)) => accept(cx, args).await,
        None => list(cx, args).await,
    }
}

async fn list(cx: &mut Context, args: &Drift) -> Result<ExitCode> {
    let (environment, stack) = (args.env.clone().unwrap_or_default(), args.stack.clone().unwrap_or_default());
    let parts: Vec<DriftStack> = pages::all(async |page_size, page_token| {
        let (environment, stack) = (environment.clone(), stack.clone());
        let request = ListDriftRequest { environment, stack, only_new: args.new, page_size, page_token };
        let page = cx.session.ask(async |channel| system(channel).list_drift(request.clone()).await).await?;
        Ok((page.stacks, page.next_page_token))
    })
    .await?;
    let all = joined(parts);
    if cx.console.json {
        let all: Vec<_> = all.iter().map(to_json::drift_stack).collect();
        cx.console.json(&json!({"stacks": all}))?;
    } else if all.is_empty() {
        let at = args.stack.as_ref().map(|stack| format!(" at {stack}")).unwrap_or_default();
        let place = args.env.as_ref().map(|env| format!(" in {env}")).unwrap_or_default();
        cx.console.say(&format!(
            "no step has looked yet{at}{place}, and nobody knows: `uses: terraform/drift` is one that does"
        ));
    } else {
        for line in all.iter().flat_map(|stack| lines(stack, Moment::now())) {
            cx.console.wrapped_line(&line, INDENT)?;
        }
    }
    let open = |stack: &DriftStack| stack.left_out > 0 || stack.differences.iter().any(|it| !it.accepted);
    Ok(if all.iter().any(open) {
        ExitCode::RunFailed
    } else if all.is_empty() || all.iter().any(|stack| stack.failed_look.is_some()) {
        ExitCode::Attention
    } else {
        ExitCode::Succeeded
    })
}

/// Puts together what goes on on the next page.
fn joined(parts: Vec<DriftStack>) -> Vec<DriftStack> {
    let mut all: Vec<DriftStack> = Vec::new();
    for part in parts {
        let name = |it: &DriftStack| [&it.environment, &it.source, &it.stack, &it.workspace].map(String::clone);
        match all.last_mut().filter(|last| name(last) == name(&part)) {
            Some(last) => last.differences.extend(part.differences),
            None => all.push(part),
        }
    }
    all
}

async fn accept(cx: &mut Context, args: &Accept) -> Result<ExitCode> {
    let request = AcceptDriftRequest {
        address: args.address.clone(),
        environment: args.env.clone().unwrap_or_default(),
        stack: args.stack.clone().unwrap_or_default(),
        workspace: args.workspace.clone().unwrap_or_default(),
        until: Some(args.until.timestamp()),
        reason: args.reason.clone(),
    };
    let answer = cx.session.ask(async |channel| system(channel).accept_drift(request.clone()).await).await?;
    let stack = answer.stack.ok_or_else(|| Failure::other("the daemon answered without a stack"))?;
    if cx.console.json {
        cx.console.json(&to_json::drift_stack(&stack))?;
        return Ok(ExitCode::Succeeded);
    }
    for line in stack.differences.iter().flat_map(|it| of_difference(it, Moment::now())) {
        cx.console.wrapped_line(&line, INDENT)?;
    }
    Ok(ExitCode::Succeeded)
}

fn seen(look: &DriftLook, now: Moment) -> String {
    let ago = moment(look.at.as_ref()).map(|at| format!(", {} ago", running_span(now.since(at))));
    format!("run {}{}", look.number, ago.unwrap_or_default())
}

/// A stack for people.
fn lines(it: &DriftStack, now: Moment) -> Vec<Line> {
    let place = if it.environment.is_empty() { String::new() } else { format!(" in {}", it.environment) };
    let head = Line::of(Tone::Bold, &it.stack);
    let head = head.with(Tone::Dim, &format!("{place}, {}, workspace {}: ", it.source, it.workspace));
    let open = it.differences.iter().filter(|it| !it.accepted).count() as u64 + it.left_out;
    let head = match (open, it.differences.len()) {
        (0, 0) if it.last_look.is_none() => head.with(Tone::Warn, "no look came to an end yet"),
        (0, 0) => head.with(Tone::Good, "nothing to tell"),
        (0, accepted) => head.with(Tone::Good, &format!("{accepted} accepted")),
        (open, _) => head.with(Tone::Bad, &format!("{open} that nobody accepted")),
    };
    let looked = it.last_look.as_ref().map(|look| Line::of(Tone::Dim, &format!("  looked at by {}", seen(look, now))));
    let failed = it.failed_look.as_ref().map(|look| {
        let told = format!("  the newest look, by {}, failed: {}", seen(look, now), look.message);
        Line::of(Tone::Warn, &told)
    });
    let more = Some(it.left_out).filter(|more| *more > 0);
    let more =
        more.map(|more| Line::of(Tone::Warn, &format!("  {more} more differ than are kept; the run's log has all")));
    let differences = it.differences.iter().flat_map(|it| of_difference(it, now));
    [head].into_iter().chain(looked).chain(failed).chain(differences).chain(more).collect()
}

/// A difference for people.
fn of_difference(it: &DriftDifference, now: Moment) -> Vec<Line> {
    let mut attributes = it.attributes.join(", ");
    if it.more_attributes > 0 {
        attributes = format!("{attributes} and {} more", it.more_attributes);
    }
    let attributes = if attributes.is_empty() { String::new() } else { format!(": {attributes}") };
    let tone = if it.accepted { Tone::Dim } else { Tone::Bad };
    let head = Line::of(tone, &format!("  {}", it.address)).with(Tone::Plain, &format!("  {}{attributes}", it.action));
    let head = if it.is_new { head.with(Tone::Warn, "  new") } else { head };
    let first = it.first_seen.as_ref().map(|look| format!("    first seen by {}", seen(look, now)));
    let changed = it.since.as_ref().filter(|since| it.first_seen.as_ref() != Some(since));
    let changed = changed.map(|look| format!("; in this way since {}", seen(look, now))).unwrap_or_default();
    let first = first.map(|first| Line::of(Tone::Dim, &format!("{first}{changed}")));
    let accepted = it.acceptance.as_ref().map(|acceptance| {
        let until = moment(acceptance.until.as_ref()).map(Moment::date_clock).unwrap_or_default();
        let held = if it.accepted { "accepted until" } else { "was accepted until" };
        Line::of(Tone::Dim, &format!("    {held} {until} by {}: {}", acceptance.by, acceptance.reason))
    });
    [head].into_iter().chain(first).chain(accepted).collect()
}
