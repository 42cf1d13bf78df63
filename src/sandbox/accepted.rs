//! What kinds of descriptors a task is given. Nothing but the descriptor's own open mode holds what it leads
//! to: no mount, no Landlock rule and no namespace does. So only kinds are accepted that lead to nothing but
//! their own content.

use std::fmt;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl};
use nix::sys::statfs::fstatfs;

use crate::sys;

/// A kind of descriptor that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusedKind {
    /// A directory: `openat` and `fchdir` start from it, `..` included.
    Directory,
    /// A place in the file system (`O_PATH`), which can be opened in any mode.
    Path,
    /// A device other than a terminal and `null`, `zero`, `full`, `random`, `urandom`: its ioctls are its
    /// own.
    Device,
    /// The outer end of a pseudo-terminal.
    TerminalMaster,
    /// A file of the kernel's: in `/proc`, `/sys`, a namespace, a control group, a BPF object, …
    KernelFile,
    /// A descriptor without a file: pidfd, epoll, eventfd, io_uring, userfaultfd, …
    Anonymous,
    /// A file in memory (memfd) that is open for reading only and not sealed: `/proc/self/fd` opens it for
    /// writing, as no mount and no Landlock rule is above it.
    Memory,
    /// A socket of another kind than streams, datagrams and packets of unix(7), ip(7) and ipv6(7): netlink,
    /// packet, raw, vsock, …
    Socket,
}

impl fmt::Display for RefusedKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::Path => "a path (O_PATH)",
            Self::Device => "a device",
            Self::TerminalMaster => "the outer end of a pseudo-terminal",
            Self::KernelFile => "a file of the kernel's (proc, sysfs, a namespace, a control group)",
            Self::Anonymous => "a descriptor without a file (pidfd, epoll, io_uring and the like)",
            Self::Memory => {
                "a file in memory (memfd) that is open for reading only, but could be opened again for writing"
            }
            Self::Socket => "a socket that is neither unix(7) nor an ordinary one of ip(7)",
        })
    }
}

impl RefusedKind {
    /// What to do in its place.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::Directory | Self::Path => "show the directory or file by its path: --bind or --ro-bind",
            Self::Device => {
                "pipe what it gives or takes, or show the device by its path in a profile of one's own"
            }
            Self::TerminalMaster => "give a terminal of its own: -t",
            Self::KernelFile => "pipe its content",
            Self::Memory => {
                "seal it (F_SEAL_WRITE, F_SEAL_SHRINK and F_SEAL_GROW of fcntl(2)), or pipe its content"
            }
            Self::Anonymous | Self::Socket => "give a pipe or a unix(7) socket",
        }
    }
}

/// What a task may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepted {
    /// A regular file.
    File,
    /// The inner end of a terminal.
    Terminal,
    /// Something else.
    Other,
}

/// Whether a task may have it, and what it is.
pub(super) fn look(fd: BorrowedFd<'_>) -> Result<Result<Accepted, RefusedKind>, Errno> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    let stat = sys::fstat(fd)?;
    let kind = stat.st_mode & libc::S_IFMT;
    let refusal = match kind {
        libc::S_IFDIR => Some(RefusedKind::Directory),
        _ if flags.contains(OFlag::O_PATH) => Some(RefusedKind::Path),
        libc::S_IFIFO => None,
        libc::S_IFSOCK => socket(fd)?,
        libc::S_IFCHR => character_device(fd, stat.st_rdev),
        libc::S_IFREG => file_system(fd, flags)?,
        // Block devices, and what has no type.
        libc::S_IFBLK => Some(RefusedKind::Device),
        _ => Some(RefusedKind::Anonymous),
    };
    Ok(match (refusal, kind) {
        (Some(refused), _) => Err(refused),
        (None, libc::S_IFREG) => Ok(Accepted::File),
        (None, libc::S_IFCHR) if libc::major(stat.st_rdev) != MEMORY => Ok(Accepted::Terminal),
        (None, _) => Ok(Accepted::Other),
    })
}

fn socket(fd: BorrowedFd<'_>) -> Result<Option<RefusedKind>, Errno> {
    let family = option(fd, libc::SO_DOMAIN)?;
    let ordinary = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6].contains(&family)
        && [libc::SOCK_STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET].contains(&option(fd, libc::SO_TYPE)?);
    Ok((!ordinary).then_some(RefusedKind::Socket))
}

/// An option of the socket itself that is a number (socket(7)).
fn option(fd: BorrowedFd<'_>, name: libc::c_int) -> Result<libc::c_int, Errno> {
    let mut value: libc::c_int = 0;
    let mut length = libc::socklen_t::try_from(size_of::<libc::c_int>()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel writes at most `length` bytes to `value`.
    Errno::result(unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            name,
            (&raw mut value).cast::<libc::c_void>(),
            &raw mut length,
        )
    })?;
    Ok(value)
}

/// The major number of `/dev/null` and the like.
const MEMORY: u32 = 1;

fn character_device(fd: BorrowedFd<'_>, device: libc::dev_t) -> Option<RefusedKind> {
    // Documentation/admin-guide/devices.txt: memory devices are major 1, /dev/ptmx is 5:2, masters of BSD's
    // kind are major 2.
    match (libc::major(device), libc::minor(device)) {
        (MEMORY, 3 | 5 | 7 | 8 | 9) => None,
        (5, 2) | (2, _) => Some(RefusedKind::TerminalMaster),
        _ if nix::unistd::isatty(fd) == Ok(true) => None,
        _ => Some(RefusedKind::Device),
    }
}

fn file_system(fd: BorrowedFd<'_>, flags: OFlag) -> Result<Option<RefusedKind>, Errno> {
    // The number's type differs between the C libraries.
    #[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let magic = fstatfs(fd)?.filesystem_type().0 as u32;
    Ok(match magic {
        ANON_INODES | PIDFS => Some(RefusedKind::Anonymous),
        magic if KERNEL_FILES.contains(&magic) => Some(RefusedKind::KernelFile),
        TMPFS | HUGETLBFS if flags & OFlag::O_ACCMODE == OFlag::O_RDONLY && is_open_memory(fd)? => {
            Some(RefusedKind::Memory)
        }
        _ => None,
    })
}

/// Whether it is a memfd (memfd_create(2)) that can be changed by who opens it again.
fn is_open_memory(fd: BorrowedFd<'_>) -> Result<bool, Errno> {
    // Other files of these file systems have seals as well, but are below a mount.
    let name = nix::fcntl::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()).as_str())?;
    if !name.as_bytes().starts_with(b"/memfd:") {
        return Ok(false);
    }
    let seals = SealFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GET_SEALS)?);
    let shut = seals.contains(SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW)
        && (seals.contains(SealFlag::F_SEAL_WRITE) || seals.bits() & libc::F_SEAL_FUTURE_WRITE != 0);
    Ok(!shut)
}

/// include/uapi/linux/magic.h.
const TMPFS: u32 = 0x0102_1994;
const HUGETLBFS: u32 = 0x9584_58f6;
const ANON_INODES: u32 = 0x0904_1934;
const PIDFS: u32 = 0x5049_4446;
const KERNEL_FILES: [u32; 17] = [
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x6e73_6673, // nsfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0xcafe_4a11, // bpf
    0xf97c_ff8c, // selinuxfs
    0x4341_5d53, // smackfs
    0x4249_4e4d, // binfmt_misc
    0x6265_6570, // configfs
    0x6573_5543, // fusectl
    0xde5e_81e4, // efivarfs
    0x6c6f_6f70, // binderfs
    0x444d_4142, // dma-buf
];

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, FromRawFd, OwnedFd};
    use std::os::unix::fs::OpenOptionsExt;

    use nix::sys::epoll::{Epoll, EpollCreateFlags};
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socketpair};

    use super::*;

    fn kind(fd: impl AsFd) -> Option<RefusedKind> {
        look(fd.as_fd()).expect("an answer").err()
    }

    fn open(path: &str, flags: i32) -> OwnedFd {
        File::options().read(true).custom_flags(flags).open(path).expect(path).into()
    }

    fn made(number: libc::c_int) -> OwnedFd {
        assert!(number >= 0, "{}", io::Error::last_os_error());
        // SAFETY: the kernel has just made it.
        unsafe { OwnedFd::from_raw_fd(number) }
    }

    #[test]
    fn what_leads_to_nothing_but_its_content_is_accepted() {
        let file = tempfile::tempfile().expect("a file");
        let (reader, writer) = io::pipe().expect("a pipe");
        let pty = nix::pty::openpty(None, None).expect("a pty");
        let flags = SockFlag::SOCK_CLOEXEC;
        let (one, _) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).expect("a pair");
        // SAFETY: a literal name.
        let memory = made(unsafe { libc::memfd_create(c"test".as_ptr(), libc::MFD_CLOEXEC) });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        assert_eq!(kind(file), None);
        assert_eq!([kind(reader), kind(writer)], [None; 2]);
        assert_eq!(kind(pty.slave), None);
        assert_eq!([kind(one), kind(listener)], [None; 2]);
        assert_eq!(kind(memory), None);
        for device in ["null", "zero", "full", "random", "urandom"] {
            assert_eq!(kind(open(&format!("/dev/{device}"), 0)), None, "{device}");
        }
    }

    #[test]
    fn a_memfd_is_given_for_reading_where_it_is_sealed() {
        let memory = || {
            let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
            // SAFETY: a literal name.
            made(unsafe { libc::memfd_create(c"test".as_ptr(), flags) })
        };
        let again = |fd: &OwnedFd| open(&format!("/proc/self/fd/{}", fd.as_raw_fd()), 0);
        let shape = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
        let future = SealFlag::from_bits_retain(libc::F_SEAL_FUTURE_WRITE);
        for (seals, expected) in [
            (SealFlag::empty(), Some(RefusedKind::Memory)),
            (SealFlag::F_SEAL_SEAL, Some(RefusedKind::Memory)),
            (shape, Some(RefusedKind::Memory)),
            (SealFlag::F_SEAL_WRITE, Some(RefusedKind::Memory)),
            (SealFlag::F_SEAL_WRITE | shape, None),
            (future | shape, None),
        ] {
            let memory = memory();
            fcntl(&memory, FcntlArg::F_ADD_SEALS(seals)).expect("to seal");
            assert_eq!(kind(again(&memory)), expected, "{seals:?}");
            // Who may write to it may write to it.
            assert_eq!(kind(memory), None, "{seals:?}");
        }
        // A file of the same file system is below a mount.
        if let Ok(file) = File::open("/dev/shm").and_then(|_| tempfile::NamedTempFile::new_in("/dev/shm")) {
            assert_eq!(kind(File::open(file.path()).expect("to open it")), None);
        }
    }

    #[test]
    fn what_leads_elsewhere_is_refused_by_its_kind() {
        assert_eq!(kind(open("/tmp", 0)), Some(RefusedKind::Directory));
        assert_eq!(kind(open("/tmp", libc::O_PATH)), Some(RefusedKind::Directory));
        assert_eq!(kind(open("/etc/passwd", libc::O_PATH)), Some(RefusedKind::Path));
        assert_eq!(kind(open("/dev/null", libc::O_PATH)), Some(RefusedKind::Path));
        assert_eq!(
            kind(nix::pty::openpty(None, None).expect("a pty").master),
            Some(RefusedKind::TerminalMaster)
        );
        for file in [
            "/proc/self/mem",
            "/proc/self/ns/net",
            "/proc/self/status",
            "/sys/kernel/mm/transparent_hugepage/enabled",
        ] {
            assert_eq!(kind(open(file, 0)), Some(RefusedKind::KernelFile), "{file}");
        }
        let own = sys::process::pidfd_open(nix::unistd::getpid().as_raw()).expect("a pidfd");
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll");
        // SAFETY: numbers only.
        let event = made(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) });
        assert_eq!([kind(own), kind(epoll.0), kind(event)], [Some(RefusedKind::Anonymous); 3]);
        let netlink = nix::sys::socket::socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        );
        assert_eq!(kind(netlink.expect("a netlink socket")), Some(RefusedKind::Socket));
    }
}
