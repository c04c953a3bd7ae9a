//! Opening a data directory: who has it, which format it has, whether its journal is whole. Everything that can
//! be wrong is a typed error that says what to do. Never knows what the events mean.

use std::fs;
use std::io;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::Arc;

use runbook_core::id::RunUid;

use crate::db::{Batch, Db};
use crate::directory::{self, Layout};
use crate::error::{InFile as _, OpenError, StoreError};
use crate::frame::{self, FrameError, READER};
use crate::from_disk::Undecodable;
use crate::journal::Journal;
use crate::keys;
use crate::lock::Lock;
use crate::mark::Mark;
use crate::objects;
use crate::prune::{self, Quiet};
use crate::record::{self, Item};
use crate::room;
use crate::shared::{Assembly, BadCommit, Shared, StoredCommit};
use crate::tail::Tail;

/// The format of the data directory that this program writes and reads.
pub const DIRECTORY_FORMAT: u32 = 1;
/// What precedes the number in the file `format`.
const FORMAT_TEXT: &str = "runbook data directory, format ";

/// How to open.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Open although acknowledged commits are lost. What is lost is noted in the journal, so that the next start
    /// needs no such word.
    pub accept_loss: bool,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The directory was made.
    pub created: bool,
    /// Commits in the live tail.
    pub commits: usize,
    /// The number of the last commit.
    pub last_commit: u64,
    /// Whether the reserve for a full disk is there.
    pub ballast: bool,
    /// Removed runs whose folders had been left by a crash.
    pub swept: usize,
    /// Commits that are lost, as accepted by [`Options::accept_loss`] just now: first and last.
    pub lost: Vec<(u64, u64)>,
}

/// Opens a data directory, and makes it where there is none. Afterwards call [`directory::empty_trash`] beside the
/// journal.
///
/// # Errors
/// See [`OpenError`].
pub fn open(data: &Path, options: Options) -> Result<(Journal, Report), OpenError> {
    let mut report = Report::default();
    let layout = Layout::new(data);
    make_root(data)?;
    let lock = Lock::take(&layout)?;
    report.created = check_format(&layout)?;
    for directory in [layout.runs(), data.join("objects"), layout.objects(), layout.trash()] {
        directory::make(&directory)?;
    }
    objects::remove_temporary(data)?;
    report.ballast = room::keep_ballast(data)?;
    let mark = Mark::open(&layout.mark())?;
    let dir = layout.journal();
    if !dir.try_exists().in_file("look at", &dir)? {
        if mark.commit() > 0 {
            return Err(OpenError::JournalMissing { dir, mark: mark.commit() });
        }
        Db::create(&dir, &layout.journal_in_the_making())?;
    }
    let db = Db::open(&dir)?;
    let mut tail = read_tail(&db, &mark, options, &mut report)?;
    for run in tail.runs() {
        // Events of a removed run stay in the tail until it is archived; nobody is to find them.
        if db.get(&keys::uid(run))?.is_none() {
            tail.forget(run);
        }
    }
    report.commits = tail.size().commits;
    report.last_commit = tail.last_commit();
    let shared = Arc::new(Shared::new(db, layout, tail));
    report.swept = prune::finish(&shared)?;
    Ok((Journal { shared, mark, quiet: Quiet::default(), _lock: lock }, report))
}

fn make_root(data: &Path) -> Result<(), OpenError> {
    let missing: Vec<&Path> = data.ancestors().take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists()).collect();
    for directory in missing.into_iter().rev() {
        directory::make(directory)?;
    }
    Ok(())
}

/// Reads the directory's format; writes it where the directory is new, and says whether it was.
fn check_format(layout: &Layout) -> Result<bool, OpenError> {
    let path = layout.format();
    let wanted = format!("{FORMAT_TEXT}{DIRECTORY_FORMAT}\n");
    let no_format = |why: String| OpenError::NoFormat { path: path.clone(), why, wanted: wanted.trim_end().to_owned() };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let number = text.trim_end().strip_prefix(FORMAT_TEXT);
            match number.and_then(|number| number.parse::<u32>().ok()) {
                Some(DIRECTORY_FORMAT) => Ok(false),
                Some(found) if found > DIRECTORY_FORMAT => {
                    Err(OpenError::NewerFormat { dir: layout.root().to_owned(), found, known: DIRECTORY_FORMAT })
                }
                Some(_) | None => Err(no_format("its text is another one".to_owned())),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let journal = layout.journal();
            if journal.try_exists().in_file("look at", &journal)? {
                return Err(no_format("it is missing beside a journal".to_owned()));
            }
            directory::put_file(&path, &layout.root().join("format.new"), wanted.as_bytes())?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(no_format("it is no text".to_owned())),
        Err(error) => Err(error).in_file("read", &path)?,
    }
}

/// What stands in the way of taking commits over, while the tail is read.
enum Trouble {
    /// Chunks of this commit are missing or damaged.
    Bad(u64, String),
    Error(OpenError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Error(error.into())
    }
}

/// Reads the tail: commits must be whole and without gaps up to the mark.
struct TailReader<'a> {
    db: &'a Db,
    accept_loss: bool,
    tail: Tail,
    assembly: Assembly,
    /// The commit whose chunks are being read.
    current: u64,
    /// The last commit that is accounted for.
    last: Option<u64>,
    /// Commits that are gone: first and last.
    lost: Vec<(u64, u64)>,
    events: Vec<(RunUid, u64)>,
}

fn read_tail(db: &Db, mark: &Mark, options: Options, report: &mut Report) -> Result<Tail, OpenError> {
    let mut reader = TailReader {
        db,
        accept_loss: options.accept_loss,
        tail: Tail::default(),
        assembly: Assembly::default(),
        current: 0,
        last: None,
        lost: Vec::new(),
        events: Vec::new(),
    };
    let bounds = (Bound::Included(&[keys::COMMIT][..]), Bound::Excluded(&[keys::COMMIT + 1][..]));
    let scanned = db.scan::<Trouble>(bounds, false, |key, value| {
        reader.chunk(key, value)?;
        Ok(ControlFlow::Continue(()))
    });
    match scanned.and_then(|()| reader.close_commit()) {
        Ok(()) => {}
        Err(Trouble::Bad(commit, why)) => {
            return Err(OpenError::Damaged { dir: db.dir(), commit, why });
        }
        Err(Trouble::Error(error)) => return Err(error),
    }
    let last = reader.last.unwrap_or(0);
    if last < mark.commit() {
        if !options.accept_loss {
            return Err(OpenError::Short { dir: db.dir(), last, mark: mark.commit() });
        }
        reader.lost.push((last + 1, mark.commit()));
    }
    if reader.lost.is_empty() {
        return Ok(reader.tail);
    }
    note_losses(db, &reader.lost)?;
    report.lost = reader.lost;
    // With the losses noted the tail is whole: read it as any other start would.
    read_tail(db, mark, Options { accept_loss: false }, &mut Report::default())
}

impl TailReader<'_> {
    /// Takes the next chunk.
    fn chunk(&mut self, key: &[u8], value: &[u8]) -> Result<(), Trouble> {
        let Some((number, chunk)) = keys::parse_commit(key) else {
            let last = self.last.unwrap_or(0);
            return Err(Trouble::Bad(last + 1, format!("its key {key:?} is no commit's")));
        };
        if number != self.current {
            self.close_commit()?;
            self.current = number;
        } else if self.last == Some(number) {
            // A chunk behind the last one, or of a commit that is given up already.
            return if self.accept_loss {
                Ok(())
            } else {
                Err(Trouble::Bad(number, format!("it has a chunk {chunk} behind its last")))
            };
        }
        match self.assembly.take(number, chunk, value) {
            Ok(None) => Ok(()),
            Ok(Some(commit)) => self.commit(&commit),
            Err(BadCommit::Frame(FrameError::Newer(found))) => {
                let dir = self.db.dir();
                let error = OpenError::NewerRecord { dir, commit: number, found, known: READER };
                Err(Trouble::Error(error))
            }
            Err(error) => self.give_up(number, &error.to_string()),
        }
    }

    /// The chunks of the current commit are over: the last one must have been among them.
    fn close_commit(&mut self) -> Result<(), Trouble> {
        if self.assembly.is_open() {
            let why = BadCommit::NoChunk(self.assembly.next_chunk()).to_string();
            return self.give_up(self.current, &why);
        }
        Ok(())
    }

    /// A commit is unusable.
    fn give_up(&mut self, number: u64, why: &str) -> Result<(), Trouble> {
        self.assembly = Assembly::default();
        if !self.accept_loss {
            return Err(Trouble::Bad(number, why.to_owned()));
        }
        let first = self.last.map_or(number, |last| last + 1);
        self.lost.push((first, number));
        self.last = Some(number);
        Ok(())
    }

    /// Takes a whole commit over.
    fn commit(&mut self, commit: &StoredCommit) -> Result<(), Trouble> {
        let mut lost_from = None;
        self.events.clear();
        let walked = record::walk::<Undecodable>(&commit.payload, |item| {
            match item {
                Item::Event(uid, raw) => self.events.push((uid, raw.number)),
                Item::LostFrom(from) => lost_from = Some(from),
            }
            Ok(())
        });
        if let Err(error) = walked {
            return self.give_up(commit.number, &error.to_string());
        }
        let first = lost_from.unwrap_or(commit.number);
        if let Some(last) = self.last
            && first > last + 1
        {
            if !self.accept_loss {
                let why = "it is missing between others".to_owned();
                return Err(Trouble::Bad(last + 1, why));
            }
            self.lost.push((last + 1, first - 1));
        }
        self.last = Some(commit.number);
        let events = self.events.drain(..);
        self.tail.push(commit.number, commit.payload.len() as u64, events);
        Ok(())
    }
}

/// Puts a record that says so in the place of each stretch of lost commits, durably.
fn note_losses(db: &Db, lost: &[(u64, u64)]) -> Result<(), OpenError> {
    for (first, last) in lost {
        let mut batch = Batch::default();
        let (from, to) = (keys::commit(*first, 0), keys::commit(*last, u16::MAX));
        let bounds = (Bound::Included(&from[..]), Bound::Included(&to[..]));
        db.scan::<StoreError>(bounds, false, |key, _| {
            batch.remove(key);
            Ok(ControlFlow::Continue(()))
        })?;
        let key = keys::commit(*last, 0);
        batch.insert(&key, frame::seal(&key, frame::MIN_READER, true, &record::lost(*first)));
        db.apply(batch)?;
    }
    db.sync()?;
    Ok(())
}
