//! The system-call filter: the last wall, as everything before needs calls that it may forbid.

use nix::errno::Errno;

use crate::plan::Seccomp;
use crate::protocol::Fault;
use crate::sys;

/// Loads the filter and asks the kernel whether it is there. Below a filter that refuses the question the
/// refusal itself is the proof: an unfiltered process would get an answer.
pub(super) fn load(plan: &Seccomp) -> Result<(), Fault> {
    sys::process::load_filter(&plan.program.instructions, plan.flags)
        .map_err(Fault::on("seccomp", b"SECCOMP_SET_MODE_FILTER"))?;
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
