//! Durations as people write them: `1h30m`, `90s`, `250ms`, `7d`. Never reads a clock.

use std::fmt;

use crate::limits;
use crate::time::Span;

/// The units, largest first, in microseconds.
const UNITS: [(&str, i64); 5] =
    [("d", 86_400_000_000), ("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000)];

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationFault {
    /// Where in the text, in bytes.
    pub at: usize,
    /// How much of it, in bytes.
    pub length: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Whether it is a duration, only longer than [`limits::DURATION_DAYS`].
    pub too_long: bool,
}

impl DurationFault {
    /// The column in the text, in characters from 1.
    pub fn column(&self, text: &str) -> usize {
        text.get(..self.at).unwrap_or(text).chars().count() + 1
    }
}

impl fmt::Display for DurationFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for DurationFault {}

/// Reads whole numbers with units, largest unit first, each unit at most once, at most
/// [`limits::DURATION_DAYS`] days.
///
/// # Errors
/// Where and why the text is no duration.
pub fn parse(text: &str) -> Result<Span, DurationFault> {
    let fault = |at: usize, length: usize, message: String, help: &str| {
        let help = Some(help.to_owned()).filter(|help| !help.is_empty());
        DurationFault { at, length, message, help, too_long: false }
    };
    let example = "write it as 1h30m, 90s or 250ms";
    if text.is_empty() {
        return Err(fault(0, 0, "the duration is empty".to_owned(), example));
    }
    let most = limits::DURATION_DAYS * UNITS[0].1;
    let too_long = || DurationFault {
        at: 0,
        length: text.len(),
        message: format!("`{}` is longer than {} days, the limit", super::show(text), limits::DURATION_DAYS),
        help: None,
        too_long: true,
    };
    let mut total: i64 = 0;
    let mut next_unit = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits == 0 {
            let length = rest.chars().next().map_or(0, char::len_utf8);
            let (message, help) = match rest.as_bytes()[0] {
                b'-' | b'+' => ("a duration has no sign", example),
                b'.' => ("a duration has whole numbers", "write 1h30m for 1.5h, 500ms for 0.5s"),
                b' ' => ("a duration has no spaces", "write 1h30m"),
                _ => ("a number is wanted here", example),
            };
            return Err(fault(at, length, message.to_owned(), help));
        }
        let after = &rest[digits..];
        let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let word = &after[..letters];
        if word.is_empty() {
            return Err(match after.as_bytes().first() {
                Some(b'.') => fault(
                    at + digits,
                    1,
                    "a duration has whole numbers".to_owned(),
                    "write 1h30m for 1.5h, 500ms for 0.5s",
                ),
                Some(b' ') => fault(at + digits, 1, "a duration has no spaces".to_owned(), "write 1h30m"),
                _ => fault(
                    at,
                    digits,
                    format!("`{}` has no unit", super::show(&rest[..digits])),
                    "units are d, h, m, s and ms",
                ),
            });
        }
        let Some(unit) = UNITS.iter().position(|(name, _)| *name == word) else {
            let help = match word {
                "w" | "week" | "weeks" => "a week is 7d",
                "M" | "min" | "mins" | "minute" | "minutes" => "minutes are m",
                "H" | "hr" | "hrs" | "hour" | "hours" => "hours are h",
                "S" | "sec" | "secs" | "second" | "seconds" => "seconds are s",
                "D" | "day" | "days" => "days are d",
                _ => "units are d, h, m, s and ms",
            };
            let message = format!("`{}` is not a unit of time", super::show(word));
            return Err(fault(at + digits, letters, message, help));
        };
        if unit < next_unit {
            let message = format!("`{word}` does not go here");
            return Err(fault(at + digits, letters, message, "write each unit once, the largest first"));
        }
        next_unit = unit + 1;
        let part = rest[..digits].parse::<i64>().ok().and_then(|n| n.checked_mul(UNITS[unit].1));
        total = part.and_then(|part| total.checked_add(part)).ok_or_else(too_long)?;
        if total > most {
            return Err(too_long());
        }
        at += digits + letters;
    }
    Ok(Span(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_they_are_written() {
        for (text, span) in [
            ("250ms", Span::millis(250)),
            ("2s", Span::seconds(2)),
            ("1h30m", Span::minutes(90)),
            ("7d", Span::seconds(7 * 86_400)),
            ("1d2h3m4s5ms", Span(93_784_005_000)),
            ("0s", Span::ZERO),
            ("366d", Span::seconds(366 * 86_400)),
        ] {
            assert_eq!(parse(text), Ok(span), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_at_its_place() {
        for (text, column, message) in [
            ("", 1, "the duration is empty"),
            ("5", 1, "`5` has no unit"),
            ("1h5", 3, "`5` has no unit"),
            ("m", 1, "a number is wanted here"),
            ("1.5h", 2, "a duration has whole numbers"),
            ("-1s", 1, "a duration has no sign"),
            ("1h 5m", 3, "a duration has no spaces"),
            ("1 h", 2, "a duration has no spaces"),
            ("5min", 2, "`min` is not a unit of time"),
            ("5ſ", 2, "`ſ` is not a unit of time"),
            ("1m1h", 4, "`h` does not go here"),
            ("1h1h", 4, "`h` does not go here"),
            ("367d", 1, "`367d` is longer than 366 days, the limit"),
            ("99999999999999999999s", 1, "`99999999999999999999s` is longer than 366 days, the limit"),
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!((fault.column(text), fault.message.as_str()), (column, message), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_answered_within_its_bounds(text in "\\PC{0,20}") {
            if let Err(fault) = parse(&text) {
                proptest::prop_assert!(text.get(fault.at..fault.at + fault.length).is_some());
            }
        }

        #[test]
        fn what_is_shown_in_two_units_reads_back(seconds in 0i64..86_400) {
            let span = Span::seconds(seconds / 60 * 60);
            proptest::prop_assert_eq!(parse(&span.to_string()), Ok(span));
        }
    }
}
