//! Secrets from everywhere: age is the real one; sops, vault, gcloud and aws are stand-ins that take the arguments of the
//! real ones and no others.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use runbook_proto::v1::{CancelRunRequest, RunStatus, StartRunRequest, StepStatus};
use runbook_shim::redact::Redactor;
use runbook_tests::e2e::injection::skip;
use runbook_tests::e2e::server::{Client, Server};
use runbook_tests::e2e::{Project, leaks, step, wait_for};
use rustix::process::Signal;
use tonic::Code;

/// A stand-in: it answers to one way of being called.
fn stand_in(project: &Project, program: &str, arguments: &str, answer: &str) {
    let script = format!(
        "#!/bin/sh\n# Stands in for {program}, which a test cannot have.\n\
        if [ \"$*\" != '{arguments}' ]; then echo \"unexpected: $*\" >&2; exit 64; fi\nprintf '%s\\n' '{answer}'\n"
    );
    program_file(project, program, &script);
}

fn program_file(project: &Project, name: &str, script: &str) {
    let path = project.file(&format!("bin/{name}"), script);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A daemon that finds the project's programs first.
fn spawn(project: &Project) -> (Server, Client) {
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").unwrap());
    let mut server = Server::spawn(project, |command| {
        command.env("PATH", path).env("FROM_ENV", "env-is-long-enough").args(["--log", "trace"]);
    });
    let client = server.ready();
    (server, client)
}

/// Encrypts a text by the real age; `None` where there is none.
fn age(project: &Project, text: &str) -> Option<()> {
    let run = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(project.root()).stdin(Stdio::piped()).stdout(Stdio::null());
        command.stderr(Stdio::null());
        let mut child = command.spawn().ok()?;
        std::io::Write::write_all(&mut child.stdin.take()?, text.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{program}");
        Some(())
    };
    run("age-keygen", &["-o", "key"])?;
    let key = std::fs::read_to_string(project.path("key")).unwrap();
    let recipient = key.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned();
    run("age", &["-r", &recipient, "-o", "sealed.age"])
}

#[test]
fn a_secret_of_every_provider_reaches_its_step_and_nothing_else() {
    let all = [
        ("from_sops", "sops: {file: s.yaml, field: db.pass}", "sops-is-long-enough"),
        ("from_vault", "vault: {path: db/orders, field: pass}", "vault-is-long-enough"),
        ("from_gcp", "gcp: {secret: db, project: p}", "gcp-is-long-enough"),
        ("from_aws", "aws: {secret: db, region: eu-west-1, field: pass}", "aws-is-long-enough"),
        ("from_exec", "exec: [bin/mine, one]", "exec-is-long-enough"),
        ("from_age", "age: {file: sealed.age, identity: key}", "age-is-long-enough"),
        ("from_env", "env: FROM_ENV", "env-is-long-enough"),
        ("from_file", "file: secret", "file-is-long-enough"),
    ];
    let names: Vec<&str> = all.iter().map(|(name, _, _)| *name).collect();
    let steps: String = names
        .iter()
        .map(|name| {
            format!(
                "  {name}: {{effect: idempotent, env: {{V: \"${{{{ secrets.{name} }}}}\"}}, run: 'echo \"$V\"; printf %s \"$V\" | base64; printf %s \"$V\" | od -An -tx1 | tr -d \" \\n\"; echo; echo \"$V\" > got-{name}'}}\n"
            )
        })
        .collect();
    let project = Project::with("all", &format!("requires: {{secrets: [{}]}}\nsteps:\n{steps}", names.join(", ")));
    let declared: String = all.iter().map(|(name, source, _)| format!("  {name}: {{{source}}}\n")).collect();
    project.file("runbookd.yaml", &format!("secrets:\n{declared}"));
    project.file("s.yaml", "");
    let sops = format!("--decrypt --extract [\"db\"][\"pass\"] {}", project.path("s.yaml").display());
    stand_in(&project, "sops", &sops, all[0].2);
    stand_in(&project, "vault", "kv get -mount=secret -field=pass db/orders", all[1].2);
    stand_in(&project, "gcloud", "secrets versions access latest --secret=db --quiet --project=p", all[2].2);
    let aws = "secretsmanager get-secret-value --secret-id db --query SecretString --output text --region eu-west-1";
    stand_in(&project, "aws", aws, &format!("{{\"user\": \"ann\", \"pass\": \"{}\"}}", all[3].2));
    stand_in(&project, "mine", "one", all[4].2);
    project.private("secret", all[7].2);
    if age(&project, all[5].2).is_none() {
        skip("age is not installed; a stand-in takes its place");
        let arguments = format!(
            "--decrypt --identity {} -- {}",
            project.path("key").display(),
            project.path("sealed.age").display()
        );
        stand_in(&project, "age", &arguments, all[5].2);
        project.file("sealed.age", "");
        project.private("key", "");
    }
    let (mut server, client) = spawn(&project);
    let run = client.over(&client.exec("all").name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:?}");
    for (name, _, value) in &all {
        assert_eq!(project.read(&format!("got-{name}")).as_deref(), Some(format!("{value}\n").as_str()), "{name}");
    }
    let redactor = Redactor::new(all.iter().map(|(_, _, value)| *value));
    let answers = format!("{run:?}\n{:?}", client.events(&run.name));
    assert!(!redactor.is_in(answers.as_bytes()), "{answers}");
    server.signal(Signal::TERM);
    assert_eq!(server.ended(), Some(0));
    assert_eq!(leaks(&project.path(".runbook"), &redactor), [""; 0]);
    let log = server.log();
    assert!(!redactor.is_in(log.as_bytes()));
    for name in names {
        let reads = log.lines().filter(|line| line.contains("a secret was read") && line.contains(name)).count();
        assert_eq!(reads, 1, "{name}: who was given which secret is on record");
    }
}

#[test]
fn a_provider_that_refuses_is_told_with_its_own_words() {
    let body =
        "requires: {secrets: [token]}\nsteps: {a: {effect: read, env: {T: \"${{ secrets.token }}\"}, run: \"true\"}}\n";
    let project = Project::with("a", body);
    project.runbook("b", body);
    project.file("runbookd.yaml", "secrets: {token: {vault: {path: p, field: f}, runbooks: [a]}}\n");
    // It answers to the look before the start, and no more.
    program_file(
        &project,
        "vault",
        "#!/bin/sh\nif mkdir asked 2>/dev/null; then echo value; exit; fi\necho 'Code: 403. Errors: * permission denied' >&2; exit 2\n",
    );
    let path = format!("{}:{}", project.path("bin").display(), std::env::var("PATH").unwrap());
    let mut server = Server::spawn(&project, |command| {
        command.env("PATH", path).current_dir(project.root());
    });
    let client = server.ready();
    let run = client.over(&client.exec("a").name);
    assert_eq!(run.status(), RunStatus::Failed);
    let message = &step(&run, "a").message;
    let expected = "the secret \"token\": `vault kv get -mount=secret -field=f p` ended with code 2: Code: 403. Errors: * permission denied";
    assert!(message.contains(expected), "{message}");
    crate::refused(client.try_exec("b"), Code::FailedPrecondition, "PREFLIGHT");
}

/// A runbook with a secret that is given when the file `go` is there, but for the look before the start; and one without.
fn gated() -> Project {
    let body = "requires: {secrets: [token]}\nsteps:\n  a: {effect: read, env: {T: \"${{ secrets.token }}\"}, run: \"echo x >> begun\"}\n";
    let project = Project::with("slow", body);
    project.runbook("quick", crate::NOTHING);
    project.file("runbookd.yaml", "secrets: {token: {exec: [bin/gate]}}\n");
    let script = "#!/bin/sh\nif mkdir looked 2>/dev/null; then echo value; exit; fi\n\
        echo x >> waiting\nread line < go\necho value\n";
    program_file(&project, "gate", script);
    assert!(Command::new("mkfifo").arg(project.path("go")).status().unwrap().success());
    project
}

/// Lets everybody go on who waits, now and later.
fn open(gate: &Path) {
    let pipe = rustix::fs::open(gate, rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty()).unwrap();
    rustix::io::write(&pipe, b"go\ngo\ngo\n").unwrap();
    // Whoever opens it later finds the words as long as somebody has it open.
    std::mem::forget(pipe);
}

fn waits(project: &Project) {
    wait_for("the secret to be asked for", || project.read("waiting"));
}

#[test]
fn nobody_else_waits_for_a_slow_secret() {
    let project = gated();
    let (_server, client) = spawn(&project);
    let slow = client.exec("slow");
    waits(&project);
    assert_eq!(client.over(&client.exec("quick").name).status(), RunStatus::Succeeded);
    assert_eq!(project.read("begun"), None);
    open(&project.path("go"));
    assert_eq!(client.over(&slow.name).status(), RunStatus::Succeeded);
    assert_eq!(project.lines("begun"), ["x"]);
}

#[test]
fn a_step_that_is_canceled_while_its_secret_is_read_never_begins() {
    let project = gated();
    let (_server, client) = spawn(&project);
    let slow = client.exec("slow");
    waits(&project);
    let cancel = CancelRunRequest { name: slow.name.clone(), ..Default::default() };
    client.block_on(client.runs().cancel_run(cancel)).unwrap();
    let run = client.over(&slow.name);
    assert_eq!((run.status(), step(&run, "a").status()), (RunStatus::Canceled, StepStatus::Canceled));
    open(&project.path("go"));
    assert_eq!(client.over(&client.exec("quick").name).status(), RunStatus::Succeeded);
    assert_eq!(project.read("begun"), None);
}

#[test]
fn a_daemon_that_dies_while_a_secret_is_read_starts_the_step_once() {
    let project = gated();
    let (server, client) = spawn(&project);
    let slow = client.exec("slow");
    waits(&project);
    server.kill();
    let (_server, client) = spawn(&project);
    open(&project.path("go"));
    assert_eq!(client.over(&slow.name).status(), RunStatus::Succeeded);
    assert_eq!(project.lines("begun"), ["x"]);
}

#[test]
fn an_environment_has_secrets_of_its_own() {
    let body = "requires: {secrets: [token]}\nsteps: {a: {effect: read, env: {T: \"${{ secrets.token }}\"}, run: 'test \"$T\" = \"value of $RUNBOOK_ENVIRONMENT\"'}}\n";
    let project = Project::with("a", body);
    for name in ["dev", "prod"] {
        project.file(&format!("runbooks/environments/{name}.yaml"), &format!("name: {name}\nlanguage: 1\n"));
        program_file(&project, &format!("of-{name}"), &format!("#!/bin/sh\necho value of {name}\n"));
    }
    project.file(
        "runbookd.yaml",
        "secrets:\n  token: {environments: {prod: {exec: [bin/of-prod]}, dev: {exec: [bin/of-dev]}}}\n",
    );
    let (_server, client) = spawn(&project);
    for name in ["dev", "prod"] {
        let request = StartRunRequest { runbook: "a".into(), environment: name.into(), ..Default::default() };
        let run = client.start(request).unwrap().run.unwrap();
        assert_eq!(client.over(&run.name).status(), RunStatus::Succeeded, "{name}");
    }
    crate::refused(client.try_exec("a"), Code::FailedPrecondition, "PREFLIGHT");
}
