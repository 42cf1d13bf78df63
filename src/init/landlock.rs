//! Landlock: the same rules once more, held by another part of the kernel.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, FcntlArg, OFlag, OpenHow, ResolveFlag, fcntl, open, openat2};
use nix::sys::stat::Mode;
use nix::unistd::isatty;

use super::context::Context;
use crate::plan::{Landlock, LandlockRule};
use crate::protocol::Fault;
use crate::sys;

/// Enters a domain with the Plan's rules.
pub(super) fn restrict(context: &mut Context) -> Result<(), Fault> {
    let Some(plan) = &context.plan.task.landlock else { return Ok(()) };
    let ruleset = sys::landlock::create_ruleset(plan.handled_fs, plan.handled_net, plan.scoped)
        .map_err(Fault::on("landlock_create_ruleset", b""))?;
    let how =
        OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_NO_MAGICLINKS);
    for rule in &plan.rules {
        let name = rule.path.to_bytes();
        let path = openat2(AT_FDCWD, &*rule.path, how).map_err(Fault::on("openat2", name))?;
        sys::landlock::allow_beneath(ruleset.as_fd(), path.as_fd(), rule.access)
            .map_err(Fault::on("landlock_add_rule", name))?;
    }
    for number in (0..3).chain(context.plan.task.descriptors.iter().copied()) {
        allow_reopening(ruleset.as_fd(), number, plan.handled_fs)?;
    }
    sys::landlock::restrict_self(ruleset.as_fd()).map_err(Fault::on("landlock_restrict_self", b""))?;
    prove(plan)?;
    context.readback.landlock = true;
    Ok(())
}

/// A file or device that the task was given as a descriptor may be opened again through `/dev/stdout` and the
/// like, in the mode that it is open in and no other. Pipes and sockets need no rule, and nothing is granted
/// below a directory.
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
    // Of the devices only a terminal, which programs set up: it is how `prove` tells a domain by /dev/null.
    let device = if isatty(fd).unwrap_or(false) { sys::landlock::IOCTL_DEV } else { 0 };
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

/// The kernel has no question "am I in a domain". It answers another one: ioctl(2) on a device is `EACCES`
/// from a domain that has no rule for it, and `ENOTTY` from /dev/null itself. Where that cannot be asked (an
/// older ABI, no /dev/null inside, a rule that allows it) the call's own success has to do.
fn prove(plan: &Landlock) -> Result<(), Fault> {
    let above: [&[u8]; 3] = [b"/", b"/dev", b"/dev/null"];
    let allowed = |rule: &LandlockRule| {
        rule.access & sys::landlock::IOCTL_DEV != 0 && above.contains(&rule.path.to_bytes())
    };
    if plan.handled_fs & sys::landlock::IOCTL_DEV == 0 || plan.rules.iter().any(allowed) {
        return Ok(());
    }
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    let Ok(null) = open("/dev/null", flags, Mode::empty()) else { return Ok(()) };
    let stat = sys::fstat(null.as_fd()).map_err(Fault::on("fstat", b"/dev/null"))?;
    if stat.st_mode & libc::S_IFMT != libc::S_IFCHR || stat.st_rdev != libc::makedev(1, 3) {
        return Ok(());
    }
    // SAFETY: termios is plain data for which all zeroes is a value.
    let mut settings: libc::termios = unsafe { std::mem::zeroed() };
    // SAFETY: TCGETS writes a termios of the kernel's, which libc's is larger than.
    match Errno::result(unsafe { libc::ioctl(null.as_raw_fd(), libc::TCGETS as _, &raw mut settings) }) {
        Err(Errno::EACCES) => Ok(()),
        Err(errno) => Err(Fault::mismatch("the Landlock domain", Errno::EACCES, errno)),
        Ok(_) => Err(Fault::mismatch("the Landlock domain", Errno::EACCES, "a terminal")),
    }
}
