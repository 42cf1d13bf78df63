//! The composed policies: what the built-in profiles allow.
//!
//! The sets come first: they decide over every call that they name, before the plain groups below.

use libc::ENOSYS;

use super::{Entry, Group, group_of, names, refuse};

pub(super) const GROUPS: &[Group] = &[
    group_of("@belljar-strict", "untrusted computation", STRICT),
    group_of("@belljar-build", "compilers, debuggers and tests of one's own", BUILD),
    group_of("@belljar-standard", "ordinary programs, as container engines let them", STANDARD),
    group_of("@belljar-container", "root in a container of its own", CONTAINER),
];

/// Sets that all of them have.
const SETS: &[&str] = &[
    "@clone-no-namespaces",
    "@core-limit-keep",
    "@fcntl-no-leases",
    "@init-resources-keep",
    "@ioctl-no-file-flags",
    "@ioctl-no-terminal-injection",
    "@no-huge-pages",
    "@prctl-safe",
];

/// Plain groups that all of them have.
const PLAIN: &[&str] = &[
    "@default",
    "@basic-io",
    "@chown",
    "@file-system",
    "@io-event",
    "@pkey",
    "@sandbox",
    "@setuid",
    "@signal",
    "@timer",
];

const STRICT: &[Entry] = &[
    names!(SETS),
    names!(&["@no-set-id", "@socket-local", "@send-no-oob", "@personality-query", "@mknod-no-devices"]),
    names!(PLAIN),
    names!(STRICT_SYNC),
    names!(STRICT_NETWORK),
    names!(STRICT_PROCESS),
    names!(STRICT_MEMORY),
    names!(STRICT_RESOURCES),
];

/// `@sync` without `sync` and `syncfs`, which write back the whole host's files and make everybody wait.
const STRICT_SYNC: &[&str] =
    &["arm_sync_file_range", "fdatasync", "fsync", "msync", "sync_file_range", "sync_file_range2"];

/// On sockets that `@socket-local` lets through; `@send-no-oob` has those that send.
const STRICT_NETWORK: &[&str] = &[
    "accept",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockname",
    "getsockopt",
    "listen",
    "recv",
    "recvfrom",
    "recvmmsg",
    "recvmmsg_time64",
    "recvmsg",
    "setsockopt",
    "shutdown",
];

/// `@process` without `process_mrelease`, which serves out-of-memory daemons.
const STRICT_PROCESS: &[&str] = &[
    "capget",
    "capset",
    "fork",
    "kill",
    "pidfd_open",
    "pidfd_send_signal",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "setpgid",
    "setsid",
    "tgkill",
    "tkill",
    "vfork",
    "wait4",
    "waitid",
    "waitpid",
];

/// `@memory` without `mlockall`.
const STRICT_MEMORY: &[&str] =
    &["madvise", "memfd_create", "mlock", "mlock2", "mremap", "mseal", "munlock", "munlockall"];

/// Asking for priorities, lowering one's own, and choosing processors.
const STRICT_RESOURCES: &[&str] = &[
    "getpriority",
    "ioprio_get",
    "nice",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_rr_get_interval",
    "sched_rr_get_interval_time64",
    "sched_setaffinity",
    "setpriority",
    "setrlimit",
];

/// What container engines give over `@belljar-strict`.
const BROAD: &[&str] = &[
    "@inotify",
    "@ipc",
    "@memory",
    "@network-io",
    "@process",
    "@sync",
    "cachestat",
    "getpriority",
    "ioprio_get",
    "ioprio_set",
    "listmount",
    "memfd_secret",
    "mincore",
    "nice",
    "remap_file_pages",
    "sched_get_priority_max",
    "sched_get_priority_min",
    "sched_getattr",
    "sched_getparam",
    "sched_getscheduler",
    "sched_rr_get_interval",
    "sched_rr_get_interval_time64",
    "sched_setaffinity",
    "sched_setattr",
    "sched_setparam",
    "sched_setscheduler",
    "setpriority",
    "setrlimit",
    "statmount",
    "vmsplice",
];

const STANDARD: &[Entry] = &[
    names!(SETS),
    names!(&[
        "@no-set-id",
        "@socket-inet",
        "@personality-linux",
        "@mknod-no-devices",
        "@unshare-no-namespaces",
    ]),
    // All contexts of the host come out of one number, fs.aio-max-nr.
    refuse!(&["io_setup"], &[], ENOSYS),
    names!(PLAIN),
    names!(BROAD),
];

/// The first match decides: its own sets overrule those of `@belljar-standard`.
const BUILD: &[Entry] = &[names!(&["@personality-debug", "@ptrace", "@belljar-standard"])];

const CONTAINER: &[Entry] = &[
    names!(SETS),
    names!(&["@socket-inet", "@personality-linux", "@unshare-no-namespaces"]),
    names!(PLAIN),
    names!(BROAD),
    names!(&[
        "@aio",
        "@ptrace",
        "chroot",
        "name_to_handle_at",
        "setfsgid",
        "setfsgid32",
        "setfsuid",
        "setfsuid32",
        "setgroups",
        "setgroups32",
    ]),
];
