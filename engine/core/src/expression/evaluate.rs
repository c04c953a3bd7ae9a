//! A tree to a value, within bounds of work and size. Calls are in `evaluate_calls.rs`. Never holds a value in
//! an error, so that secrets stay out of them.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value;

use super::Scope;
use super::fault::EvaluationError;
use super::lexer::shorten;
use super::pattern::Pattern;
use super::reference::{Located, Reference};
use super::syntax::{Binary, Comprehension, Kind, Macro, Node};
use super::value::{Num, kind, weight, whole};
use crate::limits;

/// What one evaluation may cost: a unit is a node visited, an element looked at, or [`UNIT_BYTES`] of text read
/// or written. Some tens of milliseconds, the worst of patterns some hundreds, so that no expression holds up the
/// loop that asks it.
pub(super) const WORK: u64 = 2_000_000;
/// The bytes of text that cost one unit of work.
const UNIT_BYTES: usize = 32;

pub(super) type Outcome<T> = Result<T, EvaluationError>;

/// The variables of the comprehensions around.
#[derive(Clone, Copy)]
pub(super) struct Frame<'s> {
    value: &'s Value,
    /// Counted from the outermost.
    place: usize,
    outer: Option<&'s Frame<'s>>,
}

pub(super) type Around<'s> = Option<&'s Frame<'s>>;

pub(super) struct Evaluator<'a> {
    source: &'a str,
    references: &'a [Located<Reference>],
    scope: &'a dyn Scope,
    /// What the references stood for when they were first read.
    values: Vec<OnceCell<Value>>,
    pub(super) patterns: RefCell<HashMap<String, Pattern>>,
    work: Cell<u64>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(source: &'a str, references: &'a [Located<Reference>], scope: &'a dyn Scope) -> Self {
        let values = std::iter::repeat_with(OnceCell::new).take(references.len()).collect();
        Self { source, references, scope, values, patterns: RefCell::default(), work: Cell::new(WORK) }
    }

    pub(super) fn run(&self, root: &Node) -> Outcome<Value> {
        self.eval(root, None).map(Cow::into_owned)
    }

    pub(super) fn error(&self, span: &Range<usize>, message: impl Into<String>) -> EvaluationError {
        let excerpt = self.source.get(span.clone()).unwrap_or_default();
        EvaluationError { span: span.clone(), excerpt: shorten(excerpt), message: message.into() }
    }

    /// Pays for work at a place.
    pub(super) fn pay(&self, span: &Range<usize>, units: u64) -> Outcome<()> {
        match self.work.get().checked_sub(units) {
            Some(rest) => {
                self.work.set(rest);
                Ok(())
            }
            None => {
                Err(self
                    .error(span, format!("takes too long: the limit is {WORK} units of work; let a step compute it")))
            }
        }
    }

    pub(super) fn pay_bytes(&self, span: &Range<usize>, bytes: usize) -> Outcome<()> {
        self.pay(span, (bytes / UNIT_BYTES) as u64 + 1)
    }

    /// Refuses what is larger than any output may be.
    pub(super) fn bound(&self, span: &Range<usize>, bytes: usize) -> Outcome<()> {
        if bytes > limits::OUTPUT_BYTES {
            let limit = limits::OUTPUT_BYTES;
            return Err(self
                .error(span, format!("gives {bytes} bytes or more, and the limit is {limit}; let a step compute it")));
        }
        self.pay_bytes(span, bytes)
    }

    pub(super) fn eval<'s>(&'s self, node: &'s Node, around: Around<'s>) -> Outcome<Cow<'s, Value>> {
        self.pay(&node.span, 1)?;
        // Each kind has a function of its own, so that a level of the tree costs little stack.
        match &node.kind {
            Kind::Literal(value) => Ok(Cow::Borrowed(value)),
            Kind::Reference(place) => Ok(Cow::Borrowed(self.reference(*place))),
            Kind::Variable(place) => Ok(Cow::Borrowed(variable(*place, around))),
            Kind::List(items) => self.list(node, items, around),
            Kind::Map(entries) => self.map(node, entries, around),
            Kind::Member(..) | Kind::Index(..) => self.present(node, around),
            Kind::Not(value) => Ok(boolean(!self.boolean(value, around)?)),
            Kind::Negate(value) => self.negate(node, value, around),
            Kind::All(parts) => Ok(boolean(self.until(parts, false, around)?)),
            Kind::Any(parts) => Ok(boolean(self.until(parts, true, around)?)),
            Kind::Chain(first, rest) => self.chain(node, first, rest, around),
            Kind::Choice(parts) => {
                let [condition, yes, no] = &**parts;
                let taken = if self.boolean(condition, around)? { yes } else { no };
                self.eval(taken, around)
            }
            Kind::Call(function, arguments) => self.call(node, *function, arguments, around),
            Kind::Matches(text, pattern) => {
                let text = self.eval(text, around)?;
                self.matches(node, &text, pattern)
            }
            Kind::Has(value) => Ok(boolean(self.path(value, around)?.is_some())),
            Kind::Comprehension(comprehension) => self.comprehension(node, comprehension, around),
        }
    }

    /// A member or element that must be there.
    fn present<'s>(&'s self, node: &'s Node, around: Around<'s>) -> Outcome<Cow<'s, Value>> {
        let (found, what) = match &node.kind {
            Kind::Member(value, name) => {
                let owner = self.eval(value, around)?;
                (self.member(value, owner, name)?, format!("the map has no `{name}`"))
            }
            Kind::Index(value, index) => {
                let owner = self.eval(value, around)?;
                let found = self.element(value, owner, index, around)?;
                (found, "there is no such element".to_owned())
            }
            _ => (None, String::new()),
        };
        found.ok_or_else(|| {
            let message = format!("does not exist: {what}; write default(x, v) if that is expected");
            self.error(&node.span, message)
        })
    }

    fn negate<'s>(&'s self, node: &'s Node, value: &'s Node, around: Around<'s>) -> Outcome<Cow<'s, Value>> {
        let of = self.eval(value, around)?;
        let negated = match Num::of(&of) {
            Some(Num::Integer(integer)) => integer.checked_neg().map(Num::Integer),
            Some(Num::Double(double)) => Some(Num::Double(-double)),
            None => return Err(self.unsuitable(&value.span, &of, "a number")),
        };
        self.number(&node.span, negated).map(Cow::Owned)
    }

    fn chain<'s>(
        &'s self,
        node: &'s Node,
        first: &'s Node,
        rest: &'s [(Binary, Node)],
        around: Around<'s>,
    ) -> Outcome<Cow<'s, Value>> {
        let mut left = self.eval(first, around)?;
        for (operator, right) in rest {
            let span = node.span.start..right.span.end;
            let right = self.eval(right, around)?;
            left = Cow::Owned(self.binary(&span, &left, *operator, &right)?);
        }
        Ok(left)
    }

    fn reference(&self, place: usize) -> &Value {
        let (Some(slot), Some(at)) = (self.values.get(place), self.references.get(place)) else {
            return &Value::Null;
        };
        slot.get_or_init(|| self.scope.value_of(&at.value).unwrap_or(Value::Null))
    }

    /// The value of a path where null and absence are one answer: none.
    pub(super) fn path<'s>(&'s self, node: &'s Node, around: Around<'s>) -> Outcome<Option<Cow<'s, Value>>> {
        let found = match &node.kind {
            Kind::Member(value, name) => match self.path(value, around)? {
                Some(owner) => self.member(value, owner, name)?,
                None => None,
            },
            Kind::Index(value, index) => match self.path(value, around)? {
                Some(owner) => self.element(value, owner, index, around)?,
                None => None,
            },
            _ => Some(self.eval(node, around)?),
        };
        Ok(found.filter(|value| !value.is_null()))
    }

    fn member<'s>(&self, at: &Node, owner: Cow<'s, Value>, name: &str) -> Outcome<Option<Cow<'s, Value>>> {
        match owner {
            Cow::Borrowed(Value::Object(entries)) => Ok(entries.get(name).map(Cow::Borrowed)),
            Cow::Owned(Value::Object(mut entries)) => Ok(entries.swap_remove(name).map(Cow::Owned)),
            other => Err(self.unsuitable(&at.span, &other, "a map")),
        }
    }

    fn element<'s>(
        &'s self,
        at: &'s Node,
        owner: Cow<'s, Value>,
        index: &'s Node,
        around: Around<'s>,
    ) -> Outcome<Option<Cow<'s, Value>>> {
        let key = self.eval(index, around)?;
        match (&*owner, &*key) {
            (Value::Object(_), Value::String(name)) => self.member(at, owner, name),
            (Value::Array(_), key) => {
                let Some(place) = whole(key) else {
                    return Err(self.unsuitable(&index.span, key, "an integer"));
                };
                let place = usize::try_from(place).unwrap_or(usize::MAX);
                Ok(match owner {
                    Cow::Borrowed(Value::Array(items)) => items.get(place).map(Cow::Borrowed),
                    Cow::Owned(Value::Array(mut items)) if place < items.len() => {
                        Some(Cow::Owned(items.swap_remove(place)))
                    }
                    _ => None,
                })
            }
            (Value::Object(_), key) => Err(self.unsuitable(&index.span, key, "a string")),
            (other, _) => Err(self.unsuitable(&at.span, other, "a list or a map")),
        }
    }

    /// The error for a value of the wrong kind.
    pub(super) fn unsuitable(&self, span: &Range<usize>, value: &Value, wanted: &str) -> EvaluationError {
        if value.is_null() {
            let message = format!("is null where {wanted} is needed; write default(x, v)");
            return self.error(span, message);
        }
        self.error(span, format!("is {} where {wanted} is needed", kind(value)))
    }

    pub(super) fn boolean<'s>(&'s self, node: &'s Node, around: Around<'s>) -> Outcome<bool> {
        match &*self.eval(node, around)? {
            Value::Bool(boolean) => Ok(*boolean),
            other => Err(self.unsuitable(&node.span, other, "a boolean")),
        }
    }

    /// Asks the parts in order until one is `end`.
    fn until<'s>(&'s self, parts: &'s [Node], end: bool, around: Around<'s>) -> Outcome<bool> {
        for part in parts {
            if self.boolean(part, around)? == end {
                return Ok(end);
            }
        }
        Ok(!end)
    }

    fn list<'s>(&'s self, node: &'s Node, items: &'s [Node], around: Around<'s>) -> Outcome<Cow<'s, Value>> {
        let mut list = Vec::with_capacity(items.len());
        let mut bytes = 0;
        for item in items {
            let value = self.eval(item, around)?;
            bytes += weight(&value);
            self.bound(&node.span, bytes)?;
            list.push(value.into_owned());
        }
        Ok(Cow::Owned(Value::Array(list)))
    }

    fn map<'s>(&'s self, node: &'s Node, entries: &'s [(Node, Node)], around: Around<'s>) -> Outcome<Cow<'s, Value>> {
        let mut map = serde_json::Map::new();
        let mut bytes = 0;
        for (key, value) in entries {
            let Value::String(name) = self.eval(key, around)?.into_owned() else {
                return Err(self.error(&key.span, "is no string, and a key of a map is one"));
            };
            let value = self.eval(value, around)?;
            bytes += name.len() + weight(&value);
            self.bound(&node.span, bytes)?;
            if map.insert(name, value.into_owned()).is_some() {
                return Err(self.error(&key.span, "is a key of the map already"));
            }
        }
        Ok(Cow::Owned(Value::Object(map)))
    }

    /// A number, unless it does not fit.
    pub(super) fn number(&self, span: &Range<usize>, number: Option<Num>) -> Outcome<Value> {
        number.and_then(Num::value).ok_or_else(|| self.error(span, "gives a number that does not fit 64 bits"))
    }

    pub(super) fn binary(&self, span: &Range<usize>, left: &Value, operator: Binary, right: &Value) -> Outcome<Value> {
        Ok(match operator {
            Binary::Equal => Value::Bool(self.equal(span, left, right)?),
            Binary::NotEqual => Value::Bool(!self.equal(span, left, right)?),
            Binary::Less => Value::Bool(self.compare(span, left, right)?.is_lt()),
            Binary::LessOrEqual => Value::Bool(self.compare(span, left, right)?.is_le()),
            Binary::Greater => Value::Bool(self.compare(span, left, right)?.is_gt()),
            Binary::GreaterOrEqual => Value::Bool(self.compare(span, left, right)?.is_ge()),
            Binary::In => Value::Bool(self.within(span, left, right)?),
            Binary::Add => match (left, right) {
                (Value::String(a), Value::String(b)) => {
                    self.bound(span, a.len() + b.len())?;
                    Value::String(format!("{a}{b}"))
                }
                (Value::Array(a), Value::Array(b)) => {
                    self.bound(span, weight(left) + weight(right))?;
                    Value::Array(a.iter().chain(b).cloned().collect())
                }
                _ => self.arithmetic(span, left, operator, right)?,
            },
            Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => {
                self.arithmetic(span, left, operator, right)?
            }
        })
    }

    fn arithmetic(&self, span: &Range<usize>, left: &Value, operator: Binary, right: &Value) -> Outcome<Value> {
        let (Some(a), Some(b)) = (Num::of(left), Num::of(right)) else {
            return Err(self.mismatch(span, left, operator.sign(), right));
        };
        let divides = matches!(operator, Binary::Divide | Binary::Remainder);
        if divides && b.double() == 0.0 {
            return Err(self.error(span, "divides by zero"));
        }
        let number = match (a, b) {
            (Num::Integer(a), Num::Integer(b)) => match operator {
                Binary::Add => a.checked_add(b),
                Binary::Subtract => a.checked_sub(b),
                Binary::Multiply => a.checked_mul(b),
                Binary::Divide => a.checked_div(b),
                _ => a.checked_rem(b),
            }
            .map(Num::Integer),
            _ => {
                let (a, b) = (a.double(), b.double());
                Some(Num::Double(match operator {
                    Binary::Add => a + b,
                    Binary::Subtract => a - b,
                    Binary::Multiply => a * b,
                    Binary::Divide => a / b,
                    _ => a % b,
                }))
            }
        };
        self.number(span, number)
    }

    fn mismatch(&self, span: &Range<usize>, left: &Value, sign: &str, right: &Value) -> EvaluationError {
        if left.is_null() || right.is_null() {
            return self.error(span, format!("has null beside `{sign}`; write default(x, v)"));
        }
        let message = format!("has {} and {} beside `{sign}`", kind(left), kind(right));
        self.error(span, message)
    }

    /// Whether two values are the same; numbers by what they are worth.
    pub(super) fn equal(&self, span: &Range<usize>, left: &Value, right: &Value) -> Outcome<bool> {
        self.pay(span, 1)?;
        Ok(match (left, right) {
            (Value::Number(_), Value::Number(_)) => match (Num::of(left), Num::of(right)) {
                (Some(a), Some(b)) => a.compare(b) == Some(Ordering::Equal),
                _ => false,
            },
            (Value::String(a), Value::String(b)) => {
                self.pay_bytes(span, a.len().min(b.len()))?;
                a == b
            }
            (Value::Array(a), Value::Array(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (a, b) in a.iter().zip(b) {
                    if !self.equal(span, a, b)? {
                        return Ok(false);
                    }
                }
                true
            }
            (Value::Object(a), Value::Object(b)) => {
                if a.len() != b.len() {
                    return Ok(false);
                }
                for (key, a) in a {
                    match b.get(key) {
                        Some(b) if self.equal(span, a, b)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            _ => left == right,
        })
    }

    /// The order of two numbers or of two strings.
    pub(super) fn compare(&self, span: &Range<usize>, left: &Value, right: &Value) -> Outcome<Ordering> {
        if let (Value::String(a), Value::String(b)) = (left, right) {
            self.pay_bytes(span, a.len().min(b.len()))?;
            return Ok(a.cmp(b));
        }
        let order = match (Num::of(left), Num::of(right)) {
            (Some(a), Some(b)) => a.compare(b),
            _ => None,
        };
        order.ok_or_else(|| self.mismatch(span, left, "a comparison", right))
    }

    fn within(&self, span: &Range<usize>, left: &Value, right: &Value) -> Outcome<bool> {
        match right {
            Value::Array(items) => {
                for item in items {
                    if self.equal(span, left, item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Value::Object(entries) => Ok(left.as_str().is_some_and(|key| entries.contains_key(key))),
            _ => Err(self.mismatch(span, left, "in", right)),
        }
    }

    fn comprehension<'s>(
        &'s self,
        node: &'s Node,
        comprehension: &'s Comprehension,
        around: Around<'s>,
    ) -> Outcome<Cow<'s, Value>> {
        let Comprehension { macro_, list, condition, result } = comprehension;
        let values = self.eval(list, around)?;
        let keys: Vec<Value>;
        let items: &[Value] = match &*values {
            Value::Array(items) => items,
            Value::Object(entries) => {
                self.pay(&list.span, entries.len() as u64)?;
                keys = entries.keys().map(|key| Value::from(key.as_str())).collect();
                &keys
            }
            other => return Err(self.unsuitable(&list.span, other, "a list or a map")),
        };
        let place = around.map_or(0, |frame| frame.place + 1);
        let mut kept = Vec::new();
        let mut bytes = 0;
        let mut matching = 0u64;
        for value in items {
            let frame = Frame { value, place, outer: around };
            let holds = match condition {
                Some(condition) => self.boolean(condition, Some(&frame))?,
                None => true,
            };
            match macro_ {
                Macro::All if !holds => return Ok(boolean(false)),
                Macro::Exists if holds => return Ok(boolean(true)),
                Macro::All | Macro::Exists => {}
                Macro::ExistsOne => matching += u64::from(holds),
                Macro::Filter | Macro::Map if !holds => {}
                Macro::Filter | Macro::Map => {
                    let value = match result {
                        Some(result) => self.eval(result, Some(&frame))?,
                        None => Cow::Borrowed(value),
                    };
                    let added = weight(&value);
                    self.pay_bytes(&node.span, added)?;
                    bytes += added + 1;
                    if bytes > limits::OUTPUT_BYTES {
                        self.bound(&node.span, bytes)?;
                    }
                    kept.push(value.into_owned());
                }
            }
        }
        Ok(match macro_ {
            Macro::All => boolean(true),
            Macro::Exists => boolean(false),
            Macro::ExistsOne => boolean(matching == 1),
            Macro::Filter | Macro::Map => Cow::Owned(Value::Array(kept)),
        })
    }
}

fn boolean<'s>(value: bool) -> Cow<'s, Value> {
    Cow::Owned(Value::Bool(value))
}

fn variable<'s>(place: usize, around: Around<'s>) -> &'s Value {
    let mut frame = around;
    while let Some(this) = frame {
        if this.place == place {
            return this.value;
        }
        frame = this.outer;
    }
    &Value::Null
}
