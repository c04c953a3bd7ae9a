//! What the command has left besides its exit: `out` and the declared artifacts, with their lengths and hashes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use runbook_shim::encodings::hex;
use runbook_shim::files::{Artifact, Outputs, Spec, StopRequest};
use runbook_shim::paths;
use runbook_shim::redact::Redactor;
use runbook_shim::secrets::wipe;
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::read_stop;
use super::system::Signals;

/// What is said of outputs with a secret in them.
const HOLDS_SECRET: &str = "the value of a secret is in it, in plain or encoded, and outputs are kept where everybody who \
    may see the run reads them; hand a secret on under `requires.secrets` instead";

/// So many bytes are hashed at a time.
const CHUNK: usize = 64 << 10;

/// What was left.
#[derive(Debug)]
pub struct Record {
    /// `out`.
    pub out: Outputs,
    /// The declared artifacts that are there, on the disk for good.
    pub artifacts: Vec<Artifact>,
    /// The request to stop that ended the hashing.
    pub stop: Option<StopRequest>,
    /// Artifacts that are not there, and why.
    pub problems: Vec<String>,
}

/// Why a file has no hash.
enum Unread {
    Absent,
    Other(String),
    Stopped(StopRequest),
}

/// Looks at `out`, and, if the command was not cut off, at its artifacts. A stop request in the meantime ends the
/// reading of artifacts, which may take long.
pub fn record(spec: &Spec, redactor: &Redactor, signals: &Signals, with_artifacts: bool) -> Record {
    let mut record = Record { out: outputs(spec, redactor), artifacts: Vec::new(), stop: None, problems: Vec::new() };
    if !with_artifacts || spec.artifacts.is_empty() {
        return record;
    }
    let mut dirs = BTreeSet::new();
    for name in &spec.artifacts {
        let path = Path::new(paths::ARTIFACTS).join(name);
        match artifact(name, &path, signals) {
            Ok(artifact) => {
                dirs.extend(path.ancestors().skip(1).filter(|dir| !dir.as_os_str().is_empty()).map(PathBuf::from));
                record.artifacts.push(artifact);
            }
            Err(Unread::Absent) => record.problems.push(format!("the artifact `{name}` is missing")),
            Err(Unread::Other(why)) => record.problems.push(format!("the artifact `{name}` cannot be kept: {why}")),
            Err(Unread::Stopped(stop)) => {
                record.problems.push(format!("the artifacts from `{name}` on were not read: a stop request came"));
                record.stop = Some(stop);
                break;
            }
        }
    }
    for dir in dirs {
        if let Err(e) = File::open(&dir).and_then(|dir| dir.sync_all()) {
            record.problems.push(format!("the directory {} could not be synced: {e}", dir.display()));
            record.artifacts.clear();
        }
    }
    record
}

fn outputs(spec: &Spec, redactor: &Redactor) -> Outputs {
    let (mut file, length) = match open_regular(Path::new(paths::OUT)) {
        Ok(opened) => opened,
        Err(Unread::Other(text)) => return Outputs::Unreadable { text },
        Err(Unread::Absent | Unread::Stopped(_)) => return Outputs::Absent,
    };
    if length > spec.output_cap_bytes {
        return Outputs::TooLong { length, cap: spec.output_cap_bytes };
    }
    if !redactor.is_empty() {
        let mut bytes = Vec::new();
        let read = file.by_ref().take(length).read_to_end(&mut bytes).and_then(|_| file.rewind());
        let held = redactor.is_in(&bytes);
        wipe(&mut bytes);
        if let Err(e) = read {
            return Outputs::Unreadable { text: e.to_string() };
        }
        if held {
            // Outputs are kept for everybody who may read runs. Hiding only the value would hand a wrong one on.
            let removed = fs::remove_file(paths::OUT)
                .map_or_else(|e| format!("; and it cannot be removed: {e}"), |()| String::new());
            return Outputs::Unreadable { text: format!("{HOLDS_SECRET}{removed}") };
        }
    }
    match hash(&file, length, || None) {
        Ok(sha256) => Outputs::Present { length, sha256 },
        Err(Unread::Other(text)) => Outputs::Unreadable { text },
        Err(Unread::Absent | Unread::Stopped(_)) => Outputs::Absent,
    }
}

fn artifact(name: &str, path: &Path, signals: &Signals) -> Result<Artifact, Unread> {
    let (file, length) = open_regular(path)?;
    file.sync_all().map_err(|e| Unread::Other(format!("it could not be synced: {e}")))?;
    let sha256 = hash(&file, length, || if signals.read().term { read_stop() } else { None })?;
    Ok(Artifact { name: name.to_owned(), length, sha256 })
}

/// Opens a regular file that is really there, not behind a link, and tells its length.
fn open_regular(path: &Path) -> Result<(File, u64), Unread> {
    // A pipe in its place must not make the shim wait for a writer.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS) {
        // A kernel before 5.6, or a sandbox: then links in the middle of the path are followed.
        Err(Errno::NOSYS | Errno::PERM) => openat(CWD, path, flags, Mode::empty()),
        opened => opened,
    };
    let file = match opened {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT) => return Err(Unread::Absent),
        Err(Errno::LOOP) => return Err(Unread::Other("it is a symbolic link, or lies behind one".to_owned())),
        Err(e) => return Err(Unread::Other(e.to_string())),
    };
    let metadata = file.metadata().map_err(|e| Unread::Other(e.to_string()))?;
    if !metadata.is_file() {
        return Err(Unread::Other("it is no regular file".to_owned()));
    }
    Ok((file, metadata.len()))
}

fn hash(file: &File, length: u64, mut stopped: impl FnMut() -> Option<StopRequest>) -> Result<String, Unread> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK.min(usize::try_from(length).unwrap_or(CHUNK)).max(1)];
    let mut found = 0;
    let mut file = file;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(&buffer[..read]);
                found += read as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Unread::Other(format!("it cannot be read: {e}"))),
        }
        if let Some(stop) = stopped() {
            return Err(Unread::Stopped(stop));
        }
    }
    if found != length {
        return Err(Unread::Other(format!(
            "it had {length} bytes and then {found}: somebody outside of the attempt is writing to it"
        )));
    }
    Ok(hex(&hasher.finalize(), false))
}
