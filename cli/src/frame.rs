//! The live picture of a run: a header, one row for each step, and counts where not all have room. A pure function of
//! the model, the time and the size; knows no terminal.

use runbook_proto::v1::StepStatus;

use crate::event_line::run_tone;
use crate::line::{Line, Tone};
use crate::model::{Model, Running, Step, is_terminal};
use crate::moment::{Moment, running_span, span};
use crate::path;
use crate::text::{plural, quoted, width};
use crate::to_json::{run_status, step_status};

/// The column of the steps' names is at most this wide.
const NAME_COLUMNS: usize = 28;
/// The column of the spans is at least this wide, so that it seldom grows: `340 ms`.
const SPAN_COLUMNS: usize = 6;
/// A step that waits names so many of the steps that it waits for.
const NAMED_NEEDS: usize = 3;

/// The picture in at most `rows` lines.
pub fn frame(model: &Model, now: Moment, rows: usize) -> Vec<Line> {
    let mut lines = vec![header(model, now)];
    if let Some(first) = model.waits_for.first() {
        let more = match model.waits_for.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        lines.push(Line::of(Tone::Plain, "  waits for ").with(Tone::Warn, first).with(Tone::Dim, &more));
    }
    let room = rows.saturating_sub(lines.len()).max(1);
    let cut = room < model.steps.len();
    lines.extend(steps(model, now, if cut { room.saturating_sub(1).max(1) } else { room }));
    if cut {
        lines.push(Line::of(Tone::Dim, &format!("  {}", counts(model))));
    }
    lines
}

fn header(model: &Model, now: Moment) -> Line {
    let done = model.steps.iter().filter(|step| step.is_terminal()).count();
    let end = model.finished.unwrap_or(now);
    let elapsed = model.began.map(|began| running_span(end.since(began))).unwrap_or_default();
    Line::of(Tone::Bold, &format!("run {} {}", model.number, model.runbook))
        .with(Tone::Plain, "  ")
        .with(run_tone(model.status), &run_status(model.status).replace('_', " "))
        .with(Tone::Plain, &format!("  {elapsed}"))
        .with(Tone::Dim, &format!("  {done} of {} done", plural(model.steps.len() as u64, "step")))
}

/// How many steps are in each status, in words.
pub fn counts(model: &Model) -> String {
    let parts: Vec<String> = model
        .counts()
        .iter()
        .map(|(status, count)| format!("{count} {}", step_status(*status).replace('_', " ")))
        .collect();
    format!("{}: {}", plural(model.steps.len() as u64, "step"), parts.join(", "))
}

/// The rows of at most `room` steps, in the runbook's order: all, and where that is too much, those that need an eye
/// first, then what goes on, what is next, what ended last.
pub fn steps(model: &Model, now: Moment, room: usize) -> Vec<Line> {
    let shown = choose(model, room);
    let whole = shown.len() == model.steps.len();
    let rows: Vec<Row<'_>> =
        shown.into_iter().map(|step| Row { name: name(step, whole), ..row(model, step, now) }).collect();
    let names = rows.iter().map(|row| width(&row.name)).max().unwrap_or(0).min(NAME_COLUMNS);
    let times = rows.iter().map(|row| width(&row.time)).max().filter(|widest| *widest > 0);
    rows.iter().map(|row| row.line(names, times.map(|widest| widest.max(SPAN_COLUMNS)))).collect()
}

/// What a step is called in its row: in a whole tree, steps of child runs stand further in and need no path.
fn name(step: &Step, whole: bool) -> String {
    match path::depth(&step.id) {
        0 => step.id.clone(),
        depth if whole => format!("{}{}", "  ".repeat(depth), path::last(&step.id)),
        _ => step.id.clone(),
    }
}

fn choose(model: &Model, room: usize) -> Vec<&Step> {
    let mut shown: Vec<(usize, &Step)> = model.steps.iter().enumerate().collect();
    if shown.len() > room {
        shown.sort_by_key(|(place, step)| (rank(model, step), -step.ended.map_or(0, |at| at.0), *place));
        shown.truncate(room);
        shown.sort_by_key(|(place, _)| *place);
    }
    shown.into_iter().map(|(_, step)| step).collect()
}

fn rank(model: &Model, step: &Step) -> u8 {
    match step.status {
        StepStatus::Unknown | StepStatus::RollbackFailed => 0,
        StepStatus::Failed => 1,
        StepStatus::Running | StepStatus::Retrying | StepStatus::Waiting | StepStatus::RollingBack => 2,
        StepStatus::Pending | StepStatus::Unspecified if model.is_next(step) => 3,
        StepStatus::Canceled => 4,
        StepStatus::Succeeded | StepStatus::Skipped | StepStatus::RolledBack => 5,
        StepStatus::Pending | StepStatus::Unspecified => 6,
    }
}

/// The sign and the colour of a step's status.
pub const fn sign(status: StepStatus) -> (&'static str, Tone) {
    match status {
        StepStatus::Succeeded => ("✓", Tone::Good),
        StepStatus::Failed => ("✗", Tone::Bad),
        StepStatus::Skipped => ("–", Tone::Dim),
        StepStatus::Canceled => ("–", Tone::Warn),
        StepStatus::RolledBack => ("↩", Tone::Good),
        StepStatus::RollbackFailed => ("✗", Tone::Bad),
        StepStatus::RollingBack => ("●", Tone::Warn),
        StepStatus::Unknown => ("?", Tone::Warn),
        StepStatus::Running => ("●", Tone::Busy),
        StepStatus::Retrying => ("↻", Tone::Warn),
        StepStatus::Waiting => ("○", Tone::Busy),
        StepStatus::Pending | StepStatus::Unspecified => ("○", Tone::Dim),
    }
}

/// A step as a row: its sign, its name, a span, and words.
struct Row<'a> {
    step: &'a Step,
    name: String,
    time: String,
    words: String,
}

impl Row<'_> {
    fn line(&self, names: usize, times: Option<usize>) -> Line {
        let (sign, tone) = sign(self.step.status);
        let name = if self.step.status == StepStatus::Pending { Tone::Dim } else { Tone::Plain };
        let mut line = Line::of(tone, &format!("  {sign} ")).column(name, &self.name, names);
        line.push(Tone::Plain, "  ");
        if let Some(times) = times {
            line = line.column(Tone::Plain, &self.time, times);
            line.push(Tone::Plain, "  ");
        }
        let tone = match self.step.status {
            StepStatus::Failed | StepStatus::Unknown | StepStatus::Retrying | StepStatus::RollbackFailed => tone,
            _ => Tone::Dim,
        };
        line.with(tone, &self.words)
    }
}

fn row<'a>(model: &Model, step: &'a Step, now: Moment) -> Row<'a> {
    let took = match (step.began, step.ended) {
        (Some(began), Some(ended)) => span(ended.since(began)),
        _ => String::new(),
    };
    let (time, words) = match step.status {
        StepStatus::RollingBack if step.held => (String::new(), "its rollback needs a person, below".to_owned()),
        StepStatus::RollingBack if step.running.is_none() && step.retry_at.is_none() => {
            (String::new(), "is rolled back below".to_owned())
        }
        StepStatus::RollingBack if step.running.is_none() => {
            let left = step.retry_at.map_or(0, |at| at.since(now));
            let again = format!("rollback again in {}", running_span(left));
            (String::new(), words(&[&again, &step.how]))
        }
        StepStatus::Running | StepStatus::RollingBack => {
            let since = step.attempt_began.filter(|_| step.running.is_some());
            (since.map(|since| running_span(now.since(since))).unwrap_or_default(), running(step))
        }
        StepStatus::Retrying => {
            let left = step.retry_at.map_or(0, |at| at.since(now));
            let again = format!("again in {}", running_span(left));
            (String::new(), words(&[&again, &attempt(step), &step.how]))
        }
        StepStatus::Unknown => (String::new(), words(&["needs a person", &step.how])),
        StepStatus::Pending | StepStatus::Unspecified => (String::new(), pending(model, step)),
        StepStatus::RolledBack => (took, step_status(step.status).replace('_', " ")),
        StepStatus::RollbackFailed => (String::new(), words(&["could not be rolled back", &step.how])),
        StepStatus::Succeeded => (took, attempt(step)),
        StepStatus::Failed => (took, words(&[&attempt(step), &step.how])),
        StepStatus::Skipped | StepStatus::Canceled => (took, words(&[step_status(step.status), &step.how])),
        StepStatus::Waiting if step.held => (String::new(), "something below needs a person".to_owned()),
        StepStatus::Waiting if step.starts => (String::new(), "waits, as all does that goes on below".to_owned()),
        StepStatus::Waiting => (String::new(), waiting(model, step, now)),
    };
    Row { step, name: String::new(), time, words }
}

fn running(step: &Step) -> String {
    let kind = match step.running {
        Some(Running::Run) | None => "",
        Some(Running::Verify) => "verify",
        Some(Running::OnCancel) => "on_cancel",
        Some(Running::Rollback) => "rollback",
    };
    // What it is for, until it says something itself.
    let says = if step.last_line.is_empty() { &step.description } else { &step.last_line };
    words(&[&attempt(step), kind, says])
}

/// How long a step still waits, and for what.
fn waiting(model: &Model, step: &Step, now: Moment) -> String {
    if step.asks.is_some() {
        let what = format!("asks: runbook approve {} {}", model.number, quoted(&step.id));
        return words(&[&what, &step.how]);
    }
    let left = |at: Option<Moment>| at.map_or(0, |at| at.since(now).max(0));
    let rest = running_span(left(step.waits_until));
    match step.retry_at {
        None => format!("waits, {rest} left"),
        Some(_) => {
            let again = format!("waits, asks again in {}", running_span(left(step.retry_at)));
            words(&[&again, &format!("{rest} left"), &step.how])
        }
    }
}

/// What a step that has not begun waits for.
fn pending(model: &Model, step: &Step) -> String {
    if is_terminal(model.status) {
        return "not started".to_owned();
    }
    if let Some(first) = step.waits_for.first() {
        return match step.waits_for.len() {
            1 => format!("waits for {first}"),
            count => format!("waits for {first} and {} more", count - 1),
        };
    }
    if model.is_next(step) {
        return "next".to_owned();
    }
    let open: Vec<&str> = step
        .needs
        .iter()
        .filter_map(|need| model.steps.get(*need))
        .filter(|need| !need.is_terminal())
        .map(|need| need.id.as_str())
        .collect();
    match open.len() {
        // Only `finally` waits for more than its needs.
        0 => "at the end".to_owned(),
        count if count > NAMED_NEEDS => {
            format!("after {} and {} more", open[..NAMED_NEEDS].join(", "), count - NAMED_NEEDS)
        }
        _ => format!("after {}", open.join(", ")),
    }
}

/// Which attempt it is, unless it is the first.
fn attempt(step: &Step) -> String {
    if step.attempts > 1 { format!("attempt {}", step.attempts) } else { String::new() }
}

fn words(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.join("  ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{ended, run, starting};
    use prost_types::Timestamp;
    use runbook_proto::v1::{Event, RunStatus};

    const NOW: Moment = Moment(83_000_000);

    fn text(model: &Model, rows: usize) -> String {
        frame(model, NOW, rows).iter().map(|line| line.render(Some(80), false) + "\n").collect()
    }

    #[test]
    fn a_run_in_the_middle() {
        let mut model = Model::of(&run(&[
            ("check-room", &[]),
            ("archive", &["check-room"]),
            ("manifest", &["check-room"]),
            ("upload", &["check-room"]),
            ("ask", &["check-room"]),
            ("note", &["check-room"]),
            ("prove", &["archive", "manifest", "upload", "ask", "note"]),
            ("publish", &["prove"]),
            ("tidy", &[]),
        ]));
        model.steps[8].in_finally = true;
        model.steps[2].description = "Hashes of all files".to_owned();
        let retry = Event {
            then_at: Some(Timestamp { seconds: 87, nanos: 0 }),
            ..ended(9, 80, "upload", 1, "exited with 7", "retry")
        };
        for event in [
            starting(3, 0, "check-room", 1, "run"),
            ended(4, 1, "check-room", 1, "", "succeeded"),
            starting(5, 1, "archive", 1, "run"),
            ended(6, 11, "archive", 1, "exited with 1", "retry"),
            starting(7, 71, "archive", 2, "run"),
            starting(8, 71, "upload", 1, "run"),
            retry,
            starting(10, 81, "manifest", 1, "run"),
            starting(11, 82, "ask", 1, "run"),
            ended(12, 83, "ask", 1, "lost", "unknown"),
        ] {
            model.fold(&event).unwrap();
        }
        model.steps[1].last_line =
            "adding a file whose name is so long that it does not fit the terminal at all".into();
        assert_eq!(
            text(&model, 24),
            "run 12 backup  running  1 min 23 s  1 of 9 steps done\n  \
             ✓ check-room  1.0 s\n  \
             ● archive     12 s    attempt 2  adding a file whose name is so long that it …\n  \
             ● manifest    2 s     Hashes of all files\n  \
             ↻ upload              again in 4 s  exited with 7\n  \
             ? ask                 needs a person  lost\n  \
             ○ note                next\n  \
             ○ prove               after archive, manifest, upload and 2 more\n  \
             ○ publish             after prove\n  \
             ○ tidy                at the end\n"
        );
    }

    #[test]
    fn ten_thousand_steps_stay_within_the_terminal() {
        let ids: Vec<String> = (0..10_000).map(|n| format!("copy-{n}")).collect();
        let steps: Vec<(&str, &[&str])> = ids.iter().map(|id| (id.as_str(), &[][..])).collect();
        let mut model = Model::of(&run(&steps));
        let mut number = 2;
        for id in &ids[..5_000] {
            number += 1;
            model.fold(&starting(number, 1, id, 1, "run")).unwrap();
        }
        for id in &ids[..4_996] {
            number += 1;
            let then = if id == "copy-77" { "failed" } else { "succeeded" };
            model.fold(&ended(number, 2, id, 1, "", then)).unwrap();
        }
        let text = text(&model, 10);
        assert_eq!(
            text,
            "run 12 backup  running  1 min 23 s  4996 of 10000 steps done\n  \
             ✗ copy-77    1.0 s\n  \
             ● copy-4996  1 min 22 s\n  \
             ● copy-4997  1 min 22 s\n  \
             ● copy-4998  1 min 22 s\n  \
             ● copy-4999  1 min 22 s\n  \
             ○ copy-5000              next\n  \
             ○ copy-5001              next\n  \
             ○ copy-5002              next\n  \
             10000 steps: 4995 succeeded, 1 failed, 4 running, 5000 pending\n"
        );
    }

    #[test]
    fn a_queued_run_says_what_it_waits_for() {
        let mut model = Model::of(&run(&[("a", &[])]));
        model.status = RunStatus::Queued;
        model.waits_for = vec!["lock terraform/prod, held by run 7".into(), "x".into()];
        assert_eq!(
            text(&model, 24),
            "run 12 backup  queued  1 min 23 s  0 of 1 step done\n  \
             waits for lock terraform/prod, held by run 7 and 1 more\n  \
             ○ a  next\n"
        );
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut model = Model::of(&run(&[("日本語のとても長い名前のステップ-日本語のとても長い名前", &[])]));
        model.fold(&starting(3, 0, &model.steps[0].id.clone(), 3, "verify")).unwrap();
        model.steps[0].last_line = "👍".repeat(60);
        for columns in [10, 20, 40, 80] {
            for line in frame(&model, NOW, 24) {
                assert!(width(&line.render(Some(columns), false)) <= columns);
            }
        }
    }
}
