//! `runbook schedules catch-up`: tells which slots were missed, asks, and has each run after all.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{CatchUpScheduleRequest, CatchUpScheduleResponse, CaughtUpSlot, WatchRunRequest};
use serde_json::json;

use crate::complete;
use crate::confirm;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::follow::snapshot;
use crate::line::{Line, Tone};
use crate::model::is_terminal;
use crate::moment::{Moment, moment, time_past};
use crate::prompt::typed_line;
use crate::session::{Retry, runs, schedules};
use crate::text::plural;
use crate::to_json;

/// Slots that are named before a person is asked; of more, the first and the last.
const NAMED: usize = 10;

/// Arguments of `catch-up`.
#[derive(Debug, Args)]
#[command(
    after_help = "Where the runbook has no group, and its schedule does not say `overlap: allow`, nothing makes one run\n\
    wait for another: the command starts one after the other, and waits meanwhile. It may be stopped and repeated.\n\n\
    Examples:\n  runbook schedules catch-up backup/nightly --from 2026-11-01 --to 2026-11-08\n  \
    runbook schedules catch-up backup/nightly --from 2026-11-01T02:30:00+01:00 --yes --reason 'the disk was full'"
)]
pub struct CatchUp {
    /// RUNBOOK/SCHEDULE
    #[arg(add = ArgValueCompleter::new(complete::schedule))]
    pub name: String,
    /// The first slot: an instant, or what the local clock on the wall showed then
    #[arg(long, value_name = "TIME", value_parser = time_past)]
    pub from: Moment,
    /// The last slot; now where it is not given
    #[arg(long, value_name = "TIME", value_parser = time_past)]
    pub to: Option<Moment>,
    /// Why; it stays in the runs' history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Start them without being asked
    #[arg(long)]
    pub yes: bool,
}

/// Runs the verb.
///
/// # Errors
/// There are too many, nobody said yes, they cannot be started, or no daemon answers.
pub async fn run(cx: &mut Context, args: &CatchUp) -> Result<ExitCode> {
    let mut request = CatchUpScheduleRequest {
        name: args.name.clone(),
        from: Some(args.from.timestamp()),
        to: args.to.map(Moment::timestamp),
        reason: args.reason.clone().unwrap_or_default(),
        validate_only: true,
    };
    let missed = ask(cx, &request).await?.slots;
    if missed.is_empty() {
        if cx.console.json {
            cx.console.json(&json!({"slots": [], "left": 0}))?;
        } else {
            cx.console.say("no slot was missed then, or each of them ran after all");
        }
        return Ok(ExitCode::Succeeded);
    }
    if !args.yes {
        confirm(cx, &missed).await?;
    }
    request.validate_only = false;
    // A slot that is missed meanwhile was not shown.
    request.to = missed.last().and_then(|slot| slot.at);
    let (mut started, mut left) = (Vec::new(), missed.len());
    while left > 0 {
        let answer = ask(cx, &request).await?;
        for slot in &answer.slots {
            if !cx.console.json {
                cx.console.line(&line(slot))?;
            }
        }
        cx.console.flush()?;
        started.extend(answer.slots);
        left = answer.left as usize;
        if left > 0 {
            let busy = answer.busy_run_number;
            cx.console
                .say(&format!("{} left; waiting until run {busy} is over", plural(u64::from(answer.left), "slot")));
            until_over(cx, busy).await?;
        }
    }
    if cx.console.json {
        let slots: Vec<_> = started.iter().map(to_json::caught_up).collect();
        cx.console.json(&json!({"slots": slots, "left": left}))?;
    }
    Ok(ExitCode::Succeeded)
}

async fn ask(cx: &mut Context, request: &CatchUpScheduleRequest) -> Result<CatchUpScheduleResponse> {
    // What was started before a connection broke is in the ledger, and is not missed any more.
    cx.session.ask(async |channel| schedules(channel).catch_up_schedule(request.clone()).await).await
}

fn line(slot: &CaughtUpSlot) -> Line {
    let at = moment(slot.at.as_ref()).map(Moment::date_clock).unwrap_or_default();
    Line::of(Tone::Plain, &format!("{at}  ")).with(Tone::Bold, &format!("run {}", slot.run_number))
}

/// Shows what was missed and asks a person whether it is to run.
async fn confirm(cx: &Context, missed: &[CaughtUpSlot]) -> Result<()> {
    let at = |slot: &CaughtUpSlot| moment(slot.at.as_ref()).map(Moment::date_clock).unwrap_or_default();
    let (count, all) = (missed.len(), missed.iter().map(at).collect::<Vec<_>>());
    let named = match &all[..] {
        [first, .., last] if count > NAMED => format!("{first} to {last}"),
        all => all.join(", "),
    };
    let what = format!("{} missed: {named}", plural(count as u64, "slot"));
    let refused = |what: String| Failure::new(ExitCode::Refused, what).why("nothing was started");
    if !confirm::can_ask(cx) {
        return Err(refused(what).next("if they are to run: the same with --yes"));
    }
    cx.console.warn(&what);
    cx.console.ask("start a run for each? [y/N] ");
    let typed = typed_line().await.map_err(|error| Failure::io("the terminal cannot be read", &error))?;
    match typed.trim() {
        "y" | "yes" => Ok(()),
        _ => Err(refused("that is not yes".to_owned())),
    }
}

/// Waits until a run is over.
async fn until_over(cx: &mut Context, number: u64) -> Result<()> {
    let mut retry = Retry::default();
    loop {
        let run = snapshot(cx, &number.to_string()).await?;
        if is_terminal(run.status()) {
            return Ok(());
        }
        let request = WatchRunRequest { name: run.uid, start_after: run.last_event, tree: false };
        let opened = cx.session.open(async |channel| runs(channel).watch_run(request.clone()).await).await;
        let broken = match opened {
            Ok(mut stream) => loop {
                match stream.message().await {
                    Ok(Some(message)) if is_terminal(message.status()) => return Ok(()),
                    Ok(Some(_)) => retry.succeeded(),
                    Ok(None) => break None,
                    Err(status) => break Some(Failure::from(status)),
                }
            },
            Err(failure) => Some(failure),
        };
        retry.pause(&mut cx.session, broken).await?;
    }
}
