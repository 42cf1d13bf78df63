//! Landlock: the same rules once more, held by another part of the kernel.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

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
    for number in (0..3).chain(context.plan.descriptors.iter().copied()) {
        allow_reopening(ruleset.as_fd(), number, plan.handled_fs)?;
    }
    sys::landlock::restrict_self(ruleset.as_fd()).map_err(Fault::on("landlock_restrict_self", b""))?;
    context.readback.landlock = true;
    Ok(())
}

/// A file or device that the task was given as a descriptor may be opened again through `/dev/stdout` and the like, in the mode
/// that it is open in and no other. Pipes and sockets need no rule, and nothing is granted below a folder.
fn allow_reopening(ruleset: BorrowedFd<'_>, number: i32, handled: u64) -> Result<(), Fault> {
    let name = format!("descriptor {number}");
    // SAFETY: only borrowed for these calls, the first of which finds out whether it is open.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    let kind = sys::fstat(fd).map_err(Fault::on("fstat", name.as_bytes()))?.st_mode & libc::S_IFMT;
    if kind != libc::S_IFREG && kind != libc::S_IFCHR {
        return Ok(());
    }
    let flags = fcntl(fd, FcntlArg::F_GETFL).map_err(Fault::on("fcntl", name.as_bytes()))?;
    let (read, write) = (sys::landlock::READ_FILE, sys::landlock::WRITE_FILE | sys::landlock::TRUNCATE);
    let mode = match flags & libc::O_ACCMODE {
        _ if flags & libc::O_PATH != 0 => return Ok(()),
        libc::O_RDONLY => read,
        libc::O_WRONLY => write,
        _ => read | write,
    };
    let device = if kind == libc::S_IFCHR { sys::landlock::IOCTL_DEV } else { 0 };
    let access = (mode | device) & handled;
    if access == 0 {
        return Ok(());
    }
    match sys::landlock::allow_beneath(ruleset, fd, access) {
        // EBADFD: a file of a file system that has no paths (a memfd), which Landlock leaves alone.
        Ok(()) | Err(Errno::EBADFD) => Ok(()),
        Err(errno) => Err(Fault::system("landlock_add_rule", name.as_bytes(), errno)),
    }
}
