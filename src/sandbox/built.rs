//! A sandbox on its way: its walls are being built or stand, and its task has not started.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::Error;
use super::exec::Orders;
use super::given::Given;
use super::handover::{self, HandedOver};
use super::hooks::Hooks;
use super::host_id::HostId;
use super::kill_handle::KillRef;
use super::lent::Lent;
use super::spawn::{MOST_MESSAGES, Started, failure, log, sent, task_name};
use super::supervisor::{self, Supervisor};
use super::timing::Stopwatch;
use super::watch::{self, GRACE};
use crate::cgroup::Group;
use crate::plan::Plan;
use crate::protocol::{Channel, ChannelError, Message, Word};
use crate::{reexec, sys};

/// A sandbox whose walls are being built or stand, and in which nothing has run. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) plan: Plan,
    pub(super) pid: i32,
    /// Before the group: on an error the sandbox ends before its group is removed.
    pub(super) half: Half,
    pub(super) channel: Channel,
    /// How sending the plan and what goes with it went.
    pub(super) told: Result<(), ChannelError>,
    pub(super) began: Instant,
    pub(super) orders: Option<Orders>,
    pub(super) group: Option<Group>,
    pub(super) given: Given,
    pub(super) host_id: Option<HostId>,
    /// The last of it that goes.
    pub(super) hooks: Hooks,
}

impl Built {
    /// Waits until the walls stand, where [`Handed::hold`](super::spawn::Handed) says that init stops there.
    pub(super) fn wait(&self, supervisor: &mut dyn Supervisor) -> Result<(), Error> {
        self.expect(&Message::Created, supervisor)
    }

    /// Calls what is to be done once the root is built, and lets init go on.
    pub(super) fn call_hooks(&mut self, supervisor: &mut dyn Supervisor) -> Result<(), Error> {
        if !self.hooks.any_before_pivot() {
            return Ok(());
        }
        self.expect(&Message::RootBuilt, supervisor)?;
        self.hooks.root_built()?;
        self.began = Instant::now();
        self.say(Word::GoOn)
    }

    fn expect(&self, message: &Message, supervisor: &mut dyn Supervisor) -> Result<(), Error> {
        for _ in 0..MOST_MESSAGES {
            watch::wait(&[self.channel.as_fd()], None, supervisor).map_err(supervisor::failed)?;
            match self.channel.receive::<Message>() {
                Ok(Some(received)) if received == *message => return Ok(()),
                Ok(Some(Message::Log { level, text })) => log(level, &text),
                received => return Err(self.instead(received)),
            }
        }
        Err(Error::Protocol)
    }

    /// What it means that this came in place of what was awaited.
    fn instead(&self, received: Result<Option<Message>, ChannelError>) -> Error {
        match received {
            Ok(Some(Message::Failed(failure))) => Error::from_init(failure, &task_name(&self.plan)),
            Ok(None) => Error::Silent { status: self.half.status() },
            Ok(Some(_)) | Err(_) => Error::Protocol,
        }
    }

    /// After [`wait`](Self::wait): the task may start, and the run begins.
    pub(super) fn go_on(&mut self) -> Result<(), Error> {
        self.began = Instant::now();
        self.say(Word::Start)
    }

    fn say(&self, word: Word) -> Result<(), Error> {
        match sent(self.channel.send(&word))? {
            Ok(()) => Ok(()),
            Err(_) => Err(failure(&self.channel, &self.plan).unwrap_or(Error::Protocol)),
        }
    }

    /// Waits until the task has started.
    pub(super) fn start(
        self,
        supervisor: &mut dyn Supervisor,
        stopwatch: &mut Stopwatch,
    ) -> Result<(Started, Plan), Error> {
        // Dropped in the reverse order.
        let Self { hooks, host_id, given, group, orders, began, told, channel, mut half, pid, plan } = self;
        let handed = handover::wait(&channel, &plan, deadline(&plan)?, supervisor, || Error::Silent {
            status: half.status(),
        });
        let handed = handed.and_then(|handed| told.map(|()| handed).map_err(|_| Error::Protocol));
        let HandedOver { readback, terminal, listener } =
            match handed.and_then(|handed| hooks.started().map(|()| handed)) {
                Ok(handed) => handed,
                Err(error) => {
                    let account = group.as_ref().and_then(|group| group.account().ok());
                    // It ends before its group is removed.
                    drop(half);
                    return Err(match account.and_then(|account| account.memory_too_low(error.errno())) {
                        Some(limit) => Error::MemoryTooLow { limit },
                        None => error,
                    });
                }
            };
        // init's own began before.
        let deadline = deadline(&plan)?;
        let pidfd = half.keep()?;
        stopwatch.mark("hand-over");
        let started = Started {
            pid,
            pidfd,
            channel,
            readback,
            began,
            deadline,
            terminal,
            listener,
            orders: orders.map(Arc::new),
            lent: Lent::default(),
            group,
            _given: given,
            _host_id: host_id,
            hooks: Some(hooks),
        };
        Ok((started, plan))
    }

    /// Its init's.
    pub(super) fn pidfd(&self) -> Result<BorrowedFd<'_>, Error> {
        self.half.pidfd()
    }
}

/// A half-made sandbox. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Half {
    /// `None` once it is whole.
    pub(super) launched: Option<reexec::Launched>,
    pub(super) pid_namespace: bool,
}

impl Half {
    pub(super) fn launched(&self) -> Result<&reexec::Launched, Error> {
        self.launched.as_ref().ok_or(Error::Protocol)
    }

    pub(super) fn pidfd(&self) -> Result<BorrowedFd<'_>, Error> {
        self.launched().map(|launched| launched.pidfd.as_fd())
    }

    /// It is whole, and ends as its owner wants.
    fn keep(&mut self) -> Result<OwnedFd, Error> {
        self.launched.take().map(|launched| launched.pidfd).ok_or(Error::Protocol)
    }

    /// Of an init that has ended.
    fn status(&self) -> i32 {
        let waited = self.pidfd().ok().and_then(|pidfd| sys::process::wait_pidfd(pidfd, 0).ok().flatten());
        waited.map_or(0, |waited| waited.status)
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        if let Some(launched) = &self.launched {
            let (pidfd, channel) = (launched.pidfd.as_fd(), launched.channel.as_fd());
            // It may have ended, or been reaped, already: then there is nothing to do.
            KillRef { pidfd, channel, pid_namespace: self.pid_namespace }.end_overdue().ok();
            sys::process::wait_pidfd(pidfd, 0).ok();
        }
    }
}

/// When the caller ends a run that begins now, if init has not, `CLOCK_BOOTTIME`.
fn deadline(plan: &Plan) -> Result<Option<Duration>, Error> {
    let limit = plan.limits.timeout_ms.map(|ms| Duration::from_millis(ms).saturating_add(GRACE));
    let deadline = limit.map(|limit| Ok(watch::now()?.saturating_add(limit))).transpose();
    deadline.map_err(|source| Error::Child { action: "read the time for", source })
}
