//! What the stages work on.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::callers_trees::CallersTrees;
use super::table::Made;
use super::task_fds::TaskFds;
use crate::plan::Plan;
use crate::protocol::{Channel, Fault, ReadBack, Watch, Window};

/// What the stages work on.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) plan: Plan,
    pub(super) channel: Channel,
    /// Readable once the caller's process is gone.
    pub(super) caller: OwnedFd,
    /// `cgroup.procs` of the task's group, in each tree that has one.
    pub(super) cgroup_procs_fds: Vec<OwnedFd>,
    /// Of a task beyond the first: how many processes there may be with it, and the file that counts them.
    pub(super) pids: Option<(u64, OwnedFd)>,
    /// What ends the run besides the clock, and where it is read.
    pub(super) watches: Vec<(Watch, OwnedFd)>,
    /// The size of the task's terminal, if it gets one.
    pub(super) window: Option<Window>,
    /// Trees that the caller clones, in the Plan's order.
    pub(super) trees: CallersTrees,
    /// Copies of the old root that the Plan shows, in its order.
    pub(super) roots: VecDeque<OwnedFd>,
    /// The task's descriptors beyond 2, in the Plan's order.
    pub(super) descriptors: Vec<OwnedFd>,
    /// A call's argument and the pipe for its result.
    pub(super) call: Option<(OwnedFd, OwnedFd)>,
    /// In the task's process: where its descriptors are now.
    pub(super) task_fds: TaskFds,
    /// The root that was built, until the old one is gone.
    pub(super) root: Option<OwnedFd>,
    /// What was mounted there.
    pub(super) made: Made,
    /// Device and inode of that root.
    pub(super) root_id: Option<(u64, u64)>,
    /// The inner user namespace, until the task's process has entered it.
    pub(super) inner: Option<OwnedFd>,
    /// Whether the caller has something to do before the old root goes.
    pub(super) hooks: bool,
    /// Whether the first task waits for the caller's word.
    pub(super) hold: bool,
    /// Where more tasks are asked for, if they may be.
    pub(super) orders: Option<Channel>,
    /// What was found out, for the read-back.
    pub(super) readback: ReadBack,
    /// When the run began, `CLOCK_BOOTTIME`.
    pub(super) began: Duration,
}

impl AsMut<ReadBack> for Context {
    fn as_mut(&mut self) -> &mut ReadBack {
        &mut self.readback
    }
}

/// The error of a caller that has ended.
pub(super) fn gone() -> Fault {
    Fault::Protocol { what: "the caller is gone".to_owned() }
}
