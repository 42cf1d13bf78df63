//! A task: what runs within the walls, and what it runs with.

use std::ffi::CString;

use serde::{Deserialize, Serialize};

use super::HookProgram;
use crate::capability::CapabilitySet;
use crate::profile::{IoPriority, Scheduler};
use crate::seccomp::{Action, Arch, Data};

/// What init starts within the walls, in the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Task {
    /// Working directory inside.
    pub cwd: CString,
    /// What its process has in place of what it would inherit from the caller.
    pub attributes: ProcessAttributes,
    /// Capabilities that are kept.
    pub capabilities: CapabilitySet,
    /// Whether it gets a session keyring of its own: the filter lets it reach the keys of the caller's.
    pub session_keyring: bool,
    /// Whether `no_new_privs` is set.
    pub no_new_privileges: bool,
    /// The Landlock ruleset; `None` only where the profile turned it off.
    pub landlock: Option<Landlock>,
    /// Programs that run before it, in order, with its rights, limits and filter (OCI's startContainer hooks).
    /// Their paths are the sandbox's.
    pub hooks: Vec<HookProgram>,
    /// The compiled filter; `None` only where the profile turned it off.
    pub seccomp: Option<Seccomp>,
    /// The whole environment, `K=V`.
    pub env: Vec<CString>,
    /// What runs.
    pub workload: Workload,
    /// Numbers, inside, of the descriptors beyond 2 that it gets, ascending.
    pub descriptors: Vec<i32>,
    /// Whether its standard streams are a terminal of its own, which becomes the controlling one of its
    /// session.
    pub terminal: bool,
}

/// Attributes of the task's process that the plan sets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ProcessAttributes {
    /// Resource limits, in order.
    pub rlimits: Vec<Rlimit>,
    /// File mode creation mask.
    pub umask: u32,
    /// CPU scheduling; `None` leaves the caller's, unless that is in real time.
    pub scheduler: Option<Scheduler>,
    /// I/O scheduling; `None` leaves the caller's, unless that is in real time.
    pub io_priority: Option<IoPriority>,
}

#[cfg(feature = "cli")]
impl ProcessAttributes {
    /// Each by its name, but for the limits, which are many. `None`: the caller's.
    pub(crate) fn words(&self) -> [(&'static str, Option<String>); 3] {
        [
            ("umask", Some(format!("{:03o}", self.umask))),
            ("scheduler", self.scheduler.map(|scheduler| scheduler.to_string())),
            ("ioPriority", self.io_priority.map(|priority| priority.to_string())),
        ]
    }
}

/// `RLIMIT_*` number with its values (`RLIM_INFINITY` is unlimited).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Rlimit {
    /// `RLIMIT_*`.
    pub resource: u32,
    /// Soft value.
    pub soft: u64,
    /// Hard value.
    pub hard: u64,
}

/// A Landlock ruleset, as the kernel takes it (`landlock_ruleset_attr`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Landlock {
    /// `handled_access_fs`.
    pub handled_fs: u64,
    /// `handled_access_net`.
    pub handled_net: u64,
    /// `scoped`.
    pub scoped: u64,
    /// `LANDLOCK_RULE_PATH_BENEATH` rules: path inside, `allowed_access`.
    pub rules: Vec<LandlockRule>,
}

/// One `LANDLOCK_RULE_PATH_BENEATH` rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct LandlockRule {
    /// Path inside, opened after the root is in place.
    pub path: CString,
    /// `allowed_access`, already without the bits that do not fit a file.
    pub access: u64,
}

/// A compiled filter and what it answers to the read-back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Seccomp {
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u64,
    /// The program.
    pub program: crate::seccomp::Program,
    /// What `prctl(PR_GET_SECCOMP)` must return below the filter: 2 where it is allowed, a negative errno
    /// where the filter answers with one (an unfiltered process would not), `None` where asking would kill.
    pub readback: Option<i32>,
}

impl Seccomp {
    /// Whether its caller gets a listener.
    #[must_use]
    pub(crate) fn has_listener(&self) -> bool {
        self.flags & libc::SECCOMP_FILTER_FLAG_NEW_LISTENER != 0
    }

    /// Whether execve(2) is notified of, with any arguments.
    #[must_use]
    pub(crate) fn notifies_of_execve(&self) -> bool {
        let number = libc::SYS_execve.unsigned_abs() as u32;
        let answer = self.program.evaluate(&Data::new(number, Arch::NATIVE, [0; 6]));
        answer.map(Action::from_return) == Ok(Action::Notify)
    }
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Workload {
    /// A program: an absolute path inside, and its arguments with `argv[0]`.
    Program {
        /// What is executed.
        path: CString,
        /// Its arguments, `argv[0]` first.
        argv: Vec<CString>,
    },
    /// A registered role; its arguments are init's own `argv`.
    Role {
        /// Its name.
        name: String,
    },
    /// A typed call: the code is found by its offset in this same image, argument and result cross on
    /// descriptors.
    Call {
        /// Offset of the call's entry from the image's anchor.
        entry: i64,
        /// Offset of the function from the image's anchor.
        function: i64,
    },
}

/// `RLIMIT_*` by their OCI names, lower case, at their numbers on x86-64 and aarch64
/// (`asm-generic/resource.h`).
pub(crate) const RLIMITS: [&str; 16] = [
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
];
