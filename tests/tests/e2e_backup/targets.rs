//! What becomes of a target: kept beside, removed, or put back when what was restored does not hold.

use std::collections::HashMap;
use std::fs;

use runbook_proto::v1::{ResolveStepRequest, ResumeRunRequest, RunStatus, Settlement, StepStatus};
use runbook_tests::e2e::{Daemon, Project, step};

use super::gate::{Gate, Side, Tools};
use super::kills::kill_commands;
use super::{DATA, assert_succeeded, backups, beside, fail, fill, holds, number, repository, start, succeed, told};

#[test]
fn the_former_content_is_kept_or_removed_as_asked() {
    let project = Project::with_library();
    fill(&project, "data", "new");
    let daemon = start(&project);
    succeed(&daemon, "backup", &[DATA]);
    fill(&project, "data", "old");
    let run = succeed(&daemon, "dr-restore", &[DATA]);
    let kept = format!("data.before-{}", run.uid);
    assert!(holds(&project, "data", "new") && holds(&project, &kept, "old"));
    fs::remove_dir_all(project.path(&kept)).expect("the former content");
    fill(&project, "data", "old");
    succeed(&daemon, "dr-restore", &[DATA, ("keep_previous", "false")]);
    assert!(holds(&project, "data", "new"));
    assert_eq!(beside(&project, "data"), Vec::<String>::new());
}

fn resume(daemon: &Daemon, name: &str) {
    let request = ResumeRunRequest { name: name.to_owned(), reason: String::new(), ..Default::default() };
    daemon.runs(|mut client| async move { client.resume_run(request).await }).expect("a resume");
}

#[test]
fn what_does_not_hold_is_undone() {
    let project = Project::with_library();
    fill(&project, "data", "new");
    let daemon = start(&project);
    succeed(&daemon, "backup", &[DATA]);
    fill(&project, "data", "old");
    // Somebody writes into what was restored before it is checked.
    let gate = Gate::new(&project, "mv", "*/data.new-* */data", Side::After);
    let run = daemon.exec("dr-restore", &[DATA]);
    gate.wait();
    assert!(holds(&project, "data", "new"));
    project.file("data/3/file 3", "spoiled");
    gate.open();
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Failed, "{}", told(&daemon, &run));
    assert_eq!(step(&run, "check").status(), StepStatus::Failed);
    let said = daemon.logs(&run.name, "check").join("\n");
    assert!(said.contains("differs in size sha256: ./3/file 3"), "{said}");
    let said = daemon.logs(&run.name, "undo").join("\n");
    assert!(said.contains("has its former content again"), "{said}");
    assert!(holds(&project, "data", "old"));
    assert_eq!(beside(&project, "data"), Vec::<String>::new());
    // A resume keeps what succeeded, so it finds nothing to check: it says what to do, and touches nothing.
    resume(&daemon, &run.name);
    let run = daemon.wait(&run.name, "the second end", |run| run.epoch == 2 && run.finished_at.is_some());
    assert_eq!(run.status(), RunStatus::Failed, "{}", told(&daemon, &run));
    let said = daemon.logs(&run.name, "check").join("\n");
    assert!(said.contains("Start a new run: runbook exec dr-restore"), "{said}");
    assert!(holds(&project, "data", "old"));
    succeed(&daemon, "dr-restore", &[DATA]);
    assert!(holds(&project, "data", "new"));
}

#[test]
fn a_restore_that_failed_early_is_resumed_to_its_end() {
    let project = Project::with_library();
    fill(&project, "data", "new");
    let daemon = start(&project);
    succeed(&daemon, "backup", &[DATA]);
    fill(&project, "data", "old");
    Tools::fail(&project, "tar", "*--extract*", "not today");
    let (run, said) = fail(&daemon, "dr-restore", &[DATA], "unpack");
    assert!(said.contains("tar: not today") && said.contains("is as it was"), "{said}");
    assert!(holds(&project, "data", "old"));
    assert_eq!(beside(&project, "data"), Vec::<String>::new());
    Tools::restore(&project, "tar");
    resume(&daemon, &run.name);
    let run = daemon.wait(&run.name, "the second end", |run| run.epoch == 2 && run.finished_at.is_some());
    assert_succeeded(&daemon, &run);
    assert!(holds(&project, "data", "new"));
}

#[test]
fn a_publish_that_nobody_can_vouch_for_waits_for_a_person() {
    let project = Project::with_library();
    fill(&project, "data", "new");
    let daemon = start(&project);
    let gate = Gate::new(&project, "mv", "*/.staging/*/backup *", Side::After);
    let run = daemon.exec("backup", &[DATA]);
    gate.wait();
    // The step is cut off when it is published; then who is asked cannot answer.
    Tools::fail(&project, "realpath", "*", "not today");
    assert_eq!(kill_commands(&run.uid), 1);
    let waiting = daemon.wait(&run.name, "attention", |run| run.status() == RunStatus::Attention);
    assert_eq!(step(&waiting, "publish").status(), StepStatus::Unknown);
    assert!(waiting.message.contains("runbook resolve"), "{}", waiting.message);
    Tools::restore(&project, "realpath");
    let request = ResolveStepRequest {
        name: run.name.clone(),
        step: "publish".into(),
        settlement: Settlement::Retry.into(),
        reason: "the disk is back".into(),
        output_texts: HashMap::new(),
    };
    daemon.runs(|mut client| async move { client.resolve_step(request).await }).expect("a resolution");
    let run = daemon.wait_over(&run.name);
    assert_succeeded(&daemon, &run);
    assert_eq!(number(&run, "publish", "files"), super::FILES as u64 + 1);
    assert_eq!(backups(&repository(&project)).len(), 1);
}
