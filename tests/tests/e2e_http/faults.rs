//! A server that fails: what is tried again, what is not, and what nobody knows.

use std::time::{Duration, Instant};

use runbook_proto::v1::{RunStatus, StepStatus};
use runbook_tests::e2e::{Daemon, Reply, Web, step};

use crate::{project, run};

/// A retry that does not take the test's time.
const FAST: &str = "retry: {attempts: 3, backoff: {initial: 10ms, jitter: none}}";

#[test]
fn what_passes_by_itself_is_tried_again_with_the_same_key() {
    let web = Web::serve(|asked, number| match (asked.path.as_str(), number) {
        (_, 0) => Reply::text(503, "busy"),
        ("/b", 1) => Reply::text(429, "slow down"),
        _ => Reply::text(200, "ok"),
    });
    let project = project(
        &web,
        &format!("steps:\n  a: {{uses: http, with: {{method: POST, url: URL/a, json: {{}}}}, {FAST}}}\n"),
    );
    let (_daemon, run) = run(&project);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    let keys: Vec<_> = web.asked().iter().map(|asked| asked.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn a_read_is_tried_again_over_broken_connections() {
    let web = Web::serve(|_, number| match number {
        0 => Reply::Reset,
        1 => Reply::Half(100, b"only this".to_vec()),
        _ => Reply::text(200, "whole"),
    });
    let project = project(&web, &format!("steps:\n  a: {{uses: http, with: {{url: URL/a}}, {FAST}}}\n"));
    let (daemon, run) = run(&project);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    assert_eq!(step(&run, "a").attempts, 3);
    assert!(daemon.logs(&run.name, "a").iter().any(|line| line.contains("the answer broke off after 9 bytes")));
}

#[test]
fn nobody_knows_what_a_write_did_whose_answer_was_lost() {
    let web = Web::serve(|asked, _| match asked.path.as_str() {
        "/gateway" => Reply::text(504, "who knows"),
        "/asked?by=key" => Reply::text(404, "none"),
        _ => Reply::Reset,
    });
    let project = project(
        &web,
        &format!(
            r#"
on_failure: continue
steps:
  reset: {{uses: http, with: {{method: POST, url: URL/reset}}, {FAST}}}
  gateway: {{uses: http, with: {{method: POST, url: URL/gateway}}, {FAST}}}
  again: {{effect: idempotent, uses: http, with: {{method: POST, url: URL/again}}, {FAST}}}
  asked:
    uses: http
    with: {{method: POST, url: URL/post}}
    {FAST}
    verify:
      uses: http
      with: {{url: URL/asked, query: {{by: key}}, status: [200, 404], happened: attempt.outputs.status == 200}}
"#
        ),
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("r", &[]);
    let over = |id: &'static str| move |run: &runbook_proto::v1::Run| step(run, id).status() == StepStatus::Unknown;
    let run = daemon.wait(&run.name, "unknown steps", |run| {
        over("reset")(run)
            && over("gateway")(run)
            && step(run, "asked").status() == StepStatus::Failed
            && step(run, "again").status() == StepStatus::Failed
    });
    let times = |path: &str| web.asked().iter().filter(|asked| asked.path == path).count();
    assert_eq!((times("/reset"), times("/gateway"), times("/again"), times("/post")), (1, 1, 3, 3), "{run:#?}");
    assert!(step(&run, "gateway").message.contains("whether it was done behind that is not known"), "{run:#?}");
    assert!(step(&run, "asked").message.starts_with("verify: it did not happen"), "{run:#?}");
}

#[test]
fn the_server_says_when_to_come_back() {
    let web = Web::serve(|_, number| match number {
        0 => Reply::Answer(429, vec![("retry-after", "2".to_owned())], Vec::new()),
        _ => Reply::text(200, "ok"),
    });
    let project = project(&web, &format!("steps:\n  a: {{uses: http, with: {{url: URL/a}}, {FAST}}}\n"));
    let daemon = Daemon::start(&project);
    let begin = Instant::now();
    let run = daemon.exec("r", &[]);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    assert!(begin.elapsed() >= Duration::from_secs(2), "{:?}", begin.elapsed());
}

#[test]
fn no_connection_and_no_time_are_told_apart() {
    let web = Web::serve(|_, _| Reply::Held(Box::new(Reply::text(200, "late"))));
    let project = project(
        &web,
        &format!(
            r#"
on_failure: continue
steps:
  nobody: {{uses: http, with: {{method: POST, url: "http://127.0.0.1:1/"}}, {FAST}}}
  slow: {{uses: http, timeout: 200ms, with: {{url: URL/slow}}, retry: {{attempts: 1}}}}
"#
        ),
    );
    let (_daemon, run) = run(&project);
    let nobody = step(&run, "nobody");
    assert_eq!((nobody.status(), nobody.attempts), (StepStatus::Failed, 3));
    assert!(nobody.message.starts_with("it exited with 75; no connection: "), "{nobody:#?}");
    assert!(step(&run, "slow").message.starts_with("ran into its timeout"), "{run:#?}");
}
