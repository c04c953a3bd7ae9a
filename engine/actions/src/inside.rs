//! Actions that the daemon carries out itself, without a process. Never knows runs, journals or who waits for the end.

use std::path::PathBuf;

use indexmap::IndexMap;
use runbook_core::time::Span;
use serde_json::Value;

use crate::http;
use crate::notify;

/// An action that is ready to be carried out inside the daemon.
pub struct Inside {
    /// What it does.
    pub(crate) deed: Deed,
    /// How long it may take.
    pub timeout: Option<Span>,
    /// The files that it is to leave, by name.
    pub artifacts: Vec<String>,
    /// Values to hide in its log, and in what it says.
    pub redact: Vec<String>,
}

/// What it does.
pub(crate) enum Deed {
    /// Makes a request.
    Http(Box<http::Request>),
    /// Tells somebody something.
    Notify(Box<notify::Notice>),
}

impl std::fmt::Debug for Inside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What it is told may be secret.
        match &self.deed {
            Deed::Http(_) => f.write_str("Inside(http)"),
            Deed::Notify(_) => f.write_str("Inside(notify)"),
        }
    }
}

/// What all actions inside one daemon share.
#[derive(Debug, Default)]
pub struct Shared {
    clients: http::Clients,
}

/// What an action needs while it is carried out.
pub trait Desk: Send + Sync {
    /// Writes a line into the attempt's log.
    fn log(&self, line: &str);
    /// Where an artifact is to lie, absolute. Its folder is there.
    ///
    /// # Errors
    /// In words: the folder cannot be made.
    fn artifact(&self, name: &str) -> Result<PathBuf, String>;
    /// Looks for secrets in what is to be kept in clear.
    fn seeker(&self) -> Box<dyn Seeker + '_>;
    /// Whether something was told under this key less than so long ago.
    ///
    /// # Errors
    /// In words: that cannot be known.
    fn was_told(&self, key: &str, within: Span) -> Result<bool, String>;
    /// Notes that it was told under this key.
    ///
    /// # Errors
    /// In words: that cannot be noted.
    fn tell(&self, key: &str) -> Result<(), String>;
}

/// Looks for the attempt's secrets in what comes piece by piece, also across the borders of the pieces.
pub trait Seeker: Send {
    /// Whether one is in what was given so far.
    fn meets(&mut self, piece: &[u8]) -> bool;
    /// Whether one is in it, now that nothing more comes.
    fn met(&mut self) -> bool;
}

/// How it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// One of the exit codes of actions.
    pub code: i32,
    /// Why, for a person; empty where it did what it was to do.
    pub message: String,
    /// What it found.
    pub outputs: IndexMap<String, Value>,
    /// The files that it left, by name.
    pub artifacts: Vec<String>,
    /// How long the other side wants to be left alone.
    pub retry_after: Option<Span>,
}

impl Done {
    /// An end with nothing but a code and why.
    pub(crate) fn with(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), outputs: IndexMap::new(), artifacts: Vec::new(), retry_after: None }
    }
}

impl Inside {
    /// Carries it out. Dropping the future gives it up where it is.
    pub async fn carry_out(&self, shared: &Shared, desk: &dyn Desk) -> Done {
        match &self.deed {
            Deed::Http(request) => http::carry_out(request, &shared.clients, desk).await,
            Deed::Notify(notice) => notify::carry_out(notice, &shared.clients, desk).await,
        }
    }
}
