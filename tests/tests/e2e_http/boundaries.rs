//! The daemon killed, stopped and the run canceled while requests are under way.

use runbook_proto::v1::{CancelRunRequest, RunStatus, StepStatus};
use runbook_tests::e2e::{Daemon, Reply, Web, step, wait_for};

use crate::project;

fn held() -> Web {
    Web::serve(|_, _| Reply::Held(Box::new(Reply::text(200, "ok"))))
}

#[test]
fn a_killed_daemon_loses_requests_and_effect_decides_about_them() {
    let web = held();
    let project = project(
        &web,
        "steps:\n  read: {uses: http, with: {url: URL/read}}\n  write: {uses: http, with: {method: POST, url: URL/write}}\n",
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("r", &[]);
    let before = web.wait_asked(2).len();
    assert_eq!(before, 2);
    daemon.kill();
    web.release();
    let daemon = Daemon::start(&project);
    let run = daemon.wait(&run.name, "the read again and an unknown write", |run| {
        step(run, "read").status() == StepStatus::Succeeded && step(run, "write").status() == StepStatus::Unknown
    });
    assert_eq!(run.status(), RunStatus::Attention);
    assert_eq!(step(&run, "write").message, "nobody knows how it ended; the daemon ended while it was under way");
    let times = |path: &str| web.asked().iter().filter(|asked| asked.path == path).count();
    assert_eq!((times("/read"), times("/write")), (2, 1));
}

#[test]
fn a_daemon_that_stops_waits_for_what_is_under_way() {
    let web = held();
    let project = project(
        &web,
        "steps:\n  a: {uses: http, with: {method: POST, url: URL/a}}\n  b: {needs: [a], argv: ['true']}\n",
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("r", &[]);
    web.wait_asked(1);
    let pid = daemon.pid();
    let stopped = std::thread::spawn(move || daemon.stop());
    wait_for("the daemon to say that it waits", || {
        let log = project.read("runbookd.log")?;
        log.contains("waiting for actions that end with the daemon").then_some(())
    });
    assert!(runbook_tests::e2e::is_alive(pid));
    web.release();
    assert!(stopped.join().unwrap().success());
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    assert_eq!(web.asked().len(), 1);
}

#[test]
fn a_cancel_drops_a_read_and_asks_what_a_write_did() {
    let web = Web::serve(|asked, _| match asked.path.as_str() {
        "/state" => Reply::text(200, "done"),
        _ => Reply::Held(Box::new(Reply::text(200, "ok"))),
    });
    let project = project(
        &web,
        r#"
steps:
  read: {uses: http, with: {url: URL/read}}
  write:
    uses: http
    with: {method: POST, url: URL/write}
    verify: {uses: http, with: {url: URL/state, happened: attempt.outputs.body == 'done'}}
finally:
  tell: {uses: http, with: {method: POST, url: URL/state}}
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("r", &[]);
    web.wait_asked(2);
    let request = CancelRunRequest { name: run.name.clone(), reason: "test".into(), ..Default::default() };
    daemon.runs(|mut client| async move { client.cancel_run(request).await }).unwrap();
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Canceled, "{run:#?}");
    assert_eq!(step(&run, "read").status(), StepStatus::Canceled);
    assert_eq!(step(&run, "write").status(), StepStatus::Succeeded, "{run:#?}");
    let states = web.asked().iter().filter(|asked| asked.path == "/state").count();
    assert_eq!(states, 2, "verify, and finally");
}

#[test]
fn a_killed_daemon_at_any_moment_repeats_no_write() {
    // Each kill comes at another moment: as soon as the server has so many requests.
    let web = Web::serve(|_, _| Reply::After(std::time::Duration::from_millis(20), Box::new(Reply::text(200, "ok"))));
    let body: String = (0..12)
        .map(|n| {
            let needs = if n == 0 { String::new() } else { format!("needs: [s{}], ", n - 1) };
            format!("  s{n}: {{{needs}uses: http, with: {{method: POST, url: URL/{n}}}, verify: {{uses: http, with: {{url: URL/v/{n}, happened: 'true'}}}}}}\n")
        })
        .collect();
    let project = project(&web, &format!("steps:\n{body}"));
    let daemon = Daemon::start(&project);
    let run = daemon.exec("r", &[]);
    daemon.kill();
    for round in 1..6 {
        let daemon = Daemon::start(&project);
        web.wait_asked(round * 2);
        daemon.kill();
    }
    let daemon = Daemon::start(&project);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    for n in 0..12 {
        let times = web.asked().iter().filter(|asked| asked.path == format!("/{n}")).count();
        // One that was lost before it was sent is taken for done by this `verify`.
        assert!(times <= 1, "write {n} was sent {times} times");
    }
}
