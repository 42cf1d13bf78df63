//! Named groups of system calls: what a profile lists in place of two hundred names.
//!
//! A profile writes `syscalls = [{ names = ["@belljar-strict", "ptrace"], action = "allow" }]`; [`resolve()`]
//! turns each such entry into [`Rule`](super::Rule)s. The first rule that matches a call decides, so an entry
//! of a profile's own goes *before* the group that it should overrule.
//!
//! # Editions
//!
//! Groups grow as the kernel does. `@file-system` is the newest edition, `@file-system.1` is what the group
//! held in edition 1, nested groups included, and never changes again. Edition 1 is Linux 6.12, edition 2 is
//! Linux 7.0 ([`EDITION`]). A group never loses a call, unless that closes a hole: then it does in every
//! edition, and the change log says so.
//!
//! # Plain groups (any action)
//!
//! | name | what it holds |
//! | --- | --- |
//! | `@aio` | kernel asynchronous I/O (`io_submit`, …) |
//! | `@basic-io` | read, write, seek, close, duplicate, pipe |
//! | `@chown` | change a file's owner |
//! | `@clock` | set the clock |
//! | `@cpu-emulation` | segment tables and the like (`modify_ldt`, …) |
//! | `@debug` | tracing other processes, performance counters |
//! | `@default` | what every program needs to start, wait and end |
//! | `@file-handle` | files by handle (`open_by_handle_at`: CVE-2014-3519, "shocker") |
//! | `@file-system` | open, stat, create, rename, link, remove, attributes |
//! | `@inotify` | watch files (inotify) |
//! | `@io-event` | poll, select, epoll, eventfd |
//! | `@io-uring` | io_uring |
//! | `@ipc` | System V and POSIX queues, semaphores, shared memory; pipes, memfd |
//! | `@kexec` | load another kernel |
//! | `@keyring` | kernel keys (not namespaced) |
//! | `@memory` | map, protect, advise, seal, lock memory |
//! | `@module` | load kernel modules |
//! | `@mount` | mount, unmount, change roots |
//! | `@network-io` | sockets |
//! | `@numa` | memory policy and page migration |
//! | `@obsolete` | calls that no new program makes |
//! | `@pkey` | memory protection keys |
//! | `@privileged` | all that needs a capability in the host's own namespaces |
//! | `@process` | create, replace, signal, wait for processes; names, sessions, limits |
//! | `@ptrace` | read and control other processes (part of `@debug`) |
//! | `@raw-io` | ports and PCI |
//! | `@reboot` | reboot, and `@kexec` |
//! | `@resources` | priorities, scheduling, limits, memory policy |
//! | `@sandbox` | Landlock and seccomp: a program that sandboxes itself |
//! | `@setuid` | change one's own ids |
//! | `@signal` | signals |
//! | `@swap` | swap space |
//! | `@sync` | write back to disk |
//! | `@timer` | timers and alarms |
//! | `@known` | every system call that belljar knows; see below |
//!
//! # Groups with arguments
//!
//! The *sets* decide over every call that they name: allowed as described, else refused with the errno given.
//! They can be used with the actions `allow` and `log`, without `args` of the entry.
//!
//! | name | allows | else |
//! | --- | --- | --- |
//! | `@clone-no-namespaces` | `clone` without any `CLONE_NEW*`; `clone3` is always ENOSYS (its flags are out of a filter's sight, CVE-2021-41133; libc falls back to `clone`) | EPERM |
//! | `@unshare-no-namespaces` | `unshare` without any `CLONE_NEW*` | EPERM |
//! | `@socket-pair` | `socketpair` of `AF_UNIX` with `SOCK_STREAM` or `SOCK_SEQPACKET` (a datagram socket sends to any address: ESOCKTNOSUPPORT), no `socket` at all | EAFNOSUPPORT |
//! | `@socket-local` | `socket` and `socketpair` of `AF_UNIX` | EAFNOSUPPORT |
//! | `@socket-inet` | also `AF_INET` and `AF_INET6` with the protocols 0, ICMP, TCP, UDP, ICMPv6 (no MPTCP, SCTP, DCCP, L2TP: EPROTONOSUPPORT), no `SOCK_PACKET`: ESOCKTNOSUPPORT, and `AF_NETLINK` with `NETLINK_ROUTE` | EAFNOSUPPORT |
//! | `@ioctl-no-terminal-injection` | `ioctl` but `TIOCSTI`, `TIOCLINUX`, `TIOCSETD` (low 32 bits compared, CVE-2019-10063) | EPERM |
//! | `@fcntl-no-leases` | `fcntl` but `F_SETLEASE`, `F_SETDELEG` and `F_NOTIFY` (they block and watch other processes that share the file) | EPERM |
//! | `@prctl-safe` | `prctl` but `PR_SET_MM` and `PR_SET_IO_FLUSHER` | EPERM |
//! | `@attributes-keep` | `utimensat` of an open descriptor; no other call that changes modes, owners, times or extended attributes, for which Landlock has no right | EPERM |
//! | `@own-resources` | `prlimit64`, `sched_setaffinity`, `setpriority` of oneself (pid 0); asking `prlimit64` about any process | EPERM |
//! | `@send-no-oob` | `send*` without `MSG_OOB` (CVE-2025-38236) | EOPNOTSUPP |
//! | `@personality-query` | `personality(0xffffffff)`, which asks, and `personality(0)`, `PER_LINUX` | EPERM |
//! | `@personality-debug` | as `@personality-linux`, and `ADDR_NO_RANDOMIZE` | EPERM |
//! | `@personality-linux` | also `PER_LINUX32`, each with and without `UNAME26` | EPERM |
//! | `@mknod-no-devices` | `mknod` and `mknodat` of files, FIFOs and sockets | EPERM |
//!
//! These sets only refuse, and leave the rest to the entries after them; they are for `allow` and `log` as
//! well.
//!
//! | name | refuses | with |
//! | --- | --- | --- |
//! | `@no-set-id` | modes with `S_ISUID` or `S_ISGID` in `chmod`, `fchmod`, `fchmodat`, `fchmodat2`, `creat`, `mkdir`, `mkdirat`, `mknod`, `mknodat`, and in `open` and `openat` that create | EPERM |
//! | | `openat2`, `io_uring_setup`: a filter cannot see their modes | ENOSYS |
//! | `@core-limit-keep` | a change of `RLIMIT_CORE`, which is 1 (0 starts the host's crash handler): answered as done | success |
//! | `@init-resources-keep` | `prlimit64`, `sched_set*`, `setpriority`, `ioprio_set` of PID 1, and of a user as a whole | EPERM |
//! | `@ioctl-no-file-flags` | `FS_IOC_SETFLAGS`, `FS_IOC_FSSETXATTR`, `FS_IOC_SETVERSION`, `file_setattr` and all other `ioctl` of ext4, XFS, Btrfs and F2FS but flags asked for, extents asked for, `FICLONE`, `FICLONERANGE`, `FIDEDUPERANGE` | EOPNOTSUPP |
//! | `@no-huge-pages` | `MAP_HUGETLB`, `MFD_HUGETLB`, `SHM_HUGETLB` | ENOMEM, `shmget` EPERM |
//!
//! For deny-lists (any action): `@terminal-injection` is `ioctl` with one of the three requests above,
//! `@clone-namespaces` is `clone` with any `CLONE_NEW*` flag.
//!
//! # The composed policies
//!
//! Made of all the above, for `allow` (or `log`, to learn):
//!
//! * `@belljar-strict`: untrusted computation. Files, memory, threads, children, timers, pipes, unix sockets.
//! * `@belljar-standard`: ordinary programs. Also Internet sockets, System V IPC, inotify, scheduling.
//! * `@belljar-build`: also ptrace of one's own, `ADDR_NO_RANDOMIZE`: sanitizers, debuggers, `strace`.
//! * `@belljar-container`: root in a container of its own. Also `chroot`, `mknod`, `setgroups`, kernel AIO,
//!   ptrace of one's own. Without `@no-set-id`, which the plan puts before it wherever what is made reaches
//!   the host.
//!
//! None of them has namespaces, mounts, modules, keys, io_uring, BPF, performance counters, userfaultfd,
//! kexec, clocks, swap, reboot, handles to reopen files (the container's may only make them), or the kernel
//! log.
//!
//! # Which errno for the rest
//!
//! A libc takes ENOSYS as "this kernel is older", and falls back; it takes EPERM as an answer. So the best
//! default action of an allow-list is ENOSYS, for calls that are newer than belljar, with `@known` and EPERM
//! as its last entry, for those that are known and not allowed. It costs no more than a few instructions.
//!
//! ```
//! use belljar::internals::seccomp::{Action, Arch, Policy, Unknown, compile, groups};
//!
//! let policy = Policy::new(Action::Errno(38)) // ENOSYS
//!     .with(groups::resolve(&["@belljar-strict"], Action::Allow, &[])?)
//!     .with(groups::resolve(&["@known"], Action::Errno(1), &[])?); // EPERM
//! let program = compile(&policy, Arch::NATIVE, Unknown::Refuse)?.program;
//! assert!(program.instructions.len() < 400);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod calls;
mod policies;
mod resolve;
mod sets;

use std::fmt;

use super::packed::Words;
#[cfg(any(test, feature = "internals"))]
use super::packed::words;
use super::{Action, Condition};
pub use resolve::{GroupError, resolve};

/// The newest edition of the groups.
pub const EDITION: u32 = 2;

/// A named group of system calls.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Group {
    /// With its `@`.
    pub name: &'static str,
    /// The edition that last added something to its own entries.
    pub version: u32,
    /// One line.
    pub description: &'static str,
    entries: &'static [Entry],
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Group {
    /// The system calls and nested groups (`@…`) that it names, in order, without the conditions.
    #[cfg(any(test, feature = "internals"))]
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries.iter().flat_map(|entry| match entry.what {
            What::Names(names) | What::Rule { names, .. } => names.iter(),
            What::Known => words!(&[]).iter(),
        })
    }
}

/// Something in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// The edition that brought it.
    since: u32,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// System calls and groups, with any arguments.
    Names(Words),
    /// System calls under conditions, or with an action of the group's own.
    Rule { names: Words, args: &'static [Condition], verdict: Verdict },
    /// Every known system call.
    Known,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// The action of the profile's entry.
    Asked,
    /// Always this one.
    Fixed(Action),
}

/// All groups, sorted by name.
pub fn groups() -> impl Iterator<Item = &'static Group> {
    let mut all: Vec<_> = calls::GROUPS.iter().chain(sets::GROUPS).chain(policies::GROUPS).collect();
    all.sort_by_key(|group| group.name);
    all.into_iter()
}

/// A group by its name with the `@`, without a version.
#[must_use]
pub fn group(name: &str) -> Option<&'static Group> {
    calls::GROUPS.iter().chain(sets::GROUPS).chain(policies::GROUPS).find(|group| group.name == name)
}

/// The rules of `@no-set-id`.
pub(crate) fn no_set_id() -> Vec<super::Rule> {
    resolve(&["@no-set-id"], Action::Allow, &[]).expect("a group of the table, for allowing")
}

// The tables' own words.

const fn group_of(name: &'static str, description: &'static str, entries: &'static [Entry]) -> Group {
    let mut version = 1;
    let mut at = 0;
    while at < entries.len() {
        if entries[at].since > version {
            version = entries[at].since;
        }
        at += 1;
    }
    Group { name, version, description, entries }
}

/// Names of calls and groups.
macro_rules! names {
    ($names:expr $(,)?) => {
        $crate::seccomp::groups::since!(1, $names)
    };
}

/// As `names`, of a file.
macro_rules! listed {
    ($file:expr) => {{
        use $crate::seccomp::groups::{Entry, What};
        Entry { since: 1, what: What::Names($crate::seccomp::packed::Words::new(include_bytes!($file))) }
    }};
}

/// As `names`, that an edition brought.
macro_rules! since {
    ($since:expr, $names:expr $(,)?) => {{
        use $crate::seccomp::groups::{Entry, What};
        Entry { since: $since, what: What::Names($crate::seccomp::packed::words!($names)) }
    }};
}

/// The profile's action under conditions.
macro_rules! when {
    ($names:expr, $args:expr $(,)?) => {{
        use $crate::seccomp::groups::{Verdict, rule};
        rule($crate::seccomp::packed::words!($names), $args, Verdict::Asked)
    }};
}

/// Refused under conditions.
macro_rules! refuse {
    ($names:expr, $args:expr, $errno:expr $(,)?) => {{
        use $crate::seccomp::groups::{Verdict, rule};
        let refused = $crate::seccomp::Action::Errno($errno as u16);
        rule($crate::seccomp::packed::words!($names), $args, Verdict::Fixed(refused))
    }};
}

use {listed, names, refuse, since, when};

const fn rule(names: Words, args: &'static [Condition], verdict: Verdict) -> Entry {
    Entry { since: 1, what: What::Rule { names, args, verdict } }
}
