//! The runbook that a request is about: one of the folder by its name, or a text that comes with the request.

use std::sync::Arc;

use runbook_core::definition::Runbook;
use runbook_core::language;
use tonic::Status;

use super::from_proto::Wanted;
use super::{Shared, errors, internal, runbooks};

/// What a request is about, before anything is stored of it.
pub(super) struct Asked {
    pub runbook: Runbook,
    pub source: String,
    /// Its file, for messages.
    pub file: String,
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
            Ok(Asked { runbook, source: entry.source().to_owned(), file: entry.file().to_owned() })
        }
        Wanted::Source { bytes, file } => {
            let (checked, bytes, file) =
                tokio::task::spawn_blocking(move || (language::check(&bytes, &file), bytes, file))
                    .await
                    .map_err(|error| internal(&error))?;
            let Some(runbook) = checked.runbook else { return Err(refused_findings(&file, &checked.findings)) };
            Ok(Asked { runbook, source: String::from_utf8_lossy(&bytes).into_owned(), file })
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
