//! Kernel versions, and which one brought what.

use std::fmt;
use std::os::linux::fs::MetadataExt as _;

use serde::{Deserialize, Serialize};

use super::read;

/// A kernel version, as far as it tells what the kernel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Version {
    /// `6` in `6.12.9-amd64`.
    pub major: u32,
    /// `12` in `6.12.9-amd64`.
    pub minor: u32,
}

/// What belljar needs for any profile with namespaces: `mount_setattr(2)`.
pub const NAMESPACES_NEED: Version = Version { major: 5, minor: 12 };

impl Version {
    /// Reads a release as `uname -r` prints it; `None` where it does not begin with two numbers.
    pub fn parse(release: &str) -> Option<Self> {
        let mut parts = release.split(|c: char| !c.is_ascii_digit());
        Some(Self { major: parts.next()?.parse().ok()?, minor: parts.next()?.parse().ok()? })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The kernel version that brought a system call or a feature, by its manual page; `None` for what every supported
/// kernel has.
pub fn since(call: &str) -> Option<Version> {
    let (major, minor) = match call {
        "memfd_create" | "seccomp" => (3, 17),
        "execveat" => (3, 19),
        "pidfd_send_signal" => (5, 1),
        "open_tree" | "move_mount" | "fsopen" | "fsconfig" | "fsmount" | "fspick" => (5, 2),
        "clone3" | "pidfd_open" => (5, 3),
        "openat2" | "pidfd_getfd" | "CLONE_NEWTIME" => (5, 6),
        "CLONE_INTO_CGROUP" => (5, 7),
        "subset=pid" | "faccessat2" => (5, 8),
        "close_range" => (5, 9),
        "overlay" | "CLOSE_RANGE_CLOEXEC" => (5, 11),
        "mount_setattr" => (5, 12),
        // One file system at a time (mount_setattr(2), ID-mapped mounts); fuse by the kernel's own history.
        "MOUNT_ATTR_IDMAP on btrfs" => (5, 15),
        "MOUNT_ATTR_IDMAP on f2fs" => (5, 18),
        "MOUNT_ATTR_IDMAP on erofs" => (5, 19),
        "MOUNT_ATTR_IDMAP on squashfs" => (6, 2),
        "MOUNT_ATTR_IDMAP on tmpfs" => (6, 3),
        "MOUNT_ATTR_IDMAP on fuse" => (6, 12),
        "landlock_create_ruleset" | "landlock_add_rule" | "landlock_restrict_self" => (5, 13),
        _ => return None,
    };
    Some(Version { major, minor })
}

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

/// Whether the file system with that device number is the kernel's initramfs. To statfs(2) that is a tmpfs, but it is
/// a type of its own, which no kernel id-maps.
fn is_rootfs(mountinfo: &str, device: u64) -> bool {
    let device = format!("{}:{}", libc::major(device), libc::minor(device));
    mountinfo.lines().any(|line| {
        let kind = line.split_once(" - ").and_then(|(_, right)| right.split(' ').next());
        line.split(' ').nth(2) == Some(&device) && kind == Some("rootfs")
    })
}

/// What an id-mapped mount of the file system at `path` is called in [`since`].
pub(crate) fn id_mapped_mount(path: &std::path::Path) -> String {
    match file_system(path) {
        Some(name) => format!("MOUNT_ATTR_IDMAP on {name}"),
        None => "MOUNT_ATTR_IDMAP".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn releases_of_distributions_are_read() {
        for (release, major, minor) in [
            ("6.18.44-fc-v857", 6, 18),
            ("5.10.0-33-amd64", 5, 10),
            ("5.4", 5, 4),
            ("7.3-rc1", 7, 3),
            ("4.18.0-553.el8_10.x86_64", 4, 18),
        ] {
            assert_eq!(Version::parse(release), Some(Version { major, minor }), "{release}");
        }
        for release in ["", "six", "6", "6.", ".6", "99999999999.1"] {
            assert_eq!(Version::parse(release), None, "{release}");
        }
    }

    #[test]
    fn versions_order_by_number_not_by_text() {
        assert!(Version::parse("5.9") < Version::parse("5.12"));
        assert!(Version::parse("5.19") < Version::parse("6.0"));
    }
}
