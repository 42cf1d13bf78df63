//! Who is at the other end of the channel.
//!
//! A plain child (no new user or pid namespace) takes its role only from its own parent, and only if that
//! runs the very same file. This keeps a stranger's descriptor 3, and a confused deputy, from running a
//! role's body. It is no wall against a process of the same user, who can trace this one anyway. Without
//! `/proc` the parent's file cannot be seen, and only the first half holds.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use super::image;
use super::refusal::Refusal;
use crate::sys::process;

/// fcntl(2); not in libc's crate, the same number on every architecture but a few that belljar does not know.
const F_SETSIG: i32 = 10;

/// Is the descriptor open and a `SOCK_SEQPACKET` socket.
pub(super) fn is_channel(fd: i32) -> bool {
    option(fd, libc::SO_TYPE, 0) == Ok(libc::SOCK_SEQPACKET)
        && option(fd, libc::SO_DOMAIN, 0) == Ok(libc::AF_UNIX)
}

/// Is the launcher our parent, running our program.
pub(super) fn check(channel: BorrowedFd<'_>) -> Result<(), Refusal> {
    let none = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let peer = option(channel.as_raw_fd(), libc::SO_PEERCRED, none).map_err(|_| Refusal::Channel)?;
    // SAFETY: no preconditions.
    let parent = unsafe { libc::getppid() };
    // 0: in another pid namespace, where it cannot be looked at.
    if parent == 0 || peer.pid != parent {
        return Err(Refusal::NotTheParent);
    }
    if !image::proc_in_reach() {
        return Ok(());
    }
    let ours = file_of("self").map_err(|_| Refusal::UnreadableParent)?;
    // Its number there, which is another where `/proc` is of another pid namespace.
    let number = process::pidfd_open(parent).and_then(|pidfd| process::number_in_proc(pidfd.as_fd()));
    let number = number.map_err(|_| Refusal::UnreadableParent)?;
    let theirs = file_of(&number.to_string()).map_err(|_| Refusal::UnreadableParent)?;
    // Asked again: if the parent ended in between, its number may mean another process.
    // SAFETY: no preconditions.
    if unsafe { libc::getppid() } != parent {
        return Err(Refusal::NotTheParent);
    }
    if ours == theirs { Ok(()) } else { Err(Refusal::OtherProgram) }
}

/// Lets the kernel kill this process when the other end of the channel is closed, independent of the thread
/// that launched it (fcntl(2): `F_SETOWN`, `F_SETSIG`, `O_ASYNC`). The other end must never write.
pub(super) fn end_with(channel: BorrowedFd<'_>) -> io::Result<()> {
    let fd = channel.as_raw_fd();
    // SAFETY: an open descriptor and plain numbers.
    let armed = unsafe {
        libc::fcntl(fd, libc::F_SETOWN, libc::getpid()) == 0
            && libc::fcntl(fd, F_SETSIG, libc::SIGKILL) == 0
            && libc::fcntl(fd, libc::F_SETFL, libc::O_ASYNC) == 0
    };
    if !armed {
        return Err(io::Error::last_os_error());
    }
    // It may have been closed before the signal was armed.
    let mut byte = 0u8;
    // SAFETY: room for one byte, which stays in the queue.
    let got = unsafe { libc::recv(fd, (&raw mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT) };
    match got {
        0 => Err(io::ErrorKind::ConnectionReset.into()),
        _ => Ok(()),
    }
}

/// Device and inode of the file that a process runs.
fn file_of(process: &str) -> io::Result<(u64, u64)> {
    let path = CString::new(format!("/proc/{process}/exe"))?;
    // SAFETY: all zero is a valid stat.
    let mut found: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: a string that ends with NUL, and a buffer of the right type.
    if unsafe { libc::stat(path.as_ptr(), &mut found) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((found.st_dev, found.st_ino))
}

/// `getsockopt(2)` of an option with a fixed size.
fn option<T: Copy>(fd: i32, name: i32, mut value: T) -> Result<T, i32> {
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: a buffer of the length that is given.
    let result =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, name, (&raw mut value).cast(), &mut length) };
    if result != 0 || length as usize != size_of::<T>() {
        return Err(result);
    }
    Ok(value)
}
