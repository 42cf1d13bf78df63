//! The Plan: every decision taken. init executes it from top to bottom and chooses nothing.
//!
//! Everything that goes to a system call is a [`CString`]: bytes, not text (paths need not be UTF-8), and free of NUL.

use std::ffi::CString;

use crate::capability::CapabilitySet;
use serde::{Deserialize, Serialize};

/// Everything that init does, in the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Plan {
    /// The profile's name, for `ps`, errors and reports.
    pub profile: String,
    /// `CLONE_NEW*` flags; 0 is *lite*.
    pub namespaces: u64,
    /// How init ends what is left of the task.
    pub ending: Ending,
    /// Ids inside and outside.
    pub identity: Identity,
    /// Host name inside; set only with `CLONE_NEWUTS`.
    pub hostname: Option<CString>,
    /// Whether the loopback interface is brought up (with `CLONE_NEWNET`).
    pub loopback: bool,
    /// The root and what is in it; `None` in *lite*.
    pub root: Option<Root>,
    /// Working directory inside.
    pub cwd: CString,
    /// Resource limits, in order.
    pub rlimits: Vec<Rlimit>,
    /// File mode creation mask.
    pub umask: u32,
    /// Capabilities that are kept.
    pub capabilities: CapabilitySet,
    /// Whether the task has them in a user namespace below init's, and a mount namespace of that one's: one of them could undo a wall.
    pub inner: Inner,
    /// Whether the task gets a session keyring of its own: the filter lets it reach the keys of the caller's.
    pub session_keyring: bool,
    /// Whether `no_new_privs` is set.
    pub no_new_privileges: bool,
    /// The Landlock ruleset; `None` only where the profile turned it off.
    pub landlock: Option<Landlock>,
    /// The compiled filter; `None` only where the profile turned it off.
    pub seccomp: Option<Seccomp>,
    /// The whole environment of the task, `K=V`.
    pub env: Vec<CString>,
    /// What runs.
    pub task: Task,
    /// Numbers, inside, of the descriptors beyond 2 that the task gets, ascending.
    pub descriptors: Vec<i32>,
    /// Whether its standard streams are a terminal of its own, which becomes the controlling one of its session.
    pub terminal: bool,
    /// Limits that the caller's side enforces.
    pub limits: Limits,
    /// The control group that it runs in; `None` where nothing is asked of one.
    pub cgroup: Option<Cgroup>,
}

impl Plan {
    /// The files and folders of the host that are shown inside, in the order in which init comes to them.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let base = self.root.iter().filter_map(|root| match &root.base {
            Base::Folder(source) | Base::Overlay { lower: source, .. } => Some(source),
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
    /// One asks for it, and the task is not in it: for the selftest alone, which shows what it holds. No profile and no option says so.
    LeftOut,
}

/// How init ends all processes of a run. One call reaches them all where something tells them from the user's others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Ending {
    /// `kill(-1)` in the pid namespace, and the kernel with it.
    Namespace,
    /// *Lite*: `kill(-1)` from a Landlock domain that keeps signals in (ABI 6, Linux 6.12).
    Scope,
    /// *Lite* on older kernels: init's children one by one, and those that are left to it. Who forks faster is not caught.
    Children,
}

/// Ids inside and outside. Without a user namespace both are the caller's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum HostIdentity {
    /// The caller's own ids (an unprivileged caller, or *lite*).
    Own {
        /// The caller's user id.
        uid: u32,
        /// The caller's group id.
        gid: u32,
    },
    /// An unprivileged id that no other sandbox has: chosen at each spawn (the caller is root). In *lite* it is also the one inside,
    /// and takes the place of the plan's then.
    Unique,
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
    /// A folder of the host.
    Folder(Source),
    /// A folder of the host below a tmpfs that takes the writes.
    Overlay {
        /// The folder.
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

/// A file or folder of the host that a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Source {
    /// Canonical absolute path on the host: opened without following any symlink.
    pub path: CString,
    /// Device and inode it had when the plan was made; anything else when it is opened is an error.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// Whether it is a folder.
    pub folder: bool,
    /// How it gets into the sandbox.
    pub via: Via,
}

/// How a source gets into the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Via {
    /// init opens it by its path.
    Path,
    /// The (privileged) caller clones the tree and hands the descriptor over: the sandbox's own id could not reach it.
    Tree {
        /// Show this owner and group of the host's files as the sandbox's ids (an id-mapped mount).
        idmap: Option<(u32, u32)>,
    },
}

/// One thing in the root. Paths are absolute inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Node {
    /// A folder on the root's tmpfs.
    Folder {
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
    /// A file or folder of the host with all below it.
    Bind {
        /// What is shown.
        source: Source,
        /// Read-only, with everything below.
        readonly: bool,
        /// Not executable, with everything below.
        noexec: bool,
    },
    /// A device node of the host, checked to be this device.
    Device {
        /// `/dev/null` on the host.
        source: CString,
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
    /// What `prctl(PR_GET_SECCOMP)` must return below the filter: 2 where it is allowed, a negative errno where the filter
    /// answers with one (an unfiltered process would not), `None` where asking would kill.
    pub readback: Option<i32>,
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Task {
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
    /// A typed call: the code is found by its offset in this same image, argument and result cross on descriptors.
    Call {
        /// Offset of the call's entry from the image's anchor.
        entry: i64,
        /// Offset of the function from the image's anchor.
        function: i64,
    },
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

/// A control group of the sandbox's own, and what it enforces. How the host has it (v1 or v2, where) is found at the start.
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
