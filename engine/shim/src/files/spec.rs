//! `spec`: everything the shim needs to run an attempt, but the secrets.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::SmallFile;
use crate::paths;

/// A `spec` is never longer than this, in bytes.
pub const SPEC_MAX_BYTES: u64 = 16 << 20;

/// How long output may go on coming after the command ended, in milliseconds, if the spec does not say.
pub const DRAIN_MS: u64 = 2_000;

/// What to run, where, with what, within which limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The boot in which this may start: the text of `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The run's uid, for people who read the file.
    pub run_uid: String,
    /// The step's name, for people who read the file.
    pub step: String,
    /// The attempt's number within its instance, from 1.
    pub attempt: u32,
    /// The attempt's id, unique over everything: the value of `RUNBOOK_ATTEMPT_ID`.
    pub attempt_id: String,
    /// The program and its arguments. A program without a slash is looked for in the `PATH` of `env`.
    pub argv: Vec<String>,
    /// The command's environment. To it come the secret variables and `RUNBOOK_ATTEMPT_ID`, and nothing else.
    pub env: BTreeMap<String, String>,
    /// Where the command starts, absolute.
    pub working_dir: String,
    /// The command's standard input; none: `/dev/null`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Files to write below `files/` before the start, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Names among the files that may be executed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub executable: BTreeSet<String>,
    /// How long the command may run, in milliseconds of monotonic time; none: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// How the command is stopped, also after its timeout.
    pub stop: StopPolicy,
    /// How long `log` may get, in bytes.
    pub log_cap_bytes: u64,
    /// How long `out` may get before it is no longer read, in bytes.
    pub output_cap_bytes: u64,
    /// Files below `artifacts/` that the command is to leave, as relative paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
    /// How long output may go on coming after the command ended, in milliseconds.
    #[serde(default = "drain_ms")]
    pub drain_ms: u64,
}

fn drain_ms() -> u64 {
    DRAIN_MS
}

/// How a command is asked to end, before it is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopPolicy {
    /// The signal that asks.
    pub signal: StopSignal,
    /// Who gets it.
    pub to: StopTarget,
    /// How long to wait after it before everything is killed, in milliseconds.
    pub grace_ms: u64,
}

/// A signal that asks a command to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    /// SIGTERM.
    Term,
    /// SIGINT.
    Int,
}

/// Who gets the signal that asks a command to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopTarget {
    /// The command alone, which is to end its children itself.
    Leader,
    /// The command's process group.
    Group,
}

impl SmallFile for Spec {
    const KIND: &'static str = "spec";
    const NAME: &'static str = paths::SPEC;
    const MAX_BYTES: u64 = SPEC_MAX_BYTES;

    fn check(&self) -> Result<(), String> {
        if self.argv.first().is_none_or(String::is_empty) {
            return Err("argv names no program".to_owned());
        }
        if let Some(at) = self.argv.iter().position(|a| a.contains('\0')) {
            return Err(format!("argv[{at}] holds a NUL character"));
        }
        check_variables(&self.env)?;
        if self.attempt_id.is_empty() || self.attempt_id.contains('\0') {
            return Err("attempt_id is empty or holds a NUL character".to_owned());
        }
        if !self.working_dir.starts_with('/') || self.working_dir.contains('\0') {
            return Err(format!("working_dir is not an absolute path: {:?}", self.working_dir));
        }
        check_names("files", self.files.keys())?;
        check_names("artifacts", self.artifacts.iter())
    }
}

/// Whether a program can be given these variables.
pub(crate) fn check_variables(env: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!("the variable name {name:?} is empty, or holds `=` or NUL"));
        }
        if value.contains('\0') {
            return Err(format!("the value of the variable {name} holds a NUL character"));
        }
    }
    Ok(())
}

/// Whether these names stay below the directory that they are meant for.
pub(crate) fn check_names<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<(), String> {
    for name in names {
        if let Some(why) = paths::refuse_name(name) {
            return Err(format!("{what}: {name:?}: {why}"));
        }
    }
    Ok(())
}
