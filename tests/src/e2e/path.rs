//! Where programs are found, those of Debian's PostgreSQL servers too, which are on nobody's PATH.

use std::ffi::OsString;
use std::path::PathBuf;

/// A PATH on which Debian's programs of the PostgreSQL server are found, too.
pub fn path() -> OsString {
    let mut folders: Vec<PathBuf> = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect();
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    folders.extend(versions.map(|version| version.path().join("bin")));
    std::env::join_paths(folders).expect("a PATH")
}

/// Where a program is.
pub fn find(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&path()).map(|folder| folder.join(name)).find(|file| file.is_file())
}
