//! Which daemon a command talks to. The daemon keeps the same rule, so that both find the same socket without a
//! word between them:
//!
//! - The **project** is `--project`, else the nearest folder at or above the current one that contains `runbooks/`.
//! - The **data directory** is `--data-dir`, else `RUNBOOK_DATA_DIR`, else `<project>/.runbook`; with `--instance N`
//!   it is `<project>/.runbook/instances/N`. Its path is made real: symbolic links are followed as far as it exists.
//! - The **socket** is `<data directory>/runbookd.sock`, if that path has at most 100 bytes (the kernel takes 107).
//!   Otherwise it is `$XDG_RUNTIME_DIR/runbook-<uid>/<hash>.sock`, or the same under `/tmp` where that
//!   variable is empty; the hash is FNV-1a, 64 bits, 16 hex digits, of the bytes of the data directory's real path,
//!   and the folder `runbook-<uid>` belongs to the user and has mode 0700.
//!
//! Never connects, never makes a file.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::exit_code::ExitCode;
use crate::failure::{Failure, Result};

/// The folder that marks a project.
pub const RUNBOOKS_FOLDER: &str = "runbooks";
/// The data directory's name inside a project.
pub const DATA_FOLDER: &str = ".runbook";
/// Instances with a name lie in this folder of the data directory.
const INSTANCES_FOLDER: &str = "instances";
/// The socket's name inside the data directory.
const SOCKET_NAME: &str = "runbookd.sock";
/// The longest path of a socket inside the data directory, in bytes.
const SOCKET_PATH_BYTES: usize = 100;
/// The longest name of an instance, in bytes.
const INSTANCE_NAME_BYTES: usize = 63;

/// One daemon's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The project's folder; `None` where only the data directory was named and no project is around.
    pub project: Option<PathBuf>,
    /// The data directory; it may not exist yet.
    pub data: PathBuf,
    /// Where its daemon listens.
    pub socket: PathBuf,
}

/// What was named on the command line or in the environment.
#[derive(Debug, Default)]
pub struct Named<'a> {
    /// `--project`.
    pub project: Option<&'a Path>,
    /// `--data-dir` or `RUNBOOK_DATA_DIR`.
    pub data: Option<&'a Path>,
    /// `--instance`.
    pub instance: Option<&'a str>,
}

/// The surroundings that the rule looks at.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The current folder.
    pub current: &'a Path,
    /// `XDG_RUNTIME_DIR`.
    pub runtime: Option<&'a OsStr>,
    /// The user.
    pub uid: u32,
}

impl Instance {
    /// Applies the rule.
    ///
    /// # Errors
    /// There is no project around, a named folder does not exist, or the instance's name is no name.
    pub fn find(named: &Named<'_>, around: &Surroundings<'_>) -> Result<Self> {
        let project = match named.project {
            Some(folder) => Some(project_folder(&around.current.join(folder))?),
            None => nearest_project(around.current),
        };
        let data = match (named.data, named.instance, &project) {
            (Some(data), None, _) => around.current.join(data),
            (Some(_), Some(_), _) => {
                return Err(Failure::usage("--instance and a data directory exclude each other")
                    .why("an instance is a data directory with a name")
                    .next("name one of the two; the variable RUNBOOK_DATA_DIR names a data directory, too"));
            }
            (None, Some(name), Some(project)) => {
                check_name(name)?;
                project.join(DATA_FOLDER).join(INSTANCES_FOLDER).join(name)
            }
            (None, None, Some(project)) => project.join(DATA_FOLDER),
            (None, _, None) => {
                return Err(Failure::usage(format!(
                    "no project here: neither {} nor a folder above it contains a folder `{RUNBOOKS_FOLDER}`",
                    around.current.display()
                ))
                .next("go to a project's folder, or name one with --project DIR"));
            }
        };
        let data = real(&data).map_err(|error| {
            Failure::io(format!("cannot read the data directory's path {}", data.display()), &error)
        })?;
        let socket = socket(&data, around);
        Ok(Self { project, data, socket })
    }

    /// Whether the socket's folder, where it is one that others could have made first, is the user's alone.
    ///
    /// # Errors
    /// It belongs to somebody else, or others may write to it.
    pub fn check_socket_folder(&self, uid: u32) -> Result<()> {
        let Some(folder) = self.socket.parent().filter(|folder| *folder != self.data) else { return Ok(()) };
        let Ok(found) = fs::symlink_metadata(folder) else { return Ok(()) };
        let private = found.is_dir() && found.uid() == uid && found.permissions().mode() & 0o077 == 0;
        if private {
            return Ok(());
        }
        Err(Failure::new(ExitCode::Refused, format!("the folder {} is not safe for a socket", folder.display()))
            .why(format!("it must be a folder of user {uid} with mode 0700"))
            .next("remove it, or name another data directory with a shorter path: --data-dir DIR"))
    }
}

fn socket(data: &Path, around: &Surroundings<'_>) -> PathBuf {
    let inside = data.join(SOCKET_NAME);
    if inside.as_os_str().len() <= SOCKET_PATH_BYTES {
        return inside;
    }
    let base = match around.runtime {
        Some(runtime) if !runtime.is_empty() => Path::new(runtime),
        _ => Path::new("/tmp"),
    };
    base.join(format!("runbook-{}", around.uid)).join(format!("{:016x}.sock", fnv1a(data.as_os_str().as_bytes())))
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn nearest_project(current: &Path) -> Option<PathBuf> {
    let current = current.canonicalize().ok()?;
    current.ancestors().find(|folder| folder.join(RUNBOOKS_FOLDER).is_dir()).map(Path::to_path_buf)
}

fn project_folder(folder: &Path) -> Result<PathBuf> {
    let problem = match folder.canonicalize() {
        Ok(real) if real.join(RUNBOOKS_FOLDER).is_dir() => return Ok(real),
        Ok(_) => format!("it has no folder `{RUNBOOKS_FOLDER}`"),
        Err(error) => error.to_string(),
    };
    Err(Failure::usage(format!("no project in {}", folder.display()))
        .why(problem)
        .next(format!("--project names the folder that contains `{RUNBOOKS_FOLDER}`")))
}

fn check_name(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if (1..=INSTANCE_NAME_BYTES).contains(&name.len()) && name.bytes().all(plain) {
        return Ok(());
    }
    Err(Failure::usage(format!("{name:?} is no name of an instance"))
        .why(format!("a name has 1 to {INSTANCE_NAME_BYTES} characters of a-z, 0-9, _ and -")))
}

/// The real path of something whose last parts may not exist yet.
fn real(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok(real(parent)?.join(name)),
            _ => Err(error),
        },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around<'a>(current: &'a Path, runtime: Option<&'a OsStr>) -> Surroundings<'a> {
        Surroundings { current, runtime, uid: 1000 }
    }

    #[test]
    fn the_nearest_project_above_is_taken() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("outer/runbooks")).unwrap();
        fs::create_dir_all(base.join("outer/inner/runbooks/deep/er")).unwrap();
        fs::create_dir_all(base.join("outer/other")).unwrap();
        for (current, project) in
            [("outer/inner/runbooks/deep/er", "outer/inner"), ("outer/other", "outer"), ("outer", "outer")]
        {
            let current = base.join(current);
            let found = Instance::find(&Named::default(), &around(&current, None)).unwrap();
            assert_eq!(found.project, Some(base.join(project)));
            assert_eq!(found.data, base.join(project).join(".runbook"));
            assert_eq!(found.socket, base.join(project).join(".runbook/runbookd.sock"));
        }
        let none = Instance::find(&Named::default(), &around(&base, None)).unwrap_err();
        assert_eq!(none.code, ExitCode::Usage);
    }

    #[test]
    fn links_and_missing_parts_are_made_real() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        fs::create_dir_all(base.join("real/runbooks")).unwrap();
        std::os::unix::fs::symlink(base.join("real"), base.join("link")).unwrap();
        let named = Named { project: Some(Path::new("link")), ..Named::default() };
        let found = Instance::find(&named, &around(&base, None)).unwrap();
        assert_eq!(found.project, Some(base.join("real")));
        let named = Named { project: Some(Path::new("real/runbooks")), ..Named::default() };
        assert_eq!(Instance::find(&named, &around(&base, None)).unwrap_err().code, ExitCode::Usage);
        let named = Named { data: Some(Path::new("link/not/yet")), ..Named::default() };
        let found = Instance::find(&named, &around(&base, None)).unwrap();
        assert_eq!((found.project, found.data), (None, base.join("real/not/yet")));
    }

    #[test]
    fn instances_have_names_and_places() {
        let base = tempfile::tempdir().unwrap();
        let base = base.path().canonicalize().unwrap();
        fs::create_dir(base.join("runbooks")).unwrap();
        let find = |name: &str| {
            let named = Named { project: Some(&base), instance: Some(name), ..Named::default() };
            Instance::find(&named, &around(&base, None))
        };
        assert_eq!(find("blue").unwrap().data, base.join(".runbook/instances/blue"));
        for name in ["", "..", "a/b", "A", &"x".repeat(64)] {
            assert_eq!(find(name).unwrap_err().code, ExitCode::Usage, "{name:?}");
        }
        let both = Named { data: Some(&base), instance: Some("blue"), ..Named::default() };
        assert_eq!(Instance::find(&both, &around(&base, None)).unwrap_err().code, ExitCode::Usage);
    }

    #[test]
    fn a_long_path_goes_elsewhere() {
        // The last path that fits has 100 bytes with "/runbookd.sock", which has 14.
        let fits = format!("/{}", "d".repeat(85));
        let long = format!("/{}", "d".repeat(86));
        let here = Path::new("/");
        assert_eq!(socket(Path::new(&fits), &around(here, None)), Path::new(&fits).join("runbookd.sock"));
        let hash = format!("{:016x}", fnv1a(long.as_bytes()));
        let runtime = Some(OsStr::new("/run/user/1000"));
        for (runtime, base) in [(runtime, "/run/user/1000"), (None, "/tmp"), (Some(OsStr::new("")), "/tmp")] {
            assert_eq!(
                socket(Path::new(&long), &around(here, runtime)),
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
        let instance = Instance { project: None, data: base.path().join("data"), socket: folder.join("x.sock") };
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(instance.check_socket_folder(uid).unwrap_err().code, ExitCode::Refused);
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(instance.check_socket_folder(uid).is_ok());
        assert_eq!(instance.check_socket_folder(uid + 1).unwrap_err().code, ExitCode::Refused);
    }
}
