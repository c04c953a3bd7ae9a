//! `notify/*`: people are told something.

use super::{Action, Carried, Effects, Facts, Initialised, Key, Output, Takes, key, output, required, section};
use crate::definition::{DryRun, Effect, Stop, StopSignal, StopTo, ValueType};
use crate::language::relation::Is::{Given, Not, Word};
use crate::language::relation::{Relation, refuses};
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
    relations: &[],
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
    relations: &[],
    later: &[],
    elsewhere: &[("body", "write `json:`"), ("payload", "write `json:`")],
};

const TLS: &[&str] = &["starttls", "implicit", "none"];

const EMAIL_KEYS: [Key; 12] = [
    required("server", Takes::Text, "The mail server: a name or an address."),
    key(
        "port",
        Takes::Whole(1, 65_535),
        "`587`; with `tls: implicit` `465`, with `tls: none` `25`",
        "Its port for messages that are handed in.",
    ),
    key(
        "tls",
        Takes::Word(TLS, "`starttls`, `implicit` or `none`"),
        "`starttls`",
        "How the talk is kept secret. `starttls`: from its beginning on, and not at all where the server does not offer that. `implicit`: before its first word. `none`: not, which is for a server on this machine.",
    ),
    key("ca", Takes::Path, "those of the system", "A PEM file of the only certificate authorities that are trusted."),
    key("user", Takes::Hidden, "none", "With `password`: as whom the message is handed in. Never with `tls: none`."),
    key("password", Takes::Hidden, "none", "With `user`."),
    required("from", Takes::Text, "From whom it is: `ops@example.org`, or `Operations <ops@example.org>`."),
    required("to", Takes::List, "Whom it is for, 50 at most."),
    required("subject", Takes::Text, "What it is about, in one line of 500 bytes at most."),
    required("text", Takes::Text, "What they are told: plain text, 256 KiB at most."),
    KEY,
    QUIET,
];
static EMAIL_SECTION: [schema::Key; EMAIL_KEYS.len()] = section(&EMAIL_KEYS);
const WITH_TLS: &str = "write `tls: starttls` or `tls: implicit`, or leave it out";
const EMAIL_RELATIONS: &[Relation<'static>] = &[
    refuses(&[Not(&Given(&["password"]))], &["user"], "`user` means nothing without `password`", "add `password:`"),
    refuses(&[Not(&Given(&["user"]))], &["password"], "`password` means nothing without `user`", "add `user:`"),
    refuses(
        &[Word("tls", &["none"])],
        &["password"],
        "with `tls: none` everybody on the way could read the password",
        WITH_TLS,
    ),
    refuses(&[Word("tls", &["none"])], &["ca"], "with `tls: none` no certificate is looked at", WITH_TLS),
];
static EMAIL_WITH: Section = Section {
    name: "`with` of `uses: notify/email`",
    keys: &[&EMAIL_SECTION],
    relations: &[EMAIL_RELATIONS],
    later: &[],
    elsewhere: &[
        ("host", "write `server:`"),
        ("smtp", "write `server:`"),
        ("username", "write `user:`"),
        ("body", "write `text:`"),
        ("message", "write `text:`"),
        ("html", "write `text:`: messages are plain text"),
        ("cc", "name them in `to:`"),
        ("bcc", "send them a message of their own"),
    ],
};

const NOT_FATAL: (&str, &str) = ("A failure", "does not fail the run, unless the step says `allow_failure: false`.");
const FACTS: Facts = Facts {
    again: "As a request of `http` that may be repeated: somebody may be told twice where an answer was lost.",
    never: "As for a request of `http`: an answer that says no, and a server that is not trusted.",
    unknown: "With `effect: mutating` alone: where the answer was lost. Else it is told once more.",
    cancel: "Drops the connection. A server that has the whole message tells it all the same.",
    dry: "Shows it: such an address cannot be asked without telling somebody.",
    limits: "The message has what its texts have; of the answer nothing is kept but a few lines in the log.",
    secrets: "The address is one: it is shown nowhere. What else the table says may be secret is hidden in the log.",
    more: &[NOT_FATAL],
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
        alone: &[],
        reads: &[],
        drift: None,
        beside: &[],
        facts: FACTS,
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

pub(super) static EMAIL: Action = Action {
    dry_run: DryRun::Ask,
    reads: &["ca"],
    facts: Facts {
        again: "No connection, one that broke, and answers of the server that say so (4xx). Somebody may be told twice where the answer to the whole message was lost; its `Message-ID` is the same then.",
        never: "What the server refuses (5xx), a certificate that is not trusted, a server that does not offer what `tls` says. Where it refuses one of the recipients, nobody gets the message.",
        unknown: "With `effect: mutating` alone: where the answer to the whole message was lost. It is not sent again by itself then.",
        cancel: "Drops the connection. A server that has the whole message delivers it all the same.",
        dry: "Asks the server whether it answers, can be trusted and takes user and password, and hands no message in. `told` is false.",
        limits: "50 recipients, 500 bytes of a subject, 256 KiB of text.",
        secrets: "User and password, and never without TLS. The message is plain text for people, and takes none.",
        more: &[NOT_FATAL],
    },
    ..tells(
        "notify/email",
        "Tells people something by a message to a mail server (SMTP), once for each key.",
        &EMAIL_KEYS,
        &EMAIL_WITH,
        "  tell:
    uses: notify/email
    with:
      server: mail.example.org
      user: runbook
      password: \"${{ secrets.smtp_password }}\"
      from: \"Operations <ops@example.org>\"
      to: [night@example.org]
      subject: \"run ${{ run.number }} of ${{ run.runbook }} has begun\"
      text: \"Follow it by: runbook watch ${{ run.uid }}\"
",
    )
};
