//! Has the library load the folder of runbooks, watches it, and has it loaded again when it changed. A folder that was put in the
//! place of the one that was watched, as a restore does, is watched from then on. Never knows what is in the files.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};

use crate::library::{FOLDER, Library};
use crate::memory;

/// How long the folder must be quiet before it is loaded again.
const QUIET: Duration = Duration::from_millis(200);
/// It is loaded again after this time in any case, where somebody writes all the time.
const QUIET_MAX: Duration = Duration::from_secs(2);
/// How long after a load the others have taken in what is new: then what reading took is given back.
const TAKEN_IN: Duration = Duration::from_secs(2);
/// How often the folder is loaded again although nothing told that it changed: some file systems tell nothing.
const PERIOD: Duration = Duration::from_secs(60);

/// Starts loading and watching, for as long as the process lives. What is returned tells that the folder was loaded for
/// the first time.
///
/// # Errors
/// There is no thread for it.
pub fn watch(library: &Arc<Library>) -> std::io::Result<Receiver<()>> {
    let library = Arc::clone(library);
    let (first, loaded) = channel();
    std::thread::Builder::new().name("library".into()).spawn(move || {
        let (sender, receiver) = channel();
        let mut watch = Watch::new(library.project(), sender);
        loop {
            // The watch first: what changes while it is loaded is told.
            watch.renew();
            let is_new = library.reload();
            if is_new {
                let generation = library.current();
                let broken = generation.entries.values().filter(|entry| entry.is_broken()).count();
                let number = generation.number;
                tracing::info!(generation = number, runbooks = generation.entries.len(), broken, "runbooks loaded");
            }
            // Nobody waits for it after the first time.
            let _ = first.send(());
            wait_for_change(&receiver, is_new);
        }
    })?;
    Ok(loaded)
}

/// Returns when something changed and the folder is quiet again, and now and then in any case.
fn wait_for_change(receiver: &Receiver<()>, is_new: bool) {
    if is_new {
        // By then the others have taken in what is new.
        match receiver.recv_timeout(TAKEN_IN) {
            Ok(()) => return wait_for_quiet(receiver),
            Err(_) => memory::give_back(),
        }
    }
    if receiver.recv_timeout(PERIOD).is_ok() {
        wait_for_quiet(receiver);
    }
}

/// Returns when the folder is quiet again after a change.
fn wait_for_quiet(receiver: &Receiver<()>) {
    let begun = Instant::now();
    while begun.elapsed() < QUIET_MAX && receiver.recv_timeout(QUIET).is_ok() {}
}

struct Watch {
    project: PathBuf,
    /// Holds the channel open where there is no watcher.
    sender: Sender<()>,
    watcher: Option<RecommendedWatcher>,
    /// The folder that is watched: the kernel watches an inode, whatever bears its name later.
    watched: Option<Identity>,
}

/// Device and inode.
type Identity = (u64, u64);

fn identity(folder: &Path) -> Option<Identity> {
    std::fs::metadata(folder).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Watch {
    fn new(project: &Path, sender: Sender<()>) -> Self {
        Self { project: project.to_owned(), sender, watcher: None, watched: None }
    }

    /// Watches the folder that bears the name now, if another one or none was watched. What was written before told nobody,
    /// so the folder is to be read afterwards.
    fn renew(&mut self) {
        let now = identity(&self.project.join(FOLDER));
        if now == self.watched && self.watcher.is_some() {
            return;
        }
        match self.watcher() {
            Ok(watcher) => {
                self.watcher = Some(watcher);
                self.watched = now;
            }
            Err(error) => {
                if self.watcher.take().is_some() || self.watched != now {
                    tracing::warn!(%error, "the folder of runbooks cannot be watched; it is looked at every minute");
                }
                self.watched = now;
            }
        }
    }

    /// Watches the folder, and that of the project for another one that takes its place.
    fn watcher(&self) -> notify::Result<RecommendedWatcher> {
        let (changed, folder) = (self.sender.clone(), self.project.join(FOLDER));
        let told = folder.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let counts = match &event {
                // Reading the folder must not make it be read again.
                Ok(event) => !event.kind.is_access() && event.paths.iter().any(|path| path.starts_with(&told)),
                Err(_) => true,
            };
            if counts {
                // Nobody waits any more only where the process ends.
                let _ = changed.send(());
            }
        })?;
        watcher.watch(&self.project, RecursiveMode::NonRecursive)?;
        if folder.is_dir() {
            watcher.watch(&folder, RecursiveMode::Recursive)?;
        }
        Ok(watcher)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Far above what the kernel needs to tell.
    const BOUND: Duration = Duration::from_secs(60);

    /// Waits until a change is told, and then until nothing more is.
    fn told(receiver: &Receiver<()>, of: &str) {
        assert!(receiver.recv_timeout(BOUND).is_ok(), "{of} is not told");
        while receiver.recv_timeout(QUIET).is_ok() {}
    }

    #[test]
    fn a_folder_that_took_the_place_is_watched() {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join(FOLDER);
        fs::create_dir(&folder).unwrap();
        let (sender, receiver) = channel();
        let mut watch = Watch::new(project.path(), sender);
        watch.renew();
        fs::write(folder.join("a.yaml"), "a").unwrap();
        told(&receiver, "a file");
        fs::create_dir(folder.join("below")).unwrap();
        told(&receiver, "a folder in it");

        let other = project.path().join("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("b.yaml"), "b").unwrap();
        fs::rename(&folder, project.path().join("before")).unwrap();
        fs::rename(&other, &folder).unwrap();
        told(&receiver, "the exchange");
        watch.renew();
        fs::write(folder.join("c.yaml"), "c").unwrap();
        told(&receiver, "a file in the other folder");

        fs::remove_dir_all(&folder).unwrap();
        told(&receiver, "the loss");
        watch.renew();
        fs::create_dir(&folder).unwrap();
        told(&receiver, "that it is there again");
        watch.renew();
        fs::write(folder.join("d.yaml"), "d").unwrap();
        told(&receiver, "a file in the folder that is there again");
    }

    #[test]
    fn what_else_happens_in_the_project_is_not_told() {
        let project = tempfile::tempdir().unwrap();
        fs::create_dir(project.path().join(FOLDER)).unwrap();
        let (sender, receiver) = channel();
        let mut watch = Watch::new(project.path(), sender);
        watch.renew();
        fs::write(project.path().join("README"), "x").unwrap();
        fs::write(project.path().join(FOLDER).join("a.yaml"), "a").unwrap();
        // The kernel tells in order: what came first would have been told first.
        told(&receiver, "the runbook");
        fs::write(project.path().join("README"), "y").unwrap();
        fs::read(project.path().join(FOLDER).join("a.yaml")).unwrap();
        assert!(receiver.try_recv().is_err());
    }
}
