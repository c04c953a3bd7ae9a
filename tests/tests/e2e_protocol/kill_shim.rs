//! The shim is killed right before each of its calls that others can see, under a daemon that lives: before the claim it is
//! started again and nothing was lost; after it everything of the attempt is killed, and the step's effect says what follows.

use std::collections::BTreeMap;
use std::fs;

use runbook_proto::v1::{EventType, RunStatus, Settlement, StepStatus};
use runbook_shim::lock;
use runbook_tests::e2e::injection::{Killer, killed_at, own_programs, tell, wrap};
use runbook_tests::e2e::{Daemon, Project, is_alive, step, wait_for};

use super::{assert_settled, attempt_directory, cancel, pid_in, processes, resolve, standing};

/// What became of the runs of a sweep.
#[derive(Debug, Default)]
struct Tally {
    points: usize,
    /// The same attempt was started again.
    again: usize,
    /// Nobody knows what the attempt did.
    lost: usize,
    /// The verdict was there.
    ended: usize,
    kinds: BTreeMap<String, usize>,
}

/// A project whose shims are killed at chosen calls, and its daemon.
struct Shims {
    project: Project,
    daemon: Daemon,
    tally: Tally,
}

impl Shims {
    fn new(body: &str) -> Option<Self> {
        let killer = Killer::get()?;
        let project = Project::with("work", body);
        let script = killer.shim(&project.path("number"), &project.path("armed"), &project.path("trace"));
        let program = own_programs(&project, &script);
        let daemon = Daemon::start_with(&project, |command| wrap(command, &project, &[], Some(&program)));
        Some(Self { project, daemon, tally: Tally::default() })
    }

    /// The next shim is killed at this call.
    fn kill_at(&self, call: usize) {
        for name in ["starts", "log", "trace", "armed"] {
            // It may not be there.
            let _ = fs::remove_file(self.project.path(name));
        }
        self.project.file("number.new", &call.to_string());
        fs::rename(self.project.path("number.new"), self.project.path("number")).expect("the number in its place");
    }

    /// The call that the shim was killed at; `None`: it made fewer.
    fn killed(&mut self) -> Option<String> {
        assert_eq!(self.project.read("number"), None, "no shim was killed");
        let call = killed_at(&self.project.path("trace"))?;
        self.tally.points += 1;
        *self.tally.kinds.entry(call.split(' ').nth(1).unwrap_or("?").to_owned()).or_default() += 1;
        Some(format!("the shim was killed before {call}"))
    }
}

/// A command that leaves a process in its group, and one in a session of its own.
fn leaving(effect: &str) -> String {
    format!(
        r#"
steps:
  change:
    effect: {effect}
    retry: {{attempts: 3, backoff: {{initial: 1ms, factor: 1, max: 1ms, jitter: none}}}}
    outputs: {{n: integer}}
    artifacts: [a]
    run: |
      echo "$$ $RUNBOOK_ATTEMPT" >> starts
      sleep 1000 > /dev/null 2>&1 &
      setsid sleep 1000 > /dev/null 2>&1 &
      echo content > "$RUNBOOK_ARTIFACTS/a"
      echo n=1 >> "$RUNBOOK_OUTPUT"
      echo said
"#
    )
}

/// Kills a shim at every call, one run each, and tells what became of them.
fn sweep(effect: &str) -> Option<Tally> {
    let mut shims = Shims::new(&leaving(effect))?;
    for call in 1.. {
        shims.kill_at(call);
        shims.project.file("armed", "");
        let run = shims.daemon.exec("work", &[]);
        let settled = |run: &runbook_proto::v1::Run| run.finished_at.is_some() || run.status() == RunStatus::Attention;
        let mut run = shims.daemon.wait(&run.name, &format!("the end, call {call}"), settled);
        let killed = shims.killed();
        let context = killed.clone().unwrap_or("not killed".to_owned());
        let starts = shims.project.lines("starts");
        let lost = shims.daemon.events(&run.name).iter().filter(|event| event.how.contains("lost")).count();
        if run.status() == RunStatus::Attention {
            assert_eq!(effect, "mutating", "{context}");
            assert_eq!((standing(&run, "change"), lost), ((StepStatus::Unknown, 1), 1), "{context}");
            // It is said that the attempt is over: then it is.
            assert_eq!(processes(&run), [], "{context}");
            resolve(&shims.daemon, &run.name, "change", Settlement::Failed);
            run = shims.daemon.wait_over(&run.name);
            assert_eq!(run.status(), RunStatus::Failed, "{context}");
            assert!(starts.len() <= 1, "{context}: {starts:?}");
        } else {
            assert_eq!(run.status(), RunStatus::Succeeded, "{context}: {run:#?}\n{}", shims.daemon.log());
            let mut attempts: Vec<&str> = starts.iter().filter_map(|line| line.split(' ').nth(1)).collect();
            assert_eq!(attempts.last().copied(), Some(&*(lost + 1).to_string()), "{context}: {starts:?}");
            attempts.dedup();
            assert_eq!(attempts.len(), starts.len(), "{context}: an attempt ran twice: {starts:?}");
            assert!(starts.len() <= lost + 1 && (effect != "mutating" || starts.len() == 1), "{context}: {starts:?}");
            assert_eq!(shims.daemon.logs(&run.name, "change").last().map(String::as_str), Some("said"), "{context}");
        }
        assert_settled(&shims.project, &shims.daemon, &run, &context);
        if killed.is_none() {
            return Some(shims.tally);
        }
        let claimed =
            shims.project.read("trace").unwrap_or_default().lines().any(|line| line.ends_with("openat claim "));
        match (lost, claimed) {
            (0, false) => shims.tally.again += 1,
            (0, true) => shims.tally.ended += 1,
            _ => shims.tally.lost += 1,
        }
    }
    None
}

fn check(effect: &str) {
    let Some(tally) = sweep(effect) else { return };
    tell(&format!("a {effect} step: {tally:?}"));
    assert!(tally.again >= 10 && tally.lost >= 10, "the sweep proves little: {tally:?}");
}

#[test]
fn a_mutating_step_is_unknown_when_its_shim_is_killed_after_the_claim() {
    check("mutating");
}

#[test]
fn an_idempotent_step_is_done_again_when_its_shim_is_killed_after_the_claim() {
    check("idempotent");
}

const CANCELED: &str = r#"
steps:
  long:
    effect: idempotent
    stop: {grace: 200ms}
    run: |
      trap 'echo term >> log; exit 7' TERM
      echo "$$ $RUNBOOK_ATTEMPT" >> starts
      setsid sh -c 'trap "" TERM; while :; do sleep 0.05; done' > /dev/null 2>&1 &
      while :; do sleep 0.02; done
    on_cancel: {run: echo tidied >> log}
finally:
  end: {run: echo finally >> log}
"#;

#[test]
fn a_cancel_comes_to_its_end_whatever_call_the_shim_is_killed_at() {
    let Some(mut shims) = Shims::new(CANCELED) else { return };
    for call in 1.. {
        shims.kill_at(call);
        let run = shims.daemon.exec("work", &[]);
        let pid = pid_in(&shims.project, "starts");
        shims.project.file("armed", "");
        cancel(&shims.daemon, &run.name, false).expect("cancel");
        let run = shims.daemon.wait(&run.name, &format!("the end, call {call}"), |run| run.finished_at.is_some());
        let killed = shims.killed();
        let context = killed.clone().unwrap_or("not killed".to_owned());
        assert_eq!(run.status(), RunStatus::Canceled, "{context}: {run:#?}");
        assert!(!is_alive(pid), "{context}");
        assert_eq!(shims.project.lines("starts"), [format!("{pid} 1")], "{context}");
        let log = shims.project.lines("log");
        assert_eq!(log.iter().filter(|line| *line != "term").collect::<Vec<_>>(), ["tidied", "finally"], "{context}");
        assert_settled(&shims.project, &shims.daemon, &run, &context);
        if killed.is_none() {
            assert_eq!(log[0], "term");
            break;
        }
    }
    tell(&format!("a canceled step: {:?}", shims.tally));
    assert!(shims.tally.points >= 10, "the sweep proves little: {:?}", shims.tally);
}

/// Neither is there to see how it ends, and the step had daemonized a process.
#[test]
fn daemon_and_shim_are_both_killed() {
    let project = Project::with("work", &leaving("mutating").replace("echo said", "echo said; exec sleep 1000"));
    let daemon = Daemon::start(&project);
    let run = daemon.exec("work", &[]);
    let pid = pid_in(&project, "starts");
    let directory = attempt_directory(&project, &run, 0, 1);
    wait_for("the command's own program", || {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        line.starts_with("sleep").then_some(())
    });
    daemon.kill();
    let shim = lock::holder(&directory).expect("the lock").expect("its holder").pid;
    let shim_pid = i32::try_from(shim).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    rustix::process::kill_process(shim_pid, rustix::process::Signal::KILL).expect("KILL");
    wait_for("the shim's end", || (!is_alive(shim)).then_some(()));
    assert_eq!(processes(&run).len(), 3, "{:?}", processes(&run));
    let daemon = Daemon::start(&project);
    let run = daemon.wait(&run.name, "attention", |run| run.status() == RunStatus::Attention);
    assert_eq!(processes(&run), []);
    let events = daemon.events(&run.name);
    let ended = events.iter().find(|event| event.r#type() == EventType::AttemptEnded).expect("an end");
    assert!(ended.message.contains("its shim died"), "{ended:?}");
    assert_eq!(step(&run, "change").status(), StepStatus::Unknown);
    resolve(&daemon, &run.name, "change", Settlement::Failed);
    assert_settled(&project, &daemon, &daemon.wait_over(&run.name), "both killed");
}
