//! The JSON Schema against the check, on everything that is at hand: the examples, every case of the diagnostics, whole and
//! taken apart, every key beside every other, every form of text wherever a text stands, and every type of value at every key. What the schema refuses the check refuses; what the check refuses the
//! schema refuses, but for what no schema can express.

#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "the examples are files")]

use std::collections::BTreeSet;
use std::path::Path;

use jsonschema::Validator;
use runbook_core::action::ACTIONS;
use runbook_core::language::{
    Code, Finding, Severity, check, check_environment, environment_schema, is_environment, is_scenarios, json_schema,
    step_keys,
};
use serde_json::Value;

#[path = "findings/actions.rs"]
mod actions;
#[path = "schema/apart.rs"]
mod apart;
#[path = "schema/beside.rs"]
mod beside;
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
#[path = "findings/schedules.rs"]
mod schedules;
#[path = "schema/texts.rs"]
mod texts;
#[path = "schema/values.rs"]
mod typed;
#[path = "findings/values.rs"]
mod values;
#[path = "findings/yaml.rs"]
mod yaml;

/// What no schema can express, wherever it stands, and why. Every other error has to be refused by the schema as well.
const BEYOND: &[(&str, &[Code])] = &[
    (
        "it is about the text, of which a schema sees the values",
        &[
            Code::FileTooLarge,
            Code::UnreadableFile,
            Code::NoRunbooks,
            Code::Configuration,
            Code::NotUtf8,
            Code::InvalidYaml,
            Code::EmptyDocument,
            Code::SeveralDocuments,
            Code::NestedTooDeep,
            Code::TooManyNodes,
            Code::AliasInItself,
            Code::DuplicateKey,
            Code::YamlTag,
            Code::KeyNotText,
            Code::ReadersDisagree,
        ],
    ),
    (
        "it is about names elsewhere in the file",
        &[
            Code::DuplicateStep,
            Code::UnknownStep,
            Code::NeedsItself,
            Code::NeedsAcross,
            Code::Cycle,
            Code::UndeclaredOutput,
            Code::UndeclaredArtifact,
            Code::NotUpstream,
            Code::UndeclaredSecret,
            Code::Unconfirmed,
            Code::ScheduleInput,
        ],
    ),
    (
        "it is about what an expression says",
        &[
            Code::InvalidExpression,
            Code::UnknownReference,
            Code::NotHere,
            Code::ExpressionType,
            Code::PossibleNull,
            Code::SecretShown,
            Code::LateTarget,
            Code::PointlessRepeat,
        ],
    ),
    (
        "it is about other files",
        &[
            Code::UnknownRunbook,
            Code::BrokenRunbook,
            Code::Recursion,
            Code::UnaskedDestruction,
            Code::UnknownInput,
            Code::MissingInput,
            Code::InvalidInput,
            Code::UnknownEnvironment,
            Code::NoEnvironment,
            Code::EnvironmentInput,
            Code::AmbiguousName,
            Code::UnknownPool,
            Code::SeveralDefaults,
            Code::DuplicateName,
            Code::MissingFile,
            Code::ScenarioRunbook,
            Code::ScenarioInput,
        ],
    ),
    ("sizes and bounds are the check's alone", &[Code::OverLimit, Code::OutOfRange, Code::NulCharacter]),
    (
        "the text is of a language of its own",
        &[
            Code::InvalidTime,
            Code::InvalidPattern,
            Code::InvalidCron,
            Code::NeverDue,
            Code::UnknownZone,
            Code::InvalidHours,
        ],
    ),
];

/// Parts of messages of what no schema can express while it can express the rest of the code, each with the reason.
const BEYOND_HERE: &[(Code, &str, &str)] = &[
    (Code::UnknownValue, "`99999999999 TiB`", "how much fits 64 bits hangs on the unit"),
    (Code::InvalidDefault, "none of the values that are taken", "the values stand beside it"),
    (Code::InvalidDefault, "does not match", "the pattern stands beside it"),
    (Code::InvalidDefault, "the minimum of", "the bound stands beside it"),
    (Code::InvalidDefault, "the maximum of", "the bound stands beside it"),
];

/// Which of [`BEYOND_HERE`] something is that is found.
fn beyond_here(finding: &Finding) -> Option<usize> {
    BEYOND_HERE.iter().position(|(code, part, _)| *code == finding.code && finding.message.contains(part))
}

/// Whether a schema has to refuse what is found.
fn expressible(finding: &Finding) -> bool {
    of_a_schema(finding.code) && beyond_here(finding).is_none()
}

/// Whether a schema has to refuse errors of a code.
fn of_a_schema(code: Code) -> bool {
    code.severity() == Severity::Error && !BEYOND.iter().any(|(_, codes)| codes.contains(&code))
}

/// The document as a JSON reader sees it; `None` where it is no single document of plain YAML.
fn document(source: &str) -> Option<Value> {
    serde_yaml::from_str::<Value>(source).ok()
}

/// What schema and check have said so far.
struct Asked {
    validator: Validator,
    check: fn(&str) -> Vec<Finding>,
    taken: usize,
    refused: usize,
    /// Where one takes what the other refuses.
    apart: Vec<String>,
    /// What was found in what the schema refused.
    codes: BTreeSet<Code>,
    /// Which of [`BEYOND_HERE`] the schema took.
    excused: BTreeSet<usize>,
}

impl Asked {
    fn new(schema: &Value, check: fn(&str) -> Vec<Finding>) -> Self {
        let validator = jsonschema::draft202012::new(schema).expect("the schema is one");
        Self {
            validator,
            check,
            taken: 0,
            refused: 0,
            apart: Vec::new(),
            codes: BTreeSet::new(),
            excused: BTreeSet::new(),
        }
    }

    /// Asks both of a text; the document is what a reader sees of it.
    fn ask(&mut self, name: &str, source: &str, document: &Value) {
        let findings = (self.check)(source);
        if self.validator.is_valid(document) {
            self.taken += 1;
            let missed: Vec<String> =
                findings.iter().filter(|f| expressible(f)).map(|f| format!("{}: {}", f.code, f.message)).collect();
            self.excused.extend(findings.iter().filter_map(beyond_here));
            if !missed.is_empty() {
                self.apart.push(format!("{name}: the schema takes what is {missed:?}:\n{source}"));
            }
        } else {
            self.refused += 1;
            self.codes.extend(findings.iter().map(|finding| finding.code));
            if !findings.iter().any(|finding| finding.severity == Severity::Error) {
                let complaints = self.validator.iter_errors(document);
                let complaints: Vec<_> =
                    complaints.map(|error| format!("{}: {error}", error.instance_path())).collect();
                self.apart.push(format!("{name}: the schema refuses what is good: {complaints:?}\n{source}"));
            }
        }
    }

    /// Both have to be of one mind, and to have seen enough of both kinds.
    fn agree(self, least: usize) {
        let (taken, refused, apart) = (self.taken, self.refused, self.apart.len());
        let some: Vec<_> = self.apart.into_iter().take(20).collect();
        assert!(some.is_empty(), "{apart} of {}:\n{}", taken + refused, some.join("\n"));
        assert!(taken > least && refused > least, "the control: {taken} taken, {refused} refused");
    }
}

fn of_runbooks() -> Asked {
    Asked::new(&json_schema(), |source| check(source.as_bytes(), "test.yaml").findings)
}

/// Every case of the diagnostics, and every example.
fn cases() -> Vec<(String, String)> {
    let groups = [
        ("yaml", yaml::CASES),
        ("keys", keys::CASES),
        ("values", values::CASES),
        ("graph", graph::CASES),
        ("blocks", blocks::CASES),
        ("expressions", expressions::CASES),
        ("schedules", schedules::CASES),
        ("actions", actions::CASES),
    ];
    let named = |group: &str, name: &str, text: &str| (format!("{group}: {name}"), text.to_owned());
    let mut cases: Vec<(String, String)> = Vec::new();
    for (group, of_group) in groups {
        cases.extend(of_group.iter().map(|(name, text)| named(group, name, text)));
    }
    for (name, files) in projects::CASES {
        let runbooks = files.iter().filter(|(path, _)| !is_environment(path) && !is_scenarios(path));
        cases.extend(runbooks.map(|(path, text)| named(name, path, text)));
    }
    for action in ACTIONS {
        let text = format!("name: a\nlanguage: 1\nsteps:\n{}", action.example);
        cases.push((action.name.to_owned(), text));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = ["runbooks", "docs", "engine/core/src/language/tests"].map(|folder| root.join(folder)).to_vec();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".yaml") && !is_scenarios(&name) && !is_environment(&name) {
                cases.push((name, std::fs::read_to_string(path).expect("a file")));
            } else if name.ends_with(".md") {
                let page = std::fs::read_to_string(path).expect("a page");
                let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
                let runbooks = blocks.filter(|block| block.contains("language: 1") && block.contains("\nsteps:"));
                cases.extend(runbooks.map(|block| (name.clone(), block.to_owned())));
            }
        }
    }
    cases
}

#[test]
fn the_schema_and_the_check_agree() {
    let mut asked = of_runbooks();
    for (name, source) in cases() {
        let Some(document) = document(&source) else { continue };
        asked.ask(&name, &source, &document);
        for part in apart::parts(&document) {
            asked.ask(&name, &part.to_string(), &part);
        }
    }
    let unseen: Vec<_> = Code::ALL.iter().filter(|code| of_a_schema(**code) && !asked.codes.contains(code)).collect();
    assert!(unseen.is_empty(), "nothing that the schema refuses has an error {unseen:?}");
    let never: Vec<_> = (0..BEYOND_HERE.len()).filter(|index| !asked.excused.contains(index)).collect();
    assert!(never.is_empty(), "the schema takes nothing for which these are an excuse: {never:?}");
    asked.agree(500);
}

#[test]
fn they_agree_on_every_key_beside_every_other() {
    let known = beside::keys_of_steps();
    for key in step_keys::STEP.all() {
        assert!(known.contains(&key.name), "{}: say in beside.rs what it may be", key.name);
    }
    let mut asked = of_runbooks();
    for document in beside::inside().iter().chain(&beside::steps()) {
        asked.ask("beside", &document.to_string(), document);
    }
    asked.agree(1000);
}

#[test]
fn they_agree_on_every_text_at_every_place() {
    let mut asked = of_runbooks();
    for document in texts::runbooks() {
        asked.ask("text", &document.to_string(), &document);
    }
    asked.agree(500);
}

#[test]
fn they_agree_on_every_type_at_every_key() {
    let mut asked = of_runbooks();
    for document in typed::runbooks() {
        asked.ask("value", &document.to_string(), &document);
    }
    asked.agree(500);
}

#[test]
fn the_schema_of_environments_agrees_with_their_check() {
    let mut asked =
        Asked::new(&environment_schema(), |source| check_environment(source.as_bytes(), "test.yaml", None).findings);
    for (name, source) in environments::CASES {
        let Some(document) = document(source) else { continue };
        asked.ask(name, source, &document);
        let head = serde_json::json!({"name": "a", "language": 1});
        for (key, value) in document.as_object().into_iter().flatten() {
            for value in apart::each(value).chain([value.clone()]) {
                let part = apart::with(&head, key, value);
                asked.ask(name, &part.to_string(), &part);
            }
        }
    }
    for document in typed::environments() {
        asked.ask("value", &document.to_string(), &document);
    }
    asked.agree(20);
}
