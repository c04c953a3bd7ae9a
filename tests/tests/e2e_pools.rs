//! Pools and priorities with the real programs: who has a place, who gets the next one, and what a pool is that nobody
//! configured.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use runbook_proto::v1::RunStatus;
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, step, wait_for};
use serde_json::Value;

/// A step that needs a place, behind one that needs none.
const COPIES: &str = r#"
inputs: {n: {type: string, required: true}}
steps:
  free: {effect: idempotent, env: {N: "${{ inputs.n }}"}, run: 'echo "free $N" >> log'}
  copy:
    needs: [free]
    pool: disks
    effect: idempotent
    env: {N: "${{ inputs.n }}"}
    run: |
      echo "begin $N" >> log
      while ! test -e "go-$N"; do sleep 0.02; done
      echo "end $N" >> log
"#;

fn exec(project: &Project, n: &str, priority: &str) -> String {
    let input = format!("n={n}");
    let said = runbook(project, &["exec", "r", "-i", &input, "--priority", priority, "--detach", "--output", "json"]);
    let json: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    assert_eq!(json["run"]["priority"], *priority, "{json}");
    json["run"]["name"].as_str().expect("a name").to_owned()
}

fn pool(project: &Project) -> Value {
    let said = runbook(project, &["locks", "disks", "--output", "json"]);
    let json: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    json["pools"][0].clone()
}

#[test]
fn the_next_place_goes_to_the_highest_priority_also_after_a_death_of_the_daemon() {
    let project = Project::with("r", COPIES);
    project.file("runbookd.yaml", "pools: {disks: 1}\n");
    let daemon = Daemon::start(&project);
    let runs: Vec<String> = [("1", "low"), ("2", "low"), ("3", "normal"), ("4", "high")]
        .into_iter()
        .map(|(n, priority)| {
            let run = exec(&project, n, priority);
            wait_for("the step that needs no place", || {
                project.lines("log").contains(&format!("free {n}")).then_some(())
            });
            if n == "1" {
                wait_for("the place", || project.lines("log").contains(&"begin 1".to_owned()).then_some(()));
            } else {
                daemon.wait(&run, "the wait", |run| !step(run, "copy").waits_for.is_empty());
            }
            run
        })
        .collect();
    assert_eq!(step(&daemon.get(&runs[3]), "copy").waits_for, ["pool disks (1 of 1 taken)"]);
    daemon.kill();
    let daemon = Daemon::start(&project);
    let last = daemon.wait(&runs[3], "the wait", |run| !step(run, "copy").waits_for.is_empty());
    assert_eq!(step(&last, "copy").pool, "disks");
    let told = pool(&project);
    let holder = &told["holders"][0];
    assert_eq!((&told["capacity"], &told["taken"], &told["waiting"]), (&1.into(), &1.into(), &3.into()), "{told}");
    assert_eq!((&holder["step"], &holder["run_number"]), (&"copy".into(), &1.into()), "{told}");
    assert!(holder["since"].is_string(), "{told}");
    let queue: Vec<&Value> = told["queue"].as_array().unwrap().iter().map(|claim| &claim["run_number"]).collect();
    assert_eq!(queue, [&Value::from(4), &Value::from(3), &Value::from(2)], "{told}");
    let plan = runbook(&project, &["plan", "r", "-i", "n=9", "--output", "json"]);
    let plan: Value = serde_json::from_str(&plan.out).unwrap_or_else(|error| panic!("{error}: {plan:?}"));
    assert_eq!((&plan["steps"][1]["pool"], &plan["priority"]), (&"disks".into(), &"normal".into()), "{plan}");
    let table = runbook(&project, &["locks"]).out;
    assert!(table.contains("1 of 1") && table.contains("run 1 copy ("), "{table}");
    for n in 1..=4 {
        project.file(&format!("go-{n}"), "");
    }
    for run in &runs {
        assert_eq!(daemon.wait_over(run).status(), RunStatus::Succeeded);
    }
    let log = project.lines("log");
    let begins: Vec<&str> = log.iter().map(String::as_str).filter(|line| line.starts_with("begin")).collect();
    assert_eq!(begins, ["begin 1", "begin 4", "begin 3", "begin 2"]);
    assert_eq!(pool(&project)["taken"], 0);
}

#[test]
fn a_pool_that_nobody_configured_refuses_the_runbook_and_holds_up_what_had_begun() {
    let project = Project::with("r", COPIES);
    project.file("runbookd.yaml", "pools: {disks: 1, tapes: 2}\n");
    let daemon = Daemon::start(&project);
    let first = daemon.exec("r", &[("n", "1")]);
    wait_for("the place", || project.lines("log").contains(&"begin 1".to_owned()).then_some(()));
    let second = daemon.exec("r", &[("n", "2")]);
    daemon.wait(&second.name, "the wait", |run| !step(run, "copy").waits_for.is_empty());
    daemon.kill();
    project.file("runbookd.yaml", "pools: {disk: 1}\n");
    let daemon = Daemon::start(&project);
    let refused = daemon.try_exec("r", &[("n", "3")]).unwrap_err();
    let said = "unknown-pool: the daemon's configuration has no pool `disks` (did you mean `disk`?)";
    assert!(refused.message().contains(said), "{refused:?}");
    // What is live goes on; what needs a place waits.
    project.file("go-1", "");
    assert_eq!(daemon.wait_over(&first.name).status(), RunStatus::Succeeded);
    let waiting = daemon.get(&second.name);
    assert_eq!(step(&waiting, "copy").waits_for, ["pool disks (the configuration has none of this name)"]);
    daemon.kill();
    project.file("runbookd.yaml", "pools: {disks: 3}\n");
    project.file("go-2", "");
    let daemon = Daemon::start(&project);
    assert_eq!(daemon.wait_over(&second.name).status(), RunStatus::Succeeded);
}
