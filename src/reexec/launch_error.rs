//! What can go wrong when a role is started.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use super::child::Step;
use super::credential::{MAX_EXTRA, MAX_PAYLOAD, MAX_ROLE_NAME};
use super::image::ImageError;
use super::refusal::Refusal;

/// Why a role could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LaunchError {
    /// This process is a re-executed child itself and has not called `init()`.
    #[error(
        "this process is a re-executed child that did not call belljar::reexec::init(), so it may not launch another: call it first thing in main (in tests, doctests and benches: belljar::enable_test_support!())"
    )]
    NotInitialised,
    /// This program has not called `init()`: the child would run its `main` again, with the role's arguments.
    #[error(
        "this program did not call belljar::init(): call it first thing in main (in tests, doctests and benches: belljar::enable_test_support!())"
    )]
    InitNotCalled,
    /// `argv` is empty.
    #[error("the argument list is empty, it needs the name that ps shows")]
    NoArguments,
    /// The name of the role is too long.
    #[error("the role's name has {size} bytes, at most {MAX_ROLE_NAME} are possible")]
    NameTooLong {
        /// Its length in bytes.
        size: usize,
    },
    /// The payload is too large.
    #[error("the payload has {size} bytes, at most {MAX_PAYLOAD} are possible")]
    PayloadTooLarge {
        /// Its length in bytes.
        size: usize,
    },
    /// Too many extra descriptors.
    #[error("{count} extra descriptors, at most {MAX_EXTRA} are possible")]
    TooManyDescriptors {
        /// How many.
        count: usize,
    },
    /// The sealed memfd could not be made.
    #[error("cannot make the child's credential (memfd_create, fcntl F_ADD_SEALS)")]
    Credential {
        /// From the kernel.
        source: io::Error,
    },
    /// The channel could not be made.
    #[error("cannot make the channel to the child (socketpair)")]
    Channel {
        /// From the kernel.
        source: io::Error,
    },
    /// The program's own image is out of reach.
    #[error("cannot start the program's own image again")]
    Image {
        /// Why.
        #[from]
        source: ImageError,
    },
    /// `clone3(2)` failed.
    #[error("cannot create the child (clone3 with flags {flags:#x})")]
    Clone {
        /// The `CLONE_NEW*` flags that were asked for.
        flags: u64,
        /// From the kernel.
        source: io::Error,
    },
    /// The child could not do one of the steps before or at the exec.
    #[error("the child could not {}", .step.describe())]
    Setup {
        /// Which.
        step: Step,
        /// From the kernel. `ENOENT` at the exec of an existing image: its dynamic loader is not there.
        source: io::Error,
    },
    /// Waiting for the child's first word failed.
    #[error("cannot wait for the child (poll, recv, waitid)")]
    Wait {
        /// From the kernel.
        source: io::Error,
    },
    /// The child's guard ended it.
    #[error(
        "the re-executed program did not reach belljar::init(): call it first thing in main (in tests, doctests and benches: belljar::enable_test_support!())"
    )]
    NeverInitialised,
    /// The child ended before it called `init()`.
    #[error(
        "the re-executed program ended before it reached belljar::init() ({}): call it first thing in main (in tests, doctests and benches: belljar::enable_test_support!())",
        described(.status)
    )]
    EndedEarly {
        /// How it ended; `None` if another thread took its status (`SIGCHLD` is ignored).
        status: Option<ExitStatus>,
    },
    /// The child did not answer, and was killed.
    #[error("the re-executed program did not reach belljar::init() within {} ms and was killed", .timeout.as_millis())]
    TimedOut {
        /// How long was waited.
        timeout: Duration,
    },
    /// The child refused.
    #[error("the re-executed program refused to run the role")]
    Refused {
        /// Why.
        source: Refusal,
    },
    /// The child's first word makes no sense.
    #[error("the re-executed program sent something else than its greeting, and was killed")]
    BadGreeting,
}

fn described(status: &Option<ExitStatus>) -> String {
    status.map_or_else(
        || "its status was taken by another thread, or SIGCHLD is ignored".to_owned(),
        |status| status.to_string(),
    )
}
