//! What this program does not know is an error that names the field, never a default.

use prost::Message as _;
use runbook_core::id::RunUid;
use runbook_core::run::Event;
use runbook_proto::journal as disk;

use super::facts;
use crate::from_disk::{self, Undecodable};
use crate::to_disk;

fn stored(name: &str) -> disk::Event {
    let (_, event): (_, Event) = facts::all().into_iter().find(|(it, _)| *it == name).unwrap();
    to_disk::event(&event).unwrap()
}

fn decode(event: &disk::Event) -> Result<Event, Undecodable> {
    from_disk::event(&event.encode_to_vec())
}

/// Changes the stored form of a known event, which must then be refused with a message that has these words.
fn refused(name: &str, words: &str, change: impl FnOnce(&mut disk::event::Fact)) {
    let mut event = stored(name);
    change(event.fact.as_mut().unwrap());
    let error = decode(&event).unwrap_err().to_string();
    assert!(error.contains(words), "{name}: {error}");
}

macro_rules! change {
    ($name:literal, $words:literal, $kind:ident, $it:ident => $change:expr) => {
        refused($name, $words, |fact| {
            let disk::event::Fact::$kind($it) = fact else { panic!("{} is another kind", $name) };
            $change;
        })
    };
}

#[test]
fn a_fact_of_a_newer_kind_is_refused() {
    let mut event = stored("step-ready");
    event.fact = None;
    let mut bytes = event.encode_to_vec();
    assert!(from_disk::event(&bytes).unwrap_err().to_string().contains("event.fact"));
    // Field 4711, of the kind "length-delimited", empty: what a newer program might write.
    prost::encoding::encode_key(4711, prost::encoding::WireType::LengthDelimited, &mut bytes);
    bytes.push(0);
    assert!(from_disk::event(&bytes).unwrap_err().to_string().contains("event.fact"));
}

#[test]
fn newer_values_of_enums_are_refused() {
    change!("created", "`origin` has the value 99", Created, it => it.origin = 99);
    change!("created", "`origin` has the value 0", Created, it => it.origin = 0);
    change!("finished-failed", "`outcome` has the value 77", Finished, it => it.outcome = 77);
    change!("finishing", "`outcome` has the value 0", Finishing, it => it.outcome = 0);
    change!("attempt-starting-run", "kind` has the value 40", AttemptStarting, it => it.kind = 40);
    change!("resolved-retry", "settlement` has the value 9", Resolved, it => it.settlement = 9);
}

#[test]
fn missing_parts_are_refused() {
    change!("created", "`by`", Created, it => it.by = None);
    change!("created", "definition` has 3 bytes", Created, it => it.definition = vec![1, 2, 3]);
    change!("created", "request_digest", Created, it => it.request_digest.clear());
    change!("created", "inputs_json", Created, it => it.inputs_json = "[1]".to_owned());
    change!("created", "inputs_json", Created, it => it.inputs_json = "{\"a\":".to_owned());
    change!("step-skipped-need", "step_skipped.why", StepSkipped, it => it.why = None);
    change!("step-skipped-condition", "step_skipped.why", StepSkipped, it => {
        it.why = Some(disk::step_skipped::Why::Condition(false));
    });
    change!("attempt-ended-failed", "attempt_ended.how", AttemptEnded, it => it.how = None);
    change!("attempt-ended-failed", "attempt_ended.then", AttemptEnded, it => it.then = None);
    change!("attempt-ended-failed", "attempt_ended.how", AttemptEnded, it => {
        it.how = Some(disk::attempt_ended::How::CutOffTimeout(false));
    });
    change!("attempt-ended-failed", "attempt_ended.then", AttemptEnded, it => {
        it.then = Some(disk::attempt_ended::Then::Unknown(false));
    });
    change!("attempt-ended-failed", "artifact.digest", AttemptEnded, it => {
        it.artifacts[0].digest.clear();
    });
    change!("ending-timeout", "ending.cause", Ending, it => it.cause = None);
    change!("ending-cancel", "`by`", Ending, it => {
        let Some(disk::ending::Cause::Cancel(cancel)) = &mut it.cause else { panic!("no cancel") };
        cancel.by = None;
    });
    change!("resumed", "`by`", Resumed, it => it.by = None);
    change!("child-ended-rolled-back", "child_ended.then", ChildEnded, it => it.then = None);
    change!("child-rolling-back", "child_rolling_back.child_uid", ChildRollingBack, it => it.child_uid.clear());
}

#[test]
fn a_row_of_a_newer_program_is_refused() {
    let facts = facts::all();
    let runbook_core::run::Fact::Created(created) = &facts[0].1.fact else { panic!("not created") };
    let row = crate::row::RunRow::of(RunUid::from_bits(1), facts[0].1.at, created);
    let good = to_disk::row(&row);
    assert_eq!(from_disk::row(&good.encode_to_vec()).unwrap(), row);
    let finished = disk::RunRow { finished_at_micros: Some(1), outcome: 8, ..good.clone() };
    assert!(from_disk::row(&finished.encode_to_vec()).is_err());
    let short = disk::RunRow { run_uid: vec![1; 15], ..good };
    assert!(from_disk::row(&short.encode_to_vec()).is_err());
}
