//! What an attempt's directory says: protocol lines 9 to 13. Reads only.

use std::io;
use std::path::Path;

use runbook_shim::files::{self as shim_files, Child, Claim, Holder, Spec, Verdict};
use runbook_shim::lock;

/// What is going on with an attempt.
#[derive(Debug)]
pub(super) enum Finding {
    /// Its shim lives; nobody is in the lock yet while it is starting.
    Held(Option<Holder>),
    /// Its shim said how it ended.
    Verdict(Box<Verdict>),
    /// No shim ever decided anything: it provably never ran.
    NeverRan,
    /// The daemon's own claim: no shim can ever start it.
    Fenced,
    /// Its shim died without a word, in this boot.
    ShimDied { holder: Option<Holder>, child: Option<Child> },
    /// It lived in another boot and left no word.
    OtherBoot,
}

/// Reads the attempt's directory: the lock first, then the verdict.
pub(super) fn reconcile(directory: &Path, boot: &str) -> io::Result<Finding> {
    if lock::is_held(directory)? {
        return Ok(Finding::Held(lock::holder(directory)?));
    }
    if let Some(verdict) = shim_files::load::<Verdict>(directory)? {
        return Ok(Finding::Verdict(Box::new(verdict)));
    }
    let claim = Claim::load(directory)?;
    if claim == Some(Claim::Daemon) {
        return Ok(Finding::Fenced);
    }
    let spec = shim_files::load::<Spec>(directory)?;
    let same_boot = spec.is_none_or(|spec| spec.boot_id == boot);
    Ok(match (claim, same_boot) {
        (None, true) => Finding::NeverRan,
        (Some(_), true) => Finding::ShimDied { holder: lock::holder(directory)?, child: shim_files::load(directory)? },
        (_, false) => Finding::OtherBoot,
    })
}
