//! Types, nulls and names at load: every fault of an expression at once. Calls are in `check_calls.rs`. Never
//! knows values.

use serde_json::Value;

use super::fault::{Fault, FaultKind};
use super::reference::{Located, Reference};
use super::syntax::{Binary, Kind, Node};
use super::types::{Base, Names, Type};

/// The type of a tree, and all its faults.
pub(super) fn check(root: &Node, references: &[Located<Reference>], names: &dyn Names) -> Result<Type, Vec<Fault>> {
    let mut checker = Checker { references, names, variables: Vec::new(), faults: Vec::new() };
    let of = checker.any(root);
    if checker.faults.is_empty() { Ok(of) } else { Err(checker.faults) }
}

pub(super) const ANY: Type = Type::of(Base::Any);

pub(super) struct Checker<'a> {
    references: &'a [Located<Reference>],
    names: &'a dyn Names,
    /// The types of the variables around, the outermost first.
    pub(super) variables: Vec<Type>,
    faults: Vec<Fault>,
}

impl Checker<'_> {
    fn fault(&mut self, node: &Node, kind: FaultKind, message: String, help: Option<String>) {
        self.faults.push(Fault { span: node.span.clone(), kind, message, help });
    }

    pub(super) fn wrong(&mut self, node: &Node, message: String, help: Option<&str>) {
        self.fault(node, FaultKind::WrongType, message, help.map(str::to_owned));
    }

    /// The type of a node whose null, if it can be one, is not used.
    pub(super) fn any(&mut self, node: &Node) -> Type {
        match &node.kind {
            Kind::Literal(value) => Type::of(match value {
                Value::Null => Base::Null,
                Value::Bool(_) => Base::Boolean,
                Value::Number(number) if number.is_i64() => Base::Integer,
                Value::Number(_) => Base::Number,
                Value::String(_) => Base::String,
                Value::Array(_) => Base::List,
                Value::Object(_) => Base::Map,
            }),
            Kind::Reference(place) => self.reference(*place),
            Kind::Variable(place) => self.variables.get(*place).copied().unwrap_or(ANY),
            Kind::List(items) => {
                let secret = items.iter().fold(false, |secret, item| self.any(item).secret | secret);
                Type::of(Base::List).tainted(secret)
            }
            Kind::Map(entries) => {
                let mut secret = false;
                for (key, value) in entries {
                    let of = self.wanted(key, Base::String, "a key");
                    secret |= of.secret | self.any(value).secret;
                }
                Type::of(Base::Map).tainted(secret)
            }
            Kind::Member(value, name) => {
                let of = self.value(value);
                self.member(value, name, of)
            }
            Kind::Index(value, index) => {
                let of = self.value(value);
                self.index(value, index, of)
            }
            Kind::Not(value) => {
                let of = self.wanted(value, Base::Boolean, "the operand of !");
                Type::of(Base::Boolean).tainted(of.secret)
            }
            Kind::Negate(value) => {
                let of = self.value(value);
                if !of.base.numeric() {
                    self.wrong(value, format!("`-` takes a number, and this is {}", of.base.a()), None);
                    return Type::of(Base::Number).tainted(of.secret);
                }
                of
            }
            Kind::All(parts) | Kind::Any(parts) => {
                let sign = if matches!(node.kind, Kind::All(_)) { "&&" } else { "||" };
                let what = format!("an operand of {sign}");
                let secret =
                    parts.iter().fold(false, |secret, part| self.wanted(part, Base::Boolean, &what).secret | secret);
                Type::of(Base::Boolean).tainted(secret)
            }
            Kind::Chain(first, rest) => self.chain(first, rest),
            Kind::Choice(parts) => {
                let [condition, yes, no] = &**parts;
                let of = self.wanted(condition, Base::Boolean, "a condition");
                let (yes, no) = (self.any(yes), self.any(no));
                yes.or(no).tainted(of.secret)
            }
            Kind::Call(function, arguments) => self.call(*function, arguments),
            Kind::Matches(text, _) => {
                let of = self.wanted(text, Base::String, "`matches`");
                Type::of(Base::Boolean).tainted(of.secret)
            }
            Kind::Has(value) => {
                let of = self.path(value);
                Type::of(Base::Boolean).tainted(of.secret)
            }
            Kind::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn reference(&mut self, place: usize) -> Type {
        let Some(Located { span, value }) = self.references.get(place) else { return ANY };
        match self.names.type_of(value) {
            Ok(of) if of.base == Base::Null => of.nullable(),
            Ok(of) => of,
            Err(fault) => {
                let mut fault = fault.at(span.clone());
                let name = match value {
                    Reference::Input(name)
                    | Reference::Env(name)
                    | Reference::EnvironmentValue(name)
                    | Reference::Secret(name)
                    | Reference::StepOutput(_, name)
                    | Reference::AttemptOutput(name) => name,
                    _ => "",
                };
                if looks_like_a_difference(name) {
                    let space = format!("`{name}` is one name; write a space before a minus");
                    fault.help = Some(match fault.help {
                        Some(help) => format!("{help} ({space})"),
                        None => space,
                    });
                }
                self.faults.push(fault);
                ANY
            }
        }
    }

    /// The type of a node that is used as a value: null is a fault.
    pub(super) fn value(&mut self, node: &Node) -> Type {
        let of = self.any(node);
        if !of.nullable {
            return of;
        }
        let (message, help) = if of.base == Base::Null {
            ("null is no value to work with".to_owned(), "only == and != take null".to_owned())
        } else {
            let what = match &node.kind {
                Kind::Reference(place) => {
                    self.references.get(*place).map(|reference| format!("`{}` may be null", reference.value))
                }
                _ => None,
            };
            (
                what.unwrap_or_else(|| "this may be null".to_owned()),
                "write default(x, v): x when there is one, otherwise v".to_owned(),
            )
        };
        self.fault(node, FaultKind::PossibleNull, message, Some(help));
        let base = if of.base == Base::Null { Base::Any } else { of.base };
        Type { base, nullable: false, ..of }
    }

    /// The type of a value that must be of one kind.
    pub(super) fn wanted(&mut self, node: &Node, base: Base, what: &str) -> Type {
        let of = self.value(node);
        if of.base.fits(base) {
            return of;
        }
        let help = match (base, of.base) {
            (Base::Boolean, Base::String) => Some("compare it: x == 'true', x != ''"),
            (Base::Boolean, Base::Integer | Base::Number) => Some("compare it: x != 0"),
            (Base::Boolean, Base::List) => Some("ask for its size: size(x) > 0"),
            (Base::String, Base::Integer | Base::Number | Base::Boolean) => Some("write string(x)"),
            (Base::String, Base::List) => Some("write join(x, ' ')"),
            (Base::Integer | Base::Number, Base::String) => Some("write int(x) or double(x)"),
            (Base::Integer, Base::Number) => Some("write int(x), which drops the fraction"),
            _ => None,
        };
        let message = format!("{what} is {}, and this is {}", base.a(), of.base.a());
        self.wrong(node, message, help);
        of
    }

    /// A path in `default` or `has`, where null and absence are the question.
    pub(super) fn path(&mut self, node: &Node) -> Type {
        match &node.kind {
            Kind::Member(value, name) => {
                let of = self.path(value);
                self.member(value, name, of)
            }
            Kind::Index(value, index) => {
                let of = self.path(value);
                self.index(value, index, of)
            }
            _ => self.any(node),
        }
    }

    fn member(&mut self, value: &Node, name: &str, of: Type) -> Type {
        if !of.base.fits(Base::Map) && of.base != Base::Null {
            let help = match &value.kind {
                Kind::Reference(place) => match self.references.get(*place).map(|at| &at.value) {
                    Some(Reference::StepArtifact(id, artifact)) => {
                        Some(format!("write {}", Reference::StepArtifact(id.clone(), format!("{artifact}.{name}"))))
                    }
                    _ => None,
                },
                _ => None,
            };
            let message = format!("{} has no member `{name}`", of.base.a());
            self.fault(value, FaultKind::WrongType, message, help);
        }
        ANY.tainted(of.secret)
    }

    fn index(&mut self, value: &Node, index: &Node, of: Type) -> Type {
        let by = match of.base {
            Base::List => self.wanted(index, Base::Integer, "an index of a list"),
            Base::Map => self.wanted(index, Base::String, "a key of a map"),
            Base::Any | Base::Null => self.value(index),
            _ => {
                let by = self.value(index);
                self.wrong(value, format!("{} has no elements", of.base.a()), None);
                by
            }
        };
        ANY.tainted(of.secret || by.secret)
    }

    fn chain(&mut self, first: &Node, rest: &[(Binary, Node)]) -> Type {
        let mut left = first;
        let mut of: Option<Type> = None;
        for (operator, right) in rest {
            of = Some(self.binary(left, of, *operator, right));
            left = right;
        }
        of.unwrap_or(ANY)
    }

    /// `before` is the type of what stands left, where it is more than the one node `left`.
    fn binary(&mut self, left: &Node, before: Option<Type>, operator: Binary, right: &Node) -> Type {
        if matches!(operator, Binary::Equal | Binary::NotEqual) {
            let a = before.unwrap_or_else(|| self.any(left));
            let b = self.any(right);
            let comparable = a.base.fits(b.base)
                || b.base.fits(a.base)
                || matches!((a.base, b.base), (Base::Null, _) | (_, Base::Null));
            if !comparable {
                let message = format!("{} and {} are never equal", a.base.a(), b.base.a());
                let text = a.base == Base::String || b.base == Base::String;
                let other = if a.base == Base::String { b.base } else { a.base };
                let help = match other {
                    Base::Integer | Base::Number | Base::Boolean if text => {
                        Some("write string(x), or leave the quotes out")
                    }
                    _ => None,
                };
                self.wrong(right, message, help);
            }
            if before.is_none() {
                self.possible(left, right);
                self.possible(right, left);
            }
            return Type::of(Base::Boolean).tainted(a.secret || b.secret);
        }
        let a = before.unwrap_or_else(|| self.value(left));
        let b = self.value(right);
        let secret = a.secret || b.secret;
        let sign = operator.sign();
        match operator {
            Binary::In => {
                match b.base {
                    Base::Any | Base::List => {}
                    Base::Map if a.base.fits(Base::String) => {}
                    Base::Map => {
                        self.wrong(left, format!("a key of a map is a string, and this is {}", a.base.a()), None)
                    }
                    Base::String => self.wrong(
                        right,
                        "`in` asks a list or a map, and this is a string".to_owned(),
                        Some("write text.contains(part)"),
                    ),
                    _ => self.wrong(right, format!("`in` asks a list or a map, and this is {}", b.base.a()), None),
                }
                if let Kind::List(items) = &right.kind
                    && before.is_none()
                {
                    for item in items {
                        self.possible(left, item);
                    }
                }
                Type::of(Base::Boolean).tainted(secret)
            }
            Binary::Less | Binary::LessOrEqual | Binary::Greater | Binary::GreaterOrEqual => {
                let texts = a.base.fits(Base::String) && b.base.fits(Base::String);
                let ordered = texts || (a.base.numeric() && b.base.numeric());
                if !ordered {
                    self.mismatch(right, sign, a, b, "two numbers or two strings");
                }
                Type::of(Base::Boolean).tainted(secret)
            }
            Binary::Add
                if [Base::String, Base::List].into_iter().any(|base| a.base.fits(base) && b.base.fits(base)) =>
            {
                // With one side unknown, the other side tells.
                let base = if a.base == Base::Any { b.base } else { a.base };
                Type::of(base).tainted(secret)
            }
            Binary::Add | Binary::Subtract | Binary::Multiply | Binary::Divide | Binary::Remainder => {
                if !(a.base.numeric() && b.base.numeric()) {
                    let takes =
                        if operator == Binary::Add { "two numbers, two strings or two lists" } else { "two numbers" };
                    self.mismatch(right, sign, a, b, takes);
                    return ANY.tainted(secret);
                }
                Type::of(common(a.base, b.base)).tainted(secret)
            }
            Binary::Equal | Binary::NotEqual => Type::of(Base::Boolean).tainted(secret),
        }
    }

    fn mismatch(&mut self, node: &Node, sign: &str, a: Type, b: Type, takes: &str) {
        let text = a.base == Base::String || b.base == Base::String;
        let help = match sign {
            "+" if text => Some("write string(x) around what is no text"),
            _ if text => Some("write int(x) or double(x) around the text"),
            _ => None,
        };
        let message = format!("`{sign}` takes {takes}, not {} and {}", a.base.a(), b.base.a());
        self.wrong(node, message, help);
    }

    /// A word that the other side never is.
    fn possible(&mut self, reference: &Node, literal: &Node) {
        let (Kind::Reference(place), Kind::Literal(Value::String(word))) = (&reference.kind, &literal.kind) else {
            return;
        };
        let Some(value) = self.references.get(*place).map(|at| &at.value) else { return };
        if let Some(words) = value.words()
            && !words.contains(&word.as_str())
        {
            let message = format!("`{value}` is never '{}'", super::lexer::shorten(word));
            let help = match super::suggest::did_you_mean(word, words.iter().copied()) {
                Some(near) => format!("did you mean '{near}'?"),
                None => format!("it is one of {}", words.join(", ")),
            };
            self.fault(literal, FaultKind::ImpossibleValue, message, Some(help));
        }
    }
}

/// The type of a sum of two that are numeric: an integer only when both are known to be.
pub(super) const fn common(a: Base, b: Base) -> Base {
    match (a, b) {
        (Base::Integer, Base::Integer) => Base::Integer,
        (Base::Number, _) | (_, Base::Number) => Base::Number,
        _ => Base::Any,
    }
}

/// Whether a name was perhaps meant as a subtraction: `keep-1`, `keep-inputs`.
fn looks_like_a_difference(name: &str) -> bool {
    name.split('-').skip(1).any(|part| {
        super::path::ROOTS.contains(&part) || (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    })
}
