//! Where everything lies in the data directory. Names only: opens nothing.

use std::path::{Path, PathBuf};

use runbook_core::id::{AttemptNo, Digest, RunUid, StepNo};
use runbook_core::machine::AttemptRef;

/// The folder beside those of runs in which spare directories lie. No run uid begins with a dot.
pub const SPARE: &str = ".spare";

/// The data directory of one instance.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below an absolute data directory.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The data directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All attempts that are not cleaned away.
    pub fn attempts(&self) -> PathBuf {
        self.root.join("attempts")
    }

    /// One attempt: `attempts/<run uid>/<step no>.<instance no>.<attempt>`.
    pub fn attempt(&self, attempt: AttemptRef) -> PathBuf {
        let mut path = self.attempts();
        path.push(attempt.run.to_string());
        path.push(attempt_name(attempt.step, attempt.attempt));
        path
    }

    /// Directories of attempts that are over, to be used again.
    pub fn spare_attempts(&self) -> PathBuf {
        self.attempts().join(SPARE)
    }

    /// What is kept of a run.
    pub fn run(&self, run: RunUid) -> PathBuf {
        self.root.join("runs").join(run.to_string())
    }

    /// The kept log of an ended attempt.
    pub fn log(&self, attempt: AttemptRef) -> PathBuf {
        let name = format!("{}.log", attempt_name(attempt.step, attempt.attempt));
        self.run(attempt.run).join("logs").join(name)
    }

    /// The kept artifacts of an ended attempt.
    pub fn artifacts(&self, attempt: AttemptRef) -> PathBuf {
        self.run(attempt.run).join("artifacts").join(attempt_name(attempt.step, attempt.attempt))
    }

    /// The sealed inputs of a run.
    pub fn sealed(&self, run: RunUid) -> PathBuf {
        self.all_sealed().join(run.to_string())
    }

    /// The sealed fields of approvals of a run at the top, and of all below it.
    pub fn sealed_fields(&self, root: RunUid) -> PathBuf {
        self.all_sealed().join(format!("{root}.fields"))
    }

    /// All sealed inputs, and fields of approvals.
    pub fn all_sealed(&self) -> PathBuf {
        self.root.join("sealed")
    }

    /// All pinned definitions.
    pub fn definitions(&self) -> PathBuf {
        self.root.join("definitions")
    }

    /// A pinned definition.
    pub fn definition(&self, digest: Digest) -> PathBuf {
        self.definitions().join(digest.to_string())
    }

    /// Directories that no event explains.
    pub fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    /// What people were told, by the hashes of keys.
    pub fn told(&self) -> PathBuf {
        self.root.join("told")
    }

    /// The instance's key.
    pub fn key(&self) -> PathBuf {
        self.root.join("key")
    }

    /// The copy of the shim that attempts run under.
    pub fn shim(&self, digest: Digest) -> PathBuf {
        let short: String = digest.to_string().chars().take(16).collect();
        self.root.join("bin").join(format!("runbook-shim-{short}"))
    }
}

/// The name of an attempt's directory. There is one instance, 0, of every step so far.
fn attempt_name(step: StepNo, attempt: AttemptNo) -> String {
    format!("{}.0.{}", step.0, attempt.0)
}

/// Reads the name of an attempt's directory.
pub fn parse_attempt_name(name: &str) -> Option<(StepNo, AttemptNo)> {
    let mut parts = name.split('.');
    let step = parts.next()?.parse().ok()?;
    let instance = parts.next()?;
    let attempt = parts.next()?.parse().ok()?;
    (instance == "0" && parts.next().is_none()).then_some((StepNo(step), AttemptNo(attempt)))
}
