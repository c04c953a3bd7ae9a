//! What holds between keys of a step and of the maps in it, described once. What follows from an action stands at the
//! action. Never knows a particular runbook.

use super::code::Code;
use super::relation::Is::{Given, Not, True, Word};
use super::relation::{Relation, Then, lacks, refuses, takes, wants};

/// What makes a block of a step.
const BLOCK: &[&str] = &["steps", "finally"];
/// What lets a step do its work many times.
const MANY: &[&str] = &["for_each", "repeat"];
/// What `uses` names that is no action.
pub(super) const KINDS: &[&str] = &["approval", "fail", "runbook", "wait"];
/// Those of them that change nothing.
const IDLE: &[&str] = &["approval", "fail", "wait"];
/// What is about what an attempt did.
const OF_ATTEMPTS: &[&str] = &["retry", "success", "unknown_if", "verify", "on_cancel", "effect", "target"];

const ABOUT: &str = "`{key}` is about what an attempt did, and `uses: {word}` changes nothing";
const BESIDE_BLOCK: &str = "`{key}` and `{by}` exclude each other";
const BESIDE_MANY: &str = "`{key}` cannot stand beside `{by}`";
const NO_COMMAND: &str = "`{key}` is for commands, and `uses: {word}` starts none itself";
const NOT_MANY: &str = "`{key}` is for commands, blocks and `uses: runbook`";
const NO_PLACE: &str = "a place in a pool is for attempts, and `uses: {word}` has none";

const LEAVE: &str = "leave it out";
const INSIDE: &str = "give it to the steps inside";

/// Of a step.
pub(super) const STEP: &[Relation<'static>] = &[
    wants(&[], &["run", "argv", "uses", "steps"]),
    // Of blocks.
    refuses(&[Given(BLOCK)], &["run", "argv", "uses"], BESIDE_BLOCK, "make a step inside of it"),
    refuses(&[Given(BLOCK)], &["with"], BESIDE_BLOCK, LEAVE),
    refuses(&[Given(BLOCK)], &["shell"], BESIDE_BLOCK, "give it to the steps inside, or to `defaults`"),
    refuses(&[Given(BLOCK)], &["env"], BESIDE_BLOCK, "give it to the steps inside, or to `env` at the top"),
    refuses(
        &[Given(BLOCK)],
        &["stdin", "env_file", "pass_env", "working_dir", "files", "stop", "tools", "success", "unknown_if", "retry"],
        BESIDE_BLOCK,
        INSIDE,
    ),
    refuses(&[Given(BLOCK)], &["effect", "verify", "target"], BESIDE_BLOCK, INSIDE),
    refuses(&[Given(BLOCK)], &["on_cancel"], BESIDE_BLOCK, "let `finally` inside of it tidy up"),
    refuses(
        &[Given(BLOCK)],
        &["artifacts"],
        BESIDE_BLOCK,
        "let `outputs` give its path: `{type: string, value: \"steps.ID.artifacts['NAME']\"}`",
    ),
    refuses(
        &[Given(BLOCK)],
        &["pool"],
        BESIDE_BLOCK,
        "give it to the steps inside, or to `defaults`: the block itself has no attempts",
    ),
    takes(&[Given(BLOCK)], "outputs", "a map of ids to outputs"),
    takes(&[Not(&Given(BLOCK))], "outputs", "a map of ids to types"),
    // Of what is done many times.
    refuses(
        &[Word("uses", &["wait"])],
        &["repeat"],
        NOT_MANY,
        "let it wait with `probe:`, `until:` and `every:` under `with`",
    ),
    refuses(
        &[Word("uses", IDLE)],
        MANY,
        NOT_MANY,
        "make a block of it: `{key}` beside `steps: {ID: …}`, and this step inside",
    ),
    refuses(
        &[Given(&["for_each"])],
        &["repeat"],
        "`for_each` and `repeat` exclude each other",
        "make a block of it: the one beside `steps: {ID: …}`, and the step with the other inside",
    ),
    refuses(
        &[Not(&Given(&["for_each"]))],
        &["max_parallel"],
        "`{key}` of a step means nothing without `for_each`",
        "leave it out, or write it at the top to bound the attempts of a run",
    ),
    refuses(
        &[Not(&Given(&["for_each"]))],
        &["max_failures"],
        "`{key}` of a step means nothing without `for_each`",
        "leave it out; `allow_failure: true` lets a single step fail",
    ),
    refuses(&[Given(MANY)], &["locks"], BESIDE_MANY, "make a block of it: the steps inside have locks of their own"),
    refuses(
        &[Given(MANY)],
        &["rollback"],
        BESIDE_MANY,
        "make a block of it: a rollback goes down to the steps inside, which say how they are undone",
    ),
    refuses(
        &[Given(MANY)],
        &["artifacts"],
        BESIDE_MANY,
        "make a block of it, and let `outputs` give the path: `{type: string, value: \"steps.ID.artifacts['NAME']\"}`",
    ),
    // Of what `uses` names.
    refuses(
        &[Word("uses", KINDS)],
        &["run", "argv"],
        "`uses: {word}` and `{key}` exclude each other",
        "make two steps of it: one needs the other",
    ),
    refuses(
        &[Word("uses", &["wait"])],
        &["timeout"],
        "`timeout` is for attempts, and a wait is none",
        "write `for:` under `with`",
    ),
    refuses(
        &[Word("uses", &["approval"])],
        &["timeout"],
        "`timeout` is for attempts, and an approval is none",
        "write `timeout:` under `with`",
    ),
    refuses(
        &[Word("uses", &["runbook"])],
        &["timeout"],
        "`timeout` is for attempts, and a child run is none",
        "write `timeout:` at the top of the other runbook",
    ),
    refuses(
        &[Word("uses", &["runbook"])],
        &["outputs"],
        "the outputs of such a step are those of the other runbook",
        "write `outputs:` at the top of the other runbook",
    ),
    refuses(
        &[Word("uses", &["approval"])],
        &["outputs"],
        "the outputs of an approval are its decision, its approvers and its fields",
        "write `fields:` under `with`",
    ),
    refuses(
        &[Word("uses", &["runbook"])],
        OF_ATTEMPTS,
        "`{key}` is about what an attempt did, and `uses: {word}` has none",
        LEAVE,
    ),
    refuses(&[Word("uses", &["wait"]), Given(&["with.probe"])], &["success"], ABOUT, "write `until:` under `with`"),
    refuses(
        &[Word("uses", &["wait"]), Given(&["with.probe"])],
        &["retry"],
        ABOUT,
        "write `every:` and `for:` under `with`",
    ),
    refuses(&[Word("uses", IDLE)], OF_ATTEMPTS, ABOUT, LEAVE),
    refuses(&[Word("uses", IDLE)], &["rollback", "no_return"], ABOUT, LEAVE),
    refuses(
        &[Word("uses", IDLE)],
        &["locks"],
        "`locks` are had from the first attempt on, and `uses: {word}` has none that changes anything",
        "leave it out, or put the step into a block with `locks`",
    ),
    refuses(&[Word("uses", &["runbook"])], &["pool"], NO_PLACE, "give it to the steps of the other runbook"),
    refuses(&[Word("uses", IDLE), Not(&Given(&["with.probe"]))], &["pool"], NO_PLACE, LEAVE),
    refuses(
        &[Word("uses", &["wait"]), Given(&["with.probe"])],
        &["shell", "stdin", "env", "env_file", "pass_env", "working_dir", "files", "stop", "tools"],
        NO_COMMAND,
        "write `{key}` under `with.probe`",
    ),
    refuses(
        &[Word("uses", KINDS)],
        &["shell", "stdin", "env", "env_file", "pass_env", "working_dir", "files", "timeout", "stop", "tools"],
        NO_COMMAND,
        LEAVE,
    ),
    refuses(&[Word("uses", IDLE)], &["dry_run"], NO_COMMAND, LEAVE),
    refuses(&[Word("uses", &["approval", "fail", "runbook"])], &["outputs", "artifacts"], NO_COMMAND, LEAVE),
    refuses(&[Word("uses", &["wait"]), Not(&Given(&["with.probe"]))], &["outputs", "artifacts"], NO_COMMAND, LEAVE),
    // Of ways back.
    refuses(
        &[True("no_return")],
        &["rollback"],
        "`rollback` and `no_return` exclude each other",
        "leave one out: where there is no way back, nothing is compensated",
    ),
];

/// Of a command that answers whether something happened: an action that cannot has no such key.
pub(super) const ANSWER: &[Relation<'static>] = &[wants(&[Given(&["uses"])], &["with.happened"])];

/// Of a command that is not asked that.
pub(super) const NO_ANSWER: &[Relation<'static>] = &[lacks(&[], &["with.happened"])];

/// Of a step that is none of `finally`.
pub(super) const MAIN: &[Relation<'static>] = &[Relation {
    when: &[],
    then: Then::Refuses {
        keys: &["undoes"],
        code: Code::WrongUndo,
        says: "`undoes` is for steps of `finally` only",
        help: "move the step to `finally`, or leave `undoes` out",
    },
}];

/// Of a step of `finally`.
pub(super) const FINALLY: &[Relation<'static>] =
    &[refuses(&[], &["rollback"], NOT_BACK, LEAVE), refuses(&[True("no_return")], &["no_return"], NOT_BACK, LEAVE)];
const NOT_BACK: &str = "`{key}` is for main steps: what `finally` did is not rolled back";

/// Of a step of `finally`, and of one inside of such a step.
pub(super) const TIDYING: &[Relation<'static>] = &[lacks(&[Word("uses", &["approval"])], &["uses"])];

/// Of whatever may be a command.
pub(super) const COMMAND: &[Relation<'static>] = &[
    refuses(
        &[Given(&["run"])],
        &["argv"],
        "`run` and `argv` exclude each other",
        "keep one: `run` is a script, `argv` a program with arguments",
    ),
    refuses(
        &[Not(&Given(&["run", "uses"]))],
        &["shell"],
        "`shell` is for `run` only",
        "leave it out: `argv` starts a program without a shell",
    ),
    refuses(
        &[Not(&Given(&["uses"]))],
        &["with"],
        "`with` belongs to `uses`, which is not here",
        "add `uses:`, or leave `with` out",
    ),
];

/// Of a command that is none of a step.
pub(super) const FOLLOWING: &[Relation<'static>] = &[wants(&[], &["run", "argv", "uses"])];

/// Of `with` of a wait.
pub(super) const WAIT: &[Relation<'static>] = &[
    wants(&[], &["for", "until", "probe"]),
    refuses(
        &[Not(&Given(&["probe"]))],
        &["fail_if", "every"],
        "`{key}` means nothing without `probe`",
        "add `probe:` with a command, or leave it out",
    ),
    refuses(
        &[Given(&["for"]), Not(&Given(&["probe"]))],
        &["until"],
        "`for` and `until` exclude each other",
        "keep one: `for` is a length of time, `until` a time",
    ),
];

/// Of `with` of an approval.
pub(super) const APPROVAL: &[Relation<'static>] = &[
    refuses(
        &[Not(&Given(&["timeout"]))],
        &["on_timeout"],
        "`on_timeout` means nothing without `timeout`",
        "add `timeout:`, or leave it out",
    ),
    // Nobody is there to fill it in.
    takes(&[Word("on_timeout", &["approve"])], "fields.*.required", "`false`"),
    // What every approval leaves.
    lacks(&[], &["fields.decision", "fields.approvers"]),
];
