//! Whether what is backed up could be restored, told by the real programs from runs that succeeded.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use runbook_proto::v1::RunStatus;
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, wait_for};
use serde_json::Value;

/// The targets, and the exit code.
fn readiness(project: &Project, arguments: &[&str]) -> (Vec<Value>, i32) {
    let said = runbook(project, &[&["readiness", "--output", "json"], arguments].concat());
    let answer: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    (answer["targets"].as_array().unwrap().clone(), said.code)
}

fn succeed(daemon: &Daemon, name: &str) -> u64 {
    let run = daemon.wait_over(&daemon.exec(name, &[]).name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    run.number
}

#[test]
fn the_library_says_what_it_could_restore() {
    let project = Project::with_library();
    let daemon = Daemon::start(&project);
    // Nothing was backed up yet, and it is known what should be.
    let (targets, code) = readiness(&project, &[]);
    assert_eq!((targets.len(), code), (1, 1), "{targets:#?}");
    assert_eq!(targets[0]["target"], ".runbook/backups");
    assert_eq!(targets[0]["reasons"][0], "there is no backup");
    let backup = succeed(&daemon, "backup");
    let (targets, code) = readiness(&project, &[]);
    assert_eq!((targets[0]["verdict"].as_str(), code), (Some("unproved"), 0), "{targets:#?}");
    let drill = succeed(&daemon, "restore-drill");
    // It proves what it looked at; a drill is a restore.
    let ready = |targets: &[Value]| {
        assert_eq!(targets[0]["verdict"], "ready", "{targets:#?}");
        assert_eq!(targets[0]["backup"]["number"], backup);
        assert_eq!(targets[0]["proved"]["number"], backup);
        assert_eq!(targets[0]["drill"]["number"], drill);
        assert_eq!((&targets[0]["rto_seconds"], &targets[0]["restores"]), (&14_400.0.into(), &1.into()));
    };
    ready(&readiness(&project, &[]).0);
    // It follows from what is durable.
    daemon.kill();
    let daemon = Daemon::start(&project);
    ready(&readiness(&project, &["--target", ".runbook/backups"]).0);
    assert_eq!(readiness(&project, &["--target", "other"]), (Vec::new(), 0));
    let said = runbook(&project, &["readiness"]);
    for part in ["ready", "newest backup: run ", ", by run ", "last drill: run "] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    drop(daemon);
}

#[test]
fn an_objective_is_about_a_target_in_an_environment_and_breaks_with_time() {
    let project = Project::new();
    project.runbook(
        "dump",
        "inputs: {database: {type: string, required: true}}\n\
        objective: {target: \"db/${{ inputs.database }}\", rpo: 1s}\n\
        steps: {a: {effect: read, argv: [\"true\"]}}\n",
    );
    for name in ["dev", "prod"] {
        project.file(&format!("runbooks/environments/{name}.yaml"), &format!("name: {name}\nlanguage: 1\n"));
    }
    let daemon = Daemon::start(&project);
    assert_eq!(readiness(&project, &[]), (Vec::new(), 0), "no start is known of which the target is known");
    for (environment, database) in [("dev", "orders"), ("prod", "orders"), ("prod", "users")] {
        let said = runbook(&project, &["exec", "dump", "--env", environment, "-i", &format!("database={database}")]);
        assert_eq!(said.code, 0, "{said:?}");
    }
    let found = wait_for("all to be too old", || {
        let (targets, code) = readiness(&project, &[]);
        let broken = targets.iter().all(|target| target["verdict"] == "broken");
        (broken && code == 1).then_some(targets)
    });
    let names: Vec<String> =
        found.iter().map(|it| format!("{}:{}", it["environment"], it["target"]).replace('"', "")).collect();
    assert_eq!(names, ["dev:db/orders", "prod:db/orders", "prod:db/users"]);
    assert_eq!(readiness(&project, &["--env", "prod"]).0.len(), 2);
    drop(daemon);
}
