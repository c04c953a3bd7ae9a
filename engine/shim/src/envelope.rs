//! The wrapping of every small file: one header line, then a body.
//!
//! ```text
//! runbook-<kind> <format> <length> <crc32>\n
//! <body, exactly length bytes>
//! ```
//!
//! A file that was torn, or holds anything else than what was written, is told apart from a whole one. This file never
//! knows what a body means.

use std::fmt;

/// Every header is shorter than this, in bytes.
pub const HEADER_MAX: usize = 96;

const MAGIC: &str = "runbook-";

/// Why a small file counts as absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// The header line is missing or not one of ours.
    Header,
    /// The file is of another kind.
    Kind {
        /// The kind that was found.
        found: String,
    },
    /// The file is written in a format that this program does not read.
    Format {
        /// The format's number that was found.
        found: u32,
    },
    /// The body has not the length that the header tells.
    Length {
        /// Bytes that the header tells.
        expected: usize,
        /// Bytes that are there.
        found: usize,
    },
    /// The body has not the checksum that the header tells.
    Checksum,
    /// The body is whole, but not what this kind holds.
    Body(String),
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Header => write!(f, "it has no `runbook-…` header line"),
            Damage::Kind { found } => write!(f, "it is a `{found}` file"),
            Damage::Format { found } => {
                write!(
                    f,
                    "it is written in format {found}, which this program does not read; use the version that wrote it"
                )
            }
            Damage::Length { expected, found } => write!(f, "its body has {found} bytes instead of {expected}"),
            Damage::Checksum => write!(f, "its checksum is wrong"),
            Damage::Body(why) => write!(f, "its content is wrong: {why}"),
        }
    }
}

impl std::error::Error for Damage {}

/// The whole file for `body`.
pub fn wrap(kind: &str, format: u32, body: &[u8]) -> Vec<u8> {
    let header = header(kind, format, body);
    let mut bytes = Vec::with_capacity(header.len() + body.len());
    bytes.extend_from_slice(header.as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The body of a whole file of this kind and format. The header is compared with the one that [`wrap`] would write, so
/// that there is only one spelling of a file.
///
/// # Errors
/// What is wrong with the bytes.
pub fn unwrap<'a>(kind: &str, format: u32, bytes: &'a [u8]) -> Result<&'a [u8], Damage> {
    let end = bytes.iter().take(HEADER_MAX).position(|&b| b == b'\n').ok_or(Damage::Header)?;
    let (line, body) = (&bytes[..end], &bytes[end + 1..]);
    let line = std::str::from_utf8(line).map_err(|_| Damage::Header)?;
    let mut words = line.strip_prefix(MAGIC).ok_or(Damage::Header)?.split(' ');
    let (Some(found_kind), Some(found_format), Some(length), Some(_crc), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Damage::Header);
    };
    if found_kind != kind {
        return Err(Damage::Kind { found: found_kind.to_owned() });
    }
    let found_format: u32 = found_format.parse().map_err(|_| Damage::Header)?;
    if found_format != format {
        return Err(Damage::Format { found: found_format });
    }
    let length: usize = length.parse().map_err(|_| Damage::Header)?;
    if length != body.len() {
        return Err(Damage::Length { expected: length, found: body.len() });
    }
    if header(kind, format, body).as_bytes() != &bytes[..=end] {
        return Err(Damage::Checksum);
    }
    Ok(body)
}

/// The CRC-32 of zip, gzip and PNG. A table does: the faster ways ask the processor what it can do, and in a virtual
/// machine that question takes longer than the sum of a small file.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| CRC_TABLE[usize::from((crc as u8) ^ byte)] ^ (crc >> 8))
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

fn header(kind: &str, format: u32, body: &[u8]) -> String {
    format!("{MAGIC}{kind} {format} {} {:08x}\n", body.len(), crc32(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn a_whole_file_is_read_and_any_cut_or_flipped_bit_is_noticed() {
        let whole = wrap("spec", 1, b"{\"a\":1}\n");
        assert_eq!(unwrap("spec", 1, &whole), Ok(&b"{\"a\":1}\n"[..]));
        for cut in 0..whole.len() {
            assert!(unwrap("spec", 1, &whole[..cut]).is_err(), "cut at {cut}");
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(unwrap("spec", 1, &flipped).is_err(), "bit {bit}");
        }
        let mut longer = whole.clone();
        longer.push(b' ');
        assert_eq!(unwrap("spec", 1, &longer), Err(Damage::Length { expected: 8, found: 9 }));
    }

    #[test]
    fn another_kind_and_another_format_are_told_apart() {
        let whole = wrap("stop", 2, b"{}");
        assert_eq!(unwrap("spec", 2, &whole), Err(Damage::Kind { found: "stop".to_owned() }));
        assert_eq!(unwrap("stop", 1, &whole), Err(Damage::Format { found: 2 }));
        assert_eq!(unwrap("stop", 1, b"anything\n"), Err(Damage::Header));
        assert_eq!(unwrap("stop", 1, &[b'x'; 200]), Err(Damage::Header));
    }
}
