//! The new root becomes `/`, and the old one goes.

use nix::sys::stat::stat;
use nix::unistd::{chdir, fchdir};

use super::start::Context;
use crate::protocol::Fault;
use crate::sys;

/// pivot_root(2) onto itself: the old root ends up over the new one and is detached with everything that was mounted in it.
pub(super) fn pivot(context: &mut Context) -> Result<(), Fault> {
    let Some(root) = context.root.take() else { return Ok(()) };
    fchdir(&root).map_err(Fault::on("fchdir", b"new root"))?;
    drop(root);
    sys::mount::pivot_root_here().map_err(Fault::on("pivot_root", b"new root"))?;
    sys::mount::detach_here().map_err(Fault::on("umount2", b"old root"))?;
    chdir("/").map_err(Fault::on("chdir", b"/"))?;
    let found = stat("/").map_err(Fault::on("stat", b"/"))?;
    let found = (found.st_dev, found.st_ino);
    match context.root_id {
        Some(built) if built == found => {
            context.readback.new_root = true;
            Ok(())
        }
        built => Err(Fault::mismatch("/", format!("{built:?}"), format!("{found:?}"))),
    }
}
