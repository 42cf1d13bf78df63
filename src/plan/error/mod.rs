//! What can be wrong with a profile, on this host, for this call.

mod hint;
mod problem;
mod program;

use std::io;
use std::path::PathBuf;

pub use problem::{DestinationProblem, NamespaceProblem, RangeProblem, SocketsFound, WallProblem};
pub use program::ProgramProblem;

use crate::host::kernel::Version;
use crate::host::{FileKind, SubordinateError};
use crate::profile::IdRange;

/// Why there is no plan. Nothing has been started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A path inside that nothing can be mounted at.
    #[error("plan: cannot mount at {path:?}: {problem}")]
    Destination {
        /// The destination as it was asked for.
        path: PathBuf,
        /// What is wrong with it.
        problem: DestinationProblem,
    },
    /// The source of a mount is not there.
    #[error("plan: cannot mount {path:?} at {destination:?}: it does not exist")]
    SourceMissing {
        /// The source on the host.
        path: PathBuf,
        /// Where it should appear.
        destination: PathBuf,
    },
    /// The source of an optional mount is not there, and the task could make it: the first run would choose
    /// the second one's mounts.
    #[error(
        "plan: cannot leave out {path:?} at {destination:?}: it does not exist, and the task could make it, or has moved it away"
    )]
    Optional {
        /// The source on the host.
        path: PathBuf,
        /// Where it should appear.
        destination: PathBuf,
    },
    /// The source of a mount cannot be looked at.
    #[error("plan: cannot mount {path:?} at {destination:?}: it cannot be looked up")]
    SourceLookup {
        /// The source on the host.
        path: PathBuf,
        /// Where it should appear.
        destination: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The source is a socket, a pipe or a device.
    #[error("plan: cannot mount {path:?} at {destination:?}: it is a {kind}")]
    SourceKind {
        /// The source on the host.
        path: PathBuf,
        /// Where it should appear.
        destination: PathBuf,
        /// What it is.
        kind: FileKind,
    },
    /// The source is part of the host's procfs, or is reached through it.
    #[error("plan: cannot mount {path:?} at {destination:?}: it leads through the host's /proc")]
    SourceProc {
        /// The source on the host.
        path: PathBuf,
        /// Where it should appear.
        destination: PathBuf,
    },
    /// The source leads through a symlink that another user, or an earlier run, can have made.
    #[error("plan: cannot mount at {destination:?}: {link:?} is a symlink, and leads to {path:?}")]
    SourceLink {
        /// The symlink.
        link: PathBuf,
        /// What the source leads to.
        path: PathBuf,
        /// Where it should appear.
        destination: PathBuf,
    },
    /// The directory holds a socket or FIFO of the host, and the profile refuses these.
    #[error("plan: cannot show {path:?} at {destination:?}: {found}")]
    Sockets {
        /// The directory on the host.
        path: PathBuf,
        /// Where it should appear.
        destination: PathBuf,
        /// What was found.
        found: SocketsFound,
    },
    /// A file over a directory, or the reverse.
    #[error("plan: cannot mount {path:?} at {destination:?}: one is a directory and the other is not")]
    Mismatch {
        /// The source on the host, or the kind of the mount.
        path: PathBuf,
        /// Where it should appear.
        destination: PathBuf,
    },
    /// The mount point would have to be made in a directory of the host.
    #[error(
        "plan: cannot mount at {destination:?}: {host:?} does not exist, and nothing is created on the host"
    )]
    MountPoint {
        /// Where it should appear.
        destination: PathBuf,
        /// The missing file or directory.
        host: PathBuf,
    },
    /// A masked or read-only path would hide or weaken a more specific mount.
    #[error("plan: the mount at {destination:?} and {key} {path:?} contradict each other")]
    Contradiction {
        /// The mount.
        destination: PathBuf,
        /// `maskedPaths` or `readonlyPaths`.
        key: &'static str,
        /// Its path.
        path: PathBuf,
    },
    /// A read-only or masked path that would not be held.
    #[error("plan: {path:?} cannot be protected: {problem}")]
    Wall {
        /// The path inside.
        path: PathBuf,
        /// Why.
        problem: WallProblem,
    },
    /// A path in a list of the profile is not absolute, or has `..`.
    #[error("plan: {key} has the path {path:?}, which is not an absolute path without `..`")]
    Path {
        /// The profile's key.
        key: &'static str,
        /// The path.
        path: PathBuf,
    },
    /// The root directory cannot be used.
    #[error("plan: cannot use {path:?} as the root: {problem}")]
    Root {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The file system cannot show its owner's files as the sandbox's.
    #[error("plan: cannot show {path:?} as the sandbox's own files: {filesystem} has no id-mapped mounts")]
    IdMap {
        /// The source on the host.
        path: PathBuf,
        /// The file system.
        filesystem: &'static str,
    },
    /// An overlay would show what a mount hides.
    #[error("plan: cannot lay an overlay over {path:?}: it would show what is below the mount at {mount:?}")]
    RootMount {
        /// The root directory.
        path: PathBuf,
        /// What is mounted in it.
        mount: PathBuf,
    },
    /// The profile wants a root directory and none was given.
    #[error("plan: the profile needs a root directory")]
    NoRoot,
    /// The working directory cannot be used.
    #[error("plan: cannot start in {path:?}: {problem}")]
    Cwd {
        /// The working directory inside.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The caller's working directory is deleted or out of reach, and something depends on it.
    #[error("plan: the caller's working directory is deleted or out of reach")]
    NoCwd,
    /// Something that this profile, on this host, has no means to enforce.
    #[error("plan: {key} cannot be enforced: {reason}")]
    Unenforceable {
        /// The profile's key or the option.
        key: String,
        /// Why.
        reason: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// A namespace that cannot be joined.
    #[error("plan: cannot join the namespace {path:?}: {problem}")]
    Namespace {
        /// Its path on the host.
        path: PathBuf,
        /// Why.
        problem: NamespaceProblem,
    },
    /// The caller is root without the capabilities that an id of the sandbox's own needs.
    #[error("plan: running as root without the capabilities to give the sandbox an id of its own")]
    RootWithoutCapabilities,
    /// The caller's user namespace maps too few ids to give one to the sandbox.
    #[error(
        "plan: root's user namespace maps no id that is free ({mapped} in all), and its own may be the host's root"
    )]
    TooFewIds {
        /// How many it maps.
        mapped: u64,
    },
    /// A range of ids that cannot be mapped.
    #[error("plan: {key} cannot map {} ids from {} inside to {} on the host: {problem}", range.count, range.inside, range.outside)]
    IdRange {
        /// The profile's key.
        key: &'static str,
        /// The range.
        range: IdRange,
        /// Why.
        problem: RangeProblem,
    },
    /// The caller's subordinate ids cannot be used.
    #[error("plan: no ranges of ids for the sandbox")]
    Subordinate {
        /// Why.
        source: SubordinateError,
    },
    /// Without namespaces ids cannot be other than the host's.
    #[error("plan: user {uid}:{gid} cannot be had without a user namespace")]
    User {
        /// User id asked for.
        uid: u32,
        /// Group id asked for.
        gid: u32,
    },
    /// Root without namespaces would stay root: it is asked for, or there are neither the capabilities nor an
    /// id to become another.
    #[error("plan: without namespaces root would stay root")]
    RootWithoutNamespaces,
    /// In *lite*, as root: the sandbox has an id of its own, which does not get to what it is to be shown.
    #[error("plan: the sandbox's own id cannot reach {path:?}: {closed:?} is closed to other users")]
    OutOfReach {
        /// What is to be shown.
        path: PathBuf,
        /// The directory above it.
        closed: PathBuf,
    },
    /// The kernel is too old for what every profile of this kind stands on.
    #[error("plan: {what} needs Linux {needs} ({call}), this is Linux {has}")]
    Kernel {
        /// What is asked for.
        what: &'static str,
        /// The system call that is missing.
        call: &'static str,
        /// The version that brought it.
        needs: Version,
        /// The kernel's.
        has: Version,
    },
    /// Landlock is asked for, and the kernel's is missing or too old.
    #[error("plan: {key} needs Landlock ABI {needs}, the kernel has {}", display_abi(*.has))]
    Landlock {
        /// The profile's key.
        key: &'static str,
        /// The ABI that has it.
        needs: u32,
        /// The kernel's.
        has: Option<u32>,
    },
    /// A name that the kernel does not know.
    #[error("plan: unknown {what} {name:?}")]
    UnknownName {
        /// What it should name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A value that makes no sense.
    #[error("plan: {key} is {value:?}: {problem}")]
    Value {
        /// The profile's key or the option.
        key: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The system-call filter cannot be built.
    #[error("plan: cannot compile the system-call filter")]
    Seccomp {
        /// Why.
        source: crate::seccomp::CompileError,
    },
    /// The filter notifies of system calls, and the caller takes no listener.
    #[error("plan: the filter has the action notify, and nothing answers the notifications")]
    NoListener,
    /// An environment variable that cannot be.
    #[error("plan: environment variable \"{name}\": {problem}")]
    Env {
        /// Its name, escaped.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The kernel would refuse arguments or environment of this size (`E2BIG`).
    #[error("plan: {what} has {bytes} bytes, the kernel takes at most {limit}")]
    TooLong {
        /// `argument 3`, `environment variable PATH`, `arguments and environment together`.
        what: String,
        /// Its size with the closing NUL.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The program cannot be run.
    #[error("plan: cannot run \"{program}\": {problem}")]
    Program {
        /// The program as it was asked for, escaped.
        program: String,
        /// Why.
        problem: ProgramProblem,
    },
    /// A file of the host that the plan copies from or depends on cannot be read.
    #[error("plan: cannot read {path:?}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A device node of the host is missing or is another device.
    #[error("plan: {path:?} on the host is not the character device {major}:{minor}")]
    Device {
        /// The node.
        path: PathBuf,
        /// Major number it must have.
        major: u32,
        /// Minor number it must have.
        minor: u32,
    },
    /// More of something than a plan may have.
    #[error("plan: {count} {what}, at most {limit} are allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// At most.
        limit: usize,
    },
    /// An encoded plan is not one.
    #[error("plan: cannot decode: {problem}")]
    Decode {
        /// What is wrong.
        problem: &'static str,
    },
}

fn display_abi(abi: Option<u32>) -> String {
    abi.map_or_else(|| "none".to_owned(), |abi| format!("ABI {abi}"))
}

impl PlanError {
    /// The exit code of `belljar run`: 127 where the program was not found, 126 where it cannot be executed,
    /// else 125.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Program { problem, .. } => problem.exit_code(),
            Self::TooLong { .. } => 126,
            _ => 125,
        }
    }
}
