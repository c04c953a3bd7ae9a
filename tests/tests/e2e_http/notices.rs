//! `notify/*`: somebody is told, once for each key, and no run fails for it.

use runbook_proto::v1::{RunStatus, StepStatus};
use runbook_tests::e2e::{Daemon, Reply, Web, step};
use serde_json::json;

use crate::{outputs, project};

#[test]
fn people_are_told_once_for_each_key() {
    let web = Web::serve(|_, _| Reply::text(200, "ok"));
    let project = project(
        &web,
        r#"
inputs: {who: {type: string, default: "<!channel> a&b"}}
steps:
  slack: {uses: notify/slack, with: {url: URL/slack, text: "hello ${{ inputs.who }}"}}
  same: {needs: [slack], uses: notify/webhook, with: {url: URL/hook, key: same, json: {run: "${{ run.number }}"}}}
  again: {needs: [same], uses: notify/webhook, with: {url: URL/hook, key: same, json: {run: 0}}}
  soon: {needs: [again], uses: notify/webhook, with: {url: URL/hook, key: same, quiet: 1ms, json: {run: -1}}}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&daemon.exec("r", &[]).name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    let asked = web.asked();
    let bodies: Vec<serde_json::Value> = asked.iter().map(|asked| serde_json::from_str(&asked.body).unwrap()).collect();
    assert_eq!(bodies, [json!({"text": "hello &lt;!channel&gt; a&amp;b"}), json!({"run": 1}), json!({"run": -1})]);
    assert!(
        asked.iter().all(|asked| asked.method == "POST" && asked.header("content-type") == Some("application/json"))
    );
    assert_eq!(outputs(step(&run, "again")), json!({"told": false}));
    // A key holds over runs and over the daemon; without one it is the run and the step.
    drop(daemon);
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&daemon.exec("r", &[]).name);
    assert_eq!(outputs(step(&run, "same")), json!({"told": false}));
    assert_eq!(outputs(step(&run, "slack")), json!({"told": true}));
}

#[test]
fn nobody_who_can_be_told_fails_no_run() {
    let web = Web::serve(|_, _| Reply::text(400, "no"));
    let project = project(
        &web,
        "on_failure: continue\nsteps:\n  tell: {uses: notify/slack, with: {url: URL/a, text: x}}\n  next: {needs: [tell], if: always(), argv: ['true']}\n",
    );
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&daemon.exec("r", &[]).name);
    assert_eq!((run.status(), step(&run, "tell").status()), (RunStatus::Succeeded, StepStatus::Failed), "{run:#?}");
}
