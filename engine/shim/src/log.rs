//! The lines of an attempt's `log`, written and read:
//!
//! ```text
//! 2026-11-21T03:23:59.123456Z o a line of standard output
//! 2026-11-21T03:23:59.123460Z e a line of standard error
//! 2026-11-21T03:23:59.123465Z o+the rest of a line of standard output that was cut
//! 2026-11-21T03:24:01.000000Z n a note of the shim's own
//! ```
//!
//! The file is always UTF-8, and no byte of it can move a terminal's cursor. It never knows where lines come from.

use crate::time::{RFC3339_LEN, parse_rfc3339};

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The command's standard output.
    Out,
    /// The command's standard error.
    Err,
    /// The shim.
    Note,
}

impl Stream {
    /// The letter in the log.
    pub fn letter(self) -> char {
        match self {
            Stream::Out => 'o',
            Stream::Err => 'e',
            Stream::Note => 'n',
        }
    }
}

/// A line of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// When the shim read it, in microseconds since 1970.
    pub micros: i64,
    /// Where it comes from.
    pub stream: Stream,
    /// Whether it goes on with the line before it from the same stream: one that was too long, or was written down
    /// before its end had come.
    pub continues: bool,
    /// The text, without an end of line.
    pub text: &'a str,
}

/// Reads a line, without or with its end; `None` for what is no line of a log, such as one torn by a full disk.
pub fn parse_line(line: &str) -> Option<Line<'_>> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    let micros = parse_rfc3339(line.get(..RFC3339_LEN)?)?;
    let rest = line[RFC3339_LEN..].strip_prefix(' ')?;
    let stream = match rest.as_bytes().first()? {
        b'o' => Stream::Out,
        b'e' => Stream::Err,
        b'n' => Stream::Note,
        _ => return None,
    };
    let continues = match rest.as_bytes().get(1)? {
        b' ' => false,
        b'+' => true,
        _ => return None,
    };
    Some(Line { micros, stream, continues, text: &rest[2..] })
}

/// Appends a line with its end to `log`. `time` is the text of [`rfc3339`](crate::time::rfc3339); `text` may be any
/// bytes and is made harmless.
pub fn write_line(log: &mut Vec<u8>, time: &str, stream: Stream, continues: bool, text: &[u8]) {
    log.extend_from_slice(time.as_bytes());
    log.push(b' ');
    log.push(stream.letter() as u8);
    log.push(if continues { b'+' } else { b' ' });
    escape(log, text);
    log.push(b'\n');
}

/// Appends `text` to `log` as UTF-8 without control characters: what is not UTF-8, and every control character but the
/// tab, is written as `\xNN`; `\r` as itself; other characters that change how text is shown as `\u{N}`.
pub fn escape(log: &mut Vec<u8>, text: &[u8]) {
    // Most lines need nothing.
    if text.iter().all(|&b| (b' '..0x7f).contains(&b) || b == b'\t') {
        log.extend_from_slice(text);
        return;
    }
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\t' => log.push(b'\t'),
                '\r' => log.extend_from_slice(b"\\r"),
                c if c.is_ascii_control() => escape_byte(log, c as u8),
                c if changes_display(c) => log.extend_from_slice(format!("\\u{{{:x}}}", u32::from(c)).as_bytes()),
                c => log.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for &byte in chunk.invalid() {
            escape_byte(log, byte);
        }
    }
}

fn escape_byte(log: &mut Vec<u8>, byte: u8) {
    log.extend_from_slice(format!("\\x{byte:02x}").as_bytes());
}

/// Control characters above ASCII, other ends of lines, and marks that turn the direction of text around.
fn changes_display(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::rfc3339;

    fn round(stream: Stream, continues: bool, text: &[u8]) -> String {
        let mut log = Vec::new();
        write_line(&mut log, &rfc3339(1_795_231_439_123_456), stream, continues, text);
        let log = String::from_utf8(log).unwrap();
        let line = parse_line(&log).unwrap();
        assert_eq!((line.micros, line.stream, line.continues), (1_795_231_439_123_456, stream, continues));
        line.text.to_owned()
    }

    #[test]
    fn lines_are_read_back() {
        assert_eq!(round(Stream::Out, false, b"plain\ttext"), "plain\ttext");
        assert_eq!(round(Stream::Err, true, "gr\u{fc}n".as_bytes()), "gr\u{fc}n");
        assert_eq!(round(Stream::Note, false, b""), "");
    }

    #[test]
    fn nothing_harmful_is_left() {
        assert_eq!(
            round(Stream::Out, false, b"\x1b[31mred\x1b[0m\x07\x7f 10%\r20%"),
            "\\x1b[31mred\\x1b[0m\\x07\\x7f 10%\\r20%"
        );
        assert_eq!(round(Stream::Out, false, b"a\xff\xc3b\n"), "a\\xff\\xc3b\\x0a");
        assert_eq!(round(Stream::Out, false, "\u{9b}2J\u{202e}x\u{2028}".as_bytes()), "\\u{9b}2J\\u{202e}x\\u{2028}");
        assert_eq!(round(Stream::Out, false, b"cut \xe2\x82"), "cut \\xe2\\x82");
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for line in [
            "",
            "text",
            "2026-11-21T03:23:59.123456Z",
            "2026-11-21T03:23:59.123456Z o",
            "2026-11-21T03:23:59.123456Z x text",
            "2026-11-21T03:23:59.123456Z o-text",
        ] {
            assert_eq!(parse_line(line), None, "{line}");
        }
    }
}
