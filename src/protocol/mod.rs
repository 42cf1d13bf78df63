//! What crosses between the caller and init once the image is executed: one datagram a message, bounded, on a
//! sequenced-packet socket that only the two of them hold. The Plan alone may be longer, and goes in parts.
//!
//! The caller treats everything that it receives as hostile: a message is at most 16 KiB, strings are cut and
//! freed of control characters as they are decoded, and a message out of order is an error: the sandbox ends
//! if its task has not started, and has no outcome if it has.

mod channel;
mod fault;

pub(crate) use channel::{Channel, ChannelError, MAX_SENT, decode};
pub(crate) use fault::shown;
pub use fault::{Failure, Fault, Stage};

use std::ffi::CString;

use crate::capability::CapabilitySet;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::plan::Namespaces;

/// The largest datagram either side takes.
pub(crate) const LIMIT: usize = 16 * 1024;

/// Signals that init passes on to the task.
pub(crate) const PASSED_ON: [Signal; 9] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGTSTP,
    Signal::SIGCONT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// Where the descriptors beyond the channel start in init: the caller's pidfd, then the task's descriptors in
/// the order of the Plan, then a call's argument and result. Those of the control group come with [`Go`], and
/// the trees behind it: they are made while init starts.
pub(crate) use crate::reexec::FIRST_EXTRA_FD as FIRST_DESCRIPTOR;

/// From the caller, with the re-execution: what init does before there is a Plan, which says the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Prelude {
    /// Those that init is in.
    pub(crate) namespaces: Namespaces,
    /// The numbers of the caller's own, by the name under `/proc/self/ns`: init's must differ.
    pub(crate) callers: Vec<(String, u64)>,
    /// The numbers of those that init was started in, by the same names: init's must be these.
    pub(crate) joined: Vec<(String, u64)>,
    /// The host name inside.
    pub(crate) hostname: Option<CString>,
    /// Whether there is a loopback interface to be brought up.
    pub(crate) loopback: bool,
}

/// From the caller, once: the id maps are written, go on. With it come the cgroup_procs_fds, then the watched
/// files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Go {
    /// How many `cgroup.procs` the task's process writes itself into.
    pub(crate) cgroup_procs_fds: u32,
    /// What is looked at while the task runs.
    pub(crate) watches: Vec<Watch>,
    /// The size of the task's terminal, if it gets one.
    pub(crate) window: Option<Window>,
    /// Whether init stops once the walls stand, and says so ([`Message::Created`]), until the caller sends
    /// [`Word::Start`].
    pub(crate) hold: bool,
    /// Whether init stops when the root is built and the old one has not gone, and says so
    /// ([`Message::RootBuilt`]), until the caller sends [`Word::GoOn`].
    pub(crate) hooks: bool,
    /// Whether more tasks may follow: the channel on which they are asked for ([`Order`]) comes first of the
    /// descriptors.
    pub(crate) orders: bool,
}

/// From the caller, to an init that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Word {
    /// The old root goes.
    GoOn,
    /// The first task starts.
    Start,
}

/// From the caller, on the channel of orders: one more task, whose [`Task`](crate::plan::Task) is the next
/// long message. With it comes the task's own channel, its standard streams, its other descriptors in the
/// order of their numbers, and a call's argument and result. On its own channel the caller gets what it gets
/// of the first one on its: [`Message::Terminal`], [`Message::Ready`], [`Message::Started`],
/// [`Message::Failed`], [`Message::Ended`]; what it sends there is [`Passed`], and its end ends the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// How many `cgroup.procs` the task's process writes itself into. They come behind the streams.
    pub(crate) cgroup_procs_fds: u32,
    /// How many processes the group may have; the file that counts them comes behind those.
    pub(crate) pids: Option<u64>,
    /// The size of the task's terminal, if it gets one.
    pub(crate) window: Option<Window>,
}

/// From the caller, on the channel of a later task: a signal for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Passed {
    /// Its number.
    pub(crate) signal: i32,
}

/// The size of a terminal: characters and pixels, 0 where it is not known (TIOCSWINSZ(2const)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
    pub(crate) width: u16,
    pub(crate) height: u16,
}

/// From the caller, after [`Go`]: at most [`MAX_SENT`] trees, in the order in which the Plan names them,
/// until init has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trees {
    /// How many come with it.
    pub(crate) count: u32,
}

/// A number of the kernel's that ends the run once it is above a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Watch {
    /// What it counts.
    pub(crate) what: Watched,
    /// The key before it, in a file with many; empty: it is all that the file has.
    pub(crate) key: String,
    /// The limit.
    pub(crate) above: u64,
}

/// What a [`Watch`] counts, of the whole sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Watched {
    /// CPU time.
    CpuTime,
    /// Processes that the kernel killed for want of memory.
    Memory,
}

/// From init to the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// The root is built, and the old one has not gone: init waits for [`Word::GoOn`].
    RootBuilt,
    /// All walls stand, and nothing has run within them: init waits for [`Word::Start`].
    Created,
    /// All walls stand and were read back. From a role's process: the filter and the hand-over follow.
    Ready(ReadBack),
    /// The program was executed, or the role's process made.
    Started,
    /// The run is over before or without an end of the task: nothing untrusted ran past this point.
    Failed(Failure),
    /// The run is over, but how it would have ended is not known: init could not go on after the task had
    /// started.
    Disturbed(Failure),
    /// The task ended; it is the last that init says.
    Ended {
        /// How.
        end: End,
        /// When, nanoseconds of `CLOCK_MONOTONIC`.
        at: u64,
        /// What everything in the sandbox has used; `None` if something was still there to be waited for.
        used: Option<Used>,
        /// How many of init's children are still there although they were killed, or were made faster than
        /// that; *lite* only.
        left: u32,
    },
    /// A log record of init's.
    Log {
        /// `log::Level` as a number.
        level: u8,
        /// What it says.
        #[serde(deserialize_with = "fault::tame")]
        text: String,
    },
    /// With it comes the listener of the task's filter: once, as soon as the filter is loaded, and only where the
    /// Plan has one.
    Listener,
    /// With it comes the outer end of the task's terminal. Once, before the walls stand, and only where the
    /// Plan has one.
    Terminal,
}

/// How the task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// By itself or by a signal: a wait status, as wait(2) encodes it.
    Status(i32),
    /// init ended it at the time limit.
    Timeout,
    /// init ended it at a limit of its control group.
    Limit(Watched),
    /// init ended it as the caller asked.
    Stopped,
}

/// What processes have used that init waited for, and those that they waited for (`RUSAGE_CHILDREN` of
/// getrusage(2)). The caller's own memory, which init's account begins with, is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Used {
    /// CPU time in user mode, microseconds.
    pub(crate) user: u64,
    /// CPU time in the kernel, microseconds.
    pub(crate) system: u64,
    /// The largest resident set of any one process, KiB.
    pub(crate) max_rss: u64,
    /// Context switches.
    pub(crate) switches: u64,
}

/// What init read back from the kernel right before the hand-over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReadBack {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// The capability sets: effective, permitted, inheritable, bounding, ambient.
    pub capabilities: [CapabilitySet; 5],
    /// `PR_GET_SECUREBITS`
    pub securebits: i32,
    /// `PR_GET_NO_NEW_PRIVS`
    pub no_new_privileges: bool,
    /// Namespaces that differ from the caller's.
    #[serde(deserialize_with = "fault::tame_all")]
    pub namespaces: Vec<String>,
    /// Whether `/` is the root that was built, and the old one is gone.
    pub new_root: bool,
    /// Whether a Landlock domain was entered.
    pub landlock: bool,
    /// When each stage was done.
    pub(crate) marks: Vec<Mark>,
}

impl ReadBack {
    /// A stage is done.
    pub(crate) fn mark(&mut self, stage: Stage) {
        self.marks.push(Mark { stage, at: crate::sys::process::monotonic() });
    }
}

/// The end of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Which.
    pub(crate) stage: Stage,
    /// When, nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) at: u64,
}
