//! What is told at the end of a run, and when a step of it fails: outcome, duration, outputs, artifacts, and what to
//! type next. Pure; knows no connection.

use std::collections::BTreeSet;

use runbook_proto::v1::{Approval, LogLine, Run, RunStatus, RunStep, StepStatus};

use crate::event_line::run_tone;
use crate::exit_code::ExitCode;
use crate::frame::counts;
use crate::hidden;
use crate::line::{Line, Tone};
use crate::model::{Model, Step};
use crate::moment::span;
use crate::path;
use crate::text::{quoted, truncate};
use crate::to_json;

/// At most so many lines of outputs, and of artifacts.
const VALUES: usize = 10;
/// The longest shown value, and the longest shown line of a log, in columns.
const VALUE_COLUMNS: usize = 320;
/// What to type next is explained where it all fits the terminal, and where there is none so many columns.
const COLUMNS: usize = 80;
const LABEL_COLUMNS: usize = 6;
/// At most so many steps are named in what to type next.
const NAMED_STEPS: usize = 3;

/// The end of a run, or where it stands: in words.
pub fn summary(run: &Run) -> Vec<Line> {
    let model = Model::of(run);
    let mut lines = vec![headline(&model)];
    if !run.steps.is_empty() {
        lines.push(Line::of(Tone::Dim, &format!("  {}", counts(&model))));
    }
    lines
}

/// What must be broken or cut nowhere, to be copied: outputs, the paths of artifacts, and what to type next.
pub fn to_copy(run: &Run, columns: Option<usize>) -> Vec<Line> {
    let mut lines = outputs(run);
    lines.extend(artifacts(run));
    lines.extend(next(run, columns.unwrap_or(COLUMNS)));
    lines
}

/// The outcome in one line.
pub fn headline(model: &Model) -> Line {
    let status = to_json::run_status(model.status).replace('_', " ");
    let mut line = Line::of(Tone::Bold, &format!("run {} {}", model.number, model.runbook))
        .with(Tone::Plain, ": ")
        .with(run_tone(model.status), &status);
    if model.dry_run {
        line.push(Tone::Plain, " (dry run)");
    }
    if let (Some(began), Some(finished)) = (model.began, model.finished) {
        line.push(Tone::Plain, &format!(" after {}", span(finished.since(began))));
    }
    if !model.message.is_empty() && model.status != RunStatus::Succeeded {
        line.push(Tone::Plain, &format!(": {}", model.message));
    }
    line
}

/// The outputs of the steps: where there are many, the last ones.
fn outputs(run: &Run) -> Vec<Line> {
    let mut all = Vec::new();
    for step in run.steps.iter().filter(|step| !step.in_finally) {
        let mut outputs: Vec<_> = step.outputs.iter().flat_map(|outputs| &outputs.fields).collect();
        outputs.sort_by_key(|(key, _)| *key);
        for (key, value) in outputs {
            let text = match to_json::value(value) {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            let name = format!("  {}.{key}", step.id);
            all.push(
                Line::of(Tone::Plain, &name).with(Tone::Dim, " = ").with(Tone::Plain, &truncate(&text, VALUE_COLUMNS)),
            );
        }
    }
    capped(all, "outputs", run.number)
}

fn artifacts(run: &Run) -> Vec<Line> {
    let all = run.steps.iter().flat_map(|step| &step.artifacts).map(|artifact| {
        let place = if artifact.path.is_empty() { &artifact.name } else { &artifact.path };
        Line::of(Tone::Plain, &format!("  {place}")).with(Tone::Dim, &format!("  {}", bytes(artifact.length)))
    });
    capped(all.collect(), "artifacts", run.number)
}

/// The last lines, and how many more there are.
fn capped(mut lines: Vec<Line>, what: &str, number: u64) -> Vec<Line> {
    let more = lines.len().saturating_sub(VALUES);
    if more > 0 {
        lines.drain(..more);
        let text = format!("  {more} more {what}: runbook status {number} --output json");
        lines.push(Line::of(Tone::Dim, &text));
    }
    lines
}

/// A length for people.
pub fn bytes(length: u64) -> String {
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    if length < 1_000 {
        return format!("{length} B");
    }
    let mut tenths = length / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1_000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Something to type next.
struct Next {
    command: String,
    /// What it does; told where all such texts fit the line.
    what: &'static str,
    /// What stands in it for something, on a line of its own.
    note: &'static str,
}

impl Next {
    const fn of(command: String, what: &'static str) -> Self {
        Self { command, what, note: "" }
    }
}

/// What to type next.
fn next(run: &Run, columns: usize) -> Vec<Line> {
    let number = run.number;
    let tree = every_step(run);
    let of = |status: StepStatus| tree.iter().filter(move |place| place.step.status() == status);
    let mut commands: Vec<Next> = Vec::new();
    let rolling_back = matches!(run.status(), RunStatus::RollingBack | RunStatus::Attention);
    let stuck: Vec<_> = of(StepStatus::RollbackFailed).filter(|_| rolling_back).collect();
    let unknown: Vec<_> = of(StepStatus::Unknown).collect();
    let mut wrote = unknown.iter().chain(&stuck).copied().chain(of(StepStatus::Failed));
    if let Some(place) = wrote.find(|place| place.step.attempts > 0) {
        commands.push(Next::of(format!("runbook logs {number} {}", quoted(&place.path)), "shows all that it wrote"));
    }
    unknown
        .iter()
        .take(NAMED_STEPS)
        .for_each(|place| commands.push(Next::of(resolve_command(number, &place.path), "")));
    if let Some(last) = commands.last_mut().filter(|_| !unknown.is_empty()) {
        last.note = if unknown.iter().any(|place| place.ending) { SETTLEMENTS_AT_THE_END } else { SETTLEMENTS };
    }
    let of_steps = tree.iter().filter_map(|place| Some((place.step.approval.as_ref()?, place.path.as_str())));
    let of_start = run.approval.iter().map(|approval| (approval, ""));
    for (approval, step) in of_start.chain(of_steps).take(NAMED_STEPS) {
        commands.push(Next::of(approve_command(number, approval, step), "or reject; `runbook approvals` says who may"));
    }
    if let Some(command) = provide_command(run) {
        commands.push(Next::of(command, "gives what is kept nowhere"));
    }
    if !stuck.is_empty() {
        commands.push(Next::of(format!("runbook resume {number}"), "tries every rollback that failed again"));
        stuck
            .iter()
            .take(NAMED_STEPS)
            .for_each(|place| commands.push(Next::of(resolve_command(number, &place.path), "")));
        if let Some(last) = commands.last_mut() {
            last.note = SETTLEMENTS_OF_ROLLBACKS;
        }
        commands.push(Next::of(format!("runbook rollback {number} --abandon --reason WHY"), "gives the rollback up"));
    }
    match run.status() {
        RunStatus::Failed | RunStatus::Canceled | RunStatus::RolledBack => {
            let failed: Vec<_> = of(StepStatus::Failed).filter(|place| place.step.child.is_empty()).collect();
            if run.status() == RunStatus::Failed && !failed.is_empty() && failed.iter().all(|it| it.step.uses == "fail")
            {
                // By what succeeded, which a resume keeps, it would fail again.
                commands.push(Next::of(format!("runbook exec --like {number}"), "begins anew"));
            } else if of(StepStatus::RollbackFailed).next().is_none() {
                // What could not be rolled back is not built upon.
                let what = match run.status() {
                    RunStatus::RolledBack => "goes on; what was rolled back runs again",
                    _ => "goes on; what succeeded is kept",
                };
                commands.push(Next::of(format!("runbook resume {number}"), what));
            }
            if run.can_roll_back {
                let past: String = run.no_return.iter().map(|step| format!(" --past {step}")).collect();
                commands.push(Next::of(format!("runbook rollback {number}{past}"), "compensates what was done"));
            }
        }
        RunStatus::Succeeded => {}
        RunStatus::Paused => commands.push(Next::of(format!("runbook resume {number}"), "lets it go on")),
        _ => commands.push(Next::of(format!("runbook watch {number}"), "comes back to it")),
    }
    told(&commands, columns)
}

/// The commands, line by line.
fn told(commands: &[Next], columns: usize) -> Vec<Line> {
    let explained = commands.iter().filter(|next| !next.what.is_empty());
    let width = explained.clone().map(|next| next.command.len()).max().unwrap_or(0);
    let fits = explained.clone().all(|next| LABEL_COLUMNS + width + 2 + next.what.len() <= columns);
    let mut lines = Vec::new();
    for (place, Next { command, what, note }) in commands.iter().enumerate() {
        let label = if place == 0 { "next: " } else { "      " };
        let mut line = Line::of(Tone::Dim, label).with(Tone::Bold, command);
        if fits && !what.is_empty() {
            line.push(Tone::Dim, &format!("{}  {what}", " ".repeat(width - command.len())));
        }
        lines.push(line);
        if !note.is_empty() {
            let note = Line::of(Tone::Dim, &format!("      ({note})"));
            lines.extend(note.wrap(columns, LABEL_COLUMNS + 1));
        }
    }
    lines
}

/// The command that approves, with the fields that have to be filled in. `step` is its name from the run at the top; empty
/// where it is about the start.
pub fn approve_command(number: u64, approval: &Approval, step: &str) -> String {
    let fields = approval.fields.iter().filter(|field| field.required);
    let value = |secret: bool| if secret { "-" } else { "…" };
    let fields: String = fields.map(|field| format!(" --field {}={}", field.name, value(field.secret))).collect();
    let step = if step.is_empty() { String::new() } else { format!(" {}", quoted(step)) };
    format!("runbook approve {number}{step}{fields}")
}

/// The inputs that steps of a run, and those below, wait for a person to give.
pub fn missing(run: &Run) -> BTreeSet<&str> {
    every_step(run).into_iter().flat_map(|place| &place.step.missing_inputs).map(String::as_str).collect()
}

/// The command that gives what is missing, if anything is.
pub fn provide_command(run: &Run) -> Option<String> {
    let missing: String = missing(run).into_iter().map(|name| format!(" -i {name}={}", hidden::MARK)).collect();
    (!missing.is_empty()).then(|| format!("runbook provide {}{missing}", run.number))
}

/// How a step is settled by hand.
pub fn resolve_command(number: u64, step: &str) -> String {
    format!("runbook resolve {number} {} --as OUTCOME --reason WHY", quoted(step))
}

/// What the outcomes of a settled step are.
const SETTLEMENTS: &str = "OUTCOME: succeeded, failed, or retry, which runs it once more";
/// What they are where nothing begins any more.
const SETTLEMENTS_AT_THE_END: &str = "OUTCOME: succeeded or failed";
/// What they are of a rollback that failed.
const SETTLEMENTS_OF_ROLLBACKS: &str = "OUTCOME: succeeded (by hand), skipped or retry";

/// A step of a run or of one below it.
struct Place<'r> {
    /// Its name from the run at the top.
    path: String,
    step: &'r RunStep,
    /// Whether the run that it belongs to goes to its end.
    ending: bool,
}

/// The steps of a run, each before those below it.
fn every_step(run: &Run) -> Vec<Place<'_>> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), run)];
    while let Some((prefix, run)) = open.pop() {
        for step in &run.steps {
            let path = path::joined(&prefix, &step.id);
            if let Some(child) = &step.child_run {
                open.push((format!("{path}/"), child));
            }
            found.push(Place { path, step, ending: run.ending });
        }
    }
    found
}

/// The end of a step's log, under its failure.
pub fn log_tail(lines: &[LogLine]) -> Vec<Line> {
    let text = |line: &LogLine| truncate(&line.text, VALUE_COLUMNS).into_owned();
    lines.iter().map(|line| Line::of(Tone::Dim, "  | ").with(Tone::Plain, &text(line))).collect()
}

/// A step that failed, or of which nobody knows what it did, as a headline of its own.
pub fn trouble(step: &Step) -> Line {
    let (sign, tone) = crate::frame::sign(step.status);
    let attempt = if step.attempts > 1 { format!(" (attempt {})", step.attempts) } else { String::new() };
    let line = Line::of(tone, sign)
        .with(Tone::Plain, " step ")
        .with(Tone::Bold, &step.id)
        .with(Tone::Plain, ": ")
        .with(tone, &format!("{}{attempt}", to_json::step_status(step.status).replace('_', " ")));
    if step.how.is_empty() { line } else { line.with(Tone::Plain, ": ").with(Tone::Plain, &step.how) }
}

/// The exit code that tells how a run ended, or that it waits for a person; `None` while it goes on.
pub const fn exit_code(status: RunStatus) -> Option<ExitCode> {
    match status {
        RunStatus::Succeeded => Some(ExitCode::Succeeded),
        RunStatus::Failed | RunStatus::RolledBack => Some(ExitCode::RunFailed),
        RunStatus::Canceled => Some(ExitCode::Canceled),
        RunStatus::Attention => Some(ExitCode::Attention),
        RunStatus::Unspecified
        | RunStatus::Queued
        | RunStatus::Waiting
        | RunStatus::Running
        | RunStatus::Paused
        | RunStatus::Finishing
        | RunStatus::RollingBack
        | RunStatus::Stopping => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::run;
    use crate::to_json::to_struct_value;
    use prost_types::{Struct, Timestamp};
    use runbook_proto::v1::Artifact;
    use serde_json::json;

    fn text(run: &Run) -> String {
        summary(run).iter().chain(&to_copy(run, None)).map(|line| line.plain() + "\n").collect()
    }

    fn done(status: RunStatus, steps: &[(&str, StepStatus)]) -> Run {
        let shape: Vec<(&str, &[&str])> = steps.iter().map(|(id, _)| (*id, &[][..])).collect();
        let mut run = run(&shape);
        run.status = status.into();
        run.finished_at = Some(Timestamp { seconds: 83, nanos: 0 });
        for (step, (_, status)) in run.steps.iter_mut().zip(steps) {
            step.status = (*status).into();
            step.attempts = 1;
        }
        run
    }

    #[test]
    fn a_success_shows_what_it_came_to() {
        let mut run =
            done(RunStatus::Succeeded, &[("dump", StepStatus::Succeeded), ("publish", StepStatus::Succeeded)]);
        run.steps[1].needs = vec!["dump".into()];
        run.steps[0].outputs =
            Some(Struct { fields: [("early".to_owned(), to_struct_value(&json!(1)).unwrap())].into() });
        let fields = [("bytes", json!(12)), ("name", json!("2026\u{1b}[31m-11"))];
        run.steps[1].outputs = Some(Struct {
            fields: fields.iter().map(|(k, v)| ((*k).to_owned(), to_struct_value(v).unwrap())).collect(),
        });
        run.steps[1].artifacts =
            vec![Artifact { name: "db".into(), length: 12_345_678, path: "/data/db".into(), ..Default::default() }];
        assert_eq!(
            text(&run),
            "run 12 backup: succeeded after 1 min 23 s\n  \
             2 steps: 2 succeeded\n  \
             dump.early = 1\n  \
             publish.bytes = 12\n  \
             publish.name = 2026-11\n  \
             /data/db  12.3 MB\n"
        );
    }

    #[test]
    fn a_failure_says_how_to_go_on() {
        let mut run = done(RunStatus::Failed, &[("dump", StepStatus::Failed), ("tell", StepStatus::Skipped)]);
        run.message = "step dump failed".into();
        assert_eq!(
            text(&run),
            "run 12 backup: failed after 1 min 23 s: step dump failed\n  \
             2 steps: 1 failed, 1 skipped\n\
             next: runbook logs 12 dump  shows all that it wrote\n      \
             runbook resume 12     goes on; what succeeded is kept\n"
        );
    }

    #[test]
    fn what_a_runbook_itself_calls_a_failure_is_begun_anew() {
        let mut run = done(RunStatus::Failed, &[("verdict", StepStatus::Failed)]);
        run.steps[0].uses = "fail".into();
        run.steps[0].attempts = 0;
        assert!(text(&run).ends_with("next: runbook exec --like 12  begins anew\n"), "{}", text(&run));
    }

    #[test]
    fn attention_names_each_step_to_settle() {
        let mut run = done(RunStatus::Attention, &[("a", StepStatus::Unknown), ("b", StepStatus::Pending)]);
        run.finished_at = None;
        assert_eq!(
            text(&run),
            "run 12 backup: attention\n  \
             2 steps: 1 unknown, 1 pending\n\
             next: runbook logs 12 a  shows all that it wrote\n      \
             runbook resolve 12 a --as OUTCOME --reason WHY\n      \
             (OUTCOME: succeeded, failed, or retry, which runs it once more)\n      \
             runbook watch 12   comes back to it\n"
        );
    }

    #[test]
    fn what_waits_below_is_named_as_it_is_typed() {
        let mut run = done(RunStatus::Attention, &[("up", StepStatus::Waiting)]);
        run.finished_at = None;
        let mut item = done(RunStatus::Attention, &[("chk", StepStatus::Unknown)]);
        item.ending = true;
        let mut items = done(RunStatus::Attention, &[("[\"n 2\"]", StepStatus::Waiting)]);
        items.steps[0].child_run = Some(item);
        run.steps[0].child_run = Some(items);
        let unknown = text(&run);
        assert!(unknown.contains("runbook resolve 12 'up[\"n 2\"]/chk' --as OUTCOME --reason WHY\n"), "{unknown}");
        assert!(unknown.contains("next: runbook logs 12 'up[\"n 2\"]/chk'"), "{unknown}");
        assert!(unknown.contains("(OUTCOME: succeeded or failed)"), "what is refused is not offered: {unknown}");

        let below = run.steps[0].child_run.as_mut().and_then(|items| items.steps[0].child_run.as_mut()).unwrap();
        below.steps[0].status = StepStatus::RollbackFailed.into();
        let stuck = text(&run);
        assert!(stuck.contains("runbook resume 12\n") && stuck.contains("runbook rollback 12 --abandon"), "{stuck}");
        assert!(stuck.contains("runbook resolve 12 'up[\"n 2\"]/chk'"), "{stuck}");
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_type() {
        let mut run = done(RunStatus::Attention, &[("a", StepStatus::Waiting), ("b", StepStatus::Waiting)]);
        run.finished_at = None;
        run.steps[0].missing_inputs = vec!["pin".into()];
        let mut below = done(RunStatus::Attention, &[("c", StepStatus::Waiting)]);
        below.steps[0].missing_inputs = vec!["key".into(), "pin".into()];
        run.steps[1].child_run = Some(below);
        let text = text(&run);
        assert!(text.contains("next: runbook provide 12 -i key=- -i pin=-  gives what is kept nowhere\n"), "{text}");
    }

    #[test]
    fn much_is_cut_short() {
        let mut run = done(RunStatus::Succeeded, &[("a", StepStatus::Succeeded)]);
        run.steps[0].artifacts = (0..13).map(|n| Artifact { name: format!("f{n}"), ..Default::default() }).collect();
        let text = text(&run);
        assert!(text.ends_with("  f12  0 B\n  3 more artifacts: runbook status 12 --output json\n"), "{text}");
    }

    #[test]
    fn lengths() {
        for (length, expected) in [
            (999, "999 B"),
            (1_000, "1.0 KB"),
            (999_999, "999.9 KB"),
            (1_000_000, "1.0 MB"),
            (u64::MAX, "18446744.0 TB"),
        ] {
            assert_eq!(bytes(length), expected);
        }
    }

    #[test]
    fn outcomes_have_their_codes() {
        for (status, code) in [
            (RunStatus::Succeeded, ExitCode::Succeeded),
            (RunStatus::Failed, ExitCode::RunFailed),
            (RunStatus::RolledBack, ExitCode::RunFailed),
            (RunStatus::Canceled, ExitCode::Canceled),
            (RunStatus::Attention, ExitCode::Attention),
        ] {
            assert_eq!(exit_code(status), Some(code));
        }
        for status in [RunStatus::Running, RunStatus::Stopping, RunStatus::Queued] {
            assert_eq!(exit_code(status), None);
        }
    }
}
