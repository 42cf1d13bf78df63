//! What a caller does for itself around the moment in which a sandbox comes to be.

use std::io;

use super::error::Error;

/// The two moments. An error in either ends the start: nothing has been handed over yet.
pub(crate) trait Beside {
    /// All is decided, and init is about to get the word to go on: the last moment in which nothing can run.
    fn before(&mut self) -> io::Result<()>;
    /// init builds the walls, and needs nothing of the caller: time for what takes some.
    fn meanwhile(&mut self) -> io::Result<()>;
}

/// Nothing.
impl Beside for () {
    fn before(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn meanwhile(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The error of either.
pub(super) fn failed(source: io::Error) -> Error {
    Error::Child { action: "pass signals on to", source }
}
