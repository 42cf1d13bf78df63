//! What a task's process still needs of init's descriptors, by their new numbers.

use std::mem::ManuallyDrop;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use crate::protocol::{Channel, Fault, Message};

/// Where the task's process has moved init's descriptors: numbers only. A program's process shares init's
/// memory but not its descriptor table, so that nothing of init's may be replaced or dropped there.
#[derive(Debug, Default)]
pub(super) struct TaskFds {
    pub(super) channel: Option<RawFd>,
    pub(super) call: Option<(RawFd, RawFd)>,
}

impl TaskFds {
    /// Sends from the task's process.
    pub(super) fn send(&self, message: &Message) -> Result<(), Fault> {
        let number = self.channel()?;
        // SAFETY: `arrange` made the descriptor in this process; it is closed by number, later, by the
        // execution.
        let channel = ManuallyDrop::new(Channel::new(unsafe { OwnedFd::from_raw_fd(number) }));
        channel.send(message).map_err(|_| lost())
    }

    /// The number of the channel to the caller.
    pub(super) fn channel(&self) -> Result<RawFd, Fault> {
        self.channel.ok_or_else(lost)
    }

    /// The highest number that it knows of.
    pub(super) fn highest(&self) -> RawFd {
        let call = self.call.map_or(-1, |(argument, result)| argument.max(result));
        self.channel.unwrap_or(-1).max(call)
    }

    /// A call's argument and result, in a role's process (which has memory of its own).
    pub(super) fn take_call(&mut self) -> Option<(OwnedFd, OwnedFd)> {
        let (argument, result) = self.call.take()?;
        // SAFETY: `arrange` made both in this process, and they are taken once.
        Some(unsafe { (OwnedFd::from_raw_fd(argument), OwnedFd::from_raw_fd(result)) })
    }
}

fn lost() -> Fault {
    Fault::Protocol { what: "the task's process cannot reach the caller".to_owned() }
}
