//! From the API's types to ours: the one door in. Everything is validated here, and becomes a strong type or a typed
//! refusal.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::IndexMap;
use prost_types::Struct;
use prost_types::value::Kind;
use runbook_core::definition::{Approval, Environment, InputDecl, InputSource, Runbook, Settlement};
use runbook_core::expression::did_you_mean;
use runbook_core::id::RunUid;
use runbook_core::language;
use runbook_core::limits;
use runbook_core::run::Origin;
use runbook_core::time::{Span, Timestamp};
use runbook_proto::v1;
use serde_json::{Map, Number, Value};
use tonic::Status;

use super::errors;
use crate::graph;

/// How deep a value may be nested.
const VALUE_DEPTH: usize = 64;

/// A run as a request names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunName {
    /// By its uid.
    Uid(RunUid),
    /// By its number.
    Number(u64),
}

/// A field that cannot be taken. Alone it becomes a refusal by `?`; several are gathered in [`Faults`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field, as the protocol file calls it.
    field: &'static str,
    /// What is wrong with it.
    problem: String,
}

/// A fault of a field.
pub fn fault(field: &'static str, problem: impl Into<String>) -> Fault {
    Fault { field, problem: problem.into() }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        errors::bad_field(fault.field, fault.problem)
    }
}

/// The faults of a request's fields: they are told together.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// A field's value, or `None` and one fault more.
    pub fn take<T>(&mut self, field: Result<T, Fault>) -> Option<T> {
        field.map_err(|fault| self.0.push(fault)).ok()
    }

    /// The refusal, if there is something to refuse.
    ///
    /// # Errors
    /// A `BadRequest` with all of them.
    pub fn none(self) -> Result<(), Status> {
        if self.0.is_empty() { Ok(()) } else { Err(self.refusal()) }
    }

    /// The refusal that names them all.
    pub fn refusal(self) -> Status {
        let fields: Vec<_> = self.0.into_iter().map(|fault| (fault.field.to_owned(), fault.problem)).collect();
        let list: Vec<_> = fields.iter().map(|(field, problem)| format!("{field}: {problem}")).collect();
        errors::bad_fields("INVALID_FIELD", list.join("\n"), &fields)
    }
}

/// Reads `runs/U`, `U`, or a number.
///
/// # Errors
/// It is neither.
pub fn run_name(name: &str) -> Result<RunName, Fault> {
    let bare = name.strip_prefix("runs/").unwrap_or(name);
    if let Ok(number) = bare.parse::<u64>() {
        return Ok(RunName::Number(number));
    }
    bare.parse().map(RunName::Uid).map_err(|_| {
        let shown: String = name.chars().take(64).collect();
        fault("name", format!("{shown:?} is neither a run's number nor its uid"))
    })
}

/// The same of a field that is not called `name`.
///
/// # Errors
/// As [`run_name`].
pub fn run_name_in(field: &'static str, name: &str) -> Result<RunName, Fault> {
    run_name(name).map_err(|fault| Fault { field, ..fault })
}

/// A value of a request.
fn value(from: prost_types::Value, depth: usize) -> Result<Value, String> {
    if depth > VALUE_DEPTH {
        return Err(format!("values are nested deeper than {VALUE_DEPTH}"));
    }
    Ok(match from.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(bool)) => Value::Bool(bool),
        Some(Kind::StringValue(text)) => Value::String(text),
        Some(Kind::NumberValue(number)) => number_value(number)?,
        Some(Kind::ListValue(list)) => {
            Value::Array(list.values.into_iter().map(|item| value(item, depth + 1)).collect::<Result<_, _>>()?)
        }
        Some(Kind::StructValue(map)) => {
            // A map of protobuf has no order of its own.
            let mut pairs: Vec<_> = map.fields.into_iter().collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            let pairs = pairs.into_iter().map(|(name, item)| Ok((name, value(item, depth + 1)?)));
            Value::Object(pairs.collect::<Result<_, String>>()?)
        }
    })
}

/// JSON has one kind of number, and a whole one is an integer here.
fn number_value(number: f64) -> Result<Value, String> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return Ok(Value::from(number as i64));
    }
    Number::from_f64(number).map(Value::Number).ok_or_else(|| "a number is infinite or no number".to_owned())
}

/// What the inputs of a start are given by. What comes first here wins.
#[derive(Debug, Default)]
pub struct InputsFrom<'a> {
    /// Typed values of the request.
    pub typed: Option<Struct>,
    /// Values as they were typed on a command line.
    pub texts: HashMap<String, String>,
    /// Those of the run that it is like.
    pub like: Map<String, Value>,
    /// Variables of whoever asks, by [`variable`].
    pub variables: HashMap<String, String>,
    /// The environment that it is in.
    pub environment: Option<&'a Environment>,
}

/// The inputs of a start, and where those came from that the request does not give itself.
#[derive(Debug, Default)]
pub struct Inputs {
    /// All of them, with their defaults.
    pub values: Map<String, Value>,
    /// The names of those that the request gives.
    pub given: Vec<String>,
    /// Where others came from, unless they are defaults.
    pub sources: BTreeMap<String, InputSource>,
}

/// The variable that stands for an input, without what all of them begin with.
fn variable(input: &str) -> String {
    input.to_ascii_uppercase().replace('-', "_")
}

/// The inputs of a start, checked and completed; all faults at once.
///
/// # Errors
/// A `BadRequest` with everything that is wrong.
pub fn inputs(runbook: &Runbook, from: InputsFrom<'_>) -> Result<Inputs, Status> {
    let InputsFrom { typed, texts, like, mut variables, environment } = from;
    let mut given = Map::new();
    let mut faults: Vec<(String, String)> = Vec::new();
    let mut typed: Vec<_> = typed.map(|inputs| inputs.fields).unwrap_or_default().into_iter().collect();
    typed.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, item) in typed {
        match value(item, 0) {
            Ok(value) => {
                given.insert(name, value);
            }
            Err(problem) => faults.push((name, problem)),
        }
    }
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort();
    for (name, text) in texts {
        if given.contains_key(&name) {
            faults.push((name, "it is given twice".to_owned()));
            continue;
        }
        match runbook.inputs.get(&name).map(|decl| language::parse_input(decl, &text)) {
            Some(Ok(value)) => {
                given.insert(name, value);
            }
            Some(Err(problem)) => {
                faults.push((name.clone(), problem));
                // So that it is not reported as missing too.
                given.insert(name, Value::Null);
            }
            // Unknown: the check says what was meant.
            None => {
                given.insert(name, Value::String(text));
            }
        }
    }
    let itself: Vec<String> = given.keys().cloned().collect();
    let mut sources = BTreeMap::new();
    let mut add = |given: &mut Map<String, Value>, name: &str, value: Value, source| {
        // Null leaves an input out.
        if given.get(name).is_none_or(Value::is_null) {
            given.insert(name.to_owned(), value);
            sources.insert(name.to_owned(), source);
        }
    };
    for (name, value) in like {
        add(&mut given, &name, value, InputSource::Like);
    }
    for (name, decl) in &runbook.inputs {
        let Some(text) = variables.remove(&variable(name)).filter(|_| !itself.contains(name)) else { continue };
        match language::parse_input(decl, &text) {
            Ok(value) => add(&mut given, name, value, InputSource::Variable),
            Err(problem) => {
                faults.push((name.clone(), format!("the variable RUNBOOK_INPUT_{}: {problem}", variable(name))));
            }
        }
    }
    for name in environment.map(|it| it.complete(&runbook.inputs, &mut given)).unwrap_or_default() {
        sources.insert(name, InputSource::Environment);
    }
    let checked = language::check_inputs(runbook, &given);
    if let Err(found) = &checked {
        for fault in found {
            if faults.iter().any(|(known, _)| *known == fault.input) {
                continue;
            }
            let help = fault.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            let from = match (sources.get(&fault.input), environment) {
                (Some(InputSource::Environment), Some(environment)) => {
                    format!("the environment {} gives it: ", environment.name)
                }
                (Some(InputSource::Variable), _) => format!("the variable RUNBOOK_INPUT_{}: ", variable(&fault.input)),
                _ => String::new(),
            };
            faults.push((fault.input.clone(), format!("{from}{}{help}", fault.message)));
        }
    }
    match checked {
        Ok(values) if faults.is_empty() => Ok(Inputs { values, given: itself, sources }),
        _ => Err(refused("INVALID_INPUTS", "inputs", &faults)),
    }
}

/// Values by their names, typed and as texts, each held against its declaration; or everything that is wrong, by the names and in
/// their order. `unknown` says what is wrong with a name that is not declared.
fn checked(
    typed: Option<Struct>,
    texts: HashMap<String, String>,
    declared: &IndexMap<String, InputDecl>,
    unknown: impl Fn(&str) -> String,
) -> Result<Map<String, Value>, Vec<(String, String)>> {
    let typed = typed.map(|typed| typed.fields).unwrap_or_default();
    let typed = typed.into_iter().map(|(name, item)| (name, value(item, 0)));
    let texts = texts.into_iter().map(|(name, text)| {
        let read = declared.get(&name).map_or(Ok(Value::Null), |decl| language::parse_input(decl, &text));
        (name, read)
    });
    let mut given: Vec<_> = typed.chain(texts).collect();
    given.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut taken, mut faults) = (Map::new(), Vec::new());
    for (name, read) in given {
        let Some(decl) = declared.get(&name) else {
            let problem = unknown(&name);
            faults.push((name, problem));
            continue;
        };
        let checked = read.and_then(|value| {
            language::check_field(&name, decl, value).map_err(|fault| match fault.help {
                Some(help) => format!("{} ({help})", fault.message),
                None => fault.message,
            })
        });
        match checked.map(|value| taken.insert(name.clone(), value)) {
            Ok(None) => {}
            Ok(Some(_)) => faults.push((name, "it is given twice".to_owned())),
            Err(problem) => faults.push((name, problem)),
        }
    }
    if faults.is_empty() { Ok(taken) } else { Err(faults) }
}

/// A refusal of values that a request gives below a field of it.
fn refused(reason: &'static str, below: &str, faults: &[(String, String)]) -> Status {
    let list: Vec<String> = faults.iter().map(|(name, problem)| format!("{name}: {problem}")).collect();
    let fields: Vec<(String, String)> =
        faults.iter().map(|(name, problem)| (format!("{below}.{name}"), problem.clone())).collect();
    errors::bad_fields(reason, list.join("\n"), &fields)
}

/// What a person filled in for an approval; all faults at once.
///
/// # Errors
/// A `BadRequest` with everything that is wrong.
pub fn fields(approval: &Approval, request: &mut v1::DecideApprovalRequest) -> Result<Map<String, Value>, Status> {
    let unknown = |name: &str| {
        let names = || approval.fields.keys().map(String::as_str);
        let help = match did_you_mean(name, names()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None if approval.fields.is_empty() => "it has none".to_owned(),
            None => format!("possible: {}", names().collect::<Vec<_>>().join(", ")),
        };
        format!("the approval has no such field; {help}")
    };
    checked(request.fields.take(), std::mem::take(&mut request.field_texts), &approval.fields, unknown)
        .map_err(|faults| refused("FIELDS", "fields", &faults))
}

/// The inputs that a request gives values for.
///
/// # Errors
/// There are none, or more than a runbook has.
pub fn provided_names(request: &v1::ProvideInputsRequest) -> Result<BTreeSet<String>, Fault> {
    let typed = request.inputs.iter().flat_map(|inputs| inputs.fields.keys());
    let names: BTreeSet<String> = typed.chain(request.input_texts.keys()).cloned().collect();
    match names.len() {
        0 => Err(fault("inputs", "say which inputs: `runbook status` names those that are missing")),
        count if count > limits::INPUTS => {
            Err(fault("inputs", format!("there are {count}, the limit is {}", limits::INPUTS)))
        }
        _ => Ok(names),
    }
}

/// The values that a person gives for inputs which the runbook declares; all faults at once.
///
/// # Errors
/// A `BadRequest` with everything that is wrong.
pub fn provided(runbook: &Runbook, request: &mut v1::ProvideInputsRequest) -> Result<Map<String, Value>, Status> {
    let unknown = |_: &str| format!("{} has no such input", runbook.name);
    checked(request.inputs.take(), std::mem::take(&mut request.input_texts), &runbook.inputs, unknown)
        .map_err(|faults| refused("INVALID_INPUTS", "inputs", &faults))
}

/// A text of a person, bounded.
///
/// # Errors
/// It is too long.
pub fn reason(text: &str) -> Result<String, Fault> {
    bounded("reason", text, limits::REASON_BYTES)
}

/// The reason of who settles a step: it must say something.
///
/// # Errors
/// It is empty or too long.
pub fn why(text: &str) -> Result<String, Fault> {
    if text.trim().is_empty() {
        return Err(fault("reason", "say why: it stays in the run's history"));
    }
    reason(text)
}

/// The name of a lock.
///
/// # Errors
/// No lock can have it.
pub fn lock_name(name: String) -> Result<String, Fault> {
    match name.is_empty() {
        true => Err(fault("name", "say which lock: `runbook locks` lists them")),
        false => bounded("name", &name, limits::LOCK_NAME_BYTES),
    }
}

/// The run that a request names, and the reason that it gives.
///
/// # Errors
/// What is wrong with either.
pub fn name_and_reason(name: &str, reason: &str) -> Result<(RunName, String), Status> {
    let mut faults = Faults::default();
    match (faults.take(run_name(name)), faults.take(self::reason(reason))) {
        (Some(name), Some(reason)) => Ok((name, reason)),
        _ => Err(faults.refusal()),
    }
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// A runbook of the folder, by its bare name.
    Named(String),
    /// A text that is in no folder.
    Source {
        /// The text.
        bytes: Vec<u8>,
        /// The name of its file, for messages.
        file: String,
    },
}

/// What a request is about; the source is taken out of it.
///
/// # Errors
/// It names nothing, or two things, or a file with too long a name.
pub fn wanted(runbook: &str, source: &mut Vec<u8>, source_file: &str) -> Result<Wanted, Fault> {
    match (runbook.is_empty(), source.is_empty()) {
        (true, true) => Err(fault("runbook", "name a runbook, or give its source")),
        (false, false) => Err(fault("source", "give either a runbook's name or its source")),
        (false, true) => {
            let name = runbook.strip_prefix("runbooks/").unwrap_or(runbook);
            Ok(Wanted::Named(name.to_owned()))
        }
        (true, false) => {
            let file = file_name("source_file", source_file)?;
            Ok(Wanted::Source { bytes: std::mem::take(source), file })
        }
    }
}

/// The name of a file for messages; `runbook.yaml` where there is none.
///
/// # Errors
/// It is too long.
pub fn file_name(field: &'static str, text: &str) -> Result<String, Fault> {
    let name = if text.is_empty() { "runbook.yaml" } else { text };
    bounded(field, name, limits::PATH_BYTES)
}

/// A request id, bounded.
///
/// # Errors
/// It is too long, or holds control characters.
pub fn request_id(text: &str) -> Result<String, Fault> {
    if text.contains(char::is_control) {
        return Err(fault("request_id", "it holds control characters"));
    }
    bounded("request_id", text, limits::REQUEST_ID_BYTES)
}

fn bounded(field: &'static str, text: &str, limit: usize) -> Result<String, Fault> {
    if text.len() > limit {
        return Err(fault(field, format!("it has {} bytes, the limit is {limit}", text.len())));
    }
    Ok(text.to_owned())
}

/// How a run came to be, as a client may say it.
///
/// # Errors
/// It is unknown, or not for clients.
pub fn origin(origin: i32) -> Result<Origin, Fault> {
    match v1::Origin::try_from(origin) {
        Ok(v1::Origin::Person) => Ok(Origin::Person),
        Ok(v1::Origin::Unspecified | v1::Origin::Api) => Ok(Origin::Api),
        Ok(v1::Origin::Schedule | v1::Origin::Hook) | Err(_) => {
            Err(fault("origin", "a client is ORIGIN_PERSON or ORIGIN_API"))
        }
    }
}

/// What a step is settled as.
///
/// # Errors
/// It is unspecified or unknown.
pub fn settlement(settlement: i32) -> Result<Settlement, Fault> {
    match v1::Settlement::try_from(settlement) {
        Ok(v1::Settlement::Succeeded) => Ok(Settlement::Succeeded),
        Ok(v1::Settlement::Failed) => Ok(Settlement::Failed),
        Ok(v1::Settlement::Retry) => Ok(Settlement::Retry),
        Ok(v1::Settlement::Skipped) => Ok(Settlement::Skipped),
        Ok(v1::Settlement::Unspecified) | Err(_) => {
            Err(fault("settlement", "it must be succeeded, failed, retry or skipped"))
        }
    }
}

/// How a graph is drawn.
///
/// # Errors
/// It is unknown.
pub fn graph_format(format: i32) -> Result<graph::Format, Fault> {
    match v1::GraphFormat::try_from(format) {
        Ok(v1::GraphFormat::Unspecified | v1::GraphFormat::Text) => Ok(graph::Format::Text),
        Ok(v1::GraphFormat::Mermaid) => Ok(graph::Format::Mermaid),
        Ok(v1::GraphFormat::Dot) => Ok(graph::Format::Dot),
        Err(_) => Err(fault("format", "it must be text, mermaid or dot")),
    }
}

/// A page's size: the default for zero, never above the limit (AIP-158).
///
/// # Errors
/// It is negative.
pub fn page_size(size: i32, default: usize, limit: usize) -> Result<usize, Fault> {
    match usize::try_from(size) {
        Ok(0) => Ok(default),
        Ok(size) => Ok(size.min(limit)),
        Err(_) => Err(fault("page_size", "it is negative")),
    }
}

/// Where a page of runs begins: before the run of this number.
///
/// # Errors
/// The token is not one that was given.
pub fn before(token: &str) -> Result<Option<u64>, Fault> {
    if token.is_empty() {
        return Ok(None);
    }
    token.parse().map(Some).map_err(|_| fault("page_token", "it is not one that this daemon gave"))
}

/// States to list runs by.
///
/// # Errors
/// One of them is no state of a run.
pub fn statuses(statuses: &[i32]) -> Result<Vec<v1::RunStatus>, Fault> {
    specified("statuses", statuses, "state")
}

/// Origins to look for.
///
/// # Errors
/// One is none.
pub fn origins(origins: &[i32]) -> Result<Vec<v1::Origin>, Fault> {
    specified("origins", origins, "origin")
}

/// Values of an enumeration of the API; zero, which is unspecified, is none.
fn specified<T: TryFrom<i32> + Default + PartialEq>(
    field: &'static str,
    numbers: &[i32],
    what: &str,
) -> Result<Vec<T>, Fault> {
    let one = |number: i32| match T::try_from(number) {
        Ok(value) if value != T::default() => Ok(value),
        _ => Err(fault(field, format!("{number} is no {what} of a run"))),
    };
    numbers.iter().map(|number| one(*number)).collect()
}

/// A span of a request.
///
/// # Errors
/// It is none, is negative, or is longer than any.
pub fn span(field: &'static str, span: &prost_types::Duration) -> Result<Span, Fault> {
    if !(0..1_000_000_000).contains(&span.nanos) || span.seconds < 0 {
        return Err(fault(field, "it must not be negative, and its nanoseconds must be from 0 to 999999999"));
    }
    let micros =
        span.seconds.checked_mul(1_000_000).and_then(|micros| micros.checked_add(i64::from(span.nanos) / 1_000));
    micros.map(Span).ok_or_else(|| fault(field, "it is longer than any span"))
}

/// A moment.
///
/// # Errors
/// Its nanoseconds are not of one second.
pub fn moment(field: &'static str, moment: &prost_types::Timestamp) -> Result<Timestamp, Fault> {
    if !(0..1_000_000_000).contains(&moment.nanos) {
        return Err(fault(field, "its nanoseconds are not from 0 to 999999999"));
    }
    Ok(Timestamp(moment.seconds.saturating_mul(1_000_000).saturating_add(i64::from(moment.nanos) / 1_000)))
}
