//! The minimal `/dev`.

use std::ffi::CStr;
use std::path::Path;

use super::candidate::{Candidate, Rank};
use super::convert::c_path;
use super::filesystem::{devpts, tmpfs};
use crate::host::{FileKind, Files, Stat};
use crate::plan::error::PlanError;
use crate::plan::model::{Device, Node, Tmpfs};

/// Name, major and minor number of each device (`Documentation/admin-guide/devices.txt`).
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
const LINKS: [(&str, &CStr); 5] = [
    ("fd", c"/proc/self/fd"),
    ("stdin", c"/proc/self/fd/0"),
    ("stdout", c"/proc/self/fd/1"),
    ("stderr", c"/proc/self/fd/2"),
    ("ptmx", c"pts/ptmx"),
];
/// `/dev/shm` holds POSIX shared memory and semaphores; 64 MiB is what container engines give.
const SHM: Tmpfs = Tmpfs { size: 64 << 20, inodes: 4096, mode: 0o1777 };
/// Over a root of one's own: only mount points and links.
const OVER_ROOT: Tmpfs = Tmpfs { size: 64 << 10, inodes: 64, mode: 0o755 };

/// What is at `/dev` and below it. `over_root`: on a root directory of the host, where nothing may be left
/// behind.
pub(crate) fn dev(over_root: bool, files: &dyn Files) -> Result<Vec<Candidate>, PlanError> {
    let dev = Path::new("/dev");
    let top = if over_root { tmpfs(OVER_ROOT) } else { Node::Directory { mode: 0o755 } };
    let mut nodes = vec![(dev.to_owned(), top), (dev.join("shm"), tmpfs(SHM)), (dev.join("pts"), devpts())];
    for (name, major, minor) in DEVICES {
        let path = dev.join(name);
        match files.lstat(&path) {
            Ok(Stat { kind: FileKind::CharDevice, rdev, .. }) if rdev == libc::makedev(major, minor) => {}
            _ => return Err(PlanError::Device { path, major, minor }),
        }
        let source = c_path(&path)?;
        nodes.push((path, Node::Device(Device { source, major, minor, block: false, readonly: false })));
    }
    nodes.extend(LINKS.map(|(name, target)| (dev.join(name), Node::Symlink { target: target.into() })));
    Ok(nodes.into_iter().map(|(path, node)| Candidate::new(path, node, Rank::Device)).collect())
}
