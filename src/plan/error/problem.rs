//! What is wrong with one thing of a profile: the inner causes that errors name.

use std::path::PathBuf;

use crate::host::FileKind;

/// What is wrong with a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationProblem {
    /// It is relative.
    #[error("it is not an absolute path")]
    Relative,
    /// It has a `..`, or a symlink on its way leads back over something that is not there.
    #[error("it has `..` in it")]
    Parent,
    /// It is the root.
    #[error("the root itself cannot be mounted over")]
    Root,
    /// It has a NUL.
    #[error("it has a NUL byte in it")]
    Nul,
    /// It is below `/proc`, or is `/proc` and not a procfs.
    #[error("only the sandbox's own procfs may be at /proc, and nothing below it")]
    Proc,
    /// It is below `/dev` and neither a device, nor a file system that belongs there.
    #[error("below /dev only devices, a tmpfs at /dev/shm and message queues at /dev/mqueue may be")]
    Dev,
    /// Something on its way is a file.
    #[error("something on its way is not a directory")]
    NotADirectory,
    /// Symlinks on its way lead in a circle, or mounts move each other.
    #[error("symlinks on its way lead in a circle")]
    Loop,
    /// Symlinks lead it to where another mount goes, which either of them would hide.
    #[error("a symlink leads it to the same place as another mount")]
    Taken,
    /// Symlinks lead it to a place above its own path, which the mount there hides.
    #[error("a symlink leads it to a place that hides its own path")]
    Hidden,
    /// Something on its way cannot be seen before it is mounted.
    #[error("it is on a file system whose content is not known")]
    Unknown,
}

/// Why a read-only or masked path would not be held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WallProblem {
    /// It is missing, and the task could make it.
    #[error("it does not exist, and the task could make it, or has moved it away")]
    Missing,
    /// A symlink is on its way.
    #[error("it leads through a symlink")]
    Symlink {
        /// Where to, if anywhere.
        leads: Option<PathBuf>,
    },
    /// A named pipe that the task could write to: a read-only mount does not hold it, and Landlock's rights
    /// add up.
    #[error(
        "a read-only mount does not hold the named pipe {found:?}, and a directory above it can be written to"
    )]
    Pipe {
        /// The pipe on the host.
        found: PathBuf,
    },
    /// A device, as for a pipe.
    #[error("a read-only mount does not hold a device, and a directory above it can be written to")]
    Device,
    /// Without namespaces: a mount above it grants more.
    #[error(
        "without namespaces only Landlock holds it, whose rights add up, and {above:?} above it grants more"
    )]
    AddsUp {
        /// What grants more.
        above: PathBuf,
    },
    /// There may be a pipe in a directory that only those can use who know names.
    #[error(
        "a read-only mount does not hold named pipes, a directory above it can be written to, and {directory:?} cannot be listed"
    )]
    Closed {
        /// The directory on the host.
        directory: PathBuf,
    },
    /// There may be a pipe among so many files.
    #[error(
        "a read-only mount does not hold named pipes, a directory above it can be written to, and it has more than {limit} files"
    )]
    Unseen {
        /// How many are looked at.
        limit: usize,
    },
}

/// Why a namespace cannot be joined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NamespaceProblem {
    /// It is not there, or out of the caller's reach.
    #[error("it cannot be looked up ({0})")]
    Lookup(std::io::Error),
    /// It is something else.
    #[error("it is no namespace")]
    NotOne,
}

/// Why a range of ids cannot be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeProblem {
    /// It has no ids, or such as do not exist.
    #[error("ids are numbers of 0 to 4294967294")]
    Numbers,
    /// An id inside is mapped twice.
    #[error("another range has ids of it inside")]
    Inside,
    /// An id of the host is mapped twice.
    #[error("another range has ids of it on the host")]
    Outside,
    /// The host's root is among them.
    #[error("the host's root (0) is among them")]
    Root,
    /// They are neither the caller's own nor its subordinate ids.
    #[error("the caller may map its own id and its subordinate ids alone (subuid(5))")]
    Foreign,
}

/// Why a directory is thought to hold sockets or FIFOs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketsFound {
    /// There is one.
    File {
        /// Where, on the host.
        path: PathBuf,
        /// Which of the two.
        kind: FileKind,
    },
    /// It is, or holds, a directory in which programs keep their sockets.
    Place(PathBuf),
}

impl std::fmt::Display for SocketsFound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, kind } => write!(f, "{path:?} is a {kind} of the host"),
            Self::Place(path) => write!(f, "programs of the host keep their sockets in {path:?}"),
        }
    }
}
