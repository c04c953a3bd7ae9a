//! Tests of the language from inside: what becomes of a runbook, agreement of the readers, bounds, properties.
//! What findings look like is kept in `tests/findings.rs` of the crate.

mod bounds;
mod definition;
mod inputs;
mod properties;
mod readers;
mod upstream;
mod yaml;

use super::{Checked, check};
use crate::definition::Runbook;

/// A runbook with much of the language in it.
const EXAMPLE: &str = include_str!("example.yaml");

/// The runbook of a text that is right.
fn runbook(source: &str) -> Runbook {
    let Checked { runbook, findings, .. } = check(source.as_bytes(), "test.yaml");
    runbook.unwrap_or_else(|| panic!("refused: {findings:#?}\n{source}"))
}

/// The codes of what is found in a text.
fn codes(source: &str) -> Vec<&'static str> {
    check(source.as_bytes(), "test.yaml").findings.iter().map(|finding| finding.code.text()).collect()
}
