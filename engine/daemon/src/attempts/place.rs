//! Placing an attempt's directory and spawning its shim. Never waits for anything.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use runbook_actions::{Order, Prepared};
use runbook_core::definition::{StopSignal, StopTo};
use runbook_core::id::Digest;
use runbook_core::limits;
use runbook_core::machine::AttemptRef;
use runbook_shim::files::{self as shim_files, Spec, StopPolicy, StopTarget};
use runbook_shim::lock;
use runbook_shim::secrets::Secrets;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::spare::Spares;
use super::{LOG_BYTES, Shared};
use crate::files;
use crate::layout::Layout;

/// How long output may go on coming after the command ended, in milliseconds.
const DRAIN_MILLIS: u64 = 2_000;

/// An attempt to start.
#[derive(Debug)]
pub struct StartOrder {
    /// The attempt.
    pub attempt: AttemptRef,
    /// The step's id, for people who read the files.
    pub step: String,
    /// What to start.
    pub order: Order,
}

/// An attempt to start under a shim.
#[derive(Debug)]
pub(super) struct ShimOrder {
    pub attempt: AttemptRef,
    pub step: String,
    pub prepared: Prepared,
}

/// The program that attempts run under: a copy in the data directory, so that an upgrade cannot swap it.
#[derive(Debug, Clone)]
pub struct ShimCopy {
    path: PathBuf,
}

impl ShimCopy {
    /// Copies the shim into the data directory, once per content.
    ///
    /// # Errors
    /// The shim is missing beside the daemon, or the copy cannot be made.
    pub fn make(shim: &Path, layout: &Layout) -> io::Result<Self> {
        let bytes = fs::read(shim).map_err(|error| {
            io::Error::new(error.kind(), format!("the program {} cannot be read: {error}", shim.display()))
        })?;
        let path = layout.shim(Digest::of(&bytes));
        if !path.exists() {
            if let Some(parent) = path.parent() {
                files::make_private_directory(parent)?;
            }
            // Its owner may write it until it is whole, so that a start that was killed in the middle can be repeated.
            files::write_durably(&path, &bytes, 0o700)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o500))?;
        }
        Ok(Self { path })
    }
}

/// A shim that was spawned.
#[derive(Debug)]
pub(super) struct Spawned {
    pub pidfd: OwnedFd,
}

/// Writes the attempt's directory and spawns its shim.
pub(super) fn spawn(order: &ShimOrder, shared: &Shared) -> io::Result<Spawned> {
    let directory = shared.layout.attempt(order.attempt);
    if !use_spare(&directory, &shared.spares) {
        make_directory(&directory)?;
        lock::create(&directory)?;
    }
    let (spec, secrets) = split(order, &shared.boot);
    shim_files::place(&directory, &spec)?;
    let stdin = if secrets.is_empty() { Stdio::null() } else { Stdio::from(secrets.into_memfd()?) };
    let child = Command::new(&shared.shim.path)
        .arg(&directory)
        .env_clear()
        .current_dir("/")
        .stdin(stdin)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    // Nobody else reaps it, so the pid is still its own here.
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::other("no pid"))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    Ok(Spawned { pidfd })
}

/// Puts a spare directory in place. Where there is none, or something is there already, says no.
fn use_spare(directory: &Path, spares: &Spares) -> bool {
    match spares.take(directory) {
        Ok(taken) => taken,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let run = directory.parent().unwrap_or(directory);
            files::make_private_directory(run).is_ok() && spares.take(directory).unwrap_or(false)
        }
        Err(_) => false,
    }
}

fn make_directory(directory: &Path) -> io::Result<()> {
    let make = || fs::DirBuilder::new().mode(0o700).create(directory);
    match make() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(run) = directory.parent() {
                files::make_private_directory(run)?;
            }
            make()
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// What may lie on the disk, and what may not.
fn split(order: &ShimOrder, boot: &str) -> (Spec, Secrets) {
    let prepared = &order.prepared;
    let mut secrets = Secrets::default();
    secrets.redact.clone_from(&prepared.redact);
    let mut env = std::collections::BTreeMap::new();
    for (name, given) in &prepared.env {
        let place = if given.secret { &mut secrets.env } else { &mut env };
        place.insert(name.clone(), given.text.clone());
    }
    let mut files = std::collections::BTreeMap::new();
    for (name, given) in &prepared.files {
        let place = if given.secret { &mut secrets.files } else { &mut files };
        place.insert(name.clone(), given.text.clone());
    }
    let mut stdin = None;
    if let Some(given) = &prepared.stdin {
        let place = if given.secret { &mut secrets.stdin } else { &mut stdin };
        *place = Some(given.text.clone());
    }
    let stop = &prepared.stop;
    let millis = |span: runbook_core::time::Span| u64::try_from(span.as_millis()).unwrap_or(0);
    let spec = Spec {
        boot_id: boot.to_owned(),
        run_uid: order.attempt.run.to_string(),
        step: order.step.clone(),
        attempt: order.attempt.attempt.0,
        attempt_id: prepared.attempt_id.clone(),
        argv: prepared.argv.clone(),
        env,
        working_dir: prepared.working_dir.to_string_lossy().into_owned(),
        stdin,
        files,
        executable: std::collections::BTreeSet::new(),
        timeout_ms: prepared.timeout.map(millis),
        stop: StopPolicy {
            signal: match stop.signal {
                StopSignal::Term => shim_files::StopSignal::Term,
                StopSignal::Int => shim_files::StopSignal::Int,
            },
            to: match stop.to {
                StopTo::Leader => StopTarget::Leader,
                StopTo::Group => StopTarget::Group,
            },
            grace_ms: millis(stop.grace),
        },
        log_cap_bytes: LOG_BYTES,
        output_cap_bytes: limits::OUTPUTS_BYTES as u64,
        artifacts: prepared.artifacts.clone(),
        drain_ms: DRAIN_MILLIS,
    };
    (spec, secrets)
}
