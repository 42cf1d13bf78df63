//! *Lite*: without a pid namespace something else has to tell the run's processes from all others.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::prctl;

use super::context::Context;
use crate::plan::Ending;
use crate::protocol::Fault;
use crate::sys;

/// `LANDLOCK_SCOPE_SIGNAL` (ABI 6)
const SCOPE_SIGNAL: u64 = 1 << 1;

/// `LANDLOCK_ACCESS_FS_REFER` (ABI 2)
const REFER: u64 = 1 << 13;

/// Enters a Landlock domain that keeps init's own signals in: the task's domain will be within it, and what
/// is outside is out of reach for ever, of `kill(-1)` too. The caller is outside, and of the same user: it
/// must be in reach before, and not afterwards.
pub(super) fn keep_signals_in(context: &Context) -> Result<(), Fault> {
    if context.plan.walls.ending != Ending::Scope {
        return Ok(());
    }
    let reach = || sys::process::pidfd_send_signal(context.caller.as_fd(), 0);
    reach().map_err(Fault::on("pidfd_send_signal", b"caller"))?;
    prctl::set_no_new_privs().map_err(Fault::on("prctl", b"PR_SET_NO_NEW_PRIVS"))?;
    // Every domain denies links and renames from directory to directory unless a rule allows them
    // (landlock(7)). Which of them the task may make, its own domain says.
    let ruleset = sys::landlock::create_ruleset(REFER, 0, SCOPE_SIGNAL)
        .map_err(Fault::on("landlock_create_ruleset", b""))?;
    let root = sys::open_without_symlinks(c"/", OFlag::O_PATH).map_err(Fault::on("openat2", b"/"))?;
    sys::landlock::allow_beneath(ruleset.as_fd(), root.as_fd(), REFER)
        .map_err(Fault::on("landlock_add_rule", b"/"))?;
    sys::landlock::restrict_self(ruleset.as_fd()).map_err(Fault::on("landlock_restrict_self", b"init"))?;
    match reach() {
        Err(Errno::EPERM) => Ok(()),
        Ok(()) => Err(Fault::mismatch("a signal to the caller", Errno::EPERM, "allowed")),
        Err(errno) => Err(Fault::mismatch("a signal to the caller", Errno::EPERM, errno)),
    }
}
