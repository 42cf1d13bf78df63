//! What failed: the step, the system call, the object, and the kernel's answer.

use std::fmt;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use crate::host::namespace::kernel_name;
use crate::profile::Namespace;

/// A step of building a sandbox that the kernel can refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Step {
    /// A namespace is created (`clone3`, `unshare`).
    Namespace(Namespace),
    /// `uid_map`, `gid_map` or `setgroups` is written.
    IdMap,
    /// Something is mounted, moved or changed.
    Mount,
    /// A procfs is mounted.
    MountProc,
    /// An overlay is mounted.
    MountOverlay,
    /// A mount is given an id map.
    IdMappedMount,
    /// The loopback interface is brought up.
    Loopback,
    /// A Landlock ruleset is made or enforced.
    Landlock,
    /// A system-call filter is loaded.
    Seccomp,
    /// A process is started.
    Process,
    /// A file of a tmpfs is written.
    Fill,
    /// A control group is made, joined or limited.
    Cgroup,
    /// Any other system call.
    Call,
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// The step.
    pub step: Step,
    /// The system call, or the feature of one (`overlay`, `subset=pid`), by the name in its manual page.
    pub syscall: String,
    /// What it was about: a path, a file system type, an interface. May be empty.
    pub object: String,
    /// What the kernel answered.
    #[serde(with = "errno_number")]
    pub errno: Errno,
}

impl Failure {
    /// A step that failed in `syscall`, on `object`, with `errno`.
    pub fn new(step: Step, syscall: impl Into<String>, object: impl Into<String>, errno: Errno) -> Self {
        Self { step, syscall: syscall.into(), object: object.into(), errno }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.syscall)?;
        if !self.object.is_empty() {
            write!(f, " {}", self.object)?;
        }
        write!(f, ": {}", errno_name(self.errno))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Namespace(namespace) => return write!(f, "{} namespace", kernel_name(*namespace)),
            Step::IdMap => "id map",
            Step::Mount => "mount",
            Step::MountProc => "mount of proc",
            Step::MountOverlay => "mount of overlay",
            Step::IdMappedMount => "id-mapped mount",
            Step::Loopback => "loopback interface",
            Step::Landlock => "Landlock",
            Step::Seccomp => "seccomp filter",
            Step::Process => "process",
            Step::Fill => "write to a tmpfs",
            Step::Cgroup => "control group",
            Step::Call => "system call",
        })
    }
}

/// `EPERM`, or the number of an errno that has no name here.
pub(crate) fn errno_name(errno: Errno) -> String {
    match errno {
        Errno::UnknownErrno => "an unknown errno".to_owned(),
        errno => format!("{errno:?}"),
    }
}

mod errno_number {
    use super::{Deserialize, Errno};

    pub(crate) fn serialize<S: serde::Serializer>(errno: &Errno, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i32(*errno as i32)
    }

    pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Errno, D::Error> {
        Ok(Errno::from_raw(i32::deserialize(from)?))
    }
}
