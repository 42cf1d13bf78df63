//! System calls that no crate here wraps, each returning its errno.

use std::ffi::CStr;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use libc::{c_int, c_long, c_uint, c_ulong};
use nix::errno::Errno;

/// Takes a descriptor that a call has just made.
fn owned(fd: c_long) -> Result<OwnedFd, Errno> {
    let fd = RawFd::try_from(Errno::result(fd)?).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: the call that made it has just returned it; nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// mount(2); an empty `kind` or `data` counts as absent to the kernel.
pub(super) fn mount(
    source: &CStr,
    target: &CStr,
    kind: &CStr,
    flags: c_ulong,
    data: &CStr,
) -> Result<(), Errno> {
    // SAFETY: five values, of which the pointers are NUL-terminated strings that live through the call.
    let done = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ptr(),
            flags,
            data.as_ptr().cast::<libc::c_void>(),
        )
    };
    Errno::result(done).map(drop)
}

pub(super) fn fsopen(kind: &CStr) -> Result<OwnedFd, Errno> {
    // SAFETY: a NUL-terminated string that lives through the call. 1 is FSOPEN_CLOEXEC.
    owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), 1 as c_uint) })
}

/// `FSCONFIG_SET_STRING`
pub(super) fn fsconfig_set(context: BorrowedFd<'_>, key: &CStr, value: &CStr) -> Result<(), Errno> {
    const SET_STRING: c_uint = 1;
    // SAFETY: an open descriptor and two NUL-terminated strings that live through the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            SET_STRING,
            key.as_ptr(),
            value.as_ptr(),
            0 as c_int,
        )
    };
    Errno::result(done).map(drop)
}

/// `FSCONFIG_CMD_CREATE`
pub(super) fn fsconfig_create(context: BorrowedFd<'_>) -> Result<(), Errno> {
    const CMD_CREATE: c_uint = 6;
    let none = std::ptr::null::<u8>();
    // SAFETY: an open descriptor; this command takes null pointers.
    let done =
        unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), CMD_CREATE, none, none, 0 as c_int) };
    Errno::result(done).map(drop)
}

pub(super) fn fsmount(context: BorrowedFd<'_>, attributes: u64) -> Result<OwnedFd, Errno> {
    // SAFETY: an open descriptor and numbers. 1 is FSMOUNT_CLOEXEC.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), 1 as c_uint, attributes) })
}

/// `open_tree(OPEN_TREE_CLONE | AT_RECURSIVE)`
pub(super) fn clone_tree(path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as c_uint;
    // SAFETY: a NUL-terminated string that lives through the call.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// Puts a detached mount at a path.
pub(super) fn move_mount(mount: BorrowedFd<'_>, to: &CStr) -> Result<(), Errno> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH;
    // SAFETY: an open descriptor and two NUL-terminated strings that live through the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            flags,
        )
    };
    Errno::result(done).map(drop)
}

/// Sets attributes of a mount and, with `recursive`, of all below it.
pub(super) fn mount_setattr(
    mount: BorrowedFd<'_>,
    recursive: bool,
    set: u64,
    userns: Option<BorrowedFd<'_>>,
) -> Result<(), Errno> {
    let attr = libc::mount_attr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: userns.map_or(0, |fd| fd.as_raw_fd().unsigned_abs().into()),
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: open descriptors and a structure of the size that is passed.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    };
    Errno::result(done).map(drop)
}

/// A process that shares nothing and its pidfd; 0 in the child.
pub(super) fn clone3_pidfd() -> Result<(libc::pid_t, RawFd), Errno> {
    let mut pidfd: c_int = -1;
    // SAFETY: all zero is a valid clone_args.
    let mut args: libc::clone_args = unsafe { zeroed() };
    args.flags = libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    // SAFETY: without CLONE_VM the child has copies of everything, as after fork; `pidfd` lives through the call.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) };
    Ok((libc::pid_t::try_from(Errno::result(pid)?).map_err(|_| Errno::EOVERFLOW)?, pidfd))
}

/// What `clone3` answers to `CLONE_INTO_CGROUP` with a descriptor that is not open: EBADF where it knows the flag.
pub(super) fn clone_into_nowhere() -> Errno {
    // SAFETY: all zero is a valid clone_args.
    let mut args: libc::clone_args = unsafe { zeroed() };
    // CLONE_INTO_CGROUP does not fit libc's c_int constants.
    args.flags = 0x2_0000_0000;
    args.exit_signal = libc::SIGCHLD as u64;
    args.cgroup = u64::from(u16::MAX) * 16;
    // SAFETY: the descriptor is above any limit that is in use, so that no process is made.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<libc::clone_args>()) };
    if pid == 0 {
        // SAFETY: ends the child that should not be.
        unsafe { libc::_exit(0) }
    }
    Errno::result(pid).err().unwrap_or(Errno::UnknownErrno)
}

pub(super) fn prctl(option: c_int, value: c_ulong) -> Result<c_int, Errno> {
    // SAFETY: only used with options that take numbers.
    Errno::result(unsafe { libc::prctl(option, value, 0 as c_ulong, 0 as c_ulong, 0 as c_ulong) })
}

/// The caller's own pid, from the kernel.
pub(super) fn getppid() -> Result<c_long, Errno> {
    // SAFETY: takes nothing.
    Errno::result(unsafe { libc::syscall(libc::SYS_getppid) })
}

/// seccomp(2)
pub(super) fn seccomp<T>(operation: c_uint, flags: c_ulong, argument: *const T) -> Result<c_long, Errno> {
    // SAFETY: the callers pass what the operation reads: a program or an action, which outlive the call.
    Errno::result(unsafe { libc::syscall(libc::SYS_seccomp, operation, flags, argument) })
}

/// `struct landlock_ruleset_attr` (linux/landlock.h).
#[repr(C)]
#[derive(Default)]
pub(super) struct Ruleset {
    pub(super) handled_fs: u64,
    pub(super) handled_net: u64,
    pub(super) scoped: u64,
}

/// The version of Landlock's interface.
pub(super) fn landlock_abi() -> Result<c_long, Errno> {
    const CREATE_RULESET_VERSION: c_uint = 1;
    // SAFETY: this flag takes no structure.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0_usize,
            CREATE_RULESET_VERSION,
        )
    })
}

/// `size` tells how many of the fields are passed: older kernels refuse those they do not know only where they are set.
pub(super) fn landlock_create(ruleset: &Ruleset, size: usize) -> Result<OwnedFd, Errno> {
    let size = size.min(size_of::<Ruleset>());
    // SAFETY: the structure is at least as long as the size that is passed.
    owned(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::from_ref(ruleset), size, 0 as c_uint)
    })
}

/// openat2(2) with `RESOLVE_*` flags, for reading.
pub(super) fn openat2(path: &CStr, resolve: u64) -> Result<OwnedFd, Errno> {
    // SAFETY: all zero is a valid open_how.
    let mut how: libc::open_how = unsafe { zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC) as u64;
    how.resolve = resolve;
    // SAFETY: a NUL-terminated string and a structure of the size that is passed.
    owned(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            libc::AT_FDCWD,
            path.as_ptr(),
            &raw const how,
            size_of::<libc::open_how>(),
        )
    })
}

/// Closes all descriptors from `first` to the last.
pub(super) fn close_from(first: RawFd) -> Result<(), Errno> {
    // SAFETY: closes descriptors; the callers keep no owner of one in that range.
    let done =
        unsafe { libc::syscall(libc::SYS_close_range, first.unsigned_abs(), c_uint::MAX, 0 as c_uint) };
    Errno::result(done).map(drop)
}
