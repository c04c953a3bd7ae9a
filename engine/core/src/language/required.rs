//! What of `requires` is neither a program nor a secret: endpoints, and room on disks.

use serde_json::Value;

use super::action::statuses;
use super::code::Code;
use super::item::Item;
use super::report::{Problem, Report};
use super::{names, schema, show};
use crate::definition::{Endpoint, Room, Setting};
use crate::limits;

/// The units of sizes, by the bits that they shift.
const UNITS: [(&str, u32); 4] = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];

/// One of `requires.endpoints`.
pub(super) fn endpoint(item: Item<'_>, report: &mut Report<'_>) -> Option<Endpoint> {
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
pub(super) fn room(item: Item<'_>, report: &mut Report<'_>) -> Option<Room> {
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
