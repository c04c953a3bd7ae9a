//! How fast the engine is, beside references measured in the same run: `make -j2` on the same steps, and a floor, a C loop
//! that spawns a helper that spawns /bin/true, with one fdatasync each. Medians of five; every event durable. Each figure
//! has a bound; one that is missed is told, and makes the program end with 1.
//!
//! `cargo bench --workspace --bench engine [-- chain|dag|fanout|latency]`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use runbook_tests::bench::{is_asked, median};
use runbook_tests::e2e::{Daemon, Project};

const ROUNDS: usize = 5;
/// The floor costs the same for every step: so many are enough to know it.
const FLOOR_STEPS: usize = 1_000;

/// What a graph may cost.
#[derive(Default)]
struct Bounds {
    /// Times the time of make.
    make: Option<f64>,
    /// Times the time of the floor.
    floor: Option<f64>,
    /// Processor time of the daemon and its children per step, in milliseconds; or, where this machine takes longer than
    /// half of it to start the two processes of the floor, twice what those take.
    cpu: Option<f64>,
    /// The daemon's peak memory, in MiB.
    rss: Option<f64>,
}

const CHAIN: Bounds = Bounds { make: Some(4.0), floor: Some(1.6), cpu: None, rss: None };
const DAG: Bounds = Bounds { make: Some(3.0), floor: None, cpu: Some(1.6), rss: None };
const FAN_OUT: Bounds = Bounds { make: None, floor: None, cpu: None, rss: Some(150.0) };
/// A step of the fan-out costs at most so many times one of the DAG.
const SAME: f64 = 1.2;
/// From the call of StartRun to the first step's process, in milliseconds.
const FIRST_STEP: f64 = 10.0;

/// What was measured against its bounds.
#[derive(Default)]
struct Verdicts {
    missed: usize,
}

impl Verdicts {
    fn judge(&mut self, what: &str, value: f64, bound: f64) {
        let kept = value <= bound;
        self.missed += usize::from(!kept);
        println!("    {what} {value:.2}, at most {bound:.2}: {}", if kept { "kept" } else { "MISSED" });
    }
}

const FLOOR: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
extern char **environ;
static void run(char *const argv[]) {
    pid_t pid; int status;
    if (posix_spawn(&pid, argv[0], NULL, NULL, argv, environ)) exit(1);
    if (waitpid(pid, &status, 0) != pid || status) exit(1);
}
int main(int argc, char **argv) {
    char *leaf[] = {"/bin/true", NULL};
    if (argc == 2) { run(leaf); return 0; }
    char *helper[] = {argv[0], "helper", NULL};
    int fd = open(argv[2], O_CREAT | O_WRONLY | O_APPEND, 0600);
    for (int i = 0; i < atoi(argv[1]); i++) {
        run(helper);
        char block[300]; memset(block, 'x', sizeof block);
        if (write(fd, block, sizeof block) < 0 || fdatasync(fd)) return 1;
    }
    return 0;
}
"#;

/// A graph: the needs of each step.
struct Graph {
    name: &'static str,
    needs: Vec<Vec<usize>>,
}

fn chain(length: usize) -> Graph {
    let needs = (0..length).map(|step| if step == 0 { vec![] } else { vec![step - 1] }).collect();
    Graph { name: "chain", needs }
}

/// 20 layers, three needs each in the layer before, by a fixed generator.
fn layered(steps: usize) -> Graph {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |bound: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % bound as u64) as usize
    };
    let width = steps / 20;
    let needs = (0..steps)
        .map(|step| {
            let layer = step / width;
            if layer == 0 {
                return vec![];
            }
            let mut needs: Vec<usize> = Vec::new();
            while needs.len() < 3 {
                let need = (layer - 1) * width + next(width);
                if !needs.contains(&need) {
                    needs.push(need);
                }
            }
            needs
        })
        .collect();
    Graph { name: "dag", needs }
}

fn fan_out(steps: usize) -> Graph {
    Graph { name: "fanout", needs: vec![vec![]; steps] }
}

impl Graph {
    fn yaml(&self) -> String {
        let mut text = "steps:\n".to_owned();
        for (step, needs) in self.needs.iter().enumerate() {
            let needs: Vec<String> = needs.iter().map(|need| format!("s{need}")).collect();
            writeln!(text, "  s{step}: {{needs: [{}], effect: read, argv: [/bin/true]}}", needs.join(", ")).unwrap();
        }
        text
    }

    fn makefile(&self) -> String {
        let mut text = ".PHONY: all".to_owned();
        for step in 0..self.needs.len() {
            write!(text, " s{step}").unwrap();
        }
        text.push_str("\nall:");
        for step in 0..self.needs.len() {
            write!(text, " s{step}").unwrap();
        }
        text.push('\n');
        for (step, needs) in self.needs.iter().enumerate() {
            let needs: Vec<String> = needs.iter().map(|need| format!("s{need}")).collect();
            writeln!(text, "s{step}: {}\n\t@/bin/true", needs.join(" ")).unwrap();
        }
        text
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("it starts");
    assert!(status.success(), "{command:?}");
}

/// User and system time of a process and the children it has reaped.
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let fields: Vec<&str> = stat.rsplit_once(") ").expect("a name").1.split(' ').collect();
    let ticks: u64 = fields[11..15].iter().map(|field| field.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}

fn peak_rss_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("VmHWM");
    line.split_whitespace().nth(1).expect("a number").parse::<f64>().expect("a number") / 1024.0
}

struct Measured {
    engine: Duration,
    make: Duration,
    floor: Duration,
    cpu_per_step: f64,
    floor_cpu_per_step: f64,
    rss: f64,
}

fn measure(graph: &Graph, rounds: usize, folder: &Path) -> Measured {
    let steps = graph.needs.len();
    let makefile = folder.join(format!("{}.mk", graph.name));
    std::fs::write(&makefile, graph.makefile()).expect("a makefile");
    let floor = folder.join("floor");
    if !floor.exists() {
        std::fs::write(folder.join("floor.c"), FLOOR).expect("a source");
        run(Command::new("cc").arg("-O2").arg("-o").arg(&floor).arg(folder.join("floor.c")));
    }
    let project = Project::with(graph.name, &graph.yaml());
    let daemon = Daemon::start(&project);
    let (mut engine, mut make, mut floors, mut cpus, mut floor_cpus) = (vec![], vec![], vec![], vec![], vec![]);
    let own = std::process::id();
    for _ in 0..rounds {
        let before = cpu(daemon.pid());
        engine.push(timed(|| {
            let started = daemon.exec(graph.name, &[]);
            daemon.watch_over(&started.name);
        }));
        cpus.push((cpu(daemon.pid()) - before).as_secs_f64() * 1e3 / steps as f64);
        make.push(timed(|| run(Command::new("make").args(["-j2", "-f"]).arg(&makefile))));
        let before = cpu(own);
        let took = timed(|| run(Command::new(&floor).arg(FLOOR_STEPS.to_string()).arg(folder.join("floor.log"))));
        floor_cpus.push((cpu(own) - before).as_secs_f64() * 1e3 / FLOOR_STEPS as f64);
        floors.push(took.mul_f64(steps as f64 / FLOOR_STEPS as f64));
    }
    cpus.sort_by(f64::total_cmp);
    floor_cpus.sort_by(f64::total_cmp);
    Measured {
        engine: median(engine),
        make: median(make),
        floor: median(floors),
        cpu_per_step: cpus[cpus.len() / 2],
        floor_cpu_per_step: floor_cpus[floor_cpus.len() / 2],
        rss: peak_rss_mib(daemon.pid()),
    }
}

fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("unknown").to_owned()
}

fn per_step(time: Duration, steps: usize) -> f64 {
    time.as_secs_f64() * 1e3 / steps as f64
}

fn report(name: &str, graph: &Graph, bounds: &Bounds, folder: &Path, verdicts: &mut Verdicts) -> f64 {
    let steps = graph.needs.len();
    let m = measure(graph, ROUNDS, folder);
    let own = per_step(m.engine, steps);
    let (of_make, of_floor) =
        (m.engine.as_secs_f64() / m.make.as_secs_f64(), m.engine.as_secs_f64() / m.floor.as_secs_f64());
    println!(
        "{name:<14} {own:>8.3} ms/step   make {:>7.3} (x{of_make:.2})   floor {:>7.3} (x{of_floor:.2})   \
         cpu {:>6.3} ms/step, floor {:>6.3}   daemon peak {:.0} MiB   load {}",
        per_step(m.make, steps),
        per_step(m.floor, steps),
        m.cpu_per_step,
        m.floor_cpu_per_step,
        m.rss,
        load(),
    );
    for (what, value, bound) in [
        ("times make", of_make, bounds.make),
        ("times the floor", of_floor, bounds.floor),
        ("ms of processor time per step", m.cpu_per_step, bounds.cpu.map(|ms| ms.max(2.0 * m.floor_cpu_per_step))),
        ("MiB", m.rss, bounds.rss),
    ] {
        if let Some(bound) = bound {
            verdicts.judge(what, value, bound);
        }
    }
    own
}

/// From the call of StartRun to the start of the first step's process.
fn latency(verdicts: &mut Verdicts) {
    let project = Project::with("one", "steps:\n  a: {effect: read, argv: [/bin/true]}\n");
    let daemon = Daemon::start(&project);
    let mut times = Vec::new();
    for _ in 0..30 {
        let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
        let started = daemon.exec("one", &[]);
        daemon.watch_over(&started.name);
        let begun = daemon.first_start_micros(&started.name);
        times.push(Duration::from_micros(begun.saturating_sub(before.as_micros() as u64)));
    }
    let first = median(times).as_secs_f64() * 1e3;
    println!("first step     {first:>8.3} ms after the call of StartRun (median of 30)   load {}", load());
    verdicts.judge("ms", first, FIRST_STEP);
}

fn main() -> std::process::ExitCode {
    if !is_asked() {
        return std::process::ExitCode::SUCCESS;
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|w| w == name);
    let mut verdicts = Verdicts::default();
    println!("load before {}", load());
    let folder = tempfile::tempdir().expect("a folder");
    if is_wanted("chain") {
        report("chain 100", &chain(100), &CHAIN, folder.path(), &mut verdicts);
    }
    let dag = is_wanted("dag").then(|| report("dag 1000", &layered(1_000), &DAG, folder.path(), &mut verdicts));
    if is_wanted("fanout") {
        let fan_out = report("fanout 10000", &fan_out(10_000), &FAN_OUT, folder.path(), &mut verdicts);
        if let Some(dag) = dag {
            verdicts.judge("times a step of the dag", fan_out / dag, SAME);
        }
    }
    if is_wanted("latency") {
        latency(&mut verdicts);
    }
    println!("{} bounds missed", verdicts.missed);
    std::process::ExitCode::from(u8::from(verdicts.missed > 0))
}
