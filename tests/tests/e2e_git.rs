//! `uses: git/checkout` with git itself and a repository on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::process::Command;

use runbook_proto::v1::{RunStatus, StepStatus};
use runbook_tests::e2e::{Daemon, Project, step};

fn git(project: &Project, words: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-C", "origin", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]);
    let output = command.args(words).current_dir(project.root()).output().expect("git runs");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_commit_is_put_into_a_scratch_folder() {
    let project = Project::with(
        "r",
        r#"
inputs: {ref: {type: string, default: main}}
on_failure: continue
steps:
  sources: {uses: git/checkout, with: {url: "../../origin", ref: "${{ inputs.ref }}", path: scratch/site}, retry: {attempts: 1}}
  use: {needs: [sources], argv: [cat, "${{ steps.sources.outputs.path }}/page"]}
  full: {needs: [sources], if: always(), uses: git/checkout, with: {url: ../origin, path: full}, retry: {attempts: 1}}
"#,
    );
    project.file("origin/page", "one\n");
    project.file("full/mine", "not to be removed");
    git(&project, &["init", "-q"]);
    git(&project, &["add", "page"]);
    git(&project, &["commit", "-q", "-m", "the first page"]);
    let first = git(&project, &["rev-parse", "HEAD"]);
    project.file("origin/page", "two\n");
    git(&project, &["commit", "-q", "-a", "-m", "the second page"]);
    git(&project, &["tag", "v1", &first]);
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&daemon.exec("r", &[("ref", "v1")]).name);
    assert_eq!(step(&run, "sources").status(), StepStatus::Succeeded, "{run:#?}");
    assert_eq!(daemon.logs(&run.name, "use"), ["one"]);
    assert_eq!(daemon.logs(&run.name, "sources"), [format!("{first} the first page")]);
    assert!(step(&run, "full").message.contains("holds something that is no repository"), "{run:#?}");
    assert_eq!(project.read("full/mine").as_deref(), Some("not to be removed"));
    // Again, with another commit: what lies there from before goes.
    project.file("scratch/site/left", "over");
    let run = daemon.wait_over(&daemon.exec("r", &[]).name);
    assert_eq!(daemon.logs(&run.name, "use"), ["two"], "{run:#?}");
    assert_eq!(project.read("scratch/site/left"), None);
    let run = daemon.wait_over(&daemon.exec("r", &[("ref", "gone")]).name);
    assert_eq!(run.status(), RunStatus::Failed);
    assert!(step(&run, "sources").message.contains("gone of ../../origin cannot be fetched"), "{run:#?}");
}
