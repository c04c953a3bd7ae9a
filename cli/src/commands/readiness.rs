//! `runbook readiness`: whether what is backed up could be restored today.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use prost_types::Duration;
use runbook_proto::v1::{Evidence, ListReadinessRequest, ReadinessVerdict, TargetReadiness};
use serde_json::json;

use crate::complete;
use crate::console::INDENT;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::line::{Line, Tone};
use crate::moment::{Moment, moment, running_span, span};
use crate::pages;
use crate::session::system;
use crate::to_json::{self, readiness_verdict};

/// Arguments of `readiness`.
#[derive(Debug, Args)]
#[command(
    after_help = "Runbooks say what they are for: `objective: {target: NAME, rpo: 24h}` in a backup, `rto: 1h` in a restore, \
    `drill: true` in one that is thrown away, `proves: true` in a check of backups. The verdict follows from runs that succeeded.\n\n\
    Ends with code 1 when an objective is broken.\n\n\
    Examples:\n  runbook readiness\n  runbook readiness --target postgres/orders --env prod\n  runbook readiness --output json"
)]
pub struct Readiness {
    /// Only this target
    #[arg(long)]
    pub target: Option<String>,
    /// Only targets in this environment
    #[arg(long, value_name = "ENVIRONMENT", add = ArgValueCompleter::new(complete::environment))]
    pub env: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// No daemon answers.
pub async fn run(cx: &mut Context, args: &Readiness) -> Result<ExitCode> {
    let all: Vec<TargetReadiness> = pages::all(async |page_size, page_token| {
        let (target, environment) = (args.target.clone().unwrap_or_default(), args.env.clone().unwrap_or_default());
        let request = ListReadinessRequest { target, environment, page_size, page_token };
        let page = cx.session.ask(async |channel| system(channel).list_readiness(request.clone()).await).await?;
        Ok((page.targets, page.next_page_token))
    })
    .await?;
    if cx.console.json {
        let all: Vec<_> = all.iter().map(to_json::target_readiness).collect();
        cx.console.json(&json!({"targets": all}))?;
    } else if all.is_empty() {
        cx.console.say(
            "no runbook has an objective for it: `objective: {target: NAME, rpo: 24h}` in a backup is a beginning",
        );
    }
    if !cx.console.json {
        for line in all.iter().flat_map(|target| lines(target, Moment::now())) {
            cx.console.wrapped_line(&line, INDENT)?;
        }
    }
    let broken = all.iter().any(|target| target.verdict() == ReadinessVerdict::Broken);
    Ok(if broken { ExitCode::RunFailed } else { ExitCode::Succeeded })
}

/// A target for people.
fn lines(it: &TargetReadiness, now: Moment) -> Vec<Line> {
    let tone = match it.verdict() {
        ReadinessVerdict::Ready => Tone::Good,
        ReadinessVerdict::Broken => Tone::Bad,
        ReadinessVerdict::Unproved | ReadinessVerdict::Unspecified => Tone::Warn,
    };
    let place = if it.environment.is_empty() { String::new() } else { format!(" in {}", it.environment) };
    let head = Line::of(Tone::Bold, &it.target).with(Tone::Dim, &place).with(Tone::Plain, "  ");
    let head = head.with(tone, readiness_verdict(it.verdict()));
    let reasons = it.reasons.iter().map(|why| Line::of(Tone::Plain, &format!("  {why}")));
    let facts = [backup(it, now), proved(it, now), restore(it, now)];
    let facts = facts.into_iter().flatten().map(|fact| Line::of(Tone::Dim, &format!("  {fact}")));
    [head].into_iter().chain(reasons).chain(facts).collect()
}

fn micros(of: &Duration) -> i64 {
    of.seconds.saturating_mul(1_000_000).saturating_add(i64::from(of.nanos) / 1_000)
}

fn age(of: &Evidence, now: Moment) -> String {
    moment(of.began_at.as_ref()).map(|at| running_span(now.since(at))).unwrap_or_default()
}

fn backup(it: &TargetReadiness, now: Moment) -> Option<String> {
    let rpo = it.rpo.as_ref().map(|rpo| format!(" (objective {})", span(micros(rpo)))).unwrap_or_default();
    let newest = it.backup.as_ref()?;
    Some(format!("newest backup: run {}, {} old{rpo}", newest.number, age(newest, now)))
}

fn proved(it: &TargetReadiness, now: Moment) -> Option<String> {
    let (backup, by) = (it.proved.as_ref()?, it.proved_by.as_ref()?);
    let by = if by.run == backup.run { "by itself".to_owned() } else { format!("by run {}", by.number) };
    Some(format!("newest that was proved: run {}, {} old, {by}", backup.number, age(backup, now)))
}

fn restore(it: &TargetReadiness, now: Moment) -> Option<String> {
    let newest = it.restore.as_ref()?;
    let took = moment(newest.began_at.as_ref()).zip(moment(newest.ended_at.as_ref()));
    let took = took.map(|(began, ended)| span(ended.since(began))).unwrap_or_default();
    let rto = it.rto.as_ref().map(|rto| format!(" (objective {})", span(micros(rto)))).unwrap_or_default();
    let of = |name: &str, took: &Option<Duration>| took.as_ref().map(|took| format!("{name} {}", span(micros(took))));
    let usual: Vec<String> =
        [of("median", &it.restore_median), of("p90", &it.restore_p90)].into_iter().flatten().collect();
    let drill = it.drill.as_ref().map(|drill| format!("; last drill: run {}, {} ago", drill.number, age(drill, now)));
    Some(format!(
        "last restore: run {}, {} ago, took {took}{rto}; {} of {}{}",
        newest.number,
        age(newest, now),
        usual.join(", "),
        it.restores,
        drill.unwrap_or_default()
    ))
}
