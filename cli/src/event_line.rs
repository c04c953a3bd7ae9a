//! An event as one line for people: in `runbook events`, and in a watched run where nothing is redrawn. Knows the
//! events' meaning in words, never where the lines go.

use runbook_proto::v1::{Event, EventType, Principal, RunStatus};

use crate::line::{Line, Tone};
use crate::model::{Model, how};
use crate::moment::{Moment, moment, span};
use crate::selecting::typed;
use crate::text::quoted;
use crate::to_json::run_status;

/// The line of an event, without its time. `model` has the event folded in already.
pub fn event_line(event: &Event, model: &Model) -> Line {
    // Of a child run people know the steps; by itself it has no number.
    let run = match event.run.strip_prefix("runs/") {
        Some(uid) => format!("run {uid} in run {}", model.number),
        None => format!("run {}", model.number),
    };
    match event.r#type() {
        EventType::Unspecified => {
            Line::of(Tone::Dim, &format!("event {} of a kind that this version does not know", event.number))
        }
        EventType::Created => {
            let dry = if event.dry_run { " as a dry run" } else { "" };
            let steps = event.selection.as_ref().map(|selection| format!(" with {}", typed(selection)));
            let steps = steps.unwrap_or_default();
            let place = if event.environment.is_empty() { String::new() } else { format!(" in {}", event.environment) };
            let what = format!("created by {}{place}{dry}{steps}{}", who(event.by.as_ref()), confirmed(event));
            let what = match event.asks.as_str() {
                "" => what,
                asks => format!("{what}; asks {asks} (`runbook approve {}`)", model.number),
            };
            let what = match event.overridden.as_str() {
                "" => what,
                reason => format!("{what}, in spite of what protects the environment ({reason})"),
            };
            about(&run, Tone::Plain, &what, &event.reason)
        }
        EventType::Due => about(&run, Tone::Plain, "begins: its time has come", ""),
        EventType::Admitted => about(&run, Tone::Plain, "admitted: its steps may start", ""),
        EventType::Ending => about(&run, Tone::Warn, "goes to its end", &event.message),
        EventType::RollingBack => about(&run, Tone::Warn, "is rolled back", &event.message),
        EventType::RollbackAsked => {
            about(&run, Tone::Warn, &format!("is to be rolled back, says {}", who(event.by.as_ref())), &event.reason)
        }
        EventType::RollbackAbandoned => {
            about(&run, Tone::Warn, &format!("its rollback is given up by {}", who(event.by.as_ref())), &event.reason)
        }
        EventType::Finishing => {
            about(&run, Tone::Plain, &format!("its steps are over ({}); finally follows", outcome(event)), "")
        }
        EventType::Finished => about(&run, run_tone(event.outcome()), &outcome(event), ""),
        EventType::Resumed => {
            let (by, edited) = (who(event.by.as_ref()), edited(event));
            let what = format!("resumed by {by} as epoch {}{edited}{}", event.epoch, confirmed(event));
            about(&run, Tone::Plain, &what, &event.reason)
        }
        EventType::Paused if event.before.is_empty() => {
            let what = format!("paused by {} (`runbook resume {}`)", who(event.by.as_ref()), model.number);
            about(&run, Tone::Warn, &what, &event.reason)
        }
        EventType::Paused => {
            let what = format!("paused before step {} (`runbook resume {}`)", event.before, model.number);
            about(&run, Tone::Warn, &what, "")
        }
        EventType::Continued => {
            about(&run, Tone::Plain, &format!("let go on by {}", who(event.by.as_ref())), &event.reason)
        }
        EventType::Withheld => step(event, Tone::Warn, &withheld(event, model.number), ""),
        EventType::Provided => {
            let what = format!("given by {}: {}", who(event.by.as_ref()), event.inputs.join(", "));
            about(&run, Tone::Plain, &what, &event.reason)
        }
        EventType::LocksReleased => {
            step(event, Tone::Warn, &format!("gave its locks up, says {}", who(event.by.as_ref())), &event.reason)
        }
        EventType::DeadlinesShifted => {
            about(&run, Tone::Warn, "the clock was set; deadlines moved with it", &event.message)
        }
        EventType::StepReady => step(event, Tone::Dim, "ready", ""),
        EventType::StepSkipped => step(event, Tone::Dim, "skipped", &event.message),
        EventType::StepFailed => step(event, Tone::Bad, "failed", &event.message),
        EventType::WaitBegan => {
            let until = moment(event.then_at.as_ref()).map(|until| until.date_clock()).unwrap_or_default();
            step(event, Tone::Plain, &format!("waits, until {until} at the latest"), "")
        }
        EventType::ApprovalAsked => {
            let what = format!("asks {} (`runbook approve {} {}`)", event.asks, model.number, quoted(&event.step));
            step(event, Tone::Warn, &what, &event.message)
        }
        EventType::ApprovalGiven => {
            let (tone, word) = if event.approve() { (Tone::Good, "approved") } else { (Tone::Bad, "rejected") };
            let more = if event.then == "open" { ", others have to approve too" } else { "" };
            step(event, tone, &format!("{word} by {}{more}", who(event.by.as_ref())), &event.reason)
        }
        EventType::StartDecided => {
            let (tone, word) = if event.approve() { (Tone::Good, "approved") } else { (Tone::Bad, "rejected") };
            let more = if event.then == "open" { ", others have to approve too" } else { "" };
            about(&run, tone, &format!("its start is {word} by {}{more}", who(event.by.as_ref())), &event.reason)
        }
        EventType::ApprovalTimedOut => {
            let tone = if event.then == "succeeded" { Tone::Warn } else { Tone::Bad };
            step(event, tone, &format!("{}, not decided in time", event.then), &event.message)
        }
        EventType::WaitEnded => step(event, Tone::Good, "succeeded: its time has come", ""),
        EventType::AttemptStarting => step(event, Tone::Plain, &starting(event), ""),
        EventType::AttemptEnded => ended(event, model),
        EventType::ChildStarting => {
            let verb = if event.again { "resumed" } else { "started" };
            step(event, Tone::Plain, &format!("{verb} run {}", event.child.strip_prefix("runs/").unwrap_or("")), "")
        }
        EventType::ChildWaits => match event.waits.as_str() {
            "person" => step(event, Tone::Warn, "waits: something below it needs a person", ""),
            "time" => step(event, Tone::Plain, "waits, as all does that goes on below it", ""),
            _ => step(event, Tone::Plain, "goes on", ""),
        },
        EventType::ChildRollingBack => {
            let run = event.child.strip_prefix("runs/").unwrap_or("");
            step(event, Tone::Warn, &format!("what run {run} did is rolled back"), "")
        }
        EventType::ChildEnded if event.then == "rollback_failed" => {
            step(event, Tone::Bad, "not all that is below it is rolled back", &event.message)
        }
        EventType::ChildEnded => ended(event, model),
        EventType::RepeatEnded if event.message.is_empty() => {
            step(event, Tone::Good, "the last one: `until` holds", "")
        }
        EventType::RepeatEnded => step(event, Tone::Bad, "the last one, in vain", &event.message),
        EventType::Resolved => {
            let what = format!("settled as {} by {}", event.then, who(event.by.as_ref()));
            step(event, Tone::Warn, &what, &event.reason)
        }
    }
}

/// The colour of a run's status.
pub const fn run_tone(status: RunStatus) -> Tone {
    match status {
        RunStatus::Succeeded => Tone::Good,
        RunStatus::Failed | RunStatus::RolledBack => Tone::Bad,
        RunStatus::Canceled | RunStatus::Attention | RunStatus::Stopping | RunStatus::RollingBack => Tone::Warn,
        RunStatus::Running | RunStatus::Finishing => Tone::Busy,
        RunStatus::Unspecified | RunStatus::Queued | RunStatus::Waiting | RunStatus::Paused => Tone::Plain,
    }
}

fn about(run: &str, tone: Tone, what: &str, more: &str) -> Line {
    line(Line::of(Tone::Bold, run), tone, what, more)
}

fn step(event: &Event, tone: Tone, what: &str, more: &str) -> Line {
    line(Line::of(Tone::Plain, "step ").with(Tone::Bold, &event.step), tone, what, more)
}

fn line(head: Line, tone: Tone, what: &str, more: &str) -> Line {
    let line = head.with(Tone::Plain, ": ").with(tone, what);
    if more.is_empty() { line } else { line.with(Tone::Plain, ": ").with(Tone::Plain, more) }
}

fn outcome(event: &Event) -> String {
    run_status(event.outcome()).replace('_', " ")
}

/// What somebody confirmed that it is destroyed.
fn confirmed(event: &Event) -> String {
    match event.confirmed.is_empty() {
        true => String::new(),
        false => format!(", who confirmed {}", event.confirmed.join(", ")),
    }
}

/// By which edited definition a run goes on, and what runs again for that.
fn edited(event: &Event) -> String {
    let definition: String = event.definition.chars().take(12).collect();
    match (definition.is_empty(), event.runs_again.is_empty()) {
        (true, _) => String::new(),
        (false, true) => format!(", by the edited definition {definition}"),
        (false, false) => {
            format!(", by the edited definition {definition}, with {} once more", event.runs_again.join(", "))
        }
    }
}

fn who(by: Option<&Principal>) -> &str {
    by.map_or("nobody known", |by| by.name.as_str())
}

fn starting(event: &Event) -> String {
    match (event.attempt_kind.as_str(), event.attempt) {
        ("run" | "", 1) => "started".to_owned(),
        ("run" | "", attempt) => format!("attempt {attempt} started"),
        (kind, attempt) => format!("{kind} started (attempt {attempt})"),
    }
}

fn ended(event: &Event, model: &Model) -> Line {
    let at = moment(event.at.as_ref()).unwrap_or(Moment(0));
    let began = model.step_of(event).and_then(|step| step.attempt_began.or(step.began));
    let took = began.map(|began| format!(" ({})", span(at.since(began)))).unwrap_or_default();
    let attempt = event.attempt;
    let how = how(event);
    match event.then.as_str() {
        // Of a plain success there is nothing more to say.
        "succeeded" if event.attempt_kind == "verify" => {
            step(event, Tone::Good, &format!("succeeded, says its verify{took}"), &event.message)
        }
        "succeeded" => step(event, Tone::Good, &format!("succeeded{took}"), &event.message),
        "failed" => step(event, Tone::Bad, &format!("failed{took}"), &how),
        "canceled" => step(event, Tone::Warn, &format!("canceled{took}"), &how),
        "rolled_back" => step(event, Tone::Good, &format!("rolled back{took}"), ""),
        "rollback_failed" => {
            step(event, Tone::Bad, &format!("could not be rolled back, a person must settle it{took}"), &how)
        }
        "unknown" => step(event, Tone::Warn, &format!("unknown, a person must settle it{took}"), &how),
        "retry" => {
            let wait = moment(event.then_at.as_ref()).map_or(0, |then| then.since(at));
            let again = if wait == 0 { "now".to_owned() } else { format!("in {}", span(wait)) };
            step(event, Tone::Warn, &format!("attempt {attempt} ended{took}, again {again}"), &how)
        }
        then => step(event, Tone::Warn, &format!("attempt {attempt} ended{took}, {then} follows"), &how),
    }
}

/// What an attempt needs that did not start, and what to type.
fn withheld(event: &Event, number: u64) -> String {
    let give: String = event.inputs.iter().map(|name| format!(" -i {name}=-")).collect();
    format!("needs {}, kept nowhere (`runbook provide {number}{give}`)", event.inputs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{ended, event, run, starting};
    use prost_types::Timestamp;
    use runbook_proto::v1::Run;

    fn alice() -> Option<Principal> {
        Some(Principal { name: "alice".into(), uid: Some(1000) })
    }

    /// The golden story of a run: each event, and its line.
    #[test]
    fn every_event_has_its_line() {
        let story: Vec<(Event, &str)> = vec![
            (
                Event { by: alice(), reason: "nightly".into(), ..event(1, 0, EventType::Created, "") },
                "run 12: created by alice: nightly",
            ),
            (event(2, 0, EventType::Admitted, ""), "run 12: admitted: its steps may start"),
            (event(3, 0, EventType::StepReady, "dump"), "step dump: ready"),
            (starting(4, 1, "dump", 1, "run"), "step dump: started"),
            (
                Event {
                    then_at: Some(Timestamp { seconds: 5, nanos: 0 }),
                    ..ended(5, 3, "dump", 1, "exited with 7", "retry")
                },
                "step dump: attempt 1 ended (2.0 s), again in 2.0 s: exited with 7",
            ),
            (starting(6, 5, "dump", 2, "run"), "step dump: attempt 2 started"),
            (ended(7, 20, "dump", 2, "exited with 0", "succeeded"), "step dump: succeeded (15 s)"),
            (starting(8, 20, "publish", 1, "run"), "step publish: started"),
            (
                ended(9, 21, "publish", 1, "cut off by its timeout", "verify"),
                "step publish: attempt 1 ended (1.0 s), verify follows: cut off by its timeout",
            ),
            (starting(10, 21, "publish", 2, "verify"), "step publish: verify started (attempt 2)"),
            (
                ended(11, 22, "publish", 2, "lost", "unknown"),
                "step publish: unknown, a person must settle it (1.0 s): lost",
            ),
            (
                Event {
                    by: alice(),
                    reason: "it is there".into(),
                    then: "succeeded".into(),
                    ..event(12, 60, EventType::Resolved, "publish")
                },
                "step publish: settled as succeeded by alice: it is there",
            ),
            (
                Event { message: "needs \"x\"".into(), ..event(13, 60, EventType::StepSkipped, "tell") },
                "step tell: skipped: needs \"x\"",
            ),
            (
                Event { message: "no such key".into(), ..event(14, 60, EventType::StepFailed, "odd") },
                "step odd: failed: no such key",
            ),
            (
                Event { message: "step odd failed".into(), ..event(15, 60, EventType::Ending, "") },
                "run 12: goes to its end: step odd failed",
            ),
            (
                Event { outcome: RunStatus::Failed.into(), ..event(16, 60, EventType::Finishing, "") },
                "run 12: its steps are over (failed); finally follows",
            ),
            (Event { outcome: RunStatus::Failed.into(), ..event(17, 61, EventType::Finished, "") }, "run 12: failed"),
            (
                Event { epoch: 2, by: alice(), reason: "fixed".into(), ..event(18, 90, EventType::Resumed, "") },
                "run 12: resumed by alice as epoch 2: fixed",
            ),
            (
                Event {
                    epoch: 3,
                    by: alice(),
                    definition: "0123456789abcdef".into(),
                    runs_again: vec!["copy".into(), "check".into()],
                    ..event(18, 90, EventType::Resumed, "")
                },
                "run 12: resumed by alice as epoch 3, by the edited definition 0123456789ab, with copy, check once more",
            ),
            (event(19, 90, EventType::DeadlinesShifted, ""), "run 12: the clock was set; deadlines moved with it"),
            (
                Event { r#type: 9_999, ..event(20, 90, EventType::Unspecified, "") },
                "event 20 of a kind that this version does not know",
            ),
            (event(21, 95, EventType::WaitEnded, "soak"), "step soak: succeeded: its time has come"),
            (
                Event { inputs: vec!["key".into(), "pin".into()], ..event(21, 95, EventType::Withheld, "publish") },
                "step publish: needs key, pin, kept nowhere (`runbook provide 12 -i key=- -i pin=-`)",
            ),
            (
                Event {
                    by: alice(),
                    reason: "a new daemon".into(),
                    inputs: vec!["key".into()],
                    ..event(21, 95, EventType::Provided, "")
                },
                "run 12: given by alice: key: a new daemon",
            ),
            (
                Event {
                    asks: "2 of dba".into(),
                    message: "drop it?".into(),
                    ..event(22, 95, EventType::ApprovalAsked, "go")
                },
                "step go: asks 2 of dba (`runbook approve 12 go`): drop it?",
            ),
            (
                Event {
                    by: alice(),
                    approve: Some(true),
                    then: "open".into(),
                    ..event(23, 96, EventType::ApprovalGiven, "go")
                },
                "step go: approved by alice, others have to approve too",
            ),
            (
                Event {
                    by: alice(),
                    approve: Some(false),
                    then: "failed".into(),
                    reason: "too old".into(),
                    ..event(24, 97, EventType::ApprovalGiven, "go")
                },
                "step go: rejected by alice: too old",
            ),
            (
                Event {
                    then: "failed".into(),
                    message: "0 of 1 approved within 4h".into(),
                    ..event(25, 99, EventType::ApprovalTimedOut, "go")
                },
                "step go: failed, not decided in time: 0 of 1 approved within 4h",
            ),
        ];
        let mut model = Model::of(&Run { last_event: 0, ..run(&[("dump", &[])]) });
        for (event, expected) in story {
            model.fold(&event).unwrap();
            assert_eq!(event_line(&event, &model).plain(), expected);
        }
    }
}
