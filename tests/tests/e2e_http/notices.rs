//! `notify/*`: somebody is told, once for each key, and no run fails for it.

use runbook_proto::v1::{RunStatus, StepStatus};
use runbook_tests::e2e::{Daemon, Reply, Web, step};
use serde_json::json;

use crate::{assert_clean, outputs, project};

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

#[test]
fn an_address_that_is_secret_is_told_to_nobody_whatever_the_server_says() {
    const SECRET: &str = "T0K3N/of+a-webhook";
    let url_form = SECRET.replace('/', "%2F").replace('+', "%2B");
    let web = Web::serve(move |asked, _| {
        // What it was asked, and the secret in base64 and hex.
        let hex: String = SECRET.bytes().map(|byte| format!("{byte:02x}")).collect();
        Reply::text(400, &format!("{} {SECRET} {url_form} VDBLM04vb2YrYS13ZWJob29r {hex}", asked.path))
    });
    let project = project(
        &web,
        r#"
requires: {secrets: [hook]}
on_failure: continue
steps:
  slack: {uses: notify/slack, with: {url: "URL/${{ secrets.hook }}", text: x}}
  webhook: {uses: notify/webhook, with: {url: "URL/a", json: {key: "${{ secrets.hook }}"}, headers: {X-Key: "${{ secrets.hook }}"}}}
"#,
    );
    project.file("runbookd.yaml", "secrets: {hook: {file: hook}}\n");
    project.private("hook", SECRET);
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&daemon.exec("r", &[]).name);
    for id in ["slack", "webhook"] {
        assert_eq!(step(&run, id).status(), StepStatus::Failed, "{run:#?}");
        let log = daemon.logs(&run.name, id);
        assert!(log.iter().any(|line| line.contains("*** *** *** ***")), "{log:#?}");
    }
    assert_eq!(web.asked().len(), 2);
    assert!(web.asked()[0].path.contains(SECRET) || web.asked()[1].path.contains(SECRET), "the control");
    drop(daemon);
    assert_clean(&project, SECRET);
}
