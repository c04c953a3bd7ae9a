//! How fast `http` steps are, beside a bare client measured in the same run: both make the same requests to a server on this
//! machine that answers after 20 ms, so many at once. Medians of five; every event of the engine durable. Ends with 1 where
//! the bound is missed.
//!
//! `cargo bench --workspace --bench http`

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use runbook_tests::bench::{is_asked, judge, median};
use runbook_tests::e2e::{Daemon, Project, Reply, Web};

const REQUESTS: usize = 1_000;
const AT_ONCE: usize = 64;
const ANSWER: Duration = Duration::from_millis(20);
const ROUNDS: usize = 5;
/// What the engine may take, in times of the bare client.
const BOUND: f64 = 1.3;

/// The requests by the client that the engine uses, and nothing else.
fn bare(url: &str) -> Duration {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let client = reqwest::Client::new();
    let begin = Instant::now();
    runtime.block_on(async {
        let next = Arc::new(AtomicUsize::new(0));
        let workers = (0..AT_ONCE).map(|_| {
            let (next, client, url) = (Arc::clone(&next), client.clone(), url.to_owned());
            tokio::spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < REQUESTS {
                    let answer = client.get(&url).send().await.expect("an answer");
                    assert_eq!(answer.text().await.expect("a body"), "ok");
                }
            })
        });
        for worker in workers.collect::<Vec<_>>() {
            worker.await.expect("a worker");
        }
    });
    begin.elapsed()
}

fn main() -> std::process::ExitCode {
    if !is_asked() {
        return std::process::ExitCode::SUCCESS;
    }
    // One that is there already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let web = Web::serve(|_, _| Reply::After(ANSWER, Box::new(Reply::text(200, "ok"))));
    let url = format!("{}/", web.url());
    let mut body = format!("max_parallel: {AT_ONCE}\nsteps:\n");
    for step in 0..REQUESTS {
        writeln!(body, "  s{step}: {{uses: http, with: {{url: \"{url}\"}}}}").unwrap();
    }
    let project = Project::with("r", &body);
    let daemon = Daemon::start(&project);
    let (mut own, mut bares) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bares.push(bare(&url));
        let begin = Instant::now();
        let run = daemon.exec("r", &[]);
        daemon.watch_over(&run.name);
        own.push(begin.elapsed());
    }
    let (own, bare) = (median(own), median(bares));
    println!("{REQUESTS} requests, {AT_ONCE} at once: engine {own:?}, bare client {bare:?}");
    judge("the bare client", own, bare, BOUND)
}
