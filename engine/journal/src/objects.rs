//! Large values as files, named by their hash. Never knows what they mean.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use runbook_core::id::Digest;

use crate::directory::{self, Layout};
use crate::error::{FileError, InFile as _, StoreError};

/// Tells temporary files of one process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Stores bytes under their hash, durably. Bytes that are there already are not written again.
///
/// # Errors
/// The object cannot be written or synced.
pub fn put(data: &Path, bytes: &[u8]) -> Result<Digest, FileError> {
    let layout = Layout::new(data);
    let digest = Digest::of(bytes);
    let path = layout.object(digest);
    match fs::metadata(&path) {
        // It came into its place by rename after a sync: of the right length means whole.
        Ok(meta) if meta.len() == bytes.len() as u64 => return Ok(digest),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).in_file("look at", &path),
    }
    let objects = layout.objects();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = objects.join(format!("{digest}.{}.{number}.new", std::process::id()));
    let written = File::create_new(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, &path))
        .in_file("write", &path);
    if written.is_err() {
        // The first error is the one to tell; what is left is removed at the next start.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    directory::sync(&objects)?;
    Ok(digest)
}

/// The bytes with this hash.
///
/// # Errors
/// They are not there, cannot be read, or are damaged.
pub fn get(data: &Path, digest: Digest) -> Result<Vec<u8>, StoreError> {
    let path = Layout::new(data).object(digest);
    let bytes = fs::read(&path).in_file("read", &path)?;
    let found = Digest::of(&bytes);
    if found != digest {
        let why = format!("its content has the hash {found}");
        return Err(StoreError::Corrupt { what: "the object".to_owned(), path, why });
    }
    Ok(bytes)
}

/// Removes what a crash left half-written.
///
/// # Errors
/// The directory cannot be listed, or a file not be removed.
pub fn remove_temporary(data: &Path) -> Result<(), FileError> {
    let objects = Layout::new(data).objects();
    for entry in fs::read_dir(&objects).in_file("list", &objects)? {
        let path = entry.in_file("list", &objects)?.path();
        if path.extension().is_some_and(|extension| extension == "new") {
            fs::remove_file(&path).in_file("remove", &path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(Layout::new(dir.path()).objects()).unwrap();
        dir
    }

    #[test]
    fn what_was_put_is_got() {
        let dir = data();
        let digest = put(dir.path(), b"a definition").unwrap();
        assert_eq!(digest, Digest::of(b"a definition"));
        assert_eq!(put(dir.path(), b"a definition").unwrap(), digest);
        assert_eq!(get(dir.path(), digest).unwrap(), b"a definition");
        assert_eq!(fs::read_dir(Layout::new(dir.path()).objects()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_object_is_told_from_an_absent_one() {
        let dir = data();
        let digest = put(dir.path(), b"a definition").unwrap();
        let path = Layout::new(dir.path()).object(digest);
        fs::write(&path, b"A definition").unwrap();
        assert!(matches!(get(dir.path(), digest), Err(StoreError::Corrupt { .. })));
        fs::write(&path, b"a def").unwrap();
        put(dir.path(), b"a definition").unwrap();
        assert_eq!(get(dir.path(), digest).unwrap(), b"a definition");
        fs::remove_file(&path).unwrap();
        assert!(matches!(get(dir.path(), digest), Err(StoreError::File(_))));
    }

    #[test]
    fn what_a_crash_left_goes() {
        let dir = data();
        let digest = put(dir.path(), b"kept").unwrap();
        fs::write(Layout::new(dir.path()).objects().join("half.1.0.new"), b"ha").unwrap();
        remove_temporary(dir.path()).unwrap();
        assert_eq!(fs::read_dir(Layout::new(dir.path()).objects()).unwrap().count(), 1);
        assert_eq!(get(dir.path(), digest).unwrap(), b"kept");
    }
}
