//! Which file system an id-mapped mount is of: each can have one since a kernel version of its own.

use std::os::linux::fs::MetadataExt as _;

use crate::host::read;

/// The types of both numbers differ between the C libraries.
#[allow(clippy::unnecessary_cast)]
fn file_system(path: &std::path::Path) -> Option<&'static str> {
    /// Those of linux/magic.h that libc lacks are numbers.
    const NAMES: [(i64, &str); 6] = [
        (libc::BTRFS_SUPER_MAGIC as i64, "btrfs"),
        (libc::F2FS_SUPER_MAGIC as i64, "f2fs"),
        (libc::TMPFS_MAGIC as i64, "tmpfs"),
        (0xe0f5_e1e2, "erofs"),
        (0x7371_7368, "squashfs"),
        (0x6573_5546, "fuse"),
    ];
    let found = nix::sys::statfs::statfs(path).ok()?.filesystem_type().0 as i64;
    let name = NAMES.iter().find(|(magic, _)| *magic == found).map(|(_, name)| *name)?;
    let initramfs = || {
        let device = std::fs::metadata(path).ok()?.st_dev();
        Some(is_rootfs(&read::text("/proc/self/mountinfo")?, device))
    };
    (name != "tmpfs" || initramfs() != Some(true)).then_some(name)
}

/// Whether the file system with that device number is the kernel's initramfs. To statfs(2) that is a tmpfs,
/// but it is a type of its own, which no kernel id-maps.
fn is_rootfs(mountinfo: &str, device: u64) -> bool {
    let device = format!("{}:{}", libc::major(device), libc::minor(device));
    mountinfo.lines().any(|line| {
        let kind = line.split_once(" - ").and_then(|(_, right)| right.split(' ').next());
        line.split(' ').nth(2) == Some(&device) && kind == Some("rootfs")
    })
}

/// What an id-mapped mount of the file system at `path` is called in [`since`](crate::host::kernel::since).
pub(crate) fn id_mapped_mount(path: &std::path::Path) -> String {
    match file_system(path) {
        Some(name) => format!("MOUNT_ATTR_IDMAP on {name}"),
        None => "MOUNT_ATTR_IDMAP".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::kernel::{Version, since};

    #[test]
    fn the_file_system_of_an_id_mapped_mount_is_named() {
        assert_eq!(id_mapped_mount(std::path::Path::new("/dev/shm")), "MOUNT_ATTR_IDMAP on tmpfs");
        assert_eq!(since("MOUNT_ATTR_IDMAP on tmpfs"), Some(Version { major: 6, minor: 3 }));
        assert_eq!(id_mapped_mount(std::path::Path::new("/proc")), "MOUNT_ATTR_IDMAP");
        assert_eq!(since("MOUNT_ATTR_IDMAP"), None);
    }

    #[test]
    fn the_initramfs_is_told_from_a_tmpfs() {
        let mounts =
            "1 1 0:2 / / rw shared:1 - rootfs none rw,size=1k\n24 1 0:22 / /tmp rw - tmpfs tmpfs rw\n";
        assert!(is_rootfs(mounts, libc::makedev(0, 2)));
        assert!(!is_rootfs(mounts, libc::makedev(0, 22)));
        assert!(!is_rootfs(mounts, libc::makedev(8, 1)));
    }
}
