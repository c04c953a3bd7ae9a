//! The line of a text that a finding is about, with what it is about marked. A long line is cut to what is near, so that
//! the answer stays small however many findings it has. Never knows what the text means.

use runbook_proto::v1::Finding;

use crate::line::{Line, Tone};
use crate::text::{sanitize, width};

/// The longest line that is shown whole, in characters.
const WHOLE: usize = 160;
/// How much of a longer one is shown before what the finding is about, in characters.
const BEFORE: usize = 40;
/// How much is shown from there on, in characters.
const FROM: usize = 80;
/// What stands for what was cut.
const CUT: &str = "…";

/// A text by its lines.
#[derive(Debug)]
pub struct Text<'a>(Vec<&'a str>);

impl<'a> Text<'a> {
    /// The lines of a text.
    pub fn new(text: &'a str) -> Self {
        Self(text.lines().collect())
    }

    /// The line of a finding, and the mark under it; nothing where the text has no such line.
    pub fn around(&self, finding: &Finding, tone: Tone) -> Vec<Line> {
        let line = (finding.line as usize).checked_sub(1).and_then(|line| self.0.get(line));
        let Some(line) = line else { return Vec::new() };
        let column = (finding.column as usize).saturating_sub(1);
        let length = match finding.end_line > finding.line {
            true => usize::MAX,
            false => (finding.end_column.saturating_sub(finding.column) as usize).max(1),
        };
        let (before, from) = line.split_at(offset(line, column));
        let long = offset(line, WHOLE) < line.len();
        let (before, cut_before) = if long { last(before, BEFORE) } else { (before, false) };
        let (from, cut_after) = if long { first(from, FROM) } else { (from, false) };
        let mark = width(&sanitize(first(from, length).0)).max(1);
        let lead = |cut: bool| if cut { CUT } else { "" };
        let number = finding.line.to_string();
        let indent = " ".repeat(width(&sanitize(before)) + width(lead(cut_before)));
        let shown = format!("{}{before}{from}{}", lead(cut_before), lead(cut_after));
        vec![
            Line::of(Tone::Dim, &format!("  {number} | ")).with(Tone::Plain, &shown),
            Line::of(Tone::Dim, &format!("  {} | {indent}", " ".repeat(number.len()))).with(tone, &"^".repeat(mark)),
        ]
    }
}

/// Where a character stands, in bytes; the end of the text when there are fewer.
fn offset(text: &str, characters: usize) -> usize {
    let mut rest = text.chars();
    // The standard library passes over many characters at once in this one way only.
    if let Some(last) = characters.checked_sub(1) {
        rest.nth(last);
    }
    text.len() - rest.as_str().len()
}

/// So many characters of the begin, and whether there are more.
fn first(text: &str, characters: usize) -> (&str, bool) {
    let at = offset(text, characters);
    (&text[..at], at < text.len())
}

/// So many characters of the end, and whether there are more.
fn last(text: &str, characters: usize) -> (&str, bool) {
    let at = text.char_indices().nth_back(characters.saturating_sub(1)).map_or(0, |(at, _)| at);
    (&text[at..], at > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, line: u32, column: u32, end: (u32, u32)) -> Vec<String> {
        let finding = Finding { line, column, end_line: end.0, end_column: end.1, ..Finding::default() };
        Text::new(text).around(&finding, Tone::Bad).iter().map(Line::plain).collect()
    }

    #[test]
    fn all_of_it_is_marked() {
        assert_eq!(shown("a\n  rnu: x\n", 2, 3, (2, 6)), ["  2 |   rnu: x", "    |   ^^^"]);
        assert_eq!(shown("a\n  rnu: x\n", 2, 3, (3, 1)), ["  2 |   rnu: x", "    |   ^^^^^^"]);
        assert_eq!(shown("ab", 1, 3, (1, 3)), ["  1 | ab", "    |   ^"]);
        assert_eq!(shown("\tストstep: 1", 1, 3, (1, 4)).len(), 2);
        assert!(shown("a", 9, 1, (9, 1)).is_empty());
    }

    #[test]
    fn a_long_line_is_cut_to_what_is_near() {
        let text = format!("{}need{}", "ü".repeat(3_000_000), "x".repeat(3_000_000));
        let lines = shown(&text, 1, 3_000_001, (1, 3_000_005));
        assert_eq!(lines[0], format!("  1 | …{}need{}…", "ü".repeat(40), "x".repeat(76)));
        assert_eq!(lines[1], format!("    | {}^^^^", " ".repeat(41)));
        let all = shown(&text, 1, 1, (2, 1));
        assert!(all[0].len() < 400 && all[1].len() < 400, "{all:?}");
    }
}
