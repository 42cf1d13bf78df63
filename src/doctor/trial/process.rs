//! A further process within a trial: PID 1 of a new namespace, or one that another has to write the id maps
//! of.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, pipe2};

use super::{At, Miss, Step, Trial};

/// Runs `work` in a child and returns what it returned.
pub(super) fn in_child(work: impl FnOnce() -> Trial) -> Trial {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).at(Step::Process, "pipe2", "")?;
    let child = start(move || report(work(), writer))?;
    let mut answer = Vec::new();
    File::from(reader).read_to_end(&mut answer).at(Step::Process, "read", "a trial's answer")?;
    let status = waitpid(child, None).at(Step::Process, "waitpid", "")?;
    serde_json::from_slice(&answer)
        .map_err(|_| Miss::Without(format!("the trial's process ended early: {}", describe(status))))?
}

/// Forks; the child runs `work` and ends. Only for a process with a single thread, such as a trial's.
pub(super) fn start(work: impl FnOnce()) -> Result<Pid, Miss> {
    // SAFETY: the process has a single thread (see `crate::doctor`), so that the child may do anything.
    match unsafe { fork() }.at(Step::Process, "fork", "")? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            work();
            // SAFETY: ends the process without running what the parent registered for its own end.
            unsafe { libc::_exit(0) }
        }
    }
}

/// Writes a trial's result for the process that waits for it. A reader that is gone needs none.
pub(super) fn report(trial: Trial, to: OwnedFd) {
    if let Ok(answer) = serde_json::to_vec(&trial) {
        let _reader_gone = File::from(to).write_all(&answer);
    }
}

/// How a process ended, in a few words.
pub(super) fn describe(status: WaitStatus) -> String {
    match status {
        WaitStatus::Exited(_, code) => format!("exit code {code}"),
        WaitStatus::Signaled(_, signal, _) => signal.to_string(),
        other => format!("{other:?}"),
    }
}
