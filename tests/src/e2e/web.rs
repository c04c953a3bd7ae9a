//! A server of HTTP/1.1 on this machine for one test: what it answers to each request is said by the test, and so is how it
//! fails. It keeps what it was asked.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::wait_for;

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// Its headers, by their names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: String,
}

impl Asked {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What the server does about a request.
#[derive(Debug, Clone)]
pub enum Reply {
    /// It answers.
    Answer(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// It answers after a while.
    After(Duration, Box<Reply>),
    /// It answers when [`Web::release`] was called.
    Held(Box<Reply>),
    /// It ends the connection by a reset.
    Reset,
    /// It promises a body of so many bytes, sends these, and ends the connection.
    Half(usize, Vec<u8>),
    /// It sends so many bytes in chunks, without saying how many there will be.
    Chunks(usize),
}

impl Reply {
    /// An answer with a text.
    pub fn text(status: u16, body: &str) -> Self {
        Self::Answer(status, Vec::new(), body.as_bytes().to_vec())
    }
}

type Answers = dyn Fn(&Asked, usize) -> Reply + Send + Sync;

struct Inner {
    asked: Mutex<Vec<Asked>>,
    released: Mutex<bool>,
    news: Condvar,
    ended: AtomicBool,
    answers: Box<Answers>,
}

/// The server, ended with the value.
pub struct Web {
    address: SocketAddr,
    inner: Arc<Inner>,
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Web({})", self.address)
    }
}

impl Web {
    /// Serves: the answer to a request by what it is and how many there were before.
    pub fn serve(answers: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let inner = Arc::new(Inner {
            asked: Mutex::default(),
            released: Mutex::new(false),
            news: Condvar::new(),
            ended: AtomicBool::new(false),
            answers: Box::new(answers),
        });
        let own = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if own.ended.load(Ordering::SeqCst) {
                    return;
                }
                let own = Arc::clone(&own);
                std::thread::spawn(move || own.connection(&stream));
            }
        });
        Self { address, inner }
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.inner.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it was asked so often.
    pub fn wait_asked(&self, times: usize) -> Vec<Asked> {
        wait_for("requests", || Some(self.asked()).filter(|asked| asked.len() >= times))
    }

    /// Lets what is held be answered, now and from now on.
    pub fn release(&self) {
        *self.inner.released.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.inner.news.notify_all();
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::SeqCst);
        self.release();
        // The listener wakes up to see that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl Inner {
    fn connection(&self, stream: &TcpStream) {
        let _ = stream.set_nodelay(true);
        let mut reader = BufReader::new(stream);
        while let Some(asked) = read(&mut reader) {
            let number = {
                let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(asked.clone());
                all.len() - 1
            };
            let reply = (self.answers)(&asked, number);
            if self.reply(stream, &asked, reply).is_none() {
                return;
            }
        }
    }

    /// Does what is to be done; `None` where the connection is over.
    fn reply(&self, mut stream: &TcpStream, asked: &Asked, reply: Reply) -> Option<()> {
        match reply {
            Reply::Answer(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} Status\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                let mut bytes = format!("{head}\r\n").into_bytes();
                if asked.method != "HEAD" {
                    bytes.extend(body);
                }
                stream.write_all(&bytes).ok()
            }
            Reply::After(wait, reply) => {
                let released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
                let ended = |_: &mut bool| !self.ended.load(Ordering::SeqCst);
                drop(self.news.wait_timeout_while(released, wait, ended));
                self.reply(stream, asked, *reply)
            }
            Reply::Held(reply) => {
                let mut released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
                while !*released {
                    released = self.news.wait(released).unwrap_or_else(PoisonError::into_inner);
                }
                drop(released);
                self.reply(stream, asked, *reply)
            }
            Reply::Reset => {
                let linger = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
                linger.expect("a linger");
                None
            }
            Reply::Half(promised, body) => {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {promised}\r\n\r\n");
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).ok()?;
                let _ = stream.shutdown(Shutdown::Both);
                None
            }
            Reply::Chunks(bytes) => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").ok()?;
                let chunk = vec![b'x'; 64 << 10];
                for _ in 0..bytes.div_ceil(chunk.len()) {
                    let head = format!("{:x}\r\n", chunk.len());
                    stream.write_all(head.as_bytes()).ok()?;
                    stream.write_all(&chunk).ok()?;
                    stream.write_all(b"\r\n").ok()?;
                }
                stream.write_all(b"0\r\n\r\n").ok()
            }
        }
    }
}

/// The next request of a connection.
fn read(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split_whitespace();
    let mut asked = Asked { method: words.next()?.to_owned(), path: words.next()?.to_owned(), ..Asked::default() };
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        asked.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    asked.body = String::from_utf8_lossy(&body).into_owned();
    Some(asked)
}
