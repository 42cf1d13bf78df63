//! Thin, safe wrappers of the system calls that no crate we use wraps: one function a call, errors as
//! [`Errno`].
//!
//! Everything here works on descriptors or C strings, so that init can use it without allocating.

pub(crate) mod capability;
pub(crate) mod image;
pub(crate) mod keys;
pub(crate) mod landlock;
pub(crate) mod memory;
pub(crate) mod mount;
pub(crate) mod process;
pub(crate) mod streams;

use std::ffi::CStr;
use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag};
pub(crate) use nix::sys::stat::fstat;

/// Turns the return value of a raw system call into a result.
pub(crate) fn check(value: libc::c_long) -> Result<libc::c_long, Errno> {
    if value < 0 { Err(Errno::last()) } else { Ok(value) }
}

/// The descriptor that a successful raw system call returned.
pub(crate) fn owned(value: libc::c_long) -> Result<OwnedFd, Errno> {
    let raw = i32::try_from(check(value)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made this descriptor; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Opens an absolute path of the calling process without following a symlink in any component.
pub(crate) fn open_without_symlinks(path: &CStr, flags: OFlag) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    nix::fcntl::openat2(nix::fcntl::AT_FDCWD, path, how)
}

/// `close_range(2)` with `CLOSE_RANGE_CLOEXEC` (Linux 5.11): marks everything from `first` on.
pub(crate) fn close_on_exec_from(first: libc::c_uint) -> Result<(), Errno> {
    let mark = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: numbers only; no descriptor is closed.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, mark) }).map(drop)
}
