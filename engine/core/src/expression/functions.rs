//! The functions that expressions may call, and how: the allow-list. Never computes anything.

/// A function of the language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Contains,
    Default,
    Double,
    EndsWith,
    Int,
    Join,
    Json,
    Lower,
    Matches,
    Max,
    Min,
    Size,
    Split,
    StartsWith,
    String,
    Upper,
}

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `f(x)`
    Free,
    /// `x.f()`
    Method,
    /// Either.
    Both,
}

/// A row of the allow-list.
pub(super) struct Signature {
    pub(super) function: Function,
    pub(super) name: &'static str,
    pub(super) style: Style,
    /// How many arguments, the receiver included.
    pub(super) least: usize,
    pub(super) most: usize,
    /// How it is written, for messages.
    pub(super) usage: &'static str,
}

const fn row(
    function: Function,
    name: &'static str,
    style: Style,
    (least, most): (usize, usize),
    usage: &'static str,
) -> Signature {
    Signature { function, name, style, least, most, usage }
}

/// Every function but the macros, `has`, `always` and `failure`, which the parser treats itself.
pub(super) static FUNCTIONS: [Signature; 16] = [
    row(Function::Contains, "contains", Style::Method, (2, 2), "text.contains(part)"),
    row(Function::Default, "default", Style::Free, (2, 2), "default(value, otherwise)"),
    row(Function::Double, "double", Style::Free, (1, 1), "double(value)"),
    row(Function::EndsWith, "endsWith", Style::Method, (2, 2), "text.endsWith(end)"),
    row(Function::Int, "int", Style::Free, (1, 1), "int(value)"),
    row(Function::Join, "join", Style::Both, (2, 2), "join(list, separator)"),
    row(Function::Json, "json", Style::Free, (1, 1), "json(value)"),
    row(Function::Lower, "lower", Style::Free, (1, 1), "lower(text)"),
    row(Function::Matches, "matches", Style::Method, (2, 2), "text.matches(pattern)"),
    row(Function::Max, "max", Style::Free, (1, MANY), "max(a, b, …) or max(list)"),
    row(Function::Min, "min", Style::Free, (1, MANY), "min(a, b, …) or min(list)"),
    row(Function::Size, "size", Style::Both, (1, 1), "size(value)"),
    row(Function::Split, "split", Style::Method, (2, 2), "text.split(separator)"),
    row(Function::StartsWith, "startsWith", Style::Method, (2, 2), "text.startsWith(start)"),
    row(Function::String, "string", Style::Free, (1, 1), "string(value)"),
    row(Function::Upper, "upper", Style::Free, (1, 1), "upper(text)"),
];

/// More arguments than a source of the largest size can hold.
const MANY: usize = crate::limits::EXPRESSION_BYTES;

impl Function {
    pub(super) fn signature(self) -> &'static Signature {
        // The table is ordered as the enum, which a test holds.
        &FUNCTIONS[self as usize]
    }
}

/// The row of a name.
pub(super) fn named(name: &str) -> Option<&'static Signature> {
    FUNCTIONS.iter().find(|row| row.name == name)
}

/// Every name that can be called, for suggestions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS
        .iter()
        .map(|row| row.name)
        .chain(["has", "always", "failure"])
        .chain(super::syntax::Macro::ALL.map(super::syntax::Macro::name))
}

/// What other languages call these functions.
pub(super) fn alias(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "success" => "leave it out: a step runs when its needs succeeded; or compare steps.ID.status",
        "cancelled" | "canceled" => "compare run.outcome or steps.ID.status with 'canceled'",
        "tojson" => "write json(value)",
        "fromjson" => "declare the output as list or map: it is read as JSON then",
        "len" | "length" | "count" => "write size(value)",
        "format" => "put the values into the text: \"… ${{ a }} …\", or join them with +",
        "tolower" | "lowerascii" | "lowercase" => "write lower(text)",
        "toupper" | "upperascii" | "uppercase" => "write upper(text)",
        "str" | "tostring" => "write string(value)",
        "uint" | "integer" => "write int(value)",
        "float" | "number" => "write double(value)",
        "coalesce" => "write default(value, otherwise)",
        "any" | "some" => "write list.exists(x, …)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::FUNCTIONS;

    #[test]
    fn the_table_is_ordered_as_the_enum() {
        for (place, row) in FUNCTIONS.iter().enumerate() {
            assert_eq!(row.function as usize, place, "{}", row.name);
            assert_eq!(row.function.signature().name, row.name);
            assert!(row.usage.contains(row.name));
        }
    }
}
