//! Where secrets come from, and how a run's secret inputs, and what approvers filled in,
//! are kept over a restart. Values live in memory only; what
//! is on disk is sealed with the instance's key, in a file for the owner alone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use runbook_core::id::{Digest, RunUid, StepNo};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::files;
use crate::layout::Layout;

mod ephemeral;
mod fetch;
mod hidden;
mod source;

pub use ephemeral::Ephemeral;
pub use fetch::{Fetched, Fetcher};
pub use hidden::Hidden;
pub use source::Source;

/// One secret, in bytes.
const SECRET_BYTES: usize = 64 << 10;
/// The length of the key, in bytes.
const KEY_BYTES: usize = 32;
/// The length of XChaCha20's nonce, in bytes: long enough to be drawn at random.
const NONCE_BYTES: usize = 24;

/// A secret as the configuration declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// Where it comes from, where its environment says nothing else; `None` where there is none then.
    pub source: Option<Source>,
    /// Where it comes from in an environment.
    pub environments: BTreeMap<String, Source>,
    /// The runbooks that may have it; `None` for all.
    pub runbooks: Option<Vec<String>>,
    /// Whether it may have more than one line.
    pub multiline: bool,
}

impl Secret {
    /// Where it can come from.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.source.iter().chain(self.environments.values())
    }
}

/// What a secret is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Purpose<'a> {
    /// The runbook.
    pub runbook: &'a str,
    /// The environment of the run.
    pub environment: Option<&'a str>,
}

/// The secrets that the configuration declares.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    declared: BTreeMap<String, Secret>,
}

impl Secrets {
    /// The declared ones by name.
    pub fn new(declared: BTreeMap<String, Secret>) -> Self {
        Self { declared }
    }

    /// Where a secret comes from in an environment; `None` where it is not declared.
    pub fn source(&self, name: &str, environment: Option<&str>) -> Option<&Source> {
        let secret = self.declared.get(name)?;
        let own = environment.and_then(|environment| secret.environments.get(environment));
        own.or(secret.source.as_ref())
    }

    /// Reads a secret now.
    ///
    /// # Errors
    /// In words, without the value: it is not declared, or not for this purpose; it is not there, too open to others, empty,
    /// a placeholder or too large; or it has several lines and is not declared to.
    pub fn read(&self, name: &str, purpose: Purpose<'_>) -> Result<String, String> {
        let Some(secret) = self.declared.get(name) else {
            return Err(format!(
                "the secret {name:?} is not declared; add it under `secrets:` in the daemon's configuration"
            ));
        };
        if secret.runbooks.as_ref().is_some_and(|all| all.iter().all(|one| one != purpose.runbook)) {
            return Err(format!(
                "the secret {name:?} is not for the runbook {}; the daemon's configuration says for which, in \
                 secrets.{name}.runbooks",
                purpose.runbook
            ));
        }
        let Some(source) = self.source(name, purpose.environment) else {
            let there: Vec<&str> = secret.environments.keys().map(String::as_str).collect();
            let here =
                purpose.environment.map_or("no environment".to_owned(), |name| format!("the environment {name}"));
            return Err(format!(
                "the secret {name:?} is declared for the environments {} alone, and this is {here}",
                there.join(", ")
            ));
        };
        let value = source.read().map_err(|why| format!("the secret {name:?}: {why}"))?;
        if value.is_empty() {
            return Err(format!("the secret {name:?} is empty (from {})", source.kind()));
        }
        if is_placeholder(&value) {
            return Err(format!(
                "the secret {name:?} is still a placeholder (from {}): put its value there",
                source.kind()
            ));
        }
        if !secret.multiline && value.contains('\n') {
            return Err(format!(
                "the secret {name:?} has {} lines (from {}): take the superfluous end of line away, or, if it is meant to \
                 have several, as a key in PEM, say so: secrets.{name}.multiline: true",
                value.split('\n').count(),
                source.kind()
            ));
        }
        Ok(value)
    }
}

/// Whether somebody was to put a value here and has not: `CHANGEME`, `your-password-here`, `<the-password>`, `${PASSWORD}`.
fn is_placeholder(value: &str) -> bool {
    let word: String = value.chars().filter(|it| !matches!(it, '_' | '-' | ' ')).collect::<String>().to_lowercase();
    let said = ["changeme", "replaceme", "fillme", "fixme", "todo", "tbd", "placeholder"].contains(&word.as_str());
    let yours = word.starts_with("your") && word.ends_with("here");
    let crossed = word.len() >= CROSSED && word.bytes().all(|byte| byte == b'x');
    let within = |(open, close): (&str, &str)| {
        let inside = value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        inside.is_some_and(|inside| !inside.contains(['<', '>', '{', '}', '\n']))
    };
    said || yours || crossed || [("<", ">"), ("${", "}"), ("{{", "}}")].into_iter().any(within)
}

/// So many crosses stand for something.
const CROSSED: usize = 8;

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
        Digest::keyed(&self.key, text)
    }

    /// Keeps a run's secret inputs, durably.
    ///
    /// # Errors
    /// They cannot be sealed or written.
    pub fn seal(&self, run: RunUid, inputs: &Map<String, Value>) -> io::Result<()> {
        self.write(&self.layout.sealed(run), &run.to_string(), &serde_json::to_vec(inputs)?)
    }

    /// The name under which what an approver filled in is sealed: the same for the same value of the same field, and nobody
    /// without the instance's key can try out values.
    pub fn field_name(&self, run: RunUid, step: StepNo, field: &str, value: &Value) -> String {
        self.blind(serde_json::json!([run.to_string(), step.0, field, value]).to_string().as_bytes()).to_string()
    }

    /// Keeps what an approver filled in, durably, for a run at the top and all below it.
    ///
    /// # Errors
    /// It cannot be sealed or written.
    pub fn seal_field(&self, root: RunUid, name: &str, value: &Value) -> io::Result<()> {
        let path = self.layout.sealed_fields(root).join(name);
        self.write(&path, &field_aad(root, name), &serde_json::to_vec(value)?)
    }

    fn write(&self, path: &Path, aad: &str, clear: &[u8]) -> io::Result<()> {
        let nonce = random::<NONCE_BYTES>()?;
        let payload = Payload { msg: clear, aad: aad.as_bytes() };
        let sealed = self
            .cipher
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|_| io::Error::other("it cannot be sealed"))?;
        if let Some(parent) = path.parent() {
            files::make_private_directory(parent)?;
        }
        files::write_durably(path, &[&nonce[..], &sealed].concat(), 0o600)
    }

    /// A run's secret inputs.
    ///
    /// # Errors
    /// In words: they are gone, or were sealed with another key.
    pub fn unseal(&self, run: RunUid) -> Result<Map<String, Value>, String> {
        let limit = (runbook_core::limits::INPUTS * runbook_core::limits::INPUT_BYTES) as u64;
        self.read(&self.layout.sealed(run), &run.to_string(), limit, "the run's secret inputs")
    }

    /// What an approver filled in.
    ///
    /// # Errors
    /// In words: it is gone, or was sealed with another key.
    pub fn unseal_field(&self, root: RunUid, name: &str) -> Result<Value, String> {
        let path = self.layout.sealed_fields(root).join(name);
        let limit = 2 * runbook_core::limits::INPUT_BYTES as u64;
        self.read(&path, &field_aad(root, name), limit, "what an approver filled in")
    }

    fn read<T: DeserializeOwned>(&self, path: &Path, aad: &str, limit: u64, what: &str) -> Result<T, String> {
        let bytes = files::read_bounded(path, limit)
            .map_err(|e| format!("{what} cannot be read from {}: {e}", path.display()))?;
        let damaged = || format!("{what}, in {}, was sealed with another key", path.display());
        let (nonce, sealed) = bytes.split_at_checked(NONCE_BYTES).ok_or_else(damaged)?;
        let payload = Payload { msg: sealed, aad: aad.as_bytes() };
        let clear = self.cipher.decrypt(XNonce::from_slice(nonce), payload).map_err(|_| damaged())?;
        serde_json::from_slice(&clear).map_err(|_| damaged())
    }

    /// Forgets the secrets of all runs that do not need them, and what a crash left half-written; says how many.
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
            let run = run_of(&entry);
            let needed = run.map(&mut needs).transpose()?.unwrap_or(false);
            if !needed {
                match entry.file_type()?.is_dir() {
                    true => fs::remove_dir_all(entry.path())?,
                    false => fs::remove_file(entry.path())?,
                }
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// Forgets a run's secret inputs, and what approvers filled in.
    ///
    /// # Errors
    /// They cannot be removed.
    pub fn forget(&self, run: RunUid) -> io::Result<()> {
        remove(fs::remove_file(self.layout.sealed(run)))?;
        remove(fs::remove_dir_all(self.layout.sealed_fields(run)))
    }

    /// Forgets what an approver filled in.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn forget_field(&self, root: RunUid, name: &str) -> io::Result<()> {
        remove(fs::remove_file(self.layout.sealed_fields(root).join(name)))
    }
}

/// Binds a field to its place.
fn field_aad(root: RunUid, name: &str) -> String {
    format!("{root}.{name}")
}

/// The run at the top whose secret a file holds.
fn run_of(entry: &fs::DirEntry) -> Option<RunUid> {
    let name = entry.file_name();
    name.to_str()?.split('.').next()?.parse().ok()
}

/// What is not there is removed.
fn remove(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
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
    fn what_approvers_filled_in_goes_with_its_run() {
        let (_folder, sealer) = sealer();
        let (run, other) = (RunUid::from_bits(1), RunUid::from_bits(2));
        let value = Value::from("4711");
        let name = sealer.field_name(run, StepNo(3), "pin", &value);
        assert_eq!(name, sealer.field_name(run, StepNo(3), "pin", &value));
        assert_ne!(name, sealer.field_name(run, StepNo(3), "pin", &Value::from("4712")));
        assert_ne!(name, sealer.field_name(run, StepNo(4), "pin", &value));
        for root in [run, other] {
            sealer.seal_field(root, &name, &value).unwrap();
        }
        assert_eq!(sealer.unseal_field(run, &name), Ok(value));
        sealer.unseal_field(run, "another").unwrap_err();
        sealer.forget(run).unwrap();
        sealer.unseal_field(run, &name).unwrap_err();
        assert_eq!(sealer.sweep(|_| Ok(true)).unwrap(), 0);
        sealer.forget_field(other, &name).unwrap();
        sealer.unseal_field(other, &name).unwrap_err();
    }

    #[test]
    fn what_stands_for_a_value_is_none() {
        let all = [
            "CHANGEME",
            "change-me",
            "Replace_Me",
            "tbd",
            "placeholder",
            "your-password-here",
            "<pw>",
            "${PW}",
            "{{ pw }}",
        ];
        assert_eq!(all.iter().find(|value| !is_placeholder(value)), None);
        assert!(is_placeholder("xxxxxxxx") && is_placeholder("XXXX-XXXX-XXXX"));
        let values = ["hunter2", "exchange men", "xxx", "yours", "<a><b>", "${a}-${b}", "{\"a\": 1}"];
        assert_eq!(values.iter().find(|value| is_placeholder(value)), None);
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
    fn a_secret_is_for_those_that_may_have_it_and_has_one_line() {
        let printf = |text: &str| Source::Exec { argv: ["printf", text].map(str::to_owned).into(), folder: "/".into() };
        let secret = |text: &str, multiline| Secret {
            source: Some(printf(text)),
            environments: BTreeMap::from([("prod".to_owned(), printf("of prod"))]),
            runbooks: Some(vec!["backup".to_owned()]),
            multiline,
        };
        let secrets = Secrets::new(BTreeMap::from([
            ("one".to_owned(), secret("v\\n", false)),
            ("none".to_owned(), secret("\\n", false)),
            ("two".to_owned(), secret("v\\n\\n", false)),
            ("open".to_owned(), secret("change_me", false)),
            ("shape".to_owned(), secret("<your password>", false)),
            ("xml".to_owned(), secret("<a>b</a>", false)),
            ("key".to_owned(), secret("a\\nb\\n", true)),
            ("far".to_owned(), Secret { source: None, ..secret("", false) }),
        ]));
        let backup = Purpose { runbook: "backup", environment: Some("dev") };
        let prod = Purpose { environment: Some("prod"), ..backup };
        assert_eq!(secrets.read("one", backup).as_deref(), Ok("v"));
        assert_eq!(secrets.read("one", prod).as_deref(), Ok("of prod"));
        assert_eq!(secrets.read("far", prod).as_deref(), Ok("of prod"));
        assert_eq!(secrets.read("xml", backup).as_deref(), Ok("<a>b</a>"));
        assert_eq!(secrets.read("key", backup).as_deref(), Ok("a\nb"));
        for (name, purpose, problem) in [
            ("one", Purpose { runbook: "deploy", ..backup }, "is not for the runbook deploy"),
            ("none", backup, "is empty (from exec)"),
            ("two", backup, "has 2 lines (from exec)"),
            ("open", backup, "is still a placeholder (from exec)"),
            ("shape", backup, "is still a placeholder"),
            ("far", backup, "for the environments prod alone, and this is the environment dev"),
            ("other", backup, "`secrets:`"),
        ] {
            let told = secrets.read(name, purpose).unwrap_err();
            assert!(told.contains(problem), "{told}");
        }
    }
}
