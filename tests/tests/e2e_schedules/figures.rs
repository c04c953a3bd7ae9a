//! What schedules cost: a start with very many of them, slots that are due together, and how late one starts. The bounds are
//! those of a build for release on a machine that does nothing else; without optimization there are fewer, and more time.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use runbook_proto::v1::{GetInfoRequest, ListSchedulesRequest, ListSchedulesResponse, Schedule, ScheduleState};
use runbook_tests::e2e::server::{Cpu, rss_kib};
use runbook_tests::e2e::{Daemon, PATIENCE, Project, wait_for};

use super::{Clock, DAY, HOUR, scheduled, seconds};

/// 2027-01-15T08:00:00Z.
const MORNING: i64 = 1_800_000_000;
const RELEASE: bool = !cfg!(debug_assertions);
/// How often it is looked at while many things are on: looking costs, too.
const LOOK: Duration = Duration::from_millis(200);

/// Many runbooks with many schedules each. All are due at `minute` and `hour` where these are told, otherwise each at its own
/// time of the day.
fn many(runbooks: usize, each: usize, at: Option<&str>) -> Project {
    let project = Project::new();
    for book in 0..runbooks {
        let mut text = "schedules:\n".to_owned();
        for schedule in 0..each {
            let number = book * each + schedule;
            let own = format!("{} {} * * *", number % 60, number / 60 % 24);
            writeln!(text, "  s{schedule}: {{cron: '{}', overlap: allow}}", at.unwrap_or(&own)).unwrap();
        }
        text += "steps: {a: {effect: read, argv: ['true'], timeout: 1m}}\n";
        project.runbook(&format!("b{book}"), &text);
    }
    project
}

/// All schedules, page by page.
fn all(daemon: &Daemon) -> Vec<Schedule> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListSchedulesRequest { page_size: 1_000, page_token, ..Default::default() };
        let ListSchedulesResponse { schedules, next_page_token, .. } =
            daemon.schedules(|mut client| async move { client.list_schedules(request).await }).unwrap();
        found.extend(schedules);
        if next_page_token.is_empty() {
            return found;
        }
        page_token = next_page_token;
    }
}

/// Whether the last of all schedules is fired: what was read of the folder has reached the machine, all in one.
fn is_planned(daemon: &Daemon, last: &str) -> bool {
    let request = runbook_proto::v1::GetScheduleRequest { name: last.to_owned() };
    let told = daemon.schedules(|mut client| async move { client.get_schedule(request).await });
    told.is_ok_and(|told| {
        let schedule = told.schedule.unwrap_or_default();
        schedule.state() == ScheduleState::Active && schedule.expected_by.is_some()
    })
}

fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

fn pause(pause: Duration) {
    let begun = Instant::now();
    wait_for("time to pass", || (begun.elapsed() >= pause).then_some(()));
}

#[test]
fn very_many_schedules_start_soon_and_cost_little() {
    let (runbooks, each, soon, memory_kib, cpu) = match RELEASE {
        true => (1_000, 100, Duration::from_secs(2), 120 << 10, 0.001),
        false => (40, 10, PATIENCE, 240 << 10, 0.02),
    };
    let project = many(runbooks, each, None);
    let clock = Clock::of(&project);
    // No slot falls due while it is looked at: none is at this second.
    clock.set(MORNING * 1_000_000 + 5_000_000);
    let last = format!("b{}/s{}", runbooks - 1, each - 1);
    let start = || {
        let begun = Instant::now();
        let daemon = clock.start(&project);
        wait_for("the plan", || is_planned(&daemon, &last).then_some(()));
        (daemon, begun.elapsed())
    };
    let (daemon, first) = start();
    let planned = all(&daemon);
    assert_eq!(planned.len(), runbooks * each);
    assert!(planned.iter().all(|schedule| schedule.state() == ScheduleState::Active && schedule.next.is_some()));
    daemon.kill();
    let (daemon, again) = start();
    println!("{} schedules in {runbooks} files: ready in {first:?} the first time, in {again:?} then", runbooks * each);
    pause(Duration::from_secs(4));
    let (begin, before) = (uptime(), Cpu::of(daemon.pid()));
    pause(Duration::from_secs(12));
    let part = Cpu::of(daemon.pid()).since(&before).as_secs_f64() / (uptime() - begin);
    let rss = rss_kib(daemon.pid());
    println!("idle: {:.4} % of a processor, {rss} KiB resident", part * 100.0);
    assert!(again < soon, "ready in {again:?}");
    assert!(rss < memory_kib, "{rss} KiB");
    assert!(part < cpu, "{:.4} % of a processor", part * 100.0);
}

#[test]
fn very_many_slots_of_one_second_start_or_wait_soon() {
    let (runbooks, each, soon) = if RELEASE { (100, 100, 5_000_000) } else { (5, 20, 60_000_000) };
    let project = many(runbooks, each, Some("0 9 * * *"));
    let clock = Clock::of(&project);
    let slot = MORNING + HOUR;
    assert_eq!(slot % DAY, 9 * HOUR);
    clock.set_before(slot, 600.0);
    let daemon = clock.start(&project);
    let last = format!("b{}/s{}", runbooks - 1, each - 1);
    wait_for("the plan", || is_planned(&daemon, &last).then_some(()));
    clock.set_before(slot, 1.0);
    let mut live = 0;
    wait_for("a run of each", || {
        pause(LOOK);
        let info = daemon.system(|mut client| async move { client.get_info(GetInfoRequest {}).await }).unwrap();
        assert!(info.live_attempts <= info.places, "{} attempts, at most {}", info.live_attempts, info.places);
        live = live.max(info.live_attempts);
        all(&daemon).iter().all(|schedule| schedule.last_run_number > 0).then_some(())
    });
    let mut runs = scheduled(&daemon);
    assert_eq!(runs.len(), runbooks * each);
    assert_eq!(runs.iter().map(|run| &run.schedule).collect::<BTreeSet<_>>().len(), runs.len());
    assert!(runs.iter().all(|run| seconds(&run.slot) == slot));
    let late = |run: &runbook_proto::v1::Run| {
        let created = run.created_at.unwrap();
        (created.seconds - slot) * 1_000_000 + i64::from(created.nanos) / 1_000
    };
    runs.sort_by_key(late);
    let late = runs.last().map_or(0, late);
    println!("{} slots of one second: the last started or queued after {late} µs, {live} attempts at most", runs.len());
    assert!(late < soon, "{late} µs");
}
