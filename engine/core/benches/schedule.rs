//! How long the next slot takes, for common rules and for the worst: `cargo bench -p runbook-core --bench schedule`.
//!
//! Each figure is the median of many batches, from instants spread over ten years. The bounds are those that the page
//! of schedules names; the run fails where one is broken.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "it prints figures, and a panic is how it fails")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "it measures; the core that it measures does not"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use runbook_core::schedule::{Dst, Rule, Timetable, Zone};
use runbook_core::time::{Span, Timestamp};

/// Below this for common rules.
const COMMON: Duration = Duration::from_micros(2);
/// Below this for the worst legal rule.
const WORST: Duration = Duration::from_micros(200);

const BATCHES: i64 = 201;
const BATCH: i64 = 50;

fn main() {
    // 2026-01-01T00:00:00Z
    let begin = Timestamp(1_767_225_600_000_000);
    let mut broken = false;
    for (bound, rule, zone, dst) in [
        (COMMON, "0 2 * * *", "Europe/Amsterdam", Dst::Cron),
        (COMMON, "*/5 * * * *", "Europe/Amsterdam", Dst::Cron),
        (COMMON, "0 * * * *", "America/New_York", Dst::Cron),
        (COMMON, "30 6 * * mon-fri", "Australia/Lord_Howe", Dst::Cron),
        (COMMON, "0 4 1 * *", "UTC", Dst::Cron),
        (COMMON, "0 0 13 * 5", "America/Santiago", Dst::Cron),
        (COMMON, "0 3 1 1 *", "Asia/Kolkata", Dst::Cron),
        // A Sunday of February that exists every 28 years, and not at all over 2100.
        (WORST, "0 0 29 2 */7", "Europe/Amsterdam", Dst::Cron),
        // Never.
        (WORST, "0 0 31 2 *", "Europe/Amsterdam", Dst::Cron),
        // Every Sunday of it lies in the gap, so it is looked for until no year is left that could be different.
        (WORST, "* 2 8-14 3 */7", "America/New_York", Dst::Cron),
        (WORST, "0-59 2 8-14 3 */7", "America/New_York", Dst::Skip),
    ] {
        let timetable = Timetable::new(rule.parse::<Rule>().unwrap(), Zone::named(zone).unwrap(), dst);
        let mut times: Vec<Duration> = (0..BATCHES)
            .map(|batch| {
                let start = Instant::now();
                for step in 0..BATCH {
                    let spread = (batch * BATCH + step) * 31_415;
                    black_box(timetable.next_after(black_box(begin + Span::seconds(spread))));
                }
                start.elapsed() / BATCH as u32
            })
            .collect();
        times.sort();
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        let verdict = if median < bound { "" } else { "  TOO SLOW" };
        broken |= median >= bound;
        println!("{rule:<18} {zone:<20} median {median:>9.0?}  slowest batch {most:>9.0?}  bound {bound:?}{verdict}");
    }
    assert!(!broken, "a bound is broken");
}
