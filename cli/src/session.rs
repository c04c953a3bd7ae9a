//! The connection to the daemon: made on first use, made again where it broke, a daemon started where none answers
//! and none was named. Knows how to ask, never what is asked.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use runbook_proto::v1::approval_service_client::ApprovalServiceClient;
use runbook_proto::v1::run_service_client::RunServiceClient;
use runbook_proto::v1::runbook_service_client::RunbookServiceClient;
use runbook_proto::v1::schedule_service_client::ScheduleServiceClient;
use runbook_proto::v1::system_service_client::SystemServiceClient;
use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use crate::console::Console;
use crate::daemon_process;
use crate::exit_code::ExitCode;
use crate::failure::{Connection, Failure, Result, is_absent};
use crate::instance::Instance;

/// How long one answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long one may take before which the daemon looks whether all is there: providers of secrets have 30 s, and some of them
/// that three times.
const LOOK_LIMIT: Duration = Duration::from_secs(120);
/// How long one connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// For how long a stream that broke is opened again.
const RECONNECT_LIMIT: Duration = Duration::from_secs(60);
/// For how long a daemon that was stopped on purpose is waited for; it is not started again.
const DRAINED_LIMIT: Duration = Duration::from_secs(30);
/// For how long a connection that breaks while it is made is made again.
const DYING_LIMIT: Duration = Duration::from_secs(1);
/// For how long a question is asked again over new connections.
const RETRY_LIMIT: Duration = Duration::from_secs(20);
/// Between two tries: the first pause, and the longest; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// See [`FIRST_PAUSE`].
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The largest answer: a run of 50,000 steps with outputs has some 30 MB.
const ANSWER_BYTES: usize = 256 << 20;
/// The header in which a daemon tells its version with every answer.
const VERSION_HEADER: &str = "x-runbook-version";
/// The only kind of endpoint.
const UNIX_PREFIX: &str = "unix:";

/// Whom to talk to.
#[derive(Debug)]
pub enum Target {
    /// A socket that was named: nothing is started for it.
    Named(PathBuf),
    /// The daemon of an instance.
    Instance(Instance),
}

impl Target {
    /// Reads `--endpoint`.
    ///
    /// # Errors
    /// It is no `unix:` address.
    pub fn endpoint(text: &str) -> Result<Self> {
        let path = text.strip_prefix(UNIX_PREFIX).map(|rest| rest.strip_prefix("//").unwrap_or(rest));
        match path {
            Some(path) if path.starts_with('/') => Ok(Self::Named(PathBuf::from(path))),
            _ => Err(Failure::usage(format!("{text:?} is no endpoint that this command can reach"))
                .next("write it as unix:///path/of/runbookd.sock")),
        }
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        match self {
            Self::Named(socket) => socket,
            Self::Instance(instance) => &instance.socket,
        }
    }
}

/// A connection that makes itself.
#[derive(Debug)]
pub struct Session {
    target: Target,
    console: Rc<Console>,
    channel: Option<Channel>,
    version_seen: bool,
    /// What is to be said, while somebody else has the terminal.
    held: Option<Vec<String>>,
    /// Whether a daemon may be started where none answers.
    may_start: bool,
    /// Whether a daemon that is started is to fire schedules.
    fires_schedules: bool,
}

impl Session {
    /// A session that has not connected yet.
    pub fn new(target: Target, console: Rc<Console>) -> Self {
        Self {
            target,
            console,
            channel: None,
            version_seen: false,
            held: None,
            may_start: true,
            fires_schedules: false,
        }
    }

    /// A daemon that is started from now on fires schedules, too.
    pub const fn fire_schedules(&mut self) {
        self.fires_schedules = true;
    }

    /// Says nothing from now on, because somebody else draws on the terminal: [`Self::take_held`] has it.
    pub fn hold(&mut self) {
        self.held = Some(Vec::new());
    }

    /// What would have been said since the last time.
    pub fn take_held(&mut self) -> Vec<String> {
        self.held.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn say(&mut self, text: String) {
        match &mut self.held {
            Some(held) => held.push(text),
            None => self.console.say(&text),
        }
    }

    /// Whom it talks to.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The connection if a daemon answers, without starting one.
    ///
    /// # Errors
    /// It cannot be reached for another reason than that it does not run.
    pub async fn running(&mut self) -> Result<bool> {
        match self.connect().await {
            Ok(channel) => {
                self.channel = Some(channel);
                Ok(true)
            }
            Err(failure) if failure.connection == Some(Connection::Absent) => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Starts the daemon of this instance. Returns its pid; `None` when one answers already.
    ///
    /// # Errors
    /// It cannot be started, or an endpoint was named.
    pub async fn start(&mut self) -> Result<Option<u32>> {
        let Target::Instance(instance) = &self.target else {
            return Err(Failure::usage("a daemon cannot be started at a named endpoint")
                .next("leave --endpoint and RUNBOOK_ENDPOINT out"));
        };
        let lock = daemon_process::lock(instance).await?;
        let until = Instant::now() + daemon_process::START_LIMIT;
        let (channel, pid) = loop {
            // Another command may have started it while this one waited for the lock, or somebody else does so now.
            match self.connect().await {
                Err(failure) if failure.connection == Some(Connection::Absent) => {
                    match daemon_process::start(instance, self.fires_schedules, &lock, until).await? {
                        Some(pid) => break (self.connect().await?, Some(pid)),
                        None => sleep(daemon_process::LOOK_AGAIN).await,
                    }
                }
                other => break (other?, None),
            }
        };
        self.channel = Some(channel);
        Ok(pid)
    }

    /// Forgets the connection: the next question makes a new one.
    pub fn disconnect(&mut self) {
        self.channel = None;
    }

    /// The connection, made if there is none; a daemon is started if none answers and that is allowed.
    ///
    /// # Errors
    /// No daemon answers and none could be started.
    pub async fn channel(&mut self) -> Result<Channel> {
        if let Some(channel) = &self.channel {
            return Ok(channel.clone());
        }
        match (self.connect().await, &self.target) {
            (Err(failure), Target::Instance(instance))
                if self.may_start && failure.connection == Some(Connection::Absent) =>
            {
                let project = instance.project.as_ref().unwrap_or(&instance.data).display().to_string();
                if let Some(pid) = self.start().await? {
                    self.say(format!("started runbookd (pid {pid}) for {project}"));
                }
            }
            (other, _) => self.channel = Some(other?),
        }
        self.channel.clone().ok_or_else(|| Failure::other("a connection was made and lost at once"))
    }

    /// Connects. A daemon that is dying lets connect and breaks the connection at once: it is tried again for a moment,
    /// until the daemon is gone for good.
    async fn connect(&self) -> Result<Channel> {
        let until = Instant::now() + DYING_LIMIT;
        loop {
            match self.connect_once().await {
                Err(failure) if failure.connection == Some(Connection::Broken) && Instant::now() < until => {
                    sleep(FIRST_PAUSE).await;
                }
                other => return other,
            }
        }
    }

    async fn connect_once(&self) -> Result<Channel> {
        let socket = self.target.socket();
        if let Target::Instance(instance) = &self.target {
            instance.check_socket_folder(rustix::process::getuid().as_raw())?;
        }
        let Some(path) = socket.to_str() else {
            return Err(Failure::usage(format!("the socket's path {} is not UTF-8", socket.display())));
        };
        let endpoint = Endpoint::from_shared(format!("{UNIX_PREFIX}//{path}"))
            .map_err(|error| Failure::usage(format!("the socket's path {path} is not valid")).why(error.to_string()))?
            .connect_timeout(CONNECT_LIMIT);
        endpoint.connect().await.map_err(|error| {
            let failure = unreachable(socket, &error);
            match self.target {
                Target::Named(_) if failure.connection == Some(Connection::Absent) => failure
                    .next("for a named endpoint none is started: start it where it belongs, or leave --endpoint out"),
                _ => failure,
            }
        })
    }

    /// Asks a question that may be asked twice, over a new connection where the first one broke.
    ///
    /// # Errors
    /// The daemon's refusal, or no daemon answers in time.
    pub async fn ask<T>(&mut self, question: impl AsyncFn(Channel) -> Result<Response<T>, Status>) -> Result<T> {
        self.ask_within(ANSWER_LIMIT, question).await
    }

    /// The same of a start, or of one that is only thought of: the daemon looks first whether all is there.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub async fn ask_to_start<T>(
        &mut self,
        question: impl AsyncFn(Channel) -> Result<Response<T>, Status>,
    ) -> Result<T> {
        self.ask_within(LOOK_LIMIT, question).await
    }

    async fn ask_within<T>(
        &mut self,
        limit: Duration,
        question: impl AsyncFn(Channel) -> Result<Response<T>, Status>,
    ) -> Result<T> {
        let until = Instant::now() + RETRY_LIMIT;
        let mut pause = FIRST_PAUSE;
        loop {
            let failure = match self.channel().await {
                Ok(channel) => match self.answer(limit, question(channel)).await {
                    Err(failure) if failure.is_connection() => failure,
                    other => return other,
                },
                // A named endpoint may come back; what cannot be started will not.
                Err(failure) => return Err(failure),
            };
            if Instant::now() + pause >= until {
                return Err(failure);
            }
            self.disconnect();
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Tells something that must not be told twice.
    ///
    /// # Errors
    /// The daemon's refusal, or no answer came: then nobody knows whether it was heard.
    pub async fn tell<T>(&mut self, order: impl AsyncFnOnce(Channel) -> Result<Response<T>, Status>) -> Result<T> {
        let channel = self.channel().await?;
        self.answer(ANSWER_LIMIT, order(channel)).await.map_err(|failure| match failure.connection {
            Some(Connection::Broken) => failure.next("nobody knows whether it was done: look with `runbook status`"),
            _ => failure,
        })
    }

    async fn answer<T>(
        &mut self,
        limit: Duration,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T> {
        match timeout(limit, answer).await {
            Ok(Ok(response)) => {
                self.see_version(response.metadata());
                Ok(response.into_inner())
            }
            Ok(Err(status)) => Err(status.into()),
            Err(_) => {
                let limit = limit.as_secs();
                Err(Failure::unreachable(Connection::Broken, format!("the daemon did not answer within {limit} s"))
                    .next("`runbook daemon status` says how it is"))
            }
        }
    }

    /// Opens a stream. What the stream brings is for the caller to read.
    ///
    /// # Errors
    /// The daemon's refusal, or no daemon answers.
    pub async fn open<T>(
        &mut self,
        question: impl AsyncFn(Channel) -> Result<Response<tonic::Streaming<T>>, Status>,
    ) -> Result<tonic::Streaming<T>> {
        self.ask(question).await
    }

    /// Warns once when the daemon is of another version.
    fn see_version(&mut self, headers: &MetadataMap) {
        if self.version_seen {
            return;
        }
        if let Some(theirs) = headers.get(VERSION_HEADER).and_then(|value| value.to_str().ok()) {
            self.version_seen = true;
            let ours = env!("CARGO_PKG_VERSION");
            if theirs != ours {
                let text = format!(
                    "the daemon is version {theirs}, this command {ours}: `runbook daemon restart` brings them together"
                );
                match &mut self.held {
                    Some(held) => held.push(text),
                    None => self.console.warn(&text),
                }
            }
        }
    }
}

/// The tries to get a stream back, from its break to its next message.
#[derive(Debug, Default)]
pub struct Retry {
    now: Option<(Instant, Duration)>,
}

impl Retry {
    /// A message came.
    pub fn succeeded(&mut self) {
        self.now = None;
    }

    /// Waits until there is a connection again. `broken` is what the stream ended with, `None` where it ended before
    /// its time without a word, as when the daemon goes away. A daemon that crashed is started again; one that was
    /// stopped is waited for.
    ///
    /// # Errors
    /// What the stream ended with, where another connection does not help, or no daemon answers in time.
    pub async fn pause(&mut self, session: &mut Session, broken: Option<Failure>) -> Result<()> {
        let drained = broken.as_ref().is_none_or(|failure| failure.connection == Some(Connection::Draining));
        let mut failure = match broken {
            Some(failure) if failure.is_connection() => failure,
            Some(failure) => return Err(failure),
            None => Failure::unreachable(Connection::Draining, "the daemon was stopped"),
        };
        let limit = if drained { DRAINED_LIMIT } else { RECONNECT_LIMIT };
        let (until, mut pause) = self.now.unwrap_or_else(|| (Instant::now() + limit, FIRST_PAUSE));
        loop {
            if Instant::now() >= until {
                return Err(failure);
            }
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
            self.now = Some((until, pause));
            session.disconnect();
            session.may_start = !drained;
            let channel = session.channel().await;
            session.may_start = true;
            match channel {
                Ok(_) => return Ok(()),
                Err(again) if again.is_connection() => failure = again,
                Err(other) => return Err(other),
            }
        }
    }
}

/// Approvals over a connection.
pub fn approvals(channel: Channel) -> ApprovalServiceClient<Channel> {
    ApprovalServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES)
}

/// Schedules over a connection.
pub fn schedules(channel: Channel) -> ScheduleServiceClient<Channel> {
    ScheduleServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES)
}

/// Runs over a connection.
pub fn runs(channel: Channel) -> RunServiceClient<Channel> {
    RunServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES)
}

/// Runbooks over a connection.
pub fn runbooks(channel: Channel) -> RunbookServiceClient<Channel> {
    RunbookServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES)
}

/// The daemon over a connection.
pub fn system(channel: Channel) -> SystemServiceClient<Channel> {
    SystemServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES)
}

/// Why a connection could not be made.
fn unreachable(socket: &Path, error: &tonic::transport::Error) -> Failure {
    let mut cause = error.to_string();
    let mut kind = None;
    let mut source = error.source();
    while let Some(inner) = source {
        cause = inner.to_string();
        kind = inner.downcast_ref::<io::Error>().map(io::Error::kind).or(kind);
        source = inner.source();
    }
    let socket = socket.display();
    match kind {
        Some(kind) if is_absent(kind) => {
            Failure::unreachable(Connection::Absent, format!("the daemon is not running (socket {socket})"))
                .next("`runbook daemon start` starts it")
        }
        Some(io::ErrorKind::PermissionDenied) => {
            Failure::new(ExitCode::Refused, format!("you may not talk to the daemon at {socket}"))
                .why(cause)
                .next("ask as the user who started it: the socket is that user's alone")
        }
        _ => Failure::unreachable(Connection::Broken, format!("cannot connect to the daemon at {socket}")).why(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Color, Format};

    #[test]
    fn endpoints() {
        for text in ["unix:///run/x.sock", "unix:/run/x.sock"] {
            assert_eq!(Target::endpoint(text).unwrap().socket(), Path::new("/run/x.sock"));
        }
        for text in ["", "unix:", "unix://relative", "http://localhost:1", "/run/x.sock"] {
            assert_eq!(Target::endpoint(text).unwrap_err().code, ExitCode::Usage, "{text}");
        }
    }

    async fn failure_at(socket: &Path) -> Failure {
        let console = Rc::new(Console::new(Format::Human, Color::Never, true));
        Session::new(Target::Named(socket.to_owned()), console).channel().await.unwrap_err()
    }

    #[tokio::test]
    async fn a_missing_daemon_is_told_from_a_dead_one_and_both_are_absent() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("x.sock");
        let missing = failure_at(&socket).await;
        assert_eq!((missing.code, missing.connection), (ExitCode::Unreachable, Some(Connection::Absent)));
        assert_eq!(missing.what, format!("the daemon is not running (socket {})", socket.display()));
        // A socket whose listener died refuses.
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert_eq!(failure_at(&socket).await.connection, Some(Connection::Absent));
        // No socket at all.
        std::fs::remove_file(&socket).unwrap();
        std::fs::create_dir(&socket).unwrap();
        assert_eq!(failure_at(&socket).await.code, ExitCode::Unreachable);
    }
}
