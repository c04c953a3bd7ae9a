//! Runbook files by their paths, for the daemon to look at: each once, read within bounds, and what cannot be read told
//! as findings with the daemon's codes. Never knows what a file says.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use runbook_proto::v1::{Finding, Severity, SourceFile};
use rustix::fs::OFlags;

/// The largest runbook file, in bytes: the language's own limit.
pub const SOURCE_BYTES: u64 = 8 << 20;
/// How deep folders are gone through.
const DEPTH: usize = 16;
/// How many files one command checks.
const FILES: usize = 10_000;

/// What the paths of a command lead to.
#[derive(Debug, Default)]
pub struct Sources {
    /// Path as it was given, and text.
    pub files: Vec<SourceFile>,
    /// What is wrong with the paths themselves.
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
                let message = "the folder has no .yaml and no .yml file".to_owned();
                let help = "name the folder that holds the runbooks, or a file";
                sources.findings.push(finding("no-runbooks", path, message, help));
            }
        }
        sources
    }

    /// The bytes of all texts.
    pub fn bytes(&self) -> usize {
        self.files.iter().map(|file| file.source.len()).sum()
    }

    fn add(&mut self, path: &Path, depth: usize) {
        if let Err(error) = self.try_add(path, depth) {
            self.unreadable(path, format!("it cannot be read: {error}"));
        }
    }

    fn unreadable(&mut self, path: &Path, message: String) {
        self.findings.push(finding("unreadable-file", path, message, "name a file that is there and can be read"));
    }

    fn try_add(&mut self, path: &Path, depth: usize) -> io::Result<()> {
        let meta = fs::metadata(path)?;
        self.met += usize::from(!meta.is_dir());
        if !self.seen.insert((meta.dev(), meta.ino())) {
            return Ok(());
        }
        if meta.is_dir() {
            return self.add_folder(path, depth);
        }
        if self.files.len() >= FILES {
            if !std::mem::replace(&mut self.full, true) {
                let message = format!("it and what follows is left out; the limit is {FILES} files a call");
                self.unreadable(path, message);
            }
            return Ok(());
        }
        let (source, length) = read_begin(path)?;
        if length > SOURCE_BYTES {
            let message = format!("the file has {length} bytes; the limit is {SOURCE_BYTES}");
            let help = "put data into files of its own, listed under `files:`";
            self.findings.push(finding("file-too-large", path, message, help));
        } else {
            self.files.push(SourceFile { file: path.display().to_string(), source });
        }
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path, depth: usize) -> io::Result<()> {
        if depth > DEPTH {
            self.unreadable(folder, format!("folders are nested deeper than {DEPTH}"));
            return Ok(());
        }
        let entries: io::Result<Vec<PathBuf>> = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect();
        let mut paths = entries?;
        paths.sort();
        for path in paths {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let yaml = name.ends_with(".yaml") || name.ends_with(".yml");
            if !name.starts_with('.') && (yaml || path.is_dir()) {
                self.add(&path, depth + 1);
            }
        }
        Ok(())
    }
}

/// Reads at most one byte more of a file than a runbook may have. With its length, which may be more than was read.
///
/// # Errors
/// It cannot be read, or is no regular file: a pipe would make the command wait for a writer.
pub fn read_begin(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !meta.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut bytes = Vec::new();
    file.take(SOURCE_BYTES + 1).read_to_end(&mut bytes)?;
    let length = meta.len().max(bytes.len() as u64);
    Ok((bytes, length))
}

/// A finding about a file as a whole.
fn finding(code: &str, path: &Path, message: String, help: &str) -> Finding {
    Finding {
        code: code.to_owned(),
        severity: Severity::Error.into(),
        message,
        file: path.display().to_string(),
        line: 1,
        column: 1,
        help: help.to_owned(),
        end_line: 1,
        end_column: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_read_once_and_what_cannot_be_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        for made in ["b/.hidden", "b/environments", "environments", "empty"] {
            fs::create_dir_all(base.join(made)).unwrap();
        }
        let files = ["c.yml", "a.yaml", "b/d.yaml", "b/.hidden/x.yaml", "notes.txt", ".x.yaml"];
        for name in files.iter().chain(&["environments/prod.yaml", "b/environments/e.yaml"]) {
            fs::write(base.join(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("..", base.join("b/up")).unwrap();
        std::os::unix::fs::symlink("nowhere", base.join("gone.yaml")).unwrap();
        let (mode, kind) = (rustix::fs::Mode::RWXU, rustix::fs::FileType::Fifo);
        rustix::fs::mknodat(rustix::fs::CWD, base.join("pipe.yaml"), kind, mode, 0).unwrap();
        File::create(base.join("large.yaml")).unwrap().set_len(50 << 20).unwrap();
        let paths = ["", "a.yaml", "missing", "empty"].map(|path| base.join(path));
        let sources = Sources::of(&paths);
        let names: Vec<_> = sources.files.iter().map(|file| file.file.rsplit('/').next().unwrap().to_owned()).collect();
        assert_eq!(names, ["a.yaml", "d.yaml", "e.yaml", "c.yml", "prod.yaml"]);
        let found: Vec<_> =
            sources.findings.iter().map(|f| (f.code.as_str(), f.file.rsplit('/').next().unwrap())).collect();
        let expected = [
            ("unreadable-file", "gone.yaml"),
            ("file-too-large", "large.yaml"),
            ("unreadable-file", "pipe.yaml"),
            ("unreadable-file", "missing"),
        ];
        assert_eq!(found, expected);
        assert_eq!(Sources::of(&paths[3..]).findings[0].code, "no-runbooks");
    }
}
