//! A run as this side knows it: a snapshot, and the events after it folded in. Derives nothing that the daemon
//! decides; draws nothing.

use std::collections::HashMap;

use runbook_proto::v1::{Event, EventType, Run, RunStatus, RunStep, StepStatus};

use crate::moment::{Moment, moment};
use crate::path;

/// How the daemon's messages about an attempt begin, where the line has its subject already.
const SUBJECT: &str = "it ";

/// What of a step is running now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Running {
    /// The step itself.
    Run,
    /// Its `verify`.
    Verify,
    /// Its `on_cancel`.
    OnCancel,
    /// Its `rollback`.
    Rollback,
}

impl Running {
    fn from_word(word: &str) -> Option<Self> {
        match word {
            "run" => Some(Self::Run),
            "verify" => Some(Self::Verify),
            "on_cancel" => Some(Self::OnCancel),
            "rollback" => Some(Self::Rollback),
            _ => None,
        }
    }
}

/// A step.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its id.
    pub id: String,
    /// What it is for, in the runbook's words.
    pub description: String,
    /// The places of the steps that it needs.
    pub needs: Vec<usize>,
    /// Whether it belongs to `finally`.
    pub in_finally: bool,
    /// Whether its failure counts for nothing.
    pub allow_failure: bool,
    /// Its status.
    pub status: StepStatus,
    /// The number of its latest attempt.
    pub attempts: u32,
    /// What is running.
    pub running: Option<Running>,
    /// When its first attempt started.
    pub began: Option<Moment>,
    /// When its latest attempt started.
    pub attempt_began: Option<Moment>,
    /// When it came to its end.
    pub ended: Option<Moment>,
    /// When it is tried again.
    pub retry_at: Option<Moment>,
    /// Until when it waits; with a probe, when it fails unless the wait is over.
    pub waits_until: Option<Moment>,
    /// Whom it asks for an approval, in words, while it does.
    pub asks: Option<String>,
    /// How its latest attempt ended, or why it is where it is.
    pub how: String,
    /// The latest line that its running attempt wrote.
    pub last_line: String,
    /// What it waits for that others have, in words.
    pub waits_for: Vec<String>,
    /// Whether it started a run.
    pub starts: bool,
    /// Whether it, or something below it, needs a person to go on.
    pub held: bool,
    /// The inputs that it waits for a person to give.
    pub missing: Vec<String>,
}

impl Step {
    fn fresh(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            description: String::new(),
            needs: Vec::new(),
            in_finally: false,
            allow_failure: false,
            status: StepStatus::Pending,
            attempts: 0,
            running: None,
            began: None,
            attempt_began: None,
            ended: None,
            retry_at: None,
            waits_until: None,
            asks: None,
            how: String::new(),
            last_line: String::new(),
            waits_for: Vec::new(),
            starts: false,
            held: false,
            missing: Vec::new(),
        }
    }

    fn from_run(step: &RunStep, prefix: &str) -> Self {
        let began = moment(step.started_at.as_ref());
        let how = match (step.message.as_str(), step.exit_code) {
            ("", Some(code)) if code != 0 => format!("exited with {code}"),
            (message, _) => message.strip_prefix(SUBJECT).unwrap_or(message).to_owned(),
        };
        Self {
            description: step.description.clone(),
            in_finally: step.in_finally,
            allow_failure: step.allow_failure,
            status: step.status(),
            attempts: step.attempts,
            running: Running::from_word(&step.running),
            began,
            attempt_began: began,
            ended: moment(step.ended_at.as_ref()),
            retry_at: moment(step.retry_at.as_ref()),
            waits_until: moment(step.waits_until.as_ref()),
            asks: step.approval.as_ref().map(|approval| approval.roles.join(" or ")),
            how,
            last_line: step.last_line.clone(),
            waits_for: step.waits_for.clone(),
            starts: !step.child.is_empty(),
            held: step.child_run.as_ref().is_some_and(|child| child.status() == RunStatus::Attention)
                || !step.missing_inputs.is_empty(),
            missing: step.missing_inputs.clone(),
            ..Self::fresh(&path::joined(prefix, &step.id))
        }
    }

    /// Whether it is over.
    pub const fn is_terminal(&self) -> bool {
        is_terminal_step(self.status)
    }

    /// Whether it goes on without a person.
    pub const fn is_moving(&self) -> bool {
        !self.held
            && matches!(
                self.status,
                StepStatus::Running | StepStatus::Retrying | StepStatus::Waiting | StepStatus::RollingBack
            )
    }

    /// Values are given; it goes on where it waited for nothing else.
    fn provided(&mut self, inputs: &[String], at: Moment) {
        if self.missing.is_empty() {
            return;
        }
        self.missing.retain(|name| !inputs.contains(name));
        if self.missing.is_empty() {
            self.held = false;
            self.retry_at = Some(at);
            if self.status == StepStatus::Waiting {
                self.status = StepStatus::Retrying;
            }
        }
    }

    fn end(&mut self, status: StepStatus, at: Moment) {
        self.status = status;
        self.held = false;
        self.missing.clear();
        self.running = None;
        self.retry_at = None;
        self.last_line.clear();
        self.ended = is_terminal_step(status).then_some(at);
        if self.ended.is_some() {
            self.waits_until = None;
            self.asks = None;
        }
    }

    fn reopen(&mut self) {
        self.status = StepStatus::Pending;
        self.running = None;
        self.began = None;
        self.attempt_began = None;
        self.ended = None;
        self.retry_at = None;
        self.waits_until = None;
        self.asks = None;
        self.how.clear();
    }
}

const fn is_terminal_step(status: StepStatus) -> bool {
    matches!(
        status,
        StepStatus::Succeeded
            | StepStatus::Failed
            | StepStatus::Skipped
            | StepStatus::Canceled
            | StepStatus::RolledBack
            | StepStatus::RollbackFailed
    )
}

/// Whether a run in this status is over.
pub const fn is_terminal(status: RunStatus) -> bool {
    matches!(status, RunStatus::Succeeded | RunStatus::Failed | RunStatus::RolledBack | RunStatus::Canceled)
}

/// An event that does not follow the last one: something in between was not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap;

/// What an event did to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing that calls for more than a line.
    Plain,
    /// This step failed for good.
    Failed(usize),
    /// Of this step nobody knows what it did.
    Unknown(usize),
    /// The run was opened again.
    Reopened,
}

/// A run.
#[derive(Debug, Clone)]
pub struct Model {
    /// For typing.
    pub number: u64,
    /// For the API.
    pub uid: String,
    /// The runbook's name.
    pub runbook: String,
    /// Its status.
    pub status: RunStatus,
    /// Whether nothing that changes anything runs in it.
    pub dry_run: bool,
    /// Why it goes to its end or failed.
    pub message: String,
    /// When it was made.
    pub created: Option<Moment>,
    /// When this epoch began.
    pub began: Option<Moment>,
    /// When it was over.
    pub finished: Option<Moment>,
    /// What a queued run waits for.
    pub waits_for: Vec<String>,
    /// The number of the latest event that is folded in.
    pub last_event: u64,
    /// Its steps, as the runbook has them.
    pub steps: Vec<Step>,
    places: HashMap<String, usize>,
    below: HashMap<String, Below>,
}

/// A child run.
#[derive(Debug, Clone, Default)]
struct Below {
    /// The number of its latest event that is folded in.
    latest: u64,
    /// How the ids of its steps begin.
    prefix: String,
}

/// The steps of a run, those of its child runs behind the step that started each.
fn flatten(run: &Run, prefix: &str, steps: &mut Vec<Step>, needs: &mut Vec<Vec<String>>) {
    for step in &run.steps {
        steps.push(Step::from_run(step, prefix));
        needs.push(step.needs.iter().map(|need| path::joined(prefix, need)).collect());
        if let Some(child) = &step.child_run {
            flatten(child, &format!("{}/", path::joined(prefix, &step.id)), steps, needs);
        }
    }
}

/// The last events of the child runs below a run.
fn latest_below(run: &Run, prefix: &str, latest: &mut HashMap<String, Below>) {
    for (step, child) in run.steps.iter().filter_map(|step| Some((step, step.child_run.as_ref()?))) {
        let prefix = format!("{}/", path::joined(prefix, &step.id));
        latest_below(child, &prefix, latest);
        latest.insert(child.name.clone(), Below { latest: child.last_event, prefix });
    }
}

impl Model {
    /// The model of a snapshot.
    pub fn of(run: &Run) -> Self {
        let (mut steps, mut needs) = (Vec::new(), Vec::new());
        flatten(run, "", &mut steps, &mut needs);
        let places: HashMap<String, usize> =
            steps.iter().enumerate().map(|(place, step)| (step.id.clone(), place)).collect();
        for (step, needs) in steps.iter_mut().zip(needs) {
            step.needs = needs.iter().filter_map(|need| places.get(need).copied()).collect();
        }
        let mut below = HashMap::new();
        latest_below(run, "", &mut below);
        let created = moment(run.created_at.as_ref());
        Self {
            number: run.number,
            uid: run.uid.clone(),
            runbook: run.runbook.strip_prefix("runbooks/").unwrap_or(&run.runbook).to_owned(),
            status: run.status(),
            dry_run: run.dry_run,
            message: run.message.clone(),
            created,
            began: created,
            finished: moment(run.finished_at.as_ref()),
            waits_for: run.waits_for.clone(),
            last_event: run.last_event,
            steps,
            places,
            below,
        }
    }

    /// Takes over the words that only events have: why a step is where it is.
    pub fn with_words_of(mut self, before: &Self) -> Self {
        for (step, known) in self.steps.iter_mut().zip(&before.steps) {
            if step.how.is_empty() && (&step.id, step.status) == (&known.id, known.status) {
                step.how.clone_from(&known.how);
            }
        }
        self
    }

    /// The same run before everything after an event; of its steps only the shape is kept.
    pub fn rewind(&mut self, last_event: u64) {
        self.last_event = last_event;
        self.below.values_mut().for_each(|below| below.latest = 0);
        self.status = RunStatus::Queued;
        self.finished = None;
        self.message.clear();
        for step in &mut self.steps {
            *step = Step {
                description: std::mem::take(&mut step.description),
                needs: std::mem::take(&mut step.needs),
                in_finally: step.in_finally,
                allow_failure: step.allow_failure,
                starts: step.starts,
                ..Step::fresh(&step.id)
            };
        }
    }

    /// The place of a step; one that the snapshot did not have is added, one of a child run behind what is known of that.
    fn place(&mut self, id: &str) -> usize {
        if let Some(place) = self.places.get(id) {
            return *place;
        }
        let above = path::above(id);
        let place = above.and_then(|above| self.places.get(above)).map_or(self.steps.len(), |place| {
            let prefix = &self.steps[*place].id;
            let is_below = |step: &Step| path::is_inside(&step.id, prefix);
            place + 1 + self.steps[place + 1..].iter().take_while(|step| is_below(step)).count()
        });
        self.steps.insert(place, Step::fresh(id));
        for other in &mut self.steps {
            other.needs.iter_mut().filter(|need| **need >= place).for_each(|need| *need += 1);
        }
        self.places.values_mut().filter(|other| **other >= place).for_each(|other| *other += 1);
        self.places.insert(id.to_owned(), place);
        place
    }

    /// The step of an event, if it is about one.
    pub fn step_of(&self, event: &Event) -> Option<&Step> {
        self.places.get(&event.step).and_then(|place| self.steps.get(*place))
    }

    /// Takes the last lines that a later snapshot has; everything else comes by events.
    pub fn take_last_lines(&mut self, run: &Run) {
        let mut steps = Vec::new();
        flatten(run, "", &mut steps, &mut Vec::new());
        for fresh in &steps {
            let step = self.places.get(&fresh.id).and_then(|place| self.steps.get_mut(*place));
            let Some(step) = step.filter(|step| step.attempts == fresh.attempts) else { continue };
            if step.running.is_some() {
                step.last_line.clone_from(&fresh.last_line);
            } else {
                step.waits_for.clone_from(&fresh.waits_for);
            }
        }
        self.waits_for.clone_from(&run.waits_for);
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// It does not follow the last one. The model is as it was.
    pub fn fold(&mut self, event: &Event) -> Result<Change, Gap> {
        let at = moment(event.at.as_ref()).unwrap_or(Moment(0));
        if !event.run.is_empty() {
            return Ok(self.fold_below(event, at));
        }
        if event.number <= self.last_event {
            return Ok(Change::Plain);
        }
        if event.number != self.last_event + 1 {
            return Err(Gap);
        }
        self.last_event = event.number;
        match event.r#type() {
            EventType::Unspecified
            | EventType::DeadlinesShifted
            | EventType::Paused
            | EventType::Continued
            | EventType::Due => {}
            EventType::Created => {
                self.created = Some(at);
                self.began = Some(at);
            }
            EventType::StartDecided if event.then == "open" => {}
            EventType::Admitted | EventType::StartDecided => self.waits_for.clear(),
            EventType::Ending => {
                self.message.clone_from(&event.message);
                self.end_waits("", at);
            }
            EventType::Finishing | EventType::RollingBack => {}
            EventType::RollbackAsked => {
                self.finished = None;
                self.steps.iter_mut().filter(|step| step.in_finally).for_each(Step::reopen);
                return Ok(Change::Reopened);
            }
            EventType::RollbackAbandoned => {
                let waits = |step: &&mut Step| step.status == StepStatus::RollingBack && step.retry_at.is_some();
                for step in self.steps.iter_mut().filter(waits) {
                    step.end(StepStatus::RollbackFailed, at);
                }
            }
            EventType::Provided => self.steps.iter_mut().for_each(|step| step.provided(&event.inputs, at)),
            EventType::Finished => self.finished = Some(at),
            EventType::Resumed => {
                self.reopen(at);
                return Ok(Change::Reopened);
            }
            EventType::StepReady
            | EventType::StepSkipped
            | EventType::StepFailed
            | EventType::WaitBegan
            | EventType::WaitEnded
            | EventType::ApprovalAsked
            | EventType::ApprovalGiven
            | EventType::ApprovalTimedOut
            | EventType::AttemptStarting
            | EventType::AttemptEnded
            | EventType::ChildStarting
            | EventType::ChildEnded
            | EventType::ChildWaits
            | EventType::ChildRollingBack
            | EventType::RepeatEnded
            | EventType::LocksReleased
            | EventType::Withheld
            | EventType::Resolved => return Ok(self.fold_into(event, at)),
        }
        Ok(Change::Plain)
    }

    /// An event of a child run: of those that are told again each once, and what is about no step is seen by the step
    /// above.
    fn fold_below(&mut self, event: &Event, at: Moment) -> Change {
        let below = self.below.entry(event.run.clone()).or_default();
        if event.number <= below.latest {
            return Change::Plain;
        }
        below.latest = event.number;
        let prefix = below.prefix.clone();
        match event.r#type() {
            EventType::Ending => self.end_waits(&prefix, at),
            // Its `finally` comes once more.
            EventType::RollbackAsked => {
                let own = |step: &&mut Step| step.in_finally && path::above(&step.id) == prefix.strip_suffix('/');
                self.steps.iter_mut().filter(own).for_each(Step::reopen);
            }
            _ => {}
        }
        if event.step.is_empty() { Change::Plain } else { self.fold_into(event, at) }
    }

    /// A run goes to its end: its steps that wait are canceled. What child runs wait for is theirs.
    fn end_waits(&mut self, prefix: &str, at: Moment) {
        let above = prefix.strip_suffix('/').filter(|above| !above.is_empty());
        let own = |step: &Step| path::above(&step.id) == above;
        let waits = |step: &Step| step.status == StepStatus::Waiting && !step.starts && step.missing.is_empty();
        for step in self.steps.iter_mut().filter(|step| waits(step) && own(step)) {
            step.end(StepStatus::Canceled, at);
        }
    }

    /// Whether an event was folded in before.
    pub fn knows(&self, event: &Event) -> bool {
        let latest = match event.run.is_empty() {
            true => Some(self.last_event),
            false => self.below.get(&event.run).map(|below| below.latest),
        };
        latest.is_some_and(|latest| event.number <= latest)
    }

    fn fold_into(&mut self, event: &Event, at: Moment) -> Change {
        let place = self.place(&event.step);
        if event.r#type() == EventType::ChildStarting {
            self.below.entry(event.child.clone()).or_default().prefix = format!("{}/", event.step);
        }
        if event.r#type() == EventType::ChildStarting && event.again {
            for step in self.steps.iter_mut().filter(|step| path::is_inside(&step.id, &event.step)) {
                if step.in_finally || step.status != StepStatus::Succeeded {
                    step.reopen();
                }
            }
        }
        let Some(step) = self.steps.get_mut(place) else { return Change::Plain };
        fold_step(step, event, at);
        match step.status {
            StepStatus::Failed | StepStatus::RollbackFailed => Change::Failed(place),
            StepStatus::Unknown => Change::Unknown(place),
            _ => Change::Plain,
        }
    }

    /// The next epoch: what did not succeed is open again, and so is all of `finally`.
    fn reopen(&mut self, at: Moment) {
        self.began = Some(at);
        self.finished = None;
        self.message.clear();
        for step in &mut self.steps {
            if step.in_finally || (step.status != StepStatus::Succeeded && step.status != StepStatus::Unknown) {
                step.reopen();
            }
        }
    }

    /// Whether a pending step has nothing left to wait for but its turn.
    pub fn is_next(&self, step: &Step) -> bool {
        step.status == StepStatus::Pending
            && (!step.in_finally || self.status == RunStatus::Finishing)
            && step.needs.iter().all(|need| self.steps.get(*need).is_some_and(Step::is_terminal))
    }

    /// Whether the run stands still until a person settles a step.
    pub fn needs_a_person(&self) -> bool {
        self.status == RunStatus::Attention && !self.steps.iter().any(Step::is_moving)
    }

    /// Whether an attempt of a step is on.
    pub fn is_at_work(&self) -> bool {
        self.steps.iter().any(|step| step.running.is_some())
    }

    /// How many steps are in each status that has any, in the order in which they are told.
    pub fn counts(&self) -> Vec<(StepStatus, usize)> {
        const ORDER: [StepStatus; 12] = [
            StepStatus::Succeeded,
            StepStatus::Failed,
            StepStatus::Skipped,
            StepStatus::Canceled,
            StepStatus::RolledBack,
            StepStatus::RollbackFailed,
            StepStatus::Unknown,
            StepStatus::RollingBack,
            StepStatus::Running,
            StepStatus::Retrying,
            StepStatus::Waiting,
            StepStatus::Pending,
        ];
        ORDER
            .into_iter()
            .map(|status| (status, self.steps.iter().filter(|step| step.status == status).count()))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

fn fold_step(step: &mut Step, event: &Event, at: Moment) {
    match event.r#type() {
        EventType::StepSkipped => {
            step.how.clone_from(&event.message);
            step.end(StepStatus::Skipped, at);
        }
        EventType::StepFailed => {
            step.how.clone_from(&event.message);
            step.end(StepStatus::Failed, at);
        }
        // An iteration that waited for its turn begins.
        EventType::StepReady => step.reopen(),
        EventType::WaitBegan => {
            step.status = StepStatus::Waiting;
            step.began.get_or_insert(at);
            step.waits_until = moment(event.then_at.as_ref());
        }
        EventType::WaitEnded => step.end(StepStatus::Succeeded, at),
        EventType::ApprovalAsked => {
            step.status = StepStatus::Waiting;
            step.began.get_or_insert(at);
            step.waits_until = moment(event.then_at.as_ref());
            step.asks = Some(event.asks.clone());
            step.how.clone_from(&event.message);
        }
        EventType::ApprovalGiven if event.then == "open" => {}
        EventType::ApprovalGiven => {
            let who = event.by.as_ref().map_or("nobody known", |by| by.name.as_str());
            step.how = match (event.approve(), event.reason.as_str()) {
                (true, "") => format!("approved by {who}"),
                (true, reason) => format!("approved by {who}: {reason}"),
                (false, reason) => format!("rejected by {who}: {reason}"),
            };
            follow_up(step, event, at);
        }
        EventType::ApprovalTimedOut => {
            step.how.clone_from(&event.message);
            follow_up(step, event, at);
        }
        EventType::AttemptStarting => {
            let compensates = event.attempt_kind == "rollback";
            step.status = if compensates { StepStatus::RollingBack } else { StepStatus::Running };
            step.attempts = event.attempt;
            step.running = Running::from_word(&event.attempt_kind).or(Some(Running::Run));
            step.began.get_or_insert(at);
            step.attempt_began = Some(at);
            step.retry_at = None;
            step.last_line.clear();
            step.waits_for.clear();
        }
        EventType::Withheld => {
            if step.status != StepStatus::RollingBack {
                step.status = StepStatus::Waiting;
            }
            step.running = None;
            step.held = true;
            step.missing.clone_from(&event.inputs);
        }
        EventType::ChildStarting => {
            step.status = StepStatus::Running;
            step.starts = true;
            step.waits_for.clear();
            step.began.get_or_insert(at);
        }
        EventType::ChildWaits => {
            step.held = event.waits == "person";
            // What is rolled back goes on being so, whatever it waits for.
            if step.status != StepStatus::RollingBack {
                step.status = if event.waits == "nothing" { StepStatus::Running } else { StepStatus::Waiting };
            }
        }
        EventType::ChildRollingBack => {
            step.status = StepStatus::RollingBack;
            step.running = None;
            step.retry_at = None;
            step.waits_for.clear();
        }
        EventType::ChildEnded => {
            step.how.clone_from(&event.message);
            follow_up(step, event, at);
        }
        EventType::AttemptEnded => {
            step.how = how(event);
            follow_up(step, event, at);
        }
        EventType::Resolved => {
            step.how = format!("settled: {}", event.reason);
            match (step.status, event.then.as_str()) {
                // Of a compensation that failed.
                (StepStatus::RollbackFailed, "succeeded") => step.end(StepStatus::RolledBack, at),
                (StepStatus::RollbackFailed, "retry") => step.end(StepStatus::RollingBack, at),
                (StepStatus::RollbackFailed, _) => {}
                _ => follow_up(step, event, at),
            }
        }
        _ => {}
    }
}

/// What follows the end of an attempt, or the word of a person.
fn follow_up(step: &mut Step, event: &Event, at: Moment) {
    match event.then.as_str() {
        "succeeded" => step.end(StepStatus::Succeeded, at),
        "failed" => step.end(StepStatus::Failed, at),
        "canceled" => step.end(StepStatus::Canceled, at),
        "rolled_back" => step.end(StepStatus::RolledBack, at),
        "rollback_failed" => step.end(StepStatus::RollbackFailed, at),
        "rollback" => {
            step.end(StepStatus::RollingBack, at);
            step.retry_at = moment(event.then_at.as_ref());
        }
        "unknown" => step.end(StepStatus::Unknown, at),
        "retry" => {
            // Between probes it waits.
            let probes = step.waits_until.is_some();
            step.end(if probes { StepStatus::Waiting } else { StepStatus::Retrying }, at);
            step.retry_at = moment(event.then_at.as_ref());
        }
        // `verify` or `on_cancel` is due: the step goes on without an attempt for a moment.
        _ => step.end(StepStatus::Running, at),
    }
}

/// How an attempt ended, in one line.
pub fn how(event: &Event) -> String {
    match (event.how.as_str(), event.message.as_str()) {
        ("", message) => message.to_owned(),
        (how, "") => how.to_owned(),
        // Often the message says the same with a word more.
        (how, message) if message.contains(how) => message.strip_prefix(SUBJECT).unwrap_or(message).to_owned(),
        (how, message) => format!("{how}: {message}"),
    }
}

#[cfg(test)]
pub mod tests;
