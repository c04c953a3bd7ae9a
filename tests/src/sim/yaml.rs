//! Keeps the generator and the language in step: a design written as YAML, read by the language, must be the design.

use runbook_core::language::{Finding, Severity, check_project};

use super::faults::{Limits, Settings};
use super::generator;
use super::random::Random;

/// Writes the designs of a seed in the language and reads them back. Tells how many the language took, and how many
/// it refused for what only the language forbids.
///
/// # Errors
/// A design that came back as another one.
pub fn check_language(seed: u64) -> Result<(usize, usize), String> {
    let root = Random::new(seed);
    let settings = Settings::draw(&root, Limits::NONE);
    let (mut taken, mut refused) = (0, 0);
    let designs = generator::designs(&root, &settings);
    let texts: Vec<String> = designs.iter().map(|design| design.yaml()).collect();
    let files = texts.iter().enumerate().map(|(index, text)| (format!("{index}.yaml"), text.clone().into_bytes()));
    let checked = check_project(files, [], [], None, |_, _| None);
    for (index, (design, (text, checked))) in designs.iter().zip(texts.iter().zip(checked)).enumerate() {
        let checked = checked.checked;
        match checked.runbook {
            Some(runbook) if runbook == design.runbook => taken += 1,
            Some(runbook) => {
                let (read, meant) = (format!("{runbook:#?}"), format!("{:#?}", design.runbook));
                let line = read.lines().zip(meant.lines()).position(|(read, meant)| read != meant).unwrap_or(0);
                let near =
                    |text: &str| text.lines().skip(line.saturating_sub(8)).take(12).collect::<Vec<_>>().join("\n");
                return Err(format!(
                    "seed {seed}, {index}: read\n{}\nmeant\n{}\nof\n{text}",
                    near(&read),
                    near(&meant)
                ));
            }
            None => {
                refused += 1;
                let unexpected = |finding: &&Finding| {
                    finding.severity == Severity::Error && !EXPECTED.contains(&finding.code.text())
                };
                if let Some(finding) = checked.findings.iter().find(unexpected) {
                    return Err(format!("seed {seed}, {index}: refused with {finding:#?}\n{text}"));
                }
            }
        }
    }
    Ok((taken, refused))
}

/// What designs hold on purpose and the language forbids: a lock twice, `attention: {as: retry}`; and the start of such
/// a runbook.
const EXPECTED: &[&str] = &["duplicate-item", "unknown-value", "broken-runbook"];
