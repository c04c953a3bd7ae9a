//! A backup whose bytes changed: found, marked, passed over.

use runbook_tests::e2e::{Project, wait_for};
use std::fs;
use std::path::Path;

use super::{DATA, backups, fail, fill, holds, repository, start, succeed};

/// Flips one bit in the middle of the archive of a backup.
fn flip(backup: &Path) {
    let name = super::names(backup).into_iter().find(|name| name.ends_with(".tar")).expect("an archive");
    let mut bytes = fs::read(backup.join(&name)).expect("bytes");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(backup.join(&name), bytes).expect("the archive");
}

#[test]
fn a_damaged_backup_is_marked_and_passed_over() {
    let project = Project::with_library();
    let daemon = start(&project);
    fill(&project, "data", "older");
    succeed(&daemon, "backup", &[DATA]);
    let older = backups(&repository(&project)).remove(0);
    // A backup's name tells its second, and which of two is newer must be told by it.
    let second = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_secs();
    let made = second();
    wait_for("the next second", || (second() > made).then_some(()));
    fill(&project, "data", "newer");
    succeed(&daemon, "backup", &[DATA]);
    let newer = backups(&repository(&project)).into_iter().find(|name| *name != older).expect("a second backup");
    let place = repository(&project).join(&newer);
    fill(&project, "data", "today");

    flip(&place);
    // A restore that comes first finds it itself, and touches nothing.
    let (run, said) = fail(&daemon, "dr-restore", &[DATA, ("backup", &newer)], "hashes");
    assert!(said.contains("is damaged") && said.contains("runbook exec verify-backup"), "{said}");
    assert!(run.message.contains("hashes"), "{}", run.message);
    assert!(holds(&project, "data", "today"));

    let (_, said) = fail(&daemon, "verify-backup", &[("backup", &newer)], "prove");
    assert!(said.contains("marked as DAMAGED"), "{said}");
    assert!(place.join("DAMAGED").is_file() && !place.join("PROVED").exists());
    let (_, said) = fail(&daemon, "dr-restore", &[DATA, ("backup", &newer)], "choose");
    assert!(said.contains("is DAMAGED"), "{said}");

    let run = succeed(&daemon, "dr-restore", &[DATA]);
    let said = daemon.logs(&run.name, "choose").join("\n");
    assert!(said.contains(&format!("{newer} is newer, but DAMAGED")) && said.contains(&older), "{said}");
    assert!(holds(&project, "data", "older"));

    // Mended, it counts again.
    flip(&place);
    succeed(&daemon, "verify-backup", &[("backup", &newer)]);
    succeed(&daemon, "dr-restore", &[DATA]);
    assert!(holds(&project, "data", "newer"));
}
