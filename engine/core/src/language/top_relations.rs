//! What holds between keys of a runbook and of the maps in it but steps, described once. Never knows a particular runbook.

use super::relation::Is::{Given, Not, True, Word};
use super::relation::{Relation, refuses, takes, wants};

/// Of the top of a file.
pub(super) const RUNBOOK: &[Relation<'static>] = &[
    takes(&[Given(&["concurrency"])], "schedules.*.overlap", "`skip`, `queue` or `replace`"),
    takes(&[Not(&Given(&["concurrency"]))], "schedules.*.overlap", "`skip` or `allow`"),
];

/// Of an input.
pub(super) const INPUT: &[Relation<'static>] = &[
    refuses(
        &[True("required")],
        &["default"],
        "an input that is required never takes its default",
        "leave out `required` or `default`",
    ),
    refuses(
        &[True("secret")],
        &["default"],
        "the default of a secret would stand in this file for all to read",
        "leave it out, or use `${{ secrets.NAME }}`",
    ),
    refuses(
        &[Not(&True("secret")), True("ephemeral")],
        &["ephemeral"],
        "only the value of a secret is never stored, and this input is none",
        "add `secret: true`, or leave it out",
    ),
    refuses(
        &[Word("type", &["integer", "number", "boolean", "list", "map"])],
        &["pattern"],
        "`pattern` is for text, and this input is of type {word}",
        "leave it out",
    ),
    refuses(
        &[Word("type", &["boolean", "map"])],
        &["minimum", "maximum"],
        "`{key}` means nothing for the type {word}",
        "leave it out",
    ),
    takes(&[Word("type", &["string"])], "default", "text"),
    takes(&[Word("type", &["string"])], "enum", "a list of texts"),
    takes(&[Word("type", &["integer"])], "default", "a whole number"),
    takes(&[Word("type", &["integer"])], "enum", "a list of whole numbers"),
    takes(&[Word("type", &["number"])], "default", "a number"),
    takes(&[Word("type", &["number"])], "enum", "a list of numbers"),
    takes(&[Word("type", &["boolean"])], "default", "`true` or `false`"),
    takes(&[Word("type", &["boolean"])], "enum", "a list of booleans"),
    takes(&[Word("type", &["list"])], "default", "a list"),
    takes(&[Word("type", &["list"])], "enum", "a list of lists"),
    takes(&[Word("type", &["map"])], "default", "a map of names to values"),
    takes(&[Word("type", &["map"])], "enum", "a list of maps"),
];

/// Of `objective`.
pub(super) const OBJECTIVE: &[Relation<'static>] = &[
    refuses(
        &[Given(&["rpo"])],
        &["rto"],
        "a run is a backup, with `rpo`, or a restore, with `rto`",
        "make two runbooks of it",
    ),
    refuses(
        &[True("drill"), Not(&Given(&["rto"]))],
        &["drill"],
        "a drill is a restore",
        "add `rto: DURATION`, how long a restore may take",
    ),
    wants(&[Not(&Given(&["rpo", "rto"])), Not(&True("proves"))], &["rpo", "rto"]),
];
