//! Whatever the text is, an answer comes, and its places lie inside the text.

use proptest::prelude::*;

use super::EXAMPLE;
use crate::language::{Checked, Severity, check};
use crate::limits;

/// Pieces that mean something in YAML, in expressions or in scripts.
const PIECES: [&str; 44] = [
    ":",
    ": ",
    "-",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "\n",
    "\n  ",
    "\n    ",
    "#",
    "&a ",
    "*a",
    "*wait",
    "!",
    "!!str ",
    "|",
    ">",
    "|\n",
    "'",
    "\"",
    "\\",
    "~",
    "%",
    "@",
    "`",
    "?",
    ",",
    "<<: ",
    "---\n",
    "...\n",
    "${{",
    "}}",
    "${{ inputs.keep }}",
    "${{ steps.dump.outputs.bytes }}",
    "needs: [last]",
    "\t",
    "\r\n",
    "\u{feff}",
    "ü",
    "\0",
    "1e999",
    "99999999999999999999",
];

/// Checks what holds for every answer.
fn holds(source: &[u8]) -> Checked {
    let checked = check(source, "test.yaml");
    let errors = checked.findings.iter().filter(|f| f.severity == Severity::Error).count();
    assert_eq!(checked.runbook.is_none(), errors > 0, "{:?}", checked.findings);
    assert!(checked.findings.len() <= limits::FINDINGS);
    let text = std::str::from_utf8(source).unwrap_or("");
    for finding in &checked.findings {
        let spans = std::iter::once(&finding.span).chain(finding.related.iter().map(|(span, _)| span));
        for span in spans.filter(|_| !text.is_empty()) {
            assert!(text.get(span.clone()).is_some(), "{finding:?} lies outside");
        }
        assert!(finding.line >= 1 && finding.column >= 1);
        if !text.is_empty() {
            let before = &text[..finding.span.start];
            assert_eq!(finding.line as usize, before.matches('\n').count() + 1, "{finding:?}");
        }
        assert!(!finding.message.is_empty() && !finding.message.contains('\n'), "{finding:?}");
        assert!(finding.message.len() < 2_000, "{finding:?}");
        assert_eq!(finding.severity, finding.code.severity());
    }
    assert_eq!(check(source, "test.yaml"), checked, "the same text, the same answer");
    checked
}

/// The example with some of it cut out, doubled or replaced.
fn mutated() -> impl Strategy<Value = String> {
    let edit = (any::<proptest::sample::Index>(), 0usize..40, 0..PIECES.len(), 0u8..4);
    proptest::collection::vec(edit, 1..5).prop_map(|edits| {
        let mut text = EXAMPLE.to_owned();
        for (at, length, piece, kind) in edits {
            let boundary = |mut at: usize| {
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                at
            };
            let start = boundary(at.index(text.len() + 1));
            let end = boundary((start + length).min(text.len()));
            match kind {
                0 => text.replace_range(start..end, ""),
                1 => text.insert_str(start, PIECES[piece]),
                2 => text.replace_range(start..end, PIECES[piece]),
                _ => {
                    let again = text[start..end].to_owned();
                    text.insert_str(end, &again);
                }
            }
        }
        text
    })
}

#[test]
fn beginnings_of_the_example_are_answered() {
    for (end, _) in EXAMPLE.char_indices().step_by(3) {
        holds(&EXAMPLE.as_bytes()[..end]);
    }
}

#[test]
fn every_line_left_out_of_the_example_is_answered() {
    let lines: Vec<_> = EXAMPLE.lines().collect();
    for left_out in 0..lines.len() {
        let kept: Vec<_> = lines.iter().enumerate().filter(|(n, _)| *n != left_out).map(|(_, l)| *l).collect();
        holds(kept.join("\n").as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        holds(&bytes);
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        holds(text.as_bytes());
    }

    #[test]
    fn a_spoilt_runbook_is_answered(text in mutated()) {
        holds(text.as_bytes());
    }

    #[test]
    fn any_value_of_any_key_is_answered(
        key in "(name|language|inputs|requires|env|files|timeout|max_parallel|locks|concurrency|attention|defaults|finally|x-a)",
        value in "[a-z0-9:,\\[\\]{}'\" .~$-]{0,30}",
    ) {
        holds(format!("{key}: {value}\nsteps: {{a: {{argv: [a]}}}}\n").as_bytes());
    }

    #[test]
    fn any_value_of_any_key_of_a_step_is_answered(
        key in "(needs|if|run|argv|shell|stdin|env|files|outputs|artifacts|success|retry|timeout|stop|effect|target|verify|pass_env)",
        value in "[a-z0-9:,\\[\\]{}'\" .~$()=-]{0,30}",
    ) {
        holds(format!("name: a\nlanguage: 1\nsteps:\n  a:\n    {key}: {value}\n  b: {{argv: [b]}}\n").as_bytes());
    }
}
