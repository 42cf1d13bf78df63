//! The model of a profile: what is asked for, in the OCI runtime-spec's words. Data, no behaviour.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::Mount;
use super::scheduling::{IoPriority, Scheduler};
use crate::capability::CapabilitySet;
use crate::seccomp;

/// What a sandbox should be: a profile with its `extends` chain and overrides applied.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Profile {
    /// The name it was asked for by, or the file's path.
    #[doc(hidden)]
    pub name: String,
    /// One line for `belljar profile list`.
    #[doc(hidden)]
    pub description: String,
    /// The namespaces to create. Empty means *lite*: only the layers that need no namespace.
    /// Otherwise `user`, `mount` and `pid` are always among them.
    #[doc(hidden)]
    pub namespaces: BTreeSet<Namespace>,
    /// Namespaces that are there already and are joined (`network`, `ipc`, `uts`, `cgroup`), by a path to
    /// each (`/run/netns/NAME`, `/proc/PID/ns/net`). None of them is among `namespaces`, and what needs one
    /// of the sandbox's own refuses it.
    #[doc(hidden)]
    pub joined: BTreeMap<Namespace, PathBuf>,
    /// The user ids that the sandbox's user namespace maps.
    #[doc(hidden)]
    pub uid_mappings: IdMap,
    /// The group ids; ranges and [`IdMap::Auto`] go together with the same of `uid_mappings`.
    #[doc(hidden)]
    pub gid_mappings: IdMap,
    /// The host name inside (needs the `uts` namespace).
    #[doc(hidden)]
    pub hostname: Option<String>,
    /// Whether, and how, the caller's working directory is shown inside.
    #[doc(hidden)]
    pub workdir: Workdir,
    /// Which symlinks a source of a mount, the root or the working directory may lead through.
    #[doc(hidden)]
    pub symlinks: Symlinks,
    /// What is done where a socket or FIFO of the host would be shown.
    #[doc(hidden)]
    pub sockets: Sockets,
    /// The root file system.
    #[doc(hidden)]
    pub root: Root,
    /// The process that is started.
    #[doc(hidden)]
    pub process: Process,
    /// What is mounted in the root; order does not matter, the most specific destination wins.
    #[doc(hidden)]
    pub mounts: Vec<Mount>,
    /// Paths that are hidden behind an empty file or directory.
    #[doc(hidden)]
    pub masked_paths: Vec<PathBuf>,
    /// Paths that are made read-only.
    #[doc(hidden)]
    pub readonly_paths: Vec<PathBuf>,
    /// The system-call filter. `None` only where a profile says `seccomp.mode = "off"`.
    #[doc(hidden)]
    pub seccomp: Option<seccomp::Policy>,
    /// Landlock, the second layer over the same paths.
    #[doc(hidden)]
    pub landlock: Landlock,
    /// Limits that belljar's supervisor enforces.
    #[doc(hidden)]
    pub limits: Limits,
    /// Limits that only a control group can enforce.
    #[doc(hidden)]
    pub resources: Resources,
}

impl Profile {
    /// What a text makes that says nothing: no namespaces, no filter, no limits.
    pub(crate) fn empty() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            namespaces: BTreeSet::new(),
            joined: BTreeMap::new(),
            uid_mappings: IdMap::One,
            gid_mappings: IdMap::One,
            hostname: None,
            workdir: Workdir::None,
            symlinks: Symlinks::System,
            sockets: Sockets::Tell,
            root: Root::default(),
            process: Process::default(),
            mounts: Vec::new(),
            masked_paths: Vec::new(),
            readonly_paths: Vec::new(),
            seccomp: None,
            landlock: Landlock { require: true, ..Landlock::default() },
            limits: Limits::default(),
            resources: Resources::default(),
        }
    }
}

/// A kernel namespace, by its OCI name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Namespace {
    /// `CLONE_NEWUSER`
    User,
    /// `CLONE_NEWNS`
    Mount,
    /// `CLONE_NEWPID`
    Pid,
    /// `CLONE_NEWIPC`
    Ipc,
    /// `CLONE_NEWUTS`
    Uts,
    /// `CLONE_NEWNET`: without it the sandbox has the host's network.
    Network,
    /// `CLONE_NEWCGROUP`
    Cgroup,
    /// `CLONE_NEWTIME`
    Time,
}

/// Which ids a user namespace maps (user_namespaces(7)). All others show as the overflow id (65534), and
/// nothing can become one.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum IdMap {
    /// The id of `process.user` alone: the caller's own on the host or, for root, one that nothing else
    /// has.
    #[default]
    One,
    /// For an ordinary user: 0 is the caller's own id, and 1 and above are its subordinate ids (subuid(5)).
    /// For root: 65536 ids that nothing else has.
    Auto,
    /// These.
    Ranges(Vec<IdRange>),
}

/// A range of ids inside, and what they are on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct IdRange {
    /// The first id inside.
    pub inside: u32,
    /// The first id on the host.
    pub outside: u32,
    /// How many there are.
    pub count: u32,
}

/// How the caller's working directory appears inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Workdir {
    /// Not at all.
    #[default]
    None,
    /// Bound at the same path, read-only, and the process starts there.
    Readonly,
    /// Bound at the same path, writable, and the process starts there.
    Writable,
}

/// Which symlinks are followed on the way to a file or directory of the host that is shown. Whoever could
/// write to a directory that an earlier run was given can have left a symlink there, which leads the next run
/// elsewhere. A profile's `system` mounts are followed in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Symlinks {
    /// The system's own: root's, in a directory of root's that no other user can write to, and that is `/`,
    /// `/home`, `/run`, `/var`, or in a tree that the distribution's packages own (`/etc`, `/usr`, `/bin`,
    /// `/sbin`, `/lib*`, `/nix/store`, `/gnu/store`).
    #[default]
    System,
    /// All.
    Follow,
}

/// What is done where a directory would show sockets or FIFOs of the host: one who reaches it talks to a
/// process outside. Where the kernel's Landlock holds sockets that are connected to by path (ABI 9), none is
/// reached, and nothing is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Sockets {
    /// It is an error. The look is bounded: see SECURITY.md.
    Refuse,
    /// The directory is shown, and it is said once.
    #[default]
    Tell,
    /// The directory is shown.
    Allow,
}

/// The root file system.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Root {
    /// A directory that becomes the root (`--rootfs`); `None` builds a minimal root on a tmpfs.
    pub path: Option<PathBuf>,
    /// Whether a `path` has to be given before anything can run (`container`).
    pub path_required: bool,
    /// Whether the root itself is read-only once it is built.
    pub readonly: bool,
    /// With `path`: writes go to a tmpfs that is thrown away (`--overlay-tmp`).
    pub overlay: bool,
    /// Bytes that the root's own tmpfs (or the overlay's upper layer) may hold.
    pub size: u64,
    /// Files that the same may hold.
    pub inodes: u64,
    /// Whether `/etc` is made by belljar (passwd, group, hosts, …). Only without `path`.
    pub synthetic_etc: bool,
    /// Programs whose directories in the host's `/etc` the synthetic one shows, read-only, where they are
    /// installed: names without a version (`java`), or `*` for all. Nothing that configures the machine, and
    /// nothing that not everybody may read.
    pub etc_programs: BTreeSet<String>,
}

impl Default for Root {
    /// What a profile has that says nothing about it and has no namespaces.
    fn default() -> Self {
        Self {
            path: None,
            path_required: false,
            readonly: false,
            overlay: false,
            size: 16 << 20,
            inodes: 4096,
            synthetic_etc: false,
            etc_programs: BTreeSet::new(),
        }
    }
}

/// The process that is started.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Process {
    /// The working directory inside. `None`: the caller's where `workdir` shows it, else `/tmp` or `/`.
    pub cwd: Option<PathBuf>,
    /// `K=V` sets a variable, `K` passes the caller's on (if it is set). Nothing else goes in.
    pub env: Vec<String>,
    /// The ids inside. `None`: the caller's own, or 1000:1000 for root.
    pub user: Option<User>,
    /// Capabilities that are kept. Mostly none.
    pub capabilities: CapabilitySet,
    /// `PR_SET_NO_NEW_PRIVS`; false is only accepted with namespaces.
    pub no_new_privileges: bool,
    /// The file mode creation mask.
    pub umask: u32,
    /// Resource limits by their OCI name without `RLIMIT_`, lower case (`nofile`). `cpu` and `fsize` are
    /// never among them: see [`Limits`].
    pub rlimits: BTreeMap<String, Rlimit>,
    /// How its CPU time is scheduled. `None`: as the caller's, but never in real time.
    pub scheduler: Option<Scheduler>,
    /// How its disk accesses are scheduled. `None`: as the caller's, but never in real time.
    pub io_priority: Option<IoPriority>,
}

impl Default for Process {
    /// What a profile has that says nothing about it.
    fn default() -> Self {
        Self {
            cwd: None,
            env: Vec::new(),
            user: None,
            capabilities: CapabilitySet::EMPTY,
            no_new_privileges: true,
            umask: 0o022,
            rlimits: BTreeMap::new(),
            scheduler: None,
            io_priority: None,
        }
    }
}

/// Soft and hard value of a resource limit; `None` is `RLIM_INFINITY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Rlimit {
    /// What is enforced.
    pub soft: Option<u64>,
    /// How far the process may raise it.
    pub hard: Option<u64>,
}

/// A user and a group id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct User {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
}

/// Whether and how Landlock is used.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Landlock {
    /// `require`: an error where the kernel has none; `off`: not used.
    pub require: bool,
    /// Scopes that must hold (`signal`, `abstract-unix-socket`). Where namespaces hold the same line already,
    /// scopes are added when the kernel has them and need not be listed.
    pub scopes: BTreeSet<Scope>,
}

/// A Landlock scope (ABI 6, Linux 6.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Scope {
    /// No signal to a process outside.
    Signal,
    /// No connection to an abstract unix socket outside.
    AbstractUnixSocket,
}

/// Limits that the supervisor enforces; `None` is unlimited.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Limits {
    /// Wall time for the whole run.
    pub timeout: Option<Duration>,
    /// CPU time of each process (`RLIMIT_CPU`), whole seconds.
    pub cpu_time: Option<Duration>,
    /// Bytes of standard output and standard error together.
    pub output: Option<u64>,
    /// What is written beyond `output` is thrown away; otherwise it ends the run.
    pub output_truncated: bool,
    /// Bytes a single file may have (`RLIMIT_FSIZE`).
    pub file_size: Option<u64>,
}

/// Limits of the whole sandbox, which only a control group can enforce.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Resources {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Bytes of memory and swap together, as OCI counts; `None`: no swap.
    pub swap: Option<u64>,
    /// Number of processes and threads.
    pub pids: Option<u64>,
    /// CPUs, in thousandths.
    pub cpus: Option<u64>,
    /// Its part of the CPUs where others want them too (`cpu.shares`, 2 to 262144; 1024 is everybody's).
    pub cpu_shares: Option<u64>,
    /// CPU time of everything in it together.
    pub cpu_time: Option<Duration>,
    /// Its part of what disks do where others want them too (1 to 1000; 100 is everybody's).
    pub io_weight: Option<u64>,
    /// What may be read from and written to disks, at most one of a kind for each.
    pub throttles: Vec<Throttle>,
    /// The control group that the sandbox's is made in, from the tree's root; `None`: the caller's own.
    pub cgroup_parent: Option<PathBuf>,
    /// What enforces all this.
    pub enforce: Enforce,
}

/// What may be read from, or written to, a disk in a second (OCI's `blockIO.throttle…Device`).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Throttle {
    /// The disk, or what is on it.
    pub path: PathBuf,
    /// What is counted.
    pub kind: Throttled,
    /// How much of it.
    pub rate: u64,
}

/// What a [`Throttle`] counts, each second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::exhaustive_enums)]
pub enum Throttled {
    /// Bytes read.
    ReadBps,
    /// Bytes written.
    WriteBps,
    /// Reads.
    ReadIops,
    /// Writes.
    WriteIops,
}

/// What enforces the limits of memory, processes, CPUs and CPU time (`resources`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Enforce {
    /// A control group of the sandbox's own; an error where there is none to be had.
    #[default]
    Cgroup,
    /// Resource limits, which hold for each process (memory as address space, CPU time) or count within the
    /// user namespace (processes); weaker, and never chosen but by name. An error for what they cannot stand
    /// in for.
    Rlimit,
}
