//! The JSON Schema against the check, on everything that is at hand: the examples, and every case of the diagnostics. What
//! the schema refuses the check refuses; what the check refuses for a reason that a schema can express, the schema refuses.

#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "the examples are files")]

use std::path::Path;

use runbook_core::language::{Code, check, check_environment, environment_schema, json_schema};
use serde_json::Value;

#[path = "findings/actions.rs"]
mod actions;
#[path = "findings/environments.rs"]
mod environments;
#[path = "findings/expressions.rs"]
mod expressions;
#[path = "findings/graph.rs"]
mod graph;
#[path = "findings/keys.rs"]
mod keys;
#[path = "findings/schedules.rs"]
mod schedules;
#[path = "findings/values.rs"]
mod values;
#[path = "findings/yaml.rs"]
mod yaml;

/// What a schema can express, wherever it stands.
const EXPRESSIBLE: [Code; 9] = [
    Code::UnknownKey,
    Code::UnsupportedKey,
    Code::MissingKey,
    Code::WrongType,
    Code::UnknownValue,
    Code::InvalidLanguage,
    Code::InvalidDuration,
    Code::InvalidVariable,
    Code::NoSteps,
];

/// Cases whose only such finding is one that no schema can express, each with the reason.
const BEYOND: &[(&str, &str)] = &[];

/// The document as a JSON reader sees it; `None` where it is no single document of plain YAML.
fn document(source: &str) -> Option<Value> {
    serde_yaml::from_str::<Value>(source).ok()
}

fn cases() -> Vec<(String, String)> {
    let groups = [
        ("yaml", yaml::CASES),
        ("keys", keys::CASES),
        ("values", values::CASES),
        ("graph", graph::CASES),
        ("expressions", expressions::CASES),
        ("schedules", schedules::CASES),
        ("actions", actions::CASES),
    ];
    let mut cases: Vec<(String, String)> = groups
        .iter()
        .flat_map(|(group, cases)| {
            cases.iter().map(move |(name, text)| (format!("{group}: {name}"), (*text).to_owned()))
        })
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.join("runbooks"), root.join("engine/core/src/language/tests")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.ends_with("/environments") {
                    folders.push(path);
                }
            } else if name.ends_with(".yaml") && !name.ends_with(".scenarios.yaml") {
                cases.push((name, std::fs::read_to_string(path).expect("a file")));
            }
        }
    }
    let page = include_str!("../../../docs/language.md");
    let example = page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    cases.push(("docs/language.md".to_owned(), example.to_owned()));
    cases
}

#[test]
fn the_schema_and_the_check_agree() {
    let validator = jsonschema::draft202012::new(&json_schema()).expect("the schema is one");
    let (mut taken, mut refused) = (0, 0);
    for (name, source) in cases() {
        let Some(document) = document(&source) else { continue };
        let checked = check(source.as_bytes(), "test.yaml");
        let errors: Vec<Code> =
            checked.findings.iter().filter(|f| f.severity.text() == "error").map(|f| f.code).collect();
        let complaints: Vec<String> =
            validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
        if complaints.is_empty() {
            let missed: Vec<_> = errors.iter().filter(|code| EXPRESSIBLE.contains(code)).collect();
            let beyond = BEYOND.iter().any(|(case, _)| *case == name);
            assert_eq!(missed.is_empty(), !beyond, "{name}: the schema takes what is {missed:?}:\n{source}");
            taken += 1;
        } else {
            assert!(!errors.is_empty(), "{name}: the schema refuses what is good: {complaints:?}\n{source}");
            refused += 1;
        }
    }
    assert!(taken > 20 && refused > 20, "the control: {taken} taken, {refused} refused");
}

#[test]
fn the_schema_of_environments_agrees_with_their_check() {
    let validator = jsonschema::draft202012::new(&environment_schema()).expect("the schema is one");
    let (mut taken, mut refused) = (0, 0);
    for (name, source) in environments::CASES {
        let Some(document) = document(source) else { continue };
        let checked = check_environment(source.as_bytes(), "test.yaml", None);
        let errors: Vec<Code> = checked.findings.iter().map(|finding| finding.code).collect();
        if validator.is_valid(&document) {
            assert!(!errors.iter().any(|code| EXPRESSIBLE.contains(code)), "{name}: the schema takes {errors:?}");
            taken += 1;
        } else {
            assert!(!errors.is_empty(), "{name}: the schema refuses what is good");
            refused += 1;
        }
    }
    assert!(taken > 2 && refused > 2, "the control: {taken} taken, {refused} refused");
}
