//! What the Plan puts at a path of the root. A mount that a profile asks for has become one of these.

use std::ffi::CString;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::source::Source;
use crate::profile::{Attributes, Propagation};
use crate::sys::mount::{ATTR_NOEXEC, ATTR_RDONLY};

/// What is at a path. All mounts are `nosuid`, and all but those with devices are `nodev`; the mount point is
/// made where it is missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Node {
    /// A directory on the root's tmpfs.
    Directory {
        /// Its mode.
        mode: u32,
    },
    /// A symlink on the root's tmpfs.
    Symlink {
        /// What it holds.
        target: CString,
    },
    /// A file on the root's tmpfs.
    File {
        /// Its mode.
        mode: u32,
        /// What it holds.
        content: Vec<u8>,
    },
    /// A mount of a file or directory of the host.
    Bind(Bind),
    /// A mount of a device node of the host.
    Device(Device),
    /// A mount of a new file system.
    Filesystem(Filesystem),
    /// Mounts the directory there onto itself: a mount point can be neither renamed nor removed.
    Pin,
    /// Hides what is there.
    Mask {
        /// What was there.
        presence: Presence,
    },
    /// Makes what is there read-only.
    Readonly {
        /// What was there.
        presence: Presence,
    },
}

/// What the plan found at a masked or read-only path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Presence {
    /// Something, which init must find, too.
    There,
    /// Nothing. The task cannot make it on the host.
    Absent,
    /// It is on a file system that is not mounted yet (procfs).
    Unknown,
}

/// A file or directory of the host with all below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Bind {
    /// What is shown.
    pub source: Source,
    /// Read-only, with everything below.
    pub readonly: bool,
    /// Not executable, with everything below.
    pub noexec: bool,
    /// The rest, with everything below.
    pub attributes: Attributes,
}

/// A device node of the host, checked to be this device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Device {
    /// `/dev/null` on the host.
    pub source: CString,
    /// A block device; otherwise a character device.
    pub block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// The mount is read-only. That alone does not keep the device from being written to: Landlock does
    /// (`Task::landlock`).
    pub readonly: bool,
}

/// A new file system: `fsopen(2)`, `fsconfig(2)` and `fsmount(2)` in the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Filesystem {
    /// Its type.
    pub fstype: CString,
    /// Its options: `key` or `key=value`.
    pub data: Vec<(CString, Option<CString>)>,
    /// Of a tmpfs: its limits, which come before the other options.
    pub limits: Option<Tmpfs>,
    /// `MOUNT_ATTR_*`
    pub attributes: u64,
    /// What propagates into it.
    pub propagation: Propagation,
    /// What `statfs(2)` must say of it.
    pub magic: u64,
}

/// Limits of a tmpfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Tmpfs {
    /// `size=`, bytes.
    pub size: u64,
    /// `nr_inodes=`.
    pub inodes: u64,
    /// `mode=`.
    pub mode: u32,
}

impl Node {
    /// Whether it is a directory, where it is something of its own and no mark on what is there.
    pub(crate) fn is_directory(&self) -> bool {
        match self {
            Self::Directory { .. } | Self::Filesystem(_) | Self::Pin => true,
            Self::Bind(bind) => bind.source.directory,
            Self::Symlink { .. }
            | Self::File { .. }
            | Self::Device(_)
            | Self::Mask { .. }
            | Self::Readonly { .. } => false,
        }
    }

    /// A directory of the host that it shows.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match self {
            Self::Bind(bind) if bind.source.directory => Some(bind.source.host_path()),
            _ => None,
        }
    }

    /// Whether it is a new file system of this type.
    pub(crate) fn is_filesystem(&self, fstype: &str) -> bool {
        matches!(self, Self::Filesystem(filesystem) if filesystem.is(fstype))
    }
}

impl Filesystem {
    /// Whether it has this type.
    pub(crate) fn is(&self, fstype: &str) -> bool {
        self.fstype.as_bytes() == fstype.as_bytes()
    }

    /// Whether the mount is read-only.
    pub(crate) fn is_readonly(&self) -> bool {
        self.attributes & ATTR_RDONLY != 0
    }

    /// Whether nothing on it can be executed.
    pub(crate) fn is_noexec(&self) -> bool {
        self.attributes & ATTR_NOEXEC != 0
    }
}
