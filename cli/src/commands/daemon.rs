//! `runbook daemon`: starts, stops, restarts the daemon, and says how it is.

use std::os::unix::process::CommandExt as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use runbook_proto::v1::{DrainRequest, DrainResponse, GetInfoRequest, GetInfoResponse};
use serde_json::json;

use crate::context::Context;
use crate::daemon_process::{arguments, executable, wait_gone};
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::line::{Line, Tone};
use crate::moment::{Moment, moment, running_span};
use crate::session::{Target, system};
use crate::text::plural;
use crate::to_json;

/// How long a daemon may take to end: actions inside it are given 30 s.
const STOP_LIMIT: Duration = Duration::from_secs(45);

/// What is said of schedules that nobody fires.
const NOT_FIRED: &str = "not fired (`runbook daemon restart --schedules`)";

/// Arguments of `daemon`.
#[derive(Debug, Args)]
#[command(after_help = "Steps that run go on without the daemon; its next start takes them up again.\n\n\
    Examples:\n  runbook daemon status\n  runbook daemon restart\n  runbook daemon start --foreground")]
pub struct Daemon {
    /// What to do with it.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What can be done with the daemon.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Start it, unless it answers already
    #[command(after_help = "Examples:\n  runbook daemon start\n  runbook daemon start --schedules")]
    Start {
        /// Starts what is due by schedules, too
        #[arg(long)]
        schedules: bool,
        /// Stays in the foreground, with its log on standard error
        #[arg(long)]
        foreground: bool,
    },
    /// Stop it: no new runs; steps that run go on
    #[command(after_help = "Example:\n  runbook daemon stop --reason 'disk swap'")]
    Stop {
        /// Why; it stays in the daemon's log
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Stop it and start it again; it fires schedules if it did before
    #[command(after_help = "Examples:\n  runbook daemon restart\n  runbook daemon restart --schedules")]
    Restart {
        /// Starts what is due by schedules, too
        #[arg(long)]
        schedules: bool,
    },
    /// Say whether it answers, and how it is; 5 when it does not
    #[command(after_help = "Example:\n  runbook daemon status --output json")]
    Status,
}

/// Runs the verb.
///
/// # Errors
/// The daemon cannot be started or stopped.
pub async fn run(cx: &mut Context, args: &Daemon) -> Result<ExitCode> {
    match &args.verb {
        Verb::Start { foreground: true, schedules } => foreground(cx, *schedules),
        Verb::Start { foreground: false, schedules } => start(cx, *schedules).await,
        Verb::Stop { reason } => stop(cx, reason.as_deref().unwrap_or_default()).await,
        Verb::Restart { schedules } => restart(cx, *schedules).await,
        Verb::Status => status(cx).await,
    }
}

/// Becomes the daemon.
fn foreground(cx: &Context, schedules: bool) -> Result<ExitCode> {
    let Target::Instance(instance) = cx.session.target() else {
        return Err(Failure::usage("a daemon cannot be started at a named endpoint")
            .next("leave --endpoint and RUNBOOK_ENDPOINT out"));
    };
    let error = std::process::Command::new(executable()).args(arguments(instance, schedules)?).exec();
    Err(Failure::io(format!("cannot start {}", executable().display()), &error)
        .next("install runbookd beside runbook, or put its folder into PATH"))
}

async fn start(cx: &mut Context, schedules: bool) -> Result<ExitCode> {
    if schedules {
        cx.session.fire_schedules();
    }
    let started = cx.session.start().await?.is_some();
    let info = info(cx).await?;
    if cx.console.json {
        cx.console.json(&json!({"started": started, "daemon": to_json::info(&info)}))?;
    } else {
        let what = if started { "started" } else { "is running already" };
        cx.console
            .line(&Line::of(Tone::Good, &format!("runbookd {what} (pid {}) for {}", info.pid, info.project_folder)))?;
        if schedules && !info.fires_schedules {
            cx.console.flush()?;
            cx.console.say("it starts nothing by schedules: `runbook daemon restart --schedules` has it do so");
        }
    }
    Ok(ExitCode::Succeeded)
}

async fn stop(cx: &mut Context, reason: &str) -> Result<ExitCode> {
    let stopped = drain(cx, reason).await?;
    if cx.console.json {
        let pid = stopped.as_ref().map(|(pid, _)| pid);
        let live = stopped.as_ref().map(|(_, drained)| drained.live_attempts);
        cx.console.json(&json!({"stopped": stopped.is_some(), "pid": pid, "live_attempts": live}))?;
        return Ok(ExitCode::Succeeded);
    }
    match stopped {
        None => cx.console.line(&Line::of(Tone::Plain, "the daemon is not running"))?,
        Some((pid, drained)) => {
            cx.console.line(&Line::of(Tone::Plain, &format!("runbookd stopped (pid {pid})")))?;
            cx.console.flush()?;
            if drained.live_attempts > 0 {
                let what = plural(drained.live_attempts, "attempt");
                cx.console
                    .say(&format!("{what} on without it; `runbook daemon start` takes them up", what = goes(&what)));
            }
        }
    }
    Ok(ExitCode::Succeeded)
}

fn goes(what: &str) -> String {
    if what.starts_with("1 ") { format!("{what} goes") } else { format!("{what} go") }
}

async fn restart(cx: &mut Context, schedules: bool) -> Result<ExitCode> {
    let fired = cx.session.running().await? && info(cx).await?.fires_schedules;
    if let Some((pid, _)) = drain(cx, "restart").await? {
        cx.console.say(&format!("runbookd stopped (pid {pid})"));
    }
    start(cx, schedules || fired).await
}

/// Drains the daemon and waits until it is gone. `None`: there was none.
async fn drain(cx: &mut Context, reason: &str) -> Result<Option<(u32, DrainResponse)>> {
    if !cx.session.running().await? {
        return Ok(None);
    }
    let pid = info(cx).await?.pid;
    let request = DrainRequest { reason: reason.to_owned() };
    let drained = cx.session.tell(async |channel| system(channel).drain(request).await).await?;
    cx.session.disconnect();
    if !wait_gone(pid, STOP_LIMIT).await {
        return Err(Failure::other(format!(
            "runbookd (pid {pid}) drains, but is not gone after {} s",
            STOP_LIMIT.as_secs()
        ))
        .next("its log says what it waits for; `runbook daemon status` looks again"));
    }
    Ok(Some((pid, drained)))
}

async fn status(cx: &mut Context) -> Result<ExitCode> {
    let socket = cx.session.target().socket().display().to_string();
    if !cx.session.running().await? {
        if cx.console.json {
            cx.console.json(&json!({"running": false, "socket": socket}))?;
        } else {
            cx.console.line(&Line::of(Tone::Warn, "not running").with(Tone::Dim, &format!("  socket {socket}")))?;
            cx.console.flush()?;
            cx.console.say("`runbook daemon start` starts it");
        }
        return Ok(ExitCode::Unreachable);
    }
    let info = info(cx).await?;
    if cx.console.json {
        cx.console.json(&json!({"running": true, "socket": socket, "daemon": to_json::info(&info)}))?;
        return Ok(ExitCode::Succeeded);
    }
    for line in lines(&info, &socket, Moment::now()) {
        cx.console.line(&line)?;
    }
    Ok(ExitCode::Succeeded)
}

fn lines(info: &GetInfoResponse, socket: &str, now: Moment) -> Vec<Line> {
    let state = if info.draining { ("draining", Tone::Warn) } else { ("running", Tone::Good) };
    let up = moment(info.started_at.as_ref()).map(|at| format!(" for {}", running_span(now.since(at))));
    let broken = match info.broken_runbooks {
        0 => String::new(),
        count => format!(", {count} broken"),
    };
    let mut lines = vec![
        Line::of(state.1, state.0)
            .with(Tone::Plain, &up.unwrap_or_default())
            .with(Tone::Dim, &format!("  pid {}, version {}", info.pid, info.version)),
    ];
    let facts = [
        ("project", info.project_folder.clone()),
        ("data", info.data_directory.clone()),
        ("socket", socket.to_owned()),
        ("runs", format!("{} active; {} of {} places taken", info.active_runs, info.live_attempts, info.places)),
        ("runbooks", format!("{}{broken} (generation {})", info.runbooks, info.generation)),
        ("schedules", format!("{}, {}", info.schedules, if info.fires_schedules { "fired" } else { NOT_FIRED })),
    ];
    lines
        .extend(facts.iter().map(|(name, value)| Line::of(Tone::Dim, &format!("  {name}: ")).with(Tone::Plain, value)));
    lines.extend(info.warnings.iter().map(|warning| Line::of(Tone::Warn, "warning: ").with(Tone::Plain, warning)));
    lines
}

async fn info(cx: &mut Context) -> Result<GetInfoResponse> {
    cx.session.ask(async |channel| system(channel).get_info(GetInfoRequest {}).await).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_types::Timestamp;

    #[test]
    fn what_the_daemon_says_of_itself() {
        let info = GetInfoResponse {
            version: "0.1.0".into(),
            pid: 42,
            project_folder: "/srv/ops".into(),
            data_directory: "/srv/ops/.runbook".into(),
            started_at: Some(Timestamp { seconds: 0, nanos: 0 }),
            active_runs: 2,
            live_attempts: 3,
            places: 64,
            runbooks: 5,
            broken_runbooks: 1,
            generation: 7,
            warnings: vec!["the clock was set".into()],
            ..Default::default()
        };
        let text: Vec<String> =
            lines(&info, "/srv/ops/.runbook/runbookd.sock", Moment(90_000_000)).iter().map(Line::plain).collect();
        assert_eq!(
            text,
            [
                "running for 1 min 30 s  pid 42, version 0.1.0",
                "  project: /srv/ops",
                "  data: /srv/ops/.runbook",
                "  socket: /srv/ops/.runbook/runbookd.sock",
                "  runs: 2 active; 3 of 64 places taken",
                "  runbooks: 5, 1 broken (generation 7)",
                "  schedules: 0, not fired (`runbook daemon restart --schedules`)",
                "warning: the clock was set",
            ]
        );
    }
}
