//! The reference pages say what the code does: keys, limits and codes are written from the same tables.
//!
//! After a change of a table, `RUNBOOK_UPDATE_DOCS=1 cargo test -p runbook-core --test reference` writes the pages.

#![allow(clippy::panic, clippy::expect_used, clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "the pages are files")]

use std::fmt::Write;
use std::path::Path;

use runbook_core::action::{ACTIONS, Action};
use runbook_core::language::{
    Code, InputCode, check, check_environment, check_scenarios, environment_keys, scenario_keys, schema,
};
use runbook_core::limits;
use runbook_core::run::Pinned;

/// Set by who wants the pages written.
const UPDATE: &str = "RUNBOOK_UPDATE_DOCS";

/// The text of a page with the part between `<!-- NAME -->` and `<!-- /NAME -->` replaced.
fn with_part(page: &str, name: &str, part: &str) -> String {
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let start = page.find(&begin).unwrap_or_else(|| panic!("the page has no {begin}")) + begin.len();
    let stop = start + page[start..].find(&end).unwrap_or_else(|| panic!("the page has no {end}"));
    format!("{}\n{}\n{}", &page[..start], part.trim(), &page[stop..])
}

/// Compares a page with what its parts should be, or writes it.
fn hold(page: &str, parts: &[(&str, String)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let is = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let should = parts.iter().fold(is.clone(), |text, (name, part)| with_part(&text, name, part));
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, should).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    for (line, (is, should)) in is.lines().zip(should.lines()).enumerate() {
        assert_eq!(is, should, "{page}, line {}: {UPDATE}=1 writes the page anew", line + 1);
    }
    assert_eq!(is.lines().count(), should.lines().count(), "{page}: {UPDATE}=1 writes the page anew");
}

fn keys(sections: &[&schema::Section]) -> String {
    let mut out = String::new();
    for section in sections {
        let mut name = section.name.trim_start_matches("an ").trim_start_matches("a ").to_owned();
        if name.starts_with(|c: char| c.is_ascii_lowercase()) {
            name[..1].make_ascii_uppercase();
        }
        let _ = writeln!(out, "### {name}\n\n| key | takes | default | what it is for |\n| --- | --- | --- | --- |");
        for key in section.all() {
            let default = if key.required { "**required**" } else { key.default };
            let _ = writeln!(out, "| `{}` | {} | {default} | {} |", key.name, key.takes, key.doc);
        }
        if !section.later.is_empty() {
            let names: Vec<_> = section.later.iter().map(|name| format!("`{name}`")).collect();
            let _ = writeln!(out, "\nNot in this version yet (`unsupported-key`): {}.", names.join(", "));
        }
        out.push('\n');
    }
    out
}

macro_rules! limits {
    ($($name:ident)+) => { [$((stringify!($name), limits::$name as u64),)+] };
}

/// The limits that a runbook can meet.
fn of_the_language() -> Vec<(&'static str, u64)> {
    limits![
        FILE_BYTES YAML_DEPTH YAML_NODES YAML_TEXT_BYTES FINDINGS STEPS NEEDS ID_LENGTH INPUTS INPUT_BYTES
        ENVIRONMENT_VALUES ENVIRONMENT_INPUTS ENVIRONMENT_WINDOWS ENVIRONMENT_FREEZES
        PATTERN_COMPILED_BYTES EXPRESSION_BYTES EXPRESSION_DEPTH EXPRESSION_COMPREHENSIONS SCRIPT_BYTES
        ARGUMENT_BYTES COMMAND_BYTES DEFAULTS_BYTES OUTPUTS OUTPUT_BYTES OUTPUTS_BYTES ARTIFACTS PATH_BYTES
        FILES SECRETS TOOLS LOCKS LOCK_NAME_BYTES CHILD_DEPTH CHILD_RUNS RETRY_ATTEMPTS BACKOFF_FACTOR DURATION_DAYS
        STOP_GRACE_SECONDS STOP_GRACE_MAX_SECONDS CLEANUP_TIMEOUT_SECONDS PROBE_TIMEOUT_SECONDS PROBES VERIFY_TRIES ON_CANCEL_TRIES
        SCHEDULES CRON_RULE_BYTES START_DEADLINE_SECONDS MISSED_WINDOW_HOURS MISSED_DEFAULT MISSED_MOST
    ]
    .to_vec()
}

/// The first paragraph of a constant's documentation.
fn doc_of(name: &str) -> String {
    let source = include_str!("../src/limits.rs");
    let lines: Vec<_> = source.lines().collect();
    let at = lines
        .iter()
        .position(|line| line.starts_with(&format!("pub const {name}:")))
        .unwrap_or_else(|| panic!("{name} is not in limits.rs"));
    let first = lines[..at].iter().rposition(|line| !line.starts_with("///")).map_or(0, |line| line + 1);
    lines[first..at].iter().map(|line| line.trim_start_matches("///").trim()).collect::<Vec<_>>().join(" ")
}

/// A number as people read it.
fn number(name: &str, n: u64) -> String {
    for (size, unit) in [(1 << 20, "MiB"), (1 << 10, "KiB")] {
        if name.ends_with("_BYTES") && n >= size && n.is_multiple_of(size) {
            return format!("{} {unit}", n / size);
        }
    }
    let digits = n.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

fn limit_table() -> String {
    let mut out = "| limit | of what |\n| --- | --- |\n".to_owned();
    for (name, value) in of_the_language() {
        let _ = writeln!(out, "| {} | {} |", number(name, value), doc_of(name));
    }
    out
}

fn codes() -> String {
    let mut out = String::new();
    for code in Code::ALL {
        let _ = writeln!(out, "### {code}\n\n{}. {}\n", code.severity().text(), code.explanation());
    }
    out
}

/// What the page tells of each action.
fn actions() -> String {
    let mut out = String::new();
    for action in ACTIONS {
        let _ = writeln!(out, "## `{}`\n\n{}\n\n```yaml\n{}```\n", action.name, action.doc, dedented(action.example));
        let _ = writeln!(out, "| key of `with` | takes | default | what it is for |\n| --- | --- | --- | --- |");
        for key in action.with.all() {
            let default = if key.required { "**required**" } else { key.default };
            let _ = writeln!(out, "| `{}` | {} | {default} | {} |", key.name, key.takes, key.doc);
        }
        let _ = writeln!(out, "\n| output | type | what it is |\n| --- | --- | --- |");
        for output in action.outputs {
            let _ = writeln!(
                out,
                "| `{}` | {}{} | {} |",
                output.name,
                output.value_type.name(),
                when(action, output.when),
                output.doc
            );
        }
        for artifact in action.artifacts {
            let _ =
                writeln!(out, "| `{}` | artifact{} | {} |", artifact.name, when(action, artifact.when), artifact.doc);
        }
        let timeout = action.timeout.map_or_else(|| "none".to_owned(), |timeout| format!("`{timeout}`"));
        let (effect, stop) = (action.effect_in_words(), action.stop_in_words());
        let _ = writeln!(
            out,
            "\nUnless the step says otherwise: `effect` {effect}; `timeout` {timeout}; {} tries; `stop` {stop}.\n",
            action.attempts
        );
        for (head, note) in action.facts.all() {
            let _ = writeln!(out, "- **{head}.** {note}");
        }
        out.push('\n');
    }
    out
}

fn when(action: &Action, words: &[&str]) -> String {
    match (action.decides, words) {
        (Some((key, _)), [_, ..]) => format!(", with `{key}: {}`", words.join("` or `")),
        _ => String::new(),
    }
}

/// A step of an example as it stands below `steps:`.
fn dedented(example: &str) -> String {
    example.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line))).collect()
}

fn input_codes() -> String {
    let names: Vec<_> = InputCode::ALL.iter().map(|code| format!("`{}`", code.text())).collect();
    names.join(", ") + "."
}

#[test]
fn the_page_of_the_language_says_what_the_code_does() {
    hold("language.md", &[("keys", keys(schema::SECTIONS)), ("limits", limit_table())]);
}

#[test]
fn the_page_of_actions_says_what_the_code_does() {
    hold("actions.md", &[("actions", actions())]);
}

#[test]
fn the_example_of_each_action_is_good() {
    for action in ACTIONS {
        let top = "name: a\nlanguage: 1\nrequires: {secrets: [shop_token, hook, smtp_password]}\n\
            env: {SHOP: \"https://shop.example.org\"}\ninputs:\n  item: {type: string, required: true}\n  \
            count: {type: integer, default: 1}\n";
        let used = "  used: {argv: [echo, \"${{ inputs.item }}\", \"${{ inputs.count }}\", \"${{ env.SHOP }}\"]}\n";
        let text = format!("{top}steps:\n{used}{}", action.example);
        let checked = check(text.as_bytes(), "example.yaml");
        assert_eq!(checked.findings, [], "{}\n{text}", action.name);
    }
}

#[test]
fn the_page_of_rehearsals_says_what_the_code_does() {
    hold("rehearsal.md", &[("keys", keys(scenario_keys::SECTIONS))]);
}

#[test]
fn the_page_of_environments_says_what_the_code_does() {
    hold("environments.md", &[("keys", keys(environment_keys::SECTIONS))]);
}

#[test]
fn the_example_of_the_page_of_environments_is_good() {
    let page = include_str!("../../../docs/environments.md");
    let start = page.find("```yaml\n").expect("the page has an example") + "```yaml\n".len();
    let length = page[start..].find("```").expect("the example ends");
    let checked = check_environment(&page.as_bytes()[start..start + length], "docs/environments.md", None);
    assert_eq!(checked.findings, []);
    assert!(checked.environment.is_some());
}

#[test]
fn the_scenarios_of_the_page_are_good() {
    let page = include_str!("../../../docs/rehearsal.md");
    let start = page.find("```yaml\n").expect("the page has an example") + "```yaml\n".len();
    let length = page[start..].find("```").expect("the example ends");
    let runbook = "name: backup\nlanguage: 1\ninputs: {keep: {type: integer, default: 7}}\nsteps:\n  \
        dump: {argv: [dump, \"${{ inputs.keep }}\"], effect: read, retry: {attempts: 3}}\n  \
        publish: {needs: [dump], argv: [publish], verify: {argv: [published]}}\nfinally: {tell: {argv: [tell]}}\n";
    let runbook = check(runbook.as_bytes(), "backup.yaml").runbook.expect("a runbook");
    let checked =
        check_scenarios(&page.as_bytes()[start..start + length], "docs/rehearsal.md", &Default::default(), |_| {
            Ok(Pinned::rehearsed(&runbook, None, &|_| None))
        });
    assert_eq!(checked.findings, []);
    assert_eq!(checked.scenarios.expect("scenarios").len(), 2);
}

#[test]
fn the_example_of_the_page_is_a_runbook() {
    let page = include_str!("../../../docs/language.md");
    let start = page.find("```yaml\n").expect("the page has an example") + "```yaml\n".len();
    let length = page[start..].find("```").expect("the example ends");
    let checked = check(&page.as_bytes()[start..start + length], "docs/language.md");
    assert_eq!(checked.findings, []);
    assert!(checked.runbook.is_some());
}

#[test]
fn the_page_of_diagnostics_has_every_code() {
    hold("diagnostics.md", &[("codes", codes()), ("inputs", input_codes())]);
}
