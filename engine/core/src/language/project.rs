//! Several files as one project: names are unique in it, runbooks start each other, and the files that they list are
//! there. Never opens a file: what is asked of files is asked of the caller.

use std::collections::{HashMap, HashSet};

use super::call;
use super::code::Code;
use super::environments::{self, Environments, check_environment, is_environment};
use super::interface::{Configured, Interface, Interfaces};
use super::report::{Finding, Problem};
use super::{Checked, check, check_beside, show};
use crate::definition::Environment;

/// A file of a project, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedFile {
    /// Its path, as it was given.
    pub path: String,
    /// What came of it.
    pub checked: Checked,
}

/// Checks files together, in the order of their paths. Runbooks of one name are all refused, and so is one that starts a
/// broken one. `others` are runbooks that these may start beside each other, and `environments` those that there are beside
/// theirs: a file is one of an environment by its path; `configured` is what the configuration defines, where that is known. `fault` says why a file that a runbook lists
/// cannot be had: it is given the path of the runbook's file and the listed path.
pub fn check_project(
    files: impl IntoIterator<Item = (String, Vec<u8>)>,
    others: impl IntoIterator<Item = (String, Interface)>,
    environments: impl IntoIterator<Item = Environment>,
    configured: Option<Configured>,
    fault: impl Fn(&str, &str) -> Option<String>,
) -> Vec<CheckedFile> {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort();
    let alone = |(path, source): &(String, Vec<u8>)| {
        let checked = match is_environment(path) {
            true => check_environment(source, path, None),
            false => check(source, path),
        };
        CheckedFile { path: path.clone(), checked }
    };
    let mut all: Vec<CheckedFile> = files.iter().map(alone).collect();
    let own = all.iter().filter_map(|file| file.checked.environment.clone());
    let environments = Environments::new(own.chain(environments));
    let known = Interfaces::new(all.iter().filter_map(|file| file.checked.interface.clone()).chain(others));
    let known = known.in_environments(environments).with_configured(configured);
    for (file, (path, source)) in all.iter_mut().zip(&files) {
        if is_environment(path) {
            file.checked = check_environment(source, path, Some(&known));
        } else if file.checked.depends_on(&known) {
            file.checked = check_beside(source, path, &known);
        }
    }
    let together: Vec<(&str, &Checked)> = all.iter().map(|file| (file.path.as_str(), &file.checked)).collect();
    let found = across(&together, fault);
    for (file, findings) in all.iter_mut().zip(found) {
        file.checked.add(findings);
    }
    all
}

impl Checked {
    /// Whether more is found beside others than alone.
    pub fn depends_on(&self, known: &Interfaces) -> bool {
        !self.calls.is_empty()
            || (self.by_environment && !known.environments().is_empty())
            || (self.by_configuration && known.configured().is_some())
    }

    /// Adds what was found across files. An error refuses the runbook; an environment stays what it is.
    pub fn add(&mut self, findings: Vec<Finding>) {
        if !findings.is_empty() {
            self.runbook = None;
            self.findings.extend(findings);
            self.findings.sort_by_key(|finding| finding.span.start);
        }
    }
}

/// What no file shows alone, all of it errors: names that are taken twice, runbooks that start a broken one, and listed
/// files that cannot be had. The findings of each file, in the order of the files.
pub fn across(files: &[(&str, &Checked)], fault: impl Fn(&str, &str) -> Option<String>) -> Vec<Vec<Finding>> {
    let mut named: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, (_, checked)) in files.iter().enumerate() {
        if let Some(runbook) = &checked.runbook {
            named.entry(&runbook.name).or_default().push(index);
        }
    }
    let broken = broken(files, &named);
    let of_environments = environments::across(files);
    let find = |(index, (path, checked)): (usize, &(&str, &Checked))| {
        let mut findings = of_environments.get(index).cloned().unwrap_or_default();
        let Some(runbook) = &checked.runbook else { return findings };
        let namesakes = named.get(runbook.name.as_str()).map_or(&[][..], Vec::as_slice);
        if let Some((other, taken)) =
            namesakes.iter().find(|other| **other != index).and_then(|other| files.get(*other))
        {
            let message = format!("the name `{}` is taken by {other}, line {}", show(&runbook.name), taken.name.line);
            let problem = Problem::new(Code::DuplicateName, 0..0, message).help("give one of the two another name");
            findings.push(Finding::at(problem, path, &checked.name));
        }
        for (callee, place) in checked.calls.iter().filter(|(callee, _)| broken.contains(callee.as_str())) {
            findings.push(Finding::at(call::broken(callee, 0..0), path, place));
        }
        for (listed, place) in runbook.files.iter().zip(&checked.listed) {
            if let Some(why) = fault(path, listed) {
                let message = format!("the listed file `{}` cannot be had: {why}", show(listed));
                let problem = Problem::new(Code::MissingFile, 0..0, message)
                    .help("put it there, relative to the project's folder, or take it off the list");
                findings.push(Finding::at(problem, path, place));
            }
        }
        findings.truncate(crate::limits::FINDINGS);
        findings
    };
    files.iter().enumerate().map(find).collect()
}

/// The names of runbooks that cannot be started: they have errors, or share their name, or start one that cannot.
fn broken<'a>(files: &[(&'a str, &'a Checked)], good: &HashMap<&str, Vec<usize>>) -> HashSet<&'a str> {
    let name = |checked: &'a Checked| Some(checked.interface.as_ref()?.0.as_str());
    let mut callers: HashMap<&str, Vec<&'a str>> = HashMap::new();
    for (_, checked) in files {
        for (callee, _) in &checked.calls {
            callers.entry(callee).or_default().extend(name(checked));
        }
    }
    let is_good = |name: &str| good.get(name).is_some_and(|files| files.len() == 1);
    let mut open: Vec<&str> = files.iter().filter_map(|(_, checked)| name(checked)).collect();
    open.retain(|name| !is_good(name));
    let mut broken: HashSet<&str> = HashSet::new();
    while let Some(name) = open.pop() {
        if broken.insert(name) {
            open.extend(callers.get(name).into_iter().flatten());
        }
    }
    broken
}
