//! Where secrets come from, and how a run's secret inputs are kept over a restart. Values live in memory only; what
//! is on disk is sealed with the instance's key, in a file for the owner alone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use runbook_core::id::{Digest, RunUid};
use serde_json::{Map, Value};

use crate::files;
use crate::layout::Layout;

/// One secret, in bytes.
const SECRET_BYTES: u64 = 64 << 10;
/// The length of the key, in bytes.
const KEY_BYTES: usize = 32;
/// The block of SHA-256, which HMAC fills, in bytes.
const HMAC_BLOCK_BYTES: usize = 64;
/// The length of XChaCha20's nonce, in bytes: long enough to be drawn at random.
const NONCE_BYTES: usize = 24;

/// Where one secret comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretSource {
    /// A variable of the daemon's environment.
    pub env: Option<String>,
    /// A file that its owner alone can read; one end of line at its end is taken off.
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
    key: [u8; KEY_BYTES],
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
        let key: [u8; KEY_BYTES] = key
            .try_into()
            .map_err(|_| io::Error::other(format!("{} is no key: it must have {KEY_BYTES} bytes", path.display())))?;
        Ok(Self { cipher: XChaCha20Poly1305::new(&key.into()), key, layout: layout.clone() })
    }

    /// A hash that tells equal texts from others, and by which nobody without the instance's key can try out values:
    /// HMAC with SHA-256 (RFC 2104).
    pub fn blind(&self, text: &[u8]) -> Digest {
        let block = |pad: u8| {
            let mut block = [pad; HMAC_BLOCK_BYTES];
            block.iter_mut().zip(self.key).for_each(|(byte, key)| *byte ^= key);
            block
        };
        let inner = Digest::of(&[&block(0x36)[..], text].concat());
        Digest::of(&[&block(0x5c)[..], &inner.0[..]].concat())
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

    /// Forgets the secret inputs of all runs that do not need them, and what a crash left half-written; says how many.
    ///
    /// # Errors
    /// Those of `needs`, or a file cannot be removed.
    pub fn sweep(&self, mut needs: impl FnMut(RunUid) -> anyhow::Result<bool>) -> anyhow::Result<usize> {
        let entries = match fs::read_dir(self.layout.all_sealed()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let mut gone = 0;
        for entry in entries {
            let entry = entry?;
            let run: Option<RunUid> = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let needed = run.map(&mut needs).transpose()?.unwrap_or(false);
            if !needed {
                fs::remove_file(entry.path())?;
                gone += 1;
            }
        }
        Ok(gone)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> (tempfile::TempDir, Sealer) {
        let folder = tempfile::tempdir().unwrap();
        let sealer = Sealer::open(&Layout::new(folder.path().to_path_buf())).unwrap();
        (folder, sealer)
    }

    #[test]
    fn what_is_sealed_is_unsealed_for_its_run_alone() {
        let (folder, sealer) = sealer();
        let (run, other) = (RunUid::from_bits(1), RunUid::from_bits(2));
        let inputs = Map::from_iter([("pin".to_owned(), Value::from("4711"))]);
        sealer.seal(run, &inputs).unwrap();
        assert_eq!(sealer.unseal(run).unwrap(), inputs);
        let again = Sealer::open(&Layout::new(folder.path().to_path_buf())).unwrap();
        assert_eq!(again.unseal(run).unwrap(), inputs, "the key is kept");
        let place = |run: RunUid| sealer.layout.sealed(run);
        fs::copy(place(run), place(other)).unwrap();
        sealer.unseal(other).unwrap_err();
        assert_eq!(again.sweep(|run| Ok(run == other)).unwrap(), 1);
        assert!(!place(run).exists() && place(other).exists());
        again.forget(other).unwrap();
        again.forget(other).unwrap();
    }

    #[test]
    fn blind_hashes_are_hmacs() {
        let (_folder, mut sealer) = sealer();
        // RFC 4231, test case 2: a key with zeros behind it is the same key.
        sealer.key = [0; KEY_BYTES];
        sealer.key[..4].copy_from_slice(b"Jefe");
        assert_eq!(
            sealer.blind(b"what do ya want for nothing?").to_string(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn a_secret_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        fs::write(&path, "value\n\n").unwrap();
        let source = SecretSource { file: Some(path.clone()), env: None };
        let secrets = Secrets::new(BTreeMap::from([("s".to_owned(), source)]));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(secrets.read("s").unwrap_err().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(secrets.read("s").unwrap(), "value\n");
        fs::write(&path, vec![b'x'; SECRET_BYTES as usize + 1]).unwrap();
        assert!(secrets.read("s").unwrap_err().contains("the limit is 65536"));
        assert!(secrets.read("t").unwrap_err().contains("`secrets:`"));
    }
}
