//! The daemon is killed right before each of its calls on attempts, kept files and the journal: while a run goes forward,
//! while it is canceled, and while another start of the daemon takes up what the last one left.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use runbook_proto::v1;
use runbook_proto::v1::{RunStatus, StepStatus};
use runbook_tests::e2e::injection::{At, Killer, daemon_command, killed_at, own_programs, tell, wrap};
use runbook_tests::e2e::{Daemon, Project, is_alive, step, wait_for};

use super::{assert_settled, attempt_directory, cancel, look, pid_in, request, standing};
/// Sweeps that share the calls among them, each with a project of its own.
const LANES: usize = 2;

/// One sweep: a project whose daemon is started anew for every call that it is killed at.
struct Lane {
    killer: &'static Killer,
    project: Project,
    paths: Vec<String>,
    /// The daemon's program, where it is not the built one.
    program: Option<PathBuf>,
    at: usize,
    points: Vec<String>,
}

impl Lane {
    fn new(killer: &'static Killer, project: Project, lane: usize, paths: &[&str]) -> Self {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Self { killer, project, paths, program: None, at: lane + 1, points: Vec::new() }
    }

    fn trace(&self) -> PathBuf {
        self.project.path(&format!("trace-{}", self.at))
    }

    /// The words before a daemon that is killed at the present call, once it is armed.
    fn words(&self) -> Vec<OsString> {
        let armed_by = Some(self.project.path("armed"));
        self.killer.words(&At { call: self.at, paths: self.paths.clone(), armed_by, trace: self.trace() })
    }

    fn start(&self) -> Daemon {
        let program = self.program.as_deref();
        Daemon::start_with(&self.project, |command| wrap(command, &self.project, &self.words(), program))
    }

    fn arm(&self) {
        self.project.file("armed", "");
    }

    /// After a kill: the next daemon, for the next call of this lane.
    fn next(&mut self, killed: Daemon) -> (Daemon, String) {
        killed.wait_gone();
        self.remove(&["armed"]);
        let call = killed_at(&self.trace()).expect("killed by the tool");
        self.points.push(call.clone());
        self.at += LANES;
        (self.start(), format!("killed before {call}"))
    }

    /// Waits until a run is over and cleaned away, and lets nobody be killed from then on. `false`: the daemon was before.
    fn ended(&self, daemon: &Daemon, name: &str) -> bool {
        let whole = wait_for("the run's end, or the daemon's", || {
            if gone(daemon) {
                return Some(false);
            }
            let run = look(daemon, name).filter(|run| run.finished_at.is_some())?;
            let place = self.project.path(&format!(".runbook/attempts/{}", run.uid));
            fs::read_dir(place).into_iter().flatten().next().is_none().then_some(true)
        });
        self.remove(&["armed"]);
        // What it does after that may have been the call: then it is about to go.
        whole && (killed_at(&self.trace()).is_none() || wait_for("the daemon's end", || gone(daemon).then_some(false)))
    }

    fn remove(&self, names: &[&str]) {
        for name in names {
            // It may not be there.
            let _ = fs::remove_file(self.project.path(name));
        }
    }
}

fn gone(daemon: &Daemon) -> bool {
    !is_alive(daemon.pid())
}

/// Waits until a run is over, and tells what the project looks like where it does not end.
fn over(daemon: &Daemon, name: &str, context: &str) -> v1::Run {
    let what = format!("the end of {name}, {context}");
    daemon.wait(name, &what, |run| run.finished_at.is_some())
}

/// How often the daemon was killed at which kind of call.
fn report(what: &str, points: &[String]) {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for point in points {
        *kinds.entry(point.split(' ').nth(1).unwrap_or("?")).or_default() += 1;
    }
    tell(&format!("{what}: the daemon was killed at {} calls: {kinds:?}", points.len()));
}

/// Runs a sweep in its lanes; each gives the calls that it killed at.
fn sweep(what: &str, least: usize, lane: impl Fn(&'static Killer, usize) -> Vec<String> + Sync) {
    let Some(killer) = Killer::get() else { return };
    let lane = &lane;
    let points: Vec<String> = thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES).map(|number| scope.spawn(move || lane(killer, number))).collect();
        lanes.into_iter().flat_map(|lane| lane.join().expect("a lane")).collect()
    });
    report(what, &points);
    assert!(points.len() >= least, "only {} calls: the sweep proves little", points.len());
}

/// A second start of `change` would show in `starts`; if it were lost it would be unknown. `flaky` shows that retries and
/// their numbers survive.
const FORWARD: &str = r#"
steps:
  change:
    outputs: {n: integer}
    artifacts: [deep/a]
    run: |
      echo "$$ $RUNBOOK_ATTEMPT" >> starts
      while ! test -e go; do sleep 0.02; done
      mkdir "$RUNBOOK_ARTIFACTS/deep"
      echo content > "$RUNBOOK_ARTIFACTS/deep/a"
      echo n=1 >> "$RUNBOOK_OUTPUT"
      echo said
  flaky:
    needs: [change]
    effect: idempotent
    retry: {attempts: 2, backoff: {initial: 1ms, factor: 1, max: 1ms, jitter: none}}
    run: |
      echo "$$ $RUNBOOK_ATTEMPT" >> flaky
      test "$RUNBOOK_ATTEMPT" = 2
"#;

fn forward(killer: &'static Killer, number: usize) -> Vec<String> {
    let project = Project::with("work", FORWARD);
    let mut lane = Lane::new(killer, project, number, &["/attempts", "/.runbook/runs/", "/journal/db"]);
    let mut daemon = lane.start();
    loop {
        lane.remove(&["go", "starts", "flaky"]);
        let id = format!("r-{}", lane.at);
        let mut context = "not killed".to_owned();
        lane.arm();
        // The answer may be lost with the daemon: then the same request finds the same run.
        let begun = request(&daemon, "work", &id).ok();
        wait_for("the step, or the daemon's end", || {
            let begins = begun.is_some() && !lane.project.lines("starts").is_empty();
            (begins || gone(&daemon)).then_some(())
        });
        let early = gone(&daemon);
        if early {
            (daemon, context) = lane.next(daemon);
            let run = request(&daemon, "work", &id).expect("an answer");
            assert!(begun.as_ref().is_none_or(|begun| begun.uid == run.uid), "{context}: one request, two runs");
        }
        let pid = pid_in(&lane.project, "starts");
        if early {
            let name = request(&daemon, "work", &id).expect("an answer").name;
            daemon.wait(&name, "the step", |run| step(run, "change").status() == StepStatus::Running);
            assert!(is_alive(pid), "{context}: the step went with the daemon");
        }
        lane.project.file("go", "");
        let whole = !early && begun.as_ref().is_some_and(|begun| lane.ended(&daemon, &begun.name));
        if !early && !whole {
            (daemon, context) = lane.next(daemon);
        }
        lane.remove(&["armed"]);
        let run = request(&daemon, "work", &id).expect("an answer");
        let run = over(&daemon, &run.name, &context);
        assert_went_on(&lane.project, &daemon, &run, pid, &context);
        if whole {
            return lane.points;
        }
    }
}

/// The end of a run whose daemon was killed: the same process went on, and nothing needed another attempt.
fn assert_went_on(project: &Project, daemon: &Daemon, run: &v1::Run, pid: u32, context: &str) {
    assert_eq!(run.status(), RunStatus::Succeeded, "{context}: {run:#?}\n{}", daemon.log());
    assert_eq!(project.lines("starts"), [format!("{pid} 1")], "{context}");
    assert_eq!(standing(run, "change"), (StepStatus::Succeeded, 1), "{context}");
    assert_eq!(standing(run, "flaky"), (StepStatus::Succeeded, 2), "{context}");
    let flaky = project.lines("flaky");
    let numbers: Vec<&str> = flaky.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(numbers, ["1", "2"], "{context}");
    let artifact = &step(run, "change").artifacts[0];
    assert_eq!(artifact.name, "deep/a", "{context}");
    assert_eq!(fs::read_to_string(&artifact.path).expect("the artifact"), "content\n", "{context}");
    assert_settled(project, daemon, run, context);
    assert_eq!(daemon.logs(&run.name, "change"), ["said"], "{context}");
}

#[test]
fn a_run_goes_on_whatever_call_the_daemon_is_killed_at() {
    sweep("forward", 40, forward);
}

const CANCELED: &str = r#"
steps:
  long:
    effect: idempotent
    run: |
      trap 'echo term >> log; exit 7' TERM
      echo "$$ $RUNBOOK_ATTEMPT" >> starts
      while :; do sleep 0.02; done
    on_cancel: {run: echo tidied >> log}
finally:
  end: {run: echo finally >> log}
"#;

fn canceled(killer: &'static Killer, number: usize) -> Vec<String> {
    let project = Project::with("work", CANCELED);
    let mut lane = Lane::new(killer, project, number, &["/attempts", "/.runbook/runs/", "/journal/db"]);
    let mut daemon = lane.start();
    loop {
        lane.remove(&["starts", "log"]);
        let run = daemon.exec("work", &[]);
        let pid = pid_in(&lane.project, "starts");
        let mut context = "not killed".to_owned();
        lane.arm();
        let answer = cancel(&daemon, &run.name, false);
        let whole = ended_or_refused(&lane, &daemon, &run.name, answer.is_ok());
        if !whole {
            (daemon, context) = lane.next(daemon);
            // Only what was answered is sure to be known; to ask again is refused where it is.
            let again = cancel(&daemon, &run.name, false);
            assert!(again.is_ok() || look(&daemon, &run.name).is_some(), "{context}: {again:?}");
        }
        lane.remove(&["armed"]);
        let run = over(&daemon, &run.name, &context);
        assert_eq!(run.status(), RunStatus::Canceled, "{context}: {run:#?}\n{}", daemon.log());
        assert!(!is_alive(pid), "{context}: canceled, and it still runs");
        assert_eq!(lane.project.lines("starts"), [format!("{pid} 1")], "{context}");
        assert_eq!(lane.project.lines("log"), ["term", "tidied", "finally"], "{context}");
        assert_settled(&lane.project, &daemon, &run, &context);
        if whole {
            return lane.points;
        }
    }
}

fn ended_or_refused(lane: &Lane, daemon: &Daemon, name: &str, answered: bool) -> bool {
    assert!(answered || gone(daemon) || wait_for("the daemon's end", || gone(daemon).then_some(true)));
    lane.ended(daemon, name)
}

#[test]
fn a_cancel_comes_to_its_end_whatever_call_the_daemon_is_killed_at() {
    sweep("cancel", 30, canceled);
}

/// No shim comes up, and the run is canceled: the daemon fences the attempt, and is killed meanwhile.
fn fenced(killer: &'static Killer, number: usize) -> Vec<String> {
    let project = Project::with("work", "steps:\n  a: {run: 'echo $$ >> starts'}\n");
    let script = format!("#!/bin/sh\necho x >> {}/spawns\nexit 16\n", project.root().display());
    let program = own_programs(&project, &script);
    let mut lane = Lane::new(killer, project, number, &["/attempts"]);
    lane.program = Some(program);
    let mut daemon = lane.start();
    loop {
        lane.remove(&["spawns"]);
        let run = daemon.exec("work", &[]);
        wait_for("a shim", || (!lane.project.lines("spawns").is_empty()).then_some(()));
        let mut context = "not killed".to_owned();
        lane.arm();
        let answer = cancel(&daemon, &run.name, false);
        let whole = ended_or_refused(&lane, &daemon, &run.name, answer.is_ok());
        if !whole {
            (daemon, context) = lane.next(daemon);
            // Refused where it is known already.
            let _ = cancel(&daemon, &run.name, false);
        }
        lane.remove(&["armed"]);
        let run = over(&daemon, &run.name, &context);
        assert_eq!((run.status(), standing(&run, "a")), (RunStatus::Canceled, (StepStatus::Canceled, 1)), "{context}");
        assert_eq!(lane.project.lines("starts"), Vec::<String>::new(), "{context}");
        assert_settled(&lane.project, &daemon, &run, &context);
        if whole {
            return lane.points;
        }
    }
}

#[test]
fn an_attempt_is_fenced_whatever_call_the_daemon_is_killed_at() {
    sweep("fence", 6, fenced);
}

/// Steps that come to their end while no daemon is there, beside one that goes on.
const ENDED: usize = 2;

fn many() -> String {
    let mut body = "steps:\n  on: {run: 'echo $$ >> on; while ! test -e go; do sleep 0.02; done'}\n".to_owned();
    for number in 0..ENDED {
        writeln!(
            body,
            "  e{number}:
    artifacts: [a]
    outputs: {{n: integer}}
    run: |
      echo x >> starts
      while ! test -e end; do sleep 0.02; done
      echo {number} > \"$RUNBOOK_ARTIFACTS/a\"
      echo n={number} >> \"$RUNBOOK_OUTPUT\"
      echo said
      echo x >> ends"
        )
        .unwrap();
    }
    body
}

/// A data directory as a killed daemon left it, with one attempt that runs, so that starts of the daemon can be killed in
/// the same state again and again.
struct Left {
    data: PathBuf,
    copy: PathBuf,
    running: PathBuf,
}

impl Left {
    fn take(project: &Project, running: PathBuf) -> Self {
        let left = Self { data: project.path(".runbook"), copy: project.path("copy"), running };
        fs::create_dir(&left.copy).expect("a folder");
        left.copy_all(&left.data, &left.copy);
        fs::remove_dir_all(left.copy.join(left.running.strip_prefix(&left.data).unwrap())).expect("its copy");
        left
    }

    fn copy_all(&self, from: &Path, to: &Path) {
        let copied = Command::new("cp").args(["-a", "-T"]).arg(from).arg(to).status().expect("cp runs");
        assert!(copied.success(), "cp {from:?} {to:?}");
    }

    /// Everything as it was, but for the attempt that runs, which nothing may touch.
    fn restore(&self) {
        self.empty(&self.data);
        self.copy_all(&self.copy, &self.data);
    }

    fn empty(&self, folder: &Path) {
        for entry in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry == self.running {
            } else if self.running.starts_with(&entry) {
                self.empty(&entry);
            } else if entry.is_dir() {
                fs::remove_dir_all(&entry).expect("removed");
            } else {
                fs::remove_file(&entry).expect("removed");
            }
        }
    }
}

/// Every start is killed one call later than the one before; the next start does what it left half done.
fn starts(killer: &'static Killer, number: usize) -> Vec<String> {
    let project = Project::with("many", &many());
    let daemon = Daemon::start(&project);
    let run = daemon.exec("many", &[]);
    let pid = pid_in(&project, "on");
    wait_for("all steps", || (project.lines("starts").len() == ENDED).then_some(()));
    daemon.kill();
    project.file("end", "");
    wait_for("their verdicts", || (1..=ENDED).all(|step| verdict_of(&project, &run, step).exists()).then_some(()));
    let left = Left::take(&project, attempt_directory(&project, &run, 0, 1));
    let mut lane = Lane::new(killer, project, number, &["/attempts", "/.runbook/runs/", "/journal/db"]);
    lane.arm();
    loop {
        left.restore();
        let project = &lane.project;
        let mut command = daemon_command(project);
        wrap(&mut command, project, &lane.words(), None);
        let mut killed = command.spawn().expect("runbookd starts");
        wait_for("the attempts to be taken up, or the daemon's end", || {
            let ended = killed.try_wait().expect("wait").is_some();
            (ended || (1..=ENDED).all(|step| !verdict_of(project, &run, step).exists())).then_some(())
        });
        // It may be gone.
        let _ = killed.kill();
        killed.wait().expect("wait");
        let call = killed_at(&lane.trace());
        let context = call.as_ref().map_or("not killed".to_owned(), |call| format!("killed before {call}"));
        assert!(is_alive(pid), "{context}: the step went with a start of the daemon");
        let daemon = Daemon::start(project);
        let taken = |run: &v1::Run| (0..ENDED).all(|n| standing(run, &format!("e{n}")) == (StepStatus::Succeeded, 1));
        let run = daemon.wait(&run.name, &format!("the ends, {context}"), taken);
        assert_eq!(standing(&run, "on"), (StepStatus::Running, 1), "{context}");
        for number in 0..ENDED {
            let step = step(&run, &format!("e{number}"));
            let kept = fs::read_to_string(&step.artifacts[0].path).expect("the artifact");
            assert_eq!(kept, format!("{number}\n"), "{context}");
            wait_for(&format!("the log of {}, {context}", step.id), || {
                (daemon.logs(&run.name, &step.id) == ["said"]).then_some(())
            });
        }
        let Some(call) = call else {
            project.file("go", "");
            let run = over(&daemon, &run.name, &context);
            assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}\n{}", daemon.log());
            assert_eq!((project.lines("on").len(), project.lines("ends").len()), (1, ENDED));
            assert_settled(project, &daemon, &run, &context);
            return lane.points;
        };
        daemon.kill();
        lane.points.push(call);
        lane.at += LANES;
    }
}

fn verdict_of(project: &Project, run: &v1::Run, step: usize) -> PathBuf {
    attempt_directory(project, run, step, 1).join("verdict")
}

#[test]
fn a_start_takes_up_attempts_whatever_call_the_one_before_was_killed_at() {
    sweep("starts", 25, starts);
}
