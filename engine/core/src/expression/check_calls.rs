//! Types of calls and comprehensions at load. Never knows values.

use super::check::{ANY, Checker, common};
use super::functions::Function;
use super::syntax::{Comprehension, Macro, Node};
use super::types::{Base, Type};

impl Checker<'_> {
    pub(super) fn call(&mut self, function: Function, arguments: &[Node]) -> Type {
        // The parser counted the arguments.
        let [first, others @ ..] = arguments else { return ANY };
        match (function, others) {
            (Function::Default, [otherwise]) => {
                let (value, otherwise) = (self.path(first), self.any(otherwise));
                Type { nullable: otherwise.nullable, ..value.or(otherwise) }
            }
            (Function::Json, _) => self.any(first).becomes(Base::String),
            (Function::String, _) => {
                let of = self.value(first);
                if matches!(of.base, Base::List | Base::Map) {
                    let message = format!("`string` does not take {}", of.base.a());
                    self.wrong(first, message, Some("write json(x)"));
                }
                of.becomes(Base::String)
            }
            (Function::Int, _) => self.number(first, "int").becomes(Base::Integer),
            (Function::Double, _) => self.number(first, "double").becomes(Base::Number),
            (Function::Size, _) => {
                let of = self.value(first);
                if !matches!(of.base, Base::Any | Base::String | Base::List | Base::Map) {
                    let message = format!("`size` takes a string, a list or a map, and this is {}", of.base.a());
                    self.wrong(first, message, None);
                }
                of.becomes(Base::Integer)
            }
            (Function::Min | Function::Max, _) => self.extreme(function, first, others),
            (Function::Contains, [part]) => {
                let of = self.value(first);
                if of.base == Base::List {
                    let message = "`contains` searches a string, and this is a list".to_owned();
                    self.wrong(first, message, Some("write x in list"));
                    return self.any(part).tainted(of.secret).becomes(Base::Boolean);
                }
                self.texts(function, Base::String, arguments).becomes(Base::Boolean)
            }
            (Function::StartsWith | Function::EndsWith | Function::Matches, _) => {
                self.texts(function, Base::String, arguments).becomes(Base::Boolean)
            }
            (Function::Split, _) => self.texts(function, Base::String, arguments).becomes(Base::List),
            (Function::Join, _) => self.texts(function, Base::List, arguments).becomes(Base::String),
            _ => self.texts(function, Base::String, arguments).becomes(Base::String),
        }
    }

    /// A first argument of the given kind and strings behind it; what comes back tells whether one is secret.
    fn texts(&mut self, function: Function, first: Base, arguments: &[Node]) -> Type {
        let name = function.signature().name;
        let mut of = ANY;
        for (place, argument) in arguments.iter().enumerate() {
            let (base, what) = match place {
                0 => (first, format!("what `{name}` is asked of")),
                _ => (Base::String, format!("the argument of `{name}`")),
            };
            of = of.tainted(self.wanted(argument, base, &what).secret);
        }
        of
    }

    fn number(&mut self, argument: &Node, name: &str) -> Type {
        let of = self.value(argument);
        if !of.base.numeric() && of.base != Base::String {
            let message = format!("`{name}` takes a number or a string, and this is {}", of.base.a());
            self.wrong(argument, message, None);
        }
        of
    }

    fn extreme(&mut self, function: Function, first: &Node, others: &[Node]) -> Type {
        let name = function.signature().name;
        let of = self.value(first);
        if others.is_empty() {
            if !of.base.fits(Base::List) {
                let message = format!("`{name}` of one argument takes a list, and this is {}", of.base.a());
                self.wrong(first, message, None);
            }
            return of.becomes(Base::Any);
        }
        if of.base != Base::String && !of.base.numeric() {
            let message = format!("`{name}` takes numbers or strings, and this is {}", of.base.a());
            self.wrong(first, message, None);
            return others.iter().fold(ANY, |sum, other| sum.tainted(self.value(other).secret));
        }
        others.iter().fold(of, |sum, other| {
            let of = self.value(other);
            let fits = match sum.base {
                Base::Any => of.base.numeric() || of.base == Base::String,
                Base::String => of.base.fits(Base::String),
                _ => of.base.numeric(),
            };
            if !fits {
                let message = format!(
                    "`{name}` compares values of one kind, and this is {} beside {}",
                    of.base.a(),
                    sum.base.a()
                );
                self.wrong(other, message, None);
            }
            let base = if sum.base == Base::String { Base::String } else { common(sum.base, of.base) };
            Type::of(base).tainted(sum.secret || of.secret)
        })
    }

    pub(super) fn comprehension(&mut self, comprehension: &Comprehension) -> Type {
        let list = self.value(&comprehension.list);
        let element = match list.base {
            Base::Map => Base::String,
            Base::Any | Base::List => Base::Any,
            other => {
                let message =
                    format!("`{}` takes a list or a map, and this is {}", comprehension.macro_.name(), other.a());
                self.wrong(&comprehension.list, message, None);
                Base::Any
            }
        };
        self.variables.push(Type::of(element).tainted(list.secret));
        let mut secret = list.secret;
        if let Some(condition) = &comprehension.condition {
            secret |= self.wanted(condition, Base::Boolean, "a condition").secret;
        }
        if let Some(result) = &comprehension.result {
            secret |= self.any(result).secret;
        }
        self.variables.pop();
        let base = match comprehension.macro_ {
            Macro::All | Macro::Exists | Macro::ExistsOne => Base::Boolean,
            Macro::Filter | Macro::Map => Base::List,
        };
        Type::of(base).tainted(secret)
    }
}
