//! The runbooks of a stack with terraform, kubectl and PostgreSQL themselves, on this machine alone: made, deployed, backed up,
//! changed by hand, lost and brought back. Where one of these programs is absent these tests are skipped, and say so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

mod database;

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use runbook_proto::v1::{Run, RunStatus, RunStep, StartRunRequest, StepStatus};
use runbook_tests::e2e::command::runbook;
use runbook_tests::e2e::injection::skip;
use runbook_tests::e2e::{Daemon, Project, Reply, Web, find, path, step, tree, wait_for};

/// The current release.
const CURRENT: &str = ".stack/local/site/current";

/// Whether all programs are there; says which one is not.
fn are_there() -> bool {
    let missing = ["terraform", "kubectl"].iter().find(|name| find(name).is_none());
    if let Some(missing) = missing {
        skip(&format!("there is no {missing} on this machine"));
        return false;
    }
    is_postgres_there()
}

/// The same of PostgreSQL alone.
fn is_postgres_there() -> bool {
    let missing = ["initdb", "pg_ctl", "psql", "pg_dump", "pg_restore"].iter().find(|name| find(name).is_none());
    if let Some(missing) = missing {
        skip(&format!("there is no {missing} on this machine"));
        return false;
    }
    // Root needs a user namespace for PostgreSQL.
    let mut somebody = Command::new("unshare");
    somebody.args(["--user", "--map-user=65534", "--map-group=65534", "true"]).stderr(Stdio::null());
    let may = !tree::is_root() || somebody.status().is_ok_and(|status| status.success());
    if !may {
        skip("root may make no user namespace here");
    }
    may
}

fn start(project: &Project) -> Daemon {
    start_on(project, path())
}

fn start_on(project: &Project, path: OsString) -> Daemon {
    Daemon::start_with(project, |command| {
        command.env("PATH", path);
    })
}

/// A PATH with all programs but these.
fn path_without(project: &Project, names: &[&str]) -> OsString {
    let folder = project.path("bin");
    std::fs::create_dir(&folder).unwrap();
    for file in std::env::split_paths(&path()).filter_map(|folder| std::fs::read_dir(folder).ok()).flatten().flatten() {
        let (name, link) = (file.file_name(), folder.join(file.file_name()));
        // Of two programs of a name the first one is meant.
        if !names.iter().any(|without| *without == name) && link.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(file.path(), link).unwrap();
        }
    }
    folder.into_os_string()
}

/// A start in the environment `local`.
fn request(name: &str, inputs: &[(&str, &str)]) -> StartRunRequest {
    StartRunRequest {
        runbook: name.to_owned(),
        input_texts: inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        environment: "local".to_owned(),
        ..Default::default()
    }
}

fn begin(daemon: &Daemon, request: StartRunRequest) -> Run {
    let started = daemon.runs(|mut client| async move { client.start_run(request).await });
    started.unwrap_or_else(|status| panic!("{status:?}\n{}", daemon.log())).run.expect("a run")
}

fn exec(daemon: &Daemon, name: &str, inputs: &[(&str, &str)]) -> Run {
    daemon.wait_over(&begin(daemon, request(name, inputs)).name)
}

fn succeed(daemon: &Daemon, name: &str, inputs: &[(&str, &str)]) -> Run {
    let run = exec(daemon, name, inputs);
    assert_eq!(run.status(), RunStatus::Succeeded, "{}", told(daemon, &run));
    run
}

/// A run with what its failed steps said, for messages.
fn told(daemon: &Daemon, run: &Run) -> String {
    let mut text = format!("{} {:?}: {}\n", run.runbook, run.status(), run.message);
    for step in &run.steps {
        text.push_str(&format!("{} {:?}: {}\n", step.id, step.status(), step.message));
        if step.status() == StepStatus::Failed {
            daemon.logs(&run.name, &step.id).iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
    }
    text
}

/// The step that makes the infrastructure, of the only round that there was.
fn apply_of(run: &Run) -> &RunStep {
    let rounds = step(run, "infrastructure").child_run.as_ref().expect("rounds");
    assert_eq!(rounds.steps.len(), 1, "{rounds:#?}");
    step(rounds.steps[0].child_run.as_ref().expect("a round"), "apply")
}

/// A stack with a release and a file in its store.
fn deployed(daemon: &Daemon, project: &Project) {
    succeed(daemon, "bootstrap", &[]);
    succeed(daemon, "deploy", &[("version", "1.0.0")]);
    project.file(".stack/local/site/files/letter", "dear reader\n");
}

fn version(project: &Project) -> String {
    project.read(&format!("{CURRENT}/version")).unwrap_or_default().trim().to_owned()
}

/// What the script of the stack's PostgreSQL says.
fn postgres(project: &Project, words: &[&str]) -> String {
    let mut command = Command::new(project.path("runbooks/scripts/postgres.sh"));
    command.args(words).env("CLUSTER", project.path(".stack/local/postgres")).env("PATH", path());
    let said = command.output().expect("the script runs");
    assert!(said.status.success(), "{said:?}");
    String::from_utf8(said.stdout).unwrap().trim().to_owned()
}

/// Answers of one of its databases.
fn ask_of(project: &Project, database: &str, query: &str) -> String {
    let database = format!("--dbname={database}");
    postgres(project, &["with", "psql", "--no-psqlrc", "-qAt", "--set=ON_ERROR_STOP=1", &database, "--command", query])
}

/// Answers of the stack's database.
fn ask(project: &Project, query: &str) -> String {
    ask_of(project, "stack", query)
}

fn terraform(project: &Project, words: &[&str]) {
    let mut command = Command::new("terraform");
    command.args(words).current_dir(project.path("infrastructure/terraform/stacks/local"));
    command.env("TF_DATA_DIR", project.path(".stack/local/terraform/data")).env("PATH", path());
    let said = command.output().expect("terraform runs");
    assert!(said.status.success(), "{said:?}");
}

/// Programs that stand still when they are called with a word, until they are let go.
struct Gates<'p> {
    project: &'p Project,
}

impl<'p> Gates<'p> {
    /// Of each program's calls with a word, by the name of the gate.
    fn new(project: &'p Project, gates: &[(&str, &str, &str)]) -> Self {
        for (program, ..) in gates {
            let mut script = String::from("#!/bin/sh\ncase \"$*\" in\n");
            for (_, word, gate) in gates.iter().filter(|(name, ..)| name == program) {
                let (begun, go) =
                    (project.path(&format!("gates/{gate}.begun")), project.path(&format!("gates/{gate}.go")));
                script.push_str(&format!(
                    "*{word}*) touch {begun}; while [ ! -e {go} ]; do sleep 0.05; done ;;\n",
                    begun = begun.display(),
                    go = go.display()
                ));
            }
            let real = find(program).expect("the program");
            script.push_str(&format!("esac\nexec {} \"$@\"\n", real.display()));
            let file = project.file(&format!("gates/bin/{program}"), &script);
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { project }
    }

    fn start(&self) -> Daemon {
        let mut folders = vec![self.project.path("gates/bin")];
        folders.extend(std::env::split_paths(&path()));
        Daemon::start_with(self.project, |command| {
            command.env("PATH", std::env::join_paths(folders).expect("a PATH"));
        })
    }

    fn wait(&self, gate: &str) {
        wait_for(gate, || self.project.path(&format!("gates/{gate}.begun")).exists().then_some(()));
    }

    fn open(&self, gate: &str) {
        self.project.file(&format!("gates/{gate}.go"), "");
    }
}

#[test]
fn a_stack_that_was_lost_comes_back_although_the_daemon_is_killed_in_each_phase() {
    if !are_there() {
        return;
    }
    let project = Project::with_library();
    let daemon = start(&project);
    deployed(&daemon, &project);
    // The second time there is nothing to make, and what is deployed stays.
    let again = succeed(&daemon, "bootstrap", &[]);
    assert_eq!(apply_of(&again).status(), StepStatus::Skipped);
    succeed(&daemon, "verify", &[("version", "1.0.0")]);
    // Where the database alone is lost no empty one is made in its place.
    let (there, aside) = (project.path(".stack/local/postgres"), project.path(".stack/local/aside"));
    std::fs::rename(&there, &aside).unwrap();
    let run = exec(&daemon, "bootstrap", &[]);
    assert_eq!((run.status(), step(&run, "lost").status()), (RunStatus::Failed, StepStatus::Failed), "{run:#?}");
    std::fs::rename(&aside, &there).unwrap();
    succeed(&daemon, "backup-stack", &[]);
    succeed(&daemon, "stack-drill", &[]);
    assert_eq!(ask(&project, "insert into releases values ('later', 'lost'); select count(*) from releases"), "2");
    let request_of_destruction =
        StartRunRequest { confirm: vec!["stack/local".to_owned()], ..request("destroy", &[("backup", "false")]) };
    let refused =
        daemon.runs(|mut client| async move { client.start_run(request("destroy", &[("backup", "false")])).await });
    assert!(refused.unwrap_err().message().contains("stack/local"), "nobody confirmed it");
    let destroyed = daemon.wait_over(&begin(&daemon, request_of_destruction).name);
    assert_eq!(destroyed.status(), RunStatus::Succeeded, "{}", told(&daemon, &destroyed));
    for part in ["site", "postgres", "terraform"] {
        assert!(!project.path(&format!(".stack/local/{part}")).exists(), "{part}");
    }
    let refused = daemon.runs(|mut client| async move { client.start_run(request("verify", &[])).await }).unwrap_err();
    let parts = ["is not initialised", "`runbook exec disaster-recovery --env local`"];
    assert!(parts.iter().all(|part| refused.message().contains(part)), "{refused:?}");
    drop(daemon);

    let phases = [
        ("tar", "--extract", "site"),
        ("initdb", "postgres.new", "cluster"),
        ("pg_restore", "restoring", "load"),
        ("psql", "before_", "exchange"),
        ("terraform", "apply", "apply"),
        ("psql", "wanted=1.0.0", "check"),
    ];
    let gates = Gates::new(&project, &phases);
    let mut daemon = gates.start();
    let run = begin(&daemon, request("disaster-recovery", &[]));
    for (_, _, gate) in phases {
        gates.wait(gate);
        daemon.kill();
        daemon = gates.start();
        gates.open(gate);
    }
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{}", told(&daemon, &run));
    assert_eq!(apply_of(&run).attempts, 1);
    assert_eq!(version(&project), "1.0.0");
    assert_eq!(project.read(".stack/local/site/files/letter").as_deref(), Some("dear reader\n"));
    assert_eq!(ask(&project, "select string_agg(version, ',') from releases"), "1.0.0");
    succeed(&daemon, "verify", &[("version", "1.0.0")]);
    succeed(&daemon, "drift-check", &[]);
    // How long it took is known from now on, beside what is wanted.
    let said = runbook(&project, &["readiness", "--env", "local", "--target", "stack", "--output", "json"]);
    let answer: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let stack = &answer["targets"][0];
    assert_eq!((&stack["target"], &stack["verdict"]), (&"stack".into(), &"ready".into()), "{answer:#}");
    assert_eq!((&stack["rto_seconds"], &stack["restores"]), (&3_600.0.into(), &2.into()), "{answer:#}");
    assert_eq!(stack["restore"]["number"], run.number, "{answer:#}");
}

#[test]
fn what_was_changed_by_hand_is_told_with_its_attribute() {
    if !are_there() {
        return;
    }
    let project = Project::with_library();
    let daemon = start(&project);
    deployed(&daemon, &project);
    succeed(&daemon, "drift-check", &[]);
    let by_hand = ["apply", "-auto-approve", "-var-file=local.tfvars", "-var=release=1.0.0", "-var=api_replicas=7"];
    terraform(&project, &by_hand);
    let manifests = format!("{CURRENT}/manifests.yaml");
    let text = project.read(&manifests).expect("manifests");
    project.file(&manifests, &text.replacen("replicas: 1", "replicas: 4", 1));
    let run = exec(&daemon, "drift-check", &[]);
    assert_eq!(run.status(), RunStatus::Failed);
    let verdict = &step(&run, "verdict").message;
    for part in ["terraform_data.service[\"api\"] (input", "Manifests: 2 lines differ"] {
        assert!(verdict.contains(part), "{part}: {verdict}");
    }
    assert!(!verdict.contains("web"), "{verdict}");
    let lines = daemon.logs(&run.name, "manifests");
    assert!(lines.contains(&"+  replicas: 4".to_owned()), "{lines:?}");
    // What somebody accepted fails nothing, as long as it stays as it is.
    project.file(&manifests, &text);
    let tomorrow = Command::new("date").args(["-u", "-d", "+1 day", "+%Y-%m-%dT%H:%M:%SZ"]).output().unwrap();
    let until = String::from_utf8(tomorrow.stdout).unwrap();
    let said = runbook(&project, &["drift", "--output", "json"]);
    let drift: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{said:?}"));
    let differences = drift["stacks"][0]["differences"].as_array().unwrap();
    assert!(!differences.is_empty(), "{drift:#}");
    for difference in differences {
        let address = difference["address"].as_str().unwrap();
        let said = runbook(&project, &["drift", "accept", address, "--until", until.trim(), "--reason", "a test"]);
        assert_eq!(said.code, 0, "{said:?}");
    }
    succeed(&daemon, "drift-check", &[]);
    terraform(&project, &by_hand.map(|word| if word == "-var=api_replicas=7" { "-var=api_replicas=8" } else { word }));
    let run = exec(&daemon, "drift-check", &[]);
    assert_eq!(run.status(), RunStatus::Failed, "the attribute is the same one, and what is there is not");
    assert!(!format!("{run:?}").contains("api_replicas=8"), "{run:#?}");
    let said = runbook(&project, &["drift", "--new"]);
    assert!(said.out.contains("terraform_data.service[\"api\"]"), "{said:?}");
    // A deployment brings both back.
    succeed(&daemon, "deploy", &[("version", "1.0.0")]);
    succeed(&daemon, "drift-check", &[]);
}

#[test]
fn a_deployment_that_is_not_well_goes_back() {
    if !are_there() {
        return;
    }
    let project = Project::with_library();
    let status = Arc::new(AtomicU16::new(200));
    let web = Web::serve({
        let status = Arc::clone(&status);
        move |_, _| Reply::text(status.load(Ordering::SeqCst), "")
    });
    let environment = "runbooks/environments/local.yaml";
    let text = project.read(environment).expect("the environment");
    project.file(environment, &text.replace("health_url: \"\"", &format!("health_url: {}/health", web.url())));
    let daemon = start(&project);
    deployed(&daemon, &project);
    let releases = || std::fs::read_dir(project.path(".stack/local/site/releases")).unwrap().count();
    status.store(404, Ordering::SeqCst);
    let run = exec(&daemon, "deploy", &[("version", "2.0.0")]);
    assert_eq!(run.status(), RunStatus::RolledBack, "{}", told(&daemon, &run));
    for id in ["apply", "release", "record", "switch"] {
        assert_eq!(step(&run, id).status(), StepStatus::RolledBack, "{id}: {run:#?}");
    }
    assert_eq!((version(&project).as_str(), releases()), ("1.0.0", 1));
    assert_eq!(ask(&project, "select string_agg(version, ',') from releases"), "1.0.0");
    status.store(200, Ordering::SeqCst);
    succeed(&daemon, "verify", &[("version", "1.0.0")]);
    succeed(&daemon, "drift-check", &[]);
    // One that is well stays, and goes back when a person says so.
    succeed(&daemon, "deploy", &[("version", "2.0.0")]);
    assert_eq!((version(&project).as_str(), releases()), ("2.0.0", 2));
    succeed(&daemon, "rollback", &[]);
    assert_eq!((version(&project).as_str(), releases()), ("1.0.0", 2));
    succeed(&daemon, "drift-check", &[]);
    // There is none before the first.
    let run = exec(&daemon, "rollback", &[]);
    assert_eq!((run.status(), version(&project).as_str()), (RunStatus::Failed, "1.0.0"));
}

#[test]
fn parts_of_a_deployment_can_be_left_out() {
    if !are_there() {
        return;
    }
    let project = Project::with_library();
    let daemon = start(&project);
    deployed(&daemon, &project);
    let manifests = project.read(&format!("{CURRENT}/manifests.yaml"));
    let run = succeed(&daemon, "deploy", &[("version", "1.0.1"), ("skip_terraform", "true"), ("skip_k8s", "true")]);
    for id in ["plan", "apply", "render"] {
        assert_eq!(step(&run, id).status(), StepStatus::Skipped, "{id}");
    }
    assert_eq!(version(&project), "1.0.1");
    assert_eq!(project.read(&format!("{CURRENT}/infrastructure")).as_deref(), Some("1.0.0\n"));
    assert_eq!(project.read(&format!("{CURRENT}/manifests.yaml")), manifests);
    // What was left out is no drift.
    succeed(&daemon, "drift-check", &[]);
    // Neither are the programs of what is left out needed.
    drop(daemon);
    let daemon = start_on(&project, path_without(&project, &["terraform", "kubectl"]));
    let missing = |inputs: &[(&str, &str)]| {
        let request = request("deploy", inputs);
        let refused = daemon.runs(|mut client| async move { client.start_run(request).await }).unwrap_err();
        ["terraform", "kubectl"].map(|name| refused.message().contains(name))
    };
    assert_eq!(missing(&[("version", "1.0.2")]), [true, true]);
    assert_eq!(missing(&[("version", "1.0.2"), ("skip_terraform", "true")]), [false, true]);
    assert_eq!(missing(&[("version", "1.0.2"), ("skip_k8s", "true")]), [true, false]);
    succeed(&daemon, "deploy", &[("version", "1.0.2"), ("skip_terraform", "true"), ("skip_k8s", "true")]);
    assert_eq!(version(&project), "1.0.2");
}

/// All that a runbook of a stack could change: what is there, and when it was written to.
fn snapshot(project: &Project) -> String {
    let mut command = Command::new("find");
    // The time of a folder tells of terraform's lock, which comes and goes.
    command.args([".stack", "infrastructure", "runbooks", "-type", "d", "-printf", "%p %m\\n"]);
    command.args(["-o", "-printf", "%p %y %m %s %l %C@\\n"]);
    let found = command.current_dir(project.root()).output().expect("find runs");
    assert!(found.status.success(), "{found:?}");
    String::from_utf8(found.stdout).unwrap()
}

#[test]
fn a_dry_run_writes_nothing_and_what_is_left_open_is_refused_before_anything_is_changed() {
    if !are_there() {
        return;
    }
    let project = Project::with_library();
    let daemon = start(&project);
    deployed(&daemon, &project);
    succeed(&daemon, "deploy", &[("version", "1.0.1")]);
    succeed(&daemon, "backup-stack", &[]);
    let before = snapshot(&project);
    let all = [
        "bootstrap",
        "deploy",
        "validate",
        "drift-check",
        "rollback",
        "backup-stack",
        "restore-database",
        "stack-drill",
        "disaster-recovery",
        "destroy",
    ];
    for name in all {
        let inputs: &[(&str, &str)] = if name == "deploy" { &[("version", "2.0.0")] } else { &[] };
        let confirm = vec!["stack/local".to_owned()];
        let dry = begin(&daemon, StartRunRequest { dry_run: true, confirm, ..request(name, inputs) });
        let dry = daemon.wait_over(&dry.name);
        assert_eq!(dry.status(), RunStatus::Succeeded, "{}", told(&daemon, &dry));
        assert_eq!(snapshot(&project), before, "a dry run of {name} has written");
    }
    let dry = begin(&daemon, StartRunRequest { dry_run: true, ..request("deploy", &[("version", "2.0.0")]) });
    let dry = daemon.wait_over(&dry.name);
    assert_eq!(dry.status(), RunStatus::Succeeded, "{}", told(&daemon, &dry));
    // It asked terraform what would change.
    assert!(format!("{:?}", step(&dry, "plan").outputs).contains("terraform_data.service"), "{dry:#?}");

    let secret = "infrastructure/k8s/base/secret.yaml";
    project.file(
        secret,
        "# CHANGEME in a comment is fine\napiVersion: v1\nkind: Secret\nstringData:\n  password: CHANGEME\n",
    );
    let values = "infrastructure/terraform/stacks/local/local.tfvars";
    let text = project.read(values).expect("values");
    project.file(values, &format!("{text}database = \"<your-database>\"\n"));
    let environment = "runbooks/environments/local.yaml";
    let said = project.read(environment).expect("the environment");
    project.file(environment, &said.replace("backups: .stack/backups/local", "backups: \"\""));
    let before = snapshot(&project);
    let run = exec(&daemon, "deploy", &[("version", "2.0.0")]);
    let lines = daemon.logs(&run.name, "placeholders").join("\n");
    assert_eq!(run.status(), RunStatus::Failed, "{}", told(&daemon, &run));
    for part in [&format!("{secret}:5: a placeholder is left: password: CHANGEME"), &format!("{values}:6:")] {
        assert!(lines.contains(part), "{part}: {lines}");
    }
    assert!(!lines.contains(&format!("{secret}:1:")), "{lines}");
    let run = exec(&daemon, "backup-stack", &[]);
    let lines = daemon.logs(&run.name, "somewhere").join("\n");
    assert_eq!(run.status(), RunStatus::Failed, "{}", told(&daemon, &run));
    assert!(lines.contains(&format!("{environment}:6: the backup would go nowhere")), "{lines}");
    assert_eq!(snapshot(&project), before, "what was refused has written");
}

#[test]
fn what_is_written_is_valid() {
    if !are_there() {
        return;
    }
    let project = Project::with_library();
    let daemon = start(&project);
    let run = daemon.wait_over(&daemon.exec("validate", &[]).name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{}", told(&daemon, &run));
    // An overlay that does not build, and a file that is not formatted, are both told.
    project.file("infrastructure/k8s/overlays/dev/kustomization.yaml", "resources: [../../nowhere]\n");
    project.file("infrastructure/terraform/stacks/local/more.tf", "locals {\n a=1\n}\n");
    let run = daemon.wait_over(&daemon.exec("validate", &[]).name);
    let failed: Vec<&str> =
        run.steps.iter().filter(|step| step.status() == StepStatus::Failed).map(|step| step.id.as_str()).collect();
    assert_eq!(failed, ["manifests", "formatted"], "{}", told(&daemon, &run));
    assert!(daemon.logs(&run.name, "manifests[\"dev\"]").iter().any(|line| line.contains("overlays/dev")), "{run:#?}");
}

/// Needs none of the programs: a machine without them must not be told of what it never built.
#[test]
fn nobody_is_told_of_a_stack_that_was_not_built() {
    let project = Project::with_library();
    let daemon = Daemon::start_with(&project, |command| {
        command.arg("--schedules");
    });
    let listed = || runbook(&project, &["schedules", "list"]).out;
    wait_for("the schedules", || listed().contains("backup/nightly").then_some(()));
    assert!(!listed().contains("drift-check") && !listed().contains("backup-stack"), "{}", listed());
    let environment = "runbooks/environments/dev.yaml";
    let text = project.read(environment).expect("the environment");
    project.file(environment, &text.replace("schedules: false", "schedules: true"));
    wait_for("the schedules of dev", || listed().contains("drift-check/dev").then_some(()));
    assert!(listed().contains("backup-stack/dev") && !listed().contains("drift-check/prod"), "{}", listed());
    drop(daemon);
}
