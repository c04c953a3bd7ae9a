//! What terraform says while it works, line by line as JSON: what of it is for people, how far it has come, and what its errors
//! mean. Never starts it.

use std::path::Path;

use runbook_core::action::{FAILED, LATER};
use serde_json::{Map, Value};

use super::super::say;
use super::changes::{Change, planned};
use crate::inside::Done;

/// The errors that a message tells; the log has all.
const ERRORS: usize = 3;

/// How much of a reason a message tells, in characters.
const REASON: usize = 300;
/// How a backend behind HTTP says that somebody has the state.
const LOCKED: &str = "already locked: ID=";

/// What a program that speaks JSON line by line said.
#[derive(Default)]
pub(super) struct Said {
    errors: Vec<Fault>,
    /// How many resources it made, changed and removed, by its own names for that.
    pub(super) counts: Map<String, Value>,
    /// What it is going to change.
    pub(super) planned: Vec<Change>,
    progress: Progress,
}

/// An error.
struct Fault {
    summary: String,
    detail: String,
    /// Where: the resource, or the file and its line.
    place: Option<String>,
}

impl Fault {
    fn of(diagnostic: &Value) -> Self {
        let text = |key: &str| diagnostic[key].as_str().unwrap_or_default().to_owned();
        let file = diagnostic["range"]["filename"].as_str();
        let line = file.map(|file| format!("{file}:{}", diagnostic["range"]["start"]["line"]));
        let places: Vec<String> = diagnostic["address"].as_str().map(str::to_owned).into_iter().chain(line).collect();
        let place = (!places.is_empty()).then(|| places.join(", "));
        Self { summary: text("summary"), detail: text("detail"), place }
    }

    /// What is wrong, and where.
    fn told(&self) -> String {
        let summary = match self.summary.contains("state lock") {
            // That the lock was not had is not why.
            true => self.reason().unwrap_or_else(|| self.summary.clone()),
            false => self.summary.clone(),
        };
        match &self.place {
            Some(place) => format!("{place}: {summary}"),
            None => summary,
        }
    }

    /// Why a lock could not be had, on one line.
    fn reason(&self) -> Option<String> {
        let said = self.detail.split("Terraform acquires a state lock").next()?;
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let said: String = said.trim_start_matches("Error message: ").chars().take(REASON).collect();
        (!said.is_empty()).then(|| format!("the state cannot be had: {said}"))
    }
}

/// How far it has come with what it is going to do. What it makes anew is removed and made: two things.
#[derive(Default)]
struct Progress {
    planned: u64,
    done: u64,
}

impl Progress {
    /// Takes a message, and says how far it has come where the message is about that.
    fn message(&mut self, message: &Value) -> Option<String> {
        let kind = message["type"].as_str()?;
        if kind == "planned_change" {
            self.planned += match message["change"]["action"].as_str() {
                Some("create" | "update" | "delete") => 1,
                Some("replace") => 2,
                _ => 0,
            };
            return None;
        }
        let changes = matches!(message["hook"]["action"].as_str(), Some("create" | "update" | "delete"));
        self.done += u64::from(kind == "apply_complete" && changes);
        let told = kind.starts_with("apply_") || kind.starts_with("provision_");
        // What it did not foresee is done all the same.
        told.then(|| format!("{} of {}", self.done, self.planned.max(self.done)))
    }
}

impl Said {
    /// Takes a line: what is for people goes into the log.
    pub(super) fn line(&mut self, line: &str) {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            say(line);
            return;
        };
        let progress = self.progress.message(&message);
        if let Some(text) = message["@message"].as_str() {
            match progress {
                Some(progress) => say(&format!("{progress}: {text}")),
                None => say(text),
            }
        }
        match message["type"].as_str() {
            Some("diagnostic") if message["diagnostic"]["severity"] == "error" => {
                let fault = Fault::of(&message["diagnostic"]);
                if let Some(place) = &fault.place {
                    say(&format!("at {place}"));
                }
                fault.detail.lines().for_each(say);
                self.errors.push(fault);
            }
            Some("planned_change" | "outputs") => self.planned.extend(planned(&message)),
            Some("change_summary") => {
                if let Some(changes) = message["changes"].as_object() {
                    self.counts.clone_from(changes);
                }
            }
            _ => {}
        }
    }

    /// What its errors mean, in a folder; `called` is how terraform is called there by hand.
    pub(super) fn failed(&self, dir: &Path, called: &str) -> Done {
        let about = |words: &str| self.errors.iter().find(|fault| fault.summary.contains(words));
        // One that cannot be read, or whose backend does not answer, is told so too, and nobody has it.
        let lock =
            about("state lock").filter(|fault| fault.detail.contains("Lock Info:") || fault.detail.contains(LOCKED));
        if let Some(Fault { detail, .. }) = lock {
            let field = |name: &str| {
                let line = detail.lines().find_map(|line| line.trim().strip_prefix(name));
                line.map_or("unknown", str::trim).to_owned()
            };
            // A state that lies behind HTTP is told with the id of who has it, and below that, who asked in vain: ourselves.
            let told = detail.split(LOCKED).nth(1).and_then(|rest| rest.split_whitespace().next());
            let (id, holder) = match told.filter(|id| *id != field("ID:")) {
                Some(id) => (id.to_owned(), "somebody whom the backend does not name".to_owned()),
                None => {
                    let (operation, created) = (field("Operation:"), field("Created:"));
                    let operation = operation.strip_prefix("OperationType").unwrap_or(&operation).to_lowercase();
                    // Nobody wants to read its nanoseconds.
                    let created =
                        created.split_once('.').map_or(created.clone(), |(second, _)| format!("{second} UTC"));
                    (field("ID:"), format!("{} ({operation}) since {created}", field("Who:")))
                }
            };
            return Done::with(
                LATER,
                format!(
                    "the state is locked by {holder}; once you know that nobody works on it any more, free it by \
                     `{called} force-unlock {id}`"
                ),
            );
        }
        if about("plan is stale").is_some() {
            return Done::with(
                FAILED,
                "the plan is stale: the state has changed since it was made, by somebody else or by an apply that was cut off; \
                 plan again, in a run of its own, and let that be approved",
            );
        }
        let told: Vec<String> = self.errors.iter().map(Fault::told).take(ERRORS).collect();
        let more = self.errors.len().saturating_sub(ERRORS);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let told = if told.is_empty() { "it failed; the log has what it said".to_owned() } else { told.join("; ") };
        let left = match dir.join("errored.tfstate").exists() {
            true => "; the state could not be saved: errored.tfstate in its folder is the newest, push it by hand",
            false => "",
        };
        Done::with(FAILED, format!("{told}{more}{left}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn how_far_it_has_come_is_told_of_what_it_is_going_to_do() {
        let mut progress = Progress::default();
        for action in ["create", "replace", "noop", "read"] {
            assert_eq!(progress.message(&json!({"type": "planned_change", "change": {"action": action}})), None);
        }
        let mut hook = |kind: &str, action: &str| progress.message(&json!({"type": kind, "hook": {"action": action}}));
        assert_eq!(hook("apply_start", "create").as_deref(), Some("0 of 3"));
        assert_eq!(hook("apply_complete", "read").as_deref(), Some("0 of 3"), "what is only read is no change");
        assert_eq!(hook("apply_complete", "create").as_deref(), Some("1 of 3"));
        assert_eq!(hook("apply_progress", "delete").as_deref(), Some("1 of 3"));
        assert_eq!(hook("apply_errored", "delete").as_deref(), Some("1 of 3"));
        for (done, action) in (2..).zip(["delete", "create", "delete"]) {
            let of = done.max(3);
            assert_eq!(hook("apply_complete", action), Some(format!("{done} of {of}")));
        }
        assert_eq!(hook("refresh_start", ""), None);
        assert_eq!(progress.message(&json!({"@message": "no type"})), None);
    }

    #[test]
    fn errors_are_told_with_the_resource_and_the_line() {
        let mut said = Said::default();
        let range = json!({"filename": "main.tf", "start": {"line": 29, "column": 1}});
        said.errors.push(Fault::of(&json!({"summary": "Invalid multi-line string", "range": range})));
        let address = "terraform_data.slow[\"a\"]";
        let error = json!({"summary": "local-exec provisioner error", "address": address, "range": range});
        said.errors.push(Fault::of(&error));
        said.errors.push(Fault::of(&json!({"summary": "Unauthorized"})));
        let expected = "main.tf:29: Invalid multi-line string; terraform_data.slow[\"a\"], main.tf:29: local-exec \
             provisioner error; Unauthorized";
        assert_eq!(said.failed(Path::new("/srv/stack"), "terraform").message, expected);
    }

    #[test]
    fn a_state_that_cannot_be_read_is_no_lock_of_somebody() {
        let mut said = Said::default();
        let detail = "Error message: 2 problems:\n\n- Unsupported state file format: it is no JSON.\n\nTerraform acquires a state lock to \
            protect the state from being written\nby multiple users.";
        said.errors.push(Fault::of(&json!({"summary": "Error acquiring the state lock", "detail": detail})));
        let done = said.failed(Path::new("/srv/stack"), "terraform");
        assert_eq!(done.code, FAILED);
        assert_eq!(
            done.message,
            "the state cannot be had: 2 problems: - Unsupported state file format: it is no JSON."
        );
    }

    #[test]
    fn a_lock_is_told_with_its_holder_and_never_forced() {
        let mut said = Said::default();
        let detail = "Error message: resource temporarily unavailable\nLock Info:\n  ID:        af-12\n  Path:      terraform.tfstate\n  Operation: OperationTypeApply\n  Who:       ada@host\n  Created:   2026-11-28 09:00:00.94251761 +0000 UTC\n";
        said.errors.push(Fault::of(&json!({"summary": "Error acquiring the state lock", "detail": detail})));
        let done = said.failed(Path::new("/srv/stack"), "TF_DATA_DIR=data tofu -chdir=/srv/stack");
        assert_eq!(done.code, LATER);
        assert!(
            done.message.contains("locked by ada@host (apply) since 2026-11-28 09:00:00 UTC;")
                && done.message.contains("`TF_DATA_DIR=data tofu -chdir=/srv/stack force-unlock af-12`"),
            "{}",
            done.message
        );
    }
}
