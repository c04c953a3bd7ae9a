//! The `cel` crate as a judge: where it and we both give a value, it is the same.

use proptest::prelude::*;
use serde_json::Value;

use super::properties::sentences;
use super::{World, world};
use crate::expression::{Expression, Reference, Scope};

/// The names of the world as CEL variables: `inputs`, `steps`, `secrets`, `exit_code`. Whole numbers as Int.
fn context() -> cel::Context<'static, 'static> {
    fn value(json: &Value) -> cel::Value {
        match json {
            Value::Number(number) => match number.as_i64() {
                Some(integer) => cel::Value::Int(integer),
                None => cel::Value::Float(number.as_f64().unwrap()),
            },
            Value::Array(items) => items.iter().map(value).collect::<Vec<_>>().into(),
            Value::Object(entries) => {
                let entries: std::collections::HashMap<String, cel::Value> =
                    entries.iter().map(|(key, item)| (key.clone(), value(item))).collect();
                entries.into()
            }
            other => cel::to_value(other).unwrap(),
        }
    }
    let World { values, .. } = world();
    let mut roots = serde_json::json!({"inputs": {}, "secrets": {}, "steps": {"maybe": {"outputs": {"n": null}}}});
    for (reference, value) in values {
        match reference {
            Reference::Input(name) => roots["inputs"][name] = value,
            Reference::Secret(name) => roots["secrets"][name] = value,
            Reference::ExitCode => roots["exit_code"] = value,
            _ => {}
        }
    }
    let mut context = cel::Context::default();
    for (name, root) in roots.as_object().unwrap() {
        context.add_variable_from_value(name.clone(), value(root));
    }
    context
}

fn judged(source: &str) -> Option<Value> {
    let program = cel::Program::compile(source).ok()?;
    program.execute(&context()).ok()?.json().ok()
}

fn agree(source: &str, scope: &dyn Scope) -> Result<bool, TestCaseError> {
    let Ok(expression) = Expression::parse(source) else { return Ok(false) };
    let Ok(ours) = expression.evaluate(scope) else { return Ok(false) };
    let Some(theirs) = judged(source) else { return Ok(false) };
    // We keep the order of a map's keys, the judge has none.
    let keys = source.contains("tags") || source.contains("{'k'");
    if keys && (source.contains(".filter(x") || source.contains(".map(x")) {
        return Ok(false);
    }
    prop_assert_eq!(&ours, &theirs, "{}", source);
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn values_are_those_of_cel(source in sentences()) {
        agree(&source, &world())?;
    }

    #[test]
    fn precedence_is_that_of_cel(
        parts in prop::collection::vec((
            prop::sample::select(vec!["1", "2", "7", "2.5", "true", "false", "'a'"]),
            prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "?", ":", "in"]),
        ), 1..8),
        last in prop::sample::select(vec!["1", "true", "'a'", "[1, 2, true]"]),
    ) {
        let mut source: String = parts.iter().map(|(value, sign)| format!("{value} {sign} ")).collect();
        source.push_str(last);
        agree(&source, &world())?;
    }
}

#[test]
fn the_judge_is_awake() {
    let mut judged = 0;
    for source in [
        "1 + 2 * 3",
        "inputs.keep / 2 + exit_code % 2",
        "inputs.hosts.filter(h, h.startsWith('web')).map(h, h + '!')",
        "inputs.nodes.exists(n, n.cpu > 2) ? 'big' : 'small'",
        "size(inputs.name) == 6 && inputs.name.matches('^o')",
        "'a' in ['b', 'a'] || false",
        "{'a': [1, 2.5]}.a[1]",
        "string(1.0) + string(12) + r'\\d' + '\\u00e9'",
        "int('12') + int(3.9) + int(-3.9)",
        "has(inputs.tags.team) && !has(inputs.tags.nothing)",
        "inputs.hosts.exists_one(h, h == 'db-1')",
        "-7 / 2 == -3 && -7 % 3 == -1",
        "[1, 2, 3].map(x, x > 1, x * 2)",
        "inputs.tags.all(k, size(k) > 1)",
        "size('héé')",
        "1 == 1.0",
        "'a' < 'b'",
    ] {
        judged += usize::from(agree(source, &world()).unwrap());
    }
    assert_eq!(judged, 17);
}
