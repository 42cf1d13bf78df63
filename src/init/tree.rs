//! Detached copies of the host's files and folders, checked to be those that the Plan was made for.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use super::mounts::{self, New};
use super::start::Context;
use crate::plan::{Source, Via};
use crate::protocol::{Fault, shown};
use crate::sys;
use crate::sys::mount::{ATTR_NOEXEC, ATTR_NOSUID};

/// The tree at a source: opened here without following a symlink, or cloned and handed over by the caller.
pub(super) fn of(context: &mut Context, source: &Source) -> Result<OwnedFd, Fault> {
    let path = source.path.to_bytes();
    match source.via {
        Via::Path => {
            let fd =
                sys::open_without_symlinks(&source.path, libc::O_PATH).map_err(Fault::on("openat2", path))?;
            check(&fd, source)?;
            sys::mount::clone_tree(fd.as_fd()).map_err(Fault::on("open_tree", path))
        }
        Via::Tree { .. } => {
            let tree = context.trees.next(&context.channel)?;
            check(&tree, source)?;
            Ok(tree)
        }
    }
}

/// The file behind a descriptor is the one that the Plan was made for.
pub(crate) fn check(fd: &impl AsFd, source: &Source) -> Result<(), Fault> {
    let stat = sys::fstat(fd.as_fd()).map_err(Fault::on("fstat", source.path.to_bytes()))?;
    if (stat.st_dev, stat.st_ino) != (source.device, source.inode) {
        return Err(Fault::Replaced { path: shown(source.path.to_bytes()) });
    }
    Ok(())
}

/// A device node of the host, checked to be that device (CVE-2025-31133: a symlink or another file in its place). What is looked at is
/// the copy: whatever led to it, it is what will be mounted.
pub(super) fn of_device(path: &CStr, major: u32, minor: u32) -> Result<New, Fault> {
    let name = path.to_bytes();
    let tree = sys::mount::clone_mount(path).map_err(Fault::on("open_tree", name))?;
    let stat = sys::fstat(tree.as_fd()).map_err(Fault::on("fstat", name))?;
    let device = (libc::major(stat.st_rdev), libc::minor(stat.st_rdev));
    if stat.st_mode & libc::S_IFMT != libc::S_IFCHR || device != (major, minor) {
        return Err(Fault::mismatch(
            &shown(name),
            format!("the character device {major}:{minor}"),
            format!("mode {:o}, device {}:{}", stat.st_mode, device.0, device.1),
        ));
    }
    let attributes = ATTR_NOSUID | ATTR_NOEXEC;
    mounts::set_own_attributes(&tree, attributes, name)?;
    Ok(New { tree, folder: false, attributes })
}
