//! How long the backup of a database of 1 GB takes with its proof, beside the dump and its restore alone, by the same programs in
//! the same run. Twice each, the faster one: the first warms the disk's cache. Ends with 1 where the bound is missed; where there
//! is no PostgreSQL it says so, and measures nothing.
//!
//! `cargo bench --workspace --bench database`: some minutes, and 4 GB of disk.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use runbook_proto::v1::{RunStatus, StartRunRequest};
use runbook_tests::bench::{is_asked, judge};
use runbook_tests::e2e::injection::skip;
use runbook_tests::e2e::{Daemon, Project, find, path};

/// What the engine may take, in times of the programs alone.
const BOUND: f64 = 1.1;
/// Backups of each kind.
const ROUNDS: usize = 2;
/// The programs that it takes.
const PROGRAMS: [&str; 5] = ["initdb", "pg_ctl", "psql", "pg_dump", "pg_restore"];
/// Rows of the database: 1 GB with the index.
const ROWS: usize = 8_500_000;

/// Runs a program to its end.
fn call(command: &mut Command) {
    let said = command.env("PATH", path()).stdin(Stdio::null()).output().expect("it starts");
    assert!(said.status.success(), "{command:?}: {said:?}");
}

/// Runs a runbook to its end, and gives how long that took from the call on.
fn exec(daemon: &Daemon, runbook: &str) -> Duration {
    let request = StartRunRequest { runbook: runbook.into(), environment: "local".into(), ..Default::default() };
    let begin = Instant::now();
    let started = daemon.runs(|mut client| async move { client.start_run(request).await }).expect("a start");
    let name = started.run.expect("a run").name;
    daemon.watch_over(&name);
    let took = begin.elapsed();
    let run = daemon.get(&name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    took
}

/// The script of the library, with a cluster.
fn postgres(project: &Project, cluster: &Path, words: &[&str]) {
    call(Command::new(project.path("runbooks/scripts/postgres.sh")).args(words).env("CLUSTER", cluster));
}

fn main() -> ExitCode {
    if !is_asked() {
        return ExitCode::SUCCESS;
    }
    if let Some(missing) = PROGRAMS.iter().find(|name| find(name).is_none()) {
        skip(&format!("there is no {missing} on this machine"));
        return ExitCode::SUCCESS;
    }
    let project = Project::with_library();
    let cluster = project.path(".stack/local/postgres");
    std::fs::create_dir_all(project.path(".stack/local")).expect("a folder");
    postgres(&project, &cluster, &["make"]);
    let fill = format!(
        "create database stack;\n\\connect stack\ncreate table entries as select i as id, md5(i::text) as a, md5((i * 7)::text) as b \
         from generate_series(1, {ROWS}) as i;\nalter table entries add primary key (id);\n"
    );
    let fill = project.file("fill.sql", &fill);
    let fill = format!("--file={}", fill.display());
    let psql = ["with", "psql", "--no-psqlrc", "-q", "--set=ON_ERROR_STOP=1", "--dbname=postgres", &fill];
    postgres(&project, &cluster, &psql);
    let daemon = Daemon::start_with(&project, |command| {
        command.env("PATH", path());
    });
    let (mut own, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (scratch, dump) = (project.path(&format!("scratch{round}")), project.path(&format!("dump{round}")));
        let dump = dump.display().to_string();
        let begin = Instant::now();
        postgres(&project, &cluster, &["with", "pg_dump", "--format=custom", &format!("--file={dump}"), "stack"]);
        postgres(&project, &scratch, &["make"]);
        let restore = ["with", "pg_restore", "--clean", "--if-exists", "--create", "--dbname=postgres", &dump];
        postgres(&project, &scratch, &restore);
        bare.push(begin.elapsed());
        std::fs::remove_dir_all(&scratch).expect("a folder less");
        own.push(exec(&daemon, "backup-database"));
    }
    let fastest = |times: Vec<Duration>| times.into_iter().min().unwrap_or_default();
    let (own, bare) = (fastest(own), fastest(bare));
    println!("a database of 1 GB, backed up and proved: engine {own:.1?}, the programs alone {bare:.1?}");
    judge("the programs", own, bare, BOUND)
}
