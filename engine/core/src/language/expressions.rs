//! Every expression of a file: parsed, its references followed, its type asked for. Knows where a text stands and
//! what may be mentioned there; the rules of the expressions themselves are not its own.

use std::collections::{HashMap, HashSet};

use super::block;
use super::code::Code;
use super::command::bare;
use super::draft::{Draft, Owner, Place, Use};
use super::environments::Environments;
use super::graph::{self, Graph, Upstream};
use super::names_at::{At, Context};
use super::report::{Problem, Report};
use super::show;
use super::{reach, until};
use crate::definition::{Condition, Environment, Many, Part, Runbook, ValueType, Work};
use crate::destruction::{approved, is_late};
use crate::expression::{Expression, Fault, FaultKind, Located, Names, Reference, RunField, Template, Type};

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
    /// What its expressions mention.
    pub fn references(&self) -> impl Iterator<Item = &Located<Reference>> {
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

/// The steps of a level of the file, the top or a block, with all that their expressions mention.
struct Level<'t> {
    parsed: Vec<Parsed<'t>>,
    /// In the order of the draft.
    inner: Vec<Inside<'t>>,
}

/// What stands inside a step of a level.
struct Inside<'t> {
    graph: Graph,
    level: Level<'t>,
    /// What is mentioned in it that it does not have itself.
    wants: HashSet<Reference>,
}

/// Checks every expression, gives the steps their conditions, and blocks what they take along.
pub(super) fn check(draft: &mut Draft<'_>, graph: &Graph, environments: &Environments, report: &mut Report<'_>) {
    let level = read(draft, report);
    draft.runbook.needs_environment |= asks_environment(&level);
    let secret_env = secret_env(draft, &level.parsed);
    // Every command has all variables of the runbook.
    let variables = level.parsed.iter().filter(|parsed| parsed.place.usage == Use::Variable);
    let variables: HashSet<Reference> =
        variables.flat_map(Parsed::references).map(|reference| reference.value.clone()).collect();
    let steps = std::mem::take(&mut draft.runbook.steps);
    let whole = draft.runbook.clone();
    draft.runbook.steps = steps;
    take_along(draft, &level, &variables, &whole);
    let environments: Vec<&Environment> = environments.of(&whole).collect();
    check_level(
        draft,
        graph,
        &level,
        Around { whole: &whole, secret_env: &secret_env, environments: &environments, outer: None },
        report,
    );
    if report.failed() {
        // A text that could not be read may be the one that mentions it.
        return;
    }
    let mut mentioned = HashSet::new();
    mention(&level, &mut mentioned);
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

/// Reads the expressions of a level, and of those inside.
fn read<'t>(draft: &mut Draft<'t>, report: &mut Report<'_>) -> Level<'t> {
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
    until::note(draft, &parsed);
    let mut inner = Vec::with_capacity(draft.inner.len());
    for inside in &mut draft.inner {
        let graph = graph::resolve(&mut inside.draft, report);
        let level = read(&mut inside.draft, report);
        let wants = wants(&inside.draft, &level);
        inner.push(Inside { graph, level, wants });
    }
    Level { parsed, inner }
}

/// What the steps of a block mention, and do not have themselves.
fn wants(draft: &Draft<'_>, level: &Level<'_>) -> HashSet<Reference> {
    let ids = graph::index(&draft.runbook.steps);
    let own = |reference: &Reference| reference.step().is_some_and(|id| ids.contains_key(id));
    // In its `finally` it has an outcome of its own.
    let late = |parsed: &Parsed<'_>| {
        let step = parsed.place.owner.step().and_then(|index| draft.runbook.steps.get(index));
        step.is_some_and(|step| step.part == Part::Finally)
    };
    let mentioned = level.parsed.iter().flat_map(|parsed| {
        let (late, many) = (late(parsed), many_around(draft, parsed));
        let references = parsed.references().map(|reference| &reference.value);
        references.filter(move |reference| {
            !((late && **reference == Reference::Run(RunField::Outcome)) || is_of(many, reference))
        })
    });
    let inside = draft.inner.iter().zip(&level.inner).flat_map(|(inner, inside)| {
        let many = draft.runbook.steps.get(inner.step).and_then(|step| step.many.as_deref());
        inside.wants.iter().filter(move |reference| !is_of(many, reference))
    });
    mentioned.chain(inside).filter(|reference| !own(reference)).cloned().collect()
}

/// Whether a reference has its value by what a step does its work many times for.
const fn is_of(many: Option<&Many>, reference: &Reference) -> bool {
    match many {
        Some(Many::Each(_)) => matches!(reference, Reference::Item | Reference::EachKey | Reference::EachNumber),
        Some(Many::Repeat(_)) => matches!(reference, Reference::Iteration(_) | Reference::IterationOutput(_)),
        None => false,
    }
}

/// How often the step of a text does its work, where the text is about that and not about the step as a whole.
fn many_around<'d>(draft: &'d Draft<'_>, parsed: &Parsed<'_>) -> Option<&'d Many> {
    let about_one = !matches!(parsed.place.usage, Use::Condition | Use::Items);
    let step = parsed.place.owner.step().filter(|_| about_one)?;
    draft.runbook.steps.get(step)?.many.as_deref()
}

/// What the work of each step takes along that does it many times: what its own texts mention, and what is inside.
fn taken_for_many<'l>(draft: &Draft<'_>, level: &'l Level<'_>) -> HashMap<usize, HashSet<&'l Reference>> {
    let mut taken: HashMap<usize, HashSet<&Reference>> = HashMap::new();
    for parsed in level.parsed.iter().filter(|parsed| many_around(draft, parsed).is_some()) {
        let Some(index) = parsed.place.owner.step() else { continue };
        taken.entry(index).or_default().extend(parsed.references().map(|reference| &reference.value));
    }
    for (inner, inside) in draft.inner.iter().zip(&level.inner) {
        taken.entry(inner.step).or_default().extend(&inside.wants);
    }
    taken
}

/// Notes what each block takes along.
fn take_along(draft: &mut Draft<'_>, level: &Level<'_>, variables: &HashSet<Reference>, whole: &Runbook) {
    let mut of_many = taken_for_many(draft, level);
    for (index, step) in draft.runbook.steps.iter_mut().enumerate() {
        let Some(many) = step.many.as_deref_mut() else { continue };
        let mentioned = of_many.remove(&index).unwrap_or_default().into_iter().chain(variables);
        let taken = mentioned.filter(|reference| block::is_taken(reference, whole) && !is_of(Some(many), reference));
        *many.takes_mut() = taken.map(ToString::to_string).collect();
    }
    for (inner, inside) in draft.inner.iter_mut().zip(&level.inner) {
        take_along(&mut inner.draft, &inside.level, variables, whole);
        let taken = inside.wants.iter().chain(variables).filter(|reference| block::is_taken(reference, whole));
        let step = draft.runbook.steps.get_mut(inner.step);
        if let Some(Work::Block(block)) = step.map(|step| &mut step.work) {
            block.takes = taken.map(ToString::to_string).collect();
        }
    }
}

/// Whether anything mentions the environment.
fn asks_environment(level: &Level<'_>) -> bool {
    let mut references = level.parsed.iter().flat_map(Parsed::references);
    references.any(|reference| matches!(reference.value, Reference::Environment | Reference::EnvironmentValue(_)))
        || level.inner.iter().any(|inside| asks_environment(&inside.level))
}

/// The inputs that anything mentions.
fn mention<'l>(level: &'l Level<'_>, mentioned: &mut HashSet<&'l str>) {
    for reference in level.parsed.iter().flat_map(Parsed::references) {
        if let Reference::Input(name) = &reference.value {
            mentioned.insert(name);
        }
    }
    level.inner.iter().for_each(|inside| mention(&inside.level, mentioned));
}

/// What is around a level.
#[derive(Clone, Copy)]
struct Around<'c> {
    /// The runbook, for what is said at its top.
    whole: &'c Runbook,
    /// Its variables that hold a secret.
    secret_env: &'c HashSet<String>,
    /// The environments that it may run in.
    environments: &'c [&'c Environment],
    /// The step whose block it is.
    outer: Option<&'c At<'c>>,
}

fn check_level(draft: &Draft<'_>, graph: &Graph, level: &Level<'_>, around: Around<'_>, report: &mut Report<'_>) {
    let upstream = Upstream::new(&draft.runbook.steps, graph, &pairs(draft, level));
    let context = Context {
        runbook: &draft.runbook,
        whole: around.whole,
        outer: around.outer,
        ids: graph::index(&draft.runbook.steps),
        secret_env: around.secret_env,
        upstream,
        approved: approved(&draft.runbook, &std::collections::BTreeSet::new()),
        graph,
        environments: around.environments,
        sure: graph.sure(&draft.runbook.steps),
        suggest: std::cell::Cell::new(true),
    };
    for parsed in &level.parsed {
        context.suggest.set(report.has_room());
        check_one(parsed, &context, report);
    }
    for (inner, inside) in draft.inner.iter().zip(&level.inner) {
        let at = At { context: &context, owner: Owner::Step(inner.step), usage: Use::Shown };
        let around = Around { outer: Some(&at), ..around };
        check_level(&inner.draft, &inside.graph, &inside.level, around, report);
    }
    context.suggest.set(report.has_room());
    reach::check_when_skipped(draft, &context, report);
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
fn pairs(draft: &Draft<'_>, level: &Level<'_>) -> Vec<(usize, usize)> {
    let ids = graph::index(&draft.runbook.steps);
    let mut pairs = HashSet::new();
    for (inner, inside) in draft.inner.iter().zip(&level.inner) {
        let others = inside.wants.iter().filter_map(|reference| ids.get(reference.step()?).copied());
        pairs.extend(others.map(|other| (inner.step, other)));
    }
    for parsed in &level.parsed {
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
fn secret_env(draft: &Draft<'_>, parsed: &[Parsed<'_>]) -> HashSet<String> {
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
        .map(|(name, _)| name.clone())
        .collect()
}

fn check_one(parsed: &Parsed<'_>, context: &Context<'_>, report: &mut Report<'_>) {
    let place = &parsed.place;
    let names = At { context, owner: place.owner, usage: place.usage };
    if !matches!(place.usage, Use::Hidden | Use::Member | Use::Variable) {
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
    let decides = matches!(place.usage, Use::Condition | Use::Outcome | Use::Probe | Use::Answer { .. } | Use::Until);
    if decides && !of.fits(ValueType::Boolean) {
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
    } else if place.usage == Use::Items && !of.fits(ValueType::List) {
        let message = format!("`for_each` needs a list, and this is of type {of}");
        report.add(Problem::new(Code::ExpressionType, at(report), message).help("give it a list: `[a, b]`"));
    } else if let Use::Output(expected) = place.usage
        && !of.fits(expected)
    {
        let message =
            format!("the output `{}` is declared as {}, and this is of type {of}", place.key, expected.name());
        report.add(Problem::new(Code::ExpressionType, at(report), message).help("declare it as what it is"));
    } else if of.nullable && !matches!(place.usage, Use::Given(_, true) | Use::Member) {
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
    } else if let (Use::Until, Body::Expression(until)) = (place.usage, &parsed.body)
        && let Some(repeat) = place.owner.step().and_then(|index| context.runbook.steps.get(index)?.repeat())
        && let Some((message, help)) = until::pointless(until, repeat)
    {
        report.add(Problem::new(Code::PointlessRepeat, at(report), message).help(help));
    }
}

/// What a target is made of that nobody knows when the run is started.
fn report_late(parsed: &Parsed<'_>, context: &Context<'_>, report: &mut Report<'_>) {
    let place = &parsed.place;
    let Some(step) = place.owner.step() else { return };
    // What a block destroys, or a step for each of a list, is not confirmed by name.
    if context.outer.is_some()
        || context.runbook.steps[step].many.is_some()
        || !context.graph.is_ordered()
        || context.graph.broken[step]
        || context.approved[step]
    {
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
        (
            Use::Condition | Use::Outcome | Use::Probe | Use::Answer { .. } | Use::Items | Use::Until | Use::Output(_),
            _,
        )
        | (_, Owner::Start) => "secrets may go into `env`, `stdin` and `files` of a command".to_owned(),
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
