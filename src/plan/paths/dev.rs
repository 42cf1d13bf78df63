//! The minimal `/dev`.

use std::path::{Path, PathBuf};

use crate::host::{FileKind, Files, Stat};
use crate::plan::item::Item;
use crate::plan::{PlanError, Tmpfs};

/// Name, major and minor number of each device (`Documentation/admin-guide/devices.txt`).
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// `/dev/shm` holds POSIX shared memory and semaphores; 64 MiB is what container engines give.
const SHM: Tmpfs = Tmpfs { size: 64 << 20, inodes: 4096, mode: 0o1777 };
/// Over a root of one's own: only mount points and links.
const OVER_ROOT: Tmpfs = Tmpfs { size: 64 << 10, inodes: 64, mode: 0o755 };

/// What is at `/dev` and below it. `over_root`: on a root directory of the host, where nothing may be left
/// behind.
pub(crate) fn dev(over_root: bool, files: &dyn Files) -> Result<Vec<(PathBuf, Item)>, PlanError> {
    let dev = Path::new("/dev");
    let top = if over_root {
        Item::Tmpfs { limits: OVER_ROOT, noexec: true, readonly: false }
    } else {
        Item::Directory { mode: 0o755 }
    };
    let mut items = vec![
        (dev.to_owned(), top),
        (dev.join("shm"), Item::Tmpfs { limits: SHM, noexec: true, readonly: false }),
        (dev.join("pts"), Item::Devpts),
    ];
    for (name, major, minor) in DEVICES {
        let path = dev.join(name);
        match files.lstat(&path) {
            Ok(Stat { kind: FileKind::CharDevice, rdev, .. }) if rdev == libc::makedev(major, minor) => {}
            _ => return Err(PlanError::Device { path, major, minor }),
        }
        items
            .push((path.clone(), Item::Device { source: path, major, minor, block: false, readonly: false }));
    }
    items.extend(LINKS.map(|(name, target)| (dev.join(name), Item::Symlink(PathBuf::from(target)))));
    Ok(items)
}
