//! The walls: what is built once, around everything that runs in a sandbox.

use std::ffi::CString;

use serde::{Deserialize, Serialize};

use crate::profile::{Attributes, IdRange, Propagation};

/// What init builds and reads back before any task starts, in the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Walls {
    /// The namespaces.
    pub namespaces: Namespaces,
    /// Namespaces that are there already and are joined.
    pub joined: Vec<Joined>,
    /// How init ends what is left of the tasks.
    pub ending: Ending,
    /// Ids inside and outside.
    pub identity: Identity,
    /// Host name inside; set only with `CLONE_NEWUTS`.
    pub hostname: Option<CString>,
    /// Whether the loopback interface is brought up (with `CLONE_NEWNET`).
    pub loopback: bool,
    /// Whether tasks run in a user namespace below init's, and a mount namespace of that one's: a capability
    /// that they keep could undo a wall.
    pub inner: Inner,
    /// The root and what is in it; `None` in *lite*.
    pub root: Option<Root>,
}

impl Walls {
    /// The files and directories of the host that are shown inside, in the order in which init comes to them.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let base = self.root.iter().filter_map(|root| match &root.base {
            Base::Directory(source) | Base::Overlay { lower: source, .. } => Some(source),
            Base::Tmpfs(_) => None,
        });
        let mounts = self.root.iter().flat_map(|root| &root.nodes).filter_map(|node| match node {
            Node::Mount { mount: Mount::Bind { source, .. }, .. } => Some(source),
            _ => None,
        });
        base.chain(mounts)
    }
}

/// The second user namespace, for capabilities that could undo a wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Inner {
    /// No capability that is kept asks for it.
    Needless,
    /// The task is in it.
    Made,
    /// One asks for it, and the task is not in it: for the selftest alone, which shows what it holds. No
    /// profile and no option says so, and no program without the feature `selftest` can read it.
    #[cfg(feature = "selftest")]
    LeftOut,
}

/// The namespaces that a sandbox is in, as `CLONE_NEW*` flags. Where none is named it is in the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Namespaces {
    /// *Lite*: none of its own. Landlock, the filter and limits alone hold the task.
    Lite,
    /// These are new; always a user, mount and pid namespace.
    Own {
        /// `CLONE_NEW*`
        new: u64,
    },
}

impl Namespaces {
    /// Whether there are none.
    #[must_use]
    pub fn is_lite(self) -> bool {
        self == Self::Lite
    }

    /// The flags of those that are made new.
    #[must_use]
    pub fn new_flags(self) -> u64 {
        match self {
            Self::Lite => 0,
            Self::Own { new } => new,
        }
    }

    /// Whether the one of a `CLONE_NEW*` flag is made new.
    #[must_use]
    pub fn has_new(self, flag: libc::c_int) -> bool {
        self.new_flags() & u64::from(flag.cast_unsigned()) != 0
    }
}

/// A namespace that is joined: the caller opens it, starts init in it, and init finds itself in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Joined {
    /// Its `CLONE_NEW*` flag.
    pub flag: u64,
    /// A file of the host that stands for it.
    pub path: CString,
}

/// How init ends all processes of a run. One call reaches them all where something tells them from the user's
/// others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Ending {
    /// `kill(-1)` in the pid namespace, and the kernel with it.
    Namespace,
    /// *Lite*: `kill(-1)` from a Landlock domain that keeps signals in (ABI 6, Linux 6.12).
    Scope,
    /// *Lite* on older kernels: init's children one by one, and those that are left to it. Who forks faster
    /// is not caught.
    Children,
}

/// Ids inside and outside. Without a user namespace both are the caller's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Identity {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// What the ids are on the host.
    pub host: HostIdentity,
}

/// The ids on the host's side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum HostIdentity {
    /// The caller's own ids (an unprivileged caller, or *lite*).
    Own {
        /// The caller's user id.
        uid: u32,
        /// The caller's group id.
        gid: u32,
    },
    /// An unprivileged id that no other sandbox has: chosen at each spawn (the caller is root). In *lite* it
    /// is also the one inside, and takes the place of the plan's then.
    Unique,
    /// [`BLOCK`] ids from 0 on inside, which no other sandbox has on the host: chosen at each spawn (the
    /// caller is root), and [`HostIdentity::Ranges`] then.
    UniqueRange,
    /// Ranges of ids.
    Ranges(Ranges),
}

/// How many ids [`HostIdentity::UniqueRange`] has: distributions use 0 to 65534.
pub const BLOCK: u32 = 1 << 16;

/// Ranges of ids: none is over another, neither inside nor outside, and none has the host's 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Ranges {
    /// User ids.
    pub users: Vec<IdRange>,
    /// Group ids.
    pub groups: Vec<IdRange>,
    /// Where they come from.
    pub from: RangesFrom,
}

/// Where ranges of ids come from, and thereby who writes the maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RangesFrom {
    /// A block that nothing else has; the caller, root, writes the maps.
    Unique,
    /// The profile; the caller, root, writes the maps.
    Profile,
    /// The caller's own ids and its subordinate ones (subuid(5)): newuidmap(1) and newgidmap(1) write the
    /// maps.
    Subordinate,
}

impl HostIdentity {
    /// Whether the caller is root and gives the sandbox other ids than its own: it hands over what they
    /// cannot reach.
    #[must_use]
    pub fn is_given(&self) -> bool {
        match self {
            Self::Own { .. } => false,
            Self::Unique | Self::UniqueRange => true,
            Self::Ranges(ranges) => ranges.from != RangesFrom::Subordinate,
        }
    }

    /// Whether files of the host can belong to one of the ids.
    #[must_use]
    pub fn may_own_files(&self) -> bool {
        match self {
            Self::Own { .. } => true,
            Self::Unique | Self::UniqueRange => false,
            Self::Ranges(ranges) => ranges.from != RangesFrom::Unique,
        }
    }

    /// Whether a user of the host is one of the sandbox's.
    pub(crate) fn owns(&self, user: u32) -> bool {
        match self {
            Self::Own { uid, .. } => *uid == user,
            Self::Unique | Self::UniqueRange => false,
            Self::Ranges(ranges) => crate::plan::ranges::inside(&ranges.users, user).is_some(),
        }
    }

    /// Whether more than one id is mapped.
    #[must_use]
    pub fn has_ranges(&self) -> bool {
        matches!(self, Self::UniqueRange | Self::Ranges(_))
    }
}

/// Whose files a mount of the host's shows as the sandbox's, where root gives it other ids than those that
/// own them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Mapped {
    /// This owner's and group's, as those of the task.
    Owner(u32, u32),
    /// Everybody's, with the number that they have on the host: for a root directory and ranges of ids.
    All,
}

/// The root and its contents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Root {
    /// What the root itself is.
    pub base: Base,
    /// Whether the root mount is made read-only in the end.
    pub readonly: bool,
    /// What is made in it: parents before children, later entries over earlier ones.
    pub nodes: Vec<Node>,
}

/// What the root itself is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Base {
    /// An empty tmpfs.
    Tmpfs(Tmpfs),
    /// A directory of the host.
    Directory(Source),
    /// A directory of the host below a tmpfs that takes the writes.
    Overlay {
        /// The directory.
        lower: Source,
        /// What holds the writes.
        upper: Tmpfs,
    },
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

/// A file or directory of the host that a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Source {
    /// Canonical absolute path on the host: opened without following any symlink.
    pub path: CString,
    /// Device and inode it had when the plan was made; anything else when it is opened is an error.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// Whether it is a directory.
    pub directory: bool,
    /// Whether what the host mounts below it later appears inside.
    pub slave: bool,
    /// How it gets into the sandbox.
    pub via: Via,
}

/// How a source gets into the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Via {
    /// init opens it by its path.
    Path,
    /// The (privileged) caller clones the tree and hands the descriptor over: the sandbox's own id could not
    /// reach it.
    Tree {
        /// Whose files are shown as the sandbox's (an id-mapped mount).
        idmap: Option<Mapped>,
    },
}

/// One thing in the root. Paths are absolute inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Node {
    /// A directory on the root's tmpfs.
    Directory {
        /// Where.
        path: CString,
        /// Its mode.
        mode: u32,
    },
    /// A symlink on the root's tmpfs.
    Symlink {
        /// Where.
        path: CString,
        /// What it holds.
        target: CString,
    },
    /// A file on the root's tmpfs.
    File {
        /// Where.
        path: CString,
        /// Its mode.
        mode: u32,
        /// What it holds.
        content: Vec<u8>,
    },
    /// A mount; its mount point is made where it is missing.
    Mount {
        /// Where.
        path: CString,
        /// What.
        mount: Mount,
    },
    /// Mounts the directory at `path` onto itself: a mount point can be neither renamed nor removed.
    Pin {
        /// Where.
        path: CString,
    },
    /// Hides what is at `path`.
    Mask {
        /// Where.
        path: CString,
        /// What was there.
        presence: Presence,
    },
    /// Makes what is at `path` read-only.
    Readonly {
        /// Where.
        path: CString,
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

/// A mount. All are `nosuid`; all but devices are `nodev`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Mount {
    /// A file or directory of the host with all below it.
    Bind {
        /// What is shown.
        source: Source,
        /// Read-only, with everything below.
        readonly: bool,
        /// Not executable, with everything below.
        noexec: bool,
        /// The rest, with everything below.
        attributes: Attributes,
    },
    /// A device node of the host, checked to be this device.
    Device {
        /// `/dev/null` on the host.
        source: CString,
        /// A block device; otherwise a character device.
        block: bool,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// An empty tmpfs.
    Tmpfs {
        /// Its limits.
        limits: Tmpfs,
        /// Not executable.
        noexec: bool,
        /// Read-only.
        readonly: bool,
    },
    /// procfs of the sandbox's pid namespace.
    Proc {
        /// `subset=pid`.
        subset_pid: bool,
    },
    /// A devpts instance of the sandbox's own.
    Devpts,
    /// The sandbox's POSIX message queues.
    Mqueue,
    /// A new file system by its type.
    Filesystem(Filesystem),
}

impl Mount {
    /// Whether the sandbox's terminals are there.
    #[must_use]
    pub fn is_devpts(&self) -> bool {
        match self {
            Self::Devpts => true,
            Self::Filesystem(filesystem) => filesystem.fstype.as_bytes() == b"devpts",
            _ => false,
        }
    }
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
