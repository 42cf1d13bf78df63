//! Places in the new root: opened and made below it, never through a symlink and never above it,
//! also in a root directory that others write to (CVE-2021-30465, CVE-2024-45310).

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{Mode, SFlag, mkdirat, mknodat};

use crate::protocol::Fault;
use crate::sys;

/// Opens what is at an absolute path below `root`, `O_PATH`.
pub(super) fn open(root: BorrowedFd<'_>, path: &CStr) -> Result<OwnedFd, Errno> {
    let below = ResolveFlag::RESOLVE_IN_ROOT;
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC)
        .resolve(below | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(root, path, how)
}

/// The directory that holds the last component of `path`, made where it is missing, and that component.
pub(super) fn parent(root: BorrowedFd<'_>, path: &CStr) -> Result<(OwnedFd, CString), Fault> {
    let (above, name) = split(path)?;
    let name = CString::new(name).map_err(|_| Fault::Protocol { what: "path".to_owned() })?;
    Ok((directories(root, above)?, name))
}

/// Directories of a root that is a tmpfs of init's own, where no other process can exchange anything: the last one
/// is kept open, and a mount point that is made need not be looked for before and after.
#[derive(Debug, Default)]
pub(super) struct OwnDirectories<'a> {
    /// Whether the root is such a tmpfs.
    own: bool,
    /// What was mounted in it: below there other files begin.
    mounted: Vec<&'a [u8]>,
    last: Option<(&'a [u8], OwnedFd)>,
}

impl<'a> OwnDirectories<'a> {
    pub(super) fn of(own: bool) -> Self {
        Self { own, ..Self::default() }
    }

    /// Something was mounted at `path`.
    pub(super) fn mounted(&mut self, path: &'a CStr) {
        self.mounted.push(path.to_bytes());
        let last = self.last.take();
        self.last = last.filter(|(above, _)| self.has(above));
    }

    /// Whether the directory `above` is on the tmpfs itself.
    fn has(&self, above: &[u8]) -> bool {
        let holds = |mount: &&[u8]| {
            above.strip_prefix(*mount).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        self.own && !self.mounted.iter().any(holds)
    }

    /// As [`parent`].
    pub(super) fn parent(
        &mut self,
        root: BorrowedFd<'_>,
        path: &'a CStr,
    ) -> Result<(OwnedFd, CString), Fault> {
        let (above, name) = split(path)?;
        let name = CString::new(name).map_err(|_| Fault::Protocol { what: "path".to_owned() })?;
        if !self.has(above) {
            return Ok((directories(root, above)?, name));
        }
        let directory = match self.last.take() {
            Some((last, directory)) if last == above => directory,
            _ => directories(root, above)?,
        };
        Ok((directory, name))
    }

    /// Gives back what [`parent`](Self::parent) gave for `path`.
    pub(super) fn keep(&mut self, path: &'a CStr, directory: OwnedFd) {
        if let Ok((above, _)) = split(path)
            && self.has(above)
        {
            self.last = Some((above, directory));
        }
    }

    /// As [`mount_point`], but what is made is not opened.
    pub(super) fn mount_point(
        &mut self,
        root: BorrowedFd<'_>,
        path: &'a CStr,
        directory: bool,
    ) -> Result<MountPoint<'_>, Fault> {
        let (above, _) = split(path)?;
        if !self.has(above) {
            return mount_point(root, path, directory).map(MountPoint::Opened);
        }
        let (parent, name) = self.parent(root, path)?;
        let made = if directory {
            mkdirat(parent.as_fd(), name.as_c_str(), Mode::from_bits_truncate(0o755))
        } else {
            mknodat(parent.as_fd(), name.as_c_str(), SFlag::S_IFREG, Mode::from_bits_truncate(0o644), 0)
        };
        match made {
            Ok(()) => {
                let kept = self.last.insert((above, parent));
                Ok(MountPoint::Made { directory: kept.1.as_fd(), name })
            }
            // What was there already is opened, unless it is a symlink.
            Err(Errno::EEXIST) => {
                let opened = open(root, path).map_err(Fault::on("openat2", path.to_bytes()))?;
                self.last = Some((above, parent));
                Ok(MountPoint::Opened(opened))
            }
            Err(errno) => {
                Err(Fault::system(if directory { "mkdirat" } else { "mknodat" }, path.to_bytes(), errno))
            }
        }
    }
}

/// Where something is to be mounted.
#[derive(Debug)]
pub(super) enum MountPoint<'a> {
    /// What is on the top there.
    Opened(OwnedFd),
    /// An empty file or directory that was just made, in a directory where no other process can exchange it.
    Made { directory: BorrowedFd<'a>, name: CString },
}

/// A path's directory and its last component.
fn split(path: &CStr) -> Result<(&[u8], &[u8]), Fault> {
    let bytes = path.to_bytes();
    let split = bytes.iter().rposition(|&b| b == b'/').map(|at| (&bytes[..at], &bytes[at + 1..]));
    split
        .filter(|(_, name)| !name.is_empty())
        .ok_or_else(|| Fault::Protocol { what: "a path without a name".to_owned() })
}

/// Opens the directory at `path`, making what is missing of it.
fn directories(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Fault> {
    let whole = CString::new(if path.is_empty() { b"/" } else { path })
        .map_err(|_| Fault::Protocol { what: "path".to_owned() })?;
    match open(root, &whole) {
        Err(Errno::ENOENT) => {
            let (above, name) = parent(root, &whole)?;
            make_directory(above.as_fd(), &name, 0o755).map_err(Fault::on("mkdirat", path))?;
            open(root, &whole).map_err(Fault::on("openat2", path))
        }
        other => other.map_err(Fault::on("openat2", path)),
    }
}

/// `mkdirat(2)`, without the umask; an existing entry is left as it is.
pub(super) fn make_directory(parent: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<(), Errno> {
    match mkdirat(parent, name, Mode::from_bits_truncate(mode)) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Makes a file, which must not exist, and opens it for writing.
pub(super) fn make_file(parent: BorrowedFd<'_>, name: &CStr, mode: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    nix::fcntl::openat(parent, name, flags, Mode::from_bits_truncate(mode))
}

/// Opens the mount point at `path`, making an empty file or directory where there is none.
pub(super) fn mount_point(root: BorrowedFd<'_>, path: &CStr, directory: bool) -> Result<OwnedFd, Fault> {
    match open(root, path) {
        Err(Errno::ENOENT) => {
            let (above, name) = parent(root, path)?;
            if directory {
                make_directory(above.as_fd(), &name, 0o755).map_err(Fault::on("mkdirat", path.to_bytes()))?;
            } else {
                make_file(above.as_fd(), &name, 0o644).map_err(Fault::on("openat", path.to_bytes()))?;
            }
            open(root, path).map_err(Fault::on("openat2", path.to_bytes()))
        }
        other => other.map_err(Fault::on("openat2", path.to_bytes())),
    }
}

/// Writes all of `content`.
pub(super) fn fill(file: &OwnedFd, content: &[u8]) -> Result<(), Errno> {
    let mut rest = content;
    while !rest.is_empty() {
        match nix::unistd::write(file, rest) {
            Ok(0) => return Err(Errno::EIO),
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Whether two descriptors name the same file.
pub(super) fn identity(fd: &impl AsFd) -> Result<(u64, u64), Errno> {
    debug_assert!(fd.as_fd().as_raw_fd() >= 0);
    sys::fstat(fd.as_fd()).map(|stat| (stat.st_dev, stat.st_ino))
}

#[cfg(test)]
#[path = "place_race_tests.rs"]
mod race_tests;
