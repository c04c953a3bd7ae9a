//! `runbook version`: this command's version, and the daemon's where one answers.

use clap::Args;
use runbook_proto::v1::GetInfoRequest;
use serde_json::{Value, json};

use crate::console::Console;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::Result;
use crate::line::{Line, Tone};
use crate::session::system;

/// Arguments of `version`.
#[derive(Debug, Args)]
#[command(after_help = "Starts no daemon.\n\nExample:\n  runbook version --output json")]
pub struct Version {}

/// Runs the verb.
///
/// # Errors
/// A daemon is there and cannot be asked.
pub async fn run(cx: &mut Context) -> Result<ExitCode> {
    let daemon = if cx.session.running().await? {
        let info = cx.session.ask(async |channel| system(channel).get_info(GetInfoRequest {}).await).await?;
        Some(info.version)
    } else {
        None
    };
    print(&cx.console, daemon)
}

/// The version where no daemon can be around.
///
/// # Errors
/// Standard output cannot be written.
pub fn alone(console: &Console) -> Result<ExitCode> {
    print(console, None)
}

fn print(console: &Console, daemon: Option<String>) -> Result<ExitCode> {
    let ours = env!("CARGO_PKG_VERSION");
    if console.json {
        console.json(&json!({"version": ours, "daemon": daemon.map_or(Value::Null, Value::String)}))?;
        return Ok(ExitCode::Succeeded);
    }
    console.line(&Line::of(Tone::Plain, &format!("runbook {ours}")))?;
    let daemon =
        daemon.map_or_else(|| "runbookd is not running here".to_owned(), |version| format!("runbookd {version}"));
    console.line(&Line::of(Tone::Plain, &daemon))?;
    Ok(ExitCode::Succeeded)
}
