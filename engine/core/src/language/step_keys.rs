//! Every key of a step and of the maps in it, described once. Never knows a particular runbook.

use super::schema::{Key, Section, key, required};
use super::step_relations as relations;

/// What a command is, for steps, `verify`, `on_cancel` and `rollback` alike.
const COMMAND: &[Key] = &[
    key(
        "run",
        "a script",
        "",
        "A script under `sh -eu`, or `bash -euo pipefail`. Holds no `${{ }}`: give values by `env`. Either this or `argv`.",
    ),
    key(
        "argv",
        "a list of texts with `${{ }}`",
        "",
        "A program and its arguments, started without a shell. Numbers and booleans are taken as they are written. A path listed under `files` runs the pinned copy.",
    ),
    key("shell", "`sh` or `bash`", "`sh`", "The shell of `run`."),
    key("stdin", "text with `${{ }}`", "`/dev/null`", "Standard input. Secrets may go here."),
    key(
        "env",
        "a map of variables to text with `${{ }}`",
        "none",
        "Environment variables, over those of the runbook and of `defaults`. Numbers and booleans are taken as they are written. Secrets may go here.",
    ),
    key("env_file", "a path with `${{ }}`", "none", "A file of NAME=value lines, under `env`."),
    key(
        "pass_env",
        "a list of variables",
        "none",
        "Variables passed on from the daemon's environment, under `env_file`.",
    ),
    key("working_dir", "a path with `${{ }}`", "the project folder", "Where the command starts."),
    key(
        "files",
        "a map of file names to text with `${{ }}`",
        "none",
        "Files made for the command, below `$RUNBOOK_FILES`. Secrets may go here.",
    ),
    key(
        "timeout",
        "a duration",
        "none; `10m` in `finally`, `verify`, `on_cancel` and `rollback`; `1m` in `probe`; of actions, as each says",
        "How long one attempt may take. Time of a suspended machine is not counted. Of a block: the bound on all of it, as `timeout` of a runbook.",
    ),
    key("stop", "a map", "TERM to the group, `30s`", "How the command is stopped."),
    key(
        "tools",
        "a list of names, or of `{name, version}`",
        "the program of `argv`, `bash` for its scripts, the program of an action",
        "Programs that must be there before the run starts, if the step may run: on the command's PATH. What a script starts is not known unless it is said here. `[]` where an earlier step installs what this one starts.",
    ),
];

/// What stands for a command: an action.
const ACTION: &[Key] = &[
    key("uses", "an action", "", "An action instead of `run` and `argv`."),
    key("with", "a map, by `uses`", "", "What the action is told."),
];

/// A step.
pub static STEP: Section = Section {
    name: "a step",
    keys: &[
        &[
            key("description", "text", "none", "What the step is for."),
            key(
                "needs",
                "a list of steps",
                "none",
                "Steps that must have ended before this one is judged; of the same part.",
            ),
            key(
                "if",
                "an expression, boolean",
                "all needs succeeded",
                "Whether the step runs. Mentioning `steps.X.status` lifts the implied success of X; `always()` and `failure()` of all. When it is false the step is skipped, and so are those that need it.",
            ),
            key(
                "when_skipped",
                "`skip` or `go_on`",
                "`skip`",
                "What becomes of the steps that need this one when it is skipped. `skip`: they are skipped too. `go_on`: they run as if it had succeeded, unless something that failed is the reason; its outputs are null then.",
            ),
        ],
        &[key(
            "undoes",
            "a list of steps",
            "none",
            "In `finally` only: the step runs only if one of these has run, and `resume` lets those run again that it undid.",
        )],
        &[
            key(
                "for_each",
                "a list, or an expression, list",
                "",
                "The step does its work once for each item of the list. In its texts `item` is the item, `each.key` what names it, `each.number` its place from 1. Its outputs are lists then, in the order of the list, with null for what did not succeed.",
            ),
            key(
                "max_parallel",
                "a whole number from 1",
                "no bound of its own",
                "With `for_each`: how many items may be on together.",
            ),
            key(
                "max_failures",
                "a whole number from 0",
                "`0`",
                "With `for_each`: how many items may fail without the step failing. When more have failed, no further item begins.",
            ),
            key(
                "repeat",
                "a map",
                "",
                "The step does its work again and again, one iteration after the other, until `until` holds. Its outputs are those of the last.",
            ),
        ],
        COMMAND,
        &[
            key(
                "uses",
                "`approval`, `fail`, `runbook`, `wait`, `http`, `notify/slack`, `notify/webhook`, `notify/email`, `git/checkout`, `terraform/init`, `terraform/validate`, `terraform/fmt`, `terraform/plan`, `terraform/apply`, `terraform/output`, `terraform/drift` or `terraform/destroy`",
                "",
                "What the step does where that is no command of yours; excludes `run`, `argv` and what belongs to them. What has no section here is an action, with a page of its own.",
            ),
            key("with", "a map, by `uses`", "", "What `uses` needs to be told."),
            key(
                "steps",
                "a map of ids to steps",
                "",
                "Steps inside the step, which then is a block: it runs them as a run of its own, and ends as that does.",
            ),
            key(
                "finally",
                "a map of ids to steps",
                "none",
                "In a block: steps that run when those under `steps` have ended, however they ended.",
            ),
            key(
                "outputs",
                "a map of ids to types; of a block, to outputs",
                "none",
                "The values that the command writes to `$RUNBOOK_OUTPUT`. Types as of inputs. Of a block: what it leaves, as `outputs` of a runbook.",
            ),
            key(
                "artifacts",
                "a list of paths",
                "none",
                "The files that it leaves in `$RUNBOOK_ARTIFACTS`. They are kept as they are: secrets are not looked for in them.",
            ),
            key(
                "success",
                "an expression over `exit_code`, boolean",
                "`exit_code == 0`",
                "Tells whether an attempt succeeded.",
            ),
            key(
                "unknown_if",
                "an expression over `exit_code`, boolean",
                "`false`; of actions `exit_code == 76`",
                "Tells an end of which nobody knows what was done, such as ssh's 255.",
            ),
            key("retry", "a map", "one attempt; of actions, as each says", "When to try again."),
            key(
                "effect",
                "`read`, `idempotent`, `mutating` or `destructive`",
                "`mutating`; of actions, as each says",
                "What a second try could do to the world. Attempts that were cut off or lost are repeated only for `read` and `idempotent`. What changes something by its action is not `read`, and what destroys stays `destructive`.",
            ),
            key(
                "dry_run",
                "`run` or `skip`",
                "`run`",
                "What becomes in a dry run of a step with `effect: read`, of one that starts a run, or of an action that asks there instead of telling. Other commands never run there.",
            ),
            key(
                "target",
                "text with `${{ }}`",
                "",
                "What a destructive step destroys. Required there, and only there.",
            ),
            key(
                "verify",
                "a command",
                "none",
                "Asks the world whether the step happened, after an attempt was cut off or lost: writes `happened=yes` or `happened=no` to `$RUNBOOK_OUTPUT`.",
            ),
            key(
                "on_cancel",
                "a command",
                "none",
                "Tidies up after an attempt that a cancel cut off. Written to be run again.",
            ),
            key(
                "rollback",
                "a command",
                "none",
                "Compensates what the step did, when the run is rolled back. Sees what the step saw, and `attempt.outputs.KEY`. Written to be run again.",
            ),
            key(
                "no_return",
                "`true` or `false`",
                "`false`",
                "Whether there is no way back once the step has started: a cancel must then name it (`--past`), and what came before is never rolled back by itself.",
            ),
            key(
                "allow_failure",
                "`true` or `false`",
                "`false`",
                "Whether its failure leaves the run as if it had not failed.",
            ),
            key(
                "locks",
                "a list of names with `${{ }}`",
                "none",
                "Named locks, taken all at once and held from its first attempt, or the start of what it starts, until it has ended; again for its `rollback`. For commands, blocks and `uses: runbook`.",
            ),
            key(
                "pool",
                "an id",
                "none",
                "The pool that each attempt of the step needs a place of; so do its `verify`, `on_cancel` and `rollback`. How many places a pool has is said in the daemon's configuration.",
            ),
        ],
    ],
    relations: &[relations::STEP, relations::COMMAND, relations::NO_ANSWER],
    later: &[],
    elsewhere: &[
        ("id", "the step's id is its key in `steps`"),
        ("name", "the step's id is its key in `steps`; write `description:` for a longer text"),
        ("command", "write `run:` for a script, `argv:` for a program with arguments"),
        ("cmd", "write `run:` for a script, `argv:` for a program with arguments"),
        ("script", "write `run:`"),
        ("args", "write `argv: [PROGRAM, ARGUMENT]`"),
        ("depends_on", "write `needs:`"),
        ("depends", "write `needs:`"),
        ("until", "write `repeat: {until: …, max: 10}`"),
        ("while", "write `repeat: {until: …, max: 10}`"),
        ("when", "write `if:`"),
        ("cwd", "write `working_dir:`"),
        ("working-directory", "write `working_dir:`"),
        ("timeout-minutes", "write `timeout: 10m`"),
        ("retries", "write `retry: {attempts: 3}`"),
        ("continue-on-error", "write `allow_failure: true`"),
        ("environment", "write `env:`"),
        ("pools", "write `pool: NAME`"),
        ("priority", "write it at the top: a run has one"),
    ],
};

/// `with` of `uses: fail`.
pub static FAIL: Section = Section {
    name: "`with` of `uses: fail`",
    keys: &[&[required("message", "text with `${{ }}`", "Why the step fails. May mention what `if` may.")]],
    relations: &[],
    later: &[],
    elsewhere: &[("exit_code", "a step that fails by itself has none")],
};

/// `with` of `uses: wait`.
pub static WAIT: Section = Section {
    name: "`with` of `uses: wait`",
    keys: &[&[
        key(
            "for",
            "a duration",
            "`1h` with `probe`",
            "How long to wait. With `probe`: after this long the step fails.",
        ),
        key(
            "until",
            "text with `${{ }}`, or with `probe` an expression",
            "`exit_code == 0` with `probe`",
            "The time to wait for, as `2026-12-01T08:00:00Z`. With `probe`: tells that the wait is over.",
        ),
        key("probe", "a command", "none", "A command that is run again and again until it says that the wait is over."),
        key(
            "fail_if",
            "an expression, boolean",
            "`false`",
            "Tells by the end of a probe that the wait will never be over: the step fails at once.",
        ),
        key("every", "a duration from `1s`", "`30s`", "How long after the end of a probe the next one follows."),
    ]],
    relations: &[relations::WAIT],
    later: &[],
    elsewhere: &[
        ("duration", "write `for:`"),
        ("seconds", "write `for: 30s`"),
        ("timeout", "write `for:`"),
        ("interval", "write `every:`"),
    ],
};

/// `probe` of a wait.
pub static PROBE: Section = Section {
    name: "`probe`",
    keys: &[COMMAND, ACTION],
    relations: &[relations::FOLLOWING, relations::COMMAND, relations::NO_ANSWER],
    later: &[],
    elsewhere: &[("retry", "it is run again `every` so often by itself")],
};

/// `with` of `uses: approval`.
pub static APPROVAL: Section = Section {
    name: "`with` of `uses: approval`",
    keys: &[&[
        required("message", "text with `${{ }}`", "What the approvers are told. May mention what `if` may."),
        key("roles", "a list of ids", "whoever reaches the daemon", "Who may decide: persons with one of these roles."),
        key("approvals", "a whole number from 1", "`1`", "How many different persons have to approve."),
        key("not_requester", "`true` or `false`", "`false`", "Whether the person who started the run may not approve."),
        key("timeout", "a duration", "for ever", "How long they have."),
        key(
            "on_timeout",
            "`reject`, `approve` or `fail`",
            "`reject`",
            "What it counts as when nobody decided in time. Rejected and failed approvals fail the step. Beside `approve` no field is `required`: nobody would fill it in.",
        ),
        key(
            "fields",
            "a map of ids to inputs, none of them ephemeral",
            "none",
            "What approvers fill in. They become outputs of the step.",
        ),
    ]],
    relations: &[relations::APPROVAL],
    later: &[],
    elsewhere: &[
        ("approvers", "write `roles:`, and give users roles in the daemon's configuration"),
        ("quorum", "write `approvals:`"),
        ("form", "write `fields:`"),
        ("inputs", "write `fields:`"),
    ],
};

/// `with` of `uses: runbook`.
pub static CALL: Section = Section {
    name: "`with` of `uses: runbook`",
    keys: &[&[
        required("name", "a runbook of the project", "Which runbook it starts."),
        key(
            "inputs",
            "a map of inputs to values, or texts with `${{ }}`",
            "none",
            "What it gives. A text that is one expression and nothing else gives the expression's value. No secrets.",
        ),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[("runbook", "write `name:`"), ("with", "write `inputs:`")],
};

/// `repeat`.
pub static REPEAT: Section = Section {
    name: "`repeat`",
    keys: &[&[
        required(
            "until",
            "an expression, boolean",
            "Asked after each iteration: whether that was the last. It may mention `iteration.number`, `iteration.outputs.KEY`, `iteration.status`, `iteration.exit_code`, and what `if` may. Where it mentions the status or the exit code it is asked of an iteration that failed, too; else that fails the step.",
        ),
        required(
            "max",
            "a whole number from 1",
            "How many iterations at most; when `until` does not hold then, the step fails.",
        ),
        key("every", "a duration from `1s`", "at once", "How long after the end of an iteration the next one begins."),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[
        ("while", "write `until:` with the opposite"),
        ("attempts", "write `max:`"),
        ("count", "write `max:`"),
        ("times", "write `max:`"),
        ("delay", "write `every:`"),
        ("interval", "write `every:`"),
        ("timeout", "give the work a `timeout:` of its own, and bound the iterations with `max:`"),
    ],
};

/// `verify`, `on_cancel` and `rollback` of a step.
pub static CLEANUP: Section = Section {
    name: "`verify`, `on_cancel` and `rollback` of a step",
    keys: &[COMMAND, ACTION],
    relations: &[relations::FOLLOWING, relations::COMMAND],
    later: &[],
    elsewhere: &[("retry", "it is tried three times by itself")],
};

/// `retry`.
pub static RETRY: Section = Section {
    name: "`retry`",
    keys: &[&[
        required("attempts", "a whole number from 1", "How many attempts at most, the first included."),
        key(
            "backoff",
            "a map",
            "`{initial: 2s, factor: 2, max: 1m, jitter: full}`",
            "How long to wait between attempts.",
        ),
        key(
            "if",
            "an expression over `exit_code`, boolean",
            "any failure; of actions `exit_code == 75`",
            "Whether a failed attempt is tried again.",
        ),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[
        ("max_attempts", "write `attempts:`"),
        ("count", "write `attempts:`"),
        ("delay", "write `backoff: {initial: 2s}`"),
        ("when", "write `if:`"),
    ],
};

/// `retry.backoff`.
pub static BACKOFF: Section = Section {
    name: "`backoff`",
    keys: &[&[
        key("initial", "a duration", "`2s`", "The wait before the second attempt."),
        key("factor", "a number from 1", "`2`", "By how much each wait is longer than the one before."),
        key("max", "a duration", "`1m`, or `initial` if that is longer", "The longest wait."),
        key(
            "jitter",
            "`full` or `none`",
            "`full`",
            "`full`: each wait is anything between nothing and its whole length, by chance.",
        ),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[],
};

/// `stop`.
pub static STOP: Section = Section {
    name: "`stop`",
    keys: &[&[
        key("signal", "`TERM` or `INT`", "`TERM`", "The first signal."),
        key(
            "to",
            "`group` or `leader`",
            "`group`",
            "Who gets it: the command's process group, or its own process alone. KILL always goes to the whole tree.",
        ),
        key("grace", "a duration", "`30s`", "How long it may take to end before KILL."),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[],
};
