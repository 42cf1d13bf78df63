//! The groups with arguments.
//!
//! The kernel reads most of these arguments as `int`: the upper half of the register is the caller's to choose, so the
//! comparisons are masked to the half that the kernel uses (CVE-2019-10063 was a comparison of all 64 bits).

use libc::{EAFNOSUPPORT, ENOSYS, EOPNOTSUPP, EPERM, EPROTONOSUPPORT};

use super::{Group, group_of, names, refuse, when};
use crate::seccomp::{Condition, Op};

pub(super) const GROUPS: &[Group] = &[
    group_of(
        "@attributes-keep",
        "no change of modes, owners and extended attributes, of times only by descriptor",
        ATTRIBUTES_KEEP,
    ),
    group_of("@clone-namespaces", "clone with any CLONE_NEW* flag", CLONE_NAMESPACES),
    group_of(
        "@clone-no-namespaces",
        "clone without any CLONE_NEW* flag, clone3 is ENOSYS",
        CLONE_NO_NAMESPACES,
    ),
    group_of("@fcntl-no-leases", "fcntl but F_SETLEASE and F_NOTIFY", FCNTL_NO_LEASES),
    group_of("@ioctl-no-terminal-injection", "ioctl but TIOCSTI, TIOCLINUX and TIOCSETD", IOCTL_NO_INJECTION),
    group_of("@mknod-no-devices", "mknod of files, FIFOs and sockets", MKNOD_NO_DEVICES),
    group_of(
        "@own-resources",
        "limits, niceness and processors of oneself, not of another process",
        OWN_RESOURCES,
    ),
    group_of("@personality-linux", "personality PER_LINUX, PER_LINUX32, UNAME26, query", PERSONALITY_LINUX),
    group_of("@personality-query", "personality PER_LINUX and query", PERSONALITY_QUERY),
    group_of("@prctl-safe", "prctl but PR_SET_MM and PR_SET_IO_FLUSHER", PRCTL_SAFE),
    group_of("@send-no-oob", "sending on sockets without MSG_OOB", SEND_NO_OOB),
    group_of("@socket-inet", "sockets of AF_UNIX, AF_INET, AF_INET6, and AF_NETLINK for routes", SOCKET_INET),
    group_of("@socket-local", "sockets of AF_UNIX", SOCKET_LOCAL),
    group_of("@socket-pair", "socketpair of AF_UNIX", SOCKET_PAIR),
    group_of("@terminal-injection", "ioctl with TIOCSTI, TIOCLINUX or TIOCSETD", TERMINAL_INJECTION),
    group_of("@unshare-no-namespaces", "unshare without any CLONE_NEW* flag", UNSHARE_NO_NAMESPACES),
];

/// The lower half of argument `index` is `value`.
const fn int(index: u8, value: u32) -> Condition {
    masked(index, 0xffff_ffff, value)
}

/// `(argument & mask) == value`.
const fn masked(index: u8, mask: u32, value: u32) -> Condition {
    Condition { index, op: Op::MaskedEq(mask as u64), value: value as u64 }
}

/// `CLONE_NEW*` in `clone`'s flags. `CLONE_NEWTIME` is not among them: its bit is part of the exit signal there.
const CLONE_NEW: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;
/// `CLONE_NEWTIME`, which `unshare` takes.
const CLONE_NEWTIME: u32 = 0x80;

/// Argument `index` is a null pointer: all 64 bits.
const fn null(index: u8) -> Condition {
    Condition { index, op: Op::Eq, value: 0 }
}

const fn flag(flag: i32) -> [Condition; 1] {
    [masked(0, flag as u32, flag as u32)]
}

const CLONE_NAMESPACES: &[super::Entry] = &[
    when!(&["clone"], &flag(libc::CLONE_NEWNS)),
    when!(&["clone"], &flag(libc::CLONE_NEWCGROUP)),
    when!(&["clone"], &flag(libc::CLONE_NEWUTS)),
    when!(&["clone"], &flag(libc::CLONE_NEWIPC)),
    when!(&["clone"], &flag(libc::CLONE_NEWUSER)),
    when!(&["clone"], &flag(libc::CLONE_NEWPID)),
    when!(&["clone"], &flag(libc::CLONE_NEWNET)),
];

const CLONE_NO_NAMESPACES: &[super::Entry] = &[
    when!(&["clone"], &[masked(0, CLONE_NEW, 0)]),
    refuse!(&["clone"], &[], EPERM),
    refuse!(&["clone3"], &[], ENOSYS),
];

const UNSHARE_NO_NAMESPACES: &[super::Entry] =
    &[when!(&["unshare"], &[masked(0, CLONE_NEW | CLONE_NEWTIME, 0)]), refuse!(&["unshare"], &[], EPERM)];

const FCNTL: &[&str] = &["fcntl", "fcntl64"];

const FCNTL_NO_LEASES: &[super::Entry] = &[
    refuse!(FCNTL, &[int(1, libc::F_SETLEASE as u32)], EPERM),
    refuse!(FCNTL, &[int(1, libc::F_NOTIFY as u32)], EPERM),
    names!(FCNTL),
];

/// `TIOCSTI`, `TIOCLINUX` and `TIOCSETD` are the same on all architectures that use the generic `ioctls.h`.
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;
const TIOCSETD: u32 = 0x5423;

const IOCTL_NO_INJECTION: &[super::Entry] = &[
    refuse!(&["ioctl"], &[int(1, TIOCSTI)], EPERM),
    refuse!(&["ioctl"], &[int(1, TIOCLINUX)], EPERM),
    refuse!(&["ioctl"], &[int(1, TIOCSETD)], EPERM),
    names!(&["ioctl"]),
];

const TERMINAL_INJECTION: &[super::Entry] = &[
    when!(&["ioctl"], &[int(1, TIOCSTI)]),
    when!(&["ioctl"], &[int(1, TIOCLINUX)]),
    when!(&["ioctl"], &[int(1, TIOCSETD)]),
];

// The kernel takes the mode as 16 bits. `0x7000` keeps the three bits that tell `S_IFREG` and 0 (which means it)
// from the rest; character and block devices are 0x2000 and 0x6000.
const MKNOD_NO_DEVICES: &[super::Entry] = &[
    when!(&["mknod"], &[masked(1, 0x7000, 0)]),
    when!(&["mknod"], &[masked(1, libc::S_IFMT, libc::S_IFIFO)]),
    when!(&["mknod"], &[masked(1, libc::S_IFMT, libc::S_IFSOCK)]),
    when!(&["mknodat"], &[masked(2, 0x7000, 0)]),
    when!(&["mknodat"], &[masked(2, libc::S_IFMT, libc::S_IFIFO)]),
    when!(&["mknodat"], &[masked(2, libc::S_IFMT, libc::S_IFSOCK)]),
    refuse!(&["mknod", "mknodat"], &[], EPERM),
];

const PERSONALITY_QUERY: &[super::Entry] = &[
    when!(&["personality"], &[int(0, 0)]),
    when!(&["personality"], &[int(0, 0xffff_ffff)]),
    refuse!(&["personality"], &[], EPERM),
];

// PER_LINUX is 0, PER_LINUX32 is 8, UNAME26 is 0x20000: any of the two bits, and no other.
const PERSONALITY_LINUX: &[super::Entry] = &[
    when!(&["personality"], &[masked(0, !0x0002_0008, 0)]),
    when!(&["personality"], &[int(0, 0xffff_ffff)]),
    refuse!(&["personality"], &[], EPERM),
];

// PR_SET_MM forges /proc/PID/cmdline and the like; PR_SET_IO_FLUSHER lets a process use the memory reserves.
const PRCTL_SAFE: &[super::Entry] = &[
    refuse!(&["prctl"], &[int(0, libc::PR_SET_MM as u32)], EPERM),
    refuse!(&["prctl"], &[int(0, 57)], EPERM),
    names!(&["prctl"]),
];

/// What changes a file's attributes, by path or by descriptor.
const ATTRIBUTES: &[&str] = &[
    "chmod",
    "chown",
    "chown32",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "fchown",
    "fchown32",
    "fchownat",
    "file_setattr",
    "fremovexattr",
    "fsetxattr",
    "futimesat",
    "lchown",
    "lchown32",
    "lremovexattr",
    "lsetxattr",
    "removexattr",
    "removexattrat",
    "setxattr",
    "setxattrat",
    "utime",
    "utimensat",
    "utimensat_time64",
    "utimes",
];

// Without mounts of its own a sandbox has Landlock alone between it and its user's files, and Landlock knows no right for
// these (landlock(7), "File-system actions that cannot be restricted"). Times of a file that could be opened remain, as
// `touch` and `tar` set them: no path (argument 1) means the descriptor itself, which may not be one of O_PATH.
const ATTRIBUTES_KEEP: &[super::Entry] =
    &[when!(&["utimensat", "utimensat_time64"], &[null(1)]), refuse!(ATTRIBUTES, &[], EPERM)];

// The kernel lets a process set the limits of every other of its user's (prlimit(2)), whether it may signal or trace it or
// not: RLIMIT_CPU kills. No other process can be meant by 0.
// (PRIO_PROCESS is 0.)
const OWN_RESOURCES: &[super::Entry] = &[
    when!(&["prlimit64"], &[int(0, 0)]),
    when!(&["prlimit64"], &[null(2)]),
    when!(&["sched_setaffinity"], &[int(0, 0)]),
    when!(&["setpriority"], &[int(0, 0), int(1, 0)]),
    refuse!(&["prlimit64", "sched_setaffinity", "setpriority"], &[], EPERM),
];

// Out-of-band data on unix sockets, which nobody needs and which has had one use after free after the other
// (CVE-2025-38236 led from a renderer's sandbox to the kernel). The answer is that of a kernel without it.
const SEND_NO_OOB: &[super::Entry] = &[
    refuse!(&["sendmsg"], &[masked(2, libc::MSG_OOB as u32, libc::MSG_OOB as u32)], EOPNOTSUPP),
    refuse!(
        &["send", "sendmmsg", "sendto"],
        &[masked(3, libc::MSG_OOB as u32, libc::MSG_OOB as u32)],
        EOPNOTSUPP,
    ),
    names!(&["send", "sendmmsg", "sendmsg", "sendto"]),
];

const UNIX: Condition = int(0, libc::AF_UNIX as u32);
/// `AF_INET` is 2 and `AF_INET6` is 10: one bit apart.
const INET: Condition = masked(0, !8, libc::AF_INET as u32);

const SOCKET_PAIR: &[super::Entry] =
    &[when!(&["socketpair"], &[UNIX]), refuse!(&["socket", "socketpair", "socketcall"], &[], EAFNOSUPPORT)];

const SOCKET_LOCAL: &[super::Entry] = &[
    when!(&["socket", "socketpair"], &[UNIX]),
    refuse!(&["socket", "socketpair", "socketcall"], &[], EAFNOSUPPORT),
];

// Nothing else: AF_VSOCK is not namespaced (a channel to the host of a virtual machine), AF_ALG, AF_PACKET, AF_KEY,
// AF_XDP, AF_RDS, AF_TIPC, AF_CAN, AF_BLUETOOTH and the other netlink protocols are kernel surface with a history.
const SOCKET_INET: &[super::Entry] = &[
    when!(&["socket", "socketpair"], &[UNIX]),
    // 0 and IPPROTO_ICMP are one bit apart too.
    when!(&["socket"], &[INET, masked(2, !1, 0)]),
    when!(&["socket"], &[INET, int(2, libc::IPPROTO_TCP as u32)]),
    when!(&["socket"], &[INET, int(2, libc::IPPROTO_UDP as u32)]),
    when!(&["socket"], &[INET, int(2, libc::IPPROTO_ICMPV6 as u32)]),
    refuse!(&["socket"], &[INET], EPROTONOSUPPORT),
    when!(&["socket"], &[int(0, libc::AF_NETLINK as u32), int(2, libc::NETLINK_ROUTE as u32)]),
    refuse!(&["socket", "socketpair", "socketcall"], &[], EAFNOSUPPORT),
];
