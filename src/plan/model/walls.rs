//! The walls: what is built once, around everything that runs in a sandbox.

use std::ffi::CString;

use serde::{Deserialize, Serialize};

use super::node::Node;
use super::root::{Base, Root};
use super::source::Source;
use crate::profile::IdRange;

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
            (_, Node::Bind(bind)) => Some(&bind.source),
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
    /// profile and no option says so, and no program without the feature `cli` can read it.
    #[cfg(feature = "cli")]
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
