//! The task's own session: no controlling terminal, so nothing can be pushed into the caller's (CVE-2017-5226).

use nix::errno::Errno;
use nix::unistd::{getpid, getsid, setsid};

use super::start::Context;
use crate::protocol::Fault;

/// Starts a session, and in *lite* ties the task to init (with a pid namespace the kernel does).
pub(super) fn start(context: &mut Context) -> Result<(), Fault> {
    setsid().map_err(Fault::on("setsid", b""))?;
    let (own, session) = (getpid(), getsid(None).map_err(Fault::on("getsid", b""))?);
    if own != session {
        return Err(Fault::mismatch("the session", own, session));
    }
    if context.plan.terminal {
        // Standard input is the task's own pty, made for it by the caller.
        // SAFETY: TIOCSCTTY takes a number: 0, do not steal it from another session.
        Errno::result(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) })
            .map_err(Fault::on("ioctl", b"TIOCSCTTY"))?;
    }
    if context.plan.namespaces == 0 {
        crate::sys::process::set_death_signal(libc::SIGKILL)
            .map_err(Fault::on("prctl", b"PR_SET_PDEATHSIG"))?;
        let found = crate::sys::process::death_signal().map_err(Fault::on("prctl", b"PR_GET_PDEATHSIG"))?;
        if found != libc::SIGKILL {
            return Err(Fault::mismatch("the parent-death signal", libc::SIGKILL, found));
        }
    }
    Ok(())
}
