//! Hooks: somebody hears of what happens, once, over kills of the daemon, and never of hooks themselves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use runbook_proto::v1::{ListFindingsRequest, ListRunsRequest, Origin, Run, RunStatus, StandingFinding};
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, wait_for};

const TELL: &str = "inputs: {event: {type: string, required: true}, number: {type: integer, required: true}, \
    step: {type: string, default: none}, runbook: {type: string, required: true}}\n\
    steps: {tell: {effect: idempotent, run: 'echo $EVENT $ABOUT $NUMBER $STEP >> heard', \
    env: {EVENT: '${{ inputs.event }}', ABOUT: '${{ inputs.runbook }}', NUMBER: '${{ inputs.number }}', \
    STEP: '${{ inputs.step }}'}}}\n";

fn runs(daemon: &Daemon) -> Vec<Run> {
    let request = ListRunsRequest { page_size: 1_000, ..Default::default() };
    daemon.runs(|mut client| async move { client.list_runs(request).await }).unwrap().runs
}

fn findings(daemon: &Daemon) -> Vec<StandingFinding> {
    let request = ListFindingsRequest::default();
    daemon.system(|mut client| async move { client.list_findings(request).await }).unwrap().findings
}

/// What was heard, sorted.
fn heard(project: &Project) -> Vec<String> {
    let mut lines = project.lines("heard");
    lines.sort();
    lines
}

#[test]
fn what_happens_is_told_once_and_hooks_tell_nobody() {
    let project = Project::with("tell", TELL);
    project.file("runbookd.yaml", "on: {failed: tell, attention: tell, approval: tell, overdue: tell}\n");
    project.runbook("bad", "steps: {work: {effect: read, argv: [\"false\"]}}\n");
    let undone = "rollback: automatic\nsteps:\n  do: {run: 'true', rollback: {run: 'true'}}\n  work: {needs: [do], run: exit 3}\n";
    project.runbook("undone", undone);
    project.runbook("above", "steps: {call: {uses: runbook, with: {name: bad}}}\n");
    project.runbook("ask", "steps: {gate: {uses: approval, with: {message: may I}}}\n");
    project.runbook("stuck", "steps: {work: {run: 'kill -9 $$', verify: {run: exit 1, timeout: 5s}}}\n");
    project.runbook("proof", "expect: {every: 25h}\nsteps: {a: {effect: read, argv: [\"true\"]}}\n");
    let file = std::fs::File::options().write(true).open(project.path("runbooks/proof.yaml")).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(26 * 3_600)).unwrap();
    let daemon = Daemon::start(&project);
    assert_eq!(daemon.wait_over(&daemon.exec("bad", &[]).name).status(), RunStatus::Failed);
    assert_eq!(daemon.wait_over(&daemon.exec("above", &[]).name).status(), RunStatus::Failed);
    assert_eq!(daemon.wait_over(&daemon.exec("undone", &[]).name).status(), RunStatus::RolledBack);
    daemon.exec("ask", &[]);
    daemon.exec("stuck", &[]);
    let number = |runbook: &str| {
        let all = runs(&daemon);
        all.iter().find(|run| run.runbook == runbook).map_or(0, |run| run.number)
    };
    let mut expected = vec![
        format!("approval ask {} gate", number("ask")),
        format!("attention stuck {} work", number("stuck")),
        format!("failed above {} call", number("above")),
        format!("failed bad {} work", number("bad")),
        format!("failed undone {} work", number("undone")),
        "overdue proof 0".to_owned(),
    ];
    wait_for("all that is told", || (heard(&project).len() >= expected.len()).then_some(()));
    assert_eq!(heard(&project), expected);
    // Just now the newest run of all is one that tells: nobody means that by `last`.
    let newest = runs(&daemon).into_iter().next().unwrap();
    assert_eq!(newest.origin(), Origin::Hook);
    let last = runbook(&project, &["status", "last", "--output", "json"]);
    let last: serde_json::Value = serde_json::from_str(&last.out).unwrap();
    assert_eq!(last["number"], number("stuck"), "{last:#}");

    // A start tells nothing a second time; what fails while hooks are broken is told once they are mended.
    daemon.kill();
    project.runbook("tell", "inputs: {pager: {type: string, required: true}}\nsteps: {a: {argv: [\"true\"]}}\n");
    let daemon = Daemon::start(&project);
    wait_for("the fault", || {
        findings(&daemon).iter().any(|it| it.message.contains("requires the input pager")).then_some(())
    });
    let bad = daemon.wait_over(&daemon.exec("bad", &[]).name);
    daemon.kill();
    project.runbook("tell", TELL);
    let daemon = Daemon::start(&project);
    expected.push(format!("failed bad {} work", bad.number));
    expected.sort();
    wait_for("the late one", || (heard(&project).len() >= expected.len()).then_some(()));
    assert_eq!(heard(&project), expected);
    let hooks: Vec<Run> = runs(&daemon).into_iter().filter(|run| run.origin() == Origin::Hook).collect();
    assert_eq!(hooks.len(), expected.len());

    // A hook that fails starts no hook.
    project.runbook("tell", "steps: {a: {effect: read, argv: [\"false\"]}}\n");
    daemon.wait_over(&daemon.exec("bad", &[]).name);
    let failed = || runs(&daemon).into_iter().find(|run| run.runbook == "tell" && run.status() == RunStatus::Failed);
    let hook = daemon.get(&wait_for("the hook that fails", failed).name);
    assert!(hook.reason.starts_with("on.failed: bad, run "), "{}", hook.reason);
    daemon.wait_over(&daemon.exec("proof", &[]).name);
    assert_eq!(runs(&daemon).iter().filter(|run| run.origin() == Origin::Hook).count(), expected.len() + 1);
}

#[test]
fn kills_between_a_failure_and_its_hook_neither_lose_nor_double_it() {
    let project = Project::with("tell", TELL);
    project.file("runbookd.yaml", "on: {failed: tell}\n");
    project.runbook("bad", "steps: {work: {effect: read, argv: [\"false\"]}}\n");
    let rounds: u64 = std::env::var("RUNBOOK_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    for round in 0..rounds {
        let daemon = Daemon::start(&project);
        daemon.exec("bad", &[]);
        // From before its failure until after its hook.
        let (begun, moment) = (Instant::now(), Duration::from_millis(12 * round));
        wait_for("the moment of the kill", || (begun.elapsed() >= moment).then_some(()));
        daemon.kill();
    }
    let daemon = Daemon::start(&project);
    let told = || {
        let failed =
            runs(&daemon).iter().filter(|run| run.runbook == "bad").all(|run| run.status() == RunStatus::Failed);
        (failed && heard(&project).len() as u64 >= rounds).then_some(())
    };
    wait_for("all hooks", told);
    let mut count: BTreeMap<String, u64> = BTreeMap::new();
    for line in heard(&project) {
        *count.entry(line).or_default() += 1;
    }
    let once: BTreeMap<String, u64> = runs(&daemon)
        .iter()
        .filter(|run| run.runbook == "bad")
        .map(|run| (format!("failed bad {} work", run.number), 1))
        .collect();
    assert_eq!(count, once);
}
