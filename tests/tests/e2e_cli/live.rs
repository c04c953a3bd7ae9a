//! `exec` on a terminal: what stands on the screen, what Ctrl-C does.

use std::time::Instant;

use runbook_tests::e2e::command::{Started, command, runbook};
use runbook_tests::e2e::{CTRL_C, Daemon, Project, Terminal, golden, masked, wait_for};

use crate::project::{project, release, wait_held};

/// The sizes at which screens are looked at.
const SIZES: [(u16, u16); 3] = [(80, 24), (40, 10), (200, 50)];

fn exec(project: &Project, runbook: &str, (columns, rows): (u16, u16)) -> Terminal {
    Terminal::start(command(project, &["exec", runbook]), columns, rows)
}

#[test]
fn the_last_screen_tells_all_that_matters() {
    let project = project();
    let _daemon = Daemon::start(&project);
    for (name, code) in [("ok", 0), ("bad", 1), ("stuck", 4)] {
        for size in SIZES {
            let (ended, screen) = exec(&project, name, size).finish();
            assert_eq!(ended, code, "{}", screen.whole());
            let text = masked(&project, &unbroken(&screen.whole()));
            golden(&format!("cli/live-{name}-{}.txt", size.0), &without_number(&text));
        }
    }
}

/// The text with lines that were broken between words made whole: where they are broken depends on what is masked.
fn unbroken(text: &str) -> String {
    let continued = |line: &&str| line.starts_with("    ") && !line.starts_with("     ");
    let mut whole = String::new();
    for line in text.lines() {
        if !whole.is_empty() {
            whole.push(if continued(&line) { ' ' } else { '\n' });
        }
        whole += if continued(&line) { line.trim_start() } else { line };
    }
    whole + "\n"
}

/// The text without the run's number, which is another one at each size.
fn without_number(text: &str) -> String {
    let mut text = text.to_owned();
    for word in ["run ", "logs ", "watch ", "resume ", "resolve "] {
        for number in 1..=9 {
            for end in [' ', '\n'] {
                text = text.replace(&format!("{word}{number}{end}"), &format!("{word}N{end}"));
            }
        }
    }
    text
}

#[test]
fn nothing_that_is_redrawn_is_wider_than_the_terminal() {
    for size in SIZES {
        let project = project();
        let _daemon = Daemon::start(&project);
        let terminal = exec(&project, "hold", size);
        // What it is for is shown until it says something itself.
        terminal.wait_text("● wait   ");
        terminal.wait_text("  a line that is");
        terminal.wait_until("some more pictures", |screen| screen.redraws > 3);
        terminal.wait_until("no broken line", |screen| screen.wraps == 0);
        let widest = terminal.visible().lines().map(|line| line.chars().count()).max();
        assert!(widest < Some(size.0.into()), "{}", terminal.visible());
        golden(&format!("cli/live-hold-{}.txt", size.0), &masked(&project, &terminal.visible()));
        release(&project);
        let (code, screen) = terminal.finish();
        assert_eq!(code, 0);
        assert!(!screen.whole().contains('●'), "the old picture is still there:\n{}", screen.whole());
    }
}

#[test]
fn a_thousand_steps_stay_calm() {
    let steps: String = (1..=1_000).map(|n| format!("  copy-{n}: {{effect: read, argv: [/bin/true]}}\n")).collect();
    let project = Project::with("many", &format!("steps:\n{steps}"));
    let _daemon = Daemon::start(&project);
    let begin = Instant::now();
    let (code, screen) = exec(&project, "many", (80, 24)).finish();
    assert_eq!(code, 0, "{}", screen.whole());
    let tenths = begin.elapsed().as_millis() / 100;
    assert!(screen.redraws as u128 <= tenths + 1, "{} pictures in {tenths} tenths of a second", screen.redraws);
    assert!(screen.bytes <= (screen.redraws + 2) * 80 * 24, "{} bytes", screen.bytes);
    assert_eq!((screen.wraps, screen.whole()), (0, screen.visible()), "the picture left the screen");
    assert!(screen.visible().ends_with("1000 steps: 1000 succeeded\n"), "{}", screen.visible());
    assert!(screen.visible().lines().count() <= 23);
}

#[test]
fn ctrl_c_asks_and_a_second_one_detaches() {
    let project = project();
    let _daemon = Daemon::start(&project);
    let mut terminal = exec(&project, "hold", (80, 24));
    wait_held(&project);
    terminal.wait_text("● wait");
    terminal.type_text(CTRL_C);
    terminal.wait_text("detach, or cancel the run? [d/c, enter to go on watching]");
    // Neither: the picture goes on over the question.
    terminal.type_text("\n");
    terminal.wait_until("the question to go", |screen| !screen.visible().contains("detach"));
    terminal.type_text(CTRL_C);
    terminal.wait_text("detach, or cancel");
    terminal.type_text(CTRL_C);
    let (code, screen) = terminal.finish();
    assert_eq!(code, 130);
    assert!(screen.visible().ends_with("run 1 goes on; `runbook watch 1` comes back to it\n"), "{}", screen.visible());

    let mut terminal = Terminal::start(command(&project, &["watch", "1"]), 80, 24);
    terminal.wait_text("● wait");
    terminal.type_text(CTRL_C);
    terminal.wait_text("detach, or cancel");
    terminal.type_text("d\n");
    assert_eq!(terminal.finish().0, 130);

    let mut terminal = Terminal::start(command(&project, &["watch", "1"]), 80, 24);
    terminal.wait_text("● wait");
    terminal.type_text(CTRL_C);
    terminal.wait_text("detach, or cancel");
    terminal.type_text("c\n");
    let (code, screen) = terminal.finish();
    assert_eq!(code, 3);
    let status = runbook(&project, &["status", "1"]).out;
    assert!(status.contains("canceled by") && status.contains(": Ctrl-C"), "{status}");
    assert!(!screen.visible().contains("detach"), "the question is still there:\n{}", screen.visible());
    golden("cli/live-canceled.txt", &masked(&project, &screen.visible()));
}

#[test]
fn a_daemon_that_is_killed_costs_the_watcher_nothing() {
    let project = project();
    let started = Started(&project);
    let terminal = exec(&project, "hold", (80, 24));
    wait_held(&project);
    terminal.wait_text("● wait");
    let first = started.pid().expect("a daemon");
    started.kill();
    terminal.wait_text("the connection to the daemon broke; going on where it stopped");
    let second = wait_for("another daemon", || started.pid());
    assert_ne!(first, second);
    terminal.wait_text(&format!("started runbookd (pid {second})"));
    project.file("fail", "");
    release(&project);
    let (code, screen) = terminal.finish();
    assert_eq!(code, 1, "{}", screen.whole());
    assert_eq!(project.lines("starts").len(), 1, "it ran once");
    assert!(screen.whole().contains("run 1 hold: failed after"), "{}", screen.whole());
}

#[test]
fn the_main_jobs_fit_the_screen() {
    let project = Project::with_library();
    let _daemon = Daemon::start(&project);
    for (name, last, result) in
        [("backup", "✓ clean", "  publish.path = "), ("dr-restore", "✓ tidy", "  choose.folder = ")]
    {
        let (code, screen) = exec(&project, name, (80, 24)).finish();
        let text = screen.visible();
        assert_eq!((code, &screen.whole()), (0, &text), "something left the screen");
        let path = project.path(".runbook/backups/").display().to_string();
        // Broken by the terminal alone, so that it can be copied.
        let unbroken = text.replace('\n', "");
        assert!(text.contains(last) && unbroken.contains(&format!("{result}{path}")), "{text}");
    }
}
