//! Several files as one project: names are unique in it, and the files that its runbooks list are there. Never opens
//! a file: what is asked of files is asked of the caller.

use std::collections::HashMap;

use super::code::Code;
use super::report::{Finding, Problem};
use super::{Checked, check, show};

/// A file of a project, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedFile {
    /// Its path, as it was given.
    pub path: String,
    /// What came of it.
    pub checked: Checked,
}

/// Checks files together, in the order of their paths. Runbooks of one name are all refused. `fault` says why a file
/// that a runbook lists cannot be had: it is given the path of the runbook's file and the listed path.
pub fn check_project(
    files: impl IntoIterator<Item = (String, Vec<u8>)>,
    fault: impl Fn(&str, &str) -> Option<String>,
) -> Vec<CheckedFile> {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort();
    let mut all: Vec<CheckedFile> = files
        .into_iter()
        .map(|(path, source)| {
            let checked = check(&source, &path);
            CheckedFile { path, checked }
        })
        .collect();
    let together: Vec<(&str, &Checked)> = all.iter().map(|file| (file.path.as_str(), &file.checked)).collect();
    let found = across(&together, fault);
    for (file, findings) in all.iter_mut().zip(found) {
        file.checked.add(findings);
    }
    all
}

impl Checked {
    /// Adds what was found across files. An error refuses the runbook.
    pub fn add(&mut self, findings: Vec<Finding>) {
        if !findings.is_empty() {
            self.runbook = None;
            self.findings.extend(findings);
            self.findings.sort_by_key(|finding| finding.span.start);
        }
    }
}

/// What no file shows alone, all of it errors: names that are taken twice, and listed files that cannot be had. The
/// findings of each file, in the order of the files.
pub fn across(files: &[(&str, &Checked)], fault: impl Fn(&str, &str) -> Option<String>) -> Vec<Vec<Finding>> {
    let mut named: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, (_, checked)) in files.iter().enumerate() {
        if let Some(runbook) = &checked.runbook {
            named.entry(&runbook.name).or_default().push(index);
        }
    }
    let find = |(index, (path, checked)): (usize, &(&str, &Checked))| {
        let Some(runbook) = &checked.runbook else { return Vec::new() };
        let mut findings = Vec::new();
        let namesakes = named.get(runbook.name.as_str()).map_or(&[][..], Vec::as_slice);
        if let Some((other, taken)) =
            namesakes.iter().find(|other| **other != index).and_then(|other| files.get(*other))
        {
            let message = format!("the name `{}` is taken by {other}, line {}", show(&runbook.name), taken.name.line);
            let problem = Problem::new(Code::DuplicateName, 0..0, message).help("give one of the two another name");
            findings.push(Finding::at(problem, path, &checked.name));
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
