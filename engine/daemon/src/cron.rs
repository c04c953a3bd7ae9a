//! `runbookd cron`: when a rule is due, and what it says, without a daemon. Prints; decides nothing and starts nothing.

use std::io::{self, Write as _};

use clap::Subcommand;
use runbook_core::expression::did_you_mean;
use runbook_core::schedule::{Dst, Rule, RuleFault, Slot, Timetable, Zone};
use runbook_core::time::Timestamp;

use crate::clock;
use crate::config::Output;

/// The exit code when a rule is refused.
const EXIT_REFUSED: u8 = 2;
/// Slots shown unless it is said.
const COUNT: u32 = 5;
/// The most slots that are shown at once.
const COUNT_MOST: i64 = 10_000;

/// What can be asked about a rule.
#[derive(Debug, Subcommand)]
pub enum CronCommand {
    /// Shows when a rule is due next.
    ///
    /// A rule that is never due has an empty answer and exit code 0; one that is refused has exit code 2.
    #[command(after_help = "Examples:\n  runbookd cron next '0 2 * * *' --timezone Europe/Amsterdam\n  \
            runbookd cron next '30 2 * * *' --timezone Europe/Amsterdam --from 2026-03-28T00:00:00Z --output json\n")]
    Next {
        /// Five fields (minute, hour, day of the month, month, day of the week), or @daily and its like.
        #[arg(allow_hyphen_values = true)]
        rule: String,
        /// The zone of the clock that the rule is about, by its IANA name.
        #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
        timezone: Zone,
        /// Strictly after this instant, in RFC 3339 [default: now].
        #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
        from: Option<Timestamp>,
        /// How many, 1 to 10000.
        #[arg(long, value_name = "N", default_value_t = COUNT, value_parser = clap::value_parser!(u32).range(1..=COUNT_MOST))]
        count: u32,
        /// What becomes of times that a change of the clocks skips or repeats: cron, once, real_time, skip or twice.
        #[arg(long, value_name = "WORD", default_value = "cron", value_parser = dst)]
        dst: Dst,
        /// How they are printed; json is a list of instants.
        #[arg(long, value_enum, default_value = "human")]
        output: Output,
    },
    /// Says in words what a rule means.
    #[command(after_help = "Examples:\n  runbookd cron explain '0 2 * * mon-fri'\n")]
    Explain {
        /// Five fields, or @daily and its like.
        #[arg(allow_hyphen_values = true)]
        rule: String,
        /// What becomes of times that a change of the clocks skips or repeats: cron, once, real_time, skip or twice.
        #[arg(long, value_name = "WORD", default_value = "cron", value_parser = dst)]
        dst: Dst,
        /// How it is printed.
        #[arg(long, value_enum, default_value = "human")]
        output: Output,
    },
}

fn zone(name: &str) -> Result<Zone, String> {
    Zone::named(name).map_err(|fault| format!("{fault}; {}", fault.help))
}

fn dst(word: &str) -> Result<Dst, String> {
    let known = Dst::WORDS.iter().find(|(known, _)| *known == word);
    known.map(|(_, dst)| *dst).ok_or_else(|| {
        let words = Dst::WORDS.map(|(known, _)| known);
        let meant = did_you_mean(word, words).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
        format!("it is one of {}{meant}", words.join(", "))
    })
}

/// Answers, and says how to exit.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(command: &CronCommand) -> io::Result<u8> {
    let (CronCommand::Next { rule: text, output, .. } | CronCommand::Explain { rule: text, output, .. }) = command;
    let rule = match text.parse::<Rule>() {
        Ok(rule) => rule,
        Err(fault) => return refuse(text, &fault, *output),
    };
    match command {
        CronCommand::Next { timezone, from, count, dst, output, .. } => {
            let from = from.unwrap_or_else(clock::now);
            let timetable = Timetable::new(rule, *timezone, *dst);
            let slots: Vec<Slot> = timetable.slots_after(from).take(*count as usize).collect();
            next(&timetable, from, &slots, *output)
        }
        CronCommand::Explain { dst, output, .. } => explain(&rule, *dst, *output),
    }
}

fn next(timetable: &Timetable, from: Timestamp, slots: &[Slot], output: Output) -> io::Result<u8> {
    let mut out = io::stdout().lock();
    if output == Output::Json {
        let instants: Vec<String> = slots.iter().map(|slot| slot.at.to_string()).collect();
        writeln!(out, "{:#}", serde_json::Value::from(instants))?;
        return Ok(0);
    }
    for Slot { at, wall, offset, remark } in slots {
        let minutes = offset.0 / 60_000_000;
        let (sign, minutes) = (if minutes < 0 { '-' } else { '+' }, minutes.abs());
        let remark = remark.map(|remark| format!("  {remark}")).unwrap_or_default();
        let weekday = wall.weekday();
        writeln!(out, "{weekday} {wall}  {sign}{:02}:{:02}  {at}{remark}", minutes / 60, minutes % 60)?;
    }
    if slots.is_empty() {
        let (rule, zone) = (timetable.rule(), timetable.zone().name());
        match rule.never() {
            true => writeln!(out, "never: {}", rule.explained())?,
            false => writeln!(out, "not due after {from} in {zone}: {}", rule.explained())?,
        }
    }
    Ok(0)
}

fn explain(rule: &Rule, dst: Dst, output: Output) -> io::Result<u8> {
    let mut out = io::stdout().lock();
    match output {
        Output::Human => {
            writeln!(out, "{}", rule.explained())?;
            writeln!(out, "where clocks are changed: {}", rule.at_changes(dst))?;
        }
        Output::Json => {
            let document = serde_json::json!({
                "rule": rule.to_string(),
                "words": rule.explained(),
                "dst": dst.of(rule).text(),
                "never": rule.never(),
            });
            writeln!(out, "{document:#}")?;
        }
    }
    Ok(0)
}

/// Says what is wrong with a rule, on standard error.
fn refuse(rule: &str, fault: &RuleFault, output: Output) -> io::Result<u8> {
    let column = fault.column(rule);
    let mut err = io::stderr().lock();
    match output {
        Output::Human => {
            let shown: String = rule.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            let length = rule.get(fault.at..fault.at + fault.length).map_or(1, |part| part.chars().count().max(1));
            writeln!(err, "error: column {column}: {}", fault.message)?;
            writeln!(err, "  {shown}\n  {:>column$}{}", '^', "^".repeat(length - 1))?;
            writeln!(err, "help: {}", fault.help)?;
        }
        Output::Json => {
            let error = serde_json::json!({
                "message": fault.message,
                "column": column,
                "help": fault.help,
                "exit_code": EXIT_REFUSED,
            });
            writeln!(err, "{:#}", serde_json::json!({ "error": error }))?;
        }
    }
    Ok(EXIT_REFUSED)
}
