//! Shims that do not come up: three tries, then the fence, after which no shim can ever start the command.

use std::fs;
use std::path::Path;
use std::process::Command;

use runbook_proto::v1::{EventType, RunStatus, StepStatus};
use runbook_shim::exit::Refusal;
use runbook_tests::e2e::injection::{own_programs, wrap};
use runbook_tests::e2e::{Daemon, Project, is_alive, programs, step, wait_for};

use super::{assert_settled, attempt_directory, cancel, pid_in, standing};

const WORK: &str = r#"
steps:
  a:
    run: 'echo "$$ $RUNBOOK_ATTEMPT" >> starts; while ! test -e go; do sleep 0.02; done'
"#;

fn start(project: &Project, shim: &str) -> Daemon {
    let program = own_programs(project, shim);
    Daemon::start_with(project, |command| wrap(command, project, &[], Some(&program)))
}

/// A script that counts the shims and refuses like a shim.
fn refusing(project: &Project, refusal: Refusal) -> String {
    format!("#!/bin/sh\necho \"$1\" >> {}/spawns\nexit {}\n", project.root().display(), refusal.code())
}

fn gives_up(refusal: Refusal) {
    let project = Project::with("work", WORK);
    let daemon = start(&project, &refusing(&project, refusal));
    let run = daemon.exec("work", &[]);
    let events = wait_for("the first attempt's end", || {
        let events = daemon.events(&run.name);
        events.iter().any(|event| event.r#type() == EventType::AttemptEnded).then_some(events)
    });
    let ended = events.iter().find(|event| event.r#type() == EventType::AttemptEnded).expect("an end");
    assert!(ended.how.contains("could not start"), "{ended:?}");
    assert!(ended.message.contains(&refusal.to_string()), "the exit code's reason is shown: {ended:?}");
    assert_eq!(ended.then, "retry", "{ended:?}");
    let first = attempt_directory(&project, &run, 0, 1);
    assert_eq!(project.lines("spawns").iter().filter(|line| Path::new(line) == first).count(), 3);
    // The next attempt has the next number, and is given up the same way when the run is canceled.
    wait_for("the next attempt's shim", || (project.lines("spawns").len() >= 4).then_some(()));
    cancel(&daemon, &run.name, false).expect("cancel");
    let run = daemon.wait_over(&run.name);
    assert_eq!((run.status(), standing(&run, "a")), (RunStatus::Canceled, (StepStatus::Canceled, 2)), "{run:#?}");
    assert!(project.lines("spawns").len() <= 6, "{:?}", project.lines("spawns"));
    assert_eq!(project.lines("starts"), Vec::<String>::new());
    assert_settled(&project, &daemon, &run, "given up");
}

#[test]
fn a_shim_without_room_is_given_up_after_three_tries() {
    gives_up(Refusal::NoRoom);
}

#[test]
fn a_shim_without_its_secrets_is_given_up_after_three_tries() {
    gives_up(Refusal::Secrets);
}

/// The first shim of a project waits in a fifo before it becomes a shim; the others do not.
fn slow(project: &Project) -> String {
    let made = Command::new("mkfifo").arg(project.path("gate")).status().expect("mkfifo runs");
    assert!(made.success());
    let root = project.root().display();
    let shim = programs().join("runbook-shim");
    format!(
        "#!/bin/sh\nif ! test -e {root}/slow; then echo $$ > {root}/slow; read x < {root}/gate; fi\nexec {} \"$@\"\n",
        shim.display()
    )
}

#[test]
fn a_shim_that_comes_after_the_fence_starts_nothing() {
    let project = Project::with("work", WORK);
    let script = slow(&project);
    let daemon = start(&project, &script);
    let run = daemon.exec("work", &[]);
    let shim = pid_in(&project, "slow");
    daemon.kill();
    let daemon = start(&project, "#!/bin/sh\nexit 99\n");
    cancel(&daemon, &run.name, false).expect("cancel");
    let run = daemon.wait_over(&run.name);
    assert_eq!((run.status(), standing(&run, "a")), (RunStatus::Canceled, (StepStatus::Canceled, 1)), "{run:#?}");
    assert!(is_alive(shim));
    fs::write(project.path("gate"), "go\n").expect("the gate");
    wait_for("the late shim's end", || (!is_alive(shim)).then_some(()));
    assert_eq!(project.lines("starts"), Vec::<String>::new());
    assert_settled(&project, &daemon, &run, "a late shim");
}

#[test]
fn two_shims_of_one_attempt_start_one_command() {
    let project = Project::with("work", WORK);
    let script = slow(&project);
    let daemon = start(&project, &script);
    let run = daemon.exec("work", &[]);
    let shim = pid_in(&project, "slow");
    // The next daemon finds a free lock and no claim, and starts the attempt's second shim.
    daemon.kill();
    let daemon = start(&project, &script);
    let pid = pid_in(&project, "starts");
    fs::write(project.path("gate"), "go\n").expect("the gate");
    wait_for("the late shim's end", || (!is_alive(shim)).then_some(()));
    assert!(is_alive(pid));
    project.file("go", "");
    let run = daemon.wait_over(&run.name);
    assert_eq!((run.status(), step(&run, "a").attempts), (RunStatus::Succeeded, 1), "{run:#?}\n{}", daemon.log());
    assert_eq!(project.lines("starts"), [format!("{pid} 1")]);
    assert_settled(&project, &daemon, &run, "two shims");
}
