//! What is made of answers: statuses, conditions, sizes, files, redirects.

use runbook_proto::v1::StepStatus;
use runbook_tests::e2e::{Reply, Web, step};
use serde_json::json;

use crate::{outputs, project, run};

#[test]
fn an_answer_that_is_not_as_expected_fails_the_step_at_once_and_says_why() {
    let web = Web::serve(|asked, _| match asked.path.as_str() {
        "/gone" => Reply::text(404, "no such thing"),
        "/html" => Reply::text(200, "<html>"),
        "/elsewhere" => Reply::Answer(302, vec![("location", "/other".to_owned())], Vec::new()),
        "/latin" => Reply::Answer(200, Vec::new(), vec![0xe4]),
        _ => Reply::text(200, r#"{"ok": false}"#),
    });
    let project = project(
        &web,
        r#"
on_failure: continue
steps:
  gone: {uses: http, with: {url: URL/gone}}
  wanted: {uses: http, with: {url: URL/gone, status: [404]}}
  html: {uses: http, with: {url: URL/html, answer: json}}
  latin: {uses: http, with: {url: URL/latin}}
  write: {uses: http, with: {method: POST, url: URL/elsewhere}}
  unlike: {uses: http, with: {url: URL/a, answer: json, expect: attempt.outputs.json.ok}}
  passed: {uses: http, with: {url: URL/html, answer: none}}
"#,
    );
    let (daemon, run) = run(&project);
    let message = |id: &str| step(&run, id).message.clone();
    assert_eq!(message("gone"), "it exited with 1; the server answered 404 Not Found");
    assert_eq!(daemon.logs(&run.name, "gone")[2], "no such thing");
    assert_eq!(step(&run, "wanted").status(), StepStatus::Succeeded, "{run:#?}");
    assert_eq!(
        message("html"),
        "it exited with 1; the body of the answer is no JSON at line 1, column 1; it begins: <html>"
    );
    assert_eq!(message("latin"), "it exited with 1; the body of the answer is not UTF-8; write `answer: file`");
    assert_eq!(
        message("write"),
        "it exited with 1; the server answered 302 Found and redirects to /other; a POST is not sent there by itself: \
         write that as `url:`"
    );
    assert_eq!(message("unlike"), "it exited with 1; the answer is not as expected: attempt.outputs.json.ok is false");
    assert_eq!(outputs(step(&run, "passed"))["status"], json!(200));
    // Nothing of it was tried again.
    assert_eq!(web.asked().len(), 7);
}

#[test]
fn a_large_answer_is_refused_or_kept_as_a_file() {
    const BYTES: usize = 50 << 20;
    let web = Web::serve(|asked, _| match asked.path.as_str() {
        "/said" => Reply::Half(BYTES, Vec::new()),
        "/file" => Reply::text(200, &"x".repeat(1 << 20)),
        _ => Reply::Chunks(BYTES),
    });
    let project = project(
        &web,
        r#"
on_failure: continue
steps:
  said: {uses: http, with: {url: URL/said}}
  unsaid: {uses: http, with: {url: URL/unsaid}}
  bounded: {uses: http, with: {url: URL/unsaid, answer: file, max_bytes: 1000000}}
  kept: {uses: http, with: {url: URL/file, answer: file}}
  use: {needs: [kept], argv: [wc, -c, "${{ steps.kept.artifacts['body'] }}"]}
"#,
    );
    let (daemon, run) = run(&project);
    let help = "write `answer: file` to keep it as an artifact, or `answer: none` to pass it over";
    assert_eq!(
        step(&run, "said").message,
        format!("it exited with 1; the body of the answer has 52428800 bytes, and at most 262144 are taken; {help}")
    );
    assert_eq!(
        step(&run, "unsaid").message,
        format!("it exited with 1; the body of the answer is longer, and at most 262144 are taken; {help}")
    );
    assert!(step(&run, "bounded").message.ends_with("at most 1000000 are taken; raise `max_bytes`"), "{run:#?}");
    assert!(step(&run, "bounded").artifacts.is_empty());
    let kept = step(&run, "kept");
    assert_eq!((kept.artifacts.len(), outputs(kept)["bytes"].as_i64()), (1, Some(1 << 20)), "{kept:#?}");
    assert!(daemon.logs(&run.name, "use")[0].starts_with("1048576 "));
    // What was begun and given up is not left behind.
    drop(daemon);
    let left = std::fs::read_dir(project.path(".runbook/attempts")).unwrap();
    let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).filter(|name| name != ".spare").collect();
    assert_eq!(left, Vec::<std::ffi::OsString>::new());
}

#[test]
fn a_read_follows_redirects_within_bounds() {
    let web = Web::serve(|asked, _| match asked.path.as_str() {
        "/once" => Reply::Answer(301, vec![("location", "/there".to_owned())], Vec::new()),
        "/there" => Reply::text(200, "there"),
        _ => Reply::Answer(302, vec![("location", "/round".to_owned())], Vec::new()),
    });
    let project = project(
        &web,
        r#"
on_failure: continue
steps:
  once: {uses: http, with: {url: URL/once}}
  round: {uses: http, with: {url: URL/round, redirects: 3}}
  stays: {uses: http, with: {url: URL/once, redirects: 0, status: [301]}}
"#,
    );
    let (_daemon, run) = run(&project);
    assert_eq!(outputs(step(&run, "once"))["body"], json!("there"), "{run:#?}");
    assert_eq!(outputs(step(&run, "stays"))["headers"]["location"], json!("/there"));
    assert!(step(&run, "round").message.contains("the server redirects too often"), "{run:#?}");
    assert_eq!(web.asked().iter().filter(|asked| asked.path == "/round").count(), 4);
}

#[test]
fn a_header_with_a_secret_goes_to_no_other_server() {
    let other = Web::serve(|_, _| Reply::text(200, "other"));
    let elsewhere = other.url();
    let web = Web::serve(move |asked, _| match asked.path.as_str() {
        "/home" => Reply::Answer(302, vec![("location", "/there".to_owned())], Vec::new()),
        "/away" => Reply::Answer(302, vec![("location", format!("{elsewhere}/there"))], Vec::new()),
        _ => Reply::text(200, "there"),
    });
    let project = project(
        &web,
        r#"
requires: {secrets: [token]}
on_failure: continue
steps:
  home: {uses: http, with: {url: URL/home, headers: {X-Api-Key: "${{ secrets.token }}"}}}
  away: {uses: http, with: {url: URL/away, headers: {X-Api-Key: "${{ secrets.token }}"}}}
  open: {uses: http, with: {url: URL/away, headers: {X-Api-Key: "known to all"}}}
"#,
    );
    project.file("runbookd.yaml", "secrets: {token: {file: token}}\n");
    project.private("token", "hunter2-of-http");
    let (_daemon, run) = run(&project);
    assert_eq!(outputs(step(&run, "home"))["body"], json!("there"), "{run:#?}");
    assert_eq!(outputs(step(&run, "open"))["body"], json!("other"), "{run:#?}");
    let message = &step(&run, "away").message;
    assert!(message.contains("a header with a secret goes to no other server by itself"), "{message}");
    let keys: Vec<_> = other.asked().iter().map(|asked| asked.header("x-api-key").map(str::to_owned)).collect();
    assert_eq!(keys, [Some("known to all".to_owned())]);
}
