//! The examples of the reference (`docs/examples/`): each is checked without a warning, its scenarios end as they say, and
//! how it ends when each of its steps fails in turn stays as it was read and found good.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use runbook_core::id::Digest;
use runbook_core::language::{self, Scenario};
use runbook_core::rehearsal::{Setting, every_failure, rehearse};
use runbook_core::run::Pinned;
use runbook_tests::e2e::golden;

/// As in a daemon that is not configured.
const PLACES: usize = 64;

/// A runbook and its scenarios.
struct Example {
    name: String,
    pinned: Arc<Pinned>,
    scenarios: Vec<Scenario>,
}

fn examples() -> Vec<Example> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    let mut sources = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).expect("docs/examples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            sources.insert(name, std::fs::read(&path).expect("a file"));
        }
    }
    let runbooks = sources.iter().filter(|(file, _)| !language::is_scenarios(file));
    runbooks
        .map(|(file, source)| {
            let checked = language::check(source, file);
            assert_eq!(checked.findings, [], "{file}");
            let pinned = Arc::new(Pinned::new(checked.runbook.expect("a runbook"), Digest::of(source), []));
            let name = file.trim_end_matches(".yaml").to_owned();
            assert_eq!(pinned.runbook.name, name, "{file} has another name");
            let beside = format!("{name}{}", language::SCENARIOS_ENDING);
            let told = sources.get(&beside).unwrap_or_else(|| panic!("{beside} is missing"));
            let told = language::check_scenarios(told, &beside, &Default::default(), |_| Ok(Arc::clone(&pinned)));
            assert_eq!(told.findings, [], "{beside}");
            Example { name, scenarios: told.scenarios.expect("scenarios"), pinned }
        })
        .collect()
}

impl Example {
    fn setting(&self, scenario: &Scenario) -> Setting {
        Setting::new(&self.pinned.runbook, scenario.inputs.clone(), PLACES)
    }
}

#[test]
fn they_end_as_their_scenarios_say() {
    let mut unmet = Vec::new();
    for example in examples() {
        for scenario in &example.scenarios {
            let lived = rehearse(&example.pinned, &example.setting(scenario), &scenario.script).expect("an end");
            let missed = scenario.expect.unmet(&lived);
            unmet.extend(missed.into_iter().map(|what| format!("{}: {}: {what}", example.name, scenario.name)));
        }
    }
    assert_eq!(unmet, Vec::<String>::new());
}

fn words(paths: &[String]) -> String {
    if paths.is_empty() { "nothing".to_owned() } else { paths.join(", ") }
}

/// Under the world of the first scenario, in which all goes well.
#[test]
fn each_of_their_failures_ends_as_it_should() {
    let mut text = String::new();
    let examples = examples();
    assert!(examples.len() >= 15, "{} examples", examples.len());
    for example in examples {
        writeln!(text, "{}", example.name).unwrap();
        let scenario = example.scenarios.first().expect("a scenario");
        every_failure(&example.pinned, &example.setting(scenario), &scenario.script, |step, lived| {
            let reached = if lived.began(step) { "fails" } else { "never starts" };
            let (end, stays) = (lived.status().name(), words(&lived.remains()));
            writeln!(text, "  {step} {reached}: {end}; stays: {stays}").unwrap();
        })
        .expect("ends");
    }
    golden("examples/every-failure.txt", &text);
}

#[test]
fn the_page_of_examples_names_all_of_them() {
    let page = include_str!("../../docs/examples/README.md");
    let missing: Vec<String> = examples()
        .into_iter()
        .map(|example| example.name)
        .filter(|name| !page.contains(&format!("({name}.yaml)")))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}
