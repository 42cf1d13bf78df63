//! How long a sandbox lives: as long as its owner, the process that starts it.

use std::fs::File;
use std::io::{Read as _, Write as _};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, dup2_stdin, fork, pipe2, setsid};

use super::error::Error;

/// How long a sandbox lives. It always ends with its owner, the process that starts it, however that ends:
/// then nothing is left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Lifetime {
    /// The caller is the owner.
    #[default]
    WithCaller,
    /// The owner is a process of the sandbox's own, which the caller does not have to wait for.
    Kept,
}

/// Which process this is after [`Lifetime::begin`].
#[derive(Debug)]
#[allow(clippy::exhaustive_enums)]
pub enum Side {
    /// The caller, whose sandbox has another owner. With 0 the task has started; otherwise the owner has ended
    /// before, with this exit status.
    Caller(u8),
    /// The owner: it starts the sandbox, and waits for its end.
    Owner(StartNotifier),
}

/// Tells the caller that the task has started. Dropped without that, the caller waits for the owner's end.
#[derive(Debug)]
pub struct StartNotifier(Option<File>);

impl StartNotifier {
    /// The task has started.
    pub fn tell(self) {
        if let Some(mut caller) = self.0 {
            // A caller that is gone needs none.
            caller.write_all(&[0]).ok();
        }
    }
}

impl Lifetime {
    /// Makes the owner, before the sandbox and all that belongs to it. With [`Lifetime::WithCaller`] this
    /// process is. With [`Lifetime::Kept`] it splits (`fork(2)`): the new process is the owner, in a session of
    /// its own, with `/dev/null` for its standard input; here it returns once the owner has told that the task
    /// has started, or has ended. Standard output and error stay shared.
    ///
    /// # Errors
    /// For [`Lifetime::Kept`]: in a process with more than one thread, which cannot be split, and where a system
    /// call fails.
    pub fn begin(self) -> Result<Side, Error> {
        match self {
            Self::WithCaller => Ok(Side::Owner(StartNotifier(None))),
            Self::Kept => split(),
        }
    }
}

fn split() -> Result<Side, Error> {
    const TASKS: &str = "/proc/self/task";
    let tasks = std::fs::read_dir(TASKS).map_err(failed("read /proc/self/task"))?;
    let threads = tasks.count();
    if threads != 1 {
        return Err(Error::Threads { threads });
    }
    let (told, tell) = pipe2(OFlag::O_CLOEXEC).map_err(by_errno("pipe2"))?;
    // SAFETY: there is no other thread, so the child may do anything.
    match unsafe { fork() }.map_err(by_errno("fork"))? {
        ForkResult::Parent { child } => {
            drop(tell);
            let mut byte = [0];
            if File::from(told).read(&mut byte).map_err(failed("read"))? == 1 {
                return Ok(Side::Caller(0));
            }
            match waitpid(child, None).map_err(by_errno("waitpid"))? {
                WaitStatus::Exited(_, code) => Ok(Side::Caller(u8::try_from(code).unwrap_or(125))),
                WaitStatus::Signaled(_, signal, _) => Ok(Side::Caller(128_u8.saturating_add(signal as u8))),
                _ => Ok(Side::Caller(125)),
            }
        }
        ForkResult::Child => {
            drop(told);
            setsid().map_err(by_errno("setsid"))?;
            let null = File::open("/dev/null").map_err(failed("open /dev/null"))?;
            dup2_stdin(&null).map_err(by_errno("dup2"))?;
            Ok(Side::Owner(StartNotifier(Some(File::from(tell)))))
        }
    }
}

fn failed(action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Owner { action, source }
}

fn by_errno(action: &'static str) -> impl FnOnce(Errno) -> Error {
    move |errno| Error::Owner { action, source: errno.into() }
}
