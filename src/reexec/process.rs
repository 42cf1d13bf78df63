//! The handle of a running role.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{ChildStderr, ChildStdin, ChildStdout, ExitStatus, Output};
use std::sync::Arc;

use super::dropped::{self, Dropped};
use super::launch::Launched;
use super::wait;

/// A running role, like [`std::process::Child`].
///
/// Dropping it does not end the child, as in std. (The socket that ties the child's life to this process then
/// stays open until the child has ended; that is looked at, and its status taken, when the next one is
/// started.)
#[derive(Debug)]
pub struct Child {
    /// The child's standard input, if it was [`piped`](super::Stdio::piped).
    pub stdin: Option<ChildStdin>,
    /// The child's standard output, if it was piped.
    pub stdout: Option<ChildStdout>,
    /// The child's standard error, if it was piped.
    pub stderr: Option<ChildStderr>,
    pid: u32,
    pidfd: Arc<OwnedFd>,
    /// Closing it ends a child that is to end with its parent.
    channel: Option<OwnedFd>,
    status: Option<ExitStatus>,
}

impl Child {
    pub(super) fn new(
        launched: Launched,
        stdin: Option<ChildStdin>,
        stdout: Option<ChildStdout>,
        stderr: Option<ChildStderr>,
    ) -> Child {
        let Launched { pid, pidfd, channel, .. } = launched;
        Child {
            stdin,
            stdout,
            stderr,
            pid: pid as u32,
            pidfd: Arc::new(pidfd),
            channel: Some(channel),
            status: None,
        }
    }

    /// The process id; for messages. Signals go through [`kill`](Child::kill), which cannot hit another
    /// process that was given the same number.
    pub fn id(&self) -> u32 {
        self.pid
    }

    /// Sends `SIGKILL`. Nothing happens if the child was waited for.
    ///
    /// # Errors
    /// From `pidfd_send_signal(2)`.
    pub fn kill(&mut self) -> io::Result<()> {
        if self.status.is_some() {
            return Ok(());
        }
        match wait::signal(self.pidfd.as_fd(), libc::SIGKILL) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            result => result,
        }
    }

    /// Closes the child's standard input, if it is piped, and waits for its end.
    ///
    /// # Errors
    /// From `waitid(2)`; `ECHILD` if this process ignores `SIGCHLD` or waits for any child elsewhere.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        if let Some(status) = self.status {
            return Ok(status);
        }
        let status = wait::reap(self.pidfd.as_fd())?;
        self.ended(status);
        Ok(status)
    }

    /// The status, if the child has ended.
    ///
    /// # Errors
    /// As for [`wait`](Child::wait).
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.status.is_none()
            && let Some(status) = wait::try_reap(self.pidfd.as_fd())?
        {
            self.ended(status);
        }
        Ok(self.status)
    }

    /// Closes the child's standard input, reads the piped streams to their ends, both at once, and waits.
    ///
    /// # Errors
    /// From reading, or as for [`wait`](Child::wait).
    pub fn wait_with_output(mut self) -> io::Result<Output> {
        drop(self.stdin.take());
        let (stdout, stderr) = read_to_end(self.stdout.take(), self.stderr.take())?;
        let status = self.wait()?;
        Ok(Output { status, stdout, stderr })
    }

    fn ended(&mut self, status: ExitStatus) {
        self.status = Some(status);
        self.channel = None;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(channel) = self.channel.take() {
            dropped::keep(Running { pidfd: Arc::clone(&self.pidfd), _channel: channel });
        }
    }
}

/// What is held of a child whose handle was dropped.
#[derive(Debug)]
struct Running {
    pidfd: Arc<OwnedFd>,
    _channel: OwnedFd,
}

impl Dropped for Running {
    fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// The child's pidfd: readable (poll(2)) when it has ended.
impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// Reads what is piped of a child's output to its end.
fn read_to_end(stdout: Option<ChildStdout>, stderr: Option<ChildStderr>) -> io::Result<(Vec<u8>, Vec<u8>)> {
    let (mut out_bytes, mut err_bytes) = (Vec::new(), Vec::new());
    match (stdout, stderr) {
        (Some(mut out), None) => drop(out.read_to_end(&mut out_bytes)?),
        (None, Some(mut err)) => drop(err.read_to_end(&mut err_bytes)?),
        (Some(out), Some(err)) => read_both(out, &mut out_bytes, err, &mut err_bytes)?,
        (None, None) => {}
    }
    Ok((out_bytes, err_bytes))
}

/// Reads two pipes to their ends, so that the writer never waits for the one that is not being read.
fn read_both(
    mut first: impl Read + AsRawFd,
    first_into: &mut Vec<u8>,
    mut second: impl Read + AsRawFd,
    second_into: &mut Vec<u8>,
) -> io::Result<()> {
    let poll = |fd: i32| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    let mut polled = [poll(first.as_raw_fd()), poll(second.as_raw_fd())];
    let mut buffer = vec![0u8; 64 * 1024];
    // A negative descriptor is left out by poll: that one has come to its end.
    while polled.iter().any(|one| one.fd >= 0) {
        // SAFETY: two pollfds.
        if unsafe { libc::poll(polled.as_mut_ptr(), 2, -1) } < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        let [one, two] = &mut polled;
        take(one, &mut first, first_into, &mut buffer)?;
        take(two, &mut second, second_into, &mut buffer)?;
    }
    Ok(())
}

/// One read, if there is something; it cannot block then.
fn take(
    polled: &mut libc::pollfd,
    source: &mut impl Read,
    into: &mut Vec<u8>,
    buffer: &mut [u8],
) -> io::Result<()> {
    if polled.fd < 0 || polled.revents == 0 {
        return Ok(());
    }
    match source.read(buffer) {
        Ok(0) => polled.fd = -1,
        Ok(length) => into.extend_from_slice(&buffer[..length]),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
