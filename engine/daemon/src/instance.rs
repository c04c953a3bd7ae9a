//! Which daemon serves which project: the rule by which the daemon and its clients find the same socket.
//!
//! `<data-dir>/runbookd.sock`, where that fits the kernel's 108 bytes with some room; else
//! `$XDG_RUNTIME_DIR` (or `/tmp`)`/runbook-<uid>/<FNV-1a 64 of the data directory>.sock`.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The longest socket path that is used as it is, in bytes.
const SOCKET_PATH_BYTES: usize = 100;

/// The socket of an instance.
pub fn socket(data_dir: &Path) -> PathBuf {
    let beside = data_dir.join("runbookd.sock");
    if beside.as_os_str().len() <= SOCKET_PATH_BYTES {
        return beside;
    }
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    let uid = rustix::process::getuid().as_raw();
    runtime.join(format!("runbook-{uid}")).join(format!("{:016x}.sock", fnv1a(data_dir.as_os_str().as_bytes())))
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv).
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_gets_a_short_socket() {
        assert_eq!(socket(Path::new("/srv/ops/.runbook")), Path::new("/srv/ops/.runbook/runbookd.sock"));
        let long = PathBuf::from(format!("/{}", "x".repeat(200)));
        assert!(socket(&long).as_os_str().len() <= SOCKET_PATH_BYTES);
        // The published test vectors of the hash.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
