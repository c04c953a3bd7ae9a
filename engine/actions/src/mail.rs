//! `notify/email`: one message, and the talk with the server that takes it. What each answer means for a second try is
//! decided where it comes. Never knows keys, or what was told before.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as From, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use runbook_core::action::{DONE, FAILED, LATER, NOBODY_KNOWS};
use runbook_core::limits;

use crate::http::{Fault, fault, is_distrust, read};
use crate::inside::{Desk, Done};
use crate::notify::Telling;
use crate::told::Told;

/// How long the server may take until it has answered the greeting.
const GREETING: Duration = Duration::from_secs(10);
/// How long it may take to end the talk.
const FAREWELL: Duration = Duration::from_secs(2);
/// How much is told of what the server says, in bytes.
const SAID_BYTES: usize = 500;

/// A message that is ready to be handed in.
pub(crate) struct Mail {
    server: String,
    port: u16,
    tls: Tls,
    ca: Option<PathBuf>,
    login: Option<Credentials>,
    message: Message,
    /// Whether a second try does no harm.
    repeatable: bool,
}

/// How the talk is kept secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    Later,
    Before,
    Never,
}

impl Mail {
    /// The message that an action is told to send. `path` makes a path of what the step says.
    ///
    /// # Errors
    /// The key, and in words what is wrong with its value; never a secret.
    pub(crate) fn new(told: &Told, telling: &Telling<'_>, path: impl Fn(&str) -> PathBuf) -> Result<Self, Fault> {
        let server = line("server", told.text("server").unwrap_or_default())?.trim();
        let (tls, port) = match told.text("tls") {
            Some("implicit") => (Tls::Before, 465),
            Some("none") => (Tls::Never, 25),
            _ => (Tls::Later, 587),
        };
        let login = match (told.text("user"), told.text("password")) {
            (Some(user), Some(password)) => Some(Credentials::new(user.to_owned(), password.to_owned())),
            _ => None,
        };
        Ok(Self {
            server: server.to_owned(),
            port: told.whole("port").and_then(|port| u16::try_from(port).ok()).unwrap_or(port),
            tls,
            ca: told.text("ca").map(path),
            login,
            message: message(told, telling.key)?,
            repeatable: telling.repeatable,
        })
    }

    fn place(&self) -> String {
        format!("{}:{}", self.server, self.port)
    }
}

fn message(told: &Told, key: &str) -> Result<Message, Fault> {
    let from = mailbox("from", told.text("from").unwrap_or_default())?;
    let subject = line("subject", told.text("subject").unwrap_or_default())?;
    let text = told.text("text").unwrap_or_default();
    if text.len() > limits::MAIL_TEXT_BYTES {
        let limit = limits::MAIL_TEXT_BYTES;
        return Err(fault("text", format!("it has {} bytes, the limit is {limit}; say where the rest is", text.len())));
    }
    // The same in all tries, so that whoever gets the message twice can tell.
    let id: String = key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '.' }).collect();
    let automatic = HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        // Answers such as "I am not here" would go to nobody.
        "auto-generated".to_owned(),
    );
    let mut message = Message::builder()
        .message_id(Some(format!("<{id}@{}>", from.email.domain())))
        .from(from)
        .subject(subject)
        .raw_header(automatic)
        .header(ContentType::TEXT_PLAIN);
    for to in told.list("to") {
        message = message.to(mailbox("to", to)?);
    }
    message.body(text.to_owned()).map_err(|error| fault("to", format!("no message can be made of it: {error}")))
}

/// An address, with or without a name.
fn mailbox(key: &str, text: &str) -> Result<Mailbox, Fault> {
    let help = "write `ops@example.org`, or `Operations <ops@example.org>`";
    line(key, text)?.parse().map_err(|error| fault(key, format!("`{text}` is no address ({error}); {help}")))
}

/// A text that stands in a line of the head, or of the talk: what ends a line would begin something that nobody wrote.
fn line<'t>(key: &str, text: &'t str) -> Result<&'t str, Fault> {
    if text.chars().any(char::is_control) {
        return Err(fault(key, "it holds an end of line or another control character, and has to be one line"));
    }
    if text.trim().is_empty() {
        return Err(fault(key, "it is empty"));
    }
    match text.len() > limits::MAIL_LINE_BYTES {
        true => Err(fault(key, format!("it has {} bytes, the limit is {}", text.len(), limits::MAIL_LINE_BYTES))),
        false => Ok(text),
    }
}

/// Asks the server whether it would take a message, as far as that can be known without one.
pub(crate) async fn ask(mail: &Mail, desk: &dyn Desk) -> Done {
    match enter(mail, desk).await {
        Ok(talk) => {
            leave(talk).await;
            desk.log("the server is ready for a message, and gets none in a dry run");
            Done::with(DONE, "")
        }
        Err(done) => done,
    }
}

/// Hands the message in.
pub(crate) async fn send(mail: &Mail, desk: &dyn Desk) -> Done {
    let mut talk = match enter(mail, desk).await {
        Ok(talk) => talk,
        Err(done) => return done,
    };
    let done = hand_in(mail, &mut talk, desk).await.unwrap_or_else(|done| done);
    leave(talk).await;
    done
}

/// Ends the talk. What was said is said, so a server that does not answer to that holds nothing up.
async fn leave(mut talk: AsyncSmtpConnection) {
    let _ = tokio::time::timeout(FAREWELL, talk.abort()).await;
}

/// The talk up to where a message can be handed in.
async fn enter(mail: &Mail, desk: &dyn Desk) -> Result<AsyncSmtpConnection, Done> {
    let (me, place) = (me(), mail.place());
    let parameters = match mail.tls {
        Tls::Never => None,
        Tls::Later | Tls::Before => Some(parameters(mail).await?),
    };
    let before = parameters.clone().filter(|_| mail.tls == Tls::Before);
    let address = (mail.server.trim_start_matches('[').trim_end_matches(']'), mail.port);
    let greeting = AsyncSmtpConnection::connect_tokio1(address, None, &me, before, None);
    let mut talk = match tokio::time::timeout(GREETING, greeting).await {
        Ok(talk) => talk.map_err(|error| unanswered(mail, &error))?,
        Err(_) => {
            let help = "at port 465 servers usually want `tls: implicit`, elsewhere not";
            return Err(Done::with(LATER, format!("{place} greets nobody within {} s; {help}", GREETING.as_secs())));
        }
    };
    desk.log(&format!("{place} has greeted"));
    if let Some(parameters) = parameters.filter(|_| mail.tls == Tls::Later) {
        if !talk.can_starttls() {
            leave(talk).await;
            let help = "write `tls: implicit` with its port for that, or `tls: none` for a server on this machine";
            return Err(Done::with(FAILED, format!("{place} does not offer STARTTLS; {help}")));
        }
        talk.starttls(parameters, &me).await.map_err(|error| unanswered(mail, &error))?;
    }
    if talk.is_encrypted() {
        desk.log("the talk is encrypted");
    }
    if let Some(login) = &mail.login {
        let mechanisms = [Mechanism::Plain, Mechanism::Login];
        if talk.server_info().get_auth_mechanism(&mechanisms).is_none() {
            leave(talk).await;
            let help = "leave `user` and `password` out, or ask for its port for messages that are handed in";
            return Err(Done::with(FAILED, format!("{place} takes no user with a password; {help}")));
        }
        if let Err(error) = talk.auth(&mechanisms, login).await {
            leave(talk).await;
            return Err(refused(&error, "user and password"));
        }
        desk.log("user and password are taken");
    }
    Ok(talk)
}

async fn hand_in(mail: &Mail, talk: &mut AsyncSmtpConnection, desk: &dyn Desk) -> Result<Done, Done> {
    let envelope = mail.message.envelope();
    let mut parameters = Vec::new();
    let beyond_ascii = |address: &Address| !AsRef::<str>::as_ref(address).is_ascii();
    if envelope.from().into_iter().chain(envelope.to()).any(beyond_ascii) {
        if !talk.server_info().supports_feature(Extension::SmtpUtfEight) {
            let help = "an address of another form is needed";
            return Err(Done::with(FAILED, format!("the server takes no addresses beyond ASCII; {help}")));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    let from = envelope.from().cloned();
    let sender = from.as_ref().map(ToString::to_string).unwrap_or_default();
    talk.command(From::new(from, parameters))
        .await
        .map_err(|error| refused(&error, &format!("a message from {sender}")))?;
    for to in envelope.to() {
        let asked = talk.command(Rcpt::new(to.clone(), Vec::new())).await;
        asked.map_err(|error| refused(&error, &format!("a message to {to}")))?;
    }
    talk.command(Data).await.map_err(|error| refused(&error, "the message"))?;
    let message = mail.message.formatted();
    desk.log(&format!("a message of {} bytes for {}", message.len(), envelope.to().len()));
    match talk.message(&message).await {
        Ok(answer) => {
            desk.log(&bounded(&format!("taken: {} {}", answer.code(), answer.message().collect::<Vec<_>>().join(" "))));
            Ok(Done::with(DONE, ""))
        }
        Err(error) if error.status().is_some() => Err(refused(&error, "the message")),
        // It has all of it, and may deliver it.
        Err(error) => Err(match mail.repeatable {
            true => Done::with(LATER, format!("no answer to the whole message: {}", cause(&error))),
            false => Done::with(
                NOBODY_KNOWS,
                format!("no answer to the whole message: {}; whether it is delivered is not known", cause(&error)),
            ),
        }),
    }
}

/// The talk did not come to where something can be asked.
fn unanswered(mail: &Mail, error: &Error) -> Done {
    let (place, told) = (mail.place(), cause(error));
    if error.status().is_some() {
        return refused(error, "anybody");
    }
    if is_distrust(error) {
        let help = "name its authority by `ca:`, or mend the certificate";
        return Done::with(FAILED, format!("{place} is not trusted: {told}; {help}"));
    }
    if mail.tls == Tls::Before && told.contains("InvalidContentType") {
        let help = "write `tls: starttls`, or the port that speaks TLS from the beginning, usually 465";
        return Done::with(FAILED, format!("{place} does not begin with TLS: {told}; {help}"));
    }
    Done::with(LATER, format!("no talk with {place}: {told}"))
}

/// The server does not take something, now or ever. Nothing was handed in.
fn refused(error: &Error, what: &str) -> Done {
    let Some(code) = error.status() else {
        return Done::with(LATER, format!("the connection broke before the message was handed in: {}", cause(error)));
    };
    let later = error.is_transient();
    let now = if later { " now" } else { "" };
    let message = format!("the server does not take {what}{now}: {code} {}", cause(error));
    Done::with(if later { LATER } else { FAILED }, bounded(&message))
}

/// What is behind an error.
fn cause(error: &Error) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        told = cause.to_string();
        next = cause.source();
    }
    told
}

fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(SAID_BYTES)].to_owned()
}

async fn parameters(mail: &Mail) -> Result<TlsParameters, Done> {
    let fails = |problem: String| Done::with(FAILED, problem);
    let mut builder = TlsParameters::builder(mail.server.clone());
    if let Some(path) = &mail.ca {
        let pem = read(path, "ca").await.map_err(fails)?;
        let authorities = Certificate::from_pem(&pem)
            .map_err(|error| fails(format!("with.ca: {}: {}", path.display(), cause(&error))))?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authorities);
    }
    builder.build().map_err(|error| {
        fails(format!("no certificate can be looked at: {}; name the server's authority by `ca:`", cause(&error)))
    })
}

/// As whom we greet.
fn me() -> ClientId {
    let uname = rustix::system::uname();
    let name = uname.nodename().to_string_lossy();
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    match !name.is_empty() && name.chars().all(good) {
        true => ClientId::Domain(name.into_owned()),
        false => ClientId::default(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn what_would_begin_a_line_of_its_own_is_refused() {
        for text in ["a\r\nBcc: x@y", "a\nb", "a\0b", "", "  "] {
            assert!(line("subject", text).is_err(), "{text:?}");
            assert!(mailbox("from", text).is_err(), "{text:?}");
        }
        let long = "x".repeat(limits::MAIL_LINE_BYTES + 1);
        assert_eq!(line("subject", &long).unwrap_err().1, "it has 501 bytes, the limit is 500");
        assert!(mailbox("to", "nobody").unwrap_err().1.starts_with("`nobody` is no address ("));
        assert_eq!(mailbox("to", "Die Nacht <night@example.org>").unwrap().email.domain(), "example.org");
    }
}
