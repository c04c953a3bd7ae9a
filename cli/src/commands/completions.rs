//! `runbook completions`: the script that completes this command line in a shell.

use clap::{Args, ValueEnum};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use serde_json::json;

use crate::complete;
use crate::console::Console;
use crate::exit_code::ExitCode;
use crate::failure::Result;

/// What is completed, and what is called to complete it: whichever comes first on PATH.
const PROGRAM: &str = "runbook";

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum For {
    /// bash(1).
    Bash,
    /// zsh(1).
    Zsh,
    /// fish(1).
    Fish,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "Names of runbooks, runs and steps are completed while the project's daemon runs.\n\n\
    Examples:\n  runbook completions bash > /etc/bash_completion.d/runbook\n  \
    runbook completions fish > ~/.config/fish/completions/runbook.fish")]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: For,
}

/// Runs the verb.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(console: &Console, args: &Completions) -> Result<ExitCode> {
    let shell: &dyn EnvCompleter = match args.shell {
        For::Bash => &Bash,
        For::Zsh => &Zsh,
        For::Fish => &Fish,
    };
    let mut script = Vec::new();
    shell.write_registration(complete::VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    let script = String::from_utf8_lossy(&script);
    if console.json {
        console.json(&json!({"shell": shell.name(), "script": script}))?;
    } else {
        console.raw(&script)?;
    }
    Ok(ExitCode::Succeeded)
}
