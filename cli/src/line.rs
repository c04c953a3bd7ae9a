//! One line of coloured text. Knows widths and colours, never what a line is about.

use crate::text::{char_width, fit, sanitize, width};

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// Less important.
    Dim,
    /// More important.
    Bold,
    /// Went well.
    Good,
    /// Went badly.
    Bad,
    /// Needs an eye.
    Warn,
    /// Is going on.
    Busy,
}

impl Tone {
    /// The parameters of SGR (ECMA-48): the sixteen colours alone, which every theme makes readable.
    const fn sgr(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Dim => Some("2"),
            Self::Bold => Some("1"),
            Self::Good => Some("32"),
            Self::Bad => Some("31"),
            Self::Warn => Some("33"),
            Self::Busy => Some("36"),
        }
    }
}

/// A text in one tone, with colour if wanted.
pub fn paint(tone: Tone, text: &str, color: bool) -> String {
    match tone.sgr() {
        Some(sgr) if color && !text.is_empty() => format!("\u{1b}[{sgr}m{text}\u{1b}[0m"),
        _ => text.to_owned(),
    }
}

/// A line made of pieces. What is put into it cannot steer the terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    pieces: Vec<(Tone, String)>,
}

impl Line {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// A line of one piece.
    pub fn of(tone: Tone, text: &str) -> Self {
        Self::new().with(tone, text)
    }

    /// Adds a piece.
    pub fn push(&mut self, tone: Tone, text: &str) {
        if !text.is_empty() {
            self.pieces.push((tone, sanitize(text).into_owned()));
        }
    }

    /// Adds a piece.
    pub fn with(mut self, tone: Tone, text: &str) -> Self {
        self.push(tone, text);
        self
    }

    /// Adds another line's pieces.
    pub fn append(&mut self, other: Self) {
        self.pieces.extend(other.pieces);
    }

    /// Adds a piece of exactly that many columns.
    pub fn column(mut self, tone: Tone, text: &str, columns: usize) -> Self {
        self.push(tone, &fit(&sanitize(text), columns));
        self
    }

    /// The columns that it takes.
    pub fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| width(text)).sum()
    }

    /// The line in at most `columns` columns (`None`: as long as it is), without spaces at its end.
    pub fn render(&self, columns: Option<usize>, color: bool) -> String {
        let cut = columns.filter(|columns| self.width() > *columns);
        let mut left = cut.map_or(usize::MAX, |columns| columns.saturating_sub(1));
        let mut done: Vec<(Tone, String)> = Vec::with_capacity(self.pieces.len() + 1);
        'pieces: for (tone, text) in &self.pieces {
            let mut piece = String::with_capacity(text.len());
            for c in text.chars() {
                let takes = char_width(c);
                if takes > left {
                    done.push((*tone, piece));
                    break 'pieces;
                }
                left -= takes;
                piece.push(c);
            }
            done.push((*tone, piece));
        }
        if cut.is_some_and(|columns| columns > 0) {
            done.push((Tone::Dim, "…".to_owned()));
        }
        while let Some((_, last)) = done.last_mut() {
            last.truncate(last.trim_end().len());
            if !last.is_empty() {
                break;
            }
            done.pop();
        }
        done.iter().map(|(tone, text)| paint(*tone, text, color)).collect()
    }

    /// The line in as many lines of `columns` columns as it needs, broken between words; all but the first are
    /// indented. A word that is longer than a line stays whole, so that it can be copied, and so does what is between
    /// backticks: a command.
    pub fn wrap(&self, columns: usize, indent: usize) -> Vec<Self> {
        let chars: Vec<(Tone, char)> =
            self.pieces.iter().flat_map(|(tone, text)| text.chars().map(|c| (*tone, c))).collect();
        let mut lines = Vec::new();
        let (mut start, mut used, mut behind_space, mut words) = (0, 0, None, false);
        let mut command = false;
        for (place, (_, c)) in chars.iter().enumerate() {
            command ^= *c == '`';
            if *c == ' ' && !command {
                behind_space = words.then_some(place + 1).or(behind_space);
            } else if let Some(cut) = behind_space.filter(|_| used + char_width(*c) > columns) {
                lines.push(Self::of_chars(&chars[start..cut], if start == 0 { 0 } else { indent }));
                used = indent + chars[cut..place].iter().map(|(_, c)| char_width(*c)).sum::<usize>();
                (start, behind_space, words) = (cut, None, true);
            } else {
                words = true;
            }
            used += char_width(*c);
        }
        lines.push(Self::of_chars(&chars[start..], if start == 0 { 0 } else { indent }));
        lines
    }

    fn of_chars(chars: &[(Tone, char)], indent: usize) -> Self {
        let mut line = Self::of(Tone::Plain, &" ".repeat(indent));
        for (tone, c) in chars {
            match line.pieces.last_mut() {
                Some((last, text)) if last == tone => text.push(*c),
                _ => line.pieces.push((*tone, c.to_string())),
            }
        }
        line
    }

    /// The line as plain text.
    #[cfg(test)]
    pub fn plain(&self) -> String {
        self.render(None, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_to_the_terminal() {
        let line = Line::of(Tone::Good, "✓ ").with(Tone::Plain, "日本語 ").with(Tone::Dim, "tail");
        assert_eq!(line.plain(), "✓ 日本語 tail");
        for (columns, expected) in [(13, "✓ 日本語 tail"), (12, "✓ 日本語 ta…"), (6, "✓ 日…"), (1, "…"), (0, "")]
        {
            let text = line.render(Some(columns), false);
            assert_eq!(text, expected);
            assert!(width(&text) <= columns);
        }
    }

    #[test]
    fn colour_is_asked_for() {
        let line = Line::of(Tone::Bad, "no").with(Tone::Plain, " way  ");
        assert_eq!(line.render(None, true), "\u{1b}[31mno\u{1b}[0m way");
        assert_eq!(line.plain(), "no way");
    }

    #[test]
    fn nothing_in_it_steers_the_terminal() {
        assert_eq!(
            Line::of(Tone::Plain, "a\u{1b}[2Jb").column(Tone::Plain, "c\u{7}", 3).with(Tone::Plain, "|").plain(),
            "abc  |"
        );
    }

    #[test]
    fn a_long_line_is_broken_between_words() {
        let line = Line::of(Tone::Dim, "  state: ").with(Tone::Plain, "nobody knows; see /a/long/path/of/a/file now");
        let wrapped = |columns: usize| -> Vec<String> { line.wrap(columns, 4).iter().map(Line::plain).collect() };
        assert_eq!(wrapped(80), [line.plain()]);
        assert_eq!(wrapped(22), ["  state: nobody knows;", "    see", "    /a/long/path/of/a/file", "    now"]);
        assert_eq!(wrapped(30), ["  state: nobody knows; see", "    /a/long/path/of/a/file now"]);
        let words: Vec<String> = wrapped(1).iter().map(|line| line.trim().to_owned()).collect();
        assert_eq!(words, ["state:", "nobody", "knows;", "see", "/a/long/path/of/a/file", "now"]);
        assert_eq!(Line::new().wrap(5, 2), [Line::new()]);
        let line = Line::of(Tone::Plain, "say `runbook list --all` twice");
        let wrapped: Vec<String> = line.wrap(12, 2).iter().map(Line::plain).collect();
        assert_eq!(wrapped, ["say", "  `runbook list --all`", "  twice"]);
    }
}
