//! YAML of other files: what is wrong stands beside what can be read.

use super::super::yaml::{Content, Value, read};

fn line(value: &Value, path: &[&str]) -> Option<u32> {
    let [first, rest @ ..] = path else { return Some(value.line) };
    let Content::Map(entries) = &value.content else { return None };
    let text = Content::Text((*first).to_owned());
    let (key, value) = entries.iter().find(|(key, _)| key.content == text)?;
    if rest.is_empty() { Some(key.line) } else { line(value, rest) }
}

fn codes(text: &str) -> Vec<(u32, &'static str)> {
    read(text, "f").1.iter().map(|finding| (finding.line, finding.code.text())).collect()
}

#[test]
fn values_have_their_lines_in_every_style() {
    let text = "a: {b: 1,\n  c: x}\n\"d\":\n  - 1\n'e': ~\nf: true\n";
    let value = read(text, "f").0.unwrap();
    for (path, at) in [(&["a"][..], 1), (&["a", "b"], 1), (&["a", "c"], 2), (&["d"], 3), (&["e"], 5), (&["f"], 6)] {
        assert_eq!(line(&value, path), Some(at), "{path:?}");
    }
    let Content::Map(entries) = value.content else { panic!("a map") };
    let contents: Vec<_> = entries.into_iter().skip(1).map(|(_, value)| value.content).collect();
    let list = Content::List(vec![Value { line: 4, content: Content::Number("1".into()) }]);
    assert_eq!(contents, [list, Content::Nothing, Content::Boolean("true".into())]);
}

#[test]
fn a_key_twice_hides_nothing() {
    let (value, findings) = read("a: 1\nb: 2\na: 3\n", "f");
    let Some(Value { content: Content::Map(entries), .. }) = value else { panic!("a map") };
    assert_eq!(entries.len(), 3);
    assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [3]);
    assert_eq!(codes("a: 1\na: 2\nb:\n  c: 1\n  c: 2\n"), [(2, "duplicate-key"), (5, "duplicate-key")]);
}

#[test]
fn what_is_no_yaml_has_its_line() {
    for (text, at, code) in [("a: 1\nb: [\n", 2, "invalid-yaml"), ("a: 1\n---\nb: 2\n", 2, "several-documents")] {
        assert!(read(text, "f").0.is_none());
        assert_eq!(codes(text), [(at, code)]);
    }
    assert_eq!(codes("# nothing\n"), [(1, "empty-document")]);
}
