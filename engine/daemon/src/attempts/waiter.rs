//! One thread that waits for shims to exit and for moments to come. Knows attempts as names only.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use runbook_core::machine::AttemptRef;
use rustix::event::{EventfdFlags, epoll, eventfd};

/// What the waiter tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// The shim exited.
    Gone(AttemptRef),
    /// It is time to look again.
    Look(AttemptRef),
    /// The shim holds its lock longer than it may.
    Overdue(AttemptRef),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Alarm {
    Look,
    Overdue,
}

#[derive(Default)]
struct State {
    next: u64,
    watched: HashMap<u64, (AttemptRef, OwnedFd)>,
    alarms: BTreeSet<(Instant, AttemptRef, Alarm)>,
    /// The one `Overdue` alarm of an attempt, so that it can be taken back.
    overdue: HashMap<AttemptRef, Instant>,
}

struct Inner {
    epoll: OwnedFd,
    wake: OwnedFd,
    state: Mutex<State>,
}

/// Asks the waiter to watch.
#[derive(Clone)]
pub(super) struct Handle {
    inner: Arc<Inner>,
}

/// The waiter before it runs.
pub(super) struct Waiter {
    inner: Arc<Inner>,
}

/// The key of the eventfd that interrupts a wait.
const WAKE: u64 = u64::MAX;
/// How many exits are taken at once.
const EVENTS: usize = 256;

pub(super) fn start() -> io::Result<(Handle, Waiter)> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    epoll::add(&epoll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
    let inner = Arc::new(Inner { epoll, wake, state: Mutex::default() });
    Ok((Handle { inner: Arc::clone(&inner) }, Waiter { inner }))
}

impl Handle {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells once when the process of this pidfd has exited.
    pub(super) fn watch(&self, attempt: AttemptRef, pidfd: &OwnedFd) -> io::Result<()> {
        let own = pidfd.as_fd().try_clone_to_owned()?;
        let mut state = self.state();
        let key = state.next;
        state.next += 1;
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ONESHOT;
        epoll::add(&self.inner.epoll, &own, epoll::EventData::new_u64(key), flags)?;
        state.watched.insert(key, (attempt, own));
        Ok(())
    }

    /// Tells `Look` after a while.
    pub(super) fn look_after(&self, attempt: AttemptRef, wait: Duration) {
        self.alarm(attempt, Alarm::Look, wait);
    }

    /// Tells `Overdue` after a while, unless the attempt is forgotten before; an earlier such wish is replaced.
    pub(super) fn overdue_after(&self, attempt: AttemptRef, wait: Duration) {
        self.forget(attempt);
        let at = self.alarm(attempt, Alarm::Overdue, wait);
        self.state().overdue.insert(attempt, at);
    }

    /// The attempt is over: it cannot be overdue any more.
    pub(super) fn forget(&self, attempt: AttemptRef) {
        let mut state = self.state();
        if let Some(at) = state.overdue.remove(&attempt) {
            state.alarms.remove(&(at, attempt, Alarm::Overdue));
        }
    }

    fn alarm(&self, attempt: AttemptRef, alarm: Alarm, wait: Duration) -> Instant {
        let at = Instant::now() + wait;
        let mut state = self.state();
        let first = state.alarms.first().is_none_or(|(first, _, _)| at < *first);
        state.alarms.insert((at, attempt, alarm));
        drop(state);
        if first {
            // The counter cannot overflow: the waiter empties it.
            let _ = rustix::io::write(&self.inner.wake, &1u64.to_ne_bytes());
        }
        at
    }
}

impl Waiter {
    /// Runs in a thread of its own, for ever.
    pub(super) fn start(self, tell: impl Fn(Event) + Send + 'static) -> io::Result<()> {
        std::thread::Builder::new().name("attempts-waiter".into()).spawn(move || self.run(&tell))?;
        Ok(())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, tell: &dyn Fn(Event)) {
        let mut buffer: Vec<epoll::Event> = Vec::with_capacity(EVENTS);
        loop {
            buffer.clear();
            let timeout = self.state().alarms.first().map(|(at, _, _)| at.saturating_duration_since(Instant::now()));
            let timeout = timeout.and_then(|t| rustix::time::Timespec::try_from(t).ok());
            match epoll::wait(&self.inner.epoll, rustix::buffer::spare_capacity(&mut buffer), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "waiting for shims failed; their ends are found at the next start");
                    return;
                }
            }
            for event in &buffer {
                let key = event.data.u64();
                if key == WAKE {
                    let mut counter = [0; 8];
                    // Nothing to read means that another pass has read it.
                    let _ = rustix::io::read(&self.inner.wake, &mut counter);
                    continue;
                }
                let gone = self.state().watched.remove(&key);
                if let Some((attempt, pidfd)) = gone {
                    // The descriptor closes here, which takes it out of the set as well.
                    let _ = epoll::delete(&self.inner.epoll, &pidfd);
                    tell(Event::Gone(attempt));
                }
            }
            let now = Instant::now();
            let mut due = Vec::new();
            {
                let mut state = self.state();
                while state.alarms.first().is_some_and(|(at, _, _)| *at <= now) {
                    due.extend(state.alarms.pop_first());
                }
            }
            for (_, attempt, alarm) in due {
                tell(match alarm {
                    Alarm::Look => Event::Look(attempt),
                    Alarm::Overdue => Event::Overdue(attempt),
                });
            }
        }
    }
}
