//! What must be there before a run starts: `requires`, and the `tools` of a command. Never knows whether it is there.

use serde_json::Value;

use super::action::statuses;
use super::code::Code;
use super::item::{Fields, Item};
use super::report::{Problem, Report};
use super::{names, schema, show};
use crate::definition::{Endpoint, Requires, Room, Setting, Tool};
use crate::limits;

/// The units of sizes, by the bits that they shift.
const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

/// `requires` of a runbook.
pub(super) fn read(fields: &Fields<'_>, report: &mut Report<'_>) -> Requires {
    let mut requires = Requires::default();
    let Some(entry) = fields.entry("requires") else { return requires };
    let Some(fields) = entry.value.section(&schema::REQUIRES, entry.key.span(), report) else {
        return requires;
    };
    if let Some(item) = fields.get("secrets") {
        requires.secrets =
            names::distinct(item, report, |item, report| item.text(report).map(|_| names::id(item, report)));
        let count = requires.secrets.len();
        names::within(item, "`secrets`", count, limits::SECRETS, "secrets", report);
    }
    requires.tools = tools(&fields, report);
    requires.endpoints = each(&fields, "endpoints", limits::ENDPOINTS, report, endpoint);
    requires.disk = each(&fields, "disk", limits::DISKS, report, room);
    requires
}

/// `tools`, of `requires` or of a command.
pub(super) fn tools(fields: &Fields<'_>, report: &mut Report<'_>) -> Vec<Tool> {
    each(fields, "tools", limits::TOOLS, report, |item, report| match item.is_map() {
        true => tool(item, report),
        false => program(item, report).map(|name| Tool { name: name.to_owned(), ..Tool::default() }),
    })
}

/// The items of a list, each read by `read`.
fn each<'t, T>(
    fields: &Fields<'t>,
    key: &'static str,
    limit: usize,
    report: &mut Report<'_>,
    mut read: impl FnMut(Item<'t>, &mut Report<'_>) -> Option<T>,
) -> Vec<T> {
    let Some(list) = fields.get(key) else { return Vec::new() };
    let items: Vec<Item<'t>> = list.list(report).into_iter().flatten().collect();
    names::within(list, &format!("`{key}`"), items.len(), limit, key, report);
    items.into_iter().filter_map(|item| read(item, report)).collect()
}

fn tool(item: Item<'_>, report: &mut Report<'_>) -> Option<Tool> {
    let fields = item.section(&schema::TOOL, item.span(), report)?;
    let version = fields.get("version").and_then(|item| names::version(item, report));
    let ask = fields.get("ask").map(|item| words(item, report)).unwrap_or_default();
    let name = program(fields.get("name")?, report)?;
    Some(Tool { name: name.to_owned(), version: version.map(str::to_owned), ask })
}

/// Arguments as they are.
fn words(item: Item<'_>, report: &mut Report<'_>) -> Vec<String> {
    let items: Vec<Item<'_>> = item.list(report).into_iter().flatten().collect();
    names::within(item, "`ask`", items.len(), limits::TOOL_ARGUMENTS, "arguments", report);
    let mut words = Vec::new();
    for item in items {
        let Some(text) = item.text(report) else { continue };
        names::no_nul(item, report);
        names::within(item, "the argument", text.len(), limits::ARGUMENT_BYTES, "bytes", report);
        words.push(text.to_owned());
    }
    words
}

/// The name of a program on PATH.
fn program<'t>(item: Item<'t>, report: &mut Report<'_>) -> Option<&'t str> {
    let text = item.text(report)?;
    if text.is_empty() || text.contains(|c: char| c == '/' || c.is_whitespace() || c.is_control()) {
        let message = format!("`{}` is not the name of a program on PATH", show(text));
        report.add(
            Problem::new(Code::InvalidId, item.span(), message)
                .help("write one word, such as pg_dump; a version goes into {name: pg_dump, version: \">=14\"}"),
        );
        return None;
    }
    Some(text)
}

/// One of `requires.endpoints`.
fn endpoint(item: Item<'_>, report: &mut Report<'_>) -> Option<Endpoint> {
    if !item.is_map() {
        return url(item, report).map(|url| Endpoint { url, expect: Vec::new() });
    }
    let fields = item.section(&schema::ENDPOINT, item.span(), report)?;
    let expect = fields.get("expect").and_then(|item| statuses(item, report));
    let expect = match expect {
        Some(Setting::Value(Value::Array(statuses))) => {
            statuses.iter().filter_map(|status| status.as_str().map(ToOwned::to_owned)).collect()
        }
        _ => Vec::new(),
    };
    Some(Endpoint { url: url(fields.get("url")?, report)?, expect })
}

fn url(item: Item<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = item.text(report)?;
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let good = host.is_some_and(|host| {
        let first = host.split(['/', '?', '#']).next().unwrap_or_default();
        !first.is_empty() && !first.contains('@')
    });
    if !good || text.contains(|c: char| c.is_whitespace() || c.is_control() || "{}".contains(c)) {
        let message = format!("`{}` is not a URL that can be asked here", show(text));
        let help = "write it as https://api.example.org/healthz, in full, without `${{ }}` and without a user";
        report.add(Problem::new(Code::UnknownValue, item.span(), message).help(help));
        return None;
    }
    names::within(item, "the URL", text.len(), limits::URL_BYTES, "bytes", report).then(|| text.to_owned())
}

/// One of `requires.disk`.
fn room(item: Item<'_>, report: &mut Report<'_>) -> Option<Room> {
    let fields = item.section(&schema::ROOM, item.span(), report)?;
    let free = fields.get("free").and_then(|item| size(item, report));
    let path = fields.get("path")?;
    let text = path.text(report)?;
    names::no_nul(path, report);
    names::within(path, "the path", text.len(), limits::PATH_BYTES, "bytes", report);
    Some(Room { path: text.to_owned(), free: free? })
}

/// A size in bytes.
fn size(item: Item<'_>, report: &mut Report<'_>) -> Option<u64> {
    let text = item.text(report)?;
    let size = UNITS.iter().find_map(|(unit, bits)| {
        let number = text.strip_suffix(unit)?;
        let number = number.strip_suffix(' ').unwrap_or(number);
        let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(1 << bits)
    });
    if size.is_none() {
        let message = format!("`{}` is no size", show(text));
        let help = "write a whole number and KiB, MiB, GiB or TiB, such as 5 GiB";
        report.add(Problem::new(Code::UnknownValue, item.span(), message).help(help));
    }
    size
}
