//! The rules of names and paths: what is refused, and what to say. Never knows what is named.

use super::code::Code;
use super::item::Item;
use super::report::{Problem, Report};
use super::show;
use crate::id;
use crate::limits;

/// What variables of the engine begin with.
const RESERVED_PREFIX: &str = "RUNBOOK_";

/// What file systems take as one name, in bytes.
const FILE_NAME_BYTES: usize = 255;

/// An id of the language, such as a step's.
pub(super) fn id<'t>(item: Item<'t>, report: &mut Report<'_>) -> &'t str {
    let text = item.raw();
    if !id::is_id(text) {
        let problem =
            Problem::new(Code::InvalidId, item.span(), format!("`{}` is not an id: {}", show(text), id::ID_RULE));
        let suggested = suggestion(text).map(|id| report.suggest(text, id));
        report.add(problem.maybe_help(suggested.map(|id| format!("write `{id}`"))));
    }
    text
}

/// The nearest id.
fn suggestion(text: &str) -> Option<String> {
    let letter = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() || c == '_' => c,
        _ => '-',
    };
    let id: String = text.trim().chars().map(letter).collect();
    id::is_id(&id).then_some(id)
}

/// The name of an environment variable.
pub(super) fn variable<'t>(item: Item<'t>, report: &mut Report<'_>) -> &'t str {
    let text = item.raw();
    let mut chars = text.chars();
    let good = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !good {
        report.add(Problem::new(
            Code::InvalidVariable,
            item.span(),
            format!(
                "`{}` cannot be an environment variable: A-Z, a-z, 0-9 and _ are taken, no digit first",
                show(text)
            ),
        ));
    } else if text.starts_with(RESERVED_PREFIX) {
        report.add(
            Problem::new(
                Code::InvalidVariable,
                item.span(),
                format!("`{}` is not free: variables that begin with {RESERVED_PREFIX} are the engine's", show(text)),
            )
            .help("choose another name"),
        );
    }
    text
}

/// A path of an artifact or a listed file: relative, and inside of where it begins.
pub(super) fn inner_path<'t>(item: Item<'t>, report: &mut Report<'_>) -> Option<&'t str> {
    let text = item.text(report)?;
    let wrong = if text.is_empty() {
        Some("it is empty")
    } else if text.starts_with('/') {
        Some("it is absolute")
    } else if text.split('/').any(|part| part == "..") {
        Some("it leads outside by `..`")
    } else if text.split('/').any(|part| part.is_empty() || part == ".") {
        Some("it has an empty part or `.`")
    } else if text.chars().any(char::is_control) {
        Some("it has a control character")
    } else {
        None
    };
    if let Some(why) = wrong {
        let message = format!("`{}` is not a path that can be used here: {why}", show(text));
        report.add(
            Problem::new(Code::InvalidPath, item.span(), message)
                .help("write a relative path such as scripts/publish.sh"),
        );
        return None;
    }
    within(item, "the path", text.len(), limits::PATH_BYTES, "bytes", report).then_some(text)
}

/// The name of a file in a folder.
pub(super) fn file_name<'t>(item: Item<'t>, report: &mut Report<'_>) -> &'t str {
    let text = item.raw();
    if text.is_empty() || text.contains('/') || text == "." || text == ".." || text.chars().any(char::is_control) {
        report.add(
            Problem::new(Code::InvalidPath, item.span(), format!("`{}` is not a plain file name", show(text)))
                .help("write a name without a slash"),
        );
    }
    within(item, "the file name", text.len(), FILE_NAME_BYTES, "bytes", report);
    text
}

/// A condition on a version, such as `>=14,<17`.
pub(super) fn version<'t>(item: Item<'t>, report: &mut Report<'_>) -> Option<&'t str> {
    let text = item.text(report)?;
    let good = text.split(',').all(|part| {
        let part = part.trim();
        let number = part.trim_start_matches(['<', '>', '=']);
        let operator = &part[..part.len() - number.len()];
        let number = number.trim();
        matches!(operator, "=" | ">" | ">=" | "<" | "<=")
            && number.split('.').all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    });
    if !good {
        report.add(
            Problem::new(
                Code::InvalidVersion,
                item.span(),
                format!("`{}` is not a condition on a version", show(text)),
            )
            .help("write it as \">=14\" or \">=14,<17\""),
        );
        return None;
    }
    Some(text)
}

/// Whether a size is within its limit; reported otherwise.
pub(super) fn within(
    item: Item<'_>,
    what: &str,
    size: usize,
    limit: usize,
    unit: &str,
    report: &mut Report<'_>,
) -> bool {
    if size > limit {
        let message = format!("{what} has {size} {unit}; the limit is {limit}");
        report.add(Problem::new(Code::OverLimit, item.span(), message));
    }
    size <= limit
}

/// Reports a NUL character, which no program can be given.
pub(super) fn no_nul(item: Item<'_>, report: &mut Report<'_>) {
    if item.raw().contains('\0') {
        report.add(Problem::new(Code::NulCharacter, item.span(), "a program cannot be given a NUL character"));
    }
}

/// The items of a list of texts, each read by `read`; one that is there already is reported.
pub(super) fn distinct<'t>(
    list: Item<'t>,
    report: &mut Report<'_>,
    mut read: impl FnMut(Item<'t>, &mut Report<'_>) -> Option<&'t str>,
) -> Vec<String> {
    let mut seen = std::collections::HashMap::new();
    let mut texts = Vec::new();
    for item in list.list(report).into_iter().flatten() {
        let Some(text) = read(item, report) else { continue };
        if let Some(first) = seen.insert(text, item) {
            report.add(
                Problem::new(Code::DuplicateItem, item.span(), format!("`{}` is in the list twice", show(text)))
                    .related(first.span(), "it is here first")
                    .help("leave one out"),
            );
        } else {
            texts.push(text.to_owned());
        }
    }
    texts
}
