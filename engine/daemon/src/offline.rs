//! What `runbookd` tells of the language and of a single runbook file without a daemon. Reads files, starts nothing.

use std::io::{self, Write as _};
use std::path::Path;

use runbook_core::definition::Runbook;
use runbook_core::language;

use crate::check::{EXIT_FINDINGS, Sources, beside, render};
use crate::{files, graph};

/// Draws a file's graph, and says how to exit.
///
/// # Errors
/// Standard output cannot be written.
pub fn graph(path: &Path, format: graph::Format) -> io::Result<u8> {
    match load(path) {
        Ok(runbook) => {
            write!(io::stdout().lock(), "{}", graph::draw(&runbook, format))?;
            Ok(0)
        }
        Err(problem) => {
            writeln!(io::stderr(), "{problem}")?;
            Ok(EXIT_FINDINGS)
        }
    }
}

/// Prints the JSON Schema of the language, or that of environments, and says how to exit.
///
/// # Errors
/// Standard output cannot be written.
pub fn schema(environment: bool) -> io::Result<u8> {
    let schema = if environment { language::environment_schema() } else { language::json_schema() };
    writeln!(io::stdout().lock(), "{schema:#}")?;
    Ok(0)
}

/// Reads and checks a file; what is wrong with it as it is printed.
fn load(path: &Path) -> Result<Runbook, String> {
    let shown = path.display().to_string();
    let bytes = files::read_bounded(path, runbook_core::limits::FILE_BYTES as u64)
        .map_err(|error| format!("error: {shown}: {error}"))?;
    let paths = [path.to_path_buf()];
    let mut sources = Sources::of(&paths);
    let around = sources.around(&paths);
    let texts = [(shown, bytes)];
    let checked = beside(&texts, around, |texts| language::check_project(texts, [], [], None, |_, _| None));
    let [(_, bytes)] = &texts;
    let text = String::from_utf8_lossy(bytes);
    let mut findings = Vec::new();
    for file in checked {
        if let Some(runbook) = file.checked.runbook {
            return Ok(runbook);
        }
        findings.extend(file.checked.findings.iter().map(|finding| render(finding, Some(&text))));
    }
    Err(findings.join("\n\n"))
}
