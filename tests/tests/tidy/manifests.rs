//! What every crate's `Cargo.toml` has in common: the workspace's versions and lints, and no dependency that is not
//! used. Reads the files; never asks cargo.

use crate::repository::{Text, none, rust, texts};

/// Dependencies that no source names, each with the reason why it is there.
const UNNAMED: [(&str, &str, &str); 2] = [
    ("proto", "prost-types", "named by the code that is made from the protocol files"),
    ("proto", "tonic-prost", "named by the code that is made from the protocol files"),
];

/// A dependency of a crate: its folder, its name, the whole line.
struct Dependency<'a> {
    folder: &'a str,
    name: &'a str,
    line: &'a str,
}

fn manifests() -> Vec<Text> {
    let mut found = texts(&["/Cargo.toml"]);
    found.retain(|manifest| manifest.text.contains("[package]"));
    assert!(found.len() >= 8, "only {} manifests were found", found.len());
    found
}

fn dependencies(manifest: &Text) -> Vec<Dependency<'_>> {
    let folder = manifest.path.trim_end_matches("/Cargo.toml");
    let mut inside = false;
    let mut found = Vec::new();
    for (_, line) in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]");
        } else if inside && let Some(name) = line.split(['.', ' ', '=']).next().filter(|it| is_name(it)) {
            found.push(Dependency { folder, name, line });
        }
    }
    found
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
}

#[test]
fn versions_and_lints_are_the_workspaces() {
    let mut objections = Vec::new();
    let mut seen = 0;
    for manifest in &manifests() {
        if !manifest.text.contains("[lints]\nworkspace = true\n") {
            objections.push(format!("{}: has no `[lints] workspace = true`", manifest.path));
        }
        for dependency in dependencies(manifest) {
            seen += 1;
            if !dependency.line.contains("workspace = true") {
                objections.push(format!("{}: {}: its version belongs into the root", manifest.path, dependency.name));
            }
        }
    }
    none("a crate has settings of its own", &objections);
    assert!(seen > 50, "the control: only {seen} dependencies were seen");
}

#[test]
fn every_dependency_is_used() {
    let sources = rust();
    let mut objections = Vec::new();
    for manifest in &manifests() {
        for Dependency { folder, name, .. } in dependencies(manifest) {
            let excused = UNNAMED.iter().any(|(at, it, _)| (*at, *it) == (folder, name));
            if excused == is_named(&sources, folder, name) {
                let what = if excused { "is used after all: drop its excuse" } else { "is named by no source" };
                objections.push(format!("{}: {name} {what}", manifest.path));
            }
        }
    }
    none("a dependency without a use", &objections);
    assert!(!is_named(&sources, "engine/core", "tokio"), "the control: the core does not name tokio");
}

fn is_named(sources: &[Text], folder: &str, name: &str) -> bool {
    let name = name.replace('-', "_");
    let paths =
        [format!("{name}::"), format!("use {name};"), format!("use {name} as "), format!("extern crate {name}")];
    let of_crate =
        sources.iter().filter(|source| source.path.strip_prefix(folder).is_some_and(|it| it.starts_with('/')));
    of_crate.into_iter().any(|source| paths.iter().any(|path| source.text.contains(path.as_str())))
}
