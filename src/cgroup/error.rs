//! Why there is no control group with the limits that were asked for.

use std::io;
use std::path::PathBuf;

use nix::errno::Errno;

use crate::reexec::LaunchError;

/// What went wrong with a control group. Nothing untrusted has run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CgroupError {
    /// No tree with the controller is mounted.
    #[error("no control group tree with the controller {controller} is mounted")]
    NotMounted {
        /// Its name.
        controller: &'static str,
    },
    /// The caller's own group is outside of what is mounted.
    #[error("the caller's own control group {path:?} is outside of the tree that is mounted")]
    OutOfReach {
        /// Its path.
        path: PathBuf,
    },
    /// The group has no such controller to give.
    #[error("the control group {path:?} has no controller {controller} to give")]
    NoController {
        /// The group.
        path: PathBuf,
        /// The controller's name.
        controller: &'static str,
    },
    /// v2: a group with processes cannot have children with limits.
    #[error("the control group {path:?} has processes in it and can have no children with limits")]
    Occupied {
        /// The group.
        path: PathBuf,
    },
    /// v2: beside the caller's own group a limit of that one would not hold.
    #[error("the caller's own control group has limits ({file}) that one beside it would not have")]
    OwnLimits {
        /// The limit's file.
        file: &'static str,
    },
    /// Not a directory of a control group tree.
    #[error("{path:?} is not a control group")]
    NotAGroup {
        /// The path.
        path: PathBuf,
    },
    /// Swap cannot be limited.
    #[error("this kernel does not limit swap, and there is some")]
    Swap,
    /// A limit of a disk for what is on none.
    #[error("{path:?} is no disk, and on none (or on a file system that tells of none)")]
    NoDisk {
        /// The path.
        path: PathBuf,
    },
    /// The kernel has no scheduler with weights.
    #[error("this kernel shares disks out by no weight")]
    NoWeight,
    /// A system call failed.
    #[error("{call} {path:?}")]
    System {
        /// Its name.
        call: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        #[source]
        source: Errno,
    },
    /// The kernel has something else than what was written.
    #[error("{path:?} reads {found:?} after {written:?} was written")]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What was written.
        written: String,
        /// What was read.
        found: String,
    },
    /// A file has nothing that can be understood.
    #[error("{path:?} cannot be understood")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// The process that removes the group did not come up.
    #[error("the cleaner of the control group does not start")]
    Cleaner {
        /// Why.
        #[source]
        source: Box<LaunchError>,
    },
    /// It could not be given what it needs.
    #[error("cannot start the cleaner of the control group without {what}")]
    CleanerNeeds {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The group could not be removed.
    #[error("the control group {name} could not be removed")]
    Left {
        /// Its name.
        name: String,
    },
}

/// The controller of disks, in v1 and v2.
const IO: [&str; 2] = ["blkio", "io"];

impl CgroupError {
    /// For `map_err`.
    pub(super) fn on(call: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(Errno) -> Self {
        let path = path.into();
        move |source| Self::System { call, path, source }
    }

    /// What a person can do about it, a line each.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        const RLIMIT: &str =
            "--limits=rlimit takes limits of each process instead, which are weaker (memory, pids, cpu time)";
        let mut hints = match self {
            Self::Occupied { .. }
            | Self::OwnLimits { .. }
            | Self::System { source: Errno::EACCES | Errno::EPERM | Errno::EROFS, .. } => vec![
                "a control group must be yours to make: 'systemd-run --user --scope -p Delegate=yes belljar run …', \
                 or --cgroup-parent with one that was delegated to you"
                    .to_owned(),
            ],
            Self::NotMounted { .. } | Self::OutOfReach { .. } | Self::NoController { .. } => {
                vec!["--cgroup-parent names a group that has it".to_owned()]
            }
            Self::NotAGroup { .. } => {
                vec!["--cgroup-parent takes a path from the tree's root, as in /user.slice".to_owned()]
            }
            Self::NoDisk { .. } => return vec!["name the disk itself, as in /dev/sda".to_owned()],
            Self::NoWeight => {
                return vec!["it needs the bfq scheduler or io.cost: 'modprobe bfq'; or leave --io-weight out".to_owned()];
            }
            _ => return Vec::new(),
        };
        if matches!(self, Self::NotMounted { controller } | Self::NoController { controller, .. } if IO.contains(controller))
        {
            hints.push("no other limit stands in for those of disks; leave --io-… out".to_owned());
            return hints;
        }
        hints.push(RLIMIT.to_owned());
        hints
    }
}
