//! The exchange: the request is sent, the answer read within its bounds. What goes wrong on the way is told by what it
//! means for a second try.

use std::path::Path;

use indexmap::IndexMap;
use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use reqwest::{Response, StatusCode};
use runbook_core::action::{DONE, FAILED, LATER, NOBODY_KNOWS};
use serde_json::{Map, Value};
use tokio::io::AsyncWriteExt as _;

use super::clients::{Clients, tell};
use super::judge::{self, retry_after};
use super::request::{Answer, Body, Request};
use crate::inside::{Desk, Done};

/// The artifact that holds the body of the answer.
const BODY: &str = "body";
/// How much of an answer that is not as expected goes into the log, in bytes.
const SHOWN_BYTES: u64 = 2 << 10;

/// What is said of a body that is not kept, since it holds a secret.
const HOLDS_SECRET: &str = "the body of the answer holds the value of a secret, in plain or encoded, and is not kept: an \
    artifact is stored as it is";

/// As the client says that a proxy wants to know who asks; it has no type for that.
const PROXY_WANTS_A_USER: &str = "proxy authorization required";

/// Makes the request.
pub(crate) async fn carry_out(request: &Request, clients: &Clients, desk: &dyn Desk) -> Done {
    let client = match clients.of(&request.way).await {
        Ok(client) => client,
        Err(problem) => return Done::with(FAILED, problem),
    };
    let mut ready = client.request(request.method.clone(), request.url.clone()).headers(request.headers.clone());
    match &request.body {
        Body::Nothing => {}
        Body::Text(text) => ready = ready.body(text.clone()),
        Body::File(path) => match tokio::fs::File::open(path).await {
            Ok(file) => ready = ready.body(file),
            Err(error) => return Done::with(FAILED, format!("with.body_file: {}: {error}", path.display())),
        },
    }
    desk.log(&format!("{} {}", request.method, request.place()));
    match ready.send().await {
        Ok(response) => answered(request, response, desk).await,
        Err(error) => unanswered(request, &error),
    }
}

/// There is no answer.
fn unanswered(request: &Request, error: &reqwest::Error) -> Done {
    let told = tell(error);
    if error.is_builder() {
        return Done::with(FAILED, format!("the request cannot be made: {told}"));
    }
    if error.is_redirect() {
        return Done::with(
            FAILED,
            format!("the server redirects too often: {told}; raise `redirects`, or ask it there"),
        );
    }
    if is_distrusted(error) {
        let help = "give one that it knows by `client_cert:`";
        return Done::with(FAILED, format!("the server does not take our certificate: {told}; {help}"));
    }
    if error.is_connect() {
        if told.contains(PROXY_WANTS_A_USER) {
            let help = "write user and password into `proxy:`";
            return Done::with(FAILED, format!("the proxy does not let us through: {told}; {help}"));
        }
        return match is_distrust(error) {
            true => {
                let help = "name its authority by `ca:`, or mend the certificate";
                Done::with(FAILED, format!("the server is not trusted: {told}; {help}"))
            }
            false => Done::with(LATER, format!("no connection: {told}")),
        };
    }
    broke(request, &format!("no answer: {told}"))
}

/// The connection broke while the request was under way.
fn broke(request: &Request, message: &str) -> Done {
    match request.repeatable {
        true => Done::with(LATER, message),
        false => Done::with(NOBODY_KNOWS, format!("{message}; whether the server did it is not known")),
    }
}

/// Whether the other side's certificate is the reason.
pub(crate) fn is_distrust(error: &(dyn std::error::Error + 'static)) -> bool {
    let tls = tls_fault(error);
    tls.is_some_and(|tls| matches!(tls, rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented))
}

/// Whether the other side does not take our certificate, or wants one. It says so before it looks at a request, though we may
/// have sent that by then.
fn is_distrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::AlertDescription as Alert;
    matches!(
        tls_fault(error),
        Some(rustls::Error::AlertReceived(
            Alert::CertificateRequired
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::DecryptError
                | Alert::AccessDenied
        ))
    )
}

/// What TLS says is the reason.
fn tls_fault<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e rustls::Error> {
    let mut next = error.source();
    while let Some(cause) = next {
        // One of input and output does not count what it holds among its causes, and may hold another one.
        let mut inner = Some(cause);
        while let Some(held) = inner {
            if let Some(tls) = held.downcast_ref() {
                return Some(tls);
            }
            let held = held.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
            inner = held.map(|held| held as &(dyn std::error::Error + 'static));
        }
        next = cause.source();
    }
    None
}

async fn answered(request: &Request, mut response: Response, desk: &dyn Desk) -> Done {
    let status = response.status();
    desk.log(&format!("{} {status}", version(&response)));
    let mut outputs = IndexMap::new();
    outputs.insert("status".to_owned(), Value::from(status.as_u16()));
    outputs.insert("headers".to_owned(), headers(response.headers()));
    if !request.statuses.iter().any(|statuses| statuses.has(status.as_u16())) {
        return Done { outputs, ..unexpected(request, status, response, desk).await };
    }
    let mut done = match request.answer {
        Answer::File => to_file(request, &mut response, desk).await,
        Answer::Text | Answer::Json | Answer::Nothing => to_memory(request, &mut response).await,
    };
    outputs.append(&mut done.outputs);
    done.outputs = outputs;
    if done.code != DONE {
        return done;
    }
    let done = judge::judge(request, done);
    if done.code == FAILED {
        // Whoever reads why wants to see what it is about.
        let body = match done.outputs.get("body").or(done.outputs.get("json")) {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        };
        log_body(body.as_bytes(), desk);
    }
    done
}

fn version(response: &Response) -> String {
    format!("{:?}", response.version())
}

/// The headers by name. What would let others act for us stays out.
fn headers(headers: &HeaderMap) -> Value {
    let mut map = Map::new();
    for name in headers.keys().filter(|name| **name != SET_COOKIE) {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        map.insert(name.to_string(), Value::from(values.join(", ")));
    }
    Value::Object(map)
}

/// Writes the begin of a body into the log.
fn log_body(body: &[u8], desk: &dyn Desk) {
    let shown = &body[..body.len().min(SHOWN_BYTES as usize)];
    String::from_utf8_lossy(shown).lines().for_each(|line| desk.log(line));
}

/// An answer with a status that is not as expected.
async fn unexpected(request: &Request, status: StatusCode, mut response: Response, desk: &dyn Desk) -> Done {
    let after = retry_after(response.headers(), std::time::SystemTime::now());
    let to = response.headers().get(LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()).into_owned());
    let mut shown = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = (SHOWN_BYTES as usize).saturating_sub(shown.len());
        shown.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if shown.len() >= SHOWN_BYTES as usize {
            break;
        }
    }
    log_body(&shown, desk);
    let code = judge::code_of(status, request.repeatable);
    let mut message = format!("the server answered {status}");
    if let Some(to) = to.filter(|_| status.is_redirection()) {
        message.push_str(&format!(" and redirects to {to}"));
        if !request.repeatable || !matches!(request.method.as_str(), "GET" | "HEAD") {
            message.push_str(&format!("; a {} is not sent there by itself: write that as `url:`", request.method));
        } else if request.way.at_home {
            message.push_str("; a header with a secret goes to no other server by itself: write that as `url:`");
        }
    }
    if code == NOBODY_KNOWS {
        message.push_str("; whether it was done behind that is not known");
    }
    Done { retry_after: after.filter(|_| code == LATER), ..Done::with(code, message) }
}

/// Reads the body into memory.
async fn to_memory(request: &Request, response: &mut Response) -> Done {
    let passed_over = request.answer == Answer::Nothing;
    let mut bytes = Vec::new();
    let mut length: u64 = 0;
    if let Some(declared) = response.content_length().filter(|length| !passed_over && *length > request.max_bytes) {
        return too_long(request, &format!("has {declared} bytes"));
    }
    loop {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) => {
                length += chunk.len() as u64;
                // What nobody wants to have is read only to keep the connection.
                if length > request.max_bytes {
                    if passed_over {
                        break;
                    }
                    return too_long(request, "is longer");
                }
                bytes.extend_from_slice(&chunk);
            }
            Err(_) if passed_over => break,
            Err(error) => {
                return broke(request, &format!("the answer broke off after {length} bytes: {}", tell(&error)));
            }
        }
    }
    judge::read(request, bytes)
}

/// Keeps the body as a file.
async fn to_file(request: &Request, response: &mut Response, desk: &dyn Desk) -> Done {
    if let Some(declared) = response.content_length().filter(|length| *length > request.max_bytes) {
        return too_long(request, &format!("has {declared} bytes"));
    }
    let path = match desk.artifact(BODY) {
        Ok(path) => path,
        Err(problem) => return Done::with(FAILED, problem),
    };
    let unwritable = |error: std::io::Error| Done::with(FAILED, format!("the answer cannot be kept: {error}"));
    let mut file = match tokio::fs::File::create_new(&path).await {
        Ok(file) => file,
        Err(error) => return unwritable(error),
    };
    let mut seeker = desk.seeker();
    let mut length: u64 = 0;
    loop {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) => {
                length += chunk.len() as u64;
                if length > request.max_bytes {
                    return too_long(request, "is longer");
                }
                if seeker.meets(&chunk) {
                    return forget(&path).await;
                }
                if let Err(error) = file.write_all(&chunk).await {
                    return unwritable(error);
                }
            }
            Err(error) => {
                return broke(request, &format!("the answer broke off after {length} bytes: {}", tell(&error)));
            }
        }
    }
    if seeker.met() {
        return forget(&path).await;
    }
    let flushed = file.flush().await;
    if let Err(error) = flushed.and(file.sync_all().await) {
        return unwritable(error);
    }
    let mut done = Done::with(DONE, "");
    done.outputs.insert("bytes".to_owned(), Value::from(length));
    done.artifacts.push(BODY.to_owned());
    done
}

/// Removes what was written of a body that holds a secret.
async fn forget(path: &Path) -> Done {
    match tokio::fs::remove_file(path).await {
        Ok(()) => Done::with(FAILED, HOLDS_SECRET),
        Err(error) => Done::with(FAILED, format!("{HOLDS_SECRET}; what was written of it cannot be removed: {error}")),
    }
}

fn too_long(request: &Request, what: &str) -> Done {
    let most = request.max_bytes;
    let help = match request.answer {
        Answer::File => "raise `max_bytes`",
        Answer::Text | Answer::Json | Answer::Nothing => {
            "write `answer: file` to keep it as an artifact, or `answer: none` to pass it over"
        }
    };
    Done::with(FAILED, format!("the body of the answer {what}, and at most {most} are taken; {help}"))
}
