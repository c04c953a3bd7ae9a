//! `runbook findings`: what a person should look at although no run failed.

use clap::Args;
use runbook_proto::v1::{FindingKind, ListFindingsRequest, StandingFinding};
use serde_json::json;

use crate::console::INDENT;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::line::{Line, Tone};
use crate::moment::{Moment, moment, running_span};
use crate::pages;
use crate::session::system;
use crate::to_json::{self, finding_kind};

/// Arguments of `findings`.
#[derive(Debug, Args)]
#[command(
    after_help = "A finding is told until its reason is gone: a schedule that succeeds again is overdue no longer.\n\n\
    Examples:\n  runbook findings\n  runbook findings --output json"
)]
pub struct Findings {}

/// Runs the verb.
///
/// # Errors
/// No daemon answers.
pub async fn run(cx: &mut Context) -> Result<ExitCode> {
    let all: Vec<StandingFinding> = pages::all(async |page_size, page_token| {
        let request = ListFindingsRequest { page_size, page_token };
        let page = cx.session.ask(async |channel| system(channel).list_findings(request.clone()).await).await?;
        Ok((page.findings, page.next_page_token))
    })
    .await?;
    if cx.console.json {
        let all: Vec<_> = all.iter().map(to_json::standing_finding).collect();
        cx.console.json(&json!({"findings": all}))?;
    } else if all.is_empty() {
        cx.console.say("nothing to look at");
    } else {
        for line in all.iter().flat_map(|finding| lines(finding, Moment::now())) {
            cx.console.wrapped_line(&line, INDENT)?;
        }
    }
    Ok(ExitCode::Succeeded)
}

/// A finding for people.
fn lines(finding: &StandingFinding, now: Moment) -> [Line; 2] {
    let kind = finding.kind();
    let tone = if kind == FindingKind::Overdue { Tone::Bad } else { Tone::Warn };
    let since = moment(finding.since.as_ref());
    let since = since.map(|at| format!(", since {} ({})", at.date_clock(), running_span(now.since(at))));
    [
        Line::of(Tone::Bold, &finding.subject)
            .with(Tone::Plain, "  ")
            .with(tone, finding_kind(kind))
            .with(Tone::Dim, &since.unwrap_or_default())
            .with(Tone::Plain, &format!(": {}", finding.message)),
        Line::of(Tone::Dim, &format!("  {}", finding.help)),
    ]
}
