//! What protects an environment, as its file says it: roles, words of confirmation, hours, freezes. Never knows what time
//! it is.

use indexmap::IndexMap;

use super::code::Code;
use super::interface::Configured;
use super::item::{Entry, Fields, Item};
use super::report::{Problem, Report};
use super::{environment_keys as keys, names, role, show};
use crate::definition::{Approvals, Freeze, Hours, Protection, Window};
use crate::limits;
use crate::schedule::Zone;
use crate::time::{Span, Timestamp};

/// The days, Sunday first.
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
/// How a window is written.
const WINDOW_RULE: &str =
    "write days and times, as `mon-fri 09:00-17:00`, `sat,sun 10:00-12:00`, or `22:00-06:00` for every night";
/// How a time is written.
const TIME_RULE: &str = "write it as \"2026-12-20T00:00:00+01:00\", or with a Z for UTC";

/// Reads `protection:`. `configured` is what the configuration defines, where that is known.
pub(super) fn read(fields: &Fields<'_>, configured: Option<&Configured>, report: &mut Report<'_>) -> Protection {
    let mut protection = Protection::default();
    let Some(entry) = fields.entry("protection") else { return protection };
    let Some(fields) = entry.value.section(&keys::PROTECTION, entry.key.span(), report) else { return protection };
    protection.roles = roles(&fields, configured, report);
    protection.confirm = fields.get("confirm").and_then(|item| confirm(item, report));
    protection.approvals = fields.entry("approvals").and_then(|entry| approvals(entry, configured, report));
    protection.hours = fields.entry("hours").and_then(|entry| hours(entry, report));
    protection.freezes = freezes(&fields, report);
    if let Some(entry) = fields.entry("override") {
        let fields = entry.value.section(&keys::OVERRIDE, entry.key.span(), report);
        protection.override_roles = fields.map(|fields| roles(&fields, configured, report)).unwrap_or_default();
    }
    protection
}

fn roles(fields: &Fields<'_>, configured: Option<&Configured>, report: &mut Report<'_>) -> Vec<String> {
    let Some(item) = fields.get("roles") else { return Vec::new() };
    let roles = role::names(item, configured, report);
    if roles.is_empty() && item.list(report).is_some() {
        let problem = Problem::new(Code::OutOfRange, item.span(), "an empty list of roles is nobody");
        report.add(problem.help("leave `roles` out, or name a role of the daemon's configuration"));
    }
    roles
}

/// Who has to approve a start.
fn approvals(entry: Entry<'_>, configured: Option<&Configured>, report: &mut Report<'_>) -> Option<Approvals> {
    let fields = entry.value.section(&keys::APPROVALS, entry.key.span(), report)?;
    let count = fields.get("count").and_then(|item| item.integer(1..=limits::APPROVALS, report));
    Some(Approvals {
        roles: roles(&fields, configured, report),
        count: count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
        not_requester: fields.get("not_requester").and_then(|item| item.boolean(report)).unwrap_or(false),
        timeout: fields.get("timeout").and_then(|item| item.duration(Span::seconds(1), report)),
    })
}

/// What has to be typed.
fn confirm(item: Item<'_>, report: &mut Report<'_>) -> Option<String> {
    let text = item.text(report)?;
    if text.is_empty() || text.trim() != text || text.contains(char::is_control) {
        let message = "what is typed has no blanks around it, no control characters, and is not empty";
        report.add(Problem::new(Code::OutOfRange, item.span(), message));
    }
    names::within(item, "`confirm`", text.len(), limits::TARGET_BYTES, "bytes", report);
    Some(text.to_owned())
}

fn hours(entry: Entry<'_>, report: &mut Report<'_>) -> Option<Hours> {
    let fields = entry.value.section(&keys::HOURS, entry.key.span(), report)?;
    let timezone = match fields.get("timezone") {
        None => Zone::UTC.name(),
        Some(item) => match Zone::named(item.text(report)?) {
            Ok(zone) => zone.name(),
            Err(fault) => {
                report.add(Problem::new(Code::UnknownZone, item.span(), fault.to_string()).help(fault.help));
                return None;
            }
        },
    };
    let list = fields.get("allowed")?;
    let items: Vec<Item<'_>> = list.list(report)?.collect();
    if items.is_empty() {
        let problem = Problem::new(Code::OutOfRange, list.span(), "without any hours nothing is ever started");
        report.add(problem.help("leave `hours` out, or write a freeze"));
    }
    names::within(list, "`allowed`", items.len(), limits::ENVIRONMENT_WINDOWS, "windows", report);
    let allowed = items.into_iter().filter_map(|item| {
        let text = item.text(report)?;
        let window = window(text);
        if let Err(why) = &window {
            let message = format!("`{}` is no window of the week: {why}", show(text));
            report.add(Problem::new(Code::InvalidHours, item.span(), message).help(WINDOW_RULE));
        }
        window.ok()
    });
    Some(Hours { timezone: timezone.to_owned(), allowed: allowed.collect() })
}

/// Reads a window of the week.
fn window(text: &str) -> Result<Window, &'static str> {
    let mut words = text.split_whitespace();
    let (days, times) = match (words.next(), words.next(), words.next()) {
        (Some(times), None, _) => ("sun-sat", times),
        (Some(days), Some(times), None) => (days, times),
        _ => return Err("it has days and times, and nothing else"),
    };
    let day = |name: &str| {
        DAYS.iter().position(|day| day.eq_ignore_ascii_case(name)).ok_or("a day is none of sun mon tue wed thu fri sat")
    };
    let mut on = [false; 7];
    for part in days.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        // Over the weekend too: fri-mon.
        for days in 0..=(last + 7 - first) % 7 {
            on[(first + days) % 7] = true;
        }
    }
    let (from, to) = times.split_once('-').ok_or("there is no `-` between two times")?;
    let (from, to) = (minute(from)?, minute(to)?);
    if from == to || from == 24 * 60 {
        return Err("it is empty");
    }
    Ok(Window { days: on, from, to, text: text.to_owned() })
}

/// Reads a time of day, until 24:00.
fn minute(text: &str) -> Result<u32, &'static str> {
    let wrong = "a time of day is written as 09:00, from 00:00 to 24:00";
    let digits = |text: &str| match text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u32>().map_err(|_| wrong),
        false => Err(wrong),
    };
    let (hour, minute) = text.split_once(':').ok_or(wrong)?;
    match (digits(hour)?, digits(minute)?) {
        (hour, minute) if minute < 60 && (hour < 24 || (hour, minute) == (24, 0)) => Ok(hour * 60 + minute),
        _ => Err(wrong),
    }
}

fn freezes(fields: &Fields<'_>, report: &mut Report<'_>) -> IndexMap<String, Freeze> {
    let mut freezes = IndexMap::new();
    let Some(item) = fields.get("freezes") else { return freezes };
    let Some(entries) = item.entries(report) else { return freezes };
    names::within(item, "`freezes`", entries.len(), limits::ENVIRONMENT_FREEZES, "freezes", report);
    for entry in entries {
        let name = names::id(entry.key, report).to_owned();
        if let Some(freeze) = freeze(entry, report) {
            freezes.insert(name, freeze);
        }
    }
    freezes
}

fn freeze(entry: Entry<'_>, report: &mut Report<'_>) -> Option<Freeze> {
    let fields = entry.value.section(&keys::FREEZE, entry.key.span(), report)?;
    let (from, to) = (time(&fields, "from", report), time(&fields, "to", report));
    let reason = fields.get("reason")?.text(report)?.to_owned();
    if let (Some(from), Some(to), Some(item)) = (from, to, fields.get("to"))
        && to <= from
    {
        let message = "a freeze ends after it begins";
        report.add(Problem::new(Code::OutOfRange, item.span(), message).help("exchange `from` and `to`"));
        return None;
    }
    Some(Freeze { from: from?, to: to?, reason })
}

fn time(fields: &Fields<'_>, key: &'static str, report: &mut Report<'_>) -> Option<Timestamp> {
    let item = fields.get(key)?;
    let text = item.text(report)?;
    let time = text.trim().parse();
    if time.is_err() {
        let message = format!("`{}` is no time", show(text));
        report.add(Problem::new(Code::InvalidTime, item.span(), message).help(TIME_RULE));
    }
    time.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_or_refused() {
        let read = |text: &str| {
            let window = window(text)?;
            let days: Vec<&str> = DAYS.iter().zip(window.days).filter(|(_, on)| *on).map(|(day, _)| *day).collect();
            Ok::<_, &str>(format!("{} {}-{}", days.join(","), window.from, window.to))
        };
        for (text, is) in [
            ("mon-fri 09:00-17:00", "mon,tue,wed,thu,fri 540-1020"),
            ("fri-mon 22:00-06:00", "sun,mon,fri,sat 1320-360"),
            ("Sat,SUN 00:00-24:00", "sun,sat 0-1440"),
            ("09:30-10:00", "sun,mon,tue,wed,thu,fri,sat 570-600"),
        ] {
            assert_eq!(read(text).as_deref(), Ok(is), "{text}");
        }
        for text in [
            "",
            "mon",
            "mon-fri",
            "mon 9:00-17:00",
            "mon 09:00",
            "mon 09:00-25:00",
            "mon 09:60-10:00",
            "mon 24:00-01:00",
            "mon 09:00-09:00",
            "monday 09:00-10:00",
            "mon- 09:00-10:00",
            "mon 09:00-10:00 CET",
            "mon 09:00-24:01",
            "mon +9:00-10:00",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
