//! The API with the real daemon: typed refusals, pages, streams and those who misuse them, the folder of runbooks,
//! secrets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod bounds;
mod ephemeral;
mod large;
mod library;
mod lists;
mod pinned;
mod providers;
mod refusals;
mod requests;
mod secrets;
mod standards;
mod streams;
mod wire;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// A runbook that does nothing.
const NOTHING: &str = "steps: {a: {effect: read, argv: [\"true\"]}}\n";

/// Asserts a refusal's code and its one `ErrorInfo`; gives the fields that it objects to.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, reason: &str) -> Vec<(String, String)> {
    let status = result.expect_err("a refusal");
    assert_eq!(status.code(), code, "{status:?}");
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "runbook.v1"), "{status:?}");
    assert!(!status.message().is_empty());
    let bad = status.get_details_bad_request();
    let fields = bad.map(|bad| bad.field_violations).unwrap_or_default();
    fields.into_iter().map(|field| (field.field, field.description)).collect()
}
