//! Looks on a timer whether runbooks could start that say `preflight:`, so that what is missing is known before somebody needs them.
//! Keeps what it found; makes no run. Sleeps until the next look is due, and for ever where no runbook wants one.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use runbook_core::definition::Runbook;
use runbook_core::kept::Kept;
use runbook_core::preflight::{Checked, Missing, Place};
use runbook_core::time::{Span, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::dispatcher::Handle;
use crate::kept::Shelf;
use crate::library::{Generation, Library};
use crate::placed::{self, Misplaced};
use crate::preflight::Preflight;
use crate::prepare;
use crate::surroundings::Surroundings;

/// How long it sleeps at most: the clock may be set meanwhile.
const LONGEST: Span = Span::minutes(60);

/// What is needed for looks.
pub struct Workshop {
    /// The folder of runbooks.
    pub library: Arc<Library>,
    /// Definitions, secrets, layout.
    pub surroundings: Surroundings,
    /// The way to the dispatcher.
    pub dispatcher: Handle,
    /// What is kept beside the runs.
    pub shelf: Arc<Shelf>,
    /// Told that a look was kept.
    pub looked: Arc<Notify>,
    /// Looks end with it.
    pub drain: CancellationToken,
}

/// What is to be looked at, and how often.
pub fn wanted(folder: &Generation) -> BTreeMap<Place, Span> {
    let mut wanted = BTreeMap::new();
    for runbook in folder.entries.values().filter_map(|entry| entry.runbook()) {
        let Some(preflight) = runbook.preflight else { continue };
        for environment in environments(folder, runbook) {
            let place = Place { runbook: runbook.name.clone(), environment };
            wanted.insert(place, preflight.every);
        }
    }
    wanted
}

/// Where a runbook would start: where its schedules do, and where it says that it may; else in none.
fn environments(folder: &Generation, runbook: &Runbook) -> BTreeSet<Option<String>> {
    let scheduled = folder.schedules(runbook).map(|(_, schedule)| schedule.environment().map(str::to_owned));
    let said = runbook.environments.iter().cloned().map(Some);
    let all: BTreeSet<Option<String>> = scheduled.chain(said).collect();
    match all.is_empty() {
        false => all,
        // One that runs in any environment, and in none but one, would start wherever schedules do.
        true if runbook.needs_environment => folder.scheduled().map(|name| Some(name.to_owned())).collect(),
        true => BTreeSet::from([None]),
    }
}

/// Looks until the daemon drains.
pub async fn run(changed: Arc<Notify>, workshop: Workshop) {
    let preflight = Arc::new(Preflight::default());
    loop {
        let folder = workshop.library.current();
        let now = clock::now();
        // Nothing is known of the folder before it is loaded.
        let wanted = if folder.number == 0 { BTreeMap::new() } else { self::wanted(&folder) };
        let (mut due, mut next): (Vec<Place>, Option<Timestamp>) = (Vec::new(), None);
        let mut gone = Vec::new();
        {
            let records = workshop.shelf.look();
            for (place, every) in &wanted {
                let at = records.preflights.get(place).map_or(now, |checked| checked.next(*every, now));
                if at <= now {
                    due.push(place.clone());
                } else {
                    next = Some(next.map_or(at, |next| next.min(at)));
                }
            }
            // What was found of a runbook counts while its file is broken.
            if folder.number > 0 && folder.is_whole() {
                gone.extend(records.preflights.keys().filter(|place| !wanted.contains_key(place)).cloned());
            }
        }
        if !gone.is_empty() && !workshop.keep(gone.into_iter().map(Kept::NoPreflight).collect()).await {
            return;
        }
        let looked = !due.is_empty();
        for place in due {
            if workshop.drain.is_cancelled() || !workshop.look(&preflight, &folder, place).await {
                return;
            }
        }
        if looked {
            continue;
        }
        let asleep = async {
            match next {
                Some(at) => {
                    let span = (at - now).min(LONGEST).max(Span::millis(100));
                    tokio::time::sleep(Duration::from_micros(span.0.unsigned_abs())).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = asleep => {}
            () = changed.notified() => {}
            () = workshop.drain.cancelled() => return,
        }
    }
}

impl Workshop {
    /// Looks at one place, and keeps what is found; says whether there is still somebody who keeps it.
    async fn look(&self, preflight: &Arc<Preflight>, folder: &Arc<Generation>, place: Place) -> bool {
        let (preflight, folder, surroundings) = (Arc::clone(preflight), Arc::clone(folder), self.surroundings.clone());
        let of = place.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let runbook = folder.entries.get(&of.runbook).and_then(|entry| entry.runbook())?;
            let missing =
                |environment| prepare::missing_by_default(runbook, environment, &folder, &surroundings, &preflight);
            Some(match placed::chosen(&folder, runbook, of.environment.as_deref()) {
                Ok(environment) => missing(environment.as_ref()),
                // Nobody says where it would start.
                Err(Misplaced::Nowhere { .. }) => missing(None),
                Err(misplaced) => vec![Missing { subject: "environment".to_owned(), problem: misplaced.to_string() }],
            })
        });
        let missing = match looked.await {
            Ok(Some(missing)) => missing,
            // It is gone from the folder meanwhile.
            Ok(None) => return true,
            Err(_) => return false,
        };
        if !missing.is_empty() {
            tracing::warn!(
                runbook = place.runbook,
                missing = missing.len(),
                "it could not start now: see `runbook findings`"
            );
        }
        let before = self.shelf.look().preflights.get(&place).cloned();
        let checked = Checked::of(place, clock::now(), missing, before.as_ref());
        self.keep(vec![Kept::Preflight(checked)]).await
    }

    async fn keep(&self, kept: Vec<Kept>) -> bool {
        let kept = self.dispatcher.keep(move |_| Ok::<_, Infallible>(kept)).await.is_ok();
        self.looked.notify_one();
        kept
    }
}
