//! Stage 1: YAML events → a tree with the place of every node, within bounds of depth and size.
//!
//! Collections are kept in one arena, and an alias is the same node again, so that neither building nor
//! dropping recurses and an anchor bomb costs what its text costs. Never knows what a key means.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::code::Code;
use super::report::{Problem, Report};
use crate::limits;

/// A node's place in the arena.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct NodeId(u32);

/// What other YAMLs merge maps with.
pub(super) const MERGE_KEY: &str = "<<";

/// How many keys of a map are compared one by one before a table pays off.
const FEW_KEYS: usize = 8;

/// What a plain scalar is by YAML 1.2's core schema; told by stage 2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number that fits 64 bits.
    Integer(i64),
    /// A number.
    Float(f64),
    /// A whole number that does not fit.
    TooBig,
    /// Text.
    Text,
}

/// A node's content.
#[derive(Debug)]
pub(super) enum Kind<'a> {
    /// Text, number, boolean or nothing, with its text after YAML's escapes.
    Scalar(Cow<'a, str>, Scalar),
    /// Items.
    List(Vec<NodeId>),
    /// Keys (scalars all) and values.
    Map(Vec<(NodeId, NodeId)>),
}

/// A node and where it stands.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub kind: Kind<'a>,
    start: u32,
    end: u32,
    /// Nodes in it with itself, aliases counted by what they expand to; 0 while it is open.
    size: u32,
    /// Bytes of its scalars, counted in the same way.
    bytes: u32,
    /// Collections nested in each other at most, with itself; 0 for a scalar.
    height: u16,
    pub style: Style,
}

/// How a scalar is written, as far as anybody cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Without quotes.
    Plain,
    /// In quotes.
    Quoted,
    /// After `|` or `>`.
    Block,
    /// No scalar.
    Collection,
}

impl Node<'_> {
    /// Its place in bytes.
    pub fn span(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// A YAML document.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub source: &'a str,
    nodes: Vec<Node<'a>>,
    pub root: NodeId,
}

impl<'a> Tree<'a> {
    /// The node of an id that this tree gave out.
    pub fn node(&self, id: NodeId) -> &Node<'a> {
        &self.nodes[id.0 as usize]
    }

    /// The same, to be changed by stage 2.
    pub fn node_mut(&mut self, id: NodeId) -> &mut Node<'a> {
        &mut self.nodes[id.0 as usize]
    }
}

/// Reads a text of at most [`limits::FILE_BYTES`]; `None` when something that was reported hides the document.
pub(super) fn read<'a>(source: &'a str, report: &mut Report<'_>) -> Option<Tree<'a>> {
    let mut options = granit_parser::options! {
        disallow_directives: true,
        flow_nesting_limit: limits::YAML_DEPTH,
        block_nesting_limit: limits::YAML_DEPTH,
    };
    options.set_emit_comments(false);
    let mut builder = Builder { source, ..Builder::default() };
    for event in Parser::new_from_str_with_options(source, options) {
        match event {
            Ok((event, span)) => {
                if let Err(problem) = builder.take(event, span, report) {
                    report.add(problem);
                    return None;
                }
            }
            Err(error) => {
                report.add(syntax(&error, source));
                return None;
            }
        }
    }
    let Some(root) = builder.root else {
        report.add(
            Problem::new(Code::EmptyDocument, 0..0, "the file holds no YAML document")
                .help("begin with `name:`, `language: 1` and `steps:`"),
        );
        return None;
    };
    Some(Tree { source, nodes: builder.nodes, root })
}

/// A syntax error in words that do not belong to the parser.
fn syntax(error: &ScanError, source: &str) -> Problem {
    let at = error.marker().byte_offset().unwrap_or(0).min(source.len());
    if *error.kind() == ErrorKind::RecursionLimitExceeded {
        return too_deep(at..at);
    }
    let (why, help) = match error.kind() {
        ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation | ErrorKind::TabInIndentation => {
            (Some("a tab cannot be used for indentation"), "indent with spaces")
        }
        ErrorKind::MappingValueNotAllowed => (None, "quote a text that contains `: `, and check the indentation"),
        ErrorKind::UnknownAnchor => (Some("no anchor of this name comes before"), "quote a text that begins with `*`"),
        ErrorKind::UnexpectedCharacter { .. } => (None, "quote a text that begins with a special character"),
        ErrorKind::DirectiveDisallowed => (Some("directives are not taken"), "leave the line with `%` out"),
        ErrorKind::InvalidColonPlacement => (None, "is a bracket or a quote before here left open?"),
        _ => (None, ""),
    };
    let kind = error.kind().to_string();
    let message = format!("the file is not YAML: {}", why.unwrap_or(&kind));
    let help = Some(help.to_owned()).filter(|help| !help.is_empty());
    Problem::new(Code::InvalidYaml, at..at, message).maybe_help(help)
}

fn too_deep(span: Range<usize>) -> Problem {
    let limit = limits::YAML_DEPTH;
    Problem::new(Code::NestedTooDeep, span, format!("lists and maps are nested deeper than {limit}, the limit"))
}

/// A collection that is still open.
struct Open {
    id: NodeId,
    /// The key that waits for its value.
    key: Option<NodeId>,
}

#[derive(Default)]
struct Builder<'a> {
    source: &'a str,
    nodes: Vec<Node<'a>>,
    open: Vec<Open>,
    anchors: HashMap<usize, NodeId>,
    root: Option<NodeId>,
    documents: usize,
    /// All nodes so far, aliases counted by what they expand to.
    total: usize,
    /// The bytes of their scalars.
    bytes: usize,
}

impl<'a> Builder<'a> {
    /// Takes one event. An error ends the reading.
    fn take(&mut self, event: Event<'a>, span: Span, report: &mut Report<'_>) -> Result<(), Problem> {
        let range = span.byte_range().unwrap_or(0..0);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Problem::new(Code::SeveralDocuments, range, "a second YAML document begins here")
                        .help("a file is one runbook: move the rest into another file"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.tagged(tag.as_deref(), &span, &range, report);
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                let range = self.visible(range, style);
                let id = self.push(Kind::Scalar(text, Scalar::Text), style, range, 1, anchor)?;
                self.attach(id, report)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tagged(tag.as_deref(), &span, &range, report);
                self.begin(Kind::List(Vec::new()), range, anchor)?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tagged(tag.as_deref(), &span, &range, report);
                self.begin(Kind::Map(Vec::new()), range, anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(range, report)?,
            Event::Alias(anchor) => {
                let target = self.anchors.get(&anchor).copied();
                match target {
                    Some(id) if self.nodes[id.0 as usize].size > 0 => {
                        let node = &self.nodes[id.0 as usize];
                        let height = usize::from(node.height);
                        self.count(node.size as usize, node.bytes as usize, &range)?;
                        if self.open.len() + height > limits::YAML_DEPTH {
                            return Err(too_deep(range));
                        }
                        self.attach(id, report)?;
                    }
                    _ => {
                        return Err(Problem::new(
                            Code::AliasInItself,
                            range,
                            "the alias stands inside what its own anchor names",
                        ));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Reports a tag. Reading goes on as if it were not there.
    fn tagged(&self, tag: Option<&Tag>, span: &Span, node: &Range<usize>, report: &mut Report<'_>) {
        let Some(tag) = tag else { return };
        let start = span.tag_start().and_then(|mark| mark.byte_offset()).unwrap_or(node.start);
        let length = self
            .source
            .get(start..)
            .and_then(|rest| rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}')))
            .unwrap_or(0);
        report.add(
            Problem::new(
                Code::YamlTag,
                start..start + length,
                format!("the tag `{}` is not part of the language", super::show(&tag.original())),
            )
            .help(match tag.original().starts_with("!!") {
                true => "leave it out; quotes make a value text",
                false => "quote a text that begins with `!`",
            }),
        );
    }

    /// The span without the line breaks and blanks at the end that a block scalar owns.
    fn visible(&self, range: Range<usize>, style: Style) -> Range<usize> {
        if style != Style::Block {
            return range;
        }
        let text = self.source.get(range.clone()).unwrap_or("");
        range.start..range.start + text.trim_end().len()
    }

    fn count(&mut self, nodes: usize, bytes: usize, range: &Range<usize>) -> Result<(), Problem> {
        self.total = self.total.saturating_add(nodes);
        self.bytes = self.bytes.saturating_add(bytes);
        for (size, limit, unit) in
            [(self.total, limits::YAML_NODES, "YAML nodes"), (self.bytes, limits::YAML_TEXT_BYTES, "bytes of text")]
        {
            if size > limit {
                let message = format!("up to here the file stands for {size} {unit}; the limit is {limit}");
                return Err(Problem::new(Code::TooManyNodes, range.clone(), message)
                    .help("an alias counts as all that it stands for"));
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        kind: Kind<'a>,
        style: Style,
        range: Range<usize>,
        size: u32,
        anchor: usize,
    ) -> Result<NodeId, Problem> {
        let bytes = match &kind {
            Kind::Scalar(text, _) => text.len(),
            _ => 0,
        };
        self.count(1, bytes, &range)?;
        // All of these fit: the limits on the file, its nodes and its text are below 2^32.
        let bytes = bytes as u32;
        let id = NodeId(self.nodes.len() as u32);
        let (start, end) = (range.start as u32, range.end as u32);
        self.nodes.push(Node { kind, start, end, size, bytes, height: 0, style });
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        Ok(id)
    }

    fn begin(&mut self, kind: Kind<'a>, range: Range<usize>, anchor: usize) -> Result<(), Problem> {
        if self.open.len() >= limits::YAML_DEPTH {
            return Err(too_deep(range));
        }
        let id = self.push(kind, Style::Collection, range, 0, anchor)?;
        self.open.push(Open { id, key: None });
        Ok(())
    }

    /// Closes the innermost collection.
    fn end(&mut self, range: Range<usize>, report: &mut Report<'_>) -> Result<(), Problem> {
        let Some(Open { id, .. }) = self.open.pop() else {
            return Ok(());
        };
        let (mut size, mut bytes) = (1_u32, 0_u32);
        let mut height = 0;
        let mut last = 0;
        let mut add = |node: &Node<'_>| {
            size = size.saturating_add(node.size);
            bytes = bytes.saturating_add(node.bytes);
            height = height.max(node.height);
            last = node.end;
        };
        match &self.nodes[id.0 as usize].kind {
            Kind::Scalar(..) => {}
            Kind::List(items) => items.iter().for_each(|item| add(&self.nodes[item.0 as usize])),
            Kind::Map(entries) => {
                for (key, value) in entries {
                    add(&self.nodes[key.0 as usize]);
                    add(&self.nodes[value.0 as usize]);
                }
                self.duplicates(entries, report);
            }
        }
        let node = &mut self.nodes[id.0 as usize];
        node.size = size;
        node.bytes = bytes;
        node.height = height + 1;
        // A block collection ends with an empty event somewhere after its last item. That item may be an
        // alias, which stands elsewhere.
        node.end = match range.is_empty() {
            false => range.end as u32,
            true if last > node.start => last,
            true => node.end,
        };
        self.attach(id, report)
    }

    /// Gives a finished node to the collection that is open around it.
    fn attach(&mut self, id: NodeId, report: &mut Report<'_>) -> Result<(), Problem> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(id);
            return Ok(());
        };
        let at = open.id.0 as usize;
        match (&self.nodes[at].kind, open.key.take()) {
            (Kind::Map(_), None) => {
                let key = &self.nodes[id.0 as usize];
                let Kind::Scalar(text, _) = &key.kind else {
                    return Err(Problem::new(Code::KeyNotText, key.span(), "a list or a map cannot be a key")
                        .help("put quotes around a key that begins with `[` or `{`"));
                };
                if text == MERGE_KEY {
                    report.add(
                        Problem::new(
                            Code::MergeKey,
                            key.span(),
                            "`<<` would be a key like any other: YAML 1.2 has no merge keys",
                        )
                        .help("use `defaults:` for what steps share, or an alias for a whole value"),
                    );
                }
                open.key = Some(id);
            }
            (Kind::Map(_), Some(key)) => {
                if let Kind::Map(entries) = &mut self.nodes[at].kind {
                    entries.push((key, id));
                }
            }
            _ => {
                if let Kind::List(items) = &mut self.nodes[at].kind {
                    items.push(id);
                }
            }
        }
        Ok(())
    }

    /// Reports every key that the map has already.
    fn duplicates(&self, entries: &[(NodeId, NodeId)], report: &mut Report<'_>) {
        let text = |id: NodeId| match &self.nodes[id.0 as usize].kind {
            Kind::Scalar(text, _) => text.as_ref(),
            _ => "",
        };
        let mut tell = |first: NodeId, again: NodeId| {
            report.add(
                Problem::new(
                    Code::DuplicateKey,
                    self.nodes[again.0 as usize].span(),
                    format!("the key `{}` is there already", super::show(text(again))),
                )
                .related(self.nodes[first.0 as usize].span(), "it is here first"),
            );
        };
        if entries.len() <= FEW_KEYS {
            for (index, (again, _)) in entries.iter().enumerate() {
                let first = entries[..index].iter().find(|(key, _)| text(*key) == text(*again));
                if let Some((first, _)) = first {
                    tell(*first, *again);
                }
            }
        } else {
            let mut seen = HashMap::with_capacity(entries.len());
            for (key, _) in entries {
                if let Some(first) = seen.get(text(*key)) {
                    tell(*first, *key);
                } else {
                    seen.insert(text(*key), *key);
                }
            }
        }
    }
}
