//! What the functions of the allow-list compute. Never knows names or types at load.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::evaluate::{Around, Evaluator, Outcome};
use super::functions::Function;
use super::pattern::Pattern;
use super::syntax::Node;
use super::value::{Num, scalar_text, truncate};
use crate::limits;

/// What compiling a pattern at run time costs, in units of work.
const COMPILE_WORK: u64 = 50_000;
impl Evaluator<'_> {
    pub(super) fn call<'s>(
        &'s self,
        node: &'s Node,
        function: Function,
        arguments: &'s [Node],
        around: Around<'s>,
    ) -> Outcome<Cow<'s, Value>> {
        // The parser counted the arguments.
        let [first, others @ ..] = arguments else { return Ok(Cow::Owned(Value::Null)) };
        if let (Function::Default, [otherwise]) = (function, others) {
            return match self.path(first, around)? {
                Some(value) => Ok(value),
                None => self.eval(otherwise, around),
            };
        }
        let value = self.eval(first, around)?;
        if matches!(function, Function::Min | Function::Max) {
            return self.extreme(node, function, value, others, around);
        }
        let argument = match others {
            [other] => Some(self.eval(other, around)?),
            _ => None,
        };
        let argument = match &argument {
            Some(text) => self.text(&others[0], text)?,
            None => "",
        };
        self.compute(node, function, first, &value, argument).map(Cow::Owned)
    }

    /// A function of values that are known: what it is asked of, and the text behind it where it takes one.
    fn compute(&self, node: &Node, function: Function, first: &Node, value: &Value, argument: &str) -> Outcome<Value> {
        let text = || self.text(first, value);
        Ok(match function {
            Function::Contains => {
                let text = text()?;
                self.pay_bytes(&node.span, text.len())?;
                Value::Bool(text.contains(argument))
            }
            Function::StartsWith => Value::Bool(text()?.starts_with(argument)),
            Function::EndsWith => Value::Bool(text()?.ends_with(argument)),
            Function::Matches => {
                let pattern = self.pattern(node, argument)?;
                self.matches(node, value, &pattern)?.into_owned()
            }
            Function::Lower | Function::Upper => {
                let text = text()?;
                self.pay_bytes(&node.span, text.len())?;
                let changed = match function {
                    Function::Lower => text.to_lowercase(),
                    _ => text.to_uppercase(),
                };
                self.bound(&node.span, changed.len())?;
                Value::String(changed)
            }
            Function::Split => self.split(node, text()?, argument)?,
            Function::Join => self.join(node, first, value, argument)?,
            Function::Size => self.size(first, value)?,
            Function::String => match scalar_text(value) {
                Some(text) => {
                    self.pay_bytes(&node.span, text.len())?;
                    Value::String(text)
                }
                None => {
                    return Err(self.unsuitable(&first.span, value, "a string, number or boolean"));
                }
            },
            Function::Json => {
                let text =
                    serde_json::to_string(value).map_err(|_| self.error(&node.span, "cannot be written as JSON"))?;
                self.bound(&node.span, text.len())?;
                Value::String(text)
            }
            Function::Int => self.int(node, first, value)?,
            Function::Double => self.double(node, first, value)?,
            Function::Default | Function::Min | Function::Max => Value::Null,
        })
    }

    fn size(&self, at: &Node, value: &Value) -> Outcome<Value> {
        let size = match value {
            Value::String(text) => {
                self.pay_bytes(&at.span, text.len())?;
                text.chars().count()
            }
            Value::Array(items) => items.len(),
            Value::Object(entries) => entries.len(),
            other => return Err(self.unsuitable(&at.span, other, "a string, a list or a map")),
        };
        self.number(&at.span, i64::try_from(size).ok().map(Num::Integer))
    }

    fn int(&self, node: &Node, at: &Node, value: &Value) -> Outcome<Value> {
        let integer = match (value, Num::of(value)) {
            (_, Some(Num::Integer(integer))) => Some(integer),
            (_, Some(Num::Double(double))) => truncate(double),
            (Value::String(text), _) => match text.parse() {
                Ok(integer) => Some(integer),
                Err(_) => return Err(self.error(&at.span, "is a text that is no integer")),
            },
            (other, _) => return Err(self.unsuitable(&at.span, other, "a number or a string")),
        };
        self.number(&node.span, integer.map(Num::Integer))
    }

    fn double(&self, node: &Node, at: &Node, value: &Value) -> Outcome<Value> {
        let double = match (value, Num::of(value)) {
            (_, Some(number)) => number.double(),
            (Value::String(text), _) => match text.parse::<f64>() {
                Ok(double) if double.is_finite() => double,
                _ => return Err(self.error(&at.span, "is a text that is no number")),
            },
            (other, _) => return Err(self.unsuitable(&at.span, other, "a number or a string")),
        };
        self.number(&node.span, Some(Num::Double(double)))
    }

    fn text<'v>(&self, at: &Node, value: &'v Value) -> Outcome<&'v str> {
        value.as_str().ok_or_else(|| self.unsuitable(&at.span, value, "a string"))
    }

    /// A pattern that is only known now, compiled once per evaluation.
    fn pattern(&self, node: &Node, source: &str) -> Outcome<Pattern> {
        if let Some(pattern) = self.patterns.borrow().get(source) {
            return Ok(pattern.clone());
        }
        self.pay(&node.span, COMPILE_WORK)?;
        // The reason would show the pattern, which may be secret.
        let pattern = Pattern::compile(source)
            .map_err(|_| self.error(&node.span, "has a pattern that is no regular expression, or too large a one"))?;
        self.patterns.borrow_mut().insert(source.to_owned(), pattern.clone());
        Ok(pattern)
    }

    pub(super) fn matches(&self, node: &Node, value: &Value, pattern: &Pattern) -> Outcome<Cow<'static, Value>> {
        let Some(text) = value.as_str() else {
            return Err(self.unsuitable(&node.span, value, "a string"));
        };
        self.pay(&node.span, pattern.work(text.len()))?;
        Ok(Cow::Owned(Value::Bool(pattern.is_match(text))))
    }

    fn split(&self, node: &Node, text: &str, separator: &str) -> Outcome<Value> {
        self.pay_bytes(&node.span, text.len())?;
        let mut pieces = Vec::new();
        let mut bytes = 0;
        let mut keep = |piece: &str| {
            bytes += piece.len() + 3;
            if bytes > limits::OUTPUT_BYTES {
                self.bound(&node.span, bytes)?;
            }
            self.pay_bytes(&node.span, piece.len())?;
            pieces.push(Value::from(piece));
            Ok(())
        };
        if separator.is_empty() {
            // Into characters, as CEL does.
            let mut buffer = [0; 4];
            text.chars().try_for_each(|c| keep(c.encode_utf8(&mut buffer)))?;
        } else {
            text.split(separator).try_for_each(&mut keep)?;
        }
        Ok(Value::Array(pieces))
    }

    fn join(&self, node: &Node, at: &Node, value: &Value, separator: &str) -> Outcome<Value> {
        let Value::Array(items) = value else {
            return Err(self.unsuitable(&at.span, value, "a list"));
        };
        let mut joined = String::new();
        for (place, item) in items.iter().enumerate() {
            let Some(text) = scalar_text(item) else {
                let message =
                    format!("holds {}, and join takes strings, numbers and booleans", super::value::kind(item));
                return Err(self.error(&at.span, message));
            };
            let added = text.len() + separator.len();
            self.pay_bytes(&node.span, added)?;
            if joined.len() + added > limits::OUTPUT_BYTES {
                self.bound(&node.span, joined.len() + added)?;
            }
            if place > 0 {
                joined.push_str(separator);
            }
            joined.push_str(&text);
        }
        Ok(Value::String(joined))
    }

    fn extreme<'s>(
        &'s self,
        node: &'s Node,
        function: Function,
        first: Cow<'s, Value>,
        others: &'s [Node],
        around: Around<'s>,
    ) -> Outcome<Cow<'s, Value>> {
        let better = |new: &Value, best: &Value| {
            let order = self.compare(&node.span, new, best)?;
            Ok(order == if function == Function::Min { Ordering::Less } else { Ordering::Greater })
        };
        if others.is_empty() {
            let Value::Array(items) = &*first else {
                return Err(self.unsuitable(&node.span, &first, "a list"));
            };
            let Some((mut best, rest)) = items.split_first() else {
                return Err(self.error(&node.span, "has no value: the list is empty"));
            };
            // Also a single element must be something that has an order.
            better(best, best)?;
            for item in rest {
                self.pay(&node.span, 1)?;
                if better(item, best)? {
                    best = item;
                }
            }
            return Ok(Cow::Owned(best.clone()));
        }
        let mut best = first;
        for other in others {
            let value = self.eval(other, around)?;
            if better(&value, &best)? {
                best = value;
            }
        }
        Ok(best)
    }
}
