//! Names and numbers by which things are known. Never knows what they name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The characters of a run uid: RFC 4648 base32, lower case, so that a uid is a valid DNS label.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The length of a run uid in characters.
pub const RUN_UID_LENGTH: usize = 26;

/// A run's name for the outside: 128 bits, time-ordered, 26 lower-case base32 characters.
///
/// The digits of RFC 4648 sort after its letters in the alphabet and before them in ASCII, so the order by
/// time is that of [`RunUid`]'s `Ord` (on the bits), not that of the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunUid(u128);

impl RunUid {
    /// Makes a uid from 128 bits, the highest 48 of which should be milliseconds since 1970 (UUIDv7, RFC 9562).
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The 128 bits.
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// The uid of a child run: of the time at which it is made, and else of its place below its parent alone, so that
    /// it needs no chance. `nth` counts the child runs of that step of the parent, `depth` the runs above. Of runs
    /// of one millisecond the deeper one comes later, so that in order of uids a parent comes before its children.
    pub fn of_child(parent: Self, step: StepNo, nth: u32, depth: u32, at: Timestamp) -> Self {
        let place = [&parent.0.to_be_bytes()[..], &step.0.to_be_bytes(), &nth.to_be_bytes()].concat();
        let Digest(hash) = Digest::of(&place);
        let mut low = [0; 16];
        // UUIDv7 has a 7 in the highest bits here.
        low[6] = 0x80 | u8::try_from(depth).unwrap_or(0x7f).min(0x7f);
        low[7..].copy_from_slice(&hash[..9]);
        let millis = u128::from((at.0 / 1_000).cast_unsigned()) & 0xffff_ffff_ffff;
        Self(millis << 80 | u128::from_be_bytes(low))
    }
}

impl fmt::Display for RunUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(RUN_UID_LENGTH);
        // 26 × 5 = 130 bits: the first character holds the highest three bits.
        for place in (0..RUN_UID_LENGTH).rev() {
            let index = (self.0 >> (place * 5)) & 31;
            text.push(char::from(BASE32[index as usize]));
        }
        f.pad(&text)
    }
}

impl fmt::Debug for RunUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A text that is no valid id of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a valid {kind}: {rule}")]
pub struct InvalidId {
    /// What was given.
    pub text: String,
    /// The kind of id that was wanted.
    pub kind: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
}

impl FromStr for RunUid {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId {
            text: text.chars().take(64).collect(),
            kind: "run uid",
            rule: "a uid has 26 characters of a-z and 2-7",
        };
        if text.len() != RUN_UID_LENGTH {
            return Err(invalid());
        }
        let mut bits: u128 = 0;
        for (place, byte) in text.bytes().enumerate() {
            let digit = BASE32.iter().position(|b| *b == byte).ok_or_else(invalid)?;
            if place == 0 && digit > 7 {
                return Err(invalid());
            }
            bits = (bits << 5) | digit as u128;
        }
        Ok(Self(bits))
    }
}

impl Serialize for RunUid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RunUid {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Says whether a text is an id of the language: `[a-z][a-z0-9_-]{0,62}`.
pub fn is_id(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= crate::limits::ID_LENGTH
        && bytes.next().is_some_and(|b| b.is_ascii_lowercase())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

/// The rule of [`is_id`] in words, for messages.
pub const ID_RULE: &str = "an id begins with a-z and has at most 63 characters of a-z, 0-9, _ and -";

/// A step's place in its definition: main steps in the order of the file, then the steps of `finally`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepNo(pub u32);

impl StepNo {
    /// As an index into the definition's steps.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The number of an attempt: from 1, one sequence per step over all epochs and over the step itself, its
/// `verify` and its `on_cancel`; never reused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptNo(pub u32);

/// The hash that names a stored object: sha256, in lower-case hex when shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// A digest that tells equal texts from others, and by which nobody without the key can try out values: HMAC with
    /// SHA-256 (RFC 2104).
    pub fn keyed(key: &[u8; 32], text: &[u8]) -> Self {
        let block = |pad: u8| {
            let mut block = [pad; HMAC_BLOCK_BYTES];
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            block
        };
        let inner = Self::of(&[&block(0x36)[..], text].concat());
        Self::of(&[&block(0x5c)[..], &inner.0[..]].concat())
    }
}

/// The block of SHA-256, in bytes.
const HMAC_BLOCK_BYTES: usize = 64;

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for Digest {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId {
            text: text.chars().take(80).collect(),
            kind: "digest",
            rule: "a digest has 64 characters of 0-9 and a-f",
        };
        let (bytes, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() || bytes.len() != 32 {
            return Err(invalid());
        }
        let mut digest = [0; 32];
        for (place, pair) in digest.iter_mut().zip(bytes) {
            let digit = |b: u8| match b {
                b'0'..=b'9' => Ok(b - b'0'),
                b'a'..=b'f' => Ok(b - b'a' + 10),
                _ => Err(invalid()),
            };
            *place = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(digest))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_reads_back_as_it_was_written() {
        for bits in [0, 1, u128::MAX, 0x0199_0000_0000_7000_8000_0000_0000_0001] {
            let uid = RunUid::from_bits(bits);
            let text = uid.to_string();
            assert_eq!(text.len(), RUN_UID_LENGTH);
            assert_eq!(text.parse::<RunUid>(), Ok(uid));
        }
        for wrong in ["", "a", "zaaaaaaaaaaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaaaaaaaaaa1"] {
            assert!(wrong.parse::<RunUid>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn ids_follow_their_rule() {
        for good in ["a", "pre-flight", "a_1"] {
            assert!(is_id(good), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", "A", "1a", "a b", "a/b", "-a", "ä", long.as_str()] {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
