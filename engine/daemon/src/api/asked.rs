//! The runbook that a request is about: one of the folder by its name, or a text that comes with the request.

use std::sync::Arc;

use runbook_core::definition::Runbook;
use runbook_core::language;
use tonic::Status;

use super::from_proto::Wanted;
use super::{Shared, errors, internal, runbooks};
use crate::library::Generation;

/// What a request is about, before anything is stored of it.
pub(super) struct Asked {
    pub runbook: Runbook,
    pub source: String,
    /// Its file, for messages.
    pub file: String,
    /// The folder, with what it starts.
    pub generation: Arc<Generation>,
}

impl Asked {
    /// A runbook that is started on the way.
    pub fn other(&self, name: &str) -> Option<&Runbook> {
        self.generation.entries.get(name)?.runbook()
    }
}

/// Finds the runbook of a request: what was written last, so that an edited one is loaded first.
///
/// # Errors
/// There is no such runbook, or it is broken.
pub(super) async fn asked(shared: &Shared, wanted: Wanted) -> Result<Asked, Status> {
    match wanted {
        Wanted::Named(name) => {
            let library = Arc::clone(&shared.library);
            let generation =
                tokio::task::spawn_blocking(move || library.latest()).await.map_err(|error| internal(&error))?;
            let entry = runbooks::find(&generation, &name)?;
            let Some(runbook) = entry.runbook().cloned() else {
                return Err(refused_findings(&entry.name, &entry.findings));
            };
            let (source, file) = (entry.source().to_owned(), entry.file().to_owned());
            Ok(Asked { runbook, source, file, generation })
        }
        Wanted::Source { bytes, file } => {
            let generation = shared.library.current();
            let others = Arc::clone(&generation);
            let check = move || {
                // Others know this runbook as it is in this text, if they start it.
                let checked = language::check_project(
                    [(file.clone(), bytes.clone())],
                    others.interfaces(),
                    others.usable(),
                    others.configured.clone(),
                    |_, _| None,
                );
                (checked.into_iter().next().map(|file| file.checked), bytes, file)
            };
            let (checked, bytes, file) = tokio::task::spawn_blocking(check).await.map_err(|error| internal(&error))?;
            let checked = checked.ok_or_else(|| internal(&"nothing was checked"))?;
            let Some(runbook) = checked.runbook else { return Err(refused_findings(&file, &checked.findings)) };
            Ok(Asked { runbook, source: String::from_utf8_lossy(&bytes).into_owned(), file, generation })
        }
    }
}

/// A text that was refused, with every error in it.
pub(super) fn refused_findings(name: &str, findings: &[language::Finding]) -> Status {
    let fields: Vec<(String, String)> = findings
        .iter()
        .filter(|finding| finding.severity == language::Severity::Error)
        .map(|finding| {
            let place = format!("{}:{}:{}", finding.file, finding.line, finding.column);
            let help = finding.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
            (place, format!("{}: {}{help}", finding.code.text(), finding.message))
        })
        .collect();
    let list: Vec<String> = fields.iter().map(|(place, problem)| format!("  {place}: {problem}")).collect();
    errors::bad_fields("BROKEN_RUNBOOK", format!("{name} cannot run until it is mended:\n{}", list.join("\n")), &fields)
}
