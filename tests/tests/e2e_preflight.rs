//! What must be there before the first step, looked at together and told at once: what the runbook requires, and what its actions
//! need without anybody's saying.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, Reply, Web};
use serde_json::Value;

/// The subjects and problems of a plan.
fn problems(project: &Project, arguments: &[&str]) -> Vec<(String, String)> {
    let said = runbook(project, &[&["plan", "--output", "json"], arguments].concat());
    let answer: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let problems = answer["problems"].as_array().unwrap().iter();
    problems.map(|it| (text(&it["subject"]), text(&it["problem"]))).collect()
}

#[test]
fn everything_that_is_missing_is_told_before_step_one() {
    let web = Web::serve(|asked, _| match asked.path.as_str() {
        "/ok" => Reply::text(204, ""),
        "/gone" => Reply::text(404, "no"),
        _ => Reply::text(503, "no"),
    });
    let url = web.url();
    let project = Project::new();
    project.runbook(
        "all",
        &format!(
            "requires:
  tools: [no-such-tool]
  secrets: [no-such-secret]
  endpoints: ['{url}/ok', '{url}/gone', '{url}/busy', {{url: '{url}/gone?', expect: [2xx]}}, 'http://127.0.0.1:1/']
  disk: [{{path: ., free: 1 KiB}}, {{path: runbooks, free: 8000 TiB}}]
steps:
  begun: {{effect: read, run: touch begun}}
  plan: {{needs: [begun], uses: terraform/plan, with: {{dir: net, program: no-such-terraform}}}}
"
        ),
    );
    project.file("net/main.tf", "module \"a\" {\n  source = \"./a\"\n}\n");
    let daemon = Daemon::start(&project);
    let missing = problems(&project, &["all"]);
    let subjects: Vec<&str> = missing.iter().map(|(subject, _)| subject.as_str()).collect();
    let expected = [
        "requires.tools.no-such-tool".to_owned(),
        "requires.secrets.no-such-secret".to_owned(),
        format!("requires.endpoints.{url}/busy"),
        format!("requires.endpoints.{url}/gone?"),
        "requires.endpoints.http://127.0.0.1:1/".to_owned(),
        "requires.disk.runbooks".to_owned(),
        "steps.plan.no-such-terraform".to_owned(),
        "steps.plan.net".to_owned(),
    ];
    assert_eq!(subjects, expected, "{missing:#?}");
    let why = |subject: &str| missing.iter().find(|(it, _)| it == subject).map(|(_, problem)| problem.clone()).unwrap();
    assert!(why(&expected[2]).contains("it answers 503"), "{missing:#?}");
    assert!(why(&expected[3]).contains("(2xx is wanted)"), "{missing:#?}");
    assert!(why(&expected[7]).contains("its modules are not there; run `no-such-terraform -chdir=net init`"));
    // A start says all of it, and nothing has begun.
    let said = runbook(&project, &["exec", "all"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(said.err.contains("no-such-tool") && said.err.contains("no-such-terraform"), "{said:?}");
    assert!(!project.path("begun").exists());
    drop(daemon);
}

#[test]
fn what_does_not_run_by_its_inputs_needs_nothing() {
    let project = Project::with(
        "deploy",
        "inputs: {terraform: {type: boolean, default: true}}
steps:
  plan: {if: inputs.terraform, uses: terraform/plan, with: {dir: net, program: no-such-terraform}, when_skipped: go_on}
  go: {needs: [plan], effect: read, run: touch gone}
",
    );
    project.file("net/main.tf", "");
    let daemon = Daemon::start(&project);
    assert_eq!(problems(&project, &["deploy"]).len(), 1);
    assert_eq!(problems(&project, &["deploy", "-i", "terraform=false"]), Vec::new());
    assert_eq!(problems(&project, &["deploy", "--skip", "plan"]), Vec::new());
    assert_eq!(runbook(&project, &["exec", "deploy", "-i", "terraform=false"]).code, 0);
    assert!(project.path("gone").exists());
    drop(daemon);
}

#[test]
fn endpoints_are_asked_together() {
    // None is answered before all were asked.
    let web = Web::serve(|_, _| Reply::Held(Box::new(Reply::text(200, ""))));
    let urls: Vec<String> = (0..8).map(|n| format!("'{}/{n}'", web.url())).collect();
    let body = format!("requires: {{endpoints: [{}]}}\nsteps: {{a: {{effect: read, run: 'true'}}}}\n", urls.join(", "));
    let project = Project::with("a", &body);
    let daemon = Daemon::start(&project);
    std::thread::scope(|scope| {
        let plan = scope.spawn(|| problems(&project, &["a"]));
        assert_eq!(web.wait_asked(8).len(), 8);
        web.release();
        assert_eq!(plan.join().unwrap(), Vec::new());
    });
    drop(daemon);
}
