//! A run is pinned: neither its runbook nor its listed files change under it.

use std::os::unix::fs::PermissionsExt as _;

use runbook_proto::v1::{ResumeRunRequest, RunStatus};
use runbook_tests::e2e::server::Server;
use runbook_tests::e2e::{Project, wait_for};

const DEPLOY: &str = r#"
files: [scripts/work.sh, data.txt]
steps:
  hold: {effect: idempotent, run: "echo held >> log; while ! test -e go; do sleep 0.05; done"}
  work: {needs: [hold], effect: idempotent, argv: [scripts/work.sh, VERSION]}
  end: {needs: [work], effect: idempotent, run: "test -e mended"}
"#;

fn write(project: &Project, version: &str) {
    project.runbook("deploy", &DEPLOY.replace("VERSION", version));
    let script = project.file("scripts/work.sh", &format!("#!/bin/sh\necho \"{version} of $1\" >> log\n"));
    std::fs::set_permissions(script, std::fs::Permissions::from_mode(0o755)).unwrap();
    project.file("data.txt", version);
}

#[test]
fn a_run_goes_on_as_it_was_started() {
    let project = Project::new();
    write(&project, "old");
    let (server, client) = Server::start(&project);
    let run = client.exec("deploy");
    wait_for("the first step", || (project.lines("log").len() == 1).then_some(()));
    let before = client.info().unwrap().generation;
    write(&project, "new");
    wait_for("a new generation", || (client.info().unwrap().generation > before).then_some(()));
    project.file("go", "");
    let over = client.over(&run.name);
    assert_eq!(over.status(), RunStatus::Failed);
    assert_eq!(project.lines("log"), ["held", "old of old"]);
    assert_eq!(over.definition, run.definition);
    // Also over a restart and a resume, when the files are gone altogether.
    std::fs::remove_file(project.path("runbooks/deploy.yaml")).unwrap();
    std::fs::remove_dir_all(project.path("scripts")).unwrap();
    project.file("mended", "");
    server.kill();
    let (_server, client) = Server::start(&project);
    let resume = ResumeRunRequest { name: run.name.clone(), reason: String::new(), ..Default::default() };
    client.block_on(client.runs().resume_run(resume)).unwrap();
    wait_for("the second end", || (client.get(&run.name).status() == RunStatus::Succeeded).then_some(()));

    write(&project, "new");
    let other = client.over(&client.exec("deploy").name);
    assert_eq!(other.status(), RunStatus::Succeeded);
    assert_ne!(other.definition, run.definition);
    assert_eq!(project.lines("log"), ["held", "old of old", "held", "new of new"]);
    // Only a listed file changed: another definition.
    project.file("data.txt", "newer");
    let third = client.over(&client.exec("deploy").name);
    assert_ne!(third.definition, other.definition);
    // And the same content is stored once.
    let fourth = client.over(&client.exec("deploy").name);
    assert_eq!(fourth.definition, third.definition);
    let kept = std::fs::read_dir(project.path(".runbook/definitions")).unwrap().count();
    assert_eq!(kept, 3);
}

#[test]
fn a_listed_file_that_is_missing_refuses_the_start() {
    let project = Project::new();
    write(&project, "old");
    std::fs::remove_file(project.path("data.txt")).unwrap();
    project
        .runbook("deploy", &DEPLOY.replace("steps:", "requires: {tools: [no-such-program], secrets: [token]}\nsteps:"));
    let (_server, client) = Server::start(&project);
    let refused = client.try_exec("deploy");
    let message = refused.as_ref().unwrap_err().message().to_owned();
    crate::refused(refused, tonic::Code::FailedPrecondition, "PREFLIGHT");
    // With whatever else is missing.
    for part in ["data.txt", "no-such-program", "token"] {
        assert!(message.contains(part), "{part}: {message}");
    }
}
