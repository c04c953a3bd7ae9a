//! Regular expressions of `matches`, bounded in size and in what matching costs. Knows the texts only while it
//! matches them.

use regex::{Regex, RegexBuilder};

/// The sizes of a compiled pattern that are told apart, in bytes, and the units of work that each costs per byte
/// of text. Matching takes time in proportion to text and pattern; its worst is about 180 ns per unit.
const SIZES: [(usize, u64); 4] = [(1 << 10, 1), (8 << 10, 8), (64 << 10, 64), (512 << 10, 512)];
/// How deep groups may be nested in each other.
const NESTING: u32 = 32;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    regex: Regex,
    /// The units of work that a byte of text costs.
    units: u64,
}

impl Pattern {
    /// Compiles a pattern; the error says what is wrong with it, on one line.
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        for (size, units) in SIZES {
            let built = RegexBuilder::new(source).size_limit(size).dfa_size_limit(size).nest_limit(NESTING).build();
            match built {
                Ok(regex) => return Ok(Self { regex, units }),
                Err(regex::Error::CompiledTooBig(_)) => {}
                // The library draws the pattern with a marker below; its last line is the reason.
                Err(error) => {
                    let text = error.to_string();
                    let reason = text.lines().next_back().unwrap_or_default();
                    return Err(reason.trim_start_matches("error: ").to_owned());
                }
            }
        }
        Err("it is too large once its repetitions are written out; \\w and \\d stand for all of Unicode, and \
            [a-z0-9_] and [0-9] are far smaller"
            .to_owned())
    }

    /// What matching a text of this length may cost, in units of work.
    pub(super) fn work(&self, bytes: usize) -> u64 {
        self.units.saturating_mul(bytes as u64)
    }

    /// Whether some part of the text matches.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}
