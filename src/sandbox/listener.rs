//! The listener of a filter that notifies of system calls (seccomp_unotify(2)), until its owner has it.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::error::Error;
use crate::plan::{Plan, Workload};

nix::ioctl_readwrite!(receive, b'!', 0, libc::seccomp_notif);
nix::ioctl_readwrite!(send, b'!', 1, libc::seccomp_notif_resp);
nix::ioctl_write_ptr!(is_valid, b'!', 2, u64);

/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE` (Linux 5.5): the call is made.
const CONTINUE: u32 = 1;

/// Whether it is one: only a listener says that it knows no notification 0.
pub(super) fn is_one(fd: &OwnedFd) -> bool {
    // SAFETY: the kernel reads one number.
    unsafe { is_valid(fd.as_raw_fd(), &0) == Err(Errno::ENOENT) }
}

/// What is expected of a start whose filter has a listener.
#[derive(Debug)]
pub(super) struct Awaited {
    /// Whether it is still to come.
    pub(super) wanted: bool,
    pub(super) listener: Option<OwnedFd>,
    /// The start executes the program below the filter: where that is notified of, it is the first call of
    /// all, and is answered here. Its owner gets all that come after it.
    execve: bool,
}

impl Awaited {
    pub(super) fn of(plan: &Plan) -> Self {
        let filter = plan.task.seccomp.as_ref().filter(|filter| filter.has_listener());
        let is_program = matches!(plan.task.workload, Workload::Program { .. });
        Self {
            wanted: filter.is_some(),
            listener: None,
            execve: is_program && filter.is_some_and(|filter| filter.notifies_of_execve()),
        }
    }

    /// It has come.
    pub(super) fn take(&mut self, listener: OwnedFd) {
        self.wanted = false;
        self.listener = Some(listener);
    }

    /// Where the execution has to be let through.
    pub(super) fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.listener.as_ref().filter(|_| self.execve).map(AsFd::as_fd)
    }

    /// Lets the execution through. There is something to be received.
    pub(super) fn answer(&mut self) -> Result<(), Error> {
        let Some(listener) = self.watched() else { return Ok(()) };
        let failed =
            |source: Errno| Error::Child { action: "answer the notified execve of", source: source.into() };
        // SAFETY: plain data for which all zeroes is a value.
        let mut notified: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes one seccomp_notif, which it wants to be zeroes.
        match unsafe { receive(listener.as_raw_fd(), &raw mut notified) } {
            // It was killed, or the wait for an answer was interrupted.
            Err(Errno::ENOENT | Errno::EINTR) => return Ok(()),
            received => received.map_err(failed)?,
        };
        if i64::from(notified.data.nr) != libc::SYS_execve {
            return Err(Error::Protocol);
        }
        let mut response = libc::seccomp_notif_resp { id: notified.id, val: 0, error: 0, flags: CONTINUE };
        // SAFETY: the kernel reads one seccomp_notif_resp.
        match unsafe { send(listener.as_raw_fd(), &raw mut response) } {
            // As above: the call is notified of again.
            Err(Errno::ENOENT) => Ok(()),
            sent => {
                sent.map_err(failed)?;
                self.execve = false;
                Ok(())
            }
        }
    }
}
