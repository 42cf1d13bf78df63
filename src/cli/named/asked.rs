//! The client's side of a request.

use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt};
use nix::sys::time::TimeVal;

use super::request::{Answer, Request, Word};
use super::{Files, failed, holder};
use crate::cli::error::Error;
use crate::protocol::Channel;
use crate::sandbox::supervisor::Supervisor;
use crate::sandbox::watch::{self, Seen};

/// How long the other side may take to take a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request that was sent.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    name: &'a str,
    channel: Channel,
}

impl<'a> Asked<'a> {
    /// Asks the belljar that has the name.
    pub(super) fn new(name: &'a str, request: &Request) -> Result<Self, Error> {
        let files = Files::of(name)?;
        let channel = match connected(&files) {
            Ok(socket) => Channel::new(socket),
            Err(Errno::ENOENT | Errno::ECONNREFUSED) => {
                return Err(Error::NoSandbox { name: name.to_owned() });
            }
            // Others wait for it, too.
            Err(Errno::EAGAIN) => return Err(not_answered(name)),
            Err(errno) => return Err(failed("connect", &files.socket)(errno.into())),
        };
        let bytes = postcard::to_stdvec(request).map_err(|_| not_answered(name))?;
        channel.send_long(&bytes).map_err(|_| not_sent(name))?;
        Ok(Self { name, channel })
    }

    /// The answer, and what came with it; `None` if the other side is gone. An error means that nothing was
    /// done, and will not be: the word to go on is given only to one that answers, and is then waited for.
    pub(super) fn answer(
        &self,
        streams: &[BorrowedFd<'_>],
        supervisor: &mut dyn Supervisor,
    ) -> Result<Option<(Answer, Vec<OwnedFd>)>, Error> {
        if self.wait(Some(PATIENCE), supervisor)? == Seen::Overdue {
            return Err(not_answered(self.name));
        }
        match self.end()? {
            Some(Answer::Ready) => {}
            other => return Ok(other.map(|answer| (answer, Vec::new()))),
        }
        self.channel.send_with(&Word::Go, streams).map_err(|_| not_sent(self.name))?;
        self.wait(None, supervisor)?;
        self.channel.receive_with().map_err(|_| crate::Error::Protocol.into())
    }

    /// The answer to what takes as long as the run; `None` if the other side is gone.
    pub(super) fn end(&self) -> Result<Option<Answer>, Error> {
        self.channel.receive().map_err(|_| not_answered(self.name))
    }

    /// What ended the run, after its task has met the end; `within`: how long that may take to come.
    pub(super) fn why(&self, within: Duration) -> Option<String> {
        match self.wait(Some(within), &mut ()) {
            Ok(Seen::Ready) => match self.channel.receive() {
                Ok(Some(Answer::Ended { why, .. })) => why,
                _ => None,
            },
            _ => None,
        }
    }

    fn wait(&self, patience: Option<Duration>, supervisor: &mut dyn Supervisor) -> Result<Seen, Error> {
        let failed = |source| Error::Signals { action: "poll", source };
        let now = watch::now().map_err(failed)?;
        let deadline = patience.map(|patience| now.saturating_add(patience));
        watch::wait(&[self.channel.as_fd()], deadline, supervisor).map_err(failed)
    }
}

/// Where the other side does not take what is sent.
fn not_sent(name: &str) -> Error {
    if holder(name).is_some() { not_answered(name) } else { crate::Error::Over.into() }
}

fn not_answered(name: &str) -> Error {
    Error::NotAnswered { name: name.to_owned(), pid: holder(name) }
}

fn connected(files: &Files) -> Result<OwnedFd, Errno> {
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    let patience = TimeVal::new(PATIENCE.as_secs().cast_signed(), 0);
    setsockopt(&socket, sockopt::SendTimeout, &patience)?;
    connect(socket.as_raw_fd(), &UnixAddr::new(&files.socket)?)?;
    Ok(socket)
}
