//! Texts with `${{ }}`.

use serde_json::json;

use super::world;
use crate::expression::{Base, Fault, Template, Type};

fn rendered(source: &str) -> String {
    let template = match Template::parse(source) {
        Ok(template) => template,
        Err(faults) => return shown(source, &faults),
    };
    if let Err(faults) = template.check(&world()) {
        return shown(source, &faults);
    }
    match template.render_text(&world()) {
        Ok(text) => text,
        Err(error) => format!("! {error}"),
    }
}

fn shown(source: &str, faults: &[Fault]) -> String {
    let each = |fault: &Fault| format!("{:?} {}", fault.kind, &source[fault.span.clone()]);
    faults.iter().map(each).collect::<Vec<_>>().join("; ")
}

#[test]
fn expressions_are_found_and_rendered() {
    for (source, expected) in [
        ("", ""),
        ("plain $ text {{ }} $", "plain $ text {{ }} $"),
        ("$HOME and $${HOME}", "$HOME and $${HOME}"),
        ("${{ inputs.name }}", "orders"),
        ("${{inputs.name}}", "orders"),
        ("postgres/${{ inputs.name }}", "postgres/orders"),
        ("a${{ 1 }}b${{ 2.5 }}c${{ true }}d", "a1b2.5ctrued"),
        ("${{ 3.0 }}", "3"),
        ("list ${{ inputs.hosts }}", r#"list ["web-1","web-2","db-1"]"#),
        ("${{ {'a': {'b': 1}} }}", r#"{"a":{"b":1}}"#),
        ("${{ {'a': {'b': 1}}}}", r#"{"a":{"b":1}}"#),
        ("${{ '}}' }}!", "}}!"),
        ("${{ \"a}}b\" + '\\'}}' }}", "a}}b'}}"),
        ("${{ r'\\' }}x", "\\x"),
        ("$${{ inputs.name }}", "${{ inputs.name }}"),
        ("cost: $$5 ${{ 1 }}", "cost: $$5 1"),
        ("${{ '$' }}${{ inputs.name }}", "$orders"),
        ("é ${{ inputs.name }} é", "é orders é"),
        ("line\n${{\n  inputs.name\n}}\n", "line\norders\n"),
        ("${{ steps.my-step.outputs.row-count }}", "3"),
        ("x ${{ default(steps.maybe.outputs.n, 'none') }}", "x none"),
    ] {
        assert_eq!(rendered(source), expected, "{source}");
    }
}

#[test]
fn faults_point_into_the_whole_text() {
    for (source, expected) in [
        ("é ${{ inputs.nope }} ${{ 1 + }}", "UnexpectedEnd "),
        ("é ${{ inputs.nope }} ${{ inputs.nay }}", "UnknownInput inputs.nope; UnknownInput inputs.nay"),
        ("a ${{ }} b", "Empty ${{ }}"),
        ("a ${{}}", "Empty ${{}}"),
        ("a ${{ inputs.name", "UnterminatedTemplate ${{"),
        ("a ${{ inputs.name } }", "UnterminatedTemplate ${{"),
        ("a ${{ inputs.name ${{ inputs.keep }}", "UnterminatedTemplate ${{"),
        ("a ${{ 'it }} b", "UnterminatedText 'it "),
        ("a ${{ 'it", "UnterminatedText '"),
        ("a ${{ steps.maybe.outputs.n }}", "PossibleNull steps.maybe.outputs.n"),
        ("${{ x }} ${{ y }}", "UnknownName x; UnknownName y"),
        ("x ${{ inputs.name + 1 }}", "WrongType 1"),
    ] {
        assert_eq!(rendered(source), expected, "{source}");
    }
}

#[test]
fn a_lone_expression_keeps_its_type() {
    let template = Template::parse("${{ inputs.keep }}").unwrap();
    assert_eq!(template.check(&world()), Ok(Type::of(Base::Integer)));
    assert_eq!(template.render(&world()), Ok(json!(7)));
    assert!(!template.is_literal());

    let template = Template::parse("${{ inputs.keep }} ").unwrap();
    assert_eq!(template.check(&world()), Ok(Type::of(Base::String)));
    assert_eq!(template.render(&world()), Ok(json!("7 ")));

    let template = Template::parse("a ${{ secrets.password }}").unwrap();
    assert_eq!(template.check(&world()), Ok(Type::of(Base::String).secret()));

    let template = Template::parse("$${{ plain }}").unwrap();
    assert!(template.is_literal());
    assert_eq!(template.render(&world()), Ok(json!("${{ plain }}")));

    let template = Template::parse("${{ steps.maybe.outputs.n }}").unwrap();
    assert_eq!(template.check(&world()), Ok(Type::of(Base::Integer).nullable()));
    assert_eq!(template.render(&world()), Ok(json!(null)));
    assert_eq!(
        template.render_text(&world()).unwrap_err().to_string(),
        "`steps.maybe.outputs.n` is null, and null has no text; write default(x, v)"
    );
}

#[test]
fn references_of_all_expressions_are_listed() {
    let source = "${{ inputs.a }} é ${{ steps.b-c.status }}";
    let template = Template::parse(source).unwrap();
    let listed: Vec<&str> = template.references().map(|at| &source[at.span.clone()]).collect();
    assert_eq!(listed, ["inputs.a", "steps.b-c.status"]);
}

#[test]
fn a_literal_may_be_as_long_as_the_file() {
    let text = "x".repeat(4 * crate::limits::OUTPUT_BYTES);
    assert_eq!(Template::parse(&text).unwrap().render_text(&world()), Ok(text));
}

#[test]
fn what_expressions_make_is_bounded() {
    let large = super::World::default().with(
        crate::expression::Reference::Input("big".into()),
        Type::of(Base::String),
        json!("x".repeat(crate::limits::OUTPUT_BYTES - 10)),
    );
    let error =
        Template::parse("${{ inputs.big }}${{ inputs.big }}").unwrap().render_text(&large).unwrap_err().to_string();
    assert!(error.contains("524268 bytes") && error.contains("262144"), "{error}");
}
