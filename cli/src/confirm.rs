//! What a start or a resume destroys is confirmed by its name: a person at a terminal is asked to type it; elsewhere the
//! refusal says what to type. Never decides what has to be confirmed: the daemon does.

use std::collections::HashSet;

use runbook_proto::v1::GetRunbookRequest;
use tokio::signal::unix::Signal;

use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::prompt::{LOOK_AGAIN, typed_line};
use crate::session::runbooks;
use crate::text::quoted;

/// The reason by which the daemon refuses what is not confirmed.
const UNCONFIRMED: &str = "UNCONFIRMED";
/// What a refusal says of words that confirm an environment.
const OF_ENVIRONMENT: &str = "of the environment";
/// Under this name the refusal holds the names, as a list in JSON.
const TARGETS: &str = "targets";

/// The names that a refusal wants confirmed; `None` when it is about something else.
pub fn wanted(failure: &Failure) -> Option<Vec<String>> {
    let answer = failure.answer.as_ref().filter(|answer| answer.reason.as_deref() == Some(UNCONFIRMED))?;
    let (_, list) = answer.metadata.iter().find(|(key, _)| key == TARGETS)?;
    serde_json::from_str(list).ok()
}

/// Whether a person can be asked.
pub fn can_ask(cx: &Context) -> bool {
    cx.console.can_ask && !cx.console.json
}

/// Asks for each name to be typed. `failure` says what destroys it.
///
/// # Errors
/// Something else was typed, nothing at all, or Ctrl-C.
pub async fn ask(cx: &Context, interrupts: &mut Signal, failure: &Failure, names: &[String]) -> Result<()> {
    let nothing = "nothing was started";
    for name in names {
        let by = failure.details.iter().find(|(target, _)| target == name).map_or("", |(_, by)| by.as_str());
        if by == OF_ENVIRONMENT {
            cx.console.warn(&format!("this acts in an environment that is confirmed by the words {name}"));
            cx.console.ask("type them to go on: ");
        } else {
            cx.console.warn(&format!("this destroys {name} ({by})"));
            cx.console.ask("type its name to go on: ");
        }
        let typed = tokio::select! {
            typed = typed_line() => typed.map_err(|error| Failure::io("the terminal cannot be read", &error))?,
            _ = interrupts.recv() => {
                // Ctrl-C makes the terminal throw away what is on its way to it.
                tokio::time::sleep(LOOK_AGAIN).await;
                cx.console.ask("\n");
                return Err(Failure::new(ExitCode::Interrupted, format!("Ctrl-C: {nothing}")));
            }
        };
        if typed.trim() != name {
            return Err(Failure::new(ExitCode::Refused, format!("that is not {name}: {nothing}")));
        }
    }
    Ok(())
}

/// The refusal, with the command that would be taken. `runbook` is the name of the runbook, where it has one: values of
/// inputs are told only when they are known to be no secrets.
pub async fn advise(cx: &mut Context, failure: Failure, names: &[String], runbook: Option<&str>) -> Failure {
    let open = match runbook {
        Some(name) => open_inputs(cx, name).await.unwrap_or_default(),
        None => HashSet::new(),
    };
    let words = std::env::args().skip(1);
    failure.next(format!("if that is meant: {}", command(words, &open, names)))
}

/// The inputs of a runbook that are no secrets.
async fn open_inputs(cx: &mut Context, runbook: &str) -> Option<HashSet<String>> {
    let request = GetRunbookRequest { name: runbook.to_owned() };
    let answer = cx.session.ask(async |channel| runbooks(channel).get_runbook(request.clone()).await).await.ok()?;
    let inputs = answer.runbook?.inputs;
    Some(inputs.into_iter().filter(|input| !input.secret).map(|input| input.name).collect())
}

/// The command that was typed, with the confirmations.
fn command(words: impl Iterator<Item = String>, open: &HashSet<String>, names: &[String]) -> String {
    let mut command = "runbook".to_owned();
    let mut is_input = false;
    for word in words {
        let shown = match word.strip_prefix("--input=").map(|pair| ("--input=", pair)) {
            Some((option, pair)) => format!("{option}{}", input(pair, open)),
            None if is_input => input(&word, open),
            None => quoted(&word),
        };
        is_input = matches!(word.as_str(), "-i" | "--input");
        command = format!("{command} {shown}");
    }
    for name in names {
        command = format!("{command} --confirm {}", quoted(name));
    }
    command
}

/// An input as it was typed, unless it may be a secret.
fn input(pair: &str, open: &HashSet<String>) -> String {
    match pair.split_once('=') {
        Some((name, _)) if !open.contains(name) => format!("{name}=…"),
        Some(_) | None => quoted(pair),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_typed_and_tells_no_secret() {
        let open = HashSet::from(["db".to_owned()]);
        let words = ["exec", "wipe", "-i", "db=a b", "--input", "key=s3cret", "--input=key=s3cret", "--reason", "it's"];
        let command = command(words.into_iter().map(str::to_owned), &open, &["db/a b".to_owned(), "x".to_owned()]);
        assert_eq!(
            command,
            r"runbook exec wipe -i 'db=a b' --input key=… --input=key=… --reason 'it'\''s' --confirm 'db/a b' --confirm x"
        );
    }
}
