//! Every expression of a file: parsed, its references followed, its type asked for. Knows where a text stands and
//! what may be mentioned there; the rules of the expressions themselves are not its own.

use std::collections::HashSet;

use super::code::Code;
use super::command::bare;
use super::draft::{Draft, Owner, Place, Use};
use super::graph::{self, Graph, Upstream};
use super::names_at::{At, Context};
use super::reach;
use super::report::{Problem, Report};
use super::show;
use crate::definition::{Condition, Part, ValueType};
use crate::destruction::{approved, is_late};
use crate::expression::{Expression, Fault, FaultKind, Located, Names, Reference, Template, Type};

/// The key that holds the name of what a step destroys.
const TARGET: &str = "target";

/// A text whose expressions were read.
pub(super) struct Parsed<'t> {
    pub place: Place<'t>,
    body: Body,
    /// Where the parsed part begins in the text.
    pub offset: usize,
}

enum Body {
    Expression(Expression),
    Template(Template),
}

impl Parsed<'_> {
    fn references(&self) -> impl Iterator<Item = &Located<Reference>> {
        let (expression, template) = match &self.body {
            Body::Expression(expression) => (Some(expression), None),
            Body::Template(template) => (None, Some(template)),
        };
        let lone = expression.into_iter().flat_map(|expression| expression.references());
        lone.chain(template.into_iter().flat_map(Template::references))
    }

    fn check(&self, names: &dyn Names) -> Result<Type, Vec<Fault>> {
        match &self.body {
            Body::Expression(expression) => expression.check(names),
            Body::Template(template) => template.check(names),
        }
    }
}

/// Checks every expression, and gives the steps their conditions.
pub(super) fn check(draft: &mut Draft<'_>, graph: &Graph, report: &mut Report<'_>) {
    let mut parsed = Vec::with_capacity(draft.places.len());
    for place in std::mem::take(&mut draft.places) {
        match parse(place) {
            Ok(found) => parsed.push(found),
            Err(faults) => {
                let offset = offset_of(&place);
                for fault in faults {
                    report.add(problem(&place, offset, fault, report));
                }
            }
        }
    }
    conditions(draft, &parsed);
    let upstream = Upstream::new(&draft.runbook.steps, graph, &pairs(draft, &parsed));
    let context = Context {
        runbook: &draft.runbook,
        ids: graph::index(&draft.runbook.steps),
        secret_env: secret_env(draft, &parsed),
        upstream,
        approved: approved(&draft.runbook, &std::collections::BTreeSet::new()),
        graph,
        sure: graph.sure(&draft.runbook.steps),
        suggest: std::cell::Cell::new(true),
    };
    let mut mentioned = HashSet::new();
    for parsed in &parsed {
        context.suggest.set(report.has_room());
        check_one(parsed, &context, report);
        for reference in parsed.references() {
            if let Reference::Input(name) = &reference.value {
                mentioned.insert(name.as_str());
            }
        }
    }
    reach::check_when_skipped(draft, &context, report);
    if report.failed() {
        // A text that could not be read may be the one that mentions it.
        return;
    }
    for (name, span) in &draft.inputs {
        if !mentioned.contains(name.as_str()) {
            let message = format!("nothing mentions the input `{}`", show(name));
            report.add(
                Problem::new(Code::UnusedInput, span.clone(), message)
                    .help(format!("use it as `${{{{ inputs.{name} }}}}`, or leave it out")),
            );
        }
    }
}

fn parse<'t>(place: Place<'t>) -> Result<Parsed<'t>, Vec<Fault>> {
    let text = place.item.raw();
    let offset = offset_of(&place);
    let body = match place.usage.is_expression() {
        true => Body::Expression(Expression::parse(&text[bare(text)])?),
        false => Body::Template(Template::parse(text)?),
    };
    Ok(Parsed { place, body, offset })
}

fn offset_of(place: &Place<'_>) -> usize {
    match place.usage.is_expression() {
        true => bare(place.item.raw()).start,
        false => 0,
    }
}

/// Sets `condition` of every step that has a readable `if`.
fn conditions(draft: &mut Draft<'_>, parsed: &[Parsed<'_>]) {
    let mut found = Vec::new();
    let ids = graph::index(&draft.runbook.steps);
    for parsed in parsed.iter().filter(|parsed| parsed.place.usage == Use::Condition) {
        let Some(index) = parsed.place.owner.step() else { continue };
        let text = parsed.place.item.raw();
        let mut condition =
            Condition { expression: text[bare(text)].to_owned(), any_outcome: false, lifts: Vec::new() };
        for reference in parsed.references() {
            match &reference.value {
                Reference::Always | Reference::Failure => condition.any_outcome = true,
                Reference::StepStatus(id) => {
                    let step = ids.get(id.as_str()).map(|other| crate::id::StepNo(*other as u32));
                    let needed = step.filter(|no| draft.runbook.steps[index].needs.contains(no));
                    condition.lifts.extend(needed.filter(|no| !condition.lifts.contains(no)));
                }
                _ => {}
            }
        }
        found.push((index, condition));
    }
    for (index, condition) in found {
        draft.runbook.steps[index].condition = Some(condition);
    }
}

/// The pairs of steps of one part whose relation somebody's reference asks for.
fn pairs(draft: &Draft<'_>, parsed: &[Parsed<'_>]) -> Vec<(usize, usize)> {
    let ids = graph::index(&draft.runbook.steps);
    let mut pairs = HashSet::new();
    for parsed in parsed {
        let Some(step) = parsed.place.owner.step() else { continue };
        for reference in parsed.references() {
            let other = reference.value.step().and_then(|id| ids.get(id).copied());
            pairs.extend(other.map(|other| (step, other)));
        }
    }
    let mut pairs: Vec<_> = pairs.into_iter().collect();
    pairs.sort_unstable();
    pairs
}

/// The variables of the runbook whose text holds a secret.
fn secret_env<'d>(draft: &'d Draft<'_>, parsed: &[Parsed<'_>]) -> HashSet<&'d str> {
    let runbook = &draft.runbook;
    let secret = |reference: &Located<Reference>| match &reference.value {
        Reference::Secret(_) => true,
        Reference::Input(name) => runbook.inputs.get(name).is_some_and(|decl| decl.secret),
        _ => false,
    };
    parsed
        .iter()
        .filter(|parsed| parsed.place.usage == Use::Variable)
        .filter(|parsed| parsed.references().any(secret))
        .filter_map(|parsed| runbook.env.get_key_value(parsed.place.key))
        .map(|(name, _)| name.as_str())
        .collect()
}

fn check_one(parsed: &Parsed<'_>, context: &Context<'_>, report: &mut Report<'_>) {
    let place = &parsed.place;
    let names = At { context, owner: place.owner, usage: place.usage };
    if !matches!(place.usage, Use::Hidden | Use::Variable) {
        for reference in parsed.references() {
            if names.type_of(&reference.value).is_ok_and(|of| of.secret) {
                report.add(shown_secret(parsed, reference, report));
            }
        }
    }
    let of = match parsed.check(&names) {
        Ok(of) => of,
        Err(faults) => {
            for fault in faults {
                report.add(problem(place, parsed.offset, fault, report));
            }
            return;
        }
    };
    if place.key == TARGET && place.usage == Use::Shown {
        report_late(parsed, context, report);
    }
    let text = place.item.raw();
    let whole = || match &parsed.body {
        Body::Expression(expression) => expression.span(),
        Body::Template(template) => template.expressions().next().map_or(0..text.len(), Expression::span),
    };
    let at = |report: &Report<'_>| {
        let range = whole();
        place.item.locate(range.start + parsed.offset..range.end + parsed.offset, report)
    };
    if matches!(place.usage, Use::Condition | Use::Outcome | Use::Probe) && !of.fits(ValueType::Boolean) {
        report.add(
            Problem::new(
                Code::ExpressionType,
                at(report),
                format!("`{}` has to be true or false, and this is of type {of}", place.key),
            )
            .help("compare it with something: `steps.a.outputs.count > 0`"),
        );
    } else if let Use::Given(expected, _) = place.usage
        && !of.fits(expected)
    {
        let message = format!("the input `{}` is of type {}, and this is of type {of}", place.key, expected.name());
        report.add(Problem::new(Code::ExpressionType, at(report), message).help("give it a value of its type"));
    } else if let Use::Output(expected) = place.usage
        && !of.fits(expected)
    {
        let message =
            format!("the output `{}` is declared as {}, and this is of type {of}", place.key, expected.name());
        report.add(Problem::new(Code::ExpressionType, at(report), message).help("declare it as what it is"));
    } else if of.nullable && !matches!(place.usage, Use::Given(_, true)) {
        report.add(
            Problem::new(
                Code::PossibleNull,
                at(report),
                format!("this may be null, and `{}` needs a value", place.key),
            )
            .help("write default(x, v): x when there is one, otherwise v"),
        );
    } else if let (Use::Condition, Body::Expression(condition)) = (place.usage, &parsed.body) {
        reach::check_condition(parsed, condition, context, report);
    }
}

/// What a target is made of that nobody knows when the run is started.
fn report_late(parsed: &Parsed<'_>, context: &Context<'_>, report: &mut Report<'_>) {
    let place = &parsed.place;
    let Some(step) = place.owner.step() else { return };
    if !context.graph.is_ordered() || context.graph.broken[step] || context.approved[step] {
        return;
    }
    for reference in parsed.references().filter(|reference| is_late(context.runbook, &reference.value)) {
        let range = reference.span.start + parsed.offset..reference.span.end + parsed.offset;
        let message = format!("who starts the run confirms this name, and `{}` is not known then", reference.value);
        let help = match context.runbook.steps[step].part {
            Part::Main => "make it of `inputs` and `env`, or let the step need a `uses: approval`",
            Part::Finally => {
                "make it of `inputs` and `env`; what removes only what this run made is no destructive step"
            }
        };
        report.add(Problem::new(Code::LateTarget, place.item.locate(range, report), message).help(help));
    }
}

fn shown_secret(parsed: &Parsed<'_>, reference: &Located<Reference>, report: &Report<'_>) -> Problem {
    let place = &parsed.place;
    let range = reference.span.start + parsed.offset..reference.span.end + parsed.offset;
    let message = format!("`{}` is a secret, and `{}` is stored and shown", reference.value, place.key);
    let help = match (place.usage, place.owner) {
        (Use::Given(..), _) => {
            "let the other runbook take the secret by itself: `requires: {secrets: [NAME]}`".to_owned()
        }
        (Use::Condition | Use::Outcome | Use::Probe | Use::Output(_), _) | (_, Owner::Start) => {
            "secrets may go into `env`, `stdin` and `files` of a command".to_owned()
        }
        _ => "give it by `env`, `stdin` or `files`, and let the program read it there".to_owned(),
    };
    Problem::new(Code::SecretShown, place.item.locate(range, report), message).help(help)
}

/// A fault of an expression as a finding of the file.
fn problem(place: &Place<'_>, offset: usize, fault: Fault, report: &Report<'_>) -> Problem {
    let range = fault.span.start + offset..fault.span.end + offset;
    let span = place.item.locate(range, report);
    Problem::new(code(fault.kind), span, fault.message).maybe_help(fault.help)
}

/// The code of each kind of fault.
fn code(kind: FaultKind) -> Code {
    match kind {
        FaultKind::TooLong | FaultKind::TooDeep | FaultKind::TooManyComprehensions => Code::OverLimit,
        FaultKind::Empty
        | FaultKind::UnexpectedCharacter
        | FaultKind::UnexpectedToken
        | FaultKind::UnexpectedEnd
        | FaultKind::UnterminatedText
        | FaultKind::UnterminatedTemplate
        | FaultKind::InvalidLiteral
        | FaultKind::Unsupported
        | FaultKind::WrongArguments => Code::InvalidExpression,
        FaultKind::InvalidPattern => Code::InvalidPattern,
        FaultKind::UnknownFunction
        | FaultKind::UnknownName
        | FaultKind::NotAValue
        | FaultKind::UnknownField
        | FaultKind::UnknownInput
        | FaultKind::UnknownEnv => Code::UnknownReference,
        FaultKind::UnknownSecret => Code::UndeclaredSecret,
        FaultKind::UnknownStep => Code::UnknownStep,
        FaultKind::UnknownOutput => Code::UndeclaredOutput,
        FaultKind::UnknownArtifact => Code::UndeclaredArtifact,
        FaultKind::NotUpstream => Code::NotUpstream,
        FaultKind::Misplaced => Code::NotHere,
        FaultKind::WrongType | FaultKind::ImpossibleValue => Code::ExpressionType,
        FaultKind::PossibleNull => Code::PossibleNull,
    }
}

/// Whether a step belongs to `finally`.
pub(super) fn in_finally(context: &Context<'_>, owner: Owner) -> bool {
    owner.step().is_some_and(|index| context.runbook.steps[index].part == Part::Finally)
}
