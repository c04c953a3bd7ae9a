//! Tests of the disk format, which is nobody's business outside this crate.

mod facts;
mod golden;
mod round_trip;
mod unknown;
