//! The project's folder of runbooks, loaded as one generation and watched. A broken file never hides the others, one
//! that cannot be read is a broken one, and only what changed is read and checked again. Never starts anything.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use runbook_core::definition::{Environment, Runbook, Schedule};
use runbook_core::destruction;
use runbook_core::id::Digest;
use runbook_core::language::{self, Checked, Code, Configured, Environments, Finding, Interface, Interfaces, Severity};
use runbook_core::limits;
use runbook_core::needs;

use crate::definitions::{self, Text};
use crate::files::{self, Stamp};
use crate::interned::Interned;

/// Runbook files in a project.
const FILES: usize = 10_000;
/// A runbook file, in bytes.
const FILE_BYTES: u64 = limits::FILE_BYTES as u64;
/// Problems of the folder itself that are told.
const PROBLEMS: usize = 100;
/// Threads that read files, at most.
const THREADS: usize = 8;
/// Files that one thread reads at least: so many cost less than another thread.
const ALONE: usize = 16;
/// How deep folders may be nested below `runbooks/`.
pub const DEPTH: usize = 16;
/// The folder below the project's that holds the runbooks.
pub const FOLDER: &str = "runbooks";

/// A file of the folder.
#[derive(Debug)]
pub struct Entry {
    /// The runbook's name, or the file's where the name cannot be read or is taken.
    pub name: String,
    /// What the check found, across files included.
    pub findings: Vec<Finding>,
    loaded: Arc<Loaded>,
    /// What came of it beside the runbooks that it starts, if it starts any.
    beside: Option<Checked>,
    /// The files that the runbook lists, as they were.
    listed: Vec<Listed>,
    /// The hash of what a start would be pinned to, once somebody asked.
    definition: OnceLock<Option<Digest>>,
}

/// A file as it was read and checked by itself.
#[derive(Debug)]
struct Loaded {
    /// Relative to the project's folder.
    file: String,
    /// The text; what is not UTF-8 is replaced. Empty for a file that is too large or cannot be read.
    source: String,
    /// The hash of what was read, or of why it cannot be.
    digest: Digest,
    /// The file's length, in bytes.
    length: u64,
    checked: Checked,
}

/// A listed file: how it was found, or why it cannot be had.
type Listed = Result<Stamp, String>;

impl Entry {
    /// The file, relative to the project's folder.
    pub fn file(&self) -> &str {
        &self.loaded.file
    }

    /// The text; what is not UTF-8 is replaced. Empty for a file that is too large or cannot be read.
    pub fn source(&self) -> &str {
        &self.loaded.source
    }

    /// The checked runbook. Also where listed files are missing: a start tells of them together with whatever else it
    /// lacks.
    pub fn runbook(&self) -> Option<&Runbook> {
        let broken = |finding: &&Finding| finding.severity == Severity::Error && finding.code != Code::MissingFile;
        self.checked().runbook.as_ref().filter(|_| !self.findings.iter().any(|finding| broken(&finding)))
    }

    fn checked(&self) -> &Checked {
        self.beside.as_ref().unwrap_or(&self.loaded.checked)
    }

    /// The runbook with its text.
    fn text(&self) -> Option<Text<'_>> {
        Some(Text { runbook: self.runbook()?, source: self.source(), file: self.file() })
    }

    /// Whether a start would be refused for what is found here.
    pub fn is_broken(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The hash of the definition that a start would be pinned to; `None` when broken. Reads the listed files. `others`
    /// holds what it starts.
    pub fn definition(&self, others: &Generation, project: &Path) -> Option<Digest> {
        let text = self.text().filter(|_| !self.is_broken())?;
        // Where a listed file went away meanwhile, there is none either.
        let digest = || definitions::digest(&text, &|name| others.text(name), project).ok();
        match self.loaded.checked.calls.is_empty() {
            true => *self.definition.get_or_init(digest),
            // The others may have changed since.
            false => digest(),
        }
    }
}

/// A file of an environment.
#[derive(Debug)]
pub struct Place {
    /// The environment's name, or the file's where that cannot be read or is taken.
    pub name: String,
    /// What the check found, across files included.
    pub findings: Vec<Finding>,
    loaded: Arc<Loaded>,
}

impl Place {
    /// The file, relative to the project's folder.
    pub fn file(&self) -> &str {
        &self.loaded.file
    }

    /// The environment; `None` where no run can be started in it.
    pub fn environment(&self) -> Option<&Environment> {
        // Of two of one name, which one is meant would be a guess.
        let taken = self.findings.iter().any(|finding| finding.code == Code::DuplicateName);
        self.loaded.checked.environment.as_ref().filter(|_| !taken)
    }
}

/// What the folder holds at a moment.
#[derive(Debug, Clone, Default)]
pub struct Generation {
    /// Rises with each load that changed something; 0 before the first.
    pub number: i64,
    /// By name.
    pub entries: BTreeMap<String, Arc<Entry>>,
    /// The environments, by name.
    pub places: BTreeMap<String, Arc<Place>>,
    /// What the configuration defines.
    pub configured: Option<Configured>,
    /// What is wrong with the folder itself.
    pub problems: Vec<String>,
}

impl Generation {
    /// Whether every file could be read and is good: only then what is not there is wanted by nobody. A listed file that is
    /// missing leaves a runbook what it is.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
            && self.entries.values().all(|entry| entry.runbook().is_some())
            && self.places.values().all(|place| place.environment().is_some())
    }

    /// All runbooks as others see them, broken ones too.
    pub fn interfaces(&self) -> impl Iterator<Item = (String, Interface)> {
        self.entries.values().filter_map(|entry| {
            let (name, interface) = entry.checked().interface.clone()?;
            Some((name, Interface { broken: entry.runbook().is_none(), ..interface }))
        })
    }

    /// The environments in which runs can be started.
    pub fn usable(&self) -> impl Iterator<Item = Environment> {
        self.places.values().filter_map(|place| place.environment().cloned())
    }

    /// Whether the environment of a schedule wants schedules. One that is not there, or broken, is told of when a slot is due.
    pub fn wants(&self, schedule: &Schedule) -> bool {
        let environment = match schedule.environment() {
            Some(name) => self.places.get(name).and_then(|place| place.environment()),
            None => self.places.values().filter_map(|place| place.environment()).find(|it| it.is_default),
        };
        environment.is_none_or(|environment| !environment.unscheduled)
    }

    /// The environments in which schedules are fired.
    pub fn scheduled(&self) -> impl Iterator<Item = &str> {
        let all = self.places.values().filter_map(|place| place.environment());
        all.filter(|environment| !environment.unscheduled).map(|environment| environment.name.as_str())
    }

    /// The schedules of a runbook that their environments want, by their names.
    pub fn schedules<'a>(&'a self, runbook: &'a Runbook) -> impl Iterator<Item = (&'a String, &'a Schedule)> {
        let all = runbook.schedules.iter().map(|(name, schedule)| (name, &**schedule));
        all.filter(|(_, schedule)| self.wants(schedule))
    }

    /// A good runbook with its text.
    pub fn text(&self, name: &str) -> Option<Text<'_>> {
        self.entries.get(name)?.text()
    }

    /// A runbook and all that it comes to start, each once, as far as they are there.
    pub fn with_called<'a>(&'a self, runbook: &'a Runbook) -> Vec<&'a Runbook> {
        self.with(runbook, runbook.called())
    }

    /// A runbook and all that a start of it comes to start by what is given, each once, as far as they are there.
    pub fn with_started<'a>(&'a self, known: &destruction::Known<'a>) -> Vec<&'a Runbook> {
        self.with(known.runbook, needs::started(known))
    }

    /// A runbook and these, with all that they come to start.
    fn with<'a>(&'a self, runbook: &'a Runbook, mut called: Vec<&'a str>) -> Vec<&'a Runbook> {
        let mut all = vec![runbook];
        let mut seen = HashSet::from([runbook.name.as_str()]);
        let mut next = 0;
        loop {
            let new = called.into_iter().filter(|name| seen.insert(name));
            all.extend(new.filter_map(|name| self.entries.get(name)?.runbook()));
            next += 1;
            let Some(runbook) = all.get(next) else { return all };
            called = runbook.called();
        }
    }
}

/// The folder, as last loaded.
#[derive(Debug)]
pub struct Library {
    project: PathBuf,
    configured: Configured,
    current: RwLock<Arc<Generation>>,
    /// What is known of each file, by its path. One load at a time, so that a later one is not overtaken by an earlier.
    known: Mutex<BTreeMap<String, Known>>,
    /// Very many schedules are alike.
    schedules: Mutex<Interned<Schedule>>,
    listener: OnceLock<Listener>,
}

/// Whom to tell that there is another generation.
struct Listener(Box<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

/// A file as a load found it.
#[derive(Debug)]
struct Known {
    /// `None` when it cannot be told from what another load will find.
    stamp: Option<Stamp>,
    loaded: Arc<Loaded>,
}

impl Library {
    /// A library that has loaded nothing yet, beside what the configuration defines.
    pub fn new(project: &Path, configured: Configured) -> Self {
        Self {
            project: project.to_path_buf(),
            configured,
            current: RwLock::default(),
            known: Mutex::default(),
            schedules: Mutex::default(),
            listener: OnceLock::new(),
        }
    }

    /// Has somebody told of each new generation, once it is the current one. There is one such listener; `tell` must not
    /// wait for anything.
    pub fn on_change(&self, tell: impl Fn() + Send + Sync + 'static) {
        // A second one would be a mistake of the caller, and is left out.
        let _ = self.listener.set(Listener(Box::new(tell)));
    }

    /// The project's folder.
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// The generation of now.
    pub fn current(&self) -> Arc<Generation> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The folder as it is: whoever edits a runbook and starts it at once gets what he wrote, and no other file that takes
    /// its name meanwhile.
    pub fn latest(&self) -> Arc<Generation> {
        self.reload();
        self.current()
    }

    /// Loads the folder again, of which only what changed is read. Says whether anything changed.
    pub fn reload(&self) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = read_folder(&self.project);
        let mut changed = self.load(&mut known, found.files);
        let loaded: Vec<&Arc<Loaded>> = known.values().map(|known| &known.loaded).collect();
        let listed = self.listed(&loaded);
        let before = self.current();
        let (of_places, loaded): (Vec<_>, Vec<_>) =
            loaded.into_iter().partition(|loaded| language::is_environment(&loaded.file));
        let old: HashMap<&str, &Arc<Entry>> = before.entries.values().map(|entry| (entry.file(), entry)).collect();
        let listed_of = |loaded: &Loaded| -> Vec<Listed> {
            loaded.files().iter().filter_map(|file| listed.get(file.as_str()).cloned()).collect()
        };
        changed |= before.number == 0 || before.problems != found.problems;
        changed |=
            loaded.iter().any(|loaded| old.get(loaded.file.as_str()).is_none_or(|old| old.listed != listed_of(loaded)));
        if !changed {
            return false;
        }
        let environments = of_places.iter().filter_map(|loaded| loaded.checked.environment.clone());
        let known = Interfaces::new(loaded.iter().filter_map(|loaded| loaded.checked.interface.clone()))
            .in_environments(Environments::new(environments))
            .with_configured(Some(self.configured.clone()));
        let places = places(&of_places, &known);
        let beside = self.beside(&loaded, &known);
        let together: Vec<(&str, &Checked)> = loaded
            .iter()
            .zip(&beside)
            .map(|(loaded, beside)| (loaded.file.as_str(), beside.as_ref().unwrap_or(&loaded.checked)))
            .collect();
        let across = language::across(&together, |_, file| listed.get(file)?.as_ref().err().cloned());
        let mut named = Vec::with_capacity(loaded.len());
        for ((loaded, beside), across) in loaded.iter().zip(beside).zip(across) {
            let checked = beside.as_ref().unwrap_or(&loaded.checked);
            let mut findings = checked.findings.clone();
            findings.extend(across);
            findings.sort_by_key(|finding| finding.span.start);
            let listed = listed_of(loaded);
            let name = checked.runbook.as_ref().map_or_else(|| stem(&loaded.file), |runbook| runbook.name.clone());
            let (loaded, definition) = (Arc::clone(loaded), OnceLock::new());
            named.push(Entry { name, findings, loaded, beside, listed, definition });
        }
        let mut entries: BTreeMap<String, Arc<Entry>> = BTreeMap::new();
        // A broken file must not hide a good runbook of the same name: the good ones take their names first.
        let (good, broken): (Vec<_>, Vec<_>) = named.into_iter().partition(|entry| entry.runbook().is_some());
        for mut entry in good.into_iter().chain(broken) {
            if entries.contains_key(&entry.name) {
                entry.name.clone_from(&entry.loaded.file);
            }
            let kept = old.get(entry.file()).filter(|old| old.is(&entry));
            entries.insert(entry.name.clone(), kept.map_or_else(|| Arc::new(entry), |old| Arc::clone(old)));
        }
        drop(old);
        self.schedules.lock().unwrap_or_else(PoisonError::into_inner).tidy();
        let (number, configured) = (before.number + 1, Some(self.configured.clone()));
        let generation = Generation { number, entries, places, configured, problems: found.problems };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(generation);
        if let Some(Listener(tell)) = self.listener.get() {
            tell();
        }
        true
    }

    /// Reads and checks what is not known already, and forgets what is gone. Says whether anything changed.
    fn load(&self, known: &mut BTreeMap<String, Known>, files: Vec<String>) -> bool {
        let old = std::mem::take(known);
        let after = side_by_side(&files, |file| self.look(file, old.get(file)));
        let is_same = |file: &String, after: &Known| {
            old.get(file).is_some_and(|before| Arc::ptr_eq(&before.loaded, &after.loaded))
        };
        let changed = old.len() != files.len() || !files.iter().zip(&after).all(|(file, after)| is_same(file, after));
        known.extend(files.into_iter().zip(after));
        changed
    }

    /// Reads and checks a file, unless it is known as it is.
    fn look(&self, file: &str, before: Option<&Known>) -> Known {
        let path = self.project.join(file);
        let begin = crate::clock::now();
        let stamp = fs::metadata(&path).ok().map(|meta| Stamp::of(&meta)).filter(|stamp| stamp.is_settled(begin));
        if let Some(before) = before.filter(|before| stamp.is_some() && before.stamp == stamp) {
            return Known { stamp, loaded: Arc::clone(&before.loaded) };
        }
        let read = files::read_begin(&path, FILE_BYTES);
        let (digest, length) = match &read {
            Ok((bytes, length)) => (Digest::of(bytes), *length),
            Err(error) => (Digest::of(error.to_string().as_bytes()), 0),
        };
        if let Some(before) = before.filter(|before| (before.loaded.digest, before.loaded.length) == (digest, length)) {
            return Known { stamp, loaded: Arc::clone(&before.loaded) };
        }
        let (checked, source) = match read {
            Err(error) => {
                let help = "make it a file that the daemon can read, or take it out of the folder";
                let message = format!("it cannot be read: {error}");
                (language::unread(Finding::of_file(Code::UnreadableFile, file, message, Some(help))), String::new())
            }
            // What is refused for its size alone is not kept.
            Ok((_, length)) if length > FILE_BYTES => (language::too_large(length, file), String::new()),
            Ok((bytes, _)) => {
                let checked = match language::is_environment(file) {
                    true => language::check_environment(&bytes, file, None),
                    false => self.sharing(language::check(&bytes, file)),
                };
                (checked, String::from_utf8_lossy(&bytes).into_owned())
            }
        };
        Known { stamp, loaded: Arc::new(Loaded { file: file.to_owned(), source, digest, length, checked }) }
    }

    /// What comes of the files that start other runbooks or depend on environments, now that those are known.
    fn beside(&self, loaded: &[&Arc<Loaded>], known: &Interfaces) -> Vec<Option<Checked>> {
        let check = |loaded: &&Arc<Loaded>| {
            let depends = loaded.checked.depends_on(known);
            depends.then(|| self.sharing(language::check_beside(loaded.source.as_bytes(), &loaded.file, known)))
        };
        loaded.iter().map(check).collect()
    }

    /// With schedules that others have, too.
    fn sharing(&self, mut checked: Checked) -> Checked {
        let mut schedules = self.schedules.lock().unwrap_or_else(PoisonError::into_inner);
        for schedule in checked.runbook.iter_mut().flat_map(|runbook| runbook.schedules.values_mut()) {
            *schedule = schedules.share(Arc::clone(schedule));
        }
        checked
    }

    /// Every file that is listed, by its path.
    fn listed(&self, loaded: &[&Arc<Loaded>]) -> HashMap<String, Listed> {
        let files: HashSet<&String> = loaded.iter().flat_map(|loaded| loaded.files()).collect();
        files
            .into_iter()
            .map(|file| {
                let path = self.project.join(file);
                let stamp = files::listed_fault(&path).map_or_else(
                    || fs::metadata(&path).map(|meta| Stamp::of(&meta)).map_err(|error| error.to_string()),
                    Err,
                );
                (file.clone(), stamp)
            })
            .collect()
    }
}

impl Entry {
    /// Whether another load made the same of it.
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.loaded, &other.loaded)
            && (&self.name, &self.findings, &self.listed, &self.beside)
                == (&other.name, &other.findings, &other.listed, &other.beside)
    }
}

impl Loaded {
    /// The files that it lists, also where it has errors by itself: beside others it may have none.
    fn files(&self) -> &[String] {
        self.checked.interface.as_ref().map_or(&[], |(_, interface)| interface.files.as_slice())
    }
}

/// The environments, held against the runbooks.
fn places(loaded: &[&Arc<Loaded>], known: &Interfaces) -> BTreeMap<String, Arc<Place>> {
    let check = |loaded: &&Arc<Loaded>| match loaded.source.is_empty() {
        true => loaded.checked.clone(),
        false => language::check_environment(loaded.source.as_bytes(), &loaded.file, Some(known)),
    };
    let checked: Vec<Checked> = loaded.iter().map(check).collect();
    let together: Vec<(&str, &Checked)> =
        loaded.iter().zip(&checked).map(|(loaded, checked)| (loaded.file.as_str(), checked)).collect();
    let across = language::across(&together, |_, _| None);
    let mut places = BTreeMap::new();
    for ((loaded, checked), across) in loaded.iter().zip(checked).zip(across) {
        let mut findings = checked.findings;
        findings.extend(across);
        findings.sort_by_key(|finding| finding.span.start);
        let name = checked.environment.map_or_else(|| stem(&loaded.file), |environment| environment.name);
        let name = if places.contains_key(&name) { loaded.file.clone() } else { name };
        places.insert(name.clone(), Arc::new(Place { name, findings, loaded: Arc::clone(loaded) }));
    }
    places
}

/// The name of a file without its ending.
fn stem(file: &str) -> String {
    Path::new(file).file_stem().map_or_else(|| file.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

/// Does something for each of many, in as many threads as there are processors; gives what came of them in their order.
fn side_by_side<T: Sync, R: Send>(all: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS);
    let part = all.len().div_ceil(threads).max(ALONE);
    let each = &each;
    std::thread::scope(|scope| {
        let parts: Vec<_> =
            all.chunks(part).map(|part| (part, scope.spawn(move || part.iter().map(each).collect()))).collect();
        // Where a thread died, its part is done here, and dies here if it must.
        let done = |(part, thread): (&[T], std::thread::ScopedJoinHandle<'_, Vec<R>>)| {
            thread.join().unwrap_or_else(|_| part.iter().map(each).collect())
        };
        parts.into_iter().flat_map(done).collect()
    })
}

/// What the folder holds.
#[derive(Default)]
struct Found {
    /// Relative to the project's folder.
    files: Vec<String>,
    problems: Vec<String>,
    /// How many are left out because there are too many.
    left_out: usize,
}

/// Finds all runbook files, and says where it could not look.
fn read_folder(project: &Path) -> Found {
    let mut found = Found::default();
    let mut seen = HashSet::new();
    let mut open = vec![(project.join(FOLDER), 0)];
    while let Some((folder, depth)) = open.pop() {
        if let Err(error) = read_one(project, &folder, depth, &mut seen, &mut open, &mut found) {
            found.problems.push(format!("{}: {error}", relative(project, &folder)));
        }
    }
    if found.left_out > 0 {
        found.problems.push(format!("{} runbook files are left out; the limit is {FILES}", found.left_out));
    }
    found.problems.sort();
    found.problems.truncate(PROBLEMS);
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
        if name.starts_with('.') {
            continue;
        }
        let file = relative(project, &path);
        if path.is_dir() {
            if depth < DEPTH {
                open.push((path, depth + 1));
            } else {
                found.problems.push(format!("{file}: folders are nested deeper than {DEPTH}"));
            }
        } else if !(name.ends_with(".yaml") || name.ends_with(".yml")) || language::is_scenarios(&name) {
            continue;
        } else if found.files.len() >= FILES {
            found.left_out += 1;
        } else {
            found.files.push(file);
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
        let library = Library::new(folder.path(), Configured::default());
        assert!(library.current().number == 0 && library.reload());
        (folder, library)
    }

    fn write(folder: &Path, file: &str, text: &str) {
        let path = folder.join(FOLDER).join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn names(library: &Library) -> Vec<(String, bool)> {
        let current = library.current();
        current.entries.values().map(|entry| (entry.name.clone(), entry.runbook().is_some())).collect()
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
        let name = |name: &str, good| (name.to_owned(), good);
        let expected = [name("a", true), name("gone", false), name("large", false), name("pipe", false)];
        assert_eq!(names(&library), expected);
        let finding = &current.entries["large"].findings[0];
        assert_eq!(finding.message, "the file has 52428800 bytes; the limit is 8388608");
        assert_eq!(current.entries["large"].source(), "");
        for (name, why) in [("gone", "No such file"), ("pipe", "it is no regular file")] {
            let finding = &current.entries[name].findings[0];
            assert!(finding.code == Code::UnreadableFile && finding.message.contains(why), "{finding:?}");
            assert!(current.entries[name].is_broken());
        }
        assert_eq!(current.problems, ["runbooks/loop: the same folder comes twice"]);
    }

    #[test]
    fn a_folder_is_whole_when_nothing_of_it_is_unknown() {
        let (folder, library) = project(&[("a.yaml", &format!("name: a\nfiles: [gone.sh]\n{GOOD}"))]);
        let whole = || library.latest().is_whole();
        assert!(whole(), "what it lists changes nothing of what it is");
        for (file, bad) in [("b.yaml", "steps: ["), ("environments/prod.yaml", "name: [")] {
            write(folder.path(), file, bad);
            assert!(!whole(), "{file}");
            fs::remove_file(folder.path().join(FOLDER).join(file)).unwrap();
            assert!(whole());
        }
        std::os::unix::fs::symlink(".", folder.path().join(FOLDER).join("loop")).unwrap();
        assert!(!whole(), "there may be more than was read");
    }

    #[test]
    fn of_one_name_none_is_taken() {
        let good = format!("name: good\n{GOOD}");
        let (folder, library) = project(&[("m.yaml", &good)]);
        assert_eq!(names(&library), [("good".to_owned(), true)]);
        write(folder.path(), "a.yaml", &good);
        let broken = |name: &str| (name.to_owned(), false);
        library.reload();
        assert_eq!(names(&library), [broken("good"), broken("runbooks/m.yaml")]);
        fs::remove_file(folder.path().join("runbooks/a.yaml")).unwrap();
        assert!(library.latest().entries["good"].runbook().is_some());
    }

    #[test]
    fn only_what_changed_is_checked_again() {
        let (folder, library) = project(&[("a.yaml", &format!("name: a\n{GOOD}"))]);
        let entry = |library: &Library| Arc::clone(&library.current().entries["a"]);
        let first = entry(&library);
        write(folder.path(), "b.yaml", &format!("name: b\n{GOOD}"));
        assert!(library.reload());
        assert!(Arc::ptr_eq(&first, &entry(&library)), "it was checked again");
        write(folder.path(), "a.yaml", &format!("name: a\n# other\n{GOOD}"));
        assert!(library.reload());
        assert!(!Arc::ptr_eq(&first, &entry(&library)));
    }

    #[test]
    fn listed_files_are_looked_for_and_make_the_definition() {
        let (folder, library) = project(&[("a.yaml", &format!("name: a\nfiles: [s.sh]\n{GOOD}"))]);
        let entry = |library: &Library| Arc::clone(&library.latest().entries["a"]);
        let missing = entry(&library);
        assert_eq!((missing.findings[0].code, missing.findings[0].line), (Code::MissingFile, 2));
        assert!(
            missing.is_broken()
                && missing.runbook().is_some()
                && missing.definition(&library.current(), folder.path()).is_none()
        );
        fs::write(folder.path().join("s.sh"), "one").unwrap();
        let one = entry(&library);
        assert!(!one.is_broken() && one.findings.is_empty());
        let of = |entry: &Entry| entry.definition(&library.current(), folder.path()).unwrap();
        let one = of(&one);
        fs::write(folder.path().join("s.sh"), "second").unwrap();
        let second = of(&entry(&library));
        assert_eq!(second, of(&entry(&library)));
        assert_ne!(one, second);
    }
}
