//! What can be told about a script without running it: `${{ }}` in it, and pipes under plain sh.
//! Knows quotes, comments, substitutions and here-documents of POSIX shells, and nothing of what commands do.

use super::code::Code;
use super::item::Item;
use super::names;
use super::report::{Problem, Report};
use crate::definition::Shell;
use crate::limits;

/// Checks the text of `run:`.
pub(super) fn check(item: Item<'_>, text: &str, shell: Shell, report: &mut Report<'_>) {
    if item.is_text() && text.trim().is_empty() {
        report.add(
            Problem::new(Code::OutOfRange, item.span(), "the script is empty")
                .help("leave `run` out, or write what to do"),
        );
    }
    names::no_nul(item, report);
    let fits = names::within(item, "the script", text.len(), limits::SCRIPT_BYTES, "bytes", report);
    if !fits {
        return;
    }
    for (at, _) in text.match_indices("${{") {
        let end = text[at..].find("}}").map_or(at + 3, |length| at + length + 2);
        let inside = text.get(at + 3..end.saturating_sub(2)).unwrap_or("").trim();
        let name = variable(inside);
        report.add(
            Problem::new(
                Code::ExpressionInScript,
                item.locate(at..end, report),
                "data must not become part of a script: a value with a quote or a `;` in it would run as code",
            )
            .help(format!("add `env: {{{name}: \"${{{{ {inside} }}}}\"}}` and write \"${name}\" here")),
        );
    }
    if shell == Shell::Sh
        && let Some(at) = pipe(text)
    {
        report.add(
            Problem::new(
                Code::PipeUnderSh,
                item.locate(at..at + 1, report),
                "under sh only the last command of a pipe can fail the step",
            )
            .help("add `shell: bash`, which sets pipefail"),
        );
    }
}

/// A name for the variable that holds an expression: from its last word.
fn variable(expression: &str) -> String {
    let last = expression
        .rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-'))
        .find(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()))
        .unwrap_or("value");
    last.to_ascii_uppercase().replace('-', "_")
}

/// The place of the first pipe between commands.
fn pipe(script: &str) -> Option<usize> {
    Scanner { text: script.as_bytes(), at: 0, heredocs: Vec::new(), parens: Vec::new(), backticks: 0 }.pipe()
}

/// A here-document that begins after the next line break.
struct Heredoc {
    end: Vec<u8>,
    /// `<<-`: tabs before the end are dropped.
    tabs: bool,
}

/// Goes through a script once, without recursion.
struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    heredocs: Vec<Heredoc>,
    /// What the open parentheses and quotes are, innermost last.
    parens: Vec<Around>,
    /// How many of them are backticks.
    backticks: usize,
}

/// What surrounds the place that is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    /// `( … )`, `$( … )`: commands.
    Commands,
    /// `` `…` ``: commands.
    Backticks,
    /// `$(( … ))`: a number; `|` is bitwise or.
    Arithmetic,
    /// `${ … }`: no commands, until something in it opens some.
    Parameter,
    /// `"…"`: no commands, until something in it opens some.
    Quotes,
    /// `case … in`: `|` is between patterns, until the `)` after them.
    Case,
}

impl Scanner<'_> {
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn pipe(mut self) -> Option<usize> {
        // Whether a word begins here, so that `#` begins a comment.
        let mut word_start = true;
        while self.at < self.text.len() {
            let byte = self.peek(0);
            let around = self.parens.last().copied();
            let quoted = matches!(around, Some(Around::Quotes | Around::Parameter));
            let started_word = word_start;
            word_start = matches!(byte, b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'(' | b')');
            match byte {
                b'\\' => self.at += 1,
                b'\'' if around != Some(Around::Quotes) => self.skip_past(b'\''),
                b'"' if around == Some(Around::Quotes) => drop(self.close()),
                b'"' => self.parens.push(Around::Quotes),
                b'`' if self.backticks > 0 => while self.close() != Some(Around::Backticks) {},
                b'`' => {
                    self.parens.push(Around::Backticks);
                    self.backticks += 1;
                    word_start = true;
                }
                b'$' if self.peek(1) == b'(' && self.peek(2) == b'(' => {
                    self.parens.push(Around::Arithmetic);
                    self.at += 2;
                }
                b'$' if self.peek(1) == b'(' => {
                    self.parens.push(Around::Commands);
                    self.at += 1;
                    word_start = true;
                }
                b'$' if self.peek(1) == b'{' => {
                    self.parens.push(Around::Parameter);
                    self.at += 1;
                }
                b'}' if around == Some(Around::Parameter) => drop(self.close()),
                b')' if around == Some(Around::Arithmetic) && self.peek(1) == b')' => {
                    let _ = self.close();
                    self.at += 1;
                }
                _ if quoted || around == Some(Around::Arithmetic) => {}
                b'#' if started_word => self.skip_line(),
                b'<' if self.peek(1) == b'<' => self.heredoc(),
                b'\n' => {
                    self.at += 1;
                    self.skip_heredocs();
                    continue;
                }
                b'c' if started_word && self.word_is(b"case") => self.parens.push(Around::Case),
                b'e' if started_word && self.word_is(b"esac") => {}
                b'(' if around == Some(Around::Case) => {}
                b'(' => self.parens.push(Around::Commands),
                b')' if around == Some(Around::Case) => drop(self.close()),
                b')' if around == Some(Around::Commands) => drop(self.close()),
                b';' if self.peek(1) == b';' => {
                    // The next patterns, unless `esac` follows.
                    self.at += 2;
                    self.skip_blank();
                    if !self.word_is(b"esac") {
                        self.parens.push(Around::Case);
                    }
                    word_start = true;
                    continue;
                }
                b'>' if self.peek(1) == b'|' => self.at += 1,
                b'|' if self.peek(1) == b'|' => self.at += 1,
                b'|' if around != Some(Around::Case) => return Some(self.at),
                _ => {}
            }
            self.at += 1;
        }
        None
    }

    fn close(&mut self) -> Option<Around> {
        let around = self.parens.pop();
        self.backticks -= usize::from(around == Some(Around::Backticks));
        around
    }

    /// Stands on a byte that opens; goes to the next `byte`.
    fn skip_past(&mut self, byte: u8) {
        self.at += 1;
        while self.at < self.text.len() && self.peek(0) != byte {
            self.at += 1;
        }
    }

    /// Goes to the last byte of the line.
    fn skip_line(&mut self) {
        while self.at + 1 < self.text.len() && self.peek(1) != b'\n' {
            self.at += 1;
        }
    }

    fn skip_blank(&mut self) {
        while matches!(self.peek(0), b' ' | b'\t' | b'\n') {
            self.at += 1;
        }
    }

    fn word_is(&self, word: &[u8]) -> bool {
        self.text[self.at..].starts_with(word)
            && matches!(self.peek(word.len()), 0 | b' ' | b'\t' | b'\n' | b';' | b'&' | b')')
    }

    /// Reads `<<WORD`; stands on its last byte afterwards.
    fn heredoc(&mut self) {
        self.at += 2;
        let tabs = self.peek(0) == b'-';
        self.at += usize::from(tabs);
        while matches!(self.peek(0), b' ' | b'\t') {
            self.at += 1;
        }
        let mut end = Vec::new();
        while !matches!(self.peek(0), 0 | b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')') {
            if !matches!(self.peek(0), b'\'' | b'"' | b'\\') {
                end.push(self.peek(0));
            }
            self.at += 1;
        }
        self.at -= 1;
        if !end.is_empty() {
            self.heredocs.push(Heredoc { end, tabs });
        }
    }

    /// Stands at the start of a line; skips the here-documents that begin here.
    fn skip_heredocs(&mut self) {
        for heredoc in std::mem::take(&mut self.heredocs) {
            while self.at < self.text.len() {
                let rest = &self.text[self.at..];
                let length = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                let mut line = &rest[..length];
                while heredoc.tabs && line.first() == Some(&b'\t') {
                    line = &line[1..];
                }
                self.at = (self.at + length + 1).min(self.text.len());
                if line == heredoc.end {
                    break;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_between_commands_are_found() {
        for script in [
            "pg_dump x | gzip > y",
            "a|b",
            "a |& b",
            "x=$(a | b)",
            "x=\"$(a | b)\"",
            "x=`a | b`",
            "echo \"${x:-$(a | b)}\"",
            "(a; b) | c",
            "# it's a comment\na | b",
            "cat <<E\na | b\nE\nc | d",
            "case x in a|b) c | d;; esac",
            "case x in a) ;; esac\na | b",
            "echo a\\\\ | b",
            "while read -r line; do echo; done <<E | tee x\nhello\nE",
            "$(( 1 + 2 ))\na | b",
            "echo ${#x}\na | b",
            "f() { a | b; }",
        ] {
            assert!(pipe(script).is_some(), "{script}");
        }
    }

    #[test]
    fn what_only_looks_like_a_pipe_is_none() {
        for script in [
            "a || b",
            "echo 'a | b'",
            "echo \"a | b\"",
            "echo a \\| b",
            "# a | b",
            "a # b | c",
            "cat <<'E'\na | b\nE",
            "cat <<-E\n\ta | b\n\tE",
            "cat <<E; echo\na | b\nE\n",
            "case x in a|b) c;; (d|e) f;; esac",
            "case x in\n  a | b)\n    c ;;\n  *) d ;;\nesac",
            "echo $(( 1 | 2 ))",
            "echo \"${x:-a|b}\"",
            "a >| b",
            "grep -E 'a|b' x",
            "",
            "'",
            "<<",
            "$((",
            "\\",
            "echo \"$(echo 'a | b')\"",
        ] {
            assert_eq!(pipe(script), None, "{script}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_script_is_answered(script in "[a-c|'\"`$(){}<;&#\\\\ \n-]{0,60}") {
            if let Some(at) = pipe(&script) {
                proptest::prop_assert_eq!(script.as_bytes()[at], b'|');
            }
        }
    }
}
