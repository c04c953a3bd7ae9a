//! A project's folder for one test.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A project's folder, removed with the value.
#[derive(Debug)]
pub struct Project {
    folder: TempDir,
}

impl Project {
    /// An empty project.
    pub fn new() -> Self {
        let folder = TempDir::with_prefix("runbook-e2e-").expect("a temporary folder");
        std::fs::create_dir(folder.path().join("runbooks")).expect("runbooks/");
        Self { folder }
    }

    /// A project with one runbook, whose name is the first argument.
    pub fn with(name: &str, body: &str) -> Self {
        let project = Self::new();
        project.runbook(name, body);
        project
    }

    /// A project with the runbooks of this repository.
    pub fn with_library() -> Self {
        let project = Self::new();
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
        for folder in ["runbooks", "infrastructure"] {
            copy(&repository.join(folder), &project.path(folder));
        }
        project
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Writes a file.
    pub fn file(&self, relative: &str, text: &str) -> PathBuf {
        let path = self.path(relative);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Writes a file that its owner alone may read, as those of secrets have to be.
    pub fn private(&self, relative: &str, text: &str) -> PathBuf {
        let path = self.file(relative, text);
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("a mode");
        path
    }

    /// Writes a runbook: `name` and `language` are put before the body.
    pub fn runbook(&self, name: &str, body: &str) {
        self.file(&format!("runbooks/{name}.yaml"), &format!("name: {name}\nlanguage: 1\n{body}"));
    }

    /// The text of a file, `None` where there is none.
    pub fn read(&self, relative: &str) -> Option<String> {
        std::fs::read_to_string(self.path(relative)).ok()
    }

    /// The lines of a file, none where there is none.
    pub fn lines(&self, relative: &str) -> Vec<String> {
        self.read(relative).unwrap_or_default().lines().map(ToOwned::to_owned).collect()
    }
}

impl Default for Project {
    fn default() -> Self {
        Self::new()
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-rT").arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success(), "cp {from:?} {to:?}");
}
