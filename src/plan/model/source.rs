//! What of the host is shown, and how it gets into the sandbox.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A file or directory of the host that a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::exhaustive_structs)]
pub struct Source {
    /// Canonical absolute path on the host: opened without following any symlink.
    pub path: CString,
    /// Device and inode it had when the plan was made; anything else when it is opened is an error.
    pub device: u64,
    /// See `device`.
    pub inode: u64,
    /// Whether it is a directory.
    pub directory: bool,
    /// Whether what the host mounts below it later appears inside.
    pub slave: bool,
    /// How it gets into the sandbox.
    pub via: Via,
}

impl Source {
    /// Its path on the host.
    pub(crate) fn host_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(self.path.to_bytes()))
    }

    /// Whose files are shown as the sandbox's, where they are not by themselves.
    pub(crate) fn mapped(&self) -> Option<Mapped> {
        match self.via {
            Via::Tree { idmap } => idmap,
            Via::Path => None,
        }
    }
}

/// How a source gets into the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Via {
    /// init opens it by its path.
    Path,
    /// The (privileged) caller clones the tree and hands the descriptor over: the sandbox's own id could not
    /// reach it.
    Tree {
        /// Whose files are shown as the sandbox's (an id-mapped mount).
        idmap: Option<Mapped>,
    },
}

/// Whose files a mount of the host's shows as the sandbox's, where root gives it other ids than those that
/// own them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Mapped {
    /// This owner's and group's, as those of the task.
    Owner(u32, u32),
    /// Everybody's, with the number that they have on the host: for a root directory and ranges of ids.
    All,
}
