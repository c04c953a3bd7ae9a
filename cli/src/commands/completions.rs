//! `runbook completions`: the script that completes this command line in a shell.

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::{Shell, generate};

use crate::args::Cli;
use crate::console::Console;
use crate::exit_code::ExitCode;
use crate::failure::Result;

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
#[command(after_help = "Examples:\n  runbook completions bash > /etc/bash_completion.d/runbook\n  \
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
    let shell = match args.shell {
        For::Bash => Shell::Bash,
        For::Zsh => Shell::Zsh,
        For::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "runbook", &mut script);
    console.raw(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::Succeeded)
}
