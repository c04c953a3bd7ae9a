#![allow(missing_docs)]
fn rss() -> String { std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l| l.starts_with("VmRSS") || l.starts_with("RssAnon")).collect() }
#[test]
fn zz() {
    let seg: usize = std::env::var("SEG").unwrap().parse().unwrap();
    let cache: u64 = std::env::var("CACHE").unwrap().parse().unwrap();
    println!("start {}", rss());
    let p = std::path::PathBuf::from("/tmp/zzsled");
    let db = sled::Config::new().path(&p).segment_size(seg).cache_capacity(cache).flush_every_ms(Some(10000)).open().unwrap();
    println!("open {}", rss());
    db.insert(b"a", b"b").unwrap(); db.flush().unwrap();
    println!("insert {}", rss());
    for l in std::fs::read_to_string("/proc/self/smaps").unwrap().split("VmFlags").filter(|b| b.contains("Anonymous:")) {
        let rss: u64 = l.lines().find(|x| x.starts_with("Anonymous:")).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
        if rss > 500 { println!("{} anon {rss} kB", l.lines().find(|x| x.contains('-')).unwrap()); }
    }
}
