//! The repository as files: what is there, and how it reads. Knows no law.

use std::path::{Path, PathBuf};

/// A text file of the repository.
pub struct Text {
    /// Its path from the root, with `/`.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl Text {
    /// The lines, numbered from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Whether it tests: a file below `tests/`, or one that is called `tests.rs`.
    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// The part for the program itself: nothing of a test's file, else what stands before the tests at the end.
    pub fn program(&self) -> &str {
        if self.is_test() { "" } else { self.text.split("#[cfg(test)]").next().unwrap_or("") }
    }

    /// The same without comments, which may speak of anything; the lines keep their numbers.
    pub fn code(&self) -> String {
        let bare = |line| if str::trim_start(line).starts_with("//") { "" } else { line };
        self.program().lines().map(bare).collect::<Vec<_>>().join("\n")
    }
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_path_buf()
}

/// Reads one file.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Whether there is such a file or folder.
pub fn exists(path: &str) -> bool {
    root().join(path).exists()
}

/// All files of these kinds, in the order of their paths. Built things and hidden folders but `.ci` are left out.
pub fn texts(kinds: &[&str]) -> Vec<Text> {
    let mut paths = Vec::new();
    collect(&root(), &mut paths);
    paths.sort();
    let mut texts = Vec::new();
    for path in paths {
        let name = path.strip_prefix(root()).expect("below the root").to_str().expect("UTF-8").to_owned();
        if kinds.iter().any(|kind| name.ends_with(kind))
            // Somebody may have removed it meanwhile.
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            texts.push(Text { path: name, text });
        }
    }
    texts
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        let hidden = name.to_string_lossy().starts_with('.') && name != ".ci";
        if hidden || name == "target" {
            continue;
        }
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            collect(&entry.path(), paths);
        } else if kind.is_file() {
            paths.push(entry.path());
        }
    }
}

/// Every Rust source.
pub fn rust() -> Vec<Text> {
    let sources = texts(&[".rs"]);
    assert!(sources.len() > 100, "only {} sources were found: the walk is broken", sources.len());
    sources
}

/// Fails with all objections at once, where there are any.
pub fn none(law: &str, objections: &[String]) {
    assert!(objections.is_empty(), "{law}:\n  {}", objections.join("\n  "));
}
