//! Device nodes by their number. In a user namespace none can be made (mknod(2), EPERM), so the host's node
//! of the same number is shown.

use std::path::{Path, PathBuf};

use super::convert::c_path;
use crate::host::{FileKind, Files, Stat};
use crate::plan::error::PlanError;
use crate::plan::model::{Device, Node};
use crate::profile::{Mount, MountKind};

/// More than a `/dev` has.
const MAX_LISTED: usize = 4096;

/// The host's node with the number that `mount` asks for.
pub(crate) fn device(mount: &Mount, files: &dyn Files) -> Result<Node, PlanError> {
    let MountKind::Node { block, major, minor, mode, uid, gid } = mount.kind else {
        return Err(PlanError::Device { path: mount.destination.clone(), major: 0, minor: 0 });
    };
    let rdev = libc::makedev(major, minor);
    let kind = if block { FileKind::BlockDevice } else { FileKind::CharDevice };
    let is_it = |stat: &Stat| stat.kind == kind && stat.rdev == rdev;
    let Some((source, stat)) = find(mount, block, (major, minor), &is_it, files) else {
        return Err(PlanError::Device { path: mount.destination.clone(), major, minor });
    };
    let fail = |reason, hint| {
        Err(PlanError::Unenforceable { key: format!("a device at {:?}", mount.destination), reason, hint })
    };
    let owner = [(uid, stat.uid), (gid, stat.gid)];
    if owner.into_iter().any(|(asked, found)| asked.is_some_and(|asked| asked != found)) {
        let reason = "no node can be made in a user namespace, and the host's has another owner or group";
        return fail(reason, "leave uid and gid out, or change the host's node");
    }
    if mode.is_some_and(|mode| stat.mode & 0o777 & !mode != 0) {
        let reason = "no node can be made in a user namespace, and the host's has a mode that permits more";
        return fail(reason, "leave the mode out, or change the host's node");
    }
    let source = c_path(&source)?;
    Ok(Node::Device(Device { source, major, minor, block, readonly: mount.readonly }))
}

/// At its own path, by udev's links, or in `/dev`.
fn find(
    mount: &Mount,
    block: bool,
    (major, minor): (u32, u32),
    is_it: &dyn Fn(&Stat) -> bool,
    files: &dyn Files,
) -> Option<(PathBuf, Stat)> {
    let look = |path: &Path| files.lstat(path).ok().filter(is_it).map(|stat| (path.to_owned(), stat));
    let directory = if block { "block" } else { "char" };
    let linked = || files.follow(&Path::new("/dev").join(directory).join(format!("{major}:{minor}"))).ok();
    let listed = || {
        let names = files.list(Path::new("/dev"), MAX_LISTED).ok()?;
        names.iter().find_map(|(name, _)| look(&Path::new("/dev").join(name)))
    };
    look(&mount.destination).or_else(|| linked().and_then(|followed| look(&followed.path))).or_else(listed)
}
