//! The top of a file: everything but the steps themselves. Never knows what holds between the parts.

use indexmap::IndexMap;

use super::code::Code;
use super::command::{self, Reader};
use super::draft::{Draft, Owner, Use};
use super::environments::{self, Environments};
use super::inputs;
use super::interface::Interfaces;
use super::item::{Fields, Item};
use super::names;
use super::report::{Problem, Report};
use super::required;
use super::schedules;
use super::schema;
use super::show;
use super::steps;
use crate::definition::{
    Attention, Concurrency, Objective, OnFailure, OutputDecl, Overlap, Priority, Rollback, RollbackOf, RollbackPolicy,
    Runbook, Settlement, Template,
};
use crate::limits;
use crate::time::Span;

const ON_FAILURE: [(&str, OnFailure); 3] =
    [("stop", OnFailure::Stop), ("continue", OnFailure::Continue), ("cancel", OnFailure::Cancel)];
const PRIORITIES: [(&str, Priority); 3] =
    [("high", Priority::High), ("normal", Priority::Normal), ("low", Priority::Low)];
const OVERLAPS: [(&str, Overlap); 3] =
    [("queue", Overlap::Queue), ("skip", Overlap::Skip), ("replace", Overlap::Replace)];
const ROLLBACK_POLICIES: [(&str, RollbackPolicy); 3] =
    [("manual", RollbackPolicy::Manual), ("automatic", RollbackPolicy::Automatic), ("never", RollbackPolicy::Never)];
const ROLLBACK_OF: [(&str, RollbackOf); 2] = [("succeeded", RollbackOf::Succeeded), ("started", RollbackOf::Started)];
const SETTLEMENTS: [(&str, Settlement); 2] = [("failed", Settlement::Failed), ("succeeded", Settlement::Succeeded)];

/// The version of the language that is read here.
const LANGUAGE: i64 = 1;

/// Reads a whole file; `None` when what was reported leaves nothing to check further.
pub(super) fn read<'t>(
    root: Item<'t>,
    count: &steps::Count,
    interfaces: &Interfaces,
    report: &mut Report<'_>,
) -> Option<Draft<'t>> {
    // Where to say that something is missing: the first line of the document.
    let at = first_line(root, report.source());
    language(root, report)?;
    let fields = root.section(&schema::RUNBOOK, at, report)?;
    let (inputs, input_places) = fields.get("inputs").map(|item| inputs::read(item, report)).unwrap_or_default();
    let name = fields.get("name").and_then(|item| {
        item.text(report)?;
        Some(names::id(item, report))
    });
    let name = name.unwrap_or("");
    let mut reader = Reader {
        report,
        places: Vec::new(),
        name,
        interfaces,
        calls: Vec::new(),
        inner: Vec::new(),
        within: Runbook::default(),
        depth: 0,
        in_finally: false,
        steps: count.steps,
    };
    let defaults = fields
        .entry("defaults")
        .map(|entry| command::defaults(entry.value, entry.key, &mut reader))
        .unwrap_or_default();
    let (listed, files) = files(&fields, reader.report);
    let mut runbook = Runbook {
        name: name.to_owned(),
        description: inputs::text(&fields, "description", reader.report),
        labels: labels(&fields, reader.report),
        inputs,
        requires: required::read(&fields, reader.report),
        timeout: reader.duration(&fields, "timeout"),
        max_parallel: fields
            .get("max_parallel")
            .and_then(|item| item.integer(1..=limits::STEPS as i64, reader.report))
            .and_then(|n| u32::try_from(n).ok()),
        priority: fields.get("priority").and_then(|item| item.word(&PRIORITIES, reader.report)),
        on_failure: fields.get("on_failure").and_then(|item| item.word(&ON_FAILURE, reader.report)).unwrap_or_default(),
        rollback: rollback(&fields, reader.report),
        locks: locks(&fields, Owner::Start, &mut reader),
        concurrency: concurrency(&fields, &mut reader),
        attention: attention(&fields, &mut reader),
        objective: objective(&fields, &mut reader),
        env: fields.get("env").map(|item| reader.env(item, Owner::Start, Use::Variable)).unwrap_or_default(),
        files: listed,
        outputs: outputs(&fields, &mut reader),
        pins: IndexMap::new(),
        environments: environments(&fields, interfaces.environments(), reader.report),
        needs_environment: false,
        environment: None,
        schedules: IndexMap::new(),
        expect: schedules::expect(&fields, reader.report),
        preflight: schedules::preflight(&fields, reader.report),
        steps: Vec::new(),
    };
    runbook.needs_environment = !runbook.environments.is_empty();
    runbook.schedules = schedules::read(&fields, &runbook, interfaces.environments(), reader.report);
    few_blocks(&runbook, count, reader.report)?;
    // How failures and rollbacks go inside of steps is said at the top.
    let (on_failure, rollback) = (runbook.on_failure, runbook.rollback);
    reader.within = Runbook { name: name.to_owned(), on_failure, rollback, ..Runbook::default() };
    let steps = steps::read(fields.entry("steps"), fields.entry("finally"), &defaults, &mut reader)?;
    runbook.steps = steps.steps;
    schedules::warn(&runbook, &steps.drafts, reader.report);
    let name = fields.get("name").map_or(0..0, |item| item.span());
    Some(Draft {
        runbook,
        name,
        files,
        steps: steps.drafts,
        places: reader.places,
        inputs: input_places,
        calls: reader.calls,
        inner: reader.inner,
    })
}

/// What is said at the top holds in each block: that must not become too much.
fn few_blocks(runbook: &Runbook, count: &steps::Count, report: &mut Report<'_>) -> Option<()> {
    let env = runbook.env.iter().map(|(name, text)| name.len() + text.len());
    let inputs = runbook.inputs.iter().map(|(name, decl)| name.len() + decl.description.len());
    let each = env.chain(inputs).chain(runbook.files.iter().map(String::len)).sum::<usize>();
    let added = each.saturating_mul(count.blocks);
    if added <= limits::BLOCKS_BYTES {
        return Some(());
    }
    let message = format!(
        "`env`, `inputs` and `files` add {added} bytes to all {} blocks together; the limit is {}",
        count.blocks,
        limits::BLOCKS_BYTES
    );
    let help = "move variables to the steps that need them";
    report.add(Problem::new(Code::OverLimit, count.first_block.clone(), message).help(help));
    None
}

pub(super) fn first_line(root: Item<'_>, source: &str) -> std::ops::Range<usize> {
    let start = root.span().start;
    let rest = source.get(start..).unwrap_or("");
    start..start + rest.lines().next().unwrap_or("").trim_end().len()
}

/// Another language is read by other rules: nothing else of the file is judged then.
pub(super) fn language(root: Item<'_>, report: &mut Report<'_>) -> Option<()> {
    let Some(item) = root.peek("language") else {
        return Some(());
    };
    if item.integer(i64::MIN..=i64::MAX, report)? == LANGUAGE {
        return Some(());
    }
    let message = format!("the language {} is not known; this version reads {LANGUAGE}", show(item.raw()));
    report.add(
        Problem::new(Code::InvalidLanguage, item.span(), message)
            .help("write `language: 1`, or use a later version of the program"),
    );
    None
}

fn labels(fields: &Fields<'_>, report: &mut Report<'_>) -> IndexMap<String, String> {
    let mut labels = IndexMap::new();
    let Some(item) = fields.get("labels") else { return labels };
    for entry in item.entries(report).into_iter().flatten() {
        let name = names::id(entry.key, report);
        if let Some(text) = entry.value.literal(report) {
            labels.insert(name.to_owned(), text.to_owned());
        }
    }
    labels
}

pub(super) fn outputs<'t>(fields: &Fields<'t>, reader: &mut Reader<'_, '_, 't>) -> IndexMap<String, OutputDecl> {
    let mut outputs = IndexMap::new();
    let Some(item) = fields.get("outputs") else { return outputs };
    let Some(entries) = item.entries(reader.report) else { return outputs };
    names::within(item, "`outputs`", entries.len(), limits::OUTPUTS, "outputs", reader.report);
    for entry in entries {
        let name = names::id(entry.key, reader.report);
        let Some(fields) = entry.value.section(&schema::OUTPUT, entry.key.span(), reader.report) else { continue };
        let value_type = fields.get("type").and_then(|item| item.word(&inputs::TYPES, reader.report));
        let (Some(value_type), Some(item)) = (value_type, fields.get("value")) else { continue };
        if let Some(value) = reader.expression(item, entry.key.raw(), Owner::Outputs, Use::Output(value_type)) {
            outputs.insert(name.to_owned(), OutputDecl { value_type, value });
        }
    }
    outputs
}

/// The files that it lists, and where each stands.
fn files(fields: &Fields<'_>, report: &mut Report<'_>) -> (Vec<String>, Vec<std::ops::Range<usize>>) {
    let Some(item) = fields.get("files") else { return Default::default() };
    let mut places = Vec::new();
    let files = names::distinct(item, report, |item, report| {
        places.push(item.span());
        names::inner_path(item, report)
    });
    names::within(item, "`files`", files.len(), limits::FILES, "files", report);
    (files, places)
}

/// The environments that it may run in.
fn environments(fields: &Fields<'_>, known: &Environments, report: &mut Report<'_>) -> Vec<String> {
    let Some(list) = fields.get("environments") else { return Vec::new() };
    let names = names::distinct(list, report, |item, report| {
        let name = item.text(report)?;
        if known.get(name).is_none() {
            environments::unknown(item, known, report);
        }
        Some(name)
    });
    if names.is_empty() && !report.failed() {
        let problem = Problem::new(Code::OutOfRange, list.span(), "a runbook that may run nowhere does nothing");
        report.add(problem.help("leave `environments` out to let it run in any"));
    }
    names
}

/// Locks of the runbook, or of a step.
pub(super) fn locks<'t>(fields: &Fields<'t>, owner: Owner, reader: &mut Reader<'_, '_, 't>) -> Vec<Template> {
    let Some(list) = fields.get("locks") else { return Vec::new() };
    let locks = names::distinct(list, reader.report, |item, report| {
        lock_name(item, "the name of a lock", report);
        item.text(report)
    });
    names::within(list, "`locks`", locks.len(), limits::LOCKS, "locks", reader.report);
    for item in list.list(reader.report).into_iter().flatten() {
        if item.is_text() {
            reader.template(item, "locks", owner, Use::Shown);
        }
    }
    locks
}

/// The bounds of a name that is known at load.
fn lock_name(item: Item<'_>, what: &str, report: &mut Report<'_>) {
    let text = item.raw();
    if item.is_text() && text.trim().is_empty() {
        report.add(Problem::new(Code::OutOfRange, item.span(), format!("{what} is empty")));
    }
    if !text.contains("${{") {
        names::within(item, what, text.len(), limits::LOCK_NAME_BYTES, "bytes", report);
    }
}

fn concurrency<'t>(fields: &Fields<'t>, reader: &mut Reader<'_, '_, 't>) -> Option<Concurrency> {
    let entry = fields.entry("concurrency")?;
    let fields = entry.value.section(&schema::CONCURRENCY, entry.key.span(), reader.report)?;
    let overlap = fields.get("overlap").and_then(|item| item.word(&OVERLAPS, reader.report));
    let group = fields.get("group")?;
    lock_name(group, "the name of a group", reader.report);
    let group = reader.template(group, "group", Owner::Start, Use::Shown)?;
    Some(Concurrency { group, overlap: overlap.unwrap_or_default() })
}

fn objective<'t>(fields: &Fields<'t>, reader: &mut Reader<'_, '_, 't>) -> Option<Objective> {
    let entry = fields.entry("objective")?;
    let fields = entry.value.section(&schema::OBJECTIVE, entry.key.span(), reader.report)?;
    let mut bound = |key| fields.get(key).and_then(|item| item.duration(Span::seconds(1), reader.report));
    let (rpo, rto) = (bound("rpo"), bound("rto"));
    let mut flag = |key| fields.get(key).and_then(|item| item.boolean(reader.report)).unwrap_or_default();
    let (drill, proves) = (flag("drill"), flag("proves"));
    if fields.entry("rpo").or(fields.entry("rto")).is_none() && !drill && !proves {
        let message = "nothing is said of the target";
        let help = "add `rpo:` to a backup, `rto:` to a restore, or `proves: true`";
        reader.report.add(Problem::new(Code::ConflictingKeys, entry.key.span(), message).help(help));
    }
    let target = fields.get("target")?;
    lock_name(target, "the name of a target", reader.report);
    let target = reader.template(target, "target", Owner::Start, Use::Shown)?;
    Some(Objective { target, rpo, rto, drill, proves })
}

fn rollback(fields: &Fields<'_>, report: &mut Report<'_>) -> Rollback {
    let mut rollback = Rollback::default();
    let Some(entry) = fields.entry("rollback") else { return rollback };
    if !entry.value.is_map() {
        rollback.policy = entry.value.word(&ROLLBACK_POLICIES, report).unwrap_or_default();
        return rollback;
    }
    let Some(fields) = entry.value.section(&schema::ROLLBACK, entry.key.span(), report) else { return rollback };
    rollback.policy = fields.get("policy").and_then(|item| item.word(&ROLLBACK_POLICIES, report)).unwrap_or_default();
    rollback.of = fields.get("of").and_then(|item| item.word(&ROLLBACK_OF, report)).unwrap_or_default();
    rollback
}

fn attention(fields: &Fields<'_>, reader: &mut Reader<'_, '_, '_>) -> Option<Attention> {
    let entry = fields.entry("attention")?;
    let report = &mut *reader.report;
    let fields = entry.value.section(&schema::ATTENTION, entry.key.span(), report)?;
    let after = fields.get("after").and_then(|item| item.duration(Span::millis(1), report));
    let settle_as = fields.get("as").and_then(|item| item.word(&SETTLEMENTS, report));
    Some(Attention { after: after?, settle_as: settle_as? })
}
