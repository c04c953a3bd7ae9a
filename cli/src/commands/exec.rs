//! `runbook exec`: starts a run, and watches it.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use runbook_proto::v1::{self, Origin, Run, StartRunRequest, StartRunResponse};
use serde_json::json;

use crate::complete;
use crate::confirm;
use crate::context::Context;
use crate::environment::{InEnvironment, variables};
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::follow::{follow, interrupts, snapshot};
use crate::hidden;
use crate::inputs::{assignment, collect};
use crate::line::{Line, Tone};
use crate::moment::{Moment, duration, moment, read_span, time_ahead};
use crate::named::{Named, is_file, named};
use crate::run_name::resolve;
use crate::selecting::Selecting;
use crate::session::runs;
use crate::to_json;

/// Arguments of `exec`.
#[derive(Debug, Args)]
#[command(after_help = "Ctrl-C asks whether to detach or to cancel; the run goes on without its watcher.\n\
    A repeated request with the same --request-id starts one run.\n\n\
    Examples:\n  runbook exec backup\n  runbook exec backup -i keep=7 -i source=/srv --reason 'before the move'\n  \
    runbook exec ./try.yaml --input-file inputs.json --output json\n  runbook exec backup --detach\n  runbook exec drop-database -i name=orders --confirm db/orders\n  \
    runbook exec drop-database -i name=orders --dry-run\n  runbook exec deploy --from restart --set-output build.image=app:7\n  \
    runbook exec --like 142 -i keep=9\n  runbook exec deploy --env prod\n  runbook exec backup --at 02:30\n  \
    runbook exec backup --in 2h\n  runbook exec restore --priority high\n  \
    runbook exec restore --last-good\n  runbook exec unseal --ask key")]
pub struct Exec {
    /// A runbook's name, or the path of a file (with a `/`, or ending in .yaml or .yml)
    #[arg(value_name = "NAME|FILE", required_unless_present = "like", add = ArgValueCompleter::new(complete::runbook_or_file))]
    pub what: Option<String>,
    /// An input, read by its declared type; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = assignment)]
    pub input: Vec<(String, String)>,
    /// An input, most often a secret, whose value is asked for without showing it, or read from standard input; may be repeated
    #[arg(long, value_name = "KEY")]
    pub ask: Vec<String>,
    /// A JSON file with inputs, `-` for standard input; --input wins over it
    #[arg(long, value_name = "FILE")]
    pub input_file: Option<PathBuf>,
    /// Does not watch: returns once the run is durable
    #[arg(short, long)]
    pub detach: bool,
    /// A name for this request, so that asking again starts no second run
    #[arg(long, value_name = "ID")]
    pub request_id: Option<String>,
    /// Why; it stays in the run's history
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Confirms what the run destroys, by its name; may be repeated. Without it a person at a terminal is asked
    #[arg(long, value_name = "NAME")]
    pub confirm: Vec<String>,
    /// A dry run: steps with `effect: read` run, the others are shown
    #[arg(long)]
    pub dry_run: bool,
    /// Begins the run at this time: RFC 3339, or `[YYYY-MM-DD ]HH:MM[:SS]` by the clock on the wall here
    #[arg(long, value_name = "TIME", value_parser = time_ahead, conflicts_with = "begin_in")]
    pub at: Option<Moment>,
    /// Begins the run after this span, as 90s, 2h or 1d12h
    #[arg(id = "begin_in", long = "in", value_name = "SPAN", value_parser = read_span)]
    pub begin_in: Option<i64>,
    /// How early it gets places, pools and locks where others want them too [default: the runbook's, else normal]
    #[arg(long, value_enum, value_name = "PRIORITY")]
    pub priority: Option<Priority>,
    /// Pauses the run before this step; may be repeated
    #[arg(long, value_name = "STEP")]
    pub pause_before: Vec<String>,
    /// Starts it as its newest run had it, where its file is broken or gone
    #[arg(long)]
    pub last_good: bool,
    /// Makes all checks and starts nothing
    #[arg(long)]
    pub validate_only: bool,
    /// Starts it although its environment is frozen or outside of its hours, and why; for who has a role that may
    #[arg(long, value_name = "REASON")]
    pub r#override: Option<String>,
    /// Where it runs.
    #[command(flatten)]
    pub place: InEnvironment,
    /// What of it runs.
    #[command(flatten)]
    pub selecting: Selecting,
}

/// How early a run gets what others want too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Priority {
    /// Before all others.
    High,
    /// As most.
    Normal,
    /// After all others.
    Low,
}

impl Priority {
    const fn told(self) -> v1::Priority {
        match self {
            Self::High => v1::Priority::High,
            Self::Normal => v1::Priority::Normal,
            Self::Low => v1::Priority::Low,
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// The file or an input is wrong, the daemon refuses, or none answers.
pub async fn run(cx: &mut Context, args: Exec) -> Result<ExitCode> {
    let mut request = request(cx, &args)?;
    if let Some(like) = &args.selecting.like {
        request.like = resolve(cx, like).await?;
    }
    let mut interrupts = interrupts()?;
    let response = loop {
        let answer: Result<StartRunResponse> = tokio::select! {
            answer = cx.session.ask_to_start(async |channel| runs(channel).start_run(request.clone()).await) => answer,
            _ = interrupts.recv() => return Err(interrupted()),
        };
        let failure = match answer {
            Ok(response) => break response,
            Err(failure) => failure,
        };
        let Some(names) = confirm::wanted(&failure) else { return Err(with_advice(failure, &args)) };
        if args.validate_only || !confirm::can_ask(cx) {
            let runbook = Some(request.runbook.as_str()).filter(|name| !name.is_empty());
            return Err(confirm::advise(cx, failure, &names, runbook).await);
        }
        confirm::ask(cx, &mut interrupts, &failure, &names).await?;
        request.confirm.extend(names);
    };
    if response.last_good_of > 0 {
        let of = response.last_good_of;
        cx.console.say(&format!("its file is broken or gone: this is the runbook as run {of} had it"));
    }
    let run = response.run.ok_or_else(|| Failure::other("the daemon answered without a run"))?;
    if args.validate_only {
        return validated(cx, &run);
    }
    if args.detach || run.begins_at.is_some() {
        return detached(cx, &run, response.repeated_request);
    }
    if response.repeated_request {
        cx.console.say(&format!("run {} was started by this request before; watching it", run.number));
    }
    // The start's answer may be without steps.
    let run = if run.steps.is_empty() { snapshot(cx, &run.uid).await? } else { run };
    follow(cx, interrupts, run, Some(0)).await
}

fn interrupted() -> Failure {
    Failure::new(ExitCode::Interrupted, "Ctrl-C came before the daemon had answered")
        .why("the run may have been started all the same")
        .next("`runbook status` shows it")
}

fn request(cx: &Context, args: &Exec) -> Result<StartRunRequest> {
    if !args.ask.is_empty() && args.input_file.as_deref() == Some(Path::new("-")) {
        return Err(Failure::usage("--ask and --input-file - both read standard input")
            .next("put the inputs into a file, or leave one of the two out"));
    }
    let asked: Vec<_> = args.ask.iter().map(|name| (name.clone(), hidden::MARK.to_owned())).collect();
    let asked = hidden::texts(&cx.console, &asked, "inputs")?;
    let given: Vec<_> = args.input.iter().cloned().chain(asked).collect();
    let inputs = collect(&given, args.input_file.as_deref())?;
    let Named { runbook, source, source_file } = args.what.as_deref().map(named).transpose()?.unwrap_or_default();
    let origin = if cx.console.person { Origin::Person } else { Origin::Api };
    Ok(StartRunRequest {
        runbook,
        source,
        source_file,
        inputs: Some(inputs.values),
        input_texts: inputs.texts,
        // So that asking again after a broken connection starts no second run.
        request_id: args.request_id.clone().unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
        reason: args.reason.clone().unwrap_or_default(),
        origin: origin.into(),
        validate_only: args.validate_only,
        confirm: args.confirm.clone(),
        dry_run: args.dry_run,
        pause_before: args.pause_before.clone(),
        priority: args.priority.map_or(v1::Priority::Unspecified, Priority::told).into(),
        begin_at: args.at.map(Moment::timestamp),
        begin_in: args.begin_in.map(duration),
        selection: args.selecting.selection(),
        // `last` is not resolved yet.
        like: String::new(),
        environment: args.place.name(),
        input_variables: variables(),
        override_reason: args.r#override.clone().unwrap_or_default(),
        last_good: args.last_good,
    })
}

fn with_advice(failure: Failure, args: &Exec) -> Failure {
    let what = args.what.as_deref().unwrap_or("RUNBOOK");
    let is_named = !args.last_good && !is_file(what);
    if failure.next.is_some() {
        return failure;
    }
    match failure.reason() {
        Some("INVALID_INPUTS") => failure.next(format!("`runbook show {what}` lists the inputs")),
        Some("SELECTION") => {
            failure.next(format!("`runbook plan {what}` shows the steps, `runbook graph {what}` their order"))
        }
        Some("BROKEN_RUNBOOK") if is_named => failure.next(format!(
            "mend the file: `runbook check` shows what is wrong; until then `runbook exec {what} --last-good` starts it as its \
             newest run had it, if there is one"
        )),
        Some("BROKEN_RUNBOOK") => failure.next("mend the file; `runbook check FILE` shows what is wrong"),
        Some("ENVIRONMENT" | "NO_SUCH_ENVIRONMENT" | "BROKEN_ENVIRONMENT") => {
            failure.next("`runbook environments list` shows all; name one with --env")
        }
        Some("FROZEN" | "OUTSIDE_HOURS") => failure.next(
            "wait for it; `runbook environments show NAME` tells when, and who may start one by --override REASON",
        ),
        Some("REQUEST_ID_REUSED") => failure.next("give another --request-id, or leave it out"),
        _ => failure,
    }
}

fn validated(cx: &Context, run: &Run) -> Result<ExitCode> {
    if cx.console.json {
        cx.console
            .json(&json!({"valid": true, "runbook": run.runbook, "environment": to_json::text(&run.environment), "inputs": to_json::object(run.inputs.as_ref())}))?;
    } else {
        let runbook = run.runbook.strip_prefix("runbooks/").unwrap_or(&run.runbook);
        let place = if run.environment.is_empty() { String::new() } else { format!(" in {}", run.environment) };
        cx.console.line(&Line::of(Tone::Good, "✓").with(Tone::Plain, &format!(" {runbook} would start{place}")))?;
    }
    Ok(ExitCode::Succeeded)
}

fn detached(cx: &Context, run: &Run, repeated: bool) -> Result<ExitCode> {
    if cx.console.json {
        cx.console.json(&json!({"run": to_json::run(run), "repeated_request": repeated}))?;
        return Ok(ExitCode::Succeeded);
    }
    if cx.console.quiet {
        cx.console.line(&Line::of(Tone::Plain, &run.number.to_string()))?;
        return Ok(ExitCode::Succeeded);
    }
    let runbook = run.runbook.strip_prefix("runbooks/").unwrap_or(&run.runbook);
    let begins = moment(run.begins_at.as_ref());
    let what = match begins {
        _ if repeated => "was started by this request before".to_owned(),
        Some(begins) => format!("begins {}", begins.date_clock()),
        None => "started".to_owned(),
    };
    cx.console.line(
        &Line::of(Tone::Bold, &format!("run {} {runbook}", run.number)).with(Tone::Plain, &format!(": {what}")),
    )?;
    cx.console.flush()?;
    let number = run.number;
    cx.console.say(&match begins {
        Some(_) => format!("`runbook cancel {number}` calls it off, `runbook watch {number}` shows it"),
        None => format!("`runbook watch {number}` shows it"),
    });
    Ok(ExitCode::Succeeded)
}
