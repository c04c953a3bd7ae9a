//! The stable names of everything that can be wrong with a runbook, in one table.
//!
//! A code is part of the interface: people filter on it and look it up. It is never renamed and never given
//! another meaning. Never knows a particular runbook.

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The runbook is refused.
    Error,
    /// The runbook is taken, and may do something else than its author meant.
    Warning,
}

impl Severity {
    /// The word in messages.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

macro_rules! codes {
    ($($variant:ident $severity:ident $text:literal $explanation:literal)+) => {
        /// The kind of a finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $explanation] $variant,)+
        }

        impl Code {
            /// Every code, in the order of the reference page.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable name, such as `unknown-key`.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)+ }
            }

            /// What it means, why it is refused, and what to do: one paragraph.
            pub const fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $explanation,)+ }
            }
        }
    };
}

codes! {
    FileTooLarge Error "file-too-large"
    "The file is larger than a runbook may be. Data belongs into files of its own, listed under `files:`."
    UnreadableFile Error "unreadable-file"
    "A file or a folder that cannot be read: nothing is there, no permission, a pipe or a device, or more of them than are looked at. Nothing is known of what it holds."
    NoRunbooks Error "no-runbooks"
    "A folder to check without any .yaml or .yml file. Its name may be mistaken, and then a check that finds nothing wrong has looked at nothing."
    Configuration Error "configuration"
    "Something in the daemon's configuration, which `runbookd check --config` looks at, is wrong: a key, a value, or a runbook under `on:` that is not there or cannot take what it would be told. `docs/configuration.md` says how it is written."
    NotUtf8 Error "not-utf8"
    "The file is not UTF-8 text. Save it as UTF-8."
    InvalidYaml Error "invalid-yaml"
    "The file is not YAML 1.2."
    EmptyDocument Error "empty-document"
    "The file holds no YAML document. A runbook begins with `name`, `language` and `steps`."
    SeveralDocuments Error "several-documents"
    "The file holds more than one YAML document. A file is one runbook: split it at the `---`."
    NestedTooDeep Error "nested-too-deep"
    "Lists and maps are nested deeper than any runbook needs."
    TooManyNodes Error "too-many-nodes"
    "The file has too many YAML nodes. An alias (`*name`) counts as all that it stands for."
    AliasInItself Error "alias-in-itself"
    "An alias stands inside the very node that its anchor names, which has no end."
    DuplicateKey Error "duplicate-key"
    "A key occurs twice in one map. One of the two would be lost in silence."
    MergeKey Error "merge-key"
    "The merge key `<<` is not part of YAML 1.2. Use `defaults:`, or an alias for a whole value."
    YamlTag Error "yaml-tag"
    "A tag such as `!name` or `!!str` changes what a value is. Runbooks use none; quote a value to make it text."
    KeyNotText Error "key-not-text"
    "A key is a list or a map. Keys are names."
    ReadersDisagree Error "readers-disagree"
    "Two independent YAML readers do not see the same document. What such a file means depends on the program that reads it, so it is refused; write the place in a simpler way."
    UnknownKey Error "unknown-key"
    "A key that this place does not have. Nothing would ever read it. Keys that begin with `x-` are free."
    UnsupportedKey Error "unsupported-key"
    "A key of the language that this version does not support yet."
    MissingKey Error "missing-key"
    "A key that must be there is missing."
    WrongType Error "wrong-type"
    "A value of another type than the key wants, such as a list where text is wanted. YAML 1.2 decides: `yes` and `on` are text, `1.10` is a number unless it is quoted."
    UnknownValue Error "unknown-value"
    "A word that is none of those that the key takes."
    InvalidLanguage Error "invalid-language"
    "The version of the language that the file is written in is not one that this program reads."
    InvalidId Error "invalid-id"
    "A name or an id with a character that it may not have, or too long. It becomes part of paths, names and expressions."
    OutOfRange Error "out-of-range"
    "A number or a duration outside of what the key takes."
    OverLimit Error "over-limit"
    "More of something than a runbook may have; the message names the limit and the size."
    InvalidDuration Error "invalid-duration"
    "A text that is no duration. A duration is whole numbers with units, largest first: `1h30m`, `90s`, `250ms`, `7d`."
    InvalidTime Error "invalid-time"
    "A text that is no time. A time is written as RFC 3339 has it: `2026-12-01T08:00:00Z`, or with an offset such as `+01:00` for the `Z`."
    InvalidVariable Error "invalid-variable"
    "A name that no environment variable can have, or one that begins with `RUNBOOK_`, which the engine sets itself."
    InvalidPath Error "invalid-path"
    "A path that is absolute, has `..` or an empty part, or a name with a slash where a plain file name is wanted. It would reach outside of where it belongs."
    InvalidVersion Error "invalid-version"
    "A text that is no condition on a version. A condition is `=`, `>`, `>=`, `<` or `<=` and a number with dots; several are joined by commas: `>=14,<17`."
    NulCharacter Error "nul-character"
    "A NUL character in something that is given to a program. No argument and no variable can hold one."
    InvalidPattern Error "invalid-pattern"
    "A `pattern` that is no regular expression."
    InvalidDefault Error "invalid-default"
    "A `default` or an `enum` value that the input itself would refuse."
    ConflictingKeys Error "conflicting-keys"
    "Two keys that exclude each other, or a key that means nothing without another."
    NoSteps Error "no-steps"
    "A runbook without a step does nothing."
    DuplicateStep Error "duplicate-step"
    "The same id in `steps` and in `finally`. An id names one step of the runbook."
    UnknownStep Error "unknown-step"
    "A step that the runbook does not have, in `needs` or in an expression."
    NeedsItself Error "needs-itself"
    "A step that needs itself never starts."
    DuplicateItem Error "duplicate-item"
    "The same thing twice in one list."
    NeedsAcross Error "needs-across"
    "Steps of `finally` run when all others have ended: a main step cannot need one, and a `finally` step needs no main step, since it runs after them in any case."
    WrongUndo Error "wrong-undo"
    "`undoes` on a main step, or for a step of `finally`: what main steps did is undone in `finally`."
    Cycle Error "cycle"
    "Steps that need each other in a circle never start."
    InvalidExpression Error "invalid-expression"
    "What stands in `${{ }}`, `if`, `success`, `unknown_if`, `retry.if` or `repeat.until` is no valid expression."
    UnknownReference Error "unknown-reference"
    "An expression that mentions an input, a variable, a field or a function that does not exist."
    NotHere Error "not-here"
    "Something that exists, but has no value at this place: `exit_code` outside of `success`, `unknown_if`, `retry.if` and a probe's `until` and `fail_if`, `iteration` outside of a step with `repeat`, `attempt.outputs` outside of a probe, `verify`, `on_cancel` and `rollback`, a step's results in what is settled before the first step starts."
    UndeclaredOutput Error "undeclared-output"
    "An output that its step does not declare under `outputs`."
    UndeclaredArtifact Error "undeclared-artifact"
    "An artifact that its step does not declare under `artifacts`."
    NotUpstream Error "not-upstream"
    "A reference to a step that need not have ended when this one starts. Add it to `needs`."
    ExpressionType Error "expression-type"
    "An expression of a type that the operator, the function or the place does not take."
    PossibleNull Error "possible-null"
    "A value that can be missing when it is wanted: an output of a step that may have failed or been skipped. Say what holds then: `default(x, v)`."
    SecretShown Error "secret-shown"
    "A secret at a place where it would be stored or seen: arguments are in the process list, conditions and names in the journal. Secrets go into `env`, `stdin` and `files`."
    UndeclaredSecret Error "undeclared-secret"
    "A secret that is not listed under `requires.secrets`, so that nobody would learn before the step that it is missing."
    ExpressionInScript Error "expression-in-script"
    "`${{ }}` inside `run`. Data must never become code: give the value as an environment variable and use that in the script."
    NoTarget Error "no-target"
    "A destructive step that does not say what it destroys."
    LateTarget Error "late-target"
    "A `target` that is known only while the run is on: who starts the run confirms by this name what is destroyed. Make it of `inputs` and `env`, or let an approval come before the step."
    ApprovalInFinally Error "approval-in-finally"
    "An approval in `finally`, which runs by itself however a run ended, at night too, and has to come to its end."
    UnknownRunbook Error "unknown-runbook"
    "A runbook that a step starts and that is not in the project. What a run starts is pinned with it, so it must be there."
    BrokenRunbook Error "broken-runbook"
    "A runbook that a step starts and that has errors itself. Its own findings say which."
    Recursion Error "recursion"
    "Runbooks that start each other in a circle: a run of one would never end."
    UnaskedDestruction Error "unasked-destruction"
    "A step that starts a runbook which destroys something, where nobody is asked before. Who starts a run confirms what its own steps destroy."
    UnknownInput Error "unknown-input"
    "An input that the runbook which a step starts does not have."
    MissingInput Error "missing-input"
    "An input that the runbook which a step starts requires, and that the step does not give."
    InvalidInput Error "invalid-input"
    "A value that the runbook which a step starts would refuse."
    InvalidCron Error "invalid-cron"
    "A text that is no rule of crontab(5). A rule has five fields, minute, hour, day of the month, month and day of the week, such as `30 2 * * 1-5`, or is `@daily` or one of its like."
    NeverDue Error "never-due"
    "A cron rule that is never due, such as the 31st of February. A schedule with it would be one in name only."
    UnknownZone Error "unknown-zone"
    "A name that no time zone of the IANA database has."
    ScheduleInput Error "schedule-input"
    "A schedule whose inputs a start would refuse: every night would find that out anew."
    Unconfirmed Error "unconfirmed"
    "A schedule that destroys something, without an approval that comes before and without naming it under `confirm`: nobody is there at night to be asked."
    UnknownEnvironment Error "unknown-environment"
    "An environment that the project does not have, in a schedule or under `environments`. Each is a file in the folder `environments` below `runbooks/`."
    NoEnvironment Error "no-environment"
    "A schedule whose runbook needs an environment and gets none, or may not run in the one that it gets."
    EnvironmentInput Error "environment-input"
    "A value under `inputs` of an environment that an input of this name does not take. Starts of the runbook in this environment are refused."
    AmbiguousName Error "ambiguous-name"
    "A name under `values` of an environment that is also that of an input. Which of the two a reader means would be a guess, so starts of the runbook in this environment are refused."
    UnknownPool Error "unknown-pool"
    "A pool that the daemon's configuration does not have. A step in it would wait for a place for ever. Pools stand under `pools` in `runbookd.yaml`."
    UnknownRole Warning "unknown-role"
    "A role that nobody has. What only those with it may approve would wait until it is canceled, and what only they may start is never started. Roles stand under `roles` in `runbookd.yaml`."
    InvalidHours Error "invalid-hours"
    "A text that is no window of the week. One has days and times, such as `mon-fri 09:00-17:00`."
    SeveralDefaults Error "several-defaults"
    "Two environments that both say `default: true`. Where a run is started that names none must not be a guess."
    DuplicateName Error "duplicate-name"
    "Two files with runbooks, or with environments, of the same name. Names are unique in the project: which of them a start means would be a guess, so all of them are refused."
    MissingFile Error "missing-file"
    "A file under `files:` that is not there, cannot be read or is too large. Its path is relative to the project's folder, the one that holds `runbooks/`."
    ScenarioRunbook Error "scenario-runbook"
    "A file of scenarios that is about a runbook which is not there, or not good."
    ScenarioInput Error "scenario-input"
    "A scenario with inputs that a start of its runbook would refuse."
    PointlessRepeat Error "pointless-repeat"
    "An `until` that is the same after every iteration, or that can hold only of iterations that failed: the step would fail in any case, or do its work once."
    PipeUnderSh Warning "pipe-under-sh"
    "A pipe in a script for plain sh: only the last command of the pipe decides, so a failure of the others goes unnoticed. `shell: bash` sets pipefail."
    PointlessVerify Warning "pointless-verify"
    "`verify` on a step that may simply be repeated is never asked."
    UnreachableStep Warning "unreachable-step"
    "An `if` that can never hold, whatever comes of the steps before: the step never runs."
    PointlessWhenSkipped Warning "pointless-when-skipped"
    "`when_skipped: go_on` on a step that is skipped only when something failed, so that it is never asked."
    NoTimeout Warning "no-timeout"
    "A command without any timeout in a runbook that a schedule starts. Where it hangs nobody ends it, and later slots are left out."
    NoVerify Warning "no-verify"
    "A mutating or destructive step without `verify` in a runbook that a schedule starts. After it was cut off nobody knows what it did, and its run waits for a person."
    NoSuchInput Warning "no-such-input"
    "A name under `inputs` of an environment that no runbook has an input of: nothing will ever be given it."
    UnusedInput Warning "unused-input"
    "An input that nothing in the runbook mentions."
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.text())
    }
}

impl std::str::FromStr for Code {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.text() == text).ok_or(())
    }
}
