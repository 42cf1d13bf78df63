//! What stops a run of a probe. None of these is a verdict about a wall.

use std::ffi::OsString;
use std::io;

use crate::profile::ProfileError;

/// A self-test could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SelfTestError {
    /// No row has this id.
    #[error("no row is called {id:?}")]
    UnknownRow {
        /// The id.
        id: String,
    },
    /// An argument of the role that is not `name=value`.
    #[error("unexpected argument {argument:?}; usage: selftest-probe ROW [NAME=VALUE]...")]
    Argument {
        /// The argument.
        argument: OsString,
    },
    /// What a probe works on could not be made.
    #[error("cannot {action}")]
    Setup {
        /// What was being done.
        action: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A path that is no text.
    #[error("the temporary directory's path {path:?} is not UTF-8")]
    Path {
        /// The path.
        path: std::path::PathBuf,
    },
    /// A profile cannot be loaded, or not be changed in this way.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The sandbox did not start, or did not end properly.
    #[error(transparent)]
    Sandbox(#[from] Box<crate::Error>),
    /// The control did not start.
    #[error("the control")]
    Control {
        /// Why.
        #[source]
        source: crate::reexec::CommandError,
    },
    /// Fresh namespaces for the control cannot be had.
    #[error("fresh namespaces: {call}")]
    Fresh {
        /// The system call.
        call: &'static str,
        /// Why.
        #[source]
        source: nix::errno::Errno,
    },
    /// The probe's process ended without an answer.
    #[error("the probe ended ({how}) without an answer: {said}")]
    NoAnswer {
        /// How it ended.
        how: String,
        /// What it wrote.
        said: String,
    },
    /// The answer cannot be written.
    #[error("cannot write to standard output")]
    Write {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An answer cannot be written as JSON.
    #[error("JSON")]
    Json {
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl SelfTestError {
    pub(super) fn setup(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Setup { action, source }
    }

    pub(super) fn errno(action: &'static str) -> impl FnOnce(nix::errno::Errno) -> Self {
        move |errno| Self::Setup { action, source: errno.into() }
    }
}

impl From<crate::Error> for SelfTestError {
    fn from(error: crate::Error) -> Self {
        Self::Sandbox(Box::new(error))
    }
}
