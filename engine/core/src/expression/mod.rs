//! Expressions: what stands in `if:`, `success:`, `retry.if:` and between `${{` and `}}`.
//!
//! The language is a part of CEL (the Common Expression Language): its grammar, operators, precedence, literals
//! and macros, over JSON values and the references of [`Reference`]. What differs, on purpose:
//! - functions are those of an allow-list; `default(x, v)` is the answer to null and to what is absent;
//! - `steps.my-step.outputs.x` means what it says: a hyphen inside a name that follows `inputs.`, `env.`,
//!   `secrets.`, `steps.`, `outputs.` or `artifacts.` belongs to the name; a minus needs a space before it;
//! - integers and other numbers mix; an integer divided by an integer is an integer, as in CEL;
//! - `&&` and `||` ask from left to right and stop at the first answer;
//! - patterns are those of the `regex` crate: `\w` and `\d` stand for all of Unicode;
//! - no bytes, unsigned numbers, messages, time or optional values; keys of maps are strings.
//!
//! Everything is bounded: the source, the depth (so that no source overflows a stack), comprehensions inside each
//! other, patterns, the work of one evaluation and the size of what it makes. Nothing here knows which inputs or
//! steps exist ([`Names`] answers that at load), or their values ([`Scope`], at run time).

use std::ops::Range;
use std::sync::Arc;

use serde_json::Value;

mod check;
mod check_calls;
mod evaluate;
mod evaluate_calls;
mod fault;
mod functions;
mod lexer;
mod parse;
mod path;
mod pattern;
mod possible;
mod reference;
mod suggest;
mod syntax;
mod template;
#[cfg(test)]
mod tests;
mod types;
mod value;

pub use fault::{EvaluationError, Fault, FaultKind, NameFault};
pub use reference::{ITERATION_STATUSES, IterationField, Located, RUN_OUTCOMES, Reference, RunField, STEP_STATUSES};
pub use suggest::did_you_mean;
pub use template::Template;
pub use types::{Base, Names, Type};

/// What is known at run time.
pub trait Scope {
    /// The value of a reference; `None` means null.
    ///
    /// A value that is declared `number` should come as a JSON float (`5.0`), since whole numbers divide as
    /// integers.
    fn value_of(&self, reference: &Reference) -> Option<Value>;
}

/// A parsed expression.
#[derive(Clone)]
pub struct Expression {
    source: Arc<str>,
    span: Range<usize>,
    root: syntax::Node,
    references: Vec<Located<Reference>>,
}

impl std::fmt::Debug for Expression {
    /// The author's text: the source may be a whole file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.source.get(self.span()).unwrap_or_default()).finish()
    }
}

impl Expression {
    /// Reads an expression, without `${{ }}` around it.
    ///
    /// # Errors
    /// Every fault that can be told without knowing names: of syntax the first, of names and calls all.
    pub fn parse(source: &str) -> Result<Self, Vec<Fault>> {
        Self::within(&source.into(), 0..source.len())
    }

    /// Reads a part of a source; spans are offsets into the whole.
    fn within(source: &Arc<str>, range: Range<usize>) -> Result<Self, Vec<Fault>> {
        let parse::Parsed { root, references } = parse::parse(source, range)?;
        let span = root.span.clone();
        Ok(Self { source: Arc::clone(source), span, root, references })
    }

    /// What it refers to, in the order of the source; twice what is mentioned twice.
    pub fn references(&self) -> &[Located<Reference>] {
        &self.references
    }

    /// Where it stands in the source that was given, blanks around it left out.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Its type.
    ///
    /// # Errors
    /// All faults of types, nulls and names at once.
    pub fn check(&self, names: &dyn Names) -> Result<Type, Vec<Fault>> {
        check::check(&self.root, &self.references, names)
    }

    /// Its value. Asks the scope for the references that it comes across and for nothing else.
    ///
    /// # Errors
    /// Where it has none: null or a wrong kind of value where something else is needed, a number that does not
    /// fit, a division by zero, an element that is not there, too much work, too large a result.
    pub fn evaluate(&self, scope: &dyn Scope) -> Result<Value, EvaluationError> {
        evaluate::Evaluator::new(&self.source, &self.references, scope).run(&self.root)
    }

    /// Its answer to a yes-or-no question.
    ///
    /// # Errors
    /// As [`Expression::evaluate`], and where the value is no boolean.
    pub fn holds(&self, scope: &dyn Scope) -> Result<bool, EvaluationError> {
        match self.evaluate(scope)? {
            Value::Bool(answer) => Ok(answer),
            Value::Null => Err(self.error("is null where true or false is needed; write default(x, v)".to_owned())),
            other => Err(self.error(format!("is {} where true or false is needed", value::kind(&other)))),
        }
    }

    /// Whether it is true for no combination of what its references may be. `values` gives all that one may be, and
    /// `None` where that is not known; what is not known is taken for possible.
    pub fn never_holds(&self, values: &dyn Fn(&Reference) -> Option<Vec<Value>>) -> bool {
        possible::never_holds(&self.root, &self.references, values)
    }

    /// Whether it is false where all that it mentions may be nothing but one value.
    pub fn is_false(&self, values: &dyn Fn(&Reference) -> Option<Vec<Value>>) -> bool {
        let only = Only(values);
        let all = self.references.iter().all(|located| only.value_of(&located.value).is_some());
        all && self.holds(&only) == Ok(false)
    }

    /// An error about all of it.
    fn error(&self, message: String) -> EvaluationError {
        let excerpt = self.source.get(self.span.clone()).unwrap_or_default();
        EvaluationError { span: self.span.clone(), excerpt: lexer::shorten(excerpt), message }
    }
}

/// What may be nothing but one value is that.
struct Only<'v>(&'v dyn Fn(&Reference) -> Option<Vec<Value>>);

impl Scope for Only<'_> {
    fn value_of(&self, reference: &Reference) -> Option<Value> {
        let [value] = <[Value; 1]>::try_from((self.0)(reference)?).ok()?;
        Some(value)
    }
}
