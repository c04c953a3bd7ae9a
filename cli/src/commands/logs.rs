//! `runbook logs`: what steps wrote.

use std::collections::HashMap;

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{LogLine, ReadLogsRequest};

use crate::complete;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::follow::snapshot;
use crate::line::{Line, Tone};
use crate::model::is_terminal;
use crate::moment::{Moment, moment};
use crate::run_name::resolve;
use crate::session::{Retry, runs};
use crate::to_json;

/// Arguments of `logs`.
#[derive(Debug, Args)]
#[command(after_help = "Without a STEP each line is headed by its step.\n\n\
    Examples:\n  runbook logs 12 dump\n  runbook logs last --follow\n  runbook logs 12 dump --attempt 2 --tail 50 --timestamps")]
pub struct Logs {
    /// A run's number or uid, or `last`
    #[arg(add = ArgValueCompleter::new(complete::run))]
    pub run: String,
    /// A step; all steps without it
    #[arg(add = ArgValueCompleter::new(complete::step))]
    pub step: Option<String>,
    /// Goes on until the run is over
    #[arg(short, long)]
    pub follow: bool,
    /// Only this attempt of the step
    #[arg(long, value_name = "N", requires = "step", value_parser = clap::value_parser!(u32).range(1..))]
    pub attempt: Option<u32>,
    /// Only the last lines of each attempt
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub tail: Option<u32>,
    /// Heads each line with its time
    #[arg(short, long)]
    pub timestamps: bool,
}

/// Runs the verb.
///
/// # Errors
/// There is no such run or step, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Logs) -> Result<ExitCode> {
    let name = resolve(cx, &args.run).await?;
    let request = ReadLogsRequest {
        name: name.clone(),
        step: args.step.clone().unwrap_or_default(),
        attempt: args.attempt.unwrap_or(0),
        follow: args.follow,
        tail: args.tail.unwrap_or(0),
    };
    let mut told = Told::default();
    let mut retry = Retry::default();
    let mut any = false;
    loop {
        let mut stream = cx.session.open(async |channel| runs(channel).read_logs(request.clone()).await).await?;
        let broken = loop {
            match stream.message().await {
                Ok(Some(message)) => {
                    retry.succeeded();
                    for line in message.lines.iter().filter(|line| told.is_new(line)) {
                        any = true;
                        print(cx, args, line)?;
                    }
                    cx.console.flush()?;
                }
                Ok(None) => break None,
                Err(status) => break Some(Failure::from(status)),
            }
        };
        if broken.is_none() && (!args.follow || is_terminal(snapshot(cx, &name).await?.status())) {
            break;
        }
        // The stream begins anew: what was told is left out.
        told.again();
        retry.pause(&mut cx.session, broken).await?;
    }
    if !any && !cx.console.json {
        cx.console.say("nothing was written");
    }
    Ok(ExitCode::Succeeded)
}

fn print(cx: &Context, args: &Logs, line: &LogLine) -> Result<()> {
    if cx.console.json {
        return cx.console.json(&to_json::log_line(line));
    }
    let mut head = Line::new();
    if args.timestamps {
        let at = moment(line.at.as_ref()).unwrap_or(Moment(0));
        head.push(Tone::Dim, &format!("{} ", at.date_clock()));
    }
    if args.step.is_none() {
        head.push(Tone::Busy, &line.step);
        head.push(Tone::Dim, " | ");
    }
    if cx.console.out_is_terminal {
        head.push(if line.stderr { Tone::Warn } else { Tone::Plain }, &line.text);
        return cx.console.line(&head);
    }
    // Elsewhere it is data: not a byte is left out.
    cx.console.line_of_data(&head, &line.text)
}

/// Which lines were told, by attempt: the time of the last one, and how many of that time.
#[derive(Debug, Default)]
struct Told {
    last: HashMap<(String, u32), (i64, u32)>,
    /// What a stream that began anew has still to pass over.
    skip: HashMap<(String, u32), (i64, u32)>,
}

impl Told {
    fn again(&mut self) {
        self.skip = self.last.clone();
    }

    fn is_new(&mut self, line: &LogLine) -> bool {
        let at = moment(line.at.as_ref()).unwrap_or(Moment(0)).0;
        let key = (line.step.clone(), line.attempt);
        if let Some((last, count)) = self.skip.get_mut(&key) {
            if at < *last {
                return false;
            }
            if at == *last && *count > 0 {
                *count -= 1;
                return false;
            }
            self.skip.remove(&key);
        }
        let known = self.last.entry(key).or_insert((at, 0));
        *known = if known.0 == at { (at, known.1 + 1) } else { (at, 1) };
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Timestamp;

    fn line(step: &str, attempt: u32, second: i64) -> LogLine {
        LogLine { step: step.into(), attempt, at: Some(Timestamp { seconds: second, nanos: 0 }), ..Default::default() }
    }

    #[test]
    fn a_stream_that_begins_anew_repeats_nothing() {
        let mut told = Told::default();
        let first = [line("a", 1, 1), line("a", 1, 2), line("a", 1, 2), line("b", 1, 5)];
        assert!(first.iter().all(|line| told.is_new(line)));
        told.again();
        let second = [
            (line("a", 1, 1), false),
            (line("a", 1, 2), false),
            (line("a", 1, 2), false),
            (line("a", 1, 2), true),
            (line("a", 1, 3), true),
            (line("a", 2, 1), true),
            (line("b", 1, 5), false),
            (line("b", 1, 6), true),
        ];
        for (line, new) in second {
            assert_eq!(told.is_new(&line), new, "{line:?}");
        }
    }
}
