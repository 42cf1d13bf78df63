//! What a probe answers: one JSON line.

use libc::c_int;
use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use serde::{Deserialize, Serialize};

use super::Scene;
use crate::host::failure::errno_name;

/// Whether the attack worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verdict {
    /// It worked.
    Allowed,
    /// It was refused, or had no effect.
    Blocked,
    /// It cannot be tried here.
    Na,
}

/// A probe's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Answer {
    /// The row.
    pub id: String,
    /// Whether the attack worked.
    pub verdict: Verdict,
    /// The errno's or the signal's name, if there was one.
    pub errno: Option<String>,
    /// What was tried, and what was seen.
    pub tried: String,
}

impl Answer {
    /// An answer of a probe; the row's id is filled in by the caller.
    pub fn new(verdict: Verdict, errno: Option<Errno>, tried: impl Into<String>) -> Self {
        Self { id: String::new(), verdict, errno: errno.map(errno_name), tried: tried.into() }
    }

    /// The attack worked.
    pub fn allowed(tried: impl Into<String>) -> Self {
        Self::new(Verdict::Allowed, None, tried)
    }

    /// The attack had no effect.
    pub fn blocked(tried: impl Into<String>) -> Self {
        Self::new(Verdict::Blocked, None, tried)
    }

    /// It cannot be tried here, and why.
    pub fn na(why: impl Into<String>) -> Self {
        Self::new(Verdict::Na, None, why)
    }

    /// From a system call's result.
    pub fn of(tried: impl Into<String>, result: Result<(), Errno>) -> Self {
        Self::of_reached(tried, result, &[])
    }

    /// From a system call's result, where the errnos in `reached` say that nothing but the arguments, wrong
    /// on purpose, stood in the way.
    pub fn of_reached(tried: impl Into<String>, result: Result<(), Errno>, reached: &[Errno]) -> Self {
        match result {
            Ok(()) => Self::new(Verdict::Allowed, None, tried),
            Err(errno) if reached.contains(&errno) => Self::new(Verdict::Allowed, Some(errno), tried),
            Err(errno) => Self::new(Verdict::Blocked, Some(errno), tried),
        }
    }

    /// From several attempts: the first that was allowed, else the first that was blocked, else the last.
    pub fn any(answers: impl IntoIterator<Item = Self>) -> Self {
        let answers: Vec<Self> = answers.into_iter().collect();
        let of = |verdict| answers.iter().find(|answer| answer.verdict == verdict);
        of(Verdict::Allowed)
            .or_else(|| of(Verdict::Blocked))
            .or_else(|| answers.last())
            .cloned()
            .unwrap_or_else(|| Self::na("nothing to try"))
    }
}

/// A system call's result in a child of its own, so that a filter that kills, a change of state or a hang
/// (ended after 3 seconds) stays there. A signal that ended it counts as `EINTR`, but `SIGSYS` as `ENOSYS`.
pub(super) fn in_child(body: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
    // SAFETY: a probe's process has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => loop {
            match waitpid(child, None) {
                Err(Errno::EINTR) => {}
                Ok(WaitStatus::Exited(_, 0)) => return Ok(()),
                Ok(WaitStatus::Exited(_, code)) => return Err(Errno::from_raw(code)),
                Ok(WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGSYS, _)) => {
                    return Err(Errno::ENOSYS);
                }
                Ok(_) => return Err(Errno::EINTR),
                Err(errno) => return Err(errno),
            }
        },
        ForkResult::Child => {
            nix::unistd::alarm::set(3);
            let code: c_int = match body() {
                Ok(()) => 0,
                Err(errno) => errno as c_int,
            };
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(code) }
        }
    }
}

/// An I/O error's errno; `EIO` where it has none.
pub(super) fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// For a row about the sandbox's own init: where the task itself is PID 1 there is none to attack (row R25).
pub(super) fn is_init(scene: &Scene) -> Option<Answer> {
    let alone = scene.stage() != "control" && std::process::id() == 1;
    alone.then(|| Answer::na("the task itself is PID 1: there is no init to attack"))
}

/// A system call by number, as a probe makes it: `call!(libc::SYS_chroot, c"/".as_ptr())?`.
macro_rules! call {
    ($number:expr $(, $argument:expr)* $(,)?) => {
        // SAFETY: each use passes what its manual page asks for: numbers, null, or pointers to what lives
        // through the call.
        nix::errno::Errno::result(unsafe { libc::syscall($number $(, $argument)*) })
    };
}
pub(super) use call;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_that_was_reached_is_a_success() {
        let of = |result, reached: &[Errno]| Answer::of_reached("x", result, reached).verdict;
        assert_eq!(of(Ok(()), &[]), Verdict::Allowed);
        assert_eq!(of(Err(Errno::EPERM), &[]), Verdict::Blocked);
        assert_eq!(of(Err(Errno::EPERM), &[Errno::EINVAL]), Verdict::Blocked);
        assert_eq!(of(Err(Errno::EINVAL), &[Errno::EINVAL]), Verdict::Allowed);
    }

    #[test]
    fn one_way_through_is_enough() {
        let (yes, no, na) = (Answer::allowed("yes"), Answer::blocked("no"), Answer::na("na"));
        let any = |answers: &[&Answer]| Answer::any(answers.iter().map(|a| (*a).clone())).verdict;
        assert_eq!(any(&[&no, &na, &yes]), Verdict::Allowed);
        assert_eq!(any(&[&na, &no, &na]), Verdict::Blocked);
        assert_eq!(any(&[&na]), Verdict::Na);
        assert_eq!(any(&[]), Verdict::Na);
    }

    #[test]
    fn a_child_tells_its_errno_and_a_killing_filter_is_one() {
        assert_eq!(in_child(|| Ok(())), Ok(()));
        assert_eq!(in_child(|| Err(Errno::EXDEV)), Err(Errno::EXDEV));
        let killed = in_child(|| {
            // SAFETY: kills the attempt's own process.
            unsafe { libc::raise(libc::SIGSYS) };
            Ok(())
        });
        assert_eq!(killed, Err(Errno::ENOSYS));
    }

    #[test]
    fn an_answer_is_one_line_that_reads_back() {
        let answer = Answer::new(Verdict::Blocked, Some(Errno::EPERM), "open(\"a\nb\")");
        let line = serde_json::to_string(&answer).unwrap();
        assert!(!line.contains('\n') && line.contains("\"EPERM\""), "{line}");
        assert_eq!(serde_json::from_str::<Answer>(&line).unwrap(), answer);
    }
}
