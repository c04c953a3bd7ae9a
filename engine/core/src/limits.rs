//! Every bound of the language and of the core, in one place. A bound names its unit at the end.

/// A runbook file, in bytes.
pub const FILE_BYTES: usize = 8 << 20;
/// How deep YAML collections may be nested in each other.
pub const YAML_DEPTH: usize = 64;
/// YAML nodes in one file, aliases counted by what they expand to.
pub const YAML_NODES: usize = 2_000_000;
/// Steps of a runbook, `finally` included.
pub const STEPS: usize = 50_000;
/// The needs of one step.
pub const NEEDS: usize = 10_000;
/// The characters of an id.
pub const ID_LENGTH: usize = 63;
/// The inputs of a runbook.
pub const INPUTS: usize = 256;
/// The values of an environment.
pub const ENVIRONMENT_VALUES: usize = 1_000;
/// What an environment gives for inputs.
pub const ENVIRONMENT_INPUTS: usize = 1_000;
/// The windows of the week in which runs may be started in an environment.
pub const ENVIRONMENT_WINDOWS: usize = 100;
/// The freezes of an environment.
pub const ENVIRONMENT_FREEZES: usize = 1_000;
/// The source of one expression, in bytes.
pub const EXPRESSION_BYTES: usize = 1_024;
/// The depth of one expression's tree.
pub const EXPRESSION_DEPTH: usize = 64;
/// How many comprehensions (`all`, `exists`, `map`, `filter`) may be nested in each other.
pub const EXPRESSION_COMPREHENSIONS: usize = 2;
/// A script under `run:`, in bytes (the kernel takes no single argument above 128 KiB).
pub const SCRIPT_BYTES: usize = 96 << 10;
/// A value bound to an environment variable or an argument, in bytes.
pub const ARGUMENT_BYTES: usize = 32 << 10;
/// Arguments and environment of one command together, in bytes.
pub const COMMAND_BYTES: usize = 1 << 20;
/// The value of one input, as JSON, in bytes.
pub const INPUT_BYTES: usize = 256 << 10;
/// One output of a step, in bytes.
pub const OUTPUT_BYTES: usize = 256 << 10;
/// All that a step may write to `$RUNBOOK_OUTPUT`, in bytes.
pub const OUTPUTS_BYTES: usize = 1 << 20;
/// The outputs that one step may declare.
pub const OUTPUTS: usize = 256;
/// The artifacts that one step may declare.
pub const ARTIFACTS: usize = 256;
/// `retry.attempts`.
pub const RETRY_ATTEMPTS: u32 = 1_000;
/// The longest duration that the language takes, in days.
pub const DURATION_DAYS: i64 = 366;
/// A reason given by a person, in bytes.
pub const REASON_BYTES: usize = 4 << 10;
/// A request id, in bytes (AIP-155 recommends a UUID).
pub const REQUEST_ID_BYTES: usize = 128;
/// Findings reported for one file; the rest are counted.
pub const FINDINGS: usize = 200;
/// Locks of a runbook.
pub const LOCKS: usize = 64;
/// A lock's or a group's name once rendered, in bytes.
pub const LOCK_NAME_BYTES: usize = 256;
/// The name of what a destructive step destroys, once rendered, in bytes.
pub const TARGET_BYTES: usize = 256;
/// How often `verify` is asked about one attempt.
pub const VERIFY_TRIES: u32 = 3;
/// How often `on_cancel` is tried for one attempt.
pub const ON_CANCEL_TRIES: u32 = 3;
/// How often the compensation of a step is tried.
pub const ROLLBACK_TRIES: u32 = 3;
/// Runs that are not terminal, in one daemon.
pub const ACTIVE_RUNS: usize = 100_000;
/// How deep blocks may stand in each other.
pub const BLOCK_DEPTH: usize = 8;
/// What is said at the top of a file, for all blocks of it together, in bytes.
pub const BLOCKS_BYTES: usize = 32 << 20;
/// What a block takes along from around it, as JSON, in bytes.
pub const TAKEN_BYTES: usize = 1 << 20;
/// The items of one `for_each`.
pub const ITEMS: usize = 50_000;
/// The items of one `for_each`, as JSON, in bytes.
pub const ITEMS_BYTES: usize = 8 << 20;
/// What the blocks or runbooks of all items of one `for_each`, or all iterations of one `repeat`, take along or are given, as
/// JSON, in bytes.
pub const ITEMS_TAKEN_BYTES: usize = 64 << 20;
/// The outputs of all items of one `for_each`, as JSON, in bytes.
pub const GATHERED_BYTES: usize = 4 << 20;
/// `repeat.max`: the iterations of one step.
pub const ITERATIONS: u32 = 1_000;
/// The shortest `repeat.every`, in seconds.
pub const ITERATION_GAP_SECONDS: i64 = 1;
/// How deep runbooks may start runbooks: the levels below the one at the top.
pub const CHILD_DEPTH: u32 = 8;
/// How deep runs may start runs, those of blocks too: the levels below the run at the top.
pub const RUN_DEPTH: u32 = 100;
/// Child runs in one tree of runs, over all its epochs.
pub const CHILD_RUNS: usize = 100_000;
/// A text in an event that tells why something happened, in bytes.
pub const MESSAGE_BYTES: usize = 2 << 10;
/// The default time limit of `finally` steps, `on_cancel`, `verify` and `rollback`, in seconds.
pub const CLEANUP_TIMEOUT_SECONDS: i64 = 600;
/// The default time limit of one probe of a wait, in seconds.
pub const PROBE_TIMEOUT_SECONDS: i64 = 60;
/// What an approval tells the approvers, once rendered, in bytes.
pub const APPROVAL_BYTES: usize = 16 << 10;
/// The approvals that one step may take.
pub const APPROVALS: i64 = 100;
/// The roles that one approval may name, and the fields that it may have.
pub const APPROVAL_ITEMS: usize = 64;
/// How often a wait probes at most: `for` divided by `every`.
pub const PROBES: i64 = 10_000;
/// The default grace between the stop signal and KILL, in seconds.
pub const STOP_GRACE_SECONDS: i64 = 30;
/// The longest grace, in seconds.
pub const STOP_GRACE_MAX_SECONDS: i64 = 3_600;
/// A path in a definition (a listed file, an artifact), in bytes.
pub const PATH_BYTES: usize = 1_024;
/// `retry.backoff.factor`.
pub const BACKOFF_FACTOR: i64 = 1_000;
/// The compiled size of an input's `pattern`, in bytes.
pub const PATTERN_COMPILED_BYTES: usize = 1 << 20;
/// All scalars of one YAML file with aliases counted by what they expand to, in bytes.
pub const YAML_TEXT_BYTES: usize = 32 << 20;
/// What `defaults` adds to all steps together, in bytes.
pub const DEFAULTS_BYTES: usize = 32 << 20;
/// The secrets that a runbook may list.
pub const SECRETS: usize = 256;
/// The tools that a runbook may list.
pub const TOOLS: usize = 256;
/// Arguments by which a tool tells its version.
pub const TOOL_ARGUMENTS: usize = 8;
/// The endpoints that a runbook may list.
pub const ENDPOINTS: usize = 64;
/// The disks on which a runbook may want room.
pub const DISKS: usize = 64;
/// A URL that a runbook lists, in bytes.
pub const URL_BYTES: usize = 2 << 10;
/// The files that a runbook may list.
pub const FILES: usize = 4_096;
/// The text of a cron rule, in bytes.
pub const CRON_RULE_BYTES: usize = 1_024;
/// The last year in which a slot can lie: RFC 3339 has four digits.
pub const SLOT_YEAR: i64 = 9_999;
/// The schedules of a runbook.
pub const SCHEDULES: usize = 1_000;
/// The names that one schedule may confirm.
pub const SCHEDULE_CONFIRMS: usize = 100;
/// How late a slot is still on time unless its schedule says otherwise, in seconds.
pub const START_DEADLINE_SECONDS: i64 = 300;
/// How late a missed slot may be to be made up for unless its schedule says otherwise, in hours.
pub const MISSED_WINDOW_HOURS: i64 = 24;
/// The missed slots that `run_all` makes up for unless its schedule says otherwise.
pub const MISSED_DEFAULT: u32 = 10;
/// The missed slots that a schedule may make up for at once.
pub const MISSED_MOST: u32 = 100;
/// How far ahead of now slots may be accounted for, in hours. Where they are further, the clock was wrong, and the schedule
/// begins anew instead of being silent until then.
pub const CLOCK_AHEAD_HOURS: i64 = 24;
/// How far apart slots that ran may be to belong to one stretch, in minutes.
pub const STRETCH_GAP_MINUTES: i64 = 60;
/// The stretches of slots that ran that are known of a schedule. Where there are more, the two closest become one.
pub const STRETCHES: usize = 32;
/// The missed slots that one call runs again.
pub const CAUGHT_UP: usize = 100;
/// Schedules that the machine looks at in one turn; the others follow in the next one, at once.
pub const SCHEDULES_A_TURN: usize = 2_000;
/// How far ahead a run may begin, in days.
pub const BEGIN_DAYS: i64 = 3_650;
/// The body of an answer that an `http` step keeps as a file, in bytes.
pub const HTTP_FILE_BYTES: i64 = 64 << 30;
/// The same, unless the step says otherwise.
pub const HTTP_FILE_DEFAULT_BYTES: i64 = 1 << 30;
/// The redirects that an `http` step may follow.
pub const HTTP_REDIRECTS: i64 = 20;
/// The recipients of a message that `notify/email` sends.
pub const MAIL_RECIPIENTS: usize = 50;
/// An address, or what else stands in a line of the head of such a message, in bytes.
pub const MAIL_LINE_BYTES: usize = 500;
/// The text of such a message, in bytes.
pub const MAIL_TEXT_BYTES: usize = 256 << 10;
/// The longest wait before the next try that the other side may ask for, in seconds.
pub const RETRY_AFTER_SECONDS: i64 = 3_600;
/// The events of one rehearsal.
pub const REHEARSAL_EVENTS: usize = 500_000;
/// The events of the rehearsals that one request asks for, after which no further one begins.
pub const REHEARSALS_EVENTS: usize = 2_000_000;
/// The steps of a tree whose failures one request rehearses, and among which a step is looked for that is not where it was named.
pub const REHEARSED_PLACES: usize = 2_000;
/// The scenarios of one file.
pub const SCENARIOS: usize = 1_000;
/// What a look on a timer found missing that is kept; more is counted.
pub const PREFLIGHT_MISSING: usize = 100;
/// The same, in bytes.
pub const PREFLIGHT_BYTES: usize = 8 << 10;
/// How long it is known how targets stood, in days.
pub const VERDICT_DAYS: i64 = 90;
/// The changes of the verdict about one target that are known. Where there are more, the oldest goes.
pub const VERDICT_CHANGES: usize = 500;
/// The targets of which it is known how they stood. Others are not told of.
pub const VERDICT_TARGETS: usize = 500;
/// Why a target stood as it did, in bytes; the gravest reasons come first.
pub const VERDICT_BYTES: usize = 2 << 10;
/// The gaps between backups that are told of a target, the newest; others are counted.
pub const GAPS: usize = 20;
/// The stacks of which it is known what differs. Where there are more, the one that was looked at longest ago goes.
pub const DRIFT_STACKS: usize = 200;
/// The differences of one stack that are known by their addresses; others are counted.
pub const DRIFT_DIFFERENCES: usize = 1_000;
/// A stack that nobody looked at for so long is forgotten once a new one comes, in days.
pub const DRIFT_KEPT_DAYS: i64 = 400;
/// The name of a stack, of its source and of its workspace, in bytes each.
pub const DRIFT_STACK_BYTES: usize = 512;
/// The address of a difference, in bytes.
pub const DRIFT_ADDRESS_BYTES: usize = 1_024;
/// The names of what differs of one address, in bytes; others are counted.
pub const DRIFT_ATTRIBUTES_BYTES: usize = 4 << 10;

/// A message that is kept, cut to [`MESSAGE_BYTES`] at the end of a character.
pub(crate) fn fit(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
    message
}
