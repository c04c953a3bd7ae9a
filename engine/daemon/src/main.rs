//! `runbookd`: reads its arguments, serves or checks, and says how it ended with its exit code.

mod inherited;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use runbook_journal::OpenError;
use runbookd::config::{Arguments, Command, Config};
use runbookd::{actions, check, cron, memory, offline, scenarios, serve, telemetry};

/// The configuration, a path or an argument is wrong.
const USAGE: u8 = 2;
/// The daemon could not start, or had to end.
const FAILED: u8 = 1;
/// Another daemon has the data directory.
const IN_USE: u8 = 3;

fn main() -> ExitCode {
    memory::share_one_arena();
    let closed = inherited::close_descriptors();
    let arguments = Arguments::parse();
    if let Err(error) = closed {
        // It can serve all the same. As below, nobody may be there to read it.
        let _ = writeln!(std::io::stderr(), "runbookd: what it inherited stays open: {error}");
    }
    match run(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err((code, message)) => {
            // Nobody may be there to read it.
            let _ = writeln!(std::io::stderr(), "runbookd: {message}");
            ExitCode::from(code)
        }
    }
}

fn run(arguments: &Arguments) -> Result<u8, (u8, String)> {
    let printed = |result: std::io::Result<u8>| match result {
        // The reader of a pipe went away: nothing is wrong with what was checked.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(0),
        Err(error) => Err((FAILED, error.to_string())),
        Ok(code) => Ok(code),
    };
    match &arguments.command {
        Some(Command::Check { paths, config, output, strict }) => {
            printed(check::check(paths, config.as_deref(), *output, *strict))
        }
        Some(Command::Graph { path, format }) => printed(offline::graph(path, *format)),
        Some(Command::Test { paths, output }) => printed(scenarios::test(paths, *output)),
        Some(Command::Act { name }) => Ok(u8::try_from(runbook_actions::act(name)).unwrap_or(FAILED)),
        Some(Command::Actions { name, output }) => printed(actions::actions(name.as_deref(), *output)),
        Some(Command::Schema { environment }) => printed(offline::schema(*environment)),
        Some(Command::Explain { code }) => printed(check::explain(code.as_deref())),
        Some(Command::Cron { command }) => printed(cron::run(command)),
        None => {
            let config = Config::load(&arguments.serve).map_err(|error| (USAGE, error.to_string()))?;
            telemetry::start(&config.log, config.log_format);
            if config.announce {
                // Started by a command: it outlives that command's terminal. Where it leads a session already, it does.
                let _ = rustix::process::setsid();
            }
            serve::serve(config).map_err(|error| {
                let in_use = matches!(error.downcast_ref(), Some(OpenError::InUse { .. }));
                (if in_use { IN_USE } else { FAILED }, serve::tell(&error))
            })?;
            Ok(0)
        }
    }
}
