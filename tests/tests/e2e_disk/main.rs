//! The daemon and its disk: a full one, one that fills up, what is kept for how long, and how soon a large store
//! answers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod damage;
mod figures;
mod full;
mod retention;
mod store;
