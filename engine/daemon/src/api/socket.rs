//! The socket of the API: made, put where clients look for it, and removed. Never knows who talks on it.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::net::UnixListener;

use crate::instance;
use crate::roles::Accounts;

/// The socket that this daemon made, to be removed at its end.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    inode: u64,
    /// The link to it in the place where clients look that were told nothing, where that is another one.
    link: Option<PathBuf>,
}

impl Socket {
    /// Removes the socket, unless it was replaced.
    pub fn remove(self) {
        // Without them there is nothing to remove; and the next start replaces what is left.
        if let Some(link) = self.link.filter(|link| std::fs::read_link(link).is_ok_and(|to| to == self.path)) {
            let _ = std::fs::remove_file(link);
        }
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens on the instance's socket, which its owner alone may use, and the members of a group where one is given. One that lies
/// elsewhere than the rule of [`instance`] says has a link there, so that the owner's commands find it without a word. A
/// socket that a dead daemon left is replaced: the lock on the data directory, and silence on the socket, have shown that it
/// is dead.
///
/// # Errors
/// The socket cannot be made, or it is somebody's.
pub fn listen(path: &Path, data_dir: &Path, group: Option<&str>) -> anyhow::Result<(UnixListener, Socket)> {
    instance::make_socket_folder(path, data_dir)?;
    clear(path, data_dir)?;
    let gid =
        match group {
            None => None,
            Some(group) => Some(Accounts::read().gid(group).with_context(|| {
                format!("socket_group: there is no group {group}; name one of /etc/group, or a gid")
            })?),
        };
    // The umask closes it to others from its first moment on.
    let made = || -> io::Result<(UnixListener, u64)> {
        let listener = UnixListener::bind(path)?;
        let mode = if gid.is_some() { 0o660 } else { 0o600 };
        if gid.is_some() {
            std::os::unix::fs::chown(path, None, gid)?;
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        Ok((listener, std::fs::symlink_metadata(path)?.ino()))
    };
    let (listener, inode) = made().with_context(|| format!("the socket {} cannot be made", path.display()))?;
    let usual = instance::socket(data_dir);
    let link = match usual == path {
        true => None,
        false => linked(&usual, path, data_dir)
            .inspect_err(|error| {
                let (socket, link) = (path.display(), usual.display());
                tracing::warn!(error = %format!("{error:#}"), "commands find the socket {socket} by --endpoint alone: there is no link to it in {link}");
            })
            .ok(),
    };
    Ok((listener, Socket { path: path.to_path_buf(), inode, link }))
}

/// Removes what a dead daemon left: a socket, or a link to one in the usual place.
fn clear(path: &Path, data_dir: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let is_left =
        |kind: std::fs::FileType| kind.is_socket() || (kind.is_symlink() && path == instance::socket(data_dir));
    match std::fs::symlink_metadata(path) {
        Ok(found) if !is_left(found.file_type()) => {
            anyhow::bail!("{shown} is there and is no socket; name another one with --socket")
        }
        Ok(_) if UnixStream::connect(path).is_ok() => {
            anyhow::bail!("another program answers on the socket {shown}; name another one with --socket")
        }
        Ok(_) => std::fs::remove_file(path).with_context(|| format!("the old socket {shown} cannot be removed")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("the socket {shown} cannot be looked at")),
    }
}

/// Puts a link to the socket into the usual place.
fn linked(usual: &Path, path: &Path, data_dir: &Path) -> anyhow::Result<PathBuf> {
    instance::make_socket_folder(usual, data_dir)?;
    // It may be a link to the socket that is there again by now.
    match std::fs::read_link(usual) {
        Ok(_) => std::fs::remove_file(usual)?,
        Err(_) => clear(usual, data_dir)?,
    }
    std::os::unix::fs::symlink(path, usual)?;
    Ok(usual.to_path_buf())
}
