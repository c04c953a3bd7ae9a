//! Completion of the names that only the daemon knows: runbooks, runs, steps. Asks a daemon that runs; starts none, waits
//! for none, says nothing. Where there is no answer nothing is completed.

use std::ffi::{OsStr, OsString};
use std::rc::Rc;
use std::time::Duration;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};
use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter as _};
use clap_complete::env::CompleteEnv;
use runbook_proto::v1::{
    GetRunRequest, ListEnvironmentsRequest, ListLocksRequest, ListRunbooksRequest, ListRunsRequest,
    ListSchedulesRequest, Lock, Run,
};
use tonic::transport::Channel;

use crate::args::{Cli, Global};
use crate::commands;
use crate::console::{Color, Console, Format};
use crate::hidden;
use crate::path;
use crate::report;
use crate::run_name;
use crate::session::{Session, runbooks, runs, schedules};
use crate::text::sanitize;

/// The variable by which the shell's script asks for a completion; its value is the shell.
pub const VARIABLE: &str = "RUNBOOK_COMPLETE";
/// How long somebody who pressed a key waits.
const LIMIT: Duration = Duration::from_secs(1);
/// Runs offered, the newest ones.
const RUNS: i32 = 30;
/// Runbooks offered.
const RUNBOOKS: i32 = 1_000;

/// Answers the shell and ends the process, if it was a shell that called it.
pub fn answer() {
    CompleteEnv::with_factory(Cli::command).var(VARIABLE).complete();
}

/// The names of runbooks.
pub fn runbook(current: &OsStr) -> Vec<CompletionCandidate> {
    let named = ask(async |channel, _| {
        let request = ListRunbooksRequest { page_size: RUNBOOKS, page_token: String::new() };
        let page = runbooks(channel).list_runbooks(request).await.ok()?.into_inner();
        let bare = |name: &str| name.strip_prefix("runbooks/").unwrap_or(name).to_owned();
        Some(page.runbooks.into_iter().map(|it| (bare(&it.name), it.description)).collect())
    });
    beginning_with(current, named)
}

/// The names of runbooks, and files.
pub fn runbook_or_file(current: &OsStr) -> Vec<CompletionCandidate> {
    let mut found = runbook(current);
    found.extend(PathCompleter::any().complete(current));
    found
}

/// The numbers of the newest runs, and `last`.
pub fn run(current: &OsStr) -> Vec<CompletionCandidate> {
    let named = ask(async |channel, _| {
        let request = ListRunsRequest { page_size: RUNS, ..Default::default() };
        let page = runs(channel).list_runs(request).await.ok()?.into_inner();
        let newest = page.runs.first().map(|run| (run_name::LAST.to_owned(), run.runbook.clone()));
        Some(newest.into_iter().chain(page.runs.iter().map(|it| (it.number.to_string(), it.runbook.clone()))).collect())
    });
    beginning_with(current, named)
}

/// The names of schedules.
pub fn schedule(current: &OsStr) -> Vec<CompletionCandidate> {
    let named = ask(async |channel, _| {
        let request = ListSchedulesRequest { page_size: RUNBOOKS, ..Default::default() };
        let page = schedules(channel).list_schedules(request).await.ok()?.into_inner();
        Some(page.schedules.into_iter().map(|it| (it.name, it.explained)).collect())
    });
    beginning_with(current, named)
}

/// The names of locks that somebody has.
pub fn lock(current: &OsStr) -> Vec<CompletionCandidate> {
    let named = ask(async |channel, _| {
        let request = ListLocksRequest { page_size: RUNBOOKS, page_token: String::new() };
        let page = runs(channel).list_locks(request).await.ok()?.into_inner();
        let by =
            |lock: &Lock| lock.holders.first().map(|holder| format!("run {}", holder.run_number)).unwrap_or_default();
        Some(page.locks.into_iter().filter(|it| !it.group).map(|it| (it.name.clone(), by(&it))).collect())
    });
    beginning_with(current, named)
}

/// The names of environments.
pub fn environment(current: &OsStr) -> Vec<CompletionCandidate> {
    let named = ask(async |channel, _| {
        let request = ListEnvironmentsRequest { page_size: RUNBOOKS, page_token: String::new() };
        let page = runbooks(channel).list_environments(request).await.ok()?.into_inner();
        let bare = |name: &str| name.strip_prefix("environments/").unwrap_or(name).to_owned();
        Some(page.environments.into_iter().map(|it| (bare(&it.name), it.description)).collect())
    });
    beginning_with(current, named)
}

/// The run that the line names, with its steps.
async fn run_of(channel: Channel, line: &ArgMatches) -> Option<Run> {
    let (_, verb) = line.subcommand()?;
    let mut name = verb.try_get_one::<String>("run").ok()??.clone();
    if name == run_name::LAST {
        let page = runs(channel.clone()).list_runs(run_name::newest()).await.ok()?.into_inner();
        name = page.runs.into_iter().next()?.uid;
    }
    runs(channel).get_run(GetRunRequest { name }).await.ok()?.into_inner().run
}

/// The inputs that the run waits for which the line names, each to be asked for.
pub fn missing_input(current: &OsStr) -> Vec<CompletionCandidate> {
    let named = ask(async |channel, line| {
        let run = run_of(channel, line).await?;
        let names = report::missing(&run).into_iter();
        Some(names.map(|name| (format!("{name}={}", hidden::MARK), String::new())).collect())
    });
    beginning_with(current, named)
}

/// The steps of the run that the line names.
pub fn step(current: &OsStr) -> Vec<CompletionCandidate> {
    let named = ask(async |channel, line| {
        let run = run_of(channel, line).await?;
        let mut named = Vec::new();
        steps_of(&run, "", &current.to_string_lossy(), &mut named);
        Some(named)
    });
    beginning_with(current, named)
}

/// The steps of a run, and of those below it that the word leads to. Quotes are left out, since shells take them away.
fn steps_of(run: &Run, prefix: &str, word: &str, named: &mut Vec<(String, String)>) {
    for step in &run.steps {
        let name = path::joined(prefix, &step.id.replace('"', ""));
        if let Some(child) = step.child_run.as_ref().filter(|_| path::is_inside(word, &name)) {
            steps_of(child, &format!("{name}/"), word, named);
        }
        named.push((name, step.description.clone()));
    }
}

fn beginning_with(current: &OsStr, named: Vec<(String, String)>) -> Vec<CompletionCandidate> {
    let begun = current.to_string_lossy();
    let fitting = named.into_iter().filter(|(name, _)| name.starts_with(&*begun));
    fitting
        .map(|(name, help)| {
            let help = help.lines().next().map(|line| sanitize(line).into_owned()).filter(|line| !line.is_empty());
            CompletionCandidate::new(name).help(help.map(Into::into))
        })
        .collect()
}

/// Asks the daemon that the line is about. The line is read as far as it can be: it is being typed.
fn ask(question: impl AsyncFnOnce(Channel, &ArgMatches) -> Option<Vec<(String, String)>>) -> Vec<(String, String)> {
    let words = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    answered(words, question).unwrap_or_default()
}

fn answered(
    words: Vec<OsString>,
    question: impl AsyncFnOnce(Channel, &ArgMatches) -> Option<Vec<(String, String)>>,
) -> Option<Vec<(String, String)>> {
    let line = Cli::command().ignore_errors(true).try_get_matches_from(words).ok()?;
    let target = commands::target(&Global::from_arg_matches(&line).ok()?).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async {
        let console = Rc::new(Console::new(Format::Human, Color::Never, true));
        let mut session = Session::new(target, console);
        let asked = async {
            let runs = session.running().await.ok()?;
            let channel = if runs { session.channel().await.ok()? } else { return None };
            question(channel, &line).await
        };
        tokio::time::timeout(LIMIT, asked).await.ok()?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use runbook_proto::v1::RunStep;

    fn run(ids: &[&str]) -> Run {
        let steps = ids.iter().map(|id| RunStep { id: (*id).to_owned(), ..RunStep::default() });
        Run { steps: steps.collect(), ..Run::default() }
    }

    #[test]
    fn names_lead_on_into_what_a_step_started() {
        let mut top = run(&["copy", "copying"]);
        let mut items = run(&["[\"eu-west\"]", "[\"us\"]"]);
        items.steps[0].child_run = Some(run(&["check"]));
        top.steps[0].child_run = Some(items);
        let names = |word: &str| {
            let mut named = Vec::new();
            steps_of(&top, "", word, &mut named);
            named.into_iter().map(|(name, _)| name).filter(|name| name.starts_with(word)).collect::<Vec<_>>()
        };
        assert_eq!(names("co"), ["copy", "copying"]);
        assert_eq!(names("copy["), ["copy[eu-west]", "copy[us]"]);
        assert_eq!(names("copy[eu-west]/"), ["copy[eu-west]/check"]);
    }
}
