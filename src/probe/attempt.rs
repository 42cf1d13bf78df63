//! One attempt: a system call in a child of its own, so that a filter that kills is an answer too.

use std::fmt;

use libc::c_int;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use serde::Serialize;

use crate::host::failure::errno_name;

/// After so many seconds an attempt is ended by `SIGALRM`.
const SECONDS: u32 = 2;

/// An attempt and its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Attempt {
    /// What was tried.
    pub name: String,
    /// What came of it.
    pub outcome: Outcome,
    /// The errno's or the signal's name. With `allowed` it is the one that tells that the call went through
    /// to its (wrong on purpose) arguments.
    pub answer: Option<String>,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Outcome {
    /// It worked, or would have with right arguments.
    Allowed,
    /// It was refused.
    Refused,
    /// What it is about does not exist here.
    Absent,
    /// The process was killed.
    Killed,
    /// It could not be tried.
    Unknown,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Allowed => "allowed",
            Outcome::Refused => "refused",
            Outcome::Absent => "absent",
            Outcome::Killed => "killed",
            Outcome::Unknown => "unknown",
        })
    }
}

/// Tries it in a child. `reached` lists errnos that say that nothing but the arguments was wrong.
pub(super) fn attempt(
    name: impl Into<String>,
    reached: &[Errno],
    body: impl FnOnce() -> Result<(), Errno>,
) -> Attempt {
    let (outcome, answer) = match in_child(body) {
        Ok(WaitStatus::Exited(_, 0)) => (Outcome::Allowed, None),
        Ok(WaitStatus::Exited(_, code)) => {
            let errno = Errno::from_raw(code);
            let outcome = match errno {
                errno if reached.contains(&errno) => Outcome::Allowed,
                Errno::ENOENT | Errno::ENOTDIR | Errno::ENXIO | Errno::ENODEV => Outcome::Absent,
                _ => Outcome::Refused,
            };
            (outcome, Some(errno_name(errno)))
        }
        Ok(WaitStatus::Signaled(_, signal, _)) => (Outcome::Killed, Some(signal_name(signal))),
        Ok(_) => (Outcome::Unknown, None),
        Err(errno) => (Outcome::Unknown, Some(errno_name(errno))),
    };
    Attempt { name: name.into(), outcome, answer }
}

fn signal_name(signal: Signal) -> String {
    signal.as_str().to_owned()
}

fn in_child(body: impl FnOnce() -> Result<(), Errno>) -> Result<WaitStatus, Errno> {
    // SAFETY: the child makes system calls and ends; what memory it asks for comes from an allocator that is
    // made to go on after fork (glibc and musl keep theirs consistent).
    match unsafe { fork() }? {
        ForkResult::Parent { child } => loop {
            match waitpid(child, None) {
                Err(Errno::EINTR) => {}
                done => return done,
            }
        },
        ForkResult::Child => {
            nix::unistd::alarm::set(SECONDS);
            let code: c_int = match body() {
                Ok(()) => 0,
                Err(errno) => errno as c_int,
            };
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(code) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_outcome() {
        let outcome = |reached: &[Errno], body: fn() -> Result<(), Errno>| {
            let attempt = attempt("x", reached, body);
            (attempt.outcome, attempt.answer)
        };
        assert_eq!(outcome(&[], || Ok(())), (Outcome::Allowed, None));
        assert_eq!(outcome(&[], || Err(Errno::EPERM)), (Outcome::Refused, Some("EPERM".to_owned())));
        assert_eq!(outcome(&[], || Err(Errno::ENOENT)), (Outcome::Absent, Some("ENOENT".to_owned())));
        assert_eq!(
            outcome(&[Errno::EINVAL], || Err(Errno::EINVAL)),
            (Outcome::Allowed, Some("EINVAL".to_owned()))
        );
        let killed = outcome(&[], || {
            // SAFETY: kills the attempt's own process.
            unsafe { libc::raise(libc::SIGSYS) };
            Ok(())
        });
        assert_eq!(killed, (Outcome::Killed, Some("SIGSYS".to_owned())));
    }
}
