//! Whether what is backed up could be restored, as it is told: how targets stand, and how they stood. Never knows how a verdict
//! comes about.

use std::sync::Arc;

use runbook_core::plan::Took;
use runbook_core::preflight::Checked;
use runbook_core::readiness::{Evidence, Gap, Look, Verdict};
use runbook_core::time::Timestamp;
use runbook_core::verdicts::{Stood, Target};
use runbook_proto::v1;
use tonic::Status;

use super::{Shared, environments, from_proto, internal, to_proto};
use crate::clock;
use crate::readiness::{Found, Standing};

/// Targets, or changes, in one page, by default and at most.
const PAGE: (usize, usize) = (100, 1_000);

/// Where a target stands among all.
fn place(target: &Target) -> String {
    format!("{} {}", target.0.as_deref().unwrap_or_default(), target.1)
}

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
    let shared = Arc::clone(shared);
    let look = move || {
        let preflights = shared.shelf.look().preflights.clone();
        // As the folder is: one that is not loaded yet would want nothing.
        shared.readiness.look(&shared.library.latest(), &preflights, clock::now())
    };
    let found = tokio::task::spawn_blocking(look).await.map_err(|error| internal(&error))?;
    let Found { targets: all, unknown } = found.map_err(|error| internal(&error))?;
    let behind = |standing: &Standing| place(&standing.target) > page_token;
    let wanted = all.into_iter().filter(|it| wanted(&it.target, &target, &environment) && behind(it));
    let mut page: Vec<Standing> = wanted.take(size + 1).collect();
    let more = page.len() > size;
    page.truncate(size);
    let next_page_token = page.last().filter(|_| more).map(|last| place(&last.target)).unwrap_or_default();
    Ok(v1::ListReadinessResponse { targets: page.iter().map(standing).collect(), next_page_token, unknown })
}

/// How targets stood.
pub(super) fn changes(
    shared: &Shared,
    request: &v1::ListReadinessChangesRequest,
) -> Result<v1::ListReadinessChangesResponse, Status> {
    let v1::ListReadinessChangesRequest { target, environment, page_size, page_token } = request;
    let size = from_proto::page_size(*page_size, PAGE.0, PAGE.1)?;
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
