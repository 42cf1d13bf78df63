//! Waiting for, and signalling, a process by its pidfd (pidfd_open(2), waitid(2)): never by its number.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Instant;

/// Waits until the descriptor can be read, was closed at its other end, or the deadline has passed (then: false).
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

/// Sends a signal (pidfd_send_signal(2), Linux 5.1).
pub(super) fn signal(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: no memory is involved: the siginfo is null.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Waits for the end and takes the status.
pub(super) fn reap(pidfd: BorrowedFd<'_>) -> io::Result<ExitStatus> {
    wait(pidfd, libc::WEXITED).and_then(|status| status.ok_or_else(|| io::ErrorKind::WouldBlock.into()))
}

/// Waits for the end and leaves the status for [`reap`].
pub(super) fn peek(pidfd: BorrowedFd<'_>) -> io::Result<ExitStatus> {
    wait(pidfd, libc::WEXITED | libc::WNOWAIT)
        .and_then(|status| status.ok_or_else(|| io::ErrorKind::WouldBlock.into()))
}

/// Takes the status if the process has ended.
pub(super) fn try_reap(pidfd: BorrowedFd<'_>) -> io::Result<Option<ExitStatus>> {
    wait(pidfd, libc::WEXITED | libc::WNOHANG)
}

fn wait(pidfd: BorrowedFd<'_>, options: i32) -> io::Result<Option<ExitStatus>> {
    loop {
        // SAFETY: all zero is a valid siginfo.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: a buffer of the right type.
        let result =
            unsafe { libc::waitid(libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t, &mut info, options) };
        if result == 0 {
            // SAFETY: waitid has filled it in as for SIGCHLD, or left it zero (WNOHANG).
            let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
            return Ok((pid != 0).then(|| exit_status(info.si_code, status)));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Makes an [`ExitStatus`] of what `waitid(2)` says.
fn exit_status(code: i32, status: i32) -> ExitStatus {
    ExitStatus::from_raw(match code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    })
}
