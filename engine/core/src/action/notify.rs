//! `notify/*`: people are told something.

use super::{Action, Carried, Effects, Initialised, Key, Output, Takes, key, output, required, section};
use crate::definition::{DryRun, Effect, Stop, StopSignal, StopTo, ValueType};
use crate::language::schema::{self, Section};
use crate::time::Span;

const KEY: Key = key(
    "key",
    Takes::Text,
    "the run and the step",
    "What is told is told once for each key: in all tries and resumes, and by whichever run, until `quiet` is over.",
);
const QUIET: Key = key("quiet", Takes::Duration, "`1d`", "How long the same key is not told again.");
const TEXT: Key = required(
    "text",
    Takes::Text,
    "What they are told. Data stays data: no character of it makes a link or calls anybody.",
);

static TOLD: [Output; 1] =
    [output("told", ValueType::Boolean, "Whether it was told; false where the key was told before.")];

const SLACK_KEYS: [Key; 4] =
    [required("url", Takes::Hidden, "The address of an incoming webhook of Slack: a secret."), TEXT, KEY, QUIET];
static SLACK_SECTION: [schema::Key; SLACK_KEYS.len()] = section(&SLACK_KEYS);
static SLACK_WITH: Section = Section {
    name: "`with` of `uses: notify/slack`",
    keys: &[&SLACK_SECTION],
    later: &[],
    elsewhere: &[
        ("message", "write `text:`"),
        ("webhook", "write `url:`"),
        ("webhook_url", "write `url:`"),
        ("channel", "an incoming webhook belongs to one channel: use the webhook of that one"),
    ],
};

const WEBHOOK_KEYS: [Key; 5] = [
    required("url", Takes::Hidden, "Where the message goes."),
    required("json", Takes::Tree, "The message, as JSON."),
    key("headers", Takes::Texts, "none", "Headers of the request."),
    KEY,
    QUIET,
];
static WEBHOOK_SECTION: [schema::Key; WEBHOOK_KEYS.len()] = section(&WEBHOOK_KEYS);
static WEBHOOK_WITH: Section = Section {
    name: "`with` of `uses: notify/webhook`",
    keys: &[&WEBHOOK_SECTION],
    later: &[],
    elsewhere: &[("body", "write `json:`"), ("payload", "write `json:`")],
};

const fn tells(
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
        outputs: &TOLD,
        artifacts: &[],
        effect: Effects::Fixed(Effect::Idempotent),
        dry_run: DryRun::Skip,
        carried: Carried::Inside,
        stop: Stop { signal: StopSignal::Term, to: StopTo::Leader, grace: Span::ZERO },
        timeout: Some(Span::seconds(30)),
        attempts: 4,
        allow_failure: true,
        program: None,
        initialised: Initialised::Whatever,
        drift: None,
        beside: &[],
        notes: &[
            ("A failure", "does not fail the run, unless the step says `allow_failure: false`."),
            (
                "Tried again",
                "As a request of `http` that may be repeated: somebody may be told twice where an answer was lost.",
            ),
            ("A dry run", "Shows it."),
        ],
        example,
    }
}

pub(super) static SLACK: Action = tells(
    "notify/slack",
    "Tells a channel of Slack something, once for each key.",
    &SLACK_KEYS,
    &SLACK_WITH,
    "  tell:
    uses: notify/slack
    with:
      url: \"${{ secrets.hook }}\"
      text: \"run ${{ run.number }} of ${{ run.runbook }} has begun\"
",
);

pub(super) static WEBHOOK: Action = tells(
    "notify/webhook",
    "Tells a program something by a POST with JSON, once for each key.",
    &WEBHOOK_KEYS,
    &WEBHOOK_WITH,
    "  tell:
    uses: notify/webhook
    with:
      url: \"${{ secrets.hook }}\"
      json: {run: \"${{ run.number }}\", runbook: \"${{ run.runbook }}\"}
      key: \"begun/${{ run.runbook }}\"
      quiet: 1h
",
);
