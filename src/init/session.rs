//! A session without the caller's terminal, so that nothing can be pushed into it (CVE-2017-5226), and a
//! process group of the task's own, which gets what a terminal would send. And no keys of the caller's
//! session.

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpgrp, getpid, getppid, getsid, setpgid, setsid};

use super::context::Context;
use crate::protocol::Fault;
use crate::sys;

/// Starts a group, and with a terminal of its own a session; in *lite* ties the task to init (with a pid
/// namespace the kernel does).
pub(super) fn start(context: &mut Context) -> Result<(), Fault> {
    let session = |pid: Option<Pid>| getsid(pid).map_err(Fault::on("getsid", b""));
    let (own, expected) = if context.plan.task.terminal {
        setsid().map_err(Fault::on("setsid", b""))?;
        (getpid(), getpid())
    } else {
        // In init's session: that of an orphaned group could not be stopped by SIGTSTP (setpgid(2), POSIX
        // 3.264).
        setpgid(Pid::from_raw(0), Pid::from_raw(0)).map_err(Fault::on("setpgid", b""))?;
        (getpid(), session(Some(getppid()))?)
    };
    if getpgrp() != own {
        return Err(Fault::mismatch("the process group", own, getpgrp()));
    }
    let found = session(None)?;
    if found != expected {
        return Err(Fault::mismatch("the session", expected, found));
    }
    if context.plan.task.terminal {
        // Standard input is the task's own, see `terminal`.
        // SAFETY: TIOCSCTTY takes a number: 0, do not steal it from another session.
        Errno::result(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) })
            .map_err(Fault::on("ioctl", b"TIOCSCTTY"))?;
    }
    if context.plan.walls.namespaces.is_lite() {
        prctl::set_pdeathsig(Signal::SIGKILL).map_err(Fault::on("prctl", b"PR_SET_PDEATHSIG"))?;
        let found = prctl::get_pdeathsig().map_err(Fault::on("prctl", b"PR_GET_PDEATHSIG"))?;
        if found != Some(Signal::SIGKILL) {
            let found = found.map_or("none", Signal::as_str);
            return Err(Fault::mismatch("the parent-death signal", Signal::SIGKILL, found));
        }
    }
    if context.plan.task.session_keyring { own_keyring() } else { Ok(()) }
}

/// An empty session keyring in place of the caller's.
fn own_keyring() -> Result<(), Fault> {
    let fault = |errno| Fault::system("keyctl", b"KEYCTL_JOIN_SESSION_KEYRING", errno);
    let joined = match sys::keys::join_session_keyring() {
        Ok(joined) => joined,
        // No call reaches a key, this one's descendants' neither: the kernel has none, or a filter around
        // belljar refuses them.
        Err(errno @ (Errno::ENOSYS | Errno::EPERM)) if sys::keys::session_keyring() == Err(errno) => {
            return Ok(());
        }
        Err(errno) => return Err(fault(errno)),
    };
    let found = sys::keys::session_keyring().map_err(Fault::on("keyctl", b"KEYCTL_GET_KEYRING_ID"))?;
    if found == joined { Ok(()) } else { Err(Fault::mismatch("the session keyring", joined, found)) }
}
