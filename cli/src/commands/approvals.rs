//! `runbook approvals`: what runs ask of persons, with what to type.

use clap::Args;
use runbook_proto::v1::{Approval, DecideApprovalRequest, Decision, Input, ListApprovalsRequest};
use serde_json::json;

use super::changed;
use crate::console::INDENT;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::hidden;
use crate::line::{Line, Tone};
use crate::moment::{Moment, moment, running_span};
use crate::pages;
use crate::report::approve_command;
use crate::run_name::resolve;
use crate::session::approvals;
use crate::to_json;

/// Arguments of `approvals`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  runbook approvals\n  runbook approvals --mine\n  \
    runbook approvals 12 --output json")]
pub struct Approvals {
    /// Only of this run: its number or uid, or `last`
    pub run: Option<String>,
    /// Only those that you may decide
    #[arg(long)]
    pub mine: bool,
}

/// Runs the verb.
///
/// # Errors
/// There is no such run, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Approvals) -> Result<ExitCode> {
    let run = match &args.run {
        Some(typed) => resolve(cx, typed).await?,
        None => String::new(),
    };
    let all: Vec<Approval> = pages::all(async |page_size, page_token| {
        let request = ListApprovalsRequest { page_size, page_token, run: run.clone(), mine: args.mine };
        let page = cx.session.ask(async |channel| approvals(channel).list_approvals(request.clone()).await).await?;
        Ok((page.approvals, page.next_page_token))
    })
    .await?;
    if cx.console.json {
        let all: Vec<_> = all.iter().map(to_json::approval).collect();
        cx.console.json(&json!({"approvals": all}))?;
    } else if all.is_empty() {
        cx.console.say("nobody is asked for an approval");
    } else {
        for line in all.iter().flat_map(|approval| lines(approval, Moment::now())) {
            cx.console.wrapped_line(&line, INDENT)?;
        }
    }
    Ok(ExitCode::Succeeded)
}

/// An approval for people.
fn lines(approval: &Approval, now: Moment) -> Vec<Line> {
    let number = approval.run_number;
    let step = if approval.step.is_empty() { String::new() } else { format!(", step {}", approval.step) };
    let by = approval.started_by.as_ref().map_or("", |by| by.name.as_str());
    let mut lines = vec![
        Line::of(Tone::Bold, &format!("run {number} {}", approval.runbook))
            .with(Tone::Plain, &step)
            .with(Tone::Dim, &format!(", started by {by}")),
        Line::of(Tone::Plain, &format!("  {}", approval.message)),
    ];
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(Line::of(Tone::Dim, &format!("  {name}: ")).with(Tone::Plain, &value));
        }
    };
    fact("why", approval.reason.clone());
    let mut inputs: Vec<_> = approval.inputs.iter().flat_map(|inputs| &inputs.fields).collect();
    inputs.sort_by_key(|(name, _)| *name);
    let inputs = inputs.into_iter().map(|(name, value)| format!("{name}={}", plain(&to_json::value(value))));
    fact("inputs", inputs.collect::<Vec<_>>().join(", "));
    fact("asks", asks(approval));
    let votes = approval.votes.iter().filter_map(|vote| Some(vote.by.as_ref()?.name.clone()));
    fact("approved by", votes.collect::<Vec<_>>().join(", "));
    if let Some(until) = moment(approval.until.as_ref()) {
        let left = running_span(until.since(now));
        fact("until", format!("{}, {left} left, then: {}", until.date_clock(), approval.on_timeout));
    }
    fact("fields", approval.fields.iter().map(described).collect::<Vec<_>>().join(", "));
    let may = if approval.may_decide { "you may decide" } else { "not for you" };
    lines.push(
        Line::of(Tone::Dim, "  type: ")
            .with(Tone::Bold, &approve_command(number, approval, &approval.step))
            .with(Tone::Dim, &format!("  ({may})")),
    );
    lines
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Whom it asks, in words.
fn asks(approval: &Approval) -> String {
    let who = match approval.roles.is_empty() {
        true => "anybody".to_owned(),
        false => approval.roles.join(" or "),
    };
    let other = if approval.not_requester { ", not who started the run" } else { "" };
    format!("{} of {who}{other}", approval.approvals)
}

fn described(field: &Input) -> String {
    let secret = if field.secret { ", secret" } else { "" };
    let required = if field.required { ", required" } else { "" };
    let what = if field.description.is_empty() { String::new() } else { format!(", {}", field.description) };
    format!("{} ({}{secret}{required}{what})", field.name, field.r#type)
}

/// What is decided about an approval, and how it is told.
pub(super) struct Deciding<'a> {
    pub run: &'a str,
    /// The step that asks; the start of the run where it is none.
    pub step: Option<&'a str>,
    pub decision: Decision,
    pub reason: String,
    pub fields: &'a [(String, String)],
}

/// Sends a decision.
pub(super) async fn decide(cx: &mut Context, deciding: Deciding<'_>) -> Result<ExitCode> {
    let field_texts = hidden::texts(&cx.console, deciding.fields, "fields")?;
    let request = DecideApprovalRequest {
        run: resolve(cx, deciding.run).await?,
        step: deciding.step.unwrap_or_default().to_owned(),
        decision: deciding.decision.into(),
        reason: deciding.reason,
        fields: None,
        field_texts,
    };
    let response = cx.session.tell(async |channel| approvals(channel).decide_approval(request).await).await?;
    let word = if deciding.decision == Decision::Reject { "rejected" } else { "approved" };
    let what = deciding.step.map_or_else(|| "its start".to_owned(), |step| format!("step {step}"));
    changed(cx, response.run, &format!("{what} is {word} by you"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Timestamp;
    use runbook_proto::v1::Principal;

    #[test]
    fn an_approval_says_what_to_type() {
        let field =
            |name: &str, required| Input { name: name.into(), r#type: "string".into(), required, ..Input::default() };
        let approval = Approval {
            run_number: 12,
            runbook: "drop".into(),
            step: "go".into(),
            message: "Drop orders?".into(),
            roles: vec!["dba".into(), "sre".into()],
            approvals: 2,
            not_requester: true,
            fields: vec![field("ticket", true), field("note", false)],
            until: Some(Timestamp { seconds: 4_000, nanos: 0 }),
            on_timeout: "reject".into(),
            started_by: Some(Principal { name: "ann".into(), uid: Some(1000) }),
            may_decide: true,
            ..Approval::default()
        };
        let lines: Vec<String> = lines(&approval, Moment(400_000_000)).iter().map(Line::plain).collect();
        assert_eq!(lines[0], "run 12 drop, step go, started by ann");
        assert_eq!(lines[1], "  Drop orders?");
        assert_eq!(lines[2], "  asks: 2 of dba or sre, not who started the run");
        assert!(lines[3].contains("1 h 00 min left, then: reject"), "{}", lines[3]);
        assert_eq!(lines[4], "  fields: ticket (string, required), note (string)");
        assert_eq!(lines[5], "  type: runbook approve 12 go --field ticket=…  (you may decide)");
    }
}
