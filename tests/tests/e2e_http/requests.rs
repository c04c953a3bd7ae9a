//! What is sent: method, query, headers, bodies, keys, and what of it is shown.

use runbook_proto::v1::{RunStatus, StepStatus};
use runbook_tests::e2e::{Daemon, Reply, Web, step};
use serde_json::json;

use crate::{assert_clean, outputs, project, run};

#[test]
fn a_request_is_what_the_step_says_and_its_answer_is_typed() {
    let web = Web::serve(|asked, _| match asked.method.as_str() {
        "POST" => Reply::Answer(
            201,
            vec![("x-kind", "order".to_owned()), ("set-cookie", "session=1".to_owned())],
            br#"{"id": 7, "items": ["a", null]}"#.to_vec(),
        ),
        _ => Reply::text(200, "seen"),
    });
    let project = project(
        &web,
        r#"
inputs: {item: {type: string, default: "a b&c"}, count: {type: integer, default: 3}}
steps:
  order:
    uses: http
    with:
      method: POST
      url: URL/orders
      query: {item: "${{ inputs.item }}"}
      headers: {X-Trace: "run ${{ run.number }}"}
      json: {item: "${{ inputs.item }}", count: "${{ inputs.count }}", text: "count ${{ inputs.count }}", more: [1, null, "${{ [inputs.count] }}"]}
      answer: json
      expect: attempt.outputs.json.id > 0
  look:
    needs: [order]
    uses: http
    with: {url: "URL/orders/${{ steps.order.outputs.json.id }}"}
  tell:
    needs: [look]
    argv: [echo, "${{ steps.look.outputs.body }} ${{ steps.order.outputs.status }} ${{ steps.order.outputs.headers['x-kind'] }}"]
"#,
    );
    let (daemon, run) = run(&project);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    let asked = web.asked();
    assert_eq!((asked[0].method.as_str(), asked[0].path.as_str()), ("POST", "/orders?item=a+b%26c"));
    let body: serde_json::Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(body, json!({"item": "a b&c", "count": 3, "text": "count 3", "more": [1, null, [3]]}));
    assert_eq!(asked[0].header("content-type"), Some("application/json"));
    assert_eq!(asked[0].header("x-trace"), Some("run 1"));
    let uid = run.name.trim_start_matches("runs/");
    assert_eq!(asked[0].header("idempotency-key"), Some(format!("{uid}/order/0").as_str()));
    assert_eq!((asked[1].path.as_str(), asked[1].header("idempotency-key")), ("/orders/7", None));
    let order = outputs(step(&run, "order"));
    assert_eq!((&order["status"], &order["json"]), (&json!(201), &json!({"id": 7, "items": ["a", null]})));
    assert_eq!((order["headers"].get("x-kind"), order["headers"].get("set-cookie")), (Some(&json!("order")), None));
    assert_eq!(daemon.logs(&run.name, "tell"), ["seen 201 order"]);
    let log = daemon.logs(&run.name, "order");
    assert_eq!(log, [format!("POST {}/orders", web.url()), "HTTP/1.1 201 Created".to_owned()]);
}

#[test]
fn a_secret_reaches_the_server_and_nothing_else() {
    const SECRET: &str = "s3cr3t-t0ken-value";
    let web = Web::serve(|_, number| match number {
        0 => Reply::text(401, &format!("no {SECRET} here")),
        _ => Reply::text(200, &format!("echo {SECRET}")),
    });
    let project = project(
        &web,
        r#"
requires: {secrets: [token]}
on_failure: continue
steps:
  refused:
    uses: http
    with:
      url: "URL/${{ secrets.token }}/a"
      headers: {Authorization: "Bearer ${{ secrets.token }}"}
  echoed:
    needs: [refused]
    if: always()
    uses: http
    with: {url: URL/b, user: me, password: "${{ secrets.token }}"}
"#,
    );
    project.file("runbookd.yaml", "secrets: {token: {file: token}}\n");
    project.private("token", SECRET);
    let (daemon, run) = run(&project);
    let asked = web.asked();
    assert_eq!(asked[0].path, format!("/{SECRET}/a"));
    assert_eq!(asked[0].header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
    assert_eq!(asked[1].header("authorization"), Some("Basic bWU6czNjcjN0LXQwa2VuLXZhbHVl"));
    assert_eq!(step(&run, "refused").message, "it exited with 1; the server answered 401 Unauthorized");
    // An output that holds a secret would be kept for everybody.
    assert_eq!(step(&run, "echoed").status(), StepStatus::Failed);
    assert!(step(&run, "echoed").message.contains("what it found holds a secret"), "{run:#?}");
    let log = daemon.logs(&run.name, "refused");
    assert_eq!(log[..3], ["GET to a secret URL", "HTTP/1.1 401 Unauthorized", "no *** here"]);
    drop(daemon);
    assert_clean(&project, SECRET);
}

#[test]
fn a_server_that_sends_a_secret_back_fails_the_step() {
    const SECRET: &str = "s3cr3t/W\u{f6}rd+77!x\"y";
    let web = Web::serve(|asked, _| match asked.path.as_str() {
        "/good" => Reply::text(200, &asked.body.replace("s3cr3t", "")),
        "/ascii" => Reply::text(200, &asked.body.replace('\u{f6}', "\\u00f6")),
        "/other" => Reply::text(400, &asked.body),
        "/long" => Reply::text(200, &format!("{}{}", "x".repeat(1 << 20), asked.body)),
        _ => Reply::text(200, &asked.body),
    });
    let with = |path: &str, rest: &str| {
        format!(
            "{{uses: http, with: {{method: PUT, url: URL/{path}, json: {{a: \"${{{{ secrets.token }}}}\"}}{rest}}}}}"
        )
    };
    let steps = [("raw", ""), ("ascii", ""), ("json", ", answer: json"), ("other", "")];
    let files = [("file", ", answer: file"), ("long", ", answer: file"), ("good", ", answer: file")];
    let all = steps.iter().chain(&files);
    let steps: String = all.map(|(id, rest)| format!("  {id}: {}\n", with(id, rest))).collect();
    let project = project(&web, &format!("requires: {{secrets: [token]}}\non_failure: continue\nsteps:\n{steps}"));
    project.file("runbookd.yaml", "secrets: {token: {file: token}}\n");
    project.private("token", SECRET);
    let (daemon, run) = run(&project);
    let sent = serde_json::json!({ "a": SECRET }).to_string();
    assert!(web.asked().iter().all(|asked| asked.body == sent));
    for id in ["raw", "ascii", "json"] {
        assert_eq!(step(&run, id).status(), StepStatus::Failed, "{id}");
        assert!(step(&run, id).message.contains("what it found holds a secret"), "{id}: {run:#?}");
    }
    for id in ["file", "long"] {
        let step = step(&run, id);
        assert_eq!((step.status(), step.artifacts.len()), (StepStatus::Failed, 0), "{id}");
        assert!(step.message.contains("holds the value of a secret"), "{id}: {step:#?}");
    }
    assert_eq!(step(&run, "good").artifacts.len(), 1, "{run:#?}");
    assert_eq!(daemon.logs(&run.name, "other")[2], r#"{"a":"***"}"#);
    drop(daemon);
    assert_clean(&project, SECRET);
}

#[test]
fn polling_is_a_wait_with_a_request_as_its_probe() {
    let web = Web::serve(|_, number| match number {
        0 => Reply::text(503, "starting"),
        1 => Reply::text(200, r#"{"state": "pending"}"#),
        _ => Reply::text(200, r#"{"state": "ready", "version": "1.2"}"#),
    });
    let project = project(
        &web,
        r#"
steps:
  ready:
    uses: wait
    with:
      probe: {uses: http, with: {url: URL/health, answer: json}}
      until: "default(attempt.outputs.json, {'state': ''}).state == 'ready'"
      every: 1s
      for: 1m
  tell: {needs: [ready], argv: [echo, "${{ steps.ready.outputs.json.version }}"]}
"#,
    );
    let (daemon, run) = run(&project);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    assert_eq!(web.asked().len(), 3);
    assert_eq!(daemon.logs(&run.name, "tell"), ["1.2"]);
}

#[test]
fn a_dry_run_reads_and_shows_what_it_would_write() {
    let web = Web::serve(|_, _| Reply::text(200, "ok"));
    let project = project(
        &web,
        "steps:\n  look: {uses: http, with: {url: URL/a}}\n  change: {uses: http, with: {method: POST, url: URL/b, json: {}}}\n",
    );
    let daemon = Daemon::start(&project);
    let request = runbook_proto::v1::StartRunRequest { runbook: "r".to_owned(), dry_run: true, ..Default::default() };
    let started = daemon.runs(|mut client| async move { client.start_run(request).await }).unwrap();
    let run = daemon.wait_over(&started.run.unwrap().name);
    assert_eq!(step(&run, "look").status(), StepStatus::Succeeded, "{run:#?}");
    assert_eq!(step(&run, "change").status(), StepStatus::Skipped);
    assert!(
        step(&run, "change").message.contains(&format!("would run `http method: POST url: {}/b", web.url())),
        "{run:#?}"
    );
    assert_eq!(web.asked().iter().map(|asked| asked.path.as_str()).collect::<Vec<_>>(), ["/a"]);
}
