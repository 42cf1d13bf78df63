//! A file system in memory.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::host::{FileKind, Files, Stat};

/// A file system in memory: to make plans, in tests, for a host that this is not.
#[derive(Debug, Clone)]
pub struct MemoryFiles {
    entries: BTreeMap<PathBuf, Entry>,
    mounted: Vec<PathBuf>,
    noexec: Vec<PathBuf>,
    filesystem: u32,
}

#[derive(Debug, Clone)]
struct Entry {
    stat: Stat,
    content: Vec<u8>,
}

impl Default for MemoryFiles {
    fn default() -> Self {
        let mut files =
            Self { entries: BTreeMap::new(), mounted: Vec::new(), noexec: Vec::new(), filesystem: 0xef53 };
        files.insert(Path::new("/"), FileKind::Directory, 0o755, Vec::new());
        files
    }
}

impl MemoryFiles {
    /// Only a root directory.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn insert(&mut self, path: &Path, kind: FileKind, mode: u32, content: Vec<u8>) -> &mut Stat {
        if let Some(parent) = path.parent()
            && !self.entries.contains_key(parent)
        {
            self.insert(parent, FileKind::Directory, 0o755, Vec::new());
        }
        let inode = self.entries.len() as u64 + 2;
        let size = content.len() as u64;
        let stat = Stat { device: 1, inode, kind, mode, uid: 0, gid: 0, rdev: 0, size };
        self.entries.remove(path);
        &mut self.entries.entry(path.to_owned()).or_insert(Entry { stat, content }).stat
    }

    /// Adds a directory, mode 0755, owned by root, and its parents.
    #[must_use]
    pub fn directory(mut self, path: impl AsRef<Path>) -> Self {
        self.insert(path.as_ref(), FileKind::Directory, 0o755, Vec::new());
        self
    }

    /// Adds a regular file.
    #[must_use]
    pub fn file(mut self, path: impl AsRef<Path>, mode: u32, content: impl Into<Vec<u8>>) -> Self {
        self.insert(path.as_ref(), FileKind::File, mode, content.into());
        self
    }

    /// Adds a symlink.
    #[must_use]
    pub fn symlink(mut self, path: impl AsRef<Path>, target: impl AsRef<OsStr>) -> Self {
        self.insert(path.as_ref(), FileKind::Symlink, 0o777, target.as_ref().as_bytes().to_vec());
        self
    }

    /// Adds a character device.
    #[must_use]
    pub fn device(mut self, path: impl AsRef<Path>, major: u32, minor: u32) -> Self {
        self.insert(path.as_ref(), FileKind::CharDevice, 0o666, Vec::new()).rdev =
            libc::makedev(major, minor);
        self
    }

    /// Adds a file of any other kind.
    #[must_use]
    pub fn special(mut self, path: impl AsRef<Path>, kind: FileKind) -> Self {
        self.insert(path.as_ref(), kind, 0o666, Vec::new());
        self
    }

    /// Gives what is at `path` another owner and mode.
    #[must_use]
    pub fn owned(mut self, path: impl AsRef<Path>, uid: u32, gid: u32, mode: u32) -> Self {
        if let Some(entry) = self.entries.get_mut(path.as_ref()) {
            entry.stat = Stat { uid, gid, mode, ..entry.stat };
        }
        self
    }

    /// All of it is on another file system than ext4: `f_type` of `statfs(2)`.
    #[must_use]
    pub fn on(mut self, filesystem: u32) -> Self {
        self.filesystem = filesystem;
        self
    }

    /// Something is mounted at `path`.
    #[must_use]
    pub fn mounted(mut self, path: impl Into<PathBuf>) -> Self {
        self.mounted.push(path.into());
        self
    }

    /// Something is mounted at `path`, and nothing on it may be executed.
    #[must_use]
    pub fn mounted_noexec(mut self, path: impl Into<PathBuf>) -> Self {
        self.noexec.push(path.into());
        self
    }

    fn entry(&self, path: &Path) -> io::Result<&Entry> {
        let real = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if !self.entries.contains_key(path) => {
                self.canonicalize(parent)?.join(name)
            }
            _ => path.to_owned(),
        };
        self.entries.get(&real).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }
}

impl Files for MemoryFiles {
    fn lstat(&self, path: &Path) -> io::Result<Stat> {
        self.entry(path).map(|entry| entry.stat)
    }

    fn readlink(&self, path: &Path) -> io::Result<PathBuf> {
        match self.entry(path)? {
            Entry { stat: Stat { kind: FileKind::Symlink, .. }, content } => {
                Ok(PathBuf::from(OsStr::from_bytes(content)))
            }
            _ => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }

    fn filesystem(&self, path: &Path) -> io::Result<u32> {
        self.follow(path)?;
        Ok(self.filesystem)
    }

    fn noexec(&self, path: &Path) -> io::Result<bool> {
        Ok(self.noexec.iter().any(|point| path.starts_with(point)))
    }

    fn mounted_below(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        Ok(self.mounted.iter().find(|point| *point != path && point.starts_with(path)).cloned())
    }

    fn list(&self, path: &Path, most: usize) -> io::Result<Vec<(OsString, FileKind)>> {
        let path = self.canonicalize(path)?;
        if self.entry(&path)?.stat.kind != FileKind::Directory {
            return Err(io::Error::from_raw_os_error(libc::ENOTDIR));
        }
        let inside = self.entries.iter().filter(|(at, _)| at.parent() == Some(&path));
        let named = inside.filter_map(|(at, entry)| Some((at.file_name()?.to_owned(), entry.stat.kind)));
        Ok(named.take(most).collect())
    }

    fn read_at(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let entry = self.entry(&self.canonicalize(path)?)?;
        if entry.stat.kind != FileKind::File {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(entry.content.len());
        let end = start.saturating_add(len).min(entry.content.len());
        Ok(entry.content[start..end].to_vec())
    }
}
