//! What an action must be told by whoever carries it out. Never knows how he finds it.

use std::path::{Path, PathBuf};

use runbook_core::drift::Found;
use runbook_core::id::{AttemptNo, StepNo};

/// The surroundings of an attempt.
pub trait World {
    /// The project's folder, absolute.
    fn project(&self) -> &Path;
    /// The program of the daemon itself, absolute.
    fn own_program(&self) -> &Path;
    /// The program that stands for the one that actions usually run, if another one does.
    fn substitute(&self, usual: &str) -> Option<&str>;
    /// The key by which what differs is marked without telling its values.
    fn mark_key(&self) -> String;
    /// The differences of stacks of a name that somebody accepted, with their workspaces; `source` is what looks for them.
    fn accepted(&self, source: &str, name: &str) -> Vec<(String, Found)>;
    /// The directory of the attempt that is prepared, absolute.
    fn attempt_directory(&self) -> &Path;
    /// Where the artifacts of an ended attempt lie, absolute.
    fn artifacts_of(&self, step: StepNo, attempt: AttemptNo) -> PathBuf;
    /// The pinned copy of a file that the definition lists, absolute; `None` for a path that it does not list.
    fn pinned_file(&self, path: &str) -> Option<PathBuf>;
    /// The value of a secret.
    ///
    /// # Errors
    /// In words, without the value: why it cannot be had and what to do.
    fn secret(&self, name: &str) -> Result<String, String>;
    /// The value of a secret input of this run.
    ///
    /// # Errors
    /// In words: it cannot be unsealed.
    fn sealed_input(&self, name: &str) -> Result<serde_json::Value, String>;
    /// The value that an approver filled in and that is sealed under a name.
    ///
    /// # Errors
    /// In words: it cannot be unsealed.
    fn sealed_field(&self, name: &str) -> Result<serde_json::Value, String>;
    /// A variable of the daemon's own environment.
    fn variable(&self, name: &str) -> Option<String>;
    /// The text of a file named by `env_file`.
    ///
    /// # Errors
    /// In words: it cannot be read, or is too large.
    fn read_text(&self, path: &Path) -> Result<String, String>;
}
