//! The Plan: every decision taken. init executes it from top to bottom and chooses nothing.
//!
//! Everything that goes to a system call is a [`CString`]: bytes, not text (paths need not be UTF-8), and
//! free of NUL.

mod hook;
mod node;
mod root;
mod source;
mod task;
mod walls;

use std::ffi::CString;

use serde::{Deserialize, Serialize};

#[doc(hidden)]
pub use hook::HookProgram;
pub use node::{Bind, Device, Filesystem, Node, Presence, Tmpfs};
pub use root::{Base, Root};
pub use source::{Mapped, Source, Via};
pub(crate) use task::RLIMITS;
pub use task::{Landlock, LandlockRule, ProcessAttributes, Rlimit, Seccomp, Task, Workload};
pub use walls::{
    BLOCK, Ending, HostIdentity, Identity, Inner, Joined, Namespaces, Ranges, RangesFrom, Walls,
};

/// A run: walls, and the task that runs in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// The profile's name, for `ps`, errors and reports.
    pub profile: String,
    /// What is built around it.
    pub walls: Walls,
    /// Programs that run in the sandbox's namespaces before the old root goes, in order, with init's rights
    /// (OCI's createContainer hooks). Their paths are the host's.
    pub hooks: Vec<HookProgram>,
    /// What runs.
    pub task: Task,
    /// Limits that the caller's side enforces.
    pub limits: Limits,
    /// The control group that it runs in; `None` where nothing is asked of one.
    pub cgroup: Option<Cgroup>,
}

/// Limits that the caller's side enforces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Limits {
    /// Wall time, milliseconds.
    pub timeout_ms: Option<u64>,
    /// Bytes of standard output and error together.
    pub output: Option<u64>,
    /// What is written beyond `output` is thrown away; otherwise it ends the run.
    pub output_truncated: bool,
}

/// A control group of the sandbox's own, and what it enforces. How the host has it (v1 or v2, where) is found
/// at the start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Cgroup {
    /// Where it is made, from the tree's root; `None`: the caller's own group.
    pub parent: Option<CString>,
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of swap, besides the memory; only with `memory`.
    pub swap: u64,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// CPUs, in thousandths.
    pub cpus: Option<u64>,
    /// `cpu.shares`
    pub cpu_shares: Option<u64>,
    /// CPU time of everything in it, milliseconds.
    pub cpu_time_ms: Option<u64>,
    /// `io.weight`, `blkio.bfq.weight`
    pub io_weight: Option<u64>,
    /// What may be read from and written to disks.
    pub throttles: Vec<Throttle>,
}

/// A limit of one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Throttle {
    /// The disk, or what is on it: looked up on the host when the group is made.
    pub path: CString,
    /// What is counted.
    pub kind: crate::profile::Throttled,
    /// How much of it in a second.
    pub rate: u64,
}
