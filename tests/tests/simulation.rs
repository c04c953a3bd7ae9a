//! The core in deterministic simulation.

use runbook_tests::sim::{Limits, simulate};

#[test]
fn first() {
    for seed in 0..200 {
        if let Err(failure) = simulate(seed, Limits::NONE, None) {
            panic!("{failure}");
        }
    }
}
