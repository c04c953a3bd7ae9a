//! Every key of a file of an environment, described once, as `schema` does it for runbooks.

use super::schema::{Section, key, required};

/// Every section, in the order of the page.
pub const SECTIONS: &[&Section] = &[&FILE, &PROTECTION, &APPROVALS, &HOURS, &FREEZE, &OVERRIDE];

/// The top of a file.
pub static FILE: Section = Section {
    name: "an environment",
    keys: &[&[
        required("name", "an id", "The name, unique in the project. It may differ from the file's."),
        key("description", "text", "none", "What it is."),
        required("language", "`1`", "The version of the language that the file is written in."),
        key(
            "default",
            "`true` or `false`",
            "`false`",
            "Whether runs that name no environment are started in it. One of the project's may say so.",
        ),
        key(
            "values",
            "a map of ids to values, none of them null",
            "none",
            "What `${{ environment.values.NAME }}` stands for.",
        ),
        key(
            "inputs",
            "a map of inputs to values, none of them null",
            "none",
            "What is given for inputs of these names, in every runbook that has one, where a start gives nothing.",
        ),
        key(
            "schedules",
            "`true` or `false`",
            "`true`",
            "Whether schedules start runs in it. `false`: those that name it are as if they were not written.",
        ),
        key("protection", "a map", "none", "Who may start runs in it, and when."),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[
        ("vars", "write `values:`"),
        ("variables", "write `values:`"),
        ("env", "write `values:`, and read `${{ environment.values.NAME }}` under `env:` of a runbook"),
        ("secrets", "secrets are declared in the daemon's configuration"),
        ("defaults", "write `inputs:` for what inputs are given"),
        ("freezes", "write it under `protection:`"),
        ("hours", "write it under `protection:`"),
        ("roles", "write it under `protection:`"),
    ],
};

/// `protection`.
pub static PROTECTION: Section = Section {
    name: "`protection`",
    keys: &[&[
        key(
            "roles",
            "a list of ids",
            "anybody",
            "Who may start runs: who has one of these roles. Schedules start theirs.",
        ),
        key("confirm", "text", "nothing", "What a person types, or gives by `--confirm`, to start a run."),
        key("approvals", "a map", "none", "Who has to approve a start before its run begins."),
        key("hours", "a map", "always", "When runs may be started."),
        key("freezes", "a map of ids to freezes", "none", "When none may be started, and why."),
        key("override", "a map", "nobody", "Who may start runs in spite of hours and freezes."),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[("freeze", "write `freezes: {NAME: {from: …, to: …, reason: …}}`")],
};

/// `approvals`.
pub static APPROVALS: Section = Section {
    name: "`approvals`",
    keys: &[&[
        key("roles", "a list of ids", "whoever reaches the daemon", "Who may decide: persons with one of these roles."),
        key("count", "a whole number from 1", "`1`", "How many different persons have to approve."),
        key(
            "not_requester",
            "`true` or `false`",
            "`false`",
            "Whether the person who asked for the start may not approve.",
        ),
        key("timeout", "a duration", "for ever", "How long they have. After that the run is canceled."),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[("approvals", "write `count:`"), ("on_timeout", "a start that nobody approves in time is canceled")],
};

/// `hours`.
pub static HOURS: Section = Section {
    name: "`hours`",
    keys: &[&[
        key("timezone", "a time zone", "`UTC`", "The zone of the clock that they are about, by its IANA name."),
        required(
            "allowed",
            "a list of hours",
            "Windows of the week, as `mon-fri 09:00-17:00`. Without days it is every day; one whose end is not after its begin ends on the next day.",
        ),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[],
};

/// One of `freezes`.
pub static FREEZE: Section = Section {
    name: "a freeze",
    keys: &[&[
        required("from", "a time", "When it begins, as `2026-12-20T00:00:00+01:00`."),
        required("to", "a time", "When it is over."),
        required("reason", "text", "Why; whoever is refused reads it."),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[],
};

/// `override`.
pub static OVERRIDE: Section = Section {
    name: "`override`",
    keys: &[&[required(
        "roles",
        "a list of ids",
        "Who may: who has one of these roles, and says why (`--override REASON`).",
    )]],
    relations: &[],
    later: &[],
    elsewhere: &[],
};
