//! Tasks beyond the first: each is asked for on the channel of orders and has a channel of its own, on which
//! its caller hears of it.
//!
//! They run within the same walls, and are started by the same stages, filter and read-back. The run ends
//! with the first task: what is left of the others ends with it.

use std::os::fd::OwnedFd;

use super::context::Context;
use super::descriptors;
use super::task::{self, Running};
use crate::plan::{MAX_ENCODED, Task, Workload};
use crate::protocol::{Channel, End, Failure, Fault, Message, Order, PASSED_ON, Passed, Stage};
use crate::sys;

/// How many may be there at a time.
pub(super) const MOST: usize = 64;

/// A task beyond the first.
pub(super) struct Further {
    running: Running,
    channel: Channel,
    /// What it is known by to [`WatchPosts`](super::supervise::WatchPosts).
    pub(super) token: u64,
}

/// What an order came with.
struct Received {
    channel: Channel,
    stdio: [OwnedFd; 3],
}

/// Takes one order and starts what it asks for; `None`: its caller has been told why not. An error means that
/// the channel can not be used any more.
pub(super) fn take(context: &mut Context, token: u64, there: usize) -> Result<Option<Further>, Fault> {
    let received = match receive(context) {
        Ok(Some(received)) => received,
        other => {
            // What came of it goes.
            descriptors::release(context);
            return Err(other.err().unwrap_or_else(gone));
        }
    };
    let Received { channel, stdio } = received;
    // Its stages speak to its own caller.
    let first = std::mem::replace(&mut context.channel, channel);
    let started = if context.channel.is_gone() {
        // It was told that nothing runs.
        Err(Fault::at(Stage::Process)(Fault::Protocol { what: "the caller of a task is gone".to_owned() }))
    } else if there < MOST {
        start(context, stdio)
    } else {
        Err(too_many())
    };
    descriptors::release(context);
    let told = started.and_then(|running| match task::tell(context, &running) {
        Ok(()) => Ok(running),
        Err(failure) => {
            // Its caller is gone.
            running.kill();
            Err(failure)
        }
    });
    let channel = std::mem::replace(&mut context.channel, first);
    match told {
        Ok(running) => Ok(Some(Further { running, channel, token })),
        Err(failure) => {
            // A caller that is gone needs no message.
            channel.send(&Message::Failed(failure)).ok();
            Ok(None)
        }
    }
}

fn receive(context: &mut Context) -> Result<Option<Received>, Fault> {
    let wrong = |what: &str| Fault::Protocol { what: what.to_owned() };
    let Some(orders) = &context.orders else { return Ok(None) };
    let Some((order, sent)) = orders.receive_with::<Order>().map_err(|_| wrong("an order"))? else {
        return Ok(None);
    };
    let Some(bytes) = orders.receive_long(MAX_ENCODED).map_err(|_| wrong("a task"))? else {
        return Ok(None);
    };
    let task = Task::decode(&bytes).map_err(|_| wrong("a task"))?;
    let call = matches!(task.workload, Workload::Call { .. });
    let cgroup_procs_fds = usize::try_from(order.cgroup_procs_fds).unwrap_or(usize::MAX);
    let expected = cgroup_procs_fds
        .checked_add(4 + order.pids.iter().len() + task.descriptors.len() + if call { 2 } else { 0 });
    if expected != Some(sent.len()) {
        return Err(wrong("a task's descriptors"));
    }
    if task.terminal != order.window.is_some() {
        return Err(wrong("the terminal's size"));
    }
    let mut sent = sent.into_iter();
    let mut next = || sent.next().ok_or_else(|| wrong("a task's descriptors"));
    let channel = Channel::new(next()?);
    let stdio = [next()?, next()?, next()?];
    context.cgroup_procs_fds = (0..cgroup_procs_fds).map(|_| next()).collect::<Result<_, _>>()?;
    context.pids = order.pids.map(|limit| Ok((limit, next()?))).transpose()?;
    context.descriptors = task.descriptors.iter().map(|_| next()).collect::<Result<_, _>>()?;
    context.call = if call { Some((next()?, next()?)) } else { None };
    context.window = order.window;
    context.plan.task = task;
    context.plan.check().map_err(|_| wrong("a task that does not fit the walls"))?;
    Ok(Some(Received { channel, stdio }))
}

fn start(context: &mut Context, stdio: [OwnedFd; 3]) -> Result<Running, Failure> {
    context.readback.marks.clear();
    descriptors::place_streams(stdio).map_err(Fault::at(Stage::Descriptors))?;
    task::start(context)
}

fn too_many() -> Failure {
    Fault::at(Stage::Process)(Fault::TooManyTasks { limit: u32::try_from(MOST).unwrap_or(u32::MAX) })
}

fn gone() -> Fault {
    Fault::Protocol { what: "the channel of orders has ended".to_owned() }
}

impl Further {
    pub(super) fn channel(&self) -> &Channel {
        &self.channel
    }

    pub(super) fn kill(&self) {
        self.running.kill();
    }

    pub(super) fn pid(&self) -> libc::pid_t {
        self.running.pid
    }

    /// Its caller has something to say, or is gone: then it is ended. Whether there is still something to be
    /// heard.
    pub(super) fn listen(&self) -> bool {
        match self.channel.receive::<Passed>() {
            Ok(Some(Passed { signal })) if PASSED_ON.iter().any(|passed| *passed as i32 == signal) => {
                // One that has just ended needs none.
                self.running.signal(signal).ok();
                true
            }
            _ => {
                self.running.kill();
                false
            }
        }
    }

    /// It has ended.
    pub(super) fn ended(self, status: i32) {
        let at = sys::process::monotonic();
        let message = match self.running.handed_over() {
            Ok(()) => Message::Ended { end: End::Status(status), at, used: None, left: 0 },
            Err(failure) => Message::Failed(failure),
        };
        // A caller that is gone needs no message.
        self.channel.send(&message).ok();
    }
}
