//! Regular expressions of `matches`, bounded. Never sees the texts that they are held against.

use regex::{Regex, RegexBuilder};

/// The largest compiled pattern, in bytes. Matching is linear in this and in the text.
const COMPILED_BYTES: usize = 256 << 10;
/// How deep groups may be nested in each other.
const NESTING: u32 = 32;

/// Compiles a pattern; the error says what is wrong with it, on one line.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(COMPILED_BYTES)
        .nest_limit(NESTING)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                format!("the pattern is too large: compiled it has more than {COMPILED_BYTES} bytes")
            }
            // The library draws the pattern with a marker below; its last line is the reason.
            error => {
                let text = error.to_string();
                let reason = text.lines().next_back().unwrap_or_default();
                reason.trim_start_matches("error: ").to_owned()
            }
        })
}
