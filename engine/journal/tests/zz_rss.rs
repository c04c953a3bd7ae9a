#![allow(missing_docs)]
mod common;
use common::*;
use runbook_journal::*;
fn rss() -> String { std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l| l.starts_with("VmRSS") || l.starts_with("RssAnon")).collect() }
#[test]
fn zz() {
    let p = std::path::PathBuf::from(std::env::var("ZZ").unwrap());
    println!("start {}", rss());
    let t = std::time::Instant::now();
    let (mut j, r) = open(&p, Options::default()).unwrap();
    println!("open {:?} {r:?} {}", t.elapsed(), rss());
    if r.created {
        let mut b = Book::default();
        for k in 0..2600 { for f in [created(k+1, "a", ""), ready(0), starting(0, 1), ended(0, 1, 0), starting(1, 1), ended(1,1,0), starting(2, 1), finished(runbook_core::run::Outcome::Succeeded)] { b.append(&mut j, vec![(uid(k + 1), f)]); if j.view().tail().is_long() { j.archive(2000).unwrap(); } } }
        println!("filled {}", rss());
    }
    let t = std::time::Instant::now();
    let rows = j.view().rows_newest_first(None, 100_000, 100_000, &mut |_| true).unwrap().rows.len();
    println!("{rows} rows {:?} {}", t.elapsed(), rss());
    
    println!("archived {}", rss());
    std::thread::sleep(std::time::Duration::from_secs(11));
    println!("later {}", rss());
    j.close().unwrap();
}
