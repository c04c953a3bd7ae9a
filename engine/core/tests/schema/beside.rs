//! Every key beside every other: of steps of every kind, wherever a step may stand, and of the maps in which keys have to do
//! with each other.

use serde_json::{Value, json};

use super::apart::with;

/// What steps do, each in the fewest keys.
fn kinds() -> Vec<Value> {
    let http = |more: Value| {
        let mut with = json!({"url": "http://x"});
        with.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        json!({"uses": "http", "with": with})
    };
    vec![
        json!({}),
        json!({"argv": ["a"]}),
        json!({"run": "a"}),
        json!({"steps": {"b": {"argv": ["b"]}}}),
        json!({"uses": "approval", "with": {"message": "x"}}),
        json!({"uses": "fail", "with": {"message": "x"}}),
        json!({"uses": "runbook", "with": {"name": "b"}}),
        json!({"uses": "wait", "with": {"for": "1m"}}),
        json!({"uses": "wait", "with": {"probe": {"argv": ["a"]}}}),
        http(json!({})),
        http(json!({"method": "POST"})),
        json!({"uses": "notify/slack", "with": {"url": "http://x", "text": "x"}}),
        json!({"uses": "notify/email", "with": {"server": "x", "from": "a@b.org", "to": ["c@d.org"], "subject": "s", "text": "t"}}),
        json!({"uses": "git/checkout", "with": {"url": "x", "path": "x"}}),
        json!({"uses": "terraform/plan", "with": {"dir": "x"}}),
        json!({"uses": "terraform/destroy", "with": {"dir": "x", "confirm_workspace": "x"}}),
    ]
}

/// What may stand in a step, one key each.
fn of_step() -> Vec<(&'static str, Value)> {
    let command = || json!({"argv": ["a"]});
    vec![
        ("run", json!("a")),
        ("argv", json!(["a"])),
        ("uses", json!("wait")),
        ("uses", json!("http")),
        ("uses", json!("terraform/fmt")),
        ("with", json!({})),
        ("with", json!({"message": "x"})),
        ("with", json!({"url": "http://x"})),
        ("steps", json!({"b": {"argv": ["b"]}})),
        ("finally", json!({"c": {"argv": ["c"]}})),
        ("shell", json!("bash")),
        ("stdin", json!("x")),
        ("env", json!({"A": "b"})),
        ("env_file", json!("x")),
        ("pass_env", json!(["A"])),
        ("working_dir", json!("x")),
        ("files", json!({"a": "b"})),
        ("timeout", json!("1m")),
        ("stop", json!({"grace": "1s"})),
        ("tools", json!(["a", {"name": "b", "version": ">=1"}])),
        ("description", json!("x")),
        ("needs", json!(["b"])),
        ("if", json!("1 == 1")),
        ("when_skipped", json!("go_on")),
        ("undoes", json!(["b"])),
        ("for_each", json!(["a"])),
        ("max_parallel", json!(1)),
        ("max_failures", json!(1)),
        ("repeat", json!({"until": "iteration.number == 1", "max": 2})),
        ("outputs", json!({"x": "string"})),
        ("outputs", json!({"x": {"type": "integer", "value": "1"}})),
        ("artifacts", json!(["x"])),
        ("success", json!("exit_code == 0")),
        ("unknown_if", json!("exit_code == 3")),
        ("retry", json!({"attempts": 2})),
        ("effect", json!("read")),
        ("effect", json!("mutating")),
        ("effect", json!("destructive")),
        ("dry_run", json!("skip")),
        ("target", json!("x")),
        ("verify", command()),
        ("verify", json!({"uses": "http", "with": {"url": "http://x"}})),
        ("verify", json!({"uses": "http", "with": {"url": "http://x", "happened": true}})),
        ("verify", json!({"uses": "notify/slack", "with": {"url": "http://x", "text": "x"}})),
        ("on_cancel", command()),
        ("on_cancel", json!({"uses": "http", "with": {"url": "http://x", "happened": true}})),
        ("rollback", command()),
        ("rollback", json!({"run": "a", "shell": "bash"})),
        ("rollback", json!({"argv": ["a"], "shell": "bash"})),
        ("no_return", json!(true)),
        ("no_return", json!(false)),
        ("allow_failure", json!(true)),
        ("locks", json!(["l"])),
        ("pool", json!("p")),
        ("x-free", json!(1)),
    ]
}

/// The keys that are asked of steps.
pub fn keys_of_steps() -> Vec<&'static str> {
    of_step().into_iter().map(|(key, _)| key).collect()
}

/// Keys that have to do with nothing but what the step does: beside another one they say what they say alone.
const ALONE: &[&str] = &[
    "stdin",
    "env",
    "env_file",
    "pass_env",
    "working_dir",
    "files",
    "stop",
    "tools",
    "timeout",
    "description",
    "needs",
    "if",
    "when_skipped",
    "undoes",
    "success",
    "unknown_if",
    "retry",
    "on_cancel",
    "pool",
    "allow_failure",
    "x-free",
];

/// Runbooks of a step with one key more, in all the places where a step may stand, and with two.
pub fn steps() -> Vec<Value> {
    let mut all = Vec::new();
    let keys = of_step();
    for kind in kinds() {
        for (index, (first, value)) in keys.iter().enumerate() {
            let step = with(&kind, first, value.clone());
            for place in [main, finally, in_block, in_finally_of_block, in_block_of_finally] {
                all.push(place(&step));
            }
            let others =
                keys[index + 1..].iter().filter(|(second, _)| ![first, second].iter().any(|key| ALONE.contains(key)));
            all.extend(others.map(|(second, value)| main(&with(&step, second, value.clone()))));
        }
    }
    all
}

fn main(step: &Value) -> Value {
    json!({"name": "a", "language": 1, "steps": {"s": step}})
}

fn finally(step: &Value) -> Value {
    with(&main(&json!({"argv": ["a"]})), "finally", json!({"t": step}))
}

fn in_block(step: &Value) -> Value {
    main(&json!({"steps": {"i": step}}))
}

fn in_finally_of_block(step: &Value) -> Value {
    main(&json!({"steps": {"i": {"argv": ["a"]}}, "finally": {"j": step}}))
}

fn in_block_of_finally(step: &Value) -> Value {
    finally(&json!({"steps": {"i": {"steps": {"j": step}}}}))
}

/// Maps in which keys have to do with each other: (how it gets into a runbook, what it has to have, what it may have).
type Map = (fn(&Value) -> Value, Value, Vec<(&'static str, Value)>);

fn maps() -> Vec<Map> {
    let input = |value: &Value| with(&main(&json!({"argv": ["a"]})), "inputs", json!({"i": value}));
    let objective = |value: &Value| with(&main(&json!({"argv": ["a"]})), "objective", value.clone());
    let field = |value: &Value| main(&json!({"uses": "approval", "with": {"message": "x", "fields": {"f": value}}}));
    let of_input = vec![
        ("type", json!("string")),
        ("type", json!("integer")),
        ("type", json!("number")),
        ("type", json!("boolean")),
        ("type", json!("list")),
        ("type", json!("map")),
        ("required", json!(true)),
        ("required", json!(false)),
        ("default", json!("a")),
        ("default", json!(1)),
        ("default", json!(1.5)),
        ("default", json!(2.0)),
        ("default", json!(true)),
        ("default", json!([])),
        ("default", json!({})),
        ("default", json!(null)),
        ("enum", json!(["a"])),
        ("enum", json!([1, 1.5])),
        ("enum", json!([true])),
        ("enum", json!([[]])),
        ("enum", json!([{}])),
        ("pattern", json!("a")),
        ("minimum", json!(0)),
        ("maximum", json!(9)),
        ("secret", json!(true)),
        ("ephemeral", json!(true)),
        ("ephemeral", json!(false)),
    ];
    let of_command = vec![
        ("run", json!("a")),
        ("argv", json!(["a"])),
        ("uses", json!("http")),
        ("uses", json!("git/checkout")),
        ("with", json!({"url": "x"})),
        ("with", json!({"url": "x", "happened": true})),
        ("with", json!({"url": "x", "path": "x"})),
        ("shell", json!("bash")),
        ("env", json!({"A": "b"})),
        ("stdin", json!("x")),
        ("stop", json!({})),
        ("tools", json!([])),
        ("retry", json!({"attempts": 2})),
    ];
    vec![
        (|probe| main(&json!({"uses": "wait", "with": {"probe": probe}})), json!({}), of_command.clone()),
        (|verify| main(&json!({"argv": ["a"], "verify": verify})), json!({}), of_command.clone()),
        (|rollback| main(&json!({"argv": ["a"], "rollback": rollback})), json!({}), of_command.clone()),
        (|on_cancel| finally(&json!({"argv": ["a"], "on_cancel": on_cancel})), json!({}), of_command),
        (input, json!({"type": "string"}), of_input.clone()),
        (input, json!({"type": "integer"}), of_input.clone()),
        (input, json!({"type": "string", "secret": true}), of_input.clone()),
        (field, json!({"type": "string"}), of_input),
        (
            objective,
            json!({"target": "x"}),
            vec![
                ("rpo", json!("1h")),
                ("rto", json!("1h")),
                ("drill", json!(true)),
                ("drill", json!(false)),
                ("proves", json!(true)),
                ("proves", json!(false)),
            ],
        ),
        (
            |with| main(&json!({"uses": "wait", "with": with})),
            json!({}),
            vec![
                ("for", json!("1m")),
                ("until", json!("2026-12-01T08:00:00Z")),
                ("until", json!("exit_code == 0")),
                ("probe", json!({"argv": ["a"]})),
                ("probe", json!({})),
                ("probe", json!({"uses": "http", "with": {"url": "x"}})),
                ("probe", json!({"uses": "http", "with": {"url": "x", "happened": true}})),
                ("fail_if", json!("exit_code == 1")),
                ("every", json!("5s")),
            ],
        ),
        (
            |with| main(&json!({"uses": "approval", "with": with})),
            json!({"message": "x"}),
            vec![
                ("timeout", json!("1m")),
                ("on_timeout", json!("fail")),
                ("fields", json!({"decision": {"type": "string"}})),
                ("fields", json!({"approvers": {"type": "string"}})),
                ("fields", json!({"other": {"type": "string"}})),
            ],
        ),
        (
            |with| main(&json!({"uses": "http", "with": with})),
            json!({"url": "http://x"}),
            vec![
                ("method", json!("HEAD")),
                ("method", json!("PUT")),
                ("method", json!("OPTIONS")),
                ("json", json!({})),
                ("body", json!("x")),
                ("body_file", json!("x")),
                ("user", json!("x")),
                ("password", json!("x")),
                ("client_key", json!("x")),
                ("client_cert", json!("x")),
                ("redirects", json!(0)),
                ("redirects", json!(1)),
                ("answer", json!("json")),
                ("answer", json!("file")),
                ("max_bytes", json!(1000)),
                ("max_bytes", json!(300_000)),
                ("happened", json!(true)),
                ("expect", json!(true)),
            ],
        ),
        (
            |with| main(&json!({"uses": "notify/email", "with": with})),
            json!({"server": "x", "from": "a@b.org", "to": ["c@d.org"], "subject": "s", "text": "t"}),
            vec![
                ("tls", json!("none")),
                ("tls", json!("implicit")),
                ("user", json!("x")),
                ("password", json!("x")),
                ("ca", json!("x")),
            ],
        ),
        (
            |terraform| main(&json!({"uses": "terraform/plan", "with": terraform})),
            json!({"dir": "x"}),
            vec![("vars", json!({})), ("vars", json!("x")), ("vars", json!([])), ("var_files", json!(["x"]))],
        ),
        (
            |keys| {
                let schedule = json!({"n": {"cron": "@daily", "overlap": keys.get("x-overlap")}});
                with(&with(keys, "schedules", schedule), "steps", json!({"s": {"argv": ["a"]}}))
            },
            json!({"name": "a", "language": 1}),
            vec![
                ("concurrency", json!({"group": "g"})),
                ("x-overlap", json!("skip")),
                ("x-overlap", json!("queue")),
                ("x-overlap", json!("replace")),
                ("x-overlap", json!("allow")),
            ],
        ),
    ]
}

/// Of how many keys three are asked together; of more, two.
const FEW: usize = 20;

/// Runbooks with such a map of up to two keys more, or three.
pub fn inside() -> Vec<Value> {
    let mut all = Vec::new();
    for (place, least, keys) in maps() {
        all.push(place(&least));
        for (index, (first, value)) in keys.iter().enumerate() {
            let one = with(&least, first, value.clone());
            all.push(place(&one));
            for (next, (second, value)) in keys.iter().enumerate().skip(index + 1) {
                let two = with(&one, second, value.clone());
                all.push(place(&two));
                let thirds = if keys.len() <= FEW { &keys[next + 1..] } else { &[] };
                all.extend(thirds.iter().map(|(third, value)| place(&with(&two, third, value.clone()))));
            }
        }
    }
    all
}
