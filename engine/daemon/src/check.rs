//! `runbookd check`: runbook files checked without a daemon, for CI and editors. Reads files, starts nothing.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
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
    let mut collected = Collected::default();
    for path in paths {
        collected.add(path);
    }
    let Collected { sources, unreadable, .. } = collected;
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

/// The files to check, each once, however often it is named or linked to.
#[derive(Default)]
struct Collected {
    sources: Vec<(String, Vec<u8>)>,
    unreadable: Vec<String>,
    seen: HashSet<(u64, u64)>,
}

impl Collected {
    fn add(&mut self, path: &Path) {
        let shown = path.display().to_string();
        if let Err(error) = self.add_new(path, &shown) {
            self.unreadable.push(format!("{shown}: {error}"));
        }
    }

    fn add_new(&mut self, path: &Path, shown: &str) -> io::Result<()> {
        let meta = fs::metadata(path)?;
        if !self.seen.insert((meta.dev(), meta.ino())) {
            return Ok(());
        }
        if meta.is_dir() {
            let entries: io::Result<Vec<PathBuf>> = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect();
            let mut paths = entries?;
            paths.sort();
            for path in paths {
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let yaml = name.ends_with(".yaml") || name.ends_with(".yml");
                if !name.starts_with('.') && name != "environments" && (path.is_dir() || yaml) {
                    self.add(&path);
                }
            }
            return Ok(());
        }
        if self.sources.len() >= FILES {
            return Err(io::Error::other(format!("left out; the limit is {FILES} files a call")));
        }
        let bytes = files::read_bounded(path, runbook_core::limits::FILE_BYTES as u64)?;
        self.sources.push((shown.to_owned(), bytes));
        Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_checked_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        for file in ["a.yaml", "sub/b.yml", "c.txt", ".d.yaml"] {
            fs::write(folder.path().join(file), "x").unwrap();
        }
        std::os::unix::fs::symlink("..", folder.path().join("sub/up")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("gone.yaml")).unwrap();
        let mut collected = Collected::default();
        collected.add(folder.path());
        collected.add(&folder.path().join("a.yaml"));
        collected.add(&folder.path().join("missing"));
        let names: Vec<&str> = collected.sources.iter().map(|(path, _)| path.rsplit('/').next().unwrap()).collect();
        assert_eq!(names, ["a.yaml", "b.yml"]);
        assert_eq!(collected.unreadable.len(), 2, "{:?}", collected.unreadable);
    }
}
