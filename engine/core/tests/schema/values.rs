//! Values of every type at every key.

use runbook_core::action::ACTIONS;
use runbook_core::language::environment_keys;
use runbook_core::language::schema::{SECTIONS, Section};
use serde_json::{Map, Value, json};

use super::apart::with;

/// A value of every type, with and without something in it. A whole number that is written as `7.0` is none to the check, and
/// is one to every schema.
fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(7),
        json!(-7),
        json!(1.5),
        json!(""),
        json!("x"),
        json!("7"),
        json!("true"),
        json!("${{ inputs.x }}"),
        json!([]),
        json!(["x"]),
        json!([7]),
        json!([true]),
        json!([null]),
        json!([[]]),
        json!([{}]),
        json!({}),
        json!({"x": "y"}),
        json!({"x": 7}),
        json!({"x": true}),
        json!({"x": null}),
        json!({"x": []}),
        json!({"x": {}}),
        json!({"x": {"y": null}}),
    ]
}

/// A runbook of these keys.
fn runbook(keys: Value) -> Value {
    let document = json!({"name": "a", "language": 1, "steps": {"a": {"argv": ["a"]}}});
    keys.as_object().into_iter().flatten().fold(document, |document, (key, value)| with(&document, key, value.clone()))
}

/// A runbook of this step.
fn step(step: Value) -> Value {
    runbook(json!({"steps": {"a": step}}))
}

/// A runbook with a command and this beside it.
fn beside(keys: Value) -> Value {
    let command = json!({"argv": ["a"]});
    step(keys.as_object().into_iter().flatten().fold(command, |step, (key, value)| with(&step, key, value.clone())))
}

/// A map of a section in a runbook: what it has to have, and what is around it.
fn place(section: &Section) -> (Value, Box<dyn Fn(Value) -> Value>) {
    fn of(least: Value, around: impl Fn(Value) -> Value + 'static) -> (Value, Box<dyn Fn(Value) -> Value>) {
        (least, Box::new(around))
    }
    let command = || json!({"argv": ["a"]});
    match section.name {
        "a runbook" => of(json!({}), runbook),
        "an input" => of(json!({"type": "string"}), |map| runbook(json!({"inputs": {"i": map}}))),
        "an output of the runbook" => {
            of(json!({"type": "string", "value": "'a'"}), |map| runbook(json!({"outputs": {"o": map}})))
        }
        "`requires`" => of(json!({}), |map| runbook(json!({"requires": map}))),
        "a tool" => of(json!({"name": "a"}), |map| runbook(json!({"requires": {"tools": [map]}}))),
        "an endpoint" => of(json!({"url": "http://x"}), |map| runbook(json!({"requires": {"endpoints": [map]}}))),
        "room on a disk" => {
            of(json!({"path": "a", "free": "5 GiB"}), |map| runbook(json!({"requires": {"disk": [map]}})))
        }
        "`defaults`" => of(json!({}), |map| runbook(json!({"defaults": map}))),
        "`concurrency`" => of(json!({"group": "g"}), |map| runbook(json!({"concurrency": map}))),
        "`attention`" => of(json!({"after": "1h", "as": "failed"}), |map| runbook(json!({"attention": map}))),
        "a rollback policy" => of(json!({}), |map| runbook(json!({"rollback": map}))),
        "a schedule" => of(json!({"cron": "@daily"}), |map| runbook(json!({"schedules": {"n": map}}))),
        "`missed`" => {
            of(json!({"policy": "skip"}), |map| runbook(json!({"schedules": {"n": {"cron": "@daily", "missed": map}}})))
        }
        "`expect`" => of(json!({"every": "1h"}), |map| runbook(json!({"expect": map}))),
        "`preflight`" => of(json!({"every": "1h"}), |map| runbook(json!({"preflight": map}))),
        "`objective`" => of(json!({"target": "x", "rpo": "1h"}), |map| runbook(json!({"objective": map}))),
        "a step" => of(command(), step),
        "`with` of `uses: fail`" => of(json!({"message": "x"}), |map| step(json!({"uses": "fail", "with": map}))),
        "`with` of `uses: wait`" => {
            of(json!({"probe": {"argv": ["a"]}}), |map| step(json!({"uses": "wait", "with": map})))
        }
        "`probe`" => of(command(), |map| step(json!({"uses": "wait", "with": {"probe": map}}))),
        "`with` of `uses: approval`" => {
            of(json!({"message": "x", "timeout": "1h"}), |map| step(json!({"uses": "approval", "with": map})))
        }
        "`with` of `uses: runbook`" => of(json!({"name": "b"}), |map| step(json!({"uses": "runbook", "with": map}))),
        "`repeat`" => of(json!({"until": "iteration.number == 1", "max": 2}), |map| beside(json!({"repeat": map}))),
        "`verify`, `on_cancel` and `rollback` of a step" => of(command(), |map| beside(json!({"on_cancel": map}))),
        "`retry`" => of(json!({"attempts": 2}), |map| beside(json!({"retry": map}))),
        "`backoff`" => of(json!({}), |map| beside(json!({"retry": {"attempts": 2, "backoff": map}}))),
        "`stop`" => of(json!({}), |map| beside(json!({"stop": map}))),
        name => {
            let action = ACTIONS.iter().find(|action| action.with.name == name);
            let action = action.unwrap_or_else(|| panic!("say here where {name} stands"));
            let mut least = Map::new();
            for key in action.with.all().filter(|key| key.required) {
                let value = match key.takes {
                    "a list of texts with `${{ }}`" => json!(["x"]),
                    _ => json!("x"),
                };
                least.insert(key.name.to_owned(), value);
            }
            let target = (action.name == "terraform/destroy").then_some("x");
            of(Value::Object(least), move |map| {
                let used = json!({"uses": action.name, "with": map});
                step(target.map_or_else(|| used.clone(), |target| with(&used, "target", json!(target))))
            })
        }
    }
}

/// Runbooks of each value at each key.
pub fn runbooks() -> Vec<Value> {
    let mut all = Vec::new();
    for section in SECTIONS.iter().copied().chain(ACTIONS.iter().map(|action| action.with)) {
        let (least, around) = place(section);
        all.push(around(least.clone()));
        for key in section.all() {
            all.extend(values().into_iter().map(|value| around(with(&least, key.name, value))));
        }
    }
    all
}

/// Environments of each value at each key.
pub fn environments() -> Vec<Value> {
    let file = |key: &str, value: Value| with(&json!({"name": "a", "language": 1}), key, value);
    let mut all = Vec::new();
    for section in environment_keys::SECTIONS {
        let least = match section.name {
            "`hours`" => json!({"allowed": ["mon-fri 09:00-17:00"]}),
            "a freeze" => json!({"from": "2026-12-20T00:00:00Z", "to": "2027-01-04T00:00:00Z", "reason": "x"}),
            "`override`" => json!({"roles": ["ops"]}),
            _ => json!({}),
        };
        for key in section.all() {
            let maps = values().into_iter().map(|value| with(&least, key.name, value));
            all.extend(maps.map(|map| match section.name {
                "an environment" => file(key.name, map[key.name].clone()),
                "`protection`" => file("protection", map),
                "a freeze" => file("protection", json!({"freezes": {"f": map}})),
                name => file("protection", json!({name.replace('`', ""): map})),
            }));
        }
    }
    all
}
