//! New mounts, detached: nothing is visible before it has all its attributes.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{fstat, fstatat};
use nix::sys::statfs::fstatfs;

use super::place::MountPoint;
use super::start::Context;
use super::table::Made;
use super::tree;
use crate::plan::{Mount, Tmpfs};
use crate::protocol::{Fault, shown};
use crate::sys;
use crate::sys::mount::{ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, Parameter, new_filesystem};

/// Of file systems that hold neither devices nor programs.
pub(super) const DATA: u64 = ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;

/// No mount propagates in or out any more.
pub(super) fn make_private(context: &mut Context) -> Result<(), Fault> {
    if context.plan.walls.root.is_none() {
        return Ok(());
    }
    sys::mount::make_all_private().map_err(Fault::on("mount_setattr", b"/"))
}

/// A mount that is not mounted yet.
pub(super) struct New {
    pub(super) tree: OwnedFd,
    /// Whether its root is a folder.
    pub(super) folder: bool,
    /// What it was given.
    pub(super) attributes: u64,
    /// Device and inode of its root, where it is the host's.
    pub(super) shows: Option<(u64, u64)>,
}

/// Makes the mount.
pub(super) fn make(context: &mut Context, mount: &Mount) -> Result<New, Fault> {
    let own = |tree, attributes| New { tree, folder: true, attributes, shows: None };
    Ok(match mount {
        Mount::Bind { source, readonly, noexec } => {
            let attributes = ATTR_NOSUID
                | ATTR_NODEV
                | if *readonly { ATTR_RDONLY } else { 0 }
                | if *noexec { ATTR_NOEXEC } else { 0 };
            let tree = tree::of(context, source)?;
            set_attributes(&tree, attributes, source.path.to_bytes())?;
            New { tree, folder: source.folder, attributes, shows: Some((source.device, source.inode)) }
        }
        Mount::Device { source, major, minor } => tree::of_device(source, *major, *minor)?,
        Mount::Tmpfs { limits, noexec, readonly } => {
            let attributes = ATTR_NOSUID
                | ATTR_NODEV
                | if *noexec { ATTR_NOEXEC } else { 0 }
                | if *readonly { ATTR_RDONLY } else { 0 };
            own(tmpfs(limits, attributes)?, attributes)
        }
        Mount::Proc { subset_pid } => {
            let parameters: &[Parameter<'_>] =
                if *subset_pid { &[Parameter::Text(c"subset", c"pid")] } else { &[] };
            let made = filesystem(c"proc", parameters, DATA)?;
            if *subset_pid {
                has_processes_only(&made)?;
            }
            own(made, DATA)
        }
        Mount::Devpts => {
            let parameters = [
                Parameter::Flag(c"newinstance"),
                Parameter::Text(c"ptmxmode", c"0666"),
                Parameter::Text(c"mode", c"0620"),
                // Of its own: otherwise one sandbox can take every terminal of the host but those that are kept back for the
                // host's own instance (kernel.pty.max). A kernel that does not know the option refuses to mount.
                Parameter::Text(c"max", TERMINALS),
            ];
            // Its nodes are terminals: `nodev` would make them useless.
            let attributes = ATTR_NOSUID | ATTR_NOEXEC;
            own(filesystem(c"devpts", &parameters, attributes)?, attributes)
        }
        Mount::Mqueue => own(filesystem(c"mqueue", &[], DATA)?, DATA),
    })
}

/// How many pseudo-terminals a sandbox can have at once.
const TERMINALS: &CStr = c"64";

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

/// A new file system with the given attributes.
pub(super) fn filesystem(
    kind: &CStr,
    parameters: &[Parameter<'_>],
    attributes: u64,
) -> Result<OwnedFd, Fault> {
    new_filesystem(kind, parameters, attributes)
        .map_err(|(call, errno)| Fault::system(call, kind.to_bytes(), errno))
}

/// Sets attributes on a mount and all below it. Whether it has them is read in the mount table, once it is mounted.
pub(super) fn set_attributes(tree: &impl AsFd, attributes: u64, name: &[u8]) -> Result<(), Fault> {
    sys::mount::set_attributes(tree.as_fd(), attributes, true).map_err(Fault::on("mount_setattr", name))
}

/// As [`set_attributes`], but of the one mount.
pub(super) fn set_own_attributes(tree: &impl AsFd, attributes: u64, name: &[u8]) -> Result<(), Fault> {
    sys::mount::set_attributes(tree.as_fd(), attributes, false).map_err(Fault::on("mount_setattr", name))
}

/// Asks whether a mount has attributes: one that will not be in the mount table.
pub(super) fn has_attributes(tree: &impl AsFd, expected: u64, name: &[u8]) -> Result<(), Fault> {
    let found = sys::mount::attributes(tree.as_fd()).map_err(Fault::on("fstatfs", name))?;
    if found & expected == expected {
        return Ok(());
    }
    let what = format!("the mount attributes of {}", shown(name));
    Err(Fault::mismatch(&what, format!("{expected:#x}"), format!("{found:#x}")))
}

/// Mounts a detached tree at a place below the root. Whether the path leads to it is read in the mount table.
pub(super) fn attach(made: &mut Made, new: &New, target: &MountPoint<'_>, path: &CStr) -> Result<(), Fault> {
    let (folder, name) = match target {
        MountPoint::Opened(target) => (target.as_fd(), c""),
        MountPoint::Made { folder, name } => (*folder, name.as_c_str()),
    };
    sys::mount::attach(new.tree.as_fd(), folder, name).map_err(Fault::on("move_mount", path.to_bytes()))?;
    made.add(&new.tree, path, new.attributes, new.shows)
}
