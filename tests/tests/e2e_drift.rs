//! What differs from what is written, as data that outlives its runs: with terraform itself where there is one, and with a
//! stand-in that says so of itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use runbook_proto::v1::{ListDriftRequest, RunStatus};
use runbook_tests::e2e::command::{Said, runbook};
use runbook_tests::e2e::injection::skip;
use runbook_tests::e2e::{Daemon, Project, wait_for};
use serde_json::{Value, json};

/// A program in the place of terraform: its plan is the file `plan.json` in the stack, and it fails where a file `broken` is.
const STAND_IN: &str = r#"#!/bin/sh
if test "$1" = show; then exec cat plan.json; fi
echo '{"@message": "a stand-in, and no terraform"}'
if test -e broken; then
  echo '{"type": "diagnostic", "@message": "no", "diagnostic": {"severity": "error", "summary": "no credentials"}}'
  exit 1
fi
exit 2
"#;

const LOOK: &str = "steps: {look: {uses: terraform/drift, with: {dir: stacks/net, program: PROGRAM}}}\n";

/// A plan that would update these resources, each with the names of what differs of it.
fn plan(project: &Project, stack: &str, resources: &[(&str, &[&str])]) {
    plan_of(project, stack, resources, "hunter2-before");
}

/// The same, with what is there now.
fn plan_of(project: &Project, stack: &str, resources: &[(&str, &[&str])], before: &str) {
    let changes = resources.iter().map(|(address, attributes)| {
        let of = |value: &str| attributes.iter().map(|name| ((*name).to_owned(), json!(value))).collect::<Value>();
        json!({"address": address, "change": {"actions": ["update"], "before": of(before), "after": of("after")}})
    });
    let changes: Vec<Value> = changes.collect();
    project.file(&format!("stacks/{stack}/plan.json"), &json!({"resource_changes": changes}).to_string());
}

fn project() -> Project {
    let project = Project::new();
    let program = project.file("terraform", STAND_IN);
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let look = LOOK.replace("PROGRAM", program.to_str().unwrap());
    project.runbook("look", &look);
    project.runbook("dns", &look.replace("stacks/net", "./stacks/dns/"));
    for name in ["dev", "prod"] {
        project.file(&format!("runbooks/environments/{name}.yaml"), &format!("name: {name}\nlanguage: 1\n"));
    }
    project
}

/// The stacks, and the exit code.
fn drift(project: &Project, arguments: &[&str]) -> (Vec<Value>, i32) {
    let said = runbook(project, &[&["drift", "--output", "json"], arguments].concat());
    let answer: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    (answer["stacks"].as_array().unwrap().clone(), said.code)
}

fn exec(project: &Project, arguments: &[&str]) -> i32 {
    runbook(project, &[&["exec"], arguments].concat()).code
}

/// Of each difference: its address, the number of the run that saw it first, whether it is new, whether it is accepted.
fn told(stack: &Value) -> Vec<(String, u64, bool, bool)> {
    let of = |it: &Value| {
        let first = it["first_seen"]["number"].as_u64().unwrap();
        (it["address"].as_str().unwrap().to_owned(), first, it["new"] == true, it["accepted"] == true)
    };
    stack["differences"].as_array().unwrap().iter().map(of).collect()
}

fn named(all: &[(&str, u64, bool, bool)]) -> Vec<(String, u64, bool, bool)> {
    all.iter().map(|(address, first, new, accepted)| ((*address).to_owned(), *first, *new, *accepted)).collect()
}

/// Accepts a difference for thirty days.
fn accept(project: &Project, address: &str, more: &[&str]) -> Said {
    let ahead = Command::new("date").args(["-u", "-d", "+30 days", "+%Y-%m-%dT%H:%M:%SZ"]).output().unwrap();
    let until = String::from_utf8(ahead.stdout).unwrap();
    let words =
        ["drift", "accept", address, "--until", until.trim(), "--reason", "resized by hand", "--output", "json"];
    runbook(project, &[&words[..], more].concat())
}

#[test]
fn drift_outlives_its_runs_and_is_accepted_for_a_time() {
    let project = project();
    let daemon = Daemon::start(&project);
    assert_eq!(drift(&project, &[]), (Vec::new(), 4), "nobody looked");
    let never = runbook(&project, &["drift", "--env", "prod", "--stack", "stacks/net"]);
    let nobody = "no step has looked yet at stacks/net in prod, and nobody knows";
    assert!(never.code == 4 && (never.out + &never.err).contains(nobody), "{nobody}");
    let nix = runbook(&project, &["drift", "--env", "nix"]);
    assert!(nix.code == 2 && nix.err.contains("there is no environment \"nix\"; there are dev, prod"), "{nix:?}");
    plan(&project, "net", &[("a.web", &["size"])]);
    assert_eq!(exec(&project, &["look"]), 0, "drift is no failure");
    let (stacks, code) = drift(&project, &[]);
    assert_eq!((told(&stacks[0]), code), (named(&[("a.web", 1, true, false)]), 1), "{stacks:#?}");
    assert_eq!(stacks[0]["differences"][0]["attributes"], json!(["size"]));
    plan(&project, "net", &[("a.db", &[]), ("a.web", &["size"])]);
    assert_eq!(exec(&project, &["look"]), 0);
    let both = named(&[("a.db", 2, true, false), ("a.web", 1, false, false)]);
    assert_eq!(told(&drift(&project, &[]).0[0]), both);
    assert_eq!(told(&drift(&project, &["--new"]).0[0]), both[..1]);

    let accepted = accept(&project, "a.web", &[]);
    assert_eq!(accepted.code, 0, "{accepted:?}");
    let accepted: Value = serde_json::from_str(&accepted.out).unwrap();
    assert_eq!(accepted["differences"][0]["acceptance"]["reason"], "resized by hand");
    let gone = accept(&project, "a.gone", &[]);
    assert!(gone.code > 1 && gone.err.contains("nothing differs at"), "{gone:?}");
    for (until, why) in [("2999-01-01T00:00:00Z", "at most 366 days"), ("2019-01-01T00:00:00Z", "name a time to come")]
    {
        let said = runbook(&project, &["drift", "accept", "a.web", "--until", until, "--reason", "x"]);
        assert!(said.code == 2 && said.err.contains(why), "{said:?}");
    }
    let silent = runbook(&project, &["drift", "accept", "a.web", "--until", "23:59", "--reason", " "]);
    assert!(silent.code == 2 && silent.err.contains("say why it is accepted"), "{silent:?}");
    // Killed, and its runs removed: what is known of drift is as it was.
    daemon.kill();
    project.file("runbookd.yaml", "retention: {runs: 0}\n");
    let daemon = Daemon::start(&project);
    let expected = named(&[("a.db", 2, true, false), ("a.web", 1, false, true)]);
    assert_eq!((told(&drift(&project, &[]).0[0]), drift(&project, &[]).1), (expected, 1));
    plan(&project, "net", &[("a.web", &["size"])]);
    assert_eq!(exec(&project, &["look"]), 0);
    assert_eq!(drift(&project, &[]).1, 0, "what is there is accepted");
    // What is there now is not what was accepted, although it is the same attribute; and it is told by no value.
    plan_of(&project, "net", &[("a.web", &["size"])], "hunter2-again");
    assert_eq!(exec(&project, &["look"]), 0);
    let (stacks, code) = drift(&project, &[]);
    assert_eq!((told(&stacks[0]), code), (named(&[("a.web", 1, true, false)]), 1), "{stacks:#?}");
    assert_eq!(accept(&project, "a.web", &[]).code, 0);
    assert_eq!(exec(&project, &["look"]), 0);
    assert_eq!(drift(&project, &[]).1, 0, "what is there is accepted");
    // In another way it is another difference.
    plan(&project, "net", &[("a.web", &["size", "tags"])]);
    assert_eq!(exec(&project, &["look"]), 0);
    let (stacks, code) = drift(&project, &[]);
    assert_eq!((told(&stacks[0]), code), (named(&[("a.web", 1, true, false)]), 1), "{stacks:#?}");
    let said = runbook(&project, &["drift"]);
    for part in ["stacks/net", "1 that nobody accepted", "a.web  update: size, tags  new", "first seen by run 1"] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    plan(&project, "net", &[]);
    assert_eq!(exec(&project, &["look"]), 0);
    let (stacks, code) = drift(&project, &[]);
    assert_eq!((told(&stacks[0]), code), (Vec::new(), 0));
    // No value of what differs was written anywhere but to the program's own file.
    let found =
        Command::new("grep").args(["-rlE", "hunter2-(before|again)"]).arg(project.path(".runbook")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    drop(daemon);
}

#[test]
fn an_error_is_no_drift_and_a_dry_run_looks_at_nothing_that_counts() {
    let project = project();
    let daemon = Daemon::start(&project);
    plan(&project, "net", &[("a.web", &["size"])]);
    assert_eq!(exec(&project, &["look", "--dry-run"]), 0);
    assert_eq!(drift(&project, &[]), (Vec::new(), 4));
    project.file("stacks/net/broken", "");
    assert_eq!(exec(&project, &["look"]), 1);
    let (stacks, code) = drift(&project, &[]);
    let why = stacks[0]["failed_look"]["message"].as_str().unwrap();
    assert!(why.contains("no credentials") && code == 4, "{stacks:#?}");
    assert_eq!(stacks[0]["last_look"], Value::Null);
    std::fs::remove_file(project.path("stacks/net/broken")).unwrap();
    assert_eq!(exec(&project, &["look"]), 0);
    project.file("stacks/net/broken", "");
    assert_eq!(exec(&project, &["look"]), 1);
    let (stacks, code) = drift(&project, &[]);
    let number = |look: &str| stacks[0][look]["number"].as_u64();
    assert_eq!((number("last_look"), number("failed_look"), code), (Some(3), Some(4), 1), "{stacks:#?}");
    assert_eq!(told(&stacks[0]), named(&[("a.web", 3, true, false)]), "what was known is known");
    drop(daemon);
}

#[test]
fn very_much_drift_is_no_failure_and_all_of_it_is_counted() {
    let project = project();
    let daemon = Daemon::start(&project);
    let names: Vec<String> = (0..5_000).map(|number| format!("module.net.aws_instance.web[{number:04}]")).collect();
    let all: Vec<(&str, &[&str])> = names.iter().map(|name| (name.as_str(), &["size", "tags"][..])).collect();
    plan(&project, "net", &all);
    assert_eq!(exec(&project, &["look"]), 0);
    let (stacks, code) = drift(&project, &[]);
    let shown = stacks[0]["differences"].as_array().unwrap().len();
    assert_eq!((shown as u64 + stacks[0]["left_out"].as_u64().unwrap(), code), (5_000, 1));
    assert_eq!(stacks[0]["differences"][0]["address"], names[0].as_str());
    drop(daemon);
}

#[test]
fn a_stack_is_one_of_its_environment() {
    let project = project();
    let daemon = Daemon::start(&project);
    plan(&project, "net", &[("a.web", &[])]);
    plan(&project, "dns", &[("a.web", &[]), ("a.zone", &[])]);
    for arguments in [&["look", "--env", "dev"], &["look", "--env", "prod"], &["dns", "--env", "prod"]] {
        assert_eq!(exec(&project, arguments), 0);
    }
    let names = |stacks: &[Value]| -> Vec<String> {
        stacks.iter().map(|it| format!("{}:{}", it["environment"], it["stack"]).replace('"', "")).collect()
    };
    let (stacks, _) = drift(&project, &[]);
    assert_eq!(names(&stacks), ["dev:stacks/net", "prod:stacks/dns", "prod:stacks/net"]);
    assert_eq!(names(&drift(&project, &["--env", "dev"]).0), ["dev:stacks/net"]);
    // What is known outlives the file of its environment.
    std::fs::remove_file(project.path("runbooks/environments/dev.yaml")).unwrap();
    assert_eq!(names(&drift(&project, &["--env", "dev"]).0), ["dev:stacks/net"]);
    assert_eq!(names(&drift(&project, &["--stack", "stacks/dns"]).0), ["prod:stacks/dns"]);
    let accept = |more: &[&str]| accept(&project, "a.web", more);
    let ambiguous = accept(&["--env", "prod"]);
    assert_eq!(ambiguous.code, 6, "{ambiguous:?}");
    assert!(ambiguous.err.contains("terraform stacks/dns, workspace default, in prod"), "{ambiguous:?}");
    assert_eq!(accept(&["--env", "prod", "--stack", "stacks/net"]).code, 0);
    let (stacks, _) = drift(&project, &["--stack", "stacks/net"]);
    assert_eq!(told(&stacks[0]), named(&[("a.web", 1, true, false)]));
    assert_eq!(told(&stacks[1]), named(&[("a.web", 2, true, true)]));
    // Page by page it is the same.
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListDriftRequest { page_size: 1, page_token, ..Default::default() };
        let page = daemon.system(|mut client| async move { client.list_drift(request).await }).unwrap();
        seen.extend(page.stacks.iter().flat_map(|it| it.differences.iter().map(|it| it.address.clone())));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["a.web", "a.web", "a.zone", "a.web"]);
}

#[test]
fn terraform_says_what_was_changed_by_hand() {
    let there = Command::new("terraform").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        skip("there is no terraform on this machine");
        return;
    }
    let project = Project::with("look", "steps: {look: {uses: terraform/drift, with: {dir: stack}}}\n");
    project.file("stack/main.tf", "resource \"terraform_data\" \"site\" {\n  input = 1\n}\n");
    let terraform = |words: &[&str]| {
        let mut command = Command::new("terraform");
        // Nobody is asked whether there is a newer one.
        command.args(words).current_dir(project.path("stack")).env("CHECKPOINT_DISABLE", "1").stdout(Stdio::null());
        let status = command.status();
        assert!(status.unwrap().success(), "{words:?}");
    };
    terraform(&["init", "-input=false"]);
    terraform(&["apply", "-auto-approve", "-input=false"]);
    terraform(&["workspace", "new", "blue"]);
    let daemon = Daemon::start(&project);
    let look = || {
        let run = daemon.wait_over(&daemon.exec("look", &[]).name);
        assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{:?}", daemon.logs(&run.name, "look"));
    };
    look();
    terraform(&["workspace", "select", "default"]);
    look();
    let (stacks, _) = wait_for("both workspaces", || Some(drift(&project, &[])).filter(|(it, _)| it.len() == 2));
    assert_eq!((&stacks[0]["workspace"], &stacks[1]["workspace"]), (&json!("blue"), &json!("default")));
    assert_eq!(stacks[0]["differences"][0]["action"], "create");
    assert_eq!(told(&stacks[1]), Vec::new());
    project.file("stack/main.tf", "resource \"terraform_data\" \"site\" {\n  input = 2\n}\n");
    look();
    let (stacks, code) = drift(&project, &[]);
    assert_eq!((told(&stacks[1]), code), (named(&[("terraform_data.site", 3, true, false)]), 1), "{stacks:#?}");
    assert!(stacks[1]["differences"][0]["attributes"].as_array().unwrap().contains(&json!("input")), "{stacks:#?}");
}
