//! `runbook schedules`: what starts by itself, when it is due next, and what became of every slot.

mod catch_up;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{
    GetScheduleRequest, LedgerEntry, LedgerKind, ListLedgerRequest, ListSchedulesRequest, ListSlotsRequest,
    PauseScheduleRequest, ResumeScheduleRequest, RunScheduleRequest, Schedule, ScheduleState, Slot,
};
use serde_json::json;

use super::changed;
use crate::complete;
use crate::console::INDENT;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::line::{Line, Tone};
use crate::moment::{Moment, moment, running_span, span};
use crate::pages;
use crate::session::schedules;
use crate::table::Table;
use crate::text::plural;
use crate::to_json::{self, ledger_kind, micros, schedule_state};

/// Arguments of `schedules`.
#[derive(Debug, Args)]
#[command(after_help = "A schedule is named RUNBOOK/SCHEDULE; the runbook alone stands for its only one.\n\n\
    Examples:\n  runbook schedules list\n  runbook schedules next backup/nightly --count 5\n  \
    runbook schedules ledger backup/nightly\n  runbook schedules pause backup/nightly --reason 'disk swap'")]
pub struct Schedules {
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done about schedules.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List all, with when each is due next
    #[command(
        after_help = "Examples:\n  runbook schedules list\n  runbook schedules list --runbook backup --output json"
    )]
    List {
        /// Only those of this runbook
        #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(complete::runbook))]
        runbook: Option<String>,
    },
    /// Show one: its rule, what it does when slots are missed or overlap, where it stands
    #[command(after_help = "Example:\n  runbook schedules show backup/nightly")]
    Show {
        /// RUNBOOK/SCHEDULE
        #[arg(add = ArgValueCompleter::new(complete::schedule))]
        name: String,
    },
    /// Show when it is due next: wall time, offset, remarks
    #[command(after_help = "Examples:\n  runbook schedules next backup/nightly\n  \
        runbook schedules next backup/nightly --count 3 --output json")]
    Next {
        /// RUNBOOK/SCHEDULE
        #[arg(add = ArgValueCompleter::new(complete::schedule))]
        name: String,
        /// How many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(i32).range(1..=1_000))]
        count: i32,
    },
    /// Show what became of its slots, the newest first
    #[command(after_help = "Examples:\n  runbook schedules ledger backup/nightly\n  \
        runbook schedules ledger backup/nightly --limit 200 --output json")]
    Ledger {
        /// RUNBOOK/SCHEDULE
        #[arg(add = ArgValueCompleter::new(complete::schedule))]
        name: String,
        /// At most so many entries
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
        limit: u32,
    },
    /// Have it start nothing until it is resumed; slots meanwhile are skipped
    #[command(after_help = "Example:\n  runbook schedules pause backup/nightly --reason 'the disk is swapped'")]
    Pause {
        /// RUNBOOK/SCHEDULE
        #[arg(add = ArgValueCompleter::new(complete::schedule))]
        name: String,
        /// Why; it stays in the ledger
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Have it start again what falls due from now on
    #[command(after_help = "Example:\n  runbook schedules resume backup/nightly --reason 'the disk is back'")]
    Resume {
        /// RUNBOOK/SCHEDULE
        #[arg(add = ArgValueCompleter::new(complete::schedule))]
        name: String,
        /// Why; it stays in the ledger
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Run the slots again that were missed, each for itself; what ran is left alone
    CatchUp(catch_up::CatchUp),
    /// Start a run with its inputs now, beside its slots
    #[command(after_help = "Example:\n  runbook schedules run-now backup/nightly --reason 'before the upgrade'")]
    RunNow {
        /// RUNBOOK/SCHEDULE
        #[arg(add = ArgValueCompleter::new(complete::schedule))]
        name: String,
        /// Why; it stays in the run's history
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// Runs the verb.
///
/// # Errors
/// There is no such schedule, it cannot be done, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Schedules) -> Result<ExitCode> {
    match &args.verb {
        Verb::List { runbook } => list(cx, runbook.as_deref().unwrap_or_default()).await,
        Verb::Show { name } => {
            let request = GetScheduleRequest { name: name.clone() };
            let answer = cx.session.ask(async |channel| schedules(channel).get_schedule(request.clone()).await).await?;
            show(cx, answer.schedule)
        }
        Verb::Next { name, count } => next(cx, name, *count).await,
        Verb::Ledger { name, limit } => ledger(cx, name, *limit).await,
        Verb::Pause { name, reason } => {
            let request = PauseScheduleRequest { name: name.clone(), reason: reason.clone() };
            let answer = cx.session.tell(async |channel| schedules(channel).pause_schedule(request).await).await?;
            told(cx, answer.schedule, "is paused")
        }
        Verb::Resume { name, reason } => {
            let request = ResumeScheduleRequest { name: name.clone(), reason: reason.clone().unwrap_or_default() };
            let answer = cx.session.tell(async |channel| schedules(channel).resume_schedule(request).await).await?;
            told(cx, answer.schedule, "is resumed")
        }
        Verb::CatchUp(args) => catch_up::run(cx, args).await,
        Verb::RunNow { name, reason } => {
            let reason = reason.clone().unwrap_or_default();
            let request = RunScheduleRequest { name: name.clone(), reason, request_id: String::new() };
            let answer = cx.session.tell(async |channel| schedules(channel).run_schedule(request).await).await?;
            changed(cx, answer.run, "started")
        }
    }
}

async fn list(cx: &mut Context, runbook: &str) -> Result<ExitCode> {
    let mut fires = false;
    let all: Vec<Schedule> = pages::all(async |page_size, page_token| {
        let request = ListSchedulesRequest { page_size, page_token, runbook: runbook.to_owned() };
        let page = cx.session.ask(async |channel| schedules(channel).list_schedules(request.clone()).await).await?;
        fires = page.fires;
        Ok((page.schedules, page.next_page_token))
    })
    .await?;
    if cx.console.json {
        let all: Vec<_> = all.iter().map(to_json::schedule).collect();
        cx.console.json(&json!({"schedules": all, "fires": fires}))?;
        return Ok(ExitCode::Succeeded);
    }
    if all.is_empty() {
        cx.console.say("no schedules; a runbook declares them under `schedules:`");
        return Ok(ExitCode::Succeeded);
    }
    cx.console.table(&table(&all, Moment::now()))?;
    if !fires {
        cx.console.flush()?;
        cx.console.say("this daemon starts none of them: `runbook daemon restart --schedules` has it do so");
    }
    Ok(ExitCode::Succeeded)
}

fn table(all: &[Schedule], now: Moment) -> Table {
    let mut table = Table::new(&["SCHEDULE", "RULE", "STATE", "NEXT", "IN", "LAST RUN"]);
    for schedule in all {
        let next = schedule.next.as_ref().and_then(|slot| moment(slot.starts_at.as_ref()));
        let last = if schedule.last_run_number > 0 { schedule.last_run_number.to_string() } else { String::new() };
        table.row(vec![
            (Tone::Bold, schedule.name.clone()),
            (Tone::Plain, format!("{} {}", schedule.cron, zone(&schedule.timezone)).trim_end().to_owned()),
            (tone(schedule.state()), schedule_state(schedule.state()).replace('_', " ")),
            (Tone::Plain, next.map(Moment::date_clock).unwrap_or_default()),
            (Tone::Dim, next.map(|next| running_span(next.since(now))).unwrap_or_default()),
            (Tone::Plain, last),
        ]);
    }
    table
}

/// A zone where it has to be said.
fn zone(timezone: &str) -> &str {
    if timezone == "UTC" { "" } else { timezone }
}

const fn tone(state: ScheduleState) -> Tone {
    match state {
        ScheduleState::Active => Tone::Good,
        ScheduleState::Broken => Tone::Bad,
        ScheduleState::Paused | ScheduleState::NotFired => Tone::Warn,
        ScheduleState::Removed | ScheduleState::Unspecified => Tone::Dim,
    }
}

fn show(cx: &Context, schedule: Option<Schedule>) -> Result<ExitCode> {
    let schedule = schedule.ok_or_else(|| Failure::other("the daemon answered without a schedule"))?;
    if cx.console.json {
        cx.console.json(&to_json::schedule(&schedule))?;
        return Ok(ExitCode::Succeeded);
    }
    for line in lines(&schedule, Moment::now()) {
        cx.console.wrapped_line(&line, INDENT)?;
    }
    Ok(ExitCode::Succeeded)
}

fn lines(schedule: &Schedule, now: Moment) -> Vec<Line> {
    let state = schedule.state();
    let mut lines = vec![
        Line::of(Tone::Bold, &schedule.name)
            .with(Tone::Plain, "  ")
            .with(tone(state), &schedule_state(state).replace('_', " "))
            .with(
                Tone::Dim,
                &if schedule.message.is_empty() { String::new() } else { format!("  {}", schedule.message) },
            ),
    ];
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(Line::of(Tone::Dim, &format!("  {name}: ")).with(Tone::Plain, &value));
        }
    };
    let rule = format!("{} in {}", schedule.cron, schedule.timezone);
    fact("due", if schedule.cron.is_empty() { String::new() } else { format!("{rule}: {}", schedule.explained) });
    if let Some(slot) = &schedule.next {
        let starts = moment(slot.starts_at.as_ref());
        let left = starts.map(|at| format!(", in {}", running_span(at.since(now)))).unwrap_or_default();
        fact("next", format!("{}{left}", coming_text(slot)));
    }
    let bounds = match schedule.missed.as_str() {
        "run_once" => format!(", within {}", span(micros(schedule.missed_window.as_ref()))),
        "run_all" => {
            let window = span(micros(schedule.missed_window.as_ref()));
            format!(", within {window}, {} at most", schedule.missed_max)
        }
        _ => String::new(),
    };
    if !schedule.missed.is_empty() {
        fact("missed", format!("{}{bounds}", schedule.missed));
        fact("overlap", schedule.overlap.clone());
        fact("on time", format!("up to {} late", span(micros(schedule.start_deadline.as_ref()))));
    }
    if schedule.jitter.is_some() {
        fact("jitter", span(micros(schedule.jitter.as_ref())));
    }
    let mut inputs: Vec<_> = schedule.inputs.iter().flat_map(|inputs| &inputs.fields).collect();
    inputs.sort_by_key(|(name, _)| *name);
    let inputs = inputs.into_iter().map(|(name, value)| format!("{name}={}", to_json::value(value)));
    fact("inputs", inputs.collect::<Vec<_>>().join(", "));
    if let Some(good) = moment(schedule.last_succeeded.as_ref()) {
        fact("last succeeded", format!("run {}, {}", schedule.last_succeeded_number, good.date_clock()));
    }
    if let Some(by) = moment(schedule.expected_by.as_ref()) {
        let overdue = if by <= now { ": it is overdue" } else { "" };
        fact("expected to succeed by", format!("{}{overdue}", by.date_clock()));
    }
    if let Some(ran) = moment(schedule.last_ran.as_ref()) {
        fact("last ran", format!("run {}, for the slot {}", schedule.last_run_number, ran.date_clock()));
    }
    lines
}

/// A slot that is to come: what the clock on the wall shows then, and what is special about it.
fn coming(slot: &Slot) -> [(Tone, String); 3] {
    let (sign, minutes) = (if slot.utc_offset_minutes < 0 { '-' } else { '+' }, slot.utc_offset_minutes.unsigned_abs());
    let at = moment(slot.at.as_ref());
    let starts = moment(slot.starts_at.as_ref());
    let later = match (at, starts) {
        (Some(at), Some(starts)) if starts > at => format!("  starts {} later", span(starts.since(at))),
        _ => String::new(),
    };
    let remark = if slot.remark.is_empty() { String::new() } else { format!("  {}", slot.remark) };
    let wall = format!("{}  {sign}{:02}:{:02}", slot.wall, minutes / 60, minutes % 60);
    [(Tone::Plain, wall), (Tone::Dim, later), (Tone::Warn, remark)]
}

fn coming_line(slot: &Slot) -> Line {
    let [(tone, wall), rest @ ..] = coming(slot);
    rest.iter().fold(Line::of(tone, &wall), |line, (tone, text)| line.with(*tone, text))
}

fn coming_text(slot: &Slot) -> String {
    coming(slot).map(|(_, text)| text).concat()
}

async fn next(cx: &mut Context, name: &str, count: i32) -> Result<ExitCode> {
    let request = ListSlotsRequest { name: name.to_owned(), count, after: None };
    let answer = cx.session.ask(async |channel| schedules(channel).list_slots(request.clone()).await).await?;
    if cx.console.json {
        let slots: Vec<_> = answer.slots.iter().map(to_json::slot).collect();
        cx.console.json(&json!({"slots": slots, "timezone": answer.timezone}))?;
        return Ok(ExitCode::Succeeded);
    }
    for slot in &answer.slots {
        cx.console.wrapped_line(&coming_line(slot), INDENT)?;
    }
    if answer.slots.is_empty() {
        cx.console.say("never again");
    }
    Ok(ExitCode::Succeeded)
}

async fn ledger(cx: &mut Context, name: &str, limit: u32) -> Result<ExitCode> {
    let (all, more) = pages::first(limit, async |page_size, page_token| {
        let request = ListLedgerRequest { name: name.to_owned(), page_size, page_token };
        let page = cx.session.ask(async |channel| schedules(channel).list_ledger(request.clone()).await).await?;
        Ok((page.entries, page.next_page_token))
    })
    .await?;
    if cx.console.json {
        let all: Vec<_> = all.iter().map(to_json::ledger_entry).collect();
        cx.console.json(&json!({"entries": all, "more": more}))?;
        return Ok(ExitCode::Succeeded);
    }
    if all.is_empty() {
        cx.console.say("nothing yet: no daemon has fired it");
        return Ok(ExitCode::Succeeded);
    }
    for entry in &all {
        cx.console.wrapped_line(&entry_line(entry), INDENT)?;
    }
    if more {
        cx.console.flush()?;
        cx.console.say("there are more: --limit N");
    }
    Ok(ExitCode::Succeeded)
}

fn entry_line(entry: &LedgerEntry) -> Line {
    let kind = entry.kind();
    let tone = match kind {
        LedgerKind::Ran | LedgerKind::CaughtUp | LedgerKind::Succeeded => Tone::Good,
        LedgerKind::Missed | LedgerKind::Failed => Tone::Bad,
        LedgerKind::Skipped | LedgerKind::Paused => Tone::Warn,
        LedgerKind::Merged => Tone::Plain,
        LedgerKind::Planned | LedgerKind::Removed | LedgerKind::Resumed | LedgerKind::Unspecified => Tone::Dim,
    };
    let at = |at: Option<&prost_types::Timestamp>| moment(at).map(Moment::date_clock).unwrap_or_default();
    let when = match (&entry.first_slot, &entry.last_slot) {
        (Some(first), Some(last)) if first != last => {
            let count = match entry.slots {
                0 => "slots".to_owned(),
                count => plural(count, "slot"),
            };
            format!("{} to {}, {count}", at(Some(first)), at(Some(last)))
        }
        (Some(first), _) => at(Some(first)),
        (None, _) => at(entry.decided_at.as_ref()),
    };
    let mut line = Line::of(Tone::Plain, &format!("{when}  ")).with(tone, ledger_kind(kind));
    if entry.run_number > 0 && matches!(kind, LedgerKind::Ran | LedgerKind::CaughtUp | LedgerKind::Succeeded) {
        line = line.with(Tone::Bold, &format!("  run {}", entry.run_number));
    }
    if let Some(by) = &entry.by {
        line = line.with(Tone::Plain, &format!("  by {}", by.name));
    }
    if !entry.reason.is_empty() {
        line = line.with(Tone::Dim, &format!("  {}", entry.reason));
    }
    line
}

/// Tells that a schedule was changed.
fn told(cx: &Context, schedule: Option<Schedule>, what: &str) -> Result<ExitCode> {
    let schedule = schedule.ok_or_else(|| Failure::other("the daemon answered without a schedule"))?;
    if cx.console.json {
        cx.console.json(&to_json::schedule(&schedule))?;
        return Ok(ExitCode::Succeeded);
    }
    let next = schedule.next.as_ref().map(|slot| format!("; due next at {}", coming_text(slot)));
    let line = Line::of(Tone::Bold, &schedule.name).with(Tone::Plain, &format!(" {what}{}", next.unwrap_or_default()));
    cx.console.wrapped_line(&line, INDENT)?;
    Ok(ExitCode::Succeeded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Timestamp;

    fn at(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds, nanos: 0 })
    }

    #[test]
    fn slots_say_what_is_special_about_them() {
        let slot = Slot {
            at: at(3_600),
            starts_at: at(3_690),
            wall: "1970-01-01 03:00".into(),
            utc_offset_minutes: 120,
            remark: "moved out of the DST gap".into(),
        };
        let text = coming_line(&slot).plain();
        assert_eq!(text, coming_text(&slot));
        assert_eq!(text, "1970-01-01 03:00  +02:00  starts 1 min 30 s later  moved out of the DST gap");
        let west = Slot { utc_offset_minutes: -210, wall: "w".into(), ..Slot::default() };
        assert_eq!(coming_text(&west), "w  -03:30");
    }

    #[test]
    fn entries_say_which_slots_and_why() {
        let entry = LedgerEntry {
            kind: LedgerKind::Missed.into(),
            first_slot: at(0),
            last_slot: at(3_600),
            slots: 61,
            reason: "nobody was there".into(),
            ..LedgerEntry::default()
        };
        let text = entry_line(&entry).plain();
        assert!(text.ends_with(", 61 slots  missed  nobody was there"), "{text}");
        let ran = LedgerEntry {
            kind: LedgerKind::Ran.into(),
            first_slot: at(0),
            last_slot: at(0),
            slots: 1,
            run_number: 7,
            ..LedgerEntry::default()
        };
        assert!(entry_line(&ran).plain().ends_with("  ran  run 7"), "{}", entry_line(&ran).plain());
    }
}
