//! What becomes of an init that is killed or canceled while it unpacks a plugin: what is left of that is no plugin.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use runbook_proto::v1::{CancelRunRequest, RunStatus};
use runbook_tests::e2e::{Daemon, Project, step, wait_for};
use rustix::process::{Pid, Signal, kill_process};

use crate::{exec, is_there};

/// A plugin that no test starts, so large that unpacking it takes a while; of its zeros there is next to nothing to be stored.
const PLUGIN_BYTES: u64 = 128 << 20;

const STACK: &str = r#"
terraform {
  required_providers {
    large = { source = "example/large" }
  }
}
"#;

/// Where terraform unpacks it, in the folder of plugins.
fn plugin(system: &str) -> String {
    format!("registry.terraform.io/example/large/1.0.0/{system}/terraform-provider-large_v1.0.0")
}

/// A stack whose plugin lies packed in a folder, and a program that is terraform and tells its pid.
struct Stack {
    project: Project,
    /// Where the plugin is unpacked to, relative to the project.
    plugin: String,
}

impl Stack {
    /// With a cache of plugins or without.
    fn new(cached: bool) -> Self {
        let (folder, more) = match cached {
            true => ("cache", ", plugin_cache: cache"),
            false => ("stack/.terraform/providers", ""),
        };
        let project = Project::new();
        let root = project.root().display();
        project.runbook(
            "r",
            &format!(
                "env: {{TF_CLI_CONFIG_FILE: {root}/terraformrc}}\nsteps:\n  init:\n    uses: terraform/init\n    \
                 with: {{dir: stack, program: {root}/terraform{more}}}\n"
            ),
        );
        project.file("stack/main.tf", STACK);
        project.file(
            "terraformrc",
            &format!("provider_installation {{\n  filesystem_mirror {{\n    path = \"{root}/mirror\"\n  }}\n}}\n"),
        );
        let program = format!("#!/bin/sh\necho $$ > {root}/pid\nexec terraform \"$@\"\n");
        let program = project.file("terraform", &program);
        executable(&program);
        let system = system();
        pack(&project, &system);
        Self { plugin: format!("{folder}/{}", plugin(&system)), project }
    }

    /// How much of the plugin is there.
    fn unpacked(&self) -> Option<u64> {
        self.project.path(&self.plugin).metadata().ok().map(|file| file.len())
    }

    /// Terraform itself, once it is in the midst of unpacking.
    fn wait_half(&self) -> Pid {
        wait_for("a part of the plugin", || self.unpacked().filter(|bytes| *bytes > 0));
        let pid = self.project.read("pid").expect("a pid");
        Pid::from_raw(pid.trim().parse().expect("a pid")).expect("a pid")
    }
}

fn executable(path: &std::path::Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
}

/// The system as terraform names it.
fn system() -> String {
    let said = Command::new("terraform").args(["version", "-json"]).output().expect("terraform runs");
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).expect("JSON");
    said["platform"].as_str().expect("a platform").to_owned()
}

/// Packs the plugin as a mirror has it, by git, which can.
fn pack(project: &Project, system: &str) {
    let name = "source/terraform-provider-large_v1.0.0";
    let file = project.file(name, "");
    executable(&file);
    let file = std::fs::OpenOptions::new().write(true).open(file).expect("the plugin");
    file.set_len(PLUGIN_BYTES).expect("a length");
    let folder = project.path("mirror/registry.terraform.io/example/large");
    std::fs::create_dir_all(&folder).expect("folders");
    let packed = format!("--output={}/terraform-provider-large_1.0.0_{system}.zip", folder.display());
    let who = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
    for words in [
        &["init", "-q"][..],
        &["add", "."],
        &[&who[..], &["commit", "-q", "-m", "all"]].concat(),
        &["archive", "--format=zip", &packed, "HEAD"],
    ] {
        let git = Command::new("git").args(words).current_dir(project.path("source")).stdin(Stdio::null()).status();
        assert!(git.expect("git runs").success(), "{words:?}");
    }
}

#[test]
fn an_init_that_was_killed_is_repeated_by_itself() {
    if !is_there() {
        return;
    }
    let stack = Stack::new(false);
    let daemon = Daemon::start(&stack.project);
    let run = daemon.exec("r", &[]);
    kill_process(stack.wait_half(), Signal::KILL).expect("it lives");
    assert!(stack.unpacked() < Some(PLUGIN_BYTES), "it was killed in the middle");
    let run = daemon.wait_over(&run.name);
    assert_eq!((run.status(), step(&run, "init").attempts), (RunStatus::Succeeded, 2), "{run:#?}");
    assert_eq!(stack.unpacked(), Some(PLUGIN_BYTES));
}

#[test]
fn an_init_outlives_the_daemon() {
    if !is_there() {
        return;
    }
    let stack = Stack::new(false);
    let daemon = Daemon::start(&stack.project);
    let run = daemon.exec("r", &[]);
    stack.wait_half();
    daemon.kill();
    let daemon = Daemon::start(&stack.project);
    let run = daemon.wait_over(&run.name);
    assert_eq!((run.status(), step(&run, "init").attempts), (RunStatus::Succeeded, 1), "{run:#?}");
}

#[test]
fn an_init_that_was_canceled_leaves_no_lock_and_no_half_plugin_in_the_cache() {
    if !is_there() {
        return;
    }
    let stack = Stack::new(true);
    let daemon = Daemon::start(&stack.project);
    let run = daemon.exec("r", &[]);
    stack.wait_half();
    let request = CancelRunRequest { name: run.name.clone(), reason: "test".into(), ..Default::default() };
    daemon.runs(|mut client| async move { client.cancel_run(request).await }).unwrap();
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Canceled, "{run:#?}");
    let run = exec(&daemon, &[]);
    assert_eq!((run.status(), step(&run, "init").attempts), (RunStatus::Succeeded, 1), "{run:#?}");
    assert_eq!(stack.unpacked(), Some(PLUGIN_BYTES));
    // What is in the cache is taken, and was whole.
    let linked = stack.project.path("stack/.terraform/providers").join(plugin(&system()));
    assert_eq!(linked.metadata().expect("the plugin").len(), PLUGIN_BYTES);
}
