//! A runbook whose file is broken or gone, as its newest run had it: the text is in that run's definition. Never starts
//! anything.

use std::sync::Arc;

use tonic::{Code, Status};

use super::from_proto::Wanted;
use super::{Shared, errors, internal};
use crate::library::FOLDER;
use crate::versions::{self, Version};

/// The newest runs of the runbook whose definitions are looked at: those that were started from another file do not count.
const RUNS: usize = 100;

/// The last good version of a runbook.
pub(super) struct LastGood {
    /// Its text.
    pub wanted: Wanted,
    /// The number of the run that went by it.
    pub run: u64,
}

/// Finds it, for a runbook by its bare name.
///
/// # Errors
/// The file is good, no run of it went by a good one, or the store cannot be read.
pub(super) async fn last_good(shared: &Arc<Shared>, name: String) -> Result<LastGood, Status> {
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || find(&shared, &name)).await.map_err(|error| internal(&error))?
}

fn find(shared: &Shared, name: &str) -> Result<LastGood, Status> {
    let generation = shared.library.latest();
    let entry = generation.entries.get(name);
    if entry.is_some_and(|entry| entry.runbook().is_some()) {
        let problem = format!("the file of {name} is good: leave this out, and the run goes by it");
        return Err(errors::bad_field("last_good", problem));
    }
    let below = format!("{FOLDER}/");
    // Who starts a text that is in no folder may give it any name.
    let is_its_file = |file: &str| match entry {
        Some(entry) => file == entry.file(),
        None => file.starts_with(&below),
    };
    let definitions = &shared.surroundings.definitions;
    let versions = versions::newest(&*shared.reader, definitions, RUNS, &mut |row| row.runbook == name);
    let found = versions.map_err(|error| internal(&error))?.find(|version| is_its_file(&version.file));
    if let Some(Version { run, file, source, .. }) = found {
        return Ok(LastGood { wanted: Wanted::Source { bytes: source.into_bytes(), file }, run });
    }
    let shown: String = name.chars().take(80).collect();
    let problem = format!("no run that is kept went by a good file of {shown:?}: mend the file");
    Err(errors::status(Code::NotFound, "NO_LAST_GOOD", problem))
}
