//! Tools that stop where a test wants it: scripts before the real ones on PATH. Knows neither runs nor backups.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use runbook_tests::e2e::{Project, wait_for};

/// The folder of the project's own tools.
const FOLDER: &str = "tools";

/// The project's own tools.
pub struct Tools;

impl Tools {
    /// A PATH on which they come first.
    pub fn path(project: &Project) -> OsString {
        let mut path = project.path(FOLDER).into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").expect("a PATH"));
        path
    }

    /// Puts a script in the place of a tool.
    pub fn replace(project: &Project, tool: &str, script: &str) {
        let new = project.file(&format!("{FOLDER}/.{tool}"), script);
        fs::set_permissions(&new, Permissions::from_mode(0o755)).expect("a mode");
        // A tool that is being started now is whole.
        fs::rename(new, project.path(FOLDER).join(tool)).expect("a tool");
    }

    /// Lets a tool fail where its arguments, joined by blanks, match a pattern of the shell.
    pub fn fail(project: &Project, tool: &str, pattern: &str, says: &str) {
        let (pattern, real) = (escaped(pattern), real(tool));
        let fails = format!("echo '{tool}: {says}' >&2; exit 2");
        Self::replace(
            project,
            tool,
            &format!("#!/bin/sh\ncase \"$*\" in\n{pattern}) {fails} ;;\nesac\nexec {real} \"$@\"\n"),
        );
    }

    /// Takes the script away again.
    pub fn restore(project: &Project, tool: &str) {
        fs::remove_file(project.path(FOLDER).join(tool)).expect("a tool");
    }
}

/// On which side of its work a tool stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

/// A place where a tool stops, once.
#[derive(Debug)]
pub struct Gate {
    folder: PathBuf,
}

impl Gate {
    /// The tool stops the first time that its arguments, joined by blanks, match a pattern of the shell.
    pub fn new(project: &Project, tool: &str, pattern: &str, side: Side) -> Self {
        let folder = project.path(&format!("{FOLDER}/gate-{tool}"));
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("the last gate of this tool");
        }
        fs::create_dir_all(&folder).expect("a folder");
        let made = Command::new("mkfifo").arg(folder.join("go")).status().expect("mkfifo runs");
        assert!(made.success(), "mkfifo");
        let gate = folder.display();
        let pattern = escaped(pattern);
        let stop =
            format!("if \"$here\" && {} {gate}/reached 2>/dev/null; then read -r _ < {gate}/go; fi", real("mkdir"));
        let work = format!("{} \"$@\" || code=$?", real(tool));
        let (first, second) = if side == Side::Before { (&stop, &work) } else { (&work, &stop) };
        let script = format!(
            "#!/bin/sh\ncode=0\nhere=false\ncase \"$*\" in\n{pattern}) here=true ;;\nesac\n{first}\n{second}\nexit $code\n"
        );
        Tools::replace(project, tool, &script);
        Self { folder }
    }

    /// Waits until the tool has stopped.
    pub fn wait(&self) {
        wait_for("a tool at its gate", || self.folder.join("reached").exists().then_some(()));
    }

    /// Lets it go on.
    pub fn open(self) {
        let mut go = fs::OpenOptions::new().write(true).open(self.folder.join("go")).expect("a tool that waits");
        go.write_all(b"\n").expect("a line");
    }
}

/// A pattern as `case` takes it.
fn escaped(pattern: &str) -> String {
    pattern.replace(' ', "\\ ")
}

/// The path of a real tool.
fn real(tool: &str) -> String {
    let path = std::env::var_os("PATH").expect("a PATH");
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(tool));
    let found = places.find(|place| place.is_file()).unwrap_or_else(|| panic!("{tool} is not on PATH"));
    found.to_str().expect("text").to_owned()
}
