//! belljar's own use of the standard streams. While a program runs, standard output belongs to it alone.

use std::io::{self, Write as _};

use super::error::Error;

/// Writes `text` to standard error, in one piece. There is no other place to report a failure of this.
pub fn complain(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Writes `text` to standard output, for the subcommands that print. A reader that has seen enough
/// (`belljar man | head`) is no error.
pub fn print(text: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    finish(out.write_all(text).and_then(|()| out.flush()))
}

/// The result of a write to standard output.
pub fn finish(written: io::Result<()>) -> Result<(), Error> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|source| Error::Output { source }),
    }
}
