//! What the shim left while no daemon was there: used once if it is whole, and otherwise as if it were not there.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use runbook_proto::v1;
use runbook_proto::v1::{EventType, RunStatus, Settlement, StepStatus};
use runbook_tests::e2e::{Daemon, Project, is_alive, step, wait_for};

use super::{assert_settled, attempt_directory, pid_in, resolve, standing};

const WORK: &str = r#"
steps:
  change:
    outputs: {n: integer}
    artifacts: [a]
    run: |
      echo $$ >> starts
      while ! test -e go; do sleep 0.02; done
      echo content > "$RUNBOOK_ARTIFACTS/a"
      echo n=1 >> "$RUNBOOK_OUTPUT"
      echo said
  after: {needs: [change], run: echo x >> after}
"#;

/// A run whose step came to its end without a daemon.
struct Ended {
    project: Project,
    run: v1::Run,
    directory: PathBuf,
}

impl Ended {
    fn new() -> Self {
        let project = Project::with("work", WORK);
        let daemon = Daemon::start(&project);
        let run = daemon.exec("work", &[]);
        let pid = pid_in(&project, "starts");
        daemon.kill();
        project.file("go", "");
        let directory = attempt_directory(&project, &run, 0, 1);
        wait_for("the verdict", || directory.join("verdict").exists().then_some(()));
        wait_for("the command's end", || (!is_alive(pid)).then_some(()));
        Self { project, run, directory }
    }

    fn start(&self) -> Daemon {
        Daemon::start(&self.project)
    }

    /// The next daemon takes the verdict.
    fn assert_taken(&self, context: &str) {
        let daemon = self.start();
        let run = daemon.wait_over(&self.run.name);
        assert_eq!(run.status(), RunStatus::Succeeded, "{context}: {run:#?}\n{}", daemon.log());
        assert_eq!(standing(&run, "change"), (StepStatus::Succeeded, 1), "{context}");
        let artifact = &step(&run, "change").artifacts[0];
        assert_eq!(fs::read_to_string(&artifact.path).expect("the artifact"), "content\n", "{context}");
        assert_eq!((self.project.lines("starts").len(), self.project.lines("after").len()), (1, 1), "{context}");
        assert_settled(&self.project, &daemon, &run, context);
        assert_eq!(daemon.logs(&run.name, "change"), ["said"], "{context}");
    }

    /// The next daemon knows nothing of the attempt's end, and does not guess.
    fn assert_lost(&self, context: &str) {
        let daemon = self.start();
        let run = daemon.wait(&self.run.name, context, |run| run.status() == RunStatus::Attention);
        assert_eq!(standing(&run, "change"), (StepStatus::Unknown, 1), "{context}");
        assert_eq!((self.project.lines("starts").len(), self.project.lines("after").len()), (1, 0), "{context}");
        let events = daemon.events(&run.name);
        let ended: Vec<_> = events.iter().filter(|event| event.r#type() == EventType::AttemptEnded).collect();
        assert_eq!(ended.len(), 1, "{context}");
        assert!(ended[0].how.contains("lost") && ended[0].then == "unknown", "{context}: {:?}", ended[0]);
        resolve(&daemon, &run.name, "change", Settlement::Failed);
        assert_settled(&self.project, &daemon, &daemon.wait_over(&run.name), context);
    }
}

fn truncate(path: PathBuf) {
    let file = OpenOptions::new().write(true).open(path).expect("the file");
    let length = file.metadata().expect("its length").len();
    file.set_len(length / 2).expect("torn");
}

#[test]
fn a_verdict_that_was_there_before_the_daemon_is_taken_once() {
    let ended = Ended::new();
    ended.assert_taken("a whole verdict");
}

#[test]
fn a_torn_verdict_counts_as_absent() {
    let ended = Ended::new();
    truncate(ended.directory.join("verdict"));
    ended.assert_lost("a torn verdict");
}

#[test]
fn a_verdict_does_not_speak_for_what_was_changed_after_it() {
    let ended = Ended::new();
    fs::write(ended.directory.join("out"), "n=2\n").expect("other outputs");
    ended.assert_lost("other outputs");
    let ended = Ended::new();
    truncate(ended.directory.join("artifacts/a"));
    ended.assert_lost("a torn artifact");
}

#[test]
fn artifacts_that_were_moved_already_are_not_missed() {
    let ended = Ended::new();
    let kept = ended.project.path(&format!(".runbook/runs/{}/artifacts", ended.run.uid));
    fs::create_dir_all(&kept).expect("the folder of artifacts");
    fs::rename(ended.directory.join("artifacts"), kept.join("0.0.1")).expect("moved");
    ended.assert_taken("moved before");
}

#[test]
fn a_directory_that_comes_back_is_no_second_end() {
    let ended = Ended::new();
    let copy = ended.project.path("copy");
    let copied = std::process::Command::new("cp").arg("-a").arg(&ended.directory).arg(&copy).status().expect("cp runs");
    assert!(copied.success());
    let daemon = ended.start();
    daemon.wait_over(&ended.run.name);
    daemon.kill();
    fs::create_dir_all(ended.directory.parent().expect("the run's folder")).expect("the run's folder");
    // It may be on its way out.
    let _ = fs::remove_dir_all(&ended.directory);
    fs::rename(&copy, &ended.directory).expect("back again");
    ended.assert_taken("back again");
}

#[test]
fn unknown_directories_are_set_aside_and_shown() {
    let ended = Ended::new();
    let attempts = ended.project.path(".runbook/attempts");
    // Of no run, of no attempt of a run, of no name that the daemon gives.
    let stranger = "aaaaaaaaaaaaaaaaaaaaaaaaaa";
    let strange =
        [format!("{stranger}/0.0.1"), format!("{}/0.0.7", ended.run.uid), format!("{}/x", ended.run.uid), "odd".into()];
    for name in &strange {
        fs::create_dir_all(attempts.join(name)).expect("a directory");
        fs::write(attempts.join(name).join("mark"), name).expect("a file");
    }
    let daemon = ended.start();
    let aside = ended.project.path(".runbook/quarantine");
    let mut found: Vec<String> = fs::read_dir(&aside)
        .expect("the quarantine")
        .map(|entry| fs::read_to_string(entry.expect("an entry").path().join("mark")).expect("its mark"))
        .collect();
    found.sort();
    let mut wanted = strange.to_vec();
    wanted.sort();
    assert_eq!(found, wanted);
    let info = daemon.system(|mut client| async move { client.get_info(v1::GetInfoRequest {}).await }).expect("info");
    let shown = info.warnings.iter().filter(|warning| warning.contains("set aside")).count();
    assert_eq!(shown, strange.len(), "{:?}", info.warnings);
    daemon.kill();
    ended.assert_taken("beside strangers");
}

#[test]
fn a_process_that_a_step_leaves_ends_with_the_step() {
    let project = Project::with(
        "work",
        r#"
steps:
  leave:
    run: |
      setsid sh -c 'setsid sh -c "echo \$\$ >> grandchild; exec sleep 1000" > /dev/null 2>&1 &' > /dev/null 2>&1
      while ! test -s grandchild; do sleep 0.01; done
"#,
    );
    let daemon = Daemon::start(&project);
    let run = daemon.exec("work", &[]);
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    assert!(!is_alive(pid_in(&project, "grandchild")));
    let events = daemon.events(&run.name);
    let ended = events.iter().find(|event| event.r#type() == EventType::AttemptEnded).expect("an end");
    assert!(ended.message.contains("left behind"), "{ended:?}");
    assert_settled(&project, &daemon, &run, "a daemonized process");
}

/// A run that cannot be read in is out of service, with its attempts as they are.
#[test]
fn attempts_of_a_run_out_of_service_are_left_alone() {
    let project = Project::with("work", WORK);
    let daemon = Daemon::start(&project);
    let run = daemon.exec("work", &[]);
    let pid = pid_in(&project, "starts");
    daemon.kill();
    let (definition, aside) =
        (project.path(&format!(".runbook/definitions/{}", run.definition)), project.path("aside"));
    fs::rename(&definition, &aside).expect("the definition out of the way");
    let daemon = Daemon::start(&project);
    assert!(is_alive(pid));
    daemon.kill();
    fs::rename(&aside, &definition).expect("the definition back");
    let daemon = Daemon::start(&project);
    project.file("go", "");
    let run = daemon.wait_over(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    assert_eq!((standing(&run, "change"), project.lines("starts").len()), ((StepStatus::Succeeded, 1), 1));
    assert_settled(&project, &daemon, &run, "out of service and back");
}
