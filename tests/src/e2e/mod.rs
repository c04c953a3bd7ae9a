//! End to end with the real binaries: a project of its own, a daemon of its own, a client over the real socket.
//!
//! Nothing here sleeps to be on the safe side: it waits on a state, and gives up after [`PATIENCE`].

mod certificates;
pub mod command;
mod daemon;
mod golden;
pub mod injection;
mod leaks;
mod path;
mod post;
mod project;
mod proxy;
mod screen;
pub mod server;
mod terminal;
mod tls;
pub mod tree;
mod web;

pub use certificates::{Authority, Pair};
pub use daemon::{Daemon, step};
pub use golden::{golden, masked, masked_json};
pub use leaks::leaks;
pub use path::{find, path};
pub use post::{Post, Secrecy};
pub use project::Project;
pub use proxy::Proxy;
pub use screen::Screen;
pub use terminal::{CTRL_C, Terminal};
pub use tls::Tls;
pub use web::{Asked, Reply, Web};

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a state is waited for before the test fails. Far above what is needed, since machines are slow at times.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The folder of the built programs. They are built by the first test that asks, so that none runs a stale one.
pub fn programs() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| build(&["runbookd", "runbook-shim"]))
}

/// The built command line, beside the other programs.
pub fn cli() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    programs();
    FOLDER.get_or_init(|| build(&["runbook"])).join("runbook")
}

fn build(packages: &[&str]) -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let folder = test.parent().and_then(|deps| deps.parent()).expect("target/<profile>").to_path_buf();
    let mut cargo = Command::new(option_env!("CARGO").unwrap_or("cargo"));
    cargo.args(["build", "--quiet"]);
    for package in packages {
        cargo.args(["-p", package]);
    }
    cargo.arg("--manifest-path").arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"));
    if folder.file_name().is_some_and(|name| name == "release") {
        cargo.arg("--release");
    }
    cargo.env("CARGO_TARGET_DIR", folder.parent().expect("target"));
    // A test is told what package it is of. Build scripts that ask for such names would be taken for stale, and what is built of
    // them would be built anew here, and anew by whoever runs tests next.
    let told = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for name in std::env::vars_os().map(|(name, _)| name).filter(|name| told(&name.to_string_lossy())) {
        cargo.env_remove(name);
    }
    let built = cargo.status().expect("cargo runs");
    assert!(built.success(), "the programs cannot be built");
    folder
}

/// Waits until something is there.
///
/// # Panics
/// It does not come within [`PATIENCE`].
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::yield_now();
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Whether a process is there that is no zombie.
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(") ").map(|(_, rest)| !rest.starts_with('Z')))
        .unwrap_or(false)
}
