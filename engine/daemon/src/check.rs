//! `runbookd check`: runbook files checked without a daemon, for CI and editors. Reads files, starts nothing.

mod configuration;
mod excerpt;
mod sources;

use std::collections::{HashMap, HashSet};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use runbook_core::definition::{Environment, Runbook};
use runbook_core::language::{self, CheckedFile, Code, Configured, Environments, Finding, Interface, Severity};
use runbook_core::run::Pinned;

use crate::config::Output;
use excerpt::excerpt;
pub(crate) use sources::{Sources, fault};

/// The exit code when something is wrong with a runbook or a path.
pub const EXIT_FINDINGS: u8 = 2;

/// Checks files and folders, and a configuration beside them, prints what was found, and says how to exit.
///
/// # Errors
/// Standard output cannot be written.
pub fn check(paths: &[PathBuf], config: Option<&Path>, output: Output, strict: bool) -> io::Result<u8> {
    let mut sources = Sources::of(paths);
    let around = sources.around(paths);
    let Sources { texts, mut findings, .. } = sources;
    // A file that cannot be read defines nothing, and is told as such.
    let looked = config.and_then(|config| crate::config::file::look(config).ok());
    let configured = looked.map(|looked| looked.configured);
    let checked = beside(&texts, around, |texts| together(texts, [], [], configured, fault, |_| None));
    let config_file = config.map(|config| config.display().to_string());
    findings.extend(config.into_iter().flat_map(|config| configuration::check(config, &checked)));
    let mut files: Vec<&str> = checked.iter().map(|file| file.path.as_str()).collect();
    files.extend(
        findings.iter().filter(|finding| finding.code != Code::NoRunbooks).map(|finding| finding.file.as_str()),
    );
    files.extend(config_file.as_deref());
    files.sort_unstable();
    files.dedup();
    let all: Vec<&Finding> = checked.iter().flat_map(|file| &file.checked.findings).chain(&findings).collect();
    let suppressed: usize = checked.iter().map(|file| file.checked.suppressed).sum();
    let errors = all.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = all.len() - errors;
    let mut out = io::stdout().lock();
    match output {
        Output::Human => {
            let texts: HashMap<&str, &[u8]> = texts.iter().map(|(path, text)| (path.as_str(), &**text)).collect();
            for file in checked.iter().filter(|file| !file.checked.findings.is_empty()) {
                let text = texts.get(file.path.as_str()).map(|bytes| String::from_utf8_lossy(bytes));
                for finding in &file.checked.findings {
                    writeln!(out, "{}\n", render(finding, text.as_deref()))?;
                }
                if file.checked.suppressed > 0 {
                    writeln!(out, "{}: and {} more\n", file.path, file.checked.suppressed)?;
                }
            }
            for finding in &findings {
                writeln!(out, "{}\n", render(finding, None))?;
            }
            writeln!(
                out,
                "{} checked: {}, {}",
                plural(files.len(), "file"),
                plural(errors, "error"),
                plural(warnings, "warning")
            )?;
        }
        Output::Json => {
            let document = serde_json::json!({
                "files": files,
                "findings": all.into_iter().map(finding_json).collect::<Vec<_>>(),
                "suppressed": suppressed,
                "errors": errors,
                "warnings": warnings,
            });
            writeln!(out, "{document:#}")?;
        }
    }
    Ok(if errors > 0 || (strict && warnings > 0) { EXIT_FINDINGS } else { 0 })
}

/// Checks texts together with those `around` them, which they may start; gives what came of the texts.
pub(crate) fn beside(
    texts: &[(String, Vec<u8>)],
    around: Vec<(String, Vec<u8>)>,
    check: impl FnOnce(Vec<(String, Vec<u8>)>) -> Vec<CheckedFile>,
) -> Vec<CheckedFile> {
    let own: HashSet<&str> = texts.iter().map(|(path, _)| path.as_str()).collect();
    let mut checked = check(texts.iter().cloned().chain(around).collect());
    checked.retain(|file| own.contains(file.path.as_str()));
    checked
}

/// Checks runbooks and environments together, with `others` that they may start, `environments` beside theirs and what is `configured`, and files of scenarios against the runbooks that they name: one of these, or one that is
/// `known` elsewhere. In the order of the paths.
pub(crate) fn together<'k>(
    texts: Vec<(String, Vec<u8>)>,
    others: impl IntoIterator<Item = (String, Interface)>,
    environments: impl IntoIterator<Item = Environment>,
    configured: Option<Configured>,
    fault: impl Fn(&str, &str) -> Option<String>,
    known: impl Fn(&str) -> Option<&'k Runbook>,
) -> Vec<CheckedFile> {
    let (scenarios, runbooks): (Vec<_>, Vec<_>) = texts.into_iter().partition(|(path, _)| language::is_scenarios(path));
    let beside: Vec<Environment> = environments.into_iter().collect();
    let mut all = language::check_project(runbooks, others, beside.iter().cloned(), configured, fault);
    let environments = Environments::new(all.iter().filter_map(|file| file.checked.environment.clone()).chain(beside));
    let of_scenarios: Vec<CheckedFile> = scenarios
        .into_iter()
        .map(|(path, source)| {
            let good = || all.iter().filter_map(|file| file.checked.runbook.as_ref());
            let found = language::check_scenarios(&source, &path, &environments, |name| {
                let find = |name: &str| good().find(|runbook| runbook.name == name).or_else(|| known(name));
                let found = find(name).ok_or_else(|| no_runbook(name, good().map(|runbook| runbook.name.as_str())))?;
                Ok(Pinned::rehearsed(found, None, &find))
            });
            CheckedFile { path, checked: found.into_checked() }
        })
        .collect();
    all.extend(of_scenarios);
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all
}

/// What is said of scenarios whose runbook is not there.
pub(crate) fn no_runbook<'a>(name: &str, others: impl Iterator<Item = &'a str>) -> String {
    let hint = match runbook_core::expression::did_you_mean(name, others) {
        Some(meant) => format!("; did you mean `{meant}`?"),
        None => String::new(),
    };
    format!("there is no good runbook `{name}`{hint}")
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

/// A number of things, in words.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A finding with the text that it is about underlined, where there is one.
pub(crate) fn render(finding: &Finding, source: Option<&str>) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(&finding.message).id(finding.code.text());
    let shown = source.filter(|source| !source.is_empty()).map(|source| excerpt(source, finding));
    let mut group = match &shown {
        None => {
            let (line, column) = (finding.line as usize, finding.column as usize);
            title.element(Origin::path(&finding.file).line(line).char_column(column))
        }
        Some(shown) => {
            let mut snippet = Snippet::source(&shown.text)
                .path(&finding.file)
                .line_start(shown.first_line)
                .annotation(AnnotationKind::Primary.span(shown.span.clone()));
            for (span, label) in &shown.related {
                snippet = snippet.annotation(AnnotationKind::Context.span(span.clone()).label(label));
            }
            title.element(snippet)
        }
    };
    if let Some(help) = &finding.help {
        group = group.element(Level::HELP.message(help));
    }
    let renderer = if std::io::IsTerminal::is_terminal(&io::stdout()) && std::env::var_os("NO_COLOR").is_none() {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let text = renderer.decor_style(DecorStyle::Ascii).render(&[group]);
    let Some(shown) = shown.filter(|shown| shown.cut) else { return text };
    // The renderer counts columns in what is left of the line.
    let before = shown.text[..shown.span.start].rsplit('\n').next().unwrap_or_default();
    let place = |column: usize| format!("{}:{}:{column}", finding.file, finding.line);
    text.replacen(&place(before.chars().count() + 1), &place(finding.column as usize), 1)
}

/// A finding for programs.
pub(crate) fn finding_json(finding: &Finding) -> serde_json::Value {
    serde_json::json!({
        "code": finding.code.text(),
        "severity": finding.severity.text(),
        "message": finding.message,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "end_line": finding.end_line,
        "end_column": finding.end_column,
        "help": finding.help,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_underlined_however_long_its_line_is() {
        let steps: String = (0..2_000).map(|n| format!("s{n}: {{need: [a], argv: [x]}}, ")).collect();
        let source = format!("name: a\nlanguage: 1\nsteps: {{{steps}a: {{argv: [{}]}}}}\n", "x".repeat(1_000_000));
        let checked = language::check(source.as_bytes(), "a.yaml");
        assert_eq!(checked.findings.len(), runbook_core::limits::FINDINGS);
        for finding in &checked.findings {
            let shown = render(finding, Some(&source));
            assert!(shown.len() < 2_000, "{} bytes", shown.len());
            assert!(shown.contains(&format!("--> a.yaml:3:{}\n", finding.column)), "{shown}");
            assert!(shown.contains("^^^^") && !shown.contains(":::"), "{shown}");
        }
        let first = render(&checked.findings[0], Some(&source));
        assert!(first.contains("s0: {need: [a], argv: [x]}") && first.contains("3 |"), "{first}");
    }

    #[test]
    fn a_finding_without_a_text_has_its_place() {
        let finding = Finding::of_file(Code::UnreadableFile, "gone.yaml", "it is gone", Some("look"));
        let shown = render(&finding, None);
        assert!(shown.starts_with("error[unreadable-file]: it is gone"), "{shown}");
        assert!(shown.contains("--> gone.yaml:1:1") && shown.contains("help: look"), "{shown}");
    }
}
