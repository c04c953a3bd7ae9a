//! How this process takes memory from the system. Called first in `main`, never again.

/// Lets all threads share one arena of the C library.
///
/// It would give each thread one of its own, and what one thread allocates and another one frees then stays with the
/// first: after runs of ten thousand steps the daemon was twice as large as with one arena. Its threads wait for disks
/// and processes rather than for the lock of an arena: a step takes no more time.
pub fn share_one_arena() {
    // SAFETY: no other thread is there yet, and the call takes two numbers. One that it does not know is ignored.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}
