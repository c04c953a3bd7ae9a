//! `notify/*`: a request that tells somebody something, once for each key. Never knows who is told.

use runbook_core::action::{DONE, FAILED};
use runbook_core::time::Span;
use serde_json::{Value, json};

use crate::http::{self, Clients, Request};
use crate::inside::{Desk, Done};
use crate::told::Told;

/// How long the same key is not told again, unless the step says otherwise.
const QUIET: Span = Span::minutes(24 * 60);

/// Something to tell.
pub(crate) struct Notice {
    request: Request,
    key: String,
    quiet: Span,
}

impl Notice {
    /// What a step wants told. `key` is what it is told once for, unless the step says otherwise.
    ///
    /// # Errors
    /// The key of `with`, and in words what is wrong with its value; never a secret.
    pub(crate) fn new(name: &str, told: &Told, key: &str) -> Result<Self, (String, String)> {
        let message = match name {
            "notify/slack" => json!({"text": escape(told.text("text").unwrap_or_default())}),
            _ => told.value("json").cloned().unwrap_or(Value::Null),
        };
        Ok(Self {
            request: Request::telling(told, &message, key)?,
            key: format!("{name} {}", told.text("key").unwrap_or(key)),
            quiet: told.whole("quiet").map_or(QUIET, Span),
        })
    }
}

/// What has a meaning of its own in a message of Slack, as plain text.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Tells it, unless that was done.
pub(crate) async fn carry_out(notice: &Notice, clients: &Clients, desk: &dyn Desk) -> Done {
    match desk.was_told(&notice.key, notice.quiet) {
        Ok(false) => {}
        Ok(true) => {
            desk.log(&format!("told less than {} ago, under the same key", notice.quiet));
            return told(false);
        }
        Err(problem) => return Done::with(FAILED, problem),
    }
    let done = http::carry_out(&notice.request, clients, desk).await;
    if done.code != DONE {
        return Done { outputs: Default::default(), ..done };
    }
    if let Err(problem) = desk.tell(&notice.key) {
        // It was told all the same; at worst it is told once more.
        desk.log(&problem);
    }
    told(true)
}

fn told(now: bool) -> Done {
    let mut done = Done::with(DONE, "");
    done.outputs.insert("told".to_owned(), Value::from(now));
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_a_text_makes_a_link() {
        assert_eq!(escape("<!channel> a & b <http://x|y>"), "&lt;!channel&gt; a &amp; b &lt;http://x|y&gt;");
    }
}
