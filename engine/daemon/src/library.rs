//! The project's folder of runbooks, loaded as one generation and watched. A broken file never hides the others.
//! Never starts anything.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use runbook_core::definition::Runbook;
use runbook_core::language::{self, Finding};

use crate::files;

/// Runbook files in a project.
const FILES: usize = 10_000;
/// How deep folders may be nested below `runbooks/`.
const DEPTH: usize = 16;
/// The folder below the project's that holds the runbooks.
pub const FOLDER: &str = "runbooks";
/// The folder in it that holds environments, not runbooks.
const ENVIRONMENTS: &str = "environments";

/// A file of the folder.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The runbook's name, or the file's where the name cannot be read.
    pub name: String,
    /// Relative to the project's folder.
    pub file: String,
    /// The text; what is not UTF-8 is replaced.
    pub source: String,
    /// The checked runbook; `None` when broken.
    pub runbook: Option<Runbook>,
    /// What the check found.
    pub findings: Vec<Finding>,
}

/// What the folder holds at a moment.
#[derive(Debug, Clone, Default)]
pub struct Generation {
    /// Rises with each load that changed something.
    pub number: i64,
    /// By name.
    pub entries: BTreeMap<String, Arc<Entry>>,
    /// What is wrong with the folder itself.
    pub problems: Vec<String>,
}

/// The folder, as last loaded.
#[derive(Debug)]
pub struct Library {
    project: PathBuf,
    current: RwLock<Arc<Generation>>,
}

impl Library {
    /// Loads the folder for the first time.
    pub fn open(project: &Path) -> Self {
        let library = Self { project: project.to_path_buf(), current: RwLock::default() };
        library.reload();
        library
    }

    /// The project's folder.
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// The generation of now.
    pub fn current(&self) -> Arc<Generation> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Loads the folder again. Says whether anything changed.
    pub fn reload(&self) -> bool {
        let (texts, problems) = read_folder(&self.project);
        let before = self.current();
        let same = before.number > 0
            && before.problems == problems
            && before.entries.len() == texts.len()
            && texts.iter().all(|(file, bytes)| {
                before
                    .entries
                    .values()
                    .any(|entry| entry.file == *file && entry.source == String::from_utf8_lossy(bytes))
            });
        if same {
            return false;
        }
        let sources: BTreeMap<String, String> =
            texts.iter().map(|(file, bytes)| (file.clone(), String::from_utf8_lossy(bytes).into_owned())).collect();
        let mut entries = BTreeMap::new();
        for checked in language::check_project(texts) {
            let file = checked.path;
            let runbook = checked.checked.runbook;
            let stem = Path::new(&file).file_stem().map(|s| s.to_string_lossy().into_owned());
            let name = runbook.as_ref().map(|r| r.name.clone()).or(stem).unwrap_or_else(|| file.clone());
            // A broken file must not hide a good runbook of the same name.
            let key = if runbook.is_none() && entries.contains_key(&name) { file.clone() } else { name.clone() };
            let source = sources.get(&file).cloned().unwrap_or_default();
            let entry =
                Arc::new(Entry { name: key.clone(), file, source, runbook, findings: checked.checked.findings });
            if let Some(hidden) = entries.insert(key, entry) {
                let hidden: Arc<Entry> = hidden;
                entries.insert(hidden.file.clone(), Arc::new(Entry { name: hidden.file.clone(), ..(*hidden).clone() }));
            }
        }
        let generation = Generation { number: before.number + 1, entries, problems };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(generation);
        true
    }
}

/// The texts of all runbook files, and what could not be read.
fn read_folder(project: &Path) -> (Vec<(String, Vec<u8>)>, Vec<String>) {
    let mut texts = Vec::new();
    let mut problems = Vec::new();
    let mut open = vec![(project.join(FOLDER), 0)];
    while let Some((folder, depth)) = open.pop() {
        let mut read = || -> io::Result<()> {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let path = entry.path();
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if name.starts_with('.') || (depth == 0 && name == ENVIRONMENTS) {
                    continue;
                }
                if path.is_dir() {
                    if depth < DEPTH {
                        open.push((path, depth + 1));
                    } else {
                        problems.push(format!("{}: folders are nested deeper than {DEPTH}", path.display()));
                    }
                    continue;
                }
                if !(name.ends_with(".yaml") || name.ends_with(".yml")) {
                    continue;
                }
                if texts.len() >= FILES {
                    problems.push(format!("more than {FILES} runbook files; {} is left out", path.display()));
                    continue;
                }
                let file = path.strip_prefix(project).unwrap_or(&path).to_string_lossy().into_owned();
                // One byte more than the language takes, so that the check itself says what is too long.
                let limit = runbook_core::limits::FILE_BYTES as u64;
                match files::read_bounded(&path, limit) {
                    Ok(bytes) => texts.push((file, bytes)),
                    Err(error) => problems.push(format!("{file}: {error}")),
                }
            }
            Ok(())
        };
        if let Err(error) = read() {
            problems.push(format!("{}: {error}", folder.display()));
        }
    }
    problems.sort();
    (texts, problems)
}
