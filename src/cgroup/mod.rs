//! Control groups: a group of the sandbox's own, with v1 and v2 (and both at once) behind one small
//! interface.
//!
//! The caller's side makes the group, sets the limits and reads them back, before any process of the sandbox
//! exists. init stays in the caller's group, so that no limit of the task's keeps it from reporting; the
//! task's process joins the new one before anything untrusted runs, and reads back that it is in it. Once the
//! run is over the caller's side reads the kernel's accounts, and a small process outside of the sandbox (the
//! cleaner) removes the group: it outlives the caller, so that the group goes, however the run ends.
//!
//! | | v1 | v2 |
//! | --- | --- | --- |
//! | where | the caller's own group, for each controller | beside the caller's own group, which has processes and therefore can have no children with limits; the new one gets no more than the caller's has. At the root: below it |
//! | joining | the task's process, which has one thread, writes that into `tasks`, opened by the caller: the kernel asks for the opener's rights | the same with `cgroup.procs` |
//! | out of memory | init sees `oom_kill` and ends the run | `memory.oom.group`: the kernel kills everything in it |
//! | ending | processes by their pidfds, with `pids.max` at 0 | `cgroup.kill` |

mod account;
mod cleaner;
mod dir;
mod error;
mod find;
mod group;
mod io;
mod limit;
mod meter;
#[cfg(feature = "cli")]
mod of_process;
mod parse;
mod place;
mod remove;

pub use account::{Account, CgroupLimits, Events, Pressure, Stall, Usage};
pub use error::CgroupError;
pub(crate) use group::{Entrance, Group, Site, look};
pub use io::DiskLimit;
pub use meter::{Meter, Sample};
pub(crate) use parse::number;

/// What every group's name starts with.
const PREFIX: &str = "belljar-";

/// The two versions of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
enum Version {
    V1,
    V2,
}

/// A controller that something is asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Controller {
    Memory,
    Pids,
    Cpu,
    /// v1 only; v2 accounts CPU time in every group.
    Cpuacct,
    Io,
}

impl Controller {
    /// Its name in v1.
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Io => "blkio",
        }
    }

    /// Its name in v2.
    fn v2_name(self) -> &'static str {
        if self == Self::Io { "io" } else { self.name() }
    }
}
