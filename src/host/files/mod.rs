//! The view of the host's file system that a plan is made from: behind a trait, so that plans are tested
//! without one.

#[cfg(any(test, feature = "internals"))]
pub(crate) mod memory_files;
pub(crate) mod plain;
pub(crate) mod remembered;
pub(crate) mod steps;

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::plain::{PlainPath, PlainPathBuf};
use super::steps::Steps;
use crate::text::unescape_octal;

/// Symlinks that one path may lead through (`MAXSYMLINKS` of `path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// The type of a file, `S_IFMT` of `inode(7)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A unix socket.
    Socket,
}

impl std::fmt::Display for FileKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::CharDevice => "character device",
            Self::BlockDevice => "block device",
            Self::Fifo => "named pipe",
            Self::Socket => "socket",
        })
    }
}

/// What `stat(2)` says, as far as plans need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Stat {
    /// `st_dev`
    pub device: u64,
    /// `st_ino`
    pub inode: u64,
    /// The type.
    pub kind: FileKind,
    /// Permission bits, `st_mode & 07777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// `st_rdev` of a device, else 0.
    pub rdev: u64,
    /// Bytes.
    pub size: u64,
}

/// Reads a file system; never changes it.
pub trait Files {
    /// `lstat(2)`: a symlink at the end is not followed.
    ///
    /// # Errors
    /// The system call's own.
    fn lstat(&self, path: &Path) -> io::Result<Stat>;

    /// `readlink(2)`.
    ///
    /// # Errors
    /// The system call's own.
    fn readlink(&self, path: &Path) -> io::Result<PathBuf>;

    /// Up to `len` bytes at `offset` of a regular file; fewer only at its end.
    ///
    /// # Errors
    /// The system calls' own; `InvalidInput` for anything but a regular file.
    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>>;

    /// Names and kinds of what is in a directory, at most `most` of them, in no order.
    ///
    /// # Errors
    /// The system calls' own.
    fn list(&self, path: &Path, most: usize) -> io::Result<Vec<(OsString, FileKind)>>;

    /// What is mounted in a directory, below it: the first that is found.
    ///
    /// # Errors
    /// The system calls' own.
    fn mounted_below(&self, path: &Path) -> io::Result<Option<PathBuf>>;

    /// `f_type` of `statfs(2)`: which file system a path is on.
    ///
    /// # Errors
    /// The system call's own.
    fn filesystem(&self, path: &Path) -> io::Result<u32>;

    /// `ST_NOEXEC` of `statvfs(3)`: whether the mount that a path is seen through lets nothing be executed.
    ///
    /// # Errors
    /// The system call's own.
    fn noexec(&self, path: &Path) -> io::Result<bool>;

    /// Follows a path to its end; every part must exist.
    ///
    /// Links are followed by their text, one part at a time, so that a magic link of procfs
    /// (`/proc/self/fd/3`) is never jumped through (compare `RESOLVE_NO_MAGICLINKS` of `openat2(2)`).
    ///
    /// # Errors
    /// `InvalidInput` for a relative path, `ELOOP` beyond 40 links, else the system calls' own.
    fn follow(&self, path: &Path) -> io::Result<Followed> {
        self.follow_until(path).map_err(|stopped| stopped.error)
    }

    /// As [`follow`](Self::follow), but also says how far the path leads.
    ///
    /// # Errors
    /// As [`follow`](Self::follow), with the part that cannot be followed.
    fn follow_until(&self, path: &Path) -> Result<Followed, Stopped> {
        walk(self, path)
    }

    /// The path without symlinks, `.` and `..`.
    ///
    /// # Errors
    /// As [`follow`](Self::follow).
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        self.follow(path).map(|followed| followed.path)
    }
}

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs)]
pub struct Followed {
    /// The same without symlinks, `.` and `..`.
    pub path: PathBuf,
    /// Whether `/proc`, or anything below it, is on the way.
    pub through_proc: bool,
    /// The symlinks that it led through.
    pub links: Vec<PathBuf>,
}

/// A path that does not lead to its end.
#[derive(Debug)]
#[allow(clippy::exhaustive_structs)]
pub struct Stopped {
    /// The first part that cannot be followed; no symlinks before it.
    pub at: PathBuf,
    /// Why.
    pub error: io::Error,
}

fn walk<F: Files + ?Sized>(files: &F, path: &Path) -> Result<Followed, Stopped> {
    let stopped = |at: &Path, error| Stopped { at: at.to_owned(), error };
    if !path.is_absolute() {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "the path is relative");
        return Err(stopped(path, error));
    }
    let mut todo = Steps::new(path);
    let mut done = PlainPathBuf::root();
    let mut through_proc = false;
    let mut links = Vec::new();
    while let Some(part) = todo.next() {
        if part == ".." {
            done.pop();
            continue;
        }
        done.push(part);
        through_proc |= done.plain().is_in(PlainPath::PROC);
        let stat = files.lstat(done.path()).map_err(|error| stopped(done.path(), error))?;
        match stat.kind {
            FileKind::Symlink => {
                if links.len() == MAX_LINKS {
                    return Err(stopped(done.path(), io::Error::from_raw_os_error(libc::ELOOP)));
                }
                links.push(done.path().to_owned());
                let target = files.readlink(done.path()).map_err(|error| stopped(done.path(), error))?;
                done.lead(&target);
                todo.insert(&target);
            }
            FileKind::Directory => {}
            _ if todo.is_empty() => {}
            _ => return Err(stopped(done.path(), io::Error::from_raw_os_error(libc::ENOTDIR))),
        }
    }
    Ok(Followed { path: done.into_path(), through_proc, links })
}

/// The file system of this process.
#[derive(Debug, Clone, Copy, Default)]
#[allow(clippy::exhaustive_structs)]
pub struct RealFiles;

impl From<std::fs::FileType> for FileKind {
    fn from(kind: std::fs::FileType) -> Self {
        if kind.is_dir() {
            Self::Directory
        } else if kind.is_symlink() {
            Self::Symlink
        } else if kind.is_char_device() {
            Self::CharDevice
        } else if kind.is_block_device() {
            Self::BlockDevice
        } else if kind.is_fifo() {
            Self::Fifo
        } else if kind.is_socket() {
            Self::Socket
        } else {
            Self::File
        }
    }
}

impl From<&std::fs::Metadata> for Stat {
    fn from(meta: &std::fs::Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            kind: meta.file_type().into(),
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            rdev: meta.rdev(),
            size: meta.size(),
        }
    }
}

impl Files for RealFiles {
    fn lstat(&self, path: &Path) -> io::Result<Stat> {
        std::fs::symlink_metadata(path).map(|meta| Stat::from(&meta))
    }

    fn readlink(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::read_link(path)
    }

    fn filesystem(&self, path: &Path) -> io::Result<u32> {
        // The number's type differs between the C libraries; all of them fit into 32 bits.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::unnecessary_cast)]
        Ok(nix::sys::statfs::statfs(path)?.filesystem_type().0 as u32)
    }

    fn noexec(&self, path: &Path) -> io::Result<bool> {
        Ok(nix::sys::statvfs::statvfs(path)?.flags().contains(nix::sys::statvfs::FsFlags::ST_NOEXEC))
    }

    fn mounted_below(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        let table = std::fs::read("/proc/self/mountinfo")?;
        let points =
            table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
        let mut points = points.map(|point| PathBuf::from(OsString::from_vec(unescape_octal(point))));
        Ok(points.find(|point| point != path && point.starts_with(path)))
    }

    fn list(&self, path: &Path, most: usize) -> io::Result<Vec<(OsString, FileKind)>> {
        let entries = std::fs::read_dir(path)?.take(most);
        entries
            .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), entry.file_type()?.into()))))
            .collect()
    }

    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        // O_NONBLOCK: what was a file a moment ago must not hold us up if it is a pipe now.
        let file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut buffer = vec![0; len];
        let mut filled = 0;
        while filled < len {
            // No file reaches beyond the largest `off_t`, where pread(2) calls offset and length invalid.
            let Some(at) = offset.checked_add(filled as u64) else { break };
            let room = usize::try_from((i64::MAX as u64).saturating_sub(at)).unwrap_or(usize::MAX);
            if room == 0 {
                break;
            }
            let end = len.min(filled.saturating_add(room));
            match file.read_at(&mut buffer[filled..end], at) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        buffer.truncate(filled);
        Ok(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryFiles;
    use super::*;

    #[test]
    fn canonicalize_follows_links_by_text() {
        let files = MemoryFiles::new()
            .directory("/usr/bin")
            .symlink("/bin", "usr/bin")
            .file("/usr/bin/sh", 0o755, "")
            .symlink("/a", "b")
            .symlink("/b", "a")
            .symlink("/up", "usr/bin/../../bin/sh")
            .symlink("/sneaky", "/proc/self/fd/3")
            .symlink("/proc/self/fd/3", "/usr");
        assert_eq!(files.canonicalize(Path::new("/bin/sh")).unwrap(), Path::new("/usr/bin/sh"));
        assert_eq!(files.canonicalize(Path::new("/up")).unwrap(), Path::new("/usr/bin/sh"));
        assert_eq!(files.canonicalize(Path::new("/a")).unwrap_err().raw_os_error(), Some(libc::ELOOP));
        assert_eq!(
            files.canonicalize(Path::new("/bin/sh/x")).unwrap_err().raw_os_error(),
            Some(libc::ENOTDIR)
        );
        assert!(files.follow(Path::new("/sneaky")).unwrap().through_proc);
        assert!(!files.follow(Path::new("/bin")).unwrap().through_proc);
    }

    #[test]
    fn memory_and_disk_agree() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("d/e")).unwrap();
        std::fs::write(base.join("d/e/f"), "hello").unwrap();
        std::os::unix::fs::symlink("d/e", base.join("l")).unwrap();
        let memory =
            MemoryFiles::new().file(base.join("d/e/f"), 0o644, "hello").symlink(base.join("l"), "d/e");
        for path in ["d", "d/e/f", "l", "l/f", "l/../e/f", "none", "d/e/f/x"] {
            let path = base.join(path);
            let (real, fake) = (RealFiles.canonicalize(&path), memory.canonicalize(&path));
            assert_eq!(real.as_ref().ok(), fake.as_ref().ok(), "{path:?}");
            assert_eq!(real.err().and_then(|e| e.raw_os_error()), fake.err().and_then(|e| e.raw_os_error()));
        }
        assert_eq!(RealFiles.read_at(&base.join("l/f"), 1, 3).unwrap(), b"ell");
        assert_eq!(memory.read_at(&base.join("l/f"), 1, 3).unwrap(), b"ell");
        assert_eq!(RealFiles.read_at(&base.join("l/f"), 9, 3).unwrap(), b"");
        for offset in [1 << 62, i64::MAX as u64 - 1, i64::MAX as u64, u64::MAX] {
            assert_eq!(RealFiles.read_at(&base.join("l/f"), offset, 3).unwrap(), b"", "{offset}");
        }
        assert!(RealFiles.read_at(&base, 0, 1).is_err());
    }
}
