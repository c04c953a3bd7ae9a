//! The secrets of an attempt, on their way from the daemon to the shim: JSON in an anonymous memory file that becomes
//! the shim's standard input. They never touch a disk, an argument or the shim's environment.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, memfd_create};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::files::{check_names, check_variables};

/// The format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;

/// All secrets of an attempt together are never longer than this, in bytes of JSON.
pub const MAX_BYTES: u64 = 8 << 20;

/// What an attempt may know and nobody else. Its text is wiped from memory when it is dropped.
#[derive(Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Variables for the command's environment; they go before those of the spec.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The command's standard input; goes before that of the spec.
    #[serde(default)]
    pub stdin: Option<String>,
    /// Files to write below `files/` before the start, by name; they go before those of the spec.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// Values that must never show in the log. The shim hides these alone: what is in `env`, `stdin` and `files` is
    /// hidden only if it is listed here.
    #[serde(default)]
    pub redact: Vec<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    #[serde(flatten)]
    secrets: &'a Secrets,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

impl Secrets {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.env.is_empty() && self.stdin.is_none() && self.files.is_empty() && self.redact.is_empty()
    }

    /// The JSON text.
    ///
    /// # Errors
    /// A text, without any secret, that says what is wrong: a name that cannot be used, or too much of it.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        self.check()?;
        let bytes = serde_json::to_vec(&Written { format: FORMAT, secrets: self })
            .map_err(|_| "it cannot be written as JSON".to_owned())?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!(
                "the secrets have {} bytes together, more than the {MAX_BYTES} that they may have",
                bytes.len()
            ));
        }
        Ok(bytes)
    }

    /// Reads what [`Secrets::encode`] wrote. No bytes at all are no secrets.
    ///
    /// # Errors
    /// A text, without any secret, that says what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Secrets, String> {
        if bytes.is_empty() {
            return Ok(Secrets::default());
        }
        // The parser's own message may quote the text, so only the place is told.
        let wrong = |e: serde_json::Error| format!("not the expected JSON at line {}, column {}", e.line(), e.column());
        let Format { format } = serde_json::from_slice(bytes).map_err(wrong)?;
        if format != FORMAT {
            return Err(format!("written in format {format}, but this program reads format {FORMAT} alone"));
        }
        let secrets: Secrets = serde_json::from_slice(bytes).map_err(wrong)?;
        secrets.check()?;
        Ok(secrets)
    }

    fn check(&self) -> Result<(), String> {
        check_variables(&self.env)?;
        check_names("files", self.files.keys())
    }

    /// An anonymous memory file with the JSON, sealed against change, standing at its beginning: to be the shim's
    /// standard input.
    ///
    /// # Errors
    /// A name cannot be used or there is too much (`InvalidInput`), or the system has no memory or descriptor left.
    pub fn into_memfd(self) -> io::Result<OwnedFd> {
        let mut bytes = self.encode().map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        let made = sealed_memfd("runbook-secrets", &bytes);
        wipe(&mut bytes);
        made
    }

    /// Reads the secrets from a memory file, wherever it stands. A descriptor without content, such as `/dev/null`,
    /// holds none.
    ///
    /// # Errors
    /// It cannot be read, or holds something else (`InvalidData`).
    pub fn read_from(fd: impl AsFd) -> io::Result<Secrets> {
        let fd = fd.as_fd();
        let size = u64::try_from(fstat(fd)?.st_size).unwrap_or(0);
        if size == 0 {
            return Ok(Secrets::default());
        }
        if size > MAX_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{size} bytes, more than the {MAX_BYTES} that secrets may have"),
            ));
        }
        let mut bytes = vec![0; usize::try_from(size).map_err(io::Error::other)?];
        File::from(fd.try_clone_to_owned()?).read_exact_at(&mut bytes, 0)?;
        let secrets = Secrets::decode(&bytes).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why));
        wipe(&mut bytes);
        secrets
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        for value in self.env.values_mut().chain(self.files.values_mut()).chain(&mut self.redact).chain(&mut self.stdin)
        {
            wipe_text(value);
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({} variables, {} files, {} to hide)", self.env.len(), self.files.len(), self.redact.len())
    }
}

/// An anonymous memory file with these bytes, sealed against change, standing at its beginning, closed on exec.
///
/// # Errors
/// The system has no memory or descriptor left.
pub fn sealed_memfd(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Kernels before 6.3 do not know the flag.
        Err(Errno::INVAL) => memfd_create(name, flags)?,
        made => made?,
    };
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    file.rewind()?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file.into())
}

/// Overwrites bytes that nobody may find in memory later.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    // Without a reader the compiler may leave the writes out.
    std::hint::black_box(bytes);
}

/// As [`wipe`], for text, which is empty afterwards.
pub fn wipe_text(text: &mut String) {
    wipe(&mut std::mem::take(text).into_bytes());
}
