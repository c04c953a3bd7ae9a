//! The live picture of a run: a header, one row for each step that has begun or is next, and counts for the rest.
//! A pure function of the model, the time and the size; knows no terminal.

use runbook_proto::v1::StepStatus;

use crate::event_line::run_tone;
use crate::line::{Line, Tone};
use crate::model::{Model, Running, Step, is_terminal};
use crate::moment::{Moment, running_span, span};
use crate::text::{plural, width};
use crate::to_json::{run_status, step_status};

/// The column of the steps' names is at most this wide.
const NAME_COLUMNS: usize = 28;
/// The column of the spans: `59 min 59 s`.
const SPAN_COLUMNS: usize = 11;
/// Lines beside the steps' rows: header, what it waits for, counts.
const OTHER_LINES: usize = 3;

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
    let shown = choose(model, rows.saturating_sub(OTHER_LINES).max(1));
    let name_columns = shown.iter().map(|step| width(&step.id)).max().unwrap_or(0).min(NAME_COLUMNS);
    lines.extend(shown.iter().map(|step| row(model, step, now, name_columns)));
    if shown.len() < model.steps.len() {
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
    let parts: Vec<String> =
        model.counts().iter().map(|(status, count)| format!("{count} {}", step_status(*status))).collect();
    format!("{}: {}", plural(model.steps.len() as u64, "step"), parts.join(", "))
}

/// The steps to show, in the runbook's order: all that have begun or are next, and where that is too much, those
/// that need an eye first and what is done last, the latest of it before the rest.
fn choose(model: &Model, room: usize) -> Vec<&Step> {
    let mut shown: Vec<(usize, &Step)> = model
        .steps
        .iter()
        .enumerate()
        .filter(|(_, step)| step.status != StepStatus::Pending || model.is_next(step))
        .collect();
    if shown.len() > room {
        shown.sort_by_key(|(place, step)| (rank(step.status), -step.ended.map_or(0, |at| at.0), *place));
        shown.truncate(room);
        shown.sort_by_key(|(place, _)| *place);
    }
    shown.into_iter().map(|(_, step)| step).collect()
}

const fn rank(status: StepStatus) -> u8 {
    match status {
        StepStatus::Unknown => 0,
        StepStatus::Failed => 1,
        StepStatus::Running | StepStatus::Retrying | StepStatus::Waiting => 2,
        StepStatus::Pending | StepStatus::Unspecified => 3,
        StepStatus::Canceled => 4,
        StepStatus::Succeeded | StepStatus::Skipped => 5,
    }
}

/// The sign and the colour of a step's status.
pub const fn sign(status: StepStatus) -> (&'static str, Tone) {
    match status {
        StepStatus::Succeeded => ("✓", Tone::Good),
        StepStatus::Failed => ("✗", Tone::Bad),
        StepStatus::Skipped => ("–", Tone::Dim),
        StepStatus::Canceled => ("–", Tone::Warn),
        StepStatus::Unknown => ("?", Tone::Warn),
        StepStatus::Running => ("●", Tone::Busy),
        StepStatus::Retrying => ("↻", Tone::Warn),
        StepStatus::Waiting => ("○", Tone::Busy),
        StepStatus::Pending | StepStatus::Unspecified => ("○", Tone::Dim),
    }
}

fn row(model: &Model, step: &Step, now: Moment, name_columns: usize) -> Line {
    let (sign, tone) = sign(step.status);
    let mut line = Line::of(tone, &format!("  {sign} ")).column(Tone::Plain, &step.id, name_columns);
    line.push(Tone::Plain, "  ");
    let took = match (step.began, step.ended) {
        (Some(began), Some(ended)) => span(ended.since(began)),
        _ => String::new(),
    };
    let (time, words) = match step.status {
        StepStatus::Running => {
            let since = step.attempt_began.filter(|_| step.running.is_some());
            (since.map(|since| running_span(now.since(since))).unwrap_or_default(), running(step))
        }
        StepStatus::Retrying => {
            let left = step.retry_at.map_or(0, |at| at.since(now));
            let why = words(&[&attempt(step), &step.how]);
            (String::new(), words(&[&format!("again in {}", running_span(left)), &why]))
        }
        StepStatus::Unknown => (String::new(), words(&["needs a person", &step.how])),
        StepStatus::Pending | StepStatus::Unspecified => {
            let waiting = if is_terminal(model.status) { "not started" } else { "next" };
            (String::new(), waiting.to_owned())
        }
        StepStatus::Succeeded => (took, attempt(step)),
        StepStatus::Failed => (took, words(&[&attempt(step), &step.how])),
        StepStatus::Skipped | StepStatus::Canceled => (took, words(&[step_status(step.status), &step.how])),
        StepStatus::Waiting => (String::new(), words(&["waits", &step.how])),
    };
    if !time.is_empty() {
        line = line.column(Tone::Plain, &time, SPAN_COLUMNS);
        line.push(Tone::Plain, "  ");
    }
    let tone = match step.status {
        StepStatus::Failed | StepStatus::Unknown | StepStatus::Retrying => tone,
        _ => Tone::Dim,
    };
    line.with(tone, &words)
}

fn running(step: &Step) -> String {
    let kind = match step.running {
        Some(Running::Run) | None => "",
        Some(Running::Verify) => "verify",
        Some(Running::OnCancel) => "on_cancel",
    };
    words(&[&attempt(step), kind, &step.last_line])
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
            ("prove", &["archive", "manifest"]),
        ]));
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
            ended(11, 82, "manifest", 1, "exited with 1: no such folder", "failed"),
            starting(12, 82, "ask", 1, "run"),
            ended(13, 83, "ask", 1, "lost", "unknown"),
        ] {
            model.fold(&event).unwrap();
        }
        model.steps[1].last_line =
            "adding a file whose name is so long that it does not fit the terminal at all".into();
        assert_eq!(
            text(&model, 24),
            "run 12 backup  running  1 min 23 s  2 of 7 steps done\n  \
             ✓ check-room  1.0 s\n  \
             ● archive     12 s         attempt 2  adding a file whose name is so long tha…\n  \
             ✗ manifest    1.0 s        exited with 1: no such folder\n  \
             ↻ upload      again in 4 s  exited with 7\n  \
             ? ask         needs a person  lost\n  \
             ○ note        next\n  \
             7 steps: 1 succeeded, 1 failed, 1 unknown, 1 running, 1 retrying, 2 pending\n"
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
             ○ copy-5000  next\n  \
             ○ copy-5001  next\n  \
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
