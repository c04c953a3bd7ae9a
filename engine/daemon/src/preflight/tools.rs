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

/// The argument by which most programs tell their version.
const USUAL: &str = "--version";
/// What to do where a program is not there.
const HELP: &str = "install it, or say `tools: []` in the step where the run itself does";

/// A program's file as it was when it told its version.
type Asked = (SystemTime, u64, Option<Version>);

/// Programs, with the versions that are known already.
#[derive(Debug, Default)]
pub struct Tools {
    versions: Mutex<HashMap<(PathBuf, Vec<String>), Asked>>,
}

impl Tools {
    /// What is wrong with a program that has to be on the daemon's PATH.
    pub fn required(&self, tool: &Tool) -> Option<String> {
        let Tool { name, version, ask } = tool;
        match tool::find(name) {
            None => Some(format!("the program {name:?} is not on the daemon's PATH; install it")),
            Some(file) => self.other(&file, name, version.as_deref(), ask),
        }
    }

    /// What is wrong with a program that a step starts. Where a file of the definition is not there, that is told of the file.
    pub fn started(&self, wanted: &Wanted, step: &str, project: &Path) -> Option<String> {
        let Wanted { name, listed, path, version, ask } = wanted;
        if *listed || name.contains('/') {
            let file = project.join(name);
            return match (tool::is_executable(&file), file.is_file()) {
                (true, _) => self.other(&file, name, version.as_deref(), ask),
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
            Some(file) => self.other(&file, name, version.as_deref(), ask),
            None => Some(format!("the step {step} needs the program {name:?}, which is not on {shown}; {HELP}")),
        }
    }

    /// What is wrong with the version of a program that is there.
    fn other(&self, file: &Path, name: &str, condition: Option<&str>, ask: &[String]) -> Option<String> {
        let condition = condition?;
        let shown = file.display();
        let usual = [USUAL.to_owned()];
        let ask = if ask.is_empty() { &usual } else { ask };
        match self.version(file, ask) {
            None => Some(format!(
                "{name} {condition} is needed, but `{shown} {}` names no version; say by `ask` of the tool with which arguments it does",
                ask.join(" ")
            )),
            Some(version) if version.meets(condition) => None,
            Some(version) => Some(format!("{name} {condition} is needed, {shown} is {version}")),
        }
    }

    fn version(&self, file: &Path, ask: &[String]) -> Option<Version> {
        let meta = std::fs::metadata(file).ok()?;
        let (modified, length) = (meta.modified().ok()?, meta.len());
        let known = || self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (file.to_path_buf(), ask.to_vec());
        if let Some((at, bytes, version)) = known().get(&key)
            && (*at, *bytes) == (modified, length)
        {
            return version.clone();
        }
        let mut command = Command::new(file);
        let answer = tool::ask(command.args(ask).env("LC_ALL", "C"), PATIENCE, ANSWER_BYTES).ok();
        let version = answer.and_then(|answer| Version::find(&String::from_utf8_lossy(&answer.out)));
        known().insert(key, (modified, length, version.clone()));
        version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_asked_for_its_version_as_the_tool_says() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("ctl");
        std::fs::write(
            &program,
            "#!/bin/sh\ncase \"$*\" in 'version --client') echo 'Client Version: v1.32.4';; *) exit 1;; esac\n",
        )
        .unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let (tools, path) = (Tools::default(), folder.path().to_string_lossy().into_owned());
        let fault = |condition: &str, ask: &[&str]| {
            let wanted = Wanted {
                name: "ctl".to_owned(),
                listed: false,
                path: Some(path.clone()),
                version: Some(condition.to_owned()),
                ask: ask.iter().map(|word| (*word).to_owned()).collect(),
            };
            tools.started(&wanted, "a", Path::new("/"))
        };
        let unknown = fault(">=1.20", &[]).unwrap();
        assert!(unknown.contains("ctl --version` names no version; say by `ask`"), "{unknown}");
        assert_eq!(fault(">=1.20", &["version", "--client"]), None);
        assert!(fault(">=2", &["version", "--client"]).unwrap().ends_with("is 1.32.4"));
    }
}
