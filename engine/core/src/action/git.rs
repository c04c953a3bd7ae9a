//! `git/checkout`: a commit in a scratch folder.

use super::{Action, Carried, Effects, Facts, Initialised, Key, Takes, key, output, required, section};
use crate::definition::{DryRun, Effect, Stop, StopSignal, StopTo, ValueType};
use crate::language::schema::{self, Section};
use crate::time::Span;

const KEYS: [Key; 6] = [
    required("url", Takes::Text, "The repository: a URL or a path."),
    required("path", Takes::Path, "The scratch folder: what is in it besides the commit goes."),
    key("ref", Takes::Text, "`HEAD`", "The branch, tag or commit."),
    key("commit", Takes::Text, "any", "The commit that `ref` has to be, in full."),
    key("depth", Takes::Whole(1, 1_000_000), "`1`", "How many commits of its history are fetched."),
    key("token", Takes::Hidden, "none", "A token, sent as the header `Authorization: Bearer`."),
];
static SECTION_KEYS: [schema::Key; KEYS.len()] = section(&KEYS);
static WITH: Section = Section {
    name: "`with` of `uses: git/checkout`",
    keys: &[&SECTION_KEYS],
    relations: &[],
    later: &[],
    elsewhere: &[
        ("repository", "write `url:`"),
        ("branch", "write `ref:`"),
        ("tag", "write `ref:`"),
        ("revision", "write `ref:`"),
    ],
};

pub(super) static CHECKOUT: Action = Action {
    name: "git/checkout",
    doc: "Puts one commit of a repository into a scratch folder, and says which one it is.",
    keys: &KEYS,
    with: &WITH,
    decides: None,
    outputs: &[
        output("commit", ValueType::String, "The commit, in full."),
        output("path", ValueType::String, "The folder, absolute."),
        output("subject", ValueType::String, "The first line of its message."),
    ],
    artifacts: &[],
    effect: Effects::Fixed(Effect::Idempotent),
    dry_run: DryRun::Run,
    carried: Carried::Process,
    stop: Stop { signal: StopSignal::Term, to: StopTo::Group, grace: Span::seconds(10) },
    timeout: Some(Span::minutes(10)),
    attempts: 3,
    allow_failure: false,
    program: Some(("git", None)),
    initialised: Initialised::Whatever,
    alone: &["path"],
    reads: &[],
    drift: None,
    beside: &["env", "env_file", "pass_env", "stop", "tools"],
    facts: Facts {
        again: "What cannot be fetched, and an attempt that was cut off: it begins anew in what is there.",
        never: "A folder that holds something else, and a commit that is not the one that `commit` says.",
        unknown: "Never: whatever an attempt left, the next one puts the same into the folder.",
        cancel: "Ends git. The folder may hold a part of the commit, until the next attempt.",
        dry: "Shows it: what needs the folder would find nothing there.",
        limits: "`depth` commits of one revision, without the tags. How large they are is bounded by the disk alone: say it under `requires.disk`.",
        secrets: "`token`, which goes by git's environment and is in no argument and no file. What git says is hidden as a command's log is.",
        more: &[
            (
                "A folder that is not empty",
                "is refused unless an earlier checkout made it: neither files nor a repository of yours are removed.",
            ),
            (
                "One at a time",
                "It has the lock `git/PATH`, as if the step named it under `locks`: two steps never work in one folder.",
            ),
        ],
    },
    example: "  sources: {uses: git/checkout, with: {url: \"https://git.example.org/site.git\", ref: main, path: .scratch/site}}
",
};
