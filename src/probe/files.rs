//! What of the file system can be seen and written.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use serde::Serialize;

use crate::host::failure::errno_name;
use crate::host::read;
use crate::text::unescape_octal;

/// More entries of a directory are counted, but not named.
const NAMED: usize = 64;

/// The file system from inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Files {
    /// The root directory.
    pub root: Listing,
    /// Where the files of people are: `$HOME`, `/home`, `/root`.
    pub homes: Vec<Listing>,
    /// Directories in which a file could be made (an unnamed one was, and is gone).
    pub writable: Vec<String>,
    /// What is mounted; `null` without `/proc`.
    pub mounts: Option<Vec<Mounted>>,
}

/// A directory's entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Listing {
    /// The directory.
    pub path: String,
    /// Its first entries, sorted; `null` where it cannot be read.
    pub entries: Option<Vec<String>>,
    /// How many it has.
    pub count: usize,
    /// Why it cannot be read.
    pub errno: Option<String>,
}

/// A line of `mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Mounted {
    /// Where.
    pub path: String,
    /// The file system's type.
    pub kind: String,
    /// The mount's own options.
    pub options: String,
}

impl Files {
    pub(super) fn look() -> Self {
        let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let homes: BTreeSet<PathBuf> = home.into_iter().chain(["/home".into(), "/root".into()]).collect();
        Self {
            root: Listing::of(Path::new("/")),
            writable: writable(&homes),
            homes: homes.iter().map(|home| Listing::of(home)).collect(),
            mounts: read::text("/proc/self/mountinfo").map(|text| text.lines().filter_map(mounted).collect()),
        }
    }
}

impl Listing {
    fn of(path: &Path) -> Self {
        let text = path.to_string_lossy().into_owned();
        match std::fs::read_dir(path) {
            Ok(entries) => {
                let mut names: Vec<_> =
                    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
                names.sort();
                let count = names.len();
                names.truncate(NAMED);
                Self { path: text, entries: Some(names), count, errno: None }
            }
            Err(error) => {
                let errno = error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw);
                Self { path: text, entries: None, count: 0, errno: Some(errno_name(errno)) }
            }
        }
    }
}

/// Directories that a sandbox might leave writable, and all mount points.
fn writable(homes: &BTreeSet<PathBuf>) -> Vec<String> {
    const COMMON: [&str; 17] = [
        "/",
        "/bin",
        "/boot",
        "/dev",
        "/dev/shm",
        "/etc",
        "/lib",
        "/opt",
        "/proc/sys/kernel",
        "/run",
        "/srv",
        "/sys",
        "/tmp",
        "/usr",
        "/usr/local",
        "/var",
        "/var/tmp",
    ];
    let mounts = read::text("/proc/self/mountinfo").unwrap_or_default();
    let mut candidates: BTreeSet<PathBuf> = COMMON.iter().map(PathBuf::from).collect();
    candidates.extend(homes.iter().cloned());
    candidates.extend(std::env::current_dir());
    candidates.extend(mounts.lines().filter_map(mounted).map(|mount| PathBuf::from(mount.path)));
    candidates
        .into_iter()
        .filter(|directory| directory.is_dir() && can_create(directory))
        .map(|directory| directory.to_string_lossy().into_owned())
        .collect()
}

/// Makes a file without a name, which is gone when it is closed. Where the file system has none, its
/// permissions decide.
fn can_create(directory: &Path) -> bool {
    let unnamed = File::options().write(true).custom_flags(libc::O_TMPFILE).mode(0o600).open(directory);
    match unnamed.map_err(|error| error.raw_os_error()) {
        Ok(_) => true,
        Err(Some(libc::EOPNOTSUPP | libc::EISDIR)) => {
            // In procfs nothing can be made, even where the mode of a directory allows it.
            let proc = nix::sys::statfs::statfs(directory)
                .is_ok_and(|fs| fs.filesystem_type() == nix::sys::statfs::PROC_SUPER_MAGIC);
            !proc && nix::unistd::access(directory, nix::unistd::AccessFlags::W_OK).is_ok()
        }
        Err(_) => false,
    }
}

fn mounted(line: &str) -> Option<Mounted> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(4);
    Some(Mounted {
        path: String::from_utf8_lossy(&unescape_octal(left.next()?.as_bytes())).into_owned(),
        options: left.next()?.to_owned(),
        kind: right.split(' ').next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_read() {
        let line =
            "36 35 98:0 /mnt1 /my\\040directory rw,noatime master:1 - ext3 /dev/root rw,errors=continue";
        let mount = mounted(line).expect("a mount");
        assert_eq!(
            (mount.path.as_str(), mount.kind.as_str(), mount.options.as_str()),
            ("/my directory", "ext3", "rw,noatime")
        );
        assert_eq!(mounted("nonsense"), None);
    }

    #[test]
    fn a_directory_of_ones_own_is_writable_and_stays_empty() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(can_create(directory.path()));
        assert_eq!(Listing::of(directory.path()).count, 0);
        assert!(!can_create(Path::new("/proc/self")));
        assert_eq!(Listing::of(&directory.path().join("none")).errno.as_deref(), Some("ENOENT"));
    }
}
