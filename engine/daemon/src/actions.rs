//! `runbookd actions`: what steps can use, without a daemon. Prints; carries nothing out.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use runbook_core::action::{self, ACTIONS, Action, Carried};
use runbook_core::expression::did_you_mean;
use serde_json::{Value, json};

use crate::check::EXIT_FINDINGS;
use crate::config::Output;

/// How wide the names of keys and outputs are, at least.
const WIDTH: usize = 16;

/// Lists the actions, or tells of one, and says how to exit.
///
/// # Errors
/// Standard output cannot be written.
pub fn actions(name: Option<&str>, output: Output) -> io::Result<u8> {
    let wanted = match name {
        None => ACTIONS.to_vec(),
        Some(name) => match action::find(name) {
            Some(action) => vec![action],
            None => {
                let hint = did_you_mean(name, ACTIONS.iter().map(|action| action.name));
                let hint = hint.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
                writeln!(io::stderr(), "error: there is no action {name:?}{hint}")?;
                return Ok(EXIT_FINDINGS);
            }
        },
    };
    let mut out = io::stdout().lock();
    match (output, name) {
        (Output::Json, None) => {
            let all: Vec<Value> = wanted.into_iter().map(as_json).collect();
            writeln!(out, "{:#}", json!({"actions": all}))?;
        }
        (Output::Json, Some(_)) => {
            for action in wanted {
                writeln!(out, "{:#}", as_json(action))?;
            }
        }
        (Output::Human, None) => {
            for action in wanted {
                writeln!(out, "{:WIDTH$}  {}", action.name, action.doc)?;
            }
            writeln!(out, "\n`runbookd actions NAME` tells all of one.")?;
        }
        (Output::Human, Some(_)) => {
            for action in wanted {
                write!(out, "{}", as_text(action))?;
            }
        }
    }
    Ok(0)
}

fn carried(action: &Action) -> &'static str {
    match action.carried {
        Carried::Inside => "the daemon",
        Carried::Process => "a process",
    }
}

fn as_text(action: &Action) -> String {
    let mut text = format!("{}: {}\n\nwith:\n", action.name, action.doc);
    for key in action.with.all() {
        let default = match (key.required, key.default) {
            (true, _) => "required".to_owned(),
            (false, "") => String::new(),
            (false, default) => format!("default {default}"),
        };
        let _ = writeln!(text, "  {:WIDTH$}  {}; {default}\n  {:WIDTH$}  {}", key.name, key.takes, "", key.doc);
    }
    text.push_str("\noutputs:\n");
    let when = |words: &[&str]| match (action.decides, words) {
        (Some((key, _)), [_, ..]) => format!(", with `{key}: {}`", words.join("` or `")),
        _ => String::new(),
    };
    for output in action.outputs {
        let (name, of, when) = (output.name, output.value_type.name(), when(output.when));
        let _ = writeln!(text, "  {name:WIDTH$}  {of}{when}: {}", output.doc);
    }
    for artifact in action.artifacts {
        let _ = writeln!(text, "  {:WIDTH$}  artifact{}: {}", artifact.name, when(artifact.when), artifact.doc);
    }
    let timeout = action.timeout.map_or_else(|| "none".to_owned(), |timeout| timeout.to_string());
    let _ = writeln!(
        text,
        "\neffect: {}\ntimeout: {timeout}\ntries: {}\nstop: {}\ncarried out by: {}",
        action.effect_in_words(),
        action.attempts,
        action.stop_in_words(),
        carried(action)
    );
    for (head, note) in action.facts.all() {
        let _ = writeln!(text, "{}: {note}", head.to_lowercase());
    }
    let _ = write!(text, "\nexample:\n{}", action.example);
    text
}

fn as_json(action: &Action) -> Value {
    let keys = action.with.all().map(|key| {
        json!({"name": key.name, "takes": key.takes, "default": key.default, "required": key.required, "doc": key.doc})
    });
    let outputs = action.outputs.iter().map(
        |output| json!({"name": output.name, "type": output.value_type.name(), "when": output.when, "doc": output.doc}),
    );
    let artifacts = action
        .artifacts
        .iter()
        .map(|artifact| json!({"name": artifact.name, "when": artifact.when, "doc": artifact.doc}));
    let notes = action.facts.all().map(|(head, note)| json!({"about": head, "note": note}));
    json!({
        "name": action.name,
        "doc": action.doc,
        "with": keys.collect::<Vec<_>>(),
        "decides": action.decides.map(|(key, word)| json!({"key": key, "default": word})),
        "outputs": outputs.collect::<Vec<_>>(),
        "artifacts": artifacts.collect::<Vec<_>>(),
        "effect": action.effect_in_words(),
        "timeout": action.timeout.map(|timeout| timeout.to_string()),
        "tries": action.attempts,
        "stop": action.stop_in_words(),
        "carried_out_by": carried(action),
        "notes": notes.collect::<Vec<_>>(),
        "example": action.example,
    })
}
