//! From the text of a rule to the rule, or to what is wrong with it: where, why, and what to write instead.
//!
//! Takes what crontab(5) takes (Vixie's cron, as Debian and cronie have it) and nothing else: what other programs added
//! (seconds, `L`, `W`, `#`, `?`) means something else in each of them. Never knows dates or zones.

use std::fmt;

use super::rule::{Days, Rule};
use crate::expression::did_you_mean;
use crate::language::show;
use crate::limits;

/// Why a text is no rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleFault {
    /// Where in the text, in bytes.
    pub at: usize,
    /// How much of it, in bytes.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl RuleFault {
    fn new(at: usize, length: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at, length, message: message.into(), help: help.into() }
    }

    /// The column in the text, in characters from 1.
    pub fn column(&self, text: &str) -> usize {
        text.get(..self.at).unwrap_or(text).chars().count() + 1
    }
}

impl fmt::Display for RuleFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.help)
    }
}

impl std::error::Error for RuleFault {}

/// A field of a rule.
struct Field {
    /// With its article.
    one: &'static str,
    many: &'static str,
    low: u32,
    high: u32,
    /// Words for the numbers from `low` on.
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: [Field; 5] = [
    Field { one: "a minute", many: "minutes", low: 0, high: 59, names: &[] },
    Field { one: "an hour", many: "hours", low: 0, high: 23, names: &[] },
    Field { one: "a day of the month", many: "days of the month", low: 1, high: 31, names: &[] },
    Field { one: "a month", many: "months", low: 1, high: 12, names: &MONTHS },
    Field { one: "a day of the week", many: "days of the week", low: 0, high: 7, names: &WEEKDAYS },
];

/// Names of rules, and the rules.
const NAMED: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

const ORDER: &str = "minute, hour, day of the month, month, day of the week, as in `30 2 * * 1-5`";
/// The longest number, in digits; more than any field needs, leading zeros included.
const DIGITS: usize = 4;

/// A word of the text and where it begins, in bytes.
#[derive(Clone, Copy)]
struct Part<'t> {
    at: usize,
    text: &'t str,
}

impl<'t> Part<'t> {
    /// The same without its first `bytes`.
    fn from(self, bytes: usize) -> Self {
        Self { at: self.at + bytes, text: self.text.get(bytes..).unwrap_or_default() }
    }

    /// What stands before and after the first `sign`.
    fn split(self, sign: char) -> Option<(Self, Self)> {
        let (before, _) = self.text.split_once(sign)?;
        Some((Self { at: self.at, text: before }, self.from(before.len() + sign.len_utf8())))
    }

    fn fault(self, message: impl Into<String>, help: impl Into<String>) -> RuleFault {
        RuleFault::new(self.at, self.text.len(), message, help)
    }
}

/// Reads a rule.
pub(super) fn parse(text: &str) -> Result<Rule, RuleFault> {
    let most = limits::CRON_RULE_BYTES;
    if text.len() > most {
        let message = format!("the rule has {} bytes, the limit is {most}", text.len());
        return Err(RuleFault::new(0, text.len(), message, "name ranges and steps instead of single numbers"));
    }
    let strange = |c: char| (c.is_whitespace() || c.is_control()) && c != ' ' && c != '\t';
    let end = text.trim_end().len();
    if let Some((at, c)) = text.char_indices().find(|(at, c)| *at < end && strange(*c)) {
        let message = format!("{c:?} does not belong in a rule");
        return Err(RuleFault::new(at, c.len_utf8(), message, "fields are separated by spaces, on one line"));
    }
    let parts: Vec<Part<'_>> = words(text);
    let Some(first) = parts.first() else {
        return Err(RuleFault::new(0, text.len(), "the rule is empty", format!("write five fields: {ORDER}")));
    };
    let bits = if first.text.starts_with('@') { fields(&words(named(&parts)?))? } else { fields(&parts)? };
    Ok(Rule { text: text.trim_end().to_owned(), ..bits })
}

fn words(text: &str) -> Vec<Part<'_>> {
    let mut words = Vec::new();
    let mut rest = Part { at: 0, text };
    loop {
        rest = rest.from(rest.text.len() - rest.text.trim_start().len());
        let length = rest.text.find(char::is_whitespace).unwrap_or(rest.text.len());
        if length == 0 {
            return words;
        }
        words.push(Part { at: rest.at, text: &rest.text[..length] });
        rest = rest.from(length);
    }
}

/// The rule that a name such as `@daily` stands for.
fn named(parts: &[Part<'_>]) -> Result<&'static str, RuleFault> {
    let name = parts[0];
    let Some((_, rule)) = NAMED.iter().find(|(known, _)| *known == name.text) else {
        let help = match name.text.to_ascii_lowercase().as_str() {
            "@reboot" => {
                "it names no time: a runbook that belongs to a start of the machine is started by the unit".into()
            }
            "@every" => "write the minutes or hours with a step: `*/15 * * * *`, `0 */2 * * *`".into(),
            _ => match did_you_mean(name.text, NAMED.iter().map(|(known, _)| *known)) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => "there are @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly".into(),
            },
        };
        return Err(name.fault(format!("there is no rule `{}`", show(name.text)), help));
    };
    match parts.get(1) {
        None => Ok(rule),
        Some(more) => Err(more.fault(
            format!("nothing follows `{}`", name.text),
            format!("write `{}` alone, or as five fields: `{rule}`", name.text),
        )),
    }
}

fn fields(parts: &[Part<'_>]) -> Result<Rule, RuleFault> {
    let Ok([minutes, hours, days, months, weekdays]) = <[Part<'_>; 5]>::try_from(parts) else {
        return Err(wrong_count(parts));
    };
    let star = |part: Part<'_>| part.text.starts_with('*');
    let joined = if star(days) || star(weekdays) { Days::Both } else { Days::Either };
    let real_time = star(minutes) || star(hours);
    let minutes = set(&FIELDS[0], minutes)?;
    let [hours, days, months] =
        [set(&FIELDS[1], hours)? as u32, set(&FIELDS[2], days)? as u32, set(&FIELDS[3], months)? as u32];
    let weekdays = set(&FIELDS[4], weekdays)? as u32;
    // Sunday is 0 and 7.
    let weekdays = (weekdays | weekdays >> 7) & 0x7f;
    Ok(Rule { text: String::new(), minutes, hours, days, months, weekdays, joined, real_time })
}

/// Not five fields: too few, or what another program would have read.
fn wrong_count(parts: &[Part<'_>]) -> RuleFault {
    let (first, last) = (parts[0], parts[parts.len() - 1]);
    if parts.len() < FIELDS.len() {
        let missing = &FIELDS[parts.len()];
        let count = if parts.len() == 1 { "1 field".to_owned() } else { format!("{} fields", parts.len()) };
        let message = format!("the rule has {count} of five; {} is missing", missing.one);
        let whole = Part { at: first.at, text: "" };
        let length = last.at + last.text.len() - first.at;
        return RuleFault { length, ..whole.fault(message, format!("write five fields: {ORDER}")) };
    }
    let write = |kept: &[Part<'_>]| {
        let rule = kept.iter().map(|part| part.text.replace('?', "*")).collect::<Vec<_>>().join(" ");
        parse(&rule).is_ok().then_some(rule)
    };
    let a_year = last.text == "*" || (last.text.len() == 4 && last.text.bytes().all(|b| b.is_ascii_digit()));
    let help = match parts {
        [_, five @ ..] if five.len() == 5 && !(last.text.len() == 4 && a_year) && write(five).is_some() => {
            let rule = write(five).unwrap_or_default();
            format!("a rule has no seconds, a minute is the finest: if the first field is seconds, write `{rule}`")
        }
        [five @ .., _] if five.len() == 5 && a_year && write(five).is_some() => {
            format!("a rule has no years: write `{}`", write(five).unwrap_or_default())
        }
        [five @ .., _] if five.len() == 5 && write(five).is_some() => {
            let rule = write(five).unwrap_or_default();
            format!("a rule ends with the day of the week, and has no user and no command: write `{rule}`")
        }
        [_, five @ .., _] if five.len() == 5 && write(five).is_some() => {
            let rule = write(five).unwrap_or_default();
            format!("a rule has neither seconds nor years: write `{rule}`")
        }
        _ => format!("write five fields: {ORDER}"),
    };
    let count = if parts.len() == 6 { "six".to_owned() } else { parts.len().to_string() };
    parts[FIELDS.len()].fault(format!("the rule has {count} fields; crontab(5) has five"), help)
}

/// The numbers that a field names, as bits.
fn set(field: &Field, part: Part<'_>) -> Result<u64, RuleFault> {
    let mut bits = 0;
    let mut rest = part;
    loop {
        let (item, next) = match rest.split(',') {
            Some((item, next)) => (item, Some(next)),
            None => (rest, None),
        };
        if item.text.is_empty() {
            let length = usize::from(next.is_some());
            let help = format!("write {} with one comma between two of them: `1,2`", field.many);
            return Err(RuleFault::new(item.at, length, "something is missing in the list", help));
        }
        bits |= item_bits(field, item)?;
        match next {
            Some(next) => rest = next,
            None => return Ok(bits),
        }
    }
}

/// One element of a list: `*`, a number or name, a range, each of the first and last with a step.
fn item_bits(field: &Field, item: Part<'_>) -> Result<u64, RuleFault> {
    if let Some(fault) = foreign(item) {
        return Err(fault);
    }
    let (range, step) = match item.split('/') {
        Some((range, step)) => (range, Some(self::step(step)?)),
        None => (item, None),
    };
    let (low, high) = match range.split('-') {
        _ if range.text == "*" => (field.low, field.high),
        _ if range.text.starts_with('*') => {
            let rest = range.from(1);
            let help = match rest.text.bytes().all(|b| b.is_ascii_digit()) {
                true => format!("write `*/{0}` for every {0}, or `{0}`", show(rest.text)),
                false => "write `*`, or `*/2` for every second one".to_owned(),
            };
            return Err(range.fault(format!("`{}`: `*` stands alone or before a step", show(range.text)), help));
        }
        Some((low, high)) => {
            let (from, to) = (value(field, low)?, value(field, high)?);
            if from > to {
                return Err(reversed(field, range, from, to, step));
            }
            (from, to)
        }
        None => {
            let value = value(field, range)?;
            if let Some(step) = step {
                let help = format!("write `{value}-{}/{step}`, or `{value}`", last(field));
                return Err(item.fault(format!("`{}`: a step follows `*` or a range", show(item.text)), help));
            }
            (value, value)
        }
    };
    let step = step.unwrap_or(1);
    Ok((low..=high).step_by(step as usize).fold(0, |bits, number| bits | 1 << number))
}

/// The last number of a field that is not another word for its first.
fn last(field: &Field) -> u32 {
    if field.high == 7 { 6 } else { field.high }
}

/// What other programs know and crontab(5) does not.
fn foreign(item: Part<'_>) -> Option<RuleFault> {
    for (at, c) in item.text.char_indices() {
        let (message, help) = match c {
            '?' => ("`?` is not of crontab(5)", "write `*`"),
            '#' => (
                "`#`, the n-th such weekday of a month, is not of crontab(5)",
                "name the weekday, and let the runbook's first step look at the day of the month",
            ),
            '~' => ("`~`, a random time, is not of crontab(5)", "name one number"),
            '+' => ("`+` does not belong in a rule", "name the numbers, as a list `1,2` or a range `1-5`"),
            _ if c.is_ascii_alphanumeric() || "*/-".contains(c) => continue,
            _ => {
                let message = format!("{c:?} does not belong in a rule");
                let help = "a field has numbers, names, `*`, `,`, `-` and `/`";
                return Some(RuleFault::new(item.at + at, c.len_utf8(), message, help));
            }
        };
        return Some(RuleFault::new(item.at + at, c.len_utf8(), message, help));
    }
    None
}

/// A number or a name of a field.
fn value(field: &Field, part: Part<'_>) -> Result<u32, RuleFault> {
    if part.text.is_empty() {
        // At least one character of the text, so that there is something to point at.
        let message = format!("{} is missing here", field.one);
        let help = format!("a range is written `{}-{}`", field.low + 1, field.low + 5);
        return Err(RuleFault::new(part.at, 0, message, help));
    }
    let name = part.text.to_ascii_lowercase();
    if let Some(index) = field.names.iter().position(|known| *known == name) {
        return Ok(field.low + index as u32);
    }
    if !part.text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(not_a_name(field, part, &name));
    }
    let help = match field.high {
        7 => "days of the week are 0 to 7, Sunday is 0 and 7".to_owned(),
        23 if part.text == "24" => "hours are 0 to 23, midnight is 0".to_owned(),
        59 if part.text == "60" => "minutes are 0 to 59, the full hour is 0".to_owned(),
        _ => format!("{} are {} to {}", field.many, field.low, field.high),
    };
    let number = digits(part).filter(|number| (field.low..=field.high).contains(number));
    number.ok_or_else(|| part.fault(format!("`{}` is not {}", show(part.text), field.one), help))
}

fn digits(part: Part<'_>) -> Option<u32> {
    (part.text.len() <= DIGITS).then(|| part.text.parse().ok()).flatten()
}

/// Letters that are no name of the field.
fn not_a_name(field: &Field, part: Part<'_>, name: &str) -> RuleFault {
    let sign = |letter: char| {
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        (name.strip_suffix(letter).is_some_and(digits) || (letter == 'w' && name == "lw")).then(|| {
            let at = name.find(letter).unwrap_or_default();
            Part { at: part.at + at, text: &part.text[at..=at] }
        })
    };
    if let Some(part) = sign('w') {
        let help = "name days of the week in the fifth field, as `1-5`";
        return part.fault("`W`, the nearest weekday, is not of crontab(5)", help);
    }
    if let Some(part) = sign('l') {
        let help =
            "`0 0 1 * *` is the first minute after the last day of each month; a rule cannot name that day itself";
        return part.fault("`L`, the last day, is not of crontab(5)", help);
    }
    if let Some(part) = sign('h') {
        return part.fault("`H`, a time by hash, is not of crontab(5)", "name one number");
    }
    let whole = field.names.iter().find(|known| name.len() > 3 && name.starts_with(**known));
    let meant = whole.map(|known| (*known).to_owned()).or_else(|| did_you_mean(name, field.names.iter().copied()));
    let help = match (meant, field.names) {
        (Some(meant), _) if whole.is_some() => format!("names have three letters: write `{meant}`"),
        (Some(meant), _) => format!("did you mean `{meant}`?"),
        (None, []) => format!("{} are {} to {}", field.many, field.low, field.high),
        (None, names) => format!("{} are {} to {} or {}", field.many, field.low, field.high, names.join(", ")),
    };
    part.fault(format!("`{}` is not {}", show(part.text), field.one), help)
}

fn step(part: Part<'_>) -> Result<u32, RuleFault> {
    let help = "a step is a whole number from 1 on: `*/2` is every second one";
    match digits(part) {
        Some(0) => Err(part.fault("a step of 0 leads nowhere", help)),
        Some(step) => Ok(step),
        None if part.text.is_empty() => Err(RuleFault::new(part.at, 0, "a step is missing here", help)),
        None => Err(part.fault(format!("`{}` is not a step", show(part.text)), help)),
    }
}

/// A range whose end comes before its beginning.
fn reversed(field: &Field, range: Part<'_>, from: u32, to: u32, step: Option<u32>) -> RuleFault {
    let message = format!("the range `{}` runs backwards", show(range.text));
    let span = |low: u32, high: u32| if low == high { low.to_string() } else { format!("{low}-{high}") };
    let help = match step {
        _ if field.high == 7 && to == 0 => format!("at the end of a range Sunday is 7: write `{from}-7`"),
        None => format!("write `{},{}`", span(from, last(field).max(from)), span(field.low, to)),
        Some(_) => "write two ranges, each with its step".to_owned(),
    };
    range.fault(message, help)
}
