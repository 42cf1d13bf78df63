//! How the caller ends a run.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Shutdown, shutdown};

use super::watch::GRACE;
use crate::sys;

/// In *lite* only init can end what is left: how long it may take until it is ended itself. It takes
/// two seconds at most.
const LITE: Duration = Duration::from_secs(3);

/// What a run is ended by, without a new descriptor.
#[derive(Debug, Clone, Copy)]
pub(super) struct KillRef<'a> {
    pub(super) pidfd: BorrowedFd<'a>,
    pub(super) channel: BorrowedFd<'a>,
    pub(super) pid_namespace: bool,
}

impl KillRef<'_> {
    /// Ends the run; one that has ended already is no error. init is asked to, so that it tells what was
    /// used, and killed where it does not answer: with a pid namespace everything ends with it.
    pub(super) fn end(&self) -> Result<(), Errno> {
        self.ask(if self.pid_namespace { GRACE } else { LITE })
    }

    /// As [`end`](Self::end), for an init that has had its time.
    pub(super) fn end_overdue(&self) -> Result<(), Errno> {
        if self.pid_namespace { self.kill() } else { self.ask(LITE) }
    }

    fn ask(&self, patience: Duration) -> Result<(), Errno> {
        // The end of the channel is its sign; one whose other side is gone needs none.
        match shutdown(self.channel.as_raw_fd(), Shutdown::Write) {
            Ok(()) | Err(Errno::ENOTCONN) => {}
            // It cannot be asked.
            Err(_) => return self.kill(),
        }
        // Somebody of the same user may have stopped it.
        sys::process::pidfd_send_signal(self.pidfd, libc::SIGCONT).ok();
        let began = Instant::now();
        while let Some(left) = patience.checked_sub(began.elapsed()) {
            let left = PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.pidfd, PollFlags::POLLIN)], left) {
                Ok(1) => return Ok(()),
                Err(Errno::EINTR) => {}
                _ => break,
            }
        }
        self.kill()
    }

    fn kill(&self) -> Result<(), Errno> {
        match sys::process::pidfd_send_signal(self.pidfd, libc::SIGKILL) {
            Err(Errno::ESRCH) => Ok(()),
            other => other,
        }
    }
}

/// [`KillRef`] that can be held by another thread.
#[derive(Debug)]
pub(crate) struct KillHandle {
    pub(super) pidfd: OwnedFd,
    pub(super) channel: OwnedFd,
    pub(super) pid_namespace: bool,
}

impl KillHandle {
    /// Of the sandbox's init.
    #[cfg(feature = "cli")]
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Ends the run; one that has ended already is no error.
    pub(crate) fn end(&self) -> Result<(), Errno> {
        let Self { pidfd, channel, pid_namespace } = self;
        KillRef { pidfd: pidfd.as_fd(), channel: channel.as_fd(), pid_namespace: *pid_namespace }.end()
    }
}
