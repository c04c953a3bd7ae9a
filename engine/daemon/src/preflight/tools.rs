//! Programs: whether they are where a command would find them, and of which version they are. Starts them only to ask for
//! that, each file once. Never knows which of them a run needs.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use runbook_core::definition::Tool;
use runbook_core::needs::Wanted;

use super::version::Version;
use crate::tool;

/// How long a program may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of what it says is read, in bytes.
const ANSWER_BYTES: usize = 64 << 10;

/// What to do where a program is not there.
const HELP: &str = "install it, or say `tools: []` in the step where the run itself does";

/// A program's file as it was when it told its version.
type Asked = (SystemTime, u64, Option<Version>);

/// Programs, with the versions that are known already.
#[derive(Debug, Default)]
pub struct Tools {
    versions: Mutex<HashMap<PathBuf, Asked>>,
}

impl Tools {
    /// What is wrong with a program that has to be on the daemon's PATH.
    pub fn required(&self, tool: &Tool) -> Option<String> {
        let Tool { name, version } = tool;
        match tool::find(name) {
            None => Some(format!("the program {name:?} is not on the daemon's PATH; install it")),
            Some(file) => self.other(&file, name, version.as_deref()),
        }
    }

    /// What is wrong with a program that a step starts. Where a file of the definition is not there, that is told of the file.
    pub fn started(&self, wanted: &Wanted, step: &str, project: &Path) -> Option<String> {
        let Wanted { name, listed, path, version } = wanted;
        if *listed || name.contains('/') {
            let file = project.join(name);
            return match (tool::is_executable(&file), file.is_file()) {
                (true, _) => self.other(&file, name, version.as_deref()),
                (false, true) => Some(format!(
                    "the step {step} starts {name}, which may not be executed by the daemon's user; make it executable"
                )),
                (false, false) if *listed => None,
                (false, false) => Some(format!("the step {step} starts {name}, which is not there; {HELP}")),
            };
        }
        let (found, shown) = match path {
            Some(path) => (tool::find_on(name, OsStr::new(path), project), format!("its PATH ({path})")),
            None => (tool::find(name), "the daemon's PATH".to_owned()),
        };
        match found {
            Some(file) => self.other(&file, name, version.as_deref()),
            None => Some(format!("the step {step} needs the program {name:?}, which is not on {shown}; {HELP}")),
        }
    }

    /// What is wrong with the version of a program that is there.
    fn other(&self, file: &Path, name: &str, condition: Option<&str>) -> Option<String> {
        let condition = condition?;
        let shown = file.display();
        match self.version(file) {
            None => Some(format!("{name} {condition} is needed, but `{shown} --version` names no version")),
            Some(version) if version.meets(condition) => None,
            Some(version) => Some(format!("{name} {condition} is needed, {shown} is {version}")),
        }
    }

    fn version(&self, file: &Path) -> Option<Version> {
        let meta = std::fs::metadata(file).ok()?;
        let (modified, length) = (meta.modified().ok()?, meta.len());
        let known = || self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, bytes, version)) = known().get(file)
            && (*at, *bytes) == (modified, length)
        {
            return version.clone();
        }
        let version = ask(file);
        known().insert(file.to_path_buf(), (modified, length, version.clone()));
        version
    }
}

/// Asks a program for its version.
fn ask(file: &Path) -> Option<Version> {
    let answer = tool::ask(Command::new(file).arg("--version").env("LC_ALL", "C"), PATIENCE, ANSWER_BYTES).ok()?;
    Version::find(&String::from_utf8_lossy(&answer.out))
}
