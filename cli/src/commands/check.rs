//! `runbook check`: asks the daemon what is wrong with runbook files.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;
use runbook_proto::v1::{CheckRunbookRequest, Finding, Severity};
use serde_json::json;

use crate::context::Context;
use crate::excerpt::Text;
use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};
use crate::line::{Line, Tone};
use crate::session::runbooks;
use crate::sources::Sources;
use crate::text::plural;
use crate::to_json;

/// What one request may hold of texts, in bytes: the daemon's limit, less what stands around them.
const REQUEST_BYTES: usize = 15 << 20;

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
/// There is too much to check at once, or no daemon answers.
pub async fn run(cx: &mut Context, args: &Check) -> Result<ExitCode> {
    let sources = Sources::of(&args.paths);
    if sources.bytes() > REQUEST_BYTES {
        return Err(Failure::usage(format!("the files have {} bytes together", sources.bytes()))
            .why(format!("one check takes {REQUEST_BYTES}"))
            .next("name fewer of them, or use `runbookd check`, which has no such limit"));
    }
    let mut texts = HashMap::new();
    let mut checked = Vec::new();
    if !sources.files.is_empty() {
        let request = CheckRunbookRequest { files: sources.files };
        let response = cx.session.ask(async |channel| runbooks(channel).check_runbook(request.clone()).await).await?;
        checked = response.files;
        texts = request.files.into_iter().map(|file| (file.file, file.source)).collect();
    }
    let mut files: Vec<&str> = checked.iter().map(|file| file.file.as_str()).collect();
    files.extend(sources.findings.iter().filter(|finding| finding.code != "no-runbooks").map(|f| f.file.as_str()));
    files.sort_unstable();
    files.dedup();
    let findings: Vec<&Finding> = checked.iter().flat_map(|file| &file.findings).chain(&sources.findings).collect();
    let suppressed: u64 = checked.iter().map(|file| u64::from(file.suppressed)).sum();
    let errors = findings.iter().filter(|finding| finding.severity() == Severity::Error).count() as u64;
    let warnings = findings.len() as u64 - errors;
    if cx.console.json {
        let all: Vec<_> = findings.iter().map(|finding| to_json::finding(finding)).collect();
        cx.console.json(&json!({
            "files": files,
            "findings": all,
            "suppressed": suppressed,
            "errors": errors,
            "warnings": warnings,
        }))?;
    } else {
        for file in checked.iter().filter(|file| !file.findings.is_empty()) {
            let text = texts.get(&file.file).map(|source| String::from_utf8_lossy(source)).unwrap_or_default();
            let text = Text::new(&text);
            for line in file.findings.iter().flat_map(|finding| lines(finding, Some(&text))) {
                cx.console.line(&line)?;
            }
            if file.suppressed > 0 {
                cx.console.line(&Line::of(Tone::Plain, &format!("{}: and {} more", file.file, file.suppressed)))?;
            }
        }
        for line in sources.findings.iter().flat_map(|finding| lines(finding, None)) {
            cx.console.line(&line)?;
        }
        let files = plural(files.len() as u64, "file");
        let (tone, sign) = if errors == 0 { (Tone::Good, "✓") } else { (Tone::Bad, "✗") };
        let text = format!(" {files}: {}, {}", plural(errors, "error"), plural(warnings, "warning"));
        cx.console.line(&Line::of(tone, sign).with(Tone::Plain, &text))?;
    }
    Ok(if errors == 0 { ExitCode::Succeeded } else { ExitCode::Usage })
}

/// A finding with the line of text that it is about, where the text is at hand.
pub fn lines(finding: &Finding, text: Option<&Text<'_>>) -> Vec<Line> {
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
    lines.extend(text.into_iter().flat_map(|text| text.around(finding, tone)));
    if !finding.help.is_empty() {
        lines.push(Line::of(Tone::Dim, "  help: ").with(Tone::Plain, &finding.help));
    }
    lines
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
            end_line: 2,
            end_column: 8,
        };
        let source = Text::new("name: x\n\tストstep: 1\n");
        let text: Vec<String> = lines(&finding, Some(&source)).iter().map(Line::plain).collect();
        assert_eq!(
            text,
            [
                "x.yaml:2:3: error[RB0101]: unknown key \"step\"",
                "  2 |     ストstep: 1",
                "    |       ^^^^^^",
                "  help: did you mean \"steps\"?",
            ]
        );
        assert_eq!(lines(&Finding { line: 9, ..finding }, Some(&Text::new("one\n"))).len(), 2);
    }
}
