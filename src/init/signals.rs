//! Signal state: everything at its default, nothing blocked.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};

use super::context::Context;
use crate::protocol::Fault;

/// The kernel's `struct sigaction`; all zeroes is `SIG_DFL`. libc's wrapper refuses its own internal signals
/// (32, 33).
#[repr(C)]
#[derive(Default)]
struct KernelAction {
    words: [usize; 4],
}

/// The kernel's `sigset_t` has 64 bits.
const SET_SIZE: usize = 8;
const LAST_SIGNAL: libc::c_int = 64;

/// Resets what the caller's process ignored, and this one blocked.
pub(super) fn reset(_: &mut Context) -> Result<(), Fault> {
    reset_all()
}

/// The same, of a process that is no task's.
pub(super) fn reset_all() -> Result<(), Fault> {
    let default = KernelAction::default();
    let none = std::ptr::null_mut::<KernelAction>();
    for signal in (1..=LAST_SIGNAL).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal)) {
        // SAFETY: the kernel reads one struct of its own layout, and writes nothing.
        Errno::result(unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, &raw const default, none, SET_SIZE)
        })
        .map_err(Fault::on("rt_sigaction", signal.to_string().as_bytes()))?;
    }
    let mut blocked = SigSet::empty();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&blocked), None).map_err(Fault::on("sigprocmask", b""))?;
    sigprocmask(SigmaskHow::SIG_BLOCK, None, Some(&mut blocked)).map_err(Fault::on("sigprocmask", b""))?;
    match blocked.iter().next() {
        Some(signal) => Err(Fault::mismatch("the signal mask", "empty", signal)),
        None => Ok(()),
    }
}

/// Holds back everything in init itself; what should reach the task is read from a signalfd.
pub(super) fn block_all() -> Result<(), Fault> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), None).map_err(Fault::on("sigprocmask", b""))
}
