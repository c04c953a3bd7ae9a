//! Where secrets come from, and how a run's secret inputs are kept over a restart. Values live in memory only; what
//! is on disk is sealed with the instance's key, in a file for the owner alone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use runbook_core::id::RunUid;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::files;
use crate::layout::Layout;

/// One secret, in bytes.
const SECRET_BYTES: u64 = 64 << 10;
/// The length of the key, in bytes.
const KEY_BYTES: usize = 32;
/// The length of XChaCha20's nonce, in bytes: long enough to be drawn at random.
const NONCE_BYTES: usize = 24;

/// Where one secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct SecretSource {
    /// A variable of the daemon's environment.
    #[serde(default)]
    pub env: Option<String>,
    /// A file that its owner alone can read; one end of line at its end is taken off.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

/// The secrets that the configuration declares.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    sources: BTreeMap<String, SecretSource>,
}

impl Secrets {
    /// The declared sources by name.
    pub fn new(sources: BTreeMap<String, SecretSource>) -> Self {
        Self { sources }
    }

    /// Reads a secret now.
    ///
    /// # Errors
    /// In words, without the value: it is not declared, not there, too open to others, or too large.
    pub fn read(&self, name: &str) -> Result<String, String> {
        let Some(source) = self.sources.get(name) else {
            return Err(format!(
                "the secret {name:?} is not declared; add it under `secrets:` in the daemon's configuration"
            ));
        };
        match (&source.env, &source.file) {
            (Some(variable), None) => std::env::var(variable).map_err(|_| {
                format!("the secret {name:?} is to come from the variable {variable}, which the daemon does not have")
            }),
            (None, Some(path)) => read_file(name, path),
            _ => Err(format!("the secret {name:?} must have either `env` or `file` in the daemon's configuration")),
        }
    }
}

fn read_file(name: &str, path: &Path) -> Result<String, String> {
    use std::os::unix::fs::PermissionsExt as _;
    let problem = |why: String| format!("the secret {name:?} cannot be read from {}: {why}", path.display());
    let meta = fs::metadata(path).map_err(|e| problem(e.to_string()))?;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(problem(format!("others may read it (mode {mode:o}); run: chmod 600 {}", path.display())));
    }
    let bytes = files::read_bounded(path, SECRET_BYTES).map_err(|e| problem(e.to_string()))?;
    let mut text = String::from_utf8(bytes).map_err(|_| problem("it is not UTF-8".into()))?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

/// Seals and unseals with the instance's key.
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    layout: Layout,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// Reads the instance's key, or makes one.
    ///
    /// # Errors
    /// The key cannot be read or made, or has the wrong length.
    pub fn open(layout: &Layout) -> io::Result<Self> {
        let path = layout.key();
        let key = match files::read_bounded(&path, KEY_BYTES as u64) {
            Ok(key) => key,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = random::<KEY_BYTES>()?.to_vec();
                files::write_durably(&path, &key, 0o600)?;
                key
            }
            Err(error) => return Err(error),
        };
        let cipher = XChaCha20Poly1305::new_from_slice(&key)
            .map_err(|_| io::Error::other(format!("{} is no key: it must have {KEY_BYTES} bytes", path.display())))?;
        Ok(Self { cipher, layout: layout.clone() })
    }

    /// Keeps a run's secret inputs, durably.
    ///
    /// # Errors
    /// They cannot be sealed or written.
    pub fn seal(&self, run: RunUid, inputs: &Map<String, Value>) -> io::Result<()> {
        let nonce = random::<NONCE_BYTES>()?;
        let clear = serde_json::to_vec(inputs)?;
        let aad = run.to_string();
        let payload = Payload { msg: &clear, aad: aad.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| io::Error::other("the inputs cannot be sealed"))?;
        let path = self.layout.sealed(run);
        if let Some(parent) = path.parent() {
            files::make_private_directory(parent)?;
        }
        files::write_durably(&path, &[&nonce[..], &sealed].concat(), 0o600)
    }

    /// A run's secret inputs.
    ///
    /// # Errors
    /// In words: they are gone, or were sealed with another key.
    pub fn unseal(&self, run: RunUid) -> Result<Map<String, Value>, String> {
        let limit = (runbook_core::limits::INPUTS * runbook_core::limits::INPUT_BYTES) as u64;
        let path = self.layout.sealed(run);
        let bytes = files::read_bounded(&path, limit)
            .map_err(|e| format!("the run's secret inputs cannot be read from {}: {e}", path.display()))?;
        let damaged = || format!("the run's secret inputs in {} were sealed with another key", path.display());
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(damaged)?;
        let aad = run.to_string();
        let payload = Payload { msg: sealed, aad: aad.as_bytes() };
        let clear = self.cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| damaged())?;
        serde_json::from_slice(&clear).map_err(|_| damaged())
    }

    /// Forgets a run's secret inputs.
    ///
    /// # Errors
    /// They cannot be removed.
    pub fn forget(&self, run: RunUid) -> io::Result<()> {
        match fs::remove_file(self.layout.sealed(run)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Bytes from the kernel's generator.
///
/// # Errors
/// The kernel has none, which only happens before it is seeded at boot.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes)
}
