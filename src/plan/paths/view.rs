//! What the sandbox will see: paths inside, resolved over the mounts of a plan and the host's files behind
//! them.
//!
//! This is for decisions and diagnosis. The kernel resolves every path once more, inside, and has the last
//! word.

use std::io;
use std::path::{Path, PathBuf};

use super::convert::path_of;
use super::places::Places;
use crate::host::plain::{PlainPath, PlainPathBuf};
use crate::host::steps::Steps;
use crate::host::{FileKind, Files, Stat};
use crate::plan::model::{Mapped, Node};

/// Symlinks that one path may lead through (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// Directories of sysfs that are there for mounts (`sysfs_create_mount_point` in the kernel).
const SYSFS_DIRECTORIES: [&str; 2] = ["fs", "fs/cgroup"];

/// The root below all nodes.
#[derive(Debug, Clone)]
pub(crate) enum RootBase {
    /// An empty tmpfs.
    Tmpfs,
    /// A directory of the host: its path, and the owner whose files the sandbox owns.
    Directory { path: PathBuf, owner: Option<Mapped> },
}

/// The root and everything in it.
pub(crate) struct View<'a> {
    pub files: &'a dyn Files,
    pub root_base: &'a RootBase,
    pub nodes: &'a Places<Node>,
    pub masked: &'a [PlainPathBuf],
    /// A node that is looked behind.
    pub except: Option<PlainPath<'a>>,
}

/// What is at a path inside that has no symlinks in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Missing,
    /// A directory; on the host, where it is one of the host's.
    Directory(Option<HostFile>),
    /// A symlink.
    Symlink(PathBuf),
    /// A file or special file of the host.
    File(HostFile),
    /// A file that the plan itself makes, a device node or a mask: what it is.
    Made(&'static str),
    /// Below a procfs or the like: not known before it is mounted.
    Unknown,
}

/// A file of the host that is seen inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostFile {
    pub path: PathBuf,
    pub stat: Stat,
    /// Whether the mount it is seen through is `noexec`.
    pub noexec: bool,
    /// Whether the mount it is seen through is read-only.
    pub readonly: bool,
    /// The host's owner and group that appear as the sandbox's own.
    pub owner: Option<Mapped>,
    /// Where the mount is inside.
    pub mount: PathBuf,
}

/// Why a path does not resolve.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something on its way is not a directory.
    NotADirectory,
    /// Too many symlinks.
    Loop,
    /// A `..` behind something that is not there.
    Parent,
    /// On its way is something that cannot be seen.
    Unknown,
    /// The host refused to say.
    Host { path: PathBuf, source: io::Error },
}

/// A path inside, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Without symlinks.
    pub path: PlainPathBuf,
    pub found: Found,
}

impl View<'_> {
    /// The node at `path` or the nearest above it.
    pub fn cover(&self, path: PlainPath<'_>) -> Option<(PlainPath<'_>, &Node)> {
        self.nodes.nearest(path, self.except)
    }

    /// What is at a path without symlinks.
    pub fn look(&self, path: PlainPath<'_>) -> Result<Found, Stop> {
        match self.masked.iter().find(|mask| path.is_in(mask.plain())) {
            Some(mask) if path != mask.plain() => return Ok(Found::Missing),
            Some(_) => {
                return Ok(match self.look_behind(path)? {
                    Found::Directory(_) => Found::Directory(None),
                    Found::Missing => Found::Missing,
                    _ => Found::Made("hidden (maskedPaths)"),
                });
            }
            None => {}
        }
        let found = self.look_behind(path)?;
        // Above a deeper node there is a directory in any case: it is made as that one's parent.
        if found == Found::Missing && self.nodes.has_below(path) {
            Ok(Found::Directory(None))
        } else {
            Ok(found)
        }
    }

    /// What is at a path before parents of deeper nodes are made, and before anything is masked.
    pub fn look_behind(&self, path: PlainPath<'_>) -> Result<Found, Stop> {
        self.look_in(self.cover(path), path)
    }

    /// What is at a path in what covers it.
    pub fn look_in(&self, cover: Option<(PlainPath<'_>, &Node)>, path: PlainPath<'_>) -> Result<Found, Stop> {
        match cover {
            Some((at, node)) => self.look_in_node(at, node, path.rest(at).unwrap_or(path.path())),
            None => self.look_in_root(path.rest(PlainPath::ROOT).unwrap_or(path.path())),
        }
    }

    fn look_in_root(&self, rest: &Path) -> Result<Found, Stop> {
        match self.root_base {
            RootBase::Tmpfs if rest.as_os_str().is_empty() => Ok(Found::Directory(None)),
            RootBase::Tmpfs => Ok(Found::Missing),
            RootBase::Directory { path: host, owner } => self.host(host, rest, &|path, stat| HostFile {
                path,
                stat,
                noexec: false,
                readonly: false,
                owner: *owner,
                mount: PathBuf::from("/"),
            }),
        }
    }

    fn look_in_node(&self, at: PlainPath<'_>, node: &Node, rest: &Path) -> Result<Found, Stop> {
        if let Node::Bind(bind) = node {
            return self.host(bind.source.host_path(), rest, &|path, stat| HostFile {
                path,
                stat,
                noexec: bind.noexec,
                readonly: bind.readonly,
                owner: bind.source.mapped(),
                mount: at.path().to_owned(),
            });
        }
        if rest.as_os_str().is_empty() {
            return Ok(match node {
                Node::Symlink { target } => Found::Symlink(path_of(target).to_owned()),
                node if node.is_directory() => Found::Directory(None),
                Node::Device(_) => Found::Made("a device"),
                _ => Found::Made("a file that belljar makes"),
            });
        }
        match node {
            Node::Directory { .. } => Ok(Found::Missing),
            Node::Filesystem(filesystem) => Ok(match filesystem.fstype.to_bytes() {
                b"tmpfs" => Found::Missing,
                // The kernel has mount points for others there.
                b"sysfs" if SYSFS_DIRECTORIES.iter().any(|directory| rest == Path::new(directory)) => {
                    Found::Directory(None)
                }
                _ => Found::Unknown,
            }),
            _ => Err(Stop::NotADirectory),
        }
    }

    fn host(
        &self,
        base: &Path,
        rest: &Path,
        file: &dyn Fn(PathBuf, Stat) -> HostFile,
    ) -> Result<Found, Stop> {
        let path = if rest.as_os_str().is_empty() { base.to_owned() } else { base.join(rest) };
        match self.files.lstat(&path) {
            Ok(stat) => match stat.kind {
                FileKind::Directory => Ok(Found::Directory(Some(file(path, stat)))),
                FileKind::Symlink => {
                    let target = self.files.readlink(&path);
                    Ok(Found::Symlink(target.map_err(|source| Stop::Host { path, source })?))
                }
                _ => Ok(Found::File(file(path, stat))),
            },
            Err(e) if missing(&e) => Ok(Found::Missing),
            Err(source) => Err(Stop::Host { path, source }),
        }
    }

    /// Follows a path as a process inside would. Missing parts at its end are kept as they are.
    pub fn resolve(&self, path: &Path) -> Result<Resolved, Stop> {
        self.walk(path, true)
    }

    /// As [`resolve`](Self::resolve), but a symlink at the end is not followed.
    pub fn resolve_parent(&self, path: &Path) -> Result<Resolved, Stop> {
        self.walk(path, false)
    }

    fn walk(&self, path: &Path, follow: bool) -> Result<Resolved, Stop> {
        let mut todo = Steps::new(path);
        let mut done = PlainPathBuf::root();
        let mut found = self.look(done.plain())?;
        let mut links = 0;
        while let Some(part) = todo.next() {
            if part == ".." {
                if found == Found::Missing {
                    return Err(Stop::Parent);
                }
                done.pop();
                found = self.look(done.plain())?;
                continue;
            }
            match found {
                Found::Directory(_) | Found::Missing => {}
                Found::Unknown => return Err(Stop::Unknown),
                _ => return Err(Stop::NotADirectory),
            }
            done.push(part);
            found = self.look(done.plain())?;
            if let Found::Symlink(target) = &found
                && (follow || !todo.is_empty())
            {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Stop::Loop);
                }
                done.lead(target);
                todo.insert(target);
                found = self.look(done.plain())?;
            }
        }
        Ok(Resolved { path: done, found })
    }
}

/// `ENOENT` or `ENOTDIR`: there is no such file.
pub(crate) fn missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}
