//! The daemon's own log: for people on a terminal, JSON elsewhere. Never knows what is logged.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::config::LogFormat;

/// Libraries whose words below `warn` help only those who look for a mistake in them.
const QUIET: [&str; 9] = ["sled", "h2", "hyper", "hyper_util", "tonic", "tower", "notify", "mio", "tokio_util"];

/// Begins to log to standard error.
pub fn start(filter: &str, format: Option<LogFormat>) {
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter_of(filter)).with_writer(std::io::stderr);
    // A second start in one process keeps the first.
    let _ = match format_for(format, terminal) {
        LogFormat::Human => builder.with_ansi(terminal).with_target(false).try_init(),
        // Run and step as fields of the line itself, where a collector of logs looks for them.
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    };
}

fn format_for(format: Option<LogFormat>, terminal: bool) -> LogFormat {
    format.unwrap_or(if terminal { LogFormat::Human } else { LogFormat::Json })
}

/// The filter as it is given, with the libraries' noise left out unless they are named in it.
fn filter_of(text: &str) -> EnvFilter {
    let filter = EnvFilter::try_new(text).unwrap_or_else(|_| EnvFilter::new("info"));
    if filter.max_level_hint().is_some_and(|most| most <= LevelFilter::WARN) {
        return filter;
    }
    let named = |library: &str| text.split(',').any(|part| part.trim().split(['=', ':', '[']).next() == Some(library));
    let quiet = QUIET.into_iter().filter(|library| !named(library));
    quiet.fold(filter, |filter, library| match format!("{library}=warn").parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_on_terminals_and_machines_elsewhere() {
        assert_eq!(format_for(None, true), LogFormat::Human);
        assert_eq!(format_for(None, false), LogFormat::Json);
        assert_eq!(format_for(Some(LogFormat::Json), true), LogFormat::Json);
        assert_eq!(format_for(Some(LogFormat::Human), false), LogFormat::Human);
    }

    #[test]
    fn libraries_are_quiet_unless_they_are_named() {
        let shown = |text: &str| filter_of(text).to_string();
        assert!(shown("debug").contains("sled=warn") && shown("debug").contains("debug"));
        assert!(!shown("info,sled=trace").contains("sled=warn") && shown("info,sled=trace").contains("sled=trace"));
        assert_eq!(shown("warn"), "warn");
        assert_eq!(shown("error"), "error");
    }
}
