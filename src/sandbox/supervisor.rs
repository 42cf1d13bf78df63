//! What the caller handles while it starts a sandbox and waits for it.

use std::io;
use std::os::fd::BorrowedFd;

use super::error::Error;

/// What is asked of the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// That it goes on.
    Nothing,
    /// That the run is ended by force.
    Force,
}

/// An error in any of them ends the run.
pub(crate) trait Supervisor {
    /// All is decided, and init is about to get the word to go on: the last moment in which nothing can run.
    fn before(&mut self) -> io::Result<()>;
    /// What is watched besides the sandbox.
    fn watched(&self) -> Option<BorrowedFd<'_>>;
    /// There is something to be read there. Does a bounded part of it.
    fn handle(&mut self) -> io::Result<Asked>;
}

/// Nothing.
impl Supervisor for () {
    fn before(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn watched(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn handle(&mut self) -> io::Result<Asked> {
        Ok(Asked::Nothing)
    }
}

/// The error of any.
pub(super) fn failed(source: io::Error) -> Error {
    Error::Child { action: "pass signals on to", source }
}
