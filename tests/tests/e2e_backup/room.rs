//! A repository without room: a clear failure, nothing published, and a good end once there is room.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use runbook_proto::v1::StepStatus;
use runbook_tests::e2e::injection::skip;
use runbook_tests::e2e::{Project, step, tree};

use super::gate::{Gate, Side};
use super::{DATA, assert_succeeded, backups, fail, fill, names, start, succeed, told};

/// The small file system, in MiB.
const SMALL: u64 = 48;

/// A small file system in memory, unmounted with the value.
struct Small(PathBuf);

impl Small {
    /// Mounts it; `None`, with a line that says so, where that is not allowed.
    fn mount(place: PathBuf) -> Option<Self> {
        if !tree::is_root() {
            skip("a small file system as repository: only root may mount one");
            return None;
        }
        fs::create_dir_all(&place).expect("a folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={SMALL}m"), "none"]).arg(&place).stderr(Stdio::null());
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(place));
        }
        skip("a small file system as repository: mounting is not allowed here");
        None
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a step of a failed test may still be in it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Fills a file system to its last byte.
fn fill_up(file: &Path) {
    let mut file = File::create(file).expect("a file");
    let block = vec![0; 64 << 10];
    while file.write_all(&block).is_ok() {}
}

#[test]
fn a_full_repository_publishes_nothing() {
    let project = Project::with_library();
    let Some(small) = Small::mount(project.path("repository")) else { return };
    let repository = ("repository", "repository");
    let daemon = start(&project);

    // It is seen before anything is done.
    tree::big(&project.path("large"), 100, (SMALL << 20) / 2, (SMALL << 20) / 2);
    let (run, said) = fail(&daemon, "backup", &[("source", r#"["large"]"#), repository], "preflight");
    assert!(said.contains("no room in") && said.contains("Nothing was done"), "{said}");
    assert_eq!(names(&small.0), Vec::<String>::new(), "{}", told(&daemon, &run));

    // It fills up in the middle of the work.
    fill(&project, "data", "new");
    project.file("data/0/some bytes", &"bytes ".repeat(200_000));
    for (tool, pattern, at) in [("tar", "*--create*", "archive"), ("tar", "*--extract*", "prove")] {
        let gate = Gate::new(&project, tool, pattern, Side::Before);
        let run = daemon.exec("backup", &[DATA, repository]);
        gate.wait();
        fill_up(&small.0.join("full"));
        gate.open();
        let run = daemon.wait_over(&run.name);
        let said = daemon.logs(&run.name, at).join("\n");
        assert!(said.contains("there is no room: 0 MiB are left"), "{}", told(&daemon, &run));
        assert_eq!(step(&run, at).status(), StepStatus::Failed, "{}", told(&daemon, &run));
        assert_eq!(backups(&small.0), ["full"], "{}", told(&daemon, &run));
        fs::remove_file(small.0.join("full")).expect("room is made");
    }
    let run = succeed(&daemon, "backup", &[DATA, repository]);
    assert_succeeded(&daemon, &run);
    assert_eq!(backups(&small.0).len(), 1);
    succeed(&daemon, "dr-restore", &[DATA, repository]);
}
