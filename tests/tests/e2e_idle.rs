//! What the daemon costs when nothing is to be done. Alone in its program: beside other tests on the same processors each of its
//! wakes costs twice as much.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use runbook_tests::e2e::server::{Cpu, Server, rss_kib};
use runbook_tests::e2e::{Project, wait_for};

/// How long it is looked at, in seconds: longer than any of its own periods below a minute.
const SECONDS: f64 = 32.0;
/// After its last work it writes its mark and looks around once: that is not idleness yet, in seconds.
const SETTLED: f64 = 4.0;
/// The processor time of an idle daemon, as a part of one processor.
const CPU: f64 = 0.0005;
/// Its resident memory after a start, in KiB; more where the compiler left everything in, half of it is pages of the
/// executable and stacks of unoptimised code.
const RSS_KIB: u64 = if cfg!(debug_assertions) { 96 << 10 } else { 40 << 10 };

fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn wait_until(moment: f64) {
    wait_for("time to pass", || (uptime() >= moment).then_some(()));
}

#[test]
fn an_idle_daemon_costs_next_to_nothing() {
    let project = Project::with("a", "steps: {a: {effect: read, argv: [\"true\"]}}\n");
    let (server, client) = Server::start(&project);
    let run = client.exec("a");
    client.over(&run.name);
    wait_until(uptime() + SETTLED);
    let (begin, before) = (uptime(), Cpu::of(server.pid()));
    wait_until(begin + SECONDS);
    let (passed, used) = (uptime() - begin, Cpu::of(server.pid()).since(&before));
    let part = used.as_secs_f64() / passed;
    let rss = rss_kib(server.pid());
    println!("idle: {:.4} % of a processor over {passed:.1} s, {} KiB resident", part * 100.0, rss);
    assert!(part < CPU, "{:.4} % of a processor", part * 100.0);
    assert!(rss < RSS_KIB, "{rss} KiB");
}
