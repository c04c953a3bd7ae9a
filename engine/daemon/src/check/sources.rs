//! The files of a check by their paths: each once, read within bounds, and what cannot be read told as findings. Never
//! knows what a file says.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use runbook_core::language::{Code, Finding, is_environment, too_large};
use runbook_core::limits;

use crate::files;
use crate::library::{DEPTH, FOLDER};

/// Files checked in one call.
const FILES: usize = 10_000;
/// What to do about a file that cannot be read.
const HELP: &str = "name a file that is there and can be read";

/// What there is to check.
#[derive(Debug, Default)]
pub struct Sources {
    /// Path as it was given, and text.
    pub texts: Vec<(String, Vec<u8>)>,
    /// What is wrong with the paths themselves, each a finding of its own file.
    pub findings: Vec<Finding>,
    seen: HashSet<(u64, u64)>,
    /// Files that were come across, those seen before included.
    met: usize,
    /// Whether one was left out because there are too many.
    full: bool,
}

impl Sources {
    /// All files under the paths. A folder that is named must have one.
    pub fn of(paths: &[PathBuf]) -> Self {
        let mut sources = Self::default();
        for path in paths {
            let before = (sources.met, sources.findings.len());
            let seen = sources.seen.len();
            sources.add(path, 0);
            if sources.seen.len() > seen && before == (sources.met, sources.findings.len()) {
                let help = "name the folder that holds the runbooks, or a file";
                let message = "the folder has no .yaml and no .yml file";
                let shown = path.display().to_string();
                sources.findings.push(Finding::of_file(Code::NoRunbooks, &shown, message, Some(help)));
            }
        }
        sources
    }

    /// The other files of the folders of runbooks that the paths lie in, where what is found in one of the texts may depend
    /// on them.
    pub fn around(&mut self, paths: &[PathBuf]) -> Vec<(String, Vec<u8>)> {
        let has = |text: &[u8], word: &[u8]| text.windows(word.len()).any(|at| at == word);
        let starts = |text: &[u8]| has(text, b"uses") && has(text, b"runbook");
        let depends = |path: &str, text: &[u8]| {
            starts(text) || has(text, b"environment") || has(text, b"schedules") || is_environment(path)
        };
        if !self.texts.iter().any(|(path, text)| depends(path, text)) {
            return Vec::new();
        }
        let mut around = Self { seen: std::mem::take(&mut self.seen), ..Self::default() };
        for path in paths {
            let Ok(path) = fs::canonicalize(path) else { continue };
            if let Some(folder) = path.ancestors().find(|folder| folder.ends_with(FOLDER) && folder.is_dir()) {
                around.add(folder, 0);
            }
        }
        around.texts
    }

    fn add(&mut self, path: &Path, depth: usize) {
        let shown = path.display().to_string();
        if let Err(error) = self.try_add(path, &shown, depth) {
            self.unreadable(&shown, format!("it cannot be read: {error}"));
        }
    }

    fn unreadable(&mut self, shown: &str, message: String) {
        self.findings.push(Finding::of_file(Code::UnreadableFile, shown, message, Some(HELP)));
    }

    fn try_add(&mut self, path: &Path, shown: &str, depth: usize) -> io::Result<()> {
        let meta = fs::metadata(path)?;
        self.met += usize::from(!meta.is_dir());
        if !self.seen.insert((meta.dev(), meta.ino())) {
            return Ok(());
        }
        if meta.is_dir() {
            return self.add_folder(path, shown, depth);
        }
        if self.texts.len() >= FILES {
            if !std::mem::replace(&mut self.full, true) {
                let message = format!("it and what follows is left out; the limit is {FILES} files a call");
                self.unreadable(shown, message);
            }
            return Ok(());
        }
        let (bytes, length) = files::read_begin(path, limits::FILE_BYTES as u64)?;
        if bytes.len() > limits::FILE_BYTES {
            self.findings.extend(too_large(length, shown).findings);
        } else {
            self.texts.push((shown.to_owned(), bytes));
        }
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path, shown: &str, depth: usize) -> io::Result<()> {
        if depth > DEPTH {
            self.unreadable(shown, format!("folders are nested deeper than {DEPTH}"));
            return Ok(());
        }
        let entries: io::Result<Vec<PathBuf>> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
        let mut paths = entries?;
        paths.sort();
        for path in paths {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let yaml = name.ends_with(".yaml") || name.ends_with(".yml");
            if !name.starts_with('.') && (path.is_dir() || yaml) {
                self.add(&path, depth + 1);
            }
        }
        Ok(())
    }
}

/// Why a file that a runbook lists cannot be had, where the project is known: the nearest folder above the runbook's
/// file that holds `runbooks/`.
pub fn fault(file: &str, listed: &str) -> Option<String> {
    let file = fs::canonicalize(file).ok()?;
    let project = file.ancestors().skip(1).find(|folder| folder.join(FOLDER).is_dir())?;
    files::listed_fault(&project.join(listed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_read_once_and_what_cannot_be_is_told() {
        let folder = tempfile::tempdir().unwrap();
        for made in ["sub", "environments", "empty"] {
            fs::create_dir(folder.path().join(made)).unwrap();
        }
        for file in ["a.yaml", "sub/b.yml", "c.txt", ".d.yaml", "environments/prod.yaml"] {
            fs::write(folder.path().join(file), "x").unwrap();
        }
        std::os::unix::fs::symlink("..", folder.path().join("sub/up")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("gone.yaml")).unwrap();
        let pipe = folder.path().join("pipe.yaml");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        fs::File::create(folder.path().join("large.yaml")).unwrap().set_len(50 << 20).unwrap();
        let paths = ["", "a.yaml", "missing", "empty"].map(|path| folder.path().join(path));
        let sources = Sources::of(&[&paths[..], &["/dev/zero".into()]].concat());
        let short = |path: &str| path.rsplit('/').next().unwrap().to_owned();
        let names: Vec<_> = sources.texts.iter().map(|(path, _)| short(path)).collect();
        assert_eq!(names, ["a.yaml", "prod.yaml", "b.yml"]);
        let found: Vec<_> = sources.findings.iter().map(|found| (found.code, short(&found.file))).collect();
        let expected = [
            (Code::UnreadableFile, "gone.yaml"),
            (Code::FileTooLarge, "large.yaml"),
            (Code::UnreadableFile, "pipe.yaml"),
            (Code::UnreadableFile, "missing"),
            (Code::UnreadableFile, "zero"),
        ];
        assert_eq!(found, expected.map(|(code, name)| (code, name.to_owned())));
        assert_eq!(sources.findings[1].message, "the file has 52428800 bytes; the limit is 8388608");
        let empty = Sources::of(&paths[3..]);
        assert_eq!(empty.findings[0].code, Code::NoRunbooks);
    }

    #[test]
    fn listed_files_are_looked_for_in_the_project() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runbooks/sub/a.yaml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "x").unwrap();
        fs::write(folder.path().join("there"), "x").unwrap();
        let file = file.to_str().unwrap();
        assert_eq!(fault(file, "there"), None);
        assert!(fault(file, "gone").unwrap().contains("No such file"));
        assert!(fault(file, "runbooks").unwrap().contains("directory"));
        let elsewhere = tempfile::tempdir().unwrap();
        let file = elsewhere.path().join("a.yaml");
        fs::write(&file, "x").unwrap();
        assert_eq!(fault(file.to_str().unwrap(), "gone"), None);
    }
}
