//! The service about the daemon itself.

use std::sync::Arc;

use runbook_core::preflight::Checked;
use runbook_proto::v1;
use runbook_proto::v1::system_service_server::SystemService;
use tonic::{Request, Response, Status};

use super::{Shared, drift, errors, from_proto, readiness, to_proto};
use crate::clock;
use crate::findings::{self, Finding, Kind};
use crate::hooks;
use crate::timed;

/// Findings in one page, by default and at most.
const PAGE: (usize, usize) = (100, 1_000);

/// Where a finding stands among all; in their order, and after a restart too.
fn place(finding: &Finding) -> String {
    format!("{} {} {:020} {}", finding.kind as u8, finding.subject, finding.run_number, finding.message)
}

fn finding(it: Finding) -> v1::StandingFinding {
    let kind = match it.kind {
        Kind::Overdue => v1::FindingKind::Overdue,
        Kind::Attention => v1::FindingKind::Attention,
        Kind::Broken => v1::FindingKind::Broken,
        Kind::Hook => v1::FindingKind::Hook,
        Kind::Preflight => v1::FindingKind::Preflight,
    };
    v1::StandingFinding {
        kind: kind.into(),
        subject: it.subject,
        since: Some(to_proto::timestamp(it.since)),
        message: it.message,
        help: it.help,
        run_number: it.run_number,
    }
}

pub(super) struct System(pub Arc<Shared>);

/// Runbooks that could not start, as a look on their timer found.
fn preflights(shared: &Shared) -> Vec<Finding> {
    let wanted = timed::wanted(&shared.library.current());
    let records = shared.shelf.look();
    let failed = records.preflights.values().filter(|checked| wanted.contains_key(&checked.place));
    let finding = |checked: &Checked| {
        let Checked { place, since, missing, left_out, .. } = checked;
        let environment = place.environment.as_deref();
        let mut problems: Vec<String> = missing.iter().map(|missing| missing.problem.clone()).collect();
        problems.extend((*left_out > 0).then(|| format!("and {left_out} more")));
        let (at, flag) = match environment {
            Some(environment) => (format!(" in {environment}"), format!(" --env {environment}")),
            None => Default::default(),
        };
        since.map(|since| Finding {
            kind: Kind::Preflight,
            subject: place.runbook.clone(),
            since,
            message: format!("it could not start{at}: {}", problems.join("; ")),
            help: format!(
                "`runbook plan {}{flag}` looks again; the finding goes with the next look that finds all",
                place.runbook
            ),
            run_number: 0,
        })
    };
    failed.filter_map(finding).collect()
}

impl System {
    /// Hooks that cannot be started.
    fn hooks(&self) -> impl Iterator<Item = Finding> {
        let folder = self.0.library.current();
        let since = self.0.started_at;
        self.0.config.hooks.iter().filter_map(move |(event, name)| {
            let message = hooks::fault(*event, name, &folder)?;
            let help = "mend the runbook, or name another one in the daemon's configuration".to_owned();
            Some(Finding { kind: Kind::Hook, subject: name.clone(), since, message, help, run_number: 0 })
        })
    }
}

#[tonic::async_trait]
impl SystemService for System {
    async fn get_info(&self, _: Request<v1::GetInfoRequest>) -> Result<Response<v1::GetInfoResponse>, Status> {
        let shared = &self.0;
        let counts = shared.dispatcher.query(|machine| (machine.roots().count(), machine.live_attempts())).await;
        let (runs, attempts) = counts.map_err(|_| errors::ending())?;
        let generation = shared.library.current();
        let broken = generation.entries.values().filter(|entry| entry.is_broken()).count();
        let good = generation.entries.len() - broken;
        let runbooks = generation.entries.values().filter_map(|entry| entry.runbook());
        let schedules: usize = runbooks.map(|runbook| runbook.schedules.len()).sum();
        let mut warnings = shared.warnings.clone();
        warnings.extend(generation.problems.iter().cloned());
        if generation.number == 0 {
            warnings.push("the folder of runbooks is still being loaded".to_owned());
        }
        warnings.extend(crate::room::lack(&shared.config.data_dir));
        Ok(Response::new(v1::GetInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            project_folder: shared.config.project.display().to_string(),
            data_directory: shared.config.data_dir.display().to_string(),
            started_at: Some(to_proto::timestamp(shared.started_at)),
            active_runs: runs as u64,
            live_attempts: attempts as u64,
            places: shared.config.max_attempts as u64,
            draining: shared.drain.is_cancelled(),
            runbooks: u32::try_from(good).unwrap_or(u32::MAX),
            broken_runbooks: u32::try_from(broken).unwrap_or(u32::MAX),
            generation: generation.number,
            warnings,
            fires_schedules: shared.config.schedules,
            schedules: u32::try_from(schedules).unwrap_or(u32::MAX),
        }))
    }

    async fn list_findings(
        &self,
        request: Request<v1::ListFindingsRequest>,
    ) -> Result<Response<v1::ListFindingsResponse>, Status> {
        let v1::ListFindingsRequest { page_size, page_token } = request.into_inner();
        let size = from_proto::page_size(page_size, PAGE.0, PAGE.1)?;
        let Shared { dispatcher, library, successes, .. } = &*self.0;
        let found = findings::look(dispatcher, library, successes, clock::now()).await.map_err(|_| errors::ending())?;
        let all = found.all.into_iter().chain(self.hooks()).chain(preflights(&self.0));
        let mut page: Vec<Finding> =
            all.into_iter().filter(|finding| place(finding) > page_token).take(size + 1).collect();
        let more = page.len() > size;
        page.truncate(size);
        let next_page_token = page.last().filter(|_| more).map(place).unwrap_or_default();
        let findings = page.into_iter().map(finding).collect();
        Ok(Response::new(v1::ListFindingsResponse { findings, next_page_token }))
    }

    async fn list_readiness(
        &self,
        request: Request<v1::ListReadinessRequest>,
    ) -> Result<Response<v1::ListReadinessResponse>, Status> {
        readiness::list(&self.0, request.into_inner()).await.map(Response::new)
    }

    async fn list_readiness_changes(
        &self,
        request: Request<v1::ListReadinessChangesRequest>,
    ) -> Result<Response<v1::ListReadinessChangesResponse>, Status> {
        readiness::changes(&self.0, &request.into_inner()).await.map(Response::new)
    }

    async fn list_drift(
        &self,
        request: Request<v1::ListDriftRequest>,
    ) -> Result<Response<v1::ListDriftResponse>, Status> {
        drift::list(&self.0, &request.into_inner()).await.map(Response::new)
    }

    async fn accept_drift(
        &self,
        request: Request<v1::AcceptDriftRequest>,
    ) -> Result<Response<v1::AcceptDriftResponse>, Status> {
        let by = super::principal(&request);
        drift::accept(&self.0, by, request.into_inner()).await.map(Response::new)
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::DrainResponse>, Status> {
        let shared = &self.0;
        let by = super::principal(&request);
        let reason = from_proto::reason(&request.into_inner().reason)?;
        let live = shared.dispatcher.query(runbook_core::machine::Machine::live_attempts).await;
        let live = live.map_err(|_| errors::ending())? as u64;
        tracing::info!(by = by.name, reason, live_attempts = live, "asked to drain; attempts go on");
        shared.drain.cancel();
        Ok(Response::new(v1::DrainResponse { live_attempts: live }))
    }
}
