//! An edited runbook beside a run that is to go on by it: shown before anybody decides, and then agreed to. Never judges
//! what an edit may change: the daemon does.

use runbook_proto::v1::{EditedStep, Edition, ResumeRunRequest};
use serde_json::{Value, json};
use tokio::signal::unix::Signal;

use crate::confirm::can_ask;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::line::{Line, Tone};
use crate::prompt::{LOOK_AGAIN, typed_line};
use crate::session::runs;

/// Digits of a definition's hash that are enough to name it.
const DIGITS: usize = 12;

/// Shows what the edit makes of the run, and lets a person at a terminal agree; elsewhere the definition has to be named.
/// Afterwards the request names the definition that was agreed to.
///
/// # Errors
/// The edit is refused, nobody agreed, or no daemon answers.
pub async fn agree(cx: &mut Context, interrupts: &mut Signal, request: &mut ResumeRunRequest, run: &str) -> Result<()> {
    if !request.definition.is_empty() {
        return Ok(());
    }
    let look = ResumeRunRequest { validate_only: true, ..request.clone() };
    let answer = cx.session.ask(async |channel| runs(channel).resume_run(look.clone()).await).await?;
    let edition = answer.edition.unwrap_or_default();
    let short: String = edition.definition.chars().take(DIGITS).collect();
    if cx.console.json {
        cx.console.json(&json!({"edition": to_json(&edition)}))?;
    } else {
        for line in lines(&edition) {
            cx.console.line(&line)?;
        }
    }
    if !can_ask(cx) {
        let failure = Failure::new(ExitCode::Refused, "nothing was resumed: nobody agreed to the edited runbook");
        return Err(failure.next(format!("if that is meant: runbook resume {run} --edited --definition {short}")));
    }
    cx.console.ask("go on by it? [y/N] ");
    let typed = tokio::select! {
        typed = typed_line() => typed.map_err(|error| Failure::io("the terminal cannot be read", &error))?,
        _ = interrupts.recv() => {
            // Ctrl-C makes the terminal throw away what is on its way to it.
            tokio::time::sleep(LOOK_AGAIN).await;
            cx.console.ask("\n");
            return Err(Failure::new(ExitCode::Interrupted, "Ctrl-C: nothing was resumed"));
        }
    };
    if !matches!(typed.trim(), "y" | "Y" | "yes") {
        return Err(Failure::new(ExitCode::Refused, "nothing was resumed"));
    }
    request.definition = edition.definition;
    Ok(())
}

/// The comparison, a line for each thing that differs.
fn lines(edition: &Edition) -> Vec<Line> {
    if edition.keys.is_empty() && edition.files.is_empty() && edition.steps.is_empty() {
        return vec![Line::of(Tone::Dim, "the runbook is as the run has it")];
    }
    let mut lines = vec![Line::of(Tone::Bold, "the runbook was edited:")];
    if !edition.keys.is_empty() {
        lines.push(Line::of(Tone::Plain, &format!("  top of the file: {} differs", edition.keys.join(", "))));
    }
    for file in &edition.files {
        lines.push(Line::of(Tone::Plain, &format!("  file {file} differs")));
    }
    lines.extend(edition.steps.iter().map(step_line));
    lines
}

fn step_line(step: &EditedStep) -> Line {
    let differs = if step.keys.is_empty() { String::new() } else { format!(": {} differs", step.keys.join(", ")) };
    let line = Line::of(Tone::Plain, &format!("  step {}{differs}", step.id));
    match (step.added, step.again, step.because_of.as_str()) {
        (true, _, _) => line.with(Tone::Warn, ": new"),
        (false, true, "") => line.with(Tone::Warn, "; it succeeded, and runs again"),
        (false, true, of) => line.with(Tone::Warn, &format!("; it succeeded, and runs again since {of} does")),
        (false, false, _) if step.anew => line.with(Tone::Warn, "; what it started begins anew"),
        (false, false, _) => line,
    }
}

/// The comparison for programs.
fn to_json(edition: &Edition) -> Value {
    let steps = edition.steps.iter().map(|step| {
        let because_of = (!step.because_of.is_empty()).then_some(&step.because_of);
        json!({"id": step.id, "keys": step.keys, "added": step.added, "again": step.again, "because_of": because_of,
            "anew": step.anew})
    });
    json!({
        "definition": edition.definition,
        "keys": edition.keys,
        "files": edition.files,
        "steps": steps.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_has_a_line() {
        let step = |id: &str| EditedStep { id: id.to_owned(), ..EditedStep::default() };
        let edition = Edition {
            keys: vec!["env".to_owned(), "timeout".to_owned()],
            files: vec!["scripts/copy.sh".to_owned()],
            steps: vec![
                EditedStep { keys: vec!["retry".to_owned()], ..step("dump") },
                EditedStep { keys: vec!["run or argv".to_owned()], again: true, ..step("copy") },
                EditedStep { again: true, because_of: "copy".to_owned(), ..step("check") },
                EditedStep { keys: vec!["steps".to_owned()], anew: true, ..step("move") },
                EditedStep { added: true, ..step("fix") },
            ],
            ..Edition::default()
        };
        let told: Vec<String> = lines(&edition).iter().map(Line::plain).collect();
        assert_eq!(
            told,
            [
                "the runbook was edited:",
                "  top of the file: env, timeout differs",
                "  file scripts/copy.sh differs",
                "  step dump: retry differs",
                "  step copy: run or argv differs; it succeeded, and runs again",
                "  step check; it succeeded, and runs again since copy does",
                "  step move: steps differs; what it started begins anew",
                "  step fix: new",
            ]
        );
        assert_eq!(lines(&Edition::default())[0].plain(), "the runbook is as the run has it");
    }
}
