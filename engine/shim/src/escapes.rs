//! A secret's bytes behind backslashes, as programs write them: JSON by whichever rules (`\"`, `\/`, `\u00f6`), also as a
//! text in other JSON; the languages' own (`\xc3`, `\303`, `\n`); shells (`\$`, `'\''`). It never knows what is done with
//! what it finds.

use crate::redact::Found;

/// What an escape begins with.
pub(crate) const SIGN: u8 = b'\\';

/// So many signs at most stand before a byte, and for each of the secret's own: JSON in JSON in JSON in JSON.
const SIGNS_MAX: usize = 16;

/// A quote, where a shell's quotes are closed for it.
const SHELL_QUOTES: [&[u8]; 2] = [br"'\''", br#"'"'"'"#];

/// A piece of the bytes was read, or cannot be.
enum Read {
    /// It takes so many bytes, and stands for so many of the wanted ones.
    Bytes { taken: usize, met: usize },
    /// It could with more bytes.
    Perhaps,
    /// It stands for something else.
    No,
}

/// Whether `bytes` begin with `wanted`, each byte as it is or escaped. What it says stays so with more bytes, unless that is
/// [`Found::Perhaps`], or no more come: `last`.
pub(crate) fn compare(wanted: &[u8], bytes: &[u8], last: bool) -> Found {
    let (mut met, mut at) = (0, 0);
    while met < wanted.len() {
        // Whatever wrote it made at least one sign of each, and all of them stand together.
        let own = signs(&wanted[met..], wanted.len());
        let most = SIGNS_MAX * (own + 1);
        let there = signs(&bytes[at..], most + 1);
        if there > most {
            return Found::No;
        }
        let ends = at + there == bytes.len();
        if ends && !(last && own > 0 && there >= own && met + own == wanted.len()) {
            return Found::Perhaps;
        }
        if there < own {
            return Found::No;
        }
        (met, at) = (met + own, at + there);
        let Some(next) = wanted.get(met) else { break };
        let read = match there > own {
            false => as_it_is(*next, &bytes[at..], last),
            // A letter or digit is one that was there before only behind a sign that was there before.
            true if bytes[at] == *next && (own > 0 || !next.is_ascii_alphanumeric()) => {
                Read::Bytes { taken: 1, met: 1 }
            }
            true => escaped(&wanted[met..], &bytes[at..]),
        };
        match read {
            Read::Bytes { taken, met: more } => (met, at) = (met + more, at + taken),
            Read::Perhaps => return Found::Perhaps,
            Read::No => return Found::No,
        }
    }
    Found::Yes(at)
}

/// Whether `bytes` begin with an escaped end of line: one byte of it, if it has two.
pub(crate) fn line_end(bytes: &[u8]) -> Found {
    let there = signs(bytes, SIGNS_MAX + 1);
    match bytes.get(there) {
        _ if there == 0 || there > SIGNS_MAX => Found::No,
        None => Found::Perhaps,
        Some(b'n' | b'r') => Found::Yes(there + 1),
        Some(_) => Found::No,
    }
}

/// How many signs `bytes` begin with, as far as that is at most `most`.
fn signs(bytes: &[u8], most: usize) -> usize {
    bytes.iter().take(most).take_while(|byte| **byte == SIGN).count()
}

fn as_it_is(wanted: u8, bytes: &[u8], last: bool) -> Read {
    if wanted == b'\'' {
        for quote in SHELL_QUOTES {
            if bytes.starts_with(quote) {
                return Read::Bytes { taken: quote.len(), met: 1 };
            }
            if quote.starts_with(bytes) && !last {
                return Read::Perhaps;
            }
        }
    }
    if bytes[0] == wanted { Read::Bytes { taken: 1, met: 1 } } else { Read::No }
}

/// Reads what stands behind a sign. There is at least one byte.
fn escaped(wanted: &[u8], bytes: &[u8]) -> Read {
    let control = match bytes[0] {
        b'u' => return unicode(wanted, bytes),
        b'x' => return number(wanted, bytes, 1, 2, 16),
        b'0'..=b'3' => return number(wanted, bytes, 0, 3, 8),
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'f' => 0x0c,
        b'v' => 0x0b,
        b'a' => 0x07,
        b'e' | b'E' => 0x1b,
        _ => return Read::No,
    };
    if wanted[0] == control { Read::Bytes { taken: 1, met: 1 } } else { Read::No }
}

/// `u00f6`, and two of them for a character above U+FFFF.
fn unicode(wanted: &[u8], bytes: &[u8]) -> Read {
    let high = match digits(bytes, 1, 4, 16) {
        Ok(high) => high,
        Err(no) => return no,
    };
    let (code, taken) = if (0xd800..0xdc00).contains(&high) {
        let there = signs(&bytes[5..], SIGNS_MAX + 1);
        let second = 5 + there;
        if there > SIGNS_MAX {
            return Read::No;
        }
        match bytes.get(second) {
            None => return Read::Perhaps,
            Some(b'u') if there > 0 => {}
            Some(_) => return Read::No,
        }
        match digits(bytes, second + 1, 4, 16) {
            Ok(low @ 0xdc00..0xe000) => (0x1_0000 + ((high - 0xd800) << 10 | (low - 0xdc00)), second + 5),
            Ok(_) => return Read::No,
            Err(no) => return no,
        }
    } else {
        (high, 5)
    };
    char::from_u32(code).map_or(Read::No, |c| character(wanted, c, taken))
}

/// `xc3` and `303`: a byte, or, where a program counts in characters, one of those.
fn number(wanted: &[u8], bytes: &[u8], from: usize, length: usize, radix: u32) -> Read {
    match digits(bytes, from, length, radix).map(u8::try_from) {
        Ok(Ok(byte)) if byte == wanted[0] => Read::Bytes { taken: from + length, met: 1 },
        Ok(Ok(byte)) => character(wanted, char::from(byte), from + length),
        Ok(Err(_)) => Read::No,
        Err(no) => no,
    }
}

fn character(wanted: &[u8], c: char, taken: usize) -> Read {
    let mut buffer = [0; 4];
    let encoded = c.encode_utf8(&mut buffer).as_bytes();
    if wanted.starts_with(encoded) { Read::Bytes { taken, met: encoded.len() } } else { Read::No }
}

/// The number that `length` digits from `from` on are.
fn digits(bytes: &[u8], from: usize, length: usize, radix: u32) -> Result<u32, Read> {
    let mut number = 0;
    for at in from..from + length {
        let byte = *bytes.get(at).ok_or(Read::Perhaps)?;
        number = number * radix + char::from(byte).to_digit(radix).ok_or(Read::No)?;
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `text` is `secret` to its last byte, and every beginning of it could become that.
    fn is(secret: &str, text: &str) -> bool {
        let bytes = text.as_bytes();
        let whole = compare(secret.as_bytes(), &[bytes, b" "].concat(), false) == Found::Yes(bytes.len());
        assert_eq!(whole, compare(secret.as_bytes(), bytes, true) == Found::Yes(bytes.len()), "{secret:?} at the end");
        for end in 1..bytes.len() {
            let begun = compare(secret.as_bytes(), &bytes[..end], false);
            assert!(!whole || begun == Found::Perhaps, "{secret:?} in {:?}: {begun:?}", &text[..end]);
        }
        whole
    }

    #[test]
    fn escapes_of_json_languages_and_shells_are_read() {
        for (secret, texts) in [
            ("x\"y", &[r#"x"y"#, r#"x\"y"#, r#"x\\\"y"#, r"x\u0022y", r"x\\u0022y", r"x\x22y", r"x\042y"][..]),
            (
                "W\u{f6}r",
                &["W\u{f6}r", r"W\u00f6r", r"W\u00F6r", r"W\\\\u00f6r", r"W\xc3\xb6r", r"W\xf6r", r"W\303\266r"],
            ),
            ("a\u{1f600}b", &[r"a\ud83d\ude00b", r"a\\uD83D\\uDE00b"]),
            ("a/b", &["a/b", r"a\/b"]),
            (r"a\b", &[r"a\b", r"a\\b", r"a\\\\b"]),
            (r"a\nb", &[r"a\nb", r"a\\nb"]),
            (r#"a\"b"#, &[r#"a\"b"#, r#"a\\\"b"#]),
            ("a\\\u{f6}", &[r"a\\\u00f6"]),
            ("a\nb\t", &[r"a\nb\t", r"a\\nb\\t", r"a\u000ab\u0009", "a\nb\t"]),
            ("a<&>b", &[r"a\u003c\u0026\u003eb", r"a\<\&\>b"]),
            ("it's", &["it's", r"it'\''s", r#"it'"'"'s"#, r"it\'s"]),
            ("a $b!", &[r"a\ \$b\!"]),
            ("\"ab", &[r#"\"ab"#, r#"\\\"ab"#]),
            (r"ab\", &[r"ab\", r"ab\\", r"ab\\\\"]),
            ("ab'", &["ab'", r"ab'\''", r"ab\'"]),
        ] {
            for text in texts {
                assert!(is(secret, text), "{secret:?} is in {text}");
            }
        }
    }

    #[test]
    fn what_stands_for_something_else_is_no_secret() {
        for (secret, text) in [
            ("anb", r"a\nb"),
            ("a-b", r"\a-b"),
            ("a-b", r"a-\b"),
            (r"a\\b", r"a\b"),
            ("W\u{f6}r", r"W\u00f7r"),
            ("a\u{1f600}b", r"a\ud83db"),
            ("a\u{1f600}b", r"a\ud83d\ud83db"),
            ("x\"y", r"x\u002zy"),
        ] {
            assert!(!is(secret, text), "{secret:?} is not in {text}");
        }
        // A file of backslashes is not held back.
        assert_eq!(compare(b"a-b", &[SIGN; 40], false), Found::No);
    }
}
