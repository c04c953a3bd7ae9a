//! `http`: one request and its answer.

use super::{
    Action, Artifact, Carried, Effects, Facts, Initialised, Key, Output, Takes, key, output, required, section,
};
use crate::definition::{DryRun, Effect, Stop, StopSignal, StopTo, ValueType};
use crate::language::relation::Is::{Above, Given, Not, Word};
use crate::language::relation::{Relation, refuses};
use crate::language::schema::{self, Section};
use crate::limits;
use crate::time::Span;

const METHODS: &[&str] = &["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"];
const EFFECTS: &[(&str, Effect)] = &[
    ("GET", Effect::Read),
    ("HEAD", Effect::Read),
    ("OPTIONS", Effect::Read),
    ("PUT", Effect::Idempotent),
    ("DELETE", Effect::Idempotent),
    ("POST", Effect::Mutating),
    ("PATCH", Effect::Mutating),
];
const ANSWERS: &[&str] = &["text", "json", "file", "none"];

const KEYS: [Key; 20] = [
    key(
        "method",
        Takes::Word(METHODS, "`GET`, `HEAD`, `OPTIONS`, `PUT`, `DELETE`, `POST` or `PATCH`"),
        "`GET`",
        "The method. It decides the step's `effect` unless that is given: GET, HEAD and OPTIONS read; PUT and DELETE are idempotent; POST and PATCH mutate.",
    ),
    required("url", Takes::Hidden, "Where the request goes: `http://` or `https://`."),
    key("query", Takes::Texts, "none", "Added to the query of the URL, each name and value encoded as it must be."),
    key("headers", Takes::Texts, "none", "Headers of the request."),
    key(
        "json",
        Takes::Tree,
        "none",
        "The body, as JSON, with the content type for it. Excludes `body` and `body_file`.",
    ),
    key("body", Takes::Hidden, "none", "The body, as it is. Excludes `json` and `body_file`."),
    key(
        "body_file",
        Takes::Path,
        "none",
        "A file that is the body: an artifact of another step, or relative to the project folder.",
    ),
    key("user", Takes::Hidden, "none", "With `password`: basic authentication."),
    key("password", Takes::Hidden, "none", "With `user`: basic authentication."),
    key("status", Takes::Statuses, "`[2xx]`", "The statuses of an answer that is as expected."),
    key(
        "expect",
        Takes::Condition,
        "none",
        "What else must hold of an answer with such a status, over `attempt.outputs`: `attempt.outputs.json.state == 'ready'`.",
    ),
    key(
        "happened",
        Takes::Condition,
        "",
        "In `verify` only, and required there: whether what is verified happened, over `attempt.outputs`: `attempt.outputs.status == 200`.",
    ),
    key(
        "answer",
        Takes::Word(ANSWERS, "`text`, `json`, `file` or `none`"),
        "`text`",
        "What becomes of the body of the answer. `text`: the output `body`. `json`: read as JSON, the output `json`. `file`: the artifact `body`. `none`: it is passed over.",
    ),
    key(
        "max_bytes",
        Takes::Whole(1, limits::HTTP_FILE_BYTES),
        "262144; with `answer: file` 1073741824",
        "The most that the body of the answer may have, in bytes. A longer one fails the step.",
    ),
    key(
        "redirects",
        Takes::Whole(0, limits::HTTP_REDIRECTS),
        "`10` with GET and HEAD, else `0`",
        "How many redirects are followed. For GET and HEAD only: a write is not sent anywhere but to where it was addressed, and a header that holds a secret to no other scheme, host or port.",
    ),
    key(
        "idempotency_key",
        Takes::Flag,
        "`true` with POST and PATCH",
        "Whether the header `Idempotency-Key` is sent: run, step and instance, the same in all tries and resumes, so that a server that knows it does the work once.",
    ),
    key("ca", Takes::Path, "those of the system", "A PEM file of the only certificate authorities that are trusted."),
    key("client_cert", Takes::Path, "none", "A PEM file with the certificate chain that the request is made with."),
    key(
        "client_key",
        Takes::Hidden,
        "in `client_cert`",
        "The private key for it: a path, or the PEM text itself as a secret.",
    ),
    key(
        "proxy",
        Takes::Hidden,
        "by `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` of the daemon",
        "The proxy that the request goes through; `none` for no proxy.",
    ),
];

/// The methods that send something, or ask for nothing that could be moved elsewhere.
const WRITES: &[&str] = &["OPTIONS", "PUT", "DELETE", "POST", "PATCH"];
const ONE_BODY: (&str, &str) = ("`{by}` and `{key}` exclude each other", "keep one: a request has one body");

const RELATIONS: &[Relation<'static>] = &[
    refuses(&[Given(&["json"])], &["body", "body_file"], ONE_BODY.0, ONE_BODY.1),
    refuses(&[Given(&["body"])], &["body_file"], ONE_BODY.0, ONE_BODY.1),
    refuses(
        &[Not(&Word("method", WRITES))],
        &["json", "body", "body_file"],
        "neither a GET nor a HEAD has a body",
        "say `method:`, or give it by `query:`",
    ),
    refuses(
        &[Word("method", WRITES), Above("redirects", 0)],
        &["redirects"],
        "a {word} is not sent anywhere but to where it was addressed",
        "leave it out, and write the `url:` that the server redirects to",
    ),
    refuses(&[Not(&Given(&["password"]))], &["user"], "`user` means nothing without `password`", "add `password:`"),
    refuses(&[Not(&Given(&["user"]))], &["password"], "`password` means nothing without `user`", "add `user:`"),
    refuses(
        &[Not(&Given(&["client_cert"]))],
        &["client_key"],
        "`client_key` means nothing without `client_cert`",
        "add `client_cert:`",
    ),
    refuses(
        &[Above("max_bytes", limits::OUTPUT_BYTES as i64), Not(&Word("answer", &["file", "none"]))],
        &["max_bytes"],
        "an output has at most {bound} bytes, and this is {value}",
        "write `answer: file`: then the body is an artifact of the step",
    ),
];

static SECTION_KEYS: [schema::Key; KEYS.len()] = section(&KEYS);

static WITH: Section = Section {
    name: "`with` of `uses: http`",
    keys: &[&SECTION_KEYS],
    relations: &[RELATIONS],
    later: &[],
    elsewhere: &[
        ("uri", "write `url:`"),
        ("data", "write `body:`, or `json:` for JSON"),
        ("params", "write `query:`"),
        ("timeout", "write `timeout:` at the step"),
        ("retry", "write `retry:` at the step"),
        ("retries", "write `retry: {attempts: 3}` at the step"),
        ("effect", "write `effect:` at the step"),
        ("status_code", "write `status:`"),
        ("expected_status", "write `status:`"),
        ("follow_redirects", "write `redirects:` with how many"),
        ("auth", "write `user:` and `password:`, or the header `Authorization`"),
        ("insecure", "name the authority by `ca:`; certificates are always checked"),
        ("verify_tls", "name the authority by `ca:`; certificates are always checked"),
        ("until", "make it the probe of a wait: `uses: wait`, `with: {probe: {uses: http, with: …}, until: …}`"),
    ],
};

pub(super) static HTTP: Action = Action {
    name: "http",
    doc: "Makes one HTTP request, and judges its answer.",
    keys: &KEYS,
    with: &WITH,
    decides: Some(("answer", "text")),
    outputs: &[
        output("status", ValueType::Integer, "The status of the answer."),
        output(
            "headers",
            ValueType::Map,
            "Its headers, by their names in lower case; of several, the values joined by a comma.",
        ),
        Output { name: "body", value_type: ValueType::String, when: &["text"], doc: "Its body." },
        Output { name: "json", value_type: ValueType::Any, when: &["json"], doc: "Its body, read as JSON." },
        Output { name: "bytes", value_type: ValueType::Integer, when: &["file"], doc: "The length of its body." },
    ],
    artifacts: &[Artifact { name: "body", when: &["file"], doc: "The body of the answer." }],
    effect: Effects::By("method", EFFECTS),
    dry_run: DryRun::Run,
    carried: Carried::Inside,
    stop: Stop { signal: StopSignal::Term, to: StopTo::Leader, grace: Span::ZERO },
    timeout: Some(Span::seconds(60)),
    attempts: 4,
    allow_failure: false,
    program: None,
    initialised: Initialised::Whatever,
    alone: &[],
    reads: &["body_file", "ca", "client_cert"],
    drift: None,
    beside: &[],
    facts: Facts {
        again: "No connection; the statuses 408, 425, 429 and 503; with `effect` read or idempotent also 500, 502, 504 and a connection that broke. `Retry-After` is waited for, up to an hour.",
        never: "Any other answer that is not as expected, a certificate that is not trusted on either side, a proxy that wants another user, an answer that is too long or is not JSON where it should be.",
        unknown: "With `effect` mutating: the connection broke or the time was over when the request was under way, or a gateway answered 502 or 504. The step is asked by `verify`, else it is unknown.",
        cancel: "Drops the connection. What the server makes of a request that it has is its own affair: see above.",
        dry: "Makes requests that read, and shows the others.",
        limits: "The body of an answer by `max_bytes`; one that is an output, with the headers, has 256 KiB at most. One that is longer is refused, by what the server says of it before a byte is read.",
        secrets: "They may go where the table says so. Of a URL with a secret nothing is shown; in the log they are hidden, and an answer that holds one fails the step, as its outputs would be kept for everybody: with `answer: file` too, whose file is removed.",
        more: &[(
            "When the daemon ends",
            "It waits up to 30 s for requests that are under way. What is not over then, or was under way when it was killed, is lost, and goes by `effect`.",
        )],
    },
    example: "  order:
    uses: http
    with:
      method: POST
      url: \"${{ env.SHOP }}/orders\"
      headers: {Authorization: \"Bearer ${{ secrets.shop_token }}\"}
      json: {item: \"${{ inputs.item }}\", count: \"${{ inputs.count }}\"}
      answer: json
      expect: attempt.outputs.json.state == 'accepted'
    verify:
      uses: http
      with:
        url: \"${{ env.SHOP }}/orders/by-key/${{ run.uid }}\"
        status: [200, 404]
        answer: json
        happened: attempt.outputs.status == 200
",
};
