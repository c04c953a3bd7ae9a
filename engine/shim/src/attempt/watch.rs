//! Watching over the command: its output, its end, its timeout, a request to stop it. One loop over poll(2).

use std::time::{Duration, Instant};

use runbook_shim::files::{Exit, LogCount, Spec, StopRequest, StopSignal, StopTarget};
use runbook_shim::log::Stream;
use runbook_shim::redact::Redactor;
use runbook_shim::time::now_micros;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;

use super::command::Started;
use super::logfile::LogFile;
use super::output::{Output, READ_BYTES};
use super::system::{self, Children, Signals};
use super::{read_stop, tree};

/// The beginning of a line is written down when its end has not come for this long.
const PARTIAL_AFTER: Duration = Duration::from_secs(1);

/// How often to look whether the rest of a stopped group has gone: it need not be our children who go.
const GROUP_LOOK: Duration = Duration::from_millis(50);

/// One stream is read at most so many times before the other has its turn.
const READS_IN_A_ROW: u32 = 16;

/// So many reads empty any pipe that nobody writes to any more: it holds a megabyte, unless root made it larger.
const LAST_READS: u32 = 1 << 10;

/// Why the command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// By itself, or by somebody else's signal.
    Own,
    /// Its timeout.
    Timeout,
    /// This request.
    Stop(StopRequest),
}

/// What there is to say of a command that ended.
#[derive(Debug)]
pub struct Watched {
    /// How it ended.
    pub exit: Exit,
    /// Why.
    pub cause: Cause,
    /// Whether it had to be killed for that cause.
    pub killed: bool,
    /// The newest request to stop that was read.
    pub stop: Option<StopRequest>,
    /// When it ended, by the monotonic clock.
    pub ended: Instant,
    /// When it ended, in microseconds since 1970.
    pub ended_at: i64,
    /// How many of its processes were left and were killed.
    pub leftover: u32,
    /// What was logged.
    pub log: LogCount,
    /// What went wrong besides.
    pub problems: Vec<String>,
}

struct Watch<'a> {
    spec: &'a Spec,
    signals: &'a Signals,
    leader: u32,
    /// How the command ended, and when. It is not reaped before all is over, so that its pid stays its own.
    end: Option<(Exit, Instant, i64)>,
    cause: Cause,
    stop: Option<StopRequest>,
    timeout_at: Option<Instant>,
    kill_at: Option<Instant>,
    drain_until: Option<Instant>,
    streams: [Output; 2],
    redactor: &'a Redactor,
    log: LogFile,
    buffer: Vec<u8>,
}

/// Watches until the command and all its descendants are gone.
pub fn watch(spec: &Spec, redactor: &Redactor, signals: &Signals, started: Started, began: Instant) -> Watched {
    let watch = Watch {
        spec,
        signals,
        leader: started.pid,
        end: None,
        cause: Cause::Own,
        stop: None,
        // A time too far away to be counted never comes.
        timeout_at: spec.timeout_ms.and_then(|ms| began.checked_add(Duration::from_millis(ms))),
        kill_at: None,
        drain_until: None,
        streams: [Output::new(started.out, Stream::Out), Output::new(started.err, Stream::Err)],
        redactor,
        log: LogFile::new(spec.log_cap_bytes),
        buffer: Vec::with_capacity(READ_BYTES),
    };
    watch.until_all_is_over()
}

impl Watch<'_> {
    fn until_all_is_over(mut self) -> Watched {
        while !self.over() {
            self.wait();
            self.read_streams();
            let came = self.signals.read();
            if came.child {
                self.look_for_end();
            }
            if came.term {
                self.consider_stop();
            }
            self.consider_timeout();
        }
        self.finish()
    }

    /// Whether nothing is left to wait for, but what is left of the tree.
    fn over(&mut self) -> bool {
        let now = Instant::now();
        if self.kill_at.is_some_and(|at| at <= now) {
            return true;
        }
        if self.end.is_none() || self.group_goes_on() {
            return false;
        }
        if self.streams.iter().all(|s| s.fd().is_none()) || self.stop.as_ref().is_some_and(|s| s.now) {
            return true;
        }
        let drain = Duration::from_millis(self.spec.drain_ms);
        *self.drain_until.get_or_insert_with(|| now.checked_add(drain).unwrap_or(now)) <= now
    }

    /// Whether others of a stopped group use the grace that they have, too.
    fn group_goes_on(&self) -> bool {
        self.kill_at.is_some()
            && self.spec.stop.to == StopTarget::Group
            && self.drain_until.is_none()
            && !tree::in_group(self.leader).is_empty()
    }

    fn wait(&self) {
        let now = Instant::now();
        let partial = self
            .streams
            .iter()
            .filter_map(Output::partial_since)
            .filter_map(|since| since.checked_add(PARTIAL_AFTER))
            .min();
        let timeout = self.timeout_at.filter(|_| self.end.is_none() && self.cause == Cause::Own);
        let group_look = (self.end.is_some() && self.drain_until.is_none()).then(|| now + GROUP_LOOK);
        let next = [partial, timeout, group_look, self.kill_at, self.drain_until].into_iter().flatten().min();
        let timespec = next.map(|at| {
            let left = at.saturating_duration_since(now);
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        });
        let mut fds = Vec::with_capacity(3);
        fds.push(PollFd::new(self.signals, PollFlags::IN));
        fds.extend(self.streams.iter().filter_map(Output::fd).map(|fd| PollFd::new(fd, PollFlags::IN)));
        // Whatever came, time or an error: the caller looks at everything.
        let _ = poll(&mut fds, timespec.as_ref());
    }

    fn read_streams(&mut self) {
        self.log.tick();
        let now = Instant::now();
        for stream in &mut self.streams {
            // All that is there of the one before the other, so that an error follows the output that led to it.
            let mut reads = READS_IN_A_ROW;
            while reads > 0 && stream.read(&mut self.buffer, self.redactor, &mut self.log) {
                reads -= 1;
            }
            if stream.partial_since().is_some_and(|since| now.saturating_duration_since(since) >= PARTIAL_AFTER) {
                stream.flush_partial(&mut self.log);
            }
        }
        self.log.flush();
    }

    /// Reaps orphans, and notes the command's end without reaping it.
    fn look_for_end(&mut self) {
        while self.end.is_none() {
            match system::peek() {
                Children::Ended(pid, exit) if pid == self.leader => {
                    self.end = Some((exit, Instant::now(), now_micros()))
                }
                Children::Ended(pid, _) => system::reap_this(pid),
                Children::None | Children::Live => break,
            }
        }
    }

    fn consider_stop(&mut self) {
        let Some(request) = read_stop() else { return };
        let now = Instant::now();
        self.stop = Some(request.clone());
        // A command that ended by itself in the same moment was not stopped.
        self.look_for_end();
        if self.end.is_none() && self.cause == Cause::Own {
            self.cause = Cause::Stop(request.clone());
            if !request.now {
                self.ask_to_end(now);
            }
        }
        if request.now && self.cause != Cause::Own {
            self.kill_at = Some(now);
        }
    }

    fn consider_timeout(&mut self) {
        let now = Instant::now();
        if self.cause != Cause::Own || self.end.is_some() || self.timeout_at.is_none_or(|at| now < at) {
            return;
        }
        self.look_for_end();
        if self.end.is_none() {
            self.cause = Cause::Timeout;
            self.ask_to_end(now);
        }
    }

    /// Sends the signal that asks, and sets the time when asking is over.
    fn ask_to_end(&mut self, now: Instant) {
        let policy = self.spec.stop;
        self.kill_at = now.checked_add(Duration::from_millis(policy.grace_ms));
        let signal = match policy.signal {
            StopSignal::Term => Signal::TERM,
            StopSignal::Int => Signal::INT,
        };
        let group = policy.to == StopTarget::Group;
        system::signal_child(self.leader, group, signal);
        // Who is stopped gets no other signal before it goes on.
        system::signal_child(self.leader, group, Signal::CONT);
    }

    fn finish(mut self) -> Watched {
        self.look_for_end();
        let killed = self.end.is_none();
        let leaving = !killed && self.kill_at.is_none_or(|at| at > Instant::now());
        let felled = tree::fell(self.leader, self.signals, leaving);
        let (exit, ended, ended_at) = match self.end {
            Some(end) => end,
            None => (felled.leader.unwrap_or(Exit::Signal(libc::SIGKILL)), Instant::now(), now_micros()),
        };
        self.log.tick();
        for stream in &mut self.streams {
            // What is still in the pipe; bounded, since somebody outside of the tree could hold it and go on writing.
            let mut reads = LAST_READS;
            while reads > 0 && stream.read(&mut self.buffer, self.redactor, &mut self.log) {
                self.log.flush();
                reads -= 1;
            }
            stream.close(self.redactor, &mut self.log);
        }
        let (log, problem) = self.log.finish();
        Watched {
            exit,
            cause: self.cause,
            killed,
            stop: self.stop,
            ended,
            ended_at,
            leftover: felled.others,
            log,
            problems: problem.into_iter().collect(),
        }
    }
}
