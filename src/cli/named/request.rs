//! What is asked of the belljar that runs a named sandbox, and what it answers. Both sides are programs of
//! one user.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use serde::{Deserialize, Serialize};

/// Bytes that a request may have: arguments and environment, as for execve(2).
pub(super) const LONGEST: usize = 8 << 20;

/// Any bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Bytes(Vec<u8>);

impl From<&OsStr> for Bytes {
    fn from(text: &OsStr) -> Self {
        Self(text.as_bytes().to_vec())
    }
}

impl From<Bytes> for OsString {
    fn from(bytes: Bytes) -> Self {
        Self::from_vec(bytes.0)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// One more task. Its standard streams come in the next message, [`Streams`].
    Exec {
        /// Program and arguments.
        argv: Vec<Bytes>,
        /// Variables that are set.
        env: Vec<(Bytes, Bytes)>,
        /// The working directory inside.
        cwd: Option<Bytes>,
        /// Whether it gets a terminal of its own.
        tty: bool,
    },
    /// A signal for the first task.
    Signal {
        /// Its number.
        number: i32,
    },
    /// The end of the run.
    Wait,
}

/// With it come the three standard streams. (A message has at least one byte: none at all is the end.)
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Streams {
    Standard,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The task runs. Its channel comes with it, and the outer end of its terminal, if it has one.
    Started,
    /// It is done.
    Done,
    /// The run has ended, with this exit status of belljar's.
    Ended {
        /// The exit status.
        code: u8,
    },
    /// It is not done.
    Refused {
        /// Why, on one line.
        message: String,
        /// What can be done.
        hints: Vec<String>,
        /// The exit status for it.
        code: u8,
    },
}
