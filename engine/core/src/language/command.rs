//! Commands: `run` and `argv` with all that they are given, the same for steps, `verify` and `on_cancel`; and
//! `defaults`, which steps start from. Never knows the graph.

use indexmap::IndexMap;

use super::code::Code;
use super::draft::{Calls, Inner, Owner, Place, Use};
use super::interface::Interfaces;
use super::item::{Fields, Item};
use super::names;
use super::report::{Problem, Report};
use super::schema;
use super::step_keys;
use super::{action, pool, required, script, show};
use crate::action::find;
use crate::definition::{Backoff, Command, Jitter, Program, Retry, Runbook, Shell, Stop, StopSignal, StopTo, Template};
use crate::limits;
use crate::time::Span;

const SHELLS: [(&str, Shell); 2] = [("sh", Shell::Sh), ("bash", Shell::Bash)];
const SIGNALS: [(&str, StopSignal); 2] =
    [(StopSignal::Term.name(), StopSignal::Term), (StopSignal::Int.name(), StopSignal::Int)];
const RECEIVERS: [(&str, StopTo); 2] = [(StopTo::Group.name(), StopTo::Group), (StopTo::Leader.name(), StopTo::Leader)];
const JITTERS: [(&str, Jitter); 2] = [("full", Jitter::Full), ("none", Jitter::None)];

/// The shortest timeout and wait.
const LEAST: Span = Span::millis(1);

/// Reads texts and notes where expressions are.
pub(super) struct Reader<'r, 'a, 't> {
    /// What is wrong so far.
    pub report: &'r mut Report<'a>,
    /// Every text that may hold an expression.
    pub places: Vec<Place<'t>>,
    /// The runbook's own name.
    pub name: &'r str,
    /// What is known of other runbooks.
    pub interfaces: &'r Interfaces,
    /// The runbooks that steps start, so far.
    pub calls: Calls,
    /// What stands inside steps, so far.
    pub inner: Vec<Inner<'t>>,
    /// What the steps of blocks start from.
    pub within: Runbook,
    /// How many blocks are around.
    pub depth: usize,
    /// Whether one of them is a step of `finally`.
    pub in_finally: bool,
    /// How many steps the file has, those of blocks too.
    pub steps: usize,
}

impl<'t> Reader<'_, '_, 't> {
    /// A text with `${{ }}`, numbers and booleans as they are written.
    pub fn template(&mut self, item: Item<'t>, key: &'t str, owner: Owner, usage: Use) -> Option<Template> {
        let text = item.literal(self.report)?;
        names::no_nul(item, self.report);
        if text.contains("${{") {
            self.places.push(Place { item, key, owner, usage });
        }
        Some(text.to_owned())
    }

    /// A text with `${{ }}` under a key of a section.
    pub fn template_of(
        &mut self,
        fields: &Fields<'t>,
        key: &'static str,
        owner: Owner,
        usage: Use,
    ) -> Option<Template> {
        fields.get(key).and_then(|item| self.template(item, key, owner, usage))
    }

    /// An expression; `${{ }}` around it is allowed. Gives it without.
    pub fn expression(&mut self, item: Item<'t>, key: &'t str, owner: Owner, usage: Use) -> Option<String> {
        let text = item.literal(self.report)?;
        self.places.push(Place { item, key, owner, usage });
        Some(text[bare(text)].to_owned())
    }

    /// An expression under a key of a section.
    pub fn expression_of(
        &mut self,
        fields: &Fields<'t>,
        key: &'static str,
        owner: Owner,
        usage: Use,
    ) -> Option<String> {
        fields.get(key).and_then(|item| self.expression(item, key, owner, usage))
    }

    /// A map of variables.
    pub fn env(&mut self, item: Item<'t>, owner: Owner, usage: Use) -> IndexMap<String, Template> {
        let mut env = IndexMap::new();
        for entry in item.entries(self.report).into_iter().flatten() {
            let name = names::variable(entry.key, self.report);
            if let Some(text) = self.template(entry.value, entry.key.raw(), owner, usage) {
                names::within(entry.value, "the value", text.len(), limits::ARGUMENT_BYTES, "bytes", self.report);
                env.insert(name.to_owned(), text);
            }
        }
        env
    }

    /// A duration under a key of a section.
    pub fn duration(&mut self, fields: &Fields<'t>, key: &'static str) -> Option<Span> {
        fields.get(key).and_then(|item| item.duration(LEAST, self.report))
    }
}

/// The range of an expression in its text, without blanks and a `${{ }}` around the whole of it.
pub(super) fn bare(text: &str) -> std::ops::Range<usize> {
    let inner = text.trim();
    let inner = match inner.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")) {
        // `${{ a }} && ${{ b }}` is not one expression: it stays, to be refused as it is written.
        Some(body) if !body.contains("${{") => body.trim(),
        _ => inner,
    };
    let start = inner.as_ptr() as usize - text.as_ptr() as usize;
    start..start + inner.len()
}

/// What steps start from.
#[derive(Default)]
pub(super) struct Defaults {
    /// Where it stands.
    pub at: std::ops::Range<usize>,
    pub retry: Option<Retry>,
    pub timeout: Option<Span>,
    pub env: IndexMap<String, Template>,
    pub shell: Option<Shell>,
    pub stop: Option<Stop>,
    pub pool: Option<String>,
}

/// Reads `defaults:`.
pub(super) fn defaults<'t>(item: Item<'t>, at: Item<'t>, reader: &mut Reader<'_, '_, 't>) -> Defaults {
    let Some(fields) = item.section(&schema::DEFAULTS, at.span(), reader.report) else {
        return Defaults::default();
    };
    Defaults {
        at: at.span(),
        retry: fields.entry("retry").and_then(|e| retry(e.value, e.key, Owner::Start, reader)),
        timeout: reader.duration(&fields, "timeout"),
        env: fields.get("env").map(|i| reader.env(i, Owner::Start, Use::Hidden)).unwrap_or_default(),
        shell: fields.get("shell").and_then(|item| item.word(&SHELLS, reader.report)),
        stop: fields.entry("stop").map(|e| stop(e.value, e.key, reader)),
        pool: fields.get("pool").and_then(|item| pool::name(item, reader)),
    }
}

impl Defaults {
    /// What each step gets from here, in bytes.
    pub fn bytes(&self) -> usize {
        let condition = self.retry.as_ref().and_then(|retry| retry.condition.as_ref());
        let env = self.env.iter().map(|(name, text)| name.len() + text.len());
        let pool = self.pool.as_ref().map_or(0, String::len);
        condition.map_or(0, String::len) + env.sum::<usize>() + pool
    }
}

/// What a command inherits from outside of it.
pub(super) struct Inherited<'d> {
    pub defaults: &'d Defaults,
    /// The step's command, for its `verify` and `on_cancel`.
    pub step: Option<&'d Command>,
    /// Its timeout when neither it nor `defaults` has one.
    pub timeout: Option<Span>,
    /// What it is for.
    pub role: action::Role,
}

/// Reads the keys of a command.
pub(super) fn command<'t>(
    fields: &Fields<'t>,
    owner: Owner,
    inherited: &Inherited<'_>,
    reader: &mut Reader<'_, '_, 't>,
) -> Command {
    let Inherited { defaults, step, .. } = inherited;
    let shell = fields.get("shell").and_then(|item| item.word(&SHELLS, reader.report));
    let step_shell = step.and_then(|step| match step.program {
        Program::Script { shell, .. } => Some(shell),
        Program::Argv(_) | Program::Action(_) => None,
    });
    let acting = fields.find("uses").map(|uses| action::read(uses, fields, inherited.role, owner, reader));
    let program = match acting {
        Some(acting) => acting.map_or_else(nothing, Program::Action),
        None => program(fields, shell.or(step_shell).or(defaults.shell), owner, reader),
    };
    let described = match &program {
        Program::Action(acting) => find(&acting.name),
        Program::Argv(_) | Program::Script { .. } => None,
    };
    let takes = |key: &str| described.is_none_or(|action| action.beside.contains(&key));
    let mut env = match takes("env") {
        true => step.map_or_else(|| defaults.env.clone(), |step| step.env.clone()),
        false => IndexMap::new(),
    };
    if let Some(item) = fields.get("env") {
        env.extend(reader.env(item, owner, Use::Hidden));
    }
    let command = Command {
        program,
        stdin: reader.template_of(fields, "stdin", owner, Use::Hidden),
        env,
        env_file: reader
            .template_of(fields, "env_file", owner, Use::Shown)
            .or_else(|| step.filter(|_| takes("env_file")).and_then(|step| step.env_file.clone())),
        pass_env: match fields.get("pass_env") {
            Some(item) => names::distinct(item, reader.report, |item, report| {
                item.text(report).map(|_| names::variable(item, report))
            }),
            None => step.filter(|_| takes("pass_env")).map(|step| step.pass_env.clone()).unwrap_or_default(),
        },
        working_dir: reader
            .template_of(fields, "working_dir", owner, Use::Shown)
            .or_else(|| step.filter(|_| takes("working_dir")).and_then(|step| step.working_dir.clone())),
        files: files(fields, owner, reader),
        // What tidies up does not take as long as the work: the default of steps is not for it.
        timeout: reader
            .duration(fields, "timeout")
            .or(defaults.timeout.filter(|_| step.is_none()))
            .or(described.and_then(|action| action.timeout))
            .or(inherited.timeout),
        stop: fields
            .entry("stop")
            .map(|entry| stop(entry.value, entry.key, reader))
            .or(described.map(|action| action.stop))
            .or(step.map(|step| step.stop))
            .or(defaults.stop)
            .unwrap_or_default(),
        tools: fields.find("tools").map(|_| required::tools(fields, reader.report)),
    };
    size(fields, &command, reader.report);
    command
}

/// What stands for a program that could not be read; the runbook is refused then.
pub(super) const fn nothing() -> Program {
    Program::Argv(Vec::new())
}

fn program<'t>(fields: &Fields<'t>, shell: Option<Shell>, owner: Owner, reader: &mut Reader<'_, '_, 't>) -> Program {
    let (run, argv) = (fields.entry("run"), fields.entry("argv"));
    match (run, argv) {
        // It says what to do, in a way that was refused already.
        (None, None) if fields.has_later("uses") => {}
        (None, None) => reader.report.add(
            Problem::new(
                Code::MissingKey,
                fields.at.clone(),
                "nothing is said about what to do: `run` or `argv` is missing",
            )
            .help("add `run:` with a script, `argv:` with a program and its arguments, or `uses:` with an action"),
        ),
        _ => {}
    }
    if let Some(entry) = run {
        let shell = shell.unwrap_or_default();
        let text = entry.value.text(reader.report).unwrap_or("");
        script::check(entry.value, text, shell, reader.report);
        if argv.is_none() {
            return Program::Script { shell, text: text.to_owned() };
        }
    }
    Program::Argv(argv.map(|entry| arguments(entry.value, owner, reader)).unwrap_or_default())
}

fn arguments<'t>(item: Item<'t>, owner: Owner, reader: &mut Reader<'_, '_, 't>) -> Vec<Template> {
    let Some(items) = item.list(reader.report) else { return Vec::new() };
    if items.len() == 0 {
        reader.report.add(
            Problem::new(Code::OutOfRange, item.span(), "`argv` is empty: there is no program to start")
                .help("write [PROGRAM, ARGUMENT, …]"),
        );
    }
    let mut arguments = Vec::with_capacity(items.len());
    for (index, argument) in items.enumerate() {
        let Some(text) = reader.template(argument, "argv", owner, Use::Shown) else { continue };
        if index == 0 && text.is_empty() {
            reader.report.add(Problem::new(Code::OutOfRange, argument.span(), "the name of the program is empty"));
        }
        names::within(argument, "the argument", text.len(), limits::ARGUMENT_BYTES, "bytes", reader.report);
        arguments.push(text);
    }
    arguments
}

fn files<'t>(fields: &Fields<'t>, owner: Owner, reader: &mut Reader<'_, '_, 't>) -> IndexMap<String, Template> {
    let mut files = IndexMap::new();
    let Some(item) = fields.get("files") else { return files };
    for entry in item.entries(reader.report).into_iter().flatten() {
        let name = names::file_name(entry.key, reader.report);
        if let Some(text) = reader.template(entry.value, entry.key.raw(), owner, Use::Hidden) {
            files.insert(name.to_owned(), text);
        }
    }
    files
}

/// Arguments and environment together have a limit of their own.
fn size(fields: &Fields<'_>, command: &Command, report: &mut Report<'_>) {
    let arguments = match &command.program {
        Program::Script { text, .. } => text.len(),
        Program::Argv(arguments) => arguments.iter().map(|text| text.len() + 1).sum(),
        Program::Action(_) => 0,
    };
    let env: usize = command.env.iter().map(|(name, text)| name.len() + text.len() + 2).sum();
    let limit = limits::COMMAND_BYTES;
    if arguments + env > limit {
        let size = arguments + env;
        report.add(
            Problem::new(
                Code::OverLimit,
                fields.at.clone(),
                format!("arguments and environment have {size} bytes together; the limit is {limit}"),
            )
            .help("give data by `files:` or `stdin:`"),
        );
    }
}

/// Reads `stop:`.
pub(super) fn stop<'t>(item: Item<'t>, at: Item<'t>, reader: &mut Reader<'_, '_, 't>) -> Stop {
    let mut stop = Stop::default();
    let Some(fields) = item.section(&step_keys::STOP, at.span(), reader.report) else { return stop };
    let report = &mut *reader.report;
    stop.signal = fields.get("signal").and_then(|i| i.word(&SIGNALS, report)).unwrap_or_default();
    stop.to = fields.get("to").and_then(|i| i.word(&RECEIVERS, report)).unwrap_or_default();
    if let Some(item) = fields.get("grace")
        && let Some(grace) = item.duration(Span::ZERO, report)
    {
        let most = Span::seconds(limits::STOP_GRACE_MAX_SECONDS);
        if grace > most {
            let message = format!("`{}` is too long: at most {most} is taken", show(item.raw()));
            report.add(Problem::new(Code::OutOfRange, item.span(), message));
        }
        stop.grace = grace;
    }
    stop
}

/// Reads `retry:`.
pub(super) fn retry<'t>(item: Item<'t>, at: Item<'t>, owner: Owner, reader: &mut Reader<'_, '_, 't>) -> Option<Retry> {
    let fields = item.section(&step_keys::RETRY, at.span(), reader.report)?;
    let most = i64::from(limits::RETRY_ATTEMPTS);
    let attempts = fields.get("attempts").and_then(|item| item.integer(1..=most, reader.report));
    Some(Retry {
        attempts: attempts.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        backoff: fields.entry("backoff").map(|entry| backoff(entry.value, entry.key, reader)).unwrap_or_default(),
        condition: reader.expression_of(&fields, "if", owner, Use::Outcome),
    })
}

fn backoff<'t>(item: Item<'t>, at: Item<'t>, reader: &mut Reader<'_, '_, 't>) -> Backoff {
    let mut backoff = Backoff::default();
    let Some(fields) = item.section(&step_keys::BACKOFF, at.span(), reader.report) else {
        return backoff;
    };
    let report = &mut *reader.report;
    if let Some(initial) = fields.get("initial").and_then(|i| i.duration(Span::ZERO, report)) {
        backoff.initial = initial;
        backoff.max = backoff.max.max(initial);
    }
    if let Some(item) = fields.get("max")
        && let Some(max) = item.duration(Span::ZERO, report)
    {
        if max < backoff.initial {
            let message = format!("the longest wait {max} is below the first, {}", backoff.initial);
            report.add(Problem::new(Code::OutOfRange, item.span(), message));
        }
        backoff.max = max;
    }
    if let Some(item) = fields.get("factor")
        && let Some(factor) = item.number(report)
    {
        let most = limits::BACKOFF_FACTOR;
        if !(1.0..=most as f64).contains(&factor) {
            let message = format!("a number from 1 to {most} is wanted, this is {}", show(item.raw()));
            report.add(Problem::new(Code::OutOfRange, item.span(), message));
        } else {
            backoff.factor_millis = (factor * 1_000.0).round() as u32;
        }
    }
    backoff.jitter = fields.get("jitter").and_then(|i| i.word(&JITTERS, report)).unwrap_or_default();
    backoff
}
