//! The values that a start gives for inputs: typed, checked all at once, completed with defaults.
//! Never knows a file.

use serde_json::{Map, Number, Value};

use super::show;
use crate::definition::{InputDecl, Runbook, ValueType};
use crate::expression::did_you_mean;
use crate::limits;

/// What is wrong with the value of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InputCode {
    /// The runbook has no such input.
    Unknown,
    /// It is required and not given.
    Missing,
    /// It is of another type.
    WrongType,
    /// It is none of `enum`.
    NotInEnum,
    /// It does not match `pattern`.
    Pattern,
    /// It is smaller or shorter than `minimum`.
    BelowMinimum,
    /// It is larger or longer than `maximum`.
    AboveMaximum,
    /// It is larger than [`limits::INPUT_BYTES`].
    TooLarge,
}

impl InputCode {
    /// Every code.
    pub const ALL: &'static [Self] = &[
        Self::Unknown,
        Self::Missing,
        Self::WrongType,
        Self::NotInEnum,
        Self::Pattern,
        Self::BelowMinimum,
        Self::AboveMaximum,
        Self::TooLarge,
    ];

    /// The stable name.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unknown => "unknown-input",
            Self::Missing => "missing-input",
            Self::WrongType => "input-type",
            Self::NotInEnum => "input-not-in-enum",
            Self::Pattern => "input-pattern",
            Self::BelowMinimum => "input-below-minimum",
            Self::AboveMaximum => "input-above-maximum",
            Self::TooLarge => "input-too-large",
        }
    }
}

/// Something wrong with the inputs of a start. Never holds the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFault {
    /// The input's name, as it was given.
    pub input: String,
    /// The kind of fault.
    pub code: InputCode,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// Checks the inputs of a start and completes them with the defaults, in the order of their declaration. An
/// input that is neither given nor has a default is null.
///
/// # Errors
/// Everything that is wrong with them, in the order of the declaration, unknown ones last.
pub fn check_inputs(runbook: &Runbook, given: &Map<String, Value>) -> Result<Map<String, Value>, Vec<InputFault>> {
    let mut faults = Vec::new();
    let mut resolved = Map::new();
    for (name, decl) in &runbook.inputs {
        let value = match given.get(name) {
            // Null for an input that may be left out leaves it out.
            Some(value) if !value.is_null() || decl.required => {
                let mut value = value.clone();
                faults.extend(judge(decl, &mut value).map(|fault| fault.of(name)));
                value
            }
            _ if decl.required => {
                let mut help = format!("give it as `-i {name}=…`, {}", words(decl));
                if !decl.description.is_empty() {
                    help = format!("{help}: {}", show(&decl.description));
                }
                let message = format!("the input `{name}` is required");
                faults.push(Judged::new(InputCode::Missing, message, Some(help)).of(name));
                Value::Null
            }
            _ => decl.default.clone().unwrap_or(Value::Null),
        };
        resolved.insert(name.clone(), value);
    }
    for name in given.keys().filter(|name| !runbook.inputs.contains_key(*name)) {
        let names = || runbook.inputs.keys().map(String::as_str);
        let help = match did_you_mean(name, names()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if runbook.inputs.is_empty() => "this runbook has no inputs".to_owned(),
            None => format!("possible: {}", names().collect::<Vec<_>>().join(", ")),
        };
        let message = format!("`{}` has no input `{}`", runbook.name, show(name));
        faults.push(Judged::new(InputCode::Unknown, message, Some(help)).of(name));
    }
    match faults.is_empty() {
        true => Ok(resolved),
        false => Err(faults),
    }
}

/// Checks the value of a field by its declaration.
///
/// # Errors
/// What is wrong with it.
pub fn check_field(name: &str, decl: &InputDecl, mut value: Value) -> Result<Value, InputFault> {
    match judge(decl, &mut value) {
        None => Ok(value),
        Some(fault) => Err(fault.of(name)),
    }
}

/// Reads the value of an input from a text such as a command line has, by its declared type: text as it is,
/// numbers and booleans as JSON writes them, lists and maps as JSON. Its bounds are left to [`check_inputs`].
///
/// # Errors
/// Why the text is no such value. Never holds the value of a secret.
pub fn parse_input(decl: &InputDecl, text: &str) -> Result<Value, String> {
    if text.len() > limits::INPUT_BYTES {
        return Err(format!("the value has {} bytes; the limit is {}", text.len(), limits::INPUT_BYTES));
    }
    let shown = match decl.secret {
        true => "the value".to_owned(),
        false => format!("`{}`", show(text)),
    };
    match decl.value_type {
        ValueType::String => Ok(Value::String(text.to_owned())),
        ValueType::Integer => text.parse::<i64>().map(Value::from).map_err(|error| {
            use std::num::IntErrorKind::{NegOverflow, PosOverflow};
            match error.kind() {
                PosOverflow | NegOverflow => format!("{shown} does not fit 64 bits"),
                _ => format!("{shown} is not a whole number"),
            }
        }),
        ValueType::Number => match serde_json::from_str::<Number>(text) {
            Ok(number) => Ok(Value::Number(number)),
            Err(_) => Err(format!("{shown} is not a number")),
        },
        ValueType::Boolean => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" | "1" | "true" => format!("{shown} is not a boolean: use true"),
                "no" | "off" | "n" | "0" | "false" => format!("{shown} is not a boolean: use false"),
                _ => format!("{shown} is neither true nor false"),
            }),
        },
        ValueType::List | ValueType::Map | ValueType::Any => {
            let name = decl.value_type.name();
            let example = match decl.value_type {
                ValueType::List => r#"["a", "b"]"#,
                _ => r#"{"a": 1}"#,
            };
            // The reader's own message could hold a part of a secret.
            let value = serde_json::from_str::<Value>(text).map_err(|error| {
                format!("the value is no JSON at column {}; a {name} is written {example}", error.column())
            })?;
            match decl.value_type.accepts(&value) {
                true => Ok(value),
                false => Err(format!("the value is no {name}, which is written {example}")),
            }
        }
    }
}

/// What is wrong with a value, the input not yet named.
pub(super) struct Judged {
    pub code: InputCode,
    pub message: String,
    pub help: Option<String>,
}

impl Judged {
    fn new(code: InputCode, message: String, help: Option<String>) -> Self {
        Self { code, message, help }
    }

    fn of(self, input: &str) -> InputFault {
        let Self { code, message, help } = self;
        InputFault { input: input.to_owned(), code, message, help }
    }
}

/// Tells what is wrong with a value. A whole number written as a float (JSON from elsewhere does that) becomes
/// an integer where one is wanted.
pub(super) fn judge(decl: &InputDecl, value: &mut Value) -> Option<Judged> {
    /// The largest integer up to which a float names each one exactly.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if decl.value_type == ValueType::Integer
        && !value.is_i64()
        && let Some(float) = value.as_f64()
        && float.fract() == 0.0
        && float.abs() <= EXACT
    {
        *value = Value::from(float as i64);
    }
    let size = json_size(value);
    if size > limits::INPUT_BYTES {
        let message = format!("it has {size} bytes as JSON; the limit is {}", limits::INPUT_BYTES);
        let help = Some("give the path of a file instead".to_owned());
        return Some(Judged::new(InputCode::TooLarge, message, help));
    }
    if !decl.value_type.accepts(value) {
        return Some(wrong_type(decl, value));
    }
    let shown = || match decl.secret {
        true => "the value".to_owned(),
        false => format!("`{}`", show(&plain(value))),
    };
    if !decl.choices.is_empty() && !decl.choices.iter().any(|choice| same(choice, value)) {
        let choices: Vec<String> = decl.choices.iter().map(plain).collect();
        let meant = match value.as_str() {
            Some(text) if !decl.secret => did_you_mean(text, choices.iter().map(String::as_str)),
            _ => None,
        };
        let help = match meant {
            Some(meant) => format!("did you mean `{}`?", show(&meant)),
            None => format!("possible: {}", show(&choices.join(", "))),
        };
        let message = format!("{} is none of the values that are taken", shown());
        return Some(Judged::new(InputCode::NotInEnum, message, Some(help)));
    }
    if let (Some(pattern), Some(text)) = (&decl.pattern, value.as_str()) {
        // A pattern that does not compile was refused with the runbook; should it come here, nothing matches.
        if !compile(pattern).is_ok_and(|regex| regex.is_match(text)) {
            let message = format!("{} does not match {}", shown(), show(pattern));
            return Some(Judged::new(InputCode::Pattern, message, None));
        }
    }
    bounds(decl, value, &shown())
}

/// Whether two values are the same; `1` and `1.0` are.
fn same(a: &Value, b: &Value) -> bool {
    a == b
        || matches!((a, b), (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() && a.is_f64() != b.is_f64())
}

fn wrong_type(decl: &InputDecl, value: &Value) -> Judged {
    let wanted = words(decl);
    let help = match (decl.value_type, value) {
        (ValueType::Integer, Value::Number(number)) if number.is_u64() => Some("it does not fit 64 bits".to_owned()),
        (ValueType::String, Value::Number(_) | Value::Bool(_)) => Some("quote it".to_owned()),
        (ValueType::Boolean, Value::String(text)) if text == "yes" || text == "on" => Some("use true".to_owned()),
        (ValueType::Boolean, Value::String(text)) if text == "no" || text == "off" => Some("use false".to_owned()),
        (ValueType::Integer | ValueType::Number, Value::String(text)) if text.parse::<f64>().is_ok() => {
            Some("leave the quotes out".to_owned())
        }
        _ => None,
    };
    let message = format!("{wanted} is wanted, this is {}", kind(value));
    Judged::new(InputCode::WrongType, message, help)
}

fn bounds(decl: &InputDecl, value: &Value, shown: &str) -> Option<Judged> {
    let (size, unit) = match value {
        Value::Number(number) => (number.as_f64()?, ""),
        Value::String(text) => (text.chars().count() as f64, " characters"),
        Value::Array(items) => (items.len() as f64, " items"),
        _ => return None,
    };
    let subject = match unit {
        "" => format!("{shown} is"),
        unit => format!("it has {size}{unit},"),
    };
    if let Some(minimum) = decl.minimum.filter(|minimum| size < *minimum) {
        let message = format!("{subject} below the minimum of {minimum}");
        return Some(Judged::new(InputCode::BelowMinimum, message, None));
    }
    if let Some(maximum) = decl.maximum.filter(|maximum| size > *maximum) {
        let message = format!("{subject} above the maximum of {maximum}");
        return Some(Judged::new(InputCode::AboveMaximum, message, None));
    }
    None
}

/// The regular expression that the whole text has to match.
pub(super) fn compile(pattern: &str) -> Result<regex::Regex, String> {
    let build = |text: &str| regex::RegexBuilder::new(text).size_limit(limits::PATTERN_COMPILED_BYTES).build();
    let why = |error: regex::Error| match error {
        regex::Error::CompiledTooBig(limit) => {
            format!("the pattern takes more than {limit} bytes once compiled, the limit")
        }
        // The last line of a syntax error tells what; the ones before draw the pattern.
        error => {
            let text = error.to_string();
            let last = text.lines().last().unwrap_or("").trim_start_matches("error: ").to_owned();
            format!("the pattern is no regular expression: {}", show(&last))
        }
    };
    build(pattern).map_err(why)?;
    build(&format!(r"\A(?:{pattern})\z")).map_err(why)
}

/// The type in words, with its article.
fn words(decl: &InputDecl) -> &'static str {
    match decl.value_type {
        ValueType::String => "text",
        ValueType::Integer => "a whole number",
        ValueType::Number => "a number",
        ValueType::Boolean => "true or false",
        ValueType::List => "a list",
        ValueType::Map => "a map",
        ValueType::Any => "any value",
    }
}

/// What a value is, in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Text as it is, anything else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// The size of a value as JSON in bytes, without building it.
fn json_size(value: &Value) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Counting cannot fail, and JSON values always serialize.
    match serde_json::to_writer(&mut count, value) {
        Ok(()) => count.0,
        Err(_) => usize::MAX,
    }
}
