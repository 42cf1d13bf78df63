//! From init's first stage for a task to its start, as the caller hears of it.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::brought::{self, Expected};
use super::error::Error;
use super::listener::Awaited;
use super::spawn::{MOST_MESSAGES, log, task_name};
use super::supervisor::{self, Supervisor};
use super::watch::{self, Seen};
use crate::plan::Plan;
use crate::protocol::{Channel, End, Message, ReadBack};

/// What is there once a task has started.
#[derive(Debug)]
pub(super) struct HandedOver {
    pub(super) readback: ReadBack,
    /// The outer end of its terminal, if it has one of its own.
    pub(super) terminal: Option<OwnedFd>,
    /// The listener of its filter, if that notifies of system calls.
    pub(super) listener: Option<OwnedFd>,
}

/// Waits until the task has started. `gone` says what it means that init is.
pub(super) fn wait(
    channel: &Channel,
    plan: &Plan,
    deadline: Option<Duration>,
    supervisor: &mut dyn Supervisor,
    gone: impl FnOnce() -> Error,
) -> Result<HandedOver, Error> {
    let (mut ready, mut terminal, mut started) = (None, None, false);
    let mut awaited = Awaited::of(plan);
    let not_started = || Error::NotStarted { limit_ms: plan.limits.timeout_ms.unwrap_or_default() };
    // Each message, and the notified execution.
    for _ in 0..2 * MOST_MESSAGES {
        let fds: Vec<_> = std::iter::once(channel.as_fd()).chain(awaited.watched()).collect();
        // A signal that ends belljar does so by itself: nothing is known to run yet.
        match watch::wait(&fds, deadline, supervisor).map_err(supervisor::failed)? {
            Seen::Ready | Seen::Force => {}
            Seen::Overdue => return Err(not_started()),
        }
        if awaited.watched().is_some() && !watch::is_ready(channel.as_fd()).map_err(supervisor::failed)? {
            awaited.answer()?;
            continue;
        }
        let expected =
            Expected { terminal: plan.task.terminal && terminal.is_none(), listener: awaited.wanted };
        match brought::receive(channel, expected) {
            Ok(Some((Message::Terminal, outer))) => terminal = outer,
            Ok(Some((Message::Listener, Some(listener)))) => awaited.take(listener),
            Ok(Some((Message::Ready(readback), _))) if ready.is_none() && !expected.terminal => {
                ready = Some(readback);
            }
            Ok(Some((Message::Started, _))) if !started => started = true,
            Ok(Some((Message::Log { level, text }, _))) => log(level, &text),
            Ok(Some((Message::Failed(failure), _))) => {
                return Err(Error::from_init(failure, &task_name(plan)));
            }
            Ok(Some((Message::Disturbed(source), _))) => {
                return Err(Error::Disturbed { source: Box::new(source) });
            }
            // A role's process that was not at its body yet.
            Ok(Some((Message::Ended { end: End::Timeout, .. }, _))) => return Err(not_started()),
            Ok(None) => return Err(gone()),
            Ok(Some(_)) | Err(_) => return Err(Error::Protocol),
        }
        if started
            && !awaited.wanted
            && let Some(readback) = ready.take()
        {
            return Ok(HandedOver { readback, terminal, listener: awaited.listener });
        }
    }
    Err(Error::Protocol)
}
