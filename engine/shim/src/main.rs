//! `runbook-shim ATTEMPT_DIR`: owns one attempt's processes from their start until the last of them is gone, with or
//! without a daemon, and leaves a verdict. Its files are its interface: see the library beside it.
//!
//! The C library calls `main` directly. What Rust's runtime does before its own `main` (reading the map of memory, a
//! stack for signal handlers) costs as much as an attempt may cost in all, and serves threads that the shim never has.

#![cfg_attr(not(test), no_main)]

mod attempt;

use std::ffi::{CStr, OsStr, c_char, c_int};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use attempt::Refused;
use runbook_shim::exit::{DONE, Refusal};

/// Called by the C library. (The unit tests of this program have a `main` of their own.)
///
/// # Safety
/// `argv` points to `argc` strings that live as long as the program.
#[cfg_attr(not(test), unsafe(export_name = "main"))]
#[cfg_attr(test, unsafe(export_name = "runbook_shim_main"))]
pub unsafe extern "C" fn shim_main(argc: c_int, argv: *const *const c_char) -> c_int {
    let ended = match argc {
        2 => {
            // SAFETY: there are two strings, as the caller promises.
            let dir = unsafe { CStr::from_ptr(*argv.add(1)) };
            attempt::own(Path::new(OsStr::from_bytes(dir.to_bytes())))
        }
        _ => Err(Refused::new(Refusal::Usage, "usage: runbook-shim ATTEMPT_DIR")),
    };
    match ended {
        Ok(()) => DONE,
        Err(refused) => {
            // For who calls it by hand; nobody hears it under the daemon, which reads the code.
            let _ = writeln!(io::stderr(), "runbook-shim: {}: {}", refused.refusal, refused.detail);
            refused.refusal.code()
        }
    }
}
