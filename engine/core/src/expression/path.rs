//! Names, paths such as `steps.dump.outputs.bytes`, calls and comprehensions. Never knows which inputs, steps
//! or outputs exist.

use serde_json::Value;

use super::fault::{Fault, FaultKind};
use super::functions::{self, Function, Style};
use super::lexer::{Token, shorten};
use super::parse::{Parser, Step};
use super::pattern::Pattern;
use super::reference::{IterationField, Located, Reference, RunField};
use super::suggest::did_you_mean;
use super::syntax::{Comprehension, Kind, Macro, Node};
use crate::limits;

/// The words that a path begins with.
pub(super) const ROOTS: [&str; 11] =
    ["inputs", "env", "environment", "secrets", "steps", "run", "exit_code", "attempt", "item", "each", "iteration"];
/// What a step has.
const STEP_FIELDS: [&str; 4] = ["status", "exit_code", "outputs", "artifacts"];

impl Parser<'_> {
    /// A node in the place of something faulty, so that the rest can be read.
    fn placeholder(&self, start: usize) -> Step<Box<Node>> {
        self.node(start..self.last, Kind::Literal(Value::Null), 0)
    }

    fn fault(&mut self, start: usize, kind: FaultKind, message: String, help: Option<String>) {
        let span = start..self.last.max(start);
        self.faults.push(Fault { span, kind, message, help });
    }

    /// A word that is no keyword: a call, a variable or the root of a path.
    pub(super) fn named(&mut self) -> Step<Box<Node>> {
        let start = self.span.start;
        let Token::Word(word) = self.advance()? else {
            return Err(self.unexpected("a name"));
        };
        if self.is("(") {
            return self.call(start, &word);
        }
        if let Some(place) = self.variables.iter().position(|name| *name == word) {
            return self.node(start..self.last, Kind::Variable(place), 0);
        }
        if ROOTS.contains(&word.as_str()) {
            return self.path(start, &word);
        }
        let help = self.unknown_name_help(start, &word);
        let message = format!("there is no `{}` here", shorten(&word));
        self.fault(start, FaultKind::UnknownName, message, Some(help));
        self.placeholder(start)
    }

    fn unknown_name_help(&self, start: usize, word: &str) -> String {
        let before = self.source.get(..start).unwrap_or_default();
        let hyphenated = before
            .strip_suffix('-')
            .is_some_and(|name| name.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'));
        if hyphenated {
            return "a minus was read here: a name with a hyphen is written ['like-this']".to_owned();
        }
        match word.to_ascii_lowercase().as_str() {
            "true" | "false" | "null" => return format!("write {}", word.to_ascii_lowercase()),
            "none" | "nil" | "undefined" => return "write null".to_owned(),
            "not" => return "write ! for \"not\"".to_owned(),
            "input" | "github" | "vars" | "needs" | "job" | "params" | "output" | "outputs" => {
                return "values are inputs.NAME, env.NAME, steps.ID.outputs.KEY, steps.ID.status".to_owned();
            }
            _ => {}
        }
        if functions::names().any(|name| name == word) {
            return format!("it is a function: write {word}(…)");
        }
        let known = ROOTS.into_iter().chain(self.variables.iter().map(String::as_str));
        match did_you_mean(word, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("a text is written in quotes: '{}'", shorten(word)),
        }
    }

    fn path(&mut self, start: usize, root: &str) -> Step<Box<Node>> {
        let reference = match root {
            "exit_code" => Some(Reference::ExitCode),
            "item" => Some(Reference::Item),
            "each" => self.each(start)?,
            "iteration" => self.iteration(start)?,
            "inputs" => self.segment(start, "inputs.NAME")?.map(Reference::Input),
            "env" => self.segment(start, "env.NAME")?.map(Reference::Env),
            "environment" => self.environment(start)?,
            "secrets" => self.segment(start, "secrets.NAME")?.map(Reference::Secret),
            "run" => self.run_field(start)?,
            "attempt" => self.attempt(start)?,
            _ => self.step(start)?,
        };
        match reference {
            Some(reference) => self.refer(start, reference),
            None => self.placeholder(start),
        }
    }

    fn refer(&mut self, start: usize, value: Reference) -> Step<Box<Node>> {
        let span = start..self.last;
        self.references.push(Located { span: span.clone(), value });
        self.node(span, Kind::Reference(self.references.len() - 1), 0)
    }

    fn run_field(&mut self, start: usize) -> Step<Option<Reference>> {
        let Some(name) = self.segment(start, "run.uid")? else { return Ok(None) };
        if let Some(field) = RunField::ALL.into_iter().find(|field| field.name() == name) {
            return Ok(Some(Reference::Run(field)));
        }
        let names = RunField::ALL.map(RunField::name);
        self.unknown_field(start, "the run", &name, &names);
        Ok(None)
    }

    fn each(&mut self, start: usize) -> Step<Option<Reference>> {
        match self.segment(start, "each.key or each.number")?.as_deref() {
            Some("key") => Ok(Some(Reference::EachKey)),
            Some("number") => Ok(Some(Reference::EachNumber)),
            Some(name) => {
                self.unknown_field(start, "`each`", name, &["key", "number"]);
                Ok(None)
            }
            None => Ok(None),
        }
    }

    fn environment(&mut self, start: usize) -> Step<Option<Reference>> {
        const USAGE: &str = "environment.values.NAME or environment.name";
        match self.segment(start, USAGE)?.as_deref() {
            Some("name") => Ok(Some(Reference::Environment)),
            Some("values") => Ok(self.segment(start, "environment.values.NAME")?.map(Reference::EnvironmentValue)),
            Some(name) => {
                self.unknown_field(start, "the environment", name, &["name", "values"]);
                Ok(None)
            }
            None => Ok(None),
        }
    }

    fn iteration(&mut self, start: usize) -> Step<Option<Reference>> {
        const USAGE: &str = "iteration.number, iteration.status or iteration.outputs.KEY";
        let Some(name) = self.segment(start, USAGE)? else { return Ok(None) };
        if name == "outputs" {
            return Ok(self.segment(start, "iteration.outputs.KEY")?.map(Reference::IterationOutput));
        }
        let field = IterationField::ALL.into_iter().find(|field| field.name() == name);
        if field.is_none() {
            self.unknown_field(start, "an iteration", &name, &["number", "status", "exit_code", "outputs"]);
        }
        Ok(field.map(Reference::Iteration))
    }

    fn attempt(&mut self, start: usize) -> Step<Option<Reference>> {
        const USAGE: &str = "attempt.outputs.KEY";
        match self.segment(start, USAGE)?.as_deref() {
            Some("outputs") => Ok(self.segment(start, USAGE)?.map(Reference::AttemptOutput)),
            Some(name) => {
                self.unknown_field(start, "an attempt", name, &["outputs"]);
                Ok(None)
            }
            None => Ok(None),
        }
    }

    fn step(&mut self, start: usize) -> Step<Option<Reference>> {
        let Some(id) = self.segment(start, "steps.ID.status or steps.ID.outputs.KEY")? else {
            return Ok(None);
        };
        let Some(field) = self.segment(start, "steps.ID.status or steps.ID.outputs.KEY")? else {
            return Ok(None);
        };
        Ok(match field.as_str() {
            "status" => Some(Reference::StepStatus(id)),
            "exit_code" => Some(Reference::StepExitCode(id)),
            "outputs" => self.segment(start, "steps.ID.outputs.KEY")?.map(|key| Reference::StepOutput(id, key)),
            "artifacts" => {
                self.segment(start, "steps.ID.artifacts['NAME']")?.map(|name| Reference::StepArtifact(id, name))
            }
            other => {
                self.unknown_field(start, "a step", other, &STEP_FIELDS);
                None
            }
        })
    }

    fn unknown_field(&mut self, start: usize, owner: &str, name: &str, known: &[&str]) {
        let alias = match name {
            "result" | "outcome" | "conclusion" | "state" if known.contains(&"status") => Some("status".to_owned()),
            "status" | "result" if known.contains(&"outcome") => Some("outcome".to_owned()),
            "id" if known.contains(&"uid") => Some("uid".to_owned()),
            "user" | "requester" if known.contains(&"principal") => Some("principal".to_owned()),
            _ => did_you_mean(name, known.iter().copied()),
        };
        let help = match alias {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there is {}", known.join(", ")),
        };
        let message = format!("{owner} has no `{}`", shorten(name));
        self.fault(start, FaultKind::UnknownField, message, Some(help));
    }

    /// The next part of a path: `.name`, hyphens included, or `['name']`. None, with a fault, where the path
    /// stops or the name is not known at load.
    fn segment(&mut self, start: usize, usage: &str) -> Step<Option<String>> {
        if self.is(".") {
            let Some(name) = self.name_behind_dot(true)? else {
                return Err(self.unexpected("a name"));
            };
            return Ok(Some(name));
        }
        if self.take("[")? {
            let index = self.expression()?;
            self.expect("]")?;
            if let Kind::Literal(Value::String(name)) = index.kind {
                return Ok(Some(name));
            }
            let message = "the name between the brackets is not known at load".to_owned();
            let help = format!("write it as a text, ['name'], or {usage}");
            self.fault(index.span.start, FaultKind::NotAValue, message, Some(help));
            return Ok(None);
        }
        let written = self.source.get(start..self.last).unwrap_or_default();
        let message = format!("`{}` is not a value by itself", shorten(written));
        self.fault(start, FaultKind::NotAValue, message, Some(format!("write {usage}")));
        Ok(None)
    }

    /// The name behind the dot that is next, where there is one. The lexer stands right behind the dot, so that
    /// a name may hold what would be signs or keywords elsewhere.
    fn name_behind_dot(&mut self, hyphens: bool) -> Step<Option<String>> {
        let name = self.lexer.name_after_space(hyphens);
        if name.is_some() {
            self.span.end = self.lexer.at();
        }
        self.advance()?;
        Ok(name)
    }

    /// Members, indexes and methods behind a value.
    pub(super) fn postfix(&mut self, mut node: Box<Node>) -> Step<Box<Node>> {
        loop {
            let start = node.span.start;
            if self.is(".") {
                let name = self.name_behind_dot(false)?;
                let Some(name) = name else {
                    if self.is("?") {
                        let (span, message) = (self.span.clone(), "there is no optional selection");
                        let fault = Fault::new(span, FaultKind::Unsupported, message);
                        return Err(Box::new(fault.help("write default(value.name, otherwise)")));
                    }
                    return Err(self.unexpected("a name"));
                };
                if self.is("(") {
                    node = self.method(*node, &name)?;
                    continue;
                }
                let below = node.depth;
                node = self.node(start..self.last, Kind::Member(node, name), below)?;
            } else if self.take("[")? {
                let index = self.expression()?;
                self.expect("]")?;
                let below = node.depth.max(index.depth);
                let kind = Kind::Index(node, index);
                node = self.node(start..self.last, kind, below)?;
            } else {
                return Ok(node);
            }
        }
    }

    fn call(&mut self, start: usize, name: &str) -> Step<Box<Node>> {
        self.expect("(")?;
        let (mut arguments, below) = self.items(")")?;
        let special = match name {
            "always" => Some((0, "always()")),
            "failure" => Some((0, "failure()")),
            "has" => Some((1, "has(value.name)")),
            _ => None,
        };
        if let Some((wanted, usage)) = special {
            if arguments.len() != wanted {
                self.wrong_count(start, name, arguments.len(), usage);
                return self.placeholder(start);
            }
            return match (name, arguments.pop()) {
                ("always", _) => self.refer(start, Reference::Always),
                ("failure", _) => self.refer(start, Reference::Failure),
                (_, Some(argument)) => self.has(start, argument),
                (_, None) => self.placeholder(start),
            };
        }
        if Macro::named(name).is_some() {
            let help = format!("write list.{name}(x, …)");
            self.fault(start, FaultKind::UnknownFunction, format!("`{name}` is a method"), Some(help));
            return self.placeholder(start);
        }
        self.function(start, name, arguments, below, Style::Free)
    }

    fn has(&mut self, start: usize, argument: Node) -> Step<Box<Node>> {
        if !matches!(argument.kind, Kind::Reference(_) | Kind::Member(..) | Kind::Index(..)) {
            let message = "`has` asks for a member".to_owned();
            let help = Some("write has(value.name)".to_owned());
            self.fault(start, FaultKind::WrongArguments, message, help);
        }
        let below = argument.depth;
        self.node(start..self.last, Kind::Has(Box::new(argument)), below)
    }

    fn method(&mut self, receiver: Node, name: &str) -> Step<Box<Node>> {
        if let Some(macro_) = Macro::named(name) {
            return self.comprehension(receiver, macro_);
        }
        let (start, depth) = (receiver.span.start, receiver.depth);
        self.expect("(")?;
        let (mut arguments, below) = self.items(")")?;
        arguments.insert(0, receiver);
        self.function(start, name, arguments, below.max(depth), Style::Method)
    }

    fn function(
        &mut self,
        start: usize,
        name: &str,
        mut arguments: Vec<Node>,
        below: usize,
        style: Style,
    ) -> Step<Box<Node>> {
        let Some(row) = functions::named(name) else {
            let help = functions::alias(name)
                .map(str::to_owned)
                .or_else(|| did_you_mean(name, functions::names()).map(|near| format!("did you mean `{near}`?")));
            let all = || format!("there is {}", functions::names().collect::<Vec<_>>().join(", "));
            let message = format!("there is no function `{}`", shorten(name));
            let help = Some(help.unwrap_or_else(all));
            self.fault(start, FaultKind::UnknownFunction, message, help);
            return self.placeholder(start);
        };
        if row.style != Style::Both && row.style != style {
            let way = if row.style == Style::Free { "a function" } else { "a method" };
            let message = format!("`{name}` is {way}");
            let help = Some(format!("write {}", row.usage));
            self.fault(start, FaultKind::UnknownFunction, message, help);
            return self.placeholder(start);
        }
        if arguments.len() < row.least || arguments.len() > row.most {
            let given = arguments.len() - usize::from(style == Style::Method);
            self.wrong_count(start, name, given, row.usage);
            return self.placeholder(start);
        }
        let literal = match arguments.get(1).map(|argument| &argument.kind) {
            Some(Kind::Literal(Value::String(pattern))) if row.function == Function::Matches => {
                Some(Pattern::compile(pattern))
            }
            _ => None,
        };
        let kind = match literal {
            None => Kind::Call(row.function, arguments),
            Some(Ok(pattern)) => Kind::Matches(Box::new(arguments.swap_remove(0)), Box::new(pattern)),
            Some(Err(reason)) => {
                let at = arguments.get(1).map_or(start, |argument| argument.span.start);
                let message = format!("the pattern cannot be used: {reason}");
                let help = Some("see docs.rs/regex for its syntax".to_owned());
                self.fault(at, FaultKind::InvalidPattern, message, help);
                return self.placeholder(start);
            }
        };
        self.node(start..self.last, kind, below)
    }

    fn wrong_count(&mut self, start: usize, name: &str, given: usize, usage: &str) {
        let plural = if given == 1 { "" } else { "s" };
        let message = format!("`{name}` does not take {given} argument{plural}");
        self.fault(start, FaultKind::WrongArguments, message, Some(format!("write {usage}")));
    }

    fn comprehension(&mut self, list: Node, macro_: Macro) -> Step<Box<Node>> {
        let start = list.span.start;
        let name = macro_.name();
        self.expect("(")?;
        let at = self.span.clone();
        let Token::Word(variable) = self.token.clone() else {
            let mut fault = self.unexpected("the name of a variable");
            fault.help.get_or_insert(format!("write list.{name}(x, …)"));
            return Err(fault);
        };
        self.advance()?;
        // `x` of one expression may be called `item`, whatever is around.
        let free = matches!(variable.as_str(), "item" | "each" | "iteration");
        let taken = (ROOTS.contains(&variable.as_str()) && !free)
            || self.variables.contains(&variable)
            || matches!(variable.as_str(), "true" | "false" | "null" | "in");
        if taken {
            let message = format!("`{variable}` already means something else here");
            let fault = Fault::new(at, FaultKind::WrongArguments, message);
            self.faults.push(fault.help("choose another name for the variable"));
        }
        if self.variables.len() >= limits::EXPRESSION_COMPREHENSIONS {
            let message = format!(
                "more than {} of all, exists, exists_one, map and filter inside each other",
                limits::EXPRESSION_COMPREHENSIONS
            );
            let fault = Fault::new(start..self.last, FaultKind::TooManyComprehensions, message);
            return Err(Box::new(fault.help("let a step compute it and write it to $RUNBOOK_OUTPUT")));
        }
        self.variables.push(variable);
        let (mut bodies, below) = match self.take(",")? {
            true => self.items(")")?,
            false => {
                self.expect(")")?;
                (Vec::new(), 0)
            }
        };
        self.variables.pop();
        let below = below.max(list.depth);
        let given = bodies.len();
        let last = bodies.pop();
        let (condition, result) = match (macro_, given) {
            (Macro::Map, 1 | 2) => (bodies.pop(), last),
            (Macro::All | Macro::Exists | Macro::ExistsOne | Macro::Filter, 1) => (last, None),
            _ => {
                let usage = match macro_ {
                    Macro::Map => "list.map(x, result) or list.map(x, condition, result)".to_owned(),
                    _ => format!("list.{name}(x, condition)"),
                };
                self.wrong_count(start, name, given + 1, &usage);
                return self.placeholder(start);
            }
        };
        let comprehension = Comprehension { macro_, list, condition, result };
        self.node(start..self.last, Kind::Comprehension(Box::new(comprehension)), below)
    }
}
