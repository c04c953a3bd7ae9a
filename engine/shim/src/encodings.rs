//! The forms in which a secret value may show up in a program's output. It never knows where the output goes.

use std::collections::BTreeSet;

/// A form of a secret that is looked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Form {
    /// The bytes to look for.
    pub bytes: Vec<u8>,
    /// How they may be written.
    pub way: Way,
}

/// How the bytes of a form may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// As they are.
    Plain,
    /// With line ends in between, which may be escaped, as where base64 is folded.
    Folded,
    /// Each as it is or behind backslashes, as in JSON (also in JSON that is a text of JSON), in programs and in shells: see
    /// the module `escapes`.
    Escaped,
}

/// Values shorter than this are not looked for, in bytes: they are everywhere in ordinary text, and the gaps would give
/// them away.
pub const MIN_SECRET_BYTES: usize = 3;

/// A line of a value with several lines is looked for on its own from this length on, in bytes.
pub const MIN_LINE_BYTES: usize = 8;

/// What is left of a value at some alignment of base64 is looked for from this length on, in bytes.
pub const MIN_BASE64_BYTES: usize = 4;

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// All forms in which `secret` is looked for: plain (also without white space around it, and each long line of it), with
/// escapes as in JSON, in hex, URL-encoded, and in base64 in its three alignments. None for a value that is too short.
pub fn forms(secret: &str) -> BTreeSet<Form> {
    let mut forms = BTreeSet::new();
    let mut add = |bytes: Vec<u8>, way: Way| {
        if bytes.len() >= MIN_SECRET_BYTES {
            forms.insert(Form { bytes, way });
        }
    };
    let trimmed = secret.trim();
    if trimmed.len() < MIN_SECRET_BYTES {
        return forms;
    }
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= MIN_LINE_BYTES);
    for value in [secret, trimmed].into_iter().chain(lines) {
        add(value.as_bytes().to_vec(), Way::Plain);
        if value.bytes().any(|byte| !byte.is_ascii_alphanumeric()) {
            add(value.as_bytes().to_vec(), Way::Escaped);
        }
        for upper in [true, false] {
            add(hex(value.as_bytes(), upper).into_bytes(), Way::Plain);
            for kept in ["-._~", "-._~/", "-._~!'()*", "*-._"] {
                add(percent(value, upper, kept, false).into_bytes(), Way::Plain);
                add(percent(value, upper, kept, true).into_bytes(), Way::Plain);
            }
        }
        for alphabet in [BASE64, BASE64_URL] {
            for alignment in 0..3 {
                let encoded = base64_inner(value.as_bytes(), alignment, alphabet);
                if encoded.len() >= MIN_BASE64_BYTES {
                    add(encoded, Way::Folded);
                }
            }
        }
    }
    forms
}

/// `bytes` as hex digits.
pub fn hex(bytes: &[u8], upper: bool) -> String {
    let digits = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    bytes
        .iter()
        .flat_map(|b| [char::from(digits[usize::from(b >> 4)]), char::from(digits[usize::from(b & 15)])])
        .collect()
}

/// The characters of base64 that depend on `value` alone, when `alignment` bytes (0, 1 or 2) of something else come
/// before it in the same group of three, and anything after it.
fn base64_inner(value: &[u8], alignment: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let bits = value.len() * 8;
    // The first character that starts at or after the value's first bit, in bits from there.
    let first = match alignment {
        0 => 0,
        1 => 4,
        _ => 2,
    };
    let bit = |at: usize| usize::from(value[at / 8] >> (7 - at % 8) & 1);
    (first..)
        .step_by(6)
        .take_while(|at| at + 6 <= bits)
        .map(|at| alphabet[(at..at + 6).fold(0, |n, at| n << 1 | bit(at))])
        .collect()
}

fn percent(value: &str, upper: bool, kept: &str, plus: bool) -> String {
    let mut text = String::with_capacity(value.len() * 3);
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) {
            text.push(char::from(byte));
        } else if plus && byte == b' ' {
            text.push('+');
        } else {
            text.push('%');
            text.push_str(&hex(&[byte], upper));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(secret: &str, form: &str) -> bool {
        forms(secret).iter().any(|f| f.bytes == form.as_bytes() && f.way != Way::Escaped)
    }

    #[test]
    fn every_alignment_of_base64_is_there() {
        // "hunter2!" after 0, 1 and 2 other bytes; what is shared with neighbours is left out.
        assert!(has("hunter2!", "aHVudGVyMi"));
        assert!(has("hunter2!", "h1bnRlcjIh"));
        assert!(has("hunter2!", "odW50ZXIyI"));
        assert!(has(">>>>????", "Pj4-Pj8_Pz"));
    }

    #[test]
    fn other_encodings_are_there() {
        for form in [
            "p w/ü\"",
            "702077 2fc3bc22".replace(' ', "").as_str(),
            "p%20w%2F%C3%BC%22",
            "p+w%2f%c3%bc%22",
            "p%20w/%C3%BC%22",
        ] {
            assert!(has("p w/ü\"", form), "{form}");
        }
    }

    #[test]
    fn short_values_have_no_form_and_lines_have_their_own() {
        assert!(forms("ab").is_empty() && forms(" a\n").is_empty());
        assert!(has("first-line\nsecond-line\n", "second-line"));
        assert!(has("hunter2\n", "hunter2"));
    }
}
