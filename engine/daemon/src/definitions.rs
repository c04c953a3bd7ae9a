//! Pinned definitions: a checked runbook, its source and its listed files under one hash, durable before the first
//! event that names it. Never knows runs.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use indexmap::IndexMap;
use runbook_core::definition::{Environment, Runbook};
use runbook_core::id::Digest;
use runbook_core::limits;
use runbook_core::run::Pinned;
use runbook_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::files;
use crate::layout::Layout;

/// The format of a stored definition.
const FORMAT: u32 = 1;
/// A stored definition, in bytes.
const DEFINITION_BYTES: u64 = 256 << 20;
/// How long a definition that no run names is kept, in seconds: one that was pinned for a start that failed may be
/// wanted again soon.
const UNNAMED_SECONDS: i64 = 24 * 60 * 60;

/// What is hashed and stored.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    format: u32,
    runbook: Runbook,
    /// The file it came from, for messages.
    file: String,
    source: String,
    files: Vec<StoredFile>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct StoredFile {
    path: String,
    digest: Digest,
    executable: bool,
}

/// A runbook with the text that it was read from.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// The checked runbook.
    pub runbook: &'a Runbook,
    /// The text.
    pub source: &'a str,
    /// The file it came from.
    pub file: &'a str,
}

/// Finds a runbook that others start, by its name.
type Find<'f, 'a> = &'f dyn Fn(&str) -> Option<Text<'a>>;

/// Given a runbook and what came of those that it starts, by name.
type Done<'f, 'a, T> = &'f mut dyn FnMut(&Text<'a>, Vec<(String, T)>) -> Result<T, DefinitionError>;

/// What is stored of a runbook, and what else there is to store.
struct Gathered {
    json: Vec<u8>,
    digest: Digest,
    stored: Stored,
    /// Of the files that it lists, in their order.
    contents: Vec<Vec<u8>>,
}

/// A runbook as it is now, with the files that it lists, their contents, and the definitions of the runbooks that it
/// starts.
fn gather(
    text: &Text<'_>,
    pins: IndexMap<String, Digest>,
    environment: Option<&Environment>,
    project: &Path,
) -> Result<Gathered, DefinitionError> {
    let mut runbook = text.runbook.clone();
    runbook.pins = pins;
    runbook.environment = environment.cloned().map(Box::new);
    let mut stored =
        Stored { format: FORMAT, runbook, file: text.file.into(), source: text.source.into(), files: vec![] };
    let mut contents = Vec::new();
    for path in &text.runbook.files {
        let read = |path: &str| -> io::Result<(Vec<u8>, bool)> {
            use std::os::unix::fs::PermissionsExt as _;
            let full = project.join(path);
            let executable = fs::metadata(&full)?.permissions().mode() & 0o111 != 0;
            Ok((files::read_bounded(&full, files::LISTED_BYTES)?, executable))
        };
        let (bytes, executable) =
            read(path).map_err(|source| DefinitionError::ListedFile { path: path.clone(), source })?;
        stored.files.push(StoredFile { path: path.clone(), digest: Digest::of(&bytes), executable });
        contents.push(bytes);
    }
    let json = serde_json::to_vec(&stored)
        .map_err(|error| DefinitionError::Unusable { digest: text.runbook.name.clone(), why: error.to_string() })?;
    let digest = Digest::of(&json);
    Ok(Gathered { json, digest, stored, contents })
}

/// Goes through a runbook and all that it comes to start, what is started first, each once; gives what `done` gives of it.
/// That is given the definitions of what the runbook starts, by name.
fn each_below<'a, T: Clone>(
    text: &Text<'a>,
    find: Find<'_, 'a>,
    known: &mut HashMap<String, T>,
    depth: u32,
    done: Done<'_, 'a, T>,
) -> Result<T, DefinitionError> {
    let mut called = Vec::new();
    for name in text.runbook.called() {
        let pinned = match known.get(name) {
            Some(pinned) => pinned.clone(),
            None => {
                let missing = || DefinitionError::NotThere { runbook: text.runbook.name.clone(), name: name.into() };
                // The check refused what is deeper.
                let other = find(name).filter(|_| depth < limits::CHILD_DEPTH).ok_or_else(missing)?;
                each_below(&other, find, known, depth + 1, done)?
            }
        };
        known.insert(name.to_owned(), pinned.clone());
        called.push((name.to_owned(), pinned));
    }
    done(text, called)
}

/// The hash that a runbook would be pinned to now, in no environment. Stores nothing.
///
/// # Errors
/// A listed file cannot be read, or a runbook that a step starts is not there.
pub fn digest<'a>(text: &Text<'a>, find: Find<'_, 'a>, project: &Path) -> Result<Digest, DefinitionError> {
    each_below(text, find, &mut HashMap::new(), 0, &mut |text, called| {
        Ok(gather(text, called.into_iter().collect(), None, project)?.digest)
    })
}

/// Why a definition cannot be pinned or read.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// A file that `files:` lists cannot be read.
    #[error("the runbook lists the file {path}, which cannot be read: {source}")]
    ListedFile {
        /// The path as listed.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A runbook that a step starts is not there, or is broken.
    #[error("the runbook {runbook} starts the runbook {name}, which is not there or broken; `runbook check` says why")]
    NotThere {
        /// Which.
        runbook: String,
        /// The one that it starts.
        name: String,
    },
    /// The store cannot be written or read.
    #[error("the definition {digest} cannot be {verb}: {source}")]
    Io {
        /// Which.
        digest: String,
        /// stored, read
        verb: &'static str,
        /// Why.
        source: io::Error,
    },
    /// What is stored is damaged or from a newer version.
    #[error("the stored definition {digest} is unusable: {why}")]
    Unusable {
        /// Which.
        digest: String,
        /// Why.
        why: String,
    },
}

/// The store of definitions, with those in use in memory.
#[derive(Debug)]
pub struct Definitions {
    layout: Layout,
    cache: Mutex<HashMap<Digest, Weak<Pinned>>>,
    /// Held while one is stored: the same content may be wanted twice at once.
    storing: Mutex<()>,
}

impl Definitions {
    /// The store of an instance.
    pub fn new(layout: Layout) -> Self {
        Self { layout, cache: Mutex::default(), storing: Mutex::default() }
    }

    fn cached(&self, digest: Digest) -> Option<Arc<Pinned>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).get(&digest)?.upgrade()
    }

    fn remember(&self, pinned: &Arc<Pinned>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.retain(|_, weak| weak.strong_count() > 0);
        cache.insert(pinned.digest, Arc::downgrade(pinned));
    }

    /// Stores a runbook as it is now, with its environment, the files it lists and the runbooks that its steps start, which
    /// `find` knows by name; the same content is stored once.
    ///
    /// # Errors
    /// A listed file cannot be read, a runbook that a step starts is not there, or the store cannot be written.
    pub fn pin<'a>(
        &self,
        text: &Text<'a>,
        environment: Option<&Environment>,
        project: &Path,
        find: Find<'_, 'a>,
    ) -> Result<Arc<Pinned>, DefinitionError> {
        each_below(text, find, &mut HashMap::new(), 0, &mut |text, called: Vec<(String, Arc<Pinned>)>| {
            let pins = called.iter().map(|(name, pinned)| (name.clone(), pinned.digest)).collect();
            self.pin_one(gather(text, pins, environment, project)?, called.into_iter().map(|(_, pinned)| pinned))
        })
    }

    fn pin_one(
        &self,
        gathered: Gathered,
        called: impl IntoIterator<Item = Arc<Pinned>>,
    ) -> Result<Arc<Pinned>, DefinitionError> {
        let Gathered { json, digest, stored, contents } = gathered;
        if let Some(pinned) = self.cached(digest) {
            return Ok(pinned);
        }
        let io = |source| DefinitionError::Io { digest: digest.to_string(), verb: "stored", source };
        let directory = self.layout.definition(digest);
        let storing = self.storing.lock().unwrap_or_else(PoisonError::into_inner);
        if !directory.join("definition.json").exists() {
            self.store(&directory, &json, &stored.files, &contents).map_err(io)?;
        }
        drop(storing);
        let pinned = Arc::new(Pinned::new(stored.runbook, digest, called));
        self.remember(&pinned);
        Ok(pinned)
    }

    fn store(&self, directory: &Path, json: &[u8], list: &[StoredFile], contents: &[Vec<u8>]) -> io::Result<()> {
        files::make_private_directory(directory)?;
        for (file, bytes) in list.iter().zip(contents) {
            let path = directory.join("files").join(&file.path);
            let parent = path.parent().unwrap_or(directory);
            files::make_private_directory(parent)?;
            files::write_durably(&path, bytes, if file.executable { 0o500 } else { 0o400 })?;
        }
        if !list.is_empty() {
            files::sync_directory(&directory.join("files"))?;
        }
        // Last: its presence says that all the rest is there.
        files::write_durably(&directory.join("definition.json"), json, 0o400)?;
        if let Some(parent) = directory.parent() {
            files::sync_directory(parent)?;
            files::sync_directory(self.layout.root())?;
        }
        Ok(())
    }

    /// Reads a stored definition.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or is from a newer version.
    pub fn load(&self, digest: Digest) -> Result<Arc<Pinned>, DefinitionError> {
        self.load_below(digest, 0)
    }

    fn load_below(&self, digest: Digest, depth: u32) -> Result<Arc<Pinned>, DefinitionError> {
        if let Some(pinned) = self.cached(digest) {
            return Ok(pinned);
        }
        let stored = self.read(digest)?;
        if depth > limits::CHILD_DEPTH {
            let why = format!("more than {} definitions are above it", limits::CHILD_DEPTH);
            return Err(DefinitionError::Unusable { digest: digest.to_string(), why });
        }
        let called = stored.runbook.pins.values().map(|pin| self.load_below(*pin, depth + 1));
        let called = called.collect::<Result<Vec<_>, _>>()?;
        let pinned = Arc::new(Pinned::new(stored.runbook, digest, called));
        self.remember(&pinned);
        Ok(pinned)
    }

    fn read(&self, digest: Digest) -> Result<Stored, DefinitionError> {
        let unusable = |why: String| DefinitionError::Unusable { digest: digest.to_string(), why };
        let path = self.layout.definition(digest).join("definition.json");
        let json = files::read_bounded(&path, DEFINITION_BYTES).map_err(|source| DefinitionError::Io {
            digest: digest.to_string(),
            verb: "read",
            source,
        })?;
        if Digest::of(&json) != digest {
            return Err(unusable(format!("{} does not have this hash", path.display())));
        }
        // The format is read before the rest: a newer one may have fields of a meaning unknown here.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let Format { format } = serde_json::from_slice(&json).map_err(|e| unusable(e.to_string()))?;
        if format != FORMAT {
            return Err(unusable(format!("it has format {format}, this version reads {FORMAT}")));
        }
        serde_json::from_slice(&json).map_err(|e| unusable(e.to_string()))
    }

    /// The runbook of a stored definition, with the file and the text that it was read from.
    ///
    /// # Errors
    /// Those of [`Self::load`].
    pub fn version(&self, digest: Digest) -> Result<(Runbook, String, String), DefinitionError> {
        self.read(digest).map(|stored| (stored.runbook, stored.file, stored.source))
    }

    /// The listed files whose contents differ between two stored definitions, or that one of them alone has.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn changed_files(&self, before: Digest, after: Digest) -> Result<Vec<String>, DefinitionError> {
        let digests = |stored: Stored| -> HashMap<String, Digest> {
            stored.files.into_iter().map(|file| (file.path, file.digest)).collect()
        };
        let (before, after) = (digests(self.read(before)?), digests(self.read(after)?));
        let mut all: Vec<&String> = before.keys().chain(after.keys()).collect();
        all.sort_unstable();
        all.dedup();
        Ok(all.into_iter().filter(|path| before.get(*path) != after.get(*path)).cloned().collect())
    }

    /// Removes definitions that no run names, directly or by another definition, and that are older than a day; says how
    /// many. `named` is asked only when there is one that old. Nobody may pin meanwhile.
    ///
    /// # Errors
    /// Those of `named`, or a definition cannot be looked at or removed.
    pub fn sweep(
        &self,
        named: impl FnOnce() -> anyhow::Result<HashSet<Digest>>,
        now: Timestamp,
    ) -> anyhow::Result<usize> {
        let mut old = Vec::new();
        let entries = match fs::read_dir(self.layout.definitions()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        for entry in entries {
            let entry = entry?;
            let digest: Option<Digest> = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let age = now.0 / 1_000_000 - entry.metadata()?.mtime();
            old.extend(digest.filter(|_| age > UNNAMED_SECONDS));
        }
        if old.is_empty() {
            return Ok(0);
        }
        let mut named = named()?;
        let mut open: Vec<Digest> = named.iter().copied().collect();
        while let Some(digest) = open.pop() {
            // What cannot be read pins nothing that could be used.
            let pins = self.read(digest).map(|stored| stored.runbook.pins).unwrap_or_default();
            open.extend(pins.into_values().filter(|pin| named.insert(*pin)));
        }
        old.retain(|digest| !named.contains(digest));
        for digest in &old {
            let directory = self.layout.definition(*digest);
            // First the file whose presence says that all the rest is there.
            match fs::remove_file(directory.join("definition.json")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => files::sync_directory(&directory)?,
            }
            fs::remove_dir_all(&directory)?;
        }
        Ok(old.len())
    }

    /// The pinned copy of a listed file.
    pub fn file(&self, pinned: &Pinned, path: &str) -> Option<PathBuf> {
        pinned
            .runbook
            .files
            .iter()
            .any(|listed| listed == path)
            .then(|| self.layout.definition(pinned.digest).join("files").join(path))
    }
}
