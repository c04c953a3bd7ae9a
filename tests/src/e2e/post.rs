//! A mail server on this machine for one test: aiosmtpd, which Debian has. What it does about a recipient goes by the name in front of
//! the `@`; it tells what it was handed in.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tempfile::TempDir;

use super::{Pair, wait_for};

/// How the talk with it is kept secret.
#[derive(Debug, Clone, Copy)]
pub enum Secrecy<'a> {
    /// It is not.
    None,
    /// It offers STARTTLS, and takes users only behind it.
    Starttls(&'a Pair),
    /// The talk begins with TLS.
    Implicit(&'a Pair),
}

/// The server, ended with the value. It takes the user `runbook` with the password that it was given.
#[derive(Debug)]
pub struct Post {
    child: Child,
    port: u16,
    told: Arc<Mutex<Vec<Value>>>,
    _folder: TempDir,
}

const SERVER: &str = r#"
import asyncio, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult

secrecy, certificate, key, password = sys.argv[1:]
context = None
if secrecy != "none":
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

def tell(**what):
    print(json.dumps(what), flush=True)

def authenticate(server, session, envelope, mechanism, data):
    good = data.login == b"runbook" and data.password.decode() == password
    tell(kind="login", good=good, encrypted=session.ssl is not None or secrecy == "implicit")
    return AuthResult(success=good, handled=False)

class Handler:
    later = True
    silent = True

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        tell(kind="greeted", by=hostname)
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        if name == "nobody":
            return "550 5.1.1 no such mailbox"
        if name == "later" and Handler.later:
            Handler.later = False
            return "451 4.3.0 not now"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        tell(kind="message", sender=envelope.mail_from, to=envelope.rcpt_tos, content=envelope.content.decode())
        if any(to.startswith("silent@") for to in envelope.rcpt_tos) and Handler.silent:
            Handler.silent = False
            server.transport.abort()
        return "250 2.0.0 queued"

async def main():
    def one():
        return SMTP(Handler(), hostname="post.test", authenticator=authenticate,
                    tls_context=context if secrecy == "starttls" else None,
                    auth_require_tls=secrecy == "starttls", auth_required=False)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(one, "127.0.0.1", 0, ssl=context if secrecy == "implicit" else None)
    tell(kind="port", port=server.sockets[0].getsockname()[1])
    await server.serve_forever()

asyncio.run(main())
"#;

impl Post {
    /// Serves; `None` where there is no aiosmtpd on this machine.
    pub fn serve(secrecy: Secrecy<'_>, password: &str) -> Option<Self> {
        let python = ["python3", "/usr/bin/python3"].into_iter().find(|python| {
            let mut asked = Command::new(python);
            let asked = asked.args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
            asked.is_ok_and(|status| status.success())
        })?;
        let folder = tempfile::tempdir().expect("a folder");
        let (word, pair) = match secrecy {
            Secrecy::None => ("none", None),
            Secrecy::Starttls(pair) => ("starttls", Some(pair)),
            Secrecy::Implicit(pair) => ("implicit", Some(pair)),
        };
        let (certificate, key) = (folder.path().join("certificate"), folder.path().join("key"));
        if let Some(pair) = pair {
            std::fs::write(&certificate, &pair.certificate).expect("a file");
            std::fs::write(&key, &pair.key).expect("a file");
        }
        let mut server = Command::new(python);
        server.args(["-c", SERVER, word]).args([&certificate, &key]).arg(password);
        let mut child = server.stdout(Stdio::piped()).spawn().expect("a mail server");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut next = move || serde_json::from_str::<Value>(&lines.next()?.ok()?).ok();
        let port = next().and_then(|told| told["port"].as_u64()).and_then(|port| u16::try_from(port).ok());
        let told: Arc<Mutex<Vec<Value>>> = Arc::default();
        let own = Arc::clone(&told);
        std::thread::spawn(move || {
            while let Some(line) = next() {
                own.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        });
        Some(Self { child, port: port.expect("its port"), told, _folder: folder })
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it told so far of a kind: `greeted`, `login` or `message`.
    pub fn told(&self, kind: &str) -> Vec<Value> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.iter().filter(|told| told["kind"] == kind).cloned().collect()
    }

    /// Waits until it told so many of a kind.
    pub fn wait_told(&self, kind: &str, times: usize) -> Vec<Value> {
        wait_for("mail", || Some(self.told(kind)).filter(|told| told.len() >= times))
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
