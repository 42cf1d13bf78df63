//! A directory of a control group tree, and the files in it.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::errno::Errno;

use super::Version;
use super::error::CgroupError;
use crate::sys;

/// `CGROUP_SUPER_MAGIC` and `CGROUP2_SUPER_MAGIC`.
const MAGIC: [(Version, i64); 2] = [(Version::V1, 0x0027_e0eb), (Version::V2, 0x6367_7270)];

/// A group.
#[derive(Debug)]
pub(super) struct Dir {
    fd: OwnedFd,
    /// For messages.
    pub(super) path: PathBuf,
}

impl Dir {
    /// The same once more.
    pub(super) fn again(&self) -> Result<Self, CgroupError> {
        let fd = self.fd.try_clone().map_err(|error| {
            CgroupError::on("dup", &self.path)(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))
        })?;
        Ok(Self { fd, path: self.path.clone() })
    }

    /// Opens a group by its path: the trees are the host's, links and all.
    pub(super) fn open(path: &Path, version: Version) -> Result<Self, CgroupError> {
        let name = c_name(path.as_os_str().as_bytes(), path)?;
        // SAFETY: a C string.
        let fd = unsafe { libc::open(name.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) };
        let fd = sys::owned(fd.into()).map_err(|errno| match errno {
            Errno::ENOENT | Errno::ENOTDIR => CgroupError::NotAGroup { path: path.to_owned() },
            errno => CgroupError::on("open", path)(errno),
        })?;
        let dir = Self { fd, path: path.to_owned() };
        let kind = nix::sys::statfs::fstatfs(&dir.fd).map_err(CgroupError::on("fstatfs", path))?;
        // The number's type differs between the C libraries.
        #[allow(clippy::unnecessary_cast)]
        let kind = kind.filesystem_type().0 as i64;
        if MAGIC.iter().any(|(of, magic)| *of == version && *magic == kind) {
            Ok(dir)
        } else {
            Err(CgroupError::NotAGroup { path: path.to_owned() })
        }
    }

    /// What was opened, in another process.
    pub(super) fn adopt(fd: OwnedFd) -> Self {
        Self { fd, path: PathBuf::new() }
    }

    pub(super) fn try_clone(&self) -> Result<Self, CgroupError> {
        let fd = self.fd.try_clone().map_err(|error| CgroupError::on("dup", &self.path)(errno(&error)))?;
        Ok(Self { fd, path: self.path.clone() })
    }

    /// Makes a child and opens it: closed to other users, who could lock it ([`lock`](Self::lock)) or read
    /// its accounts.
    pub(super) fn make(&self, name: &str) -> Result<Self, CgroupError> {
        let path = self.path.join(name);
        let c_name = c_name(name.as_bytes(), &path)?;
        // SAFETY: an open directory and a C string.
        Errno::result(unsafe { libc::mkdirat(self.fd.as_raw_fd(), c_name.as_ptr(), 0o700) })
            .map_err(CgroupError::on("mkdir", &path))?;
        let child = self.child(name)?;
        let mode = sys::fstat(child.as_fd()).map_err(CgroupError::on("fstat", &path))?.st_mode;
        // A kernel that does not take the mode of mkdir(2) here.
        if mode & 0o077 != 0 {
            nix::sys::stat::fchmod(child.as_fd(), nix::sys::stat::Mode::S_IRWXU)
                .map_err(CgroupError::on("fchmod", &path))?;
        }
        Ok(child)
    }

    /// Its number, which it keeps under another name.
    pub(super) fn inode(&self) -> Result<u64, CgroupError> {
        sys::fstat(self.as_fd()).map(|stat| stat.st_ino).map_err(CgroupError::on("fstat", &self.path))
    }

    /// The child of that number, under the name that it has by now. Looks at a bounded number of them.
    pub(super) fn name_of(&self, inode: u64) -> Result<Option<String>, Errno> {
        const MOST: usize = 100_000;
        let mut dir = nix::dir::Dir::from_fd(self.at(".", libc::O_RDONLY | libc::O_DIRECTORY)?)?;
        let found = dir.iter().flatten().take(MOST).find(|entry| entry.ino() == inode);
        Ok(found.map(|entry| entry.file_name().to_string_lossy().into_owned()))
    }

    /// Opens a child.
    pub(super) fn child(&self, name: &str) -> Result<Self, CgroupError> {
        let path = self.path.join(name);
        let fd = self.at(name, libc::O_RDONLY | libc::O_DIRECTORY | libc::O_NOFOLLOW);
        Ok(Self { fd: fd.map_err(CgroupError::on("open", &path))?, path })
    }

    /// Removes a child.
    pub(super) fn remove(&self, name: &str) -> Result<(), Errno> {
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        // SAFETY: an open directory and a C string.
        Errno::result(unsafe { libc::unlinkat(self.fd.as_raw_fd(), name.as_ptr(), libc::AT_REMOVEDIR) })
            .map(drop)
    }

    /// Opens a file in it.
    pub(super) fn file(&self, name: &str, flags: libc::c_int) -> Result<OwnedFd, CgroupError> {
        self.at(name, flags).map_err(CgroupError::on("open", self.path.join(name)))
    }

    pub(super) fn read(&self, name: &str) -> Result<String, CgroupError> {
        let mut text = String::new();
        File::from(self.file(name, libc::O_RDONLY)?)
            .read_to_string(&mut text)
            .map_err(|error| CgroupError::on("read", self.path.join(name))(errno(&error)))?;
        Ok(text)
    }

    /// The text of a file that not every kernel has, or whose group is gone.
    pub(super) fn read_if_there(&self, name: &str) -> Result<Option<String>, CgroupError> {
        match self.read(name) {
            Ok(text) => Ok(Some(text)),
            Err(CgroupError::System {
                source: Errno::ENOENT | Errno::EOPNOTSUPP | Errno::ENODEV, ..
            }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, name: &str) -> bool {
        self.at(name, libc::O_PATH).is_ok()
    }

    /// That the caller may write to it, or make something in it; asked, not tried.
    pub(super) fn writable(&self, name: &str) -> Result<(), CgroupError> {
        let path = if name == "." { self.path.clone() } else { self.path.join(name) };
        let c_name = c_name(name.as_bytes(), &path)?;
        // SAFETY: an open directory and a C string.
        let answer =
            unsafe { libc::faccessat(self.fd.as_raw_fd(), c_name.as_ptr(), libc::W_OK, libc::AT_EACCESS) };
        Errno::result(answer).map(drop).map_err(CgroupError::on("access", path))
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), CgroupError> {
        // One write: a setting is the whole of one.
        File::from(self.file(name, libc::O_WRONLY)?)
            .write_all(text.as_bytes())
            .map_err(|error| CgroupError::on("write", self.path.join(name))(errno(&error)))
    }

    /// Writes a setting and reads it back.
    pub(super) fn set(&self, name: &str, text: &str) -> Result<(), CgroupError> {
        self.write(name, text)?;
        let found = self.read(name)?;
        if found.trim() == text {
            return Ok(());
        }
        let (path, written, found) = (self.path.join(name), text.to_owned(), found.trim().to_owned());
        Err(CgroupError::Mismatch { path, written, found })
    }

    /// How long it has been there, at least; zero if that cannot be told.
    pub(super) fn age(&self) -> Duration {
        let since = sys::fstat(self.as_fd()).ok().and_then(|stat| u64::try_from(stat.st_mtime).ok());
        let since = since.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        since.and_then(|since| since.elapsed().ok()).unwrap_or_default()
    }

    /// Locks it for as long as the descriptor is open (flock(2)). False: another process has locked it.
    pub(super) fn lock(&self) -> Result<bool, Errno> {
        // SAFETY: numbers only.
        match Errno::result(unsafe { libc::flock(self.fd.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
            Ok(_) => Ok(true),
            Err(Errno::EWOULDBLOCK) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// The names of its children.
    pub(super) fn children(&self) -> Result<Vec<String>, Errno> {
        let mut dir = nix::dir::Dir::from_fd(self.at(".", libc::O_RDONLY | libc::O_DIRECTORY)?)?;
        Ok(dir
            .iter()
            .flatten()
            .filter(|entry| entry.file_type() == Some(nix::dir::Type::Directory))
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect())
    }

    fn at(&self, name: &str, flags: libc::c_int) -> Result<OwnedFd, Errno> {
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        // SAFETY: an open directory and a C string; nothing is created, so no mode is read.
        let fd = unsafe { libc::openat(self.fd.as_raw_fd(), name.as_ptr(), flags | libc::O_CLOEXEC) };
        sys::owned(fd.into())
    }
}

impl AsFd for Dir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn c_name(bytes: &[u8], path: &Path) -> Result<CString, CgroupError> {
    CString::new(bytes).map_err(|_| CgroupError::on("open", path)(Errno::EINVAL))
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))
}
