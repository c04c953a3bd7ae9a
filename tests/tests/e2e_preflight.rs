//! What must be there before the first step, looked at together and told at once: what the runbook requires, and what its steps
//! need without anybody's saying.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, Reply, Web, wait_for};
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
  fmt: {{uses: terraform/fmt, with: {{dir: gone, program: sh}}}}
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
        "steps.fmt.gone".to_owned(),
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
fn programs_that_steps_start_are_told_before_step_one() {
    let project = Project::with(
        "all",
        "inputs: {late: {type: string, default: no-such-late}}
files: [listed.sh]
steps:
  begun: {effect: read, run: touch begun}
  work: {argv: [no-such-work], verify: {argv: [no-such-verify]}, rollback: {argv: [no-such-rollback]}}
  wait: {uses: wait, with: {probe: {argv: [no-such-probe]}, for: 1m}}
  inside: {steps: {deep: {argv: [./gone], working_dir: sub}}}
  path: {argv: [sh], env: {PATH: /no/such/folder}}
  listed: {argv: [listed.sh]}
  script: {run: no-such-script, tools: [sh, no-such-tool, {name: tar, version: '>=999'}]}
  late: {argv: [\"${{ inputs.late }}\"]}
",
    );
    project.file("listed.sh", "#!/bin/sh\n");
    let daemon = Daemon::start(&project);
    let missing = problems(&project, &["all"]);
    let subjects: Vec<&str> = missing.iter().map(|(subject, _)| subject.as_str()).collect();
    let expected = [
        "steps.listed.listed.sh",
        "steps.late.no-such-late",
        "steps.wait.no-such-probe",
        "steps.work.no-such-rollback",
        "steps.script.no-such-tool",
        "steps.work.no-such-verify",
        "steps.work.no-such-work",
        "steps.path.sh",
        "steps.deep.sub/./gone",
        "steps.script.tar",
    ];
    assert_eq!(subjects, expected, "{missing:#?}");
    let why = |subject: &str| missing.iter().find(|(it, _)| it == subject).map(|(_, problem)| problem.clone()).unwrap();
    assert!(why(expected[0]).contains("may not be executed"), "{missing:#?}");
    assert!(
        why(expected[6]).contains("not on the daemon's PATH; install it, or say `tools: []` in the step"),
        "{missing:#?}"
    );
    assert!(why(expected[7]).contains("not on its PATH (/no/such/folder)"), "{missing:#?}");
    assert!(why(expected[8]).contains("sub/./gone, which is not there"), "{missing:#?}");
    let said = runbook(&project, &["exec", "all"]);
    assert_eq!(said.code, 6, "{said:?}");
    assert!(!project.path("begun").exists());
    drop(daemon);
}

#[test]
fn the_program_of_actions_is_the_one_that_the_configuration_names() {
    let project = Project::with(
        "all",
        "steps: {all: {uses: terraform/validate, with: {dir: .}}, own: {uses: terraform/fmt, with: {dir: ., program: sh}}}\n",
    );
    project.file("runbookd.yaml", "programs: {terraform: /opt/no-such-tofu}\n");
    let daemon = Daemon::start(&project);
    let missing = problems(&project, &["all"]);
    assert_eq!(missing.len(), 1, "{missing:#?}");
    assert_eq!(missing[0].0, "steps.all./opt/no-such-tofu");
    drop(daemon);
}

#[test]
fn what_the_run_itself_installs_is_not_looked_for() {
    let project = Project::with(
        "install",
        "env: {PATH: \"bin:/usr/bin:/bin\"}
steps:
  make: {run: 'mkdir bin; printf \"#!/bin/sh\\ntouch made\" > bin/made; chmod +x bin/made'}
  use: {needs: [make], argv: [made], tools: []}
",
    );
    let daemon = Daemon::start(&project);
    assert_eq!(problems(&project, &["install"]), Vec::new());
    let said = runbook(&project, &["exec", "install"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(project.path("made").exists());
    // The next start finds it where the command does.
    project.runbook("again", "env: {PATH: bin}\nsteps: {use: {argv: [made]}}\n");
    assert_eq!(problems(&project, &["again"]), Vec::new());
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
fn what_is_not_started_by_its_inputs_needs_nothing() {
    let project = Project::new();
    project.runbook("deep", "requires: {tools: [no-such-tool]}\nsteps: {a: {effect: read, run: 'true'}}\n");
    project.runbook("cluster", "requires: {secrets: [gone]}\nsteps: {a: {uses: runbook, with: {name: deep}}}\n");
    project.runbook(
        "deploy",
        "inputs: {cluster: {type: boolean, default: true}}
steps:
  part: {if: inputs.cluster, uses: runbook, with: {name: cluster}, when_skipped: go_on}
  go: {needs: [part], effect: read, run: touch gone}
",
    );
    let daemon = Daemon::start(&project);
    let subjects = |arguments: &[&str]| -> Vec<String> {
        problems(&project, arguments).into_iter().map(|(subject, _)| subject).collect()
    };
    assert_eq!(subjects(&["deploy"]), ["requires.secrets.gone", "requires.tools.no-such-tool"]);
    assert_eq!(subjects(&["deploy", "-i", "cluster=false"]), [""; 0]);
    assert_eq!(subjects(&["deploy", "--skip", "part"]), [""; 0]);
    assert_eq!(runbook(&project, &["exec", "deploy", "-i", "cluster=false"]).code, 0);
    assert!(project.path("gone").exists());
    drop(daemon);
}

/// An endpoint answers only when all of them have been asked: one that was asked after another would wait for ever.
#[test]
fn endpoints_are_asked_together() {
    const ENDPOINTS: usize = 24;
    let web = Web::serve(|_, _| Reply::Held(Box::new(Reply::text(204, ""))));
    let urls: Vec<String> = (0..ENDPOINTS).map(|number| format!("'{}/{number}'", web.url())).collect();
    let body =
        format!("requires: {{endpoints: [{}]}}\nsteps: {{a: {{effect: read, run: touch begun}}}}\n", urls.join(", "));
    let project = Project::with("r", &body);
    let daemon = Daemon::start(&project);
    std::thread::scope(|scope| {
        let plan = scope.spawn(|| problems(&project, &["r"]));
        assert_eq!(web.wait_asked(ENDPOINTS).len(), ENDPOINTS);
        web.release();
        assert_eq!(plan.join().unwrap(), Vec::new());
    });
    assert_eq!(runbook(&project, &["exec", "r"]).code, 0);
    drop(daemon);
}

#[test]
fn a_look_on_a_timer_is_for_a_start_with_the_default_inputs() {
    let project = Project::new();
    let body = |input: &str| {
        format!(
            "inputs: {{cluster: {{type: boolean, {input}}}}}
preflight: {{every: 1h}}
steps: {{a: {{effect: read, argv: ['true']}}, b: {{if: inputs.cluster, argv: [no-such-tool]}}}}
"
        )
    };
    project.runbook("with", &body("default: true"));
    project.runbook("without", &body("default: false"));
    project.runbook("asks", &body("required: true"));
    project.file("runbookd.yaml", "schedules: true\n");
    let daemon = Daemon::start(&project);
    // All are looked at in one round, by their names: the last of them is there when the first is told.
    let all = wait_for("the finding", || Some(found(&project)).filter(|all| !all.is_empty()));
    project.runbook("zzz", "preflight: {every: 1h}\nrequires: {tools: [no-such-tool]}\nsteps: {a: {argv: ['true']}}\n");
    let later = wait_for("the other one", || Some(found(&project)).filter(|all| all.len() == 2));
    assert_eq!((all[0].0.as_str(), later[1].0.as_str()), ("with", "zzz"), "{later:#?}");
    assert!(all[0].1.contains("no-such-tool"), "{all:#?}");
    drop(daemon);
}

/// The findings of the kind `preflight`: the subject and the message.
fn found(project: &Project) -> Vec<(String, String)> {
    let said = runbook(project, &["findings", "--output", "json"]);
    let answer: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = answer["findings"].as_array().unwrap().iter().filter(|it| it["kind"] == "preflight");
    all.map(|it| (text(&it["subject"]), text(&it["message"]))).collect()
}

#[test]
fn a_runbook_is_looked_at_while_nobody_starts_it() {
    let project = Project::with(
        "restore",
        "requires: {secrets: [key]}\npreflight: {every: 1h}\nenvironments: [dev, prod]\nsteps: {a: {effect: read, run: 'true'}}\n",
    );
    for name in ["dev", "prod"] {
        project.file(&format!("runbooks/environments/{name}.yaml"), &format!("name: {name}\nlanguage: 1\n"));
    }
    project.file("runbookd.yaml", "schedules: true\nsecrets: {key: {file: key}}\n");
    let daemon = Daemon::start(&project);
    let all = wait_for("both findings", || Some(found(&project)).filter(|all| all.len() == 2));
    assert_eq!((all[0].0.as_str(), all[1].0.as_str()), ("restore", "restore"));
    assert!(all[0].1.contains("in dev: ") && all[1].1.contains("in prod: "), "{all:#?}");
    assert!(all[0].1.contains("key"), "{all:#?}");
    // It is known after a kill, too, and no run came of it.
    daemon.kill();
    project.private("key", "hunter2-hunter2");
    let daemon = Daemon::start(&project);
    assert_eq!(found(&project), all, "the next look is due in an hour");
    let runs = runbook(&project, &["runs", "--output", "json"]);
    assert!(runs.out.contains("\"runs\":[]"), "{runs:?}");
    // Another timer, another look.
    project.runbook(
        "restore",
        "requires: {secrets: [key]}\nenvironments: [dev, prod]\nsteps: {a: {effect: read, run: 'true'}}\n",
    );
    wait_for("the end of the findings", || found(&project).is_empty().then_some(()));
    project.runbook(
        "restore",
        "requires: {secrets: [key]}\npreflight: {every: 2h}\nsteps: {a: {effect: read, run: 'true'}}\n",
    );
    project.runbook(
        "broken",
        "preflight: {every: 1h}\nrequires: {tools: [no-such-tool]}\nsteps: {a: {effect: read, run: 'true'}}\n",
    );
    let all = wait_for("the other one", || Some(found(&project)).filter(|all| !all.is_empty()));
    assert_eq!((all.len(), all[0].0.as_str()), (1, "broken"), "{all:#?}");
    drop(daemon);
}

#[test]
fn a_plan_that_misses_nothing_ends_the_finding() {
    let body = "requires: {secrets: [key]}\npreflight: {every: 24h}\nenvironments: [dev]\nsteps: {a: {effect: read, run: 'true'}}\n";
    let project = Project::with("restore", body);
    project.file("runbooks/environments/dev.yaml", "name: dev\nlanguage: 1\n");
    project.file("runbookd.yaml", "schedules: true\nsecrets: {key: {file: key}}\n");
    let daemon = Daemon::start(&project);
    wait_for("the finding", || Some(found(&project)).filter(|all| all.len() == 1));
    assert_eq!(problems(&project, &["restore", "--env", "dev"]).len(), 1);
    assert_eq!(found(&project).len(), 1, "something is missing still");
    project.private("key", "hunter2-hunter2");
    assert_eq!(problems(&project, &["restore", "--env", "dev"]), Vec::new());
    assert_eq!(found(&project), Vec::new());
    drop(daemon);
}

#[test]
fn a_runbook_for_any_environment_is_looked_at_where_schedules_are_fired() {
    let project = Project::new();
    for (name, schedules) in [("dev", false), ("prod", true)] {
        let text = format!("name: {name}\nlanguage: 1\nvalues: {{tool: no-such-{name}}}\nschedules: {schedules}\n");
        project.file(&format!("runbooks/environments/{name}.yaml"), &text);
    }
    let step = "steps: {a: {effect: read, argv: [\"${{ environment.values.tool }}\"]}}\n";
    project.runbook("restore", &format!("preflight: {{every: 1h}}\n{step}"));
    project.file("runbookd.yaml", "schedules: true\n");
    let daemon = Daemon::start(&project);
    let all = wait_for("the finding", || Some(found(&project)).filter(|all| !all.is_empty()));
    assert!(all.len() == 1 && all[0].1.contains("no-such-prod"), "{all:#?}");
    drop(daemon);
}
