//! Actions that run other programs: `runbookd act NAME` carries them out in a process of its own, under a shim, so that they
//! outlive the daemon and are stopped as commands are. What they are told comes by standard input, what they found goes where
//! a command writes it. Never knows runs or the daemon.

mod git;
mod terraform;
mod tool;

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use runbook_core::action::FAILED;
use serde_json::Value;

use crate::inside::Done;
use crate::told::Told;

/// Carries out the action of a name, writes what it found, and says how to exit.
pub fn act(name: &str) -> i32 {
    let done = match told() {
        Ok(told) => carry_out(name, &told),
        Err(problem) => Done::with(FAILED, format!("what the action is told cannot be read: {problem}")),
    };
    match write(&done) {
        Ok(()) => done.code,
        Err(error) => {
            say(&format!("what it found cannot be written: {error}"));
            FAILED
        }
    }
}

fn told() -> Result<Told, String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    Told::from_json(&value).ok_or_else(|| "it is of another version of the program".to_owned())
}

fn carry_out(name: &str, told: &Told) -> Done {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Done::with(FAILED, format!("no runtime: {error}")),
    };
    runtime.block_on(async {
        match name.split_once('/') {
            Some(("terraform", what)) => terraform::carry_out(what, told).await,
            Some(("git", "checkout")) => git::checkout(told).await,
            _ => Done::with(FAILED, format!("there is no action {name:?} that runs a program")),
        }
    })
}

/// Writes outputs as one JSON line, and the message as the last line of the log.
fn write(done: &Done) -> std::io::Result<()> {
    if !done.message.is_empty() {
        say(&done.message);
    }
    let mut outputs = done.outputs.clone();
    if !done.message.is_empty() {
        outputs.insert(runbook_core::run::decide::MESSAGE.to_owned(), done.message.clone().into());
    }
    let Some(path) = std::env::var_os("RUNBOOK_OUTPUT").filter(|_| !outputs.is_empty()) else { return Ok(()) };
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(PathBuf::from(path))?;
    let mut line = serde_json::to_vec(&outputs)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// Writes a line into the log.
fn say(line: &str) {
    // A log that cannot be written is no reason to fail.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Where an artifact is to lie.
fn artifact(name: &str) -> PathBuf {
    std::env::var_os("RUNBOOK_ARTIFACTS").map_or_else(PathBuf::new, PathBuf::from).join(name)
}
