//! Text on a terminal: how wide it is, where to cut it, what of it may be shown. Knows nothing of runs.

use std::borrow::Cow;

/// A tab in a log line becomes this.
const TAB: &str = "    ";

/// Characters that take two columns. Where terminals disagree the wider answer is taken: a line that is too
/// short is calm, one that wraps is not.
const WIDE: &[(u32, u32)] = &[
    (0x1100, 0x115F),
    (0x231A, 0x231B),
    (0x2329, 0x232A),
    (0x23E9, 0x23F3),
    (0x25FD, 0x25FE),
    (0x2600, 0x26FF),
    (0x2705, 0x2705),
    (0x270A, 0x270B),
    (0x2728, 0x2728),
    (0x274C, 0x274E),
    (0x2753, 0x2757),
    (0x2795, 0x2797),
    (0x27B0, 0x27BF),
    (0x2B1B, 0x2B1C),
    (0x2B50, 0x2B55),
    (0x2E80, 0x303E),
    (0x3041, 0xA4CF),
    (0xA960, 0xA97F),
    (0xAC00, 0xD7A3),
    (0xF900, 0xFAFF),
    (0xFE10, 0xFE19),
    (0xFE30, 0xFE6F),
    (0xFF01, 0xFF60),
    (0xFFE0, 0xFFE6),
    (0x16FE0, 0x1B2FF),
    (0x1F000, 0x1FAFF),
    (0x20000, 0x3FFFD),
];

/// Characters that take no column.
const ZERO: &[(u32, u32)] = &[
    (0x0300, 0x036F),
    (0x0483, 0x0489),
    (0x0591, 0x05BD),
    (0x0610, 0x061A),
    (0x064B, 0x065F),
    (0x0E31, 0x0E31),
    (0x0E34, 0x0E3A),
    (0x200B, 0x200F),
    (0x2060, 0x2064),
    (0x20D0, 0x20FF),
    (0xFE00, 0xFE0E),
    (0xFE20, 0xFE2F),
    (0xE0100, 0xE01EF),
];

fn within(table: &[(u32, u32)], c: char) -> bool {
    let c = u32::from(c);
    table
        .binary_search_by(|&(first, last)| {
            if last < c {
                std::cmp::Ordering::Less
            } else if first > c {
                std::cmp::Ordering::Greater
            } else {
                std::cmp::Ordering::Equal
            }
        })
        .is_ok()
}

/// The columns that a character takes.
pub fn char_width(c: char) -> usize {
    if c.is_ascii() {
        usize::from(!c.is_ascii_control())
    } else if within(ZERO, c) {
        0
    } else if within(WIDE, c) {
        2
    } else {
        1
    }
}

/// The columns that a text takes.
pub fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// The text in at most `columns` columns, cut with an ellipsis where it is longer.
pub fn truncate(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut left = columns.saturating_sub(1);
    let mut cut = String::with_capacity(columns + 3);
    for c in text.chars() {
        let takes = char_width(c);
        if takes > left {
            break;
        }
        left -= takes;
        cut.push(c);
    }
    if columns > 0 {
        cut.push('…');
    }
    Cow::Owned(cut)
}

/// The text, cut or filled up with spaces to exactly `columns` columns.
pub fn fit(text: &str, columns: usize) -> String {
    let cut = truncate(text, columns);
    let missing = columns.saturating_sub(width(&cut));
    let mut text = cut.into_owned();
    text.extend(std::iter::repeat_n(' ', missing));
    text
}

/// The text without what could steer a terminal: escape sequences and control characters are left out, tabs
/// become spaces, marks that turn the direction of text are dropped, and so is a broken line's end.
pub fn sanitize(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\t' => clean.push_str(TAB),
            '\n' => clean.push(' '),
            '\u{1b}' => skip_escape(&mut chars),
            c if is_unsafe(c) => {}
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Skips one escape sequence, of which the escape itself is read (ECMA-48: CSI, and strings such as OSC).
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            for c in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    return;
                }
            }
        }
        Some(']' | 'P' | '^' | '_' | 'X') => {
            chars.next();
            while let Some(c) = chars.next() {
                if c == '\u{7}' {
                    return;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    return;
                }
            }
        }
        Some(_) => {
            chars.next();
        }
        None => {}
    }
}

/// A word for a shell, quoted where the shell would make something else of it.
pub fn quoted(word: &str) -> String {
    let word = sanitize(word);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@,+%".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.into_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// `1 step`, `2 steps`.
pub fn plural(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sorted() {
        for table in [WIDE, ZERO] {
            assert!(table.iter().all(|(first, last)| first <= last));
            assert!(table.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }

    #[test]
    fn widths() {
        for (text, expected) in [("abc", 3), ("日本", 4), ("e\u{301}", 1), ("👍", 2), ("✓ ✗ ● …", 7), ("Zażółć", 6)]
        {
            assert_eq!(width(text), expected, "{text}");
        }
    }

    #[test]
    fn cutting_counts_columns() {
        for (text, columns, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
            ("", 0, ""),
        ] {
            assert_eq!(truncate(text, columns), expected);
            assert!(width(&truncate(text, columns)) <= columns);
        }
        assert_eq!(fit("日本語", 4), "日… ");
        assert_eq!(fit("a", 3), "a  ");
    }

    #[test]
    fn nothing_that_steers_the_terminal_is_left() {
        for (text, expected) in [
            ("plain", "plain"),
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link", "link"),
            ("a\tb\rc\u{8}d", "a    bcd"),
            ("x\u{202e}y", "xy"),
            ("end\u{1b}", "end"),
            ("end\u{1b}[3", "end"),
            ("\u{9b}31m", "31m"),
            ("a\nb", "a b"),
        ] {
            assert_eq!(sanitize(text), expected, "{text:?}");
        }
    }
}
