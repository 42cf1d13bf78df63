//! A sandbox between its walls and its task.

use std::os::fd::BorrowedFd;

use super::built::Built;
use super::child::Child;
use super::error::Error;
use super::lent::Lent;
use super::relay::Stream as Relayed;
use super::supervisor::Supervisor;
use super::timing::Stopwatch;

/// A sandbox whose walls stand and were read back, and in which nothing has run yet
/// ([`Command::create`](super::Command::create)). It waits as long as the caller likes; dropped, it ends.
#[derive(Debug)]
pub struct Created {
    pub(super) built: Built,
    pub(super) ours: [Option<std::os::fd::OwnedFd>; 3],
    pub(super) lent: Lent,
    pub(super) relayed: Vec<Relayed>,
    pub(super) profile_hash: String,
    pub(super) plan_hash: String,
    pub(super) stopwatch: Stopwatch,
}

impl Created {
    /// The process id of the sandbox's init, on the host.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.built.pid.cast_unsigned()
    }

    /// A pidfd of the sandbox's init: its namespaces can be reached by it (`setns(2)`), and it is readable
    /// once the sandbox is gone.
    ///
    /// # Errors
    /// None of a sandbox that is there.
    pub fn pidfd(&self) -> Result<BorrowedFd<'_>, Error> {
        self.built.pidfd()
    }

    /// Starts the task. Its time limit begins here.
    ///
    /// # Errors
    /// Anything that stands in the way. Nothing untrusted has run then, and nothing is left behind.
    pub fn start(mut self) -> Result<Child, Error> {
        self.built.go_on()?;
        self.run(&mut ())
    }

    /// Waits until the task runs.
    pub(super) fn run(self, supervisor: &mut dyn Supervisor) -> Result<Child, Error> {
        let Self { built, ours, lent, relayed, profile_hash, plan_hash, mut stopwatch } = self;
        let (mut started, plan) = built.start(supervisor, &mut stopwatch)?;
        started.lent = lent;
        let (terminal, seccomp_listener) = (started.terminal.take(), started.listener.take());
        let [stdin, stdout, stderr] = ours;
        let mut child = Child {
            stdin: stdin.map(Into::into),
            stdout: stdout.map(Into::into),
            stderr: stderr.map(Into::into),
            terminal,
            seccomp_listener,
            profile_hash,
            plan_hash,
            plan,
            started: Some(started),
            relay: None,
            killed: false,
            overdue: false,
            stopwatch,
            last: None,
            over: None,
            outcome: None,
        };
        child.start_relay(relayed)?;
        Ok(child)
    }
}
