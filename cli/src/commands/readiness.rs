//! `runbook readiness`: whether what is backed up could be restored today.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use prost_types::Duration;
use runbook_proto::v1::{
    Evidence, ListReadinessChangesRequest, ListReadinessRequest, ReadinessChange, ReadinessVerdict, RestorePreflight,
    TargetReadiness,
};
use serde_json::json;

use crate::complete;
use crate::console::INDENT;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::line::{Line, Tone};
use crate::moment::{Moment, micros, moment, running_span, span};
use crate::pages;
use crate::session::system;
use crate::to_json::{self, readiness_verdict};

/// Gaps between backups that people are told of a target.
const GAPS: usize = 3;

/// Arguments of `readiness`.
#[derive(Debug, Args)]
#[command(
    after_help = "Runbooks say what they are for: `objective: {target: NAME, rpo: 24h}` in a backup, `rto: 1h` in a restore, \
    `drill: true` in one that is thrown away, `proves: true` in a check of backups. The verdict follows from runs that ended:\n\
    a restore, a drill or a check that failed breaks the objective until one succeeds.\n\n\
    While the file of a runbook is broken its last good version counts, and that is told.\n\n\
    Ends with code 1 when an objective is broken, and otherwise with code 4 when it is not known what all files are for, or nothing ran\n\
    yet that could say: then a target may be missing.\n\n\
    Examples:\n  runbook readiness\n  runbook readiness --target postgres/orders --env prod\n  runbook readiness --output json\n  \
    runbook readiness --history --target postgres/orders"
)]
pub struct Readiness {
    /// Only this target
    #[arg(long)]
    pub target: Option<String>,
    /// Only targets in this environment
    #[arg(long, value_name = "ENVIRONMENT", add = ArgValueCompleter::new(complete::environment))]
    pub env: Option<String>,
    /// How targets stood in the last 90 days: each change of a verdict, the newest first
    #[arg(long)]
    pub history: bool,
}

/// Runs the verb.
///
/// # Errors
/// No daemon answers.
pub async fn run(cx: &mut Context, args: &Readiness) -> Result<ExitCode> {
    if args.history {
        return history(cx, args).await;
    }
    let mut unknown = Vec::new();
    let all: Vec<TargetReadiness> = pages::all(async |page_size, page_token| {
        let (target, environment) = (args.target.clone().unwrap_or_default(), args.env.clone().unwrap_or_default());
        let request = ListReadinessRequest { target, environment, page_size, page_token };
        let page = cx.session.ask(async |channel| system(channel).list_readiness(request.clone()).await).await?;
        unknown = page.unknown;
        Ok((page.targets, page.next_page_token))
    })
    .await?;
    if cx.console.json {
        let all: Vec<_> = all.iter().map(to_json::target_readiness).collect();
        cx.console.json(&json!({"targets": all, "unknown": unknown}))?;
    } else if all.is_empty() && unknown.is_empty() {
        cx.console.say(
            "no runbook has an objective for it: `objective: {target: NAME, rpo: 24h}` in a backup is a beginning",
        );
    }
    if !cx.console.json {
        for what in &unknown {
            cx.console.wrapped_line(&Line::of(Tone::Warn, what), INDENT)?;
        }
        for line in all.iter().flat_map(|target| lines(target, Moment::now())) {
            cx.console.wrapped_line(&line, INDENT)?;
        }
    }
    let broken = all.iter().any(|target| target.verdict() == ReadinessVerdict::Broken);
    Ok(match (broken, unknown.is_empty()) {
        (true, _) => ExitCode::RunFailed,
        (false, false) => ExitCode::Attention,
        (false, true) => ExitCode::Succeeded,
    })
}

/// Tells how targets stood. That says nothing of today, so it is no failure.
async fn history(cx: &mut Context, args: &Readiness) -> Result<ExitCode> {
    let all: Vec<ReadinessChange> = pages::all(async |page_size, page_token| {
        let (target, environment) = (args.target.clone().unwrap_or_default(), args.env.clone().unwrap_or_default());
        let request = ListReadinessChangesRequest { target, environment, page_size, page_token };
        let page =
            cx.session.ask(async |channel| system(channel).list_readiness_changes(request.clone()).await).await?;
        Ok((page.changes, page.next_page_token))
    })
    .await?;
    if cx.console.json {
        let all: Vec<_> = all.iter().map(to_json::readiness_change).collect();
        cx.console.json(&json!({"changes": all}))?;
        return Ok(ExitCode::Succeeded);
    }
    if all.is_empty() {
        cx.console
            .say("no verdict is known yet: one is noted when a runbook has an objective, and whenever it changes");
    }
    let mut last = None;
    for change in &all {
        let target = (&change.environment, &change.target);
        if last != Some(target) {
            cx.console.line(&head(&change.target, &change.environment))?;
            last = Some(target);
        }
        cx.console.wrapped_line(&stood(change, Moment::now()), INDENT)?;
    }
    Ok(ExitCode::Succeeded)
}

/// How a target stood, in a line.
fn stood(it: &ReadinessChange, now: Moment) -> Line {
    let at = moment(it.at.as_ref()).unwrap_or(now);
    let (until, still) = moment(it.until.as_ref()).map_or((now, "  for "), |until| (until, "  was so for "));
    let line = Line::of(Tone::Dim, &format!("  {}  ", at.date_clock()));
    let line = line.with(tone(it.verdict()), readiness_verdict(it.verdict()));
    let line = line.with(Tone::Dim, &format!("{still}{}", running_span(until.since(at))));
    match it.reasons.is_empty() {
        true => line,
        false => line.with(Tone::Plain, &format!("  {}", it.reasons.join("; "))),
    }
}

const fn tone(verdict: ReadinessVerdict) -> Tone {
    match verdict {
        ReadinessVerdict::Ready => Tone::Good,
        ReadinessVerdict::Broken => Tone::Bad,
        ReadinessVerdict::Unproved | ReadinessVerdict::Unwanted | ReadinessVerdict::Unspecified => Tone::Warn,
    }
}

/// What a target is called, and where it is.
fn head(target: &str, environment: &str) -> Line {
    let place = if environment.is_empty() { String::new() } else { format!(" in {environment}") };
    Line::of(Tone::Bold, target).with(Tone::Dim, &place)
}

/// A target for people.
fn lines(it: &TargetReadiness, now: Moment) -> Vec<Line> {
    let head = head(&it.target, &it.environment).with(Tone::Plain, "  ");
    let head = head.with(tone(it.verdict()), readiness_verdict(it.verdict()));
    let reasons = it.reasons.iter().map(|why| Line::of(Tone::Plain, &format!("  {why}")));
    let warnings = it.warnings.iter().map(|what| Line::of(Tone::Warn, &format!("  {what}")));
    let facts = [backup(it, now), gaps(it), proved(it, now), restore(it, now)];
    let looks = it.preflights.iter().map(|look| preflight(look, now));
    let facts = facts.into_iter().flatten().chain(looks).map(|fact| Line::of(Tone::Dim, &format!("  {fact}")));
    [head].into_iter().chain(reasons).chain(warnings).chain(facts).collect()
}

fn age(of: &Evidence, now: Moment) -> String {
    moment(of.began_at.as_ref()).map(|at| running_span(now.since(at))).unwrap_or_default()
}

fn backup(it: &TargetReadiness, now: Moment) -> Option<String> {
    let rpo = it.rpo.as_ref().map(|rpo| format!(" (objective {})", span(micros(rpo)))).unwrap_or_default();
    let newest = it.backup.as_ref()?;
    Some(format!("newest backup: run {}, {} old{rpo}", newest.number, age(newest, now)))
}

fn gaps(it: &TargetReadiness) -> Option<String> {
    let length = |before: &Option<Evidence>, after: &Option<Evidence>| {
        let began = |it: &Option<Evidence>| it.as_ref().and_then(|it| moment(it.began_at.as_ref()));
        Some((began(before)?, began(after)?))
    };
    let told = it.gaps.iter().filter_map(|gap| {
        let (from, until) = length(&gap.before, &gap.after)?;
        Some(format!("{} from {}", span(until.since(from)), from.date_clock()))
    });
    let told: Vec<String> = told.take(GAPS).collect();
    if told.is_empty() {
        return None;
    }
    let more = (it.all_gaps as usize).saturating_sub(told.len());
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    let oldest = it.oldest_backup.as_ref().and_then(|oldest| moment(oldest.began_at.as_ref()));
    let since = oldest.map(|oldest| format!(" since {}", oldest.date_clock())).unwrap_or_default();
    Some(format!("gaps between backups{since}: {}{more}", told.join(", ")))
}

fn preflight(it: &RestorePreflight, now: Moment) -> String {
    let name = it.runbook.strip_prefix("runbooks/").unwrap_or(&it.runbook);
    let ago = moment(it.at.as_ref()).map(|at| running_span(now.since(at))).unwrap_or_default();
    let found = match it.since {
        None => "nothing is missing".to_owned(),
        Some(_) => format!("{} missing", it.problems.len() as u64 + it.more),
    };
    format!("last pre-flight of {name}: {ago} ago, {found}")
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
