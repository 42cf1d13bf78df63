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
    /// One more task.
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

/// From the client, after [`Answer::Ready`]: from here on it waits for what comes of it. With it come the three
/// standard streams of one more task. (A message has at least one byte: none at all is the end.)
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    Go,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The request was taken, and [`Word::Go`] is waited for: a client that has given up does not say it, and
    /// knows that nothing was done. (A [`Request::Wait`] has no other answer than the end.)
    Ready,
    /// The task runs. Its channel comes with it, and the outer end of its terminal, if it has one. If the run
    /// ends before the task, [`Answer::Ended`] follows.
    Started,
    /// It is done.
    Done,
    /// The run has ended, its report is written, and the name is free.
    Ended {
        /// The exit status of its belljar.
        code: u8,
        /// What ended it, if that was not the program itself.
        why: Option<String>,
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
