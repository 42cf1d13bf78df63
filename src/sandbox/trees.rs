//! Mount trees that only a privileged caller can reach or id-map: cloned here, handed to init by descriptor.

use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;

use super::error::{Error, Step};
use super::id_maps::IdMaps;
use crate::plan::{Plan, Source, Via};
use crate::protocol::{Failure, Fault, Stage, shown};
use crate::{reexec, sys};

/// The reserved role that holds a user namespace until its descriptor was taken.
const HOLDER: &str = "belljar:user-namespace";

crate::reexec::reserved_role!(HOLDER, hold);

/// How long the holder may take to come up.
const PATIENCE: Duration = Duration::from_secs(10);

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
            }
        }
        trees.push(tree);
    }
    Ok(trees)
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
    let argv = [CString::from(c"belljar-user-namespace")];
    let failed = |source| Error::Launch { namespaces: flags, source };
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|source| Error::Child { action: "open /dev/null for", source })?;
    let launched = reexec::launch(&reexec::Launch {
        role: HOLDER,
        payload: &[],
        argv: &argv,
        env: &[],
        stdio: [null.as_fd(); 3],
        extra: &[],
        clone_flags: flags,
        raise_capabilities: false,
        cwd: Some(c"/"),
        death_signal: true,
        death_watch: false,
        new_session: true,
        cgroup: None,
    })
    .map_err(failed)?;
    launched.wait_ready(PATIENCE).map_err(failed)?;
    IdMaps { inside: owner, outside: (host_id, host_id), deny_setgroups: false }.write(launched.pid)?;
    let path = format!("/proc/{}/ns/user", launched.pid);
    let namespace = File::open(&path).map_err(|error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        Error::prepare(Step::Trees, "open", &path)(errno)
    })?;
    drop(launched.channel);
    sys::process::wait_pidfd(launched.pidfd.as_fd(), 0).map_err(Error::prepare(
        Step::Trees,
        "waitid",
        "user namespace holder",
    ))?;
    Ok(namespace.into())
}

/// The holder's body: waits until the caller closes its end.
fn hold() -> Result<(), Fault> {
    let Some(inherited) = reexec::inherited() else {
        return Err(Fault::Protocol { what: "channel".to_owned() });
    };
    let mut byte = [0u8; 1];
    loop {
        match nix::unistd::read(&inherited.channel, &mut byte) {
            Ok(0) | Err(Errno::ECONNRESET) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Fault::system("read", b"channel", errno)),
        }
    }
}
