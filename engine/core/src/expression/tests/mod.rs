//! Tests of the expressions: tables of source and outcome here, the rest beside.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::*;

mod bounds;
mod checks;
mod oracle;
mod properties;
mod templates;

/// Declared names and their values, for tests.
#[derive(Default)]
pub(super) struct World {
    types: HashMap<Reference, Type>,
    values: HashMap<Reference, Value>,
}

impl World {
    pub(super) fn with(mut self, reference: Reference, of: Type, value: Value) -> Self {
        self.types.insert(reference.clone(), of);
        self.values.insert(reference, value);
        self
    }

    fn input(self, name: &str, base: Base, value: Value) -> Self {
        self.with(Reference::Input(name.into()), Type::of(base), value)
    }

    fn output(self, step: &str, key: &str, of: Type, value: Value) -> Self {
        self.with(Reference::StepOutput(step.into(), key.into()), of, value)
    }
}

impl Names for World {
    fn type_of(&self, reference: &Reference) -> Result<Type, NameFault> {
        if let Some(of) = self.types.get(reference).copied() {
            return Ok(of);
        }
        match reference {
            Reference::Input(name) => {
                let known = self.types.keys().filter_map(|known| match known {
                    Reference::Input(name) => Some(name.as_str()),
                    _ => None,
                });
                let near = did_you_mean(name, known);
                let fault = NameFault::new(FaultKind::UnknownInput, format!("there is no input `{name}`"));
                Err(match near {
                    Some(near) => fault.with_help(format!("did you mean `{near}`?")),
                    None => fault,
                })
            }
            other => other
                .fixed_type()
                .ok_or_else(|| NameFault::new(FaultKind::UnknownOutput, format!("there is no {other}"))),
        }
    }
}

impl Scope for World {
    fn value_of(&self, reference: &Reference) -> Option<Value> {
        self.values.get(reference).cloned()
    }
}

pub(super) fn world() -> World {
    let secret = Type::of(Base::String).secret();
    World::default()
        .input("name", Base::String, json!("orders"))
        .input("keep", Base::Integer, json!(7))
        .input("ratio", Base::Number, json!(1.5))
        .input("dry", Base::Boolean, json!(false))
        .input("hosts", Base::List, json!(["web-1", "web-2", "db-1"]))
        .input("nodes", Base::List, json!([{"name": "a", "cpu": 2}, {"name": "b", "cpu": 8}]))
        .input("tags", Base::Map, json!({"team": "infra", "tier": 1, "none": null}))
        .input("dry-run", Base::Boolean, json!(true))
        .output("dump", "bytes", Type::of(Base::Integer), json!(42))
        .output("my-step", "row-count", Type::of(Base::Integer), json!(3))
        .output("maybe", "n", Type::of(Base::Integer).nullable(), Value::Null)
        .output("maybe", "m", Type::of(Base::Map).nullable(), Value::Null)
        .with(Reference::StepStatus("dump".into()), Type::of(Base::String), json!("succeeded"))
        .with(Reference::StepArtifact("dump".into(), "db.dump".into()), Type::of(Base::String), json!("/a/db.dump"))
        .with(Reference::Secret("password".into()), secret, json!("hunter2"))
        .with(Reference::Env("HOOK".into()), Type::of(Base::String), json!("https://hooks"))
        .with(Reference::ExitCode, Type::of(Base::Integer), json!(3))
        .with(Reference::Run(RunField::Outcome), Type::of(Base::String), json!("failed"))
        .with(Reference::Always, Type::of(Base::Boolean), json!(true))
        .with(Reference::Failure, Type::of(Base::Boolean), json!(false))
}

/// The value of a source, as JSON; or the kinds of its faults; or why it has no value.
fn outcome(source: &str) -> String {
    let world = world();
    let kinds = |faults: Vec<Fault>| {
        let kinds: Vec<String> = faults.iter().map(|fault| format!("{:?}", fault.kind)).collect();
        kinds.join(" ")
    };
    let expression = match Expression::parse(source) {
        Ok(expression) => expression,
        Err(faults) => return kinds(faults),
    };
    if let Err(faults) = expression.check(&world) {
        return kinds(faults);
    }
    match expression.evaluate(&world) {
        Ok(value) => value.to_string(),
        Err(error) => format!("! {error}"),
    }
}

#[track_caller]
fn table(rows: &[(&str, &str)]) {
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(source, expected)| {
            let got = outcome(source);
            (got != *expected).then(|| format!("{source}\n  gives    {got}\n  expected {expected}"))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn references_have_their_values() {
    table(&[
        ("inputs.name", r#""orders""#),
        ("inputs['name']", r#""orders""#),
        ("inputs . name", r#""orders""#),
        ("inputs.dry-run", "true"),
        ("env.HOOK", r#""https://hooks""#),
        ("secrets.password", r#""hunter2""#),
        ("steps.dump.status", r#""succeeded""#),
        ("steps.dump.outputs.bytes", "42"),
        ("steps.my-step.outputs.row-count", "3"),
        ("steps['my-step']['outputs']['row-count']", "3"),
        ("steps.dump.artifacts['db.dump']", r#""/a/db.dump""#),
        ("steps.maybe.outputs.n", "null"),
        ("exit_code", "3"),
        ("run.outcome == 'failed'", "true"),
        ("always() && !failure()", "true"),
        ("inputs.tags.team", r#""infra""#),
        ("inputs.tags['team']", r#""infra""#),
        ("inputs.nodes[1].cpu", "8"),
        ("inputs.hosts[0]", r#""web-1""#),
    ]);
}

#[test]
fn a_hyphen_belongs_to_a_name_and_a_minus_has_space() {
    table(&[
        ("steps.my-step.outputs.row-count - 1", "2"),
        ("inputs.keep - 1", "6"),
        ("inputs.keep -1", "6"),
        ("inputs.keep- 1", "6"),
        ("1-inputs.keep", "-6"),
        ("inputs.keep-1", "UnknownInput"),
        ("inputs.tags.some-key", "UnknownName"),
        ("'inputs.a-b' + \"steps.x-y\"", r#""inputs.a-bsteps.x-y""#),
    ]);
}

#[test]
fn operators_compute() {
    table(&[
        ("1 + 2 * 3 - 4", "3"),
        ("(1 + 2) * 3", "9"),
        ("7 / 2", "3"),
        ("-7 / 2", "-3"),
        ("-7 % 3", "-1"),
        ("7.0 / 2", "3.5"),
        ("inputs.ratio * 2", "3.0"),
        ("1 + 0.5", "1.5"),
        ("0x1F", "31"),
        (".5 + 1e2", "100.5"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("- 5", "-5"),
        ("--5", "5"),
        ("!!true", "true"),
        ("10 - 2 - 3", "5"),
        ("'a' + 'b' + 'c'", r#""abc""#),
        ("[1] + [2, 3]", "[1,2,3]"),
        ("[1, 2,]", "[1,2]"),
        ("{'a': 1, 'b': {'c': [null]}}", r#"{"a":1,"b":{"c":[null]}}"#),
        ("1 == 1.0 && 1 != 2", "true"),
        ("[1, {'a': 2}] == [1.0, {'a': 2}]", "true"),
        ("1 < 2 && 2 <= 2 && 3 > 2.5 && 2 >= 2", "true"),
        ("'a' < 'b'", "true"),
        ("2 in [1, 2]", "true"),
        ("'team' in inputs.tags", "true"),
        ("exit_code in [0, 2]", "false"),
        ("true ? 1 : 2", "1"),
        ("false ? 1 : true ? 2 : 3", "2"),
        ("inputs.dry || inputs.keep > 5", "true"),
        ("false && 1 / 0 == 1", "false"),
        ("true || 1 / 0 == 1", "true"),
        ("steps.maybe.outputs.n == null", "true"),
        ("steps.dump.outputs.bytes != null", "true"),
        ("true || false && false", "true"),
        ("!false == true", "true"),
    ]);
}

#[test]
fn literals_are_read_as_cel_reads_them() {
    table(&[
        (r#"'it\'s' + "\x41\u00e9\101\n""#, r#""it'sAéA\n""#),
        (r#"r'\d+' + R"\""#, r#""\\d+\\""#),
        ("'''a'b\nc'''", r#""a'b\nc""#),
        ("'é' + '\u{1F600}'", "\"é\u{1F600}\""),
        ("true == false", "false"),
        ("''", r#""""#),
    ]);
}

#[test]
fn functions_compute() {
    table(&[
        ("default(steps.maybe.outputs.n, 5)", "5"),
        ("default(steps.dump.outputs.bytes, 5)", "42"),
        ("default(inputs.tags.nothing, 'x')", r#""x""#),
        ("default(inputs.tags.none, 'x')", r#""x""#),
        ("default(inputs.tags.a.b[3].c, 'x')", r#""x""#),
        ("default(steps.maybe.outputs.m.key, 'x')", r#""x""#),
        ("default(inputs.hosts[9], 'x')", r#""x""#),
        ("default(steps.maybe.outputs.n, null)", "null"),
        ("has(inputs.tags.team) && !has(inputs.tags.none) && !has(inputs.tags.x)", "true"),
        ("has(steps.maybe.outputs.n)", "false"),
        ("join(inputs.hosts, ',')", r#""web-1,web-2,db-1""#),
        ("inputs.hosts.join('')", r#""web-1web-2db-1""#),
        ("join([1, true, 2.0, 'x'], ' ')", r#""1 true 2 x""#),
        ("size(inputs.hosts) + size('né') + size(inputs.tags) + inputs.hosts.size()", "11"),
        ("string(1) + string(1.5) + string(true) + string('x')", r#""11.5truex""#),
        ("string(1e21)", r#""1000000000000000000000""#),
        ("int('12') + int(3.9) + int(-3.9) + int(4)", "16"),
        ("double('1.5') + double(1)", "2.5"),
        ("inputs.name.startsWith('or') && inputs.name.endsWith('ers')", "true"),
        ("inputs.name.contains('rde')", "true"),
        ("inputs.name.matches('^[a-z_]+$')", "true"),
        ("'web-12'.matches('web-' + '[0-9]')", "true"),
        ("'a,b,,c'.split(',')", r#"["a","b","","c"]"#),
        ("'héy'.split('')", r#"["h","é","y"]"#),
        ("''.split(',')", r#"[""]"#),
        ("lower('ÄBC') + upper('abc')", r#""äbcABC""#),
        ("json({'a': [1, null, 'x']})", r#""{\"a\":[1,null,\"x\"]}""#),
        ("min(3, 1, 2) + max(3, 1.5)", "4"),
        ("min(['b', 'a']) + max('x', 'y')", r#""ay""#),
        ("inputs.hosts.all(h, h.contains('-'))", "true"),
        ("inputs.hosts.exists(h, h == 'db-1')", "true"),
        ("inputs.hosts.exists_one(h, h.startsWith('web'))", "false"),
        ("inputs.hosts.filter(h, h.startsWith('web'))", r#"["web-1","web-2"]"#),
        ("inputs.nodes.map(n, n.cpu * 2)", "[4,16]"),
        ("inputs.nodes.map(n, n.cpu > 2, n.name)", r#"["b"]"#),
        ("inputs.nodes.filter(n, n.cpu > 2).map(n, n.name)", r#"["b"]"#),
        ("inputs.tags.map(k, k)", r#"["team","tier","none"]"#),
        ("[1, 2].map(x, [10, 20].map(y, x + y))", "[[11,21],[12,22]]"),
        ("[[1], [2]].map(x, x.map(y, y + 1)[0])", "[2,3]"),
        ("[].all(x, false)", "true"),
        ("[3, 4].map(x, [x][0])[1]", "4"),
    ]);
}

#[test]
fn an_error_at_run_time_names_the_place_and_the_way_out() {
    table(&[
        ("1 / 0", "! `1 / 0` divides by zero"),
        ("1.0 % 0", "! `1.0 % 0` divides by zero"),
        ("9223372036854775807 + 1", "! `9223372036854775807 + 1` gives a number that does not fit 64 bits"),
        ("1 + -(-9223372036854775808)", "! `-(-9223372036854775808)` gives a number that does not fit 64 bits"),
        ("-9223372036854775808 / -1", "! `-9223372036854775808 / -1` gives a number that does not fit 64 bits"),
        ("1e308 * 10", "! `1e308 * 10` gives a number that does not fit 64 bits"),
        (
            "inputs.tags.x",
            "! `inputs.tags.x` does not exist: the map has no `x`; write default(x, v) if that is expected",
        ),
        (
            "inputs.hosts[3]",
            "! `inputs.hosts[3]` does not exist: there is no such element; write default(x, v) if that is expected",
        ),
        (
            "inputs.hosts[-1] == 'a'",
            "! `inputs.hosts[-1]` does not exist: there is no such element; write default(x, v) if that is expected",
        ),
        ("inputs.tags.none + 1", "! `inputs.tags.none + 1` has null beside `+`; write default(x, v)"),
        ("inputs.tags.team + 1", "! `inputs.tags.team + 1` has a string and an integer beside `+`"),
        ("!inputs.tags.team", "! `inputs.tags.team` is a string where a boolean is needed"),
        ("int(inputs.name)", "! `inputs.name` is a text that is no integer"),
        ("double('inf')", "! `'inf'` is a text that is no number"),
        ("int(1e300)", "! `int(1e300)` gives a number that does not fit 64 bits"),
        ("max([])", "! `max([])` has no value: the list is empty"),
        ("join(inputs.nodes, ',')", "! `inputs.nodes` holds a map, and join takes strings, numbers and booleans"),
        (
            "'a'.matches(inputs.tags.team + '(')",
            "! `'a'.matches(inputs.tags.team + '(')` has a pattern that is no regular expression, or too large a one",
        ),
    ]);
}

#[test]
fn an_error_holds_no_secret() {
    for source in [
        "int(secrets.password)",
        "double(secrets.password)",
        "'a'.matches(secrets.password + '(')",
        "[secrets.password][1]",
        "{secrets.password: 1, 'hunter2': 2}",
        "{'a': 1}[secrets.password]",
    ] {
        let expression = Expression::parse(source).unwrap();
        let error = expression.evaluate(&world()).unwrap_err().to_string();
        assert!(!error.replace("'hunter2'", "").contains("hunter2"), "{error}");
    }
}

#[test]
fn only_the_references_that_are_reached_are_asked_for() {
    struct Asked(std::cell::RefCell<Vec<String>>);
    impl Scope for Asked {
        fn value_of(&self, reference: &Reference) -> Option<Value> {
            self.0.borrow_mut().push(reference.to_string());
            Some(json!(false))
        }
    }
    let scope = Asked(std::cell::RefCell::default());
    let expression = Expression::parse("inputs.a && secrets.b == 'x'").unwrap();
    assert_eq!(expression.references().len(), 2);
    assert_eq!(expression.holds(&scope), Ok(false));
    assert_eq!(scope.0.into_inner(), ["inputs.a"]);
}

#[test]
fn references_are_listed_with_their_places() {
    let source = "steps.my-step.status == 'failed' || default(inputs['a b'], 1) > steps.x.artifacts['it\\'s']";
    let expression = Expression::parse(source).unwrap();
    let listed: Vec<(&str, String)> =
        expression.references().iter().map(|at| (&source[at.span.clone()], at.value.to_string())).collect();
    assert_eq!(
        listed,
        [
            ("steps.my-step.status", "steps.my-step.status".to_owned()),
            ("inputs['a b']", "inputs['a b']".to_owned()),
            ("steps.x.artifacts['it\\'s']", "steps.x.artifacts['it\\'s']".to_owned()),
        ]
    );
}

#[test]
fn a_question_is_answered_with_yes_or_no() {
    let holds = |source: &str| Expression::parse(source).unwrap().holds(&world());
    assert_eq!(holds("exit_code != 3"), Ok(false));
    assert_eq!(holds("exit_code").unwrap_err().to_string(), "`exit_code` is an integer where true or false is needed");
    assert_eq!(
        holds(" steps.maybe.outputs.n ").unwrap_err().to_string(),
        "`steps.maybe.outputs.n` is null where true or false is needed; write default(x, v)"
    );
}
