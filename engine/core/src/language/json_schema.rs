//! The language as a JSON Schema (draft 2020-12), for editors. Written from the one description of keys in `schema` and of
//! what holds between them; what the words there mean is said in `json_shapes`. It refuses what the check refuses, as far as
//! that can be said of values where they stand and of keys beside each other, and never more.

use serde_json::{Map, Value, json};

use super::json_relations::{clauses, condition};
use super::json_shapes::{FINALLY, INSIDE_FINALLY, MAIN, TIDY, VERIFY, name, reference, shape, shape_of};
use super::relation::Is::{Given, Not, Word};
use super::relation::{Relation, lacks, takes, wants};
use super::schema::{self, Key, SECTIONS, Section};
use super::step_relations::{self as relations, KINDS};
use super::{environment_keys, step_keys};
use crate::action::{ACTIONS, Action, Effects};
use crate::definition::{DryRun, Effect};

/// The draft that the schema is written in.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Keys that are free.
const FREE: &str = "^x-";
/// What `uses` says of the keys beside it, as the schema calls it.
const USES: &str = "what uses names";
/// How the names of sections begin of what `with` takes.
const WITH_OF: &str = "`with` of `uses: ";

/// The schema of a runbook file.
pub fn json_schema() -> Value {
    let sections: Vec<_> = SECTIONS.iter().copied().chain(ACTIONS.iter().map(|action| action.with)).collect();
    let mut definitions = of_sections(&sections);
    definitions.insert(USES.to_owned(), json!({"allOf": of_uses(&sections)}));
    let mut variant = |name: &str, of: &str, relations: &[&[Relation<'_>]], inside: Option<&str>| {
        let mut all = vec![json!({"$ref": reference(of)})];
        all.extend(clauses(relations.iter().copied().flatten(), |_| true, |_| json!({})));
        let steps = inside.map(|inside| json!({"additionalProperties": {"$ref": reference(inside)}}));
        all.extend(steps.map(|steps| json!({"properties": {"steps": steps}})));
        definitions.insert(name.to_owned(), json!({"allOf": all}));
    };
    let (step, following) = (step_keys::STEP.name, step_keys::CLEANUP.name);
    variant(MAIN, step, &[relations::MAIN], None);
    variant(FINALLY, step, &[relations::FINALLY, relations::TIDYING], Some(INSIDE_FINALLY));
    variant(INSIDE_FINALLY, MAIN, &[relations::TIDYING], Some(INSIDE_FINALLY));
    variant(TIDY, following, &[relations::NO_ANSWER], None);
    variant(VERIFY, following, &[relations::ANSWER], None);
    of_file("A runbook, language 1", &schema::RUNBOOK, definitions)
}

/// The schema of a file of an environment.
pub fn environment_schema() -> Value {
    let definitions = of_sections(environment_keys::SECTIONS);
    of_file("An environment of runbooks, language 1", &environment_keys::FILE, definitions)
}

/// The schema of a file whose top is this section.
fn of_file(title: &str, top: &Section, definitions: Map<String, Value>) -> Value {
    json!({"$schema": DRAFT, "title": title, "$ref": reference(top.name), "$defs": definitions})
}

fn of_sections(sections: &[&'static Section]) -> Map<String, Value> {
    sections.iter().map(|section| (name(section.name), of_section(section))).collect()
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
    let mut all = relations_of(section, section.relations.iter().copied().flatten());
    if section.find("uses").is_some() {
        all.push(json!({"$ref": reference(USES)}));
    }
    if section.find("effect").is_some() {
        all.extend(of_effects(section));
    }
    if !all.is_empty() {
        fields.insert("allOf".to_owned(), json!(all));
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

/// What holds between keys of a section.
fn relations_of<'r>(section: &Section, relations: impl Iterator<Item = &'r Relation<'r>> + Clone) -> Vec<Value> {
    let has = |path: &str| path.split('.').next().is_some_and(|key| section.find(key).is_some());
    clauses(relations, has, |takes| shape_of("", takes).unwrap_or_else(|| json!({})))
}

/// The actions of which something holds.
fn named(holds: impl Fn(&Action) -> bool) -> Vec<&'static str> {
    ACTIONS.iter().filter(|action| holds(action)).map(|action| action.name).collect()
}

/// What stands beside `uses`, by what it names: what `with` takes, and which keys mean nothing.
fn of_uses(sections: &[&Section]) -> Vec<Value> {
    let mut all = Vec::new();
    for section in sections {
        let Some(word) = section.name.strip_prefix(WITH_OF).and_then(|rest| rest.strip_suffix('`')) else { continue };
        let mut then = json!({"properties": {"with": {"$ref": reference(section.name)}}});
        if KINDS.contains(&word) || section.all().any(|key| key.required) {
            then["required"] = json!(["with"]);
        }
        all.push(json!({"if": condition(&[Word("uses", &[word])]), "then": then}));
    }
    let mut beside: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for action in ACTIONS {
        let strangers: Vec<&str> = action.strangers().collect();
        match beside.iter_mut().find(|(_, others)| *others == strangers) {
            Some((names, _)) => names.push(action.name),
            None => beside.push((vec![action.name], strangers)),
        }
    }
    for (names, strangers) in &beside {
        all.extend(clauses([lacks(&[Word("uses", names)], strangers)].iter(), |_| true, |_| json!({})));
    }
    all
}

/// What follows from the effect of a step, its own or that of its action.
fn of_effects(section: &Section) -> Vec<Value> {
    let fixed = |action: &Action, effect: Effect| matches!(action.effect, Effects::Fixed(is) if is == effect);
    let asking = named(|action| action.dry_run == DryRun::Ask);
    let destructive = named(|action| fixed(action, Effect::Destructive));
    let changing = named(|action| {
        let by = matches!(action.effect, Effects::By(..));
        !by && !fixed(action, Effect::Read) && action.dry_run != DryRun::Ask
    });
    let no_effect = Not(&Given(&["effect"]));
    let mut all = relations_of(
        section,
        [
            wants(&[Word("effect", &["destructive"])], &["target"]),
            wants(&[no_effect, Word("uses", &destructive)], &["target"]),
            lacks(&[Word("effect", &["read", "idempotent", "mutating"])], &["target"]),
            lacks(&[no_effect, Not(&Word("uses", &destructive))], &["target"]),
            lacks(
                &[Word("effect", &["idempotent", "mutating", "destructive"]), Not(&Word("uses", &asking))],
                &["dry_run"],
            ),
            lacks(&[no_effect, Not(&Given(&["uses", "steps"]))], &["dry_run"]),
            lacks(&[no_effect, Word("uses", &changing)], &["dry_run"]),
        ]
        .iter(),
    );
    for weakest in [Effect::Idempotent, Effect::Destructive] {
        let stronger: Vec<String> = Effect::ALL
            .into_iter()
            .filter(|effect| *effect >= weakest)
            .map(|effect| format!("`{}`", effect.name()))
            .collect();
        let takes_stronger = stronger.join(", ");
        let fixed = named(|action| matches!(action.effect, Effects::Fixed(own) if action.weakest(own) == weakest));
        all.extend(relations_of(section, [takes(&[Word("uses", &fixed)], "effect", &takes_stronger)].iter()));
        for action in ACTIONS {
            let Effects::By(key, words) = action.effect else { continue };
            let words = words.iter().filter(|(_, own)| action.weakest(*own) == weakest);
            let words: Vec<&str> = words.map(|(word, _)| *word).collect();
            let (key, uses) = (format!("with.{key}"), [action.name]);
            let when = [Word("uses", &uses), Word(&key, &words)];
            all.extend(relations_of(section, [takes(&when, "effect", &takes_stronger)].iter()));
        }
    }
    for action in ACTIONS {
        let Effects::By(key, words) = action.effect else { continue };
        let words: Vec<&str> =
            words.iter().filter(|(_, effect)| *effect != Effect::Read).map(|(word, _)| *word).collect();
        let key = format!("with.{key}");
        let when = [no_effect, Word("uses", &[action.name]), Word(&key, &words)];
        all.extend(relations_of(section, [lacks(&when, &["dry_run"])].iter()));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::relation::Then;
    use super::*;

    #[test]
    fn every_key_says_in_known_words_what_it_takes() {
        for section in SECTIONS
            .iter()
            .copied()
            .chain(ACTIONS.iter().map(|action| action.with))
            .chain(environment_keys::SECTIONS.iter().copied())
        {
            for key in section.all() {
                assert!(shape(key).is_some(), "{}: {}: {:?}: say here what that is", section.name, key.name, key.takes);
            }
            for relation in section.relations.iter().copied().flatten() {
                if let Then::Takes(key, takes) = relation.then {
                    assert!(
                        shape_of(key, takes).is_some(),
                        "{}: {key}: {takes:?}: say here what that is",
                        section.name
                    );
                }
            }
        }
    }
}
