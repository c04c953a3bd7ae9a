//! Streams: a run's events and its logs, told as they come, each beside its client. A slow reader holds up nobody but
//! itself; a stream that ends before its time says why.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use runbook_core::definition::step_path;
use runbook_core::id::{Digest, RunUid};
use runbook_core::machine::AttemptRef;
use runbook_core::run::{self, Fact, Phase, Pinned, RunState};
use runbook_proto::v1;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Code, Response, Status};

use super::below::{Below, Part, in_order};
use super::{Shared, errors, internal, logs, to_proto};

/// Events read at a time.
const EVENTS: usize = 256;
/// The bytes of events above which a message is closed: clients take 4 MiB unless they say more.
pub(super) const MESSAGE_BYTES: usize = 1 << 20;
/// Messages that wait for a slow client; then its stream waits, and nobody else.
const MESSAGES: usize = 4;
/// How often a followed log is looked at.
const LOG_LOOK: Duration = Duration::from_millis(100);

/// A stream of answers.
pub(super) type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Where the answers go.
pub(super) type Sender<T> = mpsc::Sender<Result<T, Status>>;

/// Why a stream ended early: nobody listens, or an error that is to be told.
pub(super) type Broken = Option<Status>;

/// Lets something tell a stream until it is done, the daemon ends, or the client's deadline comes: once a stream has
/// begun, nobody else looks at that.
pub(super) fn stream<T: Send + 'static, F: Future<Output = Result<(), Broken>> + Send>(
    shared: &Arc<Shared>,
    deadline: Option<Duration>,
    tell: impl FnOnce(Arc<Shared>, Sender<T>) -> F + Send + 'static,
) -> Response<Streamed<T>> {
    let (sender, receiver) = mpsc::channel(MESSAGES);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        let shutdown = shared.shutdown.clone();
        let told = tell(Arc::clone(&shared), sender.clone());
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep(deadline).await,
                None => std::future::pending().await,
            }
        };
        let status = tokio::select! {
            told = told => told.err().flatten(),
            () = shutdown.cancelled() => Some(errors::ending()),
            () = late => Some(errors::status(Code::DeadlineExceeded, "DEADLINE", "the stream's deadline has come")),
        };
        if let Some(status) = status {
            // Whoever listened may have gone.
            let _ = sender.send(Err(status)).await;
        }
    });
    Response::new(Box::pin(ReceiverStream::new(receiver)))
}

/// The deadline that a client gave, as gRPC writes it: at most eight digits and a unit.
pub(super) fn deadline(metadata: &MetadataMap) -> Option<Duration> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8)?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3_600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// An event as the API tells it.
pub(super) fn event_of(pinned: &Pinned, event: &run::Event) -> v1::Event {
    to_proto::event(event, &pinned.runbook)
}

/// Durable events of a run: at most `max`, and fewer where they are large.
pub(super) async fn read_events(
    shared: &Shared,
    uid: RunUid,
    after: u64,
    max: usize,
) -> Result<Vec<run::Event>, Status> {
    let reader = Arc::clone(&shared.reader);
    tokio::task::spawn_blocking(move || reader.events(uid, after, max))
        .await
        .map_err(|error| internal(&error))?
        .map_err(|error| internal(&error))
}

/// A run at its first event, with all definitions that it went by since.
fn begun(uid: RunUid, definitions: &[Arc<Pinned>], first: &run::Event) -> Result<RunState, Status> {
    let Fact::Created(created) = &first.fact else {
        return Err(internal(&"its first event is not its creation"));
    };
    let made_by = definitions.iter().find(|pinned| pinned.digest == created.definition);
    let made_by = made_by.ok_or_else(|| internal(&"the definition that it was made by is not there"))?;
    let mut state = RunState::create(uid, Arc::clone(made_by), first).map_err(|error| internal(&error))?;
    definitions.iter().for_each(|pinned| state.learn(Arc::clone(pinned)));
    Ok(state)
}

/// The definitions by which a run goes on in these events, but those that are known.
async fn edited(shared: &Shared, known: &[Arc<Pinned>], events: &[run::Event]) -> Result<Vec<Arc<Pinned>>, Status> {
    let named = events.iter().filter_map(|event| match &event.fact {
        Fact::Resumed { edited, .. } => edited.as_ref().map(|edited| edited.definition),
        _ => None,
    });
    let new: Vec<Digest> = named.filter(|digest| known.iter().all(|pinned| pinned.digest != *digest)).collect();
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let definitions = Arc::clone(&shared.surroundings.definitions);
    let load = move || new.into_iter().map(|digest| definitions.load(digest)).collect::<Result<Vec<_>, _>>();
    tokio::task::spawn_blocking(load).await.map_err(|error| internal(&error))?.map_err(|error| internal(&error))
}

/// Tells a run's events from a number on until it is over. The state is folded from the same events, so the status
/// that is told belongs to them.
pub(super) async fn watch(
    shared: &Shared,
    now: &RunState,
    request: &v1::WatchRunRequest,
    sender: &Sender<v1::WatchRunResponse>,
) -> Result<(), Broken> {
    let uid = now.uid();
    let mut definitions: Arc<[Arc<Pinned>]> = now.definitions().map(Arc::clone).collect();
    let mut latest = shared.dispatcher.watch(uid);
    let mut folded: Option<RunState> = None;
    let mut told = false;
    let mut below = Below::default();
    loop {
        latest.mark_unchanged();
        let from = folded.as_ref().map_or(0, RunState::last_event);
        let events = read_events(shared, uid, from, EVENTS).await.map_err(Some)?;
        // Somebody may have edited it while it was watched.
        let new = edited(shared, &definitions, &events).await.map_err(Some)?;
        if !new.is_empty() {
            if let Some(state) = &mut folded {
                new.iter().for_each(|pinned| state.learn(Arc::clone(pinned)));
            }
            definitions = definitions.iter().map(Arc::clone).chain(new).collect();
        }
        let mut message = v1::WatchRunResponse::default();
        let mut bytes = 0;
        let mut children = HashMap::new();
        if request.tree {
            below.meet("", &definitions, &events);
            // After those of the run itself: what it knows of a child run is there to be read.
            children = below.read(shared).await.map_err(Some)?;
        }
        let nothing_new = events.is_empty() && children.values().all(|part| part.events.is_empty());
        let top = Part { run: uid, pinned: Arc::clone(now.pinned()), prefix: String::new(), events };
        for (run, pinned, prefix, event) in &in_order(top, children) {
            if *run != uid {
                let mut told = event_of(pinned, event);
                told.run = to_proto::run_name(*run);
                if !told.step.is_empty() {
                    told.step = step_path(prefix, &told.step);
                }
                bytes += told.encoded_len();
                message.events.push(told);
                continue;
            }
            match &mut folded {
                None => folded = Some(begun(uid, &definitions, event).map_err(Some)?),
                Some(state) => state.apply(event).map_err(|e| internal(&e))?,
            }
            let Some(state) = &folded else { continue };
            if event.number <= request.start_after {
                continue;
            }
            let event = event_of(state.pinned(), event);
            bytes += event.encoded_len();
            message.events.push(event);
            if bytes >= MESSAGE_BYTES {
                head(&mut message, state, &latest);
                sender.send(Ok(std::mem::take(&mut message))).await.map_err(|_| None)?;
                (bytes, told) = (0, true);
            }
        }
        if !message.events.is_empty() {
            if let Some(state) = &folded {
                head(&mut message, state, &latest);
            }
            sender.send(Ok(message)).await.map_err(|_| None)?;
            told = true;
        }
        if !nothing_new {
            continue;
        }
        let Some(state) = &folded else { return Ok(()) };
        if matches!(state.phase(), Phase::Terminal(_)) {
            if !told {
                // Who asks after the last event hears at least how the run ended.
                let status = to_proto::run_status(state.status()).into();
                let last = v1::WatchRunResponse { events: Vec::new(), status, last_event: state.last_event() };
                sender.send(Ok(last)).await.map_err(|_| None)?;
            }
            return Ok(());
        }
        tokio::select! {
            changed = latest.changed() => changed.map_err(|_| None)?,
            () = sender.closed() => return Ok(()),
        }
    }
}

/// Where the run is after the events of a message.
fn head(message: &mut v1::WatchRunResponse, state: &RunState, latest: &watch::Receiver<u64>) {
    message.set_status(to_proto::run_status(state.status()));
    message.last_event = (*latest.borrow()).max(state.last_event());
}

/// Tells the lines of the attempts that a request wants, as they are and as they come.
pub(super) async fn read_logs(
    shared: &Shared,
    state: &RunState,
    prefix: &str,
    request: &v1::ReadLogsRequest,
    sender: &Sender<v1::ReadLogsResponse>,
) -> Result<(), Broken> {
    let uid = state.uid();
    let mut definitions: Arc<[Arc<Pinned>]> = state.definitions().map(Arc::clone).collect();
    let mut pinned = Arc::clone(state.pinned());
    let layout = shared.surroundings.layout.clone();
    let mut after = 0;
    let mut over = false;
    let mut followers: Vec<(logs::Follower, AttemptRef)> = Vec::new();
    let mut ended: HashSet<AttemptRef> = HashSet::new();
    let mut below = Below::default();
    loop {
        let mut parts = Vec::new();
        loop {
            let events = read_events(shared, uid, after, EVENTS).await?;
            let Some(last) = events.last() else { break };
            after = last.number;
            let new = edited(shared, &definitions, &events).await?;
            if let Some(last) = new.last() {
                pinned = Arc::clone(last);
                definitions = definitions.iter().map(Arc::clone).chain(new).collect();
            }
            below.meet(prefix, &definitions, &events);
            for event in &events {
                match &event.fact {
                    run::Fact::Finished { .. } => over = true,
                    run::Fact::Resumed { .. } | run::Fact::RollbackAsked { .. } => over = false,
                    _ => {}
                }
            }
            let prefix = prefix.to_owned();
            parts.push(Part { run: uid, pinned: Arc::clone(&pinned), prefix, events });
        }
        loop {
            let read = below.read(shared).await?;
            let before = parts.len();
            parts.extend(read.into_values().filter(|part| !part.events.is_empty()));
            if parts.len() == before {
                break;
            }
        }
        for part in parts {
            for (no, attempt) in logs::started(part.run, &part.events) {
                let id = part.pinned.runbook.step(no).map_or_else(String::new, |step| step.id.clone());
                let path = step_path(&part.prefix, &id);
                // A step that starts a child run has the lines of all below it.
                let inside = path
                    .strip_prefix(&request.step)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '[']));
                let wanted = (request.step.is_empty() || inside)
                    && (request.attempt == 0 || request.attempt == attempt.attempt.0);
                if wanted {
                    followers.push((logs::Follower::new(path, attempt, request.tail), attempt));
                }
            }
            for event in &part.events {
                if let run::Fact::AttemptEnded { step, attempt, .. } = &event.fact {
                    ended.insert(AttemptRef { run: part.run, step: *step, attempt: *attempt });
                }
            }
        }
        let mut still = Vec::new();
        for (mut follower, attempt) in followers {
            loop {
                let read = {
                    let layout = layout.clone();
                    tokio::task::spawn_blocking(move || {
                        let lines = follower.next(&layout);
                        (lines, follower)
                    })
                    .await
                    .map_err(|error| internal(&error))?
                };
                follower = read.1;
                let lines = read.0.map_err(|error| internal(&error))?;
                if lines.is_empty() {
                    break;
                }
                if sender.send(Ok(v1::ReadLogsResponse { lines })).await.is_err() {
                    return Ok(());
                }
            }
            if !ended.contains(&attempt) {
                still.push((follower, attempt));
            }
        }
        followers = still;
        if over || !request.follow {
            return Ok(());
        }
        tokio::select! {
            () = tokio::time::sleep(LOG_LOOK) => {}
            () = sender.closed() => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_are_read_as_grpc_writes_them() {
        let read = |text: &'static str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            deadline(&metadata)
        };
        assert_eq!(read("2H"), Some(Duration::from_secs(7_200)));
        assert_eq!(read("1500m"), Some(Duration::from_millis(1_500)));
        assert_eq!(read("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for text in ["", "H", "1", "1x", "-1S", "123456789S", "1 S"] {
            assert_eq!(read(text), None, "{text:?}");
        }
        assert_eq!(deadline(&MetadataMap::new()), None);
    }
}
