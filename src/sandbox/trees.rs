//! Mount trees that only a privileged caller can reach or id-map: cloned here, handed to init by descriptor.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;

use super::error::{Error, Step};
use super::id_maps::IdMaps;
use crate::plan::{Plan, Source, Via};
use crate::protocol::{Failure, Fault, Stage, shown};
use crate::{reexec, sys};

/// The trees of a plan, in its order.
pub(super) fn make(plan: &Plan, host_id: Option<u32>) -> Result<Vec<OwnedFd>, Error> {
    let mut namespaces: Vec<((u32, u32), OwnedFd)> = Vec::new();
    let mut trees = Vec::new();
    for source in plan.sources().filter(|source| matches!(source.via, Via::Tree { .. })) {
        let tree = clone(source)?;
        if let (Via::Tree { idmap: Some(owner) }, Some(host_id)) = (source.via, host_id) {
            let known = namespaces.iter().position(|(other, _)| *other == owner);
            let index = match known {
                Some(index) => index,
                None => {
                    namespaces.push((owner, user_namespace(owner, host_id)?));
                    namespaces.len() - 1
                }
            };
            if let Some((_, namespace)) = namespaces.get(index) {
                sys::mount::set_idmap(tree.as_fd(), namespace.as_fd()).map_err(Error::prepare(
                    Step::Trees,
                    "mount_setattr(MOUNT_ATTR_IDMAP)",
                    &shown(source.path.to_bytes()),
                ))?;
                check_idmap(&tree, source, owner, host_id)?;
            }
        }
        trees.push(tree);
    }
    Ok(trees)
}

/// What belongs to the owner belongs to the sandbox's id on the mount.
fn check_idmap(tree: &OwnedFd, source: &Source, owner: (u32, u32), host_id: u32) -> Result<(), Error> {
    let name = shown(source.path.to_bytes());
    let found = sys::fstat(tree.as_fd()).map_err(Error::prepare(Step::Trees, "fstat", &name))?;
    if found.st_uid == owner.0 && owner.0 != host_id {
        let what = format!("the owner of {name} on its id-mapped mount");
        let failure = Failure { stage: Stage::Root, fault: Fault::mismatch(&what, host_id, found.st_uid) };
        return Err(Error::Init { source: failure });
    }
    Ok(())
}

fn clone(source: &Source) -> Result<OwnedFd, Error> {
    let name = shown(source.path.to_bytes());
    let fd = sys::open_without_symlinks(&source.path, libc::O_PATH).map_err(Error::prepare(
        Step::Trees,
        "openat2",
        &name,
    ))?;
    crate::init::check_source(&fd, source)
        .map_err(|fault| Error::Init { source: Failure { stage: Stage::Root, fault } })?;
    let tree = sys::mount::clone_tree(fd.as_fd()).map_err(Error::prepare(Step::Trees, "open_tree", &name))?;
    // It comes from the host's own namespace, where mounts are shared as a rule; what init makes private has not got it yet.
    sys::mount::make_private(tree.as_fd()).map_err(Error::prepare(Step::Trees, "mount_setattr", &name))?;
    Ok(tree)
}

/// A user namespace in which the owner of the host's files is the sandbox's id: what an id-mapped mount takes
/// (mount_setattr(2)). The process that makes it is gone when this returns.
fn user_namespace(owner: (u32, u32), host_id: u32) -> Result<OwnedFd, Error> {
    let flags = libc::CLONE_NEWUSER.cast_unsigned().into();
    let holder = reexec::clone_beside(flags).map_err(|source| {
        let source = reexec::LaunchError::Clone { flags, source };
        Error::Launch { namespaces: flags, source }
    })?;
    IdMaps { inside: owner, outside: (host_id, host_id), deny_setgroups: false }.write(holder.pid)?;
    let path = format!("/proc/{}/ns/user", holder.pid);
    let namespace = File::open(&path).map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        Error::prepare(Step::Trees, "open", &path)(errno)
    })?;
    Ok(namespace.into())
}
