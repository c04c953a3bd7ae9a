//! How a watched run is shown: redrawn in place on a terminal, a line per event elsewhere, JSON lines for programs.
//! Knows no connection, and decides nothing about the run.

use std::rc::Rc;
use std::time::Duration;

use runbook_proto::v1::{Event, EventType, Run, StepStatus};
use serde_json::json;
use tokio::time::Instant;

use crate::console::{Console, INDENT, size};
use crate::event_line::event_line;
use crate::failure::Result;
use crate::frame::{frame, steps};
use crate::line::{Line, Tone};
use crate::model::{Model, is_terminal};
use crate::moment::{Moment, moment};
use crate::report::{headline, summary, to_copy, trouble};
use crate::screen::Screen;
use crate::to_json;

/// The picture is drawn at most this often.
const DRAW_PAUSE: Duration = Duration::from_millis(100);
/// And at least this often, for the spans in it.
const DRAW_PERIOD: Duration = Duration::from_secs(1);
/// At the end at least so many steps stay on the screen, however much is told below them.
const LAST_STEPS: usize = 4;
/// Where nothing but the end is wanted, so many steps say why they failed.
const TROUBLES: usize = 5;
/// The most and the fewest lines of a failed step's log.
const TAIL_LINES: usize = 20;
/// See [`TAIL_LINES`].
const SHORT_TAIL_LINES: usize = 5;

enum Mode {
    Live(Screen),
    Lines,
    Json,
    Quiet,
}

/// What a watched run looks like.
pub struct View {
    console: Rc<Console>,
    mode: Mode,
    drawn_at: Option<Instant>,
    dirty: bool,
    /// While a question is open, nothing is drawn over it.
    paused: bool,
    above: Vec<Line>,
}

impl View {
    /// The view that fits the console.
    pub fn new(console: Rc<Console>) -> Self {
        let mode = if console.json {
            Mode::Json
        } else if console.quiet {
            Mode::Quiet
        } else if console.live {
            Mode::Live(Screen::default())
        } else {
            Mode::Lines
        };
        Self { console, mode, drawn_at: None, dirty: true, paused: false, above: Vec::new() }
    }

    /// Whether the picture is redrawn.
    pub const fn is_live(&self) -> bool {
        matches!(self.mode, Mode::Live(_))
    }

    /// Whether people read it line by line or as a picture.
    pub const fn is_for_people(&self) -> bool {
        matches!(self.mode, Mode::Live(_) | Mode::Lines)
    }

    /// How many lines of a failed step's log are shown: on a terminal the picture stays in sight.
    pub fn tail_lines(&self) -> usize {
        if self.is_live() { (size().1 / 2).clamp(SHORT_TAIL_LINES, TAIL_LINES) } else { TAIL_LINES }
    }

    /// A line that stays, broken between words on a terminal.
    pub fn broken(&self, line: Line) -> Vec<Line> {
        if self.is_live() { line.wrap(size().0, INDENT) } else { vec![line] }
    }

    /// The last lines of a log that have room, broken between words on a terminal.
    pub fn tail(&self, lines: Vec<Line>) -> Vec<Line> {
        if !self.is_live() {
            return lines;
        }
        let mut rows: Vec<Line> = lines.into_iter().flat_map(|line| self.broken(line)).collect();
        rows.drain(..rows.len().saturating_sub(self.tail_lines()));
        rows
    }

    /// Shows where the run stands when the watching begins.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn begin(&self, run: &Run, model: &Model) -> Result<()> {
        match self.mode {
            Mode::Lines if model.last_event == 0 => {
                let name = format!("run {} {}", model.number, model.runbook);
                let back = format!("  (`runbook watch {}` comes back)", model.number);
                self.console.line(&Line::of(Tone::Bold, &name).with(Tone::Dim, &back))?;
            }
            Mode::Json => self.console.json(&json!({"run": to_json::run(run)}))?,
            Mode::Lines if !is_terminal(model.status) => {
                self.console.line(&stamped(Moment::now(), headline(model)))?;
            }
            Mode::Lines | Mode::Live(_) | Mode::Quiet => {}
        }
        self.console.flush()
    }

    /// Shows an event, which the model has folded in.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn event(&mut self, event: &Event, model: &Model) -> Result<()> {
        match self.mode {
            Mode::Json => self.console.json(&json!({"event": to_json::event(event)})),
            // That a condition held is followed by the start.
            Mode::Lines if event.r#type() != EventType::StepReady => {
                let at = moment(event.at.as_ref()).unwrap_or(Moment(0));
                self.console.line(&stamped(at, event_line(event, model)))
            }
            Mode::Lines | Mode::Quiet => Ok(()),
            Mode::Live(_) => {
                self.dirty = true;
                Ok(())
            }
        }
    }

    /// Shows lines that stay: above the picture, or as they are.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn stay(&mut self, lines: Vec<Line>) -> Result<()> {
        match self.mode {
            Mode::Live(_) => {
                self.above.extend(lines);
                self.dirty = true;
                Ok(())
            }
            Mode::Lines => lines.iter().try_for_each(|line| self.console.line(line)),
            Mode::Json | Mode::Quiet => Ok(()),
        }
    }

    /// When the picture is to be drawn next, if ever.
    pub fn next_draw(&self) -> Option<Instant> {
        let pause = if self.dirty { DRAW_PAUSE } else { DRAW_PERIOD };
        (self.is_live() && !self.paused).then(|| self.drawn_at.map_or_else(Instant::now, |at| at + pause))
    }

    /// Draws the picture if it is time; hands on what was written otherwise.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn refresh(&mut self, model: &Model) -> Result<()> {
        match self.next_draw() {
            Some(due) if due <= Instant::now() => self.draw(model, None),
            _ => self.console.flush(),
        }
    }

    /// `last`: the room for the steps in the last picture.
    fn draw(&mut self, model: &Model, last: Option<usize>) -> Result<()> {
        if let Mode::Live(screen) = &mut self.mode {
            let picture = match last {
                // The header says less than what follows the last picture.
                Some(room) => steps(model, Moment::now(), room),
                None => frame(model, Moment::now(), size().1.saturating_sub(1)),
            };
            screen.draw(&self.console, &std::mem::take(&mut self.above), &picture)?;
            self.drawn_at = Some(Instant::now());
            self.dirty = false;
        }
        Ok(())
    }

    /// A question stands below the picture.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// The question was answered with a typed line.
    pub fn go_on(&mut self) {
        self.paused = false;
        self.dirty = true;
        if let Mode::Live(screen) = &mut self.mode {
            // The line with ^C, and the line with the question.
            screen.below();
            screen.below();
        }
    }

    /// The question was left without an answer: what stands there stays.
    pub fn leave(&mut self) {
        if self.paused {
            self.console.ask("\n");
        }
        self.paused = false;
        if let Mode::Live(screen) = &mut self.mode {
            screen.leave();
        }
    }

    /// Shows the end of the watching, with the run as it is then.
    ///
    /// # Errors
    /// Standard output cannot be written.
    pub fn end(&mut self, run: &Run, model: &Model) -> Result<()> {
        if self.paused {
            self.leave();
        }
        match self.mode {
            Mode::Json => self.console.json(&json!({"run": to_json::run(run)}))?,
            Mode::Quiet => {
                self.console.line(&headline(model))?;
                // Nothing else says why.
                let failed = model.steps.iter().filter(|step| step.status == StepStatus::Failed && !step.allow_failure);
                failed.take(TROUBLES).try_for_each(|step| self.console.line(&trouble(step)))?;
            }
            Mode::Lines | Mode::Live(_) => {
                let (summary, to_copy) = (summary(run), to_copy(run, self.console.columns()));
                let below = summary.len() + to_copy.len() + 1;
                self.draw(model, Some(size().1.saturating_sub(below).max(LAST_STEPS)))?;
                summary.iter().try_for_each(|line| self.console.wrapped_line(line, INDENT))?;
                to_copy.iter().try_for_each(|line| self.console.line(line))?;
            }
        }
        self.console.flush()
    }
}

/// A line with its time before it.
pub fn stamped(at: Moment, line: Line) -> Line {
    let mut stamped = Line::of(Tone::Dim, &at.clock());
    stamped.push(Tone::Plain, " ");
    stamped.append(line);
    stamped
}
