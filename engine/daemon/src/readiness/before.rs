//! What counts for what is broken in the folder: its last good version, as the daemon saw it, else as the newest run went by it. Never
//! judges a target.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use runbook_core::definition::Runbook;
use runbook_journal::{RunRow, StoreError, View};

use crate::definitions::Definitions;
use crate::library::{Entry, Generation};
use crate::versions::{self, Version};

/// Definitions of runs that are read for broken files, the newest.
const VERSIONS: usize = 1_000;
/// What cannot be known that is told; the rest is counted.
const UNKNOWN: usize = 100;

/// The last good version of a file.
#[derive(Clone)]
enum Good {
    /// That of the folder in this generation, by its name.
    Folder(Arc<Generation>, String),
    /// What the newest run went by.
    Run(Arc<Runbook>),
    /// None is known.
    Unknown,
}

impl Good {
    fn runbook(&self) -> Option<&Runbook> {
        match self {
            Self::Folder(folder, name) => folder.entries.get(name)?.runbook(),
            Self::Run(runbook) => Some(runbook),
            Self::Unknown => None,
        }
    }
}

/// What was good.
#[derive(Default)]
pub struct Before {
    /// The number of the newest generation that was taken in.
    newest: i64,
    /// By file.
    good: BTreeMap<String, Good>,
}

/// What counts beside the good runbooks of a generation.
#[derive(Default)]
pub struct Beside {
    /// By file.
    good: Vec<(String, Good)>,
    /// What cannot be known, in words: where there is any, runbooks may be missing.
    pub unknown: Vec<String>,
}

/// A runbook that counts.
pub struct Counting<'g> {
    /// The folder that it is in.
    pub folder: &'g Generation,
    /// The runbook.
    pub runbook: &'g Runbook,
    /// What a person should know where it is not as it is now.
    pub warning: Option<String>,
}

impl Before {
    /// What counts beside the good runbooks of a generation: nothing where it is whole, and then nothing is looked for either. Else it
    /// may read the journal.
    ///
    /// # Errors
    /// An unreadable row.
    pub fn beside(
        &mut self,
        generation: &Arc<Generation>,
        reader: &dyn View,
        definitions: &Definitions,
    ) -> Result<Beside, StoreError> {
        self.take_in(generation);
        if generation.is_whole() {
            return Ok(Beside::default());
        }
        let new: BTreeSet<&str> = broken(generation).filter(|file| !self.good.contains_key(*file)).collect();
        if !new.is_empty() {
            self.good.extend(look_up(&new, generation, reader, definitions)?);
        }
        let is_gone = |good: &Good| good.runbook().is_none_or(|runbook| !has_good(generation, &runbook.name));
        let good = self.good.iter().filter(|(_, good)| is_gone(good));
        let good: Vec<_> = good.map(|(file, good)| (file.clone(), good.clone())).collect();
        Ok(Beside { unknown: unknown(generation, &good), good })
    }

    fn take_in(&mut self, generation: &Arc<Generation>) {
        if generation.number <= self.newest {
            return;
        }
        self.newest = generation.number;
        let broken: BTreeSet<&str> = broken(generation).collect();
        // What is gone where all is known is wanted by nobody, and what has its name elsewhere has moved there.
        self.good.retain(|file, good| match good.runbook() {
            Some(runbook) => !generation.is_whole() && !has_good(generation, &runbook.name),
            None => broken.contains(file.as_str()),
        });
        let good = generation.entries.values().filter(|entry| is_good(entry));
        let good = good.map(|entry| (entry.file(), Good::Folder(Arc::clone(generation), entry.name.clone())));
        self.good.extend(good.map(|(file, good)| (file.to_owned(), good)));
    }
}

impl Beside {
    /// The good runbooks of the generation, and those that count beside them.
    pub fn counting<'g>(&'g self, now: &'g Generation) -> impl Iterator<Item = Counting<'g>> {
        let good = now.entries.values().filter_map(|entry| entry.runbook());
        let good = good.map(|runbook| Counting { folder: now, runbook, warning: None });
        let broken: BTreeSet<&str> = broken(now).collect();
        let before = self.good.iter().filter_map(move |(file, good)| {
            let runbook = good.runbook()?;
            let folder = match good {
                Good::Folder(folder, _) => folder,
                Good::Run(_) | Good::Unknown => now,
            };
            let what = match broken.contains(file.as_str()) {
                true => format!("{file} is broken"),
                false => format!("{} is in no good file while something in the folder is broken", runbook.name),
            };
            Some(Counting { folder, runbook, warning: Some(format!("{what}: its last good version counts")) })
        });
        good.chain(before)
    }
}

/// The files of a generation that are broken.
fn broken(generation: &Generation) -> impl Iterator<Item = &str> {
    generation.entries.values().filter(|entry| !is_good(entry)).map(|entry| entry.file())
}

fn is_good(entry: &Entry) -> bool {
    entry.runbook().is_some()
}

fn has_good(generation: &Generation, name: &str) -> bool {
    generation.entries.get(name).is_some_and(|entry| is_good(entry))
}

/// What the newest runs went by that went by these files. They are found by their files: a name cannot be told from what is broken.
fn look_up(
    files: &BTreeSet<&str>,
    generation: &Generation,
    reader: &dyn View,
    definitions: &Definitions,
) -> Result<BTreeMap<String, Good>, StoreError> {
    let mut found: BTreeMap<_, _> = files.iter().map(|file| ((*file).to_owned(), Good::Unknown)).collect();
    let mut seen = HashSet::new();
    let mut wanted = |row: &RunRow| !has_good(generation, &row.runbook) && seen.insert(row.went_by());
    let mut left = files.len();
    for Version { file, runbook, .. } in versions::newest(reader, definitions, VERSIONS, &mut wanted)? {
        if let Some(good @ Good::Unknown) = found.get_mut(&file) {
            *good = Good::Run(Arc::new(runbook));
            left -= 1;
        }
        if left == 0 {
            break;
        }
    }
    Ok(found)
}

/// What cannot be known of a generation.
fn unknown(generation: &Generation, good: &[(String, Good)]) -> Vec<String> {
    let problems = generation.problems.iter().map(|problem| format!("{problem}: what else is there is not known"));
    let places = generation.places.values().filter(|place| place.environment().is_none());
    let places = places.map(|place| {
        format!("{} is broken: targets in this environment that no run was about may be missing", place.file())
    });
    let never = good.iter().filter(|(_, good)| matches!(good, Good::Unknown));
    let never = never.map(|(file, _)| {
        format!("{file} is broken, and no run that is kept went by a good version of it: what it is for is not known")
    });
    let mut all: Vec<String> = problems.chain(places).chain(never).collect();
    let more = all.len().saturating_sub(UNKNOWN);
    all.truncate(UNKNOWN);
    all.extend((more > 0).then(|| format!("and {more} more")));
    all
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use runbook_core::language::Configured;
    use runbook_journal::Store as _;
    use runbook_journal::memory::{MemoryDisk, MemoryStore};

    use super::*;
    use crate::layout::Layout;
    use crate::library::{FOLDER, Library};

    fn write(project: &Path, name: &str, text: &str) {
        fs::write(project.join(FOLDER).join(format!("{name}.yaml")), text).unwrap();
    }

    /// Names and warnings of what counts, and what is not known.
    fn look(before: &mut Before, library: &Library) -> (Vec<(String, Option<String>)>, Vec<String>) {
        let generation = library.latest();
        let definitions = Definitions::new(Layout::new(library.project().join("data")));
        let beside =
            before.beside(&generation, &*MemoryStore::open(&MemoryDisk::default()).view(), &definitions).unwrap();
        let counting = beside.counting(&generation).map(|it| (it.runbook.name.clone(), it.warning)).collect();
        (counting, beside.unknown)
    }

    #[test]
    fn what_is_broken_counts_as_it_was_and_what_was_never_good_is_told() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        let good = |name: &str| {
            write(
                folder.path(),
                name,
                &format!("name: {name}\nlanguage: 1\nsteps: {{a: {{effect: read, argv: [x]}}}}\n"),
            );
        };
        let library = Library::new(folder.path(), Configured::default());
        let mut before = Before::default();
        let counts = |name: &str, warning: Option<&str>| (name.to_owned(), warning.map(str::to_owned));
        good("a");
        assert_eq!(look(&mut before, &library), (vec![counts("a", None)], vec![]));
        write(folder.path(), "a", "steps: [");
        let a = counts("a", Some("runbooks/a.yaml is broken: its last good version counts"));
        assert_eq!(look(&mut before, &library), (vec![a.clone()], vec![]));
        // One more that was never good, and one that is.
        write(folder.path(), "b", "steps: [");
        good("c");
        let never = "runbooks/b.yaml is broken, and no run that is kept went by a good version of it: what it is for is not known";
        assert_eq!(look(&mut before, &library), (vec![counts("c", None), a], vec![never.to_owned()]));
        // It was good while something else was not.
        write(folder.path(), "c", "steps: [");
        let c = counts("c", Some("runbooks/c.yaml is broken: its last good version counts"));
        assert_eq!(look(&mut before, &library).0.last(), Some(&c));
        good("c");
        fs::remove_file(folder.path().join("runbooks/a.yaml")).unwrap();
        let gone = "a is in no good file while something in the folder is broken: its last good version counts";
        let all = vec![counts("c", None), counts("a", Some(gone))];
        assert_eq!(look(&mut before, &library), (all, vec![never.to_owned()]));
        // Who never saw it has nothing of it.
        assert_eq!(look(&mut Before::default(), &library), (vec![counts("c", None)], vec![never.to_owned()]));
        fs::remove_file(folder.path().join("runbooks/b.yaml")).unwrap();
        assert_eq!(look(&mut before, &library), (vec![counts("c", None)], vec![]));
    }

    #[test]
    fn so_much_is_told_and_the_rest_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        for number in 0..UNKNOWN + 5 {
            write(folder.path(), &format!("n{number}"), "steps: [");
        }
        let library = Library::new(folder.path(), Configured::default());
        let (_, unknown) = look(&mut Before::default(), &library);
        assert_eq!((unknown.len(), unknown[UNKNOWN].as_str()), (UNKNOWN + 1, "and 5 more"));
    }
}
