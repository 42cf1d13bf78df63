//! `run --detach`: the run goes on in a process of its own, away from the terminal, once its task has
//! started.

use std::fs::File;
use std::io::{Read as _, Write as _};

use nix::fcntl::OFlag;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, dup2_stdin, fork, pipe2, setsid};

use crate::cli::error::Error;

/// Which process this is now.
pub enum Side {
    /// The one that was called: it ends with this exit status.
    Caller(u8),
    /// The one that runs the sandbox.
    Runner(Started),
}

/// Signals to the caller that the task has started. If it is dropped without that, the caller exits with the
/// runner's exit status.
#[derive(Debug)]
pub struct Started(File);

impl Started {
    pub fn tell(mut self) {
        // The caller may have been killed.
        self.0.write_all(&[0]).ok();
    }
}

/// Splits this process, which has one thread, and waits in the caller until the task has started.
pub fn split() -> Result<Side, Error> {
    let failed = |action| move |errno: nix::Error| Error::Detach { action, source: errno.into() };
    let (told, tell) = pipe2(OFlag::O_CLOEXEC).map_err(failed("pipe2"))?;
    // SAFETY: no other thread was started yet, so the child may do anything.
    match unsafe { fork() }.map_err(failed("fork"))? {
        ForkResult::Parent { child } => {
            drop(tell);
            let mut byte = [0];
            let read = File::from(told)
                .read(&mut byte)
                .map_err(|source| Error::Detach { action: "read", source })?;
            if read == 1 {
                return Ok(Side::Caller(0));
            }
            match waitpid(child, None).map_err(failed("waitpid"))? {
                WaitStatus::Exited(_, code) => Ok(Side::Caller(u8::try_from(code).unwrap_or(125))),
                WaitStatus::Signaled(_, signal, _) => Ok(Side::Caller(128_u8.saturating_add(signal as u8))),
                _ => Ok(Side::Caller(125)),
            }
        }
        ForkResult::Child => {
            drop(told);
            setsid().map_err(failed("setsid"))?;
            let null = File::open("/dev/null")
                .map_err(|source| Error::Detach { action: "open /dev/null", source })?;
            dup2_stdin(&null).map_err(failed("dup2"))?;
            Ok(Side::Runner(Started(File::from(tell))))
        }
    }
}
