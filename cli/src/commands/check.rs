//! `runbook check`: asks the daemon what is wrong with runbook files.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use runbook_proto::v1::{CheckRunbookRequest, Finding, Severity};
use serde_json::json;

use super::exec::read_source;
use crate::context::Context;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::line::{Line, Tone};
use crate::session::runbooks;
use crate::text::plural;
use crate::to_json;

/// How deep folders are gone through.
const DEPTH: usize = 16;
/// How many files one command checks.
const FILES: usize = 10_000;

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(after_help = "Exits with 0 when no file has an error, otherwise with 2. `runbookd check` does the same \
    without a daemon, for CI.\n\n\
    Examples:\n  runbook check runbooks/backup.yaml\n  runbook check runbooks --output json")]
pub struct Check {
    /// Files, or folders with .yaml and .yml files
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// A path cannot be read, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Check) -> Result<ExitCode> {
    let mut files = Vec::new();
    for path in &args.paths {
        gather(path, 0, &mut files)?;
    }
    let mut findings = Vec::new();
    for path in &files {
        let file = path.display().to_string();
        let source = match read_source(path) {
            Ok(source) => source,
            // The other files are checked all the same.
            Err(failure) => {
                let finding = unreadable(file, &failure);
                if !cx.console.json {
                    cx.console.line(&Line::of(Tone::Bad, "error: ").with(Tone::Plain, &finding.message))?;
                }
                findings.push(finding);
                continue;
            }
        };
        let text = String::from_utf8_lossy(&source).into_owned();
        let request = CheckRunbookRequest { file, source };
        let response = cx.session.ask(async |channel| runbooks(channel).check_runbook(request.clone()).await).await?;
        if !cx.console.json {
            for finding in &response.findings {
                for line in lines(finding, Some(&text)) {
                    cx.console.line(&line)?;
                }
            }
        }
        findings.extend(response.findings);
    }
    let errors = findings.iter().filter(|finding| finding.severity() == Severity::Error).count() as u64;
    let warnings = findings.len() as u64 - errors;
    if cx.console.json {
        let all: Vec<_> = findings.iter().map(to_json::finding).collect();
        cx.console.json(&json!({"files": files.len(), "errors": errors, "warnings": warnings, "findings": all}))?;
    } else {
        let files = plural(files.len() as u64, "file");
        let (tone, sign) = if errors == 0 { (Tone::Good, "✓") } else { (Tone::Bad, "✗") };
        let text = format!(" {files}: {}, {}", plural(errors, "error"), plural(warnings, "warning"));
        cx.console.line(&Line::of(tone, sign).with(Tone::Plain, &text))?;
    }
    Ok(if errors == 0 { ExitCode::Succeeded } else { ExitCode::Usage })
}

/// A file that cannot be read, told as a finding.
fn unreadable(file: String, failure: &Failure) -> Finding {
    let why = failure.why.as_deref().unwrap_or_default();
    Finding {
        code: "unreadable".to_owned(),
        severity: Severity::Error.into(),
        message: format!("{}: {why}", failure.what),
        file,
        ..Finding::default()
    }
}

/// A finding with the line of text that it is about, where the text is at hand.
pub fn lines(finding: &Finding, source: Option<&str>) -> Vec<Line> {
    let (tone, severity) = match finding.severity() {
        Severity::Error => (Tone::Bad, "error"),
        Severity::Warning | Severity::Unspecified => (Tone::Warn, "warning"),
    };
    let mut lines = vec![
        Line::of(Tone::Bold, &format!("{}:{}:{}", finding.file, finding.line, finding.column))
            .with(Tone::Plain, ": ")
            .with(tone, &format!("{severity}[{}]", finding.code))
            .with(Tone::Plain, &format!(": {}", finding.message)),
    ];
    let place = (finding.line as usize).checked_sub(1);
    if let Some(text) = source.zip(place).and_then(|(source, place)| source.lines().nth(place)) {
        let before: String = text.chars().take((finding.column as usize).saturating_sub(1)).collect();
        let number = finding.line.to_string();
        let indent = " ".repeat(crate::text::width(&crate::text::sanitize(&before)));
        lines.push(Line::of(Tone::Dim, &format!("  {number} | ")).with(Tone::Plain, text));
        lines.push(Line::of(Tone::Dim, &format!("  {} | {indent}", " ".repeat(number.len()))).with(tone, "^"));
    }
    if !finding.help.is_empty() {
        lines.push(Line::of(Tone::Dim, "  help: ").with(Tone::Plain, &finding.help));
    }
    lines
}

/// The files under a path, in a stable order.
fn gather(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let wrong =
        |error: &std::io::Error| Failure::usage(format!("cannot read {}", path.display())).why(error.to_string());
    if !fs::metadata(path).map_err(|error| wrong(&error))?.is_dir() {
        if files.len() >= FILES {
            return Err(Failure::usage(format!(
                "there are more than {FILES} files, which is the limit of one command"
            )));
        }
        files.push(path.to_owned());
        return Ok(());
    }
    if depth >= DEPTH {
        return Err(Failure::usage(format!("{} is nested deeper than {DEPTH} folders", path.display())));
    }
    let mut entries = fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<std::io::Result<Vec<_>>>())
        .map_err(|error| wrong(&error))?;
    entries.sort();
    for entry in entries {
        let hidden = entry.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let yaml = entry.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
        if !hidden && (yaml || entry.is_dir()) {
            gather(&entry, depth + 1, files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_points_at_the_text() {
        let finding = Finding {
            code: "RB0101".into(),
            severity: Severity::Error.into(),
            message: "unknown key \"step\"".into(),
            file: "x.yaml".into(),
            line: 2,
            column: 3,
            help: "did you mean \"steps\"?".into(),
        };
        let text: Vec<String> = lines(&finding, Some("name: x\n\tストstep: 1\n")).iter().map(Line::plain).collect();
        assert_eq!(
            text,
            [
                "x.yaml:2:3: error[RB0101]: unknown key \"step\"",
                "  2 |     ストstep: 1",
                "    |       ^",
                "  help: did you mean \"steps\"?",
            ]
        );
        assert_eq!(lines(&Finding { line: 9, ..finding }, Some("one\n")).len(), 2);
    }

    #[test]
    fn folders_give_their_yaml_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        fs::create_dir_all(base.join("b/.hidden")).unwrap();
        for name in ["c.yml", "a.yaml", "b/d.yaml", "b/.hidden/x.yaml", "notes.txt", ".x.yaml"] {
            fs::write(base.join(name), "x").unwrap();
        }
        let mut files = Vec::new();
        gather(base, 0, &mut files).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.strip_prefix(base).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.yaml", "b/d.yaml", "c.yml"]);
        assert!(gather(&base.join("none"), 0, &mut files).is_err());
    }
}
