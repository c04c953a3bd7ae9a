//! Faults at load: of syntax, of types, of nulls, with their places and their help.

use super::{outcome, world};
use crate::expression::{Base, Expression, Type};

#[track_caller]
fn kinds(rows: &[(&str, &str)]) {
    super::table(rows);
}

#[test]
fn syntax_is_checked() {
    kinds(&[
        ("", "Empty"),
        ("  \n", "Empty"),
        ("1 +", "UnexpectedEnd"),
        ("f(", "UnexpectedEnd"),
        ("(1", "UnexpectedEnd"),
        ("1 2", "UnexpectedToken"),
        ("a ? b", "UnknownName UnknownName UnexpectedEnd"),
        ("inputs.", "UnexpectedEnd"),
        ("inputs..a", "UnexpectedToken"),
        ("1 = 2", "UnexpectedCharacter"),
        ("true & false", "UnexpectedCharacter"),
        ("true | false", "UnexpectedCharacter"),
        ("${{ inputs.a }}", "UnexpectedCharacter"),
        ("`a`", "UnexpectedCharacter"),
        ("é", "UnexpectedCharacter"),
        ("1 // 2", "UnexpectedToken"),
        ("'abc", "UnterminatedText"),
        ("'abc\n'", "UnterminatedText"),
        ("'''abc'", "UnterminatedText"),
        ("'\\", "UnterminatedText"),
        ("'\\q'", "InvalidLiteral"),
        ("'\\ud800'", "InvalidLiteral"),
        ("'\\x4'", "InvalidLiteral"),
        ("9223372036854775808", "InvalidLiteral"),
        ("99999999999999999999", "InvalidLiteral"),
        ("1e999", "InvalidLiteral"),
        ("12ab", "InvalidLiteral"),
        ("0x", "InvalidLiteral"),
        ("1u", "Unsupported"),
        ("b'x'", "Unsupported"),
        (".a", "Unsupported"),
        ("inputs.tags.?x", "Unsupported"),
        ("{'a': 1, 'a': 2}", "InvalidLiteral"),
        ("in", "UnexpectedToken"),
        ("true and false", "UnexpectedToken"),
        ("1 !in [1]", "UnexpectedToken"),
        ("in.x", "UnexpectedToken"),
        ("}", "UnexpectedToken"),
        ("a}", "UnknownName UnexpectedToken"),
    ]);
}

#[test]
fn names_and_calls_are_checked() {
    kinds(&[
        ("inputs", "NotAValue"),
        ("steps.dump", "NotAValue"),
        ("steps.dump.outputs", "NotAValue"),
        ("steps[inputs.name].status", "NotAValue"),
        ("run", "NotAValue"),
        ("attempt.outputs", "NotAValue"),
        ("run.id", "UnknownField"),
        ("steps.dump.state", "UnknownField"),
        ("steps.dump.exitcode", "UnknownField"),
        ("attempt.output.x", "UnknownField"),
        ("inptus.a", "UnknownName"),
        ("failed", "UnknownName"),
        ("always", "UnknownName"),
        ("x + y", "UnknownName UnknownName"),
        ("foo(1)", "UnknownFunction"),
        ("success()", "UnknownFunction"),
        ("toJson(1)", "UnknownFunction"),
        ("inputs.name.lower()", "UnknownFunction"),
        ("startsWith(inputs.name, 'a')", "UnknownFunction"),
        ("all(inputs.hosts, true)", "UnknownFunction"),
        ("inputs.name.has()", "UnknownFunction"),
        ("default(1)", "WrongArguments"),
        ("min()", "WrongArguments"),
        ("always(1)", "WrongArguments"),
        ("has(1)", "WrongArguments"),
        ("inputs.hosts.all(h)", "WrongArguments"),
        ("inputs.hosts.all(h, true, true)", "WrongArguments"),
        ("inputs.hosts.all(inputs, true)", "WrongArguments"),
        ("inputs.hosts.all(h, inputs.hosts.all(h, true))", "WrongArguments"),
        ("inputs.hosts.all(1, true)", "UnexpectedToken"),
        ("inputs.hosts.all()", "UnexpectedToken"),
        ("inputs.hosts.map(h, true) && h", "UnknownName"),
        ("'a'.matches('(')", "InvalidPattern"),
        ("'a'.matches('(?:[a-z]{1000}){1000}')", "InvalidPattern"),
        ("inputs.nope", "UnknownInput"),
        ("inputs.nope + inputs.nay", "UnknownInput UnknownInput"),
        ("steps.dump.outputs.nope", "UnknownOutput"),
    ]);
}

#[test]
fn types_are_checked() {
    kinds(&[
        ("inputs.name + 1", "WrongType"),
        ("1 + inputs.name", "WrongType"),
        ("inputs.name - 'a'", "WrongType"),
        ("inputs.dry + 1", "WrongType"),
        ("inputs.hosts * 2", "WrongType"),
        ("inputs.name > 1", "WrongType"),
        ("1 < 2 < 3", "WrongType"),
        ("inputs.dry < true", "WrongType"),
        ("inputs.keep == 'seven'", "WrongType"),
        ("inputs.dry == 1", "WrongType"),
        ("inputs.keep == 1.5", "false"),
        ("inputs.name && true", "WrongType"),
        ("inputs.dry || inputs.keep || inputs.name", "WrongType WrongType"),
        ("!inputs.keep", "WrongType"),
        ("-inputs.name", "WrongType"),
        ("inputs.keep ? 1 : 2", "WrongType"),
        ("'a' in inputs.name", "WrongType"),
        ("1 in 2", "WrongType"),
        ("1 in inputs.tags", "WrongType"),
        ("inputs.name.x", "WrongType"),
        ("inputs.name[0]", "WrongType"),
        ("inputs.hosts['a']", "WrongType"),
        ("inputs.hosts[1.5]", "WrongType"),
        ("inputs.tags[0]", "WrongType"),
        ("inputs.hosts.name", "WrongType"),
        ("{1: 2}", "WrongType"),
        ("string(inputs.hosts)", "WrongType"),
        ("int(inputs.dry)", "WrongType"),
        ("size(inputs.keep)", "WrongType"),
        ("lower(inputs.keep)", "WrongType"),
        ("join(inputs.name, ',')", "WrongType"),
        ("join(inputs.hosts, 1)", "WrongType"),
        ("inputs.keep.startsWith('a')", "WrongType"),
        ("inputs.keep.matches('a')", "WrongType"),
        ("inputs.name.matches(1)", "WrongType"),
        ("inputs.hosts.contains('web-1')", "WrongType"),
        ("min(1, 'a')", "WrongType"),
        ("min(inputs.keep)", "WrongType"),
        ("max(true, false)", "WrongType"),
        ("inputs.name.map(c, c)", "WrongType"),
        ("inputs.hosts.filter(h, 1)", "WrongType"),
        ("steps.dump.artifacts.db.dump", "WrongType"),
        ("inputs.hosts[inputs.nodes[0].cpu]", r#""db-1""#),
        ("inputs.hosts[inputs.nodes[0].cpu - 1]", r#""web-2""#),
        ("default(steps.maybe.outputs.n, 'none')", r#""none""#),
    ]);
}

#[test]
fn a_possible_null_is_a_fault_wherever_a_value_is_needed() {
    let n = "steps.maybe.outputs.n";
    for source in
        ["N + 1", "1 + N", "N > 1", "-N", "[1][N]", "N in [1]", "string(N)", "int(N)", "min(1, N)", "N + 1 == 2"]
    {
        assert_eq!(outcome(&source.replace('N', n)), "PossibleNull", "{source}");
    }
    for source in [
        "steps.maybe.outputs.m.key",
        "steps.maybe.outputs.m['key']",
        "size(steps.maybe.outputs.m)",
        "'a' in steps.maybe.outputs.m",
        "steps.maybe.outputs.m.all(k, true)",
        "null + 1",
        "!null",
        "null.x",
        "(inputs.dry ? null : 1) + 1",
        "default(steps.maybe.outputs.n, null) + 1",
    ] {
        assert_eq!(outcome(source), "PossibleNull", "{source}");
    }
    kinds(&[
        ("steps.maybe.outputs.n == null", "true"),
        ("steps.maybe.outputs.n == 4", "false"),
        ("steps.maybe.outputs.n != steps.dump.outputs.bytes", "true"),
        ("default(steps.maybe.outputs.n, 1) + 1", "2"),
        ("[steps.maybe.outputs.n]", "[null]"),
        ("json({'n': steps.maybe.outputs.n})", r#""{\"n\":null}""#),
        ("inputs.dry ? 1 : steps.maybe.outputs.n", "null"),
    ]);
}

#[test]
fn a_word_that_can_never_be_is_a_fault() {
    kinds(&[
        ("steps.dump.status == 'done'", "ImpossibleValue"),
        ("'success' != steps.dump.status", "ImpossibleValue"),
        ("steps.dump.status in ['failed', 'cancelled']", "ImpossibleValue"),
        ("run.outcome == 'success'", "ImpossibleValue"),
        ("steps.dump.status in ['failed', 'canceled']", "false"),
        ("run.outcome != 'rolled_back'", "true"),
    ]);
}

/// What a reader sees: the place, the message, the help.
#[test]
fn faults_say_where_what_and_what_to_do() {
    let rows = [
        ("1 + inptus.a", "inptus | there is no `inptus` here | did you mean `inputs`?"),
        ("steps.a.status == failed", "failed | there is no `failed` here | a text is written in quotes: 'failed'"),
        ("always || true", "always | there is no `always` here | it is a function: write always(…)"),
        (
            "inputs.tags.some-key",
            "key | there is no `key` here | a minus was read here: a name with a hyphen is written ['like-this']",
        ),
        ("a and b", "and | `and` stands where an operator or the end is expected | write && for \"and\""),
        ("inputs.kep", "inputs.kep | there is no input `kep` | did you mean `keep`?"),
        (
            "inputs.keep-1",
            "inputs.keep-1 | there is no input `keep-1` | did you mean `keep`? (`keep-1` is one name; write a space before a minus)",
        ),
        ("len(inputs.hosts)", "len(inputs.hosts) | there is no function `len` | write size(value)"),
        ("joins(inputs.hosts)", "joins(inputs.hosts) | there is no function `joins` | did you mean `join`?"),
        ("startsWith('a', 'b')", "startsWith('a', 'b') | `startsWith` is a method | write text.startsWith(start)"),
        ("default(1)", "default(1) | `default` does not take 1 argument | write default(value, otherwise)"),
        ("steps.a.result", "steps.a.result | a step has no `result` | did you mean `status`?"),
        ("steps.a", "steps.a | `steps.a` is not a value by itself | write steps.ID.status or steps.ID.outputs.KEY"),
        (
            "1 + steps.maybe.outputs.n",
            "steps.maybe.outputs.n | `steps.maybe.outputs.n` may be null | write default(x, v): x when there is one, otherwise v",
        ),
        (
            "inputs.name + inputs.keep",
            "inputs.keep | `+` takes two numbers, two strings or two lists, not a string and an integer | write string(x) around what is no text",
        ),
        (
            "inputs.keep && true",
            "inputs.keep | an operand of && is a boolean, and this is an integer | compare it: x != 0",
        ),
        (
            "steps.dump.status == 'cancelled'",
            "'cancelled' | `steps.dump.status` is never 'cancelled' | did you mean 'canceled'?",
        ),
        (
            "steps.dump.status == 'done'",
            "'done' | `steps.dump.status` is never 'done' | it is one of succeeded, failed, skipped, canceled, rolled_back, rollback_failed",
        ),
        (
            "steps.dump.artifacts.db.dump",
            "steps.dump.artifacts.db | a string has no member `dump` | write steps.dump.artifacts['db.dump']",
        ),
        (
            "'a'.matches('[')",
            "'[') | the pattern cannot be used: unclosed character class | see docs.rs/regex for its syntax",
        ),
        (
            "'abc",
            "'abc | the text that begins here has no closing ' | a quote inside a text is written \\' or \\\", or use the other kind around it",
        ),
        (
            "inputs.keep == '7'",
            "'7' | an integer and a string are never equal | write string(x), or leave the quotes out",
        ),
    ];
    for (source, expected) in rows {
        let faults = match Expression::parse(source) {
            Ok(expression) => expression.check(&world()).unwrap_err(),
            Err(faults) => faults,
        };
        // Where two things are wrong with it, the last is meant.
        let fault = faults.last().unwrap();
        let help = fault.help.as_deref().unwrap_or("-");
        let got = format!("{} | {} | {help}", &source[fault.span.clone()], fault.message);
        assert_eq!(got, expected, "{source}");
    }
}

#[test]
fn the_type_of_an_expression_is_known() {
    let integer = Type::of(Base::Integer);
    let boolean = Type::of(Base::Boolean);
    let string = Type::of(Base::String);
    let any = Type::of(Base::Any);
    for (source, expected) in [
        ("inputs.keep", integer),
        ("inputs.keep + 1", integer),
        ("inputs.keep + 1.5", Type::of(Base::Number)),
        ("inputs.tags.tier", any),
        ("inputs.tags.tier + 1", any),
        ("inputs.tags.tier + 'x'", string),
        ("inputs.tags.tier > 1", boolean),
        ("steps.maybe.outputs.n", integer.nullable()),
        ("default(steps.maybe.outputs.n, 1)", integer),
        ("default(steps.maybe.outputs.n, steps.maybe.outputs.n)", integer.nullable()),
        ("default(steps.maybe.outputs.n, 'a')", any),
        ("default(inputs.tags.a, 'a')", any),
        ("inputs.dry ? 1 : null", integer.nullable()),
        ("inputs.dry ? 1 : 1.5", Type::of(Base::Number)),
        ("inputs.dry ? 1 : 'a'", any),
        ("null", Type::of(Base::Null)),
        ("secrets.password", string.secret()),
        ("'a' + secrets.password", string.secret()),
        ("size(secrets.password)", integer.secret()),
        ("secrets.password == 'a'", boolean.secret()),
        ("secrets.password == 'a' ? 1 : 2", integer.secret()),
        ("default(secrets.password, 'a')", string.secret()),
        ("default(inputs.name, secrets.password)", string.secret()),
        ("[secrets.password].map(x, x)[0]", any.secret()),
        ("{'a': secrets.password}.a", any.secret()),
        ("inputs.hosts.exists(h, h == secrets.password)", boolean.secret()),
        ("inputs.hosts[int(secrets.password)]", any.secret()),
        ("inputs.name.matches(secrets.password)", boolean.secret()),
        ("min(1, int(secrets.password))", integer.secret()),
        ("inputs.name.matches('a')", boolean),
        ("has(inputs.tags.x)", boolean),
        ("min(1, 2)", integer),
        ("min(1, 2.5)", Type::of(Base::Number)),
        ("max(inputs.hosts)", any),
        ("inputs.hosts.map(h, h)", Type::of(Base::List)),
        ("{}", Type::of(Base::Map)),
    ] {
        let got = Expression::parse(source).unwrap().check(&world());
        assert_eq!(got, Ok(expected), "{source}");
    }
}
