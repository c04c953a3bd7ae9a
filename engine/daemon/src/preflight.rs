//! What must be there before the first step: what runbooks require and what their actions need. All of it is looked at together,
//! and everything that is missing is told at once. Starts programs only to ask for their version, or for a secret.

mod stacks;
mod version;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use runbook_actions::Asker;
use runbook_core::definition::{Endpoint, Room, Runbook, Tool};
use runbook_core::destruction::Known;
use runbook_core::needs;
use runbook_core::preflight::Missing;
use runbook_journal::room;

use self::version::Version;
use crate::files;
use crate::secrets::{Purpose, Secrets};
use crate::surroundings::Surroundings;
use crate::tool;

/// How long a program may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of what it says is read, in bytes.
const ANSWER_BYTES: usize = 64 << 10;
/// What is looked at at the same time.
const TOGETHER: usize = 32;

/// A program's file as it was when it told its version.
type Asked = (SystemTime, u64, Option<Version>);

/// The checks, with the versions that are known already.
#[derive(Debug, Default)]
pub struct Preflight {
    versions: Mutex<HashMap<PathBuf, Asked>>,
}

impl Preflight {
    /// Everything that is missing for a run in an environment: of the runbook that is started, and of those that its steps
    /// start. Of the first it is known what is given, if it is.
    pub fn check(
        &self,
        runbooks: &[&Runbook],
        known: Option<&Known<'_>>,
        environment: Option<&str>,
        surroundings: &Surroundings,
    ) -> Vec<Missing> {
        let Surroundings { project, secrets, .. } = surroundings;
        self.look(runbooks, known, environment, project, secrets)
    }

    fn look(
        &self,
        runbooks: &[&Runbook],
        known: Option<&Known<'_>>,
        environment: Option<&str>,
        project: &Path,
        secrets: &Secrets,
    ) -> Vec<Missing> {
        let needs = needs::of(runbooks, known);
        // It reads the authorities of the system: once, and only where somebody asks.
        let asks = runbooks.iter().any(|runbook| !runbook.requires.endpoints.is_empty());
        let asker = if asks { Asker::new() } else { Err(String::new()) };
        let mut looks = Looks::default();
        let mut add = |subject, of: &str, fault| looks.add(subject, of, fault);
        for runbook in runbooks {
            let requires = &runbook.requires;
            for it in &requires.tools {
                let condition = it.version.as_deref().unwrap_or_default();
                add(format!("requires.tools.{}", it.name), condition, Box::new(|| self.tool(it)));
            }
            let purpose = Purpose { runbook: &runbook.name, environment };
            for name in &requires.secrets {
                add(
                    format!("requires.secrets.{name}"),
                    &runbook.name,
                    Box::new(move || secrets.read(name, purpose).err()),
                );
            }
            for it in &requires.endpoints {
                add(format!("requires.endpoints.{}", it.url), &it.expect.join(" "), Box::new(|| endpoint(it, &asker)));
            }
            for it in &requires.disk {
                add(format!("requires.disk.{}", it.path), &it.free.to_string(), Box::new(|| disk(it, project)));
            }
            for file in &runbook.files {
                let fault = move || {
                    let why = files::listed_fault(&project.join(file))?;
                    Some(format!("the listed file {file} cannot be had: {why}"))
                };
                add(format!("files.{file}"), "", Box::new(fault));
            }
        }
        for (program, step) in &needs.programs {
            add(format!("steps.{step}.{program}"), "", Box::new(move || needed(program, step)));
        }
        for (folder, (step, program)) in &needs.stacks {
            let fault = move || {
                let why = stacks::fault(&project.join(folder))?;
                let help =
                    format!("run `{program} -chdir={folder} init`, or let a step do it by `uses: terraform/init`");
                Some(format!("the step {step} works on {folder}, which is not initialised: {why}; {help}"))
            };
            add(format!("steps.{step}.{folder}"), "", Box::new(fault));
        }
        let found = together(&looks.0, |look| (look.fault)());
        let missing = looks.0.iter().zip(found);
        missing
            .filter_map(|(look, problem)| Some(Missing { subject: look.subject.clone(), problem: problem? }))
            .collect()
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

/// Says what is wrong with something, if anything is.
type Fault<'a> = Box<dyn Fn() -> Option<String> + Sync + 'a>;

/// Something to look at.
struct Look<'a> {
    subject: String,
    /// What of it is wanted, where runbooks may want something else of it.
    of: String,
    fault: Fault<'a>,
}

/// All that is looked at.
#[derive(Default)]
struct Looks<'a>(Vec<Look<'a>>);

impl<'a> Looks<'a> {
    /// Adds one. Several runbooks may want the same.
    fn add(&mut self, subject: String, of: &str, fault: Fault<'a>) {
        if !self.0.iter().any(|look| look.subject == subject && look.of == of) {
            self.0.push(Look { subject, of: of.to_owned(), fault });
        }
    }
}

fn endpoint(endpoint: &Endpoint, asker: &Result<Asker, String>) -> Option<String> {
    let Endpoint { url, expect } = endpoint;
    let asked = asker.as_ref().map_err(Clone::clone).and_then(|asker| asker.answers(url, expect));
    let why = asked.err()?;
    let wanted = if expect.is_empty() { String::new() } else { format!(" ({} is wanted)", expect.join(" or ")) };
    Some(format!("the endpoint {url} does not answer as it should: {why}{wanted}"))
}

fn disk(wanted: &Room, project: &Path) -> Option<String> {
    let folder = project.join(&wanted.path);
    let shown = folder.display();
    match room::free(&folder) {
        Ok(free) if free >= wanted.free => None,
        Ok(free) => {
            Some(format!("the disk of {shown} has {} MiB left, and {} MiB are needed", free >> 20, wanted.free >> 20))
        }
        Err(error) => Some(format!("the room on the disk of {shown} is not known: {error}")),
    }
}

/// A program that the action of a step is carried out by.
fn needed(program: &str, step: &str) -> Option<String> {
    // A relative path is one from the folder that the action works in.
    let elsewhere = program.contains('/') && !program.starts_with('/');
    if elsewhere || tool::find(program).is_some() {
        return None;
    }
    Some(format!("the step {step} needs the program {program:?}, which is not on the daemon's PATH; install it"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_at_once() {
        let text = "name: a\nlanguage: 1\nfiles: [there, gone]\n\
            requires: {tools: [sh, no-such-program, {name: tar, version: '>=999'}], secrets: [token], \
            disk: [{path: there, free: 1 KiB}, {path: ., free: 9999 TiB}]}\n\
            steps: {a: {uses: terraform/plan, with: {dir: net, program: no-such-terraform}}}\n";
        let runbook = runbook_core::language::check(text.as_bytes(), "a.yaml").runbook.unwrap();
        let project = tempfile::tempdir().unwrap();
        std::fs::write(project.path().join("there"), "x").unwrap();
        std::fs::create_dir(project.path().join("net")).unwrap();
        std::fs::write(project.path().join("net/main.tf"), "module \"a\" {\n}\n").unwrap();
        let missing = Preflight::default().look(&[&runbook], None, None, project.path(), &Secrets::default());
        let subjects: Vec<&str> = missing.iter().map(|m| m.subject.as_str()).collect();
        let expected = [
            "requires.tools.no-such-program",
            "requires.tools.tar",
            "requires.secrets.token",
            "requires.disk..",
            "files.gone",
            "steps.a.no-such-terraform",
            "steps.a.net",
        ];
        assert_eq!(subjects, expected);
    }
}
