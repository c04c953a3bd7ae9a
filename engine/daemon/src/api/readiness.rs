//! Whether what is backed up could be restored, as it is told: how targets stand, and how they stood. Never knows how a verdict
//! comes about.

use std::collections::BTreeSet;
use std::sync::Arc;

use runbook_core::expression::did_you_mean;
use runbook_core::plan::Took;
use runbook_core::preflight::Checked;
use runbook_core::readiness::{Evidence, Gap, Look, Verdict};
use runbook_core::time::Timestamp;
use runbook_core::verdicts::{Stood, Target};
use runbook_proto::v1;
use tonic::{Code, Status};

use super::{Shared, environments, errors, from_proto, internal, to_proto};
use crate::clock;
use crate::readiness::{Found, Standing};

/// Targets, or changes, in one page, by default and at most.
const PAGE: (usize, usize) = (100, 1_000);

/// Where a target stands among all.
fn place(target: &Target) -> String {
    format!("{} {}", target.0.as_deref().unwrap_or_default(), target.1)
}

/// Names in a message; the rest is counted.
const NAMES: usize = 10;

/// Whether a target is asked for.
fn wanted(of: &Target, target: &str, environment: &str) -> bool {
    let here = environment.is_empty() || of.0.as_deref() == Some(environments::bare(environment));
    here && (target.is_empty() || of.1 == target)
}

/// How targets stand.
pub(super) async fn list(
    shared: &Arc<Shared>,
    request: v1::ListReadinessRequest,
) -> Result<v1::ListReadinessResponse, Status> {
    let v1::ListReadinessRequest { target, environment, page_size, page_token } = request;
    let size = from_proto::page_size(page_size, PAGE.0, PAGE.1)?;
    let asked = Arc::clone(shared);
    let look = move || {
        let preflights = asked.shelf.look().preflights.clone();
        // As the folder is: one that is not loaded yet would want nothing.
        asked.readiness.look(&asked.library.latest(), &preflights, clock::now())
    };
    let found = tokio::task::spawn_blocking(look).await.map_err(|error| internal(&error))?;
    let mut found = found.map_err(|error| internal(&error))?;
    let here = |of: Option<&str>| environment.is_empty() || of == Some(environments::bare(&environment));
    environments::known(shared, &environment, |_| found.targets.iter().any(|it| here(it.target.0.as_deref()))).await?;
    found.targets.retain(|it| here(it.target.0.as_deref()));
    found.could.retain(|it| here(it.environment.as_deref()));
    if !target.is_empty() {
        is_target(&found, &target, environments::bare(&environment))?;
        found.targets.retain(|it| it.target.1 == target);
        found.could.retain(|it| it.target.as_ref().is_none_or(|name| *name == target));
    }
    found.unknown.extend(nothing_ran(&found, &target, environments::bare(&environment)));
    let Found { targets, unknown, .. } = found;
    let mut page: Vec<Standing> =
        targets.into_iter().filter(|it| place(&it.target) > page_token).take(size + 1).collect();
    let more = page.len() > size;
    page.truncate(size);
    let next_page_token = page.last().filter(|_| more).map(|last| place(&last.target)).unwrap_or_default();
    Ok(v1::ListReadinessResponse { targets: page.iter().map(standing).collect(), next_page_token, unknown })
}

/// Whether anything is for a target of this name, in an environment if one is named: of all that is there.
fn is_target(found: &Found, target: &str, environment: &str) -> Result<(), Status> {
    let names =
        found.targets.iter().map(|it| &it.target.1).chain(found.could.iter().filter_map(|it| it.target.as_ref()));
    let names: BTreeSet<&str> = names.map(String::as_str).collect();
    // Where not all is known it may be there.
    if names.contains(target) || !found.unknown.is_empty() {
        return Ok(());
    }
    let shown: String = target.chars().take(80).collect();
    let hint = match did_you_mean(target, names.iter().copied()) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None if names.is_empty() => "no run and no `objective` names one".to_owned(),
        None => format!("there are {}", few(names.iter().copied(), names.len())),
    };
    let given: BTreeSet<&str> =
        found.could.iter().filter(|it| it.target.is_none()).map(|it| it.runbook.as_str()).collect();
    let given = match given.is_empty() {
        true => String::new(),
        false => {
            format!("; what {} would be for is known once a run has succeeded", few(given.iter().copied(), given.len()))
        }
    };
    let message = format!("there is no target {shown:?}{}; {hint}{given}", place_of(environment));
    Err(errors::status(Code::NotFound, "NO_SUCH_TARGET", message))
}

/// What is to be said where nothing is known although something may be to be restored.
fn nothing_ran(found: &Found, target: &str, environment: &str) -> Option<String> {
    let could: BTreeSet<&str> = found.could.iter().map(|it| it.runbook.as_str()).collect();
    if !found.targets.is_empty() || could.is_empty() {
        return None;
    }
    let what = if target.is_empty() { "what could be restored" } else { target };
    let (runbooks, place) = (few(could.iter().copied(), could.len()), place_of(environment));
    Some(format!("nothing is known of {what}{place}: no run of {runbooks} has succeeded that was about it"))
}

fn place_of(environment: &str) -> String {
    if environment.is_empty() { String::new() } else { format!(" in {environment}") }
}

/// The first of so many names.
fn few<'a>(names: impl Iterator<Item = &'a str>, all: usize) -> String {
    let told = names.take(NAMES).collect::<Vec<_>>().join(", ");
    if all > NAMES { format!("{told} and {} more", all - NAMES) } else { told }
}

/// How targets stood.
pub(super) async fn changes(
    shared: &Arc<Shared>,
    request: &v1::ListReadinessChangesRequest,
) -> Result<v1::ListReadinessChangesResponse, Status> {
    let v1::ListReadinessChangesRequest { target, environment, page_size, page_token } = request;
    let size = from_proto::page_size(*page_size, PAGE.0, PAGE.1)?;
    let seen = |name: &str| shared.shelf.look().verdicts.targets().any(|(of, _)| of.0.as_deref() == Some(name));
    environments::known(shared, environment, seen).await?;
    let records = shared.shelf.look();
    // The newest first, behind the name. What is between them sorts before all that can be in a name.
    let key = |of: &Target, at: Timestamp| {
        format!("{}\u{1}{}\u{1}{:020}", of.0.as_deref().unwrap_or_default(), of.1, i64::MAX.saturating_sub(at.0))
    };
    let mut page: Vec<(String, v1::ReadinessChange)> = Vec::new();
    for (of, changes) in records.verdicts.targets().filter(|(of, _)| wanted(of, target, environment)) {
        let mut until = None;
        for (at, stood) in changes.iter().rev() {
            let key = key(of, *at);
            if key > *page_token {
                page.push((key, change(of, *at, until, stood)));
            }
            until = Some(*at);
        }
        if page.len() > size {
            break;
        }
    }
    let more = page.len() > size;
    page.truncate(size);
    let next_page_token = page.last().filter(|_| more).map(|(key, _)| key.clone()).unwrap_or_default();
    let changes = page.into_iter().map(|(_, change)| change).collect();
    Ok(v1::ListReadinessChangesResponse { changes, next_page_token })
}

fn change(of: &Target, at: Timestamp, until: Option<Timestamp>, stood: &Stood) -> v1::ReadinessChange {
    v1::ReadinessChange {
        target: of.1.clone(),
        environment: of.0.clone().unwrap_or_default(),
        at: Some(to_proto::timestamp(at)),
        verdict: stood.verdict.map_or(v1::ReadinessVerdict::Unwanted, verdict).into(),
        reasons: stood.reasons.clone(),
        until: until.map(to_proto::timestamp),
    }
}

/// A verdict, as it is told.
const fn verdict(it: Verdict) -> v1::ReadinessVerdict {
    match it {
        Verdict::Ready => v1::ReadinessVerdict::Ready,
        Verdict::Unproved => v1::ReadinessVerdict::Unproved,
        Verdict::Broken => v1::ReadinessVerdict::Broken,
    }
}

/// A run that came to an end, as it is told.
fn evidence(it: &Evidence) -> v1::Evidence {
    v1::Evidence {
        run: to_proto::run_name(it.run),
        number: it.number,
        runbook: format!("runbooks/{}", it.runbook),
        began_at: Some(to_proto::timestamp(it.began)),
        ended_at: Some(to_proto::timestamp(it.ended)),
    }
}

/// What a look found, as it is told.
fn look(it: &Look) -> v1::RestorePreflight {
    let Checked { place, at, since, missing, left_out } = &it.checked;
    v1::RestorePreflight {
        runbook: format!("runbooks/{}", place.runbook),
        at: Some(to_proto::timestamp(*at)),
        since: since.map(to_proto::timestamp),
        problems: missing.iter().map(|missing| missing.problem.clone()).collect(),
        more: *left_out,
    }
}

/// How a target stands, as it is told.
fn standing(it: &Standing) -> v1::TargetReadiness {
    let Standing { target: (environment, target), goals, record, .. } = it;
    let took = Took::of(record.took());
    let (gaps, all_gaps) = goals.rpo.map(|rpo| record.gaps(rpo)).unwrap_or_default();
    let gap = |it: &Gap<'_>| v1::BackupGap { before: Some(evidence(it.before)), after: Some(evidence(it.after)) };
    v1::TargetReadiness {
        target: target.clone(),
        environment: environment.clone().unwrap_or_default(),
        verdict: verdict(it.verdict).into(),
        reasons: it.reasons.clone(),
        warnings: it.warnings.clone(),
        rpo: goals.rpo.map(to_proto::duration),
        rto: goals.rto.map(to_proto::duration),
        backup: record.backup().map(evidence),
        proved: record.proved().map(|(backup, _)| evidence(backup)),
        proved_by: record.proved().map(|(_, by)| evidence(by)),
        failed: record.disproofs(goals).into_iter().map(evidence).collect(),
        restore: record.restore().map(evidence),
        drill: record.drill().map(evidence),
        restore_median: took.as_ref().map(|took| to_proto::duration(took.median)),
        restore_p90: took.as_ref().map(|took| to_proto::duration(took.p90)),
        restores: took.map_or(0, |took| took.samples),
        preflights: it.looks.iter().map(look).collect(),
        gaps: gaps.iter().map(gap).collect(),
        all_gaps: u32::try_from(all_gaps).unwrap_or(u32::MAX),
        oldest_backup: record.oldest().filter(|_| goals.rpo.is_some()).map(evidence),
    }
}
