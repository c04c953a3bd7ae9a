//! A commit's record: the events of one batch as one message, and the walk over it that decodes only what is
//! asked for (a record may hold events of a thousand runs of which one is wanted). Never knows where it is kept.

use prost::Message as _;
use prost::encoding::{self, DecodeContext, WireType};
use runbook_core::id::RunUid;
use runbook_core::kept::Kept;
use runbook_core::run::Event;
use runbook_core::schedule::{Note, ScheduleName};
use runbook_proto::journal as disk;

use crate::from_disk::{self, Undecodable};
use crate::kept;
use crate::to_disk;

/// The field `events` of `Commit` and of `ColdEvents`, the field `lost_from` of `Commit`, and so on: the
/// numbers of the schema, as far as the walk needs them.
mod field {
    pub const COMMIT_EVENTS: u32 = 1;
    pub const COMMIT_LOST_FROM: u32 = 2;
    pub const RUN_EVENT_UID: u32 = 1;
    pub const RUN_EVENT_EVENT: u32 = 2;
    pub const COLD_UID: u32 = 1;
    pub const COLD_EVENTS: u32 = 2;
    pub const EVENT_NUMBER: u32 = 1;
}

/// The bytes of a commit with these events and notes, and what it changes of what is kept beside them.
///
/// # Errors
/// A value that JSON cannot hold.
pub fn commit(
    events: &[(RunUid, Event)],
    notes: &[(ScheduleName, Note)],
    kept: &[Kept],
) -> Result<Vec<u8>, serde_json::Error> {
    let events = events
        .iter()
        .map(|(uid, event)| {
            Ok(disk::RunEvent { run_uid: uid.bits().to_be_bytes().to_vec(), event: Some(to_disk::event(event)?) })
        })
        .collect::<Result<_, serde_json::Error>>()?;
    let notes = notes.iter().map(|(schedule, note)| to_disk::note(schedule, note)).collect();
    let kept = kept.iter().map(kept::to).collect();
    Ok(disk::Commit { events, lost_from: None, notes, kept }.encode_to_vec())
}

/// The bytes of a commit that says that those from `lost_from` to it are gone.
pub fn lost(lost_from: u64) -> Vec<u8> {
    disk::Commit { lost_from: Some(lost_from), ..Default::default() }.encode_to_vec()
}

/// An event that is not decoded yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawEvent<'a> {
    /// Its number.
    pub number: u64,
    /// Its stored bytes.
    pub bytes: &'a [u8],
}

impl RawEvent<'_> {
    /// The event.
    ///
    /// # Errors
    /// Anything that this program does not fully understand.
    pub fn decode(&self) -> Result<Event, Undecodable> {
        from_disk::event(self.bytes)
    }
}

/// What a walk over a commit meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// An event of a run.
    Event(RunUid, RawEvent<'a>),
    /// The commits from this one on are gone.
    LostFrom(u64),
}

/// One field of a message.
enum Field<'a> {
    Bytes(u32, &'a [u8]),
    Number(u32, u64),
}

/// Takes the next field that the walk can use off a message; others are passed over, as prost does.
fn next_field<'a>(rest: &mut &'a [u8]) -> Result<Option<Field<'a>>, Undecodable> {
    while !rest.is_empty() {
        let (tag, wire) = encoding::decode_key(rest)?;
        match wire {
            WireType::LengthDelimited => {
                let length = encoding::decode_varint(rest)?;
                let split = usize::try_from(length).ok().and_then(|at| rest.split_at_checked(at));
                let (bytes, after) = split.ok_or(Undecodable::Missing("the end of a field"))?;
                *rest = after;
                return Ok(Some(Field::Bytes(tag, bytes)));
            }
            WireType::Varint => {
                return Ok(Some(Field::Number(tag, encoding::decode_varint(rest)?)));
            }
            WireType::SixtyFourBit | WireType::ThirtyTwoBit | WireType::StartGroup | WireType::EndGroup => {
                encoding::skip_field(wire, tag, rest, DecodeContext::default())?;
            }
        }
    }
    Ok(None)
}

/// Finds the number of a stored event, without decoding the rest.
///
/// # Errors
/// The bytes are no event.
pub fn raw_event(bytes: &[u8]) -> Result<RawEvent<'_>, Undecodable> {
    let mut rest = bytes;
    while let Some(found) = next_field(&mut rest)? {
        if let Field::Number(field::EVENT_NUMBER, number) = found {
            return Ok(RawEvent { number, bytes });
        }
    }
    Err(Undecodable::Missing("event.number"))
}

fn run_event(mut rest: &[u8]) -> Result<Item<'_>, Undecodable> {
    let (mut uid, mut event) = (None, None);
    while let Some(found) = next_field(&mut rest)? {
        match found {
            Field::Bytes(field::RUN_EVENT_UID, bytes) => uid = Some(from_disk::run_uid(bytes)?),
            Field::Bytes(field::RUN_EVENT_EVENT, bytes) => event = Some(raw_event(bytes)?),
            Field::Bytes(..) | Field::Number(..) => {}
        }
    }
    let uid = uid.ok_or(Undecodable::Missing("run_event.run_uid"))?;
    Ok(Item::Event(uid, event.ok_or(Undecodable::Missing("run_event.event"))?))
}

/// Walks over a commit's bytes, in order.
///
/// # Errors
/// The bytes are no commit, or `visit` says so.
pub fn walk<'a, E: From<Undecodable>>(
    commit: &'a [u8],
    mut visit: impl FnMut(Item<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = commit;
    while let Some(found) = next_field(&mut rest)? {
        match found {
            Field::Bytes(field::COMMIT_EVENTS, bytes) => visit(run_event(bytes)?)?,
            Field::Number(field::COMMIT_LOST_FROM, from) => visit(Item::LostFrom(from))?,
            Field::Bytes(..) | Field::Number(..) => {}
        }
    }
    Ok(())
}

/// The bytes of a `ColdEvents` with these stored events, taken over as they are.
pub fn cold<'a>(uid: RunUid, events: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, field::COLD_UID, &uid.bits().to_be_bytes());
    for event in events {
        put_bytes(&mut bytes, field::COLD_EVENTS, event);
    }
    bytes
}

fn put_bytes(to: &mut Vec<u8>, tag: u32, bytes: &[u8]) {
    encoding::encode_key(tag, WireType::LengthDelimited, to);
    encoding::encode_varint(bytes.len() as u64, to);
    to.extend_from_slice(bytes);
}

/// Walks over the bytes of a `ColdEvents` that must be of this run, in order.
///
/// # Errors
/// The bytes are no `ColdEvents`, or of another run, or `visit` says so.
pub fn walk_cold<'a, E: From<Undecodable>>(
    uid: RunUid,
    bytes: &'a [u8],
    mut visit: impl FnMut(RawEvent<'a>) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = bytes;
    let mut is_of_the_run = false;
    while let Some(found) = next_field(&mut rest)? {
        match found {
            Field::Bytes(field::COLD_UID, bytes) => {
                is_of_the_run = from_disk::run_uid(bytes)? == uid;
            }
            Field::Bytes(field::COLD_EVENTS, bytes) => visit(raw_event(bytes)?)?,
            Field::Bytes(..) | Field::Number(..) => {}
        }
    }
    if is_of_the_run { Ok(()) } else { Err(Undecodable::Missing("cold_events.run_uid").into()) }
}

#[cfg(test)]
mod tests {
    use runbook_core::id::StepNo;
    use runbook_core::run::Fact;
    use runbook_core::time::Timestamp;

    use super::*;

    fn ready(number: u64) -> Event {
        Event { number, at: Timestamp(5), fact: Fact::StepReady { step: StepNo(7), locks: Vec::new() } }
    }

    #[test]
    fn the_walk_agrees_with_the_schema() {
        let events: Vec<_> = (1..4).map(|n| (RunUid::from_bits(u128::from(n) << 77), ready(n))).collect();
        let bytes = commit(&events, &[], &[]).unwrap();
        let mut walked = Vec::new();
        walk::<Undecodable>(&bytes, |item| {
            if let Item::Event(uid, raw) = item {
                assert_eq!(raw.number, raw.decode()?.number);
                walked.push((uid, raw.decode()?));
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(walked, events);

        let mut from = None;
        walk::<Undecodable>(&lost(9), |item| {
            if let Item::LostFrom(commit) = item {
                from = Some(commit);
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(from, Some(9));
    }

    #[test]
    fn cold_events_are_the_same_bytes_as_prost_would_write() {
        let uid = RunUid::from_bits(3);
        let stored: Vec<disk::Event> = (1..4).map(|n| to_disk::event(&ready(n)).unwrap()).collect();
        let raw: Vec<Vec<u8>> = stored.iter().map(prost::Message::encode_to_vec).collect();
        let bytes = cold(uid, raw.iter().map(Vec::as_slice));
        let by_prost = disk::ColdEvents { run_uid: uid.bits().to_be_bytes().to_vec(), events: stored };
        assert_eq!(bytes, by_prost.encode_to_vec());
        let mut numbers = Vec::new();
        walk_cold::<Undecodable>(uid, &bytes, |raw| {
            numbers.push(raw.number);
            Ok(())
        })
        .unwrap();
        assert_eq!(numbers, [1, 2, 3]);
        assert!(walk_cold::<Undecodable>(RunUid::from_bits(4), &bytes, |_| Ok(())).is_err());
    }

    #[test]
    fn a_field_that_ends_too_late_is_an_error() {
        let bytes = commit(&[(RunUid::from_bits(1), ready(1))], &[], &[]).unwrap();
        for length in 1..bytes.len() {
            assert!(walk::<Undecodable>(&bytes[..length], |_| Ok(())).is_err(), "{length}");
        }
    }
}
