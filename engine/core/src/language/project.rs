//! Several files as one project: names are unique in it. Never opens a file.

use std::collections::HashMap;

use super::code::Code;
use super::report::{Lines, Problem, Report};
use super::{Checked, check_named, show};

/// A file of a project, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedFile {
    /// Its path, as it was given.
    pub path: String,
    /// What came of it.
    pub checked: Checked,
}

/// Checks files together, in the order of their paths. Of two runbooks of one name the second is refused.
pub fn check_project(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<CheckedFile> {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort();
    let mut names: HashMap<String, (String, u32)> = HashMap::new();
    let mut all = Vec::with_capacity(files.len());
    for (path, source) in files {
        let (mut checked, span) = check_named(&source, &path);
        if let Some(runbook) = &checked.runbook {
            let text = std::str::from_utf8(&source).unwrap_or("");
            if let Some((first, line)) = names.get(&runbook.name) {
                let mut report = Report::new(text, &path);
                let message = format!("the name `{}` is taken by {first}, line {line}", show(&runbook.name));
                report.add(Problem::new(Code::DuplicateName, span, message).help("give one of the two another name"));
                checked.runbook = None;
                checked.findings.append(&mut report.finish().0);
                checked.findings.sort_by_key(|finding| finding.span.start);
            } else {
                let (line, _) = Lines::new(text).place(text, span.start);
                names.insert(runbook.name.clone(), (path.clone(), line));
            }
        }
        all.push(CheckedFile { path, checked });
    }
    all
}
