//! Attempts without a process: actions that the daemon carries out itself, and that end with it. Their ends are told as
//! those of shims are. Never knows what an action does.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use runbook_actions::{Desk, Done, Inside, Seeker};
use runbook_core::id::Digest;
use runbook_core::limits;
use runbook_core::machine::AttemptRef;
use runbook_core::run::decide::OUTPUT_PROBLEM;
use runbook_core::run::{Artifact, AttemptEnd, CutOff, How, NotStarted};
use runbook_core::time::{Span, Timestamp};
use runbook_shim::log::{Stream, write_line};
use runbook_shim::paths;
use runbook_shim::redact::{Held, Redactor};
use runbook_shim::time::{now_micros, rfc3339};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::{Report, Reporter, collect};
use crate::clock;
use crate::files;
use crate::layout::Layout;

/// Threads that carry actions out. They wait for others nearly all the time.
const THREADS: usize = 2;
/// How long an action is under way before what it has logged is written.
const QUIET: Duration = Duration::from_millis(500);
/// A log of an action, in bytes: what it says of itself is short.
const LOG_BYTES: usize = 256 << 10;
/// What is said of an attempt that ended with the daemon before.
const GONE: &str = "the daemon ended while it was under way";
/// EAGAIN: an attempt that the ending daemon does not begin follows as one for which there was no room.
const NOT_NOW: i32 = 11;

/// All attempts that are carried out here.
pub struct Insiders {
    layout: Layout,
    report: Reporter,
    shared: runbook_actions::Shared,
    /// There until the last has gone.
    runtime: Option<Runtime>,
    live: Mutex<HashMap<AttemptRef, CancellationToken>>,
    fewer: Condvar,
    draining: AtomicBool,
}

impl std::fmt::Debug for Insiders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Insiders").field("live", &self.live().len()).finish()
    }
}

impl Drop for Insiders {
    fn drop(&mut self) {
        // The last to hold it may be an action that was given up, and a runtime must not wait for itself.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Insiders {
    /// Nothing is under way yet.
    ///
    /// # Errors
    /// The threads cannot be had.
    pub(super) fn start(layout: Layout, report: Reporter) -> io::Result<Arc<Self>> {
        forget_told(&layout);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("actions")
            .enable_all()
            .build()?;
        Ok(Arc::new(Self {
            layout,
            report,
            shared: runbook_actions::Shared::default(),
            runtime: Some(runtime),
            live: Mutex::default(),
            fewer: Condvar::new(),
            draining: AtomicBool::new(false),
        }))
    }

    fn live(&self) -> std::sync::MutexGuard<'_, HashMap<AttemptRef, CancellationToken>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an attempt.
    pub(super) fn begin(self: &Arc<Self>, attempt: AttemptRef, action: Inside) {
        if self.draining.load(Ordering::SeqCst) {
            let mut end = AttemptEnd::bare(How::NotStarted(NotStarted::Errno(NOT_NOW)));
            end.message = "the daemon is ending".to_owned();
            (self.report)(Report::Ended(attempt, Box::new(end)));
            return;
        }
        let stop = CancellationToken::new();
        self.live().insert(attempt, stop.clone());
        let own = Arc::clone(self);
        let Some(runtime) = &self.runtime else { return };
        runtime.spawn(async move {
            let end = own.carry_out(attempt, &action, &stop).await;
            // Whoever waits until nothing is under way finds the end told.
            (own.report)(Report::Ended(attempt, Box::new(end)));
            own.live().remove(&attempt);
            own.fewer.notify_all();
        });
    }

    /// Gives an attempt up; says whether it was one of these.
    pub(super) fn stop(&self, attempt: AttemptRef) -> bool {
        let live = self.live();
        let found = live.get(&attempt);
        if let Some(stop) = found {
            stop.cancel();
        }
        found.is_some()
    }

    /// Tells that an attempt ended with the daemon that carried it out.
    pub(super) fn lost(&self, attempt: AttemptRef) {
        let mut end = AttemptEnd::bare(How::Lost { processes_left: false });
        end.message = GONE.to_owned();
        (self.report)(Report::Ended(attempt, Box::new(end)));
    }

    /// Begins nothing more, and waits until nothing is under way, for so long at most. What is left ends with the daemon.
    pub fn drain(&self, most: Duration) {
        self.draining.store(true, Ordering::SeqCst);
        let until = Instant::now() + most;
        let mut live = self.live();
        if !live.is_empty() {
            tracing::info!(
                attempts = live.len(),
                seconds = most.as_secs(),
                "waiting for actions that end with the daemon"
            );
        }
        while !live.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tracing::warn!(attempts = live.len(), "these actions are given up: the next start takes them for lost");
                return;
            }
            live = self.fewer.wait_timeout(live, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    async fn carry_out(&self, attempt: AttemptRef, action: &Inside, stop: &CancellationToken) -> AttemptEnd {
        let started_at = now_micros();
        let counter = Counter {
            layout: &self.layout,
            attempt,
            redactor: Redactor::new(action.redact.iter().map(String::as_str)),
            log: Mutex::default(),
        };
        let work = async {
            tokio::select! {
                done = action.carry_out(&self.shared, &counter) => done,
                never = counter.write_on() => never,
            }
        };
        let timeout = async {
            match action.timeout {
                Some(timeout) => {
                    tokio::time::sleep(Duration::from_micros(u64::try_from(timeout.0).unwrap_or(0))).await;
                }
                None => std::future::pending().await,
            }
        };
        let mut end = tokio::select! {
            // What is done is done, even when it is told to stop just then.
            biased;
            done = work => counter.end(done),
            () = stop.cancelled() => AttemptEnd::bare(How::CutOff(CutOff::Stopped)),
            () = timeout => AttemptEnd::bare(How::CutOff(CutOff::Timeout)),
        };
        end.started_at = Some(Timestamp(started_at));
        end.ended_at = Some(Timestamp(now_micros()));
        if !end.message.is_empty() {
            counter.log(&end.message.clone());
        }
        (end.log_lines, end.log_dropped) = counter.finish();
        end
    }
}

/// What an action has in its hands while it is carried out.
struct Counter<'a> {
    layout: &'a Layout,
    attempt: AttemptRef,
    redactor: Redactor,
    log: Mutex<Log>,
}

/// The log of an action while it is written.
#[derive(Default)]
struct Log {
    pending: Vec<u8>,
    bytes: usize,
    lines: u64,
    dropped: u64,
}

impl Desk for Counter<'_> {
    fn log(&self, line: &str) {
        let mut log = self.lines();
        if log.bytes + line.len() > LOG_BYTES {
            log.dropped += 1;
            return;
        }
        let before = log.pending.len();
        let text = self.redactor.text(line);
        write_line(&mut log.pending, &rfc3339(now_micros()), Stream::Out, false, text.as_bytes());
        log.bytes += log.pending.len() - before;
        log.lines += 1;
    }

    fn artifact(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.layout.attempt(self.attempt).join(paths::ARTIFACTS);
        files::make_private_directory(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(folder.join(name))
    }

    fn seeker(&self) -> Box<dyn Seeker + '_> {
        Box::new(Looking { redactor: &self.redactor, held: Held::default() })
    }

    fn was_told(&self, key: &str, within: Span) -> Result<bool, String> {
        let path = told_file(self.layout, key);
        let at = match fs::metadata(&path).and_then(|of| of.modified()) {
            Ok(at) => at,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        // A clock that was set back makes nobody silent.
        let ago = clock::since(at).unwrap_or(Duration::MAX);
        Ok(ago < Duration::from_micros(u64::try_from(within.0).unwrap_or(0)))
    }

    fn tell(&self, key: &str) -> Result<(), String> {
        let path = told_file(self.layout, key);
        let folder = self.layout.told();
        let write = || files::make_private_directory(&folder).and_then(|()| fs::write(&path, b""));
        write().map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// What is looked through for secrets.
struct Looking<'a> {
    redactor: &'a Redactor,
    held: Held,
}

impl Seeker for Looking<'_> {
    fn meets(&mut self, piece: &[u8]) -> bool {
        self.redactor.meets(&mut self.held, piece, false)
    }

    fn met(&mut self) -> bool {
        self.redactor.meets(&mut self.held, b"", true)
    }
}

/// Forgets what was told so long ago that no step can ask for it any more.
fn forget_told(layout: &Layout) {
    let longest = Duration::from_secs(limits::DURATION_DAYS.unsigned_abs() * 86_400);
    for entry in fs::read_dir(layout.told()).into_iter().flatten().flatten() {
        let at = entry.metadata().and_then(|of| of.modified());
        if at.is_ok_and(|at| clock::since(at).is_some_and(|ago| ago > longest)) {
            // One that stays is looked at again at the next start.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// What was told, by the hash of its key.
fn told_file(layout: &Layout, key: &str) -> PathBuf {
    layout.told().join(Digest::of(key.as_bytes()).to_string())
}

impl Counter<'_> {
    fn lines(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is logged, again and again, for whoever looks on.
    async fn write_on(&self) -> Done {
        loop {
            tokio::time::sleep(QUIET).await;
            self.flush();
        }
    }

    /// Writes what is pending. What cannot be written is dropped: a log is never the reason for anything to fail.
    fn flush(&self) {
        let mut log = self.lines();
        let pending = std::mem::take(&mut log.pending);
        if pending.is_empty() {
            return;
        }
        let path = self.layout.log(self.attempt);
        let open = || OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let file = match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = path.parent().unwrap_or(&path);
                files::make_private_directory(folder).and_then(|()| open())
            }
            opened => opened,
        };
        if let Err(error) = file.and_then(|mut file| file.write_all(&pending)) {
            log.dropped += pending.iter().filter(|byte| **byte == b'\n').count() as u64;
            tracing::warn!(%error, path = %path.display(), "the log of an action cannot be written");
        }
    }

    /// Writes the rest; the lines that were written, and those that were dropped.
    fn finish(&self) -> (u64, u64) {
        self.flush();
        let log = self.lines();
        (log.lines, log.dropped)
    }

    /// What is told of an action that came to its end.
    fn end(&self, done: Done) -> AttemptEnd {
        let mut end = AttemptEnd::bare(How::Exited(done.code));
        end.message = self.redactor.text(&done.message);
        end.retry_after = done.retry_after;
        let held = serde_json::to_vec(&done.outputs).is_ok_and(|bytes| self.redactor.is_in(&bytes));
        if held {
            // Outputs are kept for everybody who may read runs. Hiding only the value would hand a wrong one on.
            let problem = "what it found holds a secret; outputs are stored and shown";
            end.outputs.insert(OUTPUT_PROBLEM.to_owned(), problem.into());
        } else {
            end.outputs = done.outputs;
        }
        if !done.artifacts.is_empty() {
            match self.keep(&done.artifacts) {
                Ok(artifacts) => end.artifacts = artifacts,
                Err(error) => end.message = format!("what it left cannot be kept: {error}"),
            }
        }
        end
    }

    fn keep(&self, names: &[String]) -> io::Result<Vec<Artifact>> {
        let folder = self.layout.attempt(self.attempt);
        let mut kept = Vec::with_capacity(names.len());
        for name in names {
            let path = folder.join(paths::ARTIFACTS).join(name);
            let length = fs::metadata(&path)?.len();
            let digest = collect::digest_of(&path, length)?.ok_or_else(|| io::Error::other("it changed meanwhile"))?;
            kept.push(Artifact { name: name.clone(), length, digest });
        }
        collect::move_artifacts(self.attempt, self.layout)?;
        // Nothing else was ever in it.
        fs::remove_dir(&folder)?;
        Ok(kept)
    }
}
