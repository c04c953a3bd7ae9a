//! What the engine costs in calls to the system, counted by strace(1), so that no noise of the machine can hide a slip.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use runbook_proto::v1::RunStatus;
use runbook_tests::e2e::injection::{skip, tell, wrap};
use runbook_tests::e2e::{Daemon, Project, wait_for};

/// Syncs of a chain, per step.
const CHAIN_SYNCS: f64 = 1.0;
/// Syncs of a fan-out, per step.
const FAN_OUT_SYNCS: f64 = 0.1;
/// Programs that an attempt starts: its shim and its command.
const EXECS: f64 = 2.0;
/// Calls that open, create, rename or remove something under `attempts/`, per attempt.
const FILE_CALLS: f64 = 24.0;

const SYNCS: &[&str] = &["fsync", "fdatasync", "sync", "syncfs", "msync"];
const FILES: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
];
const EXEC: &[&str] = &["execve", "execveat"];

/// The calls of one run, as strace tells them: process, call, the rest of the line.
struct Trace {
    calls: Vec<(u32, String, String)>,
    took: Duration,
}

impl Trace {
    fn read(text: &str, took: Duration) -> Self {
        let call = |line: &str| -> Option<(u32, String, String)> {
            let (pid, rest) = line.trim_start().split_once(' ')?;
            // A call that was interrupted by another one is told twice, the second time as `<... name resumed>`.
            let (name, rest) = rest.trim_start().split_once('(')?;
            let named = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            named.then(|| Some((pid.parse().ok()?, name.to_owned(), rest.to_owned())))?
        };
        Self { calls: text.lines().filter_map(call).collect(), took }
    }

    fn count(&self, names: &[&str]) -> usize {
        self.calls.iter().filter(|(_, name, _)| names.contains(&&**name)).count()
    }

    /// The syncs between the first program that was started for a step and the last one: the start and the end of the
    /// daemon have some of their own. Apart from them those that come with time and not with steps: the mark of a journal
    /// that rested, and the store's own once in ten seconds.
    fn syncs(&self) -> usize {
        let of_step = |(_, name, rest): &(u32, String, String)| EXEC.contains(&&**name) && rest.contains("/attempts/");
        let first = self.calls.iter().position(of_step).expect("an attempt");
        let last = self.calls.iter().rposition(of_step).expect("an attempt");
        let (mut of_steps, mut of_time) = (0, 0);
        for (_, name, rest) in self.calls[first..last].iter().filter(|(_, name, _)| SYNCS.contains(&&**name)) {
            let timed = rest.contains("/mark>") || (name == "fsync" && rest.contains("/journal/db>"));
            *(if timed { &mut of_time } else { &mut of_steps }) += 1;
        }
        let seconds = usize::try_from(self.took.as_secs()).expect("a time");
        assert!(of_time <= 2 + seconds, "{of_time} syncs of the clock in {seconds} s");
        of_steps
    }

    /// The calls of these names on paths under `attempts/`, by name and by what the path ends in.
    fn under_attempts(&self, names: &[&str]) -> BTreeMap<String, usize> {
        let mut folders: HashMap<u32, &str> = HashMap::new();
        let mut found = BTreeMap::new();
        for (pid, name, rest) in &self.calls {
            // Every second piece is what stands between quotes: a path.
            let paths: Vec<&str> = rest.split('"').skip(1).step_by(2).collect();
            if name == "chdir" {
                folders.extend(paths.first().map(|folder| (*pid, *folder)));
            }
            if !names.contains(&&**name) {
                continue;
            }
            let here = folders.get(pid).is_some_and(|folder| folder.contains("/attempts/"));
            let paths = if name.starts_with("execve") { &paths[..1] } else { &paths[..] };
            if paths.iter().any(|path| path.contains("/attempts/") || (here && !path.starts_with('/'))) {
                let last = paths.last().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
                // An attempt's directory has a name of its own.
                let last = if last.contains(".0.") || last.bytes().all(|b| b.is_ascii_digit()) { "DIR" } else { last };
                *found.entry(format!("{name} {last}")).or_default() += 1;
            }
        }
        found
    }
}

fn has_strace() -> bool {
    let words = ["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "true"];
    let traced = Command::new("strace").args(words).stderr(Stdio::null()).status();
    let found = traced.is_ok_and(|status| status.success());
    if !found {
        skip("counting calls needs strace, and processes that may be traced");
    }
    found
}

/// A run of a runbook under strace, from the daemon's start to its end.
fn trace(body: &str, names: &[&[&str]]) -> Trace {
    let project = Project::with("count", body);
    let file = project.path("trace");
    let mut words: Vec<OsString> =
        ["strace", "-D", "-f", "--seccomp-bpf", "-q", "-y", "-s", "300", "-o"].map(Into::into).to_vec();
    // A `?` lets pass what this machine's kernel does not have.
    let names: String = names.iter().flat_map(|names| names.iter()).map(|name| format!(",?{name}")).collect();
    words.extend([file.clone().into(), "-e".into(), format!("trace=chdir{names}").into()]);
    let daemon = Daemon::start_with(&project, |command| wrap(command, &project, &words, None));
    let pid = daemon.pid();
    let begin = Instant::now();
    let run = daemon.exec("count", &[]);
    daemon.watch_over(&run.name);
    let took = begin.elapsed();
    let run = daemon.get(&run.name);
    assert_eq!(run.status(), RunStatus::Succeeded, "{run:#?}");
    daemon.stop();
    let text = wait_for("the whole trace", || {
        let text = std::fs::read_to_string(&file).ok()?;
        let ended = |line: &str| {
            let (of, rest) = line.split_once(' ')?;
            (of == pid.to_string() && rest.trim_start().starts_with("+++ exited")).then_some(())
        };
        let whole = text.lines().any(|line| ended(line).is_some());
        whole.then_some(text)
    });
    Trace::read(&text, took)
}

fn chain(steps: usize) -> String {
    let mut body = "steps:\n".to_owned();
    for step in 0..steps {
        let needs = if step == 0 { String::new() } else { format!("s{}", step - 1) };
        writeln!(body, "  s{step}: {{needs: [{needs}], effect: read, argv: [/bin/true]}}").unwrap();
    }
    body
}

fn fan_out(steps: usize) -> String {
    let mut body = "steps:\n".to_owned();
    for step in 0..steps {
        writeln!(body, "  s{step}: {{effect: read, argv: [/bin/true]}}").unwrap();
    }
    body
}

/// Measurements at most of what depends on how busy the machine is; a slip shows in every one.
const TRIES: usize = 5;

/// One measurement at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// The smallest of some measurements, which end with the first that is within the bound.
fn least(bound: f64, mut measure: impl FnMut() -> f64) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..TRIES {
        least = least.min(measure());
        if least <= bound {
            break;
        }
    }
    least
}

/// What another hundred steps of a chain cost.
#[test]
fn a_step_of_a_chain_costs_few_calls() {
    if !has_strace() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (short, long) = (trace(&chain(100), &[SYNCS, FILES, EXEC]), trace(&chain(200), &[SYNCS, FILES, EXEC]));
    let slope = |short: usize, long: usize| (long as f64 - short as f64) / 100.0;
    let syncs = slope(short.syncs(), long.syncs());
    let execs = slope(short.count(EXEC), long.count(EXEC));
    let (before, after) = (short.under_attempts(FILES), long.under_attempts(FILES));
    let files = slope(before.values().sum(), after.values().sum());
    let kinds: Vec<String> = after
        .iter()
        .map(|(kind, count)| (kind, slope(before.get(kind).copied().unwrap_or(0), *count)))
        .filter(|(_, slope)| *slope >= 0.1)
        .map(|(kind, slope)| format!("{kind} {slope}"))
        .collect();
    tell(&format!(
        "a step of a chain: {syncs} syncs (at most {CHAIN_SYNCS}), {execs} execs ({EXECS}), {files} calls under attempts/ \
         (at most {FILE_CALLS}): {}",
        kinds.join(", ")
    ));
    assert!(syncs > 0.5, "{syncs} syncs per step: something is not counted, or not durable");
    assert!(syncs <= CHAIN_SYNCS, "{syncs} syncs per step");
    assert!((execs - EXECS).abs() < f64::EPSILON, "{execs} execs per attempt");
    assert!(files > 8.0, "{files} calls per attempt: something is not counted");
    assert!(files <= FILE_CALLS, "{files} calls per attempt: {kinds:?}");
}

/// What a step of a wide fan-out costs.
#[test]
fn a_step_of_a_fan_out_costs_few_syncs() {
    if !has_strace() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let syncs = least(FAN_OUT_SYNCS, || {
        let syncs = |steps| trace(&fan_out(steps), &[SYNCS, EXEC]).syncs();
        let (few, many) = (syncs(100), syncs(1_100));
        let syncs = (many as f64 - few as f64) / 1_000.0;
        tell(&format!(
            "a step of a fan-out: {syncs} syncs (at most {FAN_OUT_SYNCS}; {few} with 100 steps, {many} with 1,100)"
        ));
        syncs
    });
    assert!(syncs <= FAN_OUT_SYNCS, "{syncs} syncs per step");
}
