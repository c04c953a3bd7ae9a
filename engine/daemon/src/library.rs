//! The project's folder of runbooks, loaded as one generation and watched. A broken file never hides the others.
//! Never starts anything.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use runbook_core::definition::Runbook;
use runbook_core::id::Digest;
use runbook_core::language::{self, Code, Finding};
use runbook_core::limits;

use crate::files;

/// Runbook files in a project.
const FILES: usize = 10_000;
/// A runbook file, in bytes.
const FILE_BYTES: u64 = limits::FILE_BYTES as u64;
/// How deep folders may be nested below `runbooks/`.
pub const DEPTH: usize = 16;
/// The folder below the project's that holds the runbooks.
pub const FOLDER: &str = "runbooks";
/// The folder in it that holds environments, not runbooks.
pub const ENVIRONMENTS: &str = "environments";

/// A file of the folder.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The runbook's name, or the file's where the name cannot be read.
    pub name: String,
    /// Relative to the project's folder.
    pub file: String,
    /// The text; what is not UTF-8 is replaced. Empty for a file that is too large.
    pub source: String,
    /// The hash of what was read of the file.
    digest: Digest,
    /// The file's length, in bytes.
    length: u64,
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
    /// One load at a time, so that a later one is not overtaken by an earlier.
    loading: Mutex<()>,
}

impl Library {
    /// Loads the folder for the first time.
    pub fn open(project: &Path) -> Self {
        let library = Self { project: project.to_path_buf(), current: RwLock::default(), loading: Mutex::default() };
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

    /// The generation of now, loaded again first where the file of this runbook is not what was loaded, or there is
    /// none: whoever edits a runbook and starts it at once gets what he wrote.
    pub fn fresh(&self, name: &str) -> Arc<Generation> {
        let generation = self.current();
        let unchanged = generation.entries.get(name).is_some_and(|entry| {
            files::read_begin(&self.project.join(&entry.file), FILE_BYTES)
                .is_ok_and(|(bytes, length)| entry.length == length && entry.digest == Digest::of(&bytes))
        });
        if unchanged {
            return generation;
        }
        self.reload();
        self.current()
    }

    /// Loads the folder again. Says whether anything changed.
    pub fn reload(&self) -> bool {
        let _one = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let found = read_folder(&self.project);
        let before = self.current();
        if before.number > 0 && before.problems == found.problems && found.is_that_of(&before) {
            return false;
        }
        let mut entries = BTreeMap::new();
        for (entry, good) in check(found.files) {
            let mut entry = Arc::new(entry);
            // A broken file must not hide a good runbook of the same name, in whichever order they come.
            if !good && entries.contains_key(&entry.name) {
                entry = Arc::new(Entry { name: entry.file.clone(), ..(*entry).clone() });
            }
            if let Some(hidden) = entries.insert(entry.name.clone(), entry) {
                let hidden: Arc<Entry> = hidden;
                entries.insert(hidden.file.clone(), Arc::new(Entry { name: hidden.file.clone(), ..(*hidden).clone() }));
            }
        }
        let generation = Generation { number: before.number + 1, entries, problems: found.problems };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(generation);
        true
    }
}

/// A file as it was read.
struct Source {
    /// Relative to the project's folder.
    file: String,
    bytes: Vec<u8>,
    /// The file's length, which is more than was read where it is too large.
    length: u64,
}

/// What the folder holds.
#[derive(Default)]
struct Found {
    files: Vec<Source>,
    problems: Vec<String>,
}

impl Found {
    /// Whether a generation was made of the same files.
    fn is_that_of(&self, generation: &Generation) -> bool {
        let known: HashMap<&str, &Entry> =
            generation.entries.values().map(|entry| (entry.file.as_str(), &**entry)).collect();
        known.len() == self.files.len()
            && self.files.iter().all(|source| {
                known
                    .get(source.file.as_str())
                    .is_some_and(|entry| entry.length == source.length && entry.digest == Digest::of(&source.bytes))
            })
    }
}

/// Checks all files together, and says of each whether it is good.
fn check(files: Vec<Source>) -> Vec<(Entry, bool)> {
    let mut sources: HashMap<String, (Digest, String, u64)> = HashMap::with_capacity(files.len());
    let mut texts = Vec::with_capacity(files.len());
    for Source { file, bytes, length } in files {
        // What is refused for its size alone is not kept.
        let text = if length > FILE_BYTES { String::new() } else { String::from_utf8_lossy(&bytes).into_owned() };
        sources.insert(file.clone(), (Digest::of(&bytes), text, length));
        texts.push((file, bytes));
    }
    let mut entries = Vec::with_capacity(texts.len());
    for checked in language::check_project(texts, |_, _| None) {
        let file = checked.path;
        let Some((digest, source, length)) = sources.remove(&file) else { continue };
        let mut findings = checked.checked.findings;
        if length > FILE_BYTES {
            // The check saw only one byte more than it takes.
            for finding in findings.iter_mut().filter(|finding| finding.code == Code::FileTooLarge) {
                finding.message = format!("the file has {length} bytes; the limit is {FILE_BYTES}");
            }
        }
        let runbook = checked.checked.runbook;
        let stem = Path::new(&file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = runbook.as_ref().map(|runbook| runbook.name.clone()).or(stem).unwrap_or_else(|| file.clone());
        let good = runbook.is_some();
        entries.push((Entry { name, file, source, digest, length, runbook, findings }, good));
    }
    entries
}

/// Reads all runbook files, and says what could not be read.
fn read_folder(project: &Path) -> Found {
    let mut found = Found::default();
    let mut seen = HashSet::new();
    let mut open = vec![(project.join(FOLDER), 0)];
    while let Some((folder, depth)) = open.pop() {
        if let Err(error) = read_one(project, &folder, depth, &mut seen, &mut open, &mut found) {
            found.problems.push(format!("{}: {error}", relative(project, &folder)));
        }
    }
    found.problems.sort();
    found
}

fn read_one(
    project: &Path,
    folder: &Path,
    depth: usize,
    seen: &mut HashSet<(u64, u64)>,
    open: &mut Vec<(PathBuf, usize)>,
    found: &mut Found,
) -> io::Result<()> {
    let meta = fs::metadata(folder)?;
    // A link to a folder above would bring every file again, under a name that is taken.
    if !seen.insert((meta.dev(), meta.ino())) {
        found.problems.push(format!("{}: the same folder comes twice", relative(project, folder)));
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || (depth == 0 && name == ENVIRONMENTS) {
            continue;
        }
        let file = relative(project, &path);
        if path.is_dir() {
            if depth < DEPTH {
                open.push((path, depth + 1));
            } else {
                found.problems.push(format!("{file}: folders are nested deeper than {DEPTH}"));
            }
        } else if !(name.ends_with(".yaml") || name.ends_with(".yml")) {
            continue;
        } else if found.files.len() >= FILES {
            found.problems.push(format!("{file}: left out; the limit is {FILES} runbook files"));
        } else {
            match files::read_begin(&path, FILE_BYTES) {
                Ok((bytes, length)) => found.files.push(Source { file, bytes, length }),
                Err(error) => found.problems.push(format!("{file}: {error}")),
            }
        }
    }
    Ok(())
}

fn relative(project: &Path, path: &Path) -> String {
    path.strip_prefix(project).unwrap_or(path).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "language: 1\nsteps: {a: {effect: read, argv: [x]}}\n";

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Library) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        for (file, text) in files {
            write(folder.path(), file, text);
        }
        let library = Library::open(folder.path());
        (folder, library)
    }

    fn write(folder: &Path, file: &str, text: &str) {
        let path = folder.join(FOLDER).join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn names(library: &Library) -> Vec<(String, bool)> {
        let current = library.current();
        current.entries.values().map(|entry| (entry.name.clone(), entry.runbook.is_some())).collect()
    }

    #[test]
    fn a_broken_file_hides_nothing() {
        let good = format!("name: good\n{GOOD}");
        for (broken, first) in [("a/good.yaml", true), ("z/good.yaml", false)] {
            let (_folder, library) = project(&[(broken, "steps: ["), ("m.yaml", &good)]);
            let file = format!("runbooks/{broken}");
            assert_eq!(names(&library), [("good".to_owned(), true), (file, false)], "broken first: {first}");
        }
    }

    #[test]
    fn only_what_changed_makes_a_generation() {
        let (folder, library) = project(&[("a.yaml", &format!("name: a\n{GOOD}"))]);
        assert_eq!(library.current().number, 1);
        assert!(!library.reload());
        write(folder.path(), "b.yaml", &format!("name: b\n{GOOD}"));
        assert!(library.reload() && !library.reload());
        write(folder.path(), "b.yaml", "");
        assert!(library.reload() && !library.reload());
        assert_eq!(names(&library), [("a".to_owned(), true), ("b".to_owned(), false)]);
        fs::remove_file(folder.path().join("runbooks/b.yaml")).unwrap();
        assert!(library.reload());
        assert_eq!((library.current().number, names(&library).len()), (4, 1));
    }

    #[test]
    fn odd_files_are_told_and_hold_nobody_up() {
        let (folder, library) = project(&[("a.yaml", &format!("name: a\n{GOOD}"))]);
        let runbooks = folder.path().join(FOLDER);
        std::os::unix::fs::symlink(".", runbooks.join("loop")).unwrap();
        std::os::unix::fs::symlink("nowhere", runbooks.join("gone.yaml")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            runbooks.join("pipe.yaml"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        let large = fs::File::create(runbooks.join("large.yaml")).unwrap();
        large.set_len(50 << 20).unwrap();
        assert!(library.reload() && !library.reload());
        let current = library.current();
        assert_eq!(names(&library), [("a".to_owned(), true), ("large".to_owned(), false)]);
        let finding = &current.entries["large"].findings[0];
        assert_eq!(finding.message, "the file has 52428800 bytes; the limit is 8388608");
        assert_eq!(current.entries["large"].source, "");
        let problems = current.problems.join("\n");
        for part in ["runbooks/loop: the same folder", "runbooks/gone.yaml: No such", "pipe.yaml: it is no regular"] {
            assert!(problems.contains(part), "{part}: {problems}");
        }
    }
}
