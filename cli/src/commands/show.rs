//! `runbook show`: one runbook, whole.

use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use prost_types::Duration;
use runbook_proto::v1::{GetRunbookRequest, Input, Objective, Runbook, Step};

use super::check::lines;
use crate::complete;
use crate::console::Console;
use crate::context::Context;
use crate::excerpt::Text;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::line::{Line, Tone};
use crate::moment::{micros, span};
use crate::session::runbooks;
use crate::table::Table;
use crate::to_json;

/// Arguments of `show`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  runbook show backup\n  runbook show backup --source > copy.yaml")]
pub struct Show {
    /// The runbook's name
    #[arg(add = ArgValueCompleter::new(complete::runbook))]
    pub name: String,
    /// Prints the file as the daemon has loaded it
    #[arg(long)]
    pub source: bool,
}

/// Runs the verb.
///
/// # Errors
/// There is no such runbook, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Show) -> Result<ExitCode> {
    let request = GetRunbookRequest { name: args.name.clone() };
    let response = cx.session.ask(async |channel| runbooks(channel).get_runbook(request.clone()).await).await?;
    let runbook = response.runbook.ok_or_else(|| Failure::other("the daemon answered without a runbook"))?;
    if cx.console.json {
        cx.console.json(&to_json::runbook(&runbook))?;
    } else if args.source {
        cx.console.raw(&runbook.source)?;
    } else {
        human(&cx.console, &runbook)?;
    }
    Ok(ExitCode::Succeeded)
}

fn human(console: &Console, runbook: &Runbook) -> Result<()> {
    let name = runbook.name.strip_prefix("runbooks/").unwrap_or(&runbook.name);
    let mut head = Line::of(Tone::Bold, name).with(Tone::Dim, &format!("  {}", runbook.file));
    if runbook.broken {
        head.push(Tone::Bad, "  broken: it cannot be started");
    }
    console.line(&head)?;
    if !runbook.description.is_empty() {
        console.wrapped_line(&Line::of(Tone::Plain, &runbook.description), 0)?;
    }
    let mut labels: Vec<String> = runbook.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    labels.sort();
    for (what, values) in [("labels", &labels), ("locks", &runbook.locks), ("environments", &runbook.environments)] {
        if !values.is_empty() {
            console.line(&Line::of(Tone::Dim, &format!("{what}: ")).with(Tone::Plain, &values.join(", ")))?;
        }
    }
    if let Some(it) = &runbook.objective {
        console.line(&Line::of(Tone::Dim, "objective: ").with(Tone::Plain, &objective(it)))?;
    }
    section(console, "Inputs", &inputs(&runbook.inputs))?;
    section(console, "Steps", &steps(&runbook.steps))?;
    if !runbook.findings.is_empty() {
        console.line(&Line::new())?;
        console.line(&Line::of(Tone::Bold, "Findings"))?;
        let text = Text::new(&runbook.source);
        for finding in &runbook.findings {
            for line in lines(finding, Some(&text)) {
                console.line(&line)?;
            }
        }
    }
    if !runbook.broken {
        let required: String =
            runbook.inputs.iter().filter(|input| input.required).map(|input| format!(" -i {}=…", input.name)).collect();
        console.flush()?;
        console.say(&format!("start it: runbook exec {name}{required}"));
    }
    Ok(())
}

/// What its runs are for, in words.
fn objective(it: &Objective) -> String {
    let within =
        |word: &str, time: &Option<Duration>| time.as_ref().map(|time| format!("{word} {}", span(micros(time))));
    let said = [
        within("newest backup at most", &it.rpo).map(|rpo| format!("{rpo} old")),
        within("restored within", &it.rto),
        it.drill.then(|| "a drill".to_owned()),
        it.proves.then(|| "proves backups".to_owned()),
    ];
    let said: Vec<String> = said.into_iter().flatten().collect();
    format!("{}: {}", it.target, said.join(", "))
}

fn section(console: &Console, title: &str, table: &Table) -> Result<()> {
    if table.is_empty() {
        return Ok(());
    }
    console.line(&Line::new())?;
    console.line(&Line::of(Tone::Bold, title))?;
    console.table(table)
}

fn inputs(inputs: &[Input]) -> Table {
    let mut table = Table::new(&["INPUT", "TYPE", "DEFAULT", "DESCRIPTION"]).wrapped();
    for input in inputs {
        let default = if input.required { "required" } else { input.default_json.as_str() };
        let tone = if input.required { Tone::Warn } else { Tone::Plain };
        let secret = match (input.secret, input.ephemeral) {
            (_, true) => " (secret, kept nowhere)",
            (true, false) => " (secret)",
            (false, false) => "",
        };
        table.row(vec![
            (Tone::Bold, input.name.clone()),
            (Tone::Plain, format!("{}{secret}", input.r#type)),
            (tone, default.to_owned()),
            (Tone::Plain, join(&[&input.description, &bounds(input)], " ")),
        ]);
    }
    table
}

/// What a value must be like.
fn bounds(input: &Input) -> String {
    let mut parts = Vec::new();
    if !input.choices_json.is_empty() {
        parts.push(format!("one of {}", input.choices_json.join(", ")));
    }
    if !input.pattern.is_empty() {
        parts.push(format!("like {}", input.pattern));
    }
    match (input.minimum, input.maximum) {
        (Some(minimum), Some(maximum)) => parts.push(format!("{minimum} to {maximum}")),
        (Some(minimum), None) => parts.push(format!("at least {minimum}")),
        (None, Some(maximum)) => parts.push(format!("at most {maximum}")),
        (None, None) => {}
    }
    if parts.is_empty() { String::new() } else { format!("({})", parts.join(", ")) }
}

fn steps(steps: &[Step]) -> Table {
    let mut table = Table::new(&["STEP", "NEEDS", "EFFECT", "DESCRIPTION"]).wrapped();
    for step in steps {
        let condition = if step.condition.is_empty() { String::new() } else { format!("if {}", step.condition) };
        let back = match (step.has_rollback, step.no_return) {
            (true, _) => "can be rolled back",
            (false, true) => "no way back once it has started",
            (false, false) => "",
        };
        let undoes = if step.undoes.is_empty() { String::new() } else { format!("undoes {}", step.undoes.join(", ")) };
        let goes_on = if step.when_skipped == "go_on" { "skipped: go on" } else { "" };
        let part = if step.in_finally { "finally" } else { "" };
        table.row(vec![
            (Tone::Bold, step.id.clone()),
            (Tone::Plain, step.needs.join(", ")),
            (Tone::Plain, step.effect.clone()),
            (Tone::Plain, join(&[part, &undoes, &condition, goes_on, back, &step.description], "; ")),
        ]);
    }
    table
}

fn join(parts: &[&str], between: &str) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    parts.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_say_what_they_take() {
        let table = inputs(&[
            Input {
                name: "keep".into(),
                r#type: "integer".into(),
                default_json: "7".into(),
                minimum: Some(1.0),
                description: "How many".into(),
                ..Default::default()
            },
            Input {
                name: "area".into(),
                r#type: "string".into(),
                required: true,
                secret: true,
                choices_json: vec!["\"a\"".into(), "\"b\"".into()],
                ..Default::default()
            },
        ]);
        let text: Vec<String> = table.lines(None).iter().map(Line::plain).collect();
        assert_eq!(
            text,
            [
                "INPUT  TYPE             DEFAULT   DESCRIPTION",
                "keep   integer          7         How many (at least 1)",
                "area   string (secret)  required  (one of \"a\", \"b\")",
            ]
        );
    }
}
