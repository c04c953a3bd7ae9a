//! One known event of every kind, and every variant within: what the golden files hold. Never to be changed, only
//! added to.

use runbook_core::definition::{InputSource, Priority, Settlement};
use runbook_core::id::{AttemptNo, Digest, RunUid, StepNo};
use runbook_core::run::{
    AfterVote, Artifact, Asks, AttemptEnd, AttemptKind, Begin, Created, CutOff, Edited, EndingCause, Event, Fact, How,
    Left, NotStarted, Origin, Outcome, Parent, Principal, SkipReason, Terms, Then, Waits,
};
use runbook_core::schedule::{ScheduleName, SlotOf};
use runbook_core::selection::{Selection, Wish};
use runbook_core::time::{Span, Timestamp};
use serde_json::json;

const STEP: StepNo = StepNo(3);
const ATTEMPT: AttemptNo = AttemptNo(2);
const AT: Timestamp = Timestamp(1_763_695_264_123_456);

fn person() -> Principal {
    Principal { name: "ada".to_owned(), uid: Some(1_000) }
}

fn created() -> Created {
    Created {
        number: 142,
        runbook: "backup-postgres".to_owned(),
        definition: Digest([0xd1; 32]),
        inputs: [
            ("database".to_owned(), json!("orders")),
            ("keep".to_owned(), json!(7)),
            ("more".to_owned(), json!({"b": [1.5, null, true], "a": "ä\n"})),
        ]
        .into_iter()
        .collect(),
        sealed_inputs: vec!["password".to_owned()],
        group: Some("postgres/orders".to_owned()),
        locks: vec!["a".to_owned(), "b".to_owned()],
        origin: Origin::Person,
        by: person(),
        reason: "the nightly one failed".to_owned(),
        request_id: "0b6c7a7e-33c9-4a7e-9d0f-8b1f0a3c9b11".to_owned(),
        request_digest: Digest([0x7e; 32]),
        commit: None,
        terms: Terms::default(),
        parent: None,
        items: Vec::new(),
        slot: None,
    }
}

fn retry_after() -> Fact {
    let end = AttemptEnd { retry_after: Some(Span::seconds(30)), ..AttemptEnd::bare(How::Exited(75)) };
    Fact::AttemptEnded { step: STEP, attempt: ATTEMPT, end: Box::new(end), then: Then::RetryAt(AT) }
}

fn with_terms(terms: Terms) -> Fact {
    Fact::Created(Box::new(Created { terms, ..created() }))
}

const CHILD: RunUid = RunUid::from_bits(0x0199_0000_0000_8100_0000_0000_0000_0001);

fn created_by_step() -> Fact {
    let run = RunUid::from_bits(0x0199_0000_0000_7000_8000_0000_0000_0002);
    let root = RunUid::from_bits(0x0199_0000_0000_7000_8000_0000_0000_0001);
    let parent = Some(Parent { root, run, step: STEP, depth: 2, tidies: true });
    let Fact::Created(created) = with_origin(Origin::Person) else { unreachable!("it is one") };
    Fact::Created(Box::new(Created { parent, ..*created }))
}

fn created_for_items() -> Fact {
    let Fact::Created(created) = created_by_step() else { unreachable!("it is one") };
    let items = vec![json!("eu-west"), json!(7), json!({"host": "a", "ports": [80, null]})];
    Fact::Created(Box::new(Created { items, ..*created }))
}

fn child_ended(outcome: Outcome, then: Then) -> Fact {
    child_left(outcome, Left::Nothing, then)
}

fn child_left(outcome: Outcome, left: Left, then: Then) -> Fact {
    let outputs = [("bytes".to_owned(), json!(7))].into_iter().collect();
    let message = "its step b failed".to_owned();
    Fact::ChildEnded { step: STEP, child: CHILD, outcome, outputs, message, left, then }
}

fn end(how: How) -> AttemptEnd {
    AttemptEnd {
        how,
        message: "as it should".to_owned(),
        outputs: [("bytes".to_owned(), json!(123_456_789))].into_iter().collect(),
        artifacts: vec![Artifact { name: "db.dump".to_owned(), length: 123_456_789, digest: Digest([0xab; 32]) }],
        started_at: Some(AT),
        ended_at: Some(AT + Span::seconds(12)),
        cpu_micros: 7_654_321,
        max_rss_kib: 20_480,
        log_lines: 77,
        log_dropped: 1,
        retry_after: None,
    }
}

fn ended(how: How, then: Then) -> Fact {
    Fact::AttemptEnded { step: STEP, attempt: ATTEMPT, end: Box::new(end(how)), then }
}

fn bare(how: How, then: Then) -> Fact {
    let end = Box::new(AttemptEnd::bare(how));
    Fact::AttemptEnded { step: STEP, attempt: ATTEMPT, end, then }
}

fn with_origin(origin: Origin) -> Fact {
    Fact::Created(Box::new(Created {
        origin,
        inputs: Default::default(),
        sealed_inputs: Vec::new(),
        group: None,
        locks: Vec::new(),
        by: Principal::engine(),
        reason: String::new(),
        request_id: String::new(),
        ..created()
    }))
}

fn with_slot() -> Fact {
    let slot = SlotOf { schedule: ScheduleName::new("backup-postgres", "nightly"), at: AT };
    Fact::Created(Box::new(Created { origin: Origin::Schedule, slot: Some(slot), ..created() }))
}

fn starting(kind: AttemptKind) -> Fact {
    let boot = "5b6bc05c-ab5c-4d11-b27a-7c1fd0a1d3f5".to_owned();
    Fact::AttemptStarting { step: STEP, attempt: ATTEMPT, kind, boot }
}

fn resolved(settlement: Settlement) -> Fact {
    Fact::Resolved {
        step: STEP,
        settlement,
        outputs: [("key".to_owned(), json!("value"))].into_iter().collect(),
        by: person(),
        reason: "looked at the bucket".to_owned(),
    }
}

fn given(approve: bool, then: AfterVote) -> Fact {
    let decision = ("decision".to_owned(), json!("approved"));
    Fact::ApprovalGiven {
        step: STEP,
        approve,
        fields: [("ticket".to_owned(), json!("OPS-12"))].into_iter().filter(|_| approve).collect(),
        by: person(),
        reason: "looked at the dump".to_owned(),
        then,
        outputs: [decision].into_iter().filter(|_| then == AfterVote::Succeeded).collect(),
    }
}

/// The events, each with the name of its golden file.
pub fn all() -> Vec<(&'static str, Event)> {
    let facts = [
        ("created", Fact::Created(Box::new(created()))),
        ("created-by-api", with_origin(Origin::Api)),
        ("created-by-schedule", with_origin(Origin::Schedule)),
        ("admitted", Fact::Admitted { deadline: Some(AT) }),
        ("admitted-without-deadline", Fact::Admitted { deadline: None }),
        ("step-ready", Fact::StepReady { step: StepNo(0), locks: Vec::new() }),
        ("step-skipped-need", Fact::StepSkipped { step: STEP, why: SkipReason::Need(StepNo(0)) }),
        ("step-skipped-condition", Fact::StepSkipped { step: STEP, why: SkipReason::Condition }),
        ("step-failed", Fact::StepFailed { step: STEP, message: "no such key".to_owned() }),
        ("attempt-starting-run", starting(AttemptKind::Run)),
        ("attempt-starting-verify", starting(AttemptKind::Verify)),
        ("attempt-starting-on-cancel", starting(AttemptKind::OnCancel)),
        ("attempt-ended-succeeded", ended(How::Exited(0), Then::Succeeded)),
        ("attempt-ended-failed", ended(How::Exited(-3), Then::Failed)),
        ("attempt-ended-not-started-canceled", bare(How::NotStarted(NotStarted::Canceled), Then::Canceled)),
        ("attempt-ended-not-started-errno", bare(How::NotStarted(NotStarted::Errno(11)), Then::RetryAt(AT))),
        ("attempt-ended-not-started-fenced", bare(How::NotStarted(NotStarted::Fenced), Then::RetryAt(Timestamp(0)))),
        ("attempt-ended-timeout", ended(How::CutOff(CutOff::Timeout), Then::VerifyAt(AT))),
        ("attempt-ended-stopped", ended(How::CutOff(CutOff::Stopped), Then::OnCancelAt(AT))),
        ("attempt-ended-signal", ended(How::CutOff(CutOff::Signal(9)), Then::Unknown)),
        ("attempt-ended-unknown-exit", ended(How::CutOff(CutOff::UnknownExit(255)), Then::VerifyAt(Timestamp(-1)))),
        ("attempt-ended-lost", bare(How::Lost { processes_left: false }, Then::Unknown)),
        ("attempt-ended-lost-left", bare(How::Lost { processes_left: true }, Then::Unknown)),
        ("ending-failure-stop", Fact::Ending { cause: EndingCause::FailureStop(StepNo(0)) }),
        ("ending-failure-cancel", Fact::Ending { cause: EndingCause::FailureCancel(STEP) }),
        ("ending-timeout", Fact::Ending { cause: EndingCause::Timeout }),
        (
            "ending-cancel",
            Fact::Ending {
                cause: EndingCause::Cancel {
                    now: false,
                    by: Principal { name: "root".to_owned(), uid: Some(0) },
                    reason: "wrong database".to_owned(),
                    past: Vec::new(),
                },
            },
        ),
        (
            "ending-cancel-now",
            Fact::Ending {
                cause: EndingCause::Cancel {
                    now: true,
                    by: Principal::engine(),
                    reason: String::new(),
                    past: Vec::new(),
                },
            },
        ),
        (
            "finishing",
            Fact::Finishing { outcome: Outcome::Failed, outputs: Default::default(), message: String::new() },
        ),
        ("finished-succeeded", Fact::Finished { outcome: Outcome::Succeeded }),
        ("finished-failed", Fact::Finished { outcome: Outcome::Failed }),
        ("finished-canceled", Fact::Finished { outcome: Outcome::Canceled }),
        (
            "resumed",
            Fact::Resumed {
                epoch: 2,
                by: person(),
                reason: "disk is back".to_owned(),
                confirmed: Vec::new(),
                edited: None,
            },
        ),
        ("resolved-succeeded", resolved(Settlement::Succeeded)),
        ("resolved-failed", resolved(Settlement::Failed)),
        ("resolved-retry", resolved(Settlement::Retry)),
        ("deadlines-shifted", Fact::DeadlinesShifted { by: Span(-3_600_000_000) }),
        ("step-skipped-nothing-to-undo", Fact::StepSkipped { step: STEP, why: SkipReason::NothingToUndo }),
        ("wait-began", Fact::WaitBegan { step: STEP, until: AT, fixed: false }),
        ("wait-began-fixed", Fact::WaitBegan { step: StepNo(0), until: Timestamp(0), fixed: true }),
        ("wait-ended", Fact::WaitEnded { step: STEP }),
        ("approval-asked", Fact::ApprovalAsked { step: STEP, message: "drop orders?".to_owned(), until: Some(AT) }),
        ("approval-asked-for-ever", Fact::ApprovalAsked { step: STEP, message: "go?".to_owned(), until: None }),
        ("approval-given-open", given(true, AfterVote::Open)),
        ("approval-given-succeeded", given(true, AfterVote::Succeeded)),
        ("approval-given-failed", given(false, AfterVote::Failed)),
        (
            "approval-timed-out-succeeded",
            Fact::ApprovalTimedOut {
                step: STEP,
                then: AfterVote::Succeeded,
                message: "0 of 1 approved within 4h".to_owned(),
                outputs: [("decision".to_owned(), json!("timed_out"))].into_iter().collect(),
            },
        ),
        (
            "approval-timed-out-failed",
            Fact::ApprovalTimedOut {
                step: STEP,
                then: AfterVote::Failed,
                message: String::new(),
                outputs: Default::default(),
            },
        ),
        (
            "created-confirmed",
            with_terms(Terms { confirmed: vec!["db/orders".to_owned(), "old dumps".to_owned()], ..Terms::default() }),
        ),
        (
            "resumed-confirmed",
            Fact::Resumed {
                epoch: 3,
                by: person(),
                reason: String::new(),
                confirmed: vec!["db/orders".to_owned()],
                edited: None,
            },
        ),
        ("attempt-starting-rollback", starting(AttemptKind::Rollback)),
        ("attempt-ended-rolled-back", ended(How::Exited(0), Then::RolledBack)),
        ("attempt-ended-rollback-failed", ended(How::Exited(1), Then::RollbackFailed)),
        ("attempt-ended-rollback-at", ended(How::CutOff(CutOff::Timeout), Then::RollbackAt(AT))),
        ("rolling-back", Fact::RollingBack { outcome: Outcome::Failed, steps: vec![StepNo(0), STEP] }),
        (
            "rollback-asked",
            Fact::RollbackAsked { by: person(), reason: "the release is bad".to_owned(), past: vec![STEP] },
        ),
        ("rollback-abandoned", Fact::RollbackAbandoned { by: person(), reason: "by hand".to_owned() }),
        ("finished-rolled-back", Fact::Finished { outcome: Outcome::RolledBack }),
        ("resolved-skipped", resolved(Settlement::Skipped)),
        (
            "ending-cancel-past",
            Fact::Ending {
                cause: EndingCause::Cancel {
                    now: false,
                    by: person(),
                    reason: String::new(),
                    past: vec![StepNo(0), STEP],
                },
            },
        ),
        ("created-by-step", created_by_step()),
        ("child-starting", Fact::ChildStarting { step: STEP, child: CHILD, again: false }),
        ("child-starting-again", Fact::ChildStarting { step: STEP, child: CHILD, again: true }),
        ("child-ended-succeeded", child_ended(Outcome::Succeeded, Then::Succeeded)),
        ("child-ended-failed", child_ended(Outcome::Failed, Then::Failed)),
        ("child-ended-canceled", child_ended(Outcome::Canceled, Then::Canceled)),
        ("child-waits-still", Fact::ChildWaits { step: STEP, child: CHILD, waits: Waits::Still }),
        ("child-waits-attention", Fact::ChildWaits { step: STEP, child: CHILD, waits: Waits::Attention }),
        ("child-waits-no-longer", Fact::ChildWaits { step: STEP, child: CHILD, waits: Waits::No }),
        ("ending-deadlock", Fact::Ending { cause: EndingCause::Deadlock { message: "for lock a".to_owned() } }),
        (
            "finishing-with-outputs",
            Fact::Finishing {
                outcome: Outcome::Succeeded,
                outputs: [("bytes".to_owned(), json!(7))].into_iter().collect(),
                message: String::new(),
            },
        ),
        (
            "finishing-without-outputs",
            Fact::Finishing {
                outcome: Outcome::Failed,
                outputs: Default::default(),
                message: "the output bytes cannot be made".to_owned(),
            },
        ),
        ("created-dry", with_terms(Terms { dry: true, ..Terms::default() })),
        (
            "step-skipped-dry-run",
            Fact::StepSkipped { step: STEP, why: SkipReason::DryRun { would: "would run `rm x`".to_owned() } },
        ),
        (
            "created-selection",
            with_terms(Terms {
                selection: Selection {
                    wish: Wish {
                        skip: vec!["look".to_owned()],
                        only: vec!["dump".to_owned(), "ship".to_owned()],
                        from: vec!["dump".to_owned()],
                        until: vec!["ship".to_owned()],
                        outputs: vec![("look".to_owned(), "bytes".to_owned(), json!("7"))],
                    },
                    left_out: [StepNo(0), STEP].into(),
                    outputs: [(StepNo(0), [("bytes".to_owned(), json!(7))].into_iter().collect())].into(),
                },
                ..Terms::default()
            }),
        ),
        ("step-skipped-left-out", Fact::StepSkipped { step: STEP, why: SkipReason::LeftOut }),
        ("created-pause-before", with_terms(Terms { pause_before: [StepNo(0), STEP].into(), ..Terms::default() })),
        ("paused", Fact::Paused { before: None, by: person(), reason: "the disk is full".to_owned() }),
        ("paused-before", Fact::Paused { before: Some(STEP), by: Principal::engine(), reason: String::new() }),
        ("continued", Fact::Continued { by: person(), reason: "there is room".to_owned() }),
        ("created-slot", with_slot()),
        ("step-ready-locks", Fact::StepReady { step: STEP, locks: vec!["db/orders".to_owned(), "site".to_owned()] }),
        ("created-begin", with_terms(Terms { begin: Some(Begin { at: AT, after: None }), ..Terms::default() })),
        (
            "created-begin-after",
            with_terms(Terms { begin: Some(Begin { at: AT, after: Some(Span(7)) }), ..Terms::default() }),
        ),
        ("due", Fact::Due),
        ("created-for-items", created_for_items()),
        (
            "created-environment",
            with_terms(Terms {
                environment: Some("prod".to_owned()),
                sources: [
                    ("keep".to_owned(), InputSource::Environment),
                    ("region".to_owned(), InputSource::Variable),
                    ("source".to_owned(), InputSource::Like),
                ]
                .into(),
                ..Terms::default()
            }),
        ),
        ("created-target", with_terms(Terms { target: Some("postgres/orders".to_owned()), ..Terms::default() })),
        (
            "created-overridden",
            with_terms(Terms { overridden: Some("the site is down".to_owned()), ..Terms::default() }),
        ),
        ("created-by-hook", with_origin(Origin::Hook)),
        ("repeat-ended", Fact::RepeatEnded { step: STEP, message: String::new() }),
        ("repeat-ended-in-vain", Fact::RepeatEnded { step: STEP, message: "not after 3 iterations".to_owned() }),
        ("created-commit", Fact::Created(Box::new(Created { commit: Some("0123456789".repeat(4)), ..created() }))),
        (
            "resumed-edited",
            Fact::Resumed {
                epoch: 2,
                by: person(),
                reason: "mended".to_owned(),
                confirmed: Vec::new(),
                edited: Some(Edited {
                    definition: Digest::of(b"mended"),
                    again: vec![StepNo(0), STEP],
                    anew: vec![StepNo(5)],
                }),
            },
        ),
        ("attempt-ended-retry-after", retry_after()),
        (
            "created-asks",
            with_terms(Terms {
                asks: Some(Asks { until: Some(AT), destroys: vec!["db/orders".to_owned()] }),
                ..Terms::default()
            }),
        ),
        (
            "start-decided",
            Fact::StartDecided {
                approve: true,
                by: person(),
                reason: "the window is open".to_owned(),
                then: AfterVote::Succeeded,
            },
        ),
        ("child-rolling-back", Fact::ChildRollingBack { step: STEP, child: CHILD }),
        ("child-ended-leaves-something", child_left(Outcome::Succeeded, Left::Something, Then::Succeeded)),
        ("child-ended-rolled-back", child_left(Outcome::RolledBack, Left::Nothing, Then::RolledBack)),
        ("child-ended-rollback-failed", child_left(Outcome::Failed, Left::GivenUp, Then::RollbackFailed)),
        ("created-priority", with_terms(Terms { priority: Some(Priority::High), ..Terms::default() })),
        ("locks-released", Fact::LocksReleased { step: STEP, by: person(), reason: "nothing writes there".to_owned() }),
        (
            "withheld",
            Fact::Withheld { step: STEP, attempt: AttemptNo(2), inputs: vec!["password".to_owned(), "pin".to_owned()] },
        ),
        (
            "provided",
            Fact::Provided {
                inputs: vec!["password".to_owned()],
                by: person(),
                reason: "the daemon was new".to_owned(),
            },
        ),
    ];
    let event = |fact| Event { number: 17, at: AT, fact };
    facts.into_iter().map(|(name, fact)| (name, event(fact))).collect()
}

/// Names the kind of a fact: breaks the build where a kind is added, until `all` has it.
pub const fn kind(fact: &Fact) -> &'static str {
    match fact {
        Fact::Created(_) => "created",
        Fact::Admitted { .. } => "admitted",
        Fact::StepReady { .. } => "step-ready",
        Fact::StepSkipped { .. } => "step-skipped",
        Fact::StepFailed { .. } => "step-failed",
        Fact::WaitBegan { .. } => "wait-began",
        Fact::WaitEnded { .. } => "wait-ended",
        Fact::ApprovalAsked { .. } => "approval-asked",
        Fact::ApprovalGiven { .. } => "approval-given",
        Fact::ApprovalTimedOut { .. } => "approval-timed-out",
        Fact::StartDecided { .. } => "start-decided",
        Fact::AttemptStarting { .. } => "attempt-starting",
        Fact::AttemptEnded { .. } => "attempt-ended",
        Fact::Ending { .. } => "ending",
        Fact::ChildStarting { .. } => "child-starting",
        Fact::ChildEnded { .. } => "child-ended",
        Fact::ChildWaits { .. } => "child-waits",
        Fact::ChildRollingBack { .. } => "child-rolling-back",
        Fact::Finishing { .. } => "finishing",
        Fact::Finished { .. } => "finished",
        Fact::Resumed { .. } => "resumed",
        Fact::Resolved { .. } => "resolved",
        Fact::RepeatEnded { .. } => "repeat-ended",
        Fact::Paused { .. } => "paused",
        Fact::LocksReleased { .. } => "locks-released",
        Fact::Withheld { .. } => "withheld",
        Fact::Provided { .. } => "provided",
        Fact::Continued { .. } => "continued",
        Fact::Due => "due",
        Fact::DeadlinesShifted { .. } => "deadlines-shifted",
        Fact::RollingBack { .. } => "rolling-back",
        Fact::RollbackAsked { .. } => "rollback-asked",
        Fact::RollbackAbandoned { .. } => "rollback-abandoned",
    }
}
