//! A terminal of the task's own: init opens it in the sandbox's devpts and sends the outer end, which the
//! caller relays (pty(7)). Nothing that the task does to it reaches the caller's terminal but what it writes.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::protocol::Window;
use crate::sys;

nix::ioctl_read_bad!(get_size, libc::TIOCGWINSZ, libc::winsize);
nix::ioctl_read_bad!(get_number, libc::TIOCGPTN, libc::c_uint);

/// The size of the caller's terminal, if it has one as a standard stream.
pub(super) fn size() -> Window {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the kernel writes one winsize; any number may be asked about.
    let _ = (0..3).find(|number| unsafe { get_size(*number, &raw mut size) }.is_ok());
    let libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: width, ws_ypixel: height } = size;
    Window { rows, columns, width, height }
}

/// Whether it is the outer end of a pseudo-terminal: the device that all are opened through, and the one
/// question that only an outer end answers.
pub(super) fn is_outer_end(fd: &OwnedFd) -> bool {
    let is_multiplexer = sys::fstat(fd.as_fd()).is_ok_and(|stat| {
        stat.st_mode & libc::S_IFMT == libc::S_IFCHR && stat.st_rdev == libc::makedev(5, 2)
    });
    let mut number = 0;
    // SAFETY: the kernel writes one unsigned int.
    is_multiplexer && unsafe { get_number(fd.as_raw_fd(), &raw mut number) }.is_ok()
}
