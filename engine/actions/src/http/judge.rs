//! What is made of an answer: its body read, its conditions asked, its status as what it means for a second try. Pure.

use std::time::SystemTime;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use runbook_core::action::{DONE, FAILED, LATER, NOBODY_KNOWS};
use runbook_core::calendar::Date;
use runbook_core::limits;
use runbook_core::time::Span;
use serde_json::Value;

use super::request::{Answer, Request};
use crate::inside::Done;

/// How much of a body a message repeats, in characters.
const SHOWN: usize = 60;

/// The exit code of an answer with a status that is not as expected.
pub(super) fn code_of(status: StatusCode, repeatable: bool) -> i32 {
    match status.as_u16() {
        // It says itself that nothing was done, or that it is only not now.
        408 | 425 | 429 | 503 => LATER,
        500 | 502 | 504 if repeatable => LATER,
        // A gateway speaks of its own trouble: what is behind it may have done the work.
        502 | 504 => NOBODY_KNOWS,
        _ => FAILED,
    }
}

/// The body as what the step wants of it.
pub(super) fn read(request: &Request, bytes: Vec<u8>) -> Done {
    let mut done = Done::with(DONE, "");
    match request.answer {
        Answer::Nothing | Answer::File => {}
        Answer::Text => match String::from_utf8(bytes) {
            Ok(text) => {
                done.outputs.insert("body".to_owned(), Value::from(text));
            }
            Err(_) => return Done::with(FAILED, "the body of the answer is not UTF-8; write `answer: file`"),
        },
        Answer::Json => match serde_json::from_slice::<Value>(&bytes) {
            Ok(value) => {
                done.outputs.insert("json".to_owned(), value);
            }
            Err(error) => {
                let begin: String = String::from_utf8_lossy(&bytes).chars().take(SHOWN).collect();
                let at = format!("line {}, column {}", error.line(), error.column());
                return Done::with(FAILED, format!("the body of the answer is no JSON at {at}; it begins: {begin}"));
            }
        },
    }
    done
}

/// Asks the conditions about an answer that was read.
pub(super) fn judge(request: &Request, mut done: Done) -> Done {
    if let Some(condition) = &request.expect {
        let message = match condition.holds(&done.outputs) {
            Ok(true) => None,
            Ok(false) => Some(format!("the answer is not as expected: {} is false", condition.source())),
            Err(problem) => Some(format!("expect: {problem}")),
        };
        if let Some(message) = message {
            return Done { code: FAILED, message, ..done };
        }
    }
    if let Some(condition) = &request.happened {
        match condition.holds(&done.outputs) {
            Ok(happened) => {
                let answer = if happened { "yes" } else { "no" };
                done.outputs.insert("happened".to_owned(), Value::from(answer));
            }
            Err(problem) => return Done { code: FAILED, message: format!("happened: {problem}"), ..done },
        }
    }
    done
}

/// How long the server wants to be left alone: seconds, or a date of HTTP.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Span> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(http_date(text)?);
            at.duration_since(now).ok()?.as_secs() + 1
        }
    };
    Some(Span::seconds(i64::try_from(seconds).unwrap_or(i64::MAX).min(limits::RETRY_AFTER_SECONDS)))
}

/// A date as servers write it, `Sun, 06 Nov 1994 08:49:37 GMT`, in seconds since 1970. The two older forms are refused.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day: u32 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = u32::try_from(MONTHS.iter().position(|month| *month == name)?).ok()? + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let mut time = words.next()?.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    if words.next()? != "GMT" || !(1970..=9999).contains(&year) || !(1..=31).contains(&day) {
        return None;
    }
    let days = Date { year, month, day }.days();
    u64::try_from(days * 86_400 + hour * 3_600 + minute * 60 + second).ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn what_a_status_means_depends_on_what_a_second_try_does() {
        let code = |status: u16, repeatable| code_of(StatusCode::from_u16(status).unwrap(), repeatable);
        for (status, read, write) in [
            (429, LATER, LATER),
            (503, LATER, LATER),
            (500, LATER, FAILED),
            (502, LATER, NOBODY_KNOWS),
            (504, LATER, NOBODY_KNOWS),
            (404, FAILED, FAILED),
            (301, FAILED, FAILED),
        ] {
            assert_eq!((code(status, true), code(status, false)), (read, write), "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_bounded() {
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
        let after = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(text).unwrap())]);
            retry_after(&headers, now).map(|span| span.0 / 1_000_000)
        };
        assert_eq!(after("7"), Some(7));
        assert_eq!(after("864000"), Some(limits::RETRY_AFTER_SECONDS));
        assert_eq!(after("Sun, 06 Nov 1994 08:50:37 GMT"), Some(61));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:36 GMT"), None);
        assert_eq!(after("soon"), None);
    }
}
