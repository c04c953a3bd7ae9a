//! A configuration that is wrong, as a whole, and the help.

use std::process::Command;

use runbook_tests::e2e::server::daemon_command;

use crate::plain;

#[test]
fn a_wrong_configuration_is_told_at_once_and_touches_nothing() {
    let project = plain();
    project.file("runbookd.yaml", "max_attempt: 3\nretention:\n  days: 0\nsecrets:\n  token: {}\n");
    let output = daemon_command(&project)
        .args(["--log-format", "xml", "--max-attempts", "1000000"])
        .env("RUNBOOKD_LOG", "loud=very=much")
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    for part in [
        "runbookd.yaml:1: max_attempt: there is no such key; did you mean `max_attempts`?",
        "runbookd.yaml:3: retention.days: \"0\" is no whole number from 1 to 36500",
        "runbookd.yaml:5: secrets.token: give one of env, file, age, sops, vault, gcp, aws, exec, such as `file: PATH`",
        "--log-format or RUNBOOKD_LOG_FORMAT: \"xml\" is neither human nor json",
        "--max-attempts or RUNBOOKD_MAX_ATTEMPTS: \"1000000\" is no whole number from 1 to 10000",
        "--log or RUNBOOKD_LOG: \"loud=very=much\"",
        "`runbookd --help`",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(!project.path(".runbook").exists());
    let none = Command::new(daemon_command(&project).get_program()).args(["--project", "/nowhere"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2));
    let help = Command::new(daemon_command(&project).get_program()).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for part in ["Examples:", "Exit codes:", "retention: {runs:", "[env: RUNBOOKD_SOCKET=]"] {
        assert!(help.contains(part), "{part}\n{help}");
    }
}

#[test]
fn a_configuration_is_checked_beside_the_runbooks_before_it_is_used() {
    let project = plain();
    let file = project.file("runbookd.yaml", "on: {failed: tell}\nretention: {dayz: 3}\n");
    let check = || {
        let mut command = Command::new(daemon_command(&project).get_program());
        command.arg("check").arg("--config").arg(&file).arg(project.path("runbooks"));
        let output = command.env("NO_COLOR", "1").output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, told) = check();
    assert_eq!(code, Some(2), "{told}");
    for part in [
        "error[configuration]: on.failed: there is no runbook \"tell\"",
        "runbookd.yaml:1:1",
        "error[configuration]: retention.dayz: there is no such key; did you mean `days`?",
        "runbookd.yaml:2:1",
        "2 errors",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    project.runbook(
        "tell",
        "inputs: {message: {type: string}}\nsteps: {a: {effect: read, argv: ['true'], timeout: 1m}}\n",
    );
    project.file("runbookd.yaml", "on: {failed: tell}\n");
    let (code, told) = check();
    assert_eq!(code, Some(0), "{told}");
    project.runbook("copy", "steps: {a: {effect: read, pool: disk, argv: ['true'], timeout: 1m}}\n");
    project.file("runbookd.yaml", "on: {failed: tell}\npools: {disks: 2}\n");
    let (code, told) = check();
    assert!(
        code == Some(2) && told.contains("error[unknown-pool]") && told.contains("did you mean `disks`?"),
        "{told}"
    );
    project.file("runbookd.yaml", "on: {failed: tell}\npools: {disk: 2}\n");
    let (code, told) = check();
    assert_eq!(code, Some(0), "{told}");
}
