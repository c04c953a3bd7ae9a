//! `terraform/*`: plans, and exactly what was planned.

use super::{
    Action, Artifact, Carried, Effects, Facts, Initialised, Key, Output, Takes, key, output, required, section,
};
use crate::definition::{DryRun, Effect, Stop, StopSignal, StopTo, ValueType};
use crate::language::schema::{self, Section};
use crate::time::Span;

/// What is asked to end may be in the middle of an apply: its state has to be written.
const STOP: Stop = Stop { signal: StopSignal::Int, to: StopTo::Leader, grace: Span::minutes(10) };
const BESIDE: &[&str] = &["env", "env_file", "pass_env", "stop", "tools"];

const DIR: Key = required("dir", Takes::Path, "The folder of the stack.");
const PROGRAM: Key = key(
    "program",
    Takes::Text,
    "`programs.terraform` of the daemon's configuration, else `terraform`",
    "The program: `tofu` for OpenTofu, or a path.",
);
const WORKSPACE: Key = key(
    "workspace",
    Takes::Text,
    "the one that is chosen",
    "The workspace. `terraform/init` makes one that is not there; the others refuse it.",
);
const CACHE: Key = key(
    "plugin_cache",
    Takes::Path,
    "none",
    "A folder in which stacks share plugins; one `init` at a time writes to it.",
);
const VARS: Key = key(
    "vars",
    Takes::Trees,
    "none",
    "Variables. They go by the environment, never by arguments; secrets may go here, and into the plan.",
);
const VAR_FILES: Key = key("var_files", Takes::Paths, "none", "Files of variables, relative to the project folder.");
const LOCK_TIMEOUT: Key = key("lock_timeout", Takes::Duration, "`0s`", "How long to wait for the lock of the state.");

const LOCKED: (&str, &str) = (
    "A lock of the state",
    "that somebody else holds is reported with its holder and the command that frees it, and tried again; it is never forced.",
);
const STOPPED: &str = "Sends INT to terraform alone and waits ten minutes for it, as Ctrl-C at a terminal would. What was done until then is in its state.";
/// Of what changes nothing.
const LOOKS: Facts = Facts {
    again: "An attempt that was cut off.",
    never: "What it says is wrong: the message has its first errors, the log has all.",
    unknown: "Never: it changes nothing, and is simply done again.",
    cancel: STOPPED,
    dry: "Does the same: it changes nothing.",
    limits: "64 MiB of what terraform says of a whole plan or state, 256 KiB of one output. It has no `timeout` of its own.",
    secrets: "`env` may hold them. What terraform says is hidden as a command's log is, beside what it hides itself.",
    more: &[],
};
/// Of what plans.
const PLANS: Facts = Facts {
    again: "A lock of the state that somebody else holds, and an attempt that was cut off.",
    limits: "64 MiB of what terraform says of a plan, 256 KiB of `resources`: what there is no room for is counted by `left_out`. It has no `timeout` of its own.",
    secrets: "`vars` and `env` may hold them; both go by the environment. Outputs hold addresses and names, never a value; what terraform says is hidden as a command's log is.",
    more: &[LOCKED],
    ..LOOKS
};
/// What is one stack: the folder, and the workspace where one is named.
const ALONE: &[&str] = &["dir", "workspace"];
const ONE_AT_A_TIME: (&str, &str) = (
    "One at a time",
    "It has the lock `terraform/DIR`, with `workspace` `terraform/DIR@WORKSPACE`, as if the step named it under `locks`: others that write to the stack wait for it, and `runbook locks` shows who. With `for_each` and `repeat` each item and iteration has its own.",
);
const LEFT_OUT: Output =
    output("left_out", ValueType::Integer, "How many more there are than `resources` has room for, by address.");

macro_rules! with {
    ($section:ident, $sections:ident, $keys:ident, $name:literal) => {
        static $sections: [schema::Key; $keys.len()] = section(&$keys);
        static $section: Section = Section {
            name: concat!("`with` of `uses: ", $name, "`"),
            keys: &[&$sections],
            relations: &[],
            later: &[],
            elsewhere: &[
                ("path", "write `dir:`"),
                ("chdir", "write `dir:`"),
                ("var", "write `vars:`"),
                ("variables", "write `vars:`"),
                ("var_file", "write `var_files: [FILE]`"),
                ("binary", "write `program:`"),
                ("force", "a lock is never forced"),
                ("auto_approve", "`terraform/apply` applies what was planned, and nothing else"),
            ],
        };
    };
}

const INIT_KEYS: [Key; 7] = [
    DIR,
    key("backend", Takes::Shown, "none", "Settings of the backend. They are arguments: secrets go by `env`."),
    key("upgrade", Takes::Flag, "`false`", "Whether newer modules and plugins are taken."),
    key("reconfigure", Takes::Flag, "`false`", "Whether a changed backend is taken without moving the state."),
    WORKSPACE,
    CACHE,
    PROGRAM,
];
with!(INIT_WITH, INIT_SECTION, INIT_KEYS, "terraform/init");

const LOOK_KEYS: [Key; 3] = [DIR, WORKSPACE, PROGRAM];
with!(VALIDATE_WITH, VALIDATE_SECTION, LOOK_KEYS, "terraform/validate");
with!(FMT_WITH, FMT_SECTION, LOOK_KEYS, "terraform/fmt");
with!(OUTPUT_WITH, OUTPUT_SECTION, LOOK_KEYS, "terraform/output");

const PLAN_KEYS: [Key; 9] = [
    DIR,
    VARS,
    VAR_FILES,
    key("destroy", Takes::Flag, "`false`", "Whether the plan is one that destroys everything."),
    key(
        "happened",
        Takes::Condition,
        "",
        "In `verify` only, and required there: whether what is verified happened, such as `!attempt.outputs.changes`.",
    ),
    LOCK_TIMEOUT,
    WORKSPACE,
    CACHE,
    PROGRAM,
];
with!(PLAN_WITH, PLAN_SECTION, PLAN_KEYS, "terraform/plan");

const DRIFT_KEYS: [Key; 7] = [DIR, VARS, VAR_FILES, LOCK_TIMEOUT, WORKSPACE, CACHE, PROGRAM];
with!(DRIFT_WITH, DRIFT_SECTION, DRIFT_KEYS, "terraform/drift");

const APPLY_KEYS: [Key; 6] = [
    DIR,
    required("plan", Takes::Path, "The plan: the artifact of the step that made it."),
    LOCK_TIMEOUT,
    WORKSPACE,
    CACHE,
    PROGRAM,
];
with!(APPLY_WITH, APPLY_SECTION, APPLY_KEYS, "terraform/apply");

const DESTROY_KEYS: [Key; 8] = [
    DIR,
    required("confirm_workspace", Takes::Text, "The workspace that is to be destroyed. In any other one nothing is."),
    VARS,
    VAR_FILES,
    LOCK_TIMEOUT,
    WORKSPACE,
    CACHE,
    PROGRAM,
];
with!(DESTROY_WITH, DESTROY_SECTION, DESTROY_KEYS, "terraform/destroy");

/// An action of terraform that changes nothing.
const fn looks(
    name: &'static str,
    doc: &'static str,
    keys: &'static [Key],
    with: &'static Section,
    example: &'static str,
) -> Action {
    Action {
        name,
        doc,
        keys,
        with,
        decides: None,
        outputs: &[],
        artifacts: &[],
        effect: Effects::Fixed(Effect::Read),
        dry_run: DryRun::Run,
        carried: Carried::Process,
        stop: STOP,
        timeout: None,
        attempts: 3,
        allow_failure: false,
        program: Some(("terraform", Some("program"))),
        initialised: Initialised::Wants,
        alone: &[],
        reads: &["dir", "var_files"],
        drift: None,
        beside: BESIDE,
        facts: LOOKS,
        example,
    }
}

pub(super) static INIT: Action = Action {
    effect: Effects::Fixed(Effect::Idempotent),
    initialised: Initialised::Makes,
    alone: ALONE,
    facts: Facts {
        unknown: "Never: a second try goes on where the first one ended.",
        dry: "Shows it.",
        limits: "One at a time writes to a `plugin_cache`; others wait. It has no `timeout` of its own.",
        secrets: "`env` alone may hold them: settings of the backend are arguments, which everybody on the machine can read.",
        more: &[ONE_AT_A_TIME],
        ..LOOKS
    },
    ..looks(
        "terraform/init",
        "Initialises a stack: backend, modules and plugins.",
        &INIT_KEYS,
        &INIT_WITH,
        "  init: {uses: terraform/init, with: {dir: infrastructure/network, plugin_cache: .cache/terraform}}\n",
    )
};

pub(super) static VALIDATE: Action = Action {
    // What it lacks of modules and providers it says itself, and it needs no backend.
    initialised: Initialised::Whatever,
    outputs: &[output("warnings", ValueType::Integer, "How many warnings there are; the log has them.")],
    ..looks(
        "terraform/validate",
        "Checks a stack, and fails with what is wrong and where.",
        &LOOK_KEYS,
        &VALIDATE_WITH,
        "  valid: {uses: terraform/validate, with: {dir: infrastructure/network}}\n",
    )
};

pub(super) static FMT: Action = Action {
    initialised: Initialised::Whatever,
    ..looks(
        "terraform/fmt",
        "Fails when files of a stack are not formatted, and names them. Changes none.",
        &LOOK_KEYS,
        &FMT_WITH,
        "  formatted: {uses: terraform/fmt, with: {dir: infrastructure/network}}\n",
    )
};

pub(super) static PLAN: Action = Action {
    outputs: &[
        output("changes", ValueType::Boolean, "Whether it would change anything."),
        output("create", ValueType::Integer, "How many resources and outputs it would create."),
        output("update", ValueType::Integer, "How many it would change in place."),
        output("replace", ValueType::Integer, "How many it would make anew."),
        output("delete", ValueType::Integer, "How many it would remove."),
        output("resources", ValueType::List, "What it would change: maps with `address` and `action`, never a value."),
        LEFT_OUT,
    ],
    artifacts: &[Artifact {
        name: "plan",
        when: &[],
        doc: "The plan, for `terraform/apply`. It holds values in clear, secret ones too: it is kept for the owner of the daemon alone.",
    }],
    facts: Facts { dry: "Makes the plan: that changes nothing.", ..PLANS },
    ..looks(
        "terraform/plan",
        "Plans what would change, and keeps the plan.",
        &PLAN_KEYS,
        &PLAN_WITH,
        "  plan: {uses: terraform/plan, with: {dir: infrastructure/network, vars: {count: \"${{ inputs.count }}\"}}}\n",
    )
};

pub(super) static DRIFT: Action = Action {
    outputs: &[
        output("drifted", ValueType::Boolean, "Whether what is there differs from what is written."),
        output(
            "unaccepted",
            ValueType::Integer,
            "How many differences there are that nobody accepted by `runbook drift accept`.",
        ),
        output(
            "resources",
            ValueType::List,
            "What differs: maps with `address`, `action`, `attributes`, the names of those that differ, never a value, and `accepted`, whether somebody accepted it so by `runbook drift accept`.",
        ),
        LEFT_OUT,
        output("stack", ValueType::String, "The folder of the stack, as `dir` names it."),
        output("workspace", ValueType::String, "The workspace that it looked at."),
    ],
    drift: Some("terraform"),
    facts: Facts {
        dry: "Looks, and keeps nothing of what it finds.",
        more: &[
            (
                "Drift is no error",
                "and an error no drift: a difference is told by the outputs of a step that succeeded.",
            ),
            (
                "What differs is kept",
                "Beside the runs, with when it was first seen: `runbook drift` lists it, and `runbook drift accept` accepts it for a time.",
            ),
            LOCKED,
        ],
        ..PLANS
    },
    ..looks(
        "terraform/drift",
        "Compares what is there with what is written, as data.",
        &DRIFT_KEYS,
        &DRIFT_WITH,
        "  drift: {uses: terraform/drift, with: {dir: infrastructure/network}}\n",
    )
};

pub(super) static APPLY: Action = Action {
    outputs: &[
        output(
            "added",
            ValueType::Integer,
            "How many resources were made; 0 where `verify` alone knows that it was done.",
        ),
        output("changed", ValueType::Integer, "How many were changed in place; the same."),
        output("destroyed", ValueType::Integer, "How many were removed; the same."),
    ],
    effect: Effects::Fixed(Effect::Mutating),
    attempts: 3,
    alone: ALONE,
    facts: Facts {
        again: "A lock of the state that somebody else holds: nothing was done then.",
        never: "A stale plan, and what failed while it was applied: what was done until then is in the state, and another run plans the rest.",
        unknown: "When it was killed. Let `verify` plan again, as above: where something is left, the same plan is tried once more, which is refused as stale if a part of it was applied. What is left is planned by another run, or in this one where plan and apply are a block with `repeat: {until: \"iteration.status == 'succeeded'\", max: 3}`.",
        dry: "Shows it; `terraform/plan` before it says what it would do.",
        limits: "What is planned, and nothing else. It has no `timeout` of its own: one that cuts it off leaves a part undone.",
        secrets: "`env` may hold them; the plan has its variables. What terraform says is hidden as a command's log is.",
        more: &[
            ONE_AT_A_TIME,
            LOCKED,
            ("A stale plan", "is refused: the state has changed since the plan was made."),
            (
                "Progress",
                "The log, and so the live picture, says `2 of 7` before what it says of a resource: what is done, and what is planned.",
            ),
        ],
        ..LOOKS
    },
    ..looks(
        "terraform/apply",
        "Applies exactly a plan that was made before.",
        &APPLY_KEYS,
        &APPLY_WITH,
        "  plan: {uses: terraform/plan, with: {dir: infrastructure/network}}
  apply:
    needs: [plan]
    if: steps.plan.outputs.changes
    uses: terraform/apply
    with: {dir: infrastructure/network, plan: \"${{ steps.plan.artifacts['plan'] }}\"}
    verify: {uses: terraform/plan, with: {dir: infrastructure/network, happened: \"!attempt.outputs.changes\"}}
",
    )
};

pub(super) static OUTPUT: Action = Action {
    outputs: &[
        output("values", ValueType::Map, "The outputs of the stack by name, without those that are sensitive."),
        output("sensitive", ValueType::List, "The names of the sensitive ones."),
    ],
    facts: Facts { secrets: "`env` may hold them. Sensitive outputs are named, never read.", ..LOOKS },
    ..looks(
        "terraform/output",
        "Reads the outputs of a stack. Sensitive ones are named, never read.",
        &LOOK_KEYS,
        &OUTPUT_WITH,
        "  read: {uses: terraform/output, with: {dir: infrastructure/network}}\n",
    )
};

pub(super) static DESTROY: Action = Action {
    outputs: &[output(
        "destroyed",
        ValueType::Integer,
        "How many resources were removed; 0 where `verify` alone knows that it was done.",
    )],
    effect: Effects::Fixed(Effect::Destructive),
    alone: ALONE,
    facts: Facts {
        again: "A lock of the state that somebody else holds: nothing was done then.",
        never: "Another workspace than the one that is named, and what failed while it was destroyed: a second run destroys the rest.",
        unknown: "When it was killed. Let `verify` plan the destruction again, as above, with the same variables: where something is left, it is destroyed by a second try.",
        dry: "Shows it; `terraform/plan` with `destroy: true` says what would go.",
        limits: "64 MiB of what terraform says of its plan. It has no `timeout` of its own: one that cuts it off leaves a part.",
        more: &[
            ONE_AT_A_TIME,
            ("Confirmed", "By its `target`, as every step that destroys, and by the workspace that it names."),
            LOCKED,
        ],
        ..PLANS
    },
    ..looks(
        "terraform/destroy",
        "Destroys everything that a stack has made.",
        &DESTROY_KEYS,
        &DESTROY_WITH,
        "  destroy:
    uses: terraform/destroy
    with: {dir: infrastructure/network, confirm_workspace: scratch}
    target: terraform/network/scratch
    verify: {uses: terraform/plan, with: {dir: infrastructure/network, destroy: true, happened: \"!attempt.outputs.changes\"}}
",
    )
};
