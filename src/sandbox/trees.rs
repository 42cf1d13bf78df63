//! Mount trees that only a privileged caller can reach or id-map: cloned here, handed to init by descriptor.

use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::error::{Error, StartError, Step};
use super::id_maps::IdMaps;
use crate::plan::{Mapped, NOTICE, Namespaces, Plan, Source, Via};
use crate::protocol::{Failure, Fault, Stage, shown};
use crate::{reexec, sys};

/// What a plan wants cloned, in its order.
pub(super) fn sources(plan: &Plan) -> Vec<&Source> {
    plan.walls.sources().filter(|source| matches!(source.via, Via::Tree { .. })).collect()
}

/// Makes the trees of one sandbox.
pub(super) struct Maker<'a> {
    /// The sandbox's, and what the task's are on the host.
    maps: &'a IdMaps,
    task: (u32, u32),
    /// User namespaces for id-mapped mounts, by whose files they are for.
    namespaces: Vec<(Mapped, OwnedFd)>,
}

impl<'a> Maker<'a> {
    pub(super) fn new(maps: &'a IdMaps, task: (u32, u32)) -> Self {
        Self { maps, task, namespaces: Vec::new() }
    }

    pub(super) fn make(&mut self, source: &Source) -> Result<OwnedFd, Error> {
        let tree = clone(source)?;
        let Via::Tree { idmap: Some(mapped) } = source.via else { return Ok(tree) };
        let (owner, becomes) = match mapped {
            Mapped::Owner(owner, _) => (owner, Some(self.task.0)),
            Mapped::All => {
                let owner = owner(&tree, source)?;
                (owner, self.maps.user(owner))
            }
        };
        set_idmap(&tree, source, self.namespace(mapped)?)?;
        if let Some(becomes) = becomes {
            check_idmap(&tree, source, owner, becomes)?;
        }
        Ok(tree)
    }

    fn namespace(&mut self, mapped: Mapped) -> Result<BorrowedFd<'_>, Error> {
        let at = match self.namespaces.iter().position(|(other, _)| *other == mapped) {
            Some(at) => at,
            None => {
                let namespace = match mapped {
                    Mapped::Owner(user, group) => {
                        user_namespace(&IdMaps::of_owner((user, group), self.task))?
                    }
                    Mapped::All => user_namespace(self.maps)?,
                };
                self.namespaces.push((mapped, namespace));
                self.namespaces.len() - 1
            }
        };
        Ok(self.namespaces[at].1.as_fd())
    }
}

/// Shows the owner's files as the sandbox's own, those on mounts below too. The kernel maps all of a tree or
/// nothing: where a file system below cannot be mapped (procfs) or is so already, only the top is, and what
/// is below belongs to strangers, as all else does.
fn set_idmap(tree: &OwnedFd, source: &Source, namespace: BorrowedFd<'_>) -> Result<(), Error> {
    let name = shown(source.path.to_bytes());
    let failed = Error::prepare(Step::Trees, "mount_setattr(MOUNT_ATTR_IDMAP)", &name);
    match sys::mount::set_idmap(tree.as_fd(), namespace, true) {
        Err(Errno::EINVAL | Errno::EPERM) => {
            sys::mount::set_idmap(tree.as_fd(), namespace, false).map_err(failed)?;
            log::warn!(
                target: NOTICE,
                "what is mounted below {name} cannot be id-mapped: its files are not the sandbox's own inside"
            );
            Ok(())
        }
        done => done.map_err(failed),
    }
}

/// What belongs to the owner belongs to the sandbox's id on the mount.
fn check_idmap(tree: &OwnedFd, source: &Source, was: u32, becomes: u32) -> Result<(), Error> {
    let found = owner(tree, source)?;
    if found == was && was != becomes {
        let what = format!("the owner of {} on its id-mapped mount", shown(source.path.to_bytes()));
        let failure = Failure { stage: Stage::Root, fault: Fault::mismatch(&what, becomes, found) };
        return Err(StartError::Init { source: failure }.into());
    }
    Ok(())
}

fn owner(tree: &OwnedFd, source: &Source) -> Result<u32, Error> {
    let name = shown(source.path.to_bytes());
    let found = sys::fstat(tree.as_fd()).map_err(Error::prepare(Step::Trees, "fstat", &name))?;
    Ok(found.st_uid)
}

fn clone(source: &Source) -> Result<OwnedFd, Error> {
    let name = shown(source.path.to_bytes());
    let fd = sys::open_without_symlinks(&source.path, OFlag::O_PATH).map_err(Error::prepare(
        Step::Trees,
        "openat2",
        &name,
    ))?;
    crate::init::check_source(&fd, source)
        .map_err(|fault| StartError::Init { source: Failure { stage: Stage::Root, fault } })?;
    let tree = sys::mount::clone_tree(fd.as_fd()).map_err(Error::prepare(Step::Trees, "open_tree", &name))?;
    // It comes from the host's own namespace, where mounts are shared as a rule; what init makes private has
    // not got it yet.
    sys::mount::set_propagation(tree.as_fd(), if source.slave { libc::MS_SLAVE } else { libc::MS_PRIVATE })
        .map_err(Error::prepare(Step::Trees, "mount_setattr", &name))?;
    Ok(tree)
}

/// A user namespace in which the owners of the host's files are the sandbox's ids: what an id-mapped mount
/// takes (mount_setattr(2)). The process that makes it is gone when this returns.
fn user_namespace(maps: &IdMaps) -> Result<OwnedFd, Error> {
    let flags = libc::CLONE_NEWUSER.cast_unsigned().into();
    let holder = reexec::clone_helper(flags).map_err(|source| {
        let source = reexec::LaunchError::Clone { flags, source };
        StartError::Launch { namespaces: Namespaces::Own { new: flags }, source }
    })?;
    maps.write(holder.pidfd.as_fd())?;
    let number = sys::process::number_in_proc(holder.pidfd.as_fd()).map_err(Error::prepare(
        Step::Trees,
        "read",
        "/proc/self/fdinfo",
    ))?;
    let path = format!("/proc/{number}/ns/user");
    let namespace = File::open(&path).map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        Error::prepare(Step::Trees, "open", &path)(errno)
    })?;
    Ok(namespace.into())
}
