//! The two readers of YAML see the same document, or the file is refused.

use proptest::prelude::*;
use serde_yaml::Value;

use super::super::item::Item;
use super::super::report::Report;
use super::super::{tree, values};
use super::EXAMPLE;
use crate::language::tree::Scalar;

/// Whether a node is what the other reader made of it by itself.
fn same(item: Item<'_>, value: &Value) -> bool {
    let scalar = item.scalar();
    match value {
        Value::Null => scalar == Some(Scalar::Null),
        Value::Bool(b) => scalar == Some(Scalar::Boolean(*b)),
        Value::Number(n) => match scalar {
            Some(Scalar::Integer(i)) => n.as_i64() == Some(i),
            Some(Scalar::Float(f)) => n.as_f64().is_some_and(|n| n == f || n.is_nan() && f.is_nan()),
            Some(Scalar::TooBig) => n.as_u64().is_some_and(|n| i64::try_from(n).is_err()),
            _ => false,
        },
        Value::String(text) => scalar == Some(Scalar::Text) && item.raw() == text,
        Value::Sequence(values) => {
            let mut report = Report::new("", "");
            item.list(&mut report).is_some_and(|items| {
                items.len() == values.len() && items.zip(values).all(|(item, value)| same(item, value))
            })
        }
        Value::Mapping(values) => {
            let mut report = Report::new("", "");
            item.entries(&mut report).is_some_and(|entries| {
                entries.len() == values.len()
                    && entries.zip(values).all(|(entry, (key, value))| same(entry.key, key) && same(entry.value, value))
            })
        }
        Value::Tagged(_) => false,
    }
}

/// What came of a text: both took it, or why not.
fn agree(text: &str) -> Result<(), &'static str> {
    let mut report = Report::new(text, "");
    let Some(mut tree) = tree::read(text, &mut report) else { return Err("stage 1") };
    if !values::resolve(text, &mut tree, &mut report) {
        return Err("stage 2");
    }
    if report.failed() {
        return Err("stage 1");
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The other reader's own value cannot hold numbers of more than 64 bits.
    let Ok(value) = serde_yaml::from_str::<Value>(text) else { return Err("large numbers") };
    assert!(same(Item::root(&tree), &value), "{text:?} is {value:?}");
    Ok(())
}

#[test]
fn scalars_are_those_of_yaml_1_2() {
    for (text, scalar) in [
        ("~", Scalar::Null),
        ("null", Scalar::Null),
        ("true", Scalar::Boolean(true)),
        ("False", Scalar::Boolean(false)),
        ("yes", Scalar::Text),
        ("on", Scalar::Text),
        ("12", Scalar::Integer(12)),
        ("-0", Scalar::Integer(0)),
        ("0x1f", Scalar::Integer(31)),
        ("0o17", Scalar::Integer(15)),
        ("0777", Scalar::Text),
        ("1_000", Scalar::Text),
        ("12:30", Scalar::Text),
        ("2024-01-01", Scalar::Text),
        ("1.10", Scalar::Float(1.1)),
        ("1e3", Scalar::Float(1000.0)),
        (".inf", Scalar::Float(f64::INFINITY)),
        ("99999999999999999999", Scalar::TooBig),
        ("'12'", Scalar::Text),
        ("\"true\"", Scalar::Text),
    ] {
        let mut report = Report::new(text, "");
        let mut tree = tree::read(text, &mut report).expect("a document");
        assert!(values::resolve(text, &mut tree, &mut report), "{text}");
        assert_eq!(Item::root(&tree).scalar(), Some(scalar), "{text}");
    }
}

#[test]
fn the_example_is_read_alike() {
    assert_eq!(agree(EXAMPLE), Ok(()));
    assert_eq!(agree(&EXAMPLE.replace('\n', "\r\n")), Ok(()));
    assert_eq!(agree(&format!("\u{feff}{EXAMPLE}")), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn texts_of_yaml_signs_are_read_alike(text in "[abc:,\\[\\]{}#&*!|>'\"%@` \n\\-?~0-9.\t<]{0,40}") {
        let _ = agree(&text);
    }

    #[test]
    fn small_documents_are_read_alike(text in "([a-c]: )?([\\[{]?(&[ab] |\\*[ab] )?[a-c0-9'\"~.]{0,3}(: |, |\n|\n  |\n- )?[\\]}]?){0,8}\n?") {
        let _ = agree(&text);
    }
}
