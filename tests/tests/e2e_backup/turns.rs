//! The same job started twice: backups take turns, a second restore of the same folders is refused.

use std::collections::BTreeSet;

use runbook_proto::v1::RunStatus;
use runbook_tests::e2e::{Project, step};
use tonic::Code;

use super::gate::{Gate, Side};
use super::{DATA, assert_succeeded, backups, fill, holds, repository, start, succeed, told};

#[test]
fn backups_take_turns() {
    let project = Project::with_library();
    fill(&project, "data", "new");
    let daemon = start(&project);
    let gate = Gate::new(&project, "tar", "*--create*", Side::Before);
    let first = daemon.exec("backup", &[DATA]);
    gate.wait();
    let second = daemon.exec("backup", &[DATA]);
    let verify = daemon.exec("verify-backup", &[]);
    let queued = daemon.get(&second.name);
    assert_eq!(queued.status(), RunStatus::Queued, "{}", told(&daemon, &queued));
    assert_eq!(queued.waits_for, [format!("lock backup (run {})", first.number)]);
    gate.open();
    let runs = [first, second, verify].map(|run| daemon.wait_over(&run.name));
    for pair in runs.windows(2) {
        let finished = pair[0].finished_at.map(|at| (at.seconds, at.nanos)).expect("an end");
        let admitted = pair[1].admitted_at.map(|at| (at.seconds, at.nanos)).expect("an admission");
        assert!(finished <= admitted, "{pair:#?}");
    }
    for run in &runs {
        assert_succeeded(&daemon, run);
    }
    assert_eq!(backups(&repository(&project)).len(), 2);
}

#[test]
fn a_second_restore_of_the_same_folders_is_refused() {
    let project = Project::with_library();
    fill(&project, "data", "new");
    fill(&project, "more", "new");
    let daemon = start(&project);
    succeed(&daemon, "backup", &[("source", r#"["data","more"]"#)]);
    fill(&project, "data", "old");
    let gate = Gate::new(&project, "mv", "* */data.before-*", Side::After);
    let first = daemon.exec("dr-restore", &[DATA]);
    gate.wait();
    let refused = daemon.try_exec("dr-restore", &[DATA]).expect_err("a second restore");
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    let names = ["dr-restore/data", &format!("run {}", first.number)];
    assert!(names.iter().all(|name| refused.message().contains(name)), "{refused:?}");
    // One of other folders waits for its turn.
    let other = daemon.exec("dr-restore", &[("source", r#"["more"]"#)]);
    assert_eq!(daemon.get(&other.name).waits_for, [format!("lock backup (run {})", first.number)]);
    gate.open();
    for run in [first, other] {
        assert_succeeded(&daemon, &daemon.wait_over(&run.name));
    }
    assert!(holds(&project, "data", "new"));
    let third = succeed(&daemon, "dr-restore", &[DATA]);
    assert_eq!(step(&third, "exchange").attempts, 1);
}

#[test]
fn the_latest_of_quick_backups_is_the_newest() {
    let project = Project::with_library();
    let daemon = start(&project);
    for text in ["one", "two", "three"] {
        fill(&project, "data", text);
        succeed(&daemon, "backup", &[DATA]);
        fill(&project, "data", "lost");
        succeed(&daemon, "dr-restore", &[DATA, ("keep_previous", "false")]);
        assert!(holds(&project, "data", text), "{text}");
    }
    // Names say it by their times alone.
    let names = backups(&repository(&project));
    let times: BTreeSet<_> = names.iter().map(|name| name.split('-').next()).collect();
    assert_eq!(times.len(), 3, "{names:?}");
}

#[test]
fn many_and_long_names_are_restored_in_one_run() {
    let project = Project::with_library();
    let names: Vec<String> = (0..12).map(|index| format!("a folder with a rather long name {index:03}")).collect();
    for name in &names {
        project.file(&format!("{name}/file"), name);
    }
    let source = format!("{names:?}");
    let daemon = start(&project);
    succeed(&daemon, "backup", &[("source", &source)]);
    for name in &names {
        project.file(&format!("{name}/file"), "changed");
    }
    succeed(&daemon, "dr-restore", &[("source", &source)]);
    for name in &names {
        assert_eq!(project.read(&format!("{name}/file")).as_ref(), Some(name));
    }
}
