//! What a person may want to know of a plan, though nothing is wrong.

use std::fmt;
use std::path::PathBuf;

use crate::plan::error::SocketsFound;
use crate::plan::model::RLIMITS;

/// A decision that is not plain from the profile. Never a weakening.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The source of an optional mount is not there.
    Skipped {
        /// The source on the host.
        path: PathBuf,
        /// Where it would have been.
        destination: PathBuf,
    },
    /// A directory of `/etc` belongs to an installed program, but is not only for everybody to read.
    Private {
        /// The directory.
        path: PathBuf,
        /// What is not.
        because: PathBuf,
    },
    /// A file of the host's is too large to be copied into the synthetic `/etc`.
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What may be copied, in bytes.
        limit: usize,
    },
    /// The caller's own hard limit is lower than the profile's, and takes its place.
    Lowered {
        /// `RLIMIT_*`
        resource: u32,
        /// The hard limit of the profile, `u64::MAX` is unlimited.
        asked: u64,
        /// The caller's.
        given: u64,
    },
    /// A resource limit, of each process, in place of a control group: the profile or the call names it.
    StandIn {
        /// The profile's key.
        key: &'static str,
        /// `RLIMIT_*`
        resource: u32,
    },
    /// The control group can be had.
    ControlGroup {
        /// The groups that it would be made in.
        parents: Vec<PathBuf>,
    },
    /// In *lite*, as root: the sandbox has an id of its own, for which the mode of a file or directory that
    /// is shown does not allow all that the mount does.
    NotForAll {
        /// The file or directory.
        path: PathBuf,
        /// Whether it is shown writable.
        writable: bool,
    },
    /// A directory that is shown holds sockets or FIFOs of the host.
    Sockets {
        /// The directory on the host.
        path: PathBuf,
        /// What was found.
        found: SocketsFound,
    },
    /// Names in the allow-list that no known system call has: they are not allowed.
    UnknownSyscalls {
        /// The names.
        names: Vec<String>,
    },
    /// The profile allows set-user-ID bits or file capabilities, but others could execute such a file on the
    /// host: they are refused.
    SetId {
        /// What they reach.
        exposed: Exposed,
    },
}

impl Note {
    /// Writes it to the log: what opens a way out as a warning that is shown unless nothing is to be.
    pub(crate) fn log(&self) {
        match self {
            Self::Sockets { .. } => log::warn!(target: NOTICE, "{self}"),
            _ => log::info!("{self}"),
        }
    }
}

/// The log's target of what a person is told without having asked.
pub(crate) const NOTICE: &str = "belljar::notice";

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skipped { path, destination } => {
                write!(f, "{destination:?} is left out: {path:?} does not exist")
            }
            Self::Private { path, because } => {
                write!(f, "{path:?} is left out: {because:?} is not root's and for everybody to read")
            }
            Self::TooLarge { path, limit } => {
                write!(f, "the host's {path:?} is left out: it has more than {} KiB", limit >> 10)
            }
            Self::Lowered { resource, asked, given } => {
                let name = RLIMITS.get(*resource as usize).unwrap_or(&"?");
                let asked = if *asked == u64::MAX { "unlimited".to_owned() } else { asked.to_string() };
                write!(f, "limit {name} is {given}, the caller's own, in place of {asked}")
            }
            Self::StandIn { key, resource } => {
                let name = RLIMITS.get(*resource as usize).unwrap_or(&"?");
                write!(f, "{key} is enforced by the resource limit {name}, not for the whole sandbox")
            }
            Self::ControlGroup { parents } => {
                let parents: Vec<String> = parents.iter().map(|path| format!("{path:?}")).collect();
                write!(f, "the control group can be made in {}", parents.join(", "))
            }
            Self::NotForAll { path, writable } => {
                let what = if *writable { "written" } else { "read" };
                write!(f, "{path:?} may not be {what} by all users, and so not by the sandbox's own id")
            }
            Self::Sockets { path, found } => {
                write!(f, "{path:?} is shown, and {found}: the program may talk to what listens there")
            }
            Self::UnknownSyscalls { names } => {
                write!(f, "unknown system calls are not allowed: {}", names.join(", "))
            }
            Self::SetId { exposed } => write!(
                f,
                "set-user-ID and set-group-ID bits and file capabilities are refused, as others may reach {exposed}"
            ),
        }
    }
}

/// What of the host the task can write to and others may reach.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exposed {
    /// Something that is shown to it writable: its path on the host.
    Path(PathBuf),
    /// A regular file that it is given by descriptor.
    Given,
    /// Without namespaces, all that the user may reach.
    All,
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => {
                let closed =
                    "below a directory of mode 700 of the caller's, or with --overlay-tmp, they are allowed";
                write!(f, "{path:?}; {closed}")
            }
            Self::Given => f.write_str("a file that is given as a stream or descriptor"),
            Self::All => f.write_str("all that the caller may"),
        }
    }
}
