//! Directories of attempts that are over, used again for the next ones: on some file systems a file that is made costs
//! more than the command that it is for. A spare directory holds no claim, a spoiled `child`, and files whose content is
//! overwritten before anybody reads them; it is out of reach of every shim, since its path is another one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use runbook_shim::files::{self as shim_files, SmallFile as _, Spec};
use runbook_shim::paths;

use crate::files;
use crate::layout::Layout;

/// Spare directories that are kept.
const SPARES: usize = 256;

/// The spare directories of this daemon. What another one left is removed at start.
#[derive(Debug)]
pub(super) struct Spares {
    folder: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    spare: Vec<PathBuf>,
}

impl Spares {
    /// No spare directory yet; what another daemon left is removed.
    ///
    /// # Errors
    /// The folder for them cannot be made anew.
    pub(super) fn new(layout: &Layout) -> io::Result<Self> {
        let folder = layout.spare_attempts();
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        files::make_private_directory(&folder)?;
        Ok(Self { folder, state: Mutex::default() })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a spare directory in the place of an attempt's; says whether there was one.
    ///
    /// # Errors
    /// It cannot be put there; `NotFound` where the folder above is missing.
    pub(super) fn take(&self, directory: &Path) -> io::Result<bool> {
        let Some(spare) = self.state().spare.pop() else { return Ok(false) };
        match fs::rename(&spare, directory) {
            Ok(()) => {
                // What it says is about a shim that is gone.
                shim_files::spoil(&directory.join(paths::LOCK))?;
                Ok(true)
            }
            Err(error) => {
                self.state().spare.push(spare);
                Err(error)
            }
        }
    }

    /// Makes a spare directory of one whose attempt is over and left nothing but the files that each attempt has.
    ///
    /// # Errors
    /// A file of it is missing, or something cannot be renamed: it is to be removed then.
    pub(super) fn give(&self, directory: &Path) -> io::Result<()> {
        let target = {
            let mut state = self.state();
            if state.spare.len() >= SPARES {
                return Err(io::Error::other("there are enough spare directories"));
            }
            state.next += 1;
            self.folder.join(state.next.to_string())
        };
        // While the claim is there no shim can begin, so it goes last.
        fs::rename(directory.join(Spec::NAME), directory.join(format!(".{}.new", Spec::NAME)))?;
        fs::rename(directory.join(paths::VERDICT), directory.join(paths::VERDICT_RESERVE))?;
        shim_files::spoil(&directory.join(paths::CHILD))?;
        fs::rename(directory, &target)?;
        fs::remove_file(target.join(paths::CLAIM))?;
        self.state().spare.push(target);
        Ok(())
    }
}
