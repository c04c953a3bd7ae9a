//! Completion in a shell: verbs and options always, names of runbooks, runs and steps from a daemon that runs.

use std::path::Path;
use std::process::Command;

use runbook_tests::e2e::command::{clean, runbook, said};
use runbook_tests::e2e::{Daemon, Project, cli};

use crate::project::project;

/// What bash offers for the last of some words, by the script that `completions` prints.
fn offered(project: &Project, words: &[&str]) -> Vec<String> {
    const SCRIPT: &str = r#"
        eval "$(runbook completions bash)"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
        _clap_complete_runbook runbook "${!#}" ""
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut shell = clean(Command::new("bash"), project, &["-c", SCRIPT, "bash", "runbook"]);
    let programs = cli().parent().map(Path::to_path_buf).expect("a folder");
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(programs).chain(std::env::split_paths(&paths));
    shell.args(words).env("PATH", std::env::join_paths(paths).expect("a PATH"));
    let said = said(shell);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{words:?}");
    said.out.lines().filter(|line| !line.is_empty()).map(|line| line.trim_end().to_owned()).collect()
}

#[test]
fn names_are_completed_while_a_daemon_runs() {
    let project = project();
    // None is started for it, and what needs none is completed.
    assert_eq!(offered(&project, &["exec", "o"]), [""; 0]);
    assert_eq!(offered(&project, &["resu"]), ["resume"]);
    assert_eq!(offered(&project, &["status", "--out"]), ["--output"]);
    assert_eq!(offered(&project, &["list", "--output", ""]), ["human", "json"]);
    assert!(!project.path(".runbook").exists());

    let daemon = Daemon::start(&project);
    assert_eq!(runbook(&project, &["exec", "ok"]).code, 0, "{}", daemon.log());
    assert_eq!(runbook(&project, &["exec", "bad"]).code, 1, "{}", daemon.log());
    assert_eq!(offered(&project, &["exec", "o"]), ["ok"]);
    assert_eq!(offered(&project, &["show", "b"]), ["bad"]);
    let files = offered(&project, &["exec", "runb"]);
    assert!(files.contains(&"runbooks/".to_owned()), "a folder, for a file in it: {files:?}");
    assert_eq!(offered(&project, &["runs", "--runbook", "b"]), ["bad"]);
    assert_eq!(offered(&project, &["status", ""])[..3], ["last", "2", "1"]);
    assert_eq!(offered(&project, &["logs", "1", ""])[..4], ["make", "use", "not", "tidy"]);
    assert_eq!(offered(&project, &["resolve", "last", "s"]), ["switch"]);
    assert_eq!(offered(&project, &["--project", "/nowhere", "logs", "1", "m"]), [""; 0]);
    assert_eq!(offered(&project, &["logs", "no-run", "m"]), [""; 0]);
}

#[test]
fn a_script_comes_as_json_too() {
    let project = project();
    for shell in ["bash", "zsh", "fish"] {
        let plain = runbook(&project, &["completions", shell]).out;
        let json = runbook(&project, &["completions", shell, "--output", "json"]).out;
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(value, serde_json::json!({"shell": shell, "script": plain}));
    }
}
