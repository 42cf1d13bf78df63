//! The three Landlock calls (Linux 5.13), in the kernel's own terms: the Plan already holds the access bits.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::{check, owned};

pub(crate) const WRITE_FILE: u64 = 1 << 1;
pub(crate) const READ_FILE: u64 = 1 << 2;
pub(crate) const TRUNCATE: u64 = 1 << 14;
pub(crate) const IOCTL_DEV: u64 = 1 << 15;

const RULE_PATH_BENEATH: libc::c_int = 1;

/// `struct landlock_ruleset_attr` as of ABI 6.
#[repr(C)]
struct RulesetAttr {
    handled_access_fs: u64,
    handled_access_net: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr` (packed in the kernel's header).
#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

/// The kernel's Landlock ABI (`LANDLOCK_CREATE_RULESET_VERSION`); `ENOSYS` where it is not built in,
/// `EOPNOTSUPP` where it is off.
pub(crate) fn abi() -> Result<u32, Errno> {
    const VERSION: u32 = 1;
    let none = std::ptr::null::<RulesetAttr>();
    // SAFETY: with this flag the call takes a null pointer and size 0, and only returns a number.
    let abi = check(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, none, 0_usize, VERSION) })?;
    u32::try_from(abi).map_err(|_| Errno::EOVERFLOW)
}

/// `landlock_create_ruleset(2)`. Fields at the end that are zero are left out, so that older kernels take the
/// rest.
pub(crate) fn create_ruleset(handled_fs: u64, handled_net: u64, scoped: u64) -> Result<OwnedFd, Errno> {
    let attr = RulesetAttr { handled_access_fs: handled_fs, handled_access_net: handled_net, scoped };
    let size = if scoped != 0 {
        std::mem::size_of::<RulesetAttr>()
    } else if handled_net != 0 {
        std::mem::offset_of!(RulesetAttr, scoped)
    } else {
        std::mem::offset_of!(RulesetAttr, handled_access_net)
    };
    // SAFETY: `attr` has the kernel's layout, lives through the call, and `size` does not exceed it.
    owned(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const attr, size, 0) })
}

/// `landlock_add_rule(2)` with `LANDLOCK_RULE_PATH_BENEATH`.
pub(crate) fn allow_beneath(ruleset: BorrowedFd<'_>, path: BorrowedFd<'_>, access: u64) -> Result<(), Errno> {
    let attr = PathBeneathAttr { allowed_access: access, parent_fd: path.as_raw_fd() };
    // SAFETY: open descriptors, and `attr` has the kernel's layout and lives through the call.
    check(unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, ruleset.as_raw_fd(), RULE_PATH_BENEATH, &raw const attr, 0)
    })
    .map(drop)
}

/// `landlock_restrict_self(2)`.
pub(crate) fn restrict_self(ruleset: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: an open descriptor.
    check(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset.as_raw_fd(), 0) }).map(drop)
}
