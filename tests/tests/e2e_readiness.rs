//! Whether what is backed up could be restored, told by the real programs from runs that came to an end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use runbook_proto::v1::RunStatus;
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::{Daemon, Project, wait_for};
use serde_json::Value;

/// All that is answered, and the exit code.
fn answer(project: &Project, arguments: &[&str]) -> (Value, i32) {
    let said = runbook(project, &[&["readiness", "--output", "json"], arguments].concat());
    let answer: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    (answer, said.code)
}

/// The targets, and the exit code.
fn readiness(project: &Project, arguments: &[&str]) -> (Vec<Value>, i32) {
    let (answer, code) = answer(project, arguments);
    (answer["targets"].as_array().unwrap().clone(), code)
}

fn succeed(daemon: &Daemon, name: &str) -> u64 {
    let run = daemon.wait_over(&daemon.exec(name, &[]).name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    run.number
}

#[test]
fn the_library_says_what_it_could_restore() {
    let project = Project::with_library();
    let daemon = Daemon::start(&project);
    // Nothing was backed up yet, and it is known what should be.
    let (targets, code) = readiness(&project, &[]);
    assert_eq!((targets.len(), code), (1, 1), "{targets:#?}");
    assert_eq!(targets[0]["target"], ".runbook/backups");
    assert_eq!(targets[0]["reasons"][0], "there is no backup");
    let backup = succeed(&daemon, "backup");
    let (targets, code) = readiness(&project, &[]);
    assert_eq!((targets[0]["verdict"].as_str(), code), (Some("unproved"), 0), "{targets:#?}");
    let drill = succeed(&daemon, "restore-drill");
    // It proves what it looked at; a drill is a restore.
    let ready = |targets: &[Value]| {
        assert_eq!(targets[0]["verdict"], "ready", "{targets:#?}");
        assert_eq!(targets[0]["backup"]["number"], backup);
        assert_eq!(targets[0]["proved"]["number"], backup);
        assert_eq!(targets[0]["drill"]["number"], drill);
        assert_eq!((&targets[0]["rto_seconds"], &targets[0]["restores"]), (&14_400.0.into(), &1.into()));
    };
    ready(&readiness(&project, &[]).0);
    // It follows from what is durable.
    daemon.kill();
    let daemon = Daemon::start(&project);
    ready(&readiness(&project, &["--target", ".runbook/backups"]).0);
    let other = runbook(&project, &["readiness", "--target", ".runbook/backup"]);
    let hint = "there is no target \".runbook/backup\"; did you mean \".runbook/backups\"?";
    assert!(other.code == 2 && other.err.contains(hint), "{other:?}");
    let said = runbook(&project, &["readiness"]);
    for part in ["ready", "newest backup: run ", ", by run ", "last drill: run "] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    drop(daemon);
}

#[test]
fn an_objective_is_about_a_target_in_an_environment_and_breaks_with_time() {
    let project = Project::new();
    project.runbook(
        "dump",
        "inputs: {database: {type: string, required: true}}\n\
        objective: {target: \"db/${{ inputs.database }}\", rpo: 1s}\n\
        steps: {a: {effect: read, argv: [\"true\"]}}\n",
    );
    for name in ["dev", "prod"] {
        project.file(&format!("runbooks/environments/{name}.yaml"), &format!("name: {name}\nlanguage: 1\n"));
    }
    let daemon = Daemon::start(&project);
    assert_eq!(readiness(&project, &[]), (Vec::new(), 4), "no start is known of which the target is known");
    for (environment, database) in [("dev", "orders"), ("prod", "orders"), ("prod", "users")] {
        let said = runbook(&project, &["exec", "dump", "--env", environment, "-i", &format!("database={database}")]);
        assert_eq!(said.code, 0, "{said:?}");
    }
    let found = wait_for("all to be too old", || {
        let (targets, code) = readiness(&project, &[]);
        let broken = targets.iter().all(|target| target["verdict"] == "broken");
        (broken && code == 1).then_some(targets)
    });
    let names: Vec<String> =
        found.iter().map(|it| format!("{}:{}", it["environment"], it["target"]).replace('"', "")).collect();
    assert_eq!(names, ["dev:db/orders", "prod:db/orders", "prod:db/users"]);
    assert_eq!(readiness(&project, &["--env", "prod"]).0.len(), 2);
    drop(daemon);
}

/// How targets stood, the newest first.
fn history(project: &Project, arguments: &[&str]) -> Vec<Value> {
    let said = runbook(project, &[&["readiness", "--history", "--output", "json"], arguments].concat());
    let answer: Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    assert_eq!(said.code, 0, "{said:?}");
    answer["changes"].as_array().unwrap().clone()
}

fn verdicts(changes: &[Value]) -> Vec<&str> {
    changes.iter().map(|change| change["verdict"].as_str().unwrap()).collect()
}

/// Waits until the verdicts about a target were these, the newest first.
fn wait_verdicts(project: &Project, target: &str, wanted: &[&str]) -> Vec<Value> {
    wait_for(&format!("{wanted:?} about {target}"), || {
        Some(history(project, &["--target", target])).filter(|changes| verdicts(changes) == wanted)
    })
}

const DUMP: &str = "objective: {target: db, rpo: RPO, proves: true}\nsteps: {a: {effect: read, argv: [\"true\"]}}\n";

#[test]
fn what_the_restore_lacks_breaks_the_objective_until_it_is_there() {
    let project = Project::new();
    project.runbook("dump", &DUMP.replace("RPO", "1d"));
    let restore = "preflight: {every: 1m}\nrequires: {disk: [{path: room, free: 1 KiB}]}\nobjective: {target: db, rto: 1h}\n\
        steps: {a: {effect: read, argv: [\"true\"]}}\n";
    project.runbook("restore", restore);
    let daemon = Daemon::start_with(&project, |command| {
        command.arg("--schedules");
    });
    succeed(&daemon, "dump");
    let (targets, code) = wait_for("the look to count", || {
        let (targets, code) = readiness(&project, &[]);
        let lacks =
            targets.first()?["reasons"][0].as_str().unwrap_or_default().starts_with("restore could not start for ");
        lacks.then_some((targets, code))
    });
    assert_eq!((targets[0]["verdict"].as_str(), code), (Some("broken"), 1), "{targets:#?}");
    assert_eq!(targets[0]["preflights"][0]["runbook"], "runbooks/restore");
    assert_eq!(targets[0]["preflights"][0]["problems"].as_array().map(Vec::len), Some(1), "{targets:#?}");
    let said = runbook(&project, &["readiness"]);
    assert!(said.out.contains("last pre-flight of restore: ") && said.out.contains("ago, 1 missing"), "{}", said.out);
    // What the look found counts while the file is broken, and nobody forgets it meanwhile.
    project.runbook("restore", "steps: [");
    let since = &targets[0]["preflights"][0]["since"];
    let (broken, code) = readiness(&project, &[]);
    assert_eq!((&broken[0]["preflights"][0]["since"], code), (since, 1), "{broken:#?}");
    project.runbook("restore", restore);
    let (mended, _) = readiness(&project, &[]);
    assert_eq!(&mended[0]["preflights"][0]["since"], since, "{mended:#?}");
    // Under another name it is looked at anew, and not only after a minute.
    std::fs::create_dir(project.path("room")).unwrap();
    std::fs::remove_file(project.path("runbooks/restore.yaml")).unwrap();
    project.runbook("restore-anew", restore);
    let targets = wait_for("the look that finds all", || {
        let (targets, code) = readiness(&project, &[]);
        let looked = targets.first()?["preflights"][0]["runbook"] == "runbooks/restore-anew";
        (looked && code == 0).then_some(targets)
    });
    assert_eq!(targets[0]["verdict"], "unproved", "{targets:#?}");
    assert_eq!(targets[0]["preflights"][0]["since"], Value::Null, "{targets:#?}");
    assert!(runbook(&project, &["readiness"]).out.contains("ago, nothing is missing"));
    drop(daemon);
}

#[test]
fn each_change_of_a_verdict_is_kept_over_a_kill() {
    let project = Project::new();
    project.runbook("dump", &DUMP.replace("RPO", "3s"));
    let daemon = Daemon::start(&project);
    let first = wait_verdicts(&project, "db", &["broken"]);
    assert_eq!((&first[0]["reasons"][0], &first[0]["until"]), (&"there is no backup".into(), &Value::Null));
    succeed(&daemon, "dump");
    wait_verdicts(&project, "db", &["ready", "broken"]);
    // Time alone makes it old.
    let changes = wait_verdicts(&project, "db", &["broken", "ready", "broken"]);
    assert!(changes[0]["reasons"][0].as_str().unwrap().contains("the objective is 3s"), "{changes:#?}");
    assert_eq!((&changes[0]["at"], &changes[1]["at"]), (&changes[1]["until"], &changes[2]["until"]));
    daemon.kill();
    let daemon = Daemon::start(&project);
    assert_eq!(history(&project, &[]), changes);
    // A broken file says nothing of what nobody wants any more.
    project.runbook("other", "steps: {a: {argv: 1}}\n");
    std::fs::remove_file(project.path("runbooks/dump.yaml")).unwrap();
    wait_for("the folder to be broken", || runbook(&project, &["list"]).out.contains("broken").then_some(()));
    assert_eq!(history(&project, &[]), changes);
    std::fs::remove_file(project.path("runbooks/other.yaml")).unwrap();
    let changes = wait_verdicts(&project, "db", &["unwanted", "broken", "ready", "broken"]);
    assert_eq!(readiness(&project, &[]), (Vec::new(), 0));
    let said = runbook(&project, &["readiness", "--history"]);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!((lines.len(), lines[0]), (5, "db"), "{}", said.out);
    assert!(lines[1].contains("unwanted  for ") && lines[4].contains("broken  was so for "), "{}", said.out);
    assert_eq!(history(&project, &["--target", "other"]), Vec::<Value>::new());
    assert_eq!(runbook(&project, &["readiness", "--history", "--env", "prod"]).code, 2, "there is none");
    drop(daemon);
    // Nothing is said twice.
    let daemon = Daemon::start(&project);
    assert_eq!(history(&project, &[]), changes);
    drop(daemon);
}

#[test]
fn gaps_between_backups_are_told_by_the_objective_of_today() {
    let project = Project::new();
    project.runbook("dump", &DUMP.replace("RPO", "1s"));
    let daemon = Daemon::start(&project);
    let first = succeed(&daemon, "dump");
    wait_for("the first to be too old", || (readiness(&project, &[]).1 == 1).then_some(()));
    let second = succeed(&daemon, "dump");
    let (targets, _) = readiness(&project, &[]);
    let gap = &targets[0]["gaps"][0];
    assert_eq!((&gap["before"]["number"], &gap["after"]["number"]), (&first.into(), &second.into()), "{targets:#?}");
    assert_eq!((&targets[0]["all_gaps"], &targets[0]["oldest_backup"]["number"]), (&1.into(), &first.into()));
    let said = runbook(&project, &["readiness"]);
    assert!(said.out.contains("gaps between backups since "), "{}", said.out);
    let said = runbook(&project, &["show", "dump"]);
    assert!(said.out.contains("objective: db: newest backup at most 1.0 s old, proves backups\n"), "{}", said.out);
    project.runbook("dump", &DUMP.replace("RPO", "1d"));
    let gaps = wait_for("the objective of today", || {
        let target = readiness(&project, &[]).0.remove(0);
        (target["rpo_seconds"] == 86_400.0).then(|| target["all_gaps"].clone())
    });
    assert_eq!(gaps, 0);
    drop(daemon);
}

#[test]
fn what_is_broken_in_the_folder_ends_no_objective() {
    let project = Project::new();
    project.runbook("dump", &DUMP.replace("RPO", "1d"));
    let environment = "runbooks/environments/prod.yaml";
    let scheduled = "environments: [prod]\nobjective: {target: site, rpo: 1d}\nschedules: {nightly: {cron: '0 2 * * *', environment: prod}}\n\
        steps: {a: {effect: read, argv: [\"true\"]}}\n";
    project.runbook("copy", scheduled);
    project.file(environment, "name: prod\nlanguage: 1\n");
    let daemon = Daemon::start(&project);
    wait_verdicts(&project, "db", &["broken"]);
    succeed(&daemon, "dump");
    wait_verdicts(&project, "db", &["ready", "broken"]);
    let stand = || -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        readiness(&project, &[]).0.iter().map(|it| (text(&it["target"]), text(&it["verdict"]))).collect()
    };
    let named = |all: &[(&str, &str)]| -> Vec<(String, String)> {
        all.iter().map(|(target, verdict)| ((*target).to_owned(), (*verdict).to_owned())).collect()
    };
    let both = named(&[("db", "ready"), ("site", "broken")]);
    wait_verdicts(&project, "site", &["broken"]);
    assert_eq!(stand(), both);
    project.file("runbooks/dump.yaml", "steps: [");
    project.file(environment, "name: [");
    for listed in [&["list"][..], &["environments", "list"]] {
        let told = || runbook(&project, listed).out;
        wait_for("the folder to be broken", || told().contains("broken: ").then_some(()));
    }
    assert_eq!(stand(), both, "they want what they did");
    // What is good counts as it is now.
    project.runbook("copy", &scheduled.replace("site", "pages"));
    project.file(environment, "name: prod\nlanguage: 1\n");
    wait_for("the other target", || (stand() == named(&[("db", "ready"), ("pages", "broken")])).then_some(()));
    // Gone is gone, once all is good.
    std::fs::remove_file(project.path("runbooks/dump.yaml")).unwrap();
    wait_for("its end", || (stand() == named(&[("pages", "broken")])).then_some(()));
    wait_verdicts(&project, "db", &["unwanted", "ready", "broken"]);
    drop(daemon);
}

#[test]
fn what_is_broken_over_a_restart_wants_what_it_did_when_it_ran_last() {
    let project = Project::new();
    // The name of the runbook cannot be told from that of its file.
    let file = "runbooks/saves.yaml";
    let text = "name: dump\nlanguage: 1\ninputs: {database: {type: string, required: true}}\n\
        objective: {target: \"db/${{ inputs.database }}\", rpo: 1d, proves: true}\nsteps: {a: {effect: read, argv: [\"true\"]}}\n";
    project.file(file, text);
    for name in ["dev", "prod"] {
        project.file(&format!("runbooks/environments/{name}.yaml"), &format!("name: {name}\nlanguage: 1\n"));
    }
    let daemon = Daemon::start(&project);
    for environment in ["dev", "prod"] {
        let said = runbook(&project, &["exec", "dump", "--env", environment, "-i", "database=orders"]);
        assert_eq!(said.code, 0, "{said:?}");
    }
    let (whole, code) = answer(&project, &[]);
    let of = |answer: &Value, key: &str| -> Vec<Value> {
        answer["targets"].as_array().unwrap().iter().map(|target| target[key].clone()).collect()
    };
    assert_eq!((of(&whole, "environment"), code), (vec!["dev".into(), "prod".into()], 0), "{whole:#}");
    assert_eq!(
        (of(&whole, "verdict"), &whole["unknown"]),
        (vec!["ready".into(); 2], &serde_json::json!([])),
        "{whole:#}"
    );
    assert_eq!(of(&whole, "warnings"), vec![serde_json::json!([]); 2], "{whole:#}");
    let before = wait_for("both verdicts", || Some(history(&project, &[])).filter(|changes| changes.len() == 2));

    project.file(file, "steps: [");
    let broken = answer(&project, &[]);
    let told = "runbooks/saves.yaml is broken: its last good version counts";
    assert_eq!(of(&broken.0, "warnings"), vec![serde_json::json!([told]); 2], "{broken:#?}");
    assert_eq!((of(&broken.0, "verdict"), broken.1), (of(&whole, "verdict"), 0), "{broken:#?}");
    daemon.kill();
    let daemon = Daemon::start(&project);
    assert_eq!(answer(&project, &[]), broken, "it is the same over a restart");
    assert!(runbook(&project, &["readiness"]).out.contains(told));

    project.file(file, text);
    assert_eq!(answer(&project, &[]), (whole, 0));
    assert_eq!(history(&project, &[]), before, "nothing is gone that is only broken");
    // The newest version that ran counts, also where it wants nothing.
    project.file(file, "name: dump\nlanguage: 1\nsteps: {a: {effect: read, argv: [\"true\"]}}\n");
    succeed(&daemon, "dump");
    project.file(file, "steps: [");
    daemon.kill();
    let daemon = Daemon::start(&project);
    assert_eq!(readiness(&project, &[]), (Vec::new(), 0));
    drop(daemon);
}

#[test]
fn what_nobody_knows_is_told_and_no_success() {
    let project = Project::new();
    project.runbook("dump", &DUMP.replace("RPO", "1d"));
    let daemon = Daemon::start(&project);
    succeed(&daemon, "dump");
    let unknown = || {
        let (answer, code) = answer(&project, &[]);
        let texts = |key: &str| -> Vec<String> {
            let all = answer[key].as_array().unwrap().iter();
            all.map(|it| it.as_str().or(it["target"].as_str()).unwrap().to_owned()).collect()
        };
        (texts("targets"), texts("unknown"), code)
    };
    let db = || vec!["db".to_owned()];
    project.runbook("other", "steps: [");
    let other = "runbooks/other.yaml is broken, and no run that is kept went by a good version of it: what it is for is not known";
    let up = unknown();
    assert_eq!(up, (db(), vec![other.to_owned()], 4));
    daemon.kill();
    let daemon = Daemon::start(&project);
    assert_eq!(unknown(), up, "it is the same over a restart");
    // What is not there is not wanted, however broken the rest is.
    daemon.kill();
    std::fs::remove_file(project.path("runbooks/dump.yaml")).unwrap();
    let daemon = Daemon::start(&project);
    assert_eq!(unknown(), (Vec::new(), vec![other.to_owned()], 4));
    let said = runbook(&project, &["readiness"]);
    assert_eq!((said.out.as_str(), said.code), (format!("{other}\n").as_str(), 4), "{said:?}");
    std::fs::remove_file(project.path("runbooks/other.yaml")).unwrap();
    assert_eq!(unknown(), (Vec::new(), Vec::new(), 0));
    // So is what is wanted in an environment that cannot be read, and an objective that is broken is graver.
    project.runbook("never", &DUMP.replace("RPO", "1d").replace("db", "site"));
    project.file("runbooks/environments/prod.yaml", "name: [");
    let place =
        "runbooks/environments/prod.yaml is broken: targets in this environment that no run was about may be missing";
    assert_eq!(unknown(), (vec!["site".to_owned()], vec![place.to_owned()], 1));
    drop(daemon);
}

#[test]
fn a_drill_or_a_proof_that_failed_breaks_the_objective_until_one_succeeds() {
    let project = Project::new();
    project.runbook("dump", &DUMP.replace("RPO", "1d"));
    // It fails without `good`, and with it is over once `go` is there.
    let step = "steps: {a: {effect: read, run: 'test -e good && until test -e go; do sleep 0.05; done'}}\n";
    project.runbook("drill", &format!("objective: {{target: db, rto: 1h, drill: true}}\n{step}"));
    project.runbook("proof", &format!("objective: {{target: db, proves: true}}\n{step}"));
    let daemon = Daemon::start(&project);
    let there = |name: &str| project.file(name, "");
    let gone = |name: &str| std::fs::remove_file(project.path(name)).unwrap();
    let fail = |name: &str| {
        let run = daemon.wait_over(&daemon.exec(name, &[]).name);
        assert_eq!(run.status(), RunStatus::Failed, "{run:#?}");
        run.number
    };
    let stand = |verdict: &str, failed: &[u64]| {
        let (targets, code) = readiness(&project, &[]);
        let numbers: Vec<u64> =
            targets[0]["failed"].as_array().unwrap().iter().map(|it| it["number"].as_u64().unwrap()).collect();
        let wanted = (verdict, failed, i32::from(verdict == "broken"));
        assert_eq!((targets[0]["verdict"].as_str().unwrap(), numbers.as_slice(), code), wanted, "{targets:#?}");
        targets[0]["reasons"].clone()
    };
    // The newest verdict that was noted.
    let noted = |verdict: &str| {
        wait_for(&format!("{verdict} to be noted"), || {
            (verdicts(&history(&project, &[])).first() == Some(&verdict)).then_some(())
        });
    };
    there("good");
    there("go");
    succeed(&daemon, "dump");
    succeed(&daemon, "drill");
    stand("ready", &[]);
    noted("ready");

    gone("good");
    let drill = fail("drill");
    let reasons = stand("broken", &[drill]);
    let why = reasons[0].as_str().unwrap();
    assert!(why.starts_with(&format!("the newest drill, drill in run {drill}, failed at 20")), "{reasons}");
    assert!(
        why.ends_with(&format!(", and nothing was restored since: `runbook status {drill}` shows why")),
        "{reasons}"
    );
    assert!(runbook(&project, &["readiness"]).out.contains(&format!("drill in run {drill}, failed at ")));
    noted("broken");
    let check = fail("proof");
    stand("broken", &[check, drill]);
    // A backup that proves itself restores nothing.
    succeed(&daemon, "dump");
    stand("broken", &[drill]);
    daemon.kill();
    let daemon = Daemon::start(&project);
    assert_eq!(stand("broken", &[drill]), reasons, "it follows from what is durable");
    // Nor does one that changes nothing.
    there("good");
    assert_eq!(runbook(&project, &["exec", "drill", "--dry-run"]).code, 0);
    stand("broken", &[drill]);
    // It says what it said while it goes on again, also over a restart.
    gone("go");
    let resumed = runbook(&project, &["resume", &drill.to_string(), "--detach"]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    stand("broken", &[drill]);
    daemon.kill();
    let daemon = Daemon::start(&project);
    assert_eq!(stand("broken", &[drill]), reasons);
    there("go");
    noted("ready");
    stand("ready", &[]);
    gone("good");
    // What failed and was canceled then says nothing any more, nor does a backup that fails.
    let canceled = runbook(&project, &["exec", "drill"]);
    assert_eq!(canceled.code, 1, "{canceled:?}");
    stand("broken", &[drill + 4]);
    there("good");
    gone("go");
    assert_eq!(runbook(&project, &["resume", "last", "--detach"]).code, 0);
    assert_eq!(runbook(&project, &["cancel", "last", "--now"]).code, 0);
    wait_for("the end of it", || (readiness(&project, &[]).1 == 0).then_some(()));
    stand("ready", &[]);
    project.runbook("dump", &DUMP.replace("RPO", "1d").replace("\"true\"", "\"false\""));
    assert_eq!(runbook(&project, &["exec", "dump"]).code, 1);
    stand("ready", &[]);
    daemon.kill();
    let daemon = Daemon::start(&project);
    stand("ready", &[]);
    drop(daemon);
}

#[test]
fn a_goal_counts_wherever_its_runbook_could_come_to_what_another_one_came_to() {
    let project = Project::new();
    let step = "steps: {a: {effect: read, argv: [\"true\"]}}\n";
    let runbook_for = |name: &str, objective: &str, more: &str| {
        project.runbook(name, &format!("{more}objective: {{{objective}}}\n{step}"));
    };
    let database = "inputs: {database: {type: string, required: true}}\n";
    runbook_for("save", "target: \"${{ environment.values.what }}\", rpo: 1d, proves: true", "");
    // Under another text it is for the same, and cannot be started without an input.
    let recover = "environments: [dev, prod]\ninputs: {release: {type: string, required: true}, part: {type: string, default: stack}}\n";
    runbook_for("recover", "target: \"${{ inputs.part }}\", rto: 1h", recover);
    runbook_for("dump", "target: \"db/${{ inputs.database }}\", rpo: 1d, proves: true", database);
    // What it is for is written in the same way, and nobody has said for which yet.
    runbook_for("load", "target: \"db/${{ inputs.database }}\", rto: 2h, drill: true", database);
    for name in ["dev", "prod", "staging"] {
        let environment = format!("name: {name}\nlanguage: 1\nvalues: {{what: stack}}\n");
        project.file(&format!("runbooks/environments/{name}.yaml"), &environment);
    }
    let daemon = Daemon::start(&project);
    for words in [
        &["save", "--env", "dev"][..],
        &["save", "--env", "staging"],
        &["dump", "--env", "dev", "-i", "database=orders"],
    ] {
        let said = runbook(&project, &[&["exec"], words].concat());
        assert_eq!(said.code, 0, "{said:?}");
    }
    let stand = || -> Vec<(String, String, Value)> {
        let told = |it: &Value| {
            let place = format!("{}:{}", it["environment"], it["target"]).replace('"', "");
            (place, it["verdict"].as_str().unwrap().to_owned(), it["rto_seconds"].clone())
        };
        readiness(&project, &[]).0.iter().map(told).collect()
    };
    let named = |all: &[(&str, &str, Value)]| -> Vec<(String, String, Value)> {
        all.iter().map(|(place, verdict, rto)| ((*place).to_owned(), (*verdict).to_owned(), rto.clone())).collect()
    };
    let orders = ("dev:db/orders", "unproved", 7_200.0.into());
    let staging = ("staging:stack", "ready", Value::Null);
    let never = named(&[orders.clone(), ("dev:stack", "unproved", 3_600.0.into()), staging.clone()]);
    assert_eq!(stand(), never);
    let (targets, code) = readiness(&project, &["--env", "dev", "--target", "stack"]);
    assert_eq!(
        (targets[0]["reasons"][0].as_str(), code),
        (Some("nothing was ever restored: start the restore, or a drill"), 0)
    );
    // While the file of the environment is broken, what is said by name there is said still.
    runbook_for("recover", "target: stack, rto: 1h", recover);
    project.file("runbooks/environments/dev.yaml", "name: [");
    wait_for("the broken file", || (readiness(&project, &[]).1 == 4).then_some(()));
    assert_eq!(stand(), never);
    project.file("runbooks/environments/dev.yaml", "name: dev\nlanguage: 1\nvalues: {what: stack}\n");
    let said = runbook(&project, &["exec", "recover", "--env", "dev", "-i", "release=1"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(stand(), named(&[orders, ("dev:stack", "ready", 3_600.0.into()), staging]));
    drop(daemon);
}

#[test]
fn what_child_runs_did_counts_by_the_number_of_the_run_at_the_top() {
    let project = Project::new();
    let saves =
        |target: &str, steps: &str| format!("objective: {{target: {target}, rpo: 1d, proves: true}}\nsteps: {steps}\n");
    project.runbook("save", &saves("db", "{a: {effect: read, argv: [\"true\"]}}"));
    project.runbook("copy", &saves("site", "{a: {argv: [\"true\"], rollback: {argv: [\"true\"]}}}"));
    let drill = "objective: {target: db, rto: 1h, drill: true}\nsteps: {a: {effect: read, argv: [test, -e, good]}}\n";
    project.runbook("drill", drill);
    let call = |name: &str| format!("uses: runbook, with: {{name: {name}}}");
    let (save, copy) = (call("save"), call("copy"));
    project.runbook("nightly", &format!("steps: {{all: {{steps: {{a: {{{save}}}}}}}}}\n"));
    project.runbook("each", &format!("steps: {{all: {{for_each: [x, y], {save}}}}}\n"));
    project.runbook("late", &format!("steps: {{a: {{{save}}}, b: {{needs: [a], argv: [\"false\"]}}}}\n"));
    project.runbook(
        "undo",
        &format!("rollback: automatic\nsteps: {{a: {{{copy}}}, b: {{needs: [a], argv: [\"false\"]}}}}\n"),
    );
    project.runbook("weekly", &format!("steps: {{a: {{{}}}}}\n", call("drill")));
    let undone =
        "objective: {target: db, rto: 1h, drill: true}\nsteps: {a: {argv: [\"true\"], rollback: {argv: [\"true\"]}}}\n";
    project.runbook("undone", undone);
    let undo =
        format!("rollback: automatic\nsteps: {{a: {{{}}}, b: {{needs: [a], argv: [\"false\"]}}}}\n", call("undone"));
    project.runbook("undo-drill", &undo);
    let mut daemon = Some(Daemon::start(&project));
    let number = std::cell::Cell::new(0);
    let exec = |words: &[&str], code: i32| {
        let said = runbook(&project, &[&["exec"], words].concat());
        assert_eq!(said.code, code, "{said:?}");
        number.set(number.get() + 1);
        Value::from(number.get())
    };
    // The numbers of the newest backup, of the newest that was proved and by which, and of what failed; the same over a restart.
    let mut stand = |target: &str| {
        let told = || {
            let (targets, code) = readiness(&project, &["--target", target]);
            let it = &targets[0];
            let number = |name: &str| it[name]["number"].clone();
            (
                it["verdict"].clone(),
                [number("backup"), number("proved"), number("proved_by"), it["failed"][0]["number"].clone()],
                code,
            )
        };
        let up = told();
        daemon.take().unwrap().kill();
        daemon = Some(Daemon::start(&project));
        assert_eq!(told(), up, "it follows from what is durable");
        up
    };
    let by = |number: &Value, proved_by: &Value| [number.clone(), number.clone(), proved_by.clone(), Value::Null];
    let of = |number: &Value, verdict: &str| (verdict.into(), by(number, number), 0);
    for name in ["nightly", "each"] {
        let number = exec(&[name], 0);
        exec(&[name, "--dry-run"], 0);
        assert_eq!(stand("db"), of(&number, "unproved"), "{name}");
    }
    // It made its backup, whatever became of the run above it.
    let late = exec(&["late"], 1);
    assert_eq!(stand("db"), of(&late, "unproved"));
    project.file("good", "");
    let weekly = exec(&["weekly"], 0);
    assert_eq!(stand("db"), ("ready".into(), by(&late, &weekly), 0));
    std::fs::remove_file(project.path("good")).unwrap();
    let failed = exec(&["weekly"], 1);
    let broken = [late.clone(), late.clone(), weekly.clone(), failed.clone()];
    assert_eq!(stand("db"), ("broken".into(), broken, 1));
    let said = runbook(&project, &["readiness", "--target", "db"]).out;
    assert!(said.contains(&format!("the newest drill, drill in run {failed}, failed at ")), "{said}");
    // What is undone for the run above it is as if it had never been.
    let copied = exec(&["copy"], 0);
    exec(&["undo"], 1);
    let (verdict, numbers, _) = stand("site");
    assert_eq!((verdict, numbers), ("ready".into(), by(&copied, &copied)));
    project.file("good", "");
    let mended = exec(&["weekly"], 0);
    exec(&["undo-drill"], 1);
    assert_eq!(stand("db"), ("ready".into(), by(&late, &mended), 0));
}

#[test]
fn a_name_that_nobody_knows_is_refused_and_where_nothing_ran_nobody_knows() {
    let project = Project::new();
    let step = "steps: {a: {effect: read, argv: [\"true\"]}}\n";
    project.runbook(
        "save",
        &format!("environments: [dev, prod]\nobjective: {{target: stack, rpo: 1d, proves: true}}\n{step}"),
    );
    let dump = "inputs: {database: {type: string, required: true}}\nobjective: {target: \"db/${{ inputs.database }}\", rpo: 1d}\n";
    project.runbook("dump", &format!("environments: [prod]\n{dump}{step}"));
    for name in ["dev", "prod", "staging"] {
        project.file(&format!("runbooks/environments/{name}.yaml"), &format!("name: {name}\nlanguage: 1\n"));
    }
    let daemon = Daemon::start(&project);
    let said = runbook(&project, &["exec", "save", "--env", "dev"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(readiness(&project, &["--env", "dev"]).1, 0);
    // Whatever is asked about it, and whatever else is known.
    for history in [&["readiness"][..], &["readiness", "--history"]] {
        let nix = runbook(&project, &[history, &["--env", "nix"]].concat());
        assert!(
            nix.code == 2 && nix.err.contains("there is no environment \"nix\"; there are dev, prod, staging"),
            "{nix:?}"
        );
    }
    for (words, told) in [
        (&["--target", "stak"][..], "there is no target \"stak\"; did you mean \"stack\"?"),
        (&["--target", "x", "--env", "dev"], "there is no target \"x\" in dev; there are stack"),
        (
            &["--target", "stack", "--env", "staging"],
            "there is no target \"stack\" in staging; no run and no `objective` names one",
        ),
        (&["--target", "db/orders"], "there are stack; what dump would be for is known once a run has succeeded"),
    ] {
        let typo = runbook(&project, &[&["readiness"], words].concat());
        assert!(typo.code == 2 && typo.err.contains(told), "{words:?} {typo:?}");
    }
    // Where nothing ran yet nobody knows, and where nothing is wanted nothing is missing.
    for (words, told) in [
        (
            &["--env", "prod"][..],
            "nothing is known of what could be restored in prod: no run of dump, save has succeeded that was about it",
        ),
        (
            &["--env", "prod", "--target", "stack"],
            "nothing is known of stack in prod: no run of dump, save has succeeded that was about it",
        ),
    ] {
        let (nobody, code) = answer(&project, words);
        assert_eq!(
            (&nobody["targets"], &nobody["unknown"], code),
            (&serde_json::json!([]), &serde_json::json!([told]), 4)
        );
        let said = runbook(&project, &[&["readiness"], words].concat());
        assert_eq!((said.out.replace("\n  ", " "), said.code), (format!("{told}\n"), 4), "{said:?}");
    }
    let (nothing, code) = answer(&project, &["--env", "staging"]);
    assert_eq!((&nothing["unknown"], code), (&serde_json::json!([]), 0));
    // What is known of an environment outlives its file, and a name that may be in a broken one is not refused.
    project.file("runbooks/environments/prod.yaml", "name: [");
    assert_eq!(readiness(&project, &["--target", "stak"]), (Vec::new(), 4));
    drop(daemon);
}
