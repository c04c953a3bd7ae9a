//! What the words of a key's `takes` mean, as a JSON Schema: said here, once. What is not said of a value is the check's alone.

use serde_json::{Value, json};

use super::environment_keys;
use super::schema::{Key, SECTIONS, Section};
use crate::action::ACTIONS;

/// What a main step is, as the schema calls it.
pub(super) const MAIN: &str = "a step of steps";
/// What a step of `finally` is.
pub(super) const FINALLY: &str = "a step of finally";
/// What a step is that stands in a block of `finally`.
pub(super) const INSIDE_FINALLY: &str = "a step inside finally";
/// What `verify` is.
pub(super) const VERIFY: &str = "verify";
/// What `on_cancel` and `rollback` are.
pub(super) const TIDY: &str = "on_cancel and rollback";

/// What an id is: `id::is_id`.
const ID: &str = "^[a-z][a-z0-9_-]{0,62}$";
/// What a duration is, as `duration::parse` takes it but for its length.
const DURATION: &str = "^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
/// A size, as a pattern.
const SIZE: &str = "^[0-9]+ ?[KMGT]iB$";
/// What a variable is: `names::variable`, without those that are the engine's.
const VARIABLE: &str = "^(?!RUNBOOK_)[A-Za-z_][A-Za-z0-9_]*$";
/// A path inside of where it begins: `names::inner_path`.
const INNER_PATH: &str = r"^(?!\.\.?(/|$))[^/\x00-\x1f\x7f-\x9f]+(/(?!\.\.?(/|$))[^/\x00-\x1f\x7f-\x9f]+)*$";
/// The name of a file in a folder: `names::file_name`.
const FILE_NAME: &str = r"^(?!\.\.?$)[^/\x00-\x1f\x7f-\x9f]+$";
/// A condition on a version: `names::version`.
const VERSION: &str = r"^\s*(=|[<>]=?)\s*[0-9]+(\.[0-9]+)*\s*(,\s*(=|[<>]=?)\s*[0-9]+(\.[0-9]+)*\s*)*$";
/// The name of a program on PATH: `required::program`.
const PROGRAM: &str = r"^[^/\s\x00-\x1f\x7f-\x9f]+$";
/// What can be asked whether it answers: `required::url`.
const URL: &str = r"^https?://[^/?#@\s{}\x00-\x1f\x7f-\x9f]+([/?#][^\s{}\x00-\x1f\x7f-\x9f]*)?$";
/// What data may not stand in.
const EXPRESSION: &str = r"\$\{\{";

/// The name of a section, a part of it, or of whatever else the schema defines, as it is kept there.
pub(super) fn name(name: &str) -> String {
    name.replace('`', "")
}

/// Where the schema of that name stands.
pub(super) fn reference(of: &str) -> String {
    // A slash in a name is written as RFC 6901 has it.
    format!("#/$defs/{}", name(of).replace('/', "~1").replace(' ', "%20"))
}

/// What the words of `takes` mean; `None` where they are not known.
pub(super) fn shape(key: &Key) -> Option<Value> {
    shape_of(key.name, key.takes)
}

/// What the words mean of a key of this name.
pub(super) fn shape_of(key: &str, takes: &str) -> Option<Value> {
    let literal = || json!({"type": ["string", "number", "boolean"]});
    let text = || json!({"type": "string"});
    let pattern = |pattern: &str| json!({"type": "string", "pattern": pattern});
    let list = |items: Value| json!({"type": "array", "items": items});
    let set = |items: Value| json!({"type": "array", "items": items, "uniqueItems": true});
    let map = |names: Option<&str>, values: Value| match names {
        Some(names) => json!({"type": "object", "propertyNames": {"pattern": names}, "additionalProperties": values}),
        None => json!({"type": "object", "additionalProperties": values}),
    };
    let id = || pattern(ID);
    let defined = |name: &str| json!({"$ref": reference(name)});
    let section = |name: &str| section(name).map(|section| defined(section.name));
    Some(match takes {
        "an id" | "a runbook of the project" | "an environment" => id(),
        "text" | "a regular expression" | "a cron rule" | "a time zone" | "a time" => text(),
        "a script" => json!({"type": "string", "not": {"pattern": EXPRESSION}}),
        "text such as `>=14`" => pattern(VERSION),
        "the name of a program" => pattern(PROGRAM),
        "a URL" => pattern(URL),
        "text with `${{ }}`" | "a path with `${{ }}`" | "text with `${{ }}`, secrets too" => literal(),
        // `true` alone is an expression, and YAML reads it as a boolean.
        "an expression" | "an expression, boolean" | "an expression over `exit_code`, boolean" => {
            json!({"type": ["string", "boolean"]})
        }
        "an action" => json!({"enum": ACTIONS.iter().map(|action| action.name).collect::<Vec<_>>()}),
        "a map of names to text with `${{ }}`" | "a map of names to text with `${{ }}`, secrets too" => {
            map(None, literal())
        }
        "a value with `${{ }}` in its texts, secrets too" => json!({}),
        "a list of statuses, such as `200` or `2xx`" => list(json!({"anyOf": [
            {"type": "integer", "minimum": 100, "maximum": 599},
            {"type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$"},
        ]})),
        "text with `${{ }}`, or with `probe` an expression" => json!({"type": ["string", "boolean"]}),
        "a duration" | "a duration from `1s`" => pattern(DURATION),
        "a whole number" => json!({"type": "integer"}),
        "a number" => json!({"type": "number"}),
        "a number from 1" => json!({"type": "number", "minimum": 1}),
        "a list, or an expression, list" => json!({"type": ["array", "string"]}),
        "a whole number from 0" => json!({"type": "integer", "minimum": 0}),
        "a whole number from 1" => json!({"type": "integer", "minimum": 1}),
        "a list" => json!({"type": "array"}),
        "a list of whole numbers" => list(json!({"type": "integer"})),
        "a list of numbers" => list(json!({"type": "number"})),
        "a list of booleans" => list(json!({"type": "boolean"})),
        "a list of lists" => list(json!({"type": "array"})),
        "a list of maps" => list(json!({"type": "object"})),
        "a list of texts" | "a list of hours" => list(text()),
        "a list of ids" | "a list of steps" | "a list of environments" => set(id()),
        "a list of variables" => set(pattern(VARIABLE)),
        "a list of paths" => set(pattern(INNER_PATH)),
        "a list of names" | "a list of names with `${{ }}`" => set(text()),
        "a list of texts with `${{ }}`" | "a list of paths with `${{ }}`" => list(literal()),
        "a list of names, or of `{name, version}`" => list(json!({"anyOf": [pattern(PROGRAM), section("a tool")?]})),
        "a list of URLs, or of `{url, expect}`" => list(json!({"anyOf": [pattern(URL), section("an endpoint")?]})),
        "a list of `{path, free}`" => list(section("room on a disk")?),
        "a size, such as `5 GiB`" => pattern(SIZE),
        "a value of the type" => json!({}),
        "a list of values of the type" => list(json!({})),
        "a map of ids to text" => map(Some(ID), literal()),
        "a map of ids to types" => map(Some(ID), words("`string`, `integer`, `number`, `boolean`, `list` or `map`")?),
        // Which of the two it is follows from what stands beside.
        "a map of ids to types; of a block, to outputs" => json!({"type": "object"}),
        "a map of ids to inputs" => map(Some(ID), section("an input")?),
        "a map of ids to inputs, none of them ephemeral" => {
            let fields = json!({"allOf": [section("an input")?, {"properties": {"ephemeral": {"const": false}}}]});
            map(Some(ID), fields)
        }
        "a map of ids to outputs" => map(Some(ID), section("an output of the runbook")?),
        "a map of inputs to values, or texts with `${{ }}`" => map(Some(ID), json!({})),
        "a map of ids to freezes" => map(Some(ID), section("a freeze")?),
        "a map of ids to schedules" => map(Some(ID), section("a schedule")?),
        "a map of inputs to values" => map(Some(ID), json!({})),
        "a map of names to values" => json!({"type": "object"}),
        "a map of ids to values, none of them null" | "a map of inputs to values, none of them null" => {
            map(Some(ID), json!({"not": {"type": "null"}}))
        }
        "`skip`, `run_once` or `run_all`, or a map" => {
            json!({"anyOf": [words("`skip`, `run_once` or `run_all`")?, section("`missed`")?]})
        }
        "a map of ids to steps" if key == "finally" => map(Some(ID), defined(FINALLY)),
        "a map of ids to steps" => {
            let mut steps = map(Some(ID), defined(MAIN));
            steps.as_object_mut()?.insert("minProperties".to_owned(), json!(1));
            steps
        }
        "a map of variables to text with `${{ }}`" => map(Some(VARIABLE), literal()),
        "a map of file names to text with `${{ }}`" => map(Some(FILE_NAME), literal()),
        "a map of names to values with `${{ }}` in their texts, secrets too" => json!({"type": "object"}),
        "a map, by `uses`" => json!({"type": "object"}),
        "a command" if key == "verify" => defined(VERIFY),
        "a command" if key != "probe" => defined(TIDY),
        "`manual`, `automatic`, `never`, or a map" => {
            json!({"anyOf": [words("`manual`, `automatic` or `never`")?, section("a rollback policy")?]})
        }
        "a map" | "a command" => section(&format!("`{key}`")).unwrap_or_else(|| json!({"type": "object"})),
        takes => words(takes)?,
    })
}

/// The section of a name, or that whose name mentions it.
fn section(name: &str) -> Option<&'static Section> {
    let all = || SECTIONS.iter().chain(environment_keys::SECTIONS);
    all().find(|section| section.name == name).or_else(|| all().find(|section| section.name.contains(name))).copied()
}

/// Nothing but words between backticks: `a`, `b` or `c`.
fn words(takes: &str) -> Option<Value> {
    let mut words = Vec::new();
    for (place, part) in takes.split('`').enumerate() {
        match place % 2 {
            1 => words.push(part),
            _ if matches!(part, "" | ", " | " or ") => {}
            _ => return None,
        }
    }
    Some(match words.as_slice() {
        [] => return None,
        ["true", "false"] => json!({"type": "boolean"}),
        ["false"] => json!({"const": false}),
        [number] if number.parse::<i64>().is_ok() => json!({"const": number.parse::<i64>().ok()?}),
        words => json!({"enum": words}),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_uses_are_the_actions() {
        let uses = super::super::step_keys::STEP.find("uses").and_then(shape).unwrap();
        let words: Vec<&str> = uses["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let actions = ACTIONS.iter().map(|action| action.name);
        assert_eq!(words, ["approval", "fail", "runbook", "wait"].into_iter().chain(actions).collect::<Vec<_>>());
    }
}
