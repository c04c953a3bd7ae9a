//! What the benchmarks have in common: whether they are asked, the middle of what they measured, and the word about a bound.
//! Never knows what is measured.

use std::process::ExitCode;
use std::time::Duration;

/// Whether figures are wanted: cargo passes `--bench`, and a test run of all targets passes nothing.
pub fn is_asked() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The middle one.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Tells how many times as long as something the engine took, and the code that a benchmark ends with: 1 where that is more
/// than the bound.
#[allow(clippy::print_stdout, reason = "a benchmark tells its figures")]
pub fn judge(beside: &str, own: Duration, bare: Duration, bound: f64) -> ExitCode {
    let times = own.as_secs_f64() / bare.as_secs_f64();
    let kept = times <= bound;
    println!("    times {beside} {times:.2}, at most {bound:.2}: {}", if kept { "kept" } else { "MISSED" });
    ExitCode::from(u8::from(!kept))
}
