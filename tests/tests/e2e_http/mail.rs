//! `notify/email` against a real mail server: what people get, and what becomes of what the server refuses.

use runbook_proto::v1::{RunStatus, StartRunRequest, StepStatus};
use runbook_tests::e2e::injection::skip;
use runbook_tests::e2e::{Authority, Daemon, Post, Project, Secrecy, step};
use serde_json::json;

use crate::{assert_clean, outputs};

const PASSWORD: &str = "p4ssw0rd-of-the-post";

fn post(secrecy: Secrecy<'_>) -> Option<Post> {
    let post = Post::serve(secrecy, PASSWORD);
    if post.is_none() {
        skip("mail: there is no aiosmtpd for python3 here");
    }
    post
}

/// A project with one runbook `r`, in whose body `SERVER` stands for the server and whom the message is from.
fn project(post: &Post, body: &str) -> Project {
    let server = format!("server: localhost, port: {}, from: Operations <ops@example.org>", post.port());
    Project::with("r", &body.replace("SERVER", &server))
}

fn with_secret(project: &Project, authority: &Authority) {
    project.file("runbookd.yaml", "secrets: {mail: {file: mail}}\n");
    project.private("mail", PASSWORD);
    project.file("authority.pem", &authority.pem());
}

#[test]
fn people_get_one_message_for_each_key_over_tls() {
    let authority = Authority::new();
    let pair = authority.signs(&["localhost"]);
    for (secrecy, word) in [(Secrecy::Starttls(&pair), "starttls"), (Secrecy::Implicit(&pair), "implicit")] {
        let Some(post) = post(secrecy) else { return };
        let body = r#"
requires: {secrets: [mail]}
inputs: {who: {type: string, default: "Zoë"}}
steps:
  tell:
    uses: notify/email
    with: {SERVER, tls: WORD, ca: authority.pem, user: runbook, password: "${{ secrets.mail }}", to: ["night@example.org", "Tag <day@example.org>"], subject: "für ${{ inputs.who }}", text: "a\n.\nb ${{ run.number }}", key: same}
  again:
    needs: [tell]
    uses: notify/email
    with: {SERVER, tls: WORD, ca: authority.pem, to: [night@example.org], subject: s, text: t, key: same}
"#;
        let project = project(&post, &body.replace("WORD", word));
        with_secret(&project, &authority);
        let daemon = Daemon::start(&project);
        let run = daemon.wait_over(&daemon.exec("r", &[]).name);
        assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
        assert_eq!(outputs(step(&run, "tell")), json!({"told": true}), "{run:#?}");
        assert_eq!(outputs(step(&run, "again")), json!({"told": false}));
        assert_eq!(post.told("login"), [json!({"kind": "login", "good": true, "encrypted": true})]);
        let messages = post.wait_told("message", 1);
        assert_eq!(messages.len(), 1, "{messages:#?}");
        assert_eq!(messages[0]["sender"], json!("ops@example.org"));
        assert_eq!(messages[0]["to"], json!(["night@example.org", "day@example.org"]));
        let content = messages[0]["content"].as_str().unwrap();
        let uid = run.name.trim_start_matches("runs/");
        for wanted in [
            &format!("Message-ID: <{uid}.tell.0@example.org>\r\n"),
            "From: Operations <ops@example.org>\r\n",
            "To: night@example.org, Tag <day@example.org>\r\n",
            "Subject: =?utf-8?b?ZsO8ciBab8Or?=\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "\r\n\r\na\r\n.\r\nb 1",
        ] {
            assert!(content.contains(wanted), "{wanted:?} in {content}");
        }
        let log = daemon.logs(&run.name, "tell");
        assert_eq!(log[1..3], ["the talk is encrypted", "user and password are taken"], "{log:#?}");
        assert!(log.last().unwrap().starts_with("taken: 250 2.0.0 queued"), "{log:#?}");
        drop(daemon);
        assert_clean(&project, PASSWORD);
    }
}

#[test]
fn what_the_server_says_decides_about_a_second_try_and_fails_no_run() {
    let Some(post) = post(Secrecy::None) else { return };
    let fast = "retry: {attempts: 3, backoff: {initial: 10ms, jitter: none}}";
    let body = format!(
        r#"
on_failure: continue
steps:
  later: {{uses: notify/email, with: {{SERVER, tls: none, to: [later@example.org], subject: s, text: t}}, {fast}}}
  silent: {{uses: notify/email, with: {{SERVER, tls: none, to: [silent@example.org], subject: s, text: t}}, {fast}}}
  nobody: {{uses: notify/email, with: {{SERVER, tls: none, to: [night@example.org, nobody@example.org], subject: s, text: t}}, {fast}}}
  bare: {{uses: notify/email, with: {{SERVER, to: [night@example.org], subject: s, text: t}}, {fast}}}
  tls: {{uses: notify/email, with: {{SERVER, tls: implicit, to: [night@example.org], subject: s, text: t}}, {fast}}}
  gone: {{uses: notify/email, with: {{server: 127.0.0.1, port: 1, tls: none, from: a@b.org, to: [c@d.org], subject: s, text: t}}, {fast}}}
"#
    );
    let project = project(&post, &body);
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&daemon.exec("r", &[]).name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    let ended = |id: &str| (step(&run, id).status(), step(&run, id).attempts);
    assert_eq!(ended("later"), (StepStatus::Succeeded, 2), "{run:#?}");
    assert_eq!(ended("silent"), (StepStatus::Succeeded, 2), "{run:#?}");
    assert_eq!(ended("nobody"), (StepStatus::Failed, 1), "{run:#?}");
    assert_eq!(ended("bare"), (StepStatus::Failed, 1), "{run:#?}");
    assert_eq!(ended("tls"), (StepStatus::Failed, 1), "{run:#?}");
    assert_eq!(ended("gone"), (StepStatus::Failed, 3), "{run:#?}");
    let message = |id: &str| step(&run, id).message.clone();
    assert_eq!(
        message("nobody"),
        "it exited with 1; the server does not take a message to nobody@example.org: 550 5.1.1 no such mailbox"
    );
    assert!(message("bare").contains("does not offer STARTTLS; write `tls: implicit`"), "{run:#?}");
    assert!(message("tls").contains("does not begin with TLS: "), "{run:#?}");
    assert!(message("gone").starts_with("it exited with 75; no talk with 127.0.0.1:1: "), "{run:#?}");
    let log = daemon.logs(&run.name, "silent").join("\n");
    assert!(log.contains("no answer to the whole message"), "{log}");
    // It was handed in twice, and can be told by its id.
    let messages = post.wait_told("message", 3);
    let id = |of: &serde_json::Value| {
        let content = of["content"].as_str().unwrap().to_owned();
        content.lines().find(|line| line.starts_with("Message-ID: ")).unwrap().to_owned()
    };
    let silent: Vec<_> = messages.iter().filter(|told| told["to"] == json!(["silent@example.org"])).map(id).collect();
    assert_eq!(silent.len(), 2, "{messages:#?}");
    assert_eq!(silent[0], silent[1]);
}

#[test]
fn nobody_knows_whether_a_message_arrived_that_must_not_arrive_twice() {
    let Some(post) = post(Secrecy::None) else { return };
    let project = project(
        &post,
        "steps:\n  tell: {effect: mutating, uses: notify/email, with: {SERVER, tls: none, to: [silent@example.org], subject: s, text: t}}\n",
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("r", &[]);
    let run = daemon.wait(&run.name, "an unknown step", |run| step(run, "tell").status() == StepStatus::Unknown);
    assert!(step(&run, "tell").message.contains("whether it is delivered is not known"), "{run:#?}");
    assert_eq!(post.told("message").len(), 1);
}

#[test]
fn a_server_that_is_not_trusted_or_does_not_know_us_gets_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    let pair = other.signs(&["localhost"]);
    let Some(post) = post(Secrecy::Starttls(&pair)) else { return };
    let body = r#"
requires: {secrets: [mail]}
on_failure: continue
steps:
  distrusted: {uses: notify/email, with: {SERVER, ca: authority.pem, user: runbook, password: "${{ secrets.mail }}", to: [a@b.org], subject: s, text: t}}
  unknown: {uses: notify/email, with: {SERVER, ca: other.pem, user: somebody, password: "${{ secrets.mail }}", to: [a@b.org], subject: s, text: t}}
"#;
    let project = project(&post, body);
    with_secret(&project, &authority);
    project.file("other.pem", &other.pem());
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&daemon.exec("r", &[]).name);
    let message = |id: &str| step(&run, id).message.clone();
    assert!(message("distrusted").contains("is not trusted: invalid peer certificate"), "{run:#?}");
    assert!(message("unknown").contains("the server does not take user and password: 535"), "{run:#?}");
    assert_eq!(post.told("login"), [json!({"kind": "login", "good": false, "encrypted": true})]);
    assert!(post.told("message").is_empty());
}

#[test]
fn a_dry_run_asks_the_server_and_hands_nothing_in() {
    let authority = Authority::new();
    let pair = authority.signs(&["localhost"]);
    let Some(post) = post(Secrecy::Starttls(&pair)) else { return };
    let body = r#"
requires: {secrets: [mail]}
on_failure: continue
steps:
  make: {argv: [touch, made]}
  tell: {needs: [make], uses: notify/email, with: {SERVER, ca: authority.pem, user: runbook, password: "${{ secrets.mail }}", to: [a@b.org], subject: s, text: t}}
  wrong: {uses: notify/email, with: {SERVER, ca: authority.pem, user: wrong, password: "${{ secrets.mail }}", to: [a@b.org], subject: s, text: t}}
  shown: {dry_run: skip, uses: notify/email, with: {SERVER, ca: authority.pem, to: [a@b.org], subject: s, text: t}}
"#;
    let project = project(&post, body);
    with_secret(&project, &authority);
    let daemon = Daemon::start(&project);
    let request = StartRunRequest { runbook: "r".to_owned(), dry_run: true, ..Default::default() };
    let started = daemon.runs(|mut client| async move { client.start_run(request).await }).unwrap();
    let run = daemon.wait_over(&started.run.unwrap().name);
    let status = |id: &str| step(&run, id).status();
    assert_eq!((status("make"), status("shown")), (StepStatus::Skipped, StepStatus::Skipped), "{run:#?}");
    assert_eq!((status("tell"), status("wrong")), (StepStatus::Succeeded, StepStatus::Failed), "{run:#?}");
    assert_eq!(outputs(step(&run, "tell")), json!({"told": false}));
    assert!(step(&run, "shown").message.contains("would run `notify/email server: localhost"), "{run:#?}");
    assert_eq!(post.told("login").len(), 2);
    assert!(post.told("message").is_empty());
    // What was only asked is not taken for told.
    let run = daemon.wait_over(&daemon.exec("r", &[]).name);
    assert_eq!(outputs(step(&run, "tell")), json!({"told": true}), "{run:#?}");
    post.wait_told("message", 1);
}

#[test]
fn no_value_begins_a_line_of_the_head() {
    let Some(post) = post(Secrecy::None) else { return };
    let body = r#"
inputs: {name: {type: string, default: "x\r\nBcc: other@example.org"}}
on_failure: continue
steps:
  subject: {uses: notify/email, with: {SERVER, tls: none, to: [a@b.org], subject: "${{ inputs.name }}", text: t}}
  to: {uses: notify/email, with: {SERVER, tls: none, to: ["a@b.org", "${{ inputs.name }}"], subject: s, text: t}}
"#;
    let project = project(&post, body);
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&daemon.exec("r", &[]).name);
    for id in ["subject", "to"] {
        let message = &step(&run, id).message;
        assert!(message.contains(&format!("with.{id}: it holds an end of line")), "{run:#?}");
    }
    assert!(post.told("greeted").is_empty());
}
