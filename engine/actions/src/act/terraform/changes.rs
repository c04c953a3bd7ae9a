//! What a plan of terraform would change, read from its JSON: addresses, actions and names of attributes, never a value.

use runbook_core::limits;
use serde_json::Value;

/// What terraform said about one change.
pub(super) struct Change {
    pub address: String,
    pub action: &'static str,
    pub attributes: Vec<String>,
    /// What is there now of that which differs. May hold secrets.
    pub before: Value,
}

/// One of the words for what becomes of a resource or an output; none for what changes nothing.
fn word(value: &Value) -> Option<&'static str> {
    let words = ["create", "update", "replace", "delete"];
    words.into_iter().find(|word| value.as_str() == Some(word))
}

/// What a line of the talk about a plan says that it would change.
pub(super) fn planned(message: &Value) -> Vec<Change> {
    let change = &message["change"];
    if let (Some(address), Some(action)) = (change["resource"]["addr"].as_str(), word(&change["action"])) {
        return vec![Change { address: address.to_owned(), action, attributes: Vec::new(), before: Value::Null }];
    }
    let outputs = message["outputs"].as_object().into_iter().flatten();
    let changed = outputs.filter_map(|(name, output)| {
        let (address, action) = (format!("output.{name}"), word(&output["action"])?);
        Some(Change { address, action, attributes: Vec::new(), before: Value::Null })
    });
    changed.collect()
}

/// By address: where there is no room for all, the same ones are left out each time.
pub(super) fn sorted(mut changes: Vec<Change>) -> Vec<Change> {
    changes.sort_by(|one, other| one.address.cmp(&other.address));
    changes
}

/// What a plan would change, by address, with what differs of it.
pub(super) fn changes(plan: &Value) -> Vec<Change> {
    let resources = plan["resource_changes"].as_array().into_iter().flatten();
    let mut changes: Vec<Change> = resources
        .filter_map(|resource| {
            let change = &resource["change"];
            let actions: Vec<&str> = change["actions"].as_array()?.iter().filter_map(Value::as_str).collect();
            let action = match actions.as_slice() {
                ["create"] => "create",
                ["update"] => "update",
                ["delete"] => "delete",
                ["create", "delete"] | ["delete", "create"] => "replace",
                _ => return None,
            };
            let address = resource["address"].as_str()?.to_owned();
            let attributes = attributes(change);
            // What is written may be anew each time, such as the time of day; what is there is not.
            let before = attributes.iter().map(|name| change["before"][name.as_str()].clone()).collect();
            Some(Change { address, action, attributes, before })
        })
        .collect();
    for (name, change) in plan["output_changes"].as_object().into_iter().flatten() {
        let Some(action) = word(&change["actions"][0]) else { continue };
        let (address, attributes) = (format!("output.{name}"), vec!["value".to_owned()]);
        changes.push(Change { address, action, attributes, before: change["before"].clone() });
    }
    sorted(changes)
}

/// What is told of changes in one output, as far as there is room for it, and how many there are beyond.
pub(super) fn listed<C>(changes: &[C], told: impl Fn(&C) -> Value) -> (Value, usize) {
    let mut bytes = 2;
    let fits = changes.iter().map(told).take_while(|value| {
        bytes += value.to_string().len() + 1;
        bytes <= limits::OUTPUT_BYTES
    });
    let list: Vec<Value> = fits.collect();
    let left_out = changes.len() - list.len();
    (Value::Array(list), left_out)
}

/// The names of the attributes that differ; never their values.
fn attributes(change: &Value) -> Vec<String> {
    let part = |name: &str| change[name].as_object().cloned().unwrap_or_default();
    let (before, after, unknown) = (part("before"), part("after"), part("after_unknown"));
    let mut names: Vec<String> = before.keys().chain(after.keys()).chain(unknown.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names.retain(|name| before.get(name) != after.get(name) || unknown.get(name) == Some(&Value::Bool(true)));
    names
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_read_without_its_values() {
        let plan = json!({
            "resource_changes": [
                {"address": "a.b", "change": {"actions": ["update"], "before": {"x": 1, "y": "secret"}, "after": {"x": 1, "y": "other"}, "after_unknown": {"id": true}}},
                {"address": "a.c", "change": {"actions": ["delete", "create"], "before": {}, "after": {}}},
                {"address": "a.d", "change": {"actions": ["no-op"]}},
            ],
            "output_changes": {"url": {"actions": ["create"]}, "same": {"actions": ["no-op"]}},
        });
        let told: Vec<(String, &str, String)> = changes(&plan)
            .into_iter()
            .map(|change| (change.address, change.action, change.attributes.join(",")))
            .collect();
        let told: Vec<_> = told.iter().map(|(a, b, c)| (a.as_str(), *b, c.as_str())).collect();
        assert_eq!(told, [("a.b", "update", "id,y"), ("a.c", "replace", ""), ("output.url", "create", "value")]);
    }

    #[test]
    fn what_is_planned_is_read_from_the_talk_about_it() {
        let lines = [
            json!({"type": "planned_change", "change": {"resource": {"addr": "a.b"}, "action": "replace"}}),
            json!({"type": "planned_change", "change": {"resource": {"addr": "data.c"}, "action": "read"}}),
            json!({"type": "outputs", "outputs": {"url": {"action": "update"}, "same": {"action": "noop"}}}),
            json!({"type": "outputs", "outputs": {"applied": {"value": 1}}}),
        ];
        let found = lines.iter().flat_map(planned).map(|change| (change.address, change.action));
        let wanted =
            [("a.b", "replace"), ("output.url", "update")].map(|(address, action)| (address.to_owned(), action));
        assert_eq!(found.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn of_very_many_changes_the_first_are_listed_and_all_are_counted() {
        let resources = (0..20_000).rev().map(|number| {
            json!({"address": format!("module.net.aws_instance.web[{number:05}]"), "change": {"actions": ["create"]}})
        });
        let all = changes(&json!({"resource_changes": resources.collect::<Vec<_>>()}));
        let (list, left_out) = listed(&all, |change| json!({"address": change.address, "action": change.action}));
        let length = list.as_array().map_or(0, Vec::len);
        assert_eq!((length + left_out, list.to_string().len() <= limits::OUTPUT_BYTES), (20_000, true));
        assert!(length > 3_000 && list[0]["address"] == "module.net.aws_instance.web[00000]", "{length}");
        assert_eq!(listed(&all[..2], |change| Value::from(change.address.as_str())).1, 0);
    }
}
