//! The groups with arguments.
//!
//! The kernel reads most of these arguments as `int`: the upper half of the register is the caller's to choose, so the
//! comparisons are masked to the half that the kernel uses (CVE-2019-10063 was a comparison of all 64 bits).

use libc::{EAFNOSUPPORT, ENOSYS, EPERM, EPROTONOSUPPORT};

use super::{Group, group_of, names, refuse, when};
use crate::seccomp::{Condition, Op};

pub(super) const GROUPS: &[Group] = &[
    group_of("@clone-namespaces", "clone with any CLONE_NEW* flag", CLONE_NAMESPACES),
    group_of(
        "@clone-no-namespaces",
        "clone without any CLONE_NEW* flag, clone3 is ENOSYS",
        CLONE_NO_NAMESPACES,
    ),
    group_of("@fcntl-no-leases", "fcntl but F_SETLEASE and F_NOTIFY", FCNTL_NO_LEASES),
    group_of("@ioctl-no-terminal-injection", "ioctl but TIOCSTI, TIOCLINUX and TIOCSETD", IOCTL_NO_INJECTION),
    group_of("@mknod-no-devices", "mknod of files, FIFOs and sockets", MKNOD_NO_DEVICES),
    group_of("@personality-linux", "personality PER_LINUX, PER_LINUX32, UNAME26, query", PERSONALITY_LINUX),
    group_of("@personality-query", "personality PER_LINUX and query", PERSONALITY_QUERY),
    group_of("@prctl-safe", "prctl but PR_SET_MM and PR_SET_IO_FLUSHER", PRCTL_SAFE),
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

const fn flag(flag: i32) -> [Condition; 1] {
    [masked(0, flag as u32, flag as u32)]
}

const CLONE_NAMESPACES: &[super::Entry] = &[
    when(&["clone"], &flag(libc::CLONE_NEWNS)),
    when(&["clone"], &flag(libc::CLONE_NEWCGROUP)),
    when(&["clone"], &flag(libc::CLONE_NEWUTS)),
    when(&["clone"], &flag(libc::CLONE_NEWIPC)),
    when(&["clone"], &flag(libc::CLONE_NEWUSER)),
    when(&["clone"], &flag(libc::CLONE_NEWPID)),
    when(&["clone"], &flag(libc::CLONE_NEWNET)),
];

const CLONE_NO_NAMESPACES: &[super::Entry] = &[
    when(&["clone"], &[masked(0, CLONE_NEW, 0)]),
    refuse(&["clone"], &[], EPERM),
    refuse(&["clone3"], &[], ENOSYS),
];

const UNSHARE_NO_NAMESPACES: &[super::Entry] =
    &[when(&["unshare"], &[masked(0, CLONE_NEW | CLONE_NEWTIME, 0)]), refuse(&["unshare"], &[], EPERM)];

const FCNTL: &[&str] = &["fcntl", "fcntl64"];

const FCNTL_NO_LEASES: &[super::Entry] = &[
    refuse(FCNTL, &[int(1, libc::F_SETLEASE as u32)], EPERM),
    refuse(FCNTL, &[int(1, libc::F_NOTIFY as u32)], EPERM),
    names(FCNTL),
];

/// `TIOCSTI`, `TIOCLINUX` and `TIOCSETD` are the same on all architectures that use the generic `ioctls.h`.
const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541c;
const TIOCSETD: u32 = 0x5423;

const IOCTL_NO_INJECTION: &[super::Entry] = &[
    refuse(&["ioctl"], &[int(1, TIOCSTI)], EPERM),
    refuse(&["ioctl"], &[int(1, TIOCLINUX)], EPERM),
    refuse(&["ioctl"], &[int(1, TIOCSETD)], EPERM),
    names(&["ioctl"]),
];

const TERMINAL_INJECTION: &[super::Entry] = &[
    when(&["ioctl"], &[int(1, TIOCSTI)]),
    when(&["ioctl"], &[int(1, TIOCLINUX)]),
    when(&["ioctl"], &[int(1, TIOCSETD)]),
];

// The kernel takes the mode as 16 bits. `0x7000` keeps the three bits that tell `S_IFREG` and 0 (which means it)
// from the rest; character and block devices are 0x2000 and 0x6000.
const MKNOD_NO_DEVICES: &[super::Entry] = &[
    when(&["mknod"], &[masked(1, 0x7000, 0)]),
    when(&["mknod"], &[masked(1, libc::S_IFMT, libc::S_IFIFO)]),
    when(&["mknod"], &[masked(1, libc::S_IFMT, libc::S_IFSOCK)]),
    when(&["mknodat"], &[masked(2, 0x7000, 0)]),
    when(&["mknodat"], &[masked(2, libc::S_IFMT, libc::S_IFIFO)]),
    when(&["mknodat"], &[masked(2, libc::S_IFMT, libc::S_IFSOCK)]),
    refuse(&["mknod", "mknodat"], &[], EPERM),
];

const PERSONALITY_QUERY: &[super::Entry] = &[
    when(&["personality"], &[int(0, 0)]),
    when(&["personality"], &[int(0, 0xffff_ffff)]),
    refuse(&["personality"], &[], EPERM),
];

// PER_LINUX is 0, PER_LINUX32 is 8, UNAME26 is 0x20000: any of the two bits, and no other.
const PERSONALITY_LINUX: &[super::Entry] = &[
    when(&["personality"], &[masked(0, !0x0002_0008, 0)]),
    when(&["personality"], &[int(0, 0xffff_ffff)]),
    refuse(&["personality"], &[], EPERM),
];

// PR_SET_MM forges /proc/PID/cmdline and the like; PR_SET_IO_FLUSHER lets a process use the memory reserves.
const PRCTL_SAFE: &[super::Entry] = &[
    refuse(&["prctl"], &[int(0, libc::PR_SET_MM as u32)], EPERM),
    refuse(&["prctl"], &[int(0, 57)], EPERM),
    names(&["prctl"]),
];

const UNIX: Condition = int(0, libc::AF_UNIX as u32);
/// `AF_INET` is 2 and `AF_INET6` is 10: one bit apart.
const INET: Condition = masked(0, !8, libc::AF_INET as u32);

const SOCKET_PAIR: &[super::Entry] =
    &[when(&["socketpair"], &[UNIX]), refuse(&["socket", "socketpair", "socketcall"], &[], EAFNOSUPPORT)];

const SOCKET_LOCAL: &[super::Entry] = &[
    when(&["socket", "socketpair"], &[UNIX]),
    refuse(&["socket", "socketpair", "socketcall"], &[], EAFNOSUPPORT),
];

// Nothing else: AF_VSOCK is not namespaced (a channel to the host of a virtual machine), AF_ALG, AF_PACKET, AF_KEY,
// AF_XDP, AF_RDS, AF_TIPC, AF_CAN, AF_BLUETOOTH and the other netlink protocols are kernel surface with a history.
const SOCKET_INET: &[super::Entry] = &[
    when(&["socket", "socketpair"], &[UNIX]),
    // 0 and IPPROTO_ICMP are one bit apart too.
    when(&["socket"], &[INET, masked(2, !1, 0)]),
    when(&["socket"], &[INET, int(2, libc::IPPROTO_TCP as u32)]),
    when(&["socket"], &[INET, int(2, libc::IPPROTO_UDP as u32)]),
    when(&["socket"], &[INET, int(2, libc::IPPROTO_ICMPV6 as u32)]),
    refuse(&["socket"], &[INET], EPROTONOSUPPORT),
    when(&["socket"], &[int(0, libc::AF_NETLINK as u32), int(2, libc::NETLINK_ROUTE as u32)]),
    refuse(&["socket", "socketpair", "socketcall"], &[], EAFNOSUPPORT),
];
