//! Collects findings: all at once, each once, at most [`FINDINGS`](crate::limits::FINDINGS), errors first when
//! there is no room. Knows positions in the text, never what the text means.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::code::{Code, Severity};
use crate::limits;

/// How many errors, repetitions included, get an exact place and a suggestion.
const PATIENCE: usize = 10 * limits::FINDINGS;

/// Something wrong with a runbook, at its place in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing it is.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub message: String,
    /// The file's name, as it was given.
    pub file: String,
    /// The text that it is about, in bytes; inside the file, on character boundaries, possibly empty.
    pub span: Range<usize>,
    /// The line of the span's start, from 1.
    pub line: u32,
    /// The column of the span's start in characters, from 1.
    pub column: u32,
    /// The line of the span's end, from 1.
    pub end_line: u32,
    /// The column behind the span's end in characters, from 1.
    pub end_column: u32,
    /// What to do about it.
    pub help: Option<String>,
    /// Other places of the same file that belong to it, each with what it is.
    pub related: Vec<(Range<usize>, String)>,
}

impl Finding {
    /// About a file as a whole, such as one that cannot be read.
    pub fn of_file(code: Code, file: &str, message: impl Into<String>, help: Option<&str>) -> Self {
        let mut problem = Problem::new(code, 0..0, message);
        problem.help = help.map(ToOwned::to_owned);
        Self::at(problem, file, &Place::default())
    }

    /// A problem at its place.
    pub(super) fn at(problem: Problem, file: &str, place: &Place) -> Self {
        Self {
            code: problem.code,
            severity: problem.code.severity(),
            message: problem.message,
            file: file.to_owned(),
            span: place.span.clone(),
            line: place.line,
            column: place.column,
            end_line: place.end_line,
            end_column: place.end_column,
            help: problem.help,
            related: problem.related,
        }
    }
}

/// A place in a file, for whoever no longer has its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// In bytes.
    pub span: Range<usize>,
    /// The line of its start, from 1.
    pub line: u32,
    /// The column of its start in characters, from 1.
    pub column: u32,
    /// The line of its end, from 1.
    pub end_line: u32,
    /// The column behind its end in characters, from 1.
    pub end_column: u32,
}

impl Default for Place {
    /// The begin of the file.
    fn default() -> Self {
        Self { span: 0..0, line: 1, column: 1, end_line: 1, end_column: 1 }
    }
}

/// A finding that has no line and column yet.
#[derive(Debug)]
pub(super) struct Problem {
    code: Code,
    span: Range<usize>,
    message: String,
    help: Option<String>,
    related: Vec<(Range<usize>, String)>,
}

impl Problem {
    /// A problem at a place.
    pub fn new(code: Code, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { code, span, message: message.into(), help: None, related: Vec::new() }
    }

    /// What to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What to do about it, if anything is known.
    pub fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }

    /// Another place that belongs to it.
    pub fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }
}

/// The findings of one file so far.
pub(super) struct Report<'a> {
    source: &'a str,
    file: &'a str,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    seen: HashSet<(Code, usize, usize, String)>,
    /// What was suggested for which text.
    suggested: HashMap<String, String>,
    dropped: usize,
    /// Errors that were added, repetitions included.
    offered: usize,
}

impl<'a> Report<'a> {
    /// A report without findings about a text.
    pub fn new(source: &'a str, file: &'a str) -> Self {
        Self {
            source,
            file,
            errors: Vec::new(),
            warnings: Vec::new(),
            seen: HashSet::new(),
            suggested: HashMap::new(),
            dropped: 0,
            offered: 0,
        }
    }

    /// Adds a problem. The same one twice (a node that aliases use again) counts once.
    pub fn add(&mut self, problem: Problem) {
        let list = match problem.code.severity() {
            Severity::Error => {
                self.offered += 1;
                &mut self.errors
            }
            Severity::Warning => &mut self.warnings,
        };
        if list.len() >= limits::FINDINGS {
            self.dropped += 1;
            return;
        }
        let key = (problem.code, problem.span.start, problem.span.end, problem.message.clone());
        if self.seen.insert(key) {
            list.push(problem);
        }
    }

    /// Whether there is an error.
    pub fn failed(&self) -> bool {
        self.offered > 0
    }

    /// Whether one more error is worth an exact place and a suggestion, which cost time.
    pub fn has_room(&self) -> bool {
        self.errors.len() < limits::FINDINGS && self.offered < PATIENCE
    }

    /// A name to suggest for a text: the wanted one, or with a number where it was suggested for another text, so
    /// that who takes all suggestions does not end with one name for two things.
    pub fn suggest(&mut self, text: &str, wanted: String) -> String {
        if !self.has_room() {
            return wanted;
        }
        let mut name = wanted.clone();
        for number in 2..limits::FINDINGS {
            if self.suggested.get(&name).is_none_or(|other| other == text) {
                break;
            }
            name = format!("{wanted}-{number}");
        }
        self.suggested.insert(name.clone(), text.to_owned());
        name
    }

    /// The text that the findings are about.
    pub fn source(&self) -> &'a str {
        self.source
    }

    /// The findings in the order of the file, and how many more there were.
    pub fn finish(self) -> (Vec<Finding>, usize) {
        let Self { source, file, mut errors, mut warnings, mut dropped, .. } = self;
        let room = limits::FINDINGS - errors.len();
        if warnings.len() > room {
            dropped += warnings.len() - room;
            warnings.truncate(room);
        }
        errors.append(&mut warnings);
        errors.sort_by_key(|problem| (problem.span.start, problem.span.end));
        let lines = Lines::new(source);
        let findings = errors
            .into_iter()
            .map(|mut problem| {
                let place = lines.span(source, problem.span.clone());
                for (span, _) in &mut problem.related {
                    *span = clamp(source, span.clone());
                }
                Finding::at(problem, file, &place)
            })
            .collect();
        (findings, dropped)
    }
}

/// The same span, inside the text and on character boundaries: who renders it may rely on that.
fn clamp(source: &str, span: Range<usize>) -> Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(source.len());
        while !source.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(span.start);
    start..floor(span.end).max(start)
}

/// Where lines begin.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    /// The lines of a text.
    pub fn new(source: &str) -> Self {
        let ends = source.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect())
    }

    /// Line and column of a byte offset, both from 1; the column in characters.
    pub fn place(&self, source: &str, at: usize) -> (u32, u32) {
        let line = self.0.partition_point(|start| *start <= at).max(1);
        let start = self.0.get(line - 1).copied().unwrap_or(0);
        // A byte-order mark is not something that the author sees.
        let before = source.get(start..at).unwrap_or("").trim_start_matches('\u{feff}');
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        (number(line), number(before.chars().count() + 1))
    }

    /// The place of a span, which is put on character boundaries inside the text.
    pub fn span(&self, source: &str, span: Range<usize>) -> Place {
        let span = clamp(source, span);
        let (line, column) = self.place(source, span.start);
        let (end_line, end_column) = self.place(source, span.end);
        Place { span, line, column, end_line, end_column }
    }

    /// The byte offset of a line and column, both from 0; the column in characters.
    pub fn offset(&self, source: &str, line: usize, column: usize) -> usize {
        let Some(start) = self.0.get(line).copied() else {
            return source.len();
        };
        let rest = source.get(start..).unwrap_or("");
        rest.char_indices().nth(column).map_or(source.len(), |(at, _)| start + at)
    }
}
