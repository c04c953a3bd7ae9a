//! What must be there before the first step: programs with their versions, secrets, and listed files. Everything that is missing is
//! told at once. Starts the programs only to ask for their version.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use runbook_core::definition::{Runbook, Tool};

use crate::files;
use crate::secrets::{Purpose, Secrets};
use crate::surroundings::Surroundings;
use crate::tool;

/// How long a program may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of what it says is read, in bytes.
const ANSWER_BYTES: usize = 64 << 10;
/// Programs and secrets asked for at the same time.
const TOGETHER: usize = 8;

/// Something that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// `requires.tools.NAME`, `requires.secrets.NAME` or `files.PATH`.
    pub subject: String,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

/// A program's file as it was when it told its version.
type Known = (SystemTime, u64, Option<Version>);

/// The checks, with the versions that are known already.
#[derive(Debug, Default)]
pub struct Preflight {
    versions: Mutex<HashMap<PathBuf, Known>>,
}

impl Preflight {
    /// Everything that is missing for a run in an environment.
    pub fn check(&self, runbook: &Runbook, environment: Option<&str>, surroundings: &Surroundings) -> Vec<Missing> {
        let Surroundings { project, secrets, .. } = surroundings;
        self.look(runbook, Purpose { runbook: &runbook.name, environment }, project, secrets)
    }

    fn look(&self, runbook: &Runbook, purpose: Purpose<'_>, project: &Path, secrets: &Secrets) -> Vec<Missing> {
        let requires = &runbook.requires;
        let mut missing = Vec::new();
        let found = together(&requires.tools, |tool| self.tool(tool));
        missing.extend(requires.tools.iter().zip(found).filter_map(|(tool, problem)| {
            Some(Missing { subject: format!("requires.tools.{}", tool.name), problem: problem? })
        }));
        let read = together(&requires.secrets, |name| secrets.read(name, purpose).err());
        missing.extend(requires.secrets.iter().zip(read).filter_map(|(name, problem)| {
            Some(Missing { subject: format!("requires.secrets.{name}"), problem: problem? })
        }));
        missing.extend(runbook.files.iter().filter_map(|file| {
            let why = files::listed_fault(&project.join(file))?;
            let problem = format!("the listed file {file} cannot be had: {why}");
            Some(Missing { subject: format!("files.{file}"), problem })
        }));
        missing
    }

    fn tool(&self, tool: &Tool) -> Option<String> {
        let name = &tool.name;
        let Some(path) = tool::find(name) else {
            return Some(format!("the program {name:?} is not on the daemon's PATH; install it"));
        };
        let condition = tool.version.as_ref()?;
        let shown = path.display();
        match self.version(&path) {
            None => Some(format!("{name} {condition} is needed, but `{shown} --version` names no version")),
            Some(version) if version.meets(condition) => None,
            Some(version) => Some(format!("{name} {condition} is needed, {shown} is {version}")),
        }
    }

    fn version(&self, path: &Path) -> Option<Version> {
        let meta = std::fs::metadata(path).ok()?;
        let (modified, length) = (meta.modified().ok()?, meta.len());
        let known = || self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, bytes, version)) = known().get(path)
            && (*at, *bytes) == (modified, length)
        {
            return version.clone();
        }
        let version = ask(path);
        known().insert(path.to_path_buf(), (modified, length, version.clone()));
        version
    }
}

/// What is wrong with each of some things, several of which are looked at together.
fn together<T: Sync>(all: &[T], fault: impl Fn(&T) -> Option<String> + Sync) -> Vec<Option<String>> {
    let mut faults = Vec::with_capacity(all.len());
    for some in all.chunks(TOGETHER) {
        faults.extend(std::thread::scope(|scope| {
            let asked: Vec<_> = some.iter().map(|one| scope.spawn(|| fault(one))).collect();
            let gone = |_| Some("it cannot be looked at".to_owned());
            asked.into_iter().map(|thread| thread.join().unwrap_or_else(gone)).collect::<Vec<Option<String>>>()
        }));
    }
    faults
}

/// Asks a program for its version.
fn ask(path: &Path) -> Option<Version> {
    let answer = tool::ask(Command::new(path).arg("--version").env("LC_ALL", "C"), PATIENCE, ANSWER_BYTES).ok()?;
    Version::find(&String::from_utf8_lossy(&answer.out))
}

/// Numbers with dots between them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version(Vec<u64>);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

impl Version {
    /// The first word that is numbers with dots, or else the first that is one number; a `v` before it and what
    /// follows it do not matter.
    fn find(text: &str) -> Option<Self> {
        let words = || text.split(|c: char| c.is_whitespace() || "(),;:\"".contains(c)).filter_map(Self::leading);
        words().find(|version| version.0.len() > 1).or_else(|| words().next())
    }

    fn leading(word: &str) -> Option<Self> {
        let word = word.strip_prefix('v').unwrap_or(word);
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let numbers = word[..end].trim_end_matches('.');
        let parts: Option<Vec<u64>> = numbers.split('.').map(|part| part.parse().ok()).collect();
        parts.map(Self)
    }

    /// Whether it meets all of a condition such as `>=1.29, <2`.
    fn meets(&self, condition: &str) -> bool {
        condition.split(',').all(|part| {
            let part = part.trim();
            let at = part.find(|c: char| c.is_ascii_digit()).unwrap_or(part.len());
            let (sign, number) = part.split_at(at);
            let Some(wanted) = Self::leading(number) else { return false };
            let order = self.compare(&wanted);
            match sign.trim() {
                "" | "=" => order.is_eq(),
                ">" => order.is_gt(),
                ">=" => order.is_ge(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                _ => false,
            }
        })
    }

    /// By number after number; what is not there counts as 0.
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let length = self.0.len().max(other.0.len());
        let part = |version: &Self, index| version.0.get(index).copied().unwrap_or(0);
        (0..length).map(|i| part(self, i).cmp(&part(other, i))).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (text, version) in [
            ("tar (GNU tar) 1.34\nCopyright (C) 2021", "1.34"),
            ("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18"),
            ("Terraform v1.9.5\non linux_amd64", "1.9.5"),
            ("less 590 (GNU regular expressions)", "590"),
            ("git version 2.47.3", "2.47.3"),
        ] {
            assert_eq!(Version::find(text).map(|v| v.to_string()).as_deref(), Some(version), "{text}");
        }
        assert_eq!(Version::find("no number here"), None);
    }

    #[test]
    fn conditions_compare_by_number() {
        let version = Version(vec![1, 10]);
        for (condition, meets) in
            [(">=1.9", true), ("<1.9", false), ("=1.10.0", true), (">=1.2, <2", true), (">1.10", false), ("1.10", true)]
        {
            assert_eq!(version.meets(condition), meets, "{condition}");
        }
    }

    #[test]
    fn what_is_missing_is_told_at_once() {
        let text = "name: a\nlanguage: 1\nfiles: [there, gone]\n\
            requires: {tools: [sh, no-such-program, {name: tar, version: '>=999'}], secrets: [token]}\n\
            steps: {a: {effect: read, argv: [x]}}\n";
        let runbook = runbook_core::language::check(text.as_bytes(), "a.yaml").runbook.unwrap();
        let project = tempfile::tempdir().unwrap();
        std::fs::write(project.path().join("there"), "x").unwrap();
        let purpose = Purpose { runbook: "a", environment: None };
        let missing = Preflight::default().look(&runbook, purpose, project.path(), &Secrets::default());
        let subjects: Vec<&str> = missing.iter().map(|m| m.subject.as_str()).collect();
        let expected = ["requires.tools.no-such-program", "requires.tools.tar", "requires.secrets.token", "files.gone"];
        assert_eq!(subjects, expected);
    }
}
