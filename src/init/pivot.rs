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
    sys::mount::detach(c".").map_err(Fault::on("umount2", b"old root"))?;
    chdir("/").map_err(Fault::on("chdir", b"/"))?;
    verify(context)?;
    context.readback.new_root = true;
    Ok(())
}

/// `/` is the root that was built, and nothing is stacked on it: `/..` is where that would show, as a path that ends in `..` is
/// followed up to what is mounted there, and `/` itself is not.
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
