//! Looking ahead and back: what a start would do, and how two runs differ.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use runbook_tests::e2e::command::{Said, command, runbook};
use runbook_tests::e2e::{Daemon, Project, golden, masked, masked_json};
use serde_json::Value;

use crate::project::{project, release, wait_held};

const SHIP: &str = r#"
inputs:
  to: {type: string, required: true}
  prod: {type: boolean, default: false}
  token: {type: string, secret: true}
requires: {tools: [no-such-tool], secrets: [no_such_secret]}
concurrency: {group: "ship/${{ inputs.to }}", overlap: queue}
locks: ["net/${{ inputs.to }}"]
steps:
  build: {effect: idempotent, argv: ["true"], outputs: {files: integer}}
  test: {needs: [build], if: steps.build.outputs.files > 0, effect: read, argv: ["true"]}
  wipe: {needs: [build], if: inputs.prod, effect: destructive, target: "db/${{ inputs.to }}", argv: ["true"]}
  fill: {needs: [wipe], argv: ["true"]}
  after: {needs: [test], argv: ["true"], env: {TOKEN: "${{ default(inputs.token, '') }}"}}
finally:
  tell: {argv: ["true"]}
"#;

fn text(said: &Said) -> String {
    format!("{}--- standard error\n{}", said.out, said.err)
}

/// Definitions have another hash with every version.
fn without_digest(text: &str) -> String {
    let rule = regex::Regex::new(r"definition [0-9a-f]{12}").expect("a pattern");
    rule.replace_all(text, "definition DIGEST").into_owned()
}

#[test]
fn a_plan_tells_what_can_be_known() {
    let project = project();
    project.runbook("ship", SHIP);
    let daemon = Daemon::start(&project);
    for (name, code, arguments) in [
        ("plan", 6, &["plan", "ship", "-i", "to=a", "-i", "token=geheim"][..]),
        ("plan-prod", 0, &["plan", "./runbooks/ship.yaml", "-i", "to=a", "-i", "prod=true", "--skip-preflight"]),
        ("plan-inputs", 2, &["plan", "ship", "-i", "prod=maybe", "-i", "too=a"]),
    ] {
        let said = runbook(&project, arguments);
        assert_eq!(said.code, code, "{arguments:?}: {said:?}\n{}", daemon.log());
        golden(&format!("cli/{name}.txt"), &without_digest(&text(&said)));
        assert!(!text(&said).contains("geheim"));
    }
    let said = runbook(&project, &["plan", "ship", "-i", "to=a", "--output", "json"]);
    let value: Value = serde_json::from_str(&said.out).expect("JSON");
    golden("cli/json-plan.txt", &masked_json(&project, &value));
    assert!(runbook(&project, &["runs"]).out.is_empty(), "a plan is no run");
}

#[test]
fn a_plan_tells_who_is_asked_and_what_is_waited_for() {
    let project = Project::with(
        "move",
        "steps:\n  go: {uses: approval, with: {message: go, roles: [dba, ops], approvals: 2, not_requester: true, timeout: 4h, on_timeout: fail}}\n  \
         cool: {needs: [go], uses: wait, with: {for: 5h}}\n  below: {needs: [cool], uses: runbook, with: {name: other}}\n",
    );
    project.runbook("other", "steps: {ask: {uses: approval, with: {message: m}}}\n");
    let _daemon = Daemon::start(&project);
    let said = runbook(&project, &["plan", "move"]);
    let told = said.out.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "asks for 2 approvals by dba or ops, not by who starts it; after 4h it fails",
        " may not",
        "waits 5h",
        "asks for an approval",
        // A span is known.
        "about 5 h 00 min, if slow 5 h 00 min: cool",
        "what these wait for comes on top: go, below/ask",
    ] {
        assert!(told.contains(part), "{part}: {}", said.out);
    }
    let said = runbook(&project, &["plan", "move", "--output", "json"]);
    let plan: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(plan["steps"][1]["waits"], "waits 5h", "{plan:#}");
}

#[test]
fn a_plan_tells_what_is_inside_and_how_long_that_took() {
    let project = Project::with(
        "rolling",
        r#"
inputs: {nodes: {type: list, default: [a, b]}}
steps:
  up:
    for_each: ${{ inputs.nodes }}
    steps:
      drain: {argv: ["true"], locks: ["node/${{ item }}"]}
      check: {needs: [drain], uses: runbook, with: {name: check, inputs: {node: "${{ item }}"}}}
      first: {needs: [check], if: "item == 'a'", argv: ["true"]}
  again:
    needs: [up]
    repeat: {until: iteration.number == 2, max: 2}
    steps: {turn: {argv: ["true"]}}
"#,
    );
    project.runbook("check", "inputs: {node: {type: string, required: true}}\nsteps: {ask: {argv: [\"true\"]}}\n");
    let _daemon = Daemon::start(&project);
    let planned = || -> Value {
        let said = runbook(&project, &["plan", "rolling", "--output", "json"]);
        serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"))
    };
    let inside = |plan: &Value| {
        let (up, again) = (&plan["steps"][0]["below"], &plan["steps"][1]["below"]);
        [up[0].clone(), up[1]["below"][0].clone(), up[2].clone(), again[0].clone()]
    };
    let plan = planned();
    let steps = inside(&plan);
    assert_eq!(
        steps.each_ref().map(|step| step["id"].as_str()),
        ["drain", "ask", "first", "turn"].map(Some),
        "{plan:#}"
    );
    assert_eq!(steps[0]["locks"][0]["name"], "node/${{ item }}");
    assert_eq!((steps[2]["outlook"].as_str(), steps[2]["asks"][0].as_str()), (Some("open"), Some("item")));
    assert_eq!(steps.each_ref().map(|step| step["samples"].as_u64()), [Some(0); 4]);
    assert_eq!(runbook(&project, &["exec", "rolling"]).code, 0);
    let plan = planned();
    assert_eq!(inside(&plan).map(|step| step["samples"].as_u64()), [2, 2, 1, 2].map(Some), "{plan:#}");
}

#[test]
fn a_plan_knows_what_past_runs_took() {
    let project = project();
    let _daemon = Daemon::start(&project);
    let before = runbook(&project, &["plan", "ok"]);
    assert!(before.out.contains("nothing is known of how long it takes: no run of it is over"), "{before:?}");
    assert_eq!(runbook(&project, &["exec", "ok"]).code, 0);
    assert_eq!(runbook(&project, &["exec", "ok"]).code, 0);
    let said = runbook(&project, &["plan", "ok"]);
    assert!(
        masked(&project, &said.out).contains("about SPAN, if slow SPAN (by 2 past runs): make → use → tidy"),
        "{said:?}"
    );
    let json = runbook(&project, &["plan", "ok", "--output", "json"]);
    let value: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((value["steps"][0]["samples"].as_u64(), value["unmeasured"][0].as_str()), (Some(2), Some("not")));
}

/// Holds a group, and refuses a second run of it.
const ALONE: &str = r#"
concurrency: {group: one, overlap: skip}
locks: [net]
steps:
  wait:
    effect: idempotent
    run: |
      echo $$ >> starts
      while test -e hold; do sleep 0.02; done
"#;

#[test]
fn a_plan_and_a_validation_meet_who_holds_the_group() {
    let project = Project::with("alone", ALONE);
    project.file("hold", "");
    let daemon = Daemon::start(&project);
    assert!(runbook(&project, &["plan", "alone"]).out.ends_with("would start\n"));
    daemon.exec("alone", &[]);
    wait_held(&project);
    let said = runbook(&project, &["plan", "alone"]);
    assert_eq!(said.code, 6, "{said:?}");
    let out = &said.out;
    assert!(out.contains("lock net  held by run 1 alone (running) for "), "{out}");
    assert!(out.contains("would be refused: run 1 of the same group (one) is running"), "{out}");
    let validated = runbook(&project, &["exec", "alone", "--validate-only"]);
    assert!(validated.code == 6 && validated.err.contains("run 1 of the same group"), "{validated:?}");
    release(&project);
    daemon.wait_over("1");
    assert_eq!(runbook(&project, &["exec", "alone", "--validate-only"]).code, 0);
}

#[test]
fn two_runs_are_compared() {
    let project = project();
    let daemon = Daemon::start(&project);
    assert_eq!(runbook(&project, &["exec", "ok"]).code, 0);
    let source = project.read("runbooks/ok.yaml").expect("a runbook").replace("echo \"n=3\"", "echo \"n=9\"");
    project.file(
        "runbooks/ok.yaml",
        &source.replace("description: Makes a number", "timeout: 1h\ndescription: Makes a number"),
    );
    assert_eq!(runbook(&project, &["exec", "ok", "-i", "who=you"]).code, 0);
    let user = daemon.get("1").started_by.expect("somebody").name;
    let same = runbook(&project, &["diff", "1", "1"]);
    assert_eq!(same.code, 0, "{same:?}\n{}", daemon.log());
    for (name, arguments) in [("diff", &["diff", "1", "2"][..]), ("diff-same", &["diff", "1", "1", "--all"])] {
        let said = runbook(&project, arguments);
        assert_eq!(said.code, 0, "{said:?}");
        let text = masked(&project, &said.out.replace(&format!("by {user},"), "by WHO,"));
        let line = |line: &str| {
            let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
            cells.collect::<Vec<_>>().join("  ") + "\n"
        };
        let text: String = without_digest(&text).lines().map(line).collect();
        golden(&format!("cli/{name}.txt"), &text);
    }
    let said = runbook(&project, &["diff", "1", "last", "--output", "json"]);
    let value: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(value["keys"], serde_json::json!(["timeout"]));
    assert_eq!(value["inputs"], serde_json::json!([{"name": "who", "first": "world", "second": "you"}]));
    assert_eq!(value["steps"][0]["keys"], serde_json::json!(["run or argv"]));
    assert_eq!(runbook(&project, &["diff", "1", "77"]).code, 2);
}

#[test]
fn who_waits_for_others_says_so() {
    let project = project();
    project.runbook("alone", &ALONE.replace("overlap: skip", "overlap: queue"));
    project.runbook("locked", "steps: {b: {argv: [\"true\"], locks: [db]}}\n");
    project.runbook(
        "holder",
        "steps: {a: {effect: idempotent, locks: [db], run: 'while test -e hold; do sleep 0.02; done'}}\n",
    );
    project.file("hold", "");
    let daemon = Daemon::start(&project);
    for name in ["alone", "holder", "alone", "locked"] {
        assert_eq!(runbook(&project, &["exec", name, "--detach"]).code, 0);
    }
    daemon.wait("3", "its place in the queue", |run| !run.waits_for.is_empty());
    daemon.wait("4", "its wait for the lock", |run| run.steps.iter().any(|step| !step.waits_for.is_empty()));
    let listed = runbook(&project, &["runs"]).out;
    assert!(listed.contains("waits for lock net (run 1), group one (run 1)"), "{listed}");
    assert!(listed.contains("waits for lock db (step a of run 2) for its step b"), "{listed}");
    // Who watches without a terminal hears of it, too.
    let mut watchers = Vec::new();
    for (run, what) in
        [("3", "run 3: waits for group one (run 1)"), ("4", "step b: waits for lock db (step a of run 2)")]
    {
        let mut watching = command(&project, &["watch", run]).stdout(Stdio::piped()).spawn().expect("watch");
        let mut lines = BufReader::new(watching.stdout.take().expect("its output")).lines();
        let told = lines.find(|line| line.as_ref().is_ok_and(|line| line.ends_with(what)));
        assert!(told.is_some(), "nobody said {what:?}");
        // It goes on reading, so that nothing is written in vain.
        watchers.push((watching, std::thread::spawn(move || lines.count())));
    }
    std::fs::remove_file(project.path("hold")).expect("the end");
    for (mut watching, reading) in watchers {
        assert!(watching.wait().expect("its end").success());
        reading.join().expect("its lines");
    }
}
