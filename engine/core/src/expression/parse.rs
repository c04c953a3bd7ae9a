//! Tokens to a tree, by CEL's grammar: operators, literals, and the walk over all of it. Names, paths and calls
//! are in `path.rs`. Recursion ends at `limits::EXPRESSION_DEPTH`, whatever the source. Never knows types or
//! which names exist.

use std::ops::Range;

use serde_json::Value;

use super::fault::{Fault, FaultKind};
use super::lexer::{Lexer, Token};
use super::reference::{Located, Reference};
use super::syntax::{Binary, Kind, Node};
use crate::limits;

/// A step of reading. The fault that ends it is boxed, as nodes are: less stack per level.
pub(super) type Step<T> = Result<T, Box<Fault>>;

/// What is read from one source.
pub(super) struct Parsed {
    pub(super) root: Node,
    pub(super) references: Vec<Located<Reference>>,
}

/// Reads `source[range]`; spans are offsets into the whole source.
pub(super) fn parse(source: &str, range: Range<usize>) -> Result<Parsed, Vec<Fault>> {
    let text = source.get(range.clone()).unwrap_or_default();
    if text.len() > limits::EXPRESSION_BYTES {
        return Err(vec![
            Fault::new(
                range,
                FaultKind::TooLong,
                format!("the expression has {} bytes, and the limit is {}", text.len(), limits::EXPRESSION_BYTES),
            )
            .help("let a step compute it and write it to $RUNBOOK_OUTPUT"),
        ]);
    }
    if text.trim().is_empty() {
        return Err(vec![
            Fault::new(range, FaultKind::Empty, "there is no expression here").help("write one, such as inputs.NAME"),
        ]);
    }
    let mut parser = Parser {
        source,
        lexer: Lexer::new(source, range.clone()),
        token: Token::End,
        span: range.start..range.start,
        last: range.start,
        references: Vec::new(),
        faults: Vec::new(),
        variables: Vec::new(),
        level: 0,
    };
    match parser.whole() {
        Ok(root) if parser.faults.is_empty() => Ok(Parsed { root: *root, references: parser.references }),
        Ok(_) => Err(parser.faults),
        Err(fault) => {
            parser.faults.push(*fault);
            Err(parser.faults)
        }
    }
}

/// One token is looked ahead; the lexer stands right behind it.
pub(super) struct Parser<'a> {
    pub(super) source: &'a str,
    pub(super) lexer: Lexer<'a>,
    pub(super) token: Token,
    pub(super) span: Range<usize>,
    /// The end of the last token taken.
    pub(super) last: usize,
    pub(super) references: Vec<Located<Reference>>,
    /// What is wrong, but lets the rest be read.
    pub(super) faults: Vec<Fault>,
    /// The variables of the comprehensions around, the outermost first.
    pub(super) variables: Vec<String>,
    level: usize,
}

impl Parser<'_> {
    fn whole(&mut self) -> Step<Box<Node>> {
        self.advance()?;
        let root = self.expression()?;
        if self.token == Token::End {
            return Ok(root);
        }
        Err(self.unexpected("an operator or the end"))
    }

    /// Takes the token and looks at the next.
    pub(super) fn advance(&mut self) -> Step<Token> {
        self.last = self.span.end;
        let (token, span) = self.lexer.next()?;
        self.span = span;
        Ok(std::mem::replace(&mut self.token, token))
    }

    pub(super) fn is(&self, sign: &str) -> bool {
        matches!(&self.token, Token::Sign(this) if *this == sign)
    }

    /// Takes the sign if it is next.
    pub(super) fn take(&mut self, sign: &str) -> Step<bool> {
        let there = self.is(sign);
        if there {
            self.advance()?;
        }
        Ok(there)
    }

    pub(super) fn expect(&mut self, sign: &str) -> Step<()> {
        match self.take(sign)? {
            true => Ok(()),
            false => Err(self.unexpected(&format!("`{sign}`"))),
        }
    }

    pub(super) fn unexpected(&self, wanted: &str) -> Box<Fault> {
        Box::new(self.unexpected_fault(wanted))
    }

    fn unexpected_fault(&self, wanted: &str) -> Fault {
        if self.token == Token::End {
            let message = format!("the expression stops where {wanted} is expected");
            return Fault::new(self.span.clone(), FaultKind::UnexpectedEnd, message);
        }
        let message = format!("{} stands where {wanted} is expected", self.token.describe());
        let fault = Fault::new(self.span.clone(), FaultKind::UnexpectedToken, message);
        match &self.token {
            Token::Word(word) => match word.to_ascii_lowercase().as_str() {
                "and" => fault.help("write && for \"and\""),
                "or" => fault.help("write || for \"or\""),
                "is" => fault.help("write == to compare"),
                "not" => fault.help("write ! for \"not\""),
                _ => fault,
            },
            Token::Sign("!") => fault.help("to say \"not in\", write !(x in list)"),
            _ => fault,
        }
    }

    /// A node, unless the tree gets too deep with it.
    pub(super) fn node(&self, span: Range<usize>, kind: Kind, below: usize) -> Step<Box<Node>> {
        if below >= limits::EXPRESSION_DEPTH {
            return Err(too_deep(span));
        }
        Ok(Box::new(Node { span, kind, depth: below + 1 }))
    }

    /// Every way down leads through here.
    fn enter(&mut self) -> Step<()> {
        if self.level >= limits::EXPRESSION_DEPTH {
            return Err(too_deep(self.span.clone()));
        }
        self.level += 1;
        Ok(())
    }

    /// `a ? b : c`, or less.
    pub(super) fn expression(&mut self) -> Step<Box<Node>> {
        let condition = self.binary(1)?;
        let node = if self.take("?")? {
            let yes = self.binary(1)?;
            self.expect(":")?;
            let no = self.expression()?;
            let span = condition.span.start..no.span.end;
            let below = condition.depth.max(yes.depth).max(no.depth);
            self.node(span, Kind::Choice(Box::new([*condition, *yes, *no])), below)?
        } else {
            condition
        };
        Ok(node)
    }

    /// Operators that bind at least as tightly as `least`. A run of the same rank is one flat node.
    fn binary(&mut self, least: u8) -> Step<Box<Node>> {
        self.enter()?;
        let mut left = self.unary()?;
        while let Some((rank, _)) = self.operator().filter(|(rank, _)| *rank >= least) {
            let start = left.span.start;
            let mut below = left.depth;
            let kind = if rank <= AND {
                let mut parts = vec![*left];
                while self.operator().is_some_and(|(next, _)| next == rank) {
                    self.advance()?;
                    let part = self.binary(rank + 1)?;
                    below = below.max(part.depth);
                    parts.push(*part);
                }
                if rank == AND { Kind::All(parts) } else { Kind::Any(parts) }
            } else {
                let mut rest = Vec::new();
                while let Some((_, Some(operator))) = self.operator().filter(|(next, _)| *next == rank) {
                    self.advance()?;
                    let part = self.binary(rank + 1)?;
                    below = below.max(part.depth);
                    rest.push((operator, *part));
                }
                Kind::Chain(left, rest)
            };
            left = self.node(start..self.last, kind, below)?;
        }
        self.level -= 1;
        Ok(left)
    }

    /// The rank of the next token, if it is an operator between two values.
    fn operator(&self) -> Option<(u8, Option<Binary>)> {
        let sign = match &self.token {
            Token::Sign(sign) => *sign,
            Token::Word(word) if word == "in" => "in",
            _ => return None,
        };
        let operator = |rank, operator| Some((rank, Some(operator)));
        match sign {
            "||" => Some((OR, None)),
            "&&" => Some((AND, None)),
            "==" => operator(RELATION, Binary::Equal),
            "!=" => operator(RELATION, Binary::NotEqual),
            "<" => operator(RELATION, Binary::Less),
            "<=" => operator(RELATION, Binary::LessOrEqual),
            ">" => operator(RELATION, Binary::Greater),
            ">=" => operator(RELATION, Binary::GreaterOrEqual),
            "in" => operator(RELATION, Binary::In),
            "+" => operator(SUM, Binary::Add),
            "-" => operator(SUM, Binary::Subtract),
            "*" => operator(PRODUCT, Binary::Multiply),
            "/" => operator(PRODUCT, Binary::Divide),
            "%" => operator(PRODUCT, Binary::Remainder),
            _ => None,
        }
    }

    fn unary(&mut self) -> Step<Box<Node>> {
        let mut signs = Vec::new();
        while self.is("!") || self.is("-") {
            signs.push((self.is("-"), self.span.start));
            self.advance()?;
        }
        // The smallest integer has no positive twin: a minus belongs to its number.
        let mut node = match (&self.token, signs.last()) {
            (&Token::Integer(magnitude), Some(&(true, start))) => {
                signs.pop();
                let value = 0i64.checked_sub_unsigned(magnitude);
                self.advance()?;
                let number = self.integer(value, start)?;
                self.postfix(number)?
            }
            _ => {
                let primary = self.primary()?;
                self.postfix(primary)?
            }
        };
        while let Some((minus, start)) = signs.pop() {
            let (span, below) = (start..node.span.end, node.depth);
            let kind = if minus { Kind::Negate(node) } else { Kind::Not(node) };
            node = self.node(span, kind, below)?;
        }
        Ok(node)
    }

    /// An integer literal that ends at the last token.
    fn integer(&self, value: Option<i64>, start: usize) -> Step<Box<Node>> {
        let span = start..self.last;
        match value {
            Some(value) => self.node(span, Kind::Literal(Value::from(value)), 0),
            None => {
                let message = "the number does not fit 64 bits";
                Err(Box::new(Fault::new(span, FaultKind::InvalidLiteral, message)))
            }
        }
    }

    fn primary(&mut self) -> Step<Box<Node>> {
        let start = self.span.start;
        match &self.token {
            &Token::Integer(magnitude) => {
                self.advance()?;
                self.integer(i64::try_from(magnitude).ok(), start)
            }
            &Token::Number(number) => self.literal(Value::from(number)),
            Token::Text(text) => {
                let value = Value::from(text.as_str());
                self.literal(value)
            }
            Token::Word(word) => match word.as_str() {
                "true" => self.literal(Value::Bool(true)),
                "false" => self.literal(Value::Bool(false)),
                "null" => self.literal(Value::Null),
                "in" => Err(self.unexpected("a value")),
                _ => self.named(),
            },
            Token::Sign("(") => {
                self.advance()?;
                let mut node = self.expression()?;
                self.expect(")")?;
                node.span = start..self.last;
                Ok(node)
            }
            Token::Sign("[") => {
                self.advance()?;
                let (items, below) = self.items("]")?;
                self.node(start..self.last, Kind::List(items), below)
            }
            Token::Sign("{") => self.map(start),
            Token::Sign(".") => {
                let (span, message) = (self.span.clone(), "a name does not begin with a dot");
                let fault = Fault::new(span, FaultKind::Unsupported, message);
                Err(Box::new(fault.help("leave the dot out")))
            }
            _ => Err(self.unexpected("a value")),
        }
    }

    fn literal(&mut self, value: Value) -> Step<Box<Node>> {
        let span = self.span.clone();
        self.advance()?;
        self.node(span, Kind::Literal(value), 0)
    }

    /// Expressions between commas up to `close`, which is taken; and the depth of the deepest.
    pub(super) fn items(&mut self, close: &str) -> Step<(Vec<Node>, usize)> {
        let mut items = Vec::new();
        let mut below = 0;
        while !self.take(close)? {
            let item = self.expression()?;
            below = below.max(item.depth);
            items.push(*item);
            if !self.take(",")? {
                self.expect(close)?;
                break;
            }
        }
        Ok((items, below))
    }

    fn map(&mut self, start: usize) -> Step<Box<Node>> {
        self.advance()?;
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut below = 0;
        while !self.take("}")? {
            let key = self.expression()?;
            self.expect(":")?;
            let value = self.expression()?;
            below = below.max(key.depth).max(value.depth);
            if let Kind::Literal(Value::String(name)) = &key.kind
                && entries.iter().any(|(other, _)| matches!(&other.kind, Kind::Literal(other) if other == name))
            {
                let message = format!("the key {name:?} is there twice");
                let fault = Fault::new(key.span.clone(), FaultKind::InvalidLiteral, message);
                self.faults.push(fault.help("leave one of them out"));
            }
            entries.push((*key, *value));
            if !self.take(",")? {
                self.expect("}")?;
                break;
            }
        }
        self.node(start..self.last, Kind::Map(entries), below)
    }
}

const OR: u8 = 1;
const AND: u8 = 2;
const RELATION: u8 = 3;
const SUM: u8 = 4;
const PRODUCT: u8 = 5;

fn too_deep(span: Range<usize>) -> Box<Fault> {
    let fault = Fault::new(
        span,
        FaultKind::TooDeep,
        format!("the expression is nested deeper than {} levels", limits::EXPRESSION_DEPTH),
    )
    .help("let a step compute it and write it to $RUNBOOK_OUTPUT");
    Box::new(fault)
}
