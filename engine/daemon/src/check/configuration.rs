//! The daemon's configuration in a check: its keys and values, and the runbooks that it names under `on:`, which must be among
//! the checked files. Starts nothing, and reads no secret.

use std::path::Path;

use runbook_core::language::{CheckedFile, Code, Finding};

use crate::config::file;
use crate::hooks;

/// What to do about a hook.
const HELP: &str =
    "name a runbook that is among the checked files and takes what it is told: docs/configuration.md, Hooks";

/// All that is wrong.
pub fn check(path: &Path, checked: &[CheckedFile]) -> Vec<Finding> {
    let shown = path.display().to_string();
    let at = |line: u32, message: String, help: Option<&str>| Finding {
        line,
        end_line: line,
        ..Finding::of_file(Code::Configuration, &shown, message, help)
    };
    let looked = match file::look(path) {
        Ok(looked) => looked,
        Err(error) => {
            let help = "name a file that is there and can be read";
            return vec![Finding::of_file(
                Code::UnreadableFile,
                &shown,
                format!("it cannot be read: {error}"),
                Some(help),
            )];
        }
    };
    let mut findings: Vec<Finding> = looked.problems.into_iter().map(|(line, why)| at(line, why, None)).collect();
    let good = || checked.iter().filter_map(|file| file.checked.runbook.as_ref());
    for (line, event, name) in looked.hooks {
        let broken = || {
            // A name is known of a file that has errors, too.
            let named = |file: &&CheckedFile| file.checked.interface.as_ref().is_some_and(|(own, _)| *own == name);
            checked.iter().find(named).map(|file| Err(file.path.as_str()))
        };
        let found = good().find(|runbook| runbook.name == name).map(Ok).or_else(broken);
        let fault = hooks::fault_of(event, &name, found, good().map(|runbook| runbook.name.as_str()));
        findings.extend(fault.map(|fault| at(line, fault, Some(HELP))));
    }
    findings
}

#[cfg(test)]
mod tests {
    use runbook_core::language;

    use super::*;

    fn found(text: &str) -> Vec<String> {
        let runbook =
            |body: &str| format!("name: tell\nlanguage: 1\n{body}steps: {{a: {{effect: read, argv: [x]}}}}\n");
        let of = |name: &str, body: &str| {
            let source = runbook(body).replace("name: tell", &format!("name: {name}"));
            (format!("{name}.yaml"), source.into_bytes())
        };
        let texts = vec![
            of("tell", "inputs: {message: {type: string}, more: {type: integer, default: 1}}\n"),
            of("pager", "inputs: {who: {type: string, required: true}}\n"),
            of("typed", "inputs: {number: {type: string}}\n"),
            of("broken", "unknown: 1\n"),
        ];
        let checked = language::check_project(texts, [], [], None, |_, _| None);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        std::fs::write(&path, text).unwrap();
        let findings = check(&path, &checked);
        assert!(findings.iter().all(|finding| finding.code == Code::Configuration));
        findings.into_iter().map(|finding| format!("{}: {}", finding.line, finding.message)).collect()
    }

    #[test]
    fn hooks_are_checked_against_the_files() {
        assert!(found("on: {failed: tell, overdue: tell}\n").is_empty());
        assert_eq!(
            found("max_attempt: 3\non:\n  failed: tel\n  attention: pager\n  approval: typed\n  overdue: broken\n"),
            [
                "1: max_attempt: there is no such key; did you mean `max_attempts`?",
                "3: on.failed: there is no runbook \"tel\"; did you mean \"tell\"?",
                "4: on.attention: pager requires the input who, and a hook gives only event, runbook, schedule, run, number, \
                 step, state, reason, message",
                "5: on.approval: the input number of typed is of type string, and a hook gives integer",
                "6: on.overdue: broken.yaml is broken",
            ]
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_told() {
        let findings = check(Path::new("/nowhere/runbookd.yaml"), &[]);
        assert_eq!(findings[0].code, Code::UnreadableFile);
    }
}
