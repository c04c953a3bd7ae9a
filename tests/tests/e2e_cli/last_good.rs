//! A runbook whose file is broken or gone is started as its newest run had it, by whoever says so.

use runbook_tests::e2e::Project;
use runbook_tests::e2e::command::{Started, runbook};

const GOOD: &str = "steps: {a: {effect: read, run: echo first >> log}}\n";

#[test]
fn a_runbook_whose_file_is_broken_or_gone_starts_as_its_newest_run_had_it() {
    let project = Project::with("restore", GOOD);
    let started = Started(&project);
    let exec = |more: &[&str]| runbook(&project, &[&["exec", "restore"], more].concat());
    let early = exec(&["--last-good"]);
    assert_eq!(early.code, 2, "{early:?}");
    assert!(early.err.contains("the file of restore is good: leave this out"), "{}", early.err);
    assert_eq!(exec(&[]).code, 0);

    // The same name from elsewhere is no version of the file.
    let other =
        project.file("other.yaml", "name: restore\nlanguage: 1\nsteps: {a: {effect: read, run: echo other >> log}}\n");
    let elsewhere = runbook(&project, &["exec", other.to_str().unwrap()]);
    assert_eq!((elsewhere.code, project.lines("log")), (0, vec!["first".to_owned(), "other".to_owned()]));

    project.runbook("restore", "steps: [");
    let refused = exec(&[]);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(refused.err.contains("until then `runbook exec restore --last-good` starts it"), "{}", refused.err);
    let again = exec(&["--last-good"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.err.contains("this is the runbook as run 1 had it"), "{}", again.err);

    // Its definition outlives the daemon, and the file.
    started.kill();
    std::fs::remove_file(project.path("runbooks/restore.yaml")).unwrap();
    assert_eq!(exec(&[]).code, 2);
    let gone = exec(&["--last-good", "--validate-only"]);
    assert!(gone.code == 0 && gone.err.contains("as run 3 had it"), "{gone:?}");
    assert_eq!(exec(&["--last-good"]).code, 0);
    assert_eq!(project.lines("log"), ["first", "other", "first", "first"]);

    let never = runbook(&project, &["exec", "resotre", "--last-good"]);
    assert_eq!(never.code, 2, "{never:?}");
    assert!(never.err.contains("no run that is kept went by a good file of \"resotre\""), "{}", never.err);
    let text = runbook(&project, &["exec", "./other.yaml", "--last-good"]);
    assert_eq!(text.code, 2, "{text:?}");
}
