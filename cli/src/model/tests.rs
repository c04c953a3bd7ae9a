//! What the events do to the model, and the events that other tests make stories of.

use super::*;
use prost_types::Timestamp;

/// A snapshot of a run with these steps: id, needs.
pub fn run(steps: &[(&str, &[&str])]) -> Run {
    Run {
        name: "runs/abc".into(),
        uid: "abc".into(),
        number: 12,
        runbook: "runbooks/backup".into(),
        status: RunStatus::Running.into(),
        created_at: Some(Timestamp { seconds: 0, nanos: 0 }),
        epoch: 1,
        last_event: 2,
        steps: steps
            .iter()
            .map(|(id, needs)| RunStep {
                id: (*id).into(),
                needs: needs.iter().map(|need| (*need).to_owned()).collect(),
                status: StepStatus::Pending.into(),
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    }
}

/// An event of a step at a second.
pub fn event(number: u64, second: i64, kind: EventType, step: &str) -> Event {
    Event {
        number,
        at: Some(Timestamp { seconds: second, nanos: 0 }),
        r#type: kind.into(),
        step: step.into(),
        ..Default::default()
    }
}

/// An attempt's start.
pub fn starting(number: u64, second: i64, step: &str, attempt: u32, kind: &str) -> Event {
    Event { attempt, attempt_kind: kind.into(), ..event(number, second, EventType::AttemptStarting, step) }
}

/// An attempt's end.
pub fn ended(number: u64, second: i64, step: &str, attempt: u32, how: &str, then: &str) -> Event {
    Event { attempt, how: how.into(), then: then.into(), ..event(number, second, EventType::AttemptEnded, step) }
}

fn status(model: &Model, id: &str) -> StepStatus {
    model.steps.iter().find(|step| step.id == id).unwrap().status
}

#[test]
fn a_step_goes_its_way() {
    let mut model = Model::of(&run(&[("dump", &[]), ("prove", &["dump"])]));
    assert!(model.is_next(&model.steps[0]) && !model.is_next(&model.steps[1]));
    model.fold(&starting(3, 1, "dump", 1, "run")).unwrap();
    assert_eq!(status(&model, "dump"), StepStatus::Running);
    let retry =
        Event { then_at: Some(Timestamp { seconds: 9, nanos: 0 }), ..ended(4, 5, "dump", 1, "exited with 7", "retry") };
    assert_eq!(model.fold(&retry), Ok(Change::Plain));
    assert_eq!(status(&model, "dump"), StepStatus::Retrying);
    assert_eq!(model.steps[0].retry_at, Some(Moment(9_000_000)));
    model.fold(&starting(5, 9, "dump", 2, "run")).unwrap();
    assert_eq!((model.steps[0].attempts, model.steps[0].began), (2, Some(Moment(1_000_000))));
    model.fold(&ended(6, 12, "dump", 2, "exited with 0", "succeeded")).unwrap();
    assert!(model.is_next(&model.steps[1]));
    model.fold(&starting(7, 12, "prove", 1, "run")).unwrap();
    assert_eq!(model.fold(&ended(8, 13, "prove", 1, "exited with 1", "failed")), Ok(Change::Failed(1)));
    assert_eq!(model.counts(), [(StepStatus::Succeeded, 1), (StepStatus::Failed, 1)]);
}

#[test]
fn what_was_told_twice_counts_once_and_a_gap_is_seen() {
    let mut model = Model::of(&run(&[("dump", &[])]));
    model.fold(&starting(3, 1, "dump", 1, "run")).unwrap();
    assert_eq!(model.fold(&event(2, 0, EventType::Admitted, "")), Ok(Change::Plain));
    assert_eq!(model.fold(&ended(5, 2, "dump", 1, "", "failed")), Err(Gap));
    assert_eq!((model.last_event, status(&model, "dump")), (3, StepStatus::Running));
}

#[test]
fn a_person_is_needed_only_when_nothing_moves() {
    let mut model = Model::of(&run(&[("a", &[]), ("b", &[])]));
    model.fold(&starting(3, 1, "a", 1, "run")).unwrap();
    model.fold(&starting(4, 1, "b", 1, "run")).unwrap();
    assert_eq!(model.fold(&ended(5, 2, "a", 1, "was lost", "unknown")), Ok(Change::Unknown(0)));
    model.status = RunStatus::Attention;
    assert!(!model.needs_a_person());
    model.fold(&ended(6, 3, "b", 1, "", "succeeded")).unwrap();
    assert!(model.needs_a_person());
    let settled = Event { then: "retry".into(), ..event(7, 9, EventType::Resolved, "a") };
    model.fold(&settled).unwrap();
    assert_eq!(status(&model, "a"), StepStatus::Retrying);
}

#[test]
fn the_next_epoch_keeps_what_succeeded() {
    let mut run = run(&[("a", &[]), ("b", &["a"]), ("tidy", &[])]);
    run.steps[2].in_finally = true;
    for (step, status) in run.steps.iter_mut().zip([StepStatus::Succeeded, StepStatus::Failed, StepStatus::Succeeded]) {
        step.status = status.into();
    }
    let mut model = Model::of(&run);
    assert_eq!(model.fold(&event(3, 50, EventType::Resumed, "")), Ok(Change::Reopened));
    let now: Vec<_> = model.steps.iter().map(|step| step.status).collect();
    assert_eq!(now, [StepStatus::Succeeded, StepStatus::Pending, StepStatus::Pending]);
    assert_eq!(model.began, Some(Moment(50_000_000)));
    assert!(model.is_next(&model.steps[1]));
    assert!(!model.is_next(&model.steps[2]), "finally waits for the end");
}
