//! What must be there before the first step: what runbooks require and what their steps need. All of it is looked at together,
//! and everything that is missing is told at once. Starts programs only to ask for their version, or for a secret.

mod stacks;
mod tools;
mod version;

use std::path::Path;

use indexmap::IndexMap;
use runbook_actions::Asker;
use runbook_core::definition::{Endpoint, Room, Runbook};
use runbook_core::destruction::Known;
use runbook_core::needs::{self, Needs, Stack, Wanted};
use runbook_core::preflight::Missing;
use runbook_journal::room;
use serde_json::{Map, Value};

use self::tools::Tools;
use crate::files;
use crate::library::Generation;
use crate::secrets::{Purpose, Secrets};
use crate::surroundings::Surroundings;

/// How many runbooks are named that would help.
const TOLD: usize = 3;
/// What is looked at at the same time.
const TOGETHER: usize = 32;

/// The checks, with the versions that are known already.
#[derive(Debug, Default)]
pub struct Preflight {
    tools: Tools,
}

impl Preflight {
    /// Everything that is missing for a start of which it is known what is given: of the runbook, and of those that its steps
    /// come to start by that.
    pub fn of_start(&self, known: &Known<'_>, all: &Generation, surroundings: &Surroundings) -> Vec<Missing> {
        let environment = known.environment.map(|environment| environment.name.as_str());
        self.check(&all.with_started(known), Some(known), environment, all, surroundings)
    }

    /// The same of any start in an environment: of what a runbook needs in any case.
    pub fn of_any_start(
        &self,
        runbook: &Runbook,
        environment: Option<&str>,
        all: &Generation,
        surroundings: &Surroundings,
    ) -> Vec<Missing> {
        self.check(&all.with_called(runbook), None, environment, all, surroundings)
    }

    fn check(
        &self,
        runbooks: &[&Runbook],
        known: Option<&Known<'_>>,
        environment: Option<&str>,
        all: &Generation,
        surroundings: &Surroundings,
    ) -> Vec<Missing> {
        let needs = needs::of(runbooks, known, &surroundings.substitutes);
        self.look(runbooks, &needs, environment, all, (&surroundings.project, &surroundings.secrets))
    }

    fn look(
        &self,
        runbooks: &[&Runbook],
        needs: &Needs,
        environment: Option<&str>,
        all: &Generation,
        (project, secrets): (&Path, &Secrets),
    ) -> Vec<Missing> {
        // It reads the authorities of the system: once, and only where somebody asks.
        let asks = runbooks.iter().any(|runbook| !runbook.requires.endpoints.is_empty());
        let asker = if asks { Asker::new() } else { Err(String::new()) };
        let mut looks = Looks::default();
        let mut add = |subject, of: &str, fault| looks.add(subject, of, fault);
        for runbook in runbooks {
            let requires = &runbook.requires;
            for it in &requires.tools {
                let condition = it.version.as_deref();
                let fault = || self.tools.required(it);
                add(format!("requires.tools.{}", it.name), condition.unwrap_or_default(), Box::new(fault));
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
        for (wanted, step) in &needs.programs {
            let Wanted { name, listed, path, version, .. } = wanted;
            let required = |runbook: &&Runbook| runbook.requires.tools.iter().any(|tool| tool.name == *name);
            if !listed && path.is_none() && version.is_none() && runbooks.iter().any(required) {
                continue;
            }
            let fault = Box::new(move || self.tools.started(wanted, step, project));
            looks.0.push(Look { subject: format!("steps.{step}.{name}"), of: String::new(), fault });
        }
        for (stack, (step, program)) in &needs.stacks {
            let Stack { folder, data } = stack;
            let fault = move || {
                let why = stacks::fault(&project.join(folder), data.as_deref())?;
                let help = match (initialising(all, folder, environment), data) {
                    (Some(by), _) => format!("{by} does that"),
                    (None, None) => {
                        format!("run `{program} -chdir={folder} init`, or let a step do it by `uses: terraform/init`")
                    }
                    (None, Some(data)) => format!(
                        "run `TF_DATA_DIR={data} {program} -chdir={folder} init`, or let a step do it by `uses: terraform/init`"
                    ),
                };
                Some(format!("the step {step} works on {folder}, which is not initialised: {why}; {help}"))
            };
            looks.0.push(Look { subject: format!("steps.{step}.{folder}"), of: String::new(), fault: Box::new(fault) });
        }
        for (path, step) in &needs.files {
            let fault = move || {
                let missing = !project.join(path).exists();
                missing.then(|| {
                    format!("the step {step} reads {path}, which is not there; put it there, or mend the path")
                })
            };
            looks.0.push(Look { subject: format!("steps.{step}.{path}"), of: String::new(), fault: Box::new(fault) });
        }
        let found = together(&looks.0, |look| (look.fault)());
        let missing = looks.0.iter().zip(found);
        missing
            .filter_map(|(look, problem)| Some(Missing { subject: look.subject.clone(), problem: problem? }))
            .collect()
    }
}

/// How the runbooks are started that initialise a folder of terraform's, if there are any.
fn initialising(all: &Generation, folder: &str, environment: Option<&str>) -> Option<String> {
    let runbooks = all.entries.values().filter_map(|entry| entry.runbook());
    let place = environment.map(|name| format!(" --env {name}")).unwrap_or_default();
    let starts = runbooks.filter(|runbook| needs::initialises(runbook, folder));
    let starts: Vec<String> = starts.map(|it| format!("`runbook exec {}{place}`", it.name)).take(TOLD).collect();
    (!starts.is_empty()).then(|| starts.join(" or "))
}

/// The inputs of a start that may be seen.
pub fn open(runbook: &Runbook, inputs: &Map<String, Value>) -> IndexMap<String, Value> {
    let secret = |name: &str| runbook.inputs.get(name).is_some_and(|input| input.secret);
    let open = inputs.iter().filter(|(name, _)| !secret(name));
    open.map(|(name, value)| (name.clone(), value.clone())).collect()
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
        Ok(free) => Some(format!("the disk of {shown} has {} left, and {} are needed", size(free), size(wanted.free))),
        Err(error) => Some(format!("the room on the disk of {shown} is not known: {error}")),
    }
}

/// A size as it is written, the smaller ones with a part.
fn size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 3] = [("TiB", 40), ("GiB", 30), ("MiB", 20)];
    let (unit, bits) = UNITS.into_iter().find(|(_, bits)| bytes >> bits > 0).unwrap_or(UNITS[2]);
    let tenths = ((bytes >> (bits - 10)) * 10) >> 10;
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        part => format!("{}.{part} {unit}", tenths / 10),
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn sizes_are_told_as_they_are_written() {
        let sizes = [20 << 40, (24 << 30) + (512 << 20), 5 << 20, 1 << 10];
        assert_eq!(sizes.map(size), ["20 TiB", "24.5 GiB", "5 MiB", "0 MiB"]);
    }

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
        let needs = needs::of(&[&runbook], None, &BTreeMap::new());
        let missing = Preflight::default().look(
            &[&runbook],
            &needs,
            None,
            &Generation::default(),
            (project.path(), &Secrets::default()),
        );
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
