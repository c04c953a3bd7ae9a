//! The verbs, a file each. This file finds the daemon and hands over.

pub mod approvals;
pub mod approve;
pub mod cancel;
pub mod check;
pub mod completions;
pub mod daemon;
pub mod diff;
pub mod drift;
pub mod environments;
pub mod events;
pub mod exec;
pub mod findings;
pub mod graph;
pub mod list;
pub mod locks;
pub mod logs;
pub mod pause;
pub mod plan;
pub mod provide;
pub mod readiness;
pub mod rehearse;
pub mod reject;
pub mod resolve;
pub mod resume;
pub mod rollback;
pub mod runs;
pub mod schedules;
pub mod show;
pub mod status;
pub mod version;
pub mod watch;

use std::rc::Rc;

use runbook_proto::v1::Run;

use crate::args::{Cli, Command, Global};
use crate::console::Console;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::instance::{Instance, Named, Surroundings};
use crate::line::{Line, Tone};
use crate::session::{Session, Target};
use crate::to_json;

/// Does what the command line asks for.
///
/// # Errors
/// Whatever the verb ran into.
pub async fn run(cli: Cli, console: &Rc<Console>) -> Result<ExitCode> {
    let Cli { global, command } = cli;
    if let Command::Completions(args) = command {
        return completions::run(console, &args);
    }
    let target = match (target(&global), &command) {
        (Ok(target), _) => target,
        // The version can be told without any daemon.
        (Err(_), Command::Version(_)) => return version::alone(console),
        (Err(failure), _) => return Err(failure),
    };
    let mut context = Context { console: console.clone(), session: Session::new(target, console.clone()) };
    let cx = &mut context;
    match command {
        Command::Exec(args) => exec::run(cx, args).await,
        Command::Check(args) => check::run(cx, &args).await,
        Command::List(_) => list::run(cx).await,
        Command::Show(args) => show::run(cx, &args).await,
        Command::Graph(args) => graph::run(cx, &args).await,
        Command::Plan(args) => plan::run(cx, &args).await,
        Command::Rehearse(args) => rehearse::run(cx, &args).await,
        Command::Runs(args) => runs::run(cx, &args).await,
        Command::Schedules(args) => schedules::run(cx, &args).await,
        Command::Findings(_) => findings::run(cx).await,
        Command::Readiness(args) => readiness::run(cx, &args).await,
        Command::Drift(args) => drift::run(cx, &args).await,
        Command::Environments(args) => environments::run(cx, &args).await,
        Command::Status(args) => status::run(cx, &args).await,
        Command::Diff(args) => diff::run(cx, &args).await,
        Command::Watch(args) => watch::run(cx, &args).await,
        Command::Logs(args) => logs::run(cx, &args).await,
        Command::Events(args) => events::run(cx, &args).await,
        Command::Locks(args) => locks::run(cx, &args).await,
        Command::Approvals(args) => approvals::run(cx, &args).await,
        Command::Approve(args) => approve::run(cx, &args).await,
        Command::Reject(args) => reject::run(cx, &args).await,
        Command::Pause(args) => pause::run(cx, &args).await,
        Command::Cancel(args) => cancel::run(cx, &args).await,
        Command::Resume(args) => resume::run(cx, &args).await,
        Command::Rollback(args) => rollback::run(cx, &args).await,
        Command::Provide(args) => provide::run(cx, &args).await,
        Command::Resolve(args) => resolve::run(cx, args).await,
        Command::Daemon(args) => daemon::run(cx, &args).await,
        Command::Completions(args) => completions::run(console, &args),
        Command::Version(_) => version::run(cx).await,
    }
}

/// Tells that a run was changed, and how to see what follows.
fn changed(cx: &Context, run: Option<Run>, what: &str) -> Result<ExitCode> {
    let run = run.ok_or_else(|| Failure::other("the daemon answered without a run"))?;
    if cx.console.json {
        cx.console.json(&to_json::run(&run))?;
        return Ok(ExitCode::Succeeded);
    }
    let runbook = run.runbook.strip_prefix("runbooks/").unwrap_or(&run.runbook);
    let line = Line::of(Tone::Bold, &format!("run {} {runbook}", run.number)).with(Tone::Plain, &format!(": {what}"));
    cx.console.line(&line)?;
    cx.console.flush()?;
    cx.console.say(&format!("`runbook watch {}` shows what follows", run.number));
    Ok(ExitCode::Succeeded)
}

/// The daemon that the global options name.
///
/// # Errors
/// They contradict each other, or there is no project.
pub fn target(global: &Global) -> Result<Target> {
    if let Some(endpoint) = &global.endpoint {
        return Target::endpoint(endpoint);
    }
    let current = std::env::current_dir().map_err(|error| Failure::io("the current folder cannot be read", &error))?;
    let runtime = std::env::var_os("XDG_RUNTIME_DIR");
    let named = Named {
        project: global.project.as_deref(),
        data: global.data_dir.as_deref(),
        instance: global.instance.as_deref(),
    };
    let around =
        Surroundings { current: &current, runtime: runtime.as_deref(), uid: rustix::process::getuid().as_raw() };
    Instance::find(&named, &around).map(Target::Instance)
}
