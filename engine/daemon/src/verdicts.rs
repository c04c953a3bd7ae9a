//! Keeps how targets stood: looks at all of them when a run or a look has said something, the folder changed, or time alone changes
//! a verdict; else sleeps. What a verdict is, and what of it is new, is the core's.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use runbook_core::kept::Kept;
use runbook_core::time::{Span, Timestamp};
use runbook_core::verdicts::{Stood, Target};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::dispatcher::Handle;
use crate::kept::Shelf;
use crate::library::Library;
use crate::readiness::Readiness;

/// How long it sleeps at most: the clock may be set meanwhile, and what is old has to go.
const LONGEST: Span = Span::minutes(60);
/// How long it sleeps at least: many runs may end one after the other.
const SHORTEST: Span = Span::millis(200);

/// What is needed to look.
pub struct Workshop {
    /// The folder of runbooks.
    pub library: Arc<Library>,
    /// What runs said.
    pub readiness: Arc<Readiness>,
    /// What is kept beside the runs.
    pub shelf: Arc<Shelf>,
    /// The way to the dispatcher.
    pub dispatcher: Handle,
    /// It ends with it.
    pub drain: CancellationToken,
}

/// Looks until the daemon drains. `changed` is told that the folder, or what is kept, may have changed.
pub async fn run(changed: Arc<Notify>, workshop: Workshop) {
    let news = workshop.readiness.news();
    loop {
        let asleep = match workshop.look().await {
            Some(Some(next)) => next - clock::now(),
            Some(None) => LONGEST,
            None => return,
        };
        let asleep = Duration::from_micros(asleep.clamp(SHORTEST, LONGEST).0.unsigned_abs());
        let least = Duration::from_micros(SHORTEST.0.unsigned_abs());
        tokio::select! {
            () = workshop.drain.cancelled() => return,
            () = tokio::time::sleep(least) => {}
        }
        tokio::select! {
            () = workshop.drain.cancelled() => return,
            () = news.notified() => {}
            () = changed.notified() => {}
            () = tokio::time::sleep(asleep - least) => {}
        }
    }
}

impl Workshop {
    /// Looks, and keeps what has changed; says when time alone will change something, and `None` where nobody keeps anything more.
    async fn look(&self) -> Option<Option<Timestamp>> {
        let folder = self.library.current();
        let unknown = self.shelf.look().verdicts.targets().next().is_none();
        let wanted = folder.entries.values().filter_map(|entry| entry.runbook()).any(|it| it.objective.is_some());
        // Nothing is known of the folder before it is loaded; and where nobody wants anything the journal is not asked.
        if folder.number == 0 || (unknown && !wanted) {
            return Some(None);
        }
        let whole = folder.is_whole();
        let (readiness, shelf) = (Arc::clone(&self.readiness), Arc::clone(&self.shelf));
        let look = move || {
            let preflights = shelf.look().preflights.clone();
            readiness.look(&folder, &preflights, clock::now())
        };
        let standing = match tokio::task::spawn_blocking(look).await {
            Ok(Ok(found)) => found.targets,
            Ok(Err(error)) => {
                tracing::warn!(%error, "how targets stand cannot be told now; it is looked again");
                return Some(None);
            }
            Err(_) => return None,
        };
        let next = standing.iter().filter_map(|standing| standing.due).min();
        let stood = standing
            .into_iter()
            .map(|it| -> (Target, Stood) { (it.target, Stood { verdict: Some(it.verdict), reasons: it.reasons }) });
        let (stood, now) = (stood.collect(), clock::now());
        let changes = self.shelf.look().verdicts.changes(now, &stood, whole);
        if !changes.is_empty() {
            // Nobody else changes any of them.
            let kept = changes.into_iter().map(Kept::Verdict).collect();
            self.dispatcher.keep(move |_| Ok::<_, Infallible>(kept)).await.ok()?.ok()?;
        }
        Some(next)
    }
}
