//! The groups with arguments.
//!
//! The kernel reads most of these arguments as `int`: the upper half of the register is the caller's to
//! choose, so the comparisons are masked to the half that the kernel uses (CVE-2019-10063 was a comparison of
//! all 64 bits).

use libc::{EAFNOSUPPORT, ENOMEM, ENOSYS, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT};

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
    group_of("@core-limit-keep", "no change of RLIMIT_CORE", CORE_LIMIT_KEEP),
    group_of("@fcntl-no-leases", "fcntl but F_SETLEASE, F_SETDELEG and F_NOTIFY", FCNTL_NO_LEASES),
    group_of("@init-resources-keep", "no change of the limits and priorities of PID 1", INIT_RESOURCES_KEEP),
    group_of(
        "@ioctl-no-file-flags",
        "ioctl but those of file systems that change a file by a descriptor of any mode",
        IOCTL_NO_FILE_FLAGS,
    ),
    group_of("@ioctl-no-terminal-injection", "ioctl but TIOCSTI, TIOCLINUX and TIOCSETD", IOCTL_NO_INJECTION),
    group_of("@mknod-no-devices", "mknod of files, FIFOs and sockets", MKNOD_NO_DEVICES),
    group_of("@no-huge-pages", "no mapping, file or segment of huge pages (hugetlb)", NO_HUGE_PAGES),
    group_of("@no-set-id", "no file or directory with a set-user-ID or set-group-ID bit", NO_SET_ID),
    group_of(
        "@own-resources",
        "limits, niceness and processors of oneself, not of another process",
        OWN_RESOURCES,
    ),
    group_of(
        "@personality-debug",
        "personality PER_LINUX, PER_LINUX32, UNAME26, ADDR_NO_RANDOMIZE, query",
        PERSONALITY_DEBUG,
    ),
    group_of("@personality-linux", "personality PER_LINUX, PER_LINUX32, UNAME26, query", PERSONALITY_LINUX),
    group_of("@personality-query", "personality PER_LINUX and query", PERSONALITY_QUERY),
    group_of("@prctl-safe", "prctl but PR_SET_MM and PR_SET_IO_FLUSHER", PRCTL_SAFE),
    group_of("@send-no-oob", "sending on sockets without MSG_OOB", SEND_NO_OOB),
    group_of("@socket-inet", "sockets of AF_UNIX, AF_INET, AF_INET6, and AF_NETLINK for routes", SOCKET_INET),
    group_of("@socket-local", "sockets of AF_UNIX", SOCKET_LOCAL),
    group_of("@socket-pair", "socketpair of AF_UNIX, connected for good", SOCKET_PAIR),
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

/// `CLONE_NEW*` in `clone`'s flags. `CLONE_NEWTIME` is not among them: its bit is part of the exit signal
/// there.
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

/// Argument `index` is a pointer that is not null: all 64 bits.
const fn pointer(index: u8) -> Condition {
    Condition { index, op: Op::Ne, value: 0 }
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
    refuse!(FCNTL, &[int(1, F_SETDELEG)], EPERM),
    refuse!(FCNTL, &[int(1, libc::F_NOTIFY as u32)], EPERM),
    names!(FCNTL),
];

/// A lease on a directory (Linux 6.19).
const F_SETDELEG: u32 = 1024 + 16;

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

/// The byte of an ioctl's number that tells whose it is.
const fn ioctl_of(kind: u32) -> Condition {
    masked(1, 0xff00, kind << 8)
}

// What a descriptor that was opened for reading, or that was handed in, is enough for: the file's owner sets
// its flags, attributes and version, makes it immutable (fs-verity), cuts and defragments it. The answer is
// that of a file system without them; what only asks remains, and so does sharing of blocks, which asks for
// the right to write.
const IOCTL_NO_FILE_FLAGS: &[super::Entry] = &[
    when!(&["ioctl"], &[int(1, 0x8008_6601)]),          // FS_IOC_GETFLAGS
    when!(&["ioctl"], &[int(1, 0xc020_660b)]),          // FS_IOC_FIEMAP
    refuse!(&["ioctl"], &[ioctl_of(0x66)], EOPNOTSUPP), // FS_IOC_SETFLAGS, FS_IOC_ENABLE_VERITY, EXT4_IOC_…
    when!(&["ioctl"], &[int(1, 0x801c_581f)]),          // FS_IOC_FSGETXATTR
    refuse!(&["ioctl"], &[ioctl_of(0x58)], EOPNOTSUPP), // FS_IOC_FSSETXATTR, FIFREEZE, FITRIM, XFS_IOC_…
    when!(&["ioctl"], &[int(1, 0x4004_9409)]),          // FICLONE
    when!(&["ioctl"], &[int(1, 0x4020_940d)]),          // FICLONERANGE
    when!(&["ioctl"], &[int(1, 0xc018_9436)]),          // FIDEDUPERANGE
    refuse!(&["ioctl"], &[ioctl_of(0x94)], EOPNOTSUPP), // BTRFS_IOC_…
    refuse!(&["ioctl"], &[ioctl_of(0xf5)], EOPNOTSUPP), // F2FS_IOC_…
    refuse!(&["ioctl"], &[int(1, 0x4008_7602)], EOPNOTSUPP), // FS_IOC_SETVERSION
    refuse!(&["ioctl"], &[int(1, 0x4004_7211)], EOPNOTSUPP), // FAT_IOCTL_SET_ATTRIBUTES
    refuse!(&["file_setattr"], &[], EOPNOTSUPP),
];

// Pages that no memory limit counts, and of which the host has a pool that can be used up. The answers are
// those of an empty pool, and of one that only the privileged may use (shmget(2)).
const NO_HUGE_PAGES: &[super::Entry] = &[
    refuse!(&["mmap", "mmap2"], &[bit(3, libc::MAP_HUGETLB as u32)], ENOMEM),
    refuse!(&["memfd_create"], &[bit(1, libc::MFD_HUGETLB)], ENOMEM),
    refuse!(&["shmget"], &[bit(2, libc::SHM_HUGETLB as u32)], EPERM),
];

/// Argument `index` has this bit.
const fn bit(index: u8, bit: u32) -> Condition {
    masked(index, bit, bit)
}

/// `O_CREAT` and the bit of `O_TMPFILE` that is its own; the kernel reads a mode with either.
const CREATES: [u32; 2] = [libc::O_CREAT as u32, 0o20_000_000];

// A file on the host with one of these bits gives each user who executes it there the rights of its owner: of
// the caller, or of root where an id-mapped mount shows root's files. As RestrictSUIDSGID= of
// systemd.exec(5): every mode that a filter sees, and ENOSYS for the calls whose mode it cannot see, so that
// programs fall back. (What a directory's own set-group-ID bit hands down to directories below it is no mode
// of a call's.)
const NO_SET_ID: &[super::Entry] = &[
    refuse!(&["chmod", "fchmod", "creat", "mkdir", "mknod"], &[bit(1, libc::S_ISUID)], EPERM),
    refuse!(&["chmod", "fchmod", "creat", "mkdir", "mknod"], &[bit(1, libc::S_ISGID)], EPERM),
    refuse!(&["fchmodat", "fchmodat2", "mkdirat", "mknodat"], &[bit(2, libc::S_ISUID)], EPERM),
    refuse!(&["fchmodat", "fchmodat2", "mkdirat", "mknodat"], &[bit(2, libc::S_ISGID)], EPERM),
    refuse!(&["open"], &[bit(1, CREATES[0]), bit(2, libc::S_ISUID)], EPERM),
    refuse!(&["open"], &[bit(1, CREATES[0]), bit(2, libc::S_ISGID)], EPERM),
    refuse!(&["open"], &[bit(1, CREATES[1]), bit(2, libc::S_ISUID)], EPERM),
    refuse!(&["open"], &[bit(1, CREATES[1]), bit(2, libc::S_ISGID)], EPERM),
    refuse!(&["openat"], &[bit(2, CREATES[0]), bit(3, libc::S_ISUID)], EPERM),
    refuse!(&["openat"], &[bit(2, CREATES[0]), bit(3, libc::S_ISGID)], EPERM),
    refuse!(&["openat"], &[bit(2, CREATES[1]), bit(3, libc::S_ISUID)], EPERM),
    refuse!(&["openat"], &[bit(2, CREATES[1]), bit(3, libc::S_ISGID)], EPERM),
    refuse!(&["openat2", "io_uring_setup"], &[], ENOSYS),
];

// The kernel takes the mode as 16 bits. `0x7000` keeps the three bits that tell `S_IFREG` and 0 (which means
// it) from the rest; character and block devices are 0x2000 and 0x6000.
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

// Also ADDR_NO_RANDOMIZE (0x40000), which sanitizers and debuggers set for themselves and their children. It
// weakens no other process.
const PERSONALITY_DEBUG: &[super::Entry] = &[
    when!(&["personality"], &[masked(0, !0x0006_0008, 0)]),
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

// Without mounts of its own a sandbox has Landlock alone between it and its user's files, and Landlock knows
// no right for these (landlock(7), "File-system actions that cannot be restricted"). Times of a file that
// could be opened remain, as `touch` and `tar` set them: no path (argument 1) means the descriptor itself,
// which may not be one of O_PATH.
const ATTRIBUTES_KEEP: &[super::Entry] =
    &[when!(&["utimensat", "utimensat_time64"], &[null(1)]), refuse!(ATTRIBUTES, &[], EPERM)];

/// Done without doing anything.
const SUCCESS: i32 = 0;

// RLIMIT_CORE is 1, with which the kernel dumps nothing and starts no crash handler (core(5)): 0 would start
// the host's. So neither may be had. A program that lowers it to 0 wants no dumps, which is so already:
// gpg(1), ssh-agent(1) and others end where they are told that it failed. Nothing could be said of an old
// value.
const CORE_LIMIT_KEEP: &[super::Entry] = &[
    refuse!(&["prlimit64"], &[CORE, pointer(2), pointer(3)], EPERM),
    refuse!(&["prlimit64"], &[CORE, pointer(2)], SUCCESS),
    refuse!(&["setrlimit"], &[int(0, RLIMIT_CORE)], SUCCESS),
];
/// The same on both architectures.
const RLIMIT_CORE: u32 = 4;
const CORE: Condition = int(1, RLIMIT_CORE);

// Init has the sandbox's own user id: limits, priorities and processors could be taken from it. It is always
// PID 1, in a process group of that number; PRIO_USER (2) and IOPRIO_WHO_USER (3) mean it with all others.
const INIT_RESOURCES_KEEP: &[super::Entry] = &[
    refuse!(&["prlimit64"], &[int(0, 1), pointer(2)], EPERM),
    refuse!(&SCHEDULING, &[int(0, 1)], EPERM),
    refuse!(&["setpriority", "ioprio_set"], &[int(1, 1)], EPERM),
    refuse!(&["setpriority"], &[int(0, 2)], EPERM),
    refuse!(&["ioprio_set"], &[int(0, 3)], EPERM),
];
const SCHEDULING: [&str; 4] = ["sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"];

// The kernel lets a process set the limits of every other of its user's (prlimit(2)), whether it may signal
// or trace it or not: RLIMIT_CPU kills. No other process can be meant by 0. (PRIO_PROCESS is 0.)
const OWN_RESOURCES: &[super::Entry] = &[
    names!(&["@core-limit-keep"]),
    when!(&["prlimit64"], &[int(0, 0)]),
    when!(&["prlimit64"], &[null(2)]),
    when!(&["sched_setaffinity"], &[int(0, 0)]),
    when!(&["setpriority"], &[int(0, 0), int(1, 0)]),
    refuse!(&["prlimit64", "sched_setaffinity", "setpriority"], &[], EPERM),
];

// Out-of-band data on unix sockets, which hardly any program needs and which has had one use after free after
// the other (CVE-2025-38236 led from a renderer's sandbox to the kernel). The answer is that of a kernel
// without it.
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

/// The kernel's `SOCK_TYPE_MASK`; above it are flags.
const fn socket_type(kind: i32) -> Condition {
    masked(1, 0xf, kind as u32)
}

// A datagram socket sends to any address, whether it has a peer or not (CVE-2020-15257 is of the same kind).
// These two do not: the kernel refuses the address, or ignores it.
const SOCKET_PAIR: &[super::Entry] = &[
    when!(&["socketpair"], &[UNIX, socket_type(libc::SOCK_STREAM)]),
    when!(&["socketpair"], &[UNIX, socket_type(libc::SOCK_SEQPACKET)]),
    refuse!(&["socketpair"], &[UNIX], ESOCKTNOSUPPORT),
    refuse!(&["socket", "socketpair", "socketcall"], &[], EAFNOSUPPORT),
];

const SOCKET_LOCAL: &[super::Entry] = &[
    when!(&["socket", "socketpair"], &[UNIX]),
    refuse!(&["socket", "socketpair", "socketcall"], &[], EAFNOSUPPORT),
];

// Types 1 to 3: SOCK_STREAM, SOCK_DGRAM, SOCK_RAW. SOCK_PACKET makes a packet socket of any AF_INET one
// (packet(7)). Nothing else: AF_VSOCK is not namespaced (a channel to the host of a virtual machine), AF_ALG,
// AF_PACKET, AF_KEY, AF_XDP, AF_RDS, AF_TIPC, AF_CAN, AF_BLUETOOTH and the other netlink protocols are kernel
// surface with a history.
const SOCKET_INET: &[super::Entry] = &[
    when!(&["socket", "socketpair"], &[UNIX]),
    refuse!(&["socket"], &[INET, bit(1, 8)], ESOCKTNOSUPPORT),
    refuse!(&["socket"], &[INET, bit(1, 4)], ESOCKTNOSUPPORT),
    // 0 and IPPROTO_ICMP are one bit apart too.
    when!(&["socket"], &[INET, masked(2, !1, 0)]),
    when!(&["socket"], &[INET, int(2, libc::IPPROTO_TCP as u32)]),
    when!(&["socket"], &[INET, int(2, libc::IPPROTO_UDP as u32)]),
    when!(&["socket"], &[INET, int(2, libc::IPPROTO_ICMPV6 as u32)]),
    refuse!(&["socket"], &[INET], EPROTONOSUPPORT),
    when!(&["socket"], &[int(0, libc::AF_NETLINK as u32), int(2, libc::NETLINK_ROUTE as u32)]),
    refuse!(&["socket", "socketpair", "socketcall"], &[], EAFNOSUPPORT),
];
