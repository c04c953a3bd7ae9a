//! Power cuts, rebuilt: the work of a process is recorded call by call, and the files are made anew as they may be
//! after a cut at any of these moments. Of what was written since a file's last sync each 4 KiB page may be there or
//! not, and so may its new length; of names made, renamed or removed since their directory's last sync a first part
//! is there.
//!
//! The control leaves the journal's own syncs out, as if the storage engine's flush were enough: it must lose
//! something, else this test would not notice anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::work::{Random, Said, Verdict};
use crate::{COMMITS, ROUNDS, SEED, child, number, seed, verdict};

const PAGE_BYTES: usize = 4096;

/// A recorded call.
#[derive(Debug)]
struct Call {
    kind: u8,
    path: PathBuf,
    offset: usize,
    data: Vec<u8>,
}

fn parse(record: &[u8]) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut rest = record;
    while !rest.is_empty() {
        let (head, after) = rest.split_at(17);
        let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap()) as usize;
        let offset = u64::from_le_bytes(head[9..17].try_into().unwrap());
        let (path, after) = after.split_at(word(1));
        let (data, after) = after.split_at(word(5));
        calls.push(Call {
            kind: head[0],
            path: PathBuf::from(std::str::from_utf8(path).unwrap()),
            offset: usize::try_from(offset).unwrap(),
            data: data.to_vec(),
        });
        rest = after;
    }
    calls
}

/// A file's content: as it is, and as it was at its last sync.
#[derive(Debug, Default)]
struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

impl Content {
    fn write(&mut self, offset: usize, data: &[u8]) {
        let end = offset + data.len();
        if self.now.len() < end {
            self.now.resize(end, 0);
        }
        self.now[offset..end].copy_from_slice(data);
        self.dirty.extend(offset / PAGE_BYTES..=(end - 1) / PAGE_BYTES);
    }

    fn truncate(&mut self, length: usize) {
        self.now.resize(length, 0);
        self.dirty.insert(length / PAGE_BYTES);
    }

    fn sync(&mut self) {
        for page in std::mem::take(&mut self.dirty) {
            let from = page * PAGE_BYTES;
            let to = self.now.len().min(from + PAGE_BYTES);
            if self.durable.len() < to {
                self.durable.resize(to, 0);
            }
            if from < to {
                self.durable[from..to].copy_from_slice(&self.now[from..to]);
            }
        }
        self.durable.resize(self.now.len(), 0);
    }

    /// What a cut may leave, where a page survives with this chance in a hundred.
    fn after_cut(&self, random: &mut Random, chance: u64) -> Vec<u8> {
        let grown = self.dirty.is_empty() || random.below(100) < chance;
        let mut bytes = self.durable.clone();
        bytes.resize(if grown { self.now.len() } else { self.durable.len() }, 0);
        for page in &self.dirty {
            let from = page * PAGE_BYTES;
            let to = bytes.len().min(self.now.len()).min(from + PAGE_BYTES);
            if from < to && random.below(100) < chance {
                bytes[from..to].copy_from_slice(&self.now[from..to]);
            }
        }
        bytes
    }
}

/// A change of names in one or two directories.
#[derive(Debug, Clone)]
enum Change {
    Put { directory: usize, name: String, node: usize },
    Remove { directory: usize, name: String },
    Move { from: (usize, String), to: (usize, String) },
}

impl Change {
    fn touches(&self, node: usize) -> bool {
        match self {
            Self::Put { directory, .. } | Self::Remove { directory, .. } => *directory == node,
            Self::Move { from, to } => from.0 == node || to.0 == node,
        }
    }

    fn apply(&self, names: &mut BTreeMap<(usize, String), usize>) {
        match self {
            Self::Put { directory, name, node } => {
                names.insert((*directory, name.clone()), *node);
            }
            Self::Remove { directory, name } => {
                names.remove(&(*directory, name.clone()));
            }
            Self::Move { from, to } => {
                if let Some(node) = names.remove(from) {
                    names.insert(to.clone(), node);
                }
            }
        }
    }
}

#[derive(Debug)]
enum Node {
    Directory,
    File(Content),
}

/// The files below a directory while the calls are done again.
#[derive(Debug)]
struct Disk {
    /// Where it was when it was recorded.
    root: PathBuf,
    nodes: Vec<Node>,
    names: BTreeMap<(usize, String), usize>,
    /// All changes of names, and whether each is durable.
    changes: Vec<(Change, bool)>,
}

impl Disk {
    fn new(root: &Path) -> Self {
        let (nodes, names) = (vec![Node::Directory], BTreeMap::new());
        Self { root: root.to_owned(), nodes, names, changes: Vec::new() }
    }

    fn find(&self, path: &Path) -> Option<usize> {
        path.strip_prefix(&self.root).ok()?.components().try_fold(0, |node, name| {
            let name = name.as_os_str().to_str()?.to_owned();
            self.names.get(&(node, name)).copied()
        })
    }

    fn place(&self, path: &Path) -> Option<(usize, String)> {
        Some((self.find(path.parent()?)?, path.file_name()?.to_str()?.to_owned()))
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push((change, false));
    }

    fn content(&mut self, path: &Path) -> &mut Content {
        let node = self.find(path).unwrap_or_else(|| panic!("{} is not known", path.display()));
        match &mut self.nodes[node] {
            Node::File(content) => content,
            Node::Directory => panic!("{} is a directory", path.display()),
        }
    }

    fn redo(&mut self, call: &Call) {
        match call.kind {
            b'C' | b'M' => {
                let node = self.nodes.len();
                self.nodes.push(match call.kind {
                    b'C' => Node::File(Content::default()),
                    _ => Node::Directory,
                });
                let (directory, name) = self.place(&call.path).expect("a known directory");
                self.change(Change::Put { directory, name, node });
            }
            b'W' => self.content(&call.path).write(call.offset, &call.data),
            b'T' => self.content(&call.path).truncate(call.offset),
            b'S' | b'D' => {
                let node = self.find(&call.path).expect("a known file or directory");
                match &mut self.nodes[node] {
                    Node::File(content) => content.sync(),
                    Node::Directory => {
                        for (change, durable) in &mut self.changes {
                            *durable |= change.touches(node);
                        }
                    }
                }
            }
            b'R' => {
                let to = Path::new(std::str::from_utf8(&call.data).unwrap());
                let (from, to) = (self.place(&call.path).unwrap(), self.place(to).unwrap());
                self.change(Change::Move { from, to });
            }
            b'U' => {
                let (directory, name) = self.place(&call.path).unwrap();
                self.change(Change::Remove { directory, name });
            }
            kind => panic!("an entry of kind {kind}"),
        }
    }

    /// Writes what a cut at this moment may leave.
    fn cut(&self, to: &Path, random: &mut Random) {
        // At times nearly everything survives, at times nearly nothing, at times exactly nothing.
        let chance = [0, 5, 50, 95, 100][usize::try_from(random.below(5)).unwrap()];
        let unsynced = self.changes.iter().filter(|(_, durable)| !durable).count() as u64;
        let mut left = random.below(unsynced + 1);
        let mut names = BTreeMap::new();
        for (change, durable) in &self.changes {
            if *durable || left > 0 {
                left -= u64::from(!*durable);
                change.apply(&mut names);
            }
        }
        self.write(0, &names, to, random, chance);
    }

    fn write(
        &self,
        node: usize,
        names: &BTreeMap<(usize, String), usize>,
        to: &Path,
        random: &mut Random,
        chance: u64,
    ) {
        match &self.nodes[node] {
            Node::File(content) => fs::write(to, content.after_cut(random, chance)).unwrap(),
            Node::Directory => {
                fs::create_dir_all(to).unwrap();
                let inside = names.range((node, String::new())..(node + 1, String::new()));
                for ((_, name), inner) in inside {
                    self.write(*inner, names, &to.join(name), random, chance);
                }
            }
        }
    }
}

/// Compiles the recorder.
fn recorder(directory: &Path) -> PathBuf {
    let library = directory.join("recorder.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/recorder.c");
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .args([&library, &source])
        .arg("-lpthread")
        .status()
        .expect("a C compiler, which Rust needs to link");
    assert!(status.success());
    library
}

/// Records the work of a process that ends without closing its journal.
fn recorded(directory: &Path, seed: u64, commits: u64) -> (PathBuf, Vec<Call>) {
    let disk = directory.join("disk");
    fs::create_dir(&disk).unwrap();
    let data = disk.join("data");
    let record = directory.join("record");
    let output = child("worker", &data)
        .env("LD_PRELOAD", recorder(directory))
        .env("RECORD_TO", &record)
        .env("RECORD_BELOW", &disk)
        .env(SEED, seed.to_string())
        .env(COMMITS, commits.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let calls = parse(&fs::read(&record).unwrap());
    fs::remove_file(record).unwrap();
    (data, calls)
}

/// Cuts the power at random moments; gives what a new process found wrong each time.
fn cuts(
    directory: &Path,
    root: &Path,
    calls: &[Call],
    seed: u64,
    rounds: u64,
    counts: impl Fn(&Call) -> bool,
) -> Vec<Result<(), Verdict>> {
    let mut random = Random::new(seed);
    let mut moments: Vec<usize> =
        (0..rounds).map(|_| usize::try_from(random.below(calls.len() as u64)).unwrap()).collect();
    moments.sort_unstable();
    let mut moments = moments.into_iter().peekable();
    let mut disk = Disk::new(root.parent().unwrap());
    let mut lines = String::new();
    let mut verdicts = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        if call.kind == b'O' {
            lines += std::str::from_utf8(&call.data).unwrap();
        } else if counts(call) {
            disk.redo(call);
        }
        while moments.next_if_eq(&at).is_some() {
            verdicts.push(after_cut(directory, &disk, &lines, &mut random));
        }
    }
    verdicts
}

/// What a new process finds after a cut at this moment.
fn after_cut(directory: &Path, disk: &Disk, lines: &str, random: &mut Random) -> Result<(), Verdict> {
    let place = directory.join("after");
    disk.cut(&place, random);
    let verdict = verdict(&place.join("data"), lines, directory);
    fs::remove_dir_all(&place).unwrap();
    verdict
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let seed = seed();
    let rounds = number(ROUNDS).unwrap_or(25);
    let dir = tempfile::tempdir().unwrap();
    let (root, calls) = recorded(dir.path(), seed, number(COMMITS).unwrap_or(300));
    let mut said = Said::default();
    let lines = calls.iter().filter(|call| call.kind == b'O');
    for text in lines.map(|call| std::str::from_utf8(&call.data).unwrap()) {
        text.lines().for_each(|line| said.line(line));
    }
    assert!(said.commit() >= 300, "only {} commits were recorded", said.commit());
    let verdicts = cuts(dir.path(), &root, &calls, seed, rounds, |_| true);
    let wrong: Vec<_> = verdicts.iter().filter_map(|verdict| verdict.as_ref().err()).collect();
    assert!(wrong.is_empty(), "seed {seed}, {} of {rounds} cuts: {wrong:#?}", wrong.len());

    // The control: without the journal's own syncs of the engine's file.
    let engine = root.join("journal/db");
    let counts = |call: &Call| call.kind != b'D' || call.path != engine;
    let verdicts = cuts(dir.path(), &root, &calls, seed, rounds, counts);
    let wrong = verdicts.iter().filter(|verdict| verdict.is_err()).count();
    println!("the control lost something in {wrong} of {rounds} cuts");
    assert!(wrong > 0, "seed {seed}: the control lost nothing in {rounds} cuts: this test is blind");
}
