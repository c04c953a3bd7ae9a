//! How many descriptors the daemon may need, and whether it may have them. Steps inherit the limit, so it is raised only
//! where it must be.

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::api::CONNECTIONS;

/// Descriptors of each live attempt: its pidfd, and the waiter's copy.
const OF_AN_ATTEMPT: u64 = 2;
/// Descriptors of the journal, the workers, files that are read for answers.
const OF_THE_REST: u64 = 128;

/// Raises the soft limit as far as is needed and allowed; says what is missing.
pub fn provide(max_attempts: usize) -> Option<String> {
    let needed = max_attempts as u64 * OF_AN_ATTEMPT + CONNECTIONS as u64 + OF_THE_REST;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return None;
    }
    limit.current = Some(limit.maximum.map_or(needed, |maximum| maximum.min(needed)));
    let raised = setrlimit(Resource::Nofile, limit);
    let allowed = limit.current.filter(|_| raised.is_ok()).unwrap_or(0);
    (allowed < needed).then(|| {
        format!(
            "with max_attempts {max_attempts} the daemon may need {needed} open files, and the system allows it \
             fewer: attempts may have to wait; raise the limit (ulimit -n, LimitNOFILE=), or lower max_attempts"
        )
    })
}
