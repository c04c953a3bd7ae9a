//! kill -9 of the daemon alone, and of the daemon, the shims and the steps together, at random moments of a backup and of a
//! restore: a new daemon ends the run well, a target holds the old or the new content at every look, and nothing is left.
//! `RUNBOOK_SEED` repeats the moments, `RUNBOOK_ROUNDS` says how many runs.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, UNIX_EPOCH};

use runbook_proto::v1::{Run, RunStatus};
use runbook_tests::e2e::injection::tell;
use runbook_tests::e2e::{Daemon, Project, tree, wait_for};
use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group};

use super::gate::{Gate, Side};
use super::{
    DATA, FILES, assert_succeeded, backups, beside, fill, full, holds, names, repository, start, succeed, told,
};

/// Runs of each kind that are killed in an ordinary run of the tests, and in a long one.
const ROUNDS: (u64, u64) = (4, 40);
/// Kills in one run, at most. A step has three attempts, so no person is ever asked.
const KILLS: u64 = 2;

/// Numbers by chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn new(what: &str) -> Self {
        let now = UNIX_EPOCH.elapsed().expect("a time after 1970");
        let seed = variable("RUNBOOK_SEED").unwrap_or_else(|| u64::from(now.subsec_nanos()) ^ now.as_secs());
        tell(&format!("{what}: RUNBOOK_SEED={seed}"));
        Self(seed | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

fn rounds() -> u64 {
    variable("RUNBOOK_ROUNDS").unwrap_or(if full() { ROUNDS.1 } else { ROUNDS.0 })
}

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victims {
    Daemon,
    /// The daemon first, then whatever the run still has.
    All,
    /// What the run has, under a daemon that lives a little longer.
    AllBackwards,
    /// The shims alone, under a daemon that lives on: it has to find and end what they left.
    Shims,
    /// The commands alone.
    Commands,
}

impl Victims {
    const EACH: [Self; 5] = [Self::Daemon, Self::All, Self::AllBackwards, Self::Shims, Self::Commands];
}

/// What is known of a process, `cmdline` or `environ`; nothing of one that is gone.
fn read(pid: i32, what: &str) -> Vec<u8> {
    fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default()
}

/// Whether a process belongs to an attempt of a run.
fn bears_attempt(pid: i32, uid: &str) -> bool {
    let mark = format!("RUNBOOK_ATTEMPT_ID={uid}");
    read(pid, "environ").split(|&byte| byte == 0).any(|variable| variable.starts_with(mark.as_bytes()))
}

fn all_processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").expect("/proc");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// The shims of a run.
fn shims(uid: &str) -> BTreeSet<i32> {
    let place = format!("/attempts/{uid}/");
    all_processes().filter(|&pid| String::from_utf8_lossy(&read(pid, "cmdline")).contains(&place)).collect()
}

/// The process groups of the commands of a run.
fn commands(uid: &str) -> BTreeSet<i32> {
    let pids = all_processes().filter(|&pid| bears_attempt(pid, uid));
    pids.filter_map(|pid| getpgid(Pid::from_raw(pid)).ok()).map(Pid::as_raw_pid).collect()
}

/// Whatever a run still has: its shims, and what bears an attempt's id.
fn processes(uid: &str) -> BTreeSet<i32> {
    let mut found = shims(uid);
    found.extend(all_processes().filter(|&pid| bears_attempt(pid, uid)));
    found
}

fn kill_each(pids: &BTreeSet<i32>) {
    for pid in pids {
        // It may have gone just now.
        let _ = kill_process(Pid::from_raw(*pid).expect("a pid"), Signal::KILL);
    }
}

/// Kills the commands of a run, each with its group, and leaves their shims. Returns how many there were.
pub(super) fn kill_commands(uid: &str) -> usize {
    let groups = commands(uid);
    for group in &groups {
        // It may have gone just now.
        let _ = kill_process_group(Pid::from_raw(*group).expect("a group"), Signal::KILL);
    }
    groups.len()
}

/// Kills; a daemon that was killed is followed by a new one.
fn strike(project: &Project, daemon: Daemon, uid: &str, victims: Victims) -> Daemon {
    match victims {
        Victims::Shims => kill_each(&shims(uid)),
        Victims::Commands => {
            kill_commands(uid);
        }
        Victims::AllBackwards => kill_each(&processes(uid)),
        Victims::Daemon | Victims::All => {}
    }
    if matches!(victims, Victims::Shims | Victims::Commands) {
        return daemon;
    }
    daemon.kill();
    if victims != Victims::Daemon {
        wait_for("the end of the run's processes", || {
            let left = processes(uid);
            kill_each(&left);
            left.is_empty().then_some(())
        });
    }
    start(project)
}

/// What the kills did.
#[derive(Debug, Default)]
struct Tally {
    runs: u64,
    kills: u64,
    /// Attempts that had to be made once more.
    again: u32,
}

impl Tally {
    fn tell(&self, what: &str) {
        tell(&format!("{what}: {} runs, {} kills, {} attempts made once more", self.runs, self.kills, self.again));
    }
}

/// A run that is killed at random moments within a span, to its end.
fn killed_run(
    project: &Project,
    mut daemon: Daemon,
    (runbook, inputs): (&str, &[(&str, &str)]),
    span: Duration,
    (chance, tally): (&mut Chance, &mut Tally),
) -> (Daemon, Run, String) {
    let run = daemon.exec(runbook, inputs);
    let mut told = String::new();
    for _ in 0..=chance.below(KILLS) {
        let victims = Victims::EACH[chance.below(Victims::EACH.len() as u64) as usize];
        let moment = Duration::from_micros(chance.below(u64::try_from(span.as_micros()).expect("a span")));
        let begin = Instant::now();
        // The moment is the point here; who kills commands waits for one.
        wait_for("the moment of the kill", || {
            let hits = || victims == Victims::Daemon || !commands(&run.uid).is_empty();
            (begin.elapsed() >= moment && (hits() || daemon.get(&run.name).finished_at.is_some())).then_some(())
        });
        daemon = strike(project, daemon, &run.uid, victims);
        told.push_str(&format!("{victims:?} after {moment:?}; "));
        tally.kills += 1;
    }
    let run = daemon.wait_over(&run.name);
    tally.runs += 1;
    tally.again += run.steps.iter().map(|step| step.attempts.saturating_sub(1)).sum::<u32>();
    assert!(processes(&run.uid).is_empty(), "{told}: the run is over");
    (daemon, run, told)
}

/// How long a run takes that nobody disturbs.
fn calm(daemon: &Daemon, runbook: &str, inputs: &[(&str, &str)]) -> Duration {
    let begin = Instant::now();
    succeed(daemon, runbook, inputs);
    begin.elapsed()
}

#[test]
fn a_backup_that_is_killed_at_any_moment_ends_well() {
    let (mut chance, mut tally) = (Chance::new("backup"), Tally::default());
    let project = Project::with_library();
    fill(&project, "data", "new");
    let mut daemon = start(&project);
    let keep: &[_] = &[DATA, ("keep_last", "1000")];
    let span = calm(&daemon, "backup", keep);
    for round in 1..=rounds() {
        let (next, run, how) = killed_run(&project, daemon, ("backup", keep), span, (&mut chance, &mut tally));
        daemon = next;
        assert_eq!(run.status(), RunStatus::Succeeded, "{how}{}", told(&daemon, &run));
        let all = backups(&repository(&project));
        assert_eq!(all.len() as u64, round + 1, "{how}{all:?}");
        for name in all {
            assert!(repository(&project).join(&name).join("PROVED").is_file(), "{how}{name} has no proof");
        }
    }
    tally.tell("killed backups");
    fs::remove_dir_all(project.path("data")).expect("the folder is lost");
    succeed(&daemon, "dr-restore", &[DATA]);
    assert!(holds(&project, "data", "new"));
}

/// What a target looked like while a restore was going on.
#[derive(Debug, Default)]
struct Looks {
    old: usize,
    new: usize,
    /// Between the two renames.
    absent: usize,
    wrong: Vec<String>,
}

/// Looks at a folder again and again.
struct Watch {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Looks>,
}

impl Watch {
    fn start(project: &Project, folder: &str) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let (path, over) = (project.path(folder), Arc::clone(&end));
        let thread = std::thread::spawn(move || {
            let mut looks = Looks::default();
            wait_for("the last look", || {
                look(&path, &mut looks);
                over.load(Ordering::Acquire).then_some(())
            });
            looks
        });
        Self { end, thread }
    }

    fn stop(self) -> Looks {
        self.end.store(true, Ordering::Release);
        self.thread.join().expect("the looks are well")
    }
}

/// Looks once. What the path names is held open meanwhile, so that a look never mixes two folders.
fn look(path: &Path, looks: &mut Looks) {
    let Ok(folder) = File::open(path) else {
        looks.absent += 1;
        return;
    };
    let found = tree::content(Path::new(&format!("/proc/self/fd/{}", folder.as_raw_fd())));
    // One that was moved away meanwhile may be removed by then.
    let held = folder.metadata().expect("a folder").ino();
    if fs::metadata(path).map(|now| now.ino()).ok() != Some(held) {
        return;
    }
    match found {
        Ok(files) => {
            let texts: BTreeSet<&[u8]> = files.values().map(Vec::as_slice).collect();
            match texts.into_iter().collect::<Vec<_>>()[..] {
                [b"old"] if files.len() == FILES + 1 => looks.old += 1,
                [b"new"] if files.len() == FILES + 1 => looks.new += 1,
                ref other => looks.wrong.push(format!("{} files of {other:?}", files.len())),
            }
        }
        Err(error) => looks.wrong.push(error.to_string()),
    }
}

#[test]
fn a_restore_that_is_killed_at_any_moment_is_never_half_done() {
    let (mut chance, mut tally) = (Chance::new("dr-restore"), Tally::default());
    let project = Project::with_library();
    let both: &[_] = &[("source", r#"["data","more"]"#)];
    let folders = ["data", "more"];
    folders.iter().for_each(|folder| fill(&project, folder, "new"));
    let mut daemon = start(&project);
    succeed(&daemon, "backup", both);
    let span = calm(&daemon, "dr-restore", both);
    for _ in 0..rounds() {
        for name in names(project.root()).iter().filter(|name| name.contains(".before-")) {
            fs::remove_dir_all(project.path(name)).expect("the former content");
        }
        folders.iter().for_each(|folder| fill(&project, folder, "old"));
        let watches = folders.map(|folder| Watch::start(&project, folder));
        let (next, run, how) = killed_run(&project, daemon, ("dr-restore", both), span, (&mut chance, &mut tally));
        daemon = next;
        let looks = watches.map(Watch::stop);
        assert_eq!(run.status(), RunStatus::Succeeded, "{how}{}", told(&daemon, &run));
        for (folder, looks) in folders.iter().zip(looks) {
            assert!(looks.wrong.is_empty() && looks.old > 0, "{how}{looks:?}");
            assert!(holds(&project, folder, "new"), "{how}{}", told(&daemon, &run));
            let kept = format!("{folder}.before-{}", run.uid);
            assert_eq!(beside(&project, folder), [kept.as_str()], "{how}");
            assert!(holds(&project, &kept, "old"), "{how}");
        }
    }
    tally.tell("killed restores");
}

#[test]
fn everything_is_killed_around_each_rename_of_a_restore() {
    let project = Project::with_library();
    let both: &[_] = &[("source", r#"["data","more"]"#), ("keep_previous", "false")];
    let folders = ["data", "more"];
    folders.iter().for_each(|folder| fill(&project, folder, "new"));
    let mut daemon = start(&project);
    succeed(&daemon, "backup", &both[..1]);
    // The first rename of a target moves it away, the second one brings the new one.
    let places = [
        ("* */data.before-*", Side::Before, ["old", "old"]),
        ("* */data.before-*", Side::After, ["", "old"]),
        ("*/data.new-* */data", Side::After, ["new", "old"]),
        ("* */more.before-*", Side::After, ["new", ""]),
        ("*/more.new-* */more", Side::After, ["new", "new"]),
    ];
    for (pattern, side, expected) in places {
        folders.iter().for_each(|folder| fill(&project, folder, "old"));
        let gate = Gate::new(&project, "mv", pattern, side);
        let run = daemon.exec("dr-restore", both);
        gate.wait();
        for (folder, text) in folders.iter().zip(expected) {
            let there = project.path(folder).exists();
            assert!(there != text.is_empty() && (!there || holds(&project, folder, text)), "{folder} at {pattern}");
        }
        daemon = strike(&project, daemon, &run.uid, Victims::All);
        let run = daemon.wait_over(&run.name);
        assert_succeeded(&daemon, &run);
        for folder in folders {
            assert!(holds(&project, folder, "new"), "{pattern} {side:?}: {}", told(&daemon, &run));
            assert_eq!(beside(&project, folder), Vec::<String>::new(), "{pattern} {side:?}");
        }
    }
    tell(&format!("killed around {} places of an exchange", places.len()));
}
