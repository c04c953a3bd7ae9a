//! The names of the files in an attempt's directory. It never knows where the directory itself is.

/// Held by the shim (flock) as long as it lives; tells its pid and start time. Made empty by the daemon.
pub const LOCK: &str = "lock";
/// What to run, and its limits. Placed by the daemon; holds no secret.
pub const SPEC: &str = "spec";
/// Whoever makes this file decides: empty, the shim may start the command; by the daemon, nobody ever will.
pub const CLAIM: &str = "claim";
/// The command's process group, written right after its start.
pub const CHILD: &str = "child";
/// A request to stop. Placed by the daemon; a later one replaces the earlier.
pub const STOP: &str = "stop";
/// The command's output, line by line. Absent when it wrote nothing.
pub const LOG: &str = "log";
/// Where the command writes its outputs (`RUNBOOK_OUTPUT`). Absent when it wrote none.
pub const OUT: &str = "out";
/// How the attempt ended. Placed by the shim as its last act.
pub const VERDICT: &str = "verdict";
/// The verdict's reserved room, before it becomes `verdict`.
pub const VERDICT_RESERVE: &str = ".verdict.new";
/// The daemon's finished claim, before it is linked to `claim`.
pub const CLAIM_NEW: &str = ".claim.new";
/// Directory for what the command produces (`RUNBOOK_ARTIFACTS`). Made only when artifacts are declared.
pub const ARTIFACTS: &str = "artifacts";
/// Directory of the files that the step gets (`files:`). Made only when there are any; a link to one in memory where a secret is in one.
pub const FILES: &str = "files";

/// The environment variable that marks every process of an attempt; its value is the attempt's id.
pub const ATTEMPT_ID_VARIABLE: &str = "RUNBOOK_ATTEMPT_ID";

/// Why `name` cannot name something below an attempt's directory, or `None` if it can: it must be relative, without
/// `.`, `..` or empty parts, and without NUL.
pub fn refuse_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("the name is empty");
    }
    if name.contains('\0') {
        return Some("the name holds a NUL character");
    }
    if name.starts_with('/') {
        return Some("the name is an absolute path");
    }
    if name.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        return Some("the name has an empty, `.` or `..` part");
    }
    None
}
