//! Mounts that are made and not mounted yet, and their attributes.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};

use super::place::MountPoint;
use super::table::Made;
use crate::profile::Propagation;
use crate::protocol::{Fault, shown};
use crate::sys;

/// A mount that is in no tree yet: it is seen nowhere before it has all its attributes.
pub(super) struct Detached {
    pub(super) tree: OwnedFd,
    /// Whether its root is a directory.
    pub(super) directory: bool,
    /// What it was given.
    pub(super) attributes: u64,
    /// Device and inode of its root, where it is the host's.
    pub(super) shows: Option<(u64, u64)>,
    /// What propagates into it.
    pub(super) propagation: Propagation,
}

impl Detached {
    /// Mounts a detached tree at a place below the root. Whether the path leads to it is read in the mount table.
    pub(super) fn attach(&self, made: &mut Made, target: &MountPoint<'_>, path: &CStr) -> Result<(), Fault> {
        let (directory, name) = match target {
            MountPoint::Opened(target) => (target.as_fd(), c""),
            MountPoint::Made { directory, name } => (*directory, name.as_c_str()),
        };
        sys::mount::attach(self.tree.as_fd(), directory, name)
            .map_err(Fault::on("move_mount", path.to_bytes()))?;
        made.add(&self.tree, path, self.attributes, self.shows, self.propagation)
    }
}

/// Sets attributes on a mount and all below it. Whether it has them is read in the mount table, once it is
/// mounted.
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
