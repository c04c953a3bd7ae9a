//! Every key of a file of scenarios, described once, as `schema` does it for runbooks.

use super::schema::{Section, key, required};

/// Every section, in the order of the page.
pub const SECTIONS: &[&Section] = &[&FILE, &SCENARIO, &STEP, &CANCEL, &EXPECT];

/// The top of a file.
pub static FILE: Section = Section {
    name: "a file of scenarios",
    keys: &[&[
        required("runbook", "the name of a runbook", "The runbook that is rehearsed."),
        required("language", "`1`", "The version of the language that the file is written in."),
        required("scenarios", "a map of names to scenarios", "The scenarios, at least one. Names are free text."),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[("name", "write `runbook:` with the runbook's name"), ("tests", "write `scenarios:`")],
};

/// One of `scenarios`.
pub static SCENARIO: Section = Section {
    name: "a scenario",
    keys: &[&[
        key("description", "text", "none", "What it is about."),
        key("environment", "an environment", "the project's default", "The environment of the run."),
        key("inputs", "a map of inputs to values", "none", "The inputs of the run. Checked as those of a start."),
        key(
            "steps",
            "a map of steps to what happens",
            "all goes well",
            "What goes otherwise than well. Steps below the top are written by their paths, as `up[\"web2\"]/check`.",
        ),
        key("cancel", "a map", "none", "When somebody cancels the run."),
        key("expect", "a map", "nothing is asked", "How it should end."),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[("given", "write `inputs:` and `steps:`"), ("expectations", "write `expect:`")],
};

/// One of a scenario's `steps`.
pub static STEP: Section = Section {
    name: "a step of a scenario",
    keys: &[&[
        key(
            "tries",
            "a list of ends: `succeeded`, `failed`, `timed_out`, `lost`, `not_started`, or an exit code",
            "none",
            "How the tries of the step end, the first one first. For each item by itself, and through all iterations, where none is named.",
        ),
        key("always", "an end", "`succeeded`", "How every other try ends."),
        key(
            "takes",
            "a duration",
            "`1s`",
            "How long each try takes. A try that takes longer than the step's `timeout` is cut off by it.",
        ),
        key(
            "outputs",
            "a map of declared outputs to values, or a list of such maps",
            "made up: the output's name, `1`, `true`, nothing in lists and maps",
            "What it writes; a list tells what the first tries write, and all others write what the last of it says. Tries are counted as those of `tries`.",
        ),
        key("verify", "`yes`, `no` or `silent`", "`yes`", "What its `verify` answers, each time."),
        key("on_cancel", "`succeeded` or `failed`", "`succeeded`", "How its `on_cancel` ends, each time."),
        key("rollback", "`succeeded` or `failed`", "`succeeded`", "How its `rollback` ends, each time."),
        key("crash", "`true` or `false`", "`false`", "Whether the daemon crashes while its first try runs."),
        key(
            "resolve",
            "`succeeded`, `failed`, `retry` or `skipped`",
            "nobody does",
            "What a person settles it as, the first time that nobody knows what it did, or that its rollback failed.",
        ),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[
        ("fail", "write `always: failed`, or `tries: [failed]`"),
        ("exit", "write `always: 3`, or `tries: [3]`"),
        ("duration", "write `takes:`"),
        ("attempts", "write `tries:`"),
    ],
};

/// `cancel`.
pub static CANCEL: Section = Section {
    name: "`cancel`",
    keys: &[&[
        key("during", "a step", "", "As soon as its first try runs. Either this or `after`."),
        key("after", "a duration", "", "So long after the start."),
        key("now", "`true` or `false`", "`false`", "Whether the grace is skipped."),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[],
};

/// `expect`.
pub static EXPECT: Section = Section {
    name: "`expect`",
    keys: &[&[
        key(
            "outcome",
            "`succeeded`, `failed`, `rolled_back`, `canceled` or `attention`",
            "any",
            "The run's status in the end. `attention`: it waits for a person.",
        ),
        key(
            "steps",
            "a map of steps to `succeeded`, `failed`, `skipped`, `canceled`, `rolled_back`, `rollback_failed`, `unknown` or `pending`",
            "any",
            "The status of steps in the end: of each item and each iteration that began, where none is named.",
        ),
        key(
            "tries",
            "a map of steps to whole numbers",
            "any",
            "How often steps are tried: for each item, and in all iterations together, where none is named.",
        ),
        key("at_most", "a duration", "any", "The longest that the run may take."),
        key(
            "remains",
            "a list of steps",
            "any",
            "Exactly the steps that changed something and stay, in a run that did not succeed. A step stands for all below it.",
        ),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[("status", "write `outcome:`"), ("attempts", "write `tries:`"), ("took", "write `at_most:`")],
};
