//! The mount calls by descriptor (Linux 5.2, `mount_setattr` 5.12) and `pivot_root(2)`.

use std::ffi::CStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use libc::{
    MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH, OPEN_TREE_CLOEXEC, OPEN_TREE_CLONE, mount_attr,
};
use nix::errno::Errno;

use super::{check, owned};

pub(crate) const ATTR_RDONLY: u64 = 0x0000_0001;
pub(crate) const ATTR_NOSUID: u64 = 0x0000_0002;
pub(crate) const ATTR_NODEV: u64 = 0x0000_0004;
pub(crate) const ATTR_NOEXEC: u64 = 0x0000_0008;
/// `MOUNT_ATTR__ATIME`: the field that says when access times are written; 0 in it is `relatime`.
pub(crate) const ATTR_ATIME: u64 = 0x0000_0070;
pub(crate) const ATTR_NOATIME: u64 = 0x0000_0010;
pub(crate) const ATTR_STRICTATIME: u64 = 0x0000_0020;
pub(crate) const ATTR_NODIRATIME: u64 = 0x0000_0080;
pub(crate) const ATTR_NOSYMFOLLOW: u64 = 0x0020_0000;
pub(crate) const ATTR_IDMAP: u64 = 0x0010_0000;

const FSOPEN_CLOEXEC: libc::c_uint = 1;
const FSMOUNT_CLOEXEC: libc::c_uint = 1;
const FSCONFIG_SET_FLAG: libc::c_uint = 0;
const FSCONFIG_SET_STRING: libc::c_uint = 1;
const FSCONFIG_CMD_CREATE: libc::c_uint = 6;

/// `open_tree(2)`: a detached copy of the mount (and all below it) that `fd` is in, seen from `fd`.
pub(crate) fn clone_tree(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags =
        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (libc::AT_RECURSIVE | libc::AT_EMPTY_PATH).cast_unsigned();
    // SAFETY: an open descriptor and a C string.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, fd.as_raw_fd(), c"".as_ptr(), flags) })
}

/// `open_tree(2)`: a detached copy of the one mount that `path` is in, seen from there. A symlink at its end
/// is not followed.
pub(crate) fn clone_mount(path: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | libc::AT_SYMLINK_NOFOLLOW.cast_unsigned();
    // SAFETY: a C string.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })
}

/// `mount_setattr(2)`: sets attributes on the mount that `fd` is the root of, and makes it private: a copy of
/// a shared mount (as systemd makes all of the host's) is shared too, so that what the host mounts later
/// would appear in it, and pivot_root(2) refuses it.
pub(crate) fn set_attributes(fd: BorrowedFd<'_>, set: u64, recursive: bool) -> Result<(), Errno> {
    let attr = mount_attr { attr_set: set, attr_clr: 0, propagation: libc::MS_PRIVATE, userns_fd: 0 };
    setattr(fd, c"", &attr, recursive)
}

/// `mount_setattr(2)`: changes attributes of the mount that `fd` is the root of and of all below it, and what
/// propagates into them (`MS_PRIVATE`, `MS_SLAVE`, `MS_UNBINDABLE`).
pub(crate) fn change_all(fd: BorrowedFd<'_>, set: u64, clear: u64, propagation: u64) -> Result<(), Errno> {
    setattr(fd, c"", &mount_attr { attr_set: set, attr_clr: clear, propagation, userns_fd: 0 }, true)
}

/// `mount_setattr(2)`: clears attributes of the one mount that `fd` is the root of.
pub(crate) fn clear_attributes(fd: BorrowedFd<'_>, clear: u64) -> Result<(), Errno> {
    setattr(fd, c"", &mount_attr { attr_set: 0, attr_clr: clear, propagation: 0, userns_fd: 0 }, false)
}

/// `fstatfs(2)`: which of the attributes the mount that `fd` is in has. `ST_RDONLY` to `ST_NOEXEC` are the
/// same bits.
pub(crate) fn attributes(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    let flags = nix::sys::statvfs::fstatvfs(fd)?.flags().bits();
    Ok(flags & (ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC))
}

/// `statx(2)`, `STATX_MNT_ID` (Linux 5.8): the number of the mount that `fd` is in.
pub(crate) fn mount_id(fd: BorrowedFd<'_>) -> Result<u64, Errno> {
    const MNT_ID: libc::c_uint = 0x1000;
    // SAFETY: statx is plain data for which all zeroes is a value.
    let mut found: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: an open descriptor, a C string and room for the answer.
    check(unsafe {
        libc::syscall(
            libc::SYS_statx,
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_NO_AUTOMOUNT,
            MNT_ID,
            &raw mut found,
        )
    })?;
    if found.stx_mask & MNT_ID == 0 { Err(Errno::ENOSYS) } else { Ok(found.stx_mnt_id) }
}

/// `mount_setattr(2)` with `MOUNT_ATTR_IDMAP` (a detached mount; Linux 5.12, each file system since its own
/// version).
pub(crate) fn set_idmap(
    fd: BorrowedFd<'_>,
    user_namespace: BorrowedFd<'_>,
    recursive: bool,
) -> Result<(), Errno> {
    let userns_fd = u64::from(user_namespace.as_raw_fd().cast_unsigned());
    setattr(fd, c"", &mount_attr { attr_set: ATTR_IDMAP, attr_clr: 0, propagation: 0, userns_fd }, recursive)
}

/// Sets what propagates into every mount that the calling process can see; with `MS_PRIVATE` nothing does, in
/// or out, and with `MS_SLAVE` nothing out.
pub(crate) fn set_propagation_of_all(propagation: u64) -> Result<(), Errno> {
    let attr = mount_attr { attr_set: 0, attr_clr: 0, propagation, userns_fd: 0 };
    setattr(nix::fcntl::AT_FDCWD, c"/", &attr, true)
}

/// `mount_setattr(2)`: takes the tree at `fd` out of its peer groups. A copy of a shared mount is its peer:
/// once attached, what is mounted on either appears on both.
pub(crate) fn set_propagation(fd: BorrowedFd<'_>, propagation: u64) -> Result<(), Errno> {
    let attr = mount_attr { attr_set: 0, attr_clr: 0, propagation, userns_fd: 0 };
    setattr(fd, c"", &attr, true)
}

fn setattr(fd: BorrowedFd<'_>, path: &CStr, attr: &mount_attr, recursive: bool) -> Result<(), Errno> {
    let mut flags = libc::AT_EMPTY_PATH | libc::AT_SYMLINK_NOFOLLOW;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: `attr` has the kernel's layout, lives through the call, and its size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            path.as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            std::mem::size_of::<mount_attr>(),
        )
    })
    .map(drop)
}

/// `move_mount(2)`: attaches a detached mount at `target`, which is on the top of what is mounted there, or
/// at `name` in it, which is no symlink.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
    // SAFETY: two open descriptors and C strings.
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            name.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// A parameter of a new file system.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Parameter<'a> {
    /// `key`
    Flag(&'a CStr),
    /// `key=value`
    Text(&'a CStr, &'a CStr),
}

impl Parameter<'_> {
    fn shown(&self) -> String {
        match self {
            Self::Flag(key) => key.to_string_lossy().into_owned(),
            Self::Text(key, value) => format!("{}={}", key.to_string_lossy(), value.to_string_lossy()),
        }
    }
}

/// A step towards a new file system that failed.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) call: &'static str,
    /// The parameter that was refused by itself.
    pub(crate) parameter: Option<String>,
    pub(crate) errno: Errno,
}

/// `fsopen`, `fsconfig`, `fsmount`: a new file system as a detached mount.
pub(crate) fn new_filesystem(
    kind: &CStr,
    parameters: &[Parameter<'_>],
    attributes: u64,
) -> Result<OwnedFd, Refused> {
    let failed = |call| move |errno| Refused { call, parameter: None, errno };
    // SAFETY: a C string.
    let context = owned(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC) })
        .map_err(failed("fsopen"))?;
    for parameter in parameters {
        let (command, key, value) = match parameter {
            Parameter::Flag(key) => (FSCONFIG_SET_FLAG, key.as_ptr(), std::ptr::null()),
            Parameter::Text(key, value) => (FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr()),
        };
        // SAFETY: an open descriptor and C strings (or null for a flag).
        check(unsafe { libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0) })
            .map_err(|errno| Refused { call: "fsconfig", parameter: Some(parameter.shown()), errno })?;
    }
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: FSCONFIG_CMD_CREATE takes neither key nor value.
    check(unsafe {
        libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), FSCONFIG_CMD_CREATE, null, null, 0)
    })
    .map_err(failed("fsconfig"))?;
    // SAFETY: an open descriptor and numbers.
    owned(unsafe { libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })
        .map_err(failed("fsmount"))
}

/// `pivot_root(".", ".")`: the working directory becomes the root, the old root is stacked over it
/// (pivot_root(2), NOTES).
pub(crate) fn pivot_root_here() -> Result<(), Errno> {
    nix::unistd::pivot_root(c".", c".")
}

/// `umount2(path, MNT_DETACH)`: what is on the top there, with all that is mounted below it.
pub(crate) fn detach(path: &CStr) -> Result<(), Errno> {
    nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH)
}

/// `/proc/self/fd/N` of a descriptor, for the interfaces that only take paths.
pub(crate) fn descriptor_path(fd: &impl AsFd) -> std::ffi::CString {
    let mut text = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()).into_bytes();
    text.push(0);
    // A number has no NUL: the only one is the last byte.
    std::ffi::CString::from_vec_with_nul(text).unwrap_or_default()
}
