//! Attempts on this machine: placing, spawning, stopping, adopting and reconciling them by the shim's protocol.
//!
//! All work on one attempt is done by one worker, in order, so that a stop never overtakes its start. Tells the
//! dispatcher only ends and needs; never knows steps, policies or the journal.

mod clean;
mod collect;
mod inside;
mod outputs;
mod place;
mod reconcile;
mod spare;
mod waiter;
mod worker;

pub use clean::{Standing, sweep};
pub use inside::Insiders;
use place::ShimOrder;
pub use place::{ShimCopy, StartOrder};

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use runbook_actions::Order;
use runbook_core::machine::AttemptRef;
use runbook_core::run::{AttemptEnd, StopLevel};
use runbook_core::time::Span;

use crate::layout::Layout;

/// How many workers share the attempts.
const WORKERS: usize = 4;
/// How often a shim is tried that exits without a claim.
const SPAWNS: u32 = 3;
/// The kept log of one attempt, in bytes.
pub const LOG_BYTES: u64 = 64 << 20;

/// What the attempts tell the dispatcher.
#[derive(Debug)]
pub enum Report {
    /// An attempt came to its end.
    Ended(AttemptRef, Box<AttemptEnd>),
    /// An attempt provably never ran and is to be spawned again.
    NeedsStart(AttemptRef),
    /// An attempt provably never ran, and does not: these inputs are missing.
    Withheld(AttemptRef, BTreeSet<String>),
}

/// Takes the reports. Called from several threads.
pub type Reporter = Arc<dyn Fn(Report) + Send + Sync>;

/// How an attempt that is found after a start of the daemon should be going on.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// The attempt.
    pub attempt: AttemptRef,
    /// The step's id, for people.
    pub step: String,
    /// Whether it began in another boot of the machine.
    pub foreign: bool,
    /// Whether the daemon that began it carried it out itself.
    pub inside: bool,
    /// How it should be going on.
    pub level: StopLevel,
    /// Its timeout and the grace of its stop, from the definition.
    pub patience: Patience,
}

/// How long a shim may hold its lock.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The attempt's timeout.
    pub timeout: Option<Span>,
    /// The grace between the stop signal and KILL.
    pub grace: Span,
}

enum Job {
    Start(Box<ShimOrder>),
    Adopt(Adoption),
    Stop(AttemptRef, StopLevel),
    CallOff(AttemptRef),
    Withhold(AttemptRef, BTreeSet<String>),
    Look(AttemptRef),
    Overdue(AttemptRef),
    Clean(AttemptRef, bool),
    Barrier(Sender<()>),
}

/// What is known of an attempt while it is under way.
#[derive(Debug)]
struct Record {
    /// The step's id, for people.
    step: String,
    pidfd: Option<OwnedFd>,
    /// Whether the shim is a child of this daemon, to be reaped.
    child: bool,
    /// Shims that this daemon spawned for it.
    spawns: u32,
    /// The exit code of the latest shim.
    exit_code: Option<i32>,
    /// Whether a shim exited since it was looked at.
    exited: bool,
    /// Whether something that takes long is being done about it.
    busy: bool,
    /// Whether it began in another boot of the machine, as the journal says. Its directory may have gone with the power.
    foreign: bool,
    /// Whether this daemon placed it, with nothing in its directory but what each attempt has.
    own: bool,
    level: StopLevel,
    patience: Patience,
}

impl Record {
    /// Of an attempt of which nothing has been done or seen yet.
    const fn new(step: String, level: StopLevel, patience: Patience) -> Self {
        Self {
            step,
            pidfd: None,
            child: false,
            spawns: 0,
            exit_code: None,
            exited: false,
            busy: false,
            foreign: false,
            own: false,
            level,
            patience,
        }
    }
}

struct Shared {
    layout: Layout,
    shim: ShimCopy,
    boot: String,
    report: Reporter,
    records: Mutex<HashMap<AttemptRef, Record>>,
    waiter: waiter::Handle,
    spares: spare::Spares,
    /// Attempts that are over and whose directories can be used again.
    plain: Mutex<HashSet<AttemptRef>>,
}

impl Shared {
    fn plain(&self) -> std::sync::MutexGuard<'_, HashSet<AttemptRef>> {
        self.plain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn records(&self) -> std::sync::MutexGuard<'_, HashMap<AttemptRef, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of an attempt's step for the log; its number where the id is not at hand.
    fn step(&self, attempt: AttemptRef) -> String {
        let known = self.records.try_lock().ok().and_then(|records| records.get(&attempt).map(|r| r.step.clone()));
        known.unwrap_or_else(|| attempt.step.0.to_string())
    }
}

/// The handle to all attempts.
pub struct Attempts {
    workers: Vec<Sender<Job>>,
    insiders: Arc<Insiders>,
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempts").field("workers", &self.workers.len()).finish()
    }
}

impl Attempts {
    /// Starts the workers and the waiter.
    ///
    /// # Errors
    /// A thread or an epoll instance cannot be had.
    pub fn start(layout: Layout, shim: ShimCopy, boot: String, report: Reporter) -> io::Result<Self> {
        let (waiter, events) = waiter::start()?;
        let spares = spare::Spares::new(&layout)?;
        let insiders = Insiders::start(layout.clone(), Arc::clone(&report))?;
        let shared =
            Shared { layout, shim, boot, report, records: Mutex::default(), waiter, spares, plain: Mutex::default() };
        let shared = Arc::new(shared);
        let mut workers = Vec::with_capacity(WORKERS);
        for index in 0..WORKERS {
            let (sender, receiver) = mpsc::channel();
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name(format!("attempts-{index}"))
                .spawn(move || worker::run(&shared, &receiver))?;
            workers.push(sender);
        }
        let to_workers = workers.clone();
        events.start(move |event| {
            let (attempt, job) = match event {
                waiter::Event::Gone(attempt) | waiter::Event::Look(attempt) => (attempt, Job::Look(attempt)),
                waiter::Event::Overdue(attempt) => (attempt, Job::Overdue(attempt)),
            };
            send(&to_workers, attempt, job);
        })?;
        Ok(Self { workers, insiders })
    }

    /// Starts an attempt, or starts it again after it provably never ran.
    pub fn spawn(&self, order: StartOrder) {
        let StartOrder { attempt, step, order } = order;
        match order {
            Order::Command(prepared) => {
                send(&self.workers, attempt, Job::Start(Box::new(ShimOrder { attempt, step, prepared })));
            }
            Order::Inside(action) => self.insiders.begin(attempt, action),
        }
    }

    /// The attempts that end with the daemon.
    pub fn insiders(&self) -> Arc<Insiders> {
        Arc::clone(&self.insiders)
    }

    /// Takes up an attempt that the journal says may have processes.
    pub fn adopt(&self, adoption: Adoption) {
        match adoption.inside {
            true => self.insiders.lost(adoption.attempt),
            false => send(&self.workers, adoption.attempt, Job::Adopt(adoption)),
        }
    }

    /// Stops an attempt, or stops it harder.
    pub fn stop(&self, attempt: AttemptRef, level: StopLevel) {
        if !self.insiders.stop(attempt) {
            send(&self.workers, attempt, Job::Stop(attempt, level));
        }
    }

    /// Sees to it that an attempt never begins, which this daemon has not begun.
    pub fn call_off(&self, attempt: AttemptRef) {
        send(&self.workers, attempt, Job::CallOff(attempt));
    }

    /// Sees to it that an attempt never begins that these inputs are missing for, unless it has begun already.
    pub fn withhold(&self, attempt: AttemptRef, inputs: BTreeSet<String>) {
        send(&self.workers, attempt, Job::Withhold(attempt, inputs));
    }

    /// Keeps what is worth keeping of an attempt whose end is durable, and removes the rest; where its run is over,
    /// the run's folder too.
    pub fn clean(&self, attempt: AttemptRef, run_is_over: bool) {
        send(&self.workers, attempt, Job::Clean(attempt, run_is_over));
    }

    /// Waits until everything that was asked for so far has been done.
    pub fn settle(&self) {
        let (sender, receiver) = mpsc::channel();
        for worker in &self.workers {
            // A worker ends only with the process.
            let _ = worker.send(Job::Barrier(sender.clone()));
        }
        drop(sender);
        while receiver.recv().is_ok() {}
    }
}

fn send(workers: &[Sender<Job>], attempt: AttemptRef, job: Job) {
    let mut hasher = DefaultHasher::new();
    attempt.hash(&mut hasher);
    let index = hasher.finish() as usize % workers.len().max(1);
    if let Some(worker) = workers.get(index) {
        // A worker ends only with the process.
        let _ = worker.send(job);
    }
}
