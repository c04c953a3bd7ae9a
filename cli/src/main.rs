//! `runbook`, the command line: reads its arguments, does one verb, and tells how it ended with its exit code.

mod args;
mod commands;
mod complete;
mod confirm;
mod console;
mod context;
mod daemon_process;
mod edition;
mod environment;
mod event_line;
mod excerpt;
mod exit_code;
mod failure;
mod follow;
mod frame;
mod hidden;
mod inputs;
mod instance;
mod line;
mod model;
mod moment;
mod named;
mod pages;
mod path;
mod prompt;
mod report;
mod run_name;
mod screen;
mod selecting;
mod session;
mod sources;
mod table;
mod text;
mod to_json;
mod unique_json;
mod view;

use std::rc::Rc;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::args::Cli;
use crate::console::{Color, Console, Format};
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};

fn main() -> std::process::ExitCode {
    complete::answer();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    let console = Rc::new(Console::new(cli.global.output, cli.global.color, cli.global.quiet));
    let code = match run(cli, &console) {
        Ok(code) => code,
        Err(failure) => {
            // What was printed before the failure comes before it; where that fails, the first failure counts.
            let _ = console.flush();
            if failure.code != ExitCode::OutputClosed {
                console.failure(&failure);
            }
            failure.code
        }
    };
    code.into()
}

fn run(cli: Cli, console: &Rc<Console>) -> Result<ExitCode> {
    // One thread is enough for a client, and starts at once.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("cannot start", &error))?;
    let code = runtime.block_on(commands::run(cli, console))?;
    console.flush()?;
    Ok(code)
}

/// Tells what is wrong with the command line, or the help that was asked for; for a program as a JSON object.
fn not_understood(error: &clap::Error) -> std::process::ExitCode {
    let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if asked || !wants_json(std::env::args_os().skip(1)) {
        // Where nobody reads it, the code tells all the same.
        let _ = error.print();
    } else {
        let text = error.render().to_string();
        let parts: Vec<&str> = text.strip_prefix("error: ").unwrap_or(&text).trim_end().split("\n\n").collect();
        let mut parts = parts.into_iter();
        let mut failure = Failure::usage(parts.next().unwrap_or_default());
        failure.next = parts.next_back().map(str::to_owned);
        failure.why = Some(parts.map(str::trim).collect::<Vec<_>>().join("\n")).filter(|why| !why.is_empty());
        Console::new(Format::Json, Color::Never, true).failure(&failure);
    }
    if asked { ExitCode::Succeeded } else { ExitCode::Usage }.into()
}

/// Whether `--output json` is on a command line that was not understood.
fn wants_json(arguments: impl Iterator<Item = std::ffi::OsString>) -> bool {
    let mut after_output = false;
    for argument in arguments.take_while(|argument| argument != "--") {
        if argument == "--output=json" || (after_output && argument == "json") {
            return true;
        }
        after_output = argument == "--output";
    }
    false
}

#[cfg(test)]
mod tests {
    use super::wants_json;

    #[test]
    fn a_program_is_told_from_a_person() {
        for (line, json) in [
            ("exec --output json", true),
            ("--output=json nonsense", true),
            ("exec --output human json", false),
            ("exec -- --output json", false),
            ("", false),
        ] {
            assert_eq!(wants_json(line.split_whitespace().map(Into::into)), json, "{line}");
        }
    }
}
