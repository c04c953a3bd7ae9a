//! What a start says beside its inputs, to the disk format and back.

use runbook_core::definition::{InputSource, Priority};
use runbook_core::id::StepNo;
use runbook_core::run::{Asks, Begin, Terms};
use runbook_core::selection::{Selection, Wish};
use runbook_core::time::{Span, Timestamp};
use runbook_proto::journal as disk;

use crate::from_disk::Undecodable;

/// As it is stored.
///
/// # Errors
/// A value that JSON cannot hold.
pub fn to_disk(it: &Terms) -> Result<disk::Terms, serde_json::Error> {
    let selection = &it.selection;
    let selection = if *selection == Selection::default() { None } else { Some(selection_to_disk(selection)?) };
    let pause_before = it.pause_before.iter().map(|step| step.0).collect();
    let from = |(input, source): (&String, &InputSource)| disk::InputFrom {
        input: input.clone(),
        source: match source {
            InputSource::Variable => disk::InputSource::Variable,
            InputSource::Like => disk::InputSource::Like,
            InputSource::Environment => disk::InputSource::Environment,
        }
        .into(),
    };
    let begin = it.begin.map(|it| disk::Begin { at_micros: it.at.0, after_micros: it.after.map(|span| span.0) });
    Ok(disk::Terms {
        confirmed: it.confirmed.clone(),
        dry: it.dry,
        selection,
        pause_before,
        environment: it.environment.clone(),
        overridden: it.overridden.clone(),
        target: it.target.clone(),
        inputs_from: it.sources.iter().map(from).collect(),
        asks: it
            .asks
            .as_ref()
            .map(|it| disk::StartAsks { until_micros: it.until.map(|at| at.0), destroys: it.destroys.clone() }),
        begin,
        priority: it.priority.map(|priority| priority_to_disk(priority).into()),
    })
}

const fn priority_to_disk(it: Priority) -> disk::Priority {
    match it {
        Priority::High => disk::Priority::High,
        Priority::Normal => disk::Priority::Normal,
        Priority::Low => disk::Priority::Low,
    }
}

fn priority_from_disk(it: i32) -> Result<Priority, Undecodable> {
    match disk::Priority::try_from(it) {
        Ok(disk::Priority::High) => Ok(Priority::High),
        Ok(disk::Priority::Normal) => Ok(Priority::Normal),
        Ok(disk::Priority::Low) => Ok(Priority::Low),
        Ok(disk::Priority::Unspecified) | Err(_) => Err(Undecodable::Unknown { field: "terms.priority", value: it }),
    }
}

fn selection_to_disk(it: &Selection) -> Result<disk::Selection, serde_json::Error> {
    let Wish { skip, only, from, until, outputs } = &it.wish;
    let wanted = outputs.iter().map(|(step, key, value)| {
        let value_json = serde_json::to_string(value)?;
        Ok(disk::WantedOutput { step: step.clone(), key: key.clone(), value_json })
    });
    let given = it
        .outputs
        .iter()
        .map(|(step, outputs)| Ok(disk::GivenOutputs { step: step.0, outputs_json: serde_json::to_string(outputs)? }));
    Ok(disk::Selection {
        skip: skip.clone(),
        only: only.clone(),
        from: from.clone(),
        until: until.clone(),
        wanted_outputs: wanted.collect::<Result<_, serde_json::Error>>()?,
        left_out: it.left_out.iter().map(|step| step.0).collect(),
        outputs: given.collect::<Result<_, serde_json::Error>>()?,
    })
}

/// From what is stored.
///
/// # Errors
/// A text that should be JSON is none.
pub fn from_disk(it: disk::Terms) -> Result<Terms, Undecodable> {
    let selection = it.selection.map(selection_from_disk).transpose()?.unwrap_or_default();
    let pause_before = it.pause_before.into_iter().map(StepNo).collect();
    let begin = it.begin.map(|it| Begin { at: Timestamp(it.at_micros), after: it.after_micros.map(Span) });
    let sources = it.inputs_from.into_iter().map(source_from_disk).collect::<Result<_, _>>()?;
    let asks = it.asks.map(|it| Asks { until: it.until_micros.map(Timestamp), destroys: it.destroys });
    let (confirmed, dry, environment, overridden) = (it.confirmed, it.dry, it.environment, it.overridden);
    let target = it.target;
    let priority = it.priority.map(priority_from_disk).transpose()?;
    let started = Terms { confirmed, dry, selection, pause_before, environment, target, ..Terms::default() };
    Ok(Terms { overridden, sources, asks, priority, begin, ..started })
}

fn source_from_disk(it: disk::InputFrom) -> Result<(String, InputSource), Undecodable> {
    let source = match disk::InputSource::try_from(it.source) {
        Ok(disk::InputSource::Variable) => InputSource::Variable,
        Ok(disk::InputSource::Like) => InputSource::Like,
        Ok(disk::InputSource::Environment) => InputSource::Environment,
        Ok(disk::InputSource::Unspecified) | Err(_) => {
            return Err(Undecodable::Unknown { field: "terms.inputs_from.source", value: it.source });
        }
    };
    Ok((it.input, source))
}

fn selection_from_disk(it: disk::Selection) -> Result<Selection, Undecodable> {
    let json = |source| Undecodable::Json { field: "terms.selection", source };
    let wanted = it
        .wanted_outputs
        .into_iter()
        .map(|output| Ok((output.step, output.key, serde_json::from_str(&output.value_json).map_err(json)?)));
    let outputs = wanted.collect::<Result<_, Undecodable>>()?;
    let given = it
        .outputs
        .into_iter()
        .map(|given| Ok((StepNo(given.step), serde_json::from_str(&given.outputs_json).map_err(json)?)));
    Ok(Selection {
        wish: Wish { skip: it.skip, only: it.only, from: it.from, until: it.until, outputs },
        left_out: it.left_out.into_iter().map(StepNo).collect(),
        outputs: given.collect::<Result<_, Undecodable>>()?,
    })
}
