//! Which daemon serves which project: the rule by which the daemon and its clients find the same socket, and what is
//! asked of the folders that it and the data lie in. The command line keeps the same rule, with the same test vectors.
//!
//! - The **data directory**'s path is made real: symbolic links are followed as far as it exists.
//! - The **socket** is `<data directory>/runbookd.sock`, if that path has at most 100 bytes (the kernel takes 107).
//!   Otherwise it is `$XDG_RUNTIME_DIR/runbook-<uid>/<hash>.sock`, or the same under `/tmp` where that variable is
//!   empty; the hash is FNV-1a, 64 bits, 16 hex digits, of the bytes of the data directory's real path, and the folder
//!   `runbook-<uid>` belongs to the user and has mode 0700.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::files;

/// The socket's name inside the data directory.
const SOCKET_NAME: &str = "runbookd.sock";
/// The longest path of a socket inside the data directory, in bytes.
const SOCKET_PATH_BYTES: usize = 100;
/// What nobody but the owner may have of a folder.
const OTHERS: u32 = 0o077;

/// The socket of an instance, by its data directory's real path.
pub fn socket(data_dir: &Path) -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR");
    socket_for(data_dir, runtime.as_deref(), rustix::process::getuid().as_raw())
}

fn socket_for(data_dir: &Path, runtime: Option<&OsStr>, uid: u32) -> PathBuf {
    let inside = data_dir.join(SOCKET_NAME);
    if inside.as_os_str().len() <= SOCKET_PATH_BYTES {
        return inside;
    }
    let base = match runtime {
        Some(runtime) if !runtime.is_empty() => Path::new(runtime),
        _ => Path::new("/tmp"),
    };
    base.join(format!("runbook-{uid}")).join(format!("{:016x}.sock", fnv1a(data_dir.as_os_str().as_bytes())))
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The real path of something whose last parts may not exist yet.
///
/// # Errors
/// A part of it is no folder, or cannot be read.
pub fn real(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok(real(parent)?.join(name)),
            _ => Err(error),
        },
        other => other,
    }
}

/// Makes the data directory, or sees to it that nobody but this user has anything of one that is there. Says what was
/// changed.
///
/// # Errors
/// It cannot be made, is no folder, or belongs to somebody else.
pub fn make_data_directory(path: &Path) -> anyhow::Result<Option<String>> {
    let shown = path.display();
    files::make_private_directory(path).with_context(|| {
        format!(
            "the data directory {shown} cannot be made; name another one with --data-dir, or let this user write there"
        )
    })?;
    let found = fs::metadata(path).with_context(|| format!("the data directory {shown} cannot be read"))?;
    let uid = rustix::process::geteuid().as_raw();
    if found.uid() != uid {
        anyhow::bail!(
            "the data directory {shown} belongs to user {}, and this daemon is user {uid}: start it as that user, or \
             name another one with --data-dir",
            found.uid()
        );
    }
    let mode = found.permissions().mode() & 0o7777;
    if mode & OTHERS == 0 {
        return Ok(None);
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode & !OTHERS))
        .with_context(|| format!("the data directory {shown} is open to others, and that cannot be changed"))?;
    Ok(Some(format!("the data directory {shown} was open to others (mode {mode:04o}); now it is not")))
}

/// Makes the folder of a socket that does not lie in the data directory. A folder of the rule above is one that others
/// could have made first, so it must be this user's alone.
///
/// # Errors
/// It cannot be made, or is not safe.
pub fn make_socket_folder(socket: &Path, data_dir: &Path) -> anyhow::Result<()> {
    let Some(folder) = socket.parent().filter(|folder| *folder != data_dir) else { return Ok(()) };
    let shown = folder.display();
    if socket != self::socket(data_dir) {
        // It was named by the person who configured it.
        return files::make_private_directory(folder)
            .with_context(|| format!("the socket's folder {shown} cannot be made"));
    }
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(error).with_context(|| {
                format!("the socket's folder {shown} cannot be made; name another socket with --socket")
            });
        }
        _ => {}
    }
    check_private(folder, rustix::process::geteuid().as_raw())
}

/// Whether a folder is a user's alone, and no link.
fn check_private(folder: &Path, uid: u32) -> anyhow::Result<()> {
    let shown = folder.display();
    let found = fs::symlink_metadata(folder).with_context(|| format!("the socket's folder {shown} cannot be read"))?;
    if found.is_dir() && found.uid() == uid && found.permissions().mode() & OTHERS == 0 {
        return Ok(());
    }
    anyhow::bail!(
        "the folder {shown} is not safe for a socket: it must be a folder of user {uid} with mode 0700. Remove it, or \
         name another data directory with a shorter path (--data-dir), or a socket (--socket)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_goes_elsewhere() {
        // The last path that fits has 100 bytes with "/runbookd.sock", which has 14.
        let fits = format!("/{}", "d".repeat(85));
        let long = format!("/{}", "d".repeat(86));
        assert_eq!(socket_for(Path::new(&fits), None, 1000), Path::new(&fits).join("runbookd.sock"));
        let hash = format!("{:016x}", fnv1a(long.as_bytes()));
        let runtime = Some(OsStr::new("/run/user/1000"));
        for (runtime, base) in [(runtime, "/run/user/1000"), (None, "/tmp"), (Some(OsStr::new("")), "/tmp")] {
            assert_eq!(
                socket_for(Path::new(&long), runtime, 1000),
                Path::new(base).join(format!("runbook-1000/{hash}.sock"))
            );
        }
    }

    #[test]
    fn fnv_1a_is_the_published_one() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_socket_folder_of_others_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("runbook-1000");
        fs::create_dir(&folder).unwrap();
        let uid = fs::metadata(&folder).unwrap().uid();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(check_private(&folder, uid).unwrap_err().to_string().contains("mode 0700"));
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        check_private(&folder, uid).unwrap();
        check_private(&folder, uid + 1).unwrap_err();
        let link = base.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        check_private(&link, uid).unwrap_err();
    }

    #[test]
    fn a_data_directory_is_closed_to_others() {
        let base = tempfile::tempdir().unwrap();
        let made = base.path().join("a/b");
        assert_eq!(make_data_directory(&made).unwrap(), None);
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o7777, 0o700);
        fs::set_permissions(&made, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(make_data_directory(&made).unwrap().unwrap().contains("mode 0755"));
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o7777, 0o700);
        let file = base.path().join("file");
        fs::write(&file, "").unwrap();
        make_data_directory(&file).unwrap_err();
    }
}
