//! The end of one of init's processes.

/// `_exit(2)`: no destructors and no `atexit` handlers of the program's.
pub(super) fn exit(code: i32) -> ! {
    // SAFETY: ends the process, whatever its state.
    unsafe { libc::_exit(code) }
}
