//! `runbookd actions`: what steps can use, without a daemon. Prints; carries nothing out.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use runbook_core::action::{self, ACTIONS, Action, Carried, Effects};
use runbook_core::definition::Effect;
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

/// What a second try could do, in words.
fn effect(action: &Action) -> String {
    match action.effect {
        Effects::Fixed(effect) => effect.name().to_owned(),
        Effects::By(key, words) => {
            let of = |effect: Effect| {
                let words: Vec<&str> = words.iter().filter(|(_, it)| *it == effect).map(|(word, _)| *word).collect();
                (!words.is_empty()).then(|| format!("{} with {}", effect.name(), words.join(", ")))
            };
            let effects = [Effect::Read, Effect::Idempotent, Effect::Mutating, Effect::Destructive];
            let told: Vec<String> = effects.into_iter().filter_map(of).collect();
            format!("by `{key}`: {}", told.join("; "))
        }
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
        "\neffect: {}\ntimeout: {timeout}\ntries: {}\ncarried out by: {}",
        effect(action),
        action.attempts,
        carried(action)
    );
    for (head, note) in action.notes {
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
    let notes = action.notes.iter().map(|(head, note)| json!({"about": head, "note": note}));
    json!({
        "name": action.name,
        "doc": action.doc,
        "with": keys.collect::<Vec<_>>(),
        "decides": action.decides.map(|(key, word)| json!({"key": key, "default": word})),
        "outputs": outputs.collect::<Vec<_>>(),
        "artifacts": artifacts.collect::<Vec<_>>(),
        "effect": effect(action),
        "timeout": action.timeout.map(|timeout| timeout.to_string()),
        "tries": action.attempts,
        "carried_out_by": carried(action),
        "notes": notes.collect::<Vec<_>>(),
        "example": action.example,
    })
}
