//! A cancel in the middle of a backup and of a restore: the run ends canceled, nothing is published, and the old content is
//! in its place.

use runbook_proto::v1::{CancelRunRequest, Run, RunStatus, StepStatus};
use runbook_tests::e2e::{Daemon, Project, step};

use super::gate::{Gate, Side};
use super::{DATA, backups, beside, fill, holds, repository, start, succeed, told};

fn cancel(daemon: &Daemon, name: &str) -> Run {
    let request = CancelRunRequest { name: name.to_owned(), reason: "test".into(), ..Default::default() };
    daemon.runs(|mut client| async move { client.cancel_run(request).await }).expect("a cancel");
    daemon.wait_over(name)
}

#[test]
fn a_canceled_restore_leaves_the_old_content() {
    let project = Project::with_library();
    fill(&project, "data", "new");
    let daemon = start(&project);
    succeed(&daemon, "backup", &[DATA]);
    fill(&project, "data", "old");
    // Where it stops, in which step, and what becomes of that: an exchange that happened has succeeded.
    let places = [
        ("tar", "*data.new-*", Side::Before, "unpack", StepStatus::Canceled),
        ("tar", "*data.new-*", Side::After, "unpack", StepStatus::Canceled),
        ("mv", "* */data.before-*", Side::Before, "exchange", StepStatus::Canceled),
        ("mv", "* */data.before-*", Side::After, "exchange", StepStatus::Canceled),
        ("mv", "*/data.new-* */data", Side::After, "exchange", StepStatus::Succeeded),
    ];
    for (tool, pattern, side, at, status) in places {
        let context = format!("canceled {side:?} {tool} {pattern}");
        let gate = Gate::new(&project, tool, pattern, side);
        let run = daemon.exec("dr-restore", &[DATA]);
        gate.wait();
        let run = cancel(&daemon, &run.name);
        assert_eq!(run.status(), RunStatus::Canceled, "{context}: {}", told(&daemon, &run));
        assert_eq!(step(&run, at).status(), status, "{context}: {}", told(&daemon, &run));
        assert_eq!(step(&run, "undo").status(), StepStatus::Succeeded, "{context}");
        assert!(holds(&project, "data", "old"), "{context}");
        assert_eq!(beside(&project, "data"), Vec::<String>::new(), "{context}");
    }
    succeed(&daemon, "dr-restore", &[DATA]);
    assert!(holds(&project, "data", "new"));
}

#[test]
fn a_canceled_backup_publishes_nothing() {
    let project = Project::with_library();
    fill(&project, "data", "new");
    let daemon = start(&project);
    for (tool, pattern, side) in [
        ("tar", "*--create*", Side::After),
        ("tar", "*--extract*", Side::Before),
        ("mv", "*/.staging/*/backup *", Side::Before),
    ] {
        let gate = Gate::new(&project, tool, pattern, side);
        let run = daemon.exec("backup", &[DATA]);
        gate.wait();
        let run = cancel(&daemon, &run.name);
        assert_eq!(run.status(), RunStatus::Canceled, "{tool} {pattern}: {}", told(&daemon, &run));
        assert_eq!(backups(&repository(&project)), Vec::<String>::new(), "{tool} {pattern}");
    }
    // A cancel that comes when it is published already takes nothing away.
    let gate = Gate::new(&project, "mv", "*/.staging/*/backup *", Side::After);
    let run = daemon.exec("backup", &[DATA]);
    gate.wait();
    let run = cancel(&daemon, &run.name);
    assert_eq!(run.status(), RunStatus::Canceled, "{}", told(&daemon, &run));
    assert_eq!(step(&run, "publish").status(), StepStatus::Succeeded, "{}", told(&daemon, &run));
    assert_eq!(backups(&repository(&project)).len(), 1);
    succeed(&daemon, "dr-restore", &[DATA]);
}
