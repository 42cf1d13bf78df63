//! New mounts, detached: nothing is visible before it has all its attributes.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use super::start::Context;
use super::tree;
use crate::plan::{Mount, Tmpfs};
use crate::protocol::Fault;
use crate::sys;
use crate::sys::mount::{ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, Parameter, new_filesystem};

/// No mount propagates in or out any more.
pub(super) fn make_private(context: &mut Context) -> Result<(), Fault> {
    if context.plan.root.is_none() {
        return Ok(());
    }
    sys::mount::make_all_private().map_err(Fault::on("mount_setattr", b"/"))
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
            Ok((filesystem(c"proc", parameters, ATTR_NOEXEC)?, true))
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
    filesystem(c"tmpfs", &parameters, attributes)
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

/// Sets attributes on a mount and all below it.
pub(super) fn set_attributes(tree: &impl AsFd, attributes: u64, name: &[u8]) -> Result<(), Fault> {
    sys::mount::set_attributes(tree.as_fd(), attributes, true).map_err(Fault::on("mount_setattr", name))
}
