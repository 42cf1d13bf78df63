//! The system-call filter: the last wall, as everything before needs calls that it may forbid.

use std::os::fd::RawFd;

use nix::errno::Errno;

use super::listener;
use crate::plan::Seccomp;
use crate::protocol::Fault;
use crate::sys;

/// The flags that the kernel takes together only.
const OF_A_LISTENER: u64 =
    libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;

/// Loads the filter and asks the kernel whether it is there. Below a filter that refuses the question the
/// refusal itself is the proof: an unfiltered process would get an answer.
///
/// With a listener that is sent to the caller over `channel`, which is closed; on an error the filter may be
/// loaded then.
pub(super) fn load(plan: &Seccomp, channel: RawFd) -> Result<(), Fault> {
    if plan.has_listener() {
        listener::load(plan, channel)?;
        return verify(plan);
    }
    load_alone(plan)
}

/// [`load`] without a listener: what the filter notifies of fails with `ENOSYS`.
pub(super) fn load_alone(plan: &Seccomp) -> Result<(), Fault> {
    sys::process::load_filter(&plan.program.instructions, plan.flags & !OF_A_LISTENER)
        .map_err(Fault::on("seccomp", b"SECCOMP_SET_MODE_FILTER"))?;
    verify(plan)
}

fn verify(plan: &Seccomp) -> Result<(), Fault> {
    let Some(expected) = plan.readback else { return Ok(()) };
    let found = match sys::process::seccomp_mode() {
        Ok(mode) => i32::try_from(mode).unwrap_or(i32::MAX),
        Err(errno) => -(errno as i32),
    };
    if found == expected {
        return Ok(());
    }
    if found < 0 {
        return Err(Fault::system("prctl", b"PR_GET_SECCOMP", Errno::from_raw(-found)));
    }
    Err(Fault::mismatch("the seccomp mode", expected, found))
}
