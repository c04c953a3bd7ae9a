//! The tree of an expression. Never knows how it was written, but where.

use std::ops::Range;

use serde_json::Value;

use super::functions::Function;
use super::pattern::Pattern;

/// A part of an expression.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) kind: Kind,
    /// 1 for a leaf; never above `limits::EXPRESSION_DEPTH`.
    pub(super) depth: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// null, a boolean, a number or a text.
    Literal(Value),
    /// The place in the expression's list of references.
    Reference(usize),
    /// The variable of the comprehension around, counted from the outermost.
    Variable(usize),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    /// `x.name`
    Member(Box<Node>, String),
    /// `x[y]`
    Index(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Negate(Box<Node>),
    /// `a && b && …`: flat, so that a long chain is not deep.
    All(Vec<Node>),
    /// `a || b || …`
    Any(Vec<Node>),
    /// `a + b - c …`, operators of one rank, applied from the left.
    Chain(Box<Node>, Vec<(Binary, Node)>),
    /// `a ? b : c`
    Choice(Box<[Node; 3]>),
    /// The receiver of a method is the first argument.
    Call(Function, Vec<Node>),
    /// `x.matches('…')` with its pattern known at load.
    Matches(Box<Node>, Box<Pattern>),
    /// `has(x)`: not null, and there.
    Has(Box<Node>),
    Comprehension(Box<Comprehension>),
}

/// `list.all(x, …)` and its like.
#[derive(Debug, Clone)]
pub(super) struct Comprehension {
    pub(super) macro_: Macro,
    pub(super) list: Node,
    /// The condition; `None` for `map` with two arguments.
    pub(super) condition: Option<Node>,
    /// What `map` gives for each element.
    pub(super) result: Option<Node>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

impl Macro {
    pub(super) const ALL: [Self; 5] = [Self::All, Self::Exists, Self::ExistsOne, Self::Filter, Self::Map];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Exists => "exists",
            Self::ExistsOne => "exists_one",
            Self::Filter => "filter",
            Self::Map => "map",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|this| this.name() == name)
    }
}

/// An operator between two values. `&&` and `||` are kinds of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Binary {
    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::In => "in",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}
