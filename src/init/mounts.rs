//! Makes the mounts of the Plan: copies of what is on the host, and new file systems.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::sys::stat::{fstat, fstatat};
use nix::sys::statfs::{Statfs, fstatfs};

use super::context::Context;
use super::detached::Detached;
use super::table::RELATIME;
use super::tree;
use crate::plan::{Bind, Filesystem, Tmpfs};
use crate::profile::{Atime, Propagation};
use crate::protocol::Fault;
use crate::sys;
use crate::sys::mount::{
    ATTR_ATIME, ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, Parameter, new_filesystem,
};

/// No mount propagates out any more, nor in, unless something the host mounts later is asked for.
pub(super) fn make_private(context: &mut Context) -> Result<(), Fault> {
    if context.plan.walls.root.is_none() {
        return Ok(());
    }
    // In a user namespace the mounts of the host are slaves already. What has to stay one needs a slave to be
    // copied from.
    let slaves = context.plan.walls.sources().any(|source| source.slave);
    let propagation = if slaves { libc::MS_SLAVE } else { libc::MS_PRIVATE };
    sys::mount::set_propagation_of_all(propagation).map_err(Fault::on("mount_setattr", b"/"))
}

/// A copy of the host's files.
pub(super) fn bind(context: &mut Context, plan: &Bind) -> Result<Detached, Fault> {
    let Bind { source, readonly, noexec, attributes: more } = plan;
    let attributes = ATTR_NOSUID
        | ATTR_NODEV
        | if *readonly { ATTR_RDONLY } else { 0 }
        | if *noexec { ATTR_NOEXEC } else { 0 }
        | more.bits();
    let tree = tree::of(context, source)?;
    // The kernel takes access times only as a whole.
    let clear = if more.atime.is_some() { ATTR_ATIME } else { 0 };
    sys::mount::change_all(tree.as_fd(), attributes, clear, propagation_flag(more.propagation))
        .map_err(Fault::on("mount_setattr", source.path.to_bytes()))?;
    let relatime = if more.atime == Some(Atime::Relatime) { RELATIME } else { 0 };
    Ok(Detached {
        tree,
        directory: source.directory,
        attributes: attributes | relatime,
        shows: Some((source.device, source.inode)),
        propagation: more.propagation,
    })
}

/// A new file system with its options, read back.
pub(super) fn filesystem(plan: &Filesystem) -> Result<Detached, Fault> {
    let limits = plan.limits.as_ref().map(Limits::of).transpose()?;
    let own = limits.iter().flat_map(Limits::parameters);
    let data = plan.data.iter().map(|(key, value)| match value {
        Some(value) => Parameter::Text(key, value),
        None => Parameter::Flag(key),
    });
    let parameters: Vec<_> = own.chain(data).collect();
    let tree = new_mount(&plan.fstype, &parameters, plan.attributes)?;
    let found = fstatfs(&tree).map_err(Fault::on("fstatfs", plan.fstype.to_bytes()))?;
    is_a(&found, plan)?;
    if let Some(limits) = &plan.limits {
        has_limits(&tree, &found, limits)?;
    }
    if plan.fstype.to_bytes() == b"proc" && plan.data.iter().any(is_subset_pid) {
        has_processes_only(&tree)?;
    }
    if plan.propagation != Propagation::Private {
        sys::mount::change_all(tree.as_fd(), 0, 0, propagation_flag(plan.propagation))
            .map_err(Fault::on("mount_setattr", plan.fstype.to_bytes()))?;
    }
    let relatime = if plan.attributes & ATTR_ATIME == 0 { RELATIME } else { 0 };
    let attributes = plan.attributes | relatime;
    Ok(Detached { tree, directory: true, attributes, shows: None, propagation: plan.propagation })
}

fn is_subset_pid((key, value): &(CString, Option<CString>)) -> bool {
    key.as_c_str() == c"subset" && value.as_deref() == Some(c"pid")
}

/// Asks the file system what it is.
fn is_a(found: &Statfs, plan: &Filesystem) -> Result<(), Fault> {
    // The number's type differs between the C libraries. It has 32 bits.
    #[allow(clippy::unnecessary_cast, clippy::cast_sign_loss, clippy::cast_possible_truncation)]
    let magic = u64::from(found.filesystem_type().0 as u32);
    if magic == plan.magic {
        return Ok(());
    }
    let what = format!("the type of a new {}", plan.fstype.to_string_lossy());
    Err(Fault::mismatch(&what, format!("{:#x}", plan.magic), format!("{magic:#x}")))
}

fn propagation_flag(propagation: Propagation) -> u64 {
    match propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::Slave => libc::MS_SLAVE,
        Propagation::Unbindable => libc::MS_UNBINDABLE,
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
    let made = new_mount(c"tmpfs", &Limits::of(limits)?.parameters(), attributes)?;
    let found = fstatfs(&made).map_err(Fault::on("fstatfs", b"tmpfs"))?;
    has_limits(&made, &found, limits)?;
    Ok(made)
}

/// Limits of a tmpfs, as the kernel takes them.
struct Limits {
    size: CString,
    inodes: CString,
    mode: CString,
}

impl Limits {
    fn of(limits: &Tmpfs) -> Result<Self, Fault> {
        let mode = CString::new(format!("{:o}", limits.mode))
            .map_err(|_| Fault::Protocol { what: "tmpfs mode".to_owned() })?;
        Ok(Self { size: number(limits.size)?, inodes: number(limits.inodes)?, mode })
    }

    fn parameters(&self) -> [Parameter<'_>; 3] {
        [
            Parameter::Text(c"size", &self.size),
            Parameter::Text(c"nr_inodes", &self.inodes),
            Parameter::Text(c"mode", &self.mode),
        ]
    }
}

/// Asks whether the tmpfs has the limits: one that was not heard would be the host's memory.
fn has_limits(made: &OwnedFd, found: &Statfs, limits: &Tmpfs) -> Result<(), Fault> {
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
pub(super) fn new_mount(
    kind: &CStr,
    parameters: &[Parameter<'_>],
    attributes: u64,
) -> Result<OwnedFd, Fault> {
    new_filesystem(kind, parameters, attributes).map_err(|refused| {
        let kind = kind.to_string_lossy();
        let object = match refused.parameter {
            Some(parameter) => format!("{parameter} of a new {kind}"),
            None => kind.into_owned(),
        };
        Fault::system(refused.call, object.as_bytes(), refused.errno)
    })
}
