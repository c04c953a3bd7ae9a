//! No source overflows a stack, no evaluation takes for ever, nothing grows without end.

use serde_json::{Value, json};

use super::{World, outcome, world};
use crate::expression::{Base, Expression, Reference, Template, Type};
use crate::limits;

/// A stack far smaller than that of any thread that evaluates: what passes here has room to spare.
const SMALL_STACK: usize = 512 << 10;

fn in_small_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(SMALL_STACK).spawn(work).unwrap().join().unwrap();
}

/// Sources of the largest size that are as deep or as long as their pattern makes them.
fn monsters() -> Vec<String> {
    let fill = |before: &str, middle: &str, after: &str| {
        let count = (limits::EXPRESSION_BYTES - middle.len()) / (before.len() + after.len());
        format!("{}{middle}{}", before.repeat(count), after.repeat(count))
    };
    let mut monsters: Vec<String> = [
        ("1+", "1", ""),
        ("(", "1", ")"),
        ("(", "1", ""),
        ("!", "true", ""),
        ("-", "1", ""),
        ("- ", "x", ""),
        ("[", "", "]"),
        ("[", "", ""),
        ("{'a':", "1", "}"),
        ("{", "", ""),
        ("a?b:", "1", ""),
        ("a?", "1", ":1"),
        ("true?", "1", ":1"),
        ("true?1:", "1", ""),
        ("inputs.keep", "", "[0]"),
        ("", "inputs.tags", ".a"),
        ("", "inputs.hosts", "[0]"),
        ("", "'a'", ".size()"),
        ("size(", "'a'", ")"),
        ("true||", "true", ""),
        ("true&&", "true", ""),
        ("1==", "1", ""),
        ("1 in [", "1", "]"),
        ("[1].all(x,", "true", ")"),
        ("", "[1]", ".map(x,x)"),
        ("default(", "1", ",1)"),
        ("true||true&&1==1+1*(", "1", ")"),
        ("'", "", ""),
        ("\"\"\"", "", ""),
        ("${{", "", ""),
        ("\\", "", ""),
        ("[[1][", "0", "]]"),
        ("!(", "true", ")"),
        ("-(", "1", ")"),
        ("has(inputs.tags.x)&&", "true", ""),
        (".", "", ""),
        ("a.", "b", ""),
    ]
    .into_iter()
    .map(|(before, middle, after)| fill(before, middle, after))
    .collect();
    // The deepest that is taken, by every way down.
    for count in 1..limits::EXPRESSION_DEPTH {
        for (before, middle, after) in [
            ("(", "1", ")"),
            ("!", "true", ""),
            ("[", "1", "]"),
            ("true?1:", "1", ""),
            ("{'a':", "1", "}"),
            ("json(", "1", ")"),
            ("[1].map(x,", "x", ")"),
            ("true||true&&1==1+1*(", "1", ")"),
            ("", "[[1]]", "[0]"),
            ("default(", "inputs.tags.a", ",1)"),
            ("-(", "1", ")"),
            ("", "inputs.tags", ".a"),
        ] {
            monsters.push(format!("{}{middle}{}", before.repeat(count), after.repeat(count)));
        }
    }
    monsters
}

#[test]
fn no_source_overflows_a_small_stack() {
    in_small_stack(|| {
        let mut accepted = 0;
        for source in monsters() {
            let _ = Template::parse(&format!("a ${{{{ {source} }}}}")).map(|t| t.check(&world()));
            if let Ok(expression) = Expression::parse(&source) {
                accepted += 1;
                let _ = expression.check(&world());
                let _ = expression.evaluate(&world());
                let _ = format!("{:?}", expression.clone());
            }
        }
        // Many are within the limits: those were evaluated.
        assert!(accepted > 300, "{accepted}");
    });
}

#[test]
fn the_limits_are_what_they_say() {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let most = limits::EXPRESSION_DEPTH - 1;
    assert!(Expression::parse(&nested(most)).is_ok());
    assert_eq!(outcome(&nested(most + 1)), "TooDeep");
    assert_eq!(outcome(&format!("{}1", "-".repeat(limits::EXPRESSION_DEPTH + 1))), "TooDeep");
    assert_eq!(outcome(&format!("{}true", "!".repeat(most))), "false");

    let long = |bytes: usize| format!("{}1", "1+".repeat((bytes - 1) / 2));
    assert_eq!(outcome(&long(limits::EXPRESSION_BYTES - 1)), "512");
    assert_eq!(outcome(&format!("'{}'", "x".repeat(limits::EXPRESSION_BYTES - 1))), "TooLong");
    assert_eq!(outcome("[1].map(x, [2].map(y, [3].map(z, x)))"), "TooManyComprehensions");
    assert_eq!(outcome("[1].map(x, x).map(x, x).map(x, x)"), "[1]");
    assert_eq!(limits::EXPRESSION_COMPREHENSIONS, 2);
}

fn with_input(name: &str, base: Base, value: Value) -> World {
    World::default().with(Reference::Input(name.into()), Type::of(base), value)
}

#[test]
fn an_evaluation_ends_although_its_loops_would_not() {
    let numbers: Vec<i64> = (0..100_000).collect();
    let many = with_input("many", Base::List, json!(numbers));
    for source in [
        "inputs.many.all(x, inputs.many.all(y, x != y || true))",
        "inputs.many.map(x, inputs.many.exists(y, y < 0))",
        "inputs.many.filter(x, inputs.many == inputs.many && false)",
        "inputs.many.filter(x, (0 - x - 1) in inputs.many)",
        "inputs.many.filter(x, min(inputs.many) > 0)",
        "inputs.many.filter(x, json(inputs.many) == '')",
        "inputs.many.filter(x, join(inputs.many.filter(y, y < 10000), ',') == '')",
        "inputs.many.exists(x, 'a'.matches(string(x)) && false)",
    ] {
        let error = Expression::parse(source).unwrap().evaluate(&many).unwrap_err();
        assert!(
            error.message.contains("takes too long") || error.message.contains("the limit is"),
            "{source}: {error}"
        );
    }
    // One match of a large pattern against a large text would take seconds.
    let text = with_input("text", Base::String, json!("x".repeat(limits::OUTPUT_BYTES)));
    let held = |source: &str| Expression::parse(source).unwrap().evaluate(&text);
    let error = held("inputs.text.matches('(?:x{1,60}){1,20}y')").unwrap_err();
    assert!(error.message.contains("takes too long"), "{error}");
    assert_eq!(held("inputs.text.matches('^x+$') && !inputs.text.matches('(x+x+)+y')"), Ok(json!(true)));
    assert_eq!(held("'web_12'.matches('^\\\\w{1,8}$')"), Ok(json!(true)));

    // What people write over large lists is far from the limit.
    let expression = Expression::parse("inputs.many.all(x, x >= 0 && x < 100000)").unwrap();
    assert_eq!(expression.holds(&many), Ok(true));
    let expression = Expression::parse("99999 in inputs.many").unwrap();
    assert_eq!(expression.holds(&many), Ok(true));
}

#[test]
fn nothing_grows_beyond_an_output() {
    let text = "x".repeat(limits::OUTPUT_BYTES / 2 + 1);
    let list: Vec<i64> = (0..10_000).collect();
    let world = with_input("text", Base::String, json!(text)).with(
        Reference::Input("list".into()),
        Type::of(Base::List),
        json!(list),
    );
    for source in [
        "inputs.text + inputs.text",
        "[inputs.text, inputs.text]",
        "[1, 2, 3].map(x, inputs.text)",
        "[[1, 2].map(x, inputs.text), 1]",
        "{'a': inputs.text, 'b': inputs.text}",
        "join([inputs.text], inputs.text) + join(['', '', ''], inputs.text)",
        "inputs.text.split('')",
        "inputs.list.map(x, inputs.list)",
        "inputs.list + inputs.list + inputs.list + inputs.list + inputs.list + inputs.list",
        "json([inputs.text]) + inputs.text",
    ] {
        let error = Expression::parse(source).unwrap().evaluate(&world).unwrap_err();
        assert!(error.message.contains("the limit is 262144"), "{source}: {error}");
    }
    let kept = Expression::parse("inputs.list.filter(x, x >= 0)").unwrap();
    assert_eq!(kept.evaluate(&world), Ok(json!(list)));
}

/// A search to the end of the file for each of many would take minutes.
#[test]
fn a_template_is_read_in_one_pass() {
    let source = "${{1}}".repeat(20_000);
    assert_eq!(Template::parse(&source).unwrap().render_text(&world()).unwrap().len(), 20_000);
    for source in ["${{ 'a ", "${{ \"\"\"", "${{ (", "${{ r'"] {
        let faults = Template::parse(&source.repeat(200_000)).unwrap_err();
        assert_eq!(faults.len(), 1, "{source}");
    }
}
