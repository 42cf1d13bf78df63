//! The end of a run: what init says of it, and what becomes the outcome.

use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::errno::Errno;

use super::child::{Child, cannot_wait};
use super::error::Error;
use super::outcome::{Ended, Outcome, Protections, RawOutcome};
use super::reading::{self, Reading};
use super::relay::Finishing;
use super::spawn::{MOST_MESSAGES, log};
use super::supervisor::{self, Supervisor};
use super::timing::Timing;
use super::watch::{self, Seen, is_ready};
use crate::cgroup::{Account, CgroupError};
use crate::protocol::{End, Message, Used};
use crate::sys;

/// A sandbox that has ended, and what is still to be said of it.
#[derive(Debug)]
pub(super) struct Over {
    /// init's own wait status, if it could be had.
    status: Option<i32>,
    failure: Option<Error>,
    wall: Duration,
    protections: Protections,
    timing: Timing,
    account: Option<Result<Account, CgroupError>>,
    left: Option<CgroupError>,
    pub(super) relay: Option<Finishing>,
}

/// What init says of the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Last {
    end: End,
    used: Option<Used>,
    left: u32,
}

impl Child {
    /// Waits until the relay has passed on what the task wrote: not beyond the run's deadline, and not for a
    /// stream that cannot be read meanwhile, as it is here. What is left then is passed on when it is read.
    pub(super) fn pass_on(
        &self,
        relay: &Finishing,
        supervisor: &mut dyn Supervisor,
        pipes: &mut [Reading],
    ) -> Result<(), Error> {
        let started = self.started().map_err(cannot_wait)?;
        let mut deadline = started.deadline;
        if self.stdout.is_some() || self.stderr.is_some() {
            let soon = watch::now().map_err(cannot_wait)? + watch::GRACE;
            deadline = Some(deadline.map_or(soon, |deadline| deadline.min(soon)));
        }
        loop {
            let mut fds = vec![relay.done()];
            fds.extend(reading::open(pipes));
            // Whoever asks twice for the end does not wait for a reader who does not read.
            let seen = watch::wait(&fds, deadline, supervisor).map_err(supervisor::failed)?;
            drop(fds);
            let read = pipes.iter_mut().try_for_each(Reading::read_some);
            read.map_err(|source| Error::Child { action: "read the output of", source })?;
            if seen != Seen::Ready || is_ready(relay.done()).map_err(cannot_wait)? {
                return Ok(());
            }
        }
    }

    /// Takes over what is left of a sandbox that has ended.
    pub(super) fn reap(&mut self) -> Result<Over, Error> {
        let started = self.started().map_err(cannot_wait)?;
        let waited = match sys::process::wait_pidfd(started.pidfd.as_fd(), 0) {
            // It has ended, and its status went elsewhere: `SIGCHLD` is ignored, or another thread waits for
            // any child. How the task ended is told by init.
            Err(Errno::ECHILD) => None,
            waited => waited.map_err(|errno| cannot_wait(errno.into()))?,
        };
        // Before anything is written there: it may be stopped.
        drop(self.started.as_mut().map(|started| std::mem::take(&mut started.lent)));
        let failure = self.listen().err();
        if self.last.is_none() {
            self.stopwatch.mark("task");
        }
        let started = self.started().map_err(cannot_wait)?;
        let wall = started.began.elapsed();
        let protections = Protections::new(&self.plan, &started.readback);
        let marks = started.readback.marks.clone();
        self.stopwatch.mark("end of the sandbox");
        let timing = self.stopwatch.timing(&marks);
        let (account, left) = match self.started.as_mut().and_then(|started| started.group.take()) {
            Some(group) => (Some(group.account()), group.remove().err()),
            None => (None, None),
        };
        drop(self.started.as_mut().and_then(|started| started.hooks.take()));
        let by_itself = matches!(self.last.map(|last| last.end), None | Some(End::Status(_)));
        let cut = failure.is_some() || self.killed || self.overdue || !by_itself;
        let relay = self.relay.take().map(|relay| relay.over(cut));
        let status = waited.map(|waited| waited.status);
        Ok(Over { status, failure, wall, protections, timing, account, left, relay })
    }

    /// The outcome, once all is over.
    pub(super) fn conclude(&mut self, over: Over) -> Result<Outcome, Error> {
        let Over { status: waited, failure, wall, protections, timing, account, left, relay } = over;
        let relayed = relay.map(Finishing::finish).transpose();
        let relayed =
            relayed.map_err(|errno| Error::Child { action: "relay the output of", source: errno.into() })?;
        let flooded = relayed.is_some_and(|relayed| relayed.flooded);
        let ended_by_us = self.killed || self.overdue;
        let end = self.last.map(|last| last.end);
        if let Some(error) = failure
            && !(flooded || ended_by_us)
        {
            return Err(error);
        }
        // init is killed by the caller's side, or by the host; by itself it always says how the task ended.
        let status = waited.unwrap_or(0);
        if end.is_none() && status & 0x7f == 0 && !(flooded || ended_by_us) {
            return Err(Error::Silent { status });
        }
        // One that was ended from here and whose status went elsewhere.
        let status = if waited.is_none() && end.is_none() { libc::SIGKILL } else { status };
        if let Some(source) = left {
            return Err(source.into());
        }
        // What the group had in it went with it.
        if self.plan.walls.namespaces.is_lite() && account.is_none() {
            match self.last {
                Some(Last { left: 0, .. }) => {}
                Some(Last { left, .. }) => return Err(Error::Left { left: Some(left) }),
                None if flooded || ended_by_us => return Err(Error::Left { left: None }),
                None => {}
            }
        }
        let account = account.transpose()?;
        let how = RawOutcome { end, flooded, killed: self.killed, overdue: self.overdue, init: status };
        let ended = Ended::new(&self.plan, &how, account.as_ref());
        let used = self.last.and_then(|last| last.used);
        let outcome = Outcome {
            ended,
            status: ended.status(end, status),
            wall,
            user: used.map(|used| Duration::from_micros(used.user)),
            system: used.map(|used| Duration::from_micros(used.system)),
            // The kernel counts in KiB.
            max_rss: used.map(|used| used.max_rss.saturating_mul(1024)),
            context_switches: used.map(|used| used.switches),
            account,
            output_discarded: relayed
                .filter(|_| self.plan.limits.output_truncated)
                .map(|relayed| relayed.discarded),
            profile: self.plan.profile.clone(),
            profile_hash: self.profile_hash.clone(),
            plan_hash: self.plan_hash.clone(),
            protections,
            timing,
        };
        self.outcome = Some(outcome.clone());
        Ok(outcome)
    }

    /// Reads what init has said, until how the task ended.
    fn listen(&mut self) -> Result<(), Error> {
        let program = super::spawn::task_name(&self.plan);
        for _ in 0..MOST_MESSAGES {
            let started = self.started().map_err(|source| Error::Child { action: "wait for", source })?;
            match started.channel.receive::<Message>() {
                Ok(Some(Message::Ended { end, at, used, left })) => {
                    self.last = Some(Last { end, used, left });
                    self.stopwatch.mark_at("task", at);
                    return Ok(());
                }
                Ok(Some(Message::Log { level, text })) => log(level, &text),
                Ok(Some(Message::Failed(failure))) => return Err(Error::from_init(failure, &program)),
                Ok(Some(Message::Disturbed(source))) => {
                    return Err(Error::Disturbed { source: Box::new(source) });
                }
                Ok(None) => return Ok(()),
                // Whatever it was, it was not our init.
                Ok(Some(_)) | Err(_) => return Err(Error::Protocol),
            }
        }
        Err(Error::Protocol)
    }
}
