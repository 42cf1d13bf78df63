//! A child ends with its parent.

mod common;

use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Command, Stdio};

use common::program;

/// Starts a parent, which starts a child in that manner; both by handles that cannot mean another process.
fn parent_and_child(manner: &str) -> (std::process::Child, OwnedFd) {
    let mut parent = Command::new(program("test-roles")).arg(manner).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let pid: i32 = line.trim().parse().unwrap();
    // SAFETY: no memory is involved; the descriptor is new.
    let child = unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32;
        assert!(fd >= 0, "{}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd)
    };
    (parent, child)
}

/// Launched by the main thread, or by one that is gone by then.
#[test]
fn when_the_parent_is_killed() {
    for manner in ["keep", "keep-main"] {
        let (mut parent, child) = parent_and_child(manner);
        assert!(!ended(&child, 300), "{manner}: it ended before its parent");
        parent.kill().unwrap();
        parent.wait().unwrap();
        assert!(ended(&child, 2000), "{manner}: it has outlived its parent");
    }
}

#[test]
fn but_not_if_it_was_told_otherwise() {
    let (mut parent, child) = parent_and_child("keep-loosely");
    parent.kill().unwrap();
    parent.wait().unwrap();
    let early = ended(&child, 300);
    // SAFETY: no memory is involved.
    let killed =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, child.as_raw_fd(), libc::SIGKILL, 0, 0) };
    assert!(!early, "it ended with its parent");
    assert_eq!(killed, 0);
    assert!(ended(&child, 2000));
}

fn ended(pidfd: &OwnedFd, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd { fd: pidfd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: one pollfd.
    unsafe { libc::poll(&mut poll, 1, milliseconds) == 1 }
}
