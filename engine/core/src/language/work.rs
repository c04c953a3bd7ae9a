//! What a step does: a command, or what `uses` names, with what `with` tells it. Which other keys make sense beside
//! that is said here too. Never knows the graph.

use indexmap::IndexMap;

use super::code::Code;
use super::command::{self, Inherited, Reader};
use super::draft::{Owner, Use};
use super::item::{Entry, Fields};
use super::report::{Problem, Report};
use super::{action, call, inputs, names, role, show, step_keys};
use crate::action::{self as actions};
use crate::definition::{Approval, Command, InputDecl, OnTimeout, Probe, ValueType, Wait, Work};
use crate::limits;
use crate::time::{Span, Timestamp};

/// What `uses` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Uses {
    Approval,
    Fail,
    Runbook,
    Wait,
}

const USES: [(&str, Uses); 4] =
    [("approval", Uses::Approval), ("fail", Uses::Fail), ("runbook", Uses::Runbook), ("wait", Uses::Wait)];

const ON_TIMEOUT: [(&str, OnTimeout); 3] =
    [("reject", OnTimeout::Reject), ("approve", OnTimeout::Approve), ("fail", OnTimeout::Fail)];

/// How a time is written.
const TIME_RULE: &str = "a time is written as RFC 3339 has it: 2026-12-01T08:00:00Z, or with +01:00 for Z";
/// How long a wait with a probe lasts unless it says so.
const WITHIN: Span = Span::minutes(60);
/// The wait between probes unless it is given, and at least.
const EVERY: (Span, Span) = (Span::seconds(30), Span::seconds(1));

/// Reads what a step does.
pub(super) fn read<'t>(
    fields: &Fields<'t>,
    owner: Owner,
    inherited: &Inherited<'_>,
    reader: &mut Reader<'_, '_, 't>,
) -> Work {
    let Some(uses) = fields.entry("uses") else {
        return Work::Command(Box::new(command::command(fields, owner, inherited, reader)));
    };
    let Some(word) = uses.value.text(reader.report) else { return nothing() };
    if actions::find(word).is_some() {
        return Work::Command(Box::new(command::command(fields, owner, inherited, reader)));
    }
    let Some((_, kind)) = USES.into_iter().find(|(name, _)| *name == word) else {
        let names = USES.into_iter().map(|(name, _)| name);
        let names = names.chain(actions::ACTIONS.iter().map(|action| action.name));
        reader.report.add(action::unknown(uses.value, names));
        return nothing();
    };
    let section = match kind {
        Uses::Approval => &step_keys::APPROVAL,
        Uses::Fail => &step_keys::FAIL,
        Uses::Runbook => &step_keys::CALL,
        Uses::Wait => &step_keys::WAIT,
    };
    let with = match fields.entry("with") {
        Some(with) => with.value.section(section, with.key.span(), reader.report),
        None => {
            let message = format!("`uses: {word}` needs `with`");
            let keys: Vec<&str> = section.all().map(|key| key.name).collect();
            reader.report.add(
                Problem::new(Code::MissingKey, uses.value.span(), message)
                    .help(format!("add `with:` with {}", keys.join(", "))),
            );
            None
        }
    };
    let Some(with) = with else { return nothing() };
    match kind {
        Uses::Approval => Work::Approval(Box::new(approval(&with, owner, reader))),
        Uses::Fail => Work::Fail(reader.template_of(&with, "message", owner, Use::Shown).unwrap_or_default()),
        Uses::Runbook => Work::Runbook(Box::new(call::read(&with, owner, reader))),
        Uses::Wait => wait(&with, owner, inherited, reader).map_or_else(nothing, |wait| Work::Wait(Box::new(wait))),
    }
}

/// The work of a step that could not be read; the runbook is refused then.
pub(super) fn nothing() -> Work {
    Work::Command(Box::new(Command {
        program: command::nothing(),
        stdin: None,
        env: Default::default(),
        env_file: None,
        pass_env: Vec::new(),
        working_dir: None,
        files: Default::default(),
        timeout: None,
        stop: Default::default(),
        tools: None,
    }))
}

fn wait<'t>(
    with: &Fields<'t>,
    owner: Owner,
    inherited: &Inherited<'_>,
    reader: &mut Reader<'_, '_, 't>,
) -> Option<Wait> {
    if let Some(probe) = with.entry("probe") {
        return self::probe(probe, with, owner, inherited, reader).map(|probe| Wait::Probe(Box::new(probe)));
    }
    match (with.entry("for"), with.entry("until")) {
        (Some(_), Some(_)) => None,
        (Some(_), None) => reader.duration(with, "for").map(Wait::For),
        (None, Some(until)) => {
            let text = reader.template(until.value, "until", owner, Use::Shown)?;
            if !text.contains("${{") && text.trim().parse::<Timestamp>().is_err() {
                let message = format!("`{}` is no time", show(&text));
                reader.report.add(Problem::new(Code::InvalidTime, until.value.span(), message).help(TIME_RULE));
            }
            Some(Wait::Until(text))
        }
        (None, None) => {
            reader.report.add(
                Problem::new(Code::MissingKey, with.at.clone(), "nothing is said about what to wait for")
                    .help("add `for:` with a duration, `until:` with a time, or `probe:` with a command"),
            );
            None
        }
    }
}

fn probe<'t>(
    entry: Entry<'t>,
    with: &Fields<'t>,
    owner: Owner,
    inherited: &Inherited<'_>,
    reader: &mut Reader<'_, '_, 't>,
) -> Option<Probe> {
    let own = entry.value.section(&step_keys::PROBE, entry.key.span(), reader.report)?;
    let timeout = Some(Span::seconds(limits::PROBE_TIMEOUT_SECONDS));
    let inherited = Inherited { step: None, timeout, ..*inherited };
    let command = command::command(&own, owner, &inherited, reader);
    let within = reader.duration(with, "for").unwrap_or(WITHIN);
    let every = match with.get("every") {
        Some(item) => item.duration(EVERY.1, reader.report).unwrap_or(EVERY.0),
        None => EVERY.0,
    };
    if within.0 / every.0.max(1) > limits::PROBES {
        let message = format!(
            "a probe every {every} for {within} is made more than {} times, which is the limit",
            limits::PROBES
        );
        reader.report.add(
            Problem::new(Code::OverLimit, entry.key.span(), message).help("make `every` longer, or `for` shorter"),
        );
    }
    Some(Probe {
        command,
        until: reader.expression_of(with, "until", owner, Use::Probe),
        fail_if: reader.expression_of(with, "fail_if", owner, Use::Probe),
        every,
        within,
    })
}

/// Reads `with` of an approval.
fn approval<'t>(with: &Fields<'t>, owner: Owner, reader: &mut Reader<'_, '_, 't>) -> Approval {
    let message = reader.template_of(with, "message", owner, Use::Shown).unwrap_or_default();
    let timeout = reader.duration(with, "timeout");
    let report = &mut *reader.report;
    let mut roles = Vec::new();
    if let Some(item) = with.get("roles") {
        roles = role::names(item, reader.interfaces.configured(), report);
        names::within(item, "`roles`", roles.len(), limits::APPROVAL_ITEMS, "roles", report);
        if roles.is_empty() && !item.is_map() && item.scalar().is_none() {
            report.add(
                Problem::new(Code::OutOfRange, item.span(), "an empty `roles` would let nobody approve")
                    .help("leave it out to let everybody who reaches the daemon"),
            );
        }
    }
    let approvals = with.get("approvals").and_then(|item| item.integer(1..=limits::APPROVALS, report));
    let on_timeout = with.get("on_timeout").and_then(|item| item.word(&ON_TIMEOUT, report)).unwrap_or_default();
    let fields = fields_of_approval(with, report);
    let required = fields.iter().find(|(_, field)| field.required).filter(|_| on_timeout == OnTimeout::Approve);
    if let (Some((name, _)), Some(entry)) = (required, with.entry("on_timeout")) {
        let message = format!("nobody fills in `{}`, which is required, when the time is over", show(name));
        report.add(
            Problem::new(Code::ConflictingKeys, entry.key.span(), message)
                .help("give the field a default instead, or say `on_timeout: reject` or `fail`"),
        );
    }
    Approval {
        message,
        roles,
        approvals: approvals.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        not_requester: with.get("not_requester").and_then(|item| item.boolean(report)).unwrap_or(false),
        timeout,
        on_timeout,
        fields,
    }
}

fn fields_of_approval(with: &Fields<'_>, report: &mut Report<'_>) -> IndexMap<String, InputDecl> {
    let mut fields = IndexMap::new();
    let Some(item) = with.get("fields") else { return fields };
    let Some(entries) = item.entries(report) else { return fields };
    names::within(item, "`fields`", entries.len(), limits::APPROVAL_ITEMS, "fields", report);
    for entry in entries {
        let name = names::id(entry.key, report);
        if [Approval::DECISION, Approval::APPROVERS].contains(&name) {
            let message = format!("`{name}` is an output of every approval, and no field");
            report.add(Problem::new(Code::ConflictingKeys, entry.key.span(), message).help("choose another name"));
        }
        let Some(mut decl) = inputs::declaration(entry, report) else { continue };
        if std::mem::take(&mut decl.ephemeral) {
            let message = "`ephemeral` is for inputs of a runbook: what is filled in is sealed until the run succeeded";
            report.add(Problem::new(Code::ConflictingKeys, entry.key.span(), message.to_owned()).help("leave it out"));
        }
        fields.insert(name.to_owned(), decl);
    }
    fields
}

/// What other steps can read of an approval.
pub(super) fn outputs_of_approval(approval: &Approval) -> IndexMap<String, ValueType> {
    let fields = approval.fields.iter().map(|(name, field)| (name.clone(), field.value_type));
    let own = [(Approval::DECISION.to_owned(), ValueType::String), (Approval::APPROVERS.to_owned(), ValueType::List)];
    own.into_iter().chain(fields).collect()
}
