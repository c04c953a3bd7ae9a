#![allow(missing_docs)]
mod common;
use common::*;
use runbook_journal::*;
use std::time::Instant;
fn cpu() -> f64 {
    let t = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = t.rsplit(") ").next().unwrap().split(' ').collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
fn rss() -> String { std::fs::read_to_string("/proc/self/status").unwrap().lines().find(|l| l.starts_with("VmRSS")).unwrap().to_owned() }
#[test]
fn zz() {
    let dir = tempfile::tempdir_in("/work/main/target").unwrap();
    let p = dir.path().join("data");
    let (mut j, _) = open(&p, Options::default()).unwrap();
    println!("open {}", rss());
    let mut b = Book::default();
    b.append(&mut j, vec![(uid(1), created(1, "a", ""))]);
    let (t, c) = (Instant::now(), cpu());
    for i in 0..2000 { b.append(&mut j, vec![(uid(1), ended(i, 1, 0)), (uid(1), starting(i + 1, 1))]); }
    println!("lone: wall {:?} cpu {:.3} ms per commit {}", t.elapsed() / 2000, (cpu() - c) * 1000.0 / 2000.0, rss());
    let (t, c) = (Instant::now(), cpu());
    for i in 0..100 { b.append(&mut j, (0..1000).map(|k| (uid(1), ended(i * 1000 + k, 1, 0))).collect()); }
    println!("batch 1000: wall {:?} cpu {:.3} ms per commit {}", t.elapsed() / 100, (cpu() - c) * 1000.0 / 100.0, rss());
    let (t, c) = (Instant::now(), cpu());
    for k in 0..2500 { for f in [created(k+2, "a", ""), ready(0), starting(0, 1), ended(0, 1, 0), starting(1, 1), ended(1,1,0), starting(2, 1), finished(runbook_core::run::Outcome::Succeeded)] { b.append(&mut j, vec![(uid(k + 2), f)]); } }
    println!("2500 runs of 8 commits: wall {:?} per commit, cpu {:.3} ms {}", t.elapsed() / 20000, (cpu() - c) * 1000.0 / 20000.0, rss());
    let view = j.view();
    let t = Instant::now();
    let n = { let mut n = 0; let mut after = 0; loop { let e = view.events(uid(1), after, 1000).unwrap(); if e.is_empty() { break n; } n += e.len(); after = e.last().unwrap().number; } };
    println!("read {n} events from the tail: {:?}", t.elapsed());
    println!("tail {:?}", view.tail());
    while j.view().tail().commits > 5000 {
        let (t, c) = (Instant::now(), cpu());
        let a = j.archive(2000).unwrap();
        println!("archive {a:?}: {:?} cpu {:.0} ms", t.elapsed(), (cpu() - c) * 1000.0);
    }
    let t = Instant::now();
    let n = { let mut n = 0; let mut after = 0; loop { let e = view.events(uid(1), after, 1000).unwrap(); if e.is_empty() { break n; } n += e.len(); after = e.last().unwrap().number; } };
    println!("read {n} events from the file: {:?}", t.elapsed());
    let t = Instant::now();
    let r = view.rows_newest_first(None, 100000, 100000, &mut |_| true).unwrap();
    println!("{} rows: {:?}", r.rows.len(), t.elapsed());
    let t = Instant::now();
    let pr = j.prune(&Retention { max_age: None, max_runs: Some(500) }, runbook_core::time::Timestamp(i64::MAX)).unwrap();
    println!("prune {}: {:?}", pr.runs.len(), t.elapsed());
    drop(view);
    j.close().unwrap();
    println!("disk {:?}", std::fs::read_dir(p.join("journal")).unwrap().map(|e| { let e = e.unwrap(); (e.file_name(), e.metadata().unwrap().len() >> 20) }).collect::<Vec<_>>());
    let t = Instant::now();
    let (j, r) = open(&p, Options::default()).unwrap();
    println!("open {:?} {r:?} {}", t.elapsed(), rss());
    let t = Instant::now();
    let mut n = 0;
    j.view().each_unfinished(&mut |_, e| n += e.unwrap().len()).unwrap();
    println!("each_unfinished {n} events {:?}", t.elapsed());
}
