//! What a plan puts at a path, while it is being made.

use std::path::{Path, PathBuf};

use crate::plan::{Filesystem, Mapped, Mount, Node, PlanError, Source, Tmpfs, text::c_path};
use crate::profile::Attributes;

/// One thing at a path inside. The same as [`Node`], with paths that can still be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Directory {
        mode: u32,
    },
    Symlink(PathBuf),
    File {
        mode: u32,
        content: Vec<u8>,
    },
    Bind(Bind),
    /// `readonly` is for Landlock: a read-only mount does not keep anyone from writing to a device.
    Device {
        source: PathBuf,
        major: u32,
        minor: u32,
        block: bool,
        readonly: bool,
    },
    Tmpfs {
        limits: Tmpfs,
        noexec: bool,
        readonly: bool,
    },
    Proc {
        subset_pid: bool,
    },
    Devpts,
    Mqueue,
    Filesystem(Filesystem),
}

/// A file or directory of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bind {
    /// Canonical path on the host.
    pub path: PathBuf,
    pub source: Source,
    pub readonly: bool,
    pub noexec: bool,
    pub attributes: Attributes,
    /// The host's owner and group that appear as the sandbox's own.
    pub owner: Option<Mapped>,
}

impl Item {
    pub fn is_directory(&self) -> bool {
        match self {
            Self::Directory { .. }
            | Self::Tmpfs { .. }
            | Self::Proc { .. }
            | Self::Devpts
            | Self::Mqueue
            | Self::Filesystem(_) => true,
            Self::Bind(bind) => bind.source.directory,
            Self::Symlink(_) | Self::File { .. } | Self::Device { .. } => false,
        }
    }

    /// Whether it is a new file system of this type, in the short form or in the general one.
    pub fn is_filesystem(&self, name: &str) -> bool {
        match self {
            Self::Tmpfs { .. } => name == "tmpfs",
            Self::Proc { .. } => name == "proc",
            Self::Devpts => name == "devpts",
            Self::Mqueue => name == "mqueue",
            Self::Filesystem(filesystem) => filesystem.fstype.as_bytes() == name.as_bytes(),
            _ => false,
        }
    }

    /// A directory of the host that it shows.
    pub fn directory(&self) -> Option<&Path> {
        match self {
            Self::Bind(bind) if bind.source.directory => Some(&bind.path),
            _ => None,
        }
    }

    /// What it is called where there is no path to name.
    pub fn label(&self) -> PathBuf {
        match self {
            Self::Bind(bind) => bind.path.clone(),
            Self::Device { source, .. } => source.clone(),
            Self::Tmpfs { .. } => PathBuf::from("tmpfs"),
            Self::Proc { .. } => PathBuf::from("proc"),
            Self::Devpts => PathBuf::from("devpts"),
            Self::Mqueue => PathBuf::from("mqueue"),
            Self::Filesystem(filesystem) => PathBuf::from(filesystem.fstype.to_string_lossy().into_owned()),
            Self::Directory { .. } => PathBuf::from("directory"),
            Self::Symlink(target) => target.clone(),
            Self::File { .. } => PathBuf::from("file"),
        }
    }

    pub fn node(&self, path: &std::path::Path) -> Result<Node, PlanError> {
        let path = c_path(path)?;
        let mount = match self {
            Self::Directory { mode } => return Ok(Node::Directory { path, mode: *mode }),
            Self::Symlink(target) => return Ok(Node::Symlink { path, target: c_path(target)? }),
            Self::File { mode, content } => {
                return Ok(Node::File { path, mode: *mode, content: content.clone() });
            }
            Self::Bind(bind) => {
                let source = bind.source.clone();
                let attributes = bind.attributes;
                Mount::Bind { source, readonly: bind.readonly, noexec: bind.noexec, attributes }
            }
            Self::Device { source, major, minor, block, .. } => {
                Mount::Device { source: c_path(source)?, block: *block, major: *major, minor: *minor }
            }
            Self::Tmpfs { limits, noexec, readonly } => {
                Mount::Tmpfs { limits: *limits, noexec: *noexec, readonly: *readonly }
            }
            Self::Proc { subset_pid } => Mount::Proc { subset_pid: *subset_pid },
            Self::Devpts => Mount::Devpts,
            Self::Mqueue => Mount::Mqueue,
            Self::Filesystem(filesystem) => Mount::Filesystem(filesystem.clone()),
        };
        Ok(Node::Mount { path, mount })
    }
}
