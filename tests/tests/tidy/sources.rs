//! What every source looks like: headers, lengths, words, and what tests and the core must not do. Reads the files as
//! text; never builds anything.

use crate::repository::{Text, none, rust, texts};

/// The longest source, in lines. A file that comes near it has more than one purpose.
const LINES: usize = 800;

/// Longer files, each with the reason. Empty, and better so.
const LONG: [(&str, &str); 0] = [];

/// Waits of tests that are no sleeps to be on the safe side, each with the reason.
const WAITS: [(&str, &str); 1] =
    [("tests/src/e2e/mod.rs", "wait_for: looks at a state again and again, with a bound, and fails loudly")];

/// Words of others, where another spelling than ours is theirs.
const THEIRS: [(&str, &str, &str); 6] = [
    ("engine/daemon/src/", ".cancelled()", "a method of tokio-util's CancellationToken"),
    ("engine/daemon/src/", ".is_cancelled()", "a method of tokio-util's CancellationToken"),
    ("cli/src/", "Code::Cancelled", "a code of gRPC"),
    ("cli/src/", "\"CANCELLED\"", "the name of a code of gRPC"),
    ("engine/core/src/expression/functions.rs", "\"cancelled\" | \"canceled\"", "the hint for who spells it so"),
    ("engine/core/src/expression/tests/checks.rs", "cancelled'", "the diagnostic for who spells it so"),
];

/// The other spelling.
const WRONG: [&str; 2] = ["cancelled", "cancelling"];

/// A rule over lines of text: what is looked for, and what to say.
struct Ban {
    needle: String,
    why: &'static str,
}

/// Says the needle in two halves, so that this file does not hold it.
fn ban(head: &str, tail: &str, why: &'static str) -> Ban {
    Ban { needle: format!("{head}{tail}"), why }
}

/// Every place where one of the bans is broken.
fn objections<'t>(texts: impl IntoIterator<Item = (&'t str, &'t str)>, bans: &[Ban]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in texts {
        for (index, line) in text.lines().enumerate() {
            for ban in bans.iter().filter(|ban| line.contains(&ban.needle)) {
                found.push(format!("{path}:{}: `{}`: {}", index + 1, ban.needle, ban.why));
            }
        }
    }
    found
}

fn whole(texts: &[Text]) -> impl Iterator<Item = (&str, &str)> {
    texts.iter().map(|text| (text.path.as_str(), text.text.as_str()))
}

/// The control: every ban objects to a line that breaks it.
fn each_bites(bans: &[Ban]) {
    for ban in bans {
        let line = format!("    let x = {};", ban.needle);
        let found = objections([("control.rs", line.as_str())], std::slice::from_ref(ban));
        assert_eq!(found.len(), 1, "the ban on {} does not bite", ban.needle);
    }
}

#[test]
fn every_source_says_what_it_is_for() {
    let silent = |source: &&Text| !source.text.starts_with("//! ");
    let found: Vec<_> = rust().iter().filter(silent).map(|source| source.path.clone()).collect();
    none("a source without a `//!` header in its first line", &found);
    assert!(silent(&&Text { path: String::new(), text: "use std::fs;\n".to_owned() }), "the control");
}

#[test]
fn no_source_grows_without_end() {
    let length = |source: &Text| source.text.lines().count();
    let mut found = Vec::new();
    for source in rust() {
        let excused = LONG.iter().any(|(path, _)| *path == source.path);
        match (length(&source) > LINES, excused) {
            (true, false) => found.push(format!("{}: {} lines", source.path, length(&source))),
            (false, true) => found.push(format!("{}: is short enough: drop its excuse", source.path)),
            _ => {}
        }
    }
    none(&format!("a source of more than {LINES} lines"), &found);
    assert!(length(&Text { path: String::new(), text: "\n".repeat(LINES + 1) }) > LINES, "the control");
}

#[test]
fn nothing_is_left_undone() {
    let bans = [
        ban("todo", "!(", "write it"),
        ban("unimplemented", "!(", "write it"),
        ban("dbg", "!(", "take it out"),
        ban("TO", "DO", "do it, or tell it the tracker"),
        ban("FIX", "ME", "do it, or tell it the tracker"),
        ban("#[ig", "nore]", "a test that does not run needs a reason: `= \"why\"`"),
    ];
    each_bites(&bans);
    let all = texts(&[".rs", ".md", ".toml", ".yaml", ".sh", ".proto", ".service", "/run"]);
    none("unfinished", &objections(whole(&all), &bans));
}

#[test]
fn tests_wait_for_states() {
    let bans = [
        ban("thread::", "sleep", "wait for a state, with a bound"),
        ban("time::", "sleep", "wait for a state, with a bound"),
        ban(" sleep", "(", "wait for a state, with a bound"),
        ban("park_", "timeout", "wait for a state, with a bound"),
    ];
    each_bites(&bans);
    let sources = rust();
    let mut found = Vec::new();
    for source in &sources {
        let tests = source.text.strip_prefix(source.program()).unwrap_or_default();
        let naps = objections([(source.path.as_str(), tests)], &bans);
        if WAITS.iter().any(|(path, _)| *path == source.path) {
            assert!(!naps.is_empty(), "{}: does not wait any more: drop its excuse", source.path);
        } else {
            found.extend(naps);
        }
    }
    none("a test that sleeps", &found);
    let counts = |test: bool| sources.iter().filter(|source| source.is_test() == test).count();
    assert!(counts(true) > 30 && counts(false) > 100, "the control: tests and programs are not told apart");
}

#[test]
fn the_core_names_nothing_of_the_world() {
    // Behind the bans of engine/core/clippy.toml, which have to name every function: whole modules, as text.
    let mut bans = Vec::new();
    for module in ["fs", "env", "net", "thread", "process", "os", "sync::mpsc"] {
        bans.push(ban("std::", module, "the core is pure: see engine/core/clippy.toml"));
    }
    for name in ["Instant", "SystemTime", "Utc::now", "Local::", "RandomState", "thread_rng", "getrandom"] {
        bans.push(ban("", name, "the core is pure: see engine/core/clippy.toml"));
    }
    each_bites(&bans);
    let sources = rust();
    let of = |folder: &str| -> Vec<String> {
        let of_crate = sources.iter().filter(|source| source.path.starts_with(folder));
        of_crate.flat_map(|source| objections([(source.path.as_str(), source.code().as_str())], &bans)).collect()
    };
    none("the core names what it must not know", &of("engine/core/src/"));
    let daemon = of("engine/daemon/src/");
    assert!(daemon.len() > 10, "the control: the daemon does name files, clocks and threads: {daemon:?}");
}

#[test]
fn storage_and_wire_are_named_at_their_doors_alone() {
    let sources = rust();
    let who = |folder: &str, needle: &str| -> Vec<&str> {
        let of_crate = sources.iter().filter(|source| source.path.starts_with(folder));
        of_crate.filter(|source| source.program().contains(needle)).map(|source| source.path.as_str()).collect()
    };
    assert_eq!(who("engine/journal/src/", "sled::"), ["engine/journal/src/db.rs"]);
    let disk = who("engine/journal/src/", "runbook_proto::");
    let doors = ["from_disk", "kept", "record", "terms", "to_disk"].map(|door| format!("engine/journal/src/{door}.rs"));
    assert_eq!(disk, doors);
    for needle in ["runbook_proto::", "prost::"] {
        let api = who("engine/daemon/src/", needle);
        assert!(!api.is_empty() && api.iter().all(|path| path.starts_with("engine/daemon/src/api/")), "{api:?}");
    }
    // The wall clock is read in one file, and asked of it by all others.
    assert_eq!(who("engine/daemon/src/", "SystemTime::now"), ["engine/daemon/src/clock.rs"]);
}

#[test]
fn neither_format_imports_the_other() {
    for file in texts(&[".proto"]) {
        let other = if file.path.contains("/journal/") { "runbook/v1" } else { "runbook/journal" };
        let imports: Vec<_> =
            file.lines().filter(|(_, line)| line.starts_with("import") && line.contains(other)).collect();
        assert!(imports.is_empty(), "{}: {imports:?}", file.path);
        let package = file.path.trim_start_matches("proto/").rsplit_once('/').expect("a folder").0.replace('/', ".");
        assert!(file.text.contains(&format!("\npackage {package};\n")), "{}: is not package {package}", file.path);
    }
}

#[test]
fn one_word_one_spelling() {
    let is_theirs =
        |path: &str, line: &str| THEIRS.iter().any(|(at, word, _)| path.starts_with(at) && line.contains(word));
    let mut all = texts(&[".rs", ".md", ".toml", ".yaml", ".sh", ".proto", ".service", "/run"]);
    all.retain(|text| text.path != file!());
    let mut found = Vec::new();
    for text in &all {
        for (number, line) in text.lines() {
            let lower = line.to_ascii_lowercase();
            let wrong = WRONG.into_iter().any(|word| lower.contains(word));
            if wrong && !is_theirs(&text.path, line) {
                found.push(format!("{}:{number}: {}", text.path, line.trim()));
            }
        }
    }
    none("the word is canceled, canceling", &found);
    let control = texts(&["tidy/sources.rs"]);
    assert!(WRONG.iter().all(|word| control[0].text.contains(word)) && control[0].path == file!(), "the control");
    for (at, word, why) in THEIRS {
        let used = all.iter().any(|text| text.path.starts_with(at) && text.text.contains(word));
        assert!(used, "{at}: {word} ({why}) is not there any more: drop its excuse");
    }
}

#[test]
fn no_place_of_one_machine_is_named() {
    let why = "a path of one machine; name it relative to the repository";
    let bans = [ban("/wo", "rk/", why), ban("/ro", "ot/", why), ban("/ho", "me/", why), ban("/Us", "ers/", why)];
    each_bites(&bans);
    let all = texts(&[".rs", ".md", ".toml", ".yaml", ".sh", ".proto", ".service", ".conf", ".snap", ".lock", "/run"]);
    none("a place of one machine", &objections(whole(&all), &bans));
}

#[test]
fn scripts_stop_at_their_first_error() {
    use std::os::unix::fs::PermissionsExt as _;
    let scripts = texts(&[".sh", "/run"]);
    assert!(scripts.len() >= 4, "only {} scripts were found", scripts.len());
    let mut found = Vec::new();
    for script in &scripts {
        let mode = std::fs::metadata(crate::repository::root().join(&script.path)).unwrap().permissions().mode();
        if mode & 0o111 == 0 {
            found.push(format!("{}: is not executable", script.path));
        }
        if !script.text.lines().any(|line| line.starts_with("set -eu")) {
            found.push(format!("{}: goes on after an error: `set -eu` is missing", script.path));
        }
    }
    none("a script that fails in silence", &found);
}
