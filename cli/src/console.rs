//! Where output goes: data to standard output, talk to standard error, colour only for terminals. The only file
//! that writes to either.

use std::cell::RefCell;
use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write as _};

use clap::ValueEnum;
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::line::{Line, Tone, paint};
use crate::table::Table;

/// Where a terminal does not tell its size.
const COLUMNS: usize = 80;
const ROWS: usize = 24;
/// What follows the first part of a line that is broken between words.
pub const INDENT: usize = 4;

/// The form of data on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// For programs: one JSON object, or one per line where a command streams.
    Json,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The two outputs of the process.
#[derive(Debug)]
pub struct Console {
    /// Whether data is JSON.
    pub json: bool,
    /// Whether talk is left out.
    pub quiet: bool,
    /// Whether standard output is a terminal on which lines can be redrawn.
    pub live: bool,
    /// Whether standard output is a terminal.
    pub out_is_terminal: bool,
    /// Whether a person can be asked: standard input and standard error are terminals.
    pub can_ask: bool,
    /// Whether a person sits there: standard input or standard error is a terminal.
    pub person: bool,
    err_is_terminal: bool,
    color_out: bool,
    color_err: bool,
    out: RefCell<BufWriter<Stdout>>,
}

impl Console {
    /// The console of this process.
    pub fn new(format: Format, color: Color, quiet: bool) -> Self {
        let out_is_terminal = io::stdout().is_terminal();
        let err_is_terminal = io::stderr().is_terminal();
        let in_is_terminal = io::stdin().is_terminal();
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let plain = dumb || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colored = |terminal: bool| match color {
            Color::Auto => terminal && !plain,
            Color::Always => true,
            Color::Never => false,
        };
        Self {
            json: format == Format::Json,
            quiet,
            live: out_is_terminal && !dumb && !quiet && format == Format::Human,
            out_is_terminal,
            can_ask: in_is_terminal && err_is_terminal,
            person: in_is_terminal || err_is_terminal,
            err_is_terminal,
            color_out: colored(out_is_terminal),
            color_err: colored(err_is_terminal),
            out: RefCell::new(BufWriter::new(io::stdout())),
        }
    }

    /// Writes a line of data.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn line(&self, line: &Line) -> Result<()> {
        writeln!(self.out.borrow_mut(), "{}", line.render(None, self.color_out))?;
        Ok(())
    }

    /// Writes a line of data, cut to the terminal if there is one.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn cut_line(&self, line: &Line) -> Result<()> {
        writeln!(self.out.borrow_mut(), "{}", line.render(self.columns(), self.color_out))?;
        Ok(())
    }

    /// Writes a line of data, broken between words on a terminal; all but its first part are indented.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn wrapped_line(&self, line: &Line, indent: usize) -> Result<()> {
        match self.columns() {
            Some(columns) => line.wrap(columns, indent).iter().try_for_each(|line| self.line(line)),
            None => self.line(line),
        }
    }

    /// Writes a line of somebody's data as it is, after a head.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn line_of_data(&self, head: &Line, text: &str) -> Result<()> {
        let mut out = self.out.borrow_mut();
        let head = head.render(None, self.color_out);
        let gap = if head.is_empty() { "" } else { " " };
        writeln!(out, "{head}{gap}{text}")?;
        Ok(())
    }

    /// Writes text as it is.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn raw(&self, text: &str) -> Result<()> {
        self.out.borrow_mut().write_all(text.as_bytes())?;
        Ok(())
    }

    /// Writes a line rendered for redrawing.
    pub fn rendered(&self, line: &Line, columns: Option<usize>) -> String {
        line.render(columns, self.color_out)
    }

    /// Writes a table.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn table(&self, table: &Table) -> Result<()> {
        table.lines(self.columns()).iter().try_for_each(|line| self.cut_line(line))
    }

    /// Writes a JSON value as one line.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn json(&self, value: &Value) -> Result<()> {
        writeln!(self.out.borrow_mut(), "{value}")?;
        Ok(())
    }

    /// Hands what was written to the system: before waiting, and at the end.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn flush(&self) -> Result<()> {
        self.out.borrow_mut().flush()?;
        Ok(())
    }

    /// Says something to the person, unless they want it quiet.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.talk(Tone::Dim, "", text);
        }
    }

    /// Says something that must be seen.
    pub fn warn(&self, text: &str) {
        self.talk(Tone::Warn, "warning: ", text);
    }

    /// Asks a question, leaving the cursor behind it.
    pub fn ask(&self, text: &str) {
        // Where standard error is gone there is nobody to tell.
        let _ = write!(io::stderr(), "{text}");
    }

    /// Tells why the command failed.
    pub fn failure(&self, failure: &Failure) {
        let text = if self.json {
            failure.json().to_string()
        } else {
            let text = self.wrapped_talk(&failure.human());
            match text.strip_prefix("error:") {
                Some(rest) => format!("{}{rest}", paint(Tone::Bad, "error:", self.color_err)),
                None => text,
            }
        };
        // As in `ask`.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Each line broken between words, where standard error is a terminal.
    fn wrapped_talk(&self, text: &str) -> String {
        let Some(columns) = self.err_is_terminal.then(|| columns_of(io::stderr())) else { return text.to_owned() };
        let wrap = |line: &str| Line::of(Tone::Plain, line).wrap(columns, INDENT);
        text.lines().flat_map(wrap).map(|line| line.render(None, false)).collect::<Vec<_>>().join("\n")
    }

    fn talk(&self, tone: Tone, prefix: &str, text: &str) {
        // What was printed before is seen before; where that fails, the next print tells.
        let _ = self.out.borrow_mut().flush();
        let text = crate::text::sanitize(text);
        let line = match prefix {
            "" => paint(tone, &text, self.color_err),
            prefix => format!("{}{text}", paint(tone, prefix, self.color_err)),
        };
        // As in `ask`.
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// The columns of the terminal; `None` where output is not one.
    pub fn columns(&self) -> Option<usize> {
        self.out_is_terminal.then(|| size().0)
    }
}

/// The columns of the terminal behind a descriptor.
fn columns_of(terminal: impl std::os::fd::AsFd) -> usize {
    match rustix::termios::tcgetwinsize(terminal) {
        Ok(size) if size.ws_col > 0 => size.ws_col.into(),
        Ok(_) | Err(_) => COLUMNS,
    }
}

/// Columns and rows of the terminal behind standard output.
pub fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        Ok(_) | Err(_) => (COLUMNS, ROWS),
    }
}
