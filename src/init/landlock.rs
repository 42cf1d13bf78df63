//! Landlock: the same rules once more, held by another part of the kernel.

use std::os::fd::{AsFd, BorrowedFd};

use super::start::Context;
use crate::protocol::Fault;
use crate::sys;

/// Enters a domain with the Plan's rules.
pub(super) fn restrict(context: &mut Context) -> Result<(), Fault> {
    let Some(plan) = &context.plan.landlock else { return Ok(()) };
    let ruleset = sys::landlock::create_ruleset(plan.handled_fs, plan.handled_net, plan.scoped)
        .map_err(Fault::on("landlock_create_ruleset", b""))?;
    // SAFETY: AT_FDCWD is always valid to borrow; the paths are absolute, so it is not even used.
    let cwd = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };
    for rule in &plan.rules {
        let name = rule.path.to_bytes();
        let path = sys::openat2(cwd, &rule.path, libc::O_PATH, 0, libc::RESOLVE_NO_MAGICLINKS)
            .map_err(Fault::on("openat2", name))?;
        sys::landlock::allow_beneath(ruleset.as_fd(), path.as_fd(), rule.access)
            .map_err(Fault::on("landlock_add_rule", name))?;
    }
    sys::landlock::restrict_self(ruleset.as_fd()).map_err(Fault::on("landlock_restrict_self", b""))?;
    context.readback.landlock = true;
    Ok(())
}
