//! Every key of the language, described once: what unknown keys are compared with, what is required, and what the
//! reference page says all come from here. Never knows a particular runbook.

use super::relation::Relation;
use super::{step_keys, top_relations};

/// A key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it takes, in words.
    pub takes: &'static str,
    /// What holds when it is not given, in words.
    pub default: &'static str,
    /// Whether it has to be given.
    pub required: bool,
    /// What it is for.
    pub doc: &'static str,
}

/// A map with these keys and no others (but those that begin with `x-`).
#[derive(Debug)]
pub struct Section {
    /// What such a map is, as the rest of "a key of …".
    pub name: &'static str,
    /// Its keys, in groups that sections share.
    pub keys: &'static [&'static [Key]],
    /// What holds between them, in groups that sections share.
    pub relations: &'static [&'static [Relation<'static>]],
    /// Keys that a later version will have, each with what it will be for.
    pub later: &'static [&'static str],
    /// Keys of peers, and how to say it here.
    pub elsewhere: &'static [(&'static str, &'static str)],
}

impl Section {
    /// All keys.
    pub fn all(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().copied().flatten()
    }

    /// The key of a name.
    pub fn find(&self, name: &str) -> Option<&'static Key> {
        self.all().find(|key| key.name == name)
    }
}

/// Every section, in the order of the reference page.
pub const SECTIONS: &[&Section] = &[
    &RUNBOOK,
    &INPUT,
    &OUTPUT,
    &REQUIRES,
    &TOOL,
    &ENDPOINT,
    &ROOM,
    &DEFAULTS,
    &CONCURRENCY,
    &ATTENTION,
    &ROLLBACK,
    &SCHEDULE,
    &MISSED,
    &EXPECT,
    &PREFLIGHT,
    &OBJECTIVE,
    &step_keys::STEP,
    &step_keys::FAIL,
    &step_keys::WAIT,
    &step_keys::PROBE,
    &step_keys::APPROVAL,
    &step_keys::CALL,
    &step_keys::REPEAT,
    &step_keys::CLEANUP,
    &step_keys::RETRY,
    &step_keys::BACKOFF,
    &step_keys::STOP,
];

pub(super) const fn key(name: &'static str, takes: &'static str, default: &'static str, doc: &'static str) -> Key {
    Key { name, takes, default, required: false, doc }
}

pub(super) const fn required(name: &'static str, takes: &'static str, doc: &'static str) -> Key {
    Key { name, takes, default: "", required: true, doc }
}

/// The top of a file.
pub static RUNBOOK: Section = Section {
    name: "a runbook",
    keys: &[&[
        required("name", "an id", "The name, unique in the project. It may differ from the file's."),
        key("description", "text", "none", "What the runbook is for."),
        required("language", "`1`", "The version of the language that the file is written in."),
        key("labels", "a map of ids to text", "none", "Free labels, to filter by."),
        key("inputs", "a map of ids to inputs", "none", "What a start may or must give. Order is kept."),
        key(
            "outputs",
            "a map of ids to outputs",
            "none",
            "What a run that succeeded leaves for the step that started it. Order is kept.",
        ),
        key("requires", "a map", "nothing", "What must be there before the first step starts."),
        key("defaults", "a map", "none", "What every step starts from, unless it says otherwise."),
        key(
            "env",
            "a map of variables to text with `${{ }}`",
            "none",
            "Environment variables of every command, and the values of `${{ env.NAME }}`. May mention `inputs`, `secrets` and `run`.",
        ),
        key(
            "files",
            "a list of paths",
            "none",
            "Files that belong to the definition: relative to the project folder, without `..`. A run uses the copies that were pinned with it.",
        ),
        key(
            "timeout",
            "a duration",
            "none",
            "The bound on the whole run. Waiting in a queue or for a person is not counted.",
        ),
        key(
            "max_parallel",
            "a whole number from 1",
            "no bound of its own",
            "How many attempts of one run may be live together.",
        ),
        key(
            "priority",
            "`high`, `normal` or `low`",
            "`normal`",
            "How early its runs get places, pools, locks and their group where others want them too. A start may say another one.",
        ),
        key(
            "on_failure",
            "`stop`, `continue` or `cancel`",
            "`stop`",
            "What a failed step does to steps that have not begun. `stop`: only those whose `if` accepts failure start. `continue`: branches that do not need the failed step go on. `cancel`: what runs is stopped too.",
        ),
        key(
            "rollback",
            "`manual`, `automatic`, `never`, or a map",
            "`manual`",
            "When what the steps did is compensated. `manual`: when a person asks, once the run is over. `automatic`: when the run does not succeed. `never`: not at all.",
        ),
        key(
            "locks",
            "a list of names with `${{ }}`",
            "none",
            "Named locks, held from the first attempt of the run to its end. May mention `inputs`, `env` and `run`, no secrets.",
        ),
        key("concurrency", "a map", "none", "Which runs exclude each other, and what a start then does."),
        key(
            "objective",
            "a map",
            "none",
            "What its runs are for: that something is backed up often enough, or restored fast enough. `runbook readiness` judges it.",
        ),
        key("attention", "a map", "for ever", "How long a run may wait for a person before the engine decides."),
        key(
            "environments",
            "a list of environments",
            "any, or none",
            "The environments that it may run in: a start in another one, or in none, is refused.",
        ),
        key("schedules", "a map of ids to schedules", "none", "When the runbook starts by itself."),
        key(
            "expect",
            "a map",
            "none",
            "How often runs of it have to succeed, whoever starts them. When that long none has, it is overdue: a finding, and the hook `overdue`.",
        ),
        key(
            "preflight",
            "a map",
            "none",
            "How often it is looked whether it could start, while nobody starts it. What is missing then is a finding until it is there.",
        ),
        required(
            "steps",
            "a map of ids to steps",
            "The steps, at least one. The order of the file is the order of display; `needs` is the order of work.",
        ),
        key(
            "finally",
            "a map of ids to steps",
            "none",
            "Steps that run when all others have ended, however they ended. Written to be run again after a crash.",
        ),
    ]],
    relations: &[top_relations::RUNBOOK],
    later: &[],
    elsewhere: &[
        ("on", "write `schedules:`; other runs are started by `runbook exec` or over the API"),
        ("schedule", "write `schedules: {NAME: {cron: …}}`"),
        ("cron", "write `schedules: {NAME: {cron: …}}`"),
        ("jobs", "write `steps:`"),
        ("tasks", "write `steps:`"),
        ("version", "write `language: 1`"),
        ("variables", "write `env:` or `inputs:`"),
        ("vars", "write `env:` or `inputs:`"),
        ("params", "write `inputs:`"),
        ("parameters", "write `inputs:`"),
        ("secrets", "write `requires: {secrets: [NAME]}`"),
        ("max-parallel", "write `max_parallel:`"),
    ],
};

/// One of `inputs`.
pub static INPUT: Section = Section {
    name: "an input",
    keys: &[&[
        required("type", "`string`, `integer`, `number`, `boolean`, `list` or `map`", "The type of the value."),
        key("required", "`true` or `false`", "`false`", "Whether a start must give it. Excludes `default`."),
        key("default", "a value of the type", "null in expressions", "The value when none is given."),
        key("enum", "a list of values of the type", "any value", "The only values that are taken."),
        key("pattern", "a regular expression", "any text", "What the whole text must match. Strings only."),
        key("minimum", "a number", "none", "The smallest number, or the shortest text (in characters) or list."),
        key("maximum", "a number", "none", "The largest number, or the longest text (in characters) or list."),
        key("secret", "`true` or `false`", "`false`", "Whether the value must never be shown or stored in clear."),
        key(
            "ephemeral",
            "`true` or `false`",
            "`false`",
            "Whether the value is never stored at all: after a restart a person gives it anew, by `runbook provide`. Secrets only.",
        ),
        key("description", "text", "none", "What it is for."),
    ]],
    relations: &[top_relations::INPUT],
    later: &[],
    elsewhere: &[
        ("options", "write `enum:`"),
        ("choices", "write `enum:`"),
        ("values", "write `enum:`"),
        ("min", "write `minimum:`"),
        ("max", "write `maximum:`"),
        ("regex", "write `pattern:`"),
    ],
};

/// One of `outputs` of a runbook.
pub static OUTPUT: Section = Section {
    name: "an output of the runbook",
    keys: &[&[
        required("type", "`string`, `integer`, `number`, `boolean`, `list` or `map`", "The type of the value."),
        required(
            "value",
            "an expression",
            "What it is: worked out when every main step has ended and the run succeeds. May mention `inputs`, `env`, `run` and main steps, no secrets.",
        ),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[("default", "write default(x, v) in `value`"), ("description", "say it in a comment")],
};

/// `requires`.
pub static REQUIRES: Section = Section {
    name: "`requires`",
    keys: &[&[
        key(
            "tools",
            "a list of names, or of `{name, version}`",
            "none",
            "Programs that must be on the daemon's PATH, whatever steps run. What only some steps need stands as `tools` there.",
        ),
        key("secrets", "a list of ids", "none", "Secrets that must resolve; `${{ secrets.NAME }}` takes no others."),
        key("endpoints", "a list of URLs, or of `{url, expect}`", "none", "What must answer the daemon over HTTP."),
        key("disk", "a list of `{path, free}`", "none", "Room that must be left on disks."),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[
        ("files", "write `files:` at the top"),
        ("programs", "write `tools:`"),
        ("urls", "write `endpoints:`"),
    ],
};

/// One of `requires.endpoints`.
pub static ENDPOINT: Section = Section {
    name: "an endpoint",
    keys: &[&[
        required("url", "a URL", "What is asked, by GET: `http://…` or `https://…`."),
        key(
            "expect",
            "a list of statuses, such as `200` or `2xx`",
            "any below 500",
            "The statuses that will do. A redirect is an answer.",
        ),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[("status", "write `expect: [200]`")],
};

/// One of `requires.disk`.
pub static ROOM: Section = Section {
    name: "room on a disk",
    keys: &[&[
        required("path", "text", "A folder that is on that disk, absolute or relative to the project folder."),
        required("free", "a size, such as `5 GiB`", "How much has to be free: in KiB, MiB, GiB or TiB."),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[("size", "write `free:`"), ("min", "write `free:`")],
};

/// One of `tools`.
pub static TOOL: Section = Section {
    name: "a tool",
    keys: &[&[
        required("name", "the name of a program", "The program's name on PATH."),
        key(
            "version",
            "text such as `>=14`",
            "any",
            "A condition on its version: `=`, `>`, `>=`, `<` or `<=`, and a number with dots; several with commas.",
        ),
        key(
            "ask",
            "a list of texts",
            "`[--version]`",
            "The arguments by which it tells its version, such as `[version, --client]` of kubectl.",
        ),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[],
};

/// `defaults`.
pub static DEFAULTS: Section = Section {
    name: "`defaults`",
    keys: &[&[
        key("retry", "a map", "none", "As `retry` of a step. A step's own `retry` replaces it whole."),
        key("timeout", "a duration", "none", "As `timeout` of a step."),
        key(
            "env",
            "a map of variables to text with `${{ }}`",
            "none",
            "Under the `env` of each step, over that of the runbook. May mention what that may.",
        ),
        key("shell", "`sh` or `bash`", "`sh`", "For every `run`, also of `verify`, `on_cancel` and `rollback`."),
        key("stop", "a map", "as `stop`", "As `stop` of a step. A step's own `stop` replaces it whole."),
        key("pool", "an id", "none", "As `pool` of a step, for all steps with attempts of their own."),
    ]],
    relations: &[],
    later: &["working_dir", "env_file", "pass_env"],
    elsewhere: &[("run", "only `retry timeout env shell stop pool` have defaults")],
};

/// `concurrency`.
pub static CONCURRENCY: Section = Section {
    name: "`concurrency`",
    keys: &[&[
        required(
            "group",
            "text with `${{ }}`",
            "Runs whose group is the same text exclude each other. May mention `inputs`, `env` and `run`, no secrets.",
        ),
        key(
            "overlap",
            "`queue`, `skip` or `replace`",
            "`queue`",
            "What a start does while other runs of the group are on: wait for its turn, be refused, or cancel them and wait for their end.",
        ),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[("cancel-in-progress", "write `overlap:`")],
};

/// `objective`.
pub static OBJECTIVE: Section = Section {
    name: "`objective`",
    keys: &[&[
        required(
            "target",
            "text with `${{ }}`",
            "What is backed up, proved or restored. May mention `inputs`, `env` and `run`, no secrets. It means another one in each environment.",
        ),
        key(
            "rpo",
            "a duration",
            "it is no backup",
            "The runs are backups. So old may the newest one be that succeeded, counted from its start.",
        ),
        key("rto", "a duration", "it is no restore", "The runs are restores. So long may one take. Excludes `rpo`."),
        key(
            "drill",
            "`true` or `false`",
            "`false`",
            "The runs restore into something that is thrown away. They prove as `proves` does. Only with `rto`.",
        ),
        key(
            "proves",
            "`true` or `false`",
            "`false`",
            "A run that succeeds proves that the newest backup of the target can be restored: of a backup its own, else the newest from before it.",
        ),
    ]],
    relations: &[top_relations::OBJECTIVE],
    later: &[],
    elsewhere: &[],
};

/// `expect` of a runbook or of a schedule.
pub static EXPECT: Section = Section {
    name: "`expect`",
    keys: &[&[required("every", "a duration", "A run succeeds at least so often, as `25h`; from `1m`.")]],
    relations: &[],
    later: &[],
    elsewhere: &[],
};

/// `preflight`.
pub static PREFLIGHT: Section = Section {
    name: "`preflight`",
    keys: &[&[required("every", "a duration", "So often it is looked, as `6h`; from `1m`.")]],
    relations: &[],
    later: &[],
    elsewhere: &[],
};

/// One of `schedules`.
pub static SCHEDULE: Section = Section {
    name: "a schedule",
    keys: &[&[
        required(
            "cron",
            "a cron rule",
            "When it is due, by the rules of crontab(5): five fields, or `@daily` and its like.",
        ),
        key("timezone", "a time zone", "`UTC`", "The zone of the clock that the rule is about, by its IANA name."),
        key(
            "dst",
            "`cron`, `once`, `real_time`, `skip` or `twice`",
            "`cron`",
            "What becomes of times that a change of the clocks skips or repeats.",
        ),
        key("environment", "an environment", "the project's default", "The environment of its runs."),
        key(
            "inputs",
            "a map of inputs to values",
            "none",
            "The inputs of its runs. All that are required have to be here, or in its environment.",
        ),
        key(
            "confirm",
            "a list of names",
            "none",
            "What its runs may destroy without asking anybody: each `target` as it reads with these inputs.",
        ),
        key(
            "missed",
            "`skip`, `run_once` or `run_all`, or a map",
            "`skip`",
            "What becomes of slots that nobody started in time: nothing, one run for all of them, or a run for each.",
        ),
        key(
            "overlap",
            "`skip`, `queue`, `replace` or `allow`",
            "`skip`",
            "What becomes of a slot while another run of the group is on (without a group, of the runbook): it is left out, its run waits for its turn, the other run is canceled first, or both run.",
        ),
        key(
            "jitter",
            "a duration",
            "none",
            "Spreads schedules of one rule: each is later by its own share of this, the same one every time.",
        ),
        key("start_deadline", "a duration", "`5m`", "How late a slot is still on time. One that is later was missed."),
        key(
            "expect",
            "a map",
            "a success before the second slot without one is over",
            "How often its runs have to succeed. When that long none has, it is overdue: a finding, and the hook `overdue`.",
        ),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[
        ("schedule", "write `cron:`"),
        ("rule", "write `cron:`"),
        ("every", "write `cron:`, such as \"*/15 * * * *\""),
        ("tz", "write `timezone:`"),
        ("zone", "write `timezone:`"),
        ("concurrencyPolicy", "write `overlap:`"),
        ("startingDeadlineSeconds", "write `start_deadline:`"),
        ("catchup", "write `missed:`"),
        ("with", "write `inputs:`"),
    ],
};

/// `missed` with its bounds.
pub static MISSED: Section = Section {
    name: "`missed`",
    keys: &[&[
        required("policy", "`skip`, `run_once` or `run_all`", "What becomes of slots that nobody started in time."),
        key("window", "a duration", "`1d`", "How late a slot may be to be made up for."),
        key("max", "a whole number from 1", "`10`", "How many `run_all` makes up for at most: the latest ones."),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[("cap", "write `max:`"), ("limit", "write `max:`"), ("within", "write `window:`")],
};

/// `attention`.
pub static ATTENTION: Section = Section {
    name: "`attention`",
    keys: &[&[
        required("after", "a duration", "How long the run waits for a person."),
        required(
            "as",
            "`failed` or `succeeded`",
            "What every unknown step then counts as. Never applied while processes may be running.",
        ),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[],
};

/// `rollback` of a runbook.
pub static ROLLBACK: Section = Section {
    name: "a rollback policy",
    keys: &[&[
        key("policy", "`manual`, `automatic` or `never`", "`manual`", "When what the steps did is compensated."),
        key(
            "of",
            "`succeeded` or `started`",
            "`succeeded`",
            "Which steps are compensated: those that succeeded, or all that have started, whatever came of them.",
        ),
    ]],
    relations: &[],
    later: &[],
    elsewhere: &[
        ("run", "what compensates a step stands in the step's own `rollback:`"),
        ("argv", "what compensates a step stands in the step's own `rollback:`"),
    ],
};
