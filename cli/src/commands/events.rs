//! `runbook events`: what happened to a run.

use std::collections::{HashMap, VecDeque};

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{Event, EventType, ListEventsRequest, ListEventsResponse, WatchRunRequest};

use crate::complete;
use crate::context::Context;
use crate::event_line::event_line;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::follow::snapshot;
use crate::line::{Line, Tone};
use crate::model::{Model, is_terminal};
use crate::moment::{Moment, moment};
use crate::path;
use crate::run_name::resolve;
use crate::session::{Retry, runs};
use crate::to_json;

/// Events asked for at once.
const PAGE: i32 = 1_000;
/// An event's text begins at this column, and goes on there where it is longer than the terminal is wide.
const INDENT: usize = 28;

/// Arguments of `events`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  runbook events 12\n  runbook events last --follow --output json\n  runbook events 12 --tree"
)]
pub struct Events {
    /// A run's number or uid, or `last`
    #[arg(add = ArgValueCompleter::new(complete::run))]
    pub run: String,
    /// Goes on until the run is over
    #[arg(short, long)]
    pub follow: bool,
    /// Those of the runs that its steps started, too, each below the step
    #[arg(long, conflicts_with_all = ["follow", "after"])]
    pub tree: bool,
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
    if args.tree {
        tree(cx, &mut model).await?;
        return Ok(ExitCode::Succeeded);
    }
    loop {
        let page = page(cx, &run.uid, model.last_event).await?;
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

async fn page(cx: &mut Context, uid: &str, after: u64) -> Result<ListEventsResponse> {
    let request = ListEventsRequest { name: uid.to_owned(), start_after: after, page_size: PAGE };
    cx.session.ask(async |channel| runs(channel).list_events(request.clone()).await).await
}

/// All events of a run.
async fn all(cx: &mut Context, uid: &str) -> Result<VecDeque<Event>> {
    let mut all = VecDeque::new();
    loop {
        let page = page(cx, uid, all.back().map_or(0, |event: &Event| event.number)).await?;
        let more = page.more && !page.events.is_empty();
        all.extend(page.events);
        if !more {
            return Ok(all);
        }
    }
}

/// A run whose events are told.
struct Part {
    /// `runs/U`; empty for the run that was asked for.
    run: String,
    /// How the ids of its steps begin.
    prefix: String,
    events: VecDeque<Event>,
}

/// The events of a run, and behind each that starts a run those of that, until it is over.
async fn tree(cx: &mut Context, model: &mut Model) -> Result<()> {
    let mut open = vec![Part { run: String::new(), prefix: String::new(), events: all(cx, &model.uid).await? }];
    // Of runs that were opened again: what comes after their end.
    let mut later: HashMap<String, VecDeque<Event>> = HashMap::new();
    while let Some(part) = open.last_mut() {
        let Some(mut event) = part.events.pop_front() else {
            open.pop();
            continue;
        };
        event.run.clone_from(&part.run);
        if !event.step.is_empty() {
            event.step = path::joined(&part.prefix, &event.step);
        }
        print(cx, model, std::slice::from_ref(&event))?;
        if matches!(event.r#type(), EventType::ChildStarting | EventType::ChildRollingBack) {
            let mut events = match later.remove(&event.child) {
                Some(events) => events,
                None => all(cx, &event.child).await?,
            };
            let end = events.iter().position(|event| event.r#type() == EventType::Finished);
            later.insert(event.child.clone(), events.split_off(end.map_or(events.len(), |end| end + 1)));
            open.push(Part { run: event.child, prefix: format!("{}/", event.step), events });
        }
    }
    Ok(())
}

async fn follow(cx: &mut Context, model: &mut Model) -> Result<()> {
    let mut retry = Retry::default();
    loop {
        let request = WatchRunRequest { name: model.uid.clone(), start_after: model.last_event, tree: false };
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
