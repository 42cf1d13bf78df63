//! Thin, safe wrappers of the system calls that no crate we use wraps: one function a call, errors as [`Errno`].
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
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

/// Turns the return value of a raw system call into a result.
pub(crate) fn check(value: libc::c_long) -> Result<libc::c_long, Errno> {
    if value < 0 { Err(Errno::last()) } else { Ok(value) }
}

/// The descriptor that a successful raw system call returned.
pub(crate) fn owned(value: libc::c_long) -> Result<OwnedFd, Errno> {
    let raw = i32::try_from(check(value)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: the kernel has just made this descriptor for us, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}

/// `openat2(2)` (Linux 5.6).
pub(crate) fn openat2(
    dir: BorrowedFd<'_>,
    path: &CStr,
    flags: libc::c_int,
    mode: u32,
    resolve: u64,
) -> Result<OwnedFd, Errno> {
    // SAFETY: open_how is plain data for which all zeroes is a value.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from((flags | libc::O_CLOEXEC).cast_unsigned());
    how.mode = u64::from(mode);
    how.resolve = resolve;
    // SAFETY: the path is a C string, `how` lives through the call and its size is given.
    owned(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            dir.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            std::mem::size_of::<libc::open_how>(),
        )
    })
}

/// Opens an absolute path of the calling process without following a symlink in any component.
pub(crate) fn open_without_symlinks(path: &CStr, flags: libc::c_int) -> Result<OwnedFd, Errno> {
    // SAFETY: AT_FDCWD is always valid to borrow; the path is absolute, so it is not even used.
    let cwd = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };
    openat2(cwd, path, flags, 0, libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS)
}

/// `fstat(2)`, also of an `O_PATH` descriptor.
pub(crate) fn fstat(fd: BorrowedFd<'_>) -> Result<libc::stat, Errno> {
    // SAFETY: stat is plain data for which all zeroes is a value.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and `stat` is writable.
    check(libc::c_long::from(unsafe { libc::fstat(fd.as_raw_fd(), &raw mut stat) }))?;
    Ok(stat)
}
