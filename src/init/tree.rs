//! Detached copies of the host's files and directories, checked to be those that the Plan was made for.

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::OFlag;

use super::context::Context;
use super::detached::{self, Detached};
use crate::plan::{Device, Node, Root, Source, Via};
use crate::profile::Propagation;
use crate::protocol::{Fault, shown};
use crate::sys;
use crate::sys::mount::{ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY};

/// The tree at a source: opened here without following a symlink, or cloned and handed over by the caller.
pub(super) fn of(context: &mut Context, source: &Source) -> Result<OwnedFd, Fault> {
    match source.via {
        Via::Path if is_root(source) => context
            .roots
            .pop_front()
            .ok_or_else(|| Fault::Protocol { what: "a copy of the old root".to_owned() }),
        Via::Path => clone(source),
        Via::Tree { .. } => {
            let tree = context.trees.next(&context.channel)?;
            check(&tree, source)?;
            Ok(tree)
        }
    }
}

/// Takes the sources that are the old root itself, before the new one is mounted on it: a copy that is made
/// later would have the new root on top. Every other path is followed from below what is mounted there, and
/// its tree does not reach up to it.
pub(super) fn take_roots(context: &mut Context, plan: &Root) -> Result<(), Fault> {
    let mounts = plan.nodes.iter().filter_map(|node| match node {
        (_, Node::Bind(bind)) => Some(&bind.source),
        _ => None,
    });
    for source in mounts.filter(|source| source.via == Via::Path && is_root(source)) {
        context.roots.push_back(clone(source)?);
    }
    Ok(())
}

fn is_root(source: &Source) -> bool {
    source.path.as_bytes() == b"/"
}

fn clone(source: &Source) -> Result<OwnedFd, Fault> {
    let path = source.path.to_bytes();
    let fd = sys::open_without_symlinks(&source.path, OFlag::O_PATH).map_err(Fault::on("openat2", path))?;
    check(&fd, source)?;
    sys::mount::clone_tree(fd.as_fd()).map_err(Fault::on("open_tree", path))
}

/// The file behind a descriptor is the one that the Plan was made for.
pub(crate) fn check(fd: &impl AsFd, source: &Source) -> Result<(), Fault> {
    let stat = sys::fstat(fd.as_fd()).map_err(Fault::on("fstat", source.path.to_bytes()))?;
    if (stat.st_dev, stat.st_ino) != (source.device, source.inode) {
        return Err(Fault::Replaced { path: shown(source.path.to_bytes()) });
    }
    Ok(())
}

/// A device node of the host, checked to be that device (CVE-2025-31133: a symlink or another file in its
/// place). What is looked at is the copy: it is what will be mounted, by any path.
pub(super) fn of_device(plan: &Device) -> Result<Detached, Fault> {
    let Device { block, major, minor, readonly, .. } = *plan;
    let name = plan.source.to_bytes();
    let tree = sys::mount::clone_mount(&plan.source).map_err(Fault::on("open_tree", name))?;
    let stat = sys::fstat(tree.as_fd()).map_err(Fault::on("fstat", name))?;
    let device = (libc::major(stat.st_rdev), libc::minor(stat.st_rdev));
    let (kind, word) = if block { (libc::S_IFBLK, "block") } else { (libc::S_IFCHR, "character") };
    if stat.st_mode & libc::S_IFMT != kind || device != (major, minor) {
        return Err(Fault::mismatch(
            &shown(name),
            format!("the {word} device {major}:{minor}"),
            format!("mode {:o}, device {}:{}", stat.st_mode, device.0, device.1),
        ));
    }
    let attributes = ATTR_NOSUID | ATTR_NOEXEC | if readonly { ATTR_RDONLY } else { 0 };
    detached::set_own_attributes(&tree, attributes, name)?;
    Ok(Detached {
        tree,
        directory: false,
        attributes,
        shows: Some((stat.st_dev, stat.st_ino)),
        propagation: Propagation::Private,
    })
}
