//! The daemon's own log: JSON with runs and steps, or for people on a terminal.

use runbook_tests::e2e::server::{Server, daemon_command};
use runbook_tests::e2e::{CTRL_C, Project, Terminal};
use rustix::process::Signal;

use crate::plain;

#[test]
fn the_log_is_json_with_runs_and_steps_and_without_the_stores_noise() {
    let project = Project::with("a", "steps: {first: {effect: idempotent, run: \"exit 3\"}}\n");
    let mut server = Server::spawn(&project, |command| {
        command.args(["--log", "debug"]).env("RUNBOOKD_SOKET", "x");
    });
    let client = server.ready();
    let run = client.exec("a");
    client.over(&run.name);
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
    let log = server.log();
    let lines: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect();
    let find = |message: &str| {
        let found = lines.iter().find(|line| line["message"].as_str().is_some_and(|text| text.contains(message)));
        found.unwrap_or_else(|| panic!("no line says {message:?}:\n{log}"))
    };
    for message in ["attempt starts", "step failed", "run over"] {
        assert_eq!(find(message)["run"], run.uid, "{}", find(message));
    }
    assert_eq!((&find("attempt starts")["step"], &find("step failed")["step"]), (&"first".into(), &"first".into()));
    assert_eq!(find("run over")["outcome"], "failed");
    assert!(find("RUNBOOKD_SOKET")["message"].as_str().unwrap().contains("did you mean RUNBOOKD_SOCKET?"));
    assert!(lines.iter().all(|line| line["timestamp"].is_string() && line["level"].is_string()));
    let noise: Vec<_> =
        lines.iter().filter(|line| line["target"].as_str().is_none_or(|t| !t.starts_with("runbookd"))).collect();
    assert!(noise.is_empty(), "{noise:?}");
}

#[test]
fn the_log_is_for_people_on_a_terminal() {
    let project = plain();
    let mut terminal = Terminal::start(daemon_command(&project), 200, 24);
    terminal.wait_text("ready version=");
    terminal.type_text(CTRL_C);
    let (code, screen) = terminal.finish();
    assert_eq!(code, 0, "{}", screen.whole());
    assert!(screen.whole().contains("INFO") && !screen.whole().contains("{\""), "{}", screen.whole());
}
