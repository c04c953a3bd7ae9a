//! A folder is backed up, lost and restored, and is what it was: paths, types, modes, owners, sizes, times, links,
//! attributes, content and holes.

use std::fs;
use std::process::Command;
use std::time::Instant;

use runbook_proto::v1::{Run, RunStatus, RunStep};
use runbook_tests::e2e::command::{Started, runbook};
use runbook_tests::e2e::injection::tell;
use runbook_tests::e2e::{Project, tree};

use super::{assert_succeeded, backups, beside, full, number, repository, start, succeed, told};

/// Files of the big tree.
const BIG_FILES: usize = 10_000;
/// The sum of their sizes, in bytes.
const BIG_BYTES: u64 = 1 << 30;
/// How much of it is data when the test must be quick; the rest is holes.
const BIG_DATA: u64 = 96 << 20;

#[test]
fn two_commands_bring_back_what_was_lost() {
    let project = Project::with_library();
    let daemon = Started(&project);
    let reference = project.path("reference");
    let said = runbook(&project, &["exec", "backup"]);
    assert_eq!(said.code, 0, "{said:?}");
    fs::rename(project.path("infrastructure"), &reference).expect("the folder is lost");
    let said = runbook(&project, &["exec", "dr-restore", "-i", r#"source=["infrastructure"]"#]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(tree::differences(&reference, &project.path("infrastructure")), Vec::<String>::new());
    assert_eq!(beside(&project, "infrastructure"), Vec::<String>::new(), "nothing was there before");
    let said = runbook(&project, &["exec", "verify-backup"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("verify-backup: succeeded"), "{said:?}");
    drop(daemon);
}

#[test]
fn an_odd_tree_comes_back_as_it_was() {
    let project = Project::with_library();
    // The sources' own names are odd, too: as JSON gives them.
    let odd = project.path("odd tree's \"é\" [x]");
    tree::odd(&odd);
    fs::create_dir_all(project.path("-dash/empty")).expect("folders");
    let source = ("source", r#"["odd tree's \"é\" [x]", "-dash"]"#);

    let daemon = start(&project);
    let backup = succeed(&daemon, "backup", &[source]);
    let said = daemon.logs(&backup.name, "archive").join("\n");
    assert!(said.contains("2 socket(s), fifo(s) or device(s)") && said.contains("./fifo\\n1"), "{said}");
    assert_eq!(number(&backup, "archive", "skipped"), 2);

    fs::rename(&odd, project.path("reference")).expect("the folder is lost");
    tree::remove(&project.path("-dash"));
    let restore = succeed(&daemon, "dr-restore", &[source]);
    assert_eq!(
        tree::differences(&project.path("reference"), &odd),
        Vec::<String>::new(),
        "{}",
        told(&daemon, &restore)
    );
    assert_eq!(super::names(&project.path("-dash")), ["empty"]);

    // Over what is there, into another folder, and by hand with nothing but the backup's README.
    fs::write(odd.join("#comment"), "changed").expect("a file");
    let over = succeed(&daemon, "dr-restore", &[source]);
    assert_eq!(tree::differences(&project.path("reference"), &odd), Vec::<String>::new());
    let kept = project.path(&format!("odd tree's \"é\" [x].before-{}", over.uid));
    assert_eq!(fs::read(kept.join("#comment")).expect("the former content"), b"changed");
    succeed(&daemon, "dr-restore", &[source, ("into", "rehearsal")]);
    let rehearsed = project.path("rehearsal/odd tree's \"é\" [x]");
    assert_eq!(tree::differences(&project.path("reference"), &rehearsed), Vec::<String>::new());
    by_hand(&project);
    for folder in [&odd, &kept, &rehearsed, &project.path("by hand"), &project.path("reference")] {
        tree::remove(folder);
    }
}

/// The commands of the README in a backup.
fn by_hand(project: &Project) {
    let backup = repository(project).join(&backups(&repository(project))[0]);
    let by_hand = project.path("by hand");
    fs::create_dir(&by_hand).expect("a folder");
    let readme = fs::read_to_string(backup.join("README")).expect("a README");
    assert!(readme.contains("sha256sum -c PROVED"), "{readme}");
    let whole = Command::new("sha256sum").args(["--quiet", "-c", "PROVED"]).current_dir(&backup).status();
    assert!(whole.expect("sha256sum runs").success());
    let stem = super::names(&backup).into_iter().find(|name| name.starts_with("1-") && name.ends_with(".tar"));
    let mut tar = Command::new("tar");
    tar.arg("-xpf").arg(stem.expect("an archive")).args(["--numeric-owner", "--xattrs", "--acls", "-C"]).arg(&by_hand);
    assert!(readme.contains("tar -xpf STEM.tar --numeric-owner --xattrs --acls -C"), "{readme}");
    // It tells of every odd time.
    assert!(tar.current_dir(&backup).output().expect("tar runs").status.success());
    assert_eq!(tree::differences(&project.path("reference"), &by_hand), Vec::<String>::new());
}

/// How long each step took.
fn spans(run: &Run) -> String {
    let span = |step: &RunStep| {
        let (from, to) = (step.started_at?, step.ended_at?);
        let seconds = (to.seconds - from.seconds) as f64 + f64::from(to.nanos - from.nanos) / 1e9;
        Some(format!("{} {seconds:.1}", step.id))
    };
    let spans: Vec<String> = run.steps.iter().filter_map(span).collect();
    spans.join(", ")
}

#[test]
fn a_big_tree_comes_back_as_it_was() {
    let project = Project::with_library();
    let (data, reference) = (project.path("big"), project.path("reference"));
    tree::big(
        &data,
        BIG_FILES,
        if full() { BIG_BYTES } else { BIG_DATA },
        if full() { 2 * BIG_BYTES } else { BIG_BYTES },
    );
    let (files, apparent, disk) = tree::size(&data);
    assert!(files >= BIG_FILES && apparent >= BIG_BYTES, "{files} files, {apparent} bytes");
    let daemon = start(&project);
    let mut figures = Vec::new();
    let mut timed = |runbook: &str, inputs: &[(&str, &str)]| {
        let begin = Instant::now();
        let run = daemon.exec(runbook, inputs);
        daemon.watch_over(&run.name);
        let run = daemon.get(&run.name);
        figures.push(format!("{runbook} {:.1} s ({})", begin.elapsed().as_secs_f64(), spans(&run)));
        assert_succeeded(&daemon, &run);
        run
    };
    let source = ("source", r#"["big"]"#);
    let backup = timed("backup", &[source]);
    assert_eq!(number(&backup, "prove", "files"), files as u64);
    assert_eq!(number(&backup, "publish", "bytes"), apparent);
    if full() {
        timed("verify-backup", &[]);
    }
    fs::rename(&data, &reference).expect("the folder is lost");
    let restore = timed("dr-restore", &[source]);
    assert_eq!(restore.status(), RunStatus::Succeeded);
    assert_eq!(tree::differences(&reference, &data), Vec::<String>::new());
    let archive = tree::size(&repository(&project)).2;
    tell(&format!(
        "{files} files, {} MiB apparent, {} MiB on the disk, {} MiB as a backup: {}",
        apparent >> 20,
        disk >> 20,
        archive >> 20,
        figures.join(", ")
    ));
}
