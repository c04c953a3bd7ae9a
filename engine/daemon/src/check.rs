//! `runbookd check`: runbook files checked without a daemon, for CI and editors. Reads files, starts nothing.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use runbook_core::language::{self, CheckedFile, Code, Finding, Severity};

use crate::config::Output;
use crate::files;

/// Files checked in one call.
const FILES: usize = 10_000;

/// The exit code when something is wrong with a runbook or a path.
pub const EXIT_FINDINGS: u8 = 2;

/// Checks files and folders, prints what was found, and says how to exit.
///
/// # Errors
/// Standard output cannot be written.
pub fn check(paths: &[PathBuf], output: Output, strict: bool) -> io::Result<u8> {
    let mut sources = Vec::new();
    let mut unreadable = Vec::new();
    for path in paths {
        collect(path, true, &mut sources, &mut unreadable);
    }
    let texts: Vec<(String, Vec<u8>)> = sources.clone();
    let checked = language::check_project(texts);
    let errors: usize = checked.iter().map(|file| count(file, Severity::Error)).sum();
    let warnings: usize = checked.iter().map(|file| count(file, Severity::Warning)).sum();
    let mut out = io::stdout().lock();
    match output {
        Output::Human => {
            for file in &checked {
                let source = sources.iter().find(|(path, _)| *path == file.path).map(|(_, bytes)| bytes);
                let text = source.map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
                for finding in &file.checked.findings {
                    writeln!(out, "{}\n", render(finding, &text))?;
                }
                if file.checked.suppressed > 0 {
                    writeln!(out, "{}: and {} more\n", file.path, file.checked.suppressed)?;
                }
            }
            for problem in &unreadable {
                writeln!(out, "error: {problem}\n")?;
            }
            writeln!(
                out,
                "{} checked: {}, {}",
                plural(checked.len(), "file"),
                plural(errors + unreadable.len(), "error"),
                plural(warnings, "warning")
            )?;
        }
        Output::Json => {
            let findings: Vec<_> = checked.iter().flat_map(|file| &file.checked.findings).map(json).collect();
            let document = serde_json::json!({
                "files": checked.iter().map(|file| &file.path).collect::<Vec<_>>(),
                "findings": findings,
                "unreadable": unreadable,
                "errors": errors + unreadable.len(),
                "warnings": warnings,
            });
            writeln!(out, "{document:#}")?;
        }
    }
    let wrong = errors > 0 || !unreadable.is_empty() || (strict && warnings > 0);
    Ok(if wrong { EXIT_FINDINGS } else { 0 })
}

/// Explains one code, or lists all.
///
/// # Errors
/// Standard output cannot be written.
pub fn explain(code: Option<&str>) -> io::Result<u8> {
    let mut out = io::stdout().lock();
    match code {
        None => {
            for code in Code::ALL {
                writeln!(out, "{:<32} {}", code.text(), code.explanation())?;
            }
            Ok(0)
        }
        Some(wanted) => match Code::ALL.iter().find(|code| code.text() == wanted) {
            Some(code) => {
                writeln!(out, "{}: {}", code.text(), code.explanation())?;
                Ok(0)
            }
            None => {
                let all = Code::ALL.iter().map(|code| code.text());
                let hint = runbook_core::expression::did_you_mean(wanted, all);
                let hint = hint.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
                writeln!(io::stderr(), "error: there is no code {wanted:?}{hint}")?;
                Ok(EXIT_FINDINGS)
            }
        },
    }
}

fn collect(path: &Path, named: bool, sources: &mut Vec<(String, Vec<u8>)>, unreadable: &mut Vec<String>) {
    let shown = path.display().to_string();
    if path.is_dir() {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return unreadable.push(format!("{shown}: {error}")),
        };
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let yaml = name.ends_with(".yaml") || name.ends_with(".yml");
            if !name.starts_with('.') && name != "environments" && (path.is_dir() || yaml) {
                collect(&path, false, sources, unreadable);
            }
        }
        return;
    }
    if sources.len() >= FILES {
        return unreadable.push(format!("{shown}: left out; the limit is {FILES} files a call"));
    }
    let limit = runbook_core::limits::FILE_BYTES as u64;
    match files::read_bounded(path, limit) {
        Ok(bytes) => sources.push((shown, bytes)),
        Err(error) if named || error.kind() != io::ErrorKind::NotFound => unreadable.push(format!("{shown}: {error}")),
        Err(_) => {}
    }
}

fn count(file: &CheckedFile, severity: Severity) -> usize {
    file.checked.findings.iter().filter(|finding| finding.severity == severity).count()
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A finding with the text that it is about underlined.
pub fn render(finding: &Finding, source: &str) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let clamp = |span: &std::ops::Range<usize>| {
        let start = source.floor_char_boundary(span.start.min(source.len()));
        let end = source.ceil_char_boundary(span.end.min(source.len()));
        start..end.max(start)
    };
    let mut snippet =
        Snippet::source(source).path(&finding.file).annotation(AnnotationKind::Primary.span(clamp(&finding.span)));
    for (span, label) in &finding.related {
        snippet = snippet.annotation(AnnotationKind::Context.span(clamp(span)).label(label));
    }
    let mut group = level.primary_title(&finding.message).id(finding.code.text()).element(snippet);
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(help));
    }
    let renderer = if std::io::IsTerminal::is_terminal(&io::stdout()) && std::env::var_os("NO_COLOR").is_none() {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    renderer.decor_style(DecorStyle::Ascii).render(&[group])
}

fn json(finding: &Finding) -> serde_json::Value {
    serde_json::json!({
        "code": finding.code.text(),
        "severity": finding.severity.text(),
        "message": finding.message,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "help": finding.help,
    })
}
