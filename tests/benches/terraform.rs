//! How fast a `terraform/plan` is, beside terraform alone, measured in the same run: both plan the same stack, whose resources are
//! there already. Medians of five. Ends with 1 where the bound is missed; where there is no terraform it says so.
//!
//! `cargo bench --workspace --bench terraform`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use runbook_proto::v1::RunStatus;
use runbook_tests::bench::{is_asked, judge, median};
use runbook_tests::e2e::injection::skip;
use runbook_tests::e2e::{Daemon, Project, find};

const RESOURCES: usize = 2_000;
const ROUNDS: usize = 5;
/// What the engine may take, in times of terraform alone.
const BOUND: f64 = 1.1;

/// Terraform alone, in the stack.
fn terraform(project: &Project, words: &[&str]) -> Duration {
    let begin = Instant::now();
    let mut command = Command::new("terraform");
    command.args(words).current_dir(project.path("stack")).env("CHECKPOINT_DISABLE", "1").stdout(Stdio::null());
    let ended = command.stderr(Stdio::null()).status().expect("terraform runs");
    assert!(ended.success(), "{words:?}");
    begin.elapsed()
}

fn main() -> ExitCode {
    if !is_asked() {
        return ExitCode::SUCCESS;
    }
    if find("terraform").is_none() {
        skip("there is no terraform on this machine");
        return ExitCode::SUCCESS;
    }
    let project = Project::with("r", "steps: {plan: {uses: terraform/plan, with: {dir: stack}}}\n");
    let stack = format!("resource \"terraform_data\" \"all\" {{\n  count = {RESOURCES}\n  input = count.index\n}}\n");
    project.file("stack/main.tf", &stack);
    terraform(&project, &["init", "-input=false"]);
    terraform(&project, &["apply", "-auto-approve", "-input=false"]);
    let daemon = Daemon::start(&project);
    let (mut own, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(terraform(&project, &["plan", "-input=false", "-out=plan"]));
        let begin = Instant::now();
        let run = daemon.exec("r", &[]);
        daemon.watch_over(&run.name);
        own.push(begin.elapsed());
        assert_eq!(daemon.get(&run.name).status(), RunStatus::Succeeded);
    }
    let (own, alone) = (median(own), median(alone));
    println!("a plan of {RESOURCES} resources: engine {own:?}, terraform alone {alone:?}");
    judge("terraform", own, alone, BOUND)
}
