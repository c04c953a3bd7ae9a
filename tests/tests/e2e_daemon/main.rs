//! The daemon's start and end with the real binaries: its configuration, one instance per data directory, its socket,
//! draining, kills, its log; and what it answers without being one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod configuration;
mod cron;
mod hooks;
mod instance;
mod kills;
mod log;
mod stop;

use runbook_tests::e2e::{Project, wait_for};

/// A step that goes on until the file `go` is there.
const LONG: &str = r#"
steps:
  wait:
    run: |
      echo $$ > pid
      while ! test -e go; do read -r x < tick || :; done
      echo done >> log
"#;

/// A project with a runbook whose step waits.
fn long() -> Project {
    let project = Project::with("long", LONG);
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mknodat(rustix::fs::CWD, project.path("tick"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    project
}

/// Lets the step of [`LONG`] go on.
fn go(project: &Project) {
    project.file("go", "");
    std::fs::write(project.path("tick"), "x\n").unwrap();
}

/// The pid of the step of [`LONG`].
fn pid_of(project: &Project) -> u32 {
    wait_for("the step's pid", || project.read("pid")?.trim().parse().ok())
}

/// A project with a runbook `a` that does nothing.
fn plain() -> Project {
    Project::with("a", "steps: {a: {effect: read, argv: [\"true\"]}}\n")
}
