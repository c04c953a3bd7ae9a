//! What schedules cost: a start with very many of them, slots that are due together, and how late one starts. The bounds are
//! those of a build for release on a machine that does nothing else; without optimization there are fewer, and more time. A
//! build for release knows no clock but the machine's, so that its slots are those of the next minute.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use prost_types::Timestamp;
use runbook_proto::v1::{
    GetInfoRequest, LedgerKind, ListSchedulesRequest, ListSchedulesResponse, RunStatus, Schedule, ScheduleState,
};
use runbook_tests::e2e::server::{Cpu, rss_kib};
use runbook_tests::e2e::{Daemon, PATIENCE, Project, wait_for};

use super::{Clock, HOUR, MINUTE, scheduled, seconds, wait_accounted};

/// 2027-01-15T08:00:00Z.
const MORNING: i64 = 1_800_000_000;
const RELEASE: bool = !cfg!(debug_assertions);
/// How often it is looked at while many things are on: looking costs, too.
const LOOK: Duration = Duration::from_millis(200);

/// Many runbooks with many schedules each, due daily: all at `slot`, or each at a time of its own, at least an hour away from it.
fn many(project: &Project, runbooks: usize, each: usize, slot: i64, together: bool) {
    let minute = |at: i64| format!("{} {} * * *", at / MINUTE % 60, at / HOUR % 24);
    for book in 0..runbooks {
        let mut text = "schedules:\n".to_owned();
        for schedule in 0..each {
            let own = HOUR + (book * each + schedule) as i64 * MINUTE % (22 * HOUR);
            let at = minute(if together { slot } else { slot + own });
            writeln!(text, "  s{schedule}: {{cron: '{at}', overlap: allow}}").unwrap();
        }
        text += "steps: {a: {effect: read, argv: ['true'], timeout: 1m}}\n";
        project.runbook(&format!("b{book}"), &text);
    }
}

/// What the machine's clock shows, in seconds.
fn real() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A minute that is to come, with time for a start before it.
fn ahead(clock: &Clock) -> i64 {
    if RELEASE {
        return (real() + 20) / MINUTE * MINUTE + MINUTE;
    }
    clock.set_before(MORNING, 600.0);
    MORNING
}

/// Comes shortly before it.
fn come_to(clock: &Clock, slot: i64) {
    match RELEASE {
        true => pause(Duration::from_secs((slot - real()).max(1) as u64 - 1)),
        false => clock.set_before(slot, 1.0),
    }
}

/// How long after a slot something was, in microseconds.
fn late(slot: i64, at: &Timestamp) -> i64 {
    (at.seconds - slot) * 1_000_000 + i64::from(at.nanos) / 1_000
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

/// Lets time pass: at most a minute and a half.
fn pause(pause: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < pause {
        let rest = pause.saturating_sub(begun.elapsed()).min(Duration::from_secs(30));
        let part = Instant::now();
        wait_for("time to pass", || (part.elapsed() >= rest).then_some(()));
    }
}

#[test]
fn very_many_schedules_start_soon_and_cost_little() {
    let (runbooks, each, soon, memory_kib, cpu) = match RELEASE {
        true => (1_000, 100, Duration::from_secs(2), 120_000_000 / 1_024, 0.001),
        false => (40, 10, PATIENCE, 240 << 10, 0.02),
    };
    let project = Project::new();
    let clock = Clock::of(&project);
    // No slot falls due while it is looked at.
    many(&project, runbooks, each, ahead(&clock), false);
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
    // Longer than any of its own periods below a minute.
    pause(Duration::from_secs(32));
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
    let project = Project::new();
    let clock = Clock::of(&project);
    let slot = ahead(&clock);
    many(&project, runbooks, each, slot, true);
    let daemon = clock.start(&project);
    let last = format!("b{}/s{}", runbooks - 1, each - 1);
    wait_for("the plan", || is_planned(&daemon, &last).then_some(()));
    come_to(&clock, slot);
    let mut live = 0;
    wait_for("a run of each", || {
        pause(LOOK);
        let info = daemon.system(|mut client| async move { client.get_info(GetInfoRequest {}).await }).unwrap();
        assert!(info.live_attempts <= info.places, "{} attempts, at most {}", info.live_attempts, info.places);
        live = live.max(info.live_attempts);
        all(&daemon).iter().all(|schedule| schedule.last_run_number > 0).then_some(())
    });
    let runs = scheduled(&daemon);
    assert_eq!(runs.len(), runbooks * each);
    assert_eq!(runs.iter().map(|run| &run.schedule).collect::<BTreeSet<_>>().len(), runs.len());
    assert!(runs.iter().all(|run| seconds(&run.slot) == slot));
    let late = runs.iter().filter_map(|run| run.created_at.as_ref()).map(|created| late(slot, created)).max();
    let late = late.unwrap_or(i64::MAX);
    println!("{} slots of one second: the last started or queued after {late} µs, {live} attempts at most", runs.len());
    assert!(late < soon, "{late} µs");
}

#[test]
fn a_slot_starts_on_time_and_is_in_the_ledger() {
    let project = Project::new();
    let clock = Clock::of(&project);
    let slot = ahead(&clock);
    project.runbook(
        "tick",
        &format!(
            "schedules: {{daily: {{cron: '{} {} * * *', overlap: skip}}}}\nsteps: {{a: {{effect: read, run: 'echo $RUNBOOK_RUN >> log'}}}}\n",
            slot / MINUTE % 60,
            slot / HOUR % 24
        ),
    );
    let daemon = clock.start(&project);
    wait_for("the plan", || is_planned(&daemon, "tick/daily").then_some(()));
    come_to(&clock, slot);
    let ledger = wait_accounted(&daemon, "tick", slot);
    let kinds: Vec<LedgerKind> = ledger.iter().map(|entry| entry.kind()).collect();
    assert_eq!(kinds, [LedgerKind::Planned, LedgerKind::Ran], "{ledger:#?}");
    let run = daemon.wait_over(&ledger[1].run);
    assert_eq!((run.status(), run.schedule.as_str()), (RunStatus::Succeeded, "tick/daily"));
    assert_eq!((seconds(&run.slot), run.number), (slot, ledger[1].run_number));
    let late = late(slot, &run.created_at.unwrap());
    println!("the slot started {late} µs after its time");
    // Without optimization, where others work beside it, the bound says only that it is started.
    let bound = if RELEASE { 50_000 } else { 5_000_000 };
    assert!((0..bound).contains(&late), "{late} µs late");
    assert_eq!(project.lines("log").len(), 1);
}
