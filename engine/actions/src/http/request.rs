//! What an `http` step asks for, typed. Never knows the answer.

use std::path::PathBuf;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use runbook_core::limits;
use serde_json::Value;

use crate::told::{Condition, Told};

/// The header that lets a server recognise a repetition.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The redirects that a read follows unless the step says otherwise.
const REDIRECTS: u32 = 10;

/// A request that is ready to be made.
pub(crate) struct Request {
    pub method: Method,
    pub url: Url,
    /// Whether the URL holds a secret.
    pub hidden: bool,
    pub headers: HeaderMap,
    pub body: Body,
    /// How the client is made.
    pub way: Way,
    pub statuses: Vec<Statuses>,
    pub expect: Option<Condition>,
    pub happened: Option<Condition>,
    pub answer: Answer,
    /// The most that the body of the answer may have.
    pub max_bytes: u64,
    /// Whether a second try does no harm.
    pub repeatable: bool,
}

/// The body of a request.
pub(crate) enum Body {
    Nothing,
    Text(String),
    File(PathBuf),
}

/// How a client reaches the other side.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Way {
    pub redirects: u32,
    /// Whether it follows redirects to the same scheme, host and port alone: a header holds a secret.
    pub at_home: bool,
    pub ca: Option<PathBuf>,
    pub cert: Option<PathBuf>,
    pub key: Option<Key>,
    pub proxy: Option<String>,
    /// Whether a connection may have been used before. A write does not begin on one that the other side is just closing.
    pub pooled: bool,
}

/// A private key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Text(String),
    File(PathBuf),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// Statuses that are as expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Statuses {
    One(u16),
    Class(u16),
}

/// What becomes of the body of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Text,
    Json,
    File,
    Nothing,
}

impl Statuses {
    fn read(text: &str) -> Option<Self> {
        match text.strip_suffix("xx") {
            Some(class) => class.parse().ok().map(Self::Class),
            None => text.parse().ok().map(Self::One),
        }
    }

    pub(crate) const fn has(self, status: u16) -> bool {
        match self {
            Self::One(one) => one == status,
            Self::Class(class) => class == status / 100,
        }
    }
}

/// What is wrong with what a step says: the key, and why.
pub(crate) type Fault = (String, String);

impl Request {
    /// The request that an action is told to make. `key` is what a server recognises a repetition by; `path` makes a path
    /// of what the step says.
    ///
    /// # Errors
    /// The key, and in words what is wrong with its value; never a secret.
    pub(crate) fn new(told: &Told, repeatable: bool, key: &str, path: impl Fn(&str) -> PathBuf) -> Result<Self, Fault> {
        let method: Method = told.text("method").unwrap_or("GET").parse().map_err(|_| fault("method", "unknown"))?;
        let answer = match told.text("answer") {
            Some("json") => Answer::Json,
            Some("file") => Answer::File,
            Some("none") => Answer::Nothing,
            _ => Answer::Text,
        };
        let most = match answer {
            Answer::File => limits::HTTP_FILE_DEFAULT_BYTES as u64,
            Answer::Text | Answer::Json | Answer::Nothing => limits::OUTPUT_BYTES as u64,
        };
        let follows = matches!(method, Method::GET | Method::HEAD);
        let redirects = told.whole("redirects").and_then(|most| u32::try_from(most).ok());
        let mut statuses: Vec<Statuses> = told.list("status").filter_map(Statuses::read).collect();
        if statuses.is_empty() {
            statuses.push(Statuses::Class(2));
        }
        Ok(Self {
            url: url(told)?,
            hidden: told.is_hidden("url"),
            headers: headers(told, &method, answer, key)?,
            body: body(told, &path)?,
            way: Way {
                redirects: if follows { redirects.unwrap_or(REDIRECTS) } else { 0 },
                at_home: told.is_hidden("headers"),
                ca: told.text("ca").map(&path),
                cert: told.text("client_cert").map(&path),
                key: told.text("client_key").map(|key| match key.contains("-----BEGIN") {
                    true => Key::Text(key.to_owned()),
                    false => Key::File(path(key)),
                }),
                proxy: told.text("proxy").map(str::to_owned),
                pooled: repeatable,
            },
            statuses,
            expect: told.condition("expect").cloned(),
            happened: told.condition("happened").cloned(),
            answer,
            max_bytes: told.whole("max_bytes").and_then(|most| u64::try_from(most).ok()).unwrap_or(most),
            repeatable,
            method,
        })
    }

    /// A request that tells somebody something, which may be done again.
    ///
    /// # Errors
    /// As [`Request::new`].
    pub(crate) fn telling(told: &Told, message: &Value, key: &str) -> Result<Self, Fault> {
        let mut headers = headers(told, &Method::POST, Answer::Nothing, key)?;
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
        Ok(Self {
            method: Method::POST,
            url: url(told)?,
            hidden: told.is_hidden("url"),
            headers,
            body: Body::Text(message.to_string()),
            way: Way { redirects: 0, at_home: false, ca: None, cert: None, key: None, proxy: None, pooled: true },
            statuses: vec![Statuses::Class(2)],
            expect: None,
            happened: None,
            answer: Answer::Nothing,
            max_bytes: limits::OUTPUT_BYTES as u64,
            repeatable: true,
        })
    }

    /// Where it goes, as it may be shown: without the query and what identifies somebody.
    pub(crate) fn place(&self) -> String {
        if self.hidden {
            return "to a secret URL".to_owned();
        }
        let mut shown = self.url.clone();
        // Neither fails for a URL with a host, and without one there is nothing to hide.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        shown.set_query(None);
        shown.set_fragment(None);
        shown.to_string()
    }
}

/// What is wrong with a key of `with`.
pub(crate) fn fault(key: &str, problem: impl Into<String>) -> Fault {
    (format!("with.{key}"), problem.into())
}

fn url(told: &Told) -> Result<Url, Fault> {
    let text = told.text("url").unwrap_or_default();
    let mut url = Url::parse(text.trim()).map_err(|error| fault("url", format!("it is no URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(fault("url", "it has to begin with http:// or https://, and name a host"));
    }
    let mut query = told.texts("query").peekable();
    if query.peek().is_some() {
        url.query_pairs_mut().extend_pairs(query);
    }
    Ok(url)
}

fn headers(told: &Told, method: &Method, answer: Answer, key: &str) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    if told.value("json").is_some() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    if answer == Answer::Json {
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    }
    let may_repeat = matches!(*method, Method::POST | Method::PATCH);
    if told.flag("idempotency_key").unwrap_or(may_repeat)
        && let Ok(value) = HeaderValue::from_str(key)
    {
        headers.insert(IDEMPOTENCY_KEY, value);
    }
    if let (Some(user), Some(password)) = (told.text("user"), told.text("password")) {
        if user.contains(':') {
            return Err(fault("user", "it holds a colon, which basic authentication cannot carry"));
        }
        let value = format!("Basic {}", base64(format!("{user}:{password}").as_bytes()));
        let value = HeaderValue::from_str(&value).map_err(|_| fault("user", "it cannot be a header"))?;
        headers.insert(AUTHORIZATION, value);
    }
    let mut own = HeaderMap::new();
    for (name, value) in told.texts("headers") {
        let place = format!("headers.{name}");
        let name: HeaderName = name.parse().map_err(|_| fault(&place, "this is not the name of a header"))?;
        let value = HeaderValue::from_str(value)
            .map_err(|_| fault(&place, "the value holds an end of line or another control character"))?;
        own.append(name, value);
    }
    // What the step says takes the place of ours.
    for name in own.keys() {
        headers.remove(name);
    }
    headers.extend(own);
    Ok(headers)
}

fn body(told: &Told, path: &impl Fn(&str) -> PathBuf) -> Result<Body, Fault> {
    if let Some(value) = told.value("json") {
        let text = serde_json::to_string(value).map_err(|_| fault("json", "it cannot be written as JSON"))?;
        return Ok(Body::Text(text));
    }
    if let Some(text) = told.text("body") {
        return Ok(Body::Text(text.to_owned()));
    }
    Ok(told.text("body_file").map_or(Body::Nothing, |file| Body::File(path(file))))
}

/// Base64 by RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let letter = LETTERS[(group >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("a:\u{fc}", "YTrDvA==")];
        for (text, encoded) in vectors {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn statuses_are_numbers_and_classes() {
        assert_eq!(Statuses::read("2xx"), Some(Statuses::Class(2)));
        assert!(Statuses::Class(2).has(204) && !Statuses::Class(2).has(301));
        assert_eq!(Statuses::read("404"), Some(Statuses::One(404)));
        assert!(Statuses::One(404).has(404) && !Statuses::One(404).has(405));
    }
}
