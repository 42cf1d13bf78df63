//! The model of a mount. Data, no behaviour.

use std::path::PathBuf;

/// One thing that is mounted inside.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Mount {
    /// Absolute path inside.
    pub destination: PathBuf,
    /// What it is.
    pub kind: MountKind,
    /// Whether it is read-only.
    pub readonly: bool,
    /// Whether programs on it may be executed.
    pub noexec: bool,
    /// Whether a missing source is skipped; otherwise it is an error, and so it is where the task could make
    /// the source.
    pub optional: bool,
    /// A directory or file of the host's own system, for the minimal root: a symlink at the source is kept as
    /// a symlink (`/bin -> usr/bin`). Never there together with `root.path`, which brings a system of its
    /// own.
    pub system: bool,
    /// What else holds for it.
    pub attributes: Attributes,
}

/// What mount(8) can say of a mount beyond `ro` and `noexec`. For a bind, all of it holds for everything
/// mounted below, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Attributes {
    /// When access times are written; `None`: as the kernel does by itself (`relatime`), and for a bind as on
    /// the host.
    pub atime: Option<Atime>,
    /// Access times of directories are never written.
    pub nodiratime: bool,
    /// Symlinks on it are not followed (Linux 5.10).
    pub nosymfollow: bool,
    /// Whether what is mounted on the host later appears inside.
    pub propagation: Propagation,
}

/// When access times are written (mount(8)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Atime {
    /// At the first read after a change, and once a day.
    Relatime,
    /// Never.
    Noatime,
    /// At every read.
    Strictatime,
}

/// Which mounts propagate into a mount (`Documentation/filesystems/sharedsubtree.rst`). None ever propagates
/// out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Propagation {
    /// None.
    #[default]
    Private,
    /// Those that the host makes below the source while the sandbox runs, where the host's mount is shared.
    Slave,
    /// None, and it cannot be bound elsewhere.
    Unbindable,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum MountKind {
    /// A file or directory of the host, with everything mounted below it. A symlink at `source` is kept as a
    /// symlink where [`Mount::system`] says so (`/bin -> usr/bin`), else followed once, by the caller.
    Bind {
        /// Absolute, or relative to the caller's working directory. A profile's file has already been taken
        /// into account: its relative sources are joined to the directory that it is in.
        source: PathBuf,
        /// As root: show the source owner's id as the sandbox's (`idmap`), so that files keep their owner.
        idmap: bool,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Bytes it may hold.
        size: u64,
        /// Files it may hold.
        inodes: u64,
        /// Mode of its root directory.
        mode: u32,
    },
    /// A procfs of the sandbox's own pid namespace.
    Proc {
        /// `subset=pid`: only the processes, nothing of the kernel.
        subset_pid: bool,
    },
    /// The minimal `/dev`: null zero full random urandom tty shm pts ptmx fd stdin stdout stderr.
    Dev,
    /// POSIX message queues of the sandbox's own ipc namespace.
    Mqueue,
    /// A new file system by its type, with options that only it knows. Those that a user namespace may mount
    /// and that have limits are possible: `tmpfs`, `proc`, `sysfs`, `cgroup2`, `devpts`, `mqueue` and
    /// `binfmt_misc`. Of a tmpfs, `size` and `nr_inodes` are among the options.
    Filesystem {
        /// As in `/proc/filesystems`.
        fstype: String,
        /// `key` or `key=value`, as fsconfig(2) takes them.
        data: Vec<(String, Option<String>)>,
    },
    /// A device node by its number: the host's, as no node can be made in a user namespace.
    Node {
        /// A block device; otherwise a character device.
        block: bool,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
        /// The most that its mode may be; more is an error.
        mode: Option<u32>,
        /// The owner that it must have on the host.
        uid: Option<u32>,
        /// The group that it must have on the host.
        gid: Option<u32>,
    },
}

impl MountKind {
    /// Whether it is a new file system of this type, in the short form or in the general one.
    #[must_use]
    pub(crate) fn is_filesystem(&self, name: &str) -> bool {
        match self {
            Self::Proc { .. } => name == "proc",
            Self::Mqueue => name == "mqueue",
            Self::Tmpfs { .. } => name == "tmpfs",
            Self::Filesystem { fstype, .. } => fstype == name,
            Self::Bind { .. } | Self::Dev | Self::Node { .. } => false,
        }
    }
}
