//! Whether the pages are true: what they name exists, and what they list is what the programs have. Never judges how
//! they read.

use crate::repository::{Text, exists, none, read, texts};

/// The folders that a path in a page may begin with.
const TOP: [&str; 9] =
    [".ci/", "benches/", "cli/", "docs/", "engine/", "infrastructure/", "proto/", "runbooks/", "tests/"];

fn pages() -> Vec<Text> {
    let pages = texts(&[".md"]);
    let names: Vec<_> = pages.iter().map(|page| page.path.as_str()).collect();
    for page in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/README.md", "docs/runs.md"] {
        assert!(names.contains(&page), "{page} is missing");
    }
    pages
}

/// What a page names: targets of its links, relative to the page; paths between backticks, from the root.
fn named(page: &Text) -> Vec<(usize, String)> {
    let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut found = Vec::new();
    for (number, line) in page.lines() {
        for target in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !target.contains("://") {
                found.push((number, if folder.is_empty() { path.to_owned() } else { format!("{folder}/{path}") }));
            }
        }
        for code in line.split('`').skip(1).step_by(2) {
            let literal = !code.contains(|c: char| " *<>{}$|=…\"'".contains(c));
            if literal && TOP.iter().any(|top| code.starts_with(top)) {
                found.push((number, code.to_owned()));
            }
        }
    }
    found
}

fn missing(page: &Text) -> Vec<String> {
    let gone = named(page).into_iter().filter(|(_, path)| !exists(path));
    gone.map(|(number, path)| format!("{}:{number}: {path}", page.path)).collect()
}

#[test]
fn what_a_page_names_exists() {
    let all = pages();
    none("a page names what is not there", &all.iter().flat_map(missing).collect::<Vec<_>>());
    let count: usize = all.iter().map(|page| named(page).len()).sum();
    assert!(count > 50, "the control: only {count} paths were seen");
    let text = "see `engine/core/src/nothing.rs`, [this](gone.md#x) and [that](runs.md), `cli/`\n";
    let control = Text { path: "docs/control.md".to_owned(), text: text.to_owned() };
    assert_eq!(missing(&control), ["docs/control.md:1: docs/gone.md", "docs/control.md:1: engine/core/src/nothing.rs"]);
}

#[test]
fn every_page_is_in_the_index() {
    let index = read("docs/README.md");
    for page in texts(&[".md"]) {
        if let Some(name) = page.path.strip_prefix("docs/").filter(|name| *name != "README.md") {
            assert!(index.contains(&format!("({name})")), "docs/README.md does not lead to {name}");
        }
    }
    let map = read("ARCHITECTURE.md");
    for folder in
        ["proto", "engine/core", "engine/shim", "engine/journal", "engine/actions", "engine/daemon", "cli", "tests"]
    {
        assert!(exists(&format!("{folder}/Cargo.toml")), "{folder} is no crate any more");
        assert!(map.contains(&format!("`{folder}/`")), "ARCHITECTURE.md has no `{folder}/`");
    }
}

/// The commands of a page: the lines of its blocks of shell.
fn commands(page: &str) -> Vec<&str> {
    let blocks = page.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    blocks.flat_map(str::lines).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn the_first_words_of_the_readme_are_its_two_commands() {
    let readme = read("README.md");
    let [main, tests] = commands(&readme)[..2] else { panic!("two commands") };
    assert_eq!(main, "cargo build --release && ./target/release/runbook exec backup");
    assert_eq!(tests, "cargo test --workspace");
    let ci = read(".ci/run");
    assert_eq!(ci.lines().filter(|line| line.trim() == tests).count(), 1, "CI runs the very command");
}

/// The pairs of a table of Rust: `head NAME between VALUE,`.
fn pairs<'t>(source: &'t str, head: &str, between: &str) -> Vec<(&'t str, &'t str)> {
    let lines = source.lines().filter_map(|line| line.trim().strip_prefix(head));
    lines.filter_map(|line| line.strip_suffix(',')?.split_once(between)).collect()
}

#[test]
fn the_exit_codes_of_the_readme_are_those_of_the_program() {
    let source = read("cli/src/exit_code.rs");
    let numbers: Vec<_> =
        pairs(&source, "", " = ").into_iter().filter(|(_, number)| number.parse::<u8>().is_ok()).collect();
    let meanings = pairs(&source, "Self::", " => ");
    assert!(numbers.len() >= 10, "the control: the codes are not read as they are written: {numbers:?}");
    let readme = read("README.md");
    for (name, number) in numbers {
        let meaning = meanings.iter().find(|(it, _)| *it == name).map(|(_, text)| text.trim_matches('"'));
        let row = format!("| {number} | {} |", meaning.unwrap_or_else(|| panic!("{name} has no meaning")));
        assert!(readme.contains(&row), "README.md has no row `{row}`");
    }
}

#[test]
fn the_readme_knows_every_verb() {
    let source = read("cli/src/args.rs");
    let (_, verbs) = source.split_once("pub enum Command {\n").expect("the verbs");
    let verbs = verbs.split_once("\n}").expect("their end").0;
    let readme = read("README.md");
    let mut count = 0;
    for line in verbs.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        let verb = line.split('(').next().expect("a name").to_ascii_lowercase();
        assert!(readme.contains(&format!("`{verb}`")), "README.md does not tell of `{verb}`");
        count += 1;
    }
    assert!(count >= 15, "the control: only {count} verbs were seen");
}

/// The texts between quotes that are written like a reason: `NO_SUCH_RUN`.
fn reasons(source: &str) -> Vec<&str> {
    let is_reason = |text: &&str| text.len() > 3 && text.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    code.split('"').skip(1).step_by(2).filter(is_reason).filter(|text| !text.starts_with("CARGO_")).collect()
}

#[test]
fn the_page_of_the_api_knows_every_method_and_reason() {
    let page = read("docs/api.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells: Vec<&str> = rows.filter_map(|row| row.split('|').nth(1)).collect();
    let mut named: Vec<&str> = cells.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    named.sort_unstable();
    let mut wanted = Vec::new();
    let sources = texts(&[".rs"]);
    for source in sources.iter().filter(|source| source.path.starts_with("engine/daemon/src/api/")) {
        wanted.extend(reasons(&source.text));
    }
    assert!(wanted.len() >= 25, "the control: only {} reasons were seen", wanted.len());
    let protocols = texts(&[".proto"]);
    let before = wanted.len();
    for protocol in protocols.iter().filter(|protocol| protocol.path.starts_with("proto/runbook/v1/")) {
        let rpcs = protocol.text.lines().filter_map(|line| line.trim().strip_prefix("rpc "));
        wanted.extend(rpcs.filter_map(|rpc| rpc.split('(').next()));
    }
    assert!(wanted.len() >= before + 14, "the control: only {} methods were seen", wanted.len() - before);
    wanted.sort_unstable();
    wanted.dedup();
    assert_eq!(named, wanted, "docs/api.md, left, and the daemon, right");
}
