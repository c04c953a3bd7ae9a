//! `uses: git/checkout` with git itself and a repository on this machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::process::Command;

use runbook_proto::v1::{CancelRunRequest, RunStatus, StepStatus};
use runbook_shim::redact::Redactor;
use runbook_tests::e2e::{Daemon, Project, leaks, step, wait_for};

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
  own: {needs: [sources], if: always(), uses: git/checkout, with: {url: ../origin, path: own}, retry: {attempts: 1}}
  full: {needs: [sources], if: always(), uses: git/checkout, with: {url: ../origin, path: full}, retry: {attempts: 1}}
"#,
    );
    project.file("origin/page", "one\n");
    project.file("full/mine", "not to be removed");
    // A repository of somebody's, with work that is nowhere else.
    git(&project, &["init", "-q", "../own"]);
    project.file("own/notes", "not to be removed");
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
    for (id, file) in [("full", "full/mine"), ("own", "own/notes")] {
        assert!(step(&run, id).message.contains("holds something that no checkout put there"), "{run:#?}");
        assert_eq!(project.read(file).as_deref(), Some("not to be removed"));
    }
    // Again, with another commit: what lies there from before goes.
    project.file("scratch/site/left", "over");
    let run = daemon.wait_over(&daemon.exec("r", &[]).name);
    assert_eq!(daemon.logs(&run.name, "use"), ["two"], "{run:#?}");
    assert_eq!(project.read("scratch/site/left"), None);
    let run = daemon.wait_over(&daemon.exec("r", &[("ref", "gone")]).name);
    assert_eq!(run.status(), RunStatus::Failed);
    assert!(step(&run, "sources").message.contains("gone of ../../origin cannot be fetched"), "{run:#?}");
    let run = daemon.wait_over(&daemon.exec("r", &[("ref", &first[..8])]).name);
    assert!(step(&run, "sources").message.contains("named in full, by its 40 digits"), "{run:#?}");
}

/// A repository beside the runbooks, with one commit.
fn origin(project: &Project) {
    project.file("origin/page", "one\n");
    for words in [&["init", "-q"][..], &["add", "page"], &["commit", "-q", "-m", "the first page"]] {
        git(project, words);
    }
}

#[test]
fn what_a_killed_git_left_is_mended_and_no_other_repository_is_touched() {
    let project = Project::with(
        "r",
        r#"
requires: {secrets: [token]}
steps:
  sources: {uses: git/checkout, with: {url: "../../origin", path: scratch/site, token: "${{ secrets.token }}"}}
"#,
    );
    project.file("runbookd.yaml", "secrets: {token: {file: token}}\n");
    project.private("token", "hunter2-of-git");
    origin(&project);
    // The project itself is a repository, and the one in the folder was killed before it was whole.
    let of_project = |words: &[&str]| git(&project, &[&["-C", ".."], words].concat());
    of_project(&["init", "-q"]);
    of_project(&["add", "runbooks"]);
    of_project(&["commit", "-q", "-m", "the project"]);
    let head = of_project(&["symbolic-ref", "HEAD"]);
    project.file("scratch/site/.git/runbook-scratch", "");
    project.file("scratch/site/.git/index.lock", "");
    project.file("scratch/site/.git/config.lock", "");
    project.file("scratch/site/left", "over");
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&daemon.exec("r", &[]).name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{:?}", daemon.logs(&run.name, "sources"));
    assert_eq!(project.read("scratch/site/page").as_deref(), Some("one\n"));
    assert_eq!(project.read("scratch/site/left"), None);
    assert_eq!(of_project(&["symbolic-ref", "HEAD"]), head);
    assert_eq!(of_project(&["log", "--format=%s"]), "the project");
    assert!(project.path("runbooks/r.yaml").exists());
    drop(daemon);
    assert_eq!(leaks(&project.path(".runbook"), &Redactor::new(["hunter2-of-git"])), [""; 0]);
}

/// Git itself, which waits to be let go on before it fetches.
const GATED: &str = r#"#!/bin/sh
if [ "$1" = fetch ]; then
  echo x >> "$RUNBOOK_PROJECT/begun"
  while [ ! -e "$RUNBOOK_PROJECT/go" ]; do sleep 0.05; done
fi
PATH=${PATH#*:} exec git "$@"
"#;

#[test]
fn a_checkout_outlives_the_daemon_and_ends_with_its_run() {
    let project =
        Project::with("r", "steps:\n  sources: {uses: git/checkout, with: {url: ../origin, path: scratch}}\n");
    let program = project.file("bin/git", GATED);
    std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    origin(&project);
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").unwrap());
    let start = || {
        Daemon::start_with(&project, |command| {
            command.env("PATH", &path);
        })
    };
    let daemon = start();
    let run = daemon.exec("r", &[]);
    wait_for("the fetch", || project.read("begun"));
    let request = CancelRunRequest { name: run.name.clone(), reason: "test".into(), ..Default::default() };
    daemon.runs(|mut client| async move { client.cancel_run(request).await }).unwrap();
    let run = daemon.wait_over(&run.name);
    assert_eq!((run.status(), step(&run, "sources").status()), (RunStatus::Canceled, StepStatus::Canceled), "{run:#?}");
    assert_eq!(project.read("scratch/page"), None);
    let run = daemon.exec("r", &[]);
    wait_for("the fetch", || (project.lines("begun").len() == 2).then_some(()));
    daemon.kill();
    let daemon = start();
    project.file("go", "");
    let run = daemon.wait_over(&run.name);
    assert_eq!((run.status(), step(&run, "sources").attempts), (RunStatus::Succeeded, 1), "{run:#?}");
    assert_eq!(project.read("scratch/page").as_deref(), Some("one\n"));
}
