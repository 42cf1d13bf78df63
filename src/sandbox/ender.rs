//! How the caller ends a run.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{Shutdown, shutdown};
use std::os::fd::AsRawFd;

use crate::sys;

/// Ends a run from wherever it is held. With a pid namespace, killing init ends everything; without one init has to stay
/// alive long enough to end the task's descendants, and is told so by the end of its channel.
#[derive(Debug)]
pub(super) struct Ender {
    pub(super) pidfd: OwnedFd,
    pub(super) channel: OwnedFd,
    pub(super) pid_namespace: bool,
}

impl Ender {
    /// Ends the run; one that has ended already is no error.
    pub(super) fn end(&self) -> Result<(), Errno> {
        let done = if self.pid_namespace {
            sys::process::pidfd_send_signal(self.pidfd.as_fd(), libc::SIGKILL)
        } else {
            shutdown(self.channel.as_raw_fd(), Shutdown::Write)
        };
        match done {
            Err(Errno::ESRCH | Errno::ENOTCONN) => Ok(()),
            other => other,
        }
    }
}
