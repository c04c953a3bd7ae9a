//! YAML for other files than runbooks: by the same two readers, within the same bounds, every value with its line.
//! Never knows what a key means.

use super::report::{Lines, Report};
use super::tree::{Kind, NodeId, Scalar, Tree};
use super::{Finding, tree, values};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The line of its first character, from 1.
    pub line: u32,
    /// What it is.
    pub content: Content,
}

/// What a value is. Scalars are kept as they are written, after YAML's escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Nothing, `~` or `null`.
    Nothing,
    /// `true` or `false`.
    Boolean(String),
    /// A number.
    Number(String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// Keys, scalars all, and values in the order of the file; a key that is there twice, twice.
    Map(Vec<(Value, Value)>),
}

/// Reads a text of at most [`FILE_BYTES`](crate::limits::FILE_BYTES). `file` is for display only.
///
/// The document is there as far as it can be read, beside what is wrong with it: a key that is there twice hides
/// nothing else. It is `None` when there is none, or when what was found hides it.
pub fn read(source: &str, file: &str) -> (Option<Value>, Vec<Finding>) {
    let mut report = Report::new(source, file);
    let tree = tree::read(source, &mut report).and_then(|mut tree| {
        let agreed = values::resolve(source, &mut tree, &mut report);
        agreed.then_some(tree)
    });
    let lines = Lines::new(source);
    let value = tree.map(|tree| value(&tree, tree.root, &lines));
    (value, report.finish().0)
}

/// Stage 1 has bounded depth and size, aliases counted by what they expand to.
fn value(tree: &Tree<'_>, id: NodeId, lines: &Lines) -> Value {
    let node = tree.node(id);
    let content = match &node.kind {
        Kind::Scalar(text, scalar) => match scalar {
            Scalar::Null => Content::Nothing,
            Scalar::Boolean(_) => Content::Boolean(text.to_string()),
            Scalar::Integer(_) | Scalar::Float(_) | Scalar::TooBig => Content::Number(text.to_string()),
            Scalar::Text => Content::Text(text.to_string()),
        },
        Kind::List(items) => Content::List(items.iter().map(|item| value(tree, *item, lines)).collect()),
        Kind::Map(entries) => Content::Map(
            entries.iter().map(|(key, item)| (value(tree, *key, lines), value(tree, *item, lines))).collect(),
        ),
    };
    Value { line: lines.place(tree.source, node.span().start).0, content }
}
