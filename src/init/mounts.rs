//! New mounts, detached: nothing is visible before it has all its attributes.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{fstat, fstatat};
use nix::sys::statfs::fstatfs;

use super::place::MountPoint;
use super::start::Context;
use super::{place, tree};
use crate::plan::{Mount, Tmpfs};
use crate::protocol::{Fault, shown};
use crate::sys;
use crate::sys::mount::{ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, Parameter, new_filesystem};

/// No mount propagates in or out any more.
pub(super) fn make_private(context: &mut Context) -> Result<(), Fault> {
    if context.plan.root.is_none() {
        return Ok(());
    }
    sys::mount::make_all_private().map_err(Fault::on("mount_setattr", b"/"))
}

/// No mount propagates: neither the old ones, nor those of the new root. The old root's /proc is still there.
pub(super) fn none_propagates() -> Result<(), Fault> {
    const TABLE: &str = "/proc/self/mountinfo";
    const ROOM: usize = 32 << 10;
    // Room for most tables: std::fs::read would feel its way, in a dozen reads.
    let mut table = Vec::with_capacity(ROOM);
    File::open(TABLE).and_then(|mut file| file.read_to_end(&mut table)).map_err(|error| {
        Fault::system("read", TABLE.as_bytes(), Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
    })?;
    match table.split(|&byte| byte == b'\n').find(|line| propagates(line)) {
        Some(line) => Err(Fault::mismatch("the mount table", "without propagation", shown(line))),
        None => Ok(()),
    }
}

/// Whether a line of mountinfo has one of the optional fields of propagation (proc_pid_mountinfo(5)).
fn propagates(line: &[u8]) -> bool {
    line.split(|&byte| byte == b' ')
        .skip(6)
        .take_while(|field| field != b"-")
        .any(|field| field.starts_with(b"shared:") || field.starts_with(b"master:"))
}

/// Makes the mount, and says whether its root is a folder.
pub(super) fn make(context: &mut Context, mount: &Mount) -> Result<(OwnedFd, bool), Fault> {
    match mount {
        Mount::Bind { source, readonly, noexec } => {
            let attributes = ATTR_NOSUID
                | ATTR_NODEV
                | if *readonly { ATTR_RDONLY } else { 0 }
                | if *noexec { ATTR_NOEXEC } else { 0 };
            let tree = tree::of(context, source)?;
            set_attributes(&tree, attributes, source.path.to_bytes())?;
            Ok((tree, source.folder))
        }
        Mount::Device { source, major, minor } => Ok((tree::of_device(source, *major, *minor)?, false)),
        Mount::Tmpfs { limits, noexec, readonly } => {
            let attributes = if *noexec { ATTR_NOEXEC } else { 0 } | if *readonly { ATTR_RDONLY } else { 0 };
            Ok((tmpfs(limits, attributes)?, true))
        }
        Mount::Proc { subset_pid } => {
            let parameters: &[Parameter<'_>] =
                if *subset_pid { &[Parameter::Text(c"subset", c"pid")] } else { &[] };
            let made = filesystem(c"proc", parameters, ATTR_NOEXEC)?;
            if *subset_pid {
                has_processes_only(&made)?;
            }
            Ok((made, true))
        }
        Mount::Devpts => {
            let parameters = [
                Parameter::Flag(c"newinstance"),
                Parameter::Text(c"ptmxmode", c"0666"),
                Parameter::Text(c"mode", c"0620"),
            ];
            // Its nodes are terminals: `nodev` would make them useless.
            let made = new_filesystem(c"devpts", &parameters, ATTR_NOSUID | ATTR_NOEXEC);
            Ok((made.map_err(|(call, errno)| Fault::system(call, b"devpts", errno))?, true))
        }
        Mount::Mqueue => Ok((filesystem(c"mqueue", &[], ATTR_NOEXEC)?, true)),
    }
}

/// Asks whether the option was heard: /proc/sys is there without it.
fn has_processes_only(made: &OwnedFd) -> Result<(), Fault> {
    match fstatat(made, c"sys", AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => Ok(()),
        Ok(_) => Err(Fault::mismatch("/proc", "subset=pid", "all of it")),
        Err(errno) => Err(Fault::system("fstatat", b"sys", errno)),
    }
}

/// An empty tmpfs within its limits.
pub(super) fn tmpfs(limits: &Tmpfs, attributes: u64) -> Result<OwnedFd, Fault> {
    let size = number(limits.size)?;
    let inodes = number(limits.inodes)?;
    let mode = CString::new(format!("{:o}", limits.mode))
        .map_err(|_| Fault::Protocol { what: "tmpfs mode".to_owned() })?;
    let parameters = [
        Parameter::Text(c"size", &size),
        Parameter::Text(c"nr_inodes", &inodes),
        Parameter::Text(c"mode", &mode),
    ];
    let made = filesystem(c"tmpfs", &parameters, attributes)?;
    has_limits(&made, limits)?;
    Ok(made)
}

/// Asks whether the tmpfs has the limits: one that was not heard would be the host's memory.
fn has_limits(made: &OwnedFd, limits: &Tmpfs) -> Result<(), Fault> {
    let found = fstatfs(made).map_err(Fault::on("fstatfs", b"tmpfs"))?;
    let status = fstat(made).map_err(Fault::on("fstat", b"tmpfs"))?;
    // The number's type differs between the C libraries.
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss)]
    let block = found.optimal_transfer_size() as u64;
    // The kernel counts pages, of which it takes a whole one for a part.
    for (what, expected, found) in [
        ("the pages of a tmpfs", limits.size.div_ceil(block.max(1)), found.blocks()),
        ("the inodes of a tmpfs", limits.inodes, found.files()),
        ("the mode of a tmpfs", limits.mode.into(), (status.st_mode & 0o7777).into()),
    ] {
        if expected != found {
            return Err(Fault::mismatch(what, expected, found));
        }
    }
    Ok(())
}

fn number(value: u64) -> Result<CString, Fault> {
    CString::new(value.to_string()).map_err(|_| Fault::Protocol { what: "number".to_owned() })
}

/// A new file system, `nosuid` and `nodev` with the given attributes.
pub(super) fn filesystem(
    kind: &CStr,
    parameters: &[Parameter<'_>],
    attributes: u64,
) -> Result<OwnedFd, Fault> {
    new_filesystem(kind, parameters, attributes | ATTR_NOSUID | ATTR_NODEV)
        .map_err(|(call, errno)| Fault::system(call, kind.to_bytes(), errno))
}

/// Sets attributes on a mount and all below it, and asks whether the mount has them.
pub(super) fn set_attributes(tree: &impl AsFd, attributes: u64, name: &[u8]) -> Result<(), Fault> {
    sys::mount::set_attributes(tree.as_fd(), attributes, true).map_err(Fault::on("mount_setattr", name))?;
    has_attributes(tree, attributes, name)
}

/// As [`set_attributes`], but of the one mount.
pub(super) fn set_own_attributes(tree: &impl AsFd, attributes: u64, name: &[u8]) -> Result<(), Fault> {
    sys::mount::set_attributes(tree.as_fd(), attributes, false).map_err(Fault::on("mount_setattr", name))?;
    has_attributes(tree, attributes, name)
}

fn has_attributes(tree: &impl AsFd, expected: u64, name: &[u8]) -> Result<(), Fault> {
    let found = sys::mount::attributes(tree.as_fd()).map_err(Fault::on("fstatfs", name))?;
    if found & expected == expected {
        return Ok(());
    }
    let what = format!("the mount attributes of {}", shown(name));
    Err(Fault::mismatch(&what, format!("{expected:#x}"), format!("{found:#x}")))
}

/// Mounts a detached tree at a place below the root, and looks whether the path leads to it.
pub(super) fn attach(
    tree: &impl AsFd,
    target: &MountPoint<'_>,
    root: BorrowedFd<'_>,
    path: &CStr,
) -> Result<(), Fault> {
    let name = path.to_bytes();
    let moved =
        |target, at| sys::mount::attach(tree.as_fd(), target, at).map_err(Fault::on("move_mount", name));
    let id = |fd: BorrowedFd<'_>, at| sys::mount::mount_id(fd, at).map_err(Fault::on("statx", name));
    let found = match target {
        MountPoint::Opened(target) => {
            moved(target.as_fd(), c"")?;
            let top = place::open(root, path).map_err(Fault::on("openat2", name))?;
            id(top.as_fd(), c"")?
        }
        MountPoint::Made { folder, name } => {
            moved(*folder, name)?;
            id(*folder, name)?
        }
    };
    let expected = id(tree.as_fd(), c"")?;
    if expected == found {
        return Ok(());
    }
    Err(Fault::mismatch(&format!("the mount at {}", shown(name)), expected, found))
}

#[cfg(test)]
mod tests {
    use super::propagates;

    #[test]
    fn propagation_is_seen_in_the_optional_fields_only() {
        for (line, expected) in [
            ("36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw", true),
            ("36 35 98:0 / /mnt2 rw shared:7 - ext3 /dev/root rw", true),
            ("36 35 98:0 / /mnt2 rw - ext3 shared:1 rw", false),
            ("36 35 98:0 / /shared:1 rw unbindable - ext3 /dev/root rw", false),
            ("", false),
        ] {
            assert_eq!(propagates(line.as_bytes()), expected, "{line}");
        }
    }
}
