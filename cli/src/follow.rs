//! Watches a run until it is over, needs a person, or the watcher leaves: over broken connections, restarts of the
//! daemon and Ctrl-C. Knows how to watch, never how it looks.

use std::collections::HashSet;
use std::future::pending;
use std::io;
use std::time::Duration;

use runbook_proto::v1::{
    CancelRunRequest, Event, GetRunRequest, LogLine, ReadLogsRequest, Run, RunStatus, StepStatus, WatchRunRequest,
    WatchRunResponse,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::{Status, Streaming};

use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::{Connection, Failure, Result};
use crate::line::{Line, Tone};
use crate::model::{Change, Model, is_terminal};
use crate::moment::Moment;
use crate::prompt::{Answer, Prompt};
use crate::report::{exit_code, log_tail, resolve_command, trouble};
use crate::session::{Retry, runs};
use crate::view::{View, stamped};

/// How long a run must stand still until it counts as waiting for a person.
const ATTENTION_PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked what a run waits for that does not begin.
const QUEUE_PERIOD: Duration = Duration::from_secs(10);
/// How many things that are waited for are told at once.
const WAITS_TOLD: usize = 5;
/// How many failed steps show their log.
const TAILS: usize = 5;
/// How long a look at a log, or at the last lines, may take: the watching goes on without it.
const LOOK_LIMIT: Duration = Duration::from_secs(2);
/// The last lines of running steps are looked at this often, in runs of at most so many steps.
const LAST_LINE_PERIOD: Duration = Duration::from_secs(1);
const LAST_LINE_STEPS: usize = 200;

/// A terminal throws away what is written to it while it handles Ctrl-C, so what is said then waits so long. Nobody
/// feels it.
const SETTLE: Duration = Duration::from_millis(20);

/// How one stream ended.
enum End {
    /// The run is over.
    Over,
    /// The run stands still.
    NeedsPerson,
    /// The watcher left.
    Detached,
    /// The connection broke; without a word when the daemon went away.
    Lost(Option<Failure>),
    /// Something was not told: a new snapshot is needed.
    Gap,
}

enum Next {
    Interrupt,
    Answer(io::Result<Answer>),
    Message(Result<Option<WatchRunResponse>, Status>),
    Tick,
}

struct Follow<'a> {
    cx: &'a mut Context,
    model: Model,
    view: View,
    interrupts: Signal,
    prompt: Option<Prompt>,
    canceling: bool,
    still_since: Option<Instant>,
    /// When to look what the run waits for, while it does not begin or nothing of it does.
    look_for_waits: Option<Instant>,
    /// What of that was told.
    told_waits: HashSet<String>,
    looked_at: Instant,
    retry: Retry,
    /// The steps whose trouble was told.
    told: HashSet<usize>,
}

/// Listens to Ctrl-C from now on: before a run is asked for, so that none is missed.
///
/// # Errors
/// The system does not let it.
pub fn interrupts() -> Result<Signal> {
    signal(SignalKind::interrupt()).map_err(|error| Failure::io("cannot listen to Ctrl-C", &error))
}

/// Watches a run from a snapshot on, or from after an event on. Returns the code that tells how it ended.
///
/// # Errors
/// The daemon refuses, or is gone for too long. The run goes on without the watcher in any case.
pub async fn follow(cx: &mut Context, interrupts: Signal, run: Run, after: Option<u64>) -> Result<ExitCode> {
    let mut model = Model::of(&run);
    if let Some(after) = after {
        model.rewind(after);
    }
    let view = View::new(cx.console.clone());
    view.begin(&run, &model)?;
    if view.is_live() {
        cx.session.hold();
    }
    let looked_at = Instant::now();
    let mut follow = Follow {
        cx,
        model,
        view,
        interrupts,
        prompt: None,
        canceling: false,
        still_since: None,
        look_for_waits: None,
        told_waits: HashSet::new(),
        looked_at,
        retry: Retry::default(),
        told: HashSet::new(),
    };
    follow.until_the_end().await
}

impl Follow<'_> {
    async fn until_the_end(&mut self) -> Result<ExitCode> {
        loop {
            if is_terminal(self.model.status)
                && let Some(code) = self.finish().await?
            {
                return Ok(code);
            }
            let end = match self.open().await? {
                Ok(mut stream) => self.read(&mut stream).await?,
                Err(end) => end,
            };
            match end {
                End::Over | End::NeedsPerson => {
                    if let Some(code) = self.finish().await? {
                        return Ok(code);
                    }
                }
                End::Detached => return self.detach().await,
                End::Gap => self.catch_up().await?,
                End::Lost(broken) => {
                    if let Some(code) = self.reconnect(broken).await? {
                        return Ok(code);
                    }
                }
            }
        }
    }

    /// Opens the stream after the last event; Ctrl-C leaves.
    async fn open(&mut self) -> Result<Result<Streaming<WatchRunResponse>, End>> {
        let request = WatchRunRequest { name: self.model.uid.clone(), start_after: self.model.last_event, tree: true };
        let opened = tokio::select! {
            opened = self.cx.session.open(async |channel| runs(channel).watch_run(request.clone()).await) => opened,
            _ = self.interrupts.recv() => return Ok(Err(End::Detached)),
        };
        match opened {
            Ok(stream) => Ok(Ok(stream)),
            Err(failure) => ended(failure).map(Err),
        }
    }

    async fn read(&mut self, stream: &mut Streaming<WatchRunResponse>) -> Result<End> {
        self.look_still();
        loop {
            self.view.refresh(&self.model)?;
            let wake = self.wake();
            let next = tokio::select! {
                biased;
                _ = self.interrupts.recv() => Next::Interrupt,
                answer = answer(self.prompt.as_ref()) => Next::Answer(answer),
                message = stream.message() => Next::Message(message),
                () = until(wake) => Next::Tick,
            };
            let end = match next {
                Next::Interrupt => self.interrupt().await,
                Next::Answer(answer) => self.answered(answer).await?,
                Next::Message(Ok(Some(message))) => self.take(&message).await?,
                // The daemon ends its streams when it drains.
                Next::Message(Ok(None)) => Some(End::Lost(None)),
                Next::Message(Err(status)) => Some(ended(status.into())?),
                Next::Tick => self.tick().await?,
            };
            if let Some(end) = end {
                return Ok(end);
            }
        }
    }

    fn wake(&self) -> Option<Instant> {
        let still = self.still_since.map(|since| since + ATTENTION_PAUSE);
        [self.view.next_draw(), still, self.look_for_waits].into_iter().flatten().min()
    }

    async fn take(&mut self, message: &WatchRunResponse) -> Result<Option<End>> {
        self.retry.succeeded();
        for event in &message.events {
            if self.model.knows(event) {
                continue;
            }
            let change = match self.model.fold(event) {
                Ok(change) => change,
                Err(crate::model::Gap) => return Ok(Some(End::Gap)),
            };
            // Of a child run its steps are told; the step above tells of the run.
            if event.run.is_empty() || !event.step.is_empty() {
                self.view.event(event, &self.model)?;
            }
            match change {
                Change::Plain => {}
                Change::Failed(place) | Change::Unknown(place) => self.tell_trouble(place, Some(event)).await?,
                Change::Reopened => self.told.clear(),
            }
        }
        self.model.status = message.status();
        self.look_still();
        // A run that was resumed was over before; more is on its way then.
        let whole = self.model.last_event >= message.last_event;
        Ok((whole && is_terminal(self.model.status)).then_some(End::Over))
    }

    /// Notes since when the run stands still.
    fn look_still(&mut self) {
        self.look_for_waits = match self.model.status {
            RunStatus::Queued | RunStatus::Waiting | RunStatus::Running if !self.model.is_at_work() => {
                self.look_for_waits.or_else(|| Some(Instant::now() + ATTENTION_PAUSE))
            }
            _ => None,
        };
        self.still_since = match self.model.needs_a_person() {
            true => self.still_since.or_else(|| Some(Instant::now())),
            false => None,
        };
    }

    async fn tick(&mut self) -> Result<Option<End>> {
        if self.still_since.is_some_and(|since| since.elapsed() >= ATTENTION_PAUSE) {
            self.still_since = None;
            // The daemon knows of steps that are about to start; the model does not.
            let run = self.snapshot().await?;
            if run.status() == RunStatus::Attention && run.last_event == self.model.last_event {
                return Ok(Some(End::NeedsPerson));
            }
        }
        if self.look_for_waits.is_some_and(|at| at <= Instant::now()) {
            self.look_for_waits = Some(Instant::now() + QUEUE_PERIOD);
            // Where this fails, the stream fails too, and says why.
            if let Ok(Ok(run)) = timeout(LOOK_LIMIT, self.snapshot()).await {
                self.model.take_last_lines(&run);
                self.tell_waits()?;
            }
        }
        let small = self.model.steps.len() <= LAST_LINE_STEPS;
        // Steps say something, or wait for what others have.
        let goes_on = || self.model.status == RunStatus::Running || self.model.is_at_work();
        if self.view.is_live() && small && goes_on() && self.looked_at.elapsed() >= LAST_LINE_PERIOD {
            self.looked_at = Instant::now();
            // Where this fails, the stream fails too, and says why.
            if let Ok(Ok(run)) = timeout(LOOK_LIMIT, self.snapshot()).await {
                self.model.take_last_lines(&run);
            }
        }
        Ok(None)
    }

    /// Tells what is waited for, once, where no picture shows it.
    fn tell_waits(&mut self) -> Result<()> {
        if self.view.is_live() {
            return Ok(());
        }
        let of_run = self.model.waits_for.iter().map(|what| format!("run {}: waits for {what}", self.model.number));
        let steps = self.model.steps.iter().filter(|step| !step.is_terminal());
        let of_steps =
            steps.flat_map(|step| step.waits_for.iter().map(|what| format!("step {}: waits for {what}", step.id)));
        let new: Vec<String> =
            of_run.chain(of_steps).filter(|text| !self.told_waits.contains(text)).take(WAITS_TOLD).collect();
        let lines = new.iter().map(|text| stamped(Moment::now(), Line::of(Tone::Plain, text))).collect();
        self.told_waits.extend(new);
        self.view.stay(lines)
    }

    async fn snapshot(&mut self) -> Result<Run> {
        snapshot(self.cx, &self.model.uid).await
    }

    /// Takes a new snapshot where events were not told.
    async fn catch_up(&mut self) -> Result<()> {
        let run = self.snapshot().await?;
        let missed = run.last_event.saturating_sub(self.model.last_event);
        self.model = Model::of(&run);
        if missed > 0 {
            let text = format!("{missed} events were not told here: `runbook events {}` lists all", run.number);
            self.view.stay(vec![Line::of(Tone::Dim, &text)])?;
        }
        Ok(())
    }

    /// Makes the connection again. `Some`: the watcher left.
    async fn reconnect(&mut self, broken: Option<Failure>) -> Result<Option<ExitCode>> {
        let drained = broken.as_ref().is_none_or(|failure| failure.connection == Some(Connection::Draining));
        let what = if drained {
            "the daemon was stopped; waiting for the next one"
        } else {
            "the connection to the daemon broke; going on where it stopped"
        };
        if self.view.is_for_people() {
            self.view.stay(vec![Line::of(Tone::Warn, what)])?;
        }
        self.view.refresh(&self.model)?;
        let connected = tokio::select! {
            connected = self.retry.pause(&mut self.cx.session, broken) => connected,
            _ = self.interrupts.recv() => return self.detach().await.map(Some),
        };
        let said = self.cx.session.take_held();
        self.view.stay(said.iter().map(|text| Line::of(Tone::Dim, text)).collect())?;
        let number = self.model.number;
        connected.map_err(|failure| {
            let what = format!("run {number} is no longer watched: {}", failure.what);
            Failure { what, ..failure }.next(format!(
                "steps that run go on without the daemon; `runbook watch {number}` comes back to the run"
            ))
        })?;
        Ok(None)
    }

    /// Ctrl-C: the first asks, the second leaves; without a person it leaves at once.
    async fn interrupt(&mut self) -> Option<End> {
        if self.prompt.is_some() || !self.cx.console.can_ask {
            return Some(End::Detached);
        }
        sleep(SETTLE).await;
        self.view.pause();
        self.prompt = Some(Prompt::new(&self.cx.console, self.canceling));
        None
    }

    async fn answered(&mut self, answer: io::Result<Answer>) -> Result<Option<End>> {
        self.prompt = None;
        let now = match answer {
            Ok(Answer::Detach) | Err(_) => {
                self.view.go_on();
                return Ok(Some(End::Detached));
            }
            Ok(Answer::Watch) => {
                self.view.go_on();
                return Ok(None);
            }
            Ok(Answer::Cancel) => false,
            Ok(Answer::CancelNow) => true,
        };
        self.view.go_on();
        let request =
            CancelRunRequest { name: self.model.uid.clone(), now, reason: "Ctrl-C".to_owned(), past: Vec::new() };
        match self.cx.session.tell(async |channel| runs(channel).cancel_run(request).await).await {
            Ok(_) => self.canceling = true,
            // It may be over already; the stream will tell.
            Err(failure) => self.view.stay(vec![Line::of(Tone::Warn, &failure.what)])?,
        }
        Ok(None)
    }

    /// Tells that a step failed or is unknown, with the end of its log.
    async fn tell_trouble(&mut self, place: usize, event: Option<&Event>) -> Result<()> {
        let Some(step) = self.model.steps.get(place).cloned() else { return Ok(()) };
        if !self.view.is_for_people() || !self.told.insert(place) {
            return Ok(());
        }
        let number = self.model.number;
        let mut lines = Vec::new();
        // In a view of lines the event has its line already.
        if self.view.is_live() || event.is_none() {
            lines.extend(self.view.broken(trouble(&step)));
        }
        if self.told.len() <= TAILS {
            if step.attempts > 0 {
                let tail = log_tail(&self.tail(&step.id, step.attempts).await);
                lines.extend(self.view.tail(tail));
            }
        } else if self.told.len() == TAILS + 1 {
            lines.push(Line::of(Tone::Dim, &format!("  `runbook logs {number} STEP` shows what further steps wrote")));
        }
        if step.status == StepStatus::Unknown {
            let command = resolve_command(number, &step.id);
            lines.push(Line::of(Tone::Dim, "  settle it: ").with(Tone::Bold, &command));
        }
        self.view.stay(lines)
    }

    /// The last lines of an attempt; none where they cannot be had, which must not stop the watching.
    async fn tail(&mut self, step: &str, attempt: u32) -> Vec<LogLine> {
        let request = ReadLogsRequest {
            name: self.model.uid.clone(),
            step: step.to_owned(),
            attempt,
            follow: false,
            tail: u32::try_from(self.view.tail_lines()).unwrap_or(u32::MAX),
        };
        let session = &mut self.cx.session;
        let read = async {
            let mut stream = session.open(async |channel| runs(channel).read_logs(request.clone()).await).await?;
            let mut lines = Vec::new();
            while let Some(message) = stream.message().await? {
                lines.extend(message.lines);
            }
            Ok::<_, Failure>(lines)
        };
        match timeout(LOOK_LIMIT, read).await {
            Ok(Ok(lines)) => lines,
            Ok(Err(_)) | Err(_) => Vec::new(),
        }
    }

    async fn detach(&mut self) -> Result<ExitCode> {
        if self.cx.console.person {
            sleep(SETTLE).await;
        }
        self.view.leave();
        self.cx.console.flush()?;
        let number = self.model.number;
        self.cx.console.say(&format!("run {number} goes on; `runbook watch {number}` comes back to it"));
        Ok(ExitCode::Interrupted)
    }

    /// The run is over, or stands still: the whole of it is shown once more. `None`: somebody resumed it just now.
    async fn finish(&mut self) -> Result<Option<ExitCode>> {
        let run = self.snapshot().await?;
        self.model = Model::of(&run).with_words_of(&self.model);
        let Some(code) = exit_code(run.status()) else { return Ok(None) };
        for place in 0..self.model.steps.len() {
            let status = self.model.steps[place].status;
            if matches!(status, StepStatus::Failed | StepStatus::Unknown | StepStatus::RollbackFailed) {
                self.tell_trouble(place, None).await?;
            }
        }
        self.view.end(&run, &self.model)?;
        Ok(Some(code))
    }
}

/// What the end of a stream with an error means.
fn ended(failure: Failure) -> Result<End> {
    if failure.is_connection() {
        Ok(End::Lost(Some(failure)))
    } else if failure.status() == Some("OUT_OF_RANGE") {
        // What was asked for is not there: dropped from the store, or of a journal that is another one now.
        Ok(End::Gap)
    } else {
        Err(failure)
    }
}

/// A run as it is now.
///
/// # Errors
/// The daemon refuses, or does not answer.
pub async fn snapshot(cx: &mut Context, name: &str) -> Result<Run> {
    let request = GetRunRequest { name: name.to_owned() };
    let response = cx.session.ask(async |channel| runs(channel).get_run(request.clone()).await).await?;
    response.run.ok_or_else(|| Failure::other("the daemon answered without a run"))
}

async fn answer(prompt: Option<&Prompt>) -> io::Result<Answer> {
    match prompt {
        Some(prompt) => prompt.answer().await,
        None => pending().await,
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => pending().await,
    }
}
