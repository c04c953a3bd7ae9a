//! `runbook events`: what happened to a run.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{Event, ListEventsRequest, WatchRunRequest};

use crate::complete;
use crate::context::Context;
use crate::event_line::event_line;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::follow::snapshot;
use crate::line::{Line, Tone};
use crate::model::{Model, is_terminal};
use crate::moment::{Moment, moment};
use crate::run_name::resolve;
use crate::session::{Retry, runs};
use crate::to_json;

/// Events asked for at once.
const PAGE: i32 = 1_000;
/// An event's text begins at this column, and goes on there where it is longer than the terminal is wide.
const INDENT: usize = 28;

/// Arguments of `events`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  runbook events 12\n  runbook events last --follow --output json")]
pub struct Events {
    /// A run's number or uid, or `last`
    #[arg(add = ArgValueCompleter::new(complete::run))]
    pub run: String,
    /// Goes on until the run is over
    #[arg(short, long)]
    pub follow: bool,
    /// Only events after this number
    #[arg(long, value_name = "EVENT", default_value_t = 0)]
    pub after: u64,
}

/// Runs the verb.
///
/// # Errors
/// There is no such run, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Events) -> Result<ExitCode> {
    let name = resolve(cx, &args.run).await?;
    let run = snapshot(cx, &name).await?;
    let mut model = Model::of(&run);
    model.rewind(args.after);
    loop {
        let request = ListEventsRequest { name: run.uid.clone(), start_after: model.last_event, page_size: PAGE };
        let page = cx.session.ask(async |channel| runs(channel).list_events(request.clone()).await).await?;
        print(cx, &mut model, &page.events)?;
        if !page.more || page.events.is_empty() {
            break;
        }
    }
    if args.follow {
        follow(cx, &mut model).await?;
    }
    Ok(ExitCode::Succeeded)
}

async fn follow(cx: &mut Context, model: &mut Model) -> Result<()> {
    let mut retry = Retry::default();
    loop {
        let request = WatchRunRequest { name: model.uid.clone(), start_after: model.last_event };
        let mut stream = cx.session.open(async |channel| runs(channel).watch_run(request.clone()).await).await?;
        let broken = loop {
            match stream.message().await {
                Ok(Some(message)) => {
                    retry.succeeded();
                    print(cx, model, &message.events)?;
                    if is_terminal(message.status()) && model.last_event >= message.last_event {
                        return Ok(());
                    }
                }
                Ok(None) => break None,
                Err(status) => break Some(Failure::from(status)),
            }
        };
        retry.pause(&mut cx.session, broken).await?;
    }
}

fn print(cx: &Context, model: &mut Model, events: &[Event]) -> Result<()> {
    for event in events {
        if model.fold(event).is_err() {
            // Nothing is left out here: what follows a gap is told, and the gap is to be seen by the numbers.
            model.last_event = event.number.saturating_sub(1);
            // An event follows the one before it.
            let _ = model.fold(event);
        }
        if cx.console.json {
            cx.console.json(&to_json::event(event))?;
            continue;
        }
        let at = moment(event.at.as_ref()).unwrap_or(Moment(0));
        let mut line = Line::of(Tone::Dim, &format!("{:>5}  {}  ", event.number, at.date_clock()));
        line.append(event_line(event, model));
        cx.console.wrapped_line(&line, INDENT)?;
    }
    cx.console.flush()
}
