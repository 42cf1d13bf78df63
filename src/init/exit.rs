//! The end of one of init's processes.

/// An end without a system call, which a filter could stop: by an instruction that does not exist.
pub(super) fn trap() -> ! {
    // SAFETY: ends the process (SIGILL has no handler here).
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("ud2", options(noreturn));
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("udf #0", options(noreturn));
    }
}

/// `_exit(2)`: no destructors and no `atexit` handlers of the program's.
pub(super) fn exit(code: i32) -> ! {
    // SAFETY: ends the process, in any state.
    unsafe { libc::_exit(code) }
}
