//! What `exec` and `watch` say where nothing is redrawn: a line per event.

use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, golden, masked};

use crate::project::{project, release, wait_held};

#[test]
fn a_run_is_told_line_by_line() {
    let project = project();
    let daemon = Daemon::start(&project);
    for name in ["ok", "bad", "stuck"] {
        let said = runbook(&project, &["exec", name, "--reason", "for the test"]);
        assert_eq!(said.err, "", "{}", daemon.log());
        golden(&format!("cli/exec-{name}.txt"), &masked(&project, &said.out));
    }
    let quiet = runbook(&project, &["exec", "bad", "--quiet"]);
    assert_eq!(masked(&project, &quiet.out), "run 4 bad: failed after SPAN: step copy failed\n");
    assert_eq!((quiet.code, quiet.err.as_str()), (1, ""));
}

#[test]
fn a_run_that_was_left_is_watched_again_from_where_it_is() {
    let project = project();
    let daemon = Daemon::start(&project);
    let started = runbook(&project, &["exec", "hold", "--detach"]);
    assert_eq!((started.code, started.out.as_str()), (0, "run 1 hold: started\n"), "{}", daemon.log());
    assert_eq!(started.err, "`runbook watch 1` shows it\n");
    wait_held(&project);
    let watching = std::thread::scope(|scope| {
        let watch = scope.spawn(|| runbook(&project, &["watch", "last"]));
        release(&project);
        watch.join().expect("watch")
    });
    assert_eq!(watching.code, 0);
    assert!(watching.out.contains("run 1 hold: succeeded after"), "{}", watching.out);
    // It is over: the end is told, and nothing is waited for.
    let over = runbook(&project, &["watch", "1"]);
    assert_eq!(masked(&project, &over.out), "run 1 hold: succeeded after SPAN\n  2 steps: 2 succeeded\n");
    let again = runbook(&project, &["watch", "1", "--after", "0"]);
    assert!(again.out.contains(" step wait: started\n"), "{}", again.out);
}
