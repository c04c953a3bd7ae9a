//! Whatever is written and whatever it stands for: an answer or an error, never a panic.

use std::ops::Range;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{World, world};
use crate::expression::{Base, Expression, Fault, FaultKind, Reference, Scope, Template, Type};

/// Words and signs of the language in any order: nearly expressions.
fn soup() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "inputs",
        ".name",
        ".keep",
        ".hosts",
        ".tags",
        ".nodes",
        "['name']",
        "steps",
        ".my-step",
        ".outputs",
        ".row-count",
        ".status",
        ".artifacts",
        "run",
        ".outcome",
        "exit_code",
        "attempt",
        "env",
        "secrets",
        "true",
        "false",
        "null",
        "in",
        "1",
        "0",
        "-1",
        "2.5",
        "1e308",
        "9223372036854775807",
        "0xff",
        "'a'",
        "\"é\"",
        "''",
        "'web-1'",
        "r'\\d'",
        "'\\n'",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "&&",
        "||",
        "!",
        "?",
        ":",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ".",
        " ",
        "default(",
        "has(",
        "size(",
        "string(",
        "int(",
        "double(",
        "json(",
        "lower(",
        "join(",
        "min(",
        "max(",
        "always()",
        "failure()",
        ".startsWith(",
        ".contains(",
        ".matches(",
        ".split(",
        ".all(x,",
        ".exists(x,",
        ".map(y,",
        ".filter(x,",
        ".exists_one(x,",
        "x",
        "y",
        "'",
        "\"",
        "\\",
        "$",
        "${{",
        "}}",
        "\n",
        "é",
    ]);
    prop::collection::vec(words, 0..40).prop_map(|words| words.concat())
}

/// Expressions that the grammar takes, often with a value.
pub(super) fn sentences() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "0",
        "-3",
        "7",
        "2.5",
        "0.0",
        "9223372036854775807",
        "'a'",
        "'web-1'",
        "''",
        "'12'",
        "true",
        "false",
        "null",
        "[]",
        "{}",
        "inputs.name",
        "inputs.keep",
        "inputs.ratio",
        "inputs.dry",
        "inputs.hosts",
        "inputs.nodes",
        "inputs.tags",
        "inputs.tags.team",
        "inputs.hosts[0]",
        "steps.maybe.outputs.n",
        "secrets.password",
        "exit_code",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(5, 40, 3, |inner| {
        let operator =
            prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in"]);
        let function = prop::sample::select(vec![
            "size", "string", "int", "double", "json", "lower", "upper", "min", "max", "!", "-",
        ]);
        let method = prop::sample::select(vec!["startsWith", "endsWith", "contains", "matches", "split", "join"]);
        let comprehension = prop::sample::select(vec!["all", "exists", "exists_one", "filter", "map"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
            (function, inner.clone()).prop_map(|(name, a)| format!("{name}({a})")),
            (inner.clone(), method, inner.clone()).prop_map(|(a, name, b)| format!("({a}).{name}({b})")),
            (inner.clone(), comprehension, inner.clone()).prop_map(|(a, name, b)| format!("({a}).{name}(x, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("default({a}, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{'k': {a}, 'l': {b}}}")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            inner.prop_map(|a| format!("({a}).team")),
        ]
    })
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-3i64..3).prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
        "[a-z(\\[]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("team|tier|[a-z]{0,2}", inner), 0..4)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Everything stands for the same value, whatever its type was said to be.
struct Everything(Value);

impl Scope for Everything {
    fn value_of(&self, _: &Reference) -> Option<Value> {
        Some(self.0.clone())
    }
}

fn sound(source: &str, faults: &[Fault]) -> Result<(), TestCaseError> {
    prop_assert!(!faults.is_empty());
    for fault in faults {
        let Range { start, end } = fault.span;
        prop_assert!(source.get(start..end).is_some(), "{fault:?} in {source:?}");
        prop_assert!(!fault.message.is_empty() && !fault.message.ends_with('.'), "{fault:?}");
    }
    Ok(())
}

fn exercise(source: &str, value: &Value) -> Result<(), TestCaseError> {
    let scope = Everything(value.clone());
    match Expression::parse(source) {
        Err(faults) => sound(source, &faults)?,
        Ok(expression) => {
            for at in expression.references() {
                let text = source.get(at.span.clone());
                prop_assert!(text.is_some());
                // What is shown reads back as what was meant.
                let shown = at.value.to_string();
                let again = Expression::parse(&shown);
                prop_assert_eq!(again.map(|e| e.references()[0].value.clone()), Ok(at.value.clone()));
            }
            if let Err(faults) = expression.check(&world()) {
                sound(source, &faults)?;
            }
            if let Err(error) = expression.evaluate(&scope) {
                prop_assert!(source.get(error.span.clone()).is_some(), "{:?}", error);
            }
        }
    }
    match Template::parse(source) {
        Err(faults) => sound(source, &faults)?,
        Ok(template) => {
            let _ = template.check(&world());
            let _ = template.render_text(&scope);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn arbitrary_text_is_answered(source in "\\PC{0,200}|[ -~\\n]{0,1024}", value in values()) {
        exercise(&source, &value)?;
    }

    #[test]
    fn nearly_expressions_are_answered(source in soup(), value in values()) {
        exercise(&source, &value)?;
        exercise(&format!("a ${{{{ {source} }}}} b"), &value)?;
    }

    #[test]
    fn sentences_are_answered(source in sentences(), value in values()) {
        exercise(&source, &value)?;
    }

    /// What passes the check fails at run time only for what no type can tell.
    #[test]
    fn a_checked_sentence_has_a_value_of_its_type(source in sentences()) {
        let Ok(expression) = Expression::parse(&source) else { return Ok(()) };
        let Ok(of) = expression.check(&world()) else { return Ok(()) };
        match expression.evaluate(&world()) {
            Ok(Value::Null) => prop_assert!(of.nullable || of.base == Base::Any, "{}: {of}", source),
            Ok(value) => {
                let fits = match of.base {
                    Base::Any => true,
                    Base::Null => false,
                    Base::String => value.is_string(),
                    Base::Integer => value.is_i64(),
                    Base::Number => value.is_number(),
                    Base::Boolean => value.is_boolean(),
                    Base::List => value.is_array(),
                    Base::Map => value.is_object(),
                };
                prop_assert!(fits, "{source}: {of} gives {value}");
            }
            Err(error) => {
                let told = ["by zero", "does not fit", "does not exist", "no integer", "no number", "is empty",
                    "regular expression", "the limit is", "holds "].iter().any(|known| error.message.contains(known));
                // Behind a member or an element, no type is known.
                let untyped = source.contains('[') || source.contains(".team") || source.contains("(x,")
                    || source.contains("default(") || source.contains('?') || source.contains("hosts")
                    || source.contains("nodes") || source.contains("tags") || source.contains(".split");
                prop_assert!(told || untyped, "{source}: {error}");
            }
        }
    }

    /// A text without `$` is itself, and the escape gives back what was escaped.
    #[test]
    fn literal_text_is_left_alone(text in "[^$]{0,100}") {
        let template = Template::parse(&text).unwrap();
        prop_assert!(template.is_literal());
        prop_assert_eq!(template.render_text(&world()), Ok(text.clone()));
        let escaped = Template::parse(&format!("$${{{{{text}")).unwrap();
        prop_assert_eq!(escaped.render_text(&world()), Ok(format!("${{{{{text}")));
    }

    #[test]
    fn a_text_in_quotes_stands_for_itself(text in "\\PC{0,60}") {
        let literal = serde_json::to_string(&text).unwrap();
        // JSON's escapes are CEL's, but for \/ and surrogates, which the writer does not use.
        let expression = Expression::parse(&literal).unwrap();
        prop_assert_eq!(expression.evaluate(&World::default()), Ok(json!(text)));
    }
}

#[test]
fn a_fault_of_a_hostile_name_keeps_its_kind() {
    let world = World::default().with(Reference::Input("a".into()), Type::of(Base::Null), Value::Null);
    let faults = Expression::parse("inputs.a + 1").unwrap().check(&world).unwrap_err();
    assert_eq!(faults[0].kind, FaultKind::PossibleNull);
}
