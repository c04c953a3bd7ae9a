//! The envelope of every stored value: format, oldest reader, checksum. Never knows what is inside.
//!
//! The first eight bytes keep their meaning for ever, so that any reader can tell a newer format from damage.

/// The format that this program writes.
pub const FORMAT: u8 = 1;
/// The oldest reader that understands what this program writes.
pub const MIN_READER: u8 = 1;
/// The newest `min_reader` that this program understands.
pub const READER: u8 = 1;
/// The length of the header in bytes: format, min_reader, flags, zero, crc32 (little endian).
pub const HEADER_BYTES: usize = 8;

const FLAG_LAST: u8 = 1;

/// An opened envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The oldest reader that understands it.
    pub min_reader: u8,
    /// Whether no further chunk follows.
    pub last: bool,
    /// What is inside.
    pub payload: &'a [u8],
}

/// What is wrong with stored bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// There is not even a header.
    #[error("only {0} bytes are there, a header has {HEADER_BYTES}")]
    Short(usize),
    /// The bytes are not those that were written here.
    #[error("the checksum does not match")]
    Checksum,
    /// The bytes are whole, and from a newer program.
    #[error("it needs a reader of version {0} or newer, this program reads up to {READER}")]
    Newer(u8),
}

/// The checksum: over where it belongs, the header without the checksum, and the payload, so that a value in
/// the wrong place is found too.
fn checksum(place: &[u8], head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(place);
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}

/// Wraps a payload for its place (a key, or whatever names it).
pub fn seal(place: &[u8], min_reader: u8, last: bool, payload: &[u8]) -> Vec<u8> {
    let head = [FORMAT, min_reader, if last { FLAG_LAST } else { 0 }, 0];
    let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&head);
    bytes.extend_from_slice(&checksum(place, &head, payload).to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Opens what [`seal`] made for the same place.
///
/// # Errors
/// Short, damaged or newer bytes; see [`FrameError`].
pub fn open<'a>(place: &[u8], bytes: &'a [u8]) -> Result<Frame<'a>, FrameError> {
    let short = || FrameError::Short(bytes.len());
    let (head, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
    let (crc, payload) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    if checksum(place, head, payload) != u32::from_le_bytes(*crc) {
        return Err(FrameError::Checksum);
    }
    let [_, min_reader, flags, _] = *head;
    if min_reader > READER {
        return Err(FrameError::Newer(min_reader));
    }
    Ok(Frame { min_reader, last: flags & FLAG_LAST != 0, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_in_its_place_alone() {
        let bytes = seal(b"place", MIN_READER, true, b"payload");
        let frame = open(b"place", &bytes).unwrap();
        assert_eq!((frame.payload, frame.last, frame.min_reader), (&b"payload"[..], true, 1));
        assert_eq!(open(b"elsewhere", &bytes), Err(FrameError::Checksum));
        assert!(!open(b"p", &seal(b"p", 1, false, b"")).unwrap().last);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = seal(b"place", MIN_READER, false, b"some payload");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(b"place", &damaged), Err(FrameError::Checksum), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(open(b"place", &bytes[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_newer_record_is_told_from_a_damaged_one() {
        let bytes = seal(b"place", READER + 1, true, b"from the future");
        assert_eq!(open(b"place", &bytes), Err(FrameError::Newer(READER + 1)));
    }
}
