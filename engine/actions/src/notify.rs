//! `notify/*`: somebody is told something, once for each key, by a request or a message. Never knows who is told.

use std::path::PathBuf;

use runbook_core::action::{DONE, FAILED};
use runbook_core::time::Span;
use serde_json::{Value, json};

use crate::http::{self, Clients, Fault, Request};
use crate::inside::{Desk, Done};
use crate::mail::{self, Mail};
use crate::told::Told;

/// How long the same key is not told again, unless the step says otherwise.
const QUIET: Span = Span::minutes(24 * 60);

/// Something to tell.
pub(crate) struct Notice {
    way: Way,
    key: String,
    quiet: Span,
    /// Whether the other side is only asked.
    dry: bool,
}

/// How somebody is told.
enum Way {
    Request(Box<Request>),
    Mail(Box<Mail>),
}

/// What an attempt is like that tells something.
pub(crate) struct Telling<'a> {
    /// What the outside world knows this work by, in all its tries.
    pub key: &'a str,
    /// Whether a second try does no harm.
    pub repeatable: bool,
    /// Whether the run is a dry one.
    pub dry: bool,
}

impl Notice {
    /// What a step wants told: once for the key of the attempt, unless the step says otherwise. `path` makes a path of what the
    /// step says.
    ///
    /// # Errors
    /// The key of `with`, and in words what is wrong with its value; never a secret.
    pub(crate) fn new(
        name: &str,
        told: &Told,
        telling: &Telling<'_>,
        path: impl Fn(&str) -> PathBuf,
    ) -> Result<Self, Fault> {
        let request =
            |message: &Value| Request::telling(told, message, telling.key).map(|it| Way::Request(Box::new(it)));
        let way = match name {
            "notify/slack" => request(&json!({"text": escape(told.text("text").unwrap_or_default())}))?,
            "notify/email" => Way::Mail(Box::new(Mail::new(told, telling, path)?)),
            _ => request(told.value("json").unwrap_or(&Value::Null))?,
        };
        Ok(Self {
            way,
            key: format!("{name} {}", told.text("key").unwrap_or(telling.key)),
            quiet: told.whole("quiet").map_or(QUIET, Span),
            dry: telling.dry,
        })
    }
}

/// What has a meaning of its own in a message of Slack, as plain text.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Tells it, unless that was done. In a dry run the other side is only asked, and nobody counts as told.
pub(crate) async fn carry_out(notice: &Notice, clients: &Clients, desk: &dyn Desk) -> Done {
    if let (Way::Mail(mail), true) = (&notice.way, notice.dry) {
        let done = mail::ask(mail, desk).await;
        return if done.code == DONE { told(false) } else { done };
    }
    match desk.was_told(&notice.key, notice.quiet) {
        Ok(false) => {}
        Ok(true) => {
            desk.log(&format!("told less than {} ago, under the same key", notice.quiet));
            return told(false);
        }
        Err(problem) => return Done::with(FAILED, problem),
    }
    let done = match &notice.way {
        Way::Request(request) => http::carry_out(request, clients, desk).await,
        Way::Mail(mail) => mail::send(mail, desk).await,
    };
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
