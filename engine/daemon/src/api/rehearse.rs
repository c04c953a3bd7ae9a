//! Rehearsals over the API: the request as a script, and what came of it. Decides nothing: that is the engine's.

use std::collections::BTreeMap;
use std::sync::Arc;

use runbook_core::definition::Environment;
use runbook_core::id::{RunUid, StepNo};
use runbook_core::language::{self, Environments, Scenario};
use runbook_core::rehearsal::{End, Expectation, Rehearsal, Script, Setting, Stuck, every_failure, rehearse};
use runbook_core::run::{Event, Pinned, Principal};
use runbook_core::time::Span;
use runbook_proto::v1;
use tonic::{Code, Status};

use super::asked::{Asked, asked, refused_findings};
use super::from_proto::InputsFrom;
use super::plan::{PASTS, medians};
use super::{Shared, environments, errors, from_proto, internal, to_proto};
use crate::history;
use crate::layout::Layout;

/// Rehearses a runbook as a request asks for it.
///
/// # Errors
/// The runbook, an input or the script cannot be taken, or a rehearsal has no end.
pub(super) async fn answer(
    shared: &Shared,
    by: Principal,
    mut request: v1::RehearseRunbookRequest,
) -> Result<v1::RehearseRunbookResponse, Status> {
    let v1::RehearseRunbookRequest { runbook, source, source_file, .. } = &mut request;
    let asked = asked(shared, from_proto::wanted(runbook, source, source_file)?).await?;
    let named = Some(request.environment.as_str()).filter(|name| !name.is_empty());
    // Scenarios say it themselves.
    let environment = match request.scenarios.is_empty() {
        true => environments::chosen(&asked.generation, &asked.runbook, named)?,
        false => None,
    };
    let (places, layout) = (shared.config.max_attempts, shared.surroundings.layout.clone());
    let (reader, definitions) = (Arc::clone(&shared.reader), Arc::clone(&shared.surroundings.definitions));
    tokio::task::spawn_blocking(move || {
        let past = history::past(&*reader, &definitions, &asked.runbook.name).map_err(|error| internal(&error))?;
        let expected = medians(&asked.runbook, &past);
        let pinned = Pinned::rehearsed(&asked.runbook, environment.as_ref(), &|name| asked.other(name));
        let mut expected_below = BTreeMap::new();
        for other in pinned.with_called().into_iter().skip(1).take(PASTS) {
            let name = &other.runbook.name;
            let past = history::past(&*reader, &definitions, name).map_err(|error| internal(&error))?;
            let took = past.took.into_iter().map(|(id, took)| (id, took.median));
            expected_below.insert(name.clone(), took.collect());
        }
        Rehearser { asked, pinned, by, places, layout, expected, expected_below }.all(request)
    })
    .await
    .map_err(|error| internal(&error))?
}

struct Rehearser {
    asked: Asked,
    pinned: Arc<Pinned>,
    by: Principal,
    places: usize,
    layout: Layout,
    expected: BTreeMap<StepNo, Span>,
    expected_below: BTreeMap<String, BTreeMap<String, Span>>,
}

impl Rehearser {
    fn all(&self, request: v1::RehearseRunbookRequest) -> Result<v1::RehearseRunbookResponse, Status> {
        let runbook = &self.pinned.runbook;
        let told = script(&self.pinned, &request)?;
        let mut response = v1::RehearseRunbookResponse::default();
        if !request.scenarios.is_empty() {
            if told != Script::default()
                || request.every_failure
                || request.inputs.is_some_and(|i| !i.fields.is_empty())
                || !request.input_texts.is_empty()
                || !request.environment.is_empty()
            {
                return Err(errors::bad_field(
                    "scenarios",
                    "scenarios have inputs and steps of their own: give nothing else",
                ));
            }
            let file = from_proto::file_name("scenarios_file", &request.scenarios_file)?;
            let environments = Environments::new(self.asked.generation.usable());
            for scenario in scenarios(&self.pinned, &environments, &request.scenarios, &file)? {
                // What is expected must not depend on what this machine has seen.
                let setting = self.setting(scenario.inputs.clone());
                let setting = Setting { expected: BTreeMap::new(), expected_below: BTreeMap::new(), ..setting };
                let pinned = self.placed(scenario.environment.as_ref());
                let lived = rehearse(&pinned, &setting, &scenario.script).map_err(|stuck| refused(&stuck))?;
                response.rehearsals.push(told_of(&self.layout, &lived, &scenario.name, &scenario.expect, true));
            }
            return Ok(response);
        }
        let from = InputsFrom {
            typed: request.inputs,
            texts: request.input_texts,
            environment: runbook.environment.as_deref(),
            ..InputsFrom::default()
        };
        let setting = self.setting(from_proto::inputs(runbook, from)?.values);
        let nothing = Expectation::default();
        if request.every_failure {
            let left = every_failure(&self.pinned, &setting, &told, |place, lived| {
                let told = told_of(&self.layout, &lived, place.text(), &nothing, false);
                response.rehearsals.push(v1::Rehearsal { never_started: !lived.began(place), ..told });
            })
            .map_err(|stuck| refused(&stuck))?;
            response.steps_left_out = u32::try_from(left).unwrap_or(u32::MAX);
        } else {
            let lived = rehearse(&self.pinned, &setting, &told).map_err(|stuck| refused(&stuck))?;
            response.rehearsals.push(told_of(&self.layout, &lived, "", &nothing, true));
        }
        Ok(response)
    }

    /// The same in an environment.
    fn placed(&self, environment: Option<&Environment>) -> Arc<Pinned> {
        match environment {
            Some(_) => Pinned::rehearsed(&self.asked.runbook, environment, &|name| self.asked.other(name)),
            None => Arc::clone(&self.pinned),
        }
    }

    fn setting(&self, inputs: serde_json::Map<String, serde_json::Value>) -> Setting {
        Setting {
            by: self.by.clone(),
            expected: self.expected.clone(),
            expected_below: self.expected_below.clone(),
            ..Setting::new(&self.pinned.runbook, inputs, self.places)
        }
    }
}

/// What the words of a request tell.
fn script(pinned: &Pinned, request: &v1::RehearseRunbookRequest) -> Result<Script, Status> {
    let mut script = Script::default();
    let mut problems: Vec<(String, String)> = Vec::new();
    let mut take = |field: &str, done: Result<(), String>| {
        if let Err(problem) = done {
            problems.push((field.to_owned(), problem));
        }
    };
    for text in &request.fail {
        take("fail", script.end(pinned, text, End::Failed));
    }
    for text in &request.lose {
        take("lose", script.end(pinned, text, End::Lost));
    }
    for text in &request.crash_at {
        take("crash_at", script.crash(pinned, text));
    }
    for text in &request.durations {
        take("durations", script.duration(pinned, text));
    }
    if problems.is_empty() {
        return Ok(script);
    }
    let list: Vec<String> = problems.iter().map(|(_, problem)| problem.clone()).collect();
    Err(errors::bad_fields("INVALID_SCRIPT", list.join("\n"), &problems))
}

/// The scenarios of a file that has to be about this runbook.
fn scenarios(
    pinned: &Arc<Pinned>,
    environments: &Environments,
    source: &[u8],
    file: &str,
) -> Result<Vec<Scenario>, Status> {
    let checked = language::check_scenarios(source, file, environments, |name| match name == pinned.runbook.name {
        true => Ok(Arc::clone(pinned)),
        false => Err(format!("these are scenarios of `{name}`, and `{}` is rehearsed", pinned.runbook.name)),
    });
    checked.scenarios.ok_or_else(|| refused_findings(file, &checked.findings))
}

fn refused(stuck: &Stuck) -> Status {
    match stuck {
        Stuck::Start(rejection) => errors::rejection(rejection),
        Stuck::TooLong => errors::status(Code::ResourceExhausted, "REHEARSAL_TOO_LONG", stuck.to_string()),
        Stuck::Quarantined(_) => errors::status(Code::Internal, "INTERNAL", stuck.to_string()),
    }
}

/// An event of the run or of one below it.
fn told_event(lived: &Rehearsal, run: RunUid, event: &Event) -> Option<v1::Event> {
    if run == lived.state.uid() {
        return Some(to_proto::event(event, &lived.state.pinned().runbook));
    }
    let state = lived.below.get(&run)?;
    Some(to_proto::event_below(run, &lived.path(state), event, &state.pinned().runbook))
}

/// A rehearsal for the API. Its path is left out where only its end is asked for.
fn told_of(layout: &Layout, lived: &Rehearsal, name: &str, expect: &Expectation, whole: bool) -> v1::Rehearsal {
    let id = |step: &StepNo| lived.id(*step).to_owned();
    let undone = lived
        .undone()
        .map(|(step, status)| v1::UndoneStep { id: id(&step), status: to_proto::step_status(status).into() });
    let (run, events) = if whole {
        let mut run = to_proto::run_whole(&lived.state, layout);
        // What a rehearsed step leaves lies nowhere.
        run.steps.iter_mut().flat_map(|step| &mut step.artifacts).for_each(|artifact| artifact.path.clear());
        (run, lived.events.iter().filter_map(|(run, event)| told_event(lived, *run, event)).collect())
    } else {
        (to_proto::run_head(&lived.state), Vec::new())
    };
    v1::Rehearsal {
        name: name.to_owned(),
        run: Some(run),
        events,
        took: Some(to_proto::duration(lived.took())),
        undone: undone.collect(),
        remains: lived.remains(),
        crashes: lived.crashes.clone(),
        notes: lived.refused.iter().map(|why| format!("refused: {why}")).chain(lived.unreached.clone()).collect(),
        unmet: expect.unmet(lived),
        guessed: lived.guessed.clone(),
        compensated: lived.compensated(),
        never_started: false,
    }
}
