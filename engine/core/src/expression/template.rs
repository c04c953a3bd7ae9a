//! Texts with `${{ }}` in them. Never knows expressions inside.

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

use super::fault::{EvaluationError, Fault, FaultKind};
use super::lexer::{quote_at, text_length};
use super::reference::{Located, Reference};
use super::types::{Base, Names, Type};
use super::value::scalar_text;
use super::{Expression, Scope};
use crate::limits;

const OPEN: &str = "${{";
const CLOSE: &str = "}}";
/// Written for a `${{` that begins nothing.
const ESCAPED: &str = "$${{";

/// A text with `${{ }}` in it. `$${{` stands for `${{` itself.
#[derive(Debug, Clone)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Expression(Expression),
}

impl Template {
    /// Reads a text. `}}` ends an expression outside of text literals and map literals.
    ///
    /// # Errors
    /// All faults of all expressions; spans are offsets into this source.
    pub fn parse(source: &str) -> Result<Self, Vec<Fault>> {
        let mut parts = Vec::new();
        let mut faults = Vec::new();
        let mut literal = String::new();
        let shared: Arc<str> = source.into();
        let mut at = 0;
        while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
            let Some(found) = rest.find('$') else {
                literal.push_str(rest);
                break;
            };
            literal.push_str(&rest[..found]);
            at += found;
            let rest = &rest[found..];
            if rest.starts_with(ESCAPED) {
                literal.push_str(OPEN);
                at += ESCAPED.len();
            } else if rest.starts_with(OPEN) {
                match end_of_expression(source, at) {
                    Ok(end) => {
                        if !literal.is_empty() {
                            parts.push(Part::Text(std::mem::take(&mut literal)));
                        }
                        let inner = at + OPEN.len()..end - CLOSE.len();
                        match Expression::within(&shared, inner) {
                            Ok(expression) => parts.push(Part::Expression(expression)),
                            Err(mut found) => {
                                for fault in &mut found {
                                    if fault.kind == FaultKind::Empty {
                                        fault.span = at..end;
                                    }
                                }
                                faults.append(&mut found);
                            }
                        }
                        at = end;
                    }
                    Err(fault) => {
                        faults.push(fault);
                        break;
                    }
                }
            } else {
                literal.push('$');
                at += 1;
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        if faults.is_empty() { Ok(Self { parts }) } else { Err(faults) }
    }

    /// Whether no expression is in it.
    pub fn is_literal(&self) -> bool {
        self.expressions().next().is_none()
    }

    /// The expressions in it, in order.
    pub fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.parts.iter().filter_map(|part| match part {
            Part::Expression(expression) => Some(expression),
            Part::Text(_) => None,
        })
    }

    /// What its expressions refer to, in order.
    pub fn references(&self) -> impl Iterator<Item = &Located<Reference>> {
        self.expressions().flat_map(Expression::references)
    }

    /// The expression that is all there is, which keeps its type.
    fn lone(&self) -> Option<&Expression> {
        match self.parts.as_slice() {
            [Part::Expression(expression)] => Some(expression),
            _ => None,
        }
    }

    /// The type of the value: that of the expression where it stands alone, otherwise a string.
    ///
    /// # Errors
    /// All faults of all expressions, and of what may be null inside a text.
    pub fn check(&self, names: &dyn Names) -> Result<Type, Vec<Fault>> {
        if let Some(expression) = self.lone() {
            return expression.check(names);
        }
        let mut of = Type::of(Base::String);
        let mut faults = Vec::new();
        for expression in self.expressions() {
            match expression.check(names) {
                Ok(part) => {
                    of = of.tainted(part.secret);
                    if part.nullable {
                        faults.push(
                            Fault::new(
                                expression.span(),
                                FaultKind::PossibleNull,
                                "this may be null, and null has no text",
                            )
                            .help("write default(x, v): x when there is one, otherwise v"),
                        );
                    }
                }
                Err(mut found) => faults.append(&mut found),
            }
        }
        if faults.is_empty() { Ok(of) } else { Err(faults) }
    }

    /// The value: that of the expression where it stands alone, otherwise a text.
    ///
    /// # Errors
    /// See [`Template::render_text`]; a lone expression may be null.
    pub fn render(&self, scope: &dyn Scope) -> Result<Value, EvaluationError> {
        match self.lone() {
            Some(expression) => expression.evaluate(scope),
            None => self.render_text(scope).map(Value::String),
        }
    }

    /// The text: strings as they are, numbers and booleans plainly, lists and maps as JSON.
    ///
    /// # Errors
    /// An expression without a value, or null; expressions that give more than `limits::OUTPUT_BYTES` together.
    pub fn render_text(&self, scope: &dyn Scope) -> Result<String, EvaluationError> {
        let mut text = String::new();
        let mut bytes = 0;
        for part in &self.parts {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Expression(expression) => {
                    let added = plain(expression, expression.evaluate(scope)?)?;
                    bytes += added.len();
                    if bytes > limits::OUTPUT_BYTES {
                        let limit = limits::OUTPUT_BYTES;
                        return Err(expression.error(format!(
                            "makes the text {bytes} bytes longer, and the limit is {limit}; pass large values as files"
                        )));
                    }
                    text.push_str(&added);
                }
            }
        }
        Ok(text)
    }
}

fn plain(expression: &Expression, value: Value) -> Result<String, EvaluationError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Null => Err(expression.error("is null, and null has no text; write default(x, v)".to_owned())),
        Value::Array(_) | Value::Object(_) => {
            serde_json::to_string(&value).map_err(|_| expression.error("cannot be written as JSON".to_owned()))
        }
        scalar => Ok(scalar_text(&scalar).unwrap_or_default()),
    }
}

/// The offset behind the `}}` of the expression that opens at `start`.
fn end_of_expression(source: &str, start: usize) -> Result<usize, Fault> {
    let mut at = start + OPEN.len();
    let mut braces = 0usize;
    // A quote after the `}}` that was meant leads astray; the first one that cannot be a text tells better.
    let mut open_quote: Option<Range<usize>> = None;
    while let Some(rest) = source.get(at..).filter(|rest| !rest.is_empty()) {
        if braces == 0 && rest.starts_with(CLOSE) {
            return Ok(at + CLOSE.len());
        }
        if let Some((prefix, quote)) = quote_at(rest)
            && !continues_word(source, at)
        {
            match text_length(rest) {
                Some(length) => {
                    at += length;
                    continue;
                }
                None => {
                    let end = at + prefix.len() + quote.len();
                    open_quote.get_or_insert(at..end);
                    at = end;
                    continue;
                }
            }
        }
        if rest.starts_with(OPEN) {
            break;
        }
        let c = rest.chars().next().unwrap_or_default();
        match c {
            '{' => braces += 1,
            '}' => braces = braces.saturating_sub(1),
            _ => {}
        }
        at += c.len_utf8();
    }
    let end = start + OPEN.len();
    Err(match open_quote {
        Some(span) => Fault::new(span, FaultKind::UnterminatedText, "the text that begins here has no closing quote")
            .help("a quote inside a text is written \\' or \\\", or use the other kind around it"),
        None => Fault::new(start..end, FaultKind::UnterminatedTemplate, "this `${{` has no `}}`")
            .help("close it with }}, or write $${{ for the characters themselves"),
    })
}

/// Whether the character before belongs to a word, so that an `r` or `b` here is no prefix of a text.
fn continues_word(source: &str, at: usize) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    source.get(..at).is_some_and(|before| before.ends_with(word))
        && source.get(at..).is_some_and(|rest| rest.starts_with(word))
}
