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
}
