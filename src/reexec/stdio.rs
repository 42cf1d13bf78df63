//! Where a child's standard streams lead.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process::{ChildStderr, ChildStdin, ChildStdout};

/// Where one of a child's standard streams leads, like [`std::process::Stdio`] (which does not let anyone but
/// std look inside).
#[derive(Debug)]
pub struct Stdio(Kind);

#[derive(Debug)]
enum Kind {
    Inherit,
    Null,
    Piped,
    Descriptor(OwnedFd),
}

impl Stdio {
    /// The caller's own stream; `/dev/null` if the caller has it closed.
    pub fn inherit() -> Stdio {
        Stdio(Kind::Inherit)
    }

    /// `/dev/null`.
    pub fn null() -> Stdio {
        Stdio(Kind::Null)
    }

    /// A new pipe, whose other end the child's handle has.
    pub fn piped() -> Stdio {
        Stdio(Kind::Piped)
    }
}

macro_rules! from_descriptor {
    ($($source:ty),* $(,)?) => { $(
        impl From<$source> for Stdio {
            fn from(source: $source) -> Stdio {
                Stdio(Kind::Descriptor(source.into()))
            }
        }
    )* };
}

from_descriptor!(OwnedFd, File, ChildStdin, ChildStdout, ChildStderr, io::PipeReader, io::PipeWriter);

/// One of the three standard streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Descriptor 0.
    Stdin,
    /// Descriptor 1.
    Stdout,
    /// Descriptor 2.
    Stderr,
}

impl std::fmt::Display for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stdin => "input",
            Self::Stdout => "output",
            Self::Stderr => "error",
        })
    }
}

impl Stream {
    fn number(self) -> i32 {
        self as i32
    }
}

/// A stream made ready: what the child is to have, and the caller's end of a pipe.
#[derive(Debug)]
pub(crate) struct Prepared<'a> {
    child: End<'a>,
    ours: Option<OwnedFd>,
}

impl Prepared<'_> {
    /// The caller's end, if a pipe was asked for; closes the child's.
    pub(crate) fn into_ours(self) -> Option<OwnedFd> {
        self.ours
    }
}

#[derive(Debug)]
enum End<'a> {
    Borrowed(BorrowedFd<'a>),
    Owned(OwnedFd),
}

impl AsFd for Prepared<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.child {
            End::Borrowed(fd) => *fd,
            End::Owned(fd) => fd.as_fd(),
        }
    }
}

impl Stdio {
    /// Opens what has to be opened for the stream.
    pub(crate) fn prepare(&self, stream: Stream) -> io::Result<Prepared<'_>> {
        let writes = stream != Stream::Stdin;
        let (child, ours) = match &self.0 {
            Kind::Inherit => match inherited(stream) {
                Some(fd) => (End::Borrowed(fd), None),
                None => (End::Owned(null(writes)?), None),
            },
            Kind::Null => (End::Owned(null(writes)?), None),
            Kind::Descriptor(fd) => (End::Borrowed(fd.as_fd()), None),
            Kind::Piped => {
                let (reader, writer) = io::pipe()?;
                let (theirs, ours): (OwnedFd, OwnedFd) =
                    if writes { (writer.into(), reader.into()) } else { (reader.into(), writer.into()) };
                (End::Owned(theirs), Some(ours))
            }
        };
        Ok(Prepared { child, ours })
    }
}

/// The caller's own stream, if it is open.
fn inherited(stream: Stream) -> Option<BorrowedFd<'static>> {
    // SAFETY: any number may be asked about.
    let open = unsafe { libc::fcntl(stream.number(), libc::F_GETFD) } >= 0;
    // SAFETY: open; the standard streams belong to the whole program, which keeps them.
    open.then(|| unsafe { BorrowedFd::borrow_raw(stream.number()) })
}

fn null(writes: bool) -> io::Result<OwnedFd> {
    let mode = if writes { libc::O_WRONLY } else { libc::O_RDONLY };
    // SAFETY: a literal path.
    let fd = unsafe { libc::open(c"/dev/null".as_ptr(), mode | libc::O_CLOEXEC) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn pipes_lead_the_right_way() {
        let piped = Stdio::piped();
        let input = piped.prepare(Stream::Stdin).unwrap();
        let mut ours = File::from(input.ours.as_ref().unwrap().try_clone().unwrap());
        ours.write_all(b"in").unwrap();
        let mut two = [0; 2];
        File::from(input.as_fd().try_clone_to_owned().unwrap()).read_exact(&mut two).unwrap();
        assert_eq!(&two, b"in");

        let output = piped.prepare(Stream::Stdout).unwrap();
        File::from(output.as_fd().try_clone_to_owned().unwrap()).write_all(b"ou").unwrap();
        File::from(output.ours.as_ref().unwrap().try_clone().unwrap()).read_exact(&mut two).unwrap();
        assert_eq!(&two, b"ou");
    }

    #[test]
    fn null_is_empty() {
        let null = Stdio::null();
        let prepared = null.prepare(Stream::Stdin).unwrap();
        let mut file = File::from(prepared.as_fd().try_clone_to_owned().unwrap());
        assert_eq!(file.read(&mut [0; 1]).unwrap(), 0);
    }
}
