//! Whether an endpoint answers: one request without a body, of whose answer the status alone is looked at. Never knows who asks.

use std::time::Duration;

use reqwest::Client;
use tokio::runtime::Runtime;

use super::clients::{Clients, tell};
use super::request::Way;

/// How long an endpoint may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks endpoints.
#[derive(Debug)]
pub struct Asker(Client);

impl Asker {
    /// What all of them are asked by.
    ///
    /// # Errors
    /// In words: nobody can ask.
    pub fn new() -> Result<Self, String> {
        let way = Way { redirects: 0, at_home: false, ca: None, cert: None, key: None, proxy: None, pooled: false };
        runtime()?.block_on(Clients::default().of(&way)).map(Self)
    }

    /// Whether a URL is answered with one of these statuses (`200`, or `2xx` for all of a class), or with any below 500 where
    /// there are none.
    ///
    /// # Errors
    /// In words: what it answered, or why it did not.
    pub fn answers(&self, url: &str, expect: &[String]) -> Result<(), String> {
        let asked = runtime()?.block_on(async { self.0.get(url).timeout(PATIENCE).send().await });
        let answer = asked.map_err(|error| match error.is_timeout() {
            true => format!("no answer within {} s", PATIENCE.as_secs()),
            false => tell(&error),
        })?;
        let status = answer.status().as_u16();
        let meets = |wanted: &String| match wanted.strip_suffix("xx") {
            Some(class) => class == (status / 100).to_string(),
            None => *wanted == status.to_string(),
        };
        match if expect.is_empty() { status < 500 } else { expect.iter().any(meets) } {
            true => Ok(()),
            false => Err(format!("it answers {status}")),
        }
    }
}

fn runtime() -> Result<Runtime, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| format!("nobody can ask: {error}"))
}
