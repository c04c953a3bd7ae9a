//! Every other verb at least once, as a person reads it: golden texts.

use runbook_tests::e2e::command::{command, runbook, said};
use runbook_tests::e2e::{Daemon, Terminal, golden, masked, programs, wait_for};

use crate::project::{project, release, wait_held};

#[test]
fn what_each_verb_says() {
    let project = project();
    project.file("runbooks/broken.yaml", "name: broken\nlanguage: 1\nsteps:\n  a: {effect: idempotent, rnu: echo}\n");
    let daemon = Daemon::start(&project);
    for (name, code) in [("ok", 0), ("bad", 1), ("stuck", 4)] {
        assert_eq!(runbook(&project, &["exec", name, "--reason", "for the test"]).code, code, "{}", daemon.log());
    }
    let user = daemon.get("1").started_by.expect("somebody").name;
    for (name, code, arguments) in [
        ("list", 0, &["list"][..]),
        ("show", 0, &["show", "ok"]),
        ("show-broken", 0, &["show", "broken"]),
        ("graph", 0, &["graph", "ok"]),
        ("graph-mermaid", 0, &["graph", "./runbooks/ok.yaml", "--format", "mermaid"]),
        ("graph-dot", 0, &["graph", "ok", "--format", "dot"]),
        ("graph-broken", 2, &["graph", "broken"]),
        ("check", 2, &["check", "runbooks"]),
        ("runs", 0, &["runs"]),
        ("status", 0, &["status"]),
        ("status-bad", 0, &["status", "2"]),
        ("status-stuck", 0, &["status", "3"]),
        ("events", 0, &["events", "2"]),
        ("logs", 0, &["logs", "1", "--timestamps"]),
        ("logs-step", 0, &["logs", "2", "copy", "--attempt", "2", "--tail", "2"]),
    ] {
        let said = runbook(&project, arguments);
        assert_eq!(said.code, code, "{arguments:?}: {}", said.err);
        let mut text = masked(&project, &format!("{}--- standard error\n{}", said.out, said.err));
        if matches!(name, "runs" | "status") {
            text = one_gap(&text.replace(&format!("  {user}"), "  WHO"));
        }
        golden(&format!("cli/{name}.txt"), &text);
    }
    let source = runbook(&project, &["show", "ok", "--source"]).out;
    assert_eq!(Some(source), project.read("runbooks/ok.yaml"));
    assert!(runbook(&project, &["version"]).out.starts_with("runbook 0.1.0\nrunbookd 0.1.0"));
    for (shell, begin) in [("bash", "\n_clap_complete_runbook()"), ("zsh", "#compdef runbook"), ("fish", "complete --")]
    {
        assert!(runbook(&project, &["completions", shell]).out.starts_with(begin), "{shell}");
    }
    for verb in [
        "exec",
        "check",
        "list",
        "show",
        "graph",
        "plan",
        "rehearse",
        "runs",
        "status",
        "diff",
        "watch",
        "logs",
        "events",
        "cancel",
        "resume",
        "resolve",
        "daemon",
        "completions",
        "version",
    ] {
        let help = runbook(&project, &[verb, "--help"]);
        assert!(help.code == 0 && help.out.contains("Example"), "{help:?}");
    }
}

/// Columns with one gap between them: how wide they are depends on what is masked.
fn one_gap(text: &str) -> String {
    let line =
        |line: &str| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("  ");
    text.lines().map(|text| line(text) + "\n").collect()
}

#[test]
fn a_table_keeps_to_its_terminal() {
    let project = project();
    let _daemon = Daemon::start(&project);
    let why = "a reason that is so long that no terminal has room for it beside all the other columns of the table";
    assert_eq!(runbook(&project, &["exec", "ok", "--reason", why]).code, 0);
    for arguments in [&["runs"][..], &["list"]] {
        for columns in [80, 40] {
            let (code, screen) = Terminal::start(command(&project, arguments), columns, 24).finish();
            assert_eq!((code, screen.wraps), (0, 0), "{arguments:?} in {columns}:\n{}", screen.visible());
        }
    }
    let (_, screen) = Terminal::start(command(&project, &["runs"]), 80, 24).finish();
    assert!(masked(&project, &screen.visible()).contains("  DATE  "), "a time is cut:\n{}", screen.visible());
}

#[test]
fn a_failed_run_is_resumed_and_an_unknown_step_resolved() {
    let project = project();
    let daemon = Daemon::start(&project);
    assert_eq!(runbook(&project, &["exec", "bad"]).code, 1);
    project.file("mended", "");
    let resumed = runbook(&project, &["resume", "last", "--reason", "mended"]);
    assert_eq!(resumed.code, 0, "{resumed:?}{}", daemon.log());
    assert!(resumed.out.contains("as epoch 2: mended\n"), "{}", resumed.out);
    assert!(!resumed.out.contains("step prepare: started"), "what succeeded ran again: {}", resumed.out);

    assert_eq!(runbook(&project, &["exec", "stuck"]).code, 4);
    for (arguments, code) in [
        (&["resolve", "last", "swtch", "--as", "succeeded", "--reason", "x"][..], 2),
        (&["resolve", "last", "prepare", "--as", "succeeded", "--reason", "x"], 6),
        (&["resolve", "last", "switch", "--as", "OUTCOME", "--reason", "x"], 2),
        (&["resolve", "last", "switch", "--as", "succeeded"], 2),
    ] {
        let refused = runbook(&project, arguments);
        assert_eq!(refused.code, code, "{refused:?}");
    }
    let resolved = runbook(&project, &["resolve", "last", "switch", "--as", "succeeded", "--reason", "seen by hand"]);
    assert_eq!((resolved.code, resolved.out.as_str()), (0, "run 2 stuck: step switch is settled\n"));
    let watched = runbook(&project, &["watch", "2"]);
    assert_eq!(watched.code, 0, "{watched:?}");
    assert!(runbook(&project, &["events", "2"]).out.contains(": seen by hand\n"));
}

#[test]
fn a_run_that_goes_on_is_followed() {
    let project = project();
    let _daemon = Daemon::start(&project);
    assert_eq!(runbook(&project, &["exec", "hold", "--detach"]).code, 0);
    wait_held(&project);
    let status = runbook(&project, &["status"]);
    assert!(status.out.contains("hold") && status.out.contains("running"), "{}", status.out);
    let (logs, events) = std::thread::scope(|scope| {
        let logs = scope.spawn(|| said(command(&project, &["logs", "last", "--follow"])));
        let events = scope.spawn(|| said(command(&project, &["events", "last", "--follow"])));
        wait_for("a place to look at", || (runbook(&project, &["status", "1"]).code == 0).then_some(()));
        release(&project);
        (logs.join().expect("logs"), events.join().expect("events"))
    });
    assert!(logs.code == 0 && logs.out.ends_with("after | after\n"), "{logs:?}");
    assert!(events.code == 0 && events.out.ends_with("run 1: succeeded\n"), "{events:?}");
}

#[test]
fn files_are_checked_without_being_kept() {
    let project = project();
    let _daemon = Daemon::start(&project);
    let good = runbook(&project, &["check", "runbooks/ok.yaml"]);
    assert_eq!((good.code, good.out.as_str()), (0, "✓ 1 file: 0 errors, 0 warnings\n"));
    let missing = runbook(&project, &["check", "runbooks/none.yaml"]);
    assert!(missing.code == 2 && missing.out.contains("none.yaml:1:1: error[unreadable-file]"), "{missing:?}");
    project.file("deep.yaml", &format!("name: deep\nsteps: {}", "[".repeat(10_000)));
    let deep = runbook(&project, &["check", "deep.yaml", "none.yaml", "runbooks/ok.yaml"]);
    // A path that is wrong hides nothing that was found elsewhere, and a long line is not repeated whole.
    assert!(deep.code == 2 && deep.out.contains("nested-too-deep") && deep.out.contains("none.yaml"), "{deep:?}");
    assert!(deep.out.len() < 2_000, "{} bytes", deep.out.len());
}

#[test]
fn runs_of_a_mistyped_runbook_are_no_empty_answer() {
    let project = project();
    let _daemon = Daemon::start(&project);
    let none = runbook(&project, &["runs", "--runbook", "hold"]);
    assert!(none.code == 0 && none.err.contains("no such runs"), "{none:?}");
    let mistyped = runbook(&project, &["runs", "--runbook", "hodl"]);
    assert!(mistyped.code == 2 && mistyped.err.contains("did you mean \"hold\""), "{mistyped:?}");
}

#[test]
fn both_programs_check_alike() {
    let project = project();
    let _daemon = Daemon::start(&project);
    std::fs::create_dir(project.path("empty")).expect("a folder");
    project.file("runbooks/twin.yaml", &project.read("runbooks/ok.yaml").expect("a runbook"));
    project.file("runbooks/lists.yaml", "name: lists\nlanguage: 1\nfiles: [gone.sh]\nsteps: {a: {argv: [x]}}\n");
    project.file("runbooks/environments/prod.yaml", "values: {}\n");
    let steps: String = (0..5_000).map(|n| format!("s{n}: {{need: [a], argv: [x]}}, ")).collect();
    project.file("runbooks/line.yaml", &format!("name: line\nlanguage: 1\nsteps: {{{steps}}}\n"));
    std::fs::File::create(project.path("runbooks/large.yaml")).and_then(|file| file.set_len(50 << 20)).expect("a file");
    let pipe = std::process::Command::new("mkfifo").arg(project.path("runbooks/pipe.yaml")).status().expect("mkfifo");
    assert!(pipe.success());
    let own = |arguments: &[&str]| runbook(&project, &[&["check"], arguments].concat());
    let offline = |arguments: &[&str]| {
        let mut command = std::process::Command::new(programs().join("runbookd"));
        command.arg("check").args(arguments).current_dir(project.root());
        said(command)
    };
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let paths = ["runbooks", "runbooks/ok.yaml", "none.yaml", "empty"];
    let asked = [&paths[..], &["--output", "json"]].concat();
    let (one, other) = (own(&asked), offline(&asked));
    assert_eq!((one.code, other.code), (2, 2), "{one:?}");
    assert_eq!(json(&one.out), json(&other.out));
    let found = json(&one.out);
    let codes: std::collections::BTreeSet<&str> =
        found["findings"].as_array().expect("findings").iter().filter_map(|finding| finding["code"].as_str()).collect();
    for code in ["duplicate-name", "missing-file", "file-too-large", "unreadable-file", "no-runbooks", "unknown-key"] {
        assert!(codes.contains(code), "{code}: {codes:?}");
    }
    assert!(one.out.contains("in an environment") && one.out.contains("pipe.yaml"), "{}", one.out);
    for said in [own(&paths), offline(&paths)] {
        // Each of 200 findings in one line of 150 kB is shown with a part of it.
        assert!(said.code == 2 && said.out.len() < 200_000, "{} bytes", said.out.len());
        assert!(said.out.contains("s0: {need: [a], argv: [x]}") && said.out.contains("^^^^"), "{}", said.out);
        assert!(said.out.contains("more"), "what was left out is counted");
    }
    let refused = runbook(&project, &["exec", "runbooks/pipe.yaml"]);
    assert!(refused.code == 2 && refused.err.contains("no regular file"), "{refused:?}");
}
