//! What an attempt's texts are made of on this machine: the project, pinned files, secrets, kept artifacts.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use runbook_actions::World;
use runbook_core::drift::Found;
use runbook_core::id::{AttemptNo, StepNo};
use runbook_core::machine::AttemptRef;
use runbook_core::needs::Substitutes;
use runbook_core::run::{Pinned, RunState};
use serde_json::Value;

use crate::clock;
use crate::definitions::Definitions;
use crate::files;
use crate::kept::Shelf;
use crate::layout::Layout;
use crate::secrets::{Ephemeral, Fetched, Purpose, Sealer, Secrets, Source};

/// The most that an `env_file` may have, in bytes.
const ENV_FILE_BYTES: u64 = 1 << 20;

/// What the key of marks is made of, with that of the instance.
const MARKS: &str = "marks of what differs";

/// The parts that all attempts share.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The project's folder.
    pub project: PathBuf,
    /// The program of this daemon.
    pub own_program: PathBuf,
    /// Which programs stand for those that actions usually run.
    pub substitutes: Arc<Substitutes>,
    /// The data directory.
    pub layout: Layout,
    /// The stored definitions.
    pub definitions: Arc<Definitions>,
    /// What is kept beside the runs.
    pub shelf: Arc<Shelf>,
    /// Declared secrets.
    pub secrets: Arc<Secrets>,
    /// The seal of secret inputs.
    pub sealer: Arc<Sealer>,
    /// The values of inputs that are kept nowhere.
    pub ephemeral: Arc<Ephemeral>,
}

/// The surroundings of one attempt.
pub struct AttemptWorld<'a> {
    shared: &'a Surroundings,
    pinned: &'a Pinned,
    attempt: AttemptRef,
    /// The run at the top of its tree.
    top: &'a RunState,
    directory: PathBuf,
    purpose: Purpose<'a>,
    /// Secrets that take long to read, as far as they were read.
    fetched: Fetched,
    /// Those that are to be read first.
    missing: RefCell<BTreeSet<String>>,
    /// Those that were asked for.
    read: RefCell<BTreeSet<String>>,
    /// Inputs that are kept nowhere, and that a person has to give first.
    withheld: RefCell<BTreeSet<String>>,
}

impl Surroundings {
    /// As one attempt of a run sees them, with the run at the top of its tree, and the secrets that were fetched for it.
    pub fn of<'a>(
        &'a self,
        run: &'a RunState,
        top: &'a RunState,
        attempt: AttemptRef,
        fetched: Fetched,
    ) -> AttemptWorld<'a> {
        AttemptWorld {
            shared: self,
            pinned: run.pinned(),
            attempt,
            top,
            directory: self.layout.attempt(attempt),
            purpose: purpose(run),
            fetched,
            missing: RefCell::default(),
            read: RefCell::default(),
            withheld: RefCell::default(),
        }
    }
}

/// What secrets of a run are wanted for. What is inside a step belongs to the runbook around it.
pub fn purpose(run: &RunState) -> Purpose<'_> {
    let name = &run.created().runbook;
    let runbook = name.split_once('/').map_or(name.as_str(), |(runbook, _)| runbook);
    Purpose { runbook, environment: run.pinned().runbook.environment_name() }
}

impl AttemptWorld<'_> {
    /// What has to be fetched before its texts are what they should be, and what was fetched so far. Nothing: they are.
    pub fn into_missing(self) -> (BTreeSet<String>, Fetched) {
        (self.missing.into_inner(), self.fetched)
    }

    /// The inputs without whose values its texts are not what they should be, and that a person has to give.
    pub fn withheld(&self) -> BTreeSet<String> {
        self.withheld.borrow().clone()
    }

    /// The names of the secrets that its texts are made of.
    pub fn secrets_read(&self) -> Vec<String> {
        self.read.borrow().iter().cloned().collect()
    }
}

impl World for AttemptWorld<'_> {
    fn project(&self) -> &Path {
        &self.shared.project
    }

    fn own_program(&self) -> &Path {
        &self.shared.own_program
    }

    fn substitute(&self, usual: &str) -> Option<&str> {
        self.shared.substitutes.get(usual).map(String::as_str)
    }

    fn mark_key(&self) -> String {
        self.shared.sealer.blind(MARKS.as_bytes()).to_string()
    }

    fn accepted(&self, source: &str, name: &str) -> Vec<(String, Found)> {
        let (records, environment) = (self.shared.shelf.look(), self.purpose.environment);
        let accepted = records.drift.accepted(environment, source, name, clock::now());
        accepted.map(|(workspace, found)| (workspace.to_owned(), found.clone())).collect()
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
        self.read.borrow_mut().insert(name.to_owned());
        if !self.shared.secrets.source(name, self.purpose.environment).is_some_and(Source::is_slow) {
            return self.shared.secrets.read(name, self.purpose);
        }
        self.fetched.get(name).cloned().unwrap_or_else(|| {
            self.missing.borrow_mut().insert(name.to_owned());
            // Whatever comes of it is thrown away.
            Ok(String::new())
        })
    }

    fn sealed_input(&self, name: &str) -> Result<Value, String> {
        if self.top.pinned().runbook.inputs.get(name).is_some_and(|decl| decl.ephemeral) {
            return Ok(self.shared.ephemeral.get(self.top.uid(), name).unwrap_or_else(|| {
                self.withheld.borrow_mut().insert(name.to_owned());
                // Whatever comes of it is thrown away.
                Value::Null
            }));
        }
        let mut inputs = self.shared.sealer.unseal(self.top.uid())?;
        inputs.remove(name).ok_or_else(|| format!("the run has no secret input {name:?}"))
    }

    fn sealed_field(&self, name: &str) -> Result<Value, String> {
        self.shared.sealer.unseal_field(self.top.uid(), name)
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read_text(&self, path: &Path) -> Result<String, String> {
        let bytes = files::read_bounded(path, ENV_FILE_BYTES).map_err(|e| format!("{}: {e}", path.display()))?;
        String::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", path.display()))
    }
}
