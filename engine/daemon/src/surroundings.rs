//! What an attempt's texts are made of on this machine: the project, pinned files, secrets, kept artifacts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use runbook_actions::World;
use runbook_core::id::{AttemptNo, RunUid, StepNo};
use runbook_core::machine::AttemptRef;
use runbook_core::run::{Pinned, RunState};
use serde_json::Value;

use crate::definitions::Definitions;
use crate::files;
use crate::layout::Layout;
use crate::secrets::{Sealer, Secrets};

/// The most that an `env_file` may have, in bytes.
const ENV_FILE_BYTES: u64 = 1 << 20;

/// The parts that all attempts share.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The project's folder.
    pub project: PathBuf,
    /// The data directory.
    pub layout: Layout,
    /// The stored definitions.
    pub definitions: Arc<Definitions>,
    /// Declared secrets.
    pub secrets: Arc<Secrets>,
    /// The seal of secret inputs.
    pub sealer: Arc<Sealer>,
}

/// The surroundings of one attempt.
pub struct AttemptWorld<'a> {
    shared: &'a Surroundings,
    pinned: &'a Pinned,
    attempt: AttemptRef,
    root: RunUid,
    directory: PathBuf,
}

impl Surroundings {
    /// As one attempt of a run sees them.
    pub fn of<'a>(&'a self, run: &'a RunState, attempt: AttemptRef) -> AttemptWorld<'a> {
        let directory = self.layout.attempt(attempt);
        AttemptWorld { shared: self, pinned: run.pinned(), attempt, root: run.root(), directory }
    }
}

impl World for AttemptWorld<'_> {
    fn project(&self) -> &Path {
        &self.shared.project
    }

    fn attempt_directory(&self) -> &Path {
        &self.directory
    }

    fn artifacts_of(&self, step: StepNo, attempt: AttemptNo) -> PathBuf {
        self.shared.layout.artifacts(AttemptRef { run: self.attempt.run, step, attempt })
    }

    fn pinned_file(&self, path: &str) -> Option<PathBuf> {
        self.shared.definitions.file(self.pinned, path)
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        self.shared.secrets.read(name)
    }

    fn sealed_input(&self, name: &str) -> Result<Value, String> {
        let mut inputs = self.shared.sealer.unseal(self.root)?;
        inputs.remove(name).ok_or_else(|| format!("the run has no secret input {name:?}"))
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read_text(&self, path: &Path) -> Result<String, String> {
        let bytes = files::read_bounded(path, ENV_FILE_BYTES).map_err(|e| format!("{}: {e}", path.display()))?;
        String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))
    }
}
