//! The language as a JSON Schema (draft 2020-12), for editors. Written from the one description of keys in `schema`; what
//! the words there mean is said here, once. It says what can be said of a value where it stands, and is never stricter than
//! the check: names across the file, expressions and sizes are the check's alone.

use serde_json::{Map, Value, json};

use super::environment_keys;
use super::schema::{Key, SECTIONS, Section};
use crate::action::ACTIONS;

/// The draft that the schema is written in.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// What an id is: `id::is_id`.
const ID: &str = "^[a-z][a-z0-9_-]{0,62}$";
/// What a duration is, as `duration::parse` takes it but for order and length.
const DURATION: &str = "^([0-9]+(d|h|ms|m|s))+$";
/// A size, as a pattern.
const SIZE: &str = "^[0-9]+ ?[KMGT]iB$";
/// What a variable is: `names::variable`, without those that are the engine's.
const VARIABLE: &str = "^(?!RUNBOOK_)[A-Za-z_][A-Za-z0-9_]*$";
/// Keys that are free.
const FREE: &str = "^x-";
/// The ways to say what a step or a command does, of which one has to be there.
const DOINGS: [&str; 4] = ["run", "argv", "uses", "steps"];

/// The schema of a runbook file.
pub fn json_schema() -> Value {
    of_file("A runbook, language 1", &of_runbooks())
}

/// The schema of a file of an environment.
pub fn environment_schema() -> Value {
    of_file("An environment of runbooks, language 1", environment_keys::SECTIONS)
}

/// The schema of a file of which the first section is the top.
fn of_file(title: &str, sections: &[&'static Section]) -> Value {
    let mut definitions = Map::new();
    for section in sections {
        definitions.insert(section.name.replace('`', ""), of_section(section));
    }
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!(DRAFT));
    schema.insert("title".to_owned(), json!(title));
    schema.insert("$ref".to_owned(), json!(reference(sections[0])));
    schema.insert("$defs".to_owned(), Value::Object(definitions));
    Value::Object(schema)
}

/// The sections of a runbook, those of actions too.
fn of_runbooks() -> Vec<&'static Section> {
    SECTIONS.iter().copied().chain(ACTIONS.iter().map(|action| action.with)).collect()
}

/// Where the schema of a section stands.
fn reference(section: &Section) -> String {
    // A slash in a name is written as RFC 6901 has it.
    format!("#/$defs/{}", section.name.replace('`', "").replace('/', "~1").replace(' ', "%20"))
}

fn of_section(section: &'static Section) -> Value {
    let mut properties = Map::new();
    for key in section.all() {
        // What no words say is free: the schema is never stricter than the check.
        let mut of_key = shape(key).unwrap_or_else(|| json!({}));
        if let Some(of_key) = of_key.as_object_mut() {
            of_key.insert("description".to_owned(), json!(about(key)));
        }
        properties.insert(key.name.to_owned(), of_key);
    }
    let required: Vec<&str> = section.all().filter(|key| key.required).map(|key| key.name).collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "patternProperties": {FREE: {}},
        "additionalProperties": false,
    });
    let Some(fields) = schema.as_object_mut() else { return schema };
    if !required.is_empty() {
        fields.insert("required".to_owned(), json!(required));
    }
    if section.find("run").is_some() && section.find("argv").is_some() {
        let ways = DOINGS.iter().filter(|name| section.find(name).is_some());
        let ways: Vec<Value> = ways.map(|name| json!({"required": [name]})).collect();
        fields.insert("oneOf".to_owned(), json!(ways));
    }
    schema
}

/// What an editor shows beside a key.
fn about(key: &Key) -> String {
    match (key.required, key.default) {
        (true, _) | (false, "") => key.doc.to_owned(),
        (false, default) => format!("{} Default: {default}.", key.doc),
    }
}

/// What the words of `takes` mean; `None` where they are not known.
pub(super) fn shape(key: &Key) -> Option<Value> {
    let literal = || json!({"type": ["string", "number", "boolean"]});
    let text = || json!({"type": "string"});
    let list = |items: Value| json!({"type": "array", "items": items});
    let map = |names: Option<&str>, values: Value| match names {
        Some(names) => json!({"type": "object", "propertyNames": {"pattern": names}, "additionalProperties": values}),
        None => json!({"type": "object", "additionalProperties": values}),
    };
    let id = || json!({"type": "string", "pattern": ID});
    let section = |name: &str| section(name).map(|section| json!({"$ref": reference(section)}));
    Some(match key.takes {
        "an id" | "a runbook of the project" | "an environment" => id(),
        "text"
        | "a script"
        | "a regular expression"
        | "text such as `>=14`"
        | "a cron rule"
        | "a time zone"
        | "a time" => text(),
        "text with `${{ }}`" | "a path with `${{ }}`" if key.name == "stdin" => literal(),
        "text with `${{ }}`" | "a path with `${{ }}`" => text(),
        // `true` alone is an expression, and YAML reads it as a boolean.
        "an expression" | "an expression, boolean" | "an expression over `exit_code`, boolean" => {
            json!({"type": ["string", "boolean"]})
        }
        "an action" => json!({"enum": ACTIONS.iter().map(|action| action.name).collect::<Vec<_>>()}),
        "text with `${{ }}`, secrets too" => literal(),
        "a map of names to text with `${{ }}`" | "a map of names to text with `${{ }}`, secrets too" => {
            map(None, literal())
        }
        "a value with `${{ }}` in its texts, secrets too" => json!({}),
        "a list of paths with `${{ }}`" => list(text()),
        "a list of statuses, such as `200` or `2xx`" => list(json!({"anyOf": [
            {"type": "integer", "minimum": 100, "maximum": 599},
            {"type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$"},
        ]})),
        "text with `${{ }}`, or with `probe` an expression" => json!({"type": ["string", "boolean"]}),
        "a duration" | "a duration from `1s`" => json!({"type": "string", "pattern": DURATION}),
        "a number" => json!({"type": "number"}),
        "a number from 1" => json!({"type": "number", "minimum": 1}),
        "a list, or an expression, list" => json!({"type": ["array", "string"]}),
        "a whole number from 0" => json!({"type": "integer", "minimum": 0}),
        "a whole number from 1" => json!({"type": "integer", "minimum": 1}),
        "a list of ids" | "a list of steps" | "a list of environments" => list(id()),
        "a list of variables" => list(json!({"type": "string", "pattern": VARIABLE})),
        "a list of paths" | "a list of names" | "a list of hours" => list(text()),
        "a list of texts with `${{ }}`" => list(literal()),
        "a list of names, or of `{name, version}`" => list(json!({"anyOf": [text(), section("a tool")?]})),
        "a list of URLs, or of `{url, expect}`" => list(json!({"anyOf": [text(), section("an endpoint")?]})),
        "a list of `{path, free}`" => list(section("room on a disk")?),
        "a size, such as `5 GiB`" => json!({"type": "string", "pattern": SIZE}),
        "a value of the type" => json!({}),
        "a list of values of the type" => list(json!({})),
        "a map of ids to text" => map(Some(ID), literal()),
        "a map of ids to types" => map(Some(ID), words("`string`, `integer`, `number`, `boolean`, `list` or `map`")?),
        "a map of ids to types; of a block, to outputs" => {
            let types = words("`string`, `integer`, `number`, `boolean`, `list` or `map`")?;
            map(Some(ID), json!({"anyOf": [types, section("an output of the runbook")?]}))
        }
        "a map of ids to inputs" => map(Some(ID), section("an input")?),
        "a map of ids to outputs" => map(Some(ID), section("an output of the runbook")?),
        "a map of inputs to values, or texts with `${{ }}`" => map(Some(ID), json!({})),
        "a map of ids to freezes" => map(Some(ID), section("a freeze")?),
        "a map of ids to schedules" => map(Some(ID), section("a schedule")?),
        "a map of inputs to values" => map(None, json!({})),
        "a map of ids to values" => map(Some(ID), json!({})),
        "`skip`, `run_once` or `run_all`, or a map" => {
            json!({"anyOf": [words("`skip`, `run_once` or `run_all`")?, section("`missed`")?]})
        }
        "a map of ids to steps" => {
            let mut steps = map(Some(ID), section("a step")?);
            if key.required {
                steps.as_object_mut()?.insert("minProperties".to_owned(), json!(1));
            }
            steps
        }
        "a map of variables to text with `${{ }}`" => map(Some(VARIABLE), literal()),
        "a map of file names to text with `${{ }}`" => map(None, literal()),
        "a map, by `uses`" => {
            let sections = of_runbooks();
            let ways = sections.iter().filter(|section| section.name.starts_with("`with` of"));
            json!({"anyOf": ways.map(|section| json!({"$ref": reference(section)})).collect::<Vec<_>>()})
        }
        "`manual`, `automatic`, `never`, or a map" => {
            json!({"anyOf": [words("`manual`, `automatic` or `never`")?, section("a rollback policy")?]})
        }
        "a map" | "a command" => section(&format!("`{}`", key.name)).unwrap_or_else(|| json!({"type": "object"})),
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
        [number] if number.parse::<i64>().is_ok() => json!({"const": number.parse::<i64>().ok()?}),
        words => json!({"enum": words}),
    })
}

#[cfg(test)]
mod tests {
    use super::super::show;
    use super::*;
    use crate::id::is_id;

    #[test]
    fn every_key_says_in_known_words_what_it_takes() {
        for section in of_runbooks().iter().chain(environment_keys::SECTIONS) {
            for key in section.all() {
                assert!(shape(key).is_some(), "{}: {}: {:?}: say here what that is", section.name, key.name, key.takes);
            }
        }
    }

    #[test]
    fn the_words_of_uses_are_the_actions() {
        let uses = super::super::step_keys::STEP.find("uses").and_then(shape).unwrap();
        let words: Vec<&str> = uses["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let actions = ACTIONS.iter().map(|action| action.name);
        assert_eq!(words, ["approval", "fail", "runbook", "wait"].into_iter().chain(actions).collect::<Vec<_>>());
    }

    #[test]
    fn patterns_are_those_of_the_check() {
        let pattern = regex::Regex::new(ID).unwrap();
        for text in ["a", "a-b_1", "", "A", "1a", "ä", &"a".repeat(63), &"a".repeat(64)] {
            assert_eq!(pattern.is_match(text), is_id(text), "{}", show(text));
        }
        let pattern = regex::Regex::new(DURATION).unwrap();
        for text in ["1h30m", "250ms", "7d", "1", "h", "1 h", "", "1m5"] {
            assert_eq!(pattern.is_match(text), crate::language::duration::parse(text).is_ok(), "{text}");
        }
    }
}
