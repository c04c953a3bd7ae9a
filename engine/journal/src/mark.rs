//! The mark: the number of a recent commit, kept outside the storage engine, so that a journal that was cut
//! short is noticed. Never knows what the commits hold.
//!
//! Two slots, in different disk blocks, are written in turn, so that a torn write leaves the other one. Nothing
//! is renamed: one write and one sync.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::error::{FileError, InFile as _};
use crate::frame;

/// The distance between the slots, in bytes: a block, so that no write touches both.
const SLOT_BYTES: u64 = 4096;
const SLOTS: u64 = 2;
/// A frame around the turn and the commit, both `u64`, little endian.
const FRAME_BYTES: usize = frame::HEADER_BYTES + 16;
const PLACE: &[u8] = b"mark";

/// The open file.
#[derive(Debug)]
pub struct Mark {
    file: File,
    path: PathBuf,
    turn: u64,
    commit: u64,
}

impl Mark {
    /// Opens the file, or makes it with the commit 0. A slot that is torn counts as absent.
    ///
    /// # Errors
    /// The file cannot be read or made.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .in_file("open", path)?;
        let mut mark = Self { file, path: path.to_owned(), turn: 0, commit: 0 };
        for slot in 0..SLOTS {
            if let Some((turn, commit)) = mark.read(slot)?
                && turn >= mark.turn
            {
                (mark.turn, mark.commit) = (turn, commit);
            }
        }
        if mark.turn == 0 {
            mark.set(0)?;
            path.parent().map_or(Ok(()), crate::directory::sync)?;
        }
        Ok(mark)
    }

    fn read(&self, slot: u64) -> Result<Option<(u64, u64)>, FileError> {
        let mut bytes = [0; FRAME_BYTES];
        match self.file.read_exact_at(&mut bytes, slot * SLOT_BYTES) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error).in_file("read", &self.path),
        }
        let Ok(frame) = frame::open(PLACE, &bytes) else { return Ok(None) };
        let numbers = frame.payload.split_first_chunk::<8>().and_then(|(turn, rest)| {
            let commit: [u8; 8] = rest.try_into().ok()?;
            Some((u64::from_le_bytes(*turn), u64::from_le_bytes(commit)))
        });
        Ok(numbers)
    }

    /// The commit that it holds.
    pub const fn commit(&self) -> u64 {
        self.commit
    }

    /// Sets it, durably.
    ///
    /// # Errors
    /// The file cannot be written or synced.
    pub fn set(&mut self, commit: u64) -> Result<(), FileError> {
        let turn = self.turn + 1;
        let mut payload = [0; 16];
        payload[..8].copy_from_slice(&turn.to_le_bytes());
        payload[8..].copy_from_slice(&commit.to_le_bytes());
        let bytes = frame::seal(PLACE, frame::MIN_READER, true, &payload);
        self.file
            .write_all_at(&bytes, (turn % SLOTS) * SLOT_BYTES)
            .and_then(|()| self.file.sync_data())
            .in_file("write", &self.path)?;
        (self.turn, self.commit) = (turn, commit);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_slot_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        let mut mark = Mark::open(&path).unwrap();
        assert_eq!(mark.commit(), 0);
        for commit in [1_024, 2_048, 3_072] {
            mark.set(commit).unwrap();
            assert_eq!(Mark::open(&path).unwrap().commit(), commit);
        }
        let torn = mark.turn % SLOTS * SLOT_BYTES;
        mark.file.write_all_at(&[0xff], torn + 3).unwrap();
        let mut mark = Mark::open(&path).unwrap();
        assert_eq!(mark.commit(), 2_048);
        mark.set(4_096).unwrap();
        assert_eq!(Mark::open(&path).unwrap().commit(), 4_096);
    }
}
