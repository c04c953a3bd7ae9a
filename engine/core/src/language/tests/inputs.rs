//! The inputs of a start.

use serde_json::{Map, Value, json};

use super::{EXAMPLE, runbook};
use crate::definition::InputDecl;
use crate::language::{InputCode, check_inputs, parse_input};
use crate::limits;

fn given(value: Value) -> Map<String, Value> {
    value.as_object().expect("a map").clone()
}

/// What is found in inputs for the example, as "input code message / help".
fn faults(value: Value) -> Vec<String> {
    let faults = check_inputs(&runbook(EXAMPLE), &given(value)).expect_err("a fault");
    faults
        .into_iter()
        .map(|fault| {
            let help = fault.help.map(|help| format!(" / {help}")).unwrap_or_default();
            format!("{} {} {}{help}", fault.input, fault.code.text(), fault.message)
        })
        .collect()
}

#[test]
fn defaults_complete_what_is_given_in_the_order_of_the_file() {
    let resolved = check_inputs(&runbook(EXAMPLE), &given(json!({"password": "p", "keep": 3.0, "database": "orders"})));
    assert_eq!(
        serde_json::to_string(&resolved.unwrap()).unwrap(),
        r#"{"database":"orders","keep":3,"mode":"full","tables":["a",{"b":1}],"password":"p","passphrase":null,"note":null}"#
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    assert_eq!(
        faults(json!({"database": "Orders", "keep": 0, "mode": "fulll", "tables": {}, "databse": "x", "zzz": 1})),
        [
            "database input-pattern `Orders` does not match [a-z_]+",
            "keep input-below-minimum `0` is below the minimum of 1",
            "mode input-not-in-enum `fulll` is none of the values that are taken / did you mean `full`?",
            "tables input-type a list is wanted, this is a map",
            "password missing-input the input `password` is required / give it as `-i password=…`, text",
            "databse unknown-input `backup-postgres` has no input `databse` / did you mean `database`?",
            "zzz unknown-input `backup-postgres` has no input `zzz` / possible: database, keep, mode, tables, password, passphrase, note",
        ]
    );
    assert_eq!(
        faults(json!({"password": "p", "database": "a", "keep": "7", "note": 1.5})),
        [
            "database input-below-minimum it has 1 characters, below the minimum of 2",
            "keep input-type a whole number is wanted, this is text / leave the quotes out",
            "note input-type text is wanted, this is a number / quote it",
        ]
    );
    assert_eq!(
        faults(json!({"password": null, "database": "x".repeat(64), "keep": 18446744073709551615u64})),
        [
            "database input-above-maximum it has 64 characters, above the maximum of 63",
            "keep input-type a whole number is wanted, this is a number / it does not fit 64 bits",
            "password input-type text is wanted, this is null",
        ]
    );
    let large = faults(json!({"password": "x".repeat(limits::INPUT_BYTES), "database": "orders"}));
    assert!(
        large[0].starts_with("password input-too-large it has 262146 bytes as JSON; the limit is 262144"),
        "{large:?}"
    );
}

#[test]
fn every_code_of_inputs_is_its_own() {
    let texts: std::collections::BTreeSet<_> = InputCode::ALL.iter().map(|code| code.text()).collect();
    assert_eq!(texts.len(), InputCode::ALL.len());
}

#[test]
fn a_secret_is_never_in_a_message() {
    let mut runbook = runbook(EXAMPLE);
    let decl = &mut runbook.inputs["password"];
    let secret = "hunter2";
    for change in [
        |decl: &mut InputDecl| decl.pattern = Some("x".to_owned()),
        |decl: &mut InputDecl| (decl.pattern, decl.choices) = (None, vec![json!("hunter3")]),
        |decl: &mut InputDecl| (decl.choices, decl.minimum) = (Vec::new(), Some(100.0)),
        |decl: &mut InputDecl| decl.value_type = crate::definition::ValueType::Integer,
    ] {
        change(decl);
        let mut value = json!(secret);
        let judged = crate::language::given::judge(decl, &mut value).expect("a fault");
        let text = format!("{} {:?}", judged.message, judged.help);
        assert!(!text.contains(secret), "{text}");
        if let Err(message) = parse_input(decl, secret) {
            assert!(!message.contains(secret), "{message}");
        }
    }
    for value_type in [crate::definition::ValueType::List, crate::definition::ValueType::Boolean] {
        decl.value_type = value_type;
        let message = parse_input(decl, "[\"hunter2\"").expect_err("not a value");
        assert!(!message.contains(secret), "{message}");
    }
}

#[test]
fn texts_of_a_command_line_are_read_by_type() {
    let decl =
        |value_type: &str| -> InputDecl { serde_json::from_value(json!({"type": value_type})).expect("a declaration") };
    for (value_type, text, value) in [
        ("string", "1.10", json!("1.10")),
        ("string", "", json!("")),
        ("integer", "-7", json!(-7)),
        ("number", "1e3", json!(1000.0)),
        ("number", "2", json!(2)),
        ("boolean", "true", json!(true)),
        ("list", "[1, \"a\"]", json!([1, "a"])),
        ("map", "{\"a\": {\"b\": 1}}", json!({"a": {"b": 1}})),
    ] {
        assert_eq!(parse_input(&decl(value_type), text), Ok(value), "{value_type} {text}");
    }
    for (value_type, text, message) in [
        ("integer", "1e3", "`1e3` is not a whole number"),
        ("integer", "", "`` is not a whole number"),
        ("integer", "99999999999999999999", "`99999999999999999999` does not fit 64 bits"),
        ("number", "inf", "`inf` is not a number"),
        ("number", "0x10", "`0x10` is not a number"),
        ("boolean", "yes", "`yes` is not a boolean: use true"),
        ("boolean", "0", "`0` is not a boolean: use false"),
        ("boolean", "maybe", "`maybe` is neither true nor false"),
        ("list", "a,b", "the value is no JSON at column 1; a list is written [\"a\", \"b\"]"),
        ("list", "{}", "the value is no list, which is written [\"a\", \"b\"]"),
        ("map", "[", "the value is no JSON at column 1; a map is written {\"a\": 1}"),
    ] {
        assert_eq!(parse_input(&decl(value_type), text), Err(message.to_owned()), "{value_type} {text}");
    }
    let long = "x".repeat(limits::INPUT_BYTES + 1);
    assert_eq!(parse_input(&decl("string"), &long), Err("the value has 262145 bytes; the limit is 262144".to_owned()));
}
