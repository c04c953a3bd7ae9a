//! `runbook`, the command line: reads its arguments, does one verb, and tells how it ended with its exit code.

mod args;
mod commands;
mod console;
mod context;
mod daemon_process;
mod event_line;
mod exit_code;
mod failure;
mod follow;
mod frame;
mod inputs;
mod instance;
mod line;
mod model;
mod moment;
mod prompt;
mod report;
mod run_name;
mod screen;
mod session;
mod table;
mod text;
mod to_json;
mod view;

use std::rc::Rc;

use clap::Parser as _;

use crate::args::Cli;
use crate::console::Console;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    let console = Rc::new(Console::new(cli.global.output, cli.global.color, cli.global.quiet));
    let code = match run(cli, &console) {
        Ok(code) => code,
        Err(failure) => {
            // What was printed before the failure comes before it; where that fails, the first failure counts.
            let flushed = console.flush();
            if failure.code != ExitCode::OutputClosed && flushed.is_ok_and(|()| true) {
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
