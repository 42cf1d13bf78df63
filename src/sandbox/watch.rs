//! What the caller waits for: always the sandbox's end and the deadline, and nothing that only the other side
//! could end.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::time::{ClockId, clock_gettime};

use super::supervisor::{Asked, Supervisor};

/// How long after the deadline init may take to end the run before the caller does.
pub(super) const GRACE: Duration = Duration::from_millis(250);

/// What came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// One of the descriptors has something to be read, or its end.
    Ready,
    /// The deadline has passed.
    Overdue,
    /// Whoever is beside wants the run to be ended by force.
    Force,
}

/// The time since the machine started, suspension included.
pub(crate) fn now() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from)?)
}

/// Waits until one of `fds` is ready, and sees to what is beside meanwhile.
pub(crate) fn wait(
    fds: &[BorrowedFd<'_>],
    deadline: Option<Duration>,
    supervisor: &mut dyn Supervisor,
) -> io::Result<Seen> {
    loop {
        let patience = match deadline {
            None => PollTimeout::NONE,
            Some(deadline) => match deadline.checked_sub(now()?) {
                None | Some(Duration::ZERO) => return Ok(Seen::Overdue),
                // One more, so that the time has passed and is not only about to.
                Some(left) => {
                    PollTimeout::try_from(left.as_millis().saturating_add(1)).unwrap_or(PollTimeout::MAX)
                }
            },
        };
        let own = supervisor.watched();
        let mut watched: Vec<PollFd<'_>> =
            fds.iter().copied().chain(own).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut watched, patience) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let ready = |fd: &PollFd<'_>| fd.revents().is_some_and(|events| !events.is_empty());
        let has_own = own.is_some() && watched.last().is_some_and(ready);
        let any = watched.iter().take(fds.len()).any(ready);
        drop(watched);
        // Once a turn, and the descriptors after it: signals that come all the time keep nothing waiting.
        if has_own && supervisor.handle()? == Asked::Force {
            return Ok(Seen::Force);
        }
        if any {
            return Ok(Seen::Ready);
        }
    }
}

/// Whether there is something to be read, or an end.
pub(super) fn is_ready(fd: BorrowedFd<'_>) -> io::Result<bool> {
    loop {
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::ZERO) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
