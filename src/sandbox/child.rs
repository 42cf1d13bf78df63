//! A running sandbox, with the habits of `std::process::Child`.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{ChildStderr, ChildStdin, ChildStdout, ExitStatus};

use super::end::{Last, Over};
use super::error::Error;
use super::kill_handle::KillRef;
use super::outcome::Outcome;
use super::reading::{self, Reading};
use super::relay::Relay;
use super::spawn::Started;
use super::supervisor::{self, Supervisor};
use super::timing::Stopwatch;
use super::watch::{self, Seen, is_ready};
use crate::cgroup::{Group, Meter};
use crate::plan::Plan;
use crate::protocol::PASSED_ON;
use crate::reexec::{Dropped, keep_dropped};
use crate::sys;

/// A running sandbox. Dropping it neither waits for it nor ends it, as with `std`; the sandbox itself ends
/// with the process that started it. What is held of one that was dropped and has ended is given up at the
/// next start of another.
#[derive(Debug)]
pub struct Child {
    /// The writing end of its standard input, if that is piped.
    pub stdin: Option<ChildStdin>,
    /// The reading end of its standard output, if that is piped.
    pub stdout: Option<ChildStdout>,
    /// The reading end of its standard error, if that is piped.
    pub stderr: Option<ChildStderr>,
    /// The caller's end of its terminal, if it has one of its own: input is written to it, output read from
    /// it, and the window's size set on it (`TIOCSWINSZ`). Reading gives `EIO` once the task and all that it
    /// started are gone.
    pub terminal: Option<OwnedFd>,
    /// The listener of the filter ([`Command::seccomp_listener`](super::Command::seccomp_listener)): the
    /// system calls that have the action `notify` wait for its answers (seccomp_unotify(2)). Once it is
    /// closed they fail with `ENOSYS`.
    pub seccomp_listener: Option<OwnedFd>,
    pub(super) plan: Plan,
    pub(super) profile_hash: String,
    pub(super) plan_hash: String,
    /// `None` only while it is being dropped.
    pub(super) started: Option<Started>,
    pub(super) relay: Option<Relay>,
    pub(super) killed: bool,
    /// Whether it was ended at the deadline from here.
    pub(super) overdue: bool,
    pub(super) stopwatch: Stopwatch,
    /// What init said last.
    pub(super) last: Option<Last>,
    /// Once the sandbox has ended, until all that it wrote was passed on.
    pub(super) over: Option<Over>,
    pub(super) outcome: Option<Outcome>,
}

/// What `wait_with_output` and `output` give.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Output {
    /// The task's status.
    pub status: ExitStatus,
    /// What it wrote to a piped standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to a piped standard error.
    pub stderr: Vec<u8>,
    /// How the run ended, in full.
    pub outcome: Outcome,
}

impl Child {
    pub(super) fn started(&self) -> io::Result<&Started> {
        self.started.as_ref().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// The process id of the sandbox's init, on the host. For messages: signals go through [`Child::signal`].
    #[must_use]
    pub fn id(&self) -> u32 {
        self.started.as_ref().map_or(0, |started| started.pid.cast_unsigned())
    }

    /// A pidfd of the sandbox's init: readable once the sandbox is gone.
    ///
    /// # Errors
    /// After the child was given up.
    pub fn pidfd(&self) -> io::Result<BorrowedFd<'_>> {
        self.started().map(|started| started.pidfd.as_fd())
    }

    /// What reads the accounts of its control group while it runs; `None` if it has no group, or has been
    /// waited for.
    ///
    /// # Errors
    /// A descriptor cannot be duplicated.
    pub fn meter(&self) -> Result<Option<Meter>, Error> {
        let group = self.started.as_ref().and_then(|started| started.group.as_ref());
        group.map(Group::meter).transpose().map_err(Error::from)
    }

    /// Sends a signal to the task, through init: INT, QUIT, HUP, TSTP, CONT and WINCH to its whole process
    /// group, as a terminal does; TERM, USR1 and USR2 to its first process. KILL ends the whole sandbox. (A
    /// time limit goes on while the task is stopped.)
    ///
    /// # Errors
    /// `InvalidInput` for any other signal or once the sandbox was waited for, as
    /// `std::process::Child::kill`.
    pub fn signal(&mut self, signal: i32) -> io::Result<()> {
        if signal == libc::SIGKILL {
            return self.kill();
        }
        let passed_on = PASSED_ON.iter().any(|passed| *passed as i32 == signal);
        if self.outcome.is_some() || !passed_on {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(sys::process::pidfd_send_signal(self.pidfd()?, signal)?)
    }

    /// Ends the sandbox with everything in it. Nothing happens if it has ended. init gets a quarter of a
    /// second to count what was used (without namespaces three seconds to end everything); mostly it takes
    /// some milliseconds.
    ///
    /// # Errors
    /// From `pidfd_send_signal(2)`.
    pub fn kill(&mut self) -> io::Result<()> {
        if self.outcome.is_none() {
            self.kill_ref()?.end()?;
            self.killed = true;
        }
        Ok(())
    }

    fn kill_ref(&self) -> io::Result<KillRef<'_>> {
        let started = self.started()?;
        Ok(KillRef {
            pidfd: started.pidfd.as_fd(),
            channel: started.channel.as_fd(),
            pid_namespace: !self.plan.walls.namespaces.is_lite(),
        })
    }

    /// Waits until the sandbox has ended or one of `others` is ready, and ends it
    /// where its deadline has passed. What init does about the deadline itself comes earlier. Where there is
    /// nothing but the sandbox to wait for it returns at once: reaping waits by itself.
    pub(super) fn watch(
        &mut self,
        others: &[BorrowedFd<'_>],
        supervisor: &mut dyn Supervisor,
    ) -> io::Result<()> {
        loop {
            let started = self.started()?;
            let deadline = started.deadline.filter(|_| !self.overdue);
            if deadline.is_none() && others.is_empty() && supervisor.watched().is_none() {
                return Ok(());
            }
            let fds: Vec<BorrowedFd<'_>> =
                std::iter::once(started.pidfd.as_fd()).chain(others.iter().copied()).collect();
            match watch::wait(&fds, deadline, supervisor)? {
                Seen::Ready => return Ok(()),
                Seen::Overdue => {
                    self.overdue = true;
                    self.kill_ref()?.end_overdue()?;
                }
                Seen::Force => self.kill()?,
            }
        }
    }

    /// The status, if the run has ended and all that it wrote was passed on. Does not block.
    ///
    /// # Errors
    /// As [`Child::wait_outcome`].
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        if let Some(outcome) = &self.outcome {
            return Ok(Some(outcome.status));
        }
        if self.over.is_none() {
            if !is_ready(self.started().map_err(cannot_wait)?.pidfd.as_fd()).map_err(cannot_wait)? {
                return Ok(None);
            }
            self.over = Some(self.reap()?);
        }
        if let Some(relay) = self.over.as_ref().and_then(|over| over.relay.as_ref())
            && !is_ready(relay.done()).map_err(cannot_wait)?
        {
            return Ok(None);
        }
        self.wait().map(Some)
    }

    /// Waits for the end, and gives the task's status. Closes a piped standard input first, as `std` does.
    ///
    /// # Errors
    /// As [`Child::wait_outcome`].
    pub fn wait(&mut self) -> Result<ExitStatus, Error> {
        self.wait_outcome().map(|outcome| outcome.status)
    }

    /// Waits for the end. Closes a piped standard input first, as `std` does. With an output limit, what was
    /// written to a piped stream that is not read meanwhile is passed on later, when it is read: the counts
    /// of what was thrown away are those of this moment.
    ///
    /// # Errors
    /// If init failed after the start, or ended without a word.
    pub fn wait_outcome(&mut self) -> Result<Outcome, Error> {
        self.wait_reading(&mut (), &mut [])
    }

    /// The same, for a caller that has something to see to meanwhile. Reads pipes that the task writes to,
    /// until they end or the run does: a process outside may hold their other ends.
    pub(crate) fn wait_reading(
        &mut self,
        supervisor: &mut dyn Supervisor,
        pipes: &mut [Reading],
    ) -> Result<Outcome, Error> {
        drop(self.stdin.take());
        if let Some(outcome) = &self.outcome {
            return Ok(outcome.clone());
        }
        let over = match self.over.take() {
            Some(over) => over,
            None => {
                self.read_until_the_end(supervisor, pipes)?;
                self.reap()?
            }
        };
        if let Some(relay) = &over.relay {
            self.pass_on(relay, supervisor, pipes)?;
        }
        let read = pipes.iter_mut().try_for_each(Reading::read_the_rest);
        read.map_err(|source| Error::Child { action: "read the output of", source })?;
        self.conclude(over)
    }

    /// Reads `pipes` while the run goes on. Each turn looks at the run first. One that has too much ends the
    /// run.
    fn read_until_the_end(
        &mut self,
        supervisor: &mut dyn Supervisor,
        pipes: &mut [Reading],
    ) -> Result<(), Error> {
        loop {
            // What init says it says before it ends: to be woken for that, and again for its end, would only
            // take time.
            self.watch(&reading::open(pipes), supervisor).map_err(supervisor::failed)?;
            if pipes.is_empty()
                || is_ready(self.started().map_err(cannot_wait)?.pidfd.as_fd()).map_err(cannot_wait)?
            {
                return Ok(());
            }
            let read = pipes.iter_mut().try_for_each(Reading::read_some);
            if read.is_err() || pipes.iter().any(Reading::has_too_much) {
                self.kill().map_err(|source| Error::Child { action: "end", source })?;
            }
            read.map_err(|source| Error::Child { action: "read the output of", source })?;
        }
    }

    /// Reads the piped streams to their ends and waits.
    ///
    /// # Errors
    /// As [`Child::wait_outcome`], and if a pipe cannot be read.
    pub fn wait_with_output(mut self) -> Result<Output, Error> {
        let streams = [self.stdout.take().map(OwnedFd::from), self.stderr.take().map(OwnedFd::from)];
        let [stdout, stderr] = streams.map(|stream| Reading::new(stream, u64::MAX));
        let failed = |source| Error::Child { action: "read the output of", source };
        let mut pipes = [stdout.map_err(failed)?, stderr.map_err(failed)?];
        let outcome = self.wait_reading(&mut (), &mut pipes)?;
        let [stdout, stderr] = pipes.map(Reading::into_bytes);
        Ok(Output { status: outcome.status, stdout, stderr, outcome })
    }
}

pub(super) fn cannot_wait(source: io::Error) -> Error {
    Error::Child { action: "wait for", source }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A sandbox ends when its channel closes: one that was not waited for keeps it until it has ended.
        if self.outcome.is_none()
            && let Some(started) = self.started.take()
        {
            // Its output is passed on for as long.
            keep_dropped(Running { started, _relay: self.relay.take() });
        }
    }
}

/// What is held of a sandbox that was dropped.
#[derive(Debug)]
struct Running {
    started: Started,
    _relay: Option<Relay>,
}

impl Dropped for Running {
    fn pidfd(&self) -> BorrowedFd<'_> {
        self.started.pidfd.as_fd()
    }
}
