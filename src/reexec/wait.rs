//! Waiting for, and signalling, a process by its pidfd (pidfd_open(2), waitid(2)): never by its number.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::sys;

/// Waits until the descriptor can be read, was closed at its other end, or the deadline has passed (then:
/// false).
pub(super) fn readable(fd: BorrowedFd<'_>, deadline: Instant) -> io::Result<bool> {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up, so that the last millisecond is not spent in a busy loop.
        let milliseconds = left.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32;
        // SAFETY: one pollfd.
        let result = unsafe { libc::poll(&mut poll, 1, milliseconds) };
        match result {
            0 if milliseconds == 0 || Instant::now() >= deadline => return Ok(false),
            0 => {}
            result if result > 0 => return Ok(true),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// How long a child of ours that was not reaped, and so has its number to itself, has waited for a processor
/// so far (schedstat, Documentation/scheduler/sched-stats.rst). Where that cannot be read it counts as not at
/// all.
pub(super) fn waited_for_processor(pid: i32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).unwrap_or_default();
    let waited = text.split_ascii_whitespace().nth(1).and_then(|time| time.parse().ok());
    Duration::from_nanos(waited.unwrap_or(0))
}

/// Sends a signal.
pub(super) fn signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    Ok(sys::process::pidfd_send_signal(pidfd, signal)?)
}

/// Waits for the end and takes the status.
pub(super) fn reap(pidfd: BorrowedFd<'_>) -> io::Result<ExitStatus> {
    wait(pidfd, 0).and_then(|status| status.ok_or_else(|| io::ErrorKind::WouldBlock.into()))
}

/// Waits for the end and leaves the status for [`reap`].
pub(super) fn peek(pidfd: BorrowedFd<'_>) -> io::Result<ExitStatus> {
    wait(pidfd, libc::WNOWAIT).and_then(|status| status.ok_or_else(|| io::ErrorKind::WouldBlock.into()))
}

/// Takes the status if the process has ended.
pub(super) fn try_reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<ExitStatus>> {
    wait(pidfd, libc::WNOHANG)
}

fn wait(pidfd: BorrowedFd<'_>, options: i32) -> io::Result<Option<ExitStatus>> {
    let waited = sys::process::wait_pidfd(pidfd, options)?;
    Ok(waited.map(|waited| ExitStatus::from_raw(waited.status)))
}
