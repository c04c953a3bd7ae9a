//! The runbook that a verb is about, as it is typed: a name, or the path of a file that is sent along. Never judges
//! what is in the file.

use std::path::Path;

use crate::failure::{Failure, Result};
use crate::sources::{SOURCE_BYTES, read_begin};

/// A runbook for a request: either a name, or a source with the name of its file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The name; empty where there is a source.
    pub runbook: String,
    /// The text of the file.
    pub source: Vec<u8>,
    /// Its path, as it was typed.
    pub source_file: String,
}

/// Reads what was typed. With a `/`, or ending in .yaml or .yml, it is a file.
///
/// # Errors
/// The file cannot be read, is empty, or is larger than a runbook may be.
pub fn named(what: &str) -> Result<Named> {
    if !is_file(what) {
        return Ok(Named { runbook: what.to_owned(), ..Named::default() });
    }
    let source = read_source(Path::new(what))?;
    if source.is_empty() {
        // Without a source the request would be about a name.
        return Err(
            Failure::usage(format!("{what} is empty")).next("a runbook has at least `name:`, `language:` and `steps:`")
        );
    }
    Ok(Named { runbook: String::new(), source, source_file: what.to_owned() })
}

/// Whether what was typed is the path of a file, and no name.
pub fn is_file(what: &str) -> bool {
    let extension = Path::new(what).extension();
    what.contains('/') || extension.is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Reads a runbook's file.
///
/// # Errors
/// It cannot be read, or is larger than a runbook may be.
pub fn read_source(path: &Path) -> Result<Vec<u8>> {
    let name = path.display();
    let wrong = |why: String| Failure::usage(format!("cannot read {name}")).why(why);
    let (bytes, length) = read_begin(path).map_err(|error| wrong(error.to_string()))?;
    if length > SOURCE_BYTES {
        return Err(wrong(format!("it has {length} bytes, the limit of a runbook is {SOURCE_BYTES}")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::exit_code::ExitCode;

    #[test]
    fn a_file_that_is_no_runbook_is_refused_before_it_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.yaml");
        File::create(&path).unwrap().set_len(SOURCE_BYTES + 1).unwrap();
        let failure = read_source(&path).unwrap_err();
        assert_eq!(failure.code, ExitCode::Usage);
        assert!(failure.why.unwrap().contains("limit"));
        File::create(&path).unwrap().set_len(SOURCE_BYTES).unwrap();
        assert_eq!(read_source(&path).unwrap().len() as u64, SOURCE_BYTES);
        assert_eq!(read_source(&folder.path().join("none")).unwrap_err().code, ExitCode::Usage);
        let (pipe, kind) = (folder.path().join("pipe.yaml"), rustix::fs::FileType::Fifo);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, rustix::fs::Mode::RWXU, 0).unwrap();
        assert!(read_source(&pipe).unwrap_err().why.unwrap().contains("regular"));
        File::create(&path).unwrap();
        assert!(named(path.to_str().unwrap()).unwrap_err().what.contains("is empty"));
    }

    #[test]
    fn names_are_told_from_files() {
        for (what, file) in [("backup", false), ("x.yaml", true), ("x.yml", true), ("yaml", false)] {
            assert_eq!(is_file(what), file, "{what}");
        }
        assert_eq!(named("backup").unwrap(), Named { runbook: "backup".to_owned(), ..Named::default() });
    }
}
