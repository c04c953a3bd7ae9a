//! The command line's shape: global options and the verbs. Each verb's own arguments are in its file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::console::{Color, Format};
use crate::exit_code::ExitCode;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "runbook",
    version,
    about = "Runs operations runbooks: durably, with everything they do in sight",
    long_about = "Runs operations runbooks: durably, with everything they do in sight.\n\n\
        A daemon, runbookd, does the work. Where none answers for this project, the command starts the one beside it. \
        Data goes to standard output, talk to standard error; times are local, in JSON they are UTC. With --output json \
        an error is a JSON object on standard error.",
    after_help = examples_and_codes(),
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    /// For all verbs.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

fn examples_and_codes() -> String {
    format!(
        "Examples:\n  runbook list\n  runbook exec backup -i keep=7\n  runbook status\n  runbook logs last --follow\n\n{}",
        ExitCode::table()
    )
}

/// Options of every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The project's folder [default: the nearest one above that contains `runbooks/`]
    #[arg(long, global = true, value_name = "DIR", env = "RUNBOOK_PROJECT", hide_env = true)]
    pub project: Option<PathBuf>,
    /// The daemon's data directory [default: `.runbook` in the project]
    #[arg(long, global = true, value_name = "DIR", env = "RUNBOOK_DATA_DIR", hide_env = true)]
    pub data_dir: Option<PathBuf>,
    /// One of several daemons of the project, each with its own data
    #[arg(long, global = true, value_name = "NAME")]
    pub instance: Option<String>,
    /// The daemon's socket, unix:///path; none is started then
    #[arg(long, global = true, value_name = "ADDRESS", env = "RUNBOOK_ENDPOINT", hide_env = true)]
    pub endpoint: Option<String>,
    /// The form of data; json: one object, or one per line where a verb streams
    #[arg(long, global = true, value_name = "FORM", value_enum, default_value_t = Format::Human, hide_possible_values = true)]
    pub output: Format,
    /// Colours: auto, always or never; NO_COLOR counts
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value_t = Color::Auto, hide_possible_values = true)]
    pub color: Color,
    /// Says only what was asked for
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a run of a runbook and watch it
    Exec(commands::exec::Exec),
    /// Check runbook files, without keeping them
    Check(commands::check::Check),
    /// List the project's runbooks, broken ones included
    List(commands::list::List),
    /// Show a runbook: its inputs, steps and findings
    Show(commands::show::Show),
    /// Draw a runbook's graph, with conditions and effects
    Graph(commands::graph::Graph),
    /// Show what a start would do, before anything runs
    Plan(commands::plan::Plan),
    /// Rehearse a run in virtual time, with failures that are told
    Rehearse(commands::rehearse::Rehearse),
    /// List runs, the newest first
    Runs(commands::runs::Runs),
    /// Show where a run stands, or all runs that are not over
    Status(commands::status::StatusArgs),
    /// Compare two runs: definition, inputs, outcomes, durations
    Diff(commands::diff::Diff),
    /// Watch a run until it is over
    Watch(commands::watch::Watch),
    /// Print what steps wrote
    Logs(commands::logs::Logs),
    /// Print what happened to a run
    Events(commands::events::Events),
    /// Show who has which lock or group, and who waits
    Locks(commands::locks::Locks),
    /// List what runs ask of persons, and what to type
    Approvals(commands::approvals::Approvals),
    /// Approve what a run asks
    Approve(commands::approve::Approve),
    /// Reject what a run asks: the step fails
    Reject(commands::reject::Reject),
    /// Pause a run: nothing more of it begins until it is resumed
    Pause(commands::pause::Pause),
    /// Show what starts by itself, pause it, and see what became of every slot
    Schedules(commands::schedules::Schedules),
    /// List what a person should look at: overdue schedules, runs that hold them up, broken files
    Findings(commands::findings::Findings),
    /// Tell whether what is backed up could be restored, in time and from new enough data
    Readiness(commands::readiness::Readiness),
    /// List what differs from what is written, and accept it for a time
    Drift(commands::drift::Drift),
    /// Show the environments that runs can be started in
    Environments(commands::environments::Environments),
    /// Cancel a run: it tidies up and ends
    Cancel(commands::cancel::Cancel),
    /// Let a paused run go on, or open one that failed or was canceled again
    Resume(commands::resume::Resume),
    /// Compensate what a run did that failed or was canceled
    Rollback(commands::rollback::Rollback),
    /// Give values that are kept nowhere to a run that waits for them
    Provide(commands::provide::Provide),
    /// Settle a step of which nobody knows what it did
    Resolve(commands::resolve::Resolve),
    /// Start, stop or look at the daemon
    Daemon(commands::daemon::Daemon),
    /// Print a script that completes this command line in a shell
    Completions(commands::completions::Completions),
    /// Print this command's version, and the daemon's
    Version(commands::version::Version),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_an_example() {
        for verb in Cli::command().get_subcommands_mut() {
            let help = verb.render_long_help().to_string();
            assert!(help.contains("Example"), "{help}");
            assert!(help.contains(&format!("  runbook {}", verb.get_name())), "{help}");
        }
    }

    #[test]
    fn the_exit_codes_are_in_the_help() {
        let help = Cli::command().render_help().to_string();
        assert!(help.contains(&ExitCode::table()), "{help}");
    }
}
