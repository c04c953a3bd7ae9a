//! Every diagnostic, as people see it: a table of texts and what is found in them, kept as snapshots.
//!
//! A new code needs a case here: the test of coverage names the code that has none.

#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;
use std::fmt::Write;

use runbook_core::definition::Environment;
use runbook_core::language::{
    Checked, CheckedFile, CheckedScenarios, Code, Configured, Environments, Finding, check, check_project,
    check_scenarios,
};
use runbook_core::run::Pinned;

#[path = "findings/actions.rs"]
mod actions;
#[path = "findings/blocks.rs"]
mod blocks;
#[path = "findings/environments.rs"]
mod environments;
#[path = "findings/expressions.rs"]
mod expressions;
#[path = "findings/graph.rs"]
mod graph;
#[path = "findings/keys.rs"]
mod keys;
#[path = "findings/projects.rs"]
mod projects;
#[path = "findings/scenarios.rs"]
mod scenarios;
#[path = "findings/schedules.rs"]
mod schedules;
#[path = "findings/values.rs"]
mod values;
#[path = "findings/yaml.rs"]
mod yaml;

/// A name and a text.
type Case = (&'static str, &'static str);

/// Files by path.
type Project = Vec<(String, Vec<u8>)>;

/// What every group of cases is called, with its cases.
const GROUPS: [(&str, &[Case]); 8] = [
    ("yaml", yaml::CASES),
    ("keys", keys::CASES),
    ("values", values::CASES),
    ("graph", graph::CASES),
    ("blocks", blocks::CASES),
    ("expressions", expressions::CASES),
    ("schedules", schedules::CASES),
    ("actions", actions::CASES),
];

/// What the configuration defines.
fn configured() -> Option<Configured> {
    let pools = [("backups".to_owned(), 2), ("api".to_owned(), 5)].into();
    let roles = ["dba", "ops", "lead"].map(str::to_owned).into();
    Some(Configured { pools, roles })
}

/// Cases that are no texts of a table: (what, files by path).
fn files() -> Vec<(&'static str, Project)> {
    let good = "name: backup\nlanguage: 1\nsteps: {a: {argv: [a]}}\n";
    let file = |path: &str, bytes: &[u8]| (path.to_owned(), bytes.to_vec());
    let project = |files: &[(&str, &str)]| files.iter().map(|(path, text)| file(path, text.as_bytes())).collect();
    let mut all: Vec<(&'static str, Project)> = vec![
        ("too large", vec![file("a.yaml", " ".repeat(50 << 20).as_bytes())]),
        ("not UTF-8", vec![file("a.yaml", b"name: caf\xe9\nlanguage: 1\n")]),
        (
            "one name twice, read out of order",
            vec![
                file("b/backup.yaml", format!("# second by path\n{good}").as_bytes()),
                file("a/backup.yaml", good.as_bytes()),
                file("c.yaml", good.replace("backup", "restore").as_bytes()),
            ],
        ),
        (
            "a broken file takes no name and hides no other",
            vec![file("a.yaml", good.replace("argv", "argvv").as_bytes()), file("b.yaml", good.as_bytes())],
        ),
        (
            "listed files that are not there",
            vec![file("a.yaml", format!("{good}files:\n  - there.txt\n  - gone/a.txt\n  - gone/b.txt\n").as_bytes())],
        ),
    ];
    all.extend(projects::CASES.iter().map(|(name, files)| (*name, project(files))));
    all
}

/// Codes of what is found where files are opened, never in a text: their cases are there (`sources.rs` and `configuration.rs` of the daemon's check).
const OF_PATHS: [Code; 3] = [Code::UnreadableFile, Code::NoRunbooks, Code::Configuration];

/// Why a listed file cannot be had, in these cases.
fn fault(_file: &str, listed: &str) -> Option<String> {
    listed.starts_with("gone/").then(|| "it is not there".to_owned())
}

/// One finding, with the text that it underlines.
fn render(source: &[u8], finding: &Finding) -> String {
    let source = String::from_utf8_lossy(source);
    let text = |span: &std::ops::Range<usize>| {
        let text = source.get(span.clone()).expect("a span lies inside the text");
        text.replace('\n', "⏎")
    };
    let Finding { line, column, severity, code, message, .. } = finding;
    let ends = source[..finding.span.end].matches('\n').count() + 1;
    assert_eq!(finding.end_line as usize, ends, "{finding:?}");
    let length = source[finding.span.clone()].chars().count();
    assert!(ends > *line as usize || (finding.end_column - column) as usize == length, "{finding:?}");
    let mut out = format!("{line}:{column} {} {code} [{}]\n    {message}\n", severity.text(), text(&finding.span));
    if let Some(help) = &finding.help {
        let _ = writeln!(out, "    help: {help}");
    }
    for (span, label) in &finding.related {
        let line = source[..span.start].matches('\n').count() + 1;
        let _ = writeln!(out, "    see line {line} [{}]: {label}", text(span));
    }
    out
}

#[test]
fn findings_read_as_they_are_kept() {
    for (group, cases) in GROUPS {
        let mut out = String::new();
        for (name, source) in cases {
            let checked = check(source.as_bytes(), "test.yaml");
            let _ = writeln!(out, "═══ {name}");
            for (number, line) in source.lines().enumerate() {
                let _ = writeln!(out, "{:2} │ {line}", number + 1);
            }
            let _ = writeln!(out, "───");
            for finding in &checked.findings {
                out.push_str(&render(source.as_bytes(), finding));
            }
            assert_eq!(checked.suppressed, 0, "{name}");
            let refused = checked.findings.iter().any(|f| f.severity.text() == "error");
            assert_eq!(checked.runbook.is_none(), refused, "{name}");
            if checked.findings.is_empty() {
                out.push_str("nothing\n");
            }
        }
        insta::assert_snapshot!(group, out);
    }
}

#[test]
fn findings_of_files_read_as_they_are_kept() {
    let mut out = String::new();
    for (name, files) in files() {
        let _ = writeln!(out, "═══ {name}");
        for CheckedFile { path, checked } in check_project(files.clone(), [], [], configured(), fault) {
            let source = &files.iter().find(|(other, _)| *other == path).expect("a given file").1;
            let taken = checked.runbook.is_some() || checked.environment.is_some();
            let _ = writeln!(out, "{path}: {}", if taken { "taken" } else { "refused" });
            for finding in &checked.findings {
                out.push_str(&render(source, finding));
            }
        }
    }
    insta::assert_snapshot!("files", out);
}

/// Where scenarios may take place.
fn places() -> Environments {
    let place = |name: &str, inputs: &[(&str, serde_json::Value)]| Environment {
        name: name.to_owned(),
        inputs: inputs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        ..Environment::default()
    };
    Environments::new([place("prod", &[("to", "there".into())]), place("dev", &[("keep", 0.into())])])
}

/// A file of scenarios, checked against the runbook of the cases.
fn checked_scenarios(source: &str) -> CheckedScenarios {
    let texts = [("backup.yaml", scenarios::RUNBOOK), ("prove.yaml", scenarios::PROVE)];
    let texts = texts.map(|(file, text)| (file.to_owned(), text.into()));
    let checked = check_project(texts, [], [], None, |_, _| None).into_iter();
    let read: Vec<_> = checked.map(|file| file.checked.runbook.expect("a runbook")).collect();
    let [runbook, prove] = &read[..] else { panic!("{} runbooks", read.len()) };
    check_scenarios(source.as_bytes(), "test.scenarios.yaml", &places(), |name| match name == runbook.name {
        true => Ok(Pinned::rehearsed(runbook, None, &|name| (name == prove.name).then_some(prove))),
        false => Err(format!("there is no runbook `{name}`")),
    })
}

#[test]
fn findings_in_scenarios_read_as_they_are_kept() {
    let mut out = String::new();
    for (name, source) in scenarios::CASES {
        let checked = checked_scenarios(source);
        let _ = writeln!(out, "═══ {name}");
        for (number, line) in source.lines().enumerate() {
            let _ = writeln!(out, "{:2} │ {line}", number + 1);
        }
        let _ = writeln!(out, "───");
        for finding in &checked.findings {
            out.push_str(&render(source.as_bytes(), finding));
        }
        assert_eq!(checked.scenarios.is_none(), !checked.findings.is_empty(), "{name}");
        if checked.findings.is_empty() {
            out.push_str("nothing\n");
        }
    }
    insta::assert_snapshot!("scenarios", out);
}

/// What runs in the environments of the cases: (file, text).
const RUNBOOKS: &[(&str, &str)] = &[
    (
        "backup.yaml",
        "\
name: backup
language: 1
inputs: {keep: {type: integer, default: 7, minimum: 1}, to: {type: string}, key: {type: string, secret: true}}
steps:
  dump: {argv: [dump, \"${{ default(inputs.to, '') }}\", \"${{ inputs.keep }}\"], stdin: \"${{ default(inputs.key, '') }}\"}
",
    ),
    (
        "elsewhere.yaml",
        "\
name: elsewhere
language: 1
environments: [other]
inputs: {size: {type: integer, default: 1}}
steps: {a: {argv: [a, \"${{ inputs.size }}\"]}}
",
    ),
];

/// A file of an environment beside the runbooks of the cases.
fn checked_environment(source: &str) -> Checked {
    let text = |text: &str| text.as_bytes().to_vec();
    let beside = RUNBOOKS.iter().map(|(file, source)| ((*file).to_owned(), text(source)));
    let other = ("environments/other.yaml".to_owned(), text("name: other\nlanguage: 1\n"));
    let file = "environments/test.yaml";
    let files = beside.chain([other, (file.to_owned(), text(source))]);
    let checked = check_project(files, [], [], configured(), fault).into_iter().find(|checked| checked.path == file);
    checked.expect("the file").checked
}

#[test]
fn findings_in_environments_read_as_they_are_kept() {
    let mut out = String::new();
    for (name, source) in environments::CASES {
        let checked = checked_environment(source);
        let _ = writeln!(out, "═══ {name}");
        for (number, line) in source.lines().enumerate() {
            let _ = writeln!(out, "{:2} │ {line}", number + 1);
        }
        let _ = writeln!(out, "───");
        for finding in &checked.findings {
            out.push_str(&render(source.as_bytes(), finding));
        }
        out.push_str(if checked.environment.is_some() { "usable\n" } else { "not usable\n" });
    }
    insta::assert_snapshot!("environments", out);
}

#[test]
fn every_code_has_a_case() {
    let mut seen = BTreeSet::new();
    for (_, cases) in GROUPS {
        for (_, source) in cases {
            seen.extend(check(source.as_bytes(), "test.yaml").findings.into_iter().map(|f| f.code));
        }
    }
    for (_, source) in scenarios::CASES {
        seen.extend(checked_scenarios(source).findings.into_iter().map(|f| f.code));
    }
    for (_, source) in environments::CASES {
        seen.extend(checked_environment(source).findings.into_iter().map(|f| f.code));
    }
    for (_, files) in files() {
        for file in check_project(files, [], [], configured(), fault) {
            seen.extend(file.checked.findings.into_iter().map(|f| f.code));
        }
    }
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !seen.contains(code) && !OF_PATHS.contains(code)).collect();
    assert!(missing.is_empty(), "codes without a case: {missing:?}");
}

#[test]
fn codes_are_written_alike_and_read_back() {
    let mut texts = BTreeSet::new();
    for code in Code::ALL {
        let text = code.text();
        assert!(texts.insert(text), "{text} is there twice");
        assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{text}");
        assert_eq!(text.parse::<Code>(), Ok(*code));
        assert!(code.explanation().ends_with('.'), "{text}");
    }
    assert!("no-such-code".parse::<Code>().is_err());
}
