//! Kernel versions, and which one brought what.

use std::fmt;

use serde::{Deserialize, Serialize};

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

/// The kernel version that brought a system call or a feature, by its manual page; `None` for what every
/// supported kernel has.
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

#[cfg(test)]
mod tests {
    use super::*;

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
