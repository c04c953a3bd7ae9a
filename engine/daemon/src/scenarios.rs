//! `runbookd test`: scenarios of runbooks rehearsed without a daemon, for CI, and what no scenario came to. Reads files,
//! starts nothing.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use runbook_core::definition::Runbook;
use runbook_core::language::{self, Environments, Finding, Scenario, Severity};
use runbook_core::rehearsal::{Coverage, Mark, Rehearsal, Setting, rehearse};
use runbook_core::run::Pinned;
use serde_json::{Value, json};

use crate::check::{EXIT_FINDINGS, Sources, fault, finding_json, no_runbook, plural, render};
use crate::config::Output;

/// The exit code when a scenario ends otherwise than expected.
pub const EXIT_UNMET: u8 = 1;
/// How many attempts may be live together, as in a daemon that is not configured.
const PLACES: usize = 64;

/// A rehearsed scenario.
struct Rehearsed {
    name: String,
    file: String,
    line: u32,
    /// `None` where there is no end; `unmet` says why.
    lived: Option<Rehearsal>,
    unmet: Vec<String>,
}

/// A runbook and its scenarios.
struct Tested {
    runbook: Runbook,
    file: String,
    scenarios: Vec<Rehearsed>,
}

/// Checks and rehearses what is in files and folders, prints it, and says how to exit.
///
/// # Errors
/// Standard output cannot be written.
pub fn test(paths: &[PathBuf], output: Output) -> io::Result<u8> {
    let mut sources = Sources::of(paths);
    let around = sources.around(paths);
    let Sources { texts, mut findings, .. } = sources;
    let (scenarios, runbooks): (Vec<_>, Vec<_>) = texts.iter().partition(|(path, _)| language::is_scenarios(path));
    let mut tested: BTreeMap<String, Tested> = BTreeMap::new();
    let beside = around.iter().filter(|(path, _)| !language::is_scenarios(path));
    let mut others: Vec<Runbook> = Vec::new();
    let mut environments = Vec::new();
    for file in language::check_project(runbooks.into_iter().chain(beside).cloned(), [], [], None, fault) {
        environments.extend(file.checked.environment);
        if around.iter().any(|(path, _)| *path == file.path) {
            others.extend(file.checked.runbook);
            continue;
        }
        findings.extend(errors(&file.checked.findings));
        if let Some(runbook) = file.checked.runbook {
            let new = Tested { runbook, file: file.path, scenarios: Vec::new() };
            tested.insert(new.runbook.name.clone(), new);
        }
    }
    let environments = Environments::new(environments);
    let mut coverage = Coverage::default();
    for (path, source) in scenarios {
        let name = language::scenarios_of(source).unwrap_or_default();
        let find = |name: &str| {
            let given = tested.get(name).map(|tested| &tested.runbook);
            given.or_else(|| others.iter().find(|other| other.name == name))
        };
        let checked = language::check_scenarios(source, path, &environments, |name| match tested.get(name) {
            Some(tested) => Ok(Pinned::rehearsed(&tested.runbook, None, &find)),
            None => Err(no_runbook(name, tested.keys().map(String::as_str))),
        });
        findings.extend(errors(&checked.findings));
        let Some(of) = tested.get(&name) else { continue };
        let placed = |scenario: Scenario| {
            let pinned = Pinned::rehearsed(&of.runbook, scenario.environment.as_ref(), &find);
            (scenario, pinned)
        };
        let scenarios: Vec<_> = checked.scenarios.into_iter().flatten().map(placed).collect();
        if let Some(tested) = tested.get_mut(&name) {
            tested.rehearse(scenarios, path, &mut coverage);
        }
    }
    let count: usize = tested.values().map(|tested| tested.scenarios.len()).sum();
    let nothing = (count == 0 && findings.is_empty()).then(|| {
        format!(
            "there is no scenario to rehearse: none of the given paths is, or holds, a file named NAME{}",
            language::SCENARIOS_ENDING
        )
    });
    let failed = tested.values().flat_map(|tested| &tested.scenarios).filter(|one| !one.unmet.is_empty()).count();
    let mut out = io::stdout().lock();
    match output {
        Output::Human => {
            for finding in &findings {
                let source = texts.iter().find(|(path, _)| *path == finding.file);
                let source = source.map(|(_, source)| String::from_utf8_lossy(source));
                writeln!(out, "{}\n", render(finding, source.as_deref()))?;
            }
            if let Some(nothing) = &nothing {
                writeln!(out, "error: {nothing}\n")?;
            }
            human(&mut out, &tested, &coverage)?;
        }
        Output::Json => {
            let without: Vec<_> =
                tested.values().filter(|t| t.scenarios.is_empty()).map(|t| t.runbook.name.clone()).collect();
            let with_scenarios = tested.values().filter(|tested| !tested.scenarios.is_empty());
            let document = json!({
                "scenarios": count,
                "failed": failed,
                "runbooks": with_scenarios.map(|tested| tested.json(&coverage)).collect::<Vec<_>>(),
                "without_scenarios": without,
                "findings": findings.iter().map(finding_json).collect::<Vec<_>>(),
                "nothing": nothing,
            });
            writeln!(out, "{document:#}")?;
        }
    }
    Ok(match (findings.is_empty() && nothing.is_none(), failed) {
        (false, _) => EXIT_FINDINGS,
        (true, 0) => 0,
        (true, _) => EXIT_UNMET,
    })
}

fn errors(findings: &[Finding]) -> impl Iterator<Item = Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Error).cloned()
}

impl Tested {
    fn rehearse(&mut self, scenarios: Vec<(Scenario, Arc<Pinned>)>, file: &str, coverage: &mut Coverage) {
        for (scenario, pinned) in scenarios {
            let setting = Setting::new(&self.runbook, scenario.inputs, PLACES);
            let (lived, unmet) = match rehearse(&pinned, &setting, &scenario.script) {
                Ok(lived) => {
                    coverage.add(&lived);
                    let unmet = scenario.expect.unmet(&lived);
                    (Some(lived), unmet)
                }
                Err(stuck) => (None, vec![stuck.to_string()]),
            };
            let (name, line) = (scenario.name, scenario.line);
            self.scenarios.push(Rehearsed { name, file: file.to_owned(), line, lived, unmet });
        }
    }

    /// Each group with all that can be come to, and what was not.
    fn never(&self, coverage: &Coverage) -> Vec<(&'static str, usize, Vec<Mark>)> {
        let groups = Coverage::all(&self.runbook).into_iter();
        groups
            .map(|(group, all)| {
                (
                    group,
                    all.len(),
                    all.into_iter().filter(|mark| !coverage.has(&self.runbook, mark)).collect::<Vec<_>>(),
                )
            })
            .collect()
    }

    fn json(&self, coverage: &Coverage) -> Value {
        let coverage = self.never(coverage).into_iter().map(|(group, all, never)| {
            let texts: Vec<_> = never.iter().map(|mark| mark.text(&self.runbook)).collect();
            (group.to_owned(), json!({"all": all, "seen": all - never.len(), "never": texts}))
        });
        json!({
            "name": self.runbook.name,
            "file": self.file,
            "scenarios": self.scenarios.iter().map(Rehearsed::json).collect::<Vec<_>>(),
            "coverage": coverage.collect::<serde_json::Map<_, _>>(),
        })
    }
}

impl Rehearsed {
    /// What the script asked for in vain.
    fn notes(&self) -> Vec<String> {
        let lived = self.lived.iter();
        lived
            .flat_map(|lived| lived.refused.iter().map(|why| format!("refused: {why}")).chain(lived.unreached.clone()))
            .collect()
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "file": self.file,
            "line": self.line,
            "outcome": self.lived.as_ref().map(|lived| lived.status().name()),
            "took_seconds": self.lived.as_ref().map(|lived| lived.took().0 as f64 / 1e6),
            "unmet": self.unmet,
            "notes": self.notes(),
        })
    }
}

fn human(out: &mut impl io::Write, tested: &BTreeMap<String, Tested>, coverage: &Coverage) -> io::Result<()> {
    let mut failed = 0;
    let mut count = 0;
    for tested in tested.values().filter(|tested| !tested.scenarios.is_empty()) {
        writeln!(out, "{} ({})", tested.runbook.name, tested.file)?;
        for one in &tested.scenarios {
            count += 1;
            failed += usize::from(!one.unmet.is_empty());
            let word = if one.unmet.is_empty() { "ok    " } else { "FAILED" };
            let end = match &one.lived {
                Some(lived) => format!("{} after {}", lived.status().name(), lived.took()),
                None => "no end".to_owned(),
            };
            writeln!(out, "  {word} {}: {end}", one.name)?;
            for unmet in &one.unmet {
                writeln!(out, "         {}:{}: {unmet}", one.file, one.line)?;
            }
            for note in one.notes() {
                writeln!(out, "         note: {note}")?;
            }
        }
        let groups = tested.never(coverage);
        let seen = groups.iter().map(|(group, all, never)| format!("{} of {all} {group}", all - never.len()));
        writeln!(out, "  covered: {}", seen.collect::<Vec<_>>().join(", "))?;
        for mark in groups.iter().flat_map(|(_, _, never)| never) {
            writeln!(out, "    never: {}", mark.text(&tested.runbook))?;
        }
        writeln!(out)?;
    }
    let without: Vec<&str> =
        tested.values().filter(|t| t.scenarios.is_empty()).map(|t| t.runbook.name.as_str()).collect();
    if !without.is_empty() {
        writeln!(out, "without scenarios: {}\n", without.join(", "))?;
    }
    writeln!(out, "{} rehearsed: {failed} failed", plural(count, "scenario"))
}
