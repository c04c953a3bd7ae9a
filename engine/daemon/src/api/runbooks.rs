//! The service of runbooks: what the folder holds, and checks of texts.

use std::sync::Arc;

use runbook_core::expression::did_you_mean;
use runbook_proto::v1;
use runbook_proto::v1::runbook_service_server::RunbookService;
use tonic::{Code, Request, Response, Status};

use super::asked::asked;
use super::from_proto::Faults;
use super::{Shared, environments, errors, from_proto, principal, rehearse, to_proto};
use crate::library::{Entry, Generation};
use crate::{check, files, graph};

/// Runbooks in one page, by default and at most.
const PAGE: (usize, usize) = (100, 1_000);

/// Problems of the folder that are told with a name that was not found.
const PROBLEMS: usize = 3;
/// Files checked in one request.
const CHECKED: usize = 10_000;
/// Findings in one answer to a check.
const FINDINGS: usize = 5_000;

pub(super) struct Runbooks(pub Arc<Shared>);

/// The entry of a name, or a refusal that says which was meant.
pub(super) fn find(generation: &Generation, name: &str) -> Result<Arc<Entry>, Status> {
    let bare = name.strip_prefix("runbooks/").unwrap_or(name);
    if let Some(entry) = generation.entries.get(bare) {
        return Ok(Arc::clone(entry));
    }
    let shown: String = bare.chars().take(80).collect();
    let mut hint = match did_you_mean(bare, generation.entries.keys().map(String::as_str)) {
        Some(meant) => format!("; did you mean {meant:?}?"),
        None => "; `runbook list` shows all".to_owned(),
    };
    // It may be there, where nobody could look.
    if !generation.problems.is_empty() {
        let problems: Vec<&str> = generation.problems.iter().take(PROBLEMS).map(String::as_str).collect();
        hint = format!("{hint} The folder itself has problems: {}", problems.join("; "));
    }
    Err(errors::status(Code::NotFound, "NO_SUCH_RUNBOOK", format!("there is no runbook {shown:?}{hint}")))
}

impl Runbooks {
    /// The folder as it is.
    async fn latest(&self) -> Result<Arc<Generation>, Status> {
        let shared = Arc::clone(&self.0);
        tokio::task::spawn_blocking(move || shared.library.latest()).await.map_err(|error| super::internal(&error))
    }
}

#[tonic::async_trait]
impl RunbookService for Runbooks {
    async fn list_runbooks(
        &self,
        request: Request<v1::ListRunbooksRequest>,
    ) -> Result<Response<v1::ListRunbooksResponse>, Status> {
        let request = request.into_inner();
        let size = from_proto::page_size(request.page_size, PAGE.0, PAGE.1)?;
        let generation = self.latest().await?;
        let mut entries = generation
            .entries
            .range::<str, _>((
                if request.page_token.is_empty() {
                    std::ops::Bound::Unbounded
                } else {
                    std::ops::Bound::Excluded(request.page_token.as_str())
                },
                std::ops::Bound::Unbounded,
            ))
            .map(|(_, entry)| entry);
        let page: Vec<_> = entries.by_ref().take(size).collect();
        let next = if entries.next().is_some() { page.last().map(|entry| entry.name.clone()) } else { None };
        let page: Vec<Arc<Entry>> = page.into_iter().cloned().collect();
        let (shared, others) = (Arc::clone(&self.0), Arc::clone(&generation));
        // The definitions are hashed, which may mean to read files.
        let runbooks = tokio::task::spawn_blocking(move || {
            page.iter().map(|entry| to_proto::entry(entry, &others, &shared.config.project)).collect()
        });
        Ok(Response::new(v1::ListRunbooksResponse {
            runbooks: runbooks.await.map_err(|error| super::internal(&error))?,
            next_page_token: next.unwrap_or_default(),
            generation: generation.number,
            problems: generation.problems.clone(),
        }))
    }

    async fn get_runbook(
        &self,
        request: Request<v1::GetRunbookRequest>,
    ) -> Result<Response<v1::GetRunbookResponse>, Status> {
        let (shared, name) = (Arc::clone(&self.0), request.into_inner().name);
        let found = tokio::task::spawn_blocking(move || {
            let generation = shared.library.latest();
            let entry = find(&generation, &name)?;
            let mut runbook = to_proto::entry(&entry, &generation, &shared.config.project);
            entry.source().clone_into(&mut runbook.source);
            Ok::<_, Status>(runbook)
        });
        let runbook = found.await.map_err(|error| super::internal(&error))??;
        Ok(Response::new(v1::GetRunbookResponse { runbook: Some(runbook) }))
    }

    async fn check_runbook(
        &self,
        request: Request<v1::CheckRunbookRequest>,
    ) -> Result<Response<v1::CheckRunbookResponse>, Status> {
        let files = request.into_inner().files;
        if files.is_empty() || files.len() > CHECKED {
            return Err(errors::bad_field("files", format!("give 1 to {CHECKED} files")));
        }
        let mut texts = Vec::with_capacity(files.len());
        for v1::SourceFile { file, source } in files {
            texts.push((from_proto::file_name("files.file", &file)?, source));
        }
        let (project, generation) = (self.0.config.project.clone(), self.0.library.current());
        let checked = tokio::task::spawn_blocking(move || {
            let known = |name: &str| generation.entries.get(name).and_then(|entry| entry.runbook());
            let fault = |_: &str, listed: &str| files::listed_fault(&project.join(listed));
            check::together(
                texts,
                generation.interfaces(),
                generation.usable(),
                generation.configured.clone(),
                fault,
                known,
            )
        })
        .await
        .map_err(|error| super::internal(&error))?;
        let mut room = FINDINGS;
        let files = checked.into_iter().map(|file| {
            let shown = file.checked.findings.len().min(room);
            room -= shown;
            let suppressed = file.checked.suppressed + file.checked.findings.len() - shown;
            v1::CheckedFile {
                file: file.path,
                findings: file.checked.findings.iter().take(shown).map(to_proto::finding).collect(),
                suppressed: u32::try_from(suppressed).unwrap_or(u32::MAX),
                runbook: file.checked.runbook.as_ref().map(to_proto::runbook),
            }
        });
        Ok(Response::new(v1::CheckRunbookResponse { files: files.collect() }))
    }

    async fn draw_graph(
        &self,
        request: Request<v1::DrawGraphRequest>,
    ) -> Result<Response<v1::DrawGraphResponse>, Status> {
        let v1::DrawGraphRequest { runbook, mut source, source_file, format } = request.into_inner();
        let mut faults = Faults::default();
        let wanted = faults.take(from_proto::wanted(&runbook, &mut source, &source_file));
        let format = faults.take(from_proto::graph_format(format));
        let (Some(wanted), Some(format)) = (wanted, format) else { return Err(faults.refusal()) };
        let asked = asked(&self.0, wanted).await?;
        Ok(Response::new(v1::DrawGraphResponse {
            drawing: graph::draw(&asked.runbook, format),
            runbook: Some(v1::Runbook { file: asked.file, ..to_proto::runbook(&asked.runbook) }),
        }))
    }

    async fn list_environments(
        &self,
        request: Request<v1::ListEnvironmentsRequest>,
    ) -> Result<Response<v1::ListEnvironmentsResponse>, Status> {
        let request = request.into_inner();
        let size = from_proto::page_size(request.page_size, PAGE.0, PAGE.1)?;
        let generation = self.latest().await?;
        let after = generation.places.iter().filter(|(name, _)| name.as_str() > request.page_token.as_str());
        let page: Vec<_> = after.take(size + 1).map(|(_, place)| place).collect();
        let next = if page.len() > size { page.get(size.saturating_sub(1)) } else { None };
        Ok(Response::new(v1::ListEnvironmentsResponse {
            environments: page.iter().take(size).map(|place| environments::told(place)).collect(),
            next_page_token: next.map(|place| place.name.clone()).unwrap_or_default(),
        }))
    }

    async fn get_environment(
        &self,
        request: Request<v1::GetEnvironmentRequest>,
    ) -> Result<Response<v1::GetEnvironmentResponse>, Status> {
        let generation = self.latest().await?;
        let place = environments::find(&generation, &request.into_inner().name)?;
        Ok(Response::new(v1::GetEnvironmentResponse { environment: Some(environments::told(place)) }))
    }

    async fn rehearse_runbook(
        &self,
        request: Request<v1::RehearseRunbookRequest>,
    ) -> Result<Response<v1::RehearseRunbookResponse>, Status> {
        let by = principal(&request);
        Ok(Response::new(rehearse::answer(&self.0, by, request.into_inner()).await?))
    }
}
