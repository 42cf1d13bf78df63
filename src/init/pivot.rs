//! The new root becomes `/`, and the old one goes.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, stat};
use nix::unistd::{chdir, chroot, fchdir};

use super::context::Context;
use super::table::Procfs;
use super::{detached, mounts, root};
use crate::capability::Capability;
use crate::plan::Tmpfs;
use crate::protocol::Fault;
use crate::sys;
use crate::sys::mount::{ATTR_NODEV, ATTR_NOSUID, ATTR_RDONLY};

/// What an initramfs is covered with, for as long as it takes to pivot away from it.
const COVER: Tmpfs = Tmpfs { size: 4096, inodes: 1, mode: 0o555 };

/// pivot_root(2) onto itself: the old root ends up over the new one and is detached with everything that was
/// mounted in it.
pub(super) fn pivot(context: &mut Context) -> Result<(), Fault> {
    let Some(root) = context.root.take() else { return Ok(()) };
    let procfs = Procfs::open()?;
    let old_root = open("/", OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map_err(Fault::on("open", b"old root"))?;
    fchdir(&root).map_err(Fault::on("fchdir", b"new root"))?;
    let initramfs = match sys::mount::pivot_root_here() {
        Ok(()) => {
            close_for_writing(old_root)?;
            false
        }
        // Nothing propagates and the new root is a mount of our own: what is left of the reasons is a root
        // that is mounted on nothing, the kernel's initramfs.
        Err(Errno::EINVAL) => {
            // What is the root in the end is a copy, whose mounts have other numbers.
            procfs.verify(&context.made)?;
            from_initramfs(context, root, old_root)?;
            true
        }
        Err(errno) => return Err(Fault::system("pivot_root", b"new root", errno)),
    };
    sys::mount::detach(c".").map_err(Fault::on("umount2", b"old root"))?;
    chdir("/").map_err(Fault::on("chdir", b"/"))?;
    verify(context)?;
    if !initramfs {
        procfs.verify(&context.made)?;
    }
    context.made.verify_shown()?;
    context.readback.new_root = true;
    Ok(())
}

/// The old root's mounts lose their last use with this process, and its own image is in one of them: a task
/// that runs that image could change mode, times and attributes of its file through `/proc/self/exe`, which
/// Landlock does not govern. When nothing of the new root is below the old one, these are this namespace's
/// copies of the mounts, no others.
fn close_for_writing(old_root: OwnedFd) -> Result<(), Fault> {
    detached::set_attributes(&old_root, ATTR_RDONLY, b"old root")
}

/// Pivots away from the root of all mounts, which cannot be moved or unmounted: it is covered by a mount,
/// that mount becomes this process's root, and gives way to the new root as any other would.
///
/// The initramfs stays below the new root, as it does on every system that was started from one (there it is
/// empty), and no path leads down to it. Only setns(2) to the own mount namespace does, after an unmount of
/// `/`; both need CAP_SYS_ADMIN.
fn from_initramfs(context: &Context, new_root: OwnedFd, initramfs: OwnedFd) -> Result<(), Fault> {
    if context.plan.task.capabilities.contains(Capability::CAP_SYS_ADMIN) {
        let found = "an initramfs, to which a sandbox with CAP_SYS_ADMIN could return";
        return Err(Fault::mismatch("the host's root", "a new root without a way back", found));
    }
    // The new root covers the initramfs already, and cannot be moved onto what comes between: a copy can.
    let copy = sys::mount::clone_tree(new_root.as_fd()).map_err(Fault::on("open_tree", b"new root"))?;
    drop(new_root);
    sys::mount::detach(c".").map_err(Fault::on("umount2", b"new root"))?;
    close_for_writing(initramfs)?;
    let cover = root::over_old_root(mounts::tmpfs(&COVER, ATTR_NOSUID | ATTR_NODEV | ATTR_RDONLY)?)?;
    fchdir(&cover).map_err(Fault::on("fchdir", b"cover of the initramfs"))?;
    chroot(".").map_err(Fault::on("chroot", b"cover of the initramfs"))?;
    let new_root = root::over_old_root(copy)?;
    fchdir(&new_root).map_err(Fault::on("fchdir", b"new root"))?;
    sys::mount::pivot_root_here().map_err(Fault::on("pivot_root", b"new root"))
}

/// `/` is the root that was built, and nothing is stacked on it: `/..` is where that would show, as a path
/// that ends in `..` is followed up to what is mounted there, and `/` itself is not.
pub(super) fn verify(context: &Context) -> Result<(), Fault> {
    let Some(built) = context.root_id else { return Ok(()) };
    for path in ["/", "/.."] {
        let found = stat(path).map_err(Fault::on("stat", path.as_bytes()))?;
        let found = (found.st_dev, found.st_ino);
        if found != built {
            return Err(Fault::mismatch(path, format!("{built:?}"), format!("{found:?}")));
        }
    }
    Ok(())
}
