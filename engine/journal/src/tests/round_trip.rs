//! Whatever the core can say comes back as it was said.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use prost::Message as _;
use runbook_core::definition::{InputSource, Priority, Settlement};
use runbook_core::id::{AttemptNo, Digest, RunUid, StepNo};
use runbook_core::run::{
    Artifact, Asks, AttemptEnd, AttemptKind, Begin, Created, CutOff, Edited, EndingCause, Event, Fact, How, Left,
    NotStarted, Origin, Outcome, Parent, Principal, SkipReason, Terms, Then, Waits,
};
use runbook_core::selection::{Selection, Wish};
use runbook_core::time::{Span, Timestamp};
use serde_json::Value;

use crate::from_disk::{self, Undecodable};
use crate::row::RunRow;
use crate::{record, to_disk};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), any::<String>(), "[ -~]{0,200}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no such number", |f| f.is_finite()).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((text(), inner), 0..6).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn pairs() -> impl Strategy<Value = Vec<(String, Value)>> {
    vec((text(), value()), 0..5)
}

fn step() -> impl Strategy<Value = StepNo> {
    any::<u32>().prop_map(StepNo)
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_map(Timestamp)
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn principal() -> impl Strategy<Value = Principal> {
    (text(), option::of(any::<u32>())).prop_map(|(name, uid)| Principal { name, uid })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec![Outcome::Succeeded, Outcome::Failed, Outcome::Canceled, Outcome::RolledBack])
}

fn selection() -> impl Strategy<Value = Selection> {
    let ids = || vec(text(), 0..3);
    let wish = (ids(), ids(), ids(), ids(), vec((text(), text(), value()), 0..3));
    (wish, vec(step(), 0..4), vec((step(), pairs()), 0..3)).prop_map(|(wish, left_out, outputs)| Selection {
        wish: Wish { skip: wish.0, only: wish.1, from: wish.2, until: wish.3, outputs: wish.4 },
        left_out: left_out.into_iter().collect(),
        outputs: outputs.into_iter().map(|(step, pairs)| (step, pairs.into_iter().collect())).collect(),
    })
}

fn terms() -> impl Strategy<Value = Terms> {
    let begin = (time(), option::of(any::<i64>().prop_map(Span))).prop_map(|(at, after)| Begin { at, after });
    let said = (vec(text(), 0..3), any::<bool>(), option::of(selection()), vec(step(), 0..3), option::of(begin));
    let source = || prop::sample::select(vec![InputSource::Variable, InputSource::Like, InputSource::Environment]);
    let asks = (option::of(time()), vec(text(), 0..3)).prop_map(|(until, destroys)| Asks { until, destroys });
    let place =
        (option::of(text()), vec((text(), source()), 0..3), option::of(text()), option::of(text()), option::of(asks));
    let priority = option::of(prop::sample::select(Priority::ALL.to_vec()));
    (said, place, priority).prop_map(|(said, (environment, sources, overridden, target, asks), priority)| {
        let (confirmed, dry, selection, pause_before, begin) = said;
        Terms {
            confirmed,
            dry,
            selection: selection.unwrap_or_default(),
            pause_before: pause_before.into_iter().collect(),
            begin,
            environment,
            overridden,
            target,
            asks,
            priority,
            sources: sources.into_iter().collect(),
        }
    })
}

fn created() -> impl Strategy<Value = Created> {
    let names = (any::<u64>(), text(), digest(), pairs(), vec(text(), 0..4));
    let holds = (
        option::of(text()),
        vec(text(), 0..4),
        prop::sample::select(vec![Origin::Person, Origin::Api, Origin::Schedule, Origin::Hook]),
        principal(),
    );
    (names, holds, (text(), text(), digest(), terms(), option::of(parent()), option::of(text()))).prop_map(
        |(names, holds, asked)| Created {
            number: names.0,
            runbook: names.1,
            definition: names.2,
            inputs: names.3.into_iter().collect(),
            sealed_inputs: names.4,
            group: holds.0,
            locks: holds.1,
            origin: holds.2,
            by: holds.3,
            reason: asked.0,
            request_id: asked.1,
            request_digest: asked.2,
            terms: asked.3,
            parent: asked.4,
            slot: None,
            items: Vec::new(),
            commit: asked.5,
        },
    )
}

fn uid() -> impl Strategy<Value = RunUid> {
    any::<u128>().prop_map(RunUid::from_bits)
}

fn parent() -> impl Strategy<Value = Parent> {
    (uid(), uid(), step(), any::<u32>(), any::<bool>()).prop_map(|(root, run, step, depth, tidies)| Parent {
        root,
        run,
        step,
        depth,
        tidies,
    })
}

fn child() -> impl Strategy<Value = Fact> {
    let then = vec![Then::Succeeded, Then::Failed, Then::Canceled, Then::RolledBack, Then::RollbackFailed];
    let then = prop::sample::select(then);
    let left = prop::sample::select(vec![Left::Nothing, Left::Something, Left::GivenUp]);
    prop_oneof![
        (step(), uid()).prop_map(|(step, child)| Fact::ChildRollingBack { step, child }),
        (step(), uid(), any::<bool>()).prop_map(|(step, child, again)| Fact::ChildStarting { step, child, again }),
        (step(), uid(), prop_oneof![Just(Waits::No), Just(Waits::Still), Just(Waits::Attention)])
            .prop_map(|(step, child, waits)| Fact::ChildWaits { step, child, waits }),
        (step(), uid(), outcome(), pairs(), text(), left, then).prop_map(
            |(step, child, outcome, outputs, message, left, then)| {
                let outputs = outputs.into_iter().collect();
                Fact::ChildEnded { step, child, outcome, outputs, message, left, then }
            }
        ),
    ]
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        Just(How::NotStarted(NotStarted::Canceled)),
        any::<i32>().prop_map(|errno| How::NotStarted(NotStarted::Errno(errno))),
        Just(How::NotStarted(NotStarted::Fenced)),
        any::<i32>().prop_map(How::Exited),
        Just(How::CutOff(CutOff::Timeout)),
        Just(How::CutOff(CutOff::Stopped)),
        any::<i32>().prop_map(|signal| How::CutOff(CutOff::Signal(signal))),
        any::<i32>().prop_map(|code| How::CutOff(CutOff::UnknownExit(code))),
        any::<bool>().prop_map(|processes_left| How::Lost { processes_left }),
    ]
}

fn then() -> impl Strategy<Value = Then> {
    prop_oneof![
        Just(Then::Succeeded),
        Just(Then::Failed),
        Just(Then::Canceled),
        time().prop_map(Then::RetryAt),
        time().prop_map(Then::VerifyAt),
        time().prop_map(Then::OnCancelAt),
        Just(Then::Unknown),
        Just(Then::RolledBack),
        Just(Then::RollbackFailed),
        time().prop_map(Then::RollbackAt),
    ]
}

fn artifact() -> impl Strategy<Value = Artifact> {
    (text(), any::<u64>(), digest()).prop_map(|(name, length, digest)| Artifact { name, length, digest })
}

fn attempt_end() -> impl Strategy<Value = AttemptEnd> {
    let left = (how(), text(), pairs(), vec(artifact(), 0..4));
    let times = (option::of(time()), option::of(time()));
    (left, times, any::<[u64; 4]>()).prop_map(|(left, times, counts)| AttemptEnd {
        how: left.0,
        message: left.1,
        outputs: left.2.into_iter().collect(),
        artifacts: left.3,
        started_at: times.0,
        ended_at: times.1,
        cpu_micros: counts[0],
        max_rss_kib: counts[1],
        log_lines: counts[2],
        log_dropped: counts[3],
        retry_after: (counts[3] % 2 == 1).then_some(Span::seconds(30)),
    })
}

fn cause() -> impl Strategy<Value = EndingCause> {
    prop_oneof![
        step().prop_map(EndingCause::FailureStop),
        step().prop_map(EndingCause::FailureCancel),
        Just(EndingCause::Timeout),
        (any::<bool>(), principal(), text(), vec(step(), 0..4))
            .prop_map(|(now, by, reason, past)| EndingCause::Cancel { now, by, reason, past }),
        text().prop_map(|message| EndingCause::Deadlock { message }),
    ]
}

fn settlement() -> impl Strategy<Value = Settlement> {
    prop::sample::select(vec![Settlement::Succeeded, Settlement::Failed, Settlement::Retry, Settlement::Skipped])
}

fn kind() -> impl Strategy<Value = AttemptKind> {
    prop::sample::select(vec![AttemptKind::Run, AttemptKind::Verify, AttemptKind::OnCancel, AttemptKind::Rollback])
}

fn attempt() -> impl Strategy<Value = AttemptNo> {
    any::<u32>().prop_map(AttemptNo)
}

fn why() -> impl Strategy<Value = SkipReason> {
    prop_oneof![Just(SkipReason::Condition), Just(SkipReason::NothingToUndo), step().prop_map(SkipReason::Need)]
}

fn fact() -> impl Strategy<Value = Fact> {
    prop_oneof![
        created().prop_map(|it| Fact::Created(Box::new(it))),
        option::of(time()).prop_map(|deadline| Fact::Admitted { deadline }),
        (step(), prop::collection::vec(text(), 0..3)).prop_map(|(step, locks)| Fact::StepReady { step, locks }),
        (step(), why()).prop_map(|(step, why)| Fact::StepSkipped { step, why }),
        (step(), text()).prop_map(|(step, message)| Fact::StepFailed { step, message }),
        (step(), attempt(), kind(), text())
            .prop_map(|(step, attempt, kind, boot)| { Fact::AttemptStarting { step, attempt, kind, boot } }),
        (step(), attempt(), attempt_end(), then())
            .prop_map(|(step, attempt, end, then)| { Fact::AttemptEnded { step, attempt, end: Box::new(end), then } }),
        cause().prop_map(|cause| Fact::Ending { cause }),
        (outcome(), vec(step(), 0..4)).prop_map(|(outcome, steps)| Fact::RollingBack { outcome, steps }),
        (principal(), text(), vec(step(), 0..4)).prop_map(|(by, reason, past)| Fact::RollbackAsked {
            by,
            reason,
            past
        }),
        (principal(), text()).prop_map(|(by, reason)| Fact::RollbackAbandoned { by, reason }),
        child(),
        (outcome(), pairs(), text()).prop_map(|(outcome, outputs, message)| {
            Fact::Finishing { outcome, outputs: outputs.into_iter().collect(), message }
        }),
        outcome().prop_map(|outcome| Fact::Finished { outcome }),
        (
            any::<u32>(),
            principal(),
            text(),
            vec(text(), 0..3),
            option::of((digest(), vec(step(), 0..3), vec(step(), 0..3)))
        )
            .prop_map(|(epoch, by, reason, confirmed, edited)| {
                let edited = edited.map(|(definition, again, anew)| Edited { definition, again, anew });
                Fact::Resumed { epoch, by, reason, confirmed, edited }
            },),
        (step(), settlement(), pairs(), principal(), text()).prop_map(|(step, settlement, outputs, by, reason)| {
            Fact::Resolved { step, settlement, outputs: outputs.into_iter().collect(), by, reason }
        }),
        (option::of(step()), principal(), text()).prop_map(|(before, by, reason)| Fact::Paused { before, by, reason }),
        (principal(), text()).prop_map(|(by, reason)| Fact::Continued { by, reason }),
        (step(), principal(), text()).prop_map(|(step, by, reason)| Fact::LocksReleased { step, by, reason }),
        (step(), any::<u32>(), vec(text(), 0..3)).prop_map(|(step, attempt, inputs)| Fact::Withheld {
            step,
            attempt: AttemptNo(attempt),
            inputs
        }),
        (vec(text(), 0..3), principal(), text()).prop_map(|(inputs, by, reason)| Fact::Provided { inputs, by, reason }),
        Just(Fact::Due),
        any::<i64>().prop_map(|by| Fact::DeadlinesShifted { by: Span(by) }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    (1..=u64::MAX, time(), fact()).prop_map(|(number, at, fact)| Event { number, at, fact })
}

/// Equal, and equal in the order of maps too, which their `==` passes over.
fn assert_same<T: PartialEq + Debug>(left: &T, right: &T) {
    assert_eq!(left, right);
    assert_eq!(format!("{left:?}"), format!("{right:?}"));
}

proptest! {
    #[test]
    fn every_event_comes_back(events in vec((any::<u128>().prop_map(RunUid::from_bits), event()), 1..8)) {
        let bytes = record::commit(&events, &[], &[]).unwrap();
        let mut read = Vec::new();
        record::walk::<Undecodable>(&bytes, |item| {
            if let record::Item::Event(uid, raw) = item {
                read.push((uid, raw.decode()?));
            }
            Ok(())
        })
        .unwrap();
        assert_same(&read, &events);
    }

    #[test]
    fn every_row_comes_back(
        uid in any::<u128>(),
        at in time(),
        created in created(),
        later in vec(event(), 0..6),
    ) {
        let mut row = RunRow::of(RunUid::from_bits(uid), at, &created);
        for event in later {
            row.take_in(&event);
        }
        let bytes = to_disk::row(&row).encode_to_vec();
        assert_same(&from_disk::row(&bytes).unwrap(), &row);
    }

    /// Bytes of anybody are an error or an event, never a panic.
    #[test]
    fn no_bytes_are_fatal(mut bytes in vec(any::<u8>(), 0..200), event in event(), at in any::<usize>()) {
        let _ = from_disk::event(&bytes);
        let _ = from_disk::row(&bytes);
        let _ = record::walk::<Undecodable>(&bytes, |_| Ok(()));
        bytes = record::commit(&[(RunUid::from_bits(1), event)], &[], &[]).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 0x11;
        let _ = record::walk::<Undecodable>(&bytes, |item| {
            if let record::Item::Event(_, raw) = item {
                raw.decode()?;
            }
            Ok(())
        });
    }
}
