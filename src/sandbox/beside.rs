//! What a caller has to see to while it starts a sandbox and waits for it.

use std::io;
use std::os::fd::BorrowedFd;

use super::error::Error;

/// An error in either ends the run.
pub(crate) trait Beside {
    /// All is decided, and init is about to get the word to go on: the last moment in which nothing can run.
    fn before(&mut self) -> io::Result<()>;
    /// Waits until there is something to be read, or an end to be seen. Whoever has nothing else to see to need not wait: what
    /// follows does.
    fn wait(&mut self, until: BorrowedFd<'_>) -> io::Result<()>;
}

/// Nothing.
impl Beside for () {
    fn before(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn wait(&mut self, _: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }
}

/// The error of either.
pub(super) fn failed(source: io::Error) -> Error {
    Error::Child { action: "pass signals on to", source }
}
