//! How this process takes memory from the system, and gives it back.

/// Lets all threads share one arena of the C library. To be called first in `main`, never again.
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

/// Gives back to the system what was freed in the middle of the arena: reading a large folder takes twice what is kept of it.
/// Other threads that allocate wait meanwhile, for a few milliseconds where the process is large.
pub fn give_back() {
    // SAFETY: the call takes a number, and touches nothing that is in use.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}
