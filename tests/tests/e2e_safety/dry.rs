//! A dry run changes nothing, whatever its steps are.

use runbook_proto::v1::{Run, RunStatus, StepStatus};
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, step};
use serde_json::Value;

/// Every kind of step. Whatever writes leaves a mark.
const ALL: &str = r#"
inputs: {db: {type: string, default: orders}, key: {type: string, secret: true}}
concurrency: {group: one, overlap: skip}
locks: [net]
timeout: 1h
steps:
  look: {effect: read, run: "echo \"look $RUNBOOK_DRY_RUN\" >> read; echo n=3 >> \"$RUNBOOK_OUTPUT\"", outputs: {n: integer}}
  not-now: {needs: [look], effect: read, dry_run: skip, run: touch wrote-not-now}
  same: {needs: [look], if: steps.look.outputs.n > 2, effect: idempotent, argv: [touch, wrote-same, "${{ inputs.db }}", "${{ steps.look.outputs.n }}"]}
  other: {needs: [look], if: steps.look.outputs.n > 5, effect: idempotent, argv: [touch, wrote-other]}
  change: {needs: [same], run: "touch wrote-change\nexit 1", outputs: {id: string}, artifacts: [a.txt], verify: {run: touch wrote-verify}, on_cancel: {run: touch wrote-on-cancel}}
  use: {needs: [change], effect: read, argv: [cat, "${{ steps.change.artifacts['a.txt'] }}"]}
  ask: {needs: [change], if: steps.change.outputs.id != '', uses: approval, with: {message: "drop ${{ inputs.db }}?", roles: [dba]}}
  soak: {needs: [ask], uses: wait, with: {for: 30m}}
  window: {needs: [ask], uses: wait, with: {until: "2099-01-01T00:00:00Z"}}
  healthy: {needs: [soak], uses: wait, with: {probe: {run: touch wrote-probe}, every: 5s, for: 10m}}
  drop: {needs: [healthy, window], effect: destructive, target: "db/${{ inputs.db }}", run: touch wrote-drop}
  secret: {needs: [drop], env: {KEY: "${{ default(inputs.key, '') }}"}, run: 'touch "wrote-$KEY"'}
  last: {needs: [secret], if: "steps.drop.status == 'succeeded'", effect: read, run: "echo last >> read"}
finally:
  undo: {undoes: [change], run: touch wrote-undo}
  tidy: {run: touch wrote-tidy}
  tell: {effect: read, argv: [sh, -c, 'echo "$0" >> read', "${{ run.outcome }}"]}
"#;

/// What other runbooks, blocks and items do is looked at, too.
const BELOW: &str = r#"
inputs: {hosts: {type: list, default: [a, b]}}
steps:
  make: {run: touch wrote-make, outputs: {id: string, hosts: list}}
  call: {needs: [make], uses: runbook, with: {name: one, inputs: {host: c}}}
  skipped: {needs: [make], dry_run: skip, uses: runbook, with: {name: one, inputs: {host: e}}}
  given: {needs: [make], uses: runbook, with: {name: one, inputs: {host: "${{ steps.make.outputs.id }}"}}}
  block:
    needs: [call]
    steps:
      look: {effect: read, run: echo block >> read}
      deep: {needs: [look], uses: runbook, with: {name: one, inputs: {host: d}}}
    finally:
      tidy: {run: touch wrote-block}
  taking: {needs: [make], steps: {use: {effect: read, argv: [echo, "${{ steps.make.outputs.id }}"]}}}
  each:
    for_each: "${{ inputs.hosts }}"
    effect: read
    argv: [sh, -c, 'echo "item $0" >> read', "${{ item }}"]
  writes: {for_each: "${{ inputs.hosts }}", argv: [touch, "wrote-${{ item }}"]}
  made: {needs: [make], for_each: "${{ steps.make.outputs.hosts }}", effect: read, argv: [echo, "${{ item }}"]}
  again: {run: touch wrote-again, outputs: {left: integer}, repeat: {until: iteration.outputs.left == 0, max: 3}}
  asks: {needs: [call], if: steps.call.outputs.id != '', effect: read, argv: [touch, wrote-asks]}
  last: {needs: [block, each, writes, taking, given, made, again, asks], if: "steps.block.status == 'succeeded'", effect: read, run: echo last >> read}
"#;

/// What the runbook above starts.
const ONE: &str = r#"
inputs: {host: {type: string, required: true}}
concurrency: {group: one, overlap: skip}
locks: ["host/${{ inputs.host }}"]
outputs: {id: {type: string, value: steps.drop.outputs.id}}
steps:
  look: {effect: read, argv: [sh, -c, 'echo "look at $0 $RUNBOOK_DRY_RUN" >> read', "${{ inputs.host }}"]}
  ask: {needs: [look], uses: approval, with: {message: "drop ${{ inputs.host }}?"}}
  drop: {needs: [ask], effect: destructive, target: "host/${{ inputs.host }}", run: touch wrote-drop, outputs: {id: string}, rollback: {run: touch wrote-back}}
  broken: {needs: [drop], if: steps.drop.outputs.id == '', uses: fail, with: {message: never}}
finally:
  tidy: {run: touch wrote-one}
"#;

fn below<'r>(run: &'r Run, id: &str) -> &'r Run {
    step(run, id).child_run.as_ref().unwrap_or_else(|| panic!("no child run of {id}: {run:#?}"))
}

#[test]
fn it_goes_down_into_all_that_steps_start() {
    let project = Project::with("top", BELOW);
    project.runbook("one", ONE);
    let daemon = Daemon::start(&project);
    let said = runbook(&project, &["exec", "top", "--dry-run"]);
    assert_eq!(said.code, 0, "{said:?}\n{}", daemon.log());
    assert_eq!(wrote(&project), Vec::<String>::new());
    let mut read = project.lines("read");
    read.sort();
    assert_eq!(read, ["block", "item a", "item b", "last", "look at c true", "look at d true"]);
    let run = daemon.get("1");
    let (call, block) = (below(&run, "call"), below(&run, "block"));
    let deep = below(block, "deep");
    assert!([&run, call, block, deep, below(&run, "each")].iter().all(|run| run.dry_run));
    let lacks = |what: &str| format!("with {what}, which a dry run does not have");
    for (run, id, told) in [
        (call, "ask", "would ask: drop c?".to_owned()),
        (call, "drop", "would destroy host/c by `touch wrote-drop`".to_owned()),
        (call, "broken", "whether it runs depends on steps.drop.outputs.id, which a dry run does not have".to_owned()),
        (call, "tidy", "would run `touch wrote-one`".to_owned()),
        (deep, "drop", "would destroy host/d by `touch wrote-drop`".to_owned()),
        (block, "tidy", "would run `touch wrote-block`".to_owned()),
        (&run, "skipped", "would start one".to_owned()),
        (&run, "given", format!("would start one {}", lacks("steps.make.outputs.id"))),
        (&run, "taking", format!("would run use {}", lacks("steps.make.outputs.id"))),
        (
            &run,
            "made",
            format!(
                "would run `echo ${{{{ item }}}}`, for each of steps.make.outputs.hosts {}",
                lacks("steps.make.outputs.hosts")
            ),
        ),
        (&run, "again", "would run `touch wrote-again`, until iteration.outputs.left == 0, 3 times at most".to_owned()),
        (&run, "asks", "whether it runs depends on steps.call.outputs.id, which a dry run does not have".to_owned()),
    ] {
        let step = step(run, id);
        assert_eq!(
            (step.status(), step.message.as_str()),
            (StepStatus::Skipped, format!("dry run: {told}").as_str()),
            "{id}"
        );
    }
    let writes = below(&run, "writes");
    let told: Vec<&str> = writes.steps.iter().map(|step| step.message.as_str()).collect();
    assert_eq!(told, ["dry run: would run `touch wrote-a`", "dry run: would run `touch wrote-b`"]);
    let status = runbook(&project, &["status", "1"]);
    assert!(status.out.contains("would destroy host/d by `touch wrote-drop`"), "{}", status.out);
}

fn wrote(project: &Project) -> Vec<String> {
    let files = std::fs::read_dir(project.root()).expect("the project").filter_map(Result::ok);
    files.map(|file| file.file_name().to_string_lossy().into_owned()).filter(|name| name.starts_with("wrote")).collect()
}

#[test]
fn nothing_that_writes_runs() {
    let project = Project::with("all", ALL);
    let daemon = Daemon::start(&project);
    let said = runbook(&project, &["exec", "all", "--dry-run", "-i", "key=geheim"]);
    assert_eq!(said.code, 0, "{said:?}\n{}", daemon.log());
    assert_eq!(wrote(&project), Vec::<String>::new());
    assert_eq!(project.lines("read"), ["look true", "last", "succeeded"]);
    let run = daemon.get("1");
    assert!(run.dry_run && run.status() == RunStatus::Succeeded && run.confirmed.is_empty(), "{run:#?}");
    for (id, told) in [
        ("not-now", "dry run: would run `touch wrote-not-now`"),
        ("same", "dry run: would run `touch wrote-same orders 3`"),
        ("change", "dry run: would run `touch wrote-change …`"),
        (
            "use",
            "dry run: would run `cat ${{ steps.change.artifacts['a.txt'] }}` with steps.change.artifacts['a.txt'], which a dry run does not have",
        ),
        ("ask", "dry run: whether it runs depends on steps.change.outputs.id, which a dry run does not have"),
        ("soak", "dry run: would wait 30m"),
        ("window", "dry run: would wait until 2099-01-01T00:00:00Z"),
        ("healthy", "dry run: would probe with `touch wrote-probe` every 5s, for 10m at most"),
        ("drop", "dry run: would destroy db/orders by `touch wrote-drop`"),
        ("secret", "dry run: would run `touch \"wrote-$KEY\"`"),
        ("tidy", "dry run: would run `touch wrote-tidy`"),
    ] {
        let step = step(&run, id);
        assert_eq!((step.status(), step.message.as_str(), step.attempts), (StepStatus::Skipped, told, 0), "{id}");
    }
    // What is skipped for good is not shown.
    assert_eq!(step(&run, "other").message, "");
    assert_eq!(step(&run, "undo").attempts, 0);
    assert!(!format!("{run:?}{:?}", daemon.events("1")).contains("geheim"));
    // It is told apart everywhere.
    assert!(said.out.contains("succeeded (dry run)"), "{said:?}");
    assert!(runbook(&project, &["runs"]).out.contains("succeeded (dry run)"));
    let json: Value = serde_json::from_str(&runbook(&project, &["runs", "--output", "json"]).out).expect("JSON");
    assert_eq!(json["runs"][0]["dry_run"], true);
    assert!(runbook(&project, &["events", "1"]).out.contains(" as a dry run"));
    let plan = runbook(&project, &["plan", "all"]);
    assert!(!plan.out.contains("past run"), "it is no measure: {}", plan.out);
    // It is one after a restart as well, when the row alone is at hand.
    daemon.kill();
    let daemon = Daemon::start(&project);
    assert!(daemon.get("1").dry_run && runbook(&project, &["runs"]).out.contains("(dry run)"));
}

#[test]
fn a_dry_run_waits_for_nobody_and_holds_up_nobody() {
    let project = Project::with(
        "hold",
        "concurrency: {group: one, overlap: skip}\nlocks: [net]\nsteps:\n  hold: {effect: read, run: \"echo on >> on; while test ! -e go; do sleep 0.02; done\"}\n",
    );
    let daemon = Daemon::start(&project);
    let real = daemon.exec("hold", &[]);
    daemon.wait(&real.name, "its step", |run| step(run, "hold").attempts == 1);
    assert_eq!(runbook(&project, &["exec", "hold", "--dry-run", "--detach"]).code, 0);
    daemon.wait("2", "its step too", |run| step(run, "hold").attempts == 1);
    project.file("go", "");
    daemon.wait_over(&real.name);
    assert_eq!(daemon.wait_over("2").status(), RunStatus::Succeeded);
}

#[test]
fn a_dry_run_that_failed_is_resumed_as_one() {
    let project = Project::with(
        "look",
        "steps:\n  write: {run: touch wrote}\n  look: {needs: [write], effect: read, run: test -e mended}\n  more: {needs: [look], run: touch wrote-more}\n",
    );
    let daemon = Daemon::start(&project);
    assert_eq!(runbook(&project, &["exec", "look", "--dry-run"]).code, 1);
    project.file("mended", "");
    assert_eq!(runbook(&project, &["resume", "1"]).code, 0, "{}", daemon.log());
    assert_eq!(wrote(&project), Vec::<String>::new());
    assert!(daemon.get("1").dry_run);
}
