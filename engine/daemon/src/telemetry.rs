//! The daemon's own log: for people on a terminal, JSON elsewhere. Never knows what is logged.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Begins to log to standard error.
pub fn start(filter: &str, format: Option<LogFormat>) {
    let human = match format {
        Some(format) => format == LogFormat::Human,
        None => std::io::stderr().is_terminal(),
    };
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process keeps the first.
    let _ = if human {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    } else {
        builder.json().try_init()
    };
}
