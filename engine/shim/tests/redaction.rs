//! Hiding secrets in a stream: wherever the chunks are cut, the result is the same, and no form of a secret is in it.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use runbook_shim::encodings::{forms, hex};
use runbook_shim::redact::{Held, MARK, Redactor};

/// A small generator, so that a failure can be repeated: its seed is in the message.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

fn in_chunks(redactor: &Redactor, bytes: &[u8], mut length: impl FnMut() -> usize) -> Vec<u8> {
    let (mut held, mut clean, mut rest) = (Held::default(), Vec::new(), bytes);
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(length().clamp(1, rest.len()));
        redactor.redact(&mut held, chunk, &mut clean);
        rest = later;
    }
    redactor.finish(&mut held, &mut clean);
    clean
}

/// Whether a secret is found in `bytes` that come in chunks.
fn met(redactor: &Redactor, bytes: &[u8], mut length: impl FnMut() -> usize) -> bool {
    let (mut held, mut rest) = (Held::default(), bytes);
    while !rest.is_empty() {
        let (chunk, later) = rest.split_at(length().clamp(1, rest.len()));
        if redactor.meets(&mut held, chunk, false) {
            return true;
        }
        rest = later;
    }
    redactor.meets(&mut held, b"", true)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Base64 as any program writes it.
fn base64(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number = group.iter().chain([0, 0].iter()).take(3).fold(0usize, |n, b| n << 8 | usize::from(*b));
        for place in 0..4 {
            text.push(if place > group.len() { '=' } else { char::from(alphabet[number >> (18 - 6 * place) & 63]) });
        }
    }
    text
}

/// As encoders of JSON write a text: with what is not ASCII as it is, or not.
fn json(text: &str, ascii: bool) -> String {
    let quoted = serde_json::to_string(text).unwrap();
    let text = &quoted[1..quoted.len() - 1];
    let escape = |c: char| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) };
    if ascii { text.chars().map(escape).collect() } else { text.to_owned() }
}

#[test]
fn cuts_never_matter_and_nothing_of_a_secret_stays() {
    for seed in 1..400 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        // Few letters, so that beginnings of secrets and overlaps are everywhere.
        let word = |random: &mut Random, min: usize, spread: usize| -> String {
            let length = min + random.below(spread);
            (0..length)
                .map(|_| {
                    ['a', 'b', '/', '+', ' ', 'ü', '\n', '"', '\\', '\''][random.below(if length > 4 { 10 } else { 2 })]
                })
                .collect()
        };
        let secrets: Vec<String> = (0..1 + random.below(3)).map(|_| word(&mut random, 3, 12)).collect();
        let redactor = Redactor::new(secrets.iter().map(String::as_str));
        let mut text = Vec::new();
        for _ in 0..random.below(20) {
            let secret = secrets[random.below(secrets.len())].clone();
            let piece = match random.below(11) {
                0 => secret,
                1 => hex(secret.as_bytes(), true),
                2 => base64(secret.as_bytes()),
                3 => json(&base64(format!("x{secret}").as_bytes()).replace('Y', "Y\n"), true),
                4 => base64(format!("xy{secret}z").as_bytes()),
                5 => secret.chars().take(2).collect(),
                6 => json(&secret, false),
                7 => json(&secret, true),
                8 => json(&json(&secret, true), true),
                9 => secret.replace('\'', "'\\''"),
                _ => word(&mut random, 0, 10),
            };
            text.extend_from_slice(piece.as_bytes());
        }
        let whole = in_chunks(&redactor, &text, || usize::MAX);
        assert_eq!(in_chunks(&redactor, &text, || 1), whole, "seed {seed}, one by one");
        assert_eq!(in_chunks(&redactor, &text, || 1 + random.below(7)), whole, "seed {seed}, at random");
        assert_eq!(redactor.is_in(&text), whole != text, "seed {seed}");
        assert_eq!(met(&redactor, &text, || 1), whole != text, "seed {seed}, one by one");
        assert_eq!(met(&redactor, &text, || 1 + random.below(7)), whole != text, "seed {seed}, at random");
        for form in secrets.iter().flat_map(|secret| forms(secret)) {
            // A form made of the mark's own letters, or of what stands around it, cannot come from these texts.
            assert!(
                !contains(&whole, &form.bytes),
                "seed {seed}: {:?} in {:?}",
                String::from_utf8_lossy(&form.bytes),
                String::from_utf8_lossy(&whole)
            );
        }
        for secret in secrets.iter().filter(|secret| !forms(secret).is_empty()) {
            let shell = secret.replace('\'', "'\\''");
            for form in [json(secret, false), json(secret, true), json(&json(secret, true), true), shell] {
                let shown = String::from_utf8_lossy(&whole);
                assert!(!contains(&whole, form.as_bytes()), "seed {seed}: {form} in {shown}");
            }
        }
    }
}

#[test]
fn a_secret_in_json_is_hidden_to_the_last_byte() {
    let secret = "s3cr3t/W\u{f6}rd+77!x\"y";
    let redactor = Redactor::new([secret]);
    for (form, mark) in [
        (json(secret, false), MARK),
        (json(secret, true), MARK),
        (json(&json(secret, true), false), MARK),
        ("s3cr3t\\/W\\u00F6rd\\u002b77!x\\\"y".to_owned(), MARK),
        ("s3cr3t/W\u{f6}rd+77\\!x\\\"y".to_owned(), MARK),
        ("$'s3cr3t/W\\303\\266rd+77!x\"y'".to_owned(), "$'***'"),
    ] {
        assert_eq!(redactor.text(&format!("{{{form}}}")), format!("{{{mark}}}"), "{form}");
        assert!(redactor.is_in(form.as_bytes()), "{form}");
        for cut in 1..form.len() {
            let (mut held, bytes) = (Held::default(), form.as_bytes());
            let met = [(&bytes[..cut], false), (&bytes[cut..], true)];
            assert!(met.iter().any(|(part, last)| redactor.meets(&mut held, part, *last)), "{form} cut at {cut}");
        }
    }
}

#[test]
fn what_is_no_secret_stays_as_it_is() {
    let redactor = Redactor::new(["correct horse", "battery"]);
    for text in ["", "correct hors", "batter batter", "Correct Horse", "\u{fc}\0\u{1}"] {
        assert_eq!(redactor.text(text), text);
        assert_eq!(in_chunks(&redactor, text.as_bytes(), || 1), text.as_bytes());
    }
    assert!(Redactor::new(["ab", "", " \n"]).is_empty(), "what is too short cannot be hidden");
    assert_eq!(Redactor::default().text("anything"), "anything");
}

#[test]
fn overlapping_secrets_are_covered_to_the_last_byte() {
    let redactor = Redactor::new(["abcdef", "defghi", "cde"]);
    assert_eq!(redactor.text("xabcdefghiy"), format!("x{MARK}y"));
    assert_eq!(redactor.text("abcdefabcdef"), format!("{MARK}{MARK}"));
    assert_eq!(in_chunks(&redactor, b"xabcdefghiy", || 1), format!("x{MARK}y").as_bytes());
}

#[test]
fn folded_base64_is_found_and_empty_lines_hold_nothing_back() {
    let secret = "0123456789".repeat(10);
    let redactor = Redactor::new([secret.as_str()]);
    let encoded = base64(secret.as_bytes());
    for end in ["\n", "\r\n", "\\n", "\\r\\n", "\\\\n"] {
        let folded: Vec<&str> = [&encoded[..76], &encoded[76..]].to_vec();
        let text = folded.join(end);
        assert_eq!(redactor.text(&text), format!("{MARK}Q=="), "the last character holds two bits of the last byte");
    }
    // The beginning of a secret, then nothing but ends of lines: they come through.
    let (mut held, mut clean) = (Held::default(), Vec::new());
    redactor.redact(&mut held, &encoded.as_bytes()[..10], &mut clean);
    assert!(clean.is_empty());
    redactor.redact(&mut held, b"\n\n\n", &mut clean);
    assert_eq!(clean, format!("{}\n\n\n", &encoded[..10]).as_bytes());
}

#[test]
fn nothing_of_the_secrets_shows_when_a_redactor_does() {
    let redactor = Redactor::new(["correct horse"]);
    assert!(!format!("{redactor:?}").contains("horse"));
}
