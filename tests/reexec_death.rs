//! A child ends with its parent.

mod reexec_common;

use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

use reexec_common::program;

/// The parent has two children of its main thread's or of a thread that is gone; it is killed, and they end.
#[test]
fn when_the_parent_is_killed() {
    for mode in ["keep", "keep-main"] {
        let mut parent =
            Command::new(program("test-roles")).arg(mode).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let pid: i32 = line.trim().parse().unwrap();
        // SAFETY: no memory is involved; the descriptor is new.
        let child = unsafe {
            let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32;
            assert!(fd >= 0, "{}", std::io::Error::last_os_error());
            OwnedFd::from_raw_fd(fd)
        };
        assert!(!ended(&child, 300), "{mode}: it ended before its parent");
        parent.kill().unwrap();
        parent.wait().unwrap();
        assert!(ended(&child, 2000), "{mode}: it has outlived its parent");
    }
}

fn ended(pidfd: &OwnedFd, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd.
    unsafe { libc::poll(&mut poll, 1, milliseconds) == 1 }
}
