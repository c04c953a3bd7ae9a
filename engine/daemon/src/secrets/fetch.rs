//! Reads secrets that take long in threads of their own, so that nobody else waits for them. Never knows what they are for.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runbook_core::machine::AttemptRef;

use super::{Purpose, Secrets, Source};

/// How many secrets are read at the same time.
const READERS: usize = 8;
/// How long after a failure one that comes over a network is tried again.
const AGAIN: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// Secrets by name: their values, or in words why there is none.
pub type Fetched = BTreeMap<String, Result<String, String>>;

/// A secret, and the runbook and environment that it is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Wanted {
    name: String,
    runbook: String,
    environment: Option<String>,
}

/// What is to be read, and who waits for it.
#[derive(Default)]
struct Queue {
    wanted: VecDeque<Wanted>,
    /// By what has not begun to be read. What is read from now on is new enough for all of them.
    waiting: HashMap<Wanted, Vec<AttemptRef>>,
    /// What each has so far, and how many it waits for.
    attempts: HashMap<AttemptRef, (Fetched, usize)>,
}

struct Shared {
    secrets: Arc<Secrets>,
    queue: Mutex<Queue>,
    more: Condvar,
    tell: Box<dyn Fn(AttemptRef, Fetched) + Send + Sync>,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handle to the readers.
pub struct Fetcher(Arc<Shared>);

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fetcher")
    }
}

impl Fetcher {
    /// Starts the readers. `tell` is called with all that an attempt waited for.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(
        secrets: Arc<Secrets>,
        tell: impl Fn(AttemptRef, Fetched) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let shared = Shared { secrets, queue: Mutex::default(), more: Condvar::new(), tell: Box::new(tell) };
        let shared = Arc::new(shared);
        for index in 0..READERS {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("secrets-{index}")).spawn(move || read(&shared))?;
        }
        Ok(Self(shared))
    }

    /// Reads some secrets for an attempt, and tells of them with those that it has.
    pub fn fetch(&self, attempt: AttemptRef, purpose: Purpose<'_>, names: BTreeSet<String>, has: Fetched) {
        let mut guard = self.0.queue();
        let queue = &mut *guard;
        queue.attempts.insert(attempt, (has, names.len()));
        for name in names {
            let (runbook, environment) = (purpose.runbook.to_owned(), purpose.environment.map(str::to_owned));
            let wanted = Wanted { name, runbook, environment };
            let waiting = queue.waiting.entry(wanted.clone()).or_default();
            if waiting.is_empty() {
                queue.wanted.push_back(wanted);
            }
            waiting.push(attempt);
        }
        drop(guard);
        self.0.more.notify_all();
    }
}

/// Reads for as long as the process lives.
fn read(shared: &Shared) {
    loop {
        let (wanted, waiting) = next(shared);
        let Wanted { name, runbook, environment } = &wanted;
        let purpose = Purpose { runbook, environment: environment.as_deref() };
        let mut value = shared.secrets.read(name, purpose);
        let remote = shared.secrets.source(name, purpose.environment).is_some_and(Source::is_remote);
        for pause in AGAIN.iter().filter(|_| remote) {
            if value.is_ok() {
                break;
            }
            std::thread::sleep(*pause);
            value = shared.secrets.read(name, purpose);
        }
        let mut queue = shared.queue();
        let mut whole = Vec::new();
        for attempt in waiting {
            let Some((fetched, left)) = queue.attempts.get_mut(&attempt) else { continue };
            fetched.insert(name.clone(), value.clone());
            *left -= 1;
            if *left == 0 {
                whole.extend(queue.attempts.remove_entry(&attempt));
            }
        }
        drop(queue);
        for (attempt, (fetched, _)) in whole {
            (shared.tell)(attempt, fetched);
        }
    }
}

fn next(shared: &Shared) -> (Wanted, Vec<AttemptRef>) {
    let mut queue = shared.queue();
    loop {
        if let Some(wanted) = queue.wanted.pop_front() {
            let waiting = queue.waiting.remove(&wanted).unwrap_or_default();
            return (wanted, waiting);
        }
        queue = shared.more.wait(queue).unwrap_or_else(PoisonError::into_inner);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use runbook_core::id::{AttemptNo, RunUid, StepNo};

    use super::super::Secret;
    use super::*;

    #[test]
    fn each_attempt_is_told_once_of_all_that_it_wants() {
        let folder = tempfile::tempdir().unwrap();
        let count = folder.path().join("count");
        let script = format!("echo x >> {}; echo value", count.display());
        let exec = |script: &str| Secret {
            source: Some(Source::Exec { argv: ["sh", "-c", script].map(str::to_owned).into(), folder: "/".into() }),
            environments: BTreeMap::new(),
            runbooks: None,
            multiline: false,
        };
        let declared = [("good".to_owned(), exec(&script)), ("bad".to_owned(), exec("exit 1"))];
        let (sender, told) = mpsc::channel();
        let fetcher = Fetcher::start(Arc::new(Secrets::new(declared.into())), move |attempt, fetched| {
            sender.send((attempt, fetched)).unwrap();
        })
        .unwrap();
        let names = || BTreeSet::from(["good".to_owned(), "bad".to_owned()]);
        for number in 1..=50 {
            let attempt = AttemptRef { run: RunUid::from_bits(1), step: StepNo(0), attempt: AttemptNo(number) };
            let has = Fetched::from([("other".to_owned(), Ok("had".to_owned()))]);
            fetcher.fetch(attempt, Purpose { runbook: "backup", environment: None }, names(), has);
        }
        let mut seen = BTreeSet::new();
        for (attempt, fetched) in told.iter().take(50) {
            assert!(seen.insert(attempt.attempt.0), "told twice");
            assert_eq!((fetched["good"].as_deref(), fetched["other"].as_deref()), (Ok("value"), Ok("had")));
            assert!(fetched["bad"].as_ref().unwrap_err().contains("code 1"));
        }
        // Those that wait share a reading that begins after they asked.
        assert!(std::fs::read_to_string(&count).unwrap().lines().count() <= 50);
    }
}
