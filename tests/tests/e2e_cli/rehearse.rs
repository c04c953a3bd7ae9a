//! Rehearsals as a person asks for them, through the daemon and without one: golden texts, and what is refused.

use std::process::{Command, Stdio};

use runbook_tests::e2e::command::{Said, runbook};
use runbook_tests::e2e::{Daemon, Project, golden, masked, programs};
use serde_json::Value;

/// A runbook with everything that a rehearsal can show.
const MOVE: &str = r#"
inputs: {to: {type: string, required: true}}
steps:
  dump:
    effect: read
    argv: [dump, "${{ inputs.to }}"]
    retry: {attempts: 3, backoff: {initial: 10s, factor: 2, max: 1m}}
    outputs: {bytes: integer}
    timeout: 1h
  check: {needs: [dump], if: steps.dump.outputs.bytes > 0, effect: read, argv: [check]}
  switch: {needs: [check], argv: [switch], verify: {argv: [switched]}, on_cancel: {argv: [back]}}
  after: {needs: [switch], argv: [after]}
finally:
  tell: {argv: [touch, told]}
"#;

const SCENARIOS: &str = "\
runbook: move
language: 1
scenarios:
  all goes well:
    inputs: {to: b}
    expect: {outcome: succeeded, at_most: 1m}
  the dump fails twice:
    inputs: {to: b}
    steps: {dump: {tries: [failed, 3], takes: 10m}}
    expect: {outcome: succeeded, tries: {dump: 3}, at_most: 1h}
  nobody knows whether it switched:
    inputs: {to: b}
    steps: {switch: {always: lost, verify: silent}, after: {crash: true}}
    expect: {outcome: failed, steps: {after: skipped}}
";

fn project() -> Project {
    let project = Project::with("move", MOVE);
    project.file("runbooks/move.scenarios.yaml", SCENARIOS);
    project
}

/// A rolling upgrade whose last step stands in another runbook.
const FLEET: &str = r#"
rollback: automatic
inputs: {nodes: {type: list, default: [n1, n2, n3]}}
steps:
  up:
    for_each: ${{ inputs.nodes }}
    max_parallel: 1
    steps:
      drain: {argv: [drain, "${{ item }}"], rollback: {argv: [undrain, "${{ item }}"]}}
      install: {needs: [drain], argv: [install, "${{ item }}"], effect: idempotent, retry: {attempts: 2}}
      chk: {needs: [install], argv: [chk, "${{ item }}"], effect: read}
    finally:
      log: {argv: [log, "${{ item }}"]}
  prove: {needs: [up], uses: runbook, with: {name: prove}}
"#;

const PROVE: &str = r#"
inputs: {deep: {type: boolean, default: false}}
steps:
  load: {argv: [load], effect: read}
  deep: {needs: [load], if: inputs.deep, argv: [deep], effect: read}
"#;

const FLEET_SCENARIOS: &str = "\
runbook: fleet
language: 1
scenarios:
  the second node is not well:
    steps: {'up[n2]/chk': {always: failed}}
    expect:
      outcome: rolled_back
      steps: {'up[n2]/log': succeeded, 'up[n1]/drain': rolled_back, 'up[n2]/drain': rolled_back, 'up[n3]': skipped}
      remains: []
";

fn fleet() -> Project {
    let project = Project::with("fleet", FLEET);
    project.runbook("prove", PROVE);
    project.file("runbooks/fleet.scenarios.yaml", FLEET_SCENARIOS);
    project
}

#[test]
fn steps_below_the_top_fail_and_are_lost_by_their_paths() {
    let project = fleet();
    let daemon = Daemon::start(&project);
    for (name, code, arguments) in [
        ("below", 0, &["--fail", "up[\"n2\"]/chk", "--fail", "up/install@1", "--duration", "up[n1]/install=10m"][..]),
        ("below-crash", 0, &["--crash-at", "prove/load", "--lose", "prove/load@1", "--fail", "up[n9]/chk"]),
        ("below-every-failure", 0, &["--every-failure"]),
        (
            "below-unknown",
            2,
            &[
                "--fail",
                "up",
                "--fail",
                "up/chkk",
                "--lose",
                "chk",
                "--crash-at",
                "prove/lod",
                "--duration",
                "prove[1]/load=1m",
            ],
        ),
    ] {
        let said = runbook(&project, &[&["rehearse", "fleet"][..], arguments].concat());
        assert_eq!(said.code, code, "{arguments:?}: {said:?}\n{}", daemon.log());
        let text = format!("{}--- standard error\n{}", said.out, said.err);
        golden(&format!("cli/rehearse-{name}.txt"), &one_user(&text, "by WHO"));
    }
    let said = runbook(&project, &["rehearse", "fleet", "--scenario", "runbooks/fleet.scenarios.yaml"]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn coverage_is_told_of_the_whole_tree() {
    let project = fleet();
    let file = "runbooks/fleet.scenarios.yaml";
    let prove = "runbook: prove\nlanguage: 1\nscenarios: {it is: {expect: {outcome: succeeded}}}\n";
    project.file("runbooks/prove.scenarios.yaml", prove);
    let said = offline(&project, &["test", "runbooks"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    golden("cli/test-below.txt", &said.out);
    project.file(file, &FLEET_SCENARIOS.replace("up[n2]/chk", "up[n2]/chkk").replace("'up[n3]'", "prove/lod"));
    for verb in ["test", "check"] {
        let said = offline(&project, &[verb, "runbooks"]);
        assert_eq!(said.code, 2, "{said:?}");
        for words in ["`up[n2]` of `fleet` has no step `chkk`", "did you mean `prove/load`?"] {
            assert!(said.out.contains(words), "{words}: {}", said.out);
        }
    }
}

/// `runbookd` without a daemon, in the project's folder.
fn offline(project: &Project, arguments: &[&str]) -> Said {
    let mut command = Command::new(programs().join("runbookd"));
    let ended = command.args(arguments).current_dir(project.root()).stdin(Stdio::null()).output().expect("runbookd");
    Said {
        code: ended.status.code().expect("a code"),
        out: String::from_utf8_lossy(&ended.stdout).into_owned(),
        err: String::from_utf8_lossy(&ended.stderr).into_owned(),
    }
}

#[test]
fn what_a_rehearsal_shows() {
    let project = project();
    let daemon = Daemon::start(&project);
    let user = "by WHO";
    for (name, code, arguments) in [
        ("rehearse", 0, &["--crash-at", "check"][..]),
        ("rehearse-fail", 0, &["--fail", "dump@1", "--fail", "after", "--duration", "dump=10m"]),
        ("rehearse-lose", 0, &["--lose", "after", "--fail", "tell@3"]),
        ("rehearse-every-failure", 0, &["--every-failure"]),
        ("rehearse-unknown", 2, &["--fail", "dmp", "--crash-at", "after@1", "--duration", "dump=10"]),
    ] {
        let said = runbook(&project, &[&["rehearse", "move", "-i", "to=b"][..], arguments].concat());
        assert_eq!(said.code, code, "{arguments:?}: {said:?}\n{}", daemon.log());
        let text = format!("{}--- standard error\n{}", said.out, said.err);
        golden(&format!("cli/{name}.txt"), &one_user(&text, user));
    }
    let said = runbook(&project, &["rehearse", "./runbooks/move.yaml", "--scenario", "runbooks/move.scenarios.yaml"]);
    assert_eq!(said.code, 1, "{said:?}");
    golden("cli/rehearse-scenarios.txt", &one_user(&said.out, user));
    assert!(runbook(&project, &["runs"]).out.is_empty(), "a rehearsal is no run");
    assert!(project.read("told").is_none(), "nothing is started");
    let missing = runbook(&project, &["rehearse", "move"]);
    assert!(missing.code == 2 && missing.err.contains("the input `to` is required"), "{missing:?}");
}

/// The text with nobody's name in it.
fn one_user(text: &str, user: &str) -> String {
    let rule = regex::Regex::new(r"created by [^\n]*").expect("a pattern");
    rule.replace_all(text, format!("created {user}")).into_owned()
}

#[test]
fn programs_read_rehearsals() {
    let project = project();
    let daemon = Daemon::start(&project);
    let arguments = ["rehearse", "move", "-i", "to=b", "--fail", "after", "--output", "json"];
    let said = runbook(&project, &arguments);
    assert_eq!(said.code, 0, "{said:?}\n{}", daemon.log());
    let value: Value = serde_json::from_str(&said.out).expect("JSON");
    let rehearsal = &value["rehearsals"][0];
    assert_eq!(rehearsal["outcome"], "failed");
    assert_eq!(rehearsal["took_seconds"], 5.0);
    assert_eq!(rehearsal["remains"], serde_json::json!(["switch"]));
    assert_eq!(rehearsal["undone"], serde_json::json!([{"id": "after", "status": "failed"}]));
    assert_eq!(rehearsal["events"][0]["type"], "created");
}

#[test]
fn scenarios_are_tested_without_a_daemon() {
    let project = project();
    project.runbook("other", "steps: {a: {argv: [a]}}\n");
    let said = offline(&project, &["test", "runbooks"]);
    assert_eq!((said.code, said.err.as_str()), (1, ""));
    golden("cli/test.txt", &said.out);
    let json = offline(&project, &["test", "runbooks", "--output", "json"]);
    let value: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((value["scenarios"].as_u64(), value["failed"].as_u64()), (Some(3), Some(1)));
    assert_eq!(value["without_scenarios"], serde_json::json!(["other"]));
    assert_eq!(value["runbooks"][0]["coverage"]["steps"]["never"], serde_json::json!([]));

    project.file(
        "runbooks/move.scenarios.yaml",
        &SCENARIOS.replace("outcome: failed, steps: {after: skipped}", "outcome: attention"),
    );
    assert_eq!(offline(&project, &["test", "runbooks"]).code, 0);
    assert_eq!(offline(&project, &["check", "runbooks"]).code, 0);

    project.file("runbooks/move.scenarios.yaml", &SCENARIOS.replace("switch: {", "swich: {"));
    for verb in ["test", "check"] {
        let said = offline(&project, &[verb, "runbooks"]);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(
            said.out.contains("`move` has no step `swich`") && said.out.contains("did you mean `switch`?"),
            "{}",
            said.out
        );
    }
    let nothing = offline(&project, &["test", "runbooks/other.yaml"]);
    assert!(nothing.code == 2 && nothing.out.contains("there is no scenario to rehearse"), "{nothing:?}");
    let alone = offline(&project, &["test", "runbooks/move.scenarios.yaml"]);
    assert!(alone.code == 2 && alone.out.contains("there is no good runbook `move`"), "{alone:?}");
}

#[test]
fn a_file_of_scenarios_is_no_runbook_of_the_folder() {
    let project = project();
    let _daemon = Daemon::start(&project);
    let list = runbook(&project, &["list"]);
    assert!(list.out.contains("move") && !list.out.contains("scenarios"), "{}", list.out);
    assert_eq!(runbook(&project, &["check", "runbooks"]).code, 0);
    project.file("runbooks/move.scenarios.yaml", &SCENARIOS.replace("runbook: move", "runbook: moev"));
    let said = runbook(&project, &["check", "runbooks"]);
    assert!(said.code == 2 && masked(&project, &said.out).contains("did you mean `move`?"), "{said:?}");
}

#[test]
fn the_library_is_rehearsed() {
    let project = Project::with_library();
    let said = offline(&project, &["test", "runbooks", "--output", "json"]);
    assert_eq!((said.code, said.err.as_str()), (0, ""), "{}", said.out);
    let value: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(value["without_scenarios"], serde_json::json!([]));
    for runbook in value["runbooks"].as_array().expect("runbooks") {
        for group in ["steps", "branches", "compensations"] {
            assert_eq!(runbook["coverage"][group]["never"], serde_json::json!([]), "{}", runbook["name"]);
        }
        for scenario in runbook["scenarios"].as_array().expect("scenarios") {
            assert_eq!(scenario["notes"], serde_json::json!([]), "{}", scenario["name"]);
        }
    }
}
