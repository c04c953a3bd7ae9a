//! Texts that must stay as they are: compared with files, once what differs from run to run is masked.
//!
//! `RUNBOOK_UPDATE_GOLDEN=1 cargo test …` writes the files anew; the change is then to be read, and committed.

use std::path::{Path, PathBuf};

use regex::{Captures, Regex};
use serde_json::Value;

use super::Project;

/// Set, the files are written anew.
const UPDATE: &str = "RUNBOOK_UPDATE_GOLDEN";
/// So many lines before the first difference are shown, and so many from it on.
const CONTEXT: usize = 6;

/// Compares a text with a file beside the tests: `tests/golden/<name>`.
///
/// # Panics
/// They differ.
pub fn golden(name: &str, text: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder of golden files");
        std::fs::write(&path, text).expect("a golden file");
        return;
    }
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; {UPDATE}=1 writes it\n{text}", path.display()));
    if text != expected {
        let place = text.lines().zip(expected.lines()).take_while(|(is, should)| is == should).count();
        let part = |text: &str| -> String {
            let lines = text.lines().enumerate().skip(place.saturating_sub(CONTEXT)).take(2 * CONTEXT);
            lines.map(|(number, line)| format!("{:>5} {line}\n", number + 1)).collect()
        };
        let (should, is) = (part(&expected), part(text));
        panic!("{} has\n{should}\nbut it is now\n{is}\n{UPDATE}=1 writes it anew", path.display());
    }
}

/// Masks in a text for people what differs from run to run: times, spans, pids, uids, the project's folder. Spaces
/// behind a masked span are as many as separate it.
pub fn masked(project: &Project, text: &str) -> String {
    let rules: [(&str, &str); 8] = [
        (r"\bby [a-z_][a-z0-9_-]*\b", "by WHO"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "DATE"),
        (r"\b\d\d:\d\d:\d\d\b", "TIME"),
        (r"\b(?:\d+ min \d\d s|\d+\.\d s|\d+ m?s)\b( *)", "SPAN"),
        (r"\bpid \d+", "pid PID"),
        (r"\b[a-z2-7]{26}\b", "UID"),
        (r"\b\d{8}T\d{6}Z\b", "STAMP"),
        (r"\bversion \d+\.\d+\.\d+\b", "version V"),
    ];
    let mut text = without_folder(project, text);
    for (pattern, mask) in rules {
        let rule = Regex::new(pattern).expect("a pattern");
        let masked = rule.replace_all(&text, |found: &Captures<'_>| {
            let gap = found.get(1).map_or(0, |spaces| spaces.len().min(2));
            format!("{mask}{}", " ".repeat(gap))
        });
        text = masked.into_owned();
    }
    text
}

fn without_folder(project: &Project, text: &str) -> String {
    let real = project.root().canonicalize().expect("the project's folder");
    let folder = |path: &Path| path.display().to_string();
    text.replace(&folder(&real), "PROJECT").replace(&folder(project.root()), "PROJECT")
}

/// A JSON value as a text of many lines, with masks for what differs from run to run. The keys stay as they are.
pub fn masked_json(project: &Project, value: &Value) -> String {
    let mut value = value.clone();
    mask(project, "", &mut value);
    format!("{value:#}\n")
}

fn mask(project: &Project, key: &str, value: &mut Value) {
    match (key, &mut *value) {
        (_, Value::Null) => {}
        (_, Value::Object(fields)) if key != "started_by" && key != "by" => {
            fields.iter_mut().for_each(|(key, value)| mask(project, key, value));
        }
        (_, Value::Array(values)) => values.iter_mut().for_each(|value| mask(project, key, value)),
        ("uid" | "request_id" | "definition" | "digest" | "version" | "by" | "started_by", _) => {
            *value = format!("<{key}>").into();
        }
        ("pid" | "generation" | "cpu_seconds" | "max_rss_kib", _) => *value = format!("<{key}>").into(),
        (key, _) if key == "at" || key == "deadline" || key.ends_with("_at") => *value = "<time>".into(),
        (_, Value::String(text)) => *text = masked(project, text),
        _ => {}
    }
}
