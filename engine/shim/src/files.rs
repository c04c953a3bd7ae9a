//! The small files of an attempt as typed values: read, written, placed. Which of them may exist when is the protocol's
//! business, not this file's.

mod marks;
pub(crate) use spec::{check_names, check_variables};
mod spec;
mod verdict;

pub use marks::{Child, Claim, Holder, StopRequest};
pub use spec::{SPEC_MAX_BYTES, Spec, StopPolicy, StopSignal, StopTarget};
pub use verdict::{Artifact, Ending, Exit, LogCount, NotStarted, Outputs, Verdict};

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::envelope::{self, Damage};

/// Access for the owner alone.
pub const OWNER_ONLY: u32 = 0o600;

/// Most small files are shorter than this, in bytes, and so are read at once.
const USUAL_BYTES: usize = 4096;

/// What no file of ours begins with.
const SPOILED: [u8; 8] = [0; 8];

/// The format that is written, and the only one that is read so far.
pub const FORMAT: u32 = 1;

/// A value that lives in one small file.
pub trait SmallFile: Serialize + DeserializeOwned {
    /// The kind in the file's header.
    const KIND: &'static str;
    /// The file's name in the attempt's directory.
    const NAME: &'static str;
    /// A whole file is never longer than this, in bytes.
    const MAX_BYTES: u64;

    /// What in the value breaks a rule of its kind, although it has the right shape.
    ///
    /// # Errors
    /// A text that says what is wrong.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// A text that says what is wrong: the value breaks a rule, or the file would be too long.
    fn encode(&self) -> Result<Vec<u8>, String> {
        self.check()?;
        let mut body = serde_json::to_vec(self).map_err(|e| e.to_string())?;
        body.push(b'\n');
        let bytes = envelope::wrap(Self::KIND, FORMAT, &body);
        if bytes.len() as u64 > Self::MAX_BYTES {
            return Err(format!(
                "the {} file would have {} bytes, more than the {} that it may have",
                Self::KIND,
                bytes.len(),
                Self::MAX_BYTES
            ));
        }
        Ok(bytes)
    }

    /// The value of a whole file.
    ///
    /// # Errors
    /// Why the bytes are no whole file of this kind.
    fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let body = envelope::unwrap(Self::KIND, FORMAT, bytes)?;
        let value: Self = serde_json::from_slice(body).map_err(|e| Damage::Body(e.to_string()))?;
        value.check().map_err(Damage::Body)?;
        Ok(value)
    }
}

/// Reads the attempt's file of kind `T`. Absent and damaged are the same: `None`.
///
/// # Errors
/// The file is there and cannot be read.
pub fn load<T: SmallFile>(dir: &Path) -> io::Result<Option<T>> {
    Ok(inspect(dir)?.and_then(Result::ok))
}

/// As [`load`], but tells a damaged file from an absent one, for messages.
///
/// # Errors
/// The file is there and cannot be read.
pub fn inspect<T: SmallFile>(dir: &Path) -> io::Result<Option<Result<T, Damage>>> {
    match File::open(dir.join(T::NAME)) {
        Ok(file) => Ok(Some(read::<T>(&file)?)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Reads an open file of kind `T` from where it stands.
///
/// # Errors
/// The file cannot be read.
pub fn read<T: SmallFile>(file: &File) -> io::Result<Result<T, Damage>> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    file.take(T::MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(T::decode(&bytes))
}

/// Puts the attempt's file of kind `T` in its place by rename: readers see the old one, or the new one whole. It is not
/// synced. One writer at a time.
///
/// # Errors
/// The value breaks a rule of its kind (`InvalidInput`), or the file cannot be written.
pub fn place<T: SmallFile>(dir: &Path, value: &T) -> io::Result<()> {
    let bytes = value.encode().map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
    let new = dir.join(format!(".{}.new", T::NAME));
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(OWNER_ONLY).open(&new)?;
    overwrite(&file, &bytes)?;
    drop(file);
    fs::rename(&new, dir.join(T::NAME))
}

/// Gives a file this content. The room that it has on the disk is kept: a file that is truncated first gives it back, and
/// ext4 then writes the new content out at once when the file is closed. Whoever reads meanwhile sees something torn.
///
/// # Errors
/// It cannot be written.
pub fn overwrite(file: &File, bytes: &[u8]) -> io::Result<()> {
    file.write_all_at(bytes, 0)?;
    let length = bytes.len() as u64;
    if file.metadata()?.len() == length { Ok(()) } else { file.set_len(length) }
}

/// Spoils a small file so that it counts as absent, for as little as [`overwrite`] costs. One that is absent stays so.
///
/// # Errors
/// It cannot be opened or written.
pub fn spoil(path: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all_at(&SPOILED, 0)
}
