//! What can go wrong with a sandbox, from its profile to its end.

use std::io;

use nix::errno::Errno;

use crate::cgroup::CgroupError;
use crate::host::FactsError;
use crate::plan::PlanError;
use crate::profile::ProfileError;
use crate::protocol::{Failure, Fault, Stage};
use crate::reexec::{LaunchError, LookupError};

use super::accepted::RefusedKind;

/// Why a sandbox could not be made, or a run of it has no outcome of its own.
///
/// Whenever one of these comes out of a start, no untrusted code has run; but for [`Error::Disturbed`] and a
/// poststart hook's [`Error::Hook`], which say that it has.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such profile, or it has a mistake.
    #[error(transparent)]
    Profile(Cause),
    /// What an option of [`Builder`](super::Builder) or [`Limits`](super::Limits) was given fits no sandbox,
    /// or not this profile.
    #[error("{option}")]
    Option {
        /// The method's name.
        option: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The profile cannot be had on this host, or for this task.
    #[error(transparent)]
    Plan(Cause),
    /// A wall could not be built or did not read back as planned, init could not be started, or the host cannot
    /// be asked what it can do. [`hints`](Self::hints) asks the host why.
    #[error(transparent)]
    Start(Cause),
    /// The role cannot be run: none, or more than one, has the name.
    #[error(transparent)]
    Role(Cause),
    /// More tasks were not asked for ([`Command::more_tasks`](super::Command::more_tasks)), or it has been
    /// waited for.
    #[error("this sandbox takes no more tasks")]
    NoMoreTasks,
    /// As many tasks beyond the first run as there may be at a time.
    #[error("the sandbox runs {limit} programs besides its first already, the most there may be")]
    TooManyTasks {
        /// How many.
        limit: u32,
    },
    /// One more task would be one process more than the limit of the sandbox.
    #[error("the sandbox has {limit} processes already, its limit")]
    TooManyProcesses {
        /// The limit.
        limit: u64,
    },
    /// The profile does not make the walls any more that stand.
    #[error("what the profile shows is not what it was when the sandbox was made")]
    OtherWalls,
    /// A limit of the whole sandbox is another in the command's sandbox than in the one that runs, where one
    /// more task cannot have its own.
    #[error("the sandbox that runs has another limit: {limit}")]
    OtherLimit {
        /// The method of [`Limits`](super::Limits) or [`Builder`](super::Builder) that sets it.
        limit: &'static str,
    },
    /// init did not start one more task in time, and will not do it later.
    #[error("the sandbox's init did not start the task within {limit_ms} ms")]
    NotAnswered {
        /// How long was waited, milliseconds.
        limit_ms: u64,
    },
    /// The output of one more task is not counted.
    #[error("a sandbox with a limit of output takes no more tasks")]
    OutputNotLimited,
    /// A terminal of the task's own ([`Command::terminal`](super::Command::terminal)) is its three standard
    /// streams, and something else is asked of them.
    #[error("a terminal of its own is all standard streams of a task: {problem}")]
    Terminal {
        /// What is asked.
        problem: &'static str,
    },
    /// A role finds its arguments in those of init.
    #[error("a role can only be the first task of a sandbox")]
    RoleInSandbox,
    /// The walls stand already, and the task is not the first.
    #[error("one more task of a sandbox can have startContainer hooks only")]
    HooksOfWalls,
    /// The sandbox could not be given an owner of its own ([`Lifetime::Kept`](super::Lifetime::Kept)).
    #[error("cannot make an owner for the sandbox: {action}")]
    Owner {
        /// What was being done.
        action: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Only a process with one thread can be split ([`Lifetime::Kept`](super::Lifetime::Kept)).
    #[error("a process with {threads} threads cannot make an owner for a sandbox")]
    Threads {
        /// How many there are.
        threads: usize,
    },
    /// The sandbox has ended, and with it the task.
    #[error("the sandbox has ended")]
    Over,
    /// The control group with the limits that were asked for cannot be had.
    #[error("cannot limit the sandbox by a control group")]
    Cgroup {
        /// Why.
        source: Cause,
    },
    /// The memory limit was met before the program could start.
    #[error("cannot start in {limit} bytes of memory: the limit was met before the program ran")]
    MemoryTooLow {
        /// The limit.
        limit: u64,
    },
    /// A descriptor that would give more than its content: nothing but its open mode holds what it leads to.
    #[error("{descriptor} is {kind}, which is not given to a task")]
    DescriptorKind {
        /// `standard input`, `descriptor 9`.
        descriptor: String,
        /// What it is.
        #[doc(hidden)]
        kind: RefusedKind,
    },
    /// A function that the caller has called at a point of the start failed. At `poststart` the task had
    /// started, and was ended.
    #[error("the {point} hook failed")]
    Hook {
        /// OCI's name of the point.
        point: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// All walls stood, but the program could not be executed.
    #[error("cannot execute {program}")]
    Execute {
        /// The program's path inside.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// After the task had started, init could not go on: something changed it, or the kernel refused it what
    /// it had. The run was ended.
    #[error("the sandbox's init was disturbed after the start, and the run was ended")]
    Disturbed {
        /// At what, and why.
        #[source]
        source: Cause,
    },
    /// The time limit was over before init had told that the task started, and the run was ended.
    #[error("the sandbox had not started when its time limit of {limit_ms} ms was over")]
    NotStarted {
        /// The limit, milliseconds.
        limit_ms: u64,
    },
    /// Without a pid namespace some of its processes could not be ended in time: they may still run.
    #[error("the run was ended, but {} of its processes could not be, and may still run", count(.left))]
    Left {
        /// How many of them init still had as its own children; `None`: init had to be ended before it could
        /// tell.
        left: Option<u32>,
    },
    /// init ended without a word.
    #[error("the sandbox's init ended without reporting (wait status {status:#x})")]
    Silent {
        /// Its wait status.
        status: i32,
    },
    /// init's messages make no sense.
    #[error("the sandbox's init broke the protocol")]
    Protocol,
    /// The child cannot be waited for, or a pipe to it failed.
    #[error("cannot {action} the sandboxed process")]
    Child {
        /// What was being done.
        action: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A call's argument or result cannot be encoded or decoded: its type does not read what it writes, or
    /// the sandbox sent something else.
    #[error("cannot {action} of the sandboxed call")]
    Value {
        /// What was being done.
        action: &'static str,
        /// Why.
        #[source]
        source: Cause,
    },
    /// A call's result is longer than allowed.
    #[error("the result of the sandboxed call is longer than {limit} bytes")]
    ResultTooLong {
        /// The limit.
        limit: u64,
    },
    /// A call's result is nested more deeply than allowed: decoding it could exhaust the caller's stack.
    #[error(
        "the result of the sandboxed call is nested too deeply: more than {limit} levels, or levels too large for the stack"
    )]
    ResultTooDeep {
        /// The limit: fields, elements and variants in each other.
        limit: u32,
    },
    /// A call's result is larger in memory than allowed, however short its encoding is.
    #[error("the result of the sandboxed call takes more than {limit} bytes of memory")]
    ResultTooLarge {
        /// The limit.
        limit: u64,
    },
    /// A call's function is not part of the program's own image.
    #[error(
        "the function of the sandboxed call is not in this program's own image (but in a shared library)"
    )]
    ForeignFunction,
    /// The function panicked, inside. The message shows both texts on one line, free of control characters;
    /// the fields have them as the sandbox sent them.
    #[error("the sandboxed call panicked at {}: {}", one_line(.location), one_line(.message))]
    Panicked {
        /// The panic's message, as the sandbox tells it.
        message: String,
        /// `file:line:column`
        location: String,
    },
    /// The call's process ended before it returned.
    #[error("the sandboxed call ended without a result: {ended}")]
    CallEnded {
        /// How.
        ended: super::Ended,
    },
}

/// Why a sandbox could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The host cannot be asked what it can do.
    #[error(transparent)]
    Host(#[from] FactsError),
    /// The re-executed image did not come up.
    #[error("cannot start the sandbox's init")]
    Launch {
        /// The namespaces that were asked for.
        namespaces: crate::plan::Namespaces,
        /// Why.
        #[source]
        source: LaunchError,
    },
    /// newuidmap(1) or newgidmap(1) did not map the ids.
    #[error("cannot map the sandbox's ids: {program}: {status}{}{said}", if .said.is_empty() { "" } else { ": " })]
    IdMapProgram {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: String,
        /// What it wrote to standard error, on one line.
        said: String,
    },
    /// `/proc` is of another pid namespace, whose numbers mean other processes: without namespaces init could
    /// not tell its own.
    #[error("/proc belongs to another pid namespace")]
    ForeignProc,
    /// The caller's side of the preparation failed.
    #[error("{step}: {call}{}{object}", if .object.is_empty() { "" } else { " " })]
    Prepare {
        /// What was being prepared.
        step: Step,
        /// The system call.
        call: &'static str,
        /// What it was about.
        object: String,
        /// Why.
        #[source]
        source: Errno,
    },
    /// A namespace that is there already cannot be joined.
    #[error("cannot join the namespace {path:?}: {problem}")]
    Join {
        /// Its path on the host.
        path: String,
        /// What failed.
        problem: JoinProblem,
        /// The system call's error.
        #[source]
        source: Option<Errno>,
    },
    /// A wall could not be built, or did not read back as planned.
    #[error("cannot build the sandbox")]
    Init {
        /// Which, and why.
        #[source]
        source: Failure,
    },
    /// A plan could not be encoded.
    #[error("cannot {action}")]
    Codec {
        /// What was being done.
        action: &'static str,
        /// Why.
        #[source]
        source: postcard::Error,
    },
}

/// Types of this crate's own, which may change: a user prints them, with their sources.
type Cause = Box<dyn std::error::Error + Send + Sync>;

macro_rules! from {
    ($($source:ty => $variant:ident),*) => {$(
        impl From<$source> for Error {
            fn from(source: $source) -> Self {
                Self::$variant(Box::new(source))
            }
        }
    )*};
}

from!(ProfileError => Profile, PlanError => Plan, LookupError => Role, StartError => Start);

impl From<FactsError> for Error {
    fn from(source: FactsError) -> Self {
        StartError::from(source).into()
    }
}

impl From<CgroupError> for Error {
    fn from(source: CgroupError) -> Self {
        Self::Cgroup { source: Box::new(source) }
    }
}

/// What failed of joining a namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JoinProblem {
    /// `open(2)`.
    #[error("it cannot be opened")]
    Open,
    /// `fstatfs(2)`, `fstat(2)` or `ioctl(2)`.
    #[error("it cannot be looked at ({0})")]
    Look(&'static str),
    /// Something else.
    #[error("it is no namespace")]
    NotOne,
    /// Of another kind than was asked for.
    #[error("it is a namespace of another kind")]
    Kind,
    /// `setns(2)` into it.
    #[error("setns(2)")]
    Enter,
    /// `setns(2)` into the caller's own, by which the calling thread comes back.
    #[error("the calling thread cannot come back into the caller's own (setns(2))")]
    Back {
        /// The option of unshare(1) that makes one of the kind.
        unshare: char,
    },
}

impl JoinProblem {
    /// What a person can do about it.
    pub(crate) fn hint(self, source: Option<Errno>) -> Option<String> {
        match (self, source) {
            (Self::Kind, _) => Some("name one of the kind that the profile says".to_owned()),
            (Self::Enter, Some(Errno::EPERM)) => Some(
                "it takes CAP_SYS_ADMIN in the user namespace that owns it: run belljar as root, or in that user \
                 namespace"
                    .to_owned(),
            ),
            (Self::Back { unshare }, Some(Errno::EPERM)) => Some(format!(
                "it takes CAP_SYS_ADMIN in the user namespace that owns the caller's own, too: run belljar in one \
                 that this user namespace owns (unshare -Ur{unshare}), or as root"
            )),
            _ => None,
        }
    }
}

/// A step of the caller's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// The procfs that everything else is read from and written to.
    Proc,
    /// The id maps of the user namespace.
    IdMaps,
    /// An unprivileged host id of the sandbox's own.
    HostId,
    /// The value by which the kernel spares a process when memory runs out.
    OomScore,
    /// Trees that only the caller can reach.
    Trees,
    /// Standard streams, pipes, the channel.
    Descriptors,
    /// The caller's own namespaces, to compare with.
    Namespaces,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Proc => "cannot do without /proc",
            Self::IdMaps => "cannot map the sandbox's ids",
            Self::HostId => "cannot claim an id for the sandbox",
            Self::OomScore => "cannot have the sandbox spared no more than others when memory runs out",
            Self::Trees => "cannot prepare a bind mount",
            Self::Descriptors => "cannot prepare the descriptors",
            Self::Namespaces => "cannot read the own namespaces",
        })
    }
}

impl Error {
    /// The command line's exit code for it: 127 not found, 126 found but not executable, 124 not started in
    /// time, 125 everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Plan(error) => error.downcast_ref().map_or(125, PlanError::exit_code),
            Self::Execute { source, .. } => match source.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => 127,
                _ => 126,
            },
            Self::NotStarted { .. } => 124,
            _ => 125,
        }
    }

    /// What init's system call failed with.
    pub(super) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Execute { source, .. } => source.raw_os_error().map(Errno::from_raw),
            _ => match self.start()? {
                StartError::Init { source } => source.fault.errno(),
                _ => None,
            },
        }
    }

    /// Why it could not be started.
    pub(super) fn start(&self) -> Option<&StartError> {
        match self {
            Self::Start(error) => error.downcast_ref(),
            _ => None,
        }
    }

    /// For `map_err` in the caller's preparation.
    pub(crate) fn prepare(step: Step, call: &'static str, object: &str) -> impl FnOnce(Errno) -> Self {
        let object = object.to_owned();
        move |source| StartError::Prepare { step, call, object, source }.into()
    }

    /// What init said, as an error of ours.
    pub(crate) fn from_init(failure: Failure, program: &str) -> Self {
        match failure.fault {
            Fault::TooManyTasks { limit } => return Self::TooManyTasks { limit },
            Fault::TooManyProcesses { limit } => return Self::TooManyProcesses { limit },
            _ => {}
        }
        match (failure.stage, failure.fault.errno()) {
            (Stage::Execute, Some(errno)) => {
                Self::Execute { program: program.to_owned(), source: errno.into() }
            }
            _ => StartError::Init { source: failure }.into(),
        }
    }
}

/// At least as many.
fn count(left: &Option<u32>) -> String {
    left.map_or_else(|| "some".to_owned(), |left| left.to_string())
}

/// A text of the sandbox's, for a message: nothing in it that a terminal obeys or that begins a new line in a
/// log.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { line.extend(c.escape_default()) } else { line.push(c) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_on_one_line() {
        let message = "left\n  right\u{1b}[31m".to_owned();
        let error = Error::Panicked { message: message.clone(), location: "src/x.rs:1:2\r".to_owned() };
        let told = "the sandboxed call panicked at src/x.rs:1:2\\r: left\\n  right\\u{1b}[31m";
        assert_eq!(error.to_string(), told);
        assert!(matches!(error, Error::Panicked { message: kept, .. } if kept == message));
    }
}
