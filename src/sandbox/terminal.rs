//! A terminal of the task's own: a pseudo-terminal whose other end the caller relays (pty(7)). Nothing that the task does to
//! it reaches the caller's terminal but what it writes.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, unlockpt};

/// A new pair: the caller's end, and the task's.
pub(super) fn open() -> Result<(OwnedFd, OwnedFd), Errno> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let ours = posix_openpt(flags)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    // By descriptor: a path under /dev/pts could lead elsewhere (CVE-2025-52565). Linux 4.13.
    // SAFETY: TIOCGPTPEER takes open(2) flags as its argument and gives a new descriptor.
    let theirs = Errno::result(unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags.bits()) })?;
    // SAFETY: the kernel has just made it for us.
    let theirs = unsafe { OwnedFd::from_raw_fd(theirs) };
    let ours = OwnedFd::from(ours);
    copy_size(&ours)?;
    Ok((ours, theirs))
}

/// Gives the new terminal the size of the caller's, if the caller has one.
fn copy_size(ours: &OwnedFd) -> Result<(), Errno> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    for number in 0..3 {
        // SAFETY: the kernel writes one winsize; any number may be asked about.
        if unsafe { libc::ioctl(number, libc::TIOCGWINSZ, &raw mut size) } == 0 {
            // SAFETY: the kernel reads one winsize.
            return Errno::result(unsafe {
                libc::ioctl(ours.as_raw_fd(), libc::TIOCSWINSZ, &raw const size)
            })
            .map(drop);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_out_at_the_other_end() {
        let (ours, theirs) = open().expect("a pty");
        assert!(nix::unistd::isatty(&theirs).expect("isatty"));
        nix::unistd::write(&theirs, b"glass").expect("to write");
        let mut text = [0; 5];
        assert_eq!(nix::unistd::read(&ours, &mut text), Ok(5));
        assert_eq!(&text, b"glass");
    }
}
