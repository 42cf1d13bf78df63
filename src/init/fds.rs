//! Descriptors by number.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::protocol::Fault;

/// Takes over a descriptor that the caller's side arranged at a known number.
pub(super) fn take_descriptor(number: i32) -> Result<OwnedFd, Fault> {
    // SAFETY: only borrowed for the check; that it is open is what fcntl tells.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
        .map_err(Fault::on("fcntl", number.to_string().as_bytes()))?;
    // SAFETY: it is open, and by the protocol nothing else in this image owns a number from FIRST_DESCRIPTOR
    // on.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Duplicates a descriptor to a number of at least `least`, close-on-exec.
pub(super) fn duplicate_above(fd: &impl AsFd, least: i32) -> Result<OwnedFd, Errno> {
    let raw = fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(least))?;
    debug_assert!(raw >= least && raw != fd.as_fd().as_raw_fd());
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
