//! The folder of runbooks is restored like any other, while the daemon watches it and a run uses what was in it.

use std::fs;

use runbook_proto::v1::ListRunbooksRequest;
use runbook_tests::e2e::{Daemon, Project, tree, wait_for};

use super::gate::{Gate, Side};
use super::{assert_succeeded, beside, start, succeed};

/// The names of runbooks, with an exclamation mark behind those that are broken.
fn list(daemon: &Daemon) -> Vec<String> {
    let request = ListRunbooksRequest::default();
    let found = daemon.runbooks(|mut client| async move { client.list_runbooks(request).await }).expect("runbooks");
    let name = |name: &str| name.trim_start_matches("runbooks/").to_owned();
    found.runbooks.iter().map(|runbook| name(&runbook.name) + if runbook.broken { "!" } else { "" }).collect()
}

#[test]
fn runbooks_are_restored_under_the_daemon_that_uses_them() {
    let project = Project::with_library();
    let daemon = start(&project);
    tree::copy(&project.path("runbooks"), &project.path("reference"));
    succeed(&daemon, "backup", &[]);
    let good = list(&daemon);
    assert!(good.contains(&"verify-backup".to_owned()) && !good.iter().any(|name| name.ends_with('!')), "{good:?}");

    // One is lost, one came, the scripts are ruined; then all is lost, in the middle of the restore.
    fs::remove_file(project.path("runbooks/verify-backup.yaml")).expect("a runbook is lost");
    project.runbook("other", "steps: {a: {argv: [\"true\"]}}\n");
    let mut others: Vec<String> = good.iter().filter(|name| *name != "verify-backup").cloned().collect();
    others.push("other".to_owned());
    others.sort();
    wait_for("the other runbooks", || (list(&daemon) == others).then_some(()));
    let gate = Gate::new(&project, "tar", "*runbooks.new-*", Side::Before);
    let run = daemon.exec("dr-restore", &[]);
    gate.wait();
    fs::remove_dir_all(project.path("runbooks")).expect("all runbooks are lost");
    gate.open();
    let run = daemon.wait_over(&run.name);
    assert_succeeded(&daemon, &run);
    assert_eq!(tree::differences(&project.path("reference"), &project.path("runbooks")), Vec::<String>::new());
    assert_eq!(beside(&project, "runbooks"), Vec::<String>::new(), "nothing was there before");
    wait_for("the restored runbooks", || (list(&daemon) == good).then_some(()));
    succeed(&daemon, "verify-backup", &[]);
    // The drill restores beside, and leaves nothing.
    let drill = succeed(&daemon, "restore-drill", &[]);
    let step = |id: &str| drill.steps.iter().find(|step| step.id == id).expect("a step");
    assert!(step("assert").outputs.is_some(), "{drill:#?}");
    assert!(!project.path(&format!(".runbook/drills/{}", drill.uid)).exists());
    assert_eq!(beside(&project, "runbooks"), Vec::<String>::new(), "the drill touched the folder itself");
    // What was there before stays beside, and is no second library.
    let again = succeed(&daemon, "dr-restore", &[]);
    assert_eq!(beside(&project, "runbooks"), [format!("runbooks.before-{}", again.uid)]);
    assert_eq!(list(&daemon), good);
    // The folder that took the place is read from then on.
    project.runbook("later", "steps: {a: {argv: [\"true\"]}}\n");
    wait_for("a runbook that was written later", || (list(&daemon).len() == good.len() + 1).then_some(()));
}
