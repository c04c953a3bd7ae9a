//! A dry run changes nothing, whatever its steps are.

use runbook_proto::v1::{RunStatus, StepStatus};
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
    assert!(plan.out.contains("no run of it is over"), "it is no measure: {}", plan.out);
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
